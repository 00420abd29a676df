"""A mesh: the links of one roster, each with the right node at its other end, and messages with their senders."""

import asyncio
import enum
from collections.abc import Callable, Coroutine, Mapping
from types import TracebackType
from typing import Final, Self

from mpcnode.blame import Came, Event, heard, judge
from mpcnode.errors import MpcError
from mpcnode.mesh import channel
from mpcnode.mesh.channel import Ends
from mpcnode.mesh.inbox import Inbox
from mpcnode.mesh.peerlink import PeerLink
from mpcnode.mesh.scope import Scope
from mpcnode.mesh.topology import LinkMap, Topology
from mpcnode.mesh.transport import LinkChange, LinkState, Local, Signal
from mpcnode.mesh.watch import Watch
from mpcnode.types import IdentityKey, PeerId, SessionId
from mpcnode.wire.peer import Abort, ChannelOpen, Idle, MeshReady, PeerMessage

MAX_WAITING: Final = 4096
"""How many messages of one peer may wait for ``receive``; a whole key generation has less than thirty."""
MAX_WAITING_BYTES: Final = 33_554_432


class Stage(enum.Enum):
    """How far a mesh is."""

    NEW = enum.auto()
    OPENING = enum.auto()
    OPEN = enum.auto()
    CLOSED = enum.auto()


class Mesh:
    """Makes and keeps the links of one roster; ``async with`` it, or await ``close`` whatever happens.

    Args:
        local: what this node lends.
        mesh_id: what everybody calls the mesh: the session it is opened for.
        roster: every node and its identity key, this node too.
        on_link: told of every change of a link.
    """

    def __init__(
        self,
        local: Local,
        mesh_id: SessionId,
        roster: Mapping[PeerId, IdentityKey],
        on_link: Callable[[LinkChange], None] = lambda _change: None,
    ) -> None:
        self.mesh_id = mesh_id
        self.changed = on_link
        self._local = local
        self._map = LinkMap(roster)
        # An exception that escapes a task is a defect of ours; it is passed on to the code that waits.
        self._scope = Scope(self.failed)
        mine = roster[local.peer_id]
        self._links = {
            peer: PeerLink(Ends(mesh_id, local.peer_id, mine, peer, key), local, self)
            for peer, key in sorted(roster.items())
            if peer != local.peer_id
        }
        self._inbox = Inbox(messages=MAX_WAITING, bytes_=MAX_WAITING_BYTES)
        self._watch = Watch()
        self._stage = Stage.NEW
        self._opened_at = 0.0
        self._clock: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def peer_id(self) -> PeerId:
        """This node."""
        return self._local.peer_id

    @property
    def topology(self) -> Topology:
        """Which links are known to be up, and which nodes are ready."""
        return self._map.view

    def round_trip(self, peer: PeerId) -> float | None:
        """Give the last round-trip time to ``peer`` in seconds; None before the first is measured."""
        return self._links[peer].round_trip

    def handle_signal(self, sender: PeerId, signal: Signal) -> None:
        """Take a signal; an early one waits until ``open``, one of a stranger concerns no link of this mesh.

        Args:
            sender: the node that sealed it.
            signal: what it was.
        """
        if sender in self._links and self._stage is not Stage.CLOSED:
            self._links[sender].handle_signal(signal)

    async def open(self) -> None:
        """Make all links at once, and wait until every node has all of its own.

        Raises:
            LinkFailed: a link of this node does not open, or, named by its ends, one between two others.
            IdentityCheckFailed: the other end of a channel is not the peer it should be; nothing it sent was taken.
            ParticipantSilent: a node gives no sign of life.
            ParticipantAborted: a node stopped the session.
            ParticipantCheated: a node sent what no honest node sends.
        """
        if self._stage is not Stage.NEW:
            raise RuntimeError("a mesh is opened once")
        self._stage = Stage.OPENING
        timeouts = self._local.timeouts
        self._opened_at = self.now()
        self._clock = self._scope.spawn(self._tick(), f"mesh {self.peer_id} clock")
        for link in self._links.values():
            link.start()
        if not await self._watch.within(timeouts.all_tries + timeouts.grace, self._is_ready):
            raise self._what_is_missing()
        self._stage = Stage.OPEN

    def send(self, to: PeerId, message: PeerMessage, *, heard: bool = False) -> None:
        """Send ``message``; never blocks. ``receive`` raises what sending fails of.

        Args:
            to: a node of the roster; the message waits while its link is built again.
            message: what to say.
            heard: whether ``flush`` waits until ``to`` has acknowledged it.
        """
        self._links[to].send(message, heard=heard)

    def broadcast(self, message: PeerMessage, *, heard: bool = False) -> None:
        """Send ``message`` to every other node."""
        for link in self._links.values():
            link.send(message, heard=heard)

    async def receive(self) -> tuple[PeerId, PeerMessage]:
        """Wait for the next message: in order for each sender and session, its sender stamped from the channel.

        Raises:
            MpcError: what ended the mesh, as in ``open``, once every message that came before is taken.
        """
        return await self._inbox.get()

    async def flush(self, seconds: float) -> frozenset[PeerId]:
        """Wait until every message that must be heard is acknowledged.

        Args:
            seconds: how long to wait at most.

        Returns:
            The peers that did not acknowledge everything.
        """
        await self._watch.within(seconds, lambda: not any(link.owes and not link.gone for link in self._links.values()))
        return frozenset(peer for peer, link in self._links.items() if link.owes)

    def release(self, peer: PeerId) -> None:
        """Expect nothing more of ``peer``: it may leave.

        While its channel is there, what is sent to it still arrives, and ``flush`` still waits for it.
        """
        self._links[peer].release()
        self._watch.stir()

    async def close(self) -> None:
        """Say that the mesh is closed, let that be taken, for a moment; then end every link, task, timer and socket."""
        try:
            if self._stage is not Stage.CLOSED:
                await self._say_goodbye()
        finally:  # cancelled in its last words or not, nothing of it is left
            self._stage = Stage.CLOSED
            self._inbox.fail(RuntimeError("the mesh is closed"))
            if self._clock is not None:
                self._clock.cancel()
            for link in self._links.values():
                link.stop()
            self._watch.stir()
            await self._scope.join()

    # What the links ask of the mesh.

    def now(self) -> float:
        """Read the loop's clock."""
        return asyncio.get_running_loop().time()

    def spawn(self, work: Coroutine[None, None, None], name: str) -> object:
        """Run a task that the mesh waits for when it closes."""
        return self._scope.spawn(work, name)

    def verified(self, peer: PeerId) -> None:
        """Note that the channel to ``peer`` is verified."""
        # This node's word about its own links is as good as the other end's.
        self._map.claim(self.peer_id, peer)
        self._map.claim(peer, self.peer_id)
        if not self._map.is_ready(self.peer_id) and all(link.verified for link in self._links.values()):
            self._map.mark_ready(self.peer_id)
            self.broadcast(MeshReady(self.mesh_id))
        self._watch.stir()

    def lost(self, peer: PeerId) -> None:
        """Note that the channel to ``peer`` is gone; it is being built again."""
        self._map.withdraw(self.peer_id, peer)
        self._map.withdraw(peer, self.peer_id)
        self._watch.stir()

    def acknowledged(self) -> None:
        """Note that something was acknowledged."""
        self._watch.stir()

    def failed(self, error: BaseException) -> None:
        """End the mesh; the first reason counts."""
        self._inbox.fail(error)
        self._watch.stir()

    def taken(self, peer: PeerId, message: PeerMessage) -> None:
        """Take a message of ``peer``."""
        match message:
            case ChannelOpen():
                self._take_announcement(peer, message)
            case MeshReady():
                self._take_ready(peer, message)
            case Idle() if message.mesh != self.mesh_id:
                self._cheated(peer, "the end of another mesh")
            case Idle():
                self._links[peer].release()  # that its channel closes now is not a failure
                self._hand_up(peer, message)
            case Abort() if self._stage is not Stage.OPEN:
                self._links[peer].release()
                self.failed(
                    heard(
                        Came.LINK,
                        peer,
                        code=message.code,
                        reason=message.reason,
                        named=message.culprits,
                        me=self.peer_id,
                        among=self._links,
                    )
                )
                self._hand_up(peer, message)
            case _:
                self._hand_up(peer, message)
        self._watch.stir()

    def _take_announcement(self, peer: PeerId, message: ChannelOpen) -> None:
        honest = (
            message.signature is None
            and message.mesh == self.mesh_id
            and message.public_key == self._links[peer].ends.peer_key
            and self._map.claim(peer, PeerId(message.peer_id))
        )
        if not honest:
            self._cheated(peer, "an announcement that fits nothing")

    def _take_ready(self, peer: PeerId, message: MeshReady) -> None:
        if message.mesh != self.mesh_id or not self._map.mark_ready(peer):
            self._cheated(peer, "a mesh_ready of another mesh, or a second one")
            return
        self.changed(LinkChange(peer, LinkState.READY, self._links[peer].attempt))

    def _hand_up(self, peer: PeerId, message: PeerMessage) -> None:
        if not self._inbox.put(peer, message):
            self._cheated(peer, "more messages than any session has")

    def _cheated(self, peer: PeerId, what: str) -> None:
        self._links[peer].stop()
        said = f"{peer} sent what no honest node sends: {what}"
        self.failed(judge(Came.LINK, Event.MISPLACED, said, [peer]))

    def _is_ready(self) -> bool:
        if self._inbox.failure is not None:
            raise self._inbox.failure
        return self._map.all_ready

    async def _tick(self) -> None:
        """Look at every clock, and be fair: what a peer could not say while this process stood still is excused."""
        timeouts = self._local.timeouts
        before = self.now()
        while True:
            await asyncio.sleep(timeouts.tick)
            now = self.now()
            late = now - before - timeouts.tick
            for link in self._links.values():
                if late > timeouts.ping:
                    link.liveness.excuse(late)
                link.tick()
            if not self._map.is_ready(self.peer_id) and now - self._opened_at >= timeouts.announce:
                self._announce()
            before = self.now()

    def _announce(self) -> None:
        """Tell everybody which links are up; ``mesh_ready`` says it of all, so a mesh that opens fast says no more."""
        up = [peer for peer, link in self._links.items() if link.verified]
        for peer in up:
            link = self._links[peer]
            for other in up:
                if other != peer and other not in link.announced:
                    link.announced.add(other)
                    link.send(channel.announce(link.ends, other))

    def _what_is_missing(self) -> MpcError:
        """Name whom everybody waits for."""
        view = self._map.view
        for peer, link in self._links.items():
            if not link.answered:
                said = f"{peer} did not answer when its link was to be made"
                return judge(Came.CLOCK, Event.SILENCE, said, [peer])
        for one, other in view.broken:
            if self.peer_id in {one, other}:
                peer = other if one == self.peer_id else one
                return judge(Came.CLOCK, Event.NO_LINK, f"the link to {peer} did not open in time", [peer])
        if view.broken:
            one, other = view.broken[0]
            said = f"the link between {one} and {other} did not open in time"
            return judge(Came.CLOCK, Event.NO_LINK, said, [one, other])
        late = [peer for peer in view.nodes if peer not in view.ready]
        return judge(Came.CLOCK, Event.SILENCE, f"{', '.join(late)} did not say that the mesh is ready", late)

    async def _say_goodbye(self) -> None:
        """Wait, for a moment, until what was sent last is taken: an ``abort`` must not die with its channel.

        A mesh that failed, or never opened, is not called closed: the others find out themselves what is wrong with it.
        """
        if self._stage is Stage.OPEN and self._inbox.failure is None:
            self.broadcast(Idle(self.mesh_id))
        for link in self._links.values():
            if link.lingers:
                link.ping()
        await self._watch.within(
            self._local.timeouts.linger, lambda: not any(link.lingers for link in self._links.values())
        )
