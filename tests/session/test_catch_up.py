"""Nodes that died while an epoch was being finished, and what they make of it when they meet again."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, cast

import pytest

from mpcnode.crypto import tags
from mpcnode.errors import KeystoreUnwritable
from mpcnode.peers.budget import LINES, Complaints
from mpcnode.peers.conversation import Opened
from mpcnode.protocols.checkpoints import KeyResult, StoreActive, StorePending
from mpcnode.protocols.descriptor import KEYGEN, REFRESH, Descriptor, Member
from mpcnode.protocols.execution import Execution
from mpcnode.protocols.frost.keygen import keygen
from mpcnode.protocols.frost.refresh import refresh
from mpcnode.session import catch_up
from mpcnode.session.catch_up import ASKED, LASTS, CatchUp
from mpcnode.status import Event, WalletChanged, Warned
from mpcnode.types import EpochId, Identifier, PeerId, SessionId, WalletId
from mpcnode.wallet.store import Wallets
from mpcnode.wallet.wallet import Epoch, Wallet
from mpcnode.wire.relay import CertificateReply, CertificateRequest, EpochSignature, RelayMessage, SessionCancel
from tests.helpers.identities import NOW, identity, key_of
from tests.helpers.relays import EVE, Post
from tests.helpers.simulate import Stored, stored
from tests.helpers.table import ANA, BEN, CLEO, DEADLINE, ED25519, MemoryHome, wallets_in

NAMES = (ANA, BEN, CLEO)
ROSTER = tuple(Member(Identifier(i), name, key_of(name)) for i, name in enumerate(NAMES, 1))


class Dies(IntEnum):
    """When a node dies, in the order of the steps."""

    BEFORE_PENDING = 0
    AFTER_PENDING = 1
    READY_HALF_SENT = 2
    BEFORE_ACTIVE = 3
    AFTER_ACTIVE = 4


PENDING = (Dies.AFTER_PENDING,) * 3


@dataclass
class Node:
    """A node between two lives: what is on its disk."""

    name: PeerId
    home: MemoryHome = field(default_factory=MemoryHome)
    events: list[Event] = field(default_factory=list)

    @property
    def wallets(self) -> Wallets:
        return wallets_in(self.home, self.name)

    @property
    def wallet(self) -> Wallet | None:
        return next(iter(self.wallets.all()), None)

    @property
    def states(self) -> list[str]:
        """The state of each epoch, the oldest first."""
        return [epoch.state.value for epoch in self.wallet.epochs] if self.wallet else []

    @property
    def epoch(self) -> Epoch:
        """The newest one."""
        assert self.wallet is not None
        return self.wallet.epochs[-1]


Nodes = dict[PeerId, Node]
Executions = Mapping[PeerId, Execution[KeyResult]]


def descriptor(kind: str) -> Descriptor:
    rng = random.Random(kind).randbytes
    return Descriptor(
        agreed=rng(32),
        session_id=SessionId(rng(16)),
        kind=kind,
        wallet_name="treasury",
        threshold=2,
        suites=(ED25519,),
        roster=ROSTER,
    )


def executions_of(before: Mapping[PeerId, Stored] | None) -> Executions:
    """A key generation; where there is a wallet before, its refresh."""
    rng = random.Random(0).randbytes
    session = descriptor(KEYGEN if before is None else REFRESH)

    def script(name: PeerId) -> Any:
        me = session.identifier(name)
        if before is None:
            return keygen(descriptor=session, me=me, signer=identity(name), rng=rng)
        return refresh(
            descriptor=session,
            previous=before[name].statement,
            abandoned=(),
            me=me,
            shares=before[name].shares,
            signer=identity(name),
            rng=rng,
        )

    participants = session.participants
    return {name: Execution(script(name), me=session.identifier(name), participants=participants) for name in NAMES}


def deliver(executions: Executions, sender: PeerId, *, only: int = len(NAMES)) -> None:
    """Hand everything ``sender`` says to the others, or to the first ``only`` of them."""
    others = [name for name in NAMES if name != sender]
    for to, message in executions[sender].messages_to_send():
        for recipient in others[:only] if to is None else [NAMES[to - 1]]:
            executions[recipient].receive(Identifier(NAMES.index(sender) + 1), message)


def run_until_pending(executions: Executions) -> None:
    """Everybody up to the moment when its share is to be stored."""
    while not all(isinstance(execution.checkpoint, StorePending) for execution in executions.values()):
        for name, execution in executions.items():
            if execution.checkpoint is not None and not isinstance(execution.checkpoint, StorePending):
                execution.confirm()
            deliver(executions, name)


async def finish(nodes: Nodes, when: Iterable[Dies], before: Mapping[PeerId, Stored] | None) -> dict[PeerId, Stored]:
    """Finish an epoch with nodes that die at these moments."""
    dies = dict(zip(NAMES, when, strict=True))
    executions = executions_of(before)
    run_until_pending(executions)
    kept = {}
    for name, execution in executions.items():
        record = execution.checkpoint
        assert isinstance(record, StorePending)
        kept[name] = stored(record)
        if dies[name] >= Dies.AFTER_PENDING:
            await nodes[name].wallets.store_pending(record, name="treasury", verified="words", now=NOW)
        if dies[name] >= Dies.READY_HALF_SENT:
            execution.confirm()
    for name in NAMES:
        if dies[name] >= Dies.READY_HALF_SENT:
            deliver(executions, name, only=1 if dies[name] == Dies.READY_HALF_SENT else 2)
    for name, execution in executions.items():
        record = execution.checkpoint
        if isinstance(record, StoreActive) and dies[name] >= Dies.AFTER_ACTIVE:
            await nodes[name].wallets.merge(kept[name].statement.wallet_id, record.certificate)
        execution.close()
    return kept


async def die(*when: Dies, later: bool = False) -> Nodes:
    """Make a wallet with nodes that die at these moments; ``later``: refresh one that everybody has."""
    nodes = {name: Node(name) for name in NAMES}
    if not later:
        await finish(nodes, when, None)
        return nodes
    before = await finish(nodes, (Dies.AFTER_ACTIVE,) * 3, None)
    assert states(nodes) == [["active"]] * 3
    await finish(nodes, when, before)
    return nodes


def complaints(events: list[Event]) -> Complaints:
    return Complaints(events.append, is_contact=lambda name: name in NAMES, clock=lambda: 0.0)


class Meeting:
    """Some of the nodes in one room, each in a new life."""

    def __init__(self, nodes: Nodes, *names: PeerId) -> None:
        self.post = Post()
        self.post.start(*names)
        self.changing: set[WalletId] = set()
        self.catch_ups = {
            name: CatchUp(
                nodes[name].wallets,
                self.post.relays[name],
                peer_id=name,
                now=lambda: self.post.now,
                changing=lambda wallet_id: wallet_id in self.changing,
                complaints=complaints(nodes[name].events),
                emit=nodes[name].events.append,
            )
            for name in names
        }
        self._heard = dict.fromkeys(names, 0)

    async def hold(self) -> None:
        for name, other in itertools.product(self.catch_ups, repeat=2):
            self.catch_ups[name].met(other)
        await self.settle()

    async def settle(self) -> None:
        """Deliver everything and what comes of it."""
        while self.post.waiting:
            self.post.carry()
            for name, one in self.catch_ups.items():
                opened = self.post.opened(name)
                for message in opened[self._heard[name] :]:
                    await one.handle(message)
                self._heard[name] = len(opened)
        assert not any(self.post.errors.values())

    @asynccontextmanager
    async def asking(self, name: PeerId) -> AsyncIterator[None]:
        """Have ``name`` ask again and again."""
        task = asyncio.create_task(self.catch_ups[name].keep_asking())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def states(nodes: Nodes) -> list[list[str]]:
    return [node.states for node in nodes.values()]


def active(*, later: bool) -> list[str]:
    return ["retired", "active"] if later else ["active"]


async def check(*when: Dies, later: bool) -> None:
    nodes = await die(*when, later=later)
    durable = Dies.BEFORE_PENDING not in when
    if not durable:
        assert active(later=later) not in states(nodes)
    await Meeting(nodes, *NAMES).hold()
    for one, node in zip(when, nodes.values(), strict=True):
        if durable:
            assert node.states == active(later=later)
            assert node.wallet is not None
            assert node.wallet.require_active().certificate.signatures.keys() == {key_of(name) for name in NAMES}
        else:
            before = ["active"] if later else []
            assert node.states == before + ([] if one is Dies.BEFORE_PENDING else ["pending"])


both = pytest.mark.parametrize("later", [False, True], ids=["first", "later"])


@both
@pytest.mark.parametrize("when", list(itertools.combinations_with_replacement(Dies, 3)))
async def test_once_they_meet_all_are_active_or_somebody_never_had_a_share(
    when: tuple[Dies, ...], *, later: bool
) -> None:
    await check(*when, later=later)


@pytest.mark.slow
@both
@pytest.mark.parametrize("when", list(itertools.product(Dies, repeat=3)))
async def test_each_of_them_may_have_died_at_any_moment(when: tuple[Dies, ...], *, later: bool) -> None:
    await check(*when, later=later)


@both
@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize("others", [Dies.AFTER_PENDING, Dies.BEFORE_ACTIVE])
async def test_a_promise_that_reached_one_alone_is_a_promise(which: int, others: Dies, *, later: bool) -> None:
    when = [others] * 3
    when[which] = Dies.READY_HALF_SENT
    await check(*when, later=later)


async def test_an_active_wallet_has_the_share_it_was_stored_with() -> None:
    nodes = await die(Dies.AFTER_PENDING, Dies.BEFORE_ACTIVE, Dies.AFTER_PENDING)
    before = {name: node.home.files.copy() for name, node in nodes.items()}
    await Meeting(nodes, *NAMES).hold()
    for name, node in nodes.items():
        assert [secret for _, secret in node.home.files.values()] == [secret for _, secret in before[name].values()]
        wallet = node.wallet
        assert wallet is not None
        active_one = wallet.require_active()
        assert active_one.certificate.complete_for(active_one.statement, None)


async def test_a_later_epoch_that_becomes_active_leaves_nothing_of_the_shares_before() -> None:
    nodes = await die(*PENDING, later=True)
    shares: dict[PeerId, bytes] = {}
    for name, node in nodes.items():
        assert node.wallet is not None
        async with node.wallets.key_shares(node.wallet) as opened:
            shares[name] = (await opened())[ED25519].key.signing_share.encode()
        ((_, secret),) = node.home.files.values()
        assert shares[name] in secret
    await Meeting(nodes, *NAMES).hold()
    for name, node in nodes.items():
        assert node.states == ["retired", "active"]
        ((_, secret),) = node.home.files.values()
        assert shares[name] not in secret


@pytest.mark.parametrize("pairs", list(itertools.permutations(itertools.combinations(NAMES, 2))))
@both
async def test_they_need_not_all_be_there_at_once(pairs: tuple[tuple[PeerId, PeerId], ...], *, later: bool) -> None:
    nodes = await die(*PENDING, later=later)
    for pair in pairs:
        await Meeting(nodes, *pair).hold()
    # After the second meeting one node knows everything, after the third two do.
    assert states(nodes).count(active(later=later)) >= 2
    for pair in pairs[:2]:
        await Meeting(nodes, *pair).hold()
    assert states(nodes) == [active(later=later)] * 3


async def test_one_that_knows_tells_another_of_a_third_that_never_comes_back() -> None:
    nodes = await die(Dies.AFTER_ACTIVE, Dies.AFTER_PENDING, Dies.BEFORE_ACTIVE)
    await Meeting(nodes, ANA, CLEO).hold()
    await Meeting(nodes, ANA, BEN).hold()
    await Meeting(nodes, ANA, CLEO).hold()
    assert states(nodes) == [["active"]] * 3


async def test_two_that_wait_for_a_third_hear_from_each_other_what_it_told_them() -> None:
    nodes = await die(*PENDING)
    meeting = Meeting(nodes, *NAMES)
    # Ana and cleo sat together all the time; only ben is new to both, and only he asks.
    for one, other in ((ANA, BEN), (BEN, ANA), (CLEO, BEN), (BEN, CLEO)):
        meeting.catch_ups[one].met(other)
    await meeting.settle()
    assert states(nodes) == [["active"]] * 3


async def test_nothing_is_handed_on_to_one_that_has_left() -> None:
    nodes = await die(*PENDING)
    meeting = Meeting(nodes, ANA, BEN)
    meeting.catch_ups[ANA].met(CLEO)
    meeting.catch_ups[ANA].parted(CLEO)
    meeting.post.waiting.clear()
    meeting.catch_ups[ANA].met(BEN)
    await meeting.settle()
    assert not [letter for letter in meeting.post.carried if letter.to == CLEO]


@pytest.mark.parametrize("parted", [False, True])
async def test_one_that_hears_of_a_third_hands_it_on_to_those_that_are_there(*, parted: bool) -> None:
    nodes = await die(*PENDING)
    meeting = Meeting(nodes, *NAMES)
    for name, other in ((ANA, BEN), (BEN, ANA)):
        meeting.catch_ups[name].met(other)
    await meeting.settle()
    assert states(nodes) == [["pending"]] * 3
    if parted:
        meeting.catch_ups[ANA].parted(BEN)
    meeting.catch_ups[ANA].met(CLEO)  # and ben never meets her
    await meeting.settle()
    assert nodes[ANA].states == ["active"]
    assert nodes[BEN].states == (["pending"] if parted else ["active"])


async def test_what_changed_is_told_once() -> None:
    nodes = await die(*PENDING)
    await Meeting(nodes, ANA, BEN).hold()
    await Meeting(nodes, ANA, BEN).hold()
    told = [event.wallet for event in nodes[ANA].events if isinstance(event, WalletChanged)]
    assert [(wallet.state, wallet.signatures) for wallet in told] == [("pending", 2)]
    assert told[0].group_public_keys == {}
    await Meeting(nodes, *NAMES).hold()
    told = [event.wallet for event in nodes[ANA].events if isinstance(event, WalletChanged)]
    assert [(wallet.state, wallet.signatures) for wallet in told] == [("pending", 2), ("active", 3)]


@both
async def test_an_active_wallet_asks_nobody_and_nobody_asks_a_stranger_to_it(*, later: bool) -> None:
    nodes = await die(Dies.AFTER_ACTIVE, Dies.AFTER_ACTIVE, Dies.BEFORE_ACTIVE, later=later)
    meeting = Meeting(nodes, ANA, CLEO)
    meeting.catch_ups[ANA].met(CLEO)
    meeting.catch_ups[CLEO].met(EVE)
    meeting.catch_ups[CLEO].met(CLEO)
    assert not meeting.post.waiting


# --- without an event ---


@both
async def test_while_an_epoch_is_pending_it_is_asked_for_again_without_any_event(
    monkeypatch: pytest.MonkeyPatch, *, later: bool
) -> None:
    monkeypatch.setattr(catch_up, "ASK_EVERY", 0.01)
    nodes = await die(Dies.BEFORE_ACTIVE, Dies.AFTER_ACTIVE, Dies.AFTER_ACTIVE, later=later)
    meeting = Meeting(nodes, ANA, BEN)
    meeting.catch_ups[ANA].met(BEN)
    meeting.post.waiting.clear()  # the server lost it
    async with meeting.asking(ANA), asyncio.timeout(DEADLINE):
        while nodes[ANA].states != active(later=later):
            await meeting.settle()
            await asyncio.sleep(0.005)
    assert nodes[ANA].states == active(later=later)


async def test_once_nothing_is_pending_nobody_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catch_up, "ASK_EVERY", 0.01)
    nodes = await die(Dies.AFTER_ACTIVE, Dies.AFTER_ACTIVE, Dies.AFTER_ACTIVE)
    meeting = Meeting(nodes, ANA, BEN)
    meeting.catch_ups[ANA].met(BEN)
    async with meeting.asking(ANA):
        await asyncio.sleep(0.1)
    assert not meeting.post.waiting


async def test_one_that_has_left_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catch_up, "ASK_EVERY", 0.01)
    nodes = await die(*PENDING)
    meeting = Meeting(nodes, ANA, BEN)
    meeting.catch_ups[ANA].met(BEN)
    meeting.catch_ups[ANA].parted(BEN)
    meeting.post.waiting.clear()
    async with meeting.asking(ANA):
        await asyncio.sleep(0.1)
    assert not meeting.post.waiting


# --- while a session replaces the shares ---


@both
async def test_no_certificate_is_taken_while_a_session_replaces_the_shares(*, later: bool) -> None:
    """That session may be abandoning this very epoch: of two that are complete, only one could be active."""
    nodes = await die(Dies.BEFORE_ACTIVE, Dies.AFTER_ACTIVE, Dies.AFTER_ACTIVE, later=later)
    before = nodes[ANA].states
    meeting = Meeting(nodes, *NAMES)
    meeting.changing.add(nodes[ANA].epoch.statement.wallet_id)
    await meeting.hold()
    assert nodes[ANA].states == before
    assert not nodes[ANA].events
    meeting.changing.clear()
    await Meeting(nodes, ANA, BEN).hold()
    assert nodes[ANA].states == active(later=later)


async def test_another_wallet_s_session_stops_nothing() -> None:
    nodes = await die(Dies.BEFORE_ACTIVE, Dies.AFTER_ACTIVE, Dies.AFTER_ACTIVE)
    meeting = Meeting(nodes, *NAMES)
    meeting.changing.add(WalletId(bytes(16)))
    await meeting.hold()
    assert nodes[ANA].states == ["active"]


# --- strangers and forgers ---


async def handle(node: Node, *openeds: Opened, watch: Callable[[PeerId], None] = lambda _to: None) -> Post:
    """Hand ``node`` messages, and see what it says to it; ``watch`` is told of each answer."""
    post = Post()
    post.start(node.name, *(opened.sender for opened in openeds if opened.sender != node.name))
    one = CatchUp(
        node.wallets,
        post.relays[node.name],
        peer_id=node.name,
        now=lambda: post.now,
        changing=lambda _: False,
        complaints=complaints(node.events),
        emit=node.events.append,
    )
    send = post.relays[node.name].send

    def watched(to: PeerId, message: RelayMessage, **options: Any) -> None:
        watch(to)
        send(to, message, **options)

    post.relays[node.name].send = watched  # type: ignore[method-assign]
    for opened in openeds:
        await one.handle(opened)
    return post


async def test_one_that_asks_without_end_is_answered_so_often_and_no_more_and_that_is_said() -> None:
    nodes = await die(*(Dies.AFTER_ACTIVE,) * 3)
    ask = CertificateRequest(wallet=nodes[ANA].epoch.statement.wallet_id, epoch=nodes[ANA].epoch.epoch_id)
    many = [Opened(BEN, key_of(BEN), ask) for _ in range(ASKED[0] * 3)]
    answered: list[PeerId] = []
    await handle(nodes[ANA], *many, Opened(CLEO, key_of(CLEO), ask), watch=answered.append)
    assert Counter(answered) == {BEN: ASKED[0], CLEO: 1}
    said = [event.message for event in nodes[ANA].events if isinstance(event, Warned)]
    assert said == ["ben asks for certificates, or sends some, without end"] * LINES[0]


def reply(nodes: Nodes, *names: PeerId) -> CertificateReply:
    """The true signatures of ``names``."""
    epoch = nodes[ANA].epoch
    return CertificateReply(
        wallet=epoch.statement.wallet_id,
        epoch=epoch.epoch_id,
        signatures=tuple(
            EpochSignature(key_of(name), nodes[name].epoch.certificate.signatures[key_of(name)])
            for name in sorted(names, key=key_of)
        ),
    )


@both
async def test_a_stranger_is_told_nothing(*, later: bool) -> None:
    nodes = await die(Dies.AFTER_ACTIVE, Dies.AFTER_ACTIVE, Dies.AFTER_ACTIVE, later=later)
    epoch = nodes[ANA].epoch
    wallet_id, epoch_id = epoch.statement.wallet_id, epoch.epoch_id
    request = CertificateRequest(wallet=wallet_id, epoch=epoch_id)
    for opened in (
        Opened(EVE, key_of(EVE), request),
        Opened(BEN, key_of(EVE), request),
        Opened(BEN, key_of(BEN), CertificateRequest(wallet=WalletId(bytes(16)), epoch=epoch_id)),
        Opened(BEN, key_of(BEN), CertificateRequest(wallet=wallet_id, epoch=EpochId(bytes(32)))),
    ):
        assert not (await handle(nodes[ANA], opened)).waiting
    assert (await handle(nodes[ANA], Opened(BEN, key_of(BEN), request))).waiting


@both
async def test_what_a_stranger_brings_has_no_effect(*, later: bool) -> None:
    nodes = await die(*PENDING, later=later)
    before = states(nodes)
    everything = reply(nodes, *NAMES)
    for sender, key in ((EVE, EVE), (BEN, EVE)):
        await handle(nodes[ANA], Opened(sender, key_of(key), everything))
        assert states(nodes) == before
    await handle(nodes[ANA], Opened(BEN, key_of(BEN), everything))
    assert nodes[ANA].states == active(later=later)


def forged(nodes: Nodes) -> list[RelayMessage]:
    honest = reply(nodes, *NAMES)
    signatures = {one.public_key: one.signature for one in honest.signatures}
    bens, cleos = signatures[key_of(BEN)], signatures[key_of(CLEO)]

    def saying(**changes: bytes) -> CertificateReply:
        told = {**signatures, **{key_of(name): signature for name, signature in changes.items()}}
        return replaced(signatures=tuple(EpochSignature(key, told[key]) for key in sorted(told)))

    def replaced(**changes: Any) -> CertificateReply:
        fields = {"wallet": honest.wallet, "epoch": honest.epoch, "signatures": honest.signatures, **changes}
        return CertificateReply(**fields)

    def without_cleo() -> tuple[EpochSignature, ...]:
        others = {key_of(ANA): signatures[key_of(ANA)], key_of(BEN): bens, key_of(EVE): cleos}
        return tuple(EpochSignature(key, others[key]) for key in sorted(others))

    return [
        saying(cleo=bens),
        saying(cleo=bytes(64)),
        saying(cleo=identity(CLEO).sign(tags.READY, bytes(32))),
        saying(cleo=identity(EVE).sign(tags.READY, honest.epoch)),
        replaced(epoch=EpochId(bytes(32))),
        replaced(signatures=without_cleo()),
        replaced(signatures=()),
        replaced(wallet=WalletId(bytes(16))),
    ]


@both
@pytest.mark.parametrize("which", range(8))
async def test_a_forged_certificate_makes_nothing_active_and_harms_nothing(which: int, *, later: bool) -> None:
    nodes = await die(*PENDING, later=later)
    before = states(nodes)
    ben = key_of(BEN)
    await handle(nodes[ANA], Opened(BEN, ben, forged(nodes)[which]))
    assert states(nodes) == before
    await handle(nodes[ANA], Opened(BEN, ben, reply(nodes, BEN, CLEO)))
    assert nodes[ANA].states == active(later=later)


async def test_the_certificate_of_the_epoch_before_completes_no_later_one() -> None:
    nodes = await die(*PENDING, later=True)
    wallet = nodes[ANA].wallet
    assert wallet is not None
    old = wallet.require_active().certificate
    honest = reply(nodes, *NAMES)
    replayed = tuple(EpochSignature(key, old.signatures[key]) for key in sorted(old.signatures))
    brought = CertificateReply(wallet=honest.wallet, epoch=honest.epoch, signatures=replayed)
    await handle(nodes[ANA], Opened(BEN, key_of(BEN), brought))
    assert nodes[ANA].states == ["active", "pending"]
    assert nodes[ANA].epoch.certificate.signatures.keys() == {key_of(ANA)}


@both
async def test_a_certificate_that_cannot_be_stored_is_a_warning_and_is_taken_the_next_time(*, later: bool) -> None:
    nodes = await die(Dies.BEFORE_ACTIVE, Dies.AFTER_ACTIVE, Dies.AFTER_ACTIVE, later=later)
    ana = nodes[ANA]
    before = ana.states

    def full(_header: dict[str, Any]) -> None:
        raise KeystoreUnwritable("no space left")

    ana.home.before_save = full
    await Meeting(nodes, ANA, BEN).hold()
    assert ana.states == before
    assert {type(event) for event in ana.events} == {Warned}
    assert "treasury stays pending: no space left" in cast("Warned", ana.events[0]).message
    ana.home.before_save = lambda _header: None
    await Meeting(nodes, ANA, BEN, CLEO).hold()
    assert ana.states == active(later=later)


async def test_other_messages_are_none_of_its_business() -> None:
    nodes = await die(*PENDING)
    cancel = SessionCancel(SessionId(bytes(16)), "internal", "")
    assert not (await handle(nodes[ANA], Opened(BEN, key_of(BEN), cancel))).waiting
    assert LASTS > 0
