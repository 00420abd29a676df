"""Several meshes in one process, their signals carried by hand: who sees what, and what is left behind."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import pytest
from nacl.bindings import crypto_sign, crypto_sign_seed_keypair

from mpcnode.crypto.transcript import tagged_hash
from mpcnode.errors import MpcError
from mpcnode.mesh.memory import MemoryNetwork
from mpcnode.mesh.mesh import Mesh
from mpcnode.mesh.peerlink import PeerLink
from mpcnode.mesh.pool import Channel, OnLink, Pool, SharedMesh
from mpcnode.mesh.transport import Connector, LinkChange, Local, MeshTimeouts, Sign, Signal, from_relay
from mpcnode.types import IdentityKey, PeerId, SessionId, SuiteId
from mpcnode.wire import relay
from mpcnode.wire.peer import PeerMessage, RoundMessage
from mpcnode.wire.relay import NegotiationMessage

SESSION: Final = SessionId(b"\x5e" * 16)
OTHER: Final = SessionId(b"\x6f" * 16)
FAST: Final = MeshTimeouts(attempt=0.3, tries=3, grace=0.3, ping=0.05, quiet=0.25, dead=0.6, announce=0.05, linger=0.2)
"""Short enough for a test that waits for a deadline, long enough for a loaded machine to keep all the others."""


def key_of(peer_id: PeerId) -> tuple[IdentityKey, bytes]:
    """Make the identity of a node from its name."""
    public, secret = crypto_sign_seed_keypair(peer_id.encode().ljust(32, b"\x00")[:32])
    return IdentityKey(public), secret


def signer(peer_id: PeerId) -> Sign:
    """Make what signs as ``peer_id``."""
    secret = key_of(peer_id)[1]
    return lambda tag, *fields: crypto_sign(tagged_hash(tag, *fields), secret)[:64]


def names(count: int) -> list[PeerId]:
    """Name ``count`` nodes, sorted."""
    return [PeerId(f"node{number:02}") for number in range(1, count + 1)]


@dataclass
class Meshes:
    """The meshes of one session, by node; ``tamper`` may change or drop (None) a signal on its way."""

    nodes: dict[PeerId, Mesh] = field(default_factory=dict)
    changes: dict[PeerId, list[LinkChange]] = field(default_factory=dict)
    signals: list[tuple[PeerId, PeerId, Signal]] = field(default_factory=list)
    tamper: Callable[[PeerId, PeerId, Signal], Signal | None] = lambda _sender, _to, signal: signal

    def __getitem__(self, node: PeerId) -> Mesh:
        return self.nodes[node]

    def carry(self, sender: PeerId, to: PeerId, message: relay.Signal) -> None:
        assert message.mesh == SESSION
        signal = from_relay(message)
        self.signals.append((sender, to, signal))
        changed = self.tamper(sender, to, signal)
        if changed is not None and to in self.nodes:
            asyncio.get_running_loop().call_soon(self.nodes[to].handle_signal, sender, changed)

    async def open(self) -> None:
        async with asyncio.TaskGroup() as group:
            for mesh in self.nodes.values():
                group.create_task(mesh.open())

    async def outcomes(self) -> dict[PeerId, BaseException | None]:
        """Open all, and say how it ended for each."""
        results = await asyncio.gather(*(mesh.open() for mesh in self.nodes.values()), return_exceptions=True)
        return dict(zip(self.nodes, results, strict=True))


@asynccontextmanager
async def meshes(
    nodes: Sequence[PeerId],
    connector: Callable[[PeerId], Connector],
    *,
    timeouts: MeshTimeouts = FAST,
    sign: Callable[[PeerId], Sign] = signer,
) -> AsyncIterator[Meshes]:
    """Give meshes that are closed, and leave no task, at the end."""
    before = asyncio.all_tasks()
    made = Meshes()
    roster = {node: key_of(node)[0] for node in nodes}
    for node in nodes:
        made.changes[node] = []
        local = Local(
            peer_id=node,
            sign=sign(node),
            connector=connector(node),
            signal=lambda to, _key, signal, node=node: made.carry(node, to, signal),  # type: ignore[misc]
            timeouts=timeouts,
        )
        made.nodes[node] = Mesh(local, SESSION, roster, made.changes[node].append)
    try:
        yield made
    finally:
        await asyncio.gather(*(mesh.close() for mesh in made.nodes.values()))
    left = asyncio.all_tasks() - before
    assert not left, left


SUITE: Final = SuiteId("FROST-ED25519-SHA512-v1")


def digest(text: bytes, session_id: SessionId = SESSION) -> RoundMessage:
    return RoundMessage(session_id=session_id, round="digest", lane=SUITE, data=text)


def share(text: bytes) -> RoundMessage:
    return RoundMessage(session_id=SESSION, round="share", lane=SUITE, data=text)


def link(made: Meshes, node: PeerId, other: PeerId) -> PeerLink:
    return made[node]._links[other]


def inject(made: Meshes, node: PeerId, other: PeerId, data: bytes) -> None:
    """Let ``node`` put bytes of its choice on its channel to ``other``."""
    attempt = link(made, node, other)._attempt
    assert attempt is not None
    attempt.send(data)


async def outcome_of(made: Meshes, node: PeerId) -> None:
    """Open all, wait for one; the others are closed with the rest."""
    others = [asyncio.create_task(mesh.open()) for other, mesh in made.nodes.items() if other != node]
    try:
        async with asyncio.timeout(5):
            await made[node].open()
    finally:
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


async def failure(made: Meshes, node: PeerId) -> MpcError:
    """Wait for what ends the mesh of ``node``, which has nothing to receive any more."""
    async with asyncio.timeout(5):
        with pytest.raises(MpcError) as caught:
            await made[node].receive()
    return caught.value


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what no event tells."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


@dataclass
class Seat:
    """One node with a pool of meshes, and what its pool told it."""

    name: PeerId
    pool: Pool
    negotiated: list[tuple[PeerId, IdentityKey, NegotiationMessage]] = field(default_factory=list)
    lost: list[tuple[PeerId, ...]] = field(default_factory=list)
    early: list[tuple[PeerId, Signal]] = field(default_factory=list)
    """Signals for meshes that this node did not open."""
    made: list[Mesh] = field(default_factory=list)


class Pools:
    """The pools of several nodes; signals are carried by hand."""

    def __init__(self, nodes: Sequence[PeerId], network: MemoryNetwork, *, idle: float, timeouts: MeshTimeouts) -> None:
        self.roster = {node: key_of(node)[0] for node in nodes}
        self.seats: dict[PeerId, Seat] = {}
        for node in nodes:
            self.seats[node] = self._seat(node, network, idle=idle, timeouts=timeouts)

    def __getitem__(self, node: PeerId) -> Seat:
        return self.seats[node]

    def _seat(self, node: PeerId, network: MemoryNetwork, *, idle: float, timeouts: MeshTimeouts) -> Seat:
        local = Local(
            peer_id=node,
            sign=signer(node),
            connector=network.connector(node),
            signal=lambda to, key, message: self._carry(node, to, key, message),
            timeouts=timeouts,
        )

        seat: Seat

        def make(local: Local, mesh_id: SessionId, roster: Mapping[PeerId, IdentityKey], on_link: OnLink) -> Mesh:
            seat.made.append(Mesh(local, mesh_id, roster, on_link))
            return seat.made[-1]

        seat = Seat(
            node,
            Pool(
                local,
                negotiate=lambda sender, key, message: seat.negotiated.append((sender, key, message)),
                lost=lambda peers: seat.lost.append(tuple(peers)),
                idle=idle,
                make=make,
            ),
        )
        return seat

    def _carry(self, sender: PeerId, to: PeerId, key: IdentityKey, message: relay.Signal) -> None:
        assert key == key_of(to)[0]

        def arrive() -> None:
            seat = self.seats[to]
            if not seat.pool.handle_signal(SessionId(message.mesh), sender, key_of(sender)[0], from_relay(message)):
                seat.early.append((sender, from_relay(message)))

        asyncio.get_running_loop().call_soon(arrive)

    async def open(self, mesh_id: SessionId = SESSION, nodes: Sequence[PeerId] = ()) -> dict[PeerId, SharedMesh]:
        """Open a mesh of some nodes, or of all."""
        roster = {node: self.roster[node] for node in nodes or self.seats}
        opening = (self.seats[node].pool.open(mesh_id, roster) for node in roster)
        return dict(zip(roster, await asyncio.gather(*opening), strict=True))


@asynccontextmanager
async def pools(
    nodes: Sequence[PeerId],
    network: MemoryNetwork,
    *,
    idle: float = 60.0,
    timeouts: MeshTimeouts = FAST,
) -> AsyncIterator[Pools]:
    """Give pools that leave no task and no link behind."""
    before = asyncio.all_tasks()
    made = Pools(nodes, network, idle=idle, timeouts=timeouts)
    try:
        yield made
    finally:
        await asyncio.gather(*(seat.pool.close() for seat in made.seats.values()))
    left = asyncio.all_tasks() - before
    assert not left, left
    assert network.links == {}


async def heard_on(channel: Channel) -> tuple[PeerId, PeerMessage]:
    """Give the next message of a session."""
    async with asyncio.timeout(5):
        return await channel.receive()
