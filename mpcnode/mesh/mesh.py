"""The mesh of one session: all links at once, who is at their other ends, and messages in order with their senders."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from types import TracebackType
from typing import Final, Self

from mpcnode.errors import LinkFailed, MpcError, ParticipantAborted, ParticipantCheated, ParticipantSilent
from mpcnode.mesh import channel
from mpcnode.mesh.channel import Ends
from mpcnode.mesh.peerlink import PeerLink
from mpcnode.mesh.scope import Scope
from mpcnode.mesh.topology import LinkMap, Topology
from mpcnode.mesh.transport import Connector, LinkChange, LinkState, MeshTimeouts, Signal
from mpcnode.types import IdentityKey, PeerId, SessionId
from mpcnode.wire.peer import Abort, Ack, ChannelOpen, MeshReady, PeerMessage, Ping

MAX_WAITING: Final = 4096
"""How many messages of one peer may wait for the session; a whole key generation has less than thirty."""


class Mesh:
    """Makes and keeps the links of one session; ``async with`` it, or await ``close`` whatever happens.

    Args:
        peer_id: this node.
        session_id: the session the links are for.
        roster: every participant and its identity key, this node too.
        sign: signs with this node's identity key, for a context.
        connector: makes links.
        signal: sends a signal to a peer through the relay, sealed; never blocks.
        on_link: told of every change of a link.
        timeouts: every deadline.
        shared: sessions come and go on it: who aborts one of them stays.
    """

    def __init__(
        self,
        *,
        peer_id: PeerId,
        session_id: SessionId,
        roster: Mapping[PeerId, IdentityKey],
        sign: Callable[[str, bytes], bytes],
        connector: Connector,
        signal: Callable[[PeerId, Signal], None],
        on_link: Callable[[LinkChange], None] = lambda _change: None,
        timeouts: MeshTimeouts | None = None,
        shared: bool = False,
    ) -> None:
        self.peer_id = peer_id
        self._shared = shared
        self.session_id = session_id
        self.sign = sign
        self.signal = signal
        self.changed = on_link
        self._timeouts = timeouts or MeshTimeouts()
        self._map = LinkMap(roster)
        self._scope = Scope(self._crashed)
        self._links = {
            peer: PeerLink(
                Ends(session_id, peer_id, roster[peer_id], peer, key),
                connector=connector,
                timeouts=self._timeouts,
                host=self,
            )
            for peer, key in sorted(roster.items())
            if peer != peer_id
        }
        self._inbox: deque[tuple[PeerId, PeerMessage]] = deque()
        self._waiting: dict[PeerId, int] = dict.fromkeys(self._links, 0)
        self._failure: BaseException | None = None
        self._stirred = asyncio.Event()
        """Set at every change that somebody may wait for."""
        self._ticker: asyncio.Task[None] | None = None
        self._opened_at = 0.0
        self._opened = False
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def topology(self) -> Topology:
        """Which links are known to be up, and who is ready."""
        return self._map.view

    def round_trip(self, peer: PeerId) -> float | None:
        """Give the last round-trip time to ``peer`` in seconds; None before the first is measured."""
        return self._links[peer].round_trip

    def handle_signal(self, sender: PeerId, signal: Signal) -> None:
        """Take a signal; an early one waits until ``open``, one of a stranger concerns no link of this mesh.

        Args:
            sender: who sealed it.
            signal: what it was.
        """
        if sender in self._links and not self._closed:
            self._links[sender].handle_signal(signal)

    async def open(self) -> None:
        """Make all links at once, and wait until every participant has all of its own.

        Raises:
            LinkFailed: a link of this node does not open, or, named by its ends, one between two others.
            IdentityCheckFailed: the other end of a channel is not who it should be; nothing it sent was taken.
            ParticipantSilent: a participant gives no sign of life.
            ParticipantAborted: a participant stopped the session.
            ParticipantCheated: a participant sent what no honest node sends.
        """
        if self._ticker is not None or self._closed:
            raise RuntimeError("a mesh is opened once")
        self._opened_at = self.now()
        self._ticker = self._scope.spawn(self._tick(), f"mesh {self.peer_id} clock")
        for link in self._links.values():
            link.start()
        try:
            async with asyncio.timeout(self._timeouts.all_tries + self._timeouts.grace):
                while not self._map.all_ready:
                    await self._stir()
        except TimeoutError:
            raise self._what_is_missing() from None
        self._opened = True

    def send(self, to: PeerId, message: PeerMessage) -> None:
        """Send ``message``; never blocks. What it fails of is raised by ``receive``.

        Args:
            to: a participant; the message waits while its link is built again.
            message: at most 256 KiB when encoded.
        """
        self._links[to].send(message)

    def broadcast(self, message: PeerMessage) -> None:
        """Send ``message`` to every other participant."""
        for link in self._links.values():
            link.send(message)

    async def receive(self) -> tuple[PeerId, PeerMessage]:
        """Wait for the next message: in order for each sender, its sender stamped from the channel.

        Raises:
            MpcError: what ended the mesh, as in ``open``, once every message that came before is taken.
        """
        while not self._inbox:
            await self._stir()
        sender, message = self._inbox.popleft()
        self._waiting[sender] -= 1
        return sender, message

    async def flush(self, deadline: float) -> frozenset[PeerId]:
        """Wait until every message that needs it is acknowledged.

        Args:
            deadline: how long to wait at most, in seconds.

        Returns:
            The peers that did not acknowledge everything.
        """
        await self._until(lambda: not any(link.owes and not link.gone for link in self._links.values()), deadline)
        return frozenset(peer for peer, link in self._links.items() if link.owes)

    def release(self, peer: PeerId) -> None:
        """Expect nothing more of ``peer``: it may leave. Call it when its last message is in.

        While its channel is there, what is sent to it still arrives, and ``flush`` still waits for it.
        """
        self._links[peer].release()
        self._stirred.set()

    async def close(self) -> None:
        """Let the last words be taken, for a moment; then tear every link, task, timer and socket down."""
        try:
            if not self._closed:
                await self._linger()
        finally:  # cancelled in its last words or not, nothing of it is left
            self._closed = True
            if self._ticker is not None:
                self._ticker.cancel()
            for link in self._links.values():
                link.stop()
            self._stirred.set()
            await self._scope.join()

    # What the links ask of the mesh.

    def now(self) -> float:
        """Read the loop's clock."""
        return asyncio.get_running_loop().time()

    def spawn(self, work: Coroutine[None, None, None], name: str) -> object:
        """Run a task that the mesh waits for when it closes."""
        return self._scope.spawn(work, name)

    def verified(self, peer: PeerId) -> None:
        """Take it that the channel to ``peer`` is verified."""
        # This node's word about its own links is as good as the other end's.
        self._map.claim(self.peer_id, peer)
        self._map.claim(peer, self.peer_id)
        if not self._map.is_ready(self.peer_id) and all(link.verified for link in self._links.values()):
            self._map.mark_ready(self.peer_id)
            self.broadcast(MeshReady(self.session_id))
        self._stirred.set()

    def lost(self, peer: PeerId) -> None:
        """Take it that the channel to ``peer`` is gone; it is being built again."""
        self._map.withdraw(self.peer_id, peer)
        self._map.withdraw(peer, self.peer_id)
        self._stirred.set()

    def acknowledged(self) -> None:
        """Take it that something was acknowledged."""
        self._stirred.set()

    def failed(self, error: BaseException) -> None:
        """End the mesh; the first reason counts."""
        if self._failure is None:
            self._failure = error
        self._stirred.set()

    def taken(self, peer: PeerId, message: PeerMessage) -> None:
        """Take a message of ``peer``."""
        match message:
            case Ping() | Ack():
                return
            case ChannelOpen():
                self._take_announcement(peer, message)
            case MeshReady():
                self._take_ready(peer, message)
            case _:
                self._take_for_session(peer, message)
        self._stirred.set()

    def _take_announcement(self, peer: PeerId, message: ChannelOpen) -> None:
        honest = (
            message.signature is None
            and message.session_id == self.session_id
            and message.public_key == self._links[peer].ends.peer_key.hex()
            and self._map.claim(peer, PeerId(message.peer_id))
        )
        if not honest:
            self._cheated(peer, "an announcement that fits nothing")

    def _take_ready(self, peer: PeerId, message: MeshReady) -> None:
        if message.session_id != self.session_id or not self._map.mark_ready(peer):
            self._cheated(peer, "a mesh_ready of another session, or a second one")
            return
        self.changed(LinkChange(peer, LinkState.READY, self._links[peer].attempt))

    def _take_for_session(self, peer: PeerId, message: PeerMessage) -> None:
        if self._waiting[peer] >= MAX_WAITING:
            self._cheated(peer, "more messages than any session has")
            return
        if isinstance(message, Abort) and not (self._shared and self._opened):
            self._links[peer].release()
            if not self._opened:
                self.failed(ParticipantAborted(f"{peer} stopped the session: {message.reason!a}", culprits=[peer]))
        self._inbox.append((peer, message))
        self._waiting[peer] += 1

    def _cheated(self, peer: PeerId, what: str) -> None:
        self._links[peer].stop()
        self.failed(ParticipantCheated(f"{peer} sent what no honest node sends: {what}", culprits=[peer]))

    def _crashed(self, error: BaseException) -> None:
        """Pass a defect of ours on to whoever waits."""
        self.failed(error)

    async def _stir(self) -> None:
        """Wait for any change, unless the mesh has ended."""
        if self._failure is not None:
            raise self._failure
        if self._closed:
            raise RuntimeError("the mesh is closed")
        self._stirred.clear()
        await self._stirred.wait()

    async def _tick(self) -> None:
        """Look at every clock, and be fair: what a peer could not say while this process stood still is excused."""
        before = self.now()
        while True:
            await asyncio.sleep(self._timeouts.tick)
            now = self.now()
            late = now - before - self._timeouts.tick
            for link in self._links.values():
                if late > self._timeouts.ping:
                    link.excuse(late)
                link.tick()
            if not self._map.is_ready(self.peer_id) and now - self._opened_at >= self._timeouts.announce:
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
                return ParticipantSilent(f"{peer} did not answer when its link was to be made", culprits=[peer])
        for one, other in view.broken:
            if self.peer_id in {one, other}:
                peer = other if one == self.peer_id else one
                return LinkFailed(f"the link to {peer} did not open in time", peer=peer)
        if view.broken:
            one, other = view.broken[0]
            return LinkFailed(f"the link between {one} and {other} did not open in time", peer=one, other=other)
        late = [peer for peer in view.nodes if peer not in view.ready]
        return ParticipantSilent(f"{', '.join(late)} did not say that the mesh is ready", culprits=late)

    async def _linger(self) -> None:
        """Wait, for a moment, until what was sent last is taken: an ``abort`` must not die with its channel."""
        for link in self._links.values():
            if link.verified and link.delivery.unacked:
                link.ping()
        await self._until(
            lambda: not any(link.verified and link.delivery.unacked for link in self._links.values()),
            self._timeouts.linger,
        )

    async def _until(self, condition: Callable[[], bool], deadline: float) -> None:
        """Wait until ``condition`` holds, or ``deadline`` seconds."""
        try:
            async with asyncio.timeout(deadline):
                while not condition():
                    self._stirred.clear()
                    await self._stirred.wait()
        except TimeoutError:
            return
