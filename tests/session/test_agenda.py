"""What others can make a node's sessions do for nothing: fill its log, hold its places, use its ids again."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mpcnode.commands import CreateWallet
from mpcnode.consent.approval import Options
from mpcnode.consent.journal import MAX_FRUITLESS_EACH, MAX_REFUSALS, MAX_REFUSALS_EACH, Journal
from mpcnode.consent.limits import MAX_KNOWN, MAX_STRANGERS
from mpcnode.consent.policy import WalletPolicy
from mpcnode.errors import IdentityCheckFailed, KeystoreUnwritable, MpcError, UsageError
from mpcnode.keystore.audit import AuditLog, read_log
from mpcnode.keystore.audit_chain import Entry
from mpcnode.peers.budget import LINES
from mpcnode.session import quorum
from mpcnode.session.agenda import BEGUN, REFUSALS
from mpcnode.session.kinds.sign import SignTerms
from mpcnode.session.proposal import numbered, propose
from mpcnode.status import Proposed, SessionEnded, Warned
from mpcnode.types import EpochId, PeerId
from mpcnode.wire.agreement import session_id_of
from mpcnode.wire.peer import Idle, PeerMessage
from mpcnode.wire.relay import Participant, SessionCancel, SessionProposal, SessionResponse
from tests.helpers.cheat import Rule, Said
from tests.helpers.identities import key_of
from tests.helpers.table import DEADLINE, ED25519, NAMES, PATIENT, WALLET_ID, Seat, Table, asked, hello, table

pytestmark = pytest.mark.virtual_time

ANA, BEN, CLEO, DORA = NAMES[:4]
MALLORY = PeerId("mallory")
DAY = 86_000_000


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quorum, "BACK_OFF", 0.01)


class Logged:
    """One seat's sessions go to a real audit log from now on."""

    def __init__(self, seat: Seat, home: Path, now: Callable[[], int]) -> None:
        self.home = home
        self.warnings: list[str] = []
        self.journal = Journal(home, now=now, clock=time.monotonic, warn=self.warnings.append)
        write_to(seat, self.journal)

    def entries(self) -> list[Entry]:
        lines: list[Any] = []
        assert read_log(self.home, on_line=lines.append).problem is None
        return [line.entry for line in lines]


def write_to(seat: Seat, journal: Journal) -> None:
    object.__setattr__(seat.services, "journal", journal)


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[Callable[[Table, PeerId], Logged]]:
    made: list[Logged] = []

    def log(seats: Table, name: PeerId) -> Logged:
        home = tmp_path / name
        home.mkdir()
        made.append(Logged(seats[name], home, seats.now))
        return made[-1]

    yield log
    for one in made:
        one.journal.__exit__(None, None, None)


def to_sign(people: Table, proposer: PeerId, **changes: Any) -> SessionProposal:
    """What ``proposer`` would have everybody sign; it may say for a day who signs."""
    wallet = people[proposer].wallet
    epoch = wallet.require_active()
    terms = SignTerms(wallet_id=WALLET_ID, epoch_id=epoch.epoch_id, reading="text", merkle_root=b"", contents=(b"x",))
    proposal = propose(
        people[proposer].services,
        kind="sign",
        roster=wallet.roster,
        threshold=wallet.threshold,
        suites=[ED25519],
        wallet_name=wallet.name,
        answer_within=DAY,
        terms=replace(terms, **changes.pop("terms", {})).encode(),
    )
    return msgspec.structs.replace(proposal, **changes)


def to_make(people: Table, proposer: str, me: PeerId, number: int) -> SessionProposal:
    """A wallet that ``proposer``, of whom nobody knows anything, would make."""
    salt = number.to_bytes(16, "big")
    members = numbered({PeerId(proposer): key_of(proposer), me: key_of(me)})
    return SessionProposal(
        session_id=session_id_of(key_of(proposer), salt),
        salt=salt,
        kind="keygen",
        wallet_name=f"wallet{number}",
        threshold=2,
        suites=(ED25519,),
        participants=tuple(Participant(one.identifier, one.peer_id, one.identity_key) for one in members),
        expires=people.now() + DAY,
        answer_within=DAY,
    )


async def running(seat: Seat, count: int) -> None:
    """Wait until so many sessions are under way."""
    async with asyncio.timeout(DEADLINE):
        while len(seat.agenda._running) != count:
            await asyncio.sleep(0.01)


def responses(people: Table, sender: PeerId, to: str) -> list[SessionResponse]:
    return people.of(SessionResponse, sender, PeerId(to))


async def for_ever() -> bool:
    """Answer nothing."""
    return await asyncio.Event().wait()


# --- the log ---


async def test_proposals_with_a_wrong_key_fill_no_log(logged: Callable[[Table, PeerId], Logged]) -> None:
    async with table(2, 3) as people:
        log = logged(people, BEN)
        ana, ben, cleo = to_sign(people, CLEO).participants
        swapped = (
            msgspec.structs.replace(ana, public_key=ben.public_key),
            msgspec.structs.replace(ben, public_key=ana.public_key),
            cleo,
        )
        for _ in range(MAX_REFUSALS_EACH * 2):
            people.say(CLEO, BEN, to_sign(people, CLEO, participants=swapped))
        await people.settled()
        assert [one.outcome for one in log.entries()] == ["failed"] * MAX_REFUSALS_EACH
        for number in range(1000, 1000 + MAX_REFUSALS):
            people.say(
                PeerId(f"eve{number}"), BEN, to_make(people, f"eve{number}", ANA, number)
            )  # ben is not even in them
        await people.settled()
        assert len(log.entries()) == MAX_REFUSALS
        people[BEN].asks(says=False)
        people.say(ANA, BEN, to_sign(people, ANA))
        await people.settled()
        assert (log.entries()[-1].proposer, log.entries()[-1].outcome) == (ANA, "refused")


async def test_what_this_node_s_user_refuses_is_written_whatever_strangers_did(
    logged: Callable[[Table, PeerId], Logged],
) -> None:
    async with table(2, 2) as people:
        log = logged(people, BEN)
        people[BEN].agenda.options = Options(accept="none")
        for number in range(MAX_REFUSALS + 5):
            people.say(PeerId(f"eve{number}"), BEN, to_make(people, f"eve{number}", BEN, number))
            await people.settled()
        assert len(log.entries()) == MAX_REFUSALS  # an option that says no is no human
        people[BEN].asks(says=False)
        people[BEN].agenda._places._may_begin = lambda: True  # later, when strangers may begin sessions again
        people.say(MALLORY, BEN, to_make(people, MALLORY, BEN, 9999))
        await people.settled()
        assert log.entries()[MAX_REFUSALS:][0].proposer == MALLORY


@pytest.mark.parametrize("code", ["not_needed", "interrupted"])
async def test_one_that_proposes_and_dismisses_without_end_fills_no_log(
    logged: Callable[[Table, PeerId], Logged], code: str
) -> None:
    async with table(2, 3) as people:
        log = logged(people, BEN)
        for _ in range(MAX_FRUITLESS_EACH + 10):
            before, proposal = len(responses(people, BEN, ANA)), to_sign(people, ANA)
            people.say(ANA, BEN, proposal)
            async with asyncio.timeout(DEADLINE):
                while len(responses(people, BEN, ANA)) == before:
                    await asyncio.sleep(0)
            people.say(ANA, BEN, SessionCancel(proposal.session_id, code, "others sign"))
            await people.settled()
        outcome = "unneeded" if code == "not_needed" else "failed"
        assert [one.outcome for one in log.entries()] == [outcome] * MAX_FRUITLESS_EACH
        await people.sign(ANA, hello(BEN))
        await people.settled()
        assert [one.outcome for one in log.entries()[MAX_FRUITLESS_EACH:]] == ["accepted", "done"]


@pytest.mark.parametrize("watched", [ANA, BEN])
async def test_before_anything_made_with_a_share_leaves_a_line_says_that_it_was_accepted(
    logged: Callable[[Table, PeerId], Logged], watched: PeerId
) -> None:
    async with table(2, 3) as people:
        log = logged(people, watched)
        seen: list[list[str]] = []

        def look(_to: PeerId, message: PeerMessage) -> Iterable[Said]:
            seen.append([one.outcome for one in log.entries()])
            return [message]

        people[watched].rules.append(Rule(("nonces", "signature_share"), look))
        await people.sign(ANA, hello(BEN))
        await people.settled()
        assert seen == [["accepted"]] * 2
        accepted, done = log.entries()
        assert accepted.messages == done.messages
        assert (accepted.approved_by, done.outcome) == ("user" if watched == ANA else "policy", "done")


async def test_one_that_is_not_chosen_writes_no_acceptance(logged: Callable[[Table, PeerId], Logged]) -> None:
    async with table(2, 3) as people:
        logs = {name: logged(people, name) for name in (BEN, CLEO)}
        view = await people.sign(ANA)
        for name in (BEN, CLEO):
            await people[name].ended()
        await people.settled()
        outcomes = {name: [one.outcome for one in log.entries()] for name, log in logs.items()}
        signer, other = (BEN, CLEO) if BEN in view.signers else (CLEO, BEN)
        assert outcomes == {signer: ["accepted", "done"], other: ["unneeded"]}


async def test_a_share_whose_use_cannot_be_written_down_is_not_used(
    logged: Callable[[Table, PeerId], Logged], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with table(2, 2) as people:
        log = logged(people, BEN)
        append = AuditLog.append

        def refuse(audit: AuditLog, one: Entry) -> None:
            if one.outcome == "accepted":
                raise KeystoreUnwritable("no space left")
            append(audit, one)

        monkeypatch.setattr(AuditLog, "append", refuse)
        sent: list[PeerMessage] = []

        def look(_to: PeerId, message: PeerMessage) -> Iterable[Said]:
            sent.append(message)
            return [message]

        people[BEN].rules.append(Rule(("nonces", "signature_share"), look))
        with pytest.raises(MpcError):
            await people.sign(ANA)
        assert (await people[BEN].failure()).code == "unwritable"
        assert not sent
        monkeypatch.undo()
        assert await log.journal.is_ready()


async def test_a_node_that_is_killed_after_it_accepted_counts_that_when_it_is_back(
    logged: Callable[[Table, PeerId], Logged], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with table(2, 2) as people:
        log = logged(people, BEN)
        with monkeypatch.context() as killed:
            killed.setattr(log.journal, "record", _nothing)  # dead by then
            await people.sign(ANA)
            await people[BEN].ended()
        log.journal.__exit__(None, None, None)
        with Journal(log.home, now=people.now, clock=time.monotonic, warn=log.warnings.append) as again:
            write_to(people[BEN], again)
            people[BEN].policy = WalletPolicy(rate_per_hour=1, ask="never")
            with pytest.raises(MpcError, match="1 messages an hour"):
                await people.sign(ANA)


# --- what is told of refusals ---


async def test_a_stranger_that_proposes_without_end_fills_neither_the_screen_nor_the_way_to_the_server() -> None:
    async with table(2, 2) as people:
        people[BEN].agenda.options = Options(accept="none")
        crooked = {"kind": "reshare"}
        for number in range(200):
            proposal = msgspec.structs.replace(to_make(people, MALLORY, BEN, number), **crooked)
            people.say(MALLORY, BEN, proposal)
            await people.settled()
        assert len(responses(people, BEN, MALLORY)) <= REFUSALS[0] + 5
        assert len(people[BEN].events) <= LINES[0] + 1
        # A contact has lines and answers of its own.
        people.say(ANA, BEN, to_sign(people, ANA, **crooked))
        await people.settled()
        assert len(responses(people, BEN, ANA)) == 1
        assert people[BEN].of(SessionEnded)[-1].proposer == ANA
        count = len(people[BEN].events)
        people[BEN].agenda._complaints._lines._clock = lambda: 1e9
        people[BEN].agenda._complaints.say_left_out()
        (said,) = people[BEN].events[count:]
        assert isinstance(said, Warned)
        assert "more lines about peers that are not contacts are not shown" in said.message


async def test_strangers_that_propose_and_dismiss_without_end_begin_few_sessions() -> None:
    async with table(2, 2) as people:
        for number in range(BEGUN[0] * 2):
            proposal = to_make(people, f"eve{number}", BEN, number)
            people.say(PeerId(f"eve{number}"), BEN, proposal)
            await asyncio.sleep(0.002)
            people.say(PeerId(f"eve{number}"), BEN, SessionCancel(proposal.session_id, "interrupted", "never mind"))
            await people.settled()
        assert BEGUN[0] <= len(people[BEN].of(Proposed)) <= BEGUN[0] + 8
        said = {answer.reason for answer in people.of(SessionResponse, BEN) if not answer.accepted}
        assert said == {"this node began too many sessions of strangers just now"}


# --- places ---


async def test_one_that_proposes_and_says_no_more_keeps_only_its_own_places_and_the_others_sign() -> None:
    async with table(3, 4) as people:
        for _ in range(MAX_KNOWN + 6):
            for to in (BEN, CLEO):
                people.say(DORA, to, to_sign(people, DORA))
        for seat in (people[BEN], people[CLEO]):
            await running(seat, MAX_KNOWN)
        assert (await people.sign(ANA, hello(BEN, CLEO))).signers == (ANA, BEN, CLEO)
        refused = [answer.reason for answer in responses(people, BEN, DORA) if not answer.accepted]
        assert refused == ["8 sessions that dora proposed are under way at this node already"] * 6


async def test_strangers_that_wait_for_a_human_keep_nobody_from_signing() -> None:
    async with table(2, 2) as people:
        people[BEN].asks(says=lambda proposal: for_ever() if proposal.sign is None else _yes())
        for number in range(20):
            people.say(PeerId(f"eve{number}"), BEN, to_make(people, f"eve{number}", BEN, number))
        await running(people[BEN], MAX_STRANGERS)
        assert len(asked(people[BEN])) == MAX_STRANGERS
        assert (await people.sign(ANA)).signers == (ANA, BEN)
        await running(people[BEN], MAX_STRANGERS)


async def test_a_place_is_free_again_when_its_session_is_over() -> None:
    async with table(2, 2) as people:
        for _ in range(MAX_KNOWN * 2 + 1):
            await people.sign(ANA)
            await people.settled()


async def test_a_name_is_not_kept_by_one_that_waits_for_a_human() -> None:
    async with table(2, 2) as people:
        gate: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        people[BEN].asks(says=lambda _proposal: gate)
        people.say(MALLORY, BEN, to_make(people, MALLORY, BEN, 7))
        await running(people[BEN], 1)
        people.deaf.add(ANA)
        mine = CreateWallet(threshold=2, total=2, name="wallet7", with_peers=(ANA,), suites=(ED25519,))
        making = asyncio.create_task(people[BEN].sessions.create_wallet(mine))
        await running(people[BEN], 2)
        with pytest.raises(UsageError, match="makes a wallet named wallet7 already"):
            await people[BEN].sessions.create_wallet(mine)
        gate.set_result(True)
        error = await people[BEN].failure()
        assert (error.code, error.message) == (
            "refused",
            "another session at this node makes a wallet named wallet7 already",
        )
        making.cancel()
        await asyncio.gather(making, return_exceptions=True)
        assert not people[BEN].services.claims.held("a wallet named wallet7")


# --- ids ---


async def test_the_id_of_an_open_mesh_is_not_proposed_again() -> None:
    """The session it was opened for may be forgotten while it is still open; two meshes of one id end each other."""
    async with table(2, 2) as people:
        await people.sign(ANA)
        await people[BEN].ended()
        await people.settled()
        (proposal,) = people.of(SessionProposal, ANA, BEN)
        people[BEN].agenda._over._ran.clear()
        again = msgspec.structs.replace(proposal, expires=people.now() + 100_000)
        people.say(ANA, BEN, again)
        error = (await people[BEN].ended(2)).error
        assert error is not None
        assert (error.code, error.message) == ("refused", "the session id is that of an open mesh")
        await people.sign(ANA)


async def test_proposals_that_are_refused_make_nothing_forgotten_that_ran() -> None:
    async with table(2, 2) as people:
        await people.sign(ANA)
        await people[BEN].ended()
        (proposal,) = people.of(SessionProposal, ANA, BEN)
        for _ in range(1100):
            people.say(ANA, BEN, to_sign(people, ANA, terms={"epoch_id": EpochId(bytes(32))}))
        await people.settled()
        count = len(people[BEN].of(SessionEnded))
        people[ANA].made[0].send(BEN, Idle(mesh=proposal.session_id))
        people.say(ANA, BEN, msgspec.structs.replace(proposal, expires=people.now() + 100_000))
        await people.settled()
        assert len(people[BEN].of(SessionEnded)) == count


async def _nothing(*_: object) -> None:
    pass


async def _yes() -> bool:
    return True


# --- what belongs to which session ---


async def test_a_kind_of_session_that_is_unknown_here_is_refused() -> None:
    async with table(2, 2) as people:
        people[BEN].asks()
        people.say(ANA, BEN, to_sign(people, ANA, kind="reshare"))
        await people.settled()
        (refusal,) = responses(people, BEN, ANA)
        assert (refusal.accepted, refusal.reason) == (False, "sessions of kind reshare are not supported")
        assert not asked(people[BEN])


async def test_a_session_under_an_id_that_is_not_its_proposer_s_is_neither_answered_nor_remembered() -> None:
    async with table(2, 2) as people:
        proposal = to_sign(people, ANA)
        people.say(ANA, BEN, msgspec.structs.replace(proposal, salt=bytes(16)))
        await people.settled()
        assert not responses(people, BEN, ANA)
        assert not people[BEN].events
        people.say(ANA, BEN, proposal)
        await running(people[BEN], 1)


async def test_what_came_before_its_proposal_is_handed_on_when_that_is_there() -> None:
    async with table(2, 2) as people:
        proposal = to_sign(people, ANA)
        people.say(ANA, BEN, SessionCancel(proposal.session_id, "interrupted", "never mind"))
        await people.settled()
        assert not people[BEN].events
        people.say(ANA, BEN, proposal)
        assert await people[BEN].error() == ("participant_stopped", (), (ANA,))


async def test_what_comes_for_a_session_that_is_over_waits_for_nothing() -> None:
    async with table(2, 2) as people:
        proposal = to_sign(people, ANA, kind="reshare")
        people.say(ANA, BEN, proposal)
        await people.settled()
        people.say(ANA, BEN, SessionCancel(proposal.session_id, "interrupted", "never mind"))
        await people.settled()
        assert not people[BEN].agenda._early.take(proposal.session_id)


async def test_the_same_proposal_twice_is_one_session() -> None:
    async with table(2, 2) as people:
        proposal = to_sign(people, ANA)
        for _ in range(3):
            people.say(ANA, BEN, proposal)
        await running(people[BEN], 1)
        people.say(ANA, BEN, SessionCancel(proposal.session_id, "not_needed", "others sign"))
        await people.settled()
        assert len(people[BEN].of(Proposed)) == len(people[BEN].of(SessionEnded)) == 1


async def test_a_log_that_takes_no_line_has_proposals_refused_and_none_begun() -> None:
    async with table(2, 2) as people:
        people[BEN].asks()
        people[BEN].journal.refuses = KeystoreUnwritable("no space left")
        people.say(ANA, BEN, to_sign(people, ANA))
        await people.settled()
        (refusal,) = responses(people, BEN, ANA)
        assert (refusal.accepted, refusal.reason) == (False, "this node cannot write its audit log")
        assert not asked(people[BEN])


async def test_something_odd_in_the_name_of_a_participant_ends_no_session_that_is_under_way() -> None:
    """The server can make it: a session that another node proposed goes on, and so does one that has begun."""
    async with table(2, 3) as people:
        gate = asyncio.Event()

        async def thinks(_proposal: Proposed) -> bool:
            return await gate.wait()

        people[BEN].asks(says=thinks)
        for proposer in (ANA, CLEO):
            people.say(proposer, BEN, to_sign(people, proposer))
        await running(people[BEN], 2)
        for name in NAMES[:3]:
            people[BEN].agenda.doubted(name, MpcError(f"the seal of {name} does not open"))
        await asyncio.sleep(0.05)
        await running(people[BEN], 2)
        assert not people[BEN].of(SessionEnded)


async def test_what_is_odd_explains_why_a_participant_did_not_answer() -> None:
    async with table(2, 2, timeouts=replace(PATIENT, negotiate=1)) as people:
        people[BEN].asks(says=lambda _proposal: for_ever())
        odd = IdentityCheckFailed("the seal of ben does not open")
        signing = asyncio.create_task(people.sign(ANA))
        await running(people[ANA], 1)
        (attempt,) = people[ANA].agenda._running.values()
        people[ANA].agenda.doubted(BEN, odd)
        assert attempt.answers.gone == {BEN: odd}
        # It is asked once more, does not answer in time, and what was odd says more than its silence.
        with pytest.raises(IdentityCheckFailed) as caught:
            await signing
        assert caught.value.culprits == ()


async def test_an_answer_undoes_what_was_odd_in_the_name_of_its_sender() -> None:
    async with table(2, 3) as people:
        gate = asyncio.Event()

        async def thinks(_proposal: Proposed) -> bool:
            return await gate.wait()

        people[BEN].asks(says=thinks)
        people[CLEO].asks(says=lambda _proposal: for_ever())
        signing = asyncio.create_task(people.sign(ANA))
        await running(people[ANA], 1)
        (attempt,) = people[ANA].agenda._running.values()
        people[ANA].agenda.doubted(BEN, IdentityCheckFailed("the seal of ben does not open"))
        assert BEN in attempt.answers.gone
        gate.set()
        assert (await signing).signers == (ANA, BEN)
        assert not attempt.answers.gone
