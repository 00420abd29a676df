"""Refresh: new shares of the same key for everybody or nobody, whatever dies, lies or says no on the way."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from mpcnode.commands import Refresh
from mpcnode.consent.policy import WalletPolicy
from mpcnode.crypto import tags
from mpcnode.crypto.ciphersuite import CIPHERSUITES
from mpcnode.errors import (
    InconsistentBroadcast,
    Interrupted,
    KeystoreAbsent,
    KeystoreUnwritable,
    MpcError,
    NoTerminal,
    ParticipantAborted,
    ParticipantCheated,
    ParticipantRefused,
    ParticipantSilent,
    ParticipantStopped,
    Refused,
    UsageError,
    WalletPending,
)
from mpcnode.protocols.frost.packages import Round2Package
from mpcnode.session.kinds.refresh import REFRESH, RefreshMatter
from mpcnode.status import Progress, Proposed, SessionEnded, SignatureView, WalletChanged, Warned
from mpcnode.types import EpochId, PeerId
from mpcnode.wallet.secret import WalletSecret
from mpcnode.wire.peer import RoundMessage
from mpcnode.wire.relay import (
    CertificateReply,
    CertificateRequest,
    EpochSignature,
    SessionProposal,
    SessionResponse,
)
from tests.helpers.blamed import blamed
from tests.helpers.cheat import FalseDealer, Rule, Said, drop, flip, lie_in_shares, on, twice, zero_package
from tests.helpers.identities import identity, key_of
from tests.helpers.meshes import FAST
from tests.helpers.table import (
    ANA,
    BEN,
    CLEO,
    DEADLINE,
    ED25519,
    HASTY,
    PATIENT,
    STEADY,
    TAPROOT,
    WALLET_ID,
    Seat,
    Table,
    asked,
    hello,
    table,
)

NAMES = (ANA, BEN, CLEO)
Ended = tuple[str, tuple[str, ...], tuple[str, ...]]
"""A code, those that are convicted and the suspects."""
MADE: Ended = ("made", (), ())
OLD, NEW = ["active"], ["retired", "active"]
HALF = ["active", "pending"]
QUICK = replace(HASTY, introduce=2, negotiate=2, round=0.6, confirm=1)


@asynccontextmanager
async def three(**options: Any) -> AsyncIterator[Table]:
    """Ana, ben and cleo, who have a wallet with one key; any two of them sign."""
    async with table(2, 3, **{"suites": (ED25519,), **options}) as people:
        yield people


@asynccontextmanager
async def under_way(work: Any) -> AsyncIterator["asyncio.Task[Any]"]:
    running = asyncio.create_task(work)
    try:
        yield running
    finally:
        running.cancel()
        with contextlib.suppress(MpcError, asyncio.CancelledError):
            await running


async def run(
    people: Table, proposer: PeerId = ANA, count: int = 1
) -> dict[PeerId, tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Let somebody propose a refresh; give how the ``count``-th session ended at everybody."""
    with contextlib.suppress(MpcError):
        await people.refresh(proposer)
    return {name: how(await people[name].ended(count)) for name in people.seats}


def how(ended: SessionEnded) -> Ended:
    return (ended.error.code, ended.error.culprits, ended.error.suspects) if ended.error else MADE


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not holds():
            await asyncio.sleep(0.001)


async def for_ever(_: object) -> bool:
    """Answer nothing."""
    return await asyncio.Event().wait()


def secret_of(seat: Seat) -> WalletSecret:
    ((_, sealed),) = seat.home.files.values()
    return WalletSecret.decode(bytearray(sealed))


def epoch_of(seat: Seat) -> EpochId:
    return seat.wallet.require_active().epoch_id


def states_of(people: Table) -> list[list[str]]:
    return [people[name].states for name in NAMES]


def pending_of(people: Table) -> list[EpochId | None]:
    pending = [people[name].wallet.pending for name in NAMES]
    return [None if epoch is None else epoch.epoch_id for epoch in pending]


def states(header: dict[str, Any]) -> list[str]:
    return [epoch["state"] for epoch in header["epochs"]]


def ids(header: dict[str, Any]) -> list[str]:
    return [epoch["epoch_id"] for epoch in header["epochs"]]


def unwritable(state: str) -> Callable[[dict[str, Any]], None]:
    """A disk that is full when the newest epoch is to be stored in this state."""

    def before_save(header: dict[str, Any]) -> None:
        if states(header)[-1] == state and len(states(header)) > 1:
            raise KeystoreUnwritable("no space left")

    return before_save


def writable(_header: dict[str, Any]) -> None:
    """A disk with room."""


async def all_sign(people: Table) -> None:
    """Any two sign, and either of them may propose."""
    for proposer, other in ((ANA, BEN), (BEN, CLEO), (CLEO, ANA)):
        view = await people.sign(proposer, hello(other))
        assert set(view.signers) == {proposer, other}


def patiently(people: Table) -> None:
    """Nothing more goes wrong: from here on no deadline may be what ends something on a loaded machine."""
    people.timeouts, people.mesh_timeouts = PATIENT, STEADY
    for seat in people.seats.values():
        object.__setattr__(seat.services, "timeouts", PATIENT)
        object.__setattr__(seat.services.pool._local, "timeouts", STEADY)


async def one_usable_epoch(people: Table) -> None:
    """Everybody is on the same epoch and no other, signs with it, and can be refreshed from it."""
    patiently(people)
    assert len({epoch_of(people[name]) for name in NAMES}) == 1
    for name in NAMES:
        wallet = people[name].wallet
        assert wallet.secret_epochs >= {share.epoch_id for share in secret_of(people[name]).shares}
    await all_sign(people)
    await people.refresh(CLEO)
    await people.settled()
    assert len({epoch_of(people[name]) for name in NAMES}) == 1
    for name in NAMES:
        assert people[name].states[-1] == "active"
        assert set(people[name].states[:-1]) == {"retired"}
        assert {share.epoch_id for share in secret_of(people[name]).shares} == {epoch_of(people[name])}
    await all_sign(people)


def certificate(people: Table, epoch_id: EpochId, *names: PeerId) -> CertificateReply:
    """The signatures of these over an epoch, whether they made one or not."""
    made = sorted((key_of(name), identity(name).sign(tags.READY, epoch_id)) for name in names or NAMES)
    return CertificateReply(
        wallet=people[ANA].wallet.wallet_id,
        epoch=epoch_id,
        signatures=tuple(EpochSignature(key, signature) for key, signature in made),
    )


# --- what it does ---


@pytest.mark.parametrize("proposer", NAMES)
async def test_every_share_is_another_and_the_old_ones_are_nowhere(proposer: PeerId) -> None:
    async with three(suites=(ED25519, TAPROOT)) as people:
        before = {name: (people[name].wallet, secret_of(people[name])) for name in NAMES}
        view = await people.refresh(proposer)
        assert (view.state, view.epoch, view.signatures) == ("active", 1, 3)
        await people.settled()
        for name in NAMES:
            seat, (old, held) = people[name], before[name]
            new, secret = seat.wallet, secret_of(seat)
            active = new.require_active()
            assert seat.states == NEW
            assert (active.number, active.statement.previous) == (1, old.require_active().epoch_id)
            assert (active.statement.kind, active.statement.abandoned) == ("refresh", ())
            assert active.statement.roster == old.roster
            assert [keys.group_public_key for keys in new.suites] == [keys.group_public_key for keys in old.suites]
            for mine, was in zip(new.suites, old.suites, strict=True):
                assert not set(mine.verifying_shares) & set(was.verifying_shares)
            # One share of each key, of the new epoch; not a byte of an old one is in the file.
            assert {share.order for share in secret.shares} == {(active.epoch_id, keys.suite) for keys in new.suites}
            ((_, sealed),) = seat.home.files.values()
            assert not any(bytes(share.data) in sealed for share in held.shares)
            assert (secret.chain_code, secret.document_key) == (held.chain_code, held.document_key)
            assert [event.wallet.epoch for event in seat.of(WalletChanged)] == [0, 1]
            (_, told, error), *rest = seat.journal.told
            assert (error, rest) == (None, [])
            assert told.wallet is not None
            assert told.wallet.epoch_id == active.epoch_id.hex()
        await all_sign(people)
        await people.sign(ANA, suite=TAPROOT)


async def test_a_wallet_is_refreshed_as_often_as_one_likes() -> None:
    async with three() as people:
        for number in (1, 2, 3):
            view = await people.refresh(NAMES[number % 3])
            await people.settled()
            assert view.epoch == number
        assert states_of(people) == [["retired", "retired", "retired", "active"]] * 3
        await all_sign(people)


async def test_the_user_is_asked_once_and_nobody_compares_words() -> None:
    async with three() as people:
        for name in NAMES:
            people[name].asks()
        await people.refresh(ANA)
        await people.settled()
        assert [len(people[name].human.asked) for name in NAMES] == [0, 1, 1]
        (question,) = asked(people[BEN])
        assert (question.kind, question.wallet, question.proposer) == ("refresh", "treasury", ANA)
        assert question.wallet_id == WALLET_ID.hex()
        phases = [event.phase for event in people[BEN].of(Progress)]
        assert list(dict.fromkeys(phases)) == [
            "negotiating",
            "connecting",
            "committing",
            "revealing",
            "sharing",
            "storing",
            "certifying",
            "leaving",
        ]


# --- a no, and participants that are not there ---


async def test_a_wallet_that_is_not_there_or_pending_is_not_refreshed() -> None:
    async with three() as people:
        with pytest.raises(KeystoreAbsent):
            await people[ANA].sessions.refresh(Refresh(wallet="another"))
    async with table(2, 2, wallets=False, suites=(ED25519,), timeouts=QUICK) as people:
        people[ANA].rules.append(on("ready")(drop))
        await people.create_wallet(ANA)
        await people.settled()
        assert people[BEN].states == ["pending"]
        with pytest.raises(WalletPending):
            await people.refresh(BEN)


async def test_a_participant_that_is_missing_is_named_before_anybody_is_asked() -> None:
    async with three(timeouts=HASTY) as people:
        people.leave(CLEO)
        with pytest.raises(ParticipantSilent, match="takes every participant, and cleo is not here") as caught:
            await people.refresh(ANA)
        assert blamed(caught.value) == ((), {CLEO})
        assert not people.of(SessionProposal)
        assert states_of(people) == [OLD] * 3


async def test_without_a_server_nobody_is_called_missing() -> None:
    async with three(timeouts=HASTY) as people:
        people.leave(CLEO)
        people.server_away = True
        with pytest.raises(MpcError) as caught:
            await people.refresh(ANA)
        assert blamed(caught.value) == ((), set())


async def test_a_participant_that_is_about_to_come_is_waited_for() -> None:
    async with three() as people:
        people.leave(CLEO)
        async with under_way(people.refresh(ANA)) as running:
            await asyncio.sleep(0.05)
            assert not people.of(SessionProposal)
            people.away.discard(CLEO)
            people.gather()
            assert (await running).epoch == 1


async def test_a_participant_that_does_not_answer_is_named_and_nothing_changes() -> None:
    async with three(timeouts=HASTY) as people:
        people[CLEO].asks(says=for_ever)
        ended = await run(people)
        assert ended[ANA] == (ParticipantSilent.code, (), (CLEO,))
        assert ended[BEN] == (ParticipantAborted.code, (), (ANA, CLEO))  # by ana's word
        assert states_of(people) == [OLD] * 3
        people[CLEO].asks()
        await one_usable_epoch(people)


NOES: dict[str, Callable[[Seat], None]] = {
    "its user": lambda seat: seat.asks(says=False),
    "its options": lambda seat: setattr(seat.agenda, "options", replace(seat.agenda.options, accept="none")),
    "a policy of signatures alone": lambda seat: setattr(seat, "policy", WalletPolicy(kinds=frozenset({"sign"}))),
    "a policy of another proposer": lambda seat: setattr(seat, "policy", WalletPolicy(propose=frozenset({CLEO}))),
    "a log that takes no line": lambda seat: setattr(seat.journal, "refuses", KeystoreUnwritable("no space left")),
}


@pytest.mark.parametrize("what", NOES)
async def test_one_that_says_no_is_named_and_nothing_changes(what: str) -> None:
    async with three() as people:
        NOES[what](people[BEN])
        ended = await run(people)
        assert ended[ANA] == (ParticipantRefused.code, (), (BEN,))
        assert ended[CLEO] == (ParticipantRefused.code, (), (ANA, BEN))  # by ana's word
        assert ended[BEN] == (Refused.code, (), ())
        assert states_of(people) == [OLD] * 3
        assert not people[ANA].made  # nobody was linked for it


async def test_a_policy_that_allows_refreshes_is_answered_without_the_user() -> None:
    async with three() as people:
        people[BEN].asks(says=False)
        people[BEN].policy = WalletPolicy(kinds=frozenset({"refresh"}), ask="never")
        assert (await people.refresh(ANA)).epoch == 1
        await people.settled()
        with pytest.raises(ParticipantRefused, match="allows no sessions of kind"):
            await people.sign(ANA, hello(BEN))


async def test_nobody_to_ask_is_a_no() -> None:
    async with three() as people:

        async def nobody(_: Proposed) -> bool:
            raise NoTerminal("no terminal")

        people[BEN].asks(says=nobody)
        ended = await run(people)
        assert ended[ANA] == (ParticipantRefused.code, (), (BEN,))


async def test_only_one_session_at_a_time_replaces_the_shares() -> None:
    async with three() as people:
        people[CLEO].asks(says=for_ever)
        async with under_way(people.refresh(ANA)):
            await until(lambda: people[CLEO].human.asked)
            with pytest.raises(UsageError, match="another session at this node makes new shares"):
                await people.refresh(ANA)
            with pytest.raises(ParticipantRefused, match="another session at this node makes new shares"):
                await people.refresh(CLEO)
        await people.settled()
        people[CLEO].asks()
        await one_usable_epoch(people)


async def test_ctrl_c_in_the_middle_is_told_and_the_next_one_goes_through() -> None:
    async with three() as people:
        people[BEN].rules.append(on("commitment")(drop))
        async with under_way(people.refresh(ANA)) as running:
            await until(lambda: any(event.phase == "revealing" for event in people[ANA].of(Progress)))
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
        assert how(await people[ANA].ended()) == (Interrupted.code, (), ())
        assert how(await people[CLEO].ended()) == (ParticipantStopped.code, (), (ANA,))
        people[BEN].rules.clear()
        await people.settled()
        await one_usable_epoch(people)


# --- lies ---


CAUGHT: Ended = (ParticipantCheated.code, (CLEO,), ())
HEARSAY: Ended = (ParticipantCheated.code, (), ())
"""Somebody says that another one cheats, and names nobody besides this node."""


def differently(*favoured: PeerId) -> Callable[..., bytes]:
    return lambda suite, me, threshold, to: zero_package(suite, me, threshold, to in favoured)


LIES: dict[str, Callable[[Table], Iterable[Rule]]] = {
    "commits to two things": lambda people: FalseDealer(people, CLEO, differently(ANA)).rules,
    "commits to more points": lambda people: (
        FalseDealer(people, CLEO, lambda suite, me, threshold, _to: zero_package(suite, me, threshold + 1)).rules
    ),
    "commits to fewer points": lambda people: (
        FalseDealer(people, CLEO, lambda suite, me, threshold, _to: zero_package(suite, me, threshold - 1)).rules
    ),
    "reveals another commitment": lambda _: [on("commitment")(flip(-1))],
    "signs nothing": lambda _: [on("digest")(flip(-1))],
    "speaks twice": lambda _: [on("share")(twice)],
    "is ready for something else": lambda _: [on("ready")(flip(0))],
    "is ready and does not sign": lambda _: [on("ready")(flip(-1))],
}


@pytest.mark.parametrize("what", LIES)
async def test_a_lie_names_the_liar_everywhere_and_nothing_becomes_active(what: str) -> None:
    async with three() as people:
        people[CLEO].rules.extend(LIES[what](people))
        ended = await run(people)
        assert ended[ANA] == ended[BEN] == CAUGHT
        pending = [HALF] if "ready" in what else [OLD, HALF] if "twice" in what else [OLD]
        assert all(people[name].states in pending for name in (ANA, BEN))
        await people.sign(ANA, hello(BEN))  # with the shares there were
        people[CLEO].rules.clear()
        await people.meet()
        await one_usable_epoch(people)


@pytest.mark.parametrize("change", [lambda plain: plain[:-1] + bytes([plain[-1] ^ 1]), lambda _plain: b""])
async def test_a_wrong_share_names_its_dealer_to_its_victim_alone(change: Callable[[bytes], bytes]) -> None:
    async with three() as people:
        lie_in_shares(people[CLEO], key_of(BEN), change)
        ended = await run(people)
        assert (ended[ANA], ended[BEN]) == ((ParticipantCheated.code, (), (BEN, CLEO)), CAUGHT)
        assert people[BEN].states == OLD
        assert not any("retired" in people[name].states for name in NAMES)


async def test_a_share_of_another_constant_term_is_found_by_everybody_it_is_dealt_to() -> None:
    """A dealer that adds 1 to every share would move the key; without a constant term in the commitment it shows."""
    async with three() as people:

        def add_one(plain: bytes) -> bytes:
            suite = CIPHERSUITES[ED25519]
            share = Round2Package.decode(suite, bytearray(plain)).signing_share + suite.group.scalar(1)
            return bytes(Round2Package(suite, share).encode())

        for victim in (ANA, BEN):
            lie_in_shares(people[CLEO], key_of(victim), add_one)
        ended = await run(people)
        assert CAUGHT in {ended[ANA], ended[BEN]}
        assert not any("retired" in people[name].states for name in NAMES)


async def test_a_false_echo_names_nobody() -> None:
    async with three() as people:
        people[CLEO].rules.append(on("commitment", to=ANA)(flip(0, "echo")))
        ended = await run(people)
        assert ended[ANA] == (InconsistentBroadcast.code, (), ())
        assert ended[BEN] == HEARSAY
        assert states_of(people) == [OLD] * 3


def names_with_yes(monkeypatch: pytest.MonkeyPatch, terms: Callable[[RefreshMatter], tuple[bytes, ...]]) -> None:
    """Have cleo name something else as what she holds."""
    honest = RefreshMatter.said_with_yes

    def said(self: RefreshMatter) -> tuple[bytes, ...]:
        return terms(self) if self.services.peer_id == CLEO else honest(self)

    monkeypatch.setattr(RefreshMatter, "said_with_yes", said)


@pytest.mark.parametrize(
    ("terms", "why"),
    [
        (lambda matter: (matter.proposal.terms[1],), "would abandon the epoch that is active"),
        (lambda _: (b"\xab" * 31,), "cannot be one"),
        (lambda _: (b"\xab" * 32, b"\xcd" * 32), "cannot be one"),
    ],
    ids=["the active one", "too short", "two of them"],
)
async def test_a_participant_that_would_abandon_what_cannot_be_abandoned_gets_nothing(
    terms: Callable[[RefreshMatter], tuple[bytes, ...]], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with three() as people:
        names_with_yes(monkeypatch, terms)
        with pytest.raises(Refused, match=why):
            await people.refresh(ANA)
        await people.settled()
        assert states_of(people) == [OLD] * 3


async def test_an_epoch_that_nobody_else_knows_may_be_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was made by a session that failed before the others stored anything of it."""
    async with three() as people:
        names_with_yes(monkeypatch, lambda _: (b"\xab" * 32,))
        await people.refresh(ANA)
        await people.settled()
        assert states_of(people) == [NEW] * 3
        assert people[BEN].wallet.require_active().statement.abandoned == (b"\xab" * 32,)


# --- two epochs ---


async def left_behind(people: Table, name: PeerId = CLEO) -> None:
    """Refresh so that ``name`` misses the last signature: it has the new share pending, and the others use theirs."""
    other = next(one for one in NAMES if one != name)
    rule = on("ready", to=name)(drop)
    people[other].rules.append(rule)
    with contextlib.suppress(MpcError):
        await people.refresh(other)
    await people.settled()
    people[other].rules.remove(rule)
    assert people[name].states == HALF
    assert [people[one].states for one in NAMES if one != name] == [NEW, NEW]


async def test_nodes_on_different_epochs_refuse_each_other_s_proposals_by_name_and_catch_up() -> None:
    async with three(timeouts=QUICK) as people:
        await left_behind(people)
        with pytest.raises(ParticipantRefused, match="treasury here are of epoch 0, not of epoch 1") as caught:
            await people.sign(ANA, hello(CLEO))
        assert blamed(caught.value) == ((), {CLEO})
        assert caught.value.message.count("cleo refused") == 1
        with pytest.raises(ParticipantRefused, match="treasury here are of epoch 1, not of epoch 0") as caught:
            await people.sign(CLEO, hello(ANA))
        assert blamed(caught.value) == ((), {ANA})
        with pytest.raises(ParticipantRefused, match="here are of epoch 1, not of epoch 0"):
            await people.refresh(CLEO)
        await people.sign(ANA, hello(BEN))  # those that have it use it
        await people.meet()
        assert states_of(people) == [NEW] * 3
        await one_usable_epoch(people)


async def test_a_share_of_an_old_epoch_that_comes_back_is_refused_by_the_number_of_its_epoch() -> None:
    """Cleo's disk is restored from a backup of before the refresh."""
    async with three() as people:
        backup = dict(people[CLEO].home.files)
        await people.refresh(ANA)
        await people.settled()
        people[CLEO].home.files = backup
        people.restart(CLEO)
        assert people[CLEO].states == OLD
        with pytest.raises(ParticipantRefused, match="of epoch 0, not of an epoch that is unknown here"):
            await people.sign(ANA, hello(CLEO))
        with pytest.raises(ParticipantRefused, match="of epoch 1, not of epoch 0"):
            await people.sign(CLEO, hello(ANA))
        await people.meet()
        assert people[CLEO].states == OLD  # no certificate makes up for a share
        await people.sign(ANA, hello(BEN))


async def test_a_proposal_that_was_approved_before_the_shares_changed_is_not_signed_with_either() -> None:
    async with three() as people:
        gate = asyncio.Event()

        async def thinks(_: Proposed) -> bool:
            return await gate.wait()

        people[BEN].asks(says=thinks)
        async with under_way(people.sign(ANA, hello(BEN))) as signing:
            await until(lambda: people[BEN].human.asked)
            people[BEN].human.approves = True
            await people.refresh(CLEO)
            assert people[BEN].states == people[ANA].states == NEW
            gate.set()
            with pytest.raises(MpcError):
                await signing
        await people.settled()
        assert not any(ended.signature for name in NAMES for ended in people[name].of(SessionEnded))
        await all_sign(people)


async def test_a_refresh_while_a_signature_is_made_spoils_neither() -> None:
    async with three() as people:
        held: list[tuple[PeerId, RoundMessage]] = []

        def hold(to: PeerId, said: RoundMessage) -> Iterable[Said]:
            held.append((to, said))
            return []

        people[BEN].rules.append(on("signature_share")(hold))
        async with under_way(people.sign(ANA, hello(BEN))) as signing:
            await until(lambda: held)
            mesh = people[BEN].made[-1]._mesh
            assert (await people.refresh(CLEO)).epoch == 1
            for to, said in held:
                mesh.send(to, said)
            assert isinstance(
                await signing, SignatureView
            )  # both used the shares they began with, and a library agrees
        await people.settled()
        assert states_of(people) == [NEW] * 3
        people[BEN].rules.clear()
        await one_usable_epoch(people)


async def test_a_signature_while_the_shares_are_refreshed_is_made_with_the_old_ones() -> None:
    async with three() as people:
        held: list[tuple[PeerId, RoundMessage]] = []

        def hold(to: PeerId, said: RoundMessage) -> Iterable[Said]:
            held.append((to, said))
            return []

        people[BEN].rules.append(on("ready")(hold))
        async with under_way(people.refresh(ANA)) as refreshing:
            await until(lambda: len(held) == 2)
            assert HALF in states_of(people)
            await people.sign(CLEO, hello(ANA))
            for to, said in held:
                people[BEN].made[-1]._mesh.send(to, said)
            assert (await refreshing).epoch == 1
        await people.settled()
        people[BEN].rules.clear()
        await one_usable_epoch(people)


# --- death ---


def kill(people: Table, name: PeerId) -> None:
    """Have the process of ``name`` say and store nothing more, from this moment on."""
    people.network.silence(name, [one for one in NAMES if one != name])
    people.leave(name)
    home = people[name].home

    def dead(_header: dict[str, Any]) -> None:
        raise KeystoreUnwritable("the process is dead")

    home.before_save = dead


async def revive(people: Table, name: PeerId) -> None:
    """Start it again, when nothing is left of the old process and the others have given up."""
    await people.settled()
    for other in NAMES:
        people.network.heal(name, other)
    people.away.discard(name)
    people[name].home.before_save = writable
    seat = people.restart(name)
    assert seat.states[0] in {"active", "retired"}


MOMENTS = [
    *(
        (message, half)
        for message in ("digest", "commitment", "share", "ready", "epoch_active")
        for half in (False, True)
    ),
]


@pytest.mark.parametrize("victim", [ANA, BEN])
@pytest.mark.parametrize(("message", "half"), MOMENTS)
async def test_a_node_that_dies_before_or_while_it_says_something_comes_back_to_one_usable_epoch(
    victim: PeerId,
    message: str,
    half: bool,  # noqa: FBT001
) -> None:
    """``half``: its message reaches the first of the others, and not the second."""
    async with three(timeouts=QUICK, mesh_timeouts=FAST, warm=0.0) as people:
        said: list[PeerId] = []

        def die(to: PeerId, one: RoundMessage) -> Iterable[Said]:
            said.append(to)
            if half and len(said) == 1:
                asyncio.get_running_loop().call_later(0.005, kill, people, victim)
                return [one]
            if not half:
                kill(people, victim)
            return []

        people[victim].rules.append(on(message)(die))
        with contextlib.suppress(MpcError):
            await people.refresh(ANA)
        await revive(people, victim)
        for name in NAMES:  # whatever is usable now is one epoch at each node
            assert people[name].states.count("active") == 1
        await people.meet()
        assert len({epoch_of(people[name]) for name in NAMES}) == 1
        await one_usable_epoch(people)


@pytest.mark.parametrize("victim", NAMES)
@pytest.mark.parametrize("state", ["pending", "active"])
@pytest.mark.parametrize("written", [False, True])
async def test_a_node_that_dies_before_or_after_it_stores_something_comes_back_to_one_usable_epoch(
    victim: PeerId,
    state: str,
    written: bool,  # noqa: FBT001
) -> None:
    async with three(timeouts=QUICK, mesh_timeouts=FAST, warm=0.0) as people:
        loop = asyncio.get_running_loop()

        def die(header: dict[str, Any]) -> None:
            if len(states(header)) > 1 and states(header)[-1] == state:
                if not written:
                    loop.call_soon_threadsafe(kill, people, victim)
                    raise KeystoreUnwritable("the process is dead")
                loop.call_soon_threadsafe(kill, people, victim)

        people[victim].home.before_save = die
        with contextlib.suppress(MpcError):
            await people.refresh(ANA)
        await revive(people, victim)
        assert (
            people[victim].states
            == {
                ("pending", False): OLD,
                ("pending", True): HALF,
                ("active", False): HALF,
                ("active", True): NEW,
            }[state, written]
        )
        await people.meet()
        assert len({epoch_of(people[name]) for name in NAMES}) == 1
        await one_usable_epoch(people)


@pytest.mark.parametrize("rounds", [("share",), ("ready",), ("epoch_active",)])
@pytest.mark.parametrize("to", [None, BEN])
async def test_messages_that_are_lost_leave_one_usable_epoch(rounds: tuple[str, ...], to: PeerId | None) -> None:
    async with three(timeouts=QUICK) as people:
        rule = on(*rounds, to=to)(drop)
        people[CLEO].rules.append(rule)
        await run(people)
        await people.settled()
        people[CLEO].rules.clear()
        for name in NAMES:
            assert people[name].states.count("active") == 1
        await people.meet()
        await one_usable_epoch(people)


async def test_everybody_may_die_when_all_have_stored_their_new_shares() -> None:
    async with three(timeouts=QUICK) as people:
        for name in NAMES:
            people[name].rules.append(on("ready", "abort")(drop))
        await run(people)
        await people.settled()
        assert states_of(people) == [HALF] * 3
        for name in NAMES:
            people.restart(name)
        await all_sign(people)  # with the old ones, as nobody knows yet that everybody has the new ones
        await people.meet()
        assert states_of(people) == [NEW] * 3
        await one_usable_epoch(people)


# --- an epoch that cannot be completed ---


async def unfinished(people: Table) -> EpochId:
    """Refresh so that ben has no new share, and ana and cleo have theirs pending."""
    people[BEN].home.before_save = unwritable("pending")
    await run(people, count=len(people[ANA].of(SessionEnded)) + 1)
    await people.settled()
    people[BEN].home.before_save = writable
    assert states_of(people) == [HALF, OLD, HALF]
    pending = people[ANA].wallet.pending
    assert pending is not None
    return pending.epoch_id


async def test_a_pending_epoch_that_cannot_be_completed_is_abandoned_by_the_next_refresh() -> None:
    async with three() as people:
        lost = await unfinished(people)
        await people.meet()
        assert states_of(people) == [HALF, OLD, HALF]  # ben never signed for it
        await all_sign(people)
        stored: list[tuple[list[str], bool]] = []
        people[ANA].home.before_save = lambda header: stored.append((states(header), lost.hex() in ids(header)))
        view = await people.refresh(BEN)
        await people.settled()
        assert view.epoch == 1
        assert stored == [(HALF, False), (NEW, False)]
        assert states_of(people) == [NEW] * 3
        assert {people[name].wallet.require_active().statement.abandoned for name in NAMES} == {(lost,)}
        assert lost not in {share.epoch_id for name in NAMES for share in secret_of(people[name]).shares}
        await one_usable_epoch(people)


@pytest.mark.parametrize("again", [False, True], ids=["in this life", "in the next"])
async def test_the_certificate_of_an_abandoned_epoch_is_not_taken_any_more(
    again: bool,  # noqa: FBT001
) -> None:
    async with three(timeouts=QUICK, warm=0.0) as people:
        lost = await unfinished(people)
        people[BEN].rules.append(on("ready")(drop))
        await run(people, count=2)
        await people.settled()
        assert states_of(people) == [HALF, NEW, HALF]  # ben heard everybody, and nobody heard ben
        for name in (ANA, CLEO):
            if again:
                people.restart(name)
            assert lost not in {share.epoch_id for share in secret_of(people[name]).shares}
        assert pending_of(people) == [epoch_of(people[BEN]), None, epoch_of(people[BEN])]
        files = [dict(people[name].home.files) for name in NAMES]
        people.relayed.clear()
        for name in (ANA, CLEO):
            people.say(BEN, name, certificate(people, lost))
            people.say(BEN, name, CertificateRequest(wallet=WALLET_ID, epoch=lost))
        await people.settled()
        assert states_of(people) == [HALF, NEW, HALF]
        assert [people[name].home.files for name in NAMES] == files
        assert not people.of(CertificateReply, ANA)
        assert not people.of(CertificateReply, CLEO)
        assert not any(people[name].of(Warned) for name in (ANA, CLEO))
        people[BEN].rules.clear()
        await people.meet()
        assert states_of(people) == [NEW] * 3  # everybody signed for the second one
        await one_usable_epoch(people)


async def test_several_that_cannot_be_completed_are_all_abandoned_in_the_end() -> None:
    async with three(timeouts=QUICK) as people:
        first = await unfinished(people)
        people[ANA].home.before_save = unwritable("pending")
        await run(people, count=2)
        await people.settled()
        people[ANA].home.before_save = writable
        # Ana has the first one, ben and cleo the second.
        assert states_of(people) == [HALF] * 3
        pending = people[BEN].wallet.pending
        assert pending is not None
        second = pending.epoch_id
        assert pending_of(people) == [first, second, second]
        await people.meet()
        assert states_of(people) == [HALF] * 3
        assert pending_of(people) == [first, second, second]
        await people.refresh(CLEO)
        await people.settled()
        assert set(people[ANA].wallet.require_active().statement.abandoned) == {first, second}
        assert states_of(people) == [NEW] * 3
        await one_usable_epoch(people)


async def test_six_refreshes_that_fail_do_not_keep_the_next_one_from_its_end() -> None:
    async with three() as people:
        people[BEN].home.before_save = unwritable("pending")
        for count in range(1, 7):
            await run(people, count=count)
            await people.settled()
        people[BEN].home.before_save = writable
        assert states_of(people) == [HALF, OLD, HALF]
        await one_usable_epoch(people)


async def test_new_shares_that_do_not_abandon_what_is_pending_are_refused_in_a_sentence_and_not_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only a fault of this node gets so far; it is an error of the session like any other, and nothing changes."""
    async with three(timeouts=QUICK) as people:
        for name in (BEN, CLEO):
            people[name].home.before_save = unwritable("pending")
        await run(people)
        await people.settled()
        for name in (BEN, CLEO):
            people[name].home.before_save = writable
        assert states_of(people) == [HALF, OLD, OLD]
        files = dict(people[ANA].home.files)
        monkeypatch.setattr(RefreshMatter, "said_with_yes", lambda _: ())
        with pytest.raises(Refused, match="does not abandon the one that is pending here") as refused:
            await people.refresh(ANA)
        assert refused.value.saved == "the shares of wallet treasury are as they were"
        await people.settled()
        assert people[ANA].home.files == files
        assert {how(await people[name].ended(2)) for name in (BEN, CLEO)} == {(ParticipantStopped.code, (), (ANA,))}
        monkeypatch.undo()
        await one_usable_epoch(people)


async def test_an_epoch_that_everybody_holds_is_completed_and_not_abandoned() -> None:
    """Were it abandoned, a node that dies before it stores the next one could complete it, and would be left alone."""
    async with three(timeouts=QUICK) as people:
        for name in NAMES:
            people[name].rules.append(on("ready")(drop))
        await run(people)
        await people.settled()
        assert states_of(people) == [HALF] * 3
        for name in NAMES:
            people[name].rules.clear()
        with pytest.raises(Refused, match="has a new share already, of epoch 1"):
            await people.refresh(BEN)
        await people.settled()
        assert states_of(people) == [HALF] * 3
        await people.meet()
        assert states_of(people) == [NEW] * 3
        await one_usable_epoch(people)


async def test_while_shares_are_replaced_no_certificate_of_what_is_abandoned_is_taken() -> None:
    async with three() as people:
        lost = await unfinished(people)
        people[BEN].asks(says=for_ever)
        async with under_way(people.refresh(ANA)) as running:
            await until(lambda: people[BEN].human.asked)
            await until(lambda: any(message.accepted for message in people.of(SessionResponse, CLEO)))
            for name in (ANA, CLEO):
                people.say(BEN, name, certificate(people, lost))
            await asyncio.sleep(0.05)
            assert states_of(people) == [HALF, OLD, HALF]
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
        await people.settled()
        # It said that it held no full certificate, and nothing came of what it said it for.
        people.say(BEN, ANA, certificate(people, lost))
        await people.settled()
        assert people[ANA].states == NEW


async def test_a_wallet_that_changed_while_its_user_thought_is_not_refreshed_from_what_it_was() -> None:
    async with three(timeouts=QUICK) as people:
        async with under_way(people.refresh(ANA)) as running:
            await running
        (proposal,) = {message.session_id: message for message in people.of(SessionProposal)}.values()
        with pytest.raises(Refused, match="of epoch 1, not of epoch 0"):
            REFRESH.matter(proposal, people[BEN].services)
        await people.settled()
        current = msgspec.structs.replace(proposal, terms=(WALLET_ID, epoch_of(people[BEN])))
        matter = REFRESH.matter(current, people[BEN].services)
        assert matter.said_with_yes() == ()
        await people.refresh(CLEO)
        await people.settled()
        with pytest.raises(Refused, match="changed while this was proposed"):
            matter.said_with_yes()


async def test_a_node_that_comes_back_asks_the_others_and_each_hands_on_what_it_learns() -> None:
    async with three(timeouts=QUICK) as people:
        await left_behind(people)
        people.restart(CLEO)
        people.relayed.clear()
        people[CLEO].catch_up.met(BEN)
        await people.settled()
        assert people[CLEO].states == NEW
        assert [message.epoch for message in people.of(CertificateRequest, CLEO)] == [epoch_of(people[BEN])]


async def test_what_is_on_disk_is_said_when_it_fails() -> None:
    async with three(timeouts=PATIENT) as people:
        people[CLEO].asks(says=False)
        with pytest.raises(ParticipantRefused) as caught:
            await people.refresh(ANA)
        assert caught.value.saved == "the shares of wallet treasury are as they were"
        await people.settled()
        people[CLEO].asks()
        people[BEN].home.before_save = unwritable("pending")
        with pytest.raises(ParticipantStopped) as aborted:
            await people.refresh(ANA)
        assert aborted.value.saved in {
            "the shares of wallet treasury are as they were",
            "the new share is stored, and wallet treasury goes on with the shares it had",
        }


ROUNDS = ("digest", "commitment", "share", "ready", "epoch_active")


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_is_lost_in_a_row_of_refreshes_leaves_one_usable_epoch(seed: int) -> None:
    """Messages are lost, disks are full, nodes restart, and only some meet, until nothing goes wrong any more."""
    rng = random.Random(seed)
    async with three(timeouts=replace(HASTY, round=0.15, leave=0.1, evidence=0.05), warm=0.0) as people:
        for _ in range(6):
            for name in NAMES:
                seat = people[name]
                seat.rules[:] = [
                    on(rng.choice(ROUNDS), to=rng.choice([None, *NAMES]))(drop) for _ in range(rng.randrange(2))
                ]
                broken = rng.choice(["pending", "active", "", "", ""])
                seat.home.before_save = unwritable(broken) if broken else writable
            with contextlib.suppress(MpcError):
                await people.refresh(rng.choice(NAMES))
            await people.settled()
            for name in rng.sample(NAMES, rng.randrange(2)):
                people.restart(name)
            for name, other in itertools.permutations(NAMES, 2):
                if rng.random() < 0.3:
                    people[name].catch_up.met(other)
            await people.settled()
            # No node is more than one epoch behind another, and each has one that it signs with.
            active = {people[name].wallet.require_active().number for name in NAMES}
            assert max(active) - min(active) <= 1
        for name in NAMES:
            people[name].rules.clear()
            people[name].home.before_save = writable
        patiently(people)
        await people.meet()
        await one_usable_epoch(people)
