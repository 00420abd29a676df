"""What others can make a node's sessions do for nothing: fill its log, hold its places, use its ids again."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mpcnode.errors import KeystoreUnwritable, MpcError, UsageError
from mpcnode.keystore.audit import AuditLog, read_log
from mpcnode.keystore.audit_chain import Entry
from mpcnode.session import quorum
from mpcnode.session.consent import Policy
from mpcnode.session.journal import MAX_FRUITLESS_EACH, MAX_REFUSALS, MAX_REFUSALS_EACH, Journal
from mpcnode.session.places import MAX_KNOWN, MAX_STRANGERS
from mpcnode.session.policy import WalletPolicy
from mpcnode.session.proposal import propose_keygen, propose_signing
from mpcnode.status import SessionEnded
from mpcnode.types import PeerId, SessionId
from mpcnode.wire import relay as wire
from mpcnode.wire.peer import Abort, PeerMessage, SignatureShare, SigningCommitments
from tests.helpers.cheat import Rule, Said
from tests.helpers.quorums import ED25519, NAMES, WALLET_ID, Seat, Table, asked, hello, table
from tests.helpers.relays import key_of
from tests.helpers.sessions import DEADLINE, HASTY, for_ever

ANA, BEN, CLEO, DORA = NAMES[:4]
MALLORY = PeerId("mallory")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quorum, "BACK_OFF", 0.01)


class Logged:
    """One seat's sessions go to a real audit log from now on."""

    def __init__(self, seat: Seat, home: Path, now: Callable[[], float]) -> None:
        self.home = home
        self.warnings: list[str] = []
        self.journal = Journal(home, now=now, warn=self.warnings.append)
        seat.sessions._journal = self.journal

    def entries(self) -> list[Entry]:
        lines: list[Any] = []
        assert read_log(self.home, on_line=lines.append).problem is None
        return [line.entry for line in lines]


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


def to_sign(made: Table, proposer: PeerId, number: int, **changes: Any) -> wire.SessionProposal:
    """What ``proposer`` would have everybody sign; it may say for a day who signs."""
    proposal = propose_signing(
        salt=number.to_bytes(16, "big"),
        wallet=made[proposer].wallet,
        asked=made.present(),
        suite=ED25519,
        request=wire.SignRequest(WALLET_ID, 0, "text", (b"x".hex(),)),
        now=made.now(),
        answer_within=86_000,
    )
    return msgspec.structs.replace(proposal, **changes)


def to_make(made: Table, proposer: str, me: PeerId, number: int) -> wire.SessionProposal:
    """A wallet that ``proposer``, of whom nobody knows anything, would make."""
    return propose_keygen(
        proposer=PeerId(proposer),
        salt=number.to_bytes(16, "big"),
        roster={PeerId(proposer): key_of(proposer), me: key_of(me)},
        threshold=2,
        suites=[ED25519],
        wallet_name=f"wallet{number}",
        now=made.now(),
        answer_within=86_000,
    )


async def answered(made: Table) -> None:
    """Wait until no proposal is being answered."""
    await asyncio.sleep(0)  # what was said is heard
    async with asyncio.timeout(DEADLINE):
        while made._answering:
            await asyncio.sleep(0.01)


async def running(seat: Seat, count: int) -> None:
    """Wait until so many sessions are under way."""
    async with asyncio.timeout(DEADLINE):
        while len(seat.sessions._running) != count:
            await asyncio.sleep(0.01)


def responses(made: Table, sender: PeerId, to: str) -> list[wire.SessionResponse]:
    return made.of(wire.SessionResponse, sender, PeerId(to))


# --- the log ---


async def test_proposals_with_a_wrong_key_fill_no_log(logged: Callable[[Table, PeerId], Logged]) -> None:
    async with table(2, 3, timeouts=HASTY) as made:
        log = logged(made, BEN)
        keys = to_sign(made, CLEO, 0).public_keys
        for number in range(MAX_REFUSALS_EACH * 2):
            made.say(CLEO, BEN, to_sign(made, CLEO, number, public_keys=(keys[1], keys[0], keys[2])))
        await answered(made)
        assert [one.outcome for one in log.entries()] == ["failed"] * MAX_REFUSALS_EACH
        for number in range(1000, 1000 + MAX_REFUSALS):
            made.say(PeerId(f"eve{number}"), BEN, to_make(made, f"eve{number}", ANA, number))  # ben is not even in them
        await answered(made)
        assert len(log.entries()) == MAX_REFUSALS
        made[BEN].asks(says=False)
        made.say(ANA, BEN, to_sign(made, ANA, 5000))
        await answered(made)
        assert (log.entries()[-1].proposer, log.entries()[-1].outcome) == (ANA, "refused")


async def test_what_this_node_s_user_refuses_is_written_whatever_strangers_did(
    logged: Callable[[Table, PeerId], Logged],
) -> None:
    async with table(2, 2, timeouts=HASTY) as made:
        log = logged(made, BEN)
        made[BEN].sessions._policy = Policy(accept="none")
        for number in range(MAX_REFUSALS + 5):
            made.say(PeerId(f"eve{number}"), BEN, to_make(made, f"eve{number}", BEN, number))
            await answered(made)
        assert len(log.entries()) == MAX_REFUSALS  # an option that says no is no human
        made[BEN].asks(says=False)
        made.say(MALLORY, BEN, to_make(made, MALLORY, BEN, 9999))
        await answered(made)
        assert log.entries()[MAX_REFUSALS:][0].proposer == MALLORY


@pytest.mark.parametrize("code", ["not_needed", "interrupted"])
async def test_who_proposes_and_dismisses_without_end_fills_no_log(
    logged: Callable[[Table, PeerId], Logged], code: str
) -> None:
    async with table(2, 3, timeouts=HASTY) as made:
        log = logged(made, BEN)
        for number in range(MAX_FRUITLESS_EACH + 10):
            before, proposal = len(responses(made, BEN, ANA)), to_sign(made, ANA, number)
            made.say(ANA, BEN, proposal)
            async with asyncio.timeout(DEADLINE):
                while len(responses(made, BEN, ANA)) == before:
                    await asyncio.sleep(0)
            made.say(ANA, BEN, wire.SessionCancel(proposal.session_id, code, "others sign"))
            await answered(made)
        outcome = "unneeded" if code == "not_needed" else "failed"
        assert [one.outcome for one in log.entries()] == [outcome] * MAX_FRUITLESS_EACH
        await made.sign(ANA, hello(BEN))
        await answered(made)
        assert [one.outcome for one in log.entries()[MAX_FRUITLESS_EACH:]] == ["accepted", "done"]


@pytest.mark.parametrize("watched", [ANA, BEN])
async def test_before_anything_made_with_a_share_leaves_a_line_says_that_it_was_accepted(
    logged: Callable[[Table, PeerId], Logged], watched: PeerId
) -> None:
    async with table(2, 3) as made:
        log = logged(made, watched)
        seen: list[list[str]] = []

        def look(_to: PeerId, message: PeerMessage) -> Iterable[Said]:
            seen.append([one.outcome for one in log.entries()])
            return [message]

        made[watched].rules.append(Rule((SigningCommitments, SignatureShare), look))
        await made.sign(ANA, hello(BEN))
        await answered(made)
        assert seen == [["accepted"]] * 2
        accepted, done = log.entries()
        assert accepted.messages == done.messages
        assert (accepted.approved_by, done.outcome) == ("user" if watched == ANA else "policy", "done")


async def test_who_is_not_chosen_writes_no_acceptance(logged: Callable[[Table, PeerId], Logged]) -> None:
    async with table(2, 3) as made:
        logs = {name: logged(made, name) for name in (BEN, CLEO)}
        view = await made.sign(ANA)
        for name in (BEN, CLEO):
            await made[name].ended()
        await answered(made)
        outcomes = {name: [one.outcome for one in log.entries()] for name, log in logs.items()}
        signer, other = (BEN, CLEO) if BEN in view.signers else (CLEO, BEN)
        assert outcomes == {signer: ["accepted", "done"], other: ["unneeded"]}


async def test_a_share_whose_use_cannot_be_written_down_is_not_used(
    logged: Callable[[Table, PeerId], Logged], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with table(2, 2, timeouts=HASTY) as made:
        log = logged(made, BEN)
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

        made[BEN].rules.append(Rule((SigningCommitments, SignatureShare), look))
        with pytest.raises(MpcError):
            await made.sign(ANA)
        assert (await made[BEN].failure()).code == "unwritable"
        assert not sent
        monkeypatch.undo()
        assert await log.journal.is_ready()


async def test_a_node_that_is_killed_after_it_accepted_counts_that_when_it_is_back(
    logged: Callable[[Table, PeerId], Logged], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with table(2, 2, timeouts=HASTY) as made:
        log = logged(made, BEN)
        with monkeypatch.context() as killed:
            killed.setattr(log.journal, "record", _nothing)  # dead by then
            await made.sign(ANA)
            await made[BEN].ended()
        log.journal.__exit__(None, None, None)
        with Journal(log.home, now=made.now, warn=log.warnings.append) as again:
            made[BEN].sessions._journal = again
            made[BEN].sessions._policy_of = lambda _wallet: WalletPolicy(rate_per_hour=1, ask="never")
            with pytest.raises(MpcError, match="1 messages an hour"):
                await made.sign(ANA)


# --- places ---


async def test_who_proposes_and_says_no_more_keeps_only_its_own_places_and_the_others_sign() -> None:
    async with table(3, 4, timeouts=HASTY) as made:
        for number in range(MAX_KNOWN + 6):
            for to in (BEN, CLEO):
                made.say(DORA, to, to_sign(made, DORA, number))
        for seat in (made[BEN], made[CLEO]):
            await running(seat, MAX_KNOWN)
        assert (await made.sign(ANA, hello(BEN, CLEO))).signers == (ANA, BEN, CLEO)
        refused = [answer.reason for answer in responses(made, BEN, DORA) if not answer.accepted]
        assert refused == ["8 sessions that dora proposed are under way at this node already"] * 6


async def test_strangers_that_wait_for_a_human_keep_nobody_from_signing() -> None:
    async with table(2, 2, timeouts=HASTY) as made:
        made[BEN].asks(says=lambda proposal: for_ever() if proposal.sign is None else _yes())
        for number in range(20):
            made.say(PeerId(f"eve{number}"), BEN, to_make(made, f"eve{number}", BEN, number))
        await running(made[BEN], MAX_STRANGERS)
        assert len(asked(made[BEN])) == MAX_STRANGERS
        assert (await made.sign(ANA)).signers == (ANA, BEN)
        await running(made[BEN], MAX_STRANGERS)


async def test_a_place_is_free_again_when_its_session_is_over() -> None:
    async with table(2, 2, timeouts=HASTY) as made:
        for _ in range(MAX_KNOWN * 2 + 1):
            await made.sign(ANA)
            await answered(made)


async def test_a_name_is_not_kept_by_who_waits_for_a_human() -> None:
    async with table(2, 2, timeouts=HASTY) as made:
        gate: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        made[BEN].asks(says=lambda _proposal: gate)
        made.say(MALLORY, BEN, to_make(made, MALLORY, BEN, 7))
        await running(made[BEN], 1)
        sessions = made[BEN].sessions
        mine = msgspec.structs.replace(to_make(made, "nobody", BEN, 7), session_id="99" * 16, answer_within=0.5)
        making = asyncio.create_task(sessions.propose(mine))
        await running(made[BEN], 2)
        with pytest.raises(UsageError, match="making a wallet named wallet7"):
            await sessions.propose(msgspec.structs.replace(mine, session_id="98" * 16))
        gate.set_result(True)
        error = await made[BEN].failure()
        assert (error.code, error.message) == ("refused", "this node is making a wallet named wallet7 already")
        await asyncio.gather(making, return_exceptions=True)
        assert not sessions._being_made


# --- ids ---


async def test_the_id_of_an_open_mesh_is_not_proposed_again() -> None:
    """The session it was opened for may be forgotten while it is still open; two meshes of one id end each other."""
    async with table(2, 2, timeouts=HASTY) as made:
        await made.sign(ANA)
        await made[BEN].ended()
        await answered(made)
        (proposal,) = made.of(wire.SessionProposal, ANA, BEN)
        made[BEN].sessions._over._ran.clear()
        again = msgspec.structs.replace(proposal, expires=int(made.now()) + 100)
        made.say(ANA, BEN, again)
        error = (await made[BEN].ended(2)).error
        assert error is not None
        assert (error.code, error.message) == ("refused", "the session id is that of an open mesh")
        await made.sign(ANA)


async def test_proposals_that_are_refused_make_nothing_forgotten_that_ran() -> None:
    async with table(2, 2, timeouts=HASTY) as made:
        await made.sign(ANA)
        await made[BEN].ended()
        (proposal,) = made.of(wire.SessionProposal, ANA, BEN)
        assert proposal.sign is not None
        other = msgspec.structs.replace(proposal.sign, epoch=7)
        for number in range(1100):
            made.say(ANA, BEN, to_sign(made, ANA, number, sign=other))
        await answered(made)
        count = len(made[BEN].of(SessionEnded))
        made[ANA].made[0].broadcast(Abort(SessionId(proposal.session_id), "idle", "bye"))
        made.say(ANA, BEN, msgspec.structs.replace(proposal, expires=int(made.now()) + 100))
        await answered(made)
        assert len(made[BEN].of(SessionEnded)) == count


async def _nothing(*_: object) -> None:
    pass


async def _yes() -> bool:
    return True
