"""Meshes that several sessions share, one after another or at once: what makes the second signature quick.

A mesh stays open after a session until it has been idle for a while. Each message on it names its session, and goes to
that session's ``Channel``; what negotiates the next session goes where the sealed relay's messages go.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from mpcnode.errors import LinkFailed, MpcError
from mpcnode.mesh.mesh import Mesh
from mpcnode.mesh.transport import Signal
from mpcnode.session.sealed_relay import Opened
from mpcnode.types import IdentityKey, PeerId, SessionId
from mpcnode.wire.peer import Abort, PeerMessage
from mpcnode.wire.relay import SessionCancel, SessionProposal, SessionResponse, SessionStart

NEGOTIATION: Final = (SessionProposal, SessionResponse, SessionStart, SessionCancel)
IDLE: Final = "idle"
MAX_EARLY: Final = 256
"""Messages of one mesh that may wait for their session to begin here."""
MAX_OFFERED: Final = 64

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
            MpcError: what ended the mesh, once every message that came before is taken.
        """
        while not self._inbox:
            if self._shared.failure is not None:
                raise self._shared.failure
            self._stirred.clear()
            await self._stirred.wait()
        return self._inbox.popleft()

    def take(self, sender: PeerId, message: PeerMessage) -> None:
        """Queue a message of this session; the mesh bounds how many."""
        self._inbox.append((sender, message))
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
    early: deque[tuple[PeerId, PeerMessage]] = field(default_factory=lambda: deque(maxlen=MAX_EARLY))

    def join(self, session_id: SessionId, channel: Channel) -> None:
        """Give a session its messages, those that came early first."""
        self.sessions[session_id] = channel
        early, self.early = self.early, deque(maxlen=MAX_EARLY)
        for sender, message in early:
            self.route(sender, message)

    def leave(self, session_id: SessionId) -> None:
        """Take the session off."""
        self.sessions.pop(session_id, None)
        self.idle_since = asyncio.get_running_loop().time()

    def route(self, sender: PeerId, message: PeerMessage) -> None:
        """Hand a message to its session, or keep it until that begins here."""
        channel = self.sessions.get(SessionId(getattr(message, "session_id", "")))
        if channel is None:
            self.early.append((sender, message))
        else:
            channel.take(sender, message)

    def fail(self, error: BaseException) -> None:
        """Nothing more will come."""
        self.failure = error
        for channel in self.sessions.values():
            channel.stir()

    @property
    def usable(self) -> bool:
        """Whether a session can begin on it."""
        return self.opened and self.failure is None

    def reaches(self, peer: PeerId) -> bool:
        """Whether the link to ``peer`` is up, as far as this node knows."""
        if not self.usable or peer not in self.roster:
            return False
        return not any({peer, self.mesh.peer_id} == {one, other} for one, other in self.mesh.topology.broken)

    def round_trip(self) -> Mapping[PeerId, float]:
        """The last measured round-trip time of each link that has one, in seconds."""
        times = ((peer, self.mesh.round_trip(peer)) for peer in self.roster if peer != self.mesh.peer_id)
        return {peer: seconds for peer, seconds in times if seconds is not None}


class Meshes:
    """Every shared mesh of one node; ``async with`` it.

    Args:
        make: makes the mesh of an id and a roster, not yet open.
        negotiate: takes what negotiates a session and came over a mesh.
        lost: told who fell silent on a mesh, which may be who somebody waits for.
        idle: seconds after which an unused mesh is closed; 0 keeps none.
    """

    def __init__(
        self,
        make: Callable[[SessionId, Mapping[PeerId, IdentityKey]], Mesh],
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
        return next((one for one in self._meshes.values() if one.usable and one.roster == roster), None)

    def offered(self, peer: PeerId) -> tuple[SessionId, ...]:
        """Name the open meshes that ``peer`` is on, and keep them for a while: it may choose one to sign on."""
        shared = [one for one in self._meshes.values() if one.usable and peer in one.roster] if self._idle > 0 else []
        for one in shared[:MAX_OFFERED]:
            one.idle_since = asyncio.get_running_loop().time()
        return tuple(one.id for one in shared[:MAX_OFFERED])

    def link_to(self, peer: PeerId, key: IdentityKey) -> SharedMesh | None:
        """Give any open mesh whose link to ``peer``, who has this identity key, is up."""
        return next((one for one in self._meshes.values() if one.reaches(peer) and one.roster[peer] == key), None)

    def handle_signal(self, mesh_id: SessionId, sender: PeerId, key: IdentityKey, signal: Signal) -> bool:
        """Take a signal for a mesh; say whether there is such a mesh."""
        shared = self._meshes.get(mesh_id)
        if shared is None:
            return False
        if shared.roster.get(sender) == key:
            shared.mesh.handle_signal(sender, signal)
        return True

    async def open(self, mesh_id: SessionId, roster: Mapping[PeerId, IdentityKey]) -> SharedMesh:
        """Open a mesh and keep it.

        Raises:
            MpcError: as ``Mesh.open``; nothing is kept.
        """
        shared = SharedMesh(mesh_id, roster, self._make(mesh_id, roster))
        self._meshes[mesh_id] = shared
        try:
            await shared.mesh.open()
        except BaseException:
            del self._meshes[mesh_id]
            await shared.mesh.close()
            raise
        shared.opened = True
        shared.idle_since = asyncio.get_running_loop().time()
        self._keepers[mesh_id] = asyncio.create_task(self._keep(shared), name=f"mesh {mesh_id}")
        return shared

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
        if shared is not None and self._meshes.pop(mesh_id, None) is shared:
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
            self._meshes.pop(shared.id, None)
            if self._keepers.get(shared.id) is asyncio.current_task():
                del self._keepers[shared.id]

    async def _pump(self, shared: SharedMesh) -> None:
        loop = asyncio.get_running_loop()
        receiving = asyncio.ensure_future(shared.mesh.receive())
        try:
            while True:
                left = shared.idle_since + self._idle - loop.time()
                if self._idle > 0 and not shared.sessions and left <= 0:
                    raise TimeoutError
                await asyncio.wait({receiving}, timeout=max(left, 0.05) if self._idle > 0 else None)
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
