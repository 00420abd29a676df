"""Meshes that several sessions share, one after another or at once: what makes the second signature quick.

A mesh stays open after a session until it has been idle for a while. Each message on it names its session, and goes to
that session's ``Channel``; what negotiates the next session goes where the sealed relay's messages go.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, Self

from mpcnode.errors import LinkFailed, MpcError, ParticipantCheated
from mpcnode.mesh.mesh import Mesh
from mpcnode.mesh.transport import Signal
from mpcnode.session.sealed_relay import Opened
from mpcnode.types import IdentityKey, PeerId, SessionId
from mpcnode.wire.peer import Abort, PeerMessage
from mpcnode.wire.relay import SessionCancel, SessionProposal, SessionResponse, SessionStart

NEGOTIATION: Final = (SessionProposal, SessionResponse, SessionStart, SessionCancel)
IDLE: Final = "idle"
MAX_EARLY: Final = 64
"""Messages of one participant that may wait for their session to begin here."""
MAX_WAITING: Final = 64
"""Messages of one participant that may wait for a session; it says five in all of it."""
MAX_OFFERED: Final = 64
MAX_KEPT: Final = 64
"""Meshes of one node at once, before the one that was idle longest is closed."""
UNUSED: Final = 10.0
"""Seconds after which a mesh that no session came to is closed, where none is kept."""

_log = logging.getLogger(__name__)


class Channel:
    """One session's part of a shared mesh: what ``Session`` pumps over.

    Args:
        shared: the mesh.
        session_id: whose messages.
    """

    def __init__(self, shared: "SharedMesh", session_id: SessionId) -> None:
        self._shared = shared
        self._session_id = session_id
        self._inbox: deque[tuple[PeerId, PeerMessage]] = deque()
        self._waiting: Counter[PeerId] = Counter()
        self._flooded: MpcError | None = None
        self._stirred = asyncio.Event()

    def __enter__(self) -> Self:
        self._shared.join(self._session_id, self)
        return self

    def __exit__(self, *_: object) -> None:
        self._shared.leave(self._session_id)

    def send(self, to: PeerId, message: PeerMessage) -> None:
        """Send ``message``; never blocks."""
        self._shared.mesh.send(to, message)

    async def receive(self) -> tuple[PeerId, PeerMessage]:
        """Wait for the session's next message.

        Raises:
            ParticipantCheated: somebody says more than any session has.
            MpcError: what ended the mesh, once every message that came before is taken.
        """
        while not self._inbox:
            if failure := self._flooded or self._shared.failure:
                raise failure
            self._stirred.clear()
            await self._stirred.wait()
        sender, message = self._inbox.popleft()
        self._waiting[sender] -= 1
        return sender, message

    def take(self, sender: PeerId, message: PeerMessage) -> None:
        """Queue a message of this session, up to a bound for each sender."""
        if self._waiting[sender] < MAX_WAITING:
            self._waiting[sender] += 1
            self._inbox.append((sender, message))
        else:
            self._flooded = ParticipantCheated(f"{sender} sent more messages than any session has", culprits=[sender])
        self.stir()

    def stir(self) -> None:
        """Have ``receive`` look again."""
        self._stirred.set()


@dataclass(slots=True)
class SharedMesh:
    """A mesh and the sessions on it.

    Args:
        id: the session it was opened for; what everybody calls it by.
        roster: everybody on it, this node included.
        mesh: the links.
    """

    id: SessionId
    roster: Mapping[PeerId, IdentityKey]
    mesh: Mesh
    opened: bool = False
    failure: BaseException | None = None
    idle_since: float = 0.0
    sessions: dict[SessionId, Channel] = field(default_factory=dict)
    early: dict[PeerId, deque[PeerMessage]] = field(default_factory=dict)

    def join(self, session_id: SessionId, channel: Channel) -> None:
        """Give a session its messages, those that came early first."""
        self.sessions[session_id] = channel
        early, self.early = self.early, {}
        for sender, messages in early.items():
            for message in messages:
                self.route(sender, message)

    def leave(self, session_id: SessionId) -> None:
        """Take the session off."""
        self.sessions.pop(session_id, None)
        self.idle_since = asyncio.get_running_loop().time()

    def route(self, sender: PeerId, message: PeerMessage) -> None:
        """Hand a message to its session, or keep it until that begins here."""
        channel = self.sessions.get(SessionId(getattr(message, "session_id", "")))
        if channel is None:
            # One queue for each: nobody pushes out what another said.
            self.early.setdefault(sender, deque(maxlen=MAX_EARLY)).append(message)
        else:
            channel.take(sender, message)

    def fail(self, error: BaseException) -> None:
        """Nothing more will come."""
        self.failure = error
        for channel in self.sessions.values():
            channel.stir()

    @property
    def usable(self) -> bool:
        """Whether it is open and has not ended; some of its links may be down."""
        return self.opened and self.failure is None

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


class MakeMesh(Protocol):
    """Makes the mesh of an id and a roster, not yet open."""

    def __call__(self, mesh_id: SessionId, roster: Mapping[PeerId, IdentityKey], *, shared: bool) -> Mesh:
        """Make it; ``shared`` by several sessions."""


class Meshes:
    """Every shared mesh of one node; ``async with`` it.

    Args:
        make: see there.
        negotiate: takes what negotiates a session and came over a mesh.
        lost: told who fell silent on a mesh, which may be who somebody waits for.
        idle: seconds after which an unused mesh is closed; 0 keeps none.
    """

    def __init__(
        self,
        make: MakeMesh,
        *,
        negotiate: Callable[[Opened], None],
        lost: Callable[[Collection[PeerId]], None],
        idle: float,
    ) -> None:
        self._make = make
        self._negotiate = negotiate
        self._lost = lost
        self._idle = idle
        self._meshes: dict[SessionId, SharedMesh] = {}
        self._keepers: dict[SessionId, asyncio.Task[None]] = {}

    def get(self, mesh_id: SessionId) -> SharedMesh | None:
        """Give the mesh of that id, open or opening."""
        return self._meshes.get(mesh_id)

    def warm(self, roster: Mapping[PeerId, IdentityKey]) -> SharedMesh | None:
        """Give an open mesh of exactly these nodes."""
        return next((one for one in self._newest() if one.whole and one.roster == roster), None)

    def offered(self, peer: PeerId) -> tuple[SessionId, ...]:
        """Name the open meshes that ``peer`` is on, and keep them for a while: it may choose one to sign on."""
        shared = [one for one in self._newest() if one.whole and peer in one.roster] if self._idle > 0 else []
        for one in shared[:MAX_OFFERED]:
            one.idle_since = asyncio.get_running_loop().time()
        return tuple(one.id for one in shared[:MAX_OFFERED])

    def link_to(self, peer: PeerId, key: IdentityKey) -> SharedMesh | None:
        """Give any open mesh whose link to ``peer``, who has this identity key, is up."""
        return next((one for one in self._newest() if one.reaches(peer) and one.roster[peer] == key), None)

    def handle_signal(self, mesh_id: SessionId, sender: PeerId, key: IdentityKey, signal: Signal) -> bool:
        """Take a signal for a mesh; say whether there is such a mesh."""
        shared = self._meshes.get(mesh_id)
        if shared is None:
            return False
        if shared.roster.get(sender) == key:
            shared.mesh.handle_signal(sender, signal)
        return True

    async def open(self, mesh_id: SessionId, roster: Mapping[PeerId, IdentityKey]) -> SharedMesh:
        """Open a mesh and keep it; an unused one of the same nodes is closed for it.

        Raises:
            LinkFailed: there is a mesh of that id.
            MpcError: as ``Mesh.open``; nothing is kept.
        """
        if mesh_id in self._meshes or mesh_id in self._keepers:
            raise LinkFailed(f"there is a mesh {mesh_id} already", peer=min(roster))
        shared = SharedMesh(mesh_id, roster, self._make(mesh_id, roster, shared=True))
        self._meshes[mesh_id] = shared
        try:
            await shared.mesh.open()
        except BaseException:
            self._forget(shared)
            await shared.mesh.close()
            raise
        shared.opened = True
        shared.idle_since = asyncio.get_running_loop().time()
        self._keepers[mesh_id] = asyncio.create_task(self._keep(shared), name=f"mesh {mesh_id}")
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

    async def released(self, shared: SharedMesh, *, deadline: float) -> None:
        """A session is done with ``shared``: a mesh that is not kept is closed once its last words were heard.

        A signer must not leave before its share was: the others cannot finish without it. On a mesh that stays open
        it arrives by itself.

        Args:
            shared: the mesh.
            deadline: seconds to wait for that at most.
        """
        if self._idle <= 0 and not shared.sessions:
            if shared.usable:
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
            self._forget(shared)
            await shared.mesh.close()  # the keeper had not begun

    async def _keep(self, shared: SharedMesh) -> None:
        """Hand out what comes, until the mesh fails, somebody leaves it, or nobody used it for long enough."""
        try:
            async with shared.mesh:
                try:
                    await self._pump(shared)
                except (TimeoutError, asyncio.CancelledError) as why:
                    shared.mesh.broadcast(Abort(shared.id, IDLE, "this mesh is closed"))
                    if isinstance(why, asyncio.CancelledError):
                        raise
        except MpcError as error:
            _log.info("mesh %s ended: %s", shared.id, error.message)
            shared.fail(error)
            self._lost(error.culprits)
        except asyncio.CancelledError:
            shared.fail(LinkFailed("this node closed the mesh", peer=shared.mesh.peer_id))
            raise
        finally:
            self._forget(shared)
            if self._keepers.get(shared.id) is asyncio.current_task():
                del self._keepers[shared.id]

    async def _pump(self, shared: SharedMesh) -> None:
        loop = asyncio.get_running_loop()
        receiving = asyncio.ensure_future(shared.mesh.receive())
        try:
            while True:
                left = shared.idle_since + (self._idle if self._idle > 0 else UNUSED) - loop.time()
                if not shared.sessions and left <= 0:
                    raise TimeoutError
                await asyncio.wait({receiving}, timeout=max(left, 0.05))
                if receiving.done():
                    sender, message = receiving.result()
                    receiving = asyncio.ensure_future(shared.mesh.receive())
                    self._route(shared, sender, message)
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)

    def _route(self, shared: SharedMesh, sender: PeerId, message: PeerMessage) -> None:
        if isinstance(message, Abort) and message.session_id == shared.id and message.code == IDLE:
            raise LinkFailed(f"{sender} closed the mesh", peer=sender)
        if isinstance(message, NEGOTIATION):
            self._negotiate(Opened(sender, shared.roster[sender], message, by_mesh=True))
        else:
            shared.route(sender, message)
