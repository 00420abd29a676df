"""Nodes that died while a wallet was being finished, and what they make of it when they meet again."""

import itertools
from dataclasses import dataclass, field
from enum import IntEnum
from typing import cast

import pytest

from mpcnode.errors import KeystoreUnwritable
from mpcnode.protocols.frost.keygen import StoreActive, StorePending
from mpcnode.session.catch_up import LASTS, CatchUp
from mpcnode.session.sealed_relay import Opened
from mpcnode.status import Event, WalletChanged, Warned
from mpcnode.types import PeerId
from mpcnode.wallet.wallet import State, Wallet
from mpcnode.wire.relay import CertificateReply, CertificateRequest, RelayMessage, SessionCancel
from tests.helpers.relays import ANA, BEN, CLEO, EVE, NOW, Post, key_of
from tests.helpers.sessions import SESSION, MemoryHome, deliver, run_until_pending, wallets_in
from tests.helpers.sessions import THREE as NAMES


class Dies(IntEnum):
    """When a node dies, in the order of the steps."""

    BEFORE_PENDING = 0
    AFTER_PENDING = 1
    READY_HALF_SENT = 2
    BEFORE_ACTIVE = 3
    AFTER_ACTIVE = 4


@dataclass
class Node:
    """A node between two lives: what is on its disk."""

    name: PeerId
    home: MemoryHome = field(default_factory=MemoryHome)
    events: list[Event] = field(default_factory=list)

    @property
    def wallet(self) -> Wallet | None:
        return wallets_in(self.home, self.name).of_session(SESSION)

    @property
    def state(self) -> State | None:
        return self.wallet.state if self.wallet else None


async def die(*when: Dies) -> dict[PeerId, Node]:
    """Finish a wallet with nodes that die at these moments."""
    nodes = {name: Node(name) for name in NAMES}
    dies = dict(zip(NAMES, when, strict=True))
    executions = run_until_pending()
    for name, execution in executions.items():
        record = execution.checkpoint
        assert isinstance(record, StorePending)
        if dies[name] >= Dies.AFTER_PENDING:
            await wallets_in(nodes[name].home, name).store_pending(record, words_compared=True, now=NOW)
        if dies[name] >= Dies.READY_HALF_SENT:
            execution.confirm()
    for name in NAMES:
        if dies[name] >= Dies.READY_HALF_SENT:
            deliver(executions, name, only=1 if dies[name] == Dies.READY_HALF_SENT else 2)
    for name, execution in executions.items():
        record = execution.checkpoint
        if isinstance(record, StoreActive) and dies[name] >= Dies.AFTER_ACTIVE:
            await wallets_in(nodes[name].home, name).merge(SESSION, record.certificate)
        execution.close()
    return nodes


class Meeting:
    """Some of the nodes in one room, each in a new life."""

    def __init__(self, nodes: dict[PeerId, Node], *names: PeerId) -> None:
        self.post = Post()
        self.post.start(*names)
        self.catch_ups = {
            name: CatchUp(
                wallets_in(nodes[name].home, name),
                self.post.relays[name],
                peer_id=name,
                now=lambda: self.post.now,
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
            for name, catch_up in self.catch_ups.items():
                opened = self.post.opened(name)
                for one in opened[self._heard[name] :]:
                    await catch_up.handle(one)
                self._heard[name] = len(opened)
        assert not any(self.post.errors.values())


def states(nodes: dict[PeerId, Node]) -> list[State | None]:
    return [node.state for node in nodes.values()]


async def check(*when: Dies) -> None:
    nodes = await die(*when)
    durable = Dies.BEFORE_PENDING not in when
    if not durable:
        assert State.ACTIVE not in states(nodes)
    await Meeting(nodes, *NAMES).hold()
    if durable:
        assert states(nodes) == [State.ACTIVE] * 3
    else:
        assert set(states(nodes)) <= {State.PENDING, None}
    for one, node in zip(when, nodes.values(), strict=True):
        assert (node.state is None) == (one is Dies.BEFORE_PENDING)


@pytest.mark.parametrize("when", list(itertools.combinations_with_replacement(Dies, 3)))
async def test_once_they_meet_all_are_active_or_somebody_never_had_a_share(when: tuple[Dies, ...]) -> None:
    await check(*when)


@pytest.mark.slow
@pytest.mark.parametrize("when", list(itertools.product(Dies, repeat=3)))
async def test_whoever_of_them_died_when(when: tuple[Dies, ...]) -> None:
    await check(*when)


@pytest.mark.parametrize("who", range(3))
@pytest.mark.parametrize("others", [Dies.AFTER_PENDING, Dies.BEFORE_ACTIVE])
async def test_a_promise_that_reached_one_alone_is_a_promise(who: int, others: Dies) -> None:
    when = [others] * 3
    when[who] = Dies.READY_HALF_SENT
    await check(*when)


async def test_an_active_wallet_has_the_share_it_was_stored_with() -> None:
    nodes = await die(Dies.AFTER_PENDING, Dies.BEFORE_ACTIVE, Dies.AFTER_PENDING)
    before = {name: node.home.files.copy() for name, node in nodes.items()}
    await Meeting(nodes, *NAMES).hold()
    for name, node in nodes.items():
        assert [secret for _, secret in node.home.files.values()] == [secret for _, secret in before[name].values()]
        wallet = node.wallet
        assert wallet is not None
        assert wallet.missing == ()
        assert wallet.certificate.verify(wallet.identity_keys)


@pytest.mark.parametrize("pairs", list(itertools.permutations(itertools.combinations(NAMES, 2))))
async def test_they_need_not_all_be_there_at_once(pairs: tuple[tuple[PeerId, PeerId], ...]) -> None:
    nodes = await die(Dies.AFTER_PENDING, Dies.AFTER_PENDING, Dies.AFTER_PENDING)
    for pair in pairs:
        await Meeting(nodes, *pair).hold()
    # After the second meeting one node knows everything, after the third two do.
    assert states(nodes).count(State.ACTIVE) >= 2
    for pair in pairs[:2]:
        await Meeting(nodes, *pair).hold()
    assert states(nodes) == [State.ACTIVE] * 3


async def test_one_who_knows_tells_another_of_a_third_who_never_comes_back() -> None:
    nodes = await die(Dies.AFTER_ACTIVE, Dies.AFTER_PENDING, Dies.BEFORE_ACTIVE)
    await Meeting(nodes, ANA, CLEO).hold()
    await Meeting(nodes, ANA, BEN).hold()
    await Meeting(nodes, ANA, CLEO).hold()
    assert states(nodes) == [State.ACTIVE] * 3


async def test_two_who_wait_for_a_third_hear_from_each_other_what_it_told_them() -> None:
    nodes = await die(Dies.AFTER_PENDING, Dies.AFTER_PENDING, Dies.AFTER_PENDING)
    meeting = Meeting(nodes, *NAMES)
    # Ana and cleo sat together all the time; only ben is new to both, and only he asks.
    for one, other in ((ANA, BEN), (BEN, ANA), (CLEO, BEN), (BEN, CLEO)):
        meeting.catch_ups[one].met(other)
    await meeting.settle()
    assert states(nodes) == [State.ACTIVE] * 3


async def test_nothing_is_handed_on_to_who_has_left() -> None:
    nodes = await die(Dies.AFTER_PENDING, Dies.AFTER_PENDING, Dies.AFTER_PENDING)
    meeting = Meeting(nodes, ANA, BEN)
    meeting.catch_ups[ANA].met(CLEO)
    meeting.catch_ups[ANA].parted(CLEO)
    meeting.post.waiting.clear()
    meeting.catch_ups[ANA].met(BEN)
    await meeting.settle()
    assert not [letter for letter in meeting.post.carried if letter.to == CLEO]


@pytest.mark.parametrize("parted", [False, True])
async def test_who_hears_of_a_third_hands_it_on_to_those_who_are_there(*, parted: bool) -> None:
    nodes = await die(Dies.AFTER_PENDING, Dies.AFTER_PENDING, Dies.AFTER_PENDING)
    meeting = Meeting(nodes, *NAMES)
    for name, other in ((ANA, BEN), (BEN, ANA)):
        meeting.catch_ups[name].met(other)
    await meeting.settle()
    assert states(nodes) == [State.PENDING] * 3
    if parted:
        meeting.catch_ups[ANA].parted(BEN)
    meeting.catch_ups[ANA].met(CLEO)  # and ben never meets her
    await meeting.settle()
    assert nodes[ANA].state is State.ACTIVE
    assert nodes[BEN].state is (State.PENDING if parted else State.ACTIVE)


async def test_what_changed_is_told_once() -> None:
    nodes = await die(Dies.AFTER_PENDING, Dies.AFTER_PENDING, Dies.AFTER_PENDING)
    await Meeting(nodes, ANA, BEN).hold()
    await Meeting(nodes, ANA, BEN).hold()
    told = [event.wallet for event in nodes[ANA].events if isinstance(event, WalletChanged)]
    assert [(wallet.state, wallet.signatures) for wallet in told] == [("pending", 2)]
    assert told[0].group_public_keys == {}
    await Meeting(nodes, *NAMES).hold()
    told = [event.wallet for event in nodes[ANA].events if isinstance(event, WalletChanged)]
    assert [(wallet.state, wallet.signatures) for wallet in told] == [("pending", 2), ("active", 3)]


async def test_an_active_wallet_asks_nobody_and_nobody_asks_a_stranger_to_it() -> None:
    nodes = await die(Dies.AFTER_ACTIVE, Dies.AFTER_ACTIVE, Dies.BEFORE_ACTIVE)
    meeting = Meeting(nodes, ANA, CLEO)
    meeting.catch_ups[ANA].met(CLEO)
    meeting.catch_ups[CLEO].met(EVE)
    meeting.catch_ups[CLEO].met(CLEO)
    assert not meeting.post.waiting


async def handle(node: Node, *openeds: Opened) -> Post:
    """Hand ``node`` messages, and see what it says to it."""
    post = Post()
    post.start(node.name, *(opened.sender for opened in openeds if opened.sender != node.name))
    catch_up = CatchUp(
        wallets_in(node.home, node.name),
        post.relays[node.name],
        peer_id=node.name,
        now=lambda: post.now,
        emit=node.events.append,
    )
    for opened in openeds:
        await catch_up.handle(opened)
    return post


def reply(nodes: dict[PeerId, Node], *names: PeerId) -> CertificateReply:
    """The true signatures of ``names``."""
    signatures, transcript = {}, b""
    for name in names:
        wallet = nodes[name].wallet
        assert wallet is not None
        transcript = wallet.certificate.transcript
        signatures[name] = wallet.certificate.signatures[name].hex()
    return CertificateReply(SESSION, transcript.hex(), cast("dict[str, str]", signatures))


async def test_a_stranger_is_told_nothing() -> None:
    nodes = await die(Dies.AFTER_ACTIVE, Dies.AFTER_ACTIVE, Dies.AFTER_ACTIVE)
    request = CertificateRequest(SESSION)
    for opened in (
        Opened(EVE, key_of(EVE), request),
        Opened(BEN, key_of(EVE), request),
        Opened(BEN, key_of(BEN), CertificateRequest("0f" * 16)),
    ):
        assert not (await handle(nodes[ANA], opened)).waiting
    assert (await handle(nodes[ANA], Opened(BEN, key_of(BEN), request))).waiting


async def test_what_a_stranger_brings_has_no_effect() -> None:
    nodes = await die(Dies.AFTER_PENDING, Dies.AFTER_PENDING, Dies.AFTER_PENDING)
    everything = reply(nodes, *NAMES)
    for sender, key in ((EVE, EVE), (BEN, EVE)):
        await handle(nodes[ANA], Opened(sender, key_of(key), everything))
        assert states(nodes) == [State.PENDING] * 3
    await handle(nodes[ANA], Opened(BEN, key_of(BEN), everything))
    assert nodes[ANA].state is State.ACTIVE


def forged(nodes: dict[PeerId, Node]) -> list[RelayMessage]:
    honest = reply(nodes, *NAMES)
    bens, cleos = honest.signatures[BEN], honest.signatures[CLEO]
    return [
        CertificateReply(SESSION, honest.transcript, {**honest.signatures, CLEO: bens}),
        CertificateReply(SESSION, honest.transcript, {**honest.signatures, CLEO: "00" * 64}),
        CertificateReply(SESSION, "00" * 32, honest.signatures),
        CertificateReply(SESSION, honest.transcript, {ANA: cleos, BEN: bens, EVE: cleos}),
        CertificateReply(SESSION, honest.transcript, {}),
        CertificateReply("0f" * 16, honest.transcript, honest.signatures),
    ]


@pytest.mark.parametrize("which", range(6))
async def test_a_forged_certificate_makes_nothing_active_and_harms_nothing(which: int) -> None:
    nodes = await die(Dies.AFTER_PENDING, Dies.AFTER_PENDING, Dies.AFTER_PENDING)
    ben = key_of(BEN)
    await handle(nodes[ANA], Opened(BEN, ben, forged(nodes)[which]))
    assert states(nodes) == [State.PENDING] * 3
    await handle(nodes[ANA], Opened(BEN, ben, reply(nodes, BEN, CLEO)))
    assert nodes[ANA].state is State.ACTIVE


async def test_a_certificate_that_cannot_be_stored_is_a_warning_and_is_taken_the_next_time() -> None:
    nodes = await die(Dies.AFTER_PENDING, Dies.AFTER_ACTIVE, Dies.AFTER_ACTIVE)
    ana = nodes[ANA]

    def full(_state: str) -> None:
        raise KeystoreUnwritable("no space left")

    ana.home.before_save = full
    await Meeting(nodes, ANA, BEN).hold()
    assert ana.state is State.PENDING
    assert {type(event) for event in ana.events} == {Warned}
    ana.home.before_save = lambda _state: None
    await Meeting(nodes, ANA, BEN, CLEO).hold()
    assert states(nodes)[0] is State.ACTIVE


async def test_other_messages_are_none_of_its_business() -> None:
    nodes = await die(Dies.AFTER_PENDING, Dies.AFTER_PENDING, Dies.AFTER_PENDING)
    assert not (await handle(nodes[ANA], Opened(BEN, key_of(BEN), SessionCancel(SESSION, "internal", "")))).waiting
    assert LASTS > 0
