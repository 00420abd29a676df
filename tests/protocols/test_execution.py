"""The driver, on a script small enough to see through: three participants add numbers in two rounds."""

import contextlib
import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.errors import DecodeError, InconsistentBroadcast, ParticipantCheated
from mpcnode.protocols.execution import Execution, ProtocolMessage
from mpcnode.protocols.rounds import (
    Checkpoint,
    Concluded,
    Exchange,
    Fault,
    Inconsistent,
    Plan,
    Round,
    Rounds,
    Traffic,
    Witness,
    broadcast,
    checkpoint,
    conclude,
    direct,
    parallel,
)
from mpcnode.types import Identifier, PeerId, SuiteId
from tests.helpers.simulate import Simulation

A, B, C = (Identifier(i) for i in (1, 2, 3))
NAMES = {A: PeerId("ana"), B: PeerId("ben"), C: PeerId("cleo")}

PLAN = Plan(
    (
        Round("commitment", (None,), 4, phase="revealing", seconds=60),
        Round("share", (None,), 4, phase="sharing", seconds=60),
        Round("ready", (None,), 1, phase="certifying", seconds=60),
    )
)


class Purse:
    """A secret that knows whether it was wiped."""

    def __init__(self, amount: int) -> None:
        self.amount = amount

    def wipe(self) -> None:
        self.amount = 0


def number(sender: Identifier, data: bytes, _echo: bytes | None) -> int:
    if len(data) != 2:
        raise DecodeError("a number is 2 bytes")
    value = int.from_bytes(data, "big")
    if value == 666:
        raise Fault("sent the number of the beast", [sender])
    if value == 667:
        raise Inconsistent("numbers differ")
    return value


def addition(me: Identifier, purse: Purse) -> Rounds[int]:
    """Everybody's number, then to each its own, with something to do between."""
    yield PLAN
    try:
        first = yield from broadcast("commitment", None, purse.amount.to_bytes(2, "big"), number, bytes(32))
        yield Witness(repr(first).encode())
        factor = yield from checkpoint("multiply?")
        others = [i for i in NAMES if i != me]
        second = yield from direct("share", None, {i: (10 * i).to_bytes(2, "big") for i in others}, number)
        total = purse.amount + sum(first.values()) + sum(second.values())
        yield from broadcast("ready", None, b"!", lambda _sender, data, _echo: data)
        return total * (factor or 1)
    finally:
        purse.wipe()


def execution(me: Identifier = A, purse: Purse | None = None) -> Execution[int]:
    return Execution(addition(me, purse or Purse(me)), me=me, participants=NAMES)


def message(kind: str = "commitment", data: bytes = b"\x00\x05") -> ProtocolMessage:
    return ProtocolMessage(kind, None, data)


def kind_of(running: Execution[Any]) -> str:
    return "" if running.round is None else running.round.kind


def standing(running: Execution[int]) -> Any:
    return kind_of(running), running.waiting_for, running.checkpoint


def at_the_checkpoint() -> Execution[int]:
    running = execution()
    running.receive(B, message())
    running.receive(C, message())
    return running


@settings(max_examples=60)
@given(st.randoms(use_true_random=False))
def test_every_order_of_delivery_gives_the_same_results(order: Any) -> None:
    simulation = Simulation({me: execution(me) for me in NAMES}, order)
    assert simulation.run() == {A: 6 + 20, B: 6 + 40, C: 6 + 60}
    assert simulation.checkpoints == {me: ["multiply?"] for me in NAMES}


def test_the_host_sees_where_it_stands() -> None:
    running = execution()
    assert running.messages_to_send() == [(None, ProtocolMessage("commitment", None, b"\x00\x01", bytes(32)))]
    assert running.messages_to_send() == []
    assert standing(running) == ("commitment", {B, C}, None)
    running.receive(C, message())
    assert standing(running) == ("commitment", {B}, None)
    running.receive(B, message())
    assert standing(running) == ("commitment", set(), "multiply?")
    assert running.evidence == b"{2: 5, 3: 5}"
    assert running.messages_to_send() == []
    running.confirm(3)
    assert standing(running) == ("share", {B, C}, None)
    assert running.messages_to_send() == [(B, message("share", b"\x00\x14")), (C, message("share", b"\x00\x1e"))]
    for sender in (B, C):
        running.receive(sender, message("share", b"\x00\x0a"))
    assert running.round is PLAN.rounds[2]
    running.receive(B, message("ready", b"!"))
    assert standing(running) == ("ready", {C}, None)
    running.receive(C, message("ready", b"!"))
    assert running.result == 3 * (1 + 5 + 5 + 10 + 10)


def test_an_early_message_waits_also_where_it_completes_the_next_round_at_once() -> None:
    running = at_the_checkpoint()
    running.receive(B, message("share"))
    running.receive(C, message("share"))
    assert kind_of(running) == "commitment"
    running.confirm()
    # Both shares were here: the execution is already in the last round, and sent the messages of both.
    assert standing(running) == ("ready", {B, C}, None)
    assert [sent.kind for _, sent in running.messages_to_send()] == ["commitment", "share", "share", "ready"]


def refused(running: Execution[int], sender: Identifier, wrong: ProtocolMessage, match: str) -> None:
    """It names the sender, and ends the execution."""
    with pytest.raises(ParticipantCheated, match=match) as caught:
        running.receive(sender, wrong)
    assert caught.value.culprits == (NAMES[sender],)
    assert NAMES[sender] in str(caught.value)
    with pytest.raises(RuntimeError, match="closed"):
        running.receive(sender, wrong)


@pytest.mark.parametrize("data", [b"\x00\x05", b"\x00\x06"], ids=["identical", "different"])
def test_a_duplicate_is_refused(data: bytes) -> None:
    running = execution()
    running.receive(B, message())
    refused(running, B, message(data=data), "twice")


def test_a_duplicate_of_an_early_message_is_refused() -> None:
    running = at_the_checkpoint()
    running.receive(B, message("share"))
    refused(running, B, message("share"), "twice")


def test_a_late_message_is_a_duplicate_and_refused() -> None:
    refused(at_the_checkpoint(), B, message(), "twice")


def test_a_message_two_rounds_ahead_is_refused() -> None:
    refused(execution(), B, message("ready", b"!"), "before that round can have begun")


def test_while_a_checkpoint_is_open_nobody_can_be_further_than_the_next_round() -> None:
    refused(at_the_checkpoint(), B, message("ready", b"!"), "before that round can have begun")


@pytest.mark.parametrize(
    "wrong", [message("nonsense"), replace(message(), lane=SuiteId("FROST-ED25519-SHA512-v1"))], ids=["kind", "lane"]
)
def test_a_message_of_no_round_is_refused(wrong: ProtocolMessage) -> None:
    refused(execution(), B, wrong, "no round has")


@pytest.mark.parametrize("kind", ["commitment", "share"], ids=["now", "early"])
def test_a_message_that_is_too_long_is_refused_before_it_is_kept(kind: str) -> None:
    refused(execution(), B, message(kind, bytes(5)), "too long")
    refused(execution(), B, replace(message(kind), echo=bytes(33)), "too long")


def test_a_malformed_message_is_refused() -> None:
    refused(execution(), B, message(data=b"\x00"), "malformed commitment message: a number is 2 bytes")


def test_a_message_with_a_wrong_content_is_refused() -> None:
    refused(execution(), B, message(data=(666).to_bytes(2, "big")), "number of the beast")


def test_a_wrong_early_message_is_refused_when_its_round_begins() -> None:
    running = at_the_checkpoint()
    running.receive(B, message("share", (666).to_bytes(2, "big")))
    with pytest.raises(ParticipantCheated) as caught:
        running.confirm()
    assert caught.value.culprits == ("ben",)


@pytest.mark.parametrize("sender", [A, Identifier(4)], ids=["oneself", "nobody"])
def test_a_stranger_is_refused_and_harms_nobody(sender: Identifier) -> None:
    running = execution()
    with pytest.raises(ParticipantCheated, match="does not take part") as caught:
        running.receive(sender, message())
    assert caught.value.culprits == ()
    running.receive(B, message())
    assert running.waiting_for == {C}


def test_an_inconsistent_broadcast_names_nobody_and_what_was_heard_is_kept() -> None:
    running = at_the_checkpoint()
    running.confirm()
    with pytest.raises(InconsistentBroadcast, match="numbers differ") as caught:
        running.receive(B, message("share", (667).to_bytes(2, "big")))
    assert caught.value.culprits == ()
    assert running.evidence == b"{2: 5, 3: 5}"


def everything_that_ends_it() -> list[Callable[[Execution[int]], object]]:
    return [
        lambda running: running.close(),
        lambda running: running.receive(B, message()),
        lambda running: running.receive(B, message("share", b"")) or running.confirm(),
    ]


@pytest.mark.parametrize("end", everything_that_ends_it(), ids=["close", "duplicate", "malformed"])
def test_however_it_ends_secrets_are_wiped_and_nothing_goes_out(end: Callable[[Execution[int]], object]) -> None:
    purse = Purse(7)
    running = execution(purse=purse)
    running.receive(B, message())
    running.receive(C, message())
    assert purse.amount == 7
    with contextlib.suppress(ParticipantCheated):
        end(running)
    assert purse.amount == 0
    assert running.messages_to_send() == []
    assert running.checkpoint is None
    assert running.waiting_for == frozenset()
    running.close()


def test_a_result_wipes_what_the_script_held() -> None:
    purses = {me: Purse(me) for me in NAMES}
    Simulation({me: execution(me, purse) for me, purse in purses.items()}).run()
    assert [purse.amount for purse in purses.values()] == [0, 0, 0]


def test_a_host_that_confirms_nothing_is_told() -> None:
    with pytest.raises(RuntimeError, match="no checkpoint"):
        execution().confirm()


def test_there_is_no_result_before_the_end() -> None:
    with pytest.raises(RuntimeError, match="no result"):
        _ = execution().result


def test_one_must_take_part_to_take_part() -> None:
    with pytest.raises(ValueError, match="not among"):
        Execution(addition(A, Purse(1)), me=Identifier(4), participants=NAMES)


def test_an_error_of_the_script_itself_closes_the_execution_and_blames_nobody() -> None:
    purse = Purse(7)

    def broken() -> Rounds[None]:
        yield PLAN
        try:
            yield from broadcast("commitment", None, b"", number)
            yield from broadcast("share", None, bytes(purse.amount // 0), number)
        finally:
            purse.wipe()

    running = Execution(broken(), me=A, participants=NAMES)
    running.receive(B, message())
    with pytest.raises(ZeroDivisionError):
        running.receive(C, message())
    assert purse.amount == 0
    assert running.messages_to_send() == []
    with pytest.raises(RuntimeError, match="closed"):
        running.receive(B, message("share"))


def test_an_error_while_a_message_is_looked_into_closes_the_execution_and_blames_nobody() -> None:
    purse = Purse(7)

    def broken() -> Rounds[None]:
        yield PLAN
        try:
            yield from broadcast("commitment", None, b"", lambda _sender, _data, _echo: 1 / 0)
        finally:
            purse.wipe()

    running = Execution(broken(), me=A, participants=NAMES)
    with pytest.raises(ZeroDivisionError):
        running.receive(B, message())
    assert purse.amount == 0


def test_a_script_that_leaves_its_plan_is_a_bug() -> None:
    def astray() -> Rounds[None]:
        yield PLAN
        yield Exchange("share", {None: Traffic(b"", number)})

    with pytest.raises(RuntimeError, match="plan"):
        Execution(astray(), me=A, participants=NAMES)


def test_a_script_may_begin_with_a_checkpoint() -> None:
    def asking() -> Rounds[object]:
        yield PLAN
        return (yield Checkpoint("sure?"))

    running = Execution(asking(), me=A, participants=NAMES)
    assert (running.round, running.checkpoint) == (None, "sure?")
    running.confirm("yes")
    assert running.result == "yes"


SENT = [
    ProtocolMessage(kind, None, data)
    for kind, data in itertools.product(["commitment", "share", "ready", "x"], [b"\x00\x05", b"!", b"\x02\x9a"])
]


@settings(max_examples=150)
@given(st.lists(st.tuples(st.sampled_from([A, B, C, Identifier(4)]), st.sampled_from(SENT)), max_size=12))
def test_whatever_arrives_only_documented_errors_come_out(arriving: list[tuple[Identifier, ProtocolMessage]]) -> None:
    running = execution()
    for sender, sent in arriving:
        try:
            running.receive(sender, sent)
            if running.checkpoint is not None:
                running.confirm()
        except ParticipantCheated as error:
            if error.culprits:
                return


# A result that stands, and last words after it.


def planned(kind: str, lanes: tuple[Any, ...] = (None,), *, last_words: bool = False) -> Round:
    return Round(kind, lanes, 4, phase="leaving", seconds=60, last_words=last_words)


FAREWELL = Plan((planned("commitment"), planned("done", last_words=True)))


def farewell(purse: Purse) -> Rounds[int]:
    """One number each, then a word that it is kept."""
    yield FAREWELL
    try:
        first = yield from broadcast("commitment", None, b"\x00\x01", number)
        yield from checkpoint("keep")
        yield from conclude(1 + sum(first.values()))
        yield from broadcast("done", None, b"\x00\x00", number)
        return 1 + sum(first.values())
    finally:
        purse.wipe()


def at_last_words(purse: Purse | None = None) -> Execution[int]:
    running = Execution(farewell(purse or Purse(1)), me=A, participants=NAMES)
    for sender in (B, C):
        assert not running.all_heard
        running.receive(sender, message())
    assert (running.all_heard, running.concluded) == (True, False)
    with pytest.raises(RuntimeError, match="no result"):
        _ = running.result
    running.confirm()
    return running


def test_a_result_stands_before_the_last_words_are_said() -> None:
    running = at_last_words()
    assert (running.result, running.concluded, running.finished) == (11, True, False)
    assert running.waiting_for == {B, C}
    assert running.round is FAREWELL.rounds[1]
    assert [sent.kind for _, sent in running.messages_to_send()] == ["commitment", "done"]
    running.receive(B, message("done", b"\x00\x00"))
    assert not running.finished
    running.receive(C, message("done", b"\x00\x00"))
    assert (running.result, running.finished, running.concluded) == (11, True, True)


@pytest.mark.parametrize(
    "end",
    [lambda running: running.close(), lambda running: running.receive(B, message("done", (666).to_bytes(2, "big")))],
    ids=["close", "wrong last words"],
)
def test_whatever_ends_it_then_takes_nothing_from_the_result(end: Callable[[Execution[int]], object]) -> None:
    purse = Purse(7)
    running = at_last_words(purse)
    with contextlib.suppress(ParticipantCheated):
        end(running)
    assert (running.result, running.concluded, running.finished) == (11, True, False)
    assert purse.amount == 0


def test_what_a_script_returns_after_its_last_words_changes_nothing() -> None:
    def wavering() -> Rounds[int]:
        yield Plan(())
        yield from conclude(1)
        return 2

    running = Execution(wavering(), me=A, participants=NAMES)
    assert (running.result, running.finished) == (1, True)


def test_last_words_that_came_early_wait_for_the_result() -> None:
    running = Execution(farewell(Purse(1)), me=A, participants=NAMES)
    for kind in ("commitment", "done"):
        for sender in (B, C):
            running.receive(sender, message(kind, b"\x00\x05"))
    assert running.all_heard
    assert not running.concluded
    running.confirm()
    assert (running.result, running.finished) == (11, True)


def test_a_script_without_last_words_concludes_as_it_ends() -> None:
    running = at_the_checkpoint()
    assert not running.all_heard
    running.confirm()
    for kind, data in (("share", b"\x00\x0a"), ("ready", b"!")):
        for sender in (B, C):
            assert not running.concluded
            running.receive(sender, message(kind, data))
    assert running.concluded
    assert running.finished
    assert running.all_heard


@pytest.mark.parametrize(
    ("plan", "steps"),
    [
        (Plan((planned("commitment", last_words=True),)), [Exchange("commitment", {None: Traffic(b"", number)})]),
        (
            Plan((planned("commitment"),)),
            [Concluded(1), Exchange("commitment", {None: Traffic(b"", number)})],
        ),
    ],
    ids=["last words first", "more than last words"],
)
def test_what_is_said_after_the_result_is_last_words_and_nothing_else_is(plan: Plan, steps: list[Any]) -> None:
    def astray() -> Rounds[int]:
        yield plan
        yield from steps
        return 1

    with pytest.raises(RuntimeError, match="last words"):
        Execution(astray(), me=A, participants=NAMES)


def test_the_host_reads_who_takes_part_from_the_execution() -> None:
    assert execution().participants == NAMES


# Suites with different rounds in one plan.

X, Y = SuiteId("x"), SuiteId("y")
UNEVEN = Plan((planned("one", (X, Y)), planned("extra", (Y,)), planned("two", (X, Y))))


def lane_of(lane: SuiteId, kinds: tuple[str, ...]) -> Rounds[int]:
    total = 0
    for kind in kinds:
        heard = yield from broadcast(kind, lane, b"\x00\x01", number)
        total += 1 + sum(heard.values())
    return total


def uneven() -> Rounds[Any]:
    yield UNEVEN
    lanes = {X: lane_of(X, ("one", "two")), Y: lane_of(Y, ("one", "extra", "two"))}
    return (yield from parallel(("one", "extra", "two"), lanes))


@settings(max_examples=30)
@given(st.randoms(use_true_random=False))
def test_a_suite_may_have_a_round_that_another_beside_it_has_not(order: Any) -> None:
    executions = {me: Execution(uneven(), me=me, participants=NAMES) for me in NAMES}
    assert Simulation(executions, order).run() == {me: {X: 6, Y: 9} for me in NAMES}


def test_a_message_in_the_lane_of_a_suite_that_has_not_this_round_is_refused() -> None:
    running = Execution(uneven(), me=A, participants=NAMES)
    refused(running, B, ProtocolMessage("extra", X, b"\x00\x01"), "no round has")
    running = Execution(uneven(), me=A, participants=NAMES)
    refused(running, B, ProtocolMessage("two", X, b"\x00\x01"), "before that round can have begun")
