"""What happens to one key generation beside the protocol: answers, cancels, users, disks and Ctrl-C."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from mpcnode.consent.approval import Options
from mpcnode.crypto import tags
from mpcnode.errors import (
    Disagreement,
    IdentityCheckFailed,
    Interrupted,
    KeystoreUnwritable,
    MpcError,
    NoTerminal,
    ParticipantAborted,
    ParticipantCheated,
    ParticipantRefused,
    ParticipantSilent,
    ParticipantStopped,
    Refused,
    Unanswered,
    UsageError,
    WordsDiffer,
    WordsUnanswered,
)
from mpcnode.identity.contacts import Contact, Contacts, How
from mpcnode.mesh.transport import LinkChange, LinkState
from mpcnode.peers.conversation import Opened
from mpcnode.session.answers import accept, refuse
from mpcnode.session.attempt import NOT_NEEDED, Attempt
from mpcnode.session.state import State
from mpcnode.status import Answered, Link, Progress, Proposed, SafetyWords, SessionEnded, WalletChanged, Warned
from mpcnode.types import PeerId, SessionId
from mpcnode.wire import agreement
from mpcnode.wire.peer import Abort, RoundMessage
from mpcnode.wire.relay import (
    Answer,
    Offer,
    RelayMessage,
    SessionCancel,
    SessionProposal,
    SessionResponse,
    SessionStart,
)
from tests.helpers.blamed import blamed
from tests.helpers.cheat import on, with_fields
from tests.helpers.identities import identity, key_of
from tests.helpers.table import ANA, BEN, CLEO, DEADLINE, ED25519, HASTY, PATIENT, Seat, Table, table

NAMES = (ANA, BEN, CLEO)
EVE = PeerId("eve")
Ended = tuple[str, tuple[str, ...], tuple[str, ...]]
"""A code, those that are convicted and the suspects."""
MADE: Ended = ("made", (), ())


@asynccontextmanager
async def three(**options: Any) -> AsyncIterator[Table]:
    given = {"total": 3, "suites": (ED25519,), **options}
    async with table(2, given.pop("total"), wallets=False, **given) as people:
        for name in people.seats:
            if name != ANA:
                people[name].asks()
        yield people


@asynccontextmanager
async def proposed(people: Table) -> AsyncIterator["asyncio.Task[Any]"]:
    """Ana's proposal, under way."""
    running = asyncio.create_task(people.create_wallet(ANA))
    try:
        yield running
    finally:
        running.cancel()
        with contextlib.suppress(MpcError, asyncio.CancelledError):
            await running


async def run(people: Table) -> dict[PeerId, tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Let ana propose a wallet; give how it ended at everybody."""
    with contextlib.suppress(MpcError):
        await people.create_wallet(ANA)
    return {name: how(await people[name].ended()) for name in people.seats}


def how(ended: SessionEnded) -> Ended:
    return (ended.error.code, ended.error.culprits, ended.error.suspects) if ended.error else MADE


def why(seat: Seat) -> str:
    (ended,) = seat.of(SessionEnded)
    assert ended.error is not None
    return ended.error.message


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not holds():
            await asyncio.sleep(0.001)


async def for_ever(_: object) -> bool:
    """Answer nothing."""
    return await asyncio.Event().wait()


def saying(error: MpcError) -> Callable[[object], Any]:
    async def answer(_: object) -> bool:
        raise error

    return answer


def heard(seat: Seat, sender: PeerId, name: str) -> list[RoundMessage]:
    """What one participant heard of another in one round, over its newest mesh."""
    return [
        message
        for one, message in seat.made[-1].heard
        if one == sender and isinstance(message, RoundMessage) and message.round == name
    ]


def attempts(people: Table, *names: PeerId) -> dict[PeerId, Attempt[Any]]:
    return {name: next(iter(people[name].agenda._running.values())) for name in names}


def proposal_of(people: Table) -> SessionProposal:
    return people.of(SessionProposal)[0]


def yes(people: Table, name: str, number: int = 1) -> SessionResponse:
    return accept(proposal_of(people), identity(name), nonce=bytes([number]) * 16, terms=(), meshes=())


async def test_a_link_that_goes_when_all_is_done_is_not_shown_as_one_that_is_built_again() -> None:
    async with three() as people, proposed(people) as running:
        await until(lambda: people[ANA].agenda.busy)
        attempt = attempts(people, ANA)[ANA]
        await running
        attempt.link_changed(LinkChange(BEN, LinkState.LOST, 1))
        assert {link.state for link in people[ANA].of(Link)} == {"connecting", "open"}


# --- what is made ---


async def test_a_wallet_of_that_name_is_made_once() -> None:
    async with three() as people:
        await people.create_wallet(ANA)
        await people.settled()
        with pytest.raises(UsageError, match="there is a wallet named treasury already"):
            await people.create_wallet(ANA)
        del people[ANA].home.files[next(iter(people[ANA].home.files))]
        with pytest.raises(ParticipantRefused) as caught:
            await people.create_wallet(ANA)
        assert caught.value.culprits == ()
        assert {BEN, CLEO} >= caught.value.suspects > set()
        assert "this node has a wallet named treasury already" in caught.value.message


async def test_two_proposals_of_one_name_are_made_one_at_a_time() -> None:
    async with three() as people:
        people[BEN].human.approves = for_ever
        async with proposed(people):
            await until(lambda: people[ANA].agenda.busy)
            with pytest.raises(UsageError, match="another session at this node makes a wallet named treasury already"):
                await people.create_wallet(ANA)
            await until(lambda: people[ANA].of(Answered))
            with pytest.raises(UsageError, match="another session at this node makes a wallet named treasury already"):
                await people.create_wallet(CLEO)  # who said yes to the first
            with pytest.raises(ParticipantRefused, match="makes a wallet named treasury already"):
                await people.create_wallet(BEN)  # ben has not
        await people.settled()
        people[BEN].human.approves = True
        assert (await people.create_wallet(CLEO)).state == "active"


@pytest.mark.parametrize("compared", [True, False])
async def test_everybody_becomes_a_contact_as_verified_as_the_words_were(compared: bool) -> None:  # noqa: FBT001
    async with three() as people:
        people[ANA].agenda.options = Options(accept="auto", yes=not compared)
        view = await people.create_wallet(ANA)
        assert view.verified == ("words" if compared else "nobody")
        contacts = people[ANA].services.trusts.contacts
        assert {one.peer_id: (one.public_key, one.verified) for one in contacts} == {
            name: (key_of(name), compared) for name in (BEN, CLEO)
        }


async def test_contacts_that_cannot_be_stored_are_a_warning_and_the_wallet_is_made() -> None:
    async with three() as people:

        def save_contacts(contacts: Contacts) -> None:
            raise KeystoreUnwritable(f"no space left for {len(list(contacts))} contacts")

        people[ANA].home.save_contacts = save_contacts  # type: ignore[method-assign]
        assert (await people.create_wallet(ANA)).state == "active"
        (warned,) = people[ANA].of(Warned)
        assert "its participants are not kept as contacts: no space left" in warned.message


@pytest.mark.parametrize(("how", "verified"), [("code", "code"), ("words", "contacts")])
async def test_verified_contacts_need_no_words(how: How, verified: str) -> None:
    async with three() as people:
        for name in NAMES:
            people[name].services.trusts.contacts = Contacts(
                Contact(one, key_of(one), how, 0) for one in NAMES if one != name
            )
        view = await people.create_wallet(ANA)
        assert view.verified == verified
        assert not any(people[name].human.was_asked(SafetyWords) for name in NAMES)
        assert all(len(people[name].of(SafetyWords)) == 1 for name in NAMES)  # shown all the same


# --- answers and cancels ---


async def test_a_no_ends_it_for_all_and_nobody_opens_a_link() -> None:
    async with three() as people:
        people[BEN].human.approves = saying(Refused("not \x1b[2J today"))
        ended = await run(people)
        assert ended == {
            ANA: (ParticipantRefused.code, (), (BEN,)),
            BEN: (Refused.code, (), ()),
            CLEO: (ParticipantRefused.code, (), (ANA, BEN)),  # by ana's word
        }
        assert "not \\x1b[2J today" in why(people[ANA])
        assert not people.network.links
        assert not people.of(Offer)


async def test_answers_go_to_the_proposer_alone() -> None:
    async with three() as people:
        await people.create_wallet(ANA)
        assert len(people.of(SessionResponse)) == len(people.of(SessionResponse, to=ANA)) == 2


async def test_a_no_reaches_a_user_that_still_thinks() -> None:
    async with three() as people:
        people[BEN].human.approves = False
        people[CLEO].human.approves = for_ever
        assert (await run(people))[CLEO] == (ParticipantRefused.code, (), (ANA, BEN))


async def test_nobody_to_ask_is_a_no_that_says_nothing_of_this_node() -> None:
    async with three() as people:
        people[BEN].human.approves = saying(NoTerminal("no terminal at /dev/secret"))
        ended = await run(people)
        assert ended == {
            ANA: (ParticipantRefused.code, (), (BEN,)),
            BEN: (NoTerminal.code, (), ()),
            CLEO: (ParticipantRefused.code, (), (ANA, BEN)),
        }
        assert "secret" not in why(people[ANA])
        assert "ben has nobody to ask" in why(people[ANA])


async def test_one_that_does_not_answer_in_time_is_named() -> None:
    async with three(timeouts=HASTY) as people:
        people[CLEO].human.approves = for_ever
        ended = await run(people)
        assert ended[ANA] == (ParticipantSilent.code, (), (CLEO,))
        assert ended[BEN] == (ParticipantAborted.code, (), (ANA, CLEO))  # by ana's word
        assert ended[CLEO] in [(Unanswered.code, (), ()), (ParticipantAborted.code, (), (ANA,))]


@pytest.mark.parametrize("minutes", [-4, 4])
async def test_clocks_may_differ_by_minutes(minutes: int) -> None:
    async with three() as people:
        object.__setattr__(people[BEN].services, "now", lambda: people.now() + 60_000 * minutes)
        assert await run(people) == dict.fromkeys(NAMES, MADE)


async def test_one_that_hears_nothing_is_named() -> None:
    async with three(timeouts=HASTY) as people:
        people.deaf.add(CLEO)
        with pytest.raises(ParticipantSilent) as caught:
            await people.create_wallet(ANA)
        assert blamed(caught.value) == ((), {CLEO})
        assert how(await people[BEN].ended()) == (ParticipantAborted.code, (), (ANA, CLEO))


async def test_one_whose_answer_the_server_drops_is_named_and_its_proposer_is_as_suspect() -> None:
    async with three(timeouts=HASTY) as people:
        people.tamper = lambda sender, to, message: (
            None if (sender, to) == (CLEO, ANA) and isinstance(message, SessionResponse) else message
        )
        ended = await run(people)
        assert ended[ANA] == (ParticipantSilent.code, (), (CLEO,))
        assert ended[BEN] == (ParticipantAborted.code, (), (ANA, CLEO))
        assert ended[CLEO] == (ParticipantAborted.code, (), (ANA,))  # it knows that it answered


CANCELS: dict[str, tuple[str, tuple[str, ...], Ended]] = {
    "silent": ("participant_silent", (CLEO, "nobody"), (ParticipantAborted.code, (), (ANA, CLEO))),
    "refused": ("participant_refused", (CLEO,), (ParticipantRefused.code, (), (ANA, CLEO))),
    "refused by this node": ("participant_refused", (BEN,), (ParticipantRefused.code, (), (ANA,))),
    "silent itself": ("participant_silent", (ANA,), (ParticipantAborted.code, (), (ANA,))),
    "another key, of this node": ("identity_check_failed", (BEN,), (IdentityCheckFailed.code, (), ())),
    "another key, of nobody": ("identity_check_failed", (), (IdentityCheckFailed.code, (), ())),
    "a contact of another key": ("contact_changed", (), (IdentityCheckFailed.code, (), ())),
    "another key, of another": ("identity_check_failed", (CLEO,), (ParticipantAborted.code, (), (ANA, CLEO))),
    "an accusation": ("participant_cheated", (CLEO,), (ParticipantCheated.code, (), (ANA, CLEO))),
    "anything else": ("some_future_word", (CLEO,), (ParticipantAborted.code, (), (ANA, CLEO))),
    "words": ("words_differ", (), (WordsDiffer.code, (), ())),
    "another view": ("disagreement", (CLEO,), (Disagreement.code, (), ())),
    "a disk": ("cannot_store", (CLEO,), (ParticipantStopped.code, (), (ANA,))),
    "interrupted": ("interrupted", (), (ParticipantStopped.code, (), (ANA,))),
}


@pytest.mark.parametrize("what", CANCELS)
async def test_a_cancel_of_the_proposer_ends_it_and_what_it_says_of_others_is_hearsay(what: str) -> None:
    code, accused, outcome = CANCELS[what]
    async with three() as people:
        people[BEN].human.approves = for_ever
        async with proposed(people):
            await until(lambda: people[BEN].human.asked)
            errors: list[MpcError] = []
            attempt = attempts(people, BEN)[BEN]
            attempt._heard.failure.add_done_callback(lambda done: errors.append(done.exception()))  # type: ignore[arg-type]
            people.say(ANA, BEN, SessionCancel(attempt.session_id, code, "\x07 stop", tuple(map(PeerId, accused))))
            assert how(await people[BEN].ended()) == outcome
            assert "\x07" not in why(people[BEN])
            assert blamed(errors[0]) == (outcome[1], set(outcome[2]))


@pytest.mark.parametrize("code", ["internal", NOT_NEEDED])
async def test_a_cancel_of_another_participant_ends_nothing_before_it_is_chosen(code: str) -> None:
    async with three() as people:
        gate = asyncio.Event()

        async def thinks(_: Proposed) -> bool:
            return await gate.wait()

        people[BEN].human.approves = thinks
        async with proposed(people) as running:
            await until(lambda: people[BEN].human.asked)
            session_id = proposal_of(people).session_id
            people.say(CLEO, BEN, SessionCancel(session_id, code, "stop"))
            await asyncio.sleep(0.02)
            gate.set()
            await running
            assert how(await people[BEN].ended()) == MADE
            assert people[BEN].states == ["active"]


async def test_a_cancel_of_one_that_was_asked_is_its_no() -> None:
    async with three() as people:
        people[CLEO].human.approves = for_ever
        async with proposed(people) as running:
            await until(lambda: people[ANA].of(Answered))
            people.say(BEN, ANA, SessionCancel(proposal_of(people).session_id, "internal", "\x1b[2J"))
            with pytest.raises(ParticipantRefused) as caught:
                await running
            assert blamed(caught.value) == ((), {BEN})


async def test_two_answers_of_one_name_it() -> None:
    async with three() as people:
        people[BEN].human.approves = people[CLEO].human.approves = for_ever
        async with proposed(people) as running:
            await until(lambda: people[CLEO].human.asked)
            for number in (1, 1, 2):
                people.say(BEN, ANA, yes(people, BEN, number))
            with pytest.raises(ParticipantCheated) as caught:
                await running
            assert blamed(caught.value) == ((), {BEN})
            assert {event.peer_id for event in people[ANA].of(Answered)} == {BEN}


STRANGE: list[Callable[[SessionProposal], RelayMessage]] = [
    lambda proposal: refuse(proposal, "no"),
    lambda proposal: accept(proposal, identity(ANA), nonce=bytes(16), terms=(), meshes=()),
    lambda proposal: SessionCancel(session_id=proposal.session_id, code="internal", reason="stop"),
    lambda proposal: Offer(mesh=proposal.session_id, attempt=1, sdp="memory 1 00"),
]


@pytest.mark.parametrize("message", STRANGE)
@pytest.mark.parametrize("stranger", [EVE, ANA])
async def test_a_strangers_words_have_no_effect(
    message: Callable[[SessionProposal], RelayMessage], stranger: PeerId
) -> None:
    """Ana is one to herself: only a server that lies gives her messages from her own name."""
    async with three() as people:
        gate = asyncio.Event()

        async def thinks(_: Proposed) -> bool:
            return await gate.wait()

        people[BEN].human.approves = thinks
        async with proposed(people) as running:
            await until(lambda: people[BEN].human.asked)
            for to in (ANA, BEN) if stranger == EVE else (ANA,):
                people.say(stranger, to, message(proposal_of(people)))
            await asyncio.sleep(0.02)
            gate.set()
            assert (await running).state == "active"


async def test_a_participant_with_another_key_than_the_proposals_is_not_that_participant() -> None:
    async with three() as people:
        people[BEN].human.approves = for_ever
        async with proposed(people) as running:
            await until(lambda: people[BEN].human.asked)
            people.say(BEN, ANA, yes(people, BEN), key_as=EVE)
            with pytest.raises(IdentityCheckFailed) as caught:
                await running
            assert blamed(caught.value) == ((), set())
            # The node that speaks for ben may be the server's: everybody is told, and nobody is named.
            for name in (BEN, CLEO):
                assert how(await people[name].ended()) == (IdentityCheckFailed.code, (), ())
                assert "ben speaks with another identity key" in why(people[name])


async def test_a_participant_that_was_introduced_with_another_key_is_not_that_participant() -> None:
    async with three() as people:
        people[BEN].human.approves = for_ever
        async with proposed(people) as running:
            await until(lambda: people[BEN].human.asked)
            people[ANA].agenda.introduced(BEN, key_of(BEN))
            people[ANA].agenda.introduced(EVE, key_of(CLEO))
            await asyncio.sleep(0.01)
            assert not running.done()
            people[ANA].agenda.introduced(BEN, key_of(EVE))
            with pytest.raises(IdentityCheckFailed) as caught:
                await running
            assert blamed(caught.value) == ((), set())


async def test_everything_may_come_twice_and_in_any_order() -> None:
    async with three() as people:

        def again(sender: PeerId, to: PeerId, message: RelayMessage) -> RelayMessage:
            loop = asyncio.get_running_loop()
            for delay in (0.0, 0.01, 0.05):
                loop.call_later(delay, people.say, sender, to, message)
            return message

        people.tamper = again
        async with proposed(people) as running:
            await until(lambda: all(people[name].agenda.busy for name in NAMES))
            known = attempts(people, *NAMES)
            assert (await running).state == "active"
            for to in NAMES:
                people.say(NAMES[to == ANA], to, SessionCancel(known[to].session_id, "internal", "too late"))
                known[to].handle(opened_cancel(known[to].session_id, NAMES[to == ANA]))
            await people.settled()
            assert {attempt.state.state for attempt in known.values()} == {State.DONE}
            assert all(len(people[name].of(SessionEnded)) == 1 for name in NAMES)


def opened_cancel(session_id: SessionId, sender: PeerId) -> Any:
    return Opened(sender, key_of(sender), SessionCancel(session_id, "internal", "too late"))


@pytest.mark.parametrize("kind", [Offer, Answer])
async def test_a_fingerprint_that_was_changed_on_the_way_is_found(kind: type[Offer | Answer]) -> None:
    async with three() as people:

        def swap(sender: PeerId, to: PeerId, message: RelayMessage) -> RelayMessage:
            if isinstance(message, Offer | Answer) and isinstance(message, kind) and {sender, to} == {ANA, BEN}:
                other = "0000" if message.sdp[-4:] != "0000" else "1111"
                return msgspec.structs.replace(message, sdp=message.sdp[:-4] + other)
            return message

        people.tamper = swap
        ended = await run(people)
        found = {ended[name] for name in (ANA, BEN)}
        assert found & {(IdentityCheckFailed.code, (), (BEN,)), (IdentityCheckFailed.code, (), (ANA,))}
        assert not any(seat.home.files for seat in people.seats.values())


# --- users ---


async def test_words_refused_by_one_end_it_for_all_before_any_share_leaves() -> None:
    async with three() as people:
        people[BEN].human.finds_words = False
        ended = await run(people)
        assert ended == {
            ANA: (WordsDiffer.code, (), ()),
            BEN: (WordsDiffer.code, (), ()),
            CLEO: (WordsDiffer.code, (), ()),
        }
        for name in NAMES:
            (end,) = people[name].of(SessionEnded)
            assert end.error is not None
            assert "the safety words differ" in end.error.message
            assert "somebody may stand between the participants" in f"{end.error.message} {end.error.hint}"
            assert "compared fingerprints" in (end.error.hint or "")
        exits = [people[name].of(SessionEnded)[0].error.exit_code for name in (BEN, ANA)]  # type: ignore[union-attr]
        assert exits == [4, 4]
        assert not any(seat.home.files for seat in people.seats.values())
        assert not any(heard(people[name], BEN, "share") for name in (ANA, CLEO))


async def test_words_that_nobody_compares_are_refused_after_a_while() -> None:
    async with three(timeouts=HASTY) as people:
        people[BEN].human.finds_words = for_ever
        ended = await run(people)
        assert ended[BEN] == (WordsUnanswered.code, (), ())
        assert "nobody compared the safety words in time" in why(people[BEN])
        assert ended[ANA] == ended[CLEO] == (ParticipantStopped.code, (), (BEN,))
        assert why(people[ANA]) == "ben did not compare the safety words in time"


async def test_everybody_is_shown_the_same_six_words() -> None:
    async with three() as people:
        await people.create_wallet(ANA)
        await people.settled()
        shown = {tuple(said.words for said in people[name].of(SafetyWords)) for name in NAMES}
        assert len(shown) == 1
        ((words,),) = shown
        assert len(words) == 6
        assert {people[name].of(SessionEnded)[0].words for name in NAMES} == {words}
        assert {one[1].words for name in NAMES for one in people[name].journal.told} == {words}


async def test_a_slow_user_is_waited_for_by_name() -> None:
    async with three() as people:
        confirmed = asyncio.Event()
        people[CLEO].human.finds_words = lambda _: confirmed.wait()
        async with proposed(people) as running:
            await until(
                lambda: any(e.phase == "sharing" and e.waiting_for == (CLEO,) for e in people[ANA].of(Progress))
            )
            confirmed.set()
            assert (await running).state == "active"


# --- disks ---


def states(header: dict[str, Any]) -> list[str]:
    return [epoch["state"] for epoch in header["epochs"]]


def full(state: str) -> Callable[[dict[str, Any]], None]:
    def before_save(header: dict[str, Any]) -> None:
        if states(header) == [state]:
            raise KeystoreUnwritable("no space on /home/ben/secret-place")

    return before_save


async def test_a_share_that_cannot_be_stored_ends_it_for_all_and_no_promise_is_made() -> None:
    async with three() as people:
        people[BEN].home.before_save = full("pending")
        ended = await run(people)
        assert ended == {
            ANA: (ParticipantStopped.code, (), (BEN,)),
            BEN: (KeystoreUnwritable.code, (), ()),
            CLEO: (ParticipantStopped.code, (), (BEN,)),
        }
        assert "secret-place" not in why(people[ANA])
        assert people[BEN].states == []
        assert not any("active" in people[name].states for name in NAMES)
        assert not heard(people[ANA], BEN, "ready")
        stop = next(m for sender, m in people[ANA].made[-1].heard if sender == BEN and isinstance(m, Abort))
        assert stop.code == "cannot_store"


@pytest.mark.parametrize("slow", [ANA, BEN])
async def test_a_certificate_that_one_cannot_store_stops_nobody_else(slow: PeerId) -> None:
    """Everybody has everybody's promise: a node that cannot write it down now asks for it later.

    Ben says that he stops while ana still writes, or while ana and cleo wait for his last words.
    """
    async with three() as people:
        gate = threading.Event()

        def disk(name: PeerId) -> Callable[[dict[str, Any]], None]:
            def before_save(header: dict[str, Any]) -> None:
                if states(header) == ["active"] and name == slow:
                    gate.wait(0.3)
                if states(header) == ["active"] and name == BEN:
                    raise KeystoreUnwritable("no space left")

            return before_save

        for name in (ANA, BEN):
            people[name].home.before_save = disk(name)
        began = asyncio.get_running_loop().time()
        ended = await run(people)
        assert ended == {ANA: MADE, BEN: (KeystoreUnwritable.code, (), ()), CLEO: MADE}
        error = people[BEN].of(SessionEnded)[0].error
        assert error is not None
        assert "pending" in (error.saved or "")
        assert [people[name].states for name in NAMES] == [["active"], ["pending"], ["active"]]
        # Nobody waits for the last words of somebody who said that it stops.
        assert asyncio.get_running_loop().time() - began < PATIENT.leave
        # And when they meet again, it is active there as well.
        people[BEN].home.before_save = lambda _header: None
        await people.meet()
        assert people[BEN].states == ["active"]


async def test_a_link_lost_while_the_certificate_is_written_undoes_nothing() -> None:
    async with three(total=2) as people:
        reached = threading.Event()

        def slow_disk(header: dict[str, Any]) -> None:
            if states(header) == ["active"]:
                reached.wait(5)

        people[ANA].home.before_save = slow_disk
        async with proposed(people) as running:
            await until(lambda: people[BEN].states == ["active"])
            people[ANA].made[-1]._mesh.failed(ParticipantSilent("ben said nothing", suspects=[BEN]))
            await asyncio.sleep(0.02)
            reached.set()
            assert (await running).state == "active"
            assert people[ANA].states == ["active"]


async def test_last_words_about_another_wallet_undo_nothing() -> None:
    async with three() as people:
        people[CLEO].rules.append(on("wallet_created")(with_fields(data=bytes(16))))
        assert await run(people) == dict.fromkeys(NAMES, MADE)
        assert {tuple(people[name].states) for name in NAMES} == {("active",)}


@pytest.mark.parametrize("warm", [0.0, 60.0])
async def test_nobody_leaves_before_its_last_words_were_heard(warm: float) -> None:
    async with three(warm=warm) as people:
        people.network.delay = 0.02  # a node that leaves takes with it the acknowledgements that are under way
        began = asyncio.get_running_loop().time()
        assert await run(people) == dict.fromkeys(NAMES, MADE)
        assert asyncio.get_running_loop().time() - began < PATIENT.leave
        for name in NAMES:
            assert all(heard(people[name], other, "wallet_created") for other in NAMES if other != name)
            assert [event.wallet.state for event in people[name].of(WalletChanged)] == ["pending", "active"]


# --- Ctrl-C ---


def phase_reached(seat: Seat, phase: str) -> bool:
    return any(event.phase == phase for event in seat.of(Progress))


def task_of(people: Table, name: PeerId) -> "asyncio.Task[None]":
    """The task in which a node takes part in what ana proposed."""
    return next(task for task in people._answering if task.get_name() == f"{name} answers")


async def cancel_at(people: Table, name: PeerId, phase: str, *, times: int = 1) -> None:
    """Run everybody and press Ctrl-C at ``name`` when it gets to ``phase``."""
    async with proposed(people) as running:
        async with asyncio.timeout(20):
            while not phase_reached(people[name], phase):
                await asyncio.sleep(0)
        task = task_of(people, name)
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0)
        with contextlib.suppress(MpcError):
            await running
        await people.settled()


PHASES = ["negotiating", "connecting", "committing", "revealing", "confirming", "sharing", "storing"]


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("times", [1, 2, 5])
async def test_ctrl_c_in_the_middle_is_told_and_leaves_nothing_behind(phase: str, times: int) -> None:
    async with three() as people:
        if phase == "negotiating":
            people[CLEO].human.approves = for_ever
        if phase == "confirming":
            people[BEN].human.finds_words = for_ever
        await cancel_at(people, BEN, phase, times=times)
        assert how(await people[BEN].ended()) == (Interrupted.code, (), ())
        for name in (ANA, CLEO):
            code, culprits, suspects = how(await people[name].ended())
            # Ben says so himself, or ana says it of him.
            assert culprits == ()
            assert {BEN} <= {*suspects} <= {BEN, *({ANA, CLEO} - {name})}
            # Before anybody is chosen, a node that leaves says no.
            assert code == (ParticipantRefused.code if phase == "negotiating" else ParticipantStopped.code)
        assert not any("active" in people[name].states for name in NAMES)


async def test_ctrl_c_while_the_last_words_are_said_undoes_nothing() -> None:
    async with three() as people:

        def slow_disk(header: dict[str, Any]) -> None:
            if states(header) == ["active"]:
                time.sleep(0.3)  # so that ben waits for cleo's last words

        people[CLEO].home.before_save = slow_disk
        await cancel_at(people, BEN, "leaving")
        assert how(await people[BEN].ended()) == (Interrupted.code, (), ())
        assert {tuple(people[name].states) for name in NAMES} == {("active",)}
        assert [how(await people[name].ended()) for name in (ANA, CLEO)] == [MADE, MADE]


async def test_ctrl_c_while_the_links_are_closed_undoes_nothing() -> None:
    async with three(total=2, warm=0.0) as people, proposed(people) as running:
        await until(lambda: people[ANA].made)
        attempt = attempts(people, ANA)[ANA]
        mesh = people[ANA].made[-1]
        close, closing, go_on = mesh._mesh.close, asyncio.Event(), asyncio.Event()

        async def slowly() -> None:
            closing.set()
            try:
                await go_on.wait()
            finally:
                await close()

        mesh._mesh.close = slowly  # type: ignore[method-assign]
        async with asyncio.timeout(DEADLINE):
            await closing.wait()
            running.cancel()
            await asyncio.sleep(0)
            go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await running
        await people.settled()
        assert people[ANA].states == ["active"]
        assert attempt.state.state is State.DONE
        assert not people.network.links


async def test_ctrl_c_while_the_user_is_asked_is_a_no() -> None:
    async with three() as people:
        people[BEN].human.approves = for_ever
        async with proposed(people) as running:
            await until(lambda: people[BEN].human.asked)
            task_of(people, BEN).cancel()
            with pytest.raises(ParticipantRefused) as caught:
                await running
            assert blamed(caught.value) == ((), {BEN})
            assert how(await people[CLEO].ended()) == (ParticipantRefused.code, (), (ANA, BEN))


async def test_a_thread_that_writes_a_share_is_waited_for_however_often_ctrl_c_is_pressed() -> None:
    async with three(total=2) as people:
        writing, go_on = threading.Event(), threading.Event()

        def slow_disk(header: dict[str, Any]) -> None:
            if states(header) == ["pending"]:
                writing.set()
                go_on.wait(5)

        people[BEN].home.before_save = slow_disk
        async with proposed(people) as running:
            await until(writing.is_set)
            task = task_of(people, BEN)
            for _ in range(4):
                task.cancel()
                await asyncio.sleep(0.01)
                assert not task.done()
            go_on.set()
            with pytest.raises(ParticipantStopped) as caught:
                await running
            assert blamed(caught.value) == ((), {BEN})
            assert how(await people[BEN].ended()) == (Interrupted.code, (), ())
            assert people[BEN].states == ["pending"]


@pytest.mark.parametrize("known", [True, False])
async def test_a_proposer_that_signs_two_choices_is_convicted_by_them_where_its_key_is_known(*, known: bool) -> None:
    async with three() as people:
        if known:
            people.know_each_other("introduced")

        def twice(_sender: PeerId, to: PeerId, said: Any) -> Any:
            if isinstance(said, SessionStart) and to == CLEO:
                mesh = SessionId(bytes(16))
                fields = agreement.start_fields(said.proposal, mesh, said.chosen)
                other = msgspec.structs.replace(said, mesh=mesh, signature=identity(ANA).sign(tags.START, *fields))
                people.say(ANA, CLEO, other)
            return said

        people.tamper = twice
        async with proposed(people):
            named = ((ANA,), ()) if known else ((), (ANA,))
            assert how(await people[CLEO].ended()) == (ParticipantCheated.code, *named)


async def test_a_choice_that_comes_twice_and_one_that_the_proposer_did_not_sign_convict_nobody() -> None:
    async with three() as people:

        def more(_sender: PeerId, to: PeerId, said: Any) -> Any:
            if isinstance(said, SessionStart) and to == CLEO:
                people.say(ANA, CLEO, said)
                asyncio.get_running_loop().call_soon(
                    people.say, ANA, CLEO, msgspec.structs.replace(said, mesh=SessionId(bytes(16)))
                )
            return said

        people.tamper = more
        async with proposed(people) as running:
            assert (await running).state == "active"
