"""The peers of one node as the server tells of them: the room they are in, and what they say, opened and checked."""

from collections.abc import Callable, Iterable
from typing import Protocol

from mpcnode.errors import AuthenticationError, DecodeError, MpcError, PeerIncompatible
from mpcnode.peers.conversation import Conversations, Doubted, Introduced, Opened
from mpcnode.peers.room import Room
from mpcnode.peers.trust import Trusts, fingerprint
from mpcnode.signaling import events
from mpcnode.status import Disconnected, Event, Peers, PeerView, Registered, Warned
from mpcnode.types import IdentityKey, PeerId


class Listener(Protocol):
    """What wants to hear of the peers."""

    def met(self, peer: PeerId) -> None:
        """Hear that ``peer`` is in the room."""

    def parted(self, peer: PeerId) -> None:
        """Hear that ``peer`` left the room."""

    def introduced(self, peer: PeerId, key: IdentityKey) -> None:
        """Hear that ``peer`` proved to hold ``key``."""

    def failed(self, peer: PeerId, error: MpcError) -> None:
        """Hear that what comes as from ``peer`` cannot be trusted."""

    def opened(self, opened: Opened) -> None:
        """Take a message."""


class Neighbours:
    """What this node makes of the events of its signaling client.

    Args:
        me: this node's name.
        server: the server's URL, to be shown.
        room_name: the room's name, likewise.
        room: told which peers are here.
        conversations: open what is relayed.
        trusts: show peers.
        listener: told of everything.
        emit: takes what the user should see.
    """

    def __init__(
        self,
        *,
        me: PeerId,
        server: str,
        room_name: str,
        room: Room,
        conversations: Conversations,
        trusts: Trusts,
        listener: Listener,
        emit: Callable[[Event], None],
    ) -> None:
        self._me = me
        self._server = server
        self._room_name = room_name
        self._room = room
        self._conversations = conversations
        self._trusts = trusts
        self._listener = listener
        self._emit = emit

    def views(self) -> tuple[PeerView, ...]:
        """Show everybody in the room, this node included."""
        return tuple(self._trusts.view(name) for name in self._room.present)

    def on_event(self, event: events.ClientEvent) -> None:
        """Take an event of the signaling client."""
        match event:
            case events.Registered():
                key = self._trusts.known_key(self._me)
                shown = fingerprint(key) if key else ""
                self._emit(Registered(self._me, self._server, self._room_name, shown))
                self._room.set(event.peers)
                self._met(event.peers)
            case events.Peers():
                self._room.set(event.peers)
                self._emit(Peers(self.views()))
            case events.PeerJoined():
                self._room.joined(event.peer_id)
                self._met((event.peer_id,))
            case events.PeerLeft():
                self._room.left(event.peer_id)
                self._listener.parted(event.peer_id)
                self._emit(Peers(self.views()))
            case events.Relayed():
                self._take(event.sender, event.data)
            case events.ServerSaid():
                self._emit(Warned(f"the server says: {event.error}"))
            case events.Disconnected():
                self._room.away = True
                self._emit(Disconnected(event.reason, event.retry_in))

    def _met(self, peers: Iterable[PeerId]) -> None:
        for name in peers:
            if name != self._me:
                self._conversations.rejoined(name)
                self._listener.met(name)
        self._emit(Peers(self.views()))

    def _take(self, sender: PeerId, data: bytes) -> None:
        try:
            taken = self._conversations.receive(sender, data)
        except DecodeError as error:
            self._emit(Warned(f"{sender} sent what this version does not understand: {error}"))
            return
        except (AuthenticationError, PeerIncompatible) as error:
            self._room.stir(sender, error)
            self._listener.failed(sender, error)
            self._emit(Warned(error.message))
            return
        match taken:
            case Doubted(error=problem):
                # It ends nothing: the server can make such a hello. It explains why the peer may not answer.
                self._room.stir(sender, problem)
                self._emit(Warned(problem.message))
            case Opened():
                self._room.stir(sender)
                self._listener.opened(taken)
            case Introduced():
                self._room.stir(sender)
                self._listener.introduced(taken.peer_id, taken.public_key)
