"""What happens to one key generation beside the protocol: answers, cancels, users, disks and Ctrl-C."""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from mpcnode.errors import (
    IdentityCheckFailed,
    KeystoreUnwritable,
    MpcError,
    NoTerminal,
    ParticipantAborted,
    ParticipantCheated,
    ParticipantRefused,
    ParticipantSilent,
    Refused,
)
from mpcnode.mesh.transport import LinkChange, LinkState
from mpcnode.session.agreement import Agreement, refusal
from mpcnode.session.sealed_relay import Opened
from mpcnode.session.state import State
from mpcnode.status import Answered, Event, Link, Progress, SafetyWords, WalletChanged, WalletView, Warned
from mpcnode.types import IdentityKey, PeerId
from mpcnode.wire.peer import Abort, Ready, WalletCreated
from mpcnode.wire.relay import Answer, Offer, RelayMessage, SessionCancel, SessionProposal, SessionResponse
from tests.helpers.cheat import CheatingMesh, cheat, on, overhear, with_fields
from tests.helpers.relays import ANA, BEN, CLEO, EVE, key_of
from tests.helpers.sessions import HASTY, PATIENT, SESSION, Seat, Table, for_ever

NAMES = (ANA, BEN, CLEO)


def say(table: Table, to: PeerId, sender: PeerId, message: RelayMessage, key: IdentityKey | None = None) -> None:
    table[to].session.handle(Opened(sender, key or key_of(sender), message))


async def raising(error: MpcError, *_: object) -> Any:
    raise error


def of(kind: type[Event], seat: Seat) -> list[Any]:
    return [event for event in seat.events if type(event) is kind]


async def test_a_link_that_goes_when_all_is_done_is_not_shown_as_one_that_is_built_again() -> None:
    table = Table(*NAMES)
    await table.run()
    lost = LinkChange(BEN, LinkState.LOST, 1)
    table[ANA].session._link_changed(lost)
    assert {link.state for link in of(Link, table[ANA])} == {"connecting", "open"}


# --- answers and cancels ---


async def test_a_no_ends_it_for_all_and_nobody_opens_a_link() -> None:
    table = Table(*NAMES)
    table[BEN].answers.on_approve = lambda: raising(Refused("not \x1b[2J today"))
    await table.run()
    assert table[BEN].error == (Refused, ())
    assert table[ANA].error == table[CLEO].error == (ParticipantRefused, (BEN,))
    assert "not \\x1b[2J today" in str(table[ANA].outcome)
    assert not table.network.links
    assert not [message for _, _, message in table.relayed if isinstance(message, Offer)]


async def test_a_no_reaches_a_user_who_still_thinks() -> None:
    table = Table(*NAMES)
    table[BEN].answers.on_approve = lambda: raising(Refused("no"))
    table[CLEO].answers.on_approve = for_ever
    await table.run()
    assert table[CLEO].error == (ParticipantRefused, (BEN,))


async def test_nobody_to_ask_is_a_no_that_says_nothing_of_this_node() -> None:
    table = Table(*NAMES)
    table[BEN].answers.on_approve = lambda: raising(NoTerminal("no terminal at /dev/secret"))
    await table.run()
    assert table[BEN].error == (NoTerminal, ())
    assert table[ANA].error == table[CLEO].error == (ParticipantRefused, (BEN,))
    assert "secret" not in str(table[ANA].outcome)
    assert "cannot take part" in str(table[ANA].outcome)


async def test_who_does_not_answer_in_time_is_named() -> None:
    table = Table(*NAMES, timeouts=HASTY)
    table[CLEO].answers.on_approve = for_ever
    await table.run()
    assert table[ANA].error == table[BEN].error == (ParticipantSilent, (CLEO,))
    assert table[CLEO].error[0] in {Refused, ParticipantAborted}


@pytest.mark.parametrize("minutes", [-4, 4])
async def test_clocks_may_differ_by_minutes(minutes: int) -> None:
    table = Table(*NAMES)
    session = table[BEN].session
    session._services = replace(session._services, now=lambda: table.now() + 60 * minutes)
    outcomes = await table.run()
    assert [type(outcome) for outcome in outcomes.values()] == [WalletView] * 3


async def test_who_is_not_there_is_named() -> None:
    table = Table(*NAMES, timeouts=HASTY)
    await table.run(without=[CLEO])
    assert table[ANA].error == table[BEN].error == (ParticipantSilent, (CLEO,))


async def test_whose_answers_the_server_drops_is_named_by_whoever_misses_them() -> None:
    table = Table(*NAMES, timeouts=HASTY)
    table.tamper = lambda sender, to, message: (
        None if (sender, to) == (CLEO, ANA) and isinstance(message, SessionResponse) else message
    )
    await table.run()
    assert table[ANA].error == (ParticipantSilent, (CLEO,))
    assert table[BEN].error[1] == (ANA,)  # who gave it up; ben has everybody's answer


@pytest.mark.parametrize("answered", [True, False])
async def test_a_cancel_is_believed_as_far_as_this_node_sees_the_same(answered: bool) -> None:  # noqa: FBT001
    table = Table(*NAMES)
    ana = table[ANA]
    running = asyncio.create_task(table.run_one(ana))
    await asyncio.sleep(0)
    if answered:
        say(table, ANA, CLEO, Agreement(table.proposal, me=CLEO).accept(bytes(32)))
    say(table, ANA, BEN, SessionCancel(SESSION, "participant_silent", "cleo is \x07 silent", ("cleo", "nobody")))
    await running
    assert ana.error == ((ParticipantAborted, (BEN,)) if answered else (ParticipantSilent, (CLEO,)))
    assert "\x07" not in str(ana.outcome)


async def test_two_answers_of_one_name_it() -> None:
    table = Table(*NAMES)
    running = asyncio.create_task(table.run_one(table[ANA]))
    await asyncio.sleep(0)
    for fresh in (1, 1, 2):
        say(table, ANA, BEN, Agreement(table.proposal, me=BEN).accept(bytes([fresh]) * 32))
    await running
    assert table[ANA].error == (ParticipantCheated, (BEN,))
    assert [event.peer_id for event in of(Answered, table[ANA])] == [BEN]


STRANGE: list[Callable[[SessionProposal], RelayMessage]] = [
    lambda proposal: refusal(proposal, "no"),
    lambda proposal: Agreement(proposal, me=ANA).accept(bytes(32)),
    lambda _: SessionCancel(SESSION, "internal", "stop"),
    lambda _: Offer(SESSION, 1, "memory 1 00"),
]


@pytest.mark.parametrize("message", STRANGE)
@pytest.mark.parametrize("stranger", [EVE, ANA])
async def test_a_strangers_words_have_no_effect(
    message: Callable[[SessionProposal], RelayMessage], stranger: PeerId
) -> None:
    """Ana is one to herself: only a server that lies gives her messages from her own name."""
    table = Table(*NAMES)
    say(table, ANA, stranger, message(table.proposal))
    outcomes = await table.run()
    assert [type(outcome) for outcome in outcomes.values()] == [WalletView] * 3


async def test_a_participant_with_another_key_than_the_proposals_is_no_participant() -> None:
    table = Table(*NAMES)
    table[BEN].answers.on_approve = for_ever
    running = asyncio.create_task(table.run())
    await asyncio.sleep(0)
    say(table, ANA, BEN, Agreement(table.proposal, me=BEN).accept(bytes(32)), key_of(EVE))
    await running
    assert table[ANA].error == (IdentityCheckFailed, (BEN,))
    assert table[BEN].error == (IdentityCheckFailed, (ANA,))  # whoever speaks for ben stands between the two
    assert table[CLEO].error == (ParticipantAborted, (ANA,))


async def test_everything_may_come_twice_and_in_any_order() -> None:
    table = Table(*NAMES)

    def again(sender: PeerId, to: PeerId, message: RelayMessage) -> RelayMessage:
        loop = asyncio.get_running_loop()
        opened = Opened(sender, key_of(sender), message)
        for delay in (0.0, 0.01, 0.05):
            loop.call_later(delay, table[to].session.handle, opened)
        return message

    table.tamper = again
    outcomes = await table.run()
    assert [type(outcome) for outcome in outcomes.values()] == [WalletView] * 3
    for to in NAMES:
        say(table, to, NAMES[to == ANA], SessionCancel(SESSION, "internal", "too late"))
    assert {table[name].session._state.state for name in NAMES} == {State.DONE}


@pytest.mark.parametrize("kind", [Offer, Answer])
async def test_a_fingerprint_that_was_changed_on_the_way_is_found(kind: type[Offer | Answer]) -> None:
    table = Table(*NAMES)

    def swap(sender: PeerId, to: PeerId, message: RelayMessage) -> RelayMessage:
        if isinstance(message, Offer | Answer) and isinstance(message, kind) and {sender, to} == {ANA, BEN}:
            other = "0000" if message.sdp[-4:] != "0000" else "1111"
            return msgspec.structs.replace(message, sdp=message.sdp[:-4] + other)
        return message

    table.tamper = swap
    await table.run()
    found = {name: table[name].error for name in (ANA, BEN)}
    assert (IdentityCheckFailed, (BEN,)) in found.values() or (IdentityCheckFailed, (ANA,)) in found.values()
    assert not any(seat.home.files for seat in table.seats.values())


# --- users ---


async def test_words_refused_by_one_end_it_for_all_before_any_share_leaves() -> None:
    table = Table(*NAMES)
    table[BEN].answers.on_words = lambda _: raising(Refused("the safety words differ"))
    for name in NAMES:
        overhear(table, name)
    await table.run()
    assert table[BEN].error == (Refused, ())
    assert table[ANA].error == table[CLEO].error == (ParticipantAborted, (BEN,))
    assert [outcome.exit_code for outcome in (table[BEN].outcome, table[ANA].outcome)] == [8, 6]  # type: ignore[union-attr]
    assert not any(seat.home.files for seat in table.seats.values())
    for name in (ANA, CLEO):
        mesh = table[name].session._mesh
        assert isinstance(mesh, CheatingMesh)
        assert not [message for sender, message in mesh.heard if sender == BEN and type(message).__name__ == "Share"]


async def test_words_that_nobody_compares_are_refused_after_a_while() -> None:
    table = Table(*NAMES, timeouts=HASTY)
    table[BEN].answers.on_words = for_ever
    await table.run()
    assert table[BEN].error == (Refused, ())
    assert table[ANA].error == table[CLEO].error == (ParticipantAborted, (BEN,))


@pytest.mark.parametrize("compared", [True, False])
async def test_the_wallet_says_whether_a_human_compared_the_words(compared: bool) -> None:  # noqa: FBT001
    table = Table(ANA, BEN)
    shown: list[SafetyWords] = []

    async def compare(words: SafetyWords) -> bool:
        shown.append(words)
        return compared

    table[ANA].answers.on_words = compare
    outcomes = await table.run()
    view = outcomes[ANA]
    assert isinstance(view, WalletView)
    assert view.words_compared is compared
    assert outcomes[BEN].words_compared is True  # type: ignore[union-attr]
    assert shown == of(SafetyWords, table[BEN])
    assert len(shown[0].words) == 6


async def test_a_slow_user_is_waited_for_by_name() -> None:
    table = Table(*NAMES)
    confirmed = asyncio.Event()

    async def slowly(_: SafetyWords) -> bool:
        await confirmed.wait()
        return True

    table[CLEO].answers.on_words = slowly
    running = asyncio.create_task(table.run())
    async with asyncio.timeout(10):
        while not any(e.phase == "sharing" and e.waiting_for == (CLEO,) for e in of(Progress, table[ANA])):
            await asyncio.sleep(0.005)
    confirmed.set()
    outcomes = await running
    assert [type(outcome) for outcome in outcomes.values()] == [WalletView] * 3


# --- disks ---


def full(state: str) -> Callable[[str], None]:
    def before_save(saving: str) -> None:
        if saving == state:
            raise KeystoreUnwritable("no space on /home/ben/secret-place")

    return before_save


async def test_a_share_that_cannot_be_stored_ends_it_for_all_and_no_promise_is_made() -> None:
    table = Table(*NAMES)
    table[BEN].home.before_save = full("pending")
    overhear(table, ANA)
    await table.run()
    assert table[BEN].error == (KeystoreUnwritable, ())
    assert table[ANA].error == table[CLEO].error == (ParticipantAborted, (BEN,))
    assert "secret-place" not in str(table[ANA].outcome)
    assert table[BEN].home.states == []
    assert "active" not in [state for seat in table.seats.values() for state in seat.home.states]
    mesh = table[ANA].session._mesh
    assert isinstance(mesh, CheatingMesh)
    assert not [message for sender, message in mesh.heard if sender == BEN and isinstance(message, Ready)]
    assert next(m for sender, m in mesh.heard if sender == BEN and isinstance(m, Abort)).code == "unwritable"


@pytest.mark.parametrize("slow", [ANA, BEN])
async def test_a_certificate_that_one_cannot_store_stops_nobody_else(slow: PeerId) -> None:
    """Everybody has everybody's promise: whoever cannot write it down now asks for it later.

    Ben says that he stops while ana still writes, or while ana and cleo wait for his last words.
    """
    table = Table(*NAMES)
    gate = threading.Event()

    def disk(name: PeerId) -> Callable[[str], None]:
        def before_save(state: str) -> None:
            if state == "active" and name == slow:
                gate.wait(0.3)
            if state == "active" and name == BEN:
                raise KeystoreUnwritable("no space left")

        return before_save

    for name in (ANA, BEN):
        table[name].home.before_save = disk(name)
    began = asyncio.get_running_loop().time()
    outcomes = await table.run()
    assert table[BEN].error == (KeystoreUnwritable, ())
    assert "pending" in (table[BEN].outcome.saved or "")  # type: ignore[union-attr]
    assert table[BEN].home.states == ["pending"]
    for name in (ANA, CLEO):
        view = outcomes[name]
        assert isinstance(view, WalletView), view
        assert view.state == "active"
        assert table[name].home.states == ["active"]
    # Nobody waits for the last words of somebody who said that it stops.
    assert asyncio.get_running_loop().time() - began < PATIENT.leave


async def test_a_link_lost_while_the_certificate_is_written_undoes_nothing() -> None:
    table = Table(ANA, BEN)
    reached = threading.Event()

    def slow_disk(state: str) -> None:
        if state == "active":
            reached.wait(5)

    table[ANA].home.before_save = slow_disk
    running = asyncio.create_task(table.run())
    async with asyncio.timeout(10):
        while table[BEN].home.states != ["active"]:
            await asyncio.sleep(0.005)
    table[ANA].session._mesh.failed(ParticipantSilent("ben said nothing", culprits=[BEN]))
    await asyncio.sleep(0.02)
    reached.set()
    outcomes = await running
    assert isinstance(outcomes[ANA], WalletView)
    assert table[ANA].home.states == ["active"]


async def test_last_words_about_another_key_are_a_warning_and_no_failure() -> None:
    table = Table(*NAMES)
    cheat(table, CLEO, on(WalletCreated)(with_fields(pubkey="00")))
    table[CLEO].crooked = False
    outcomes = await table.run()
    assert [type(outcome) for outcome in outcomes.values()] == [WalletView] * 3
    for name in (ANA, BEN):
        assert ["cleo" in event.message for event in of(Warned, table[name])] == [True]


async def test_nobody_leaves_before_its_last_words_were_heard() -> None:
    table = Table(*NAMES)
    table.network.delay = 0.02  # whoever leaves takes with it the acknowledgements that are under way
    began = asyncio.get_running_loop().time()
    await table.run()
    assert asyncio.get_running_loop().time() - began < PATIENT.leave
    for name in NAMES:
        session = table[name].session
        assert sorted(session._last_words) == sorted(set(NAMES) - {name})
        assert [event.wallet.state for event in of(WalletChanged, table[name])] == ["pending", "active"]


# --- Ctrl-C ---


def phase_reached(seat: Seat, phase: str) -> bool:
    return any(event.phase == phase for event in of(Progress, seat))


async def cancel_at(table: Table, name: PeerId, phase: str, *, times: int = 1) -> None:
    """Run everybody and press Ctrl-C at ``name`` when it gets to ``phase``."""
    before = asyncio.all_tasks()
    running = {seat.name: asyncio.create_task(table.run_one(seat)) for seat in table.seats.values()}
    async with asyncio.timeout(20):
        while not phase_reached(table[name], phase):
            await asyncio.sleep(0)
        for _ in range(times):
            running[name].cancel()
            await asyncio.sleep(0)
        await asyncio.gather(*running.values())
    assert asyncio.all_tasks() <= before, asyncio.all_tasks() - before
    assert not table.network.links


PHASES = ["negotiating", "connecting", "committing", "revealing", "confirming", "sharing", "storing"]


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("times", [1, 2, 5])
async def test_ctrl_c_in_the_middle_is_told_and_leaves_nothing_behind(phase: str, times: int) -> None:
    table = Table(*NAMES)
    if phase == "negotiating":
        table[CLEO].answers.on_approve = for_ever
    if phase == "confirming":
        table[BEN].answers.on_words = for_ever
    await cancel_at(table, BEN, phase, times=times)
    assert isinstance(table[BEN].outcome, asyncio.CancelledError)
    for name in (ANA, CLEO):
        assert table[name].error == (ParticipantAborted, (BEN,))
    assert "active" not in [state for seat in table.seats.values() for state in seat.home.states]


async def test_ctrl_c_while_the_last_words_are_said_undoes_nothing() -> None:
    table = Table(*NAMES)

    def slow_disk(state: str) -> None:
        if state == "active":
            time.sleep(0.3)  # so that ben waits for cleo's last words

    table[CLEO].home.before_save = slow_disk
    await cancel_at(table, BEN, "leaving")
    assert isinstance(table[BEN].outcome, asyncio.CancelledError)
    assert {tuple(table[name].home.states) for name in NAMES} == {("active",)}
    for name in (ANA, CLEO):
        assert isinstance(table[name].outcome, WalletView)


async def test_ctrl_c_while_the_links_are_closed_undoes_nothing() -> None:
    table = Table(ANA, BEN)
    session = table[ANA].session
    close, closing, go_on = session._mesh.close, asyncio.Event(), asyncio.Event()

    async def slowly() -> None:
        closing.set()
        await go_on.wait()
        await close()

    session._mesh.close = slowly  # type: ignore[method-assign]
    running = {seat.name: asyncio.create_task(table.run_one(seat)) for seat in table.seats.values()}
    async with asyncio.timeout(10):
        await closing.wait()
        running[ANA].cancel()
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.gather(*running.values())
    assert isinstance(table[ANA].outcome, asyncio.CancelledError)
    assert table[ANA].home.states == ["active"]
    assert session._state.state is State.DONE
    assert not table.network.links


async def test_ctrl_c_while_the_user_is_asked_is_a_no() -> None:
    table = Table(*NAMES)
    table[BEN].answers.on_approve = for_ever
    running = {seat.name: asyncio.create_task(table.run_one(seat)) for seat in table.seats.values()}
    async with asyncio.timeout(10):
        while "approve" not in table[BEN].answers.asked:
            await asyncio.sleep(0)
        running[BEN].cancel()
        await asyncio.gather(*running.values())
    assert table[ANA].error == table[CLEO].error == (ParticipantRefused, (BEN,))
    assert "this node was stopped" in str(table[ANA].outcome)


async def test_a_thread_that_writes_a_share_is_waited_for_however_often_ctrl_c_is_pressed() -> None:
    table = Table(ANA, BEN)
    writing, go_on = threading.Event(), threading.Event()

    def slow_disk(state: str) -> None:
        if state == "pending":
            writing.set()
            go_on.wait(5)

    table[BEN].home.before_save = slow_disk
    running = {seat.name: asyncio.create_task(table.run_one(seat)) for seat in table.seats.values()}
    async with asyncio.timeout(10):
        while not writing.is_set():
            await asyncio.sleep(0.001)
        for _ in range(4):
            running[BEN].cancel()
            await asyncio.sleep(0.01)
            assert not running[BEN].done()
        go_on.set()
        await asyncio.gather(*running.values())
    assert table[BEN].home.states == ["pending"]
    assert isinstance(table[BEN].outcome, asyncio.CancelledError)
    assert table[ANA].error == (ParticipantAborted, (BEN,))
