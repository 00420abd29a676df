from typing import Any

import pytest

from mpcnode.protocols.rounds import Exchange, Plan, Round, Rounds, Step, Traffic, broadcast, checkpoint, parallel
from mpcnode.types import Identifier, SuiteId

X, Y = SuiteId("x"), SuiteId("y")
B = Identifier(2)
KINDS = ("one", "two")


def accept(_sender: Identifier, data: bytes, _echo: bytes | None) -> bytes:
    return data


def lane(suite: SuiteId, rounds: tuple[str, ...], log: list[str]) -> Rounds[list[bytes]]:
    heard = []
    try:
        for kind in rounds:
            received = yield from broadcast(kind, suite, suite.encode(), accept)
            heard.append(received[B])
        return heard
    finally:
        log.append(suite)


def exchange(step: Step) -> Exchange:
    assert isinstance(step, Exchange)
    return step


def test_scripts_side_by_side_share_each_round() -> None:
    log: list[str] = []
    both = parallel(KINDS, {suite: lane(suite, KINDS, log) for suite in (X, Y)})
    first = exchange(both.send(None))
    assert first == Exchange("one", {X: Traffic(b"x", accept), Y: Traffic(b"y", accept)})
    assert exchange(both.send({X: {B: b"1x"}, Y: {B: b"1y"}})).kind == "two"
    with pytest.raises(StopIteration) as end:
        both.send({X: {B: b"2x"}, Y: {B: b"2y"}})
    assert end.value.value == {X: [b"1x", b"2x"], Y: [b"1y", b"2y"]}
    assert sorted(log) == ["x", "y"]


def test_closing_them_closes_each() -> None:
    log: list[str] = []
    # Held here, so that they are closed and not merely forgotten.
    lanes = {suite: lane(suite, ("one",), log) for suite in (X, Y)}
    both = parallel(KINDS, lanes)
    next(both)
    both.close()
    assert len(lanes) == 2
    assert sorted(log) == ["x", "y"]


def test_one_that_fails_closes_the_others() -> None:
    log: list[str] = []

    def failing() -> Rounds[list[bytes]]:
        yield from broadcast("one", Y, b"", accept)
        raise ZeroDivisionError

    both = parallel(KINDS, {X: lane(X, KINDS, log), Y: failing()})
    next(both)
    with pytest.raises(ZeroDivisionError):
        both.send({X: {B: b""}, Y: {B: b""}})
    assert log == ["x"]


def test_one_of_them_may_have_a_round_that_the_other_skips() -> None:
    log: list[str] = []
    both = parallel(KINDS, {X: lane(X, ("two",), log), Y: lane(Y, KINDS, log)})
    assert exchange(both.send(None)) == Exchange("one", {Y: Traffic(b"y", accept)})
    assert exchange(both.send({Y: {B: b"1y"}})).traffic.keys() == {X, Y}
    with pytest.raises(StopIteration) as end:
        both.send({X: {B: b"2x"}, Y: {B: b"2y"}})
    assert end.value.value == {X: [b"2x"], Y: [b"1y", b"2y"]}


def test_the_session_itself_has_a_lane_beside_those_of_suites() -> None:
    def whole() -> Rounds[list[bytes]]:
        received = yield from broadcast("one", None, b"all", accept)
        return [received[B]]

    both = parallel(("one",), {None: whole(), X: lane(X, ("one",), [])})
    assert exchange(both.send(None)).traffic.keys() == {None, X}
    with pytest.raises(StopIteration) as end:
        both.send({None: {B: b"0"}, X: {B: b"1x"}})
    assert end.value.value == {None: [b"0"], X: [b"1x"]}


@pytest.mark.parametrize("rounds", [("other",), ("two", "one"), ("one", "one")])
def test_scripts_that_leave_the_rounds_of_their_plan_are_a_bug(rounds: tuple[str, ...]) -> None:
    log: list[str] = []
    both = parallel(KINDS, {X: lane(X, ("one",), log), Y: lane(Y, rounds, log)})

    def run_to_the_end() -> None:
        answer: Any = None
        while True:
            answer = {lane: {B: b""} for lane in exchange(both.send(answer)).traffic}

    with pytest.raises(RuntimeError, match="in order"):
        run_to_the_end()
    assert sorted(log) == ["x", "y"]


def test_a_checkpoint_is_not_shared() -> None:
    both = parallel(("one",), {X: checkpoint("ask once")})
    with pytest.raises(TypeError, match="only exchanges"):
        next(both)


def planned(kind: str, *lanes: Any) -> Round:
    return Round(kind, lanes, 1, phase="sharing", seconds=60)


@pytest.mark.parametrize(
    "rounds", [(planned("one", X), planned("one", X, Y)), (planned("one"),), (planned("one", X, X),)]
)
def test_in_a_plan_every_message_has_one_place(rounds: tuple[Round, ...]) -> None:
    with pytest.raises(ValueError, match="in a plan"):
        Plan(rounds)
    assert Plan((planned("one", X), planned("one", Y), planned("two", X, None))).rounds
