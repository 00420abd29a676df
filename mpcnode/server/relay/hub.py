"""The relay without any I/O: which peers are here, and which may reach each other.

Calls in, actions out. A connection is a number its owner chose; the clock is the argument ``now``, in seconds of any
monotonic clock. The hub knows names, rooms and keys and keeps no session state, ever: no session ids, no
participants, no thresholds; ``data`` is bytes it does not look into.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from mpcnode.crypto import tags
from mpcnode.crypto.signature import verify
from mpcnode.errors import DecodeError
from mpcnode.server.limits import Limits, address_group
from mpcnode.server.relay.reasons import ERRORS, MESSAGE_TOO_BIG, POLICY_VIOLATION
from mpcnode.types import IdentityKey, PeerId, parse_peer_id
from mpcnode.wire.signaling import (
    DEFAULT_ROOM,
    Error,
    ErrorCode,
    IceServer,
    ListPeers,
    OfferedLimits,
    PeerJoined,
    PeerLeft,
    Peers,
    Register,
    Relay,
    Welcome,
    decode_from_client,
    encode,
    register_fields,
    relayed_prefix,
)


class Send(msgspec.Struct, frozen=True, gc=False):
    """Queue one text frame for ``connection``; when its outbox is full, tell the hub with ``overflow`` instead."""

    connection: int
    frame: bytes


class Close(msgspec.Struct, frozen=True, gc=False):
    """Send ``frame``, whatever waits before it, then close; the hub has already forgotten the connection."""

    connection: int
    code: int
    reason: str
    frame: bytes


Action = Send | Close

_PEERS_FRAME_EMPTY: Final = len('{"type":"peers","peers":[]}')
_SHOWN_ID: Final = 64


@dataclass(slots=True)
class _Room:
    """The members of a room in the order they came, and which of them watch it."""

    members: dict[str, int] = field(default_factory=dict)
    watchers: dict[int, None] = field(default_factory=dict)
    frame_bytes: int = _PEERS_FRAME_EMPTY
    frame: bytes | None = None


@dataclass(slots=True)
class _Client:
    """What the hub knows about one connection; ``peer_id`` is set once it is registered."""

    connection: int
    address: str
    extended: bool
    origins: tuple[str, ...]
    tokens: float
    counted: float
    challenge: bytes = b""
    refused: int = 0
    room_name: str = DEFAULT_ROOM
    room: _Room | None = None
    peer_id: PeerId | None = None
    public_key: IdentityKey | None = None
    prefix: bytes = b""


class Hub:
    """The signaling server as a pure machine: every call returns what to do, in order.

    Args:
        limits: what one client may cost.
        version: the server's version, for ``welcome``.
        rng: gives n random bytes; makes the challenges.
        ice_servers: what the operator offers, for ``welcome``.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        version: str,
        rng: Callable[[int], bytes],
        ice_servers: tuple[IceServer, ...] = (),
    ) -> None:
        self._limits = limits
        self._version = version
        self._rng = rng
        self._ice_servers = ice_servers
        self._clients: dict[int, _Client] = {}
        self._rooms: dict[str, _Room] = {}
        self._addresses: dict[str, int] = {}
        # In the order of their deadlines, because all have the same time to register.
        self._unregistered: dict[int, float] = {}

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._clients)

    def connect(
        self, connection: int, *, address: str, extended: bool, origins: Iterable[str], now: float
    ) -> list[Action]:
        """Take a new connection.

        Args:
            connection: a number that was never used before.
            address: the client's IP address.
            extended: it speaks ``mpcnode.v1``.
            origins: what this server is called; a registration must be signed for one of them.
            now: the time.
        """
        group = address_group(address)
        here = self._addresses.get(group, 0)
        if here >= self._limits.connections_per_address or len(self._clients) >= self._limits.connections:
            return [self._last_words(connection, "too_many_connections")]
        client = _Client(connection, group, extended, tuple(origins), float(self._limits.burst), now)
        self._clients[connection] = client
        self._addresses[group] = here + 1
        self._unregistered[connection] = now + self._limits.register_seconds
        if not extended:
            return []
        client.challenge = self._rng(32)
        offered = OfferedLimits(self._limits.message_bytes, self._limits.messages_per_second, self._limits.burst)
        welcome = Welcome(self._version, client.challenge, offered, self._ice_servers)
        return [Send(connection, encode(welcome))]

    def receive(self, connection: int, frame: bytes, now: float) -> list[Action]:
        """Take a text frame; whatever is in it, the answer is actions and never an exception."""
        client = self._clients.get(connection)
        if client is None:
            return []
        if not self._spend(client, now):
            return self._refuse_rate(client)
        try:
            message = decode_from_client(frame, extended=client.extended)
        except DecodeError:
            return self._error(client, "invalid_message")
        if type(message) is Relay:
            return self._relay(client, message)
        if isinstance(message, Register):
            return self._register(client, message)
        if isinstance(message, ListPeers):
            return self._list_peers(client, message)
        raise AssertionError(message)

    def receive_binary(self, connection: int, now: float) -> list[Action]:
        """Take a binary frame, which is never a message."""
        return self.receive(connection, b"", now)

    def receive_control(self, connection: int, now: float) -> list[Action]:
        """Take a ping, a pong or a fragment: free of meaning here, not free of cost."""
        client = self._clients.get(connection)
        if client is None or self._spend(client, now):
            return []
        return self._refuse_rate(client)

    def too_big(self, connection: int) -> list[Action]:
        """Close on a frame above the limit, which was not read to its end."""
        return self._close(connection, "message_too_big", MESSAGE_TOO_BIG)

    def overflow(self, connection: int) -> list[Action]:
        """Close a connection whose outbox is full: it does not read, and may slow nobody down."""
        return self._close(connection, "slow_reader")

    def disconnect(self, connection: int) -> list[Action]:
        """Forget a connection that is gone; nothing where it was forgotten before."""
        client = self._clients.pop(connection, None)
        if client is None:
            return []
        self._unregistered.pop(connection, None)
        left = self._addresses[client.address] - 1
        if left:
            self._addresses[client.address] = left
        else:
            del self._addresses[client.address]
        return self._leave(client)

    def tick(self, now: float) -> list[Action]:
        """Close the connections that did not register in time; call it about once a second."""
        actions: list[Action] = []
        for connection, deadline in list(self._unregistered.items()):
            if deadline > now:
                break
            actions += self._close(connection, "register_timeout")
        return actions

    def shutdown(self) -> list[Action]:
        """Tell every client that the server goes, and forget them all."""
        actions: list[Action] = [self._last_words(connection, "server_shutdown") for connection in self._clients]
        for state in (self._clients, self._addresses, self._rooms, self._unregistered):
            state.clear()
        return actions

    def _spend(self, client: _Client, now: float) -> bool:
        """Take one token from the client's bucket."""
        limits = self._limits
        tokens = client.tokens + (now - client.counted) * limits.messages_per_second
        client.counted = now
        if tokens < 1:
            client.tokens = tokens
            return False
        client.tokens = min(tokens, limits.burst) - 1
        client.refused = 0
        return True

    def _refuse_rate(self, client: _Client) -> list[Action]:
        client.refused += 1
        if client.refused > self._limits.excess:
            return self._close(client.connection, "rate_limited", POLICY_VIOLATION)
        return self._error(client, "rate_limited")

    def _relay(self, client: _Client, message: Relay) -> list[Action]:
        if client.room is None:
            return self._error(client, "not_registered")
        target = client.room.members.get(message.to)
        if target is None:
            shown = _shown(message.to)
            return self._error(client, "unknown_peer", detail=shown, peer=shown)
        frame = b"".join((client.prefix, message.data, b"}"))
        # The sender's name may be longer than the receiver's, and a frame above the limit would cut the receiver off.
        if len(frame) > self._limits.message_bytes:
            return self._error(client, "message_too_big", peer=message.to)
        return [Send(target, frame)]

    def _list_peers(self, client: _Client, message: ListPeers) -> list[Action]:
        room = client.room
        if room is None:
            return self._error(client, "not_registered")
        if message.watch is True:
            room.watchers[client.connection] = None
        elif message.watch is False:
            room.watchers.pop(client.connection, None)
        return [Send(client.connection, _peers_frame(room))]

    def _register(self, client: _Client, message: Register) -> list[Action]:
        if client.peer_id is not None:
            return self._error(client, "already_registered")
        try:
            peer_id = parse_peer_id(message.peer_id)
        except ValueError:
            return self._error(client, "invalid_peer_id")
        try:
            parse_peer_id(message.room)
        except ValueError:
            return self._error(client, "invalid_room")
        public_key = None
        if message.public_key is not None and message.signature is not None:
            public_key = message.public_key
            if not _signed(client, message, public_key, message.signature):
                return self._error(client, "invalid_signature")
        return self._take_name(client, message.room, peer_id, public_key)

    def _take_name(
        self, client: _Client, room_name: str, peer_id: PeerId, public_key: IdentityKey | None
    ) -> list[Action]:
        room = self._rooms.get(room_name) or _Room()
        holder = room.members.get(peer_id)
        actions: list[Action] = []
        if holder is not None:
            # A name without a key is nobody's to take; a name with one is its own key's, which proved itself just now.
            if public_key is None or self._clients[holder].public_key != public_key:
                return self._error(client, "already_registered")
            actions += self._close(holder, "replaced")
        frame_bytes = room.frame_bytes + len(peer_id) + 3
        if frame_bytes > self._limits.message_bytes:
            return actions + self._error(client, "room_full")
        joined = encode(PeerJoined(peer_id))
        actions += [Send(watcher, joined) for watcher in room.watchers]
        self._rooms[room_name] = room
        room.members[peer_id] = client.connection
        room.frame_bytes, room.frame = frame_bytes, None
        client.room_name, client.room, client.peer_id, client.public_key = room_name, room, peer_id, public_key
        client.prefix = relayed_prefix(peer_id)
        client.challenge, client.origins = b"", ()
        del self._unregistered[client.connection]
        return [*actions, Send(client.connection, _peers_frame(room))]

    def _leave(self, client: _Client) -> list[Action]:
        room = client.room
        if room is None or client.peer_id is None:
            return []
        del room.members[client.peer_id]
        room.watchers.pop(client.connection, None)
        room.frame_bytes, room.frame = room.frame_bytes - len(client.peer_id) - 3, None
        if not room.members:
            del self._rooms[client.room_name]
            return []
        frame = encode(PeerLeft(client.peer_id))
        return [Send(watcher, frame) for watcher in room.watchers]

    def _error(
        self, client: _Client, code: ErrorCode, *, detail: str | None = None, peer: str | None = None
    ) -> list[Action]:
        """Answer with an error, and close where the table says so."""
        text, close_code = ERRORS[code]
        if close_code is not None:
            return self._close(client.connection, code)
        frame = encode(Error(text if detail is None else f"{text}: {detail}", code, peer if client.extended else None))
        return [Send(client.connection, frame)]

    def _close(self, connection: int, code: ErrorCode, close_code: int | None = None) -> list[Action]:
        """Say why, close, and let the room know; nothing where the connection was forgotten before."""
        if connection not in self._clients:
            return []
        return [self._last_words(connection, code, close_code), *self.disconnect(connection)]

    def _last_words(self, connection: int, code: ErrorCode, close_code: int | None = None) -> Close:
        text, usual = ERRORS[code]
        return Close(connection, close_code or usual or POLICY_VIOLATION, text, encode(Error(text, code)))


def _signed(client: _Client, message: Register, public_key: IdentityKey, signature: bytes) -> bool:
    return any(
        verify(
            public_key,
            signature,
            tags.REGISTER,
            *register_fields(origin=origin, challenge=client.challenge, room=message.room, peer_id=message.peer_id),
        )
        for origin in client.origins
    )


def _peers_frame(room: _Room) -> bytes:
    if room.frame is None:
        room.frame = encode(Peers(tuple(map(PeerId, room.members))))
    return room.frame


def _shown(name: str) -> str:
    """Give a name nobody has in a form that is safe to print and short: ASCII, escaped, cut."""
    return name if len(name) <= _SHOWN_ID and name.isascii() and name.isprintable() else ascii(name[:_SHOWN_ID])[1:-1]
