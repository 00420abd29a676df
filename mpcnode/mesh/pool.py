"""The meshes of one node, shared by sessions of every kind, one after another or at once.

A mesh stays open after a session until it has been idle for a while: that is what makes the second signature quick.
Each message on it names its session, and goes to that session's ``Channel``; what negotiates a session goes where the
sealed relay's messages go.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, Self

from mpcnode.blame import Came, Event, judge
from mpcnode.errors import MpcError
from mpcnode.mesh.inbox import Inbox, weight
from mpcnode.mesh.mesh import Mesh
from mpcnode.mesh.transport import LinkChange, Local, Signal
from mpcnode.mesh.watch import Watch
from mpcnode.types import IdentityKey, PeerId, SessionId
from mpcnode.wire.peer import Idle, PeerMessage
from mpcnode.wire.relay import NegotiationMessage, SessionCancel, SessionProposal, SessionResponse, SessionStart

MAX_EARLY: Final = 64
"""Messages of one participant that may wait for their session to begin here."""
MAX_EARLY_BYTES: Final = 8_388_608
MAX_WAITING: Final = 64
"""Messages of one participant that may wait for a session; it says five in all of it."""
MAX_WAITING_BYTES: Final = 33_554_432
MAX_OFFERED: Final = 64
MAX_KEPT: Final = 64
"""Meshes of one node at once, before the one that was idle longest is closed."""
UNUSED: Final = 10.0
"""Seconds after which a mesh that no session came to is closed, where none is kept."""
GRACE: Final = 5.0
"""Seconds for which sessions go on after a node closed the mesh: often they need nothing more of it."""

_log = logging.getLogger(__name__)

OnLink = Callable[[LinkChange], None]


def _nobody_listens(_change: LinkChange) -> None:
    """Take no notice of a link."""


class Channel:
    """One session's part of a mesh; enter it to join, leave it to go.

    Args:
        shared: the mesh.
        session_id: the session whose messages these are.
        on_link: told of every change of a link while the session is on the mesh.
    """

    def __init__(self, shared: "SharedMesh", session_id: SessionId, on_link: OnLink = _nobody_listens) -> None:
        self.on_link = on_link
        self._shared = shared
        self._session_id = session_id
        self._inbox = Inbox(messages=MAX_WAITING, bytes_=MAX_WAITING_BYTES)

    def __enter__(self) -> Self:
        self._shared.join(self._session_id, self)
        return self

    def __exit__(self, *_: object) -> None:
        self._shared.leave(self._session_id)

    def send(self, to: PeerId, message: PeerMessage, *, heard: bool = False) -> None:
        """Send ``message``; never blocks.

        Args:
            to: another node of the mesh.
            message: what to say.
            heard: whether ``flush``, and the end of a mesh that is not kept, wait until ``to`` acknowledged it.
        """
        self._shared.mesh.send(to, message, heard=heard)

    async def receive(self) -> tuple[PeerId, PeerMessage]:
        """Wait for the session's next message.

        Raises:
            ParticipantCheated: a participant says more than any session has.
            MpcError: what ended the mesh, once every message that came before is taken.
        """
        return await self._inbox.get()

    async def flush(self, seconds: float) -> frozenset[PeerId]:
        """Wait, at most so long, until everything that must be heard is acknowledged; give the nodes that did not."""
        return await self._shared.mesh.flush(seconds)

    def take(self, sender: PeerId, message: PeerMessage) -> None:
        """Queue a message of this session, up to a bound for each sender."""
        if not self._inbox.put(sender, message):
            said = f"{sender} sent more messages than any session has"
            self.fail(judge(Came.LINK, Event.MISPLACED, said, [sender]))

    def fail(self, error: BaseException) -> None:
        """Have ``receive`` raise ``error`` once what came before is taken."""
        self._inbox.fail(error)


class Early:
    """Messages of sessions that have not begun here: the newest of each sender, so that nobody pushes out another's."""

    def __init__(self) -> None:
        self._messages: dict[PeerId, deque[PeerMessage]] = {}
        self._bytes: Counter[PeerId] = Counter()

    def put(self, sender: PeerId, message: PeerMessage) -> None:
        """Keep ``message``; of what its sender said before, the oldest is dropped where it is too much."""
        kept = self._messages.setdefault(sender, deque())
        kept.append(message)
        self._bytes[sender] += weight(message)
        while len(kept) > MAX_EARLY or self._bytes[sender] > MAX_EARLY_BYTES:
            self._bytes[sender] -= weight(kept.popleft())

    def take(self) -> list[tuple[PeerId, PeerMessage]]:
        """Give everything, in order for each sender, and keep nothing."""
        messages = [(sender, message) for sender, kept in self._messages.items() for message in kept]
        self._messages.clear()
        self._bytes.clear()
        return messages


@dataclass(slots=True, kw_only=True)
class SharedMesh:
    """A mesh and the sessions on it.

    Args:
        id: the session it was opened for; what everybody calls it.
        roster: everybody on it, this node included.
        mesh: the links.
        opener: told of every change of a link while the mesh opens.
    """

    id: SessionId
    roster: Mapping[PeerId, IdentityKey]
    mesh: Mesh = field(init=False)
    opener: OnLink = _nobody_listens
    opened: bool = False
    failure: BaseException | None = None
    idle_since: float = 0.0
    left: dict[PeerId, float] = field(default_factory=dict)
    """The nodes that closed the mesh, and when."""
    sessions: dict[SessionId, Channel] = field(default_factory=dict)
    early: Early = field(default_factory=Early)
    watch: Watch = field(default_factory=Watch)

    def join(self, session_id: SessionId, channel: Channel) -> None:
        """Give a session its messages, those that came early first."""
        self.sessions[session_id] = channel
        if self.failure is not None:
            channel.fail(self.failure)
        for sender, message in self.early.take():
            self.route(sender, message)

    def leave(self, session_id: SessionId) -> None:
        """Take the session off."""
        self.sessions.pop(session_id, None)
        self.idle_since = asyncio.get_running_loop().time()
        self.watch.stir()

    def route(self, sender: PeerId, message: PeerMessage) -> None:
        """Hand a message to its session, or keep it until that begins here."""
        channel = self.sessions.get(getattr(message, "session_id", SessionId(b"")))
        if channel is None:
            self.early.put(sender, message)
        else:
            channel.take(sender, message)

    def link_changed(self, change: LinkChange) -> None:
        """Tell those it concerns: the opener until the mesh is open, from then on its sessions."""
        if not self.opened:
            self.opener(change)
        for channel in self.sessions.values():
            channel.on_link(change)

    def fail(self, error: BaseException) -> None:
        """Nothing more will come."""
        self.failure = error
        for channel in self.sessions.values():
            channel.fail(error)

    @property
    def usable(self) -> bool:
        """Whether it is open, and neither it nor a node on it has ended; some of its links may be down."""
        return self.opened and self.failure is None and not self.left

    @property
    def whole(self) -> bool:
        """Whether a session can begin on it: as far as this node knows, every link is up."""
        return self.usable and not self.mesh.topology.broken

    def reaches(self, peer: PeerId) -> bool:
        """Whether the link to ``peer`` is up, as far as this node knows."""
        if not self.usable or peer not in self.roster:
            return False
        return not any({peer, self.mesh.peer_id} == {one, other} for one, other in self.mesh.topology.broken)

    def round_trip(self) -> Mapping[PeerId, float]:
        """The last measured round-trip time of each link that has one, in seconds."""
        times = ((peer, self.mesh.round_trip(peer)) for peer in self.roster if peer != self.mesh.peer_id)
        return {peer: seconds for peer, seconds in times if seconds is not None}


class Negotiate(Protocol):
    """Takes what negotiates a session and came over a mesh."""

    def __call__(self, sender: PeerId, key: IdentityKey, message: NegotiationMessage) -> None:
        """Take ``message`` of ``sender``, whose channel proved ``key``."""


class MakeMesh(Protocol):
    """Makes a mesh that is not open yet; ``Mesh``, unless a test has one that lies."""

    def __call__(self, local: Local, mesh_id: SessionId, roster: Mapping[PeerId, IdentityKey], on_link: OnLink) -> Mesh:
        """Make it; see ``Mesh``."""


class Pool:
    """Every mesh of one node; ``close`` must be awaited at the end.

    Args:
        local: what the node lends to its meshes.
        negotiate: see there.
        lost: told which nodes fell silent on a mesh: somebody may be waiting for them.
        idle: seconds after which an unused mesh is closed; 0 keeps none.
        make: see there.
    """

    def __init__(
        self,
        local: Local,
        *,
        negotiate: Negotiate,
        lost: Callable[[Collection[PeerId]], None],
        idle: float,
        make: MakeMesh = Mesh,
    ) -> None:
        self._local = local
        self._negotiate = negotiate
        self._lost = lost
        self._idle = idle
        self._make = make
        self._meshes: dict[SessionId, SharedMesh] = {}
        self._keepers: dict[SessionId, asyncio.Task[None]] = {}

    def get(self, mesh_id: SessionId) -> SharedMesh | None:
        """Give the mesh of that id, open or opening."""
        return self._meshes.get(mesh_id)

    @property
    def patience(self) -> float:
        """The seconds after which a mesh that did not open is given up."""
        return self._local.timeouts.all_tries + self._local.timeouts.grace

    def warm(self, roster: Mapping[PeerId, IdentityKey]) -> SharedMesh | None:
        """Give an open mesh of exactly these nodes."""
        return next((one for one in self._newest() if one.whole and one.roster == roster), None)

    def offered(self, peer: PeerId) -> tuple[SessionId, ...]:
        """Name the open meshes that ``peer`` is on, and keep them for a while: it may choose one for its session."""
        shared = [one for one in self._newest() if one.whole and peer in one.roster] if self._idle > 0 else []
        for one in shared[:MAX_OFFERED]:
            one.idle_since = asyncio.get_running_loop().time()
        return tuple(one.id for one in shared[:MAX_OFFERED])

    def link_to(self, peer: PeerId, key: IdentityKey) -> SharedMesh | None:
        """Give any open mesh whose link to ``peer``, which has this identity key, is up."""
        return next((one for one in self._newest() if one.reaches(peer) and one.roster[peer] == key), None)

    def handle_signal(self, mesh_id: SessionId, sender: PeerId, key: IdentityKey, signal: Signal) -> bool:
        """Take a signal for a mesh; say whether there is such a mesh."""
        shared = self._meshes.get(mesh_id)
        if shared is None:
            return False
        if shared.roster.get(sender) == key:
            shared.mesh.handle_signal(sender, signal)
        return True

    async def open(
        self,
        mesh_id: SessionId,
        roster: Mapping[PeerId, IdentityKey],
        *,
        early: Iterable[tuple[PeerId, Signal]] = (),
        on_link: OnLink = _nobody_listens,
    ) -> SharedMesh:
        """Open a mesh and keep it; an unused one of the same nodes is closed for it.

        Args:
            mesh_id: the session it is opened for.
            roster: everybody on it, this node included.
            early: signals for it that came before now, from nodes that proved the roster's keys.
            on_link: told of every change of a link until the mesh is open.

        Raises:
            LinkFailed: there is a mesh of that id.
            MpcError: as ``Mesh.open``; nothing is kept.
        """
        if mesh_id in self._meshes or mesh_id in self._keepers:
            raise judge(Came.CLOCK, Event.NO_LINK, f"there is a mesh {mesh_id.hex()} already")
        shared = SharedMesh(id=mesh_id, roster=roster, opener=on_link)
        shared.mesh = self._make(self._local, mesh_id, roster, shared.link_changed)
        self._meshes[mesh_id] = shared
        try:
            for sender, signal in early:
                shared.mesh.handle_signal(sender, signal)
            await shared.mesh.open()
        except BaseException:
            self._forget(shared)
            await shared.mesh.close()
            raise
        shared.opened = True
        shared.idle_since = asyncio.get_running_loop().time()
        self._keepers[mesh_id] = asyncio.create_task(self._keep(shared), name=f"mesh {mesh_id.hex()}")
        self._replace(shared)
        return shared

    def _newest(self) -> list[SharedMesh]:
        """Every mesh, the newest first: an older one of the same nodes may be dead without this node's knowledge."""
        return list(reversed(self._meshes.values()))

    def _replace(self, latest: SharedMesh) -> None:
        """Have an unused mesh of the same nodes closed, and the one that was idle longest where there are too many."""
        unused = [one for one in self._meshes.values() if one.opened and not one.sessions and one is not latest]
        # One that was offered just now may be about to be chosen.
        before = asyncio.get_running_loop().time() - UNUSED
        closed = [one for one in unused if one.roster == latest.roster and one.idle_since < before]
        if len(self._meshes) > MAX_KEPT and not closed:
            closed = sorted(unused, key=lambda one: one.idle_since)[:1]
        for one in closed:
            self._keepers[one.id].cancel()  # it says so to the others, and is waited for when the node stops

    def _forget(self, shared: SharedMesh) -> None:
        """Take it off the list, unless another one stands there."""
        if self._meshes.get(shared.id) is shared:
            del self._meshes[shared.id]

    async def released(self, shared: SharedMesh, *, deadline: float, keep: bool = True) -> None:
        """Say that a session is done with ``shared``: a mesh that is not kept is closed once its last words were heard.

        A signer must not leave before its share was heard: the others cannot finish without it. On a mesh that stays
        open it arrives by itself.

        Args:
            shared: the mesh.
            deadline: seconds to wait for that at most.
            keep: whether the mesh may stay open: not after a session of strangers that came to nothing.
        """
        if (self._idle <= 0 or not keep) and not shared.sessions:
            if shared.opened and shared.failure is None:
                await shared.mesh.flush(deadline)
            await self._close(shared.id)

    async def close(self) -> None:
        """Close every mesh, saying so."""
        for mesh_id in tuple(self._keepers):
            await self._close(mesh_id)

    async def _close(self, mesh_id: SessionId) -> None:
        keeper = self._keepers.pop(mesh_id, None)
        if keeper is None:
            return
        shared = self._meshes.get(mesh_id)
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
        if shared is not None and self._meshes.get(mesh_id) is shared:
            # The keeper had not begun.
            self._forget(shared)
            shared.fail(self._closed_here())
            await shared.mesh.close()

    async def _keep(self, shared: SharedMesh) -> None:
        """Hand out what comes, until the mesh fails, a node leaves it, or nobody used it for long enough."""
        try:
            async with shared.mesh:
                # No session may begin while the last words are said, so it ends here before it is closed.
                try:
                    await self._pump(shared)
                except MpcError as error:
                    _log.info("mesh %s ended: %s", shared.id.hex(), error.message)
                    shared.fail(error)
                    self._lost(error.suspects.union(error.culprits))
                    # They have something to say to the others first: a node that only goes looks as if it were silent.
                    await shared.watch.within(self._local.timeouts.dead, lambda: not shared.sessions)
                except asyncio.CancelledError:
                    shared.fail(self._closed_here())
                    raise
                except Exception as error:  # a defect of ours, for which the sessions must not wait
                    shared.fail(error)
                    raise
                else:
                    shared.fail(self._closed_here())
        finally:
            self._forget(shared)
            if self._keepers.get(shared.id) is asyncio.current_task():
                del self._keepers[shared.id]

    def _closed_here(self) -> MpcError:
        return judge(Came.CLOCK, Event.NO_LINK, "this node closed the mesh")

    async def _pump(self, shared: SharedMesh) -> None:
        """Hand out messages; return when nobody used the mesh for long enough, and raise what ended it."""
        loop = asyncio.get_running_loop()
        receiving = asyncio.ensure_future(shared.mesh.receive())
        try:
            while (left := self._time_left(shared)) > 0 or shared.sessions:
                await asyncio.wait({receiving}, timeout=max(left, 0.05))
                if receiving.done():
                    sender, message = receiving.result()
                    receiving = asyncio.ensure_future(shared.mesh.receive())
                    self._route(shared, sender, message, loop.time())
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)

    def _time_left(self, shared: SharedMesh) -> float:
        """Say how long the mesh stays open if nothing happens.

        Raises:
            LinkFailed: a node left, and no session is on the mesh or will get from that node what it still waits for.
        """
        now = asyncio.get_running_loop().time()
        if shared.left:
            peer, when = next(iter(shared.left.items()))
            left = when + GRACE - now
            if not shared.sessions or left <= 0:
                raise judge(Came.LINK, Event.NO_LINK, f"{peer} closed the mesh", [peer])
            return left
        return shared.idle_since + (self._idle if self._idle > 0 else UNUSED) - now

    def _route(self, shared: SharedMesh, sender: PeerId, message: PeerMessage, now: float) -> None:
        match message:
            case Idle():
                shared.left.setdefault(sender, now)
            case SessionProposal() | SessionResponse() | SessionStart() | SessionCancel():
                self._negotiate(sender, shared.roster[sender], message)
            case _:
                shared.route(sender, message)
