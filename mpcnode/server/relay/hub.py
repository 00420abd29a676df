"""The relay without any I/O: which peers are here, and which may reach each other.

A machine of a room: calls in, actions out. The hub knows names, rooms and keys and keeps no session state, ever: no
session ids, no participants, no thresholds; ``data`` is bytes it does not look into.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from mpcnode.crypto import tags
from mpcnode.crypto.signature import verify
from mpcnode.errors import DecodeError
from mpcnode.server.actions import MESSAGE_TOO_BIG, POLICY_VIOLATION, Close, Send, said_wait
from mpcnode.server.admission import Admission
from mpcnode.server.buckets import AddressBuckets, Bucket
from mpcnode.server.relay.reasons import ERRORS
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


class Pass(msgspec.Struct, frozen=True, gc=False):
    """Queue one text frame for ``connection`` that ``sender`` relays from ``address``.

    Where the sender's share of what waits there is full, tell the hub with ``busy`` instead.
    """

    connection: int
    frame: bytes
    sender: int
    address: str


class SendAll(msgspec.Struct, frozen=True, gc=False):
    """Queue several text frames for ``connection``, as ``Send`` does; the same object comes for many connections."""

    connection: int
    frames: tuple[bytes, ...]


Action = Send | Pass | SendAll | Close

_PEERS_FRAME_EMPTY: Final = len('{"type":"peers","peers":[]}')
_SHOWN_ID: Final = 64
BYTES_A_MESSAGE: Final = 16 * 1024
"""A message costs one of what its connection may send, and one more for each time it has as many bytes as this."""
ANNOUNCED_AT_ONCE: Final = 100
"""Watchers that are told in one go; more would hold everybody else up for milliseconds."""
ANNOUNCE_SECONDS: Final = 0.00005
"""What one watcher adds to the pause between two tellings, which is some times what it costs to tell it."""
BUSY_SECONDS: Final = 0.5
"""After which a message is worth another try whose receiver had not read what this sender sent before."""
LATE_SECONDS: Final = 0.5
"""How long a change that hastens nothing waits for others to be told with."""


@dataclass(slots=True, eq=False)
class _Room:
    """The members of a room in the order they came, and what those of them that watch it have been told.

    Args:
        members: names and their connections.
        watchers: connections, and the number of the first change that each was not told.
        frame_bytes: the length of the list of members.
        frame: this list, where it was made since the last change.
        changes: frames that some watchers were not told yet.
        first: the number of the first of them.
        untold: the watchers that the telling under way has not come to.
        upto: the number of the first change that it does not tell of.
        began: when it began, or the last one did.
        wanted: when the next one is to begin.
        batch: the changes from one number to another that were told last; the next watcher mostly needs the same.
    """

    members: dict[str, int] = field(default_factory=dict)
    watchers: dict[int, int] = field(default_factory=dict)
    frame_bytes: int = _PEERS_FRAME_EMPTY
    frame: bytes | None = None
    changes: list[bytes] = field(default_factory=list)
    first: int = 0
    untold: list[int] = field(default_factory=list)
    upto: int = 0
    began: float = -math.inf
    wanted: float = math.inf
    batch: tuple[int, int, tuple[bytes, ...]] = (0, 0, ())

    @property
    def end(self) -> int:
        """The number that the next change will have."""
        return self.first + len(self.changes)


@dataclass(slots=True)
class _Client:
    """What the hub knows about one connection; ``peer_id`` is set once it is registered."""

    connection: int
    address: str
    extended: bool
    origins: tuple[str, ...]
    bucket: Bucket
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
        admission: what addresses use, in this room and all others.
        version: the server's version, for ``welcome``.
        rng: gives n random bytes; makes the challenges.
        ice_servers: what the operator offers, for ``welcome``.
    """

    def __init__(
        self,
        admission: Admission,
        *,
        version: str,
        rng: Callable[[int], bytes],
        ice_servers: tuple[IceServer, ...] = (),
    ) -> None:
        self._admission = admission
        self._limits = admission.limits
        self._version = version
        self._rng = rng
        self._ice_servers = ice_servers
        self._clients: dict[int, _Client] = {}
        self._rooms: dict[str, _Room] = {}
        # The joins of an address that the watchers of a large room are told at once; others wait to be told together.
        self._prompt = AddressBuckets(rate=1, size=10)
        self._due: dict[_Room, float] = {}
        self._now = 0.0
        # In the order of their deadlines, because all have the same time to register.
        self._unregistered: dict[int, float] = {}

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._clients)

    def connect(
        self, connection: int, *, address: str, extended: bool, origins: Iterable[str], now: float, wait: float = 0.0
    ) -> list[Action]:
        """Take a new connection.

        Args:
            connection: a number that was never used before.
            address: what is counted as one address, where the client is.
            extended: it speaks ``mpcnode.v1``.
            origins: what this server is called; a registration must be signed for one of them.
            now: the time.
            wait: what was said when it was admitted; a connection that comes too early is told so and closed.
        """
        self._now = now
        if wait:
            return [self._last_words(connection, "too_many_connections", extended=extended, wait=wait)]
        bucket = self._admission.enter(address, now)
        if bucket is None:
            return [self._last_words(connection, "too_many_connections")]
        limits = self._limits
        self._clients[connection] = client = _Client(connection, address, extended, tuple(origins), bucket)
        self._unregistered[connection] = now + limits.register_seconds
        if not extended:
            return []
        client.challenge = self._rng(32)
        offered = OfferedLimits(limits.message_bytes, limits.messages_per_second, max(1, int(bucket.tokens)))
        welcome = Welcome(self._version, client.challenge, offered, self._ice_servers)
        return [Send(connection, encode(welcome))]

    def receive(self, connection: int, frame: bytes, now: float) -> list[Action]:
        """Take a text frame; whatever is in it, the answer is actions and never an exception."""
        client = self._clients.get(connection)
        if client is None:
            return []
        self._now = now
        bucket = client.bucket
        if not bucket.spend(now):
            return self._refuse_rate(client)
        client.refused = max(0, client.refused - 1)
        bucket.tokens -= len(frame) // BYTES_A_MESSAGE
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
        if client is None:
            return []
        if not client.bucket.spend(now):
            return self._refuse_rate(client)
        client.refused = max(0, client.refused - 1)
        return []

    def too_big(self, connection: int) -> list[Action]:
        """Close on a frame above the limit, which was not read to its end."""
        return self._close(connection, "message_too_big", MESSAGE_TOO_BIG)

    def overflow(self, connection: int) -> list[Action]:
        """Close a connection whose outbox is full: it does not read, and may slow nobody down."""
        return self._close(connection, "slow_reader")

    def busy(self, sender: int, receiver: int) -> list[Action]:
        """Refuse a message because its sender filled its share of what waits for the receiver, which loses nothing."""
        client, target = self._clients.get(sender), self._clients.get(receiver)
        if client is None or target is None or target.peer_id is None:
            return []
        frame = _refusal("recipient_busy", extended=client.extended, wait=BUSY_SECONDS, peer=target.peer_id)
        return [Send(sender, frame)]

    def disconnect(self, connection: int) -> list[Action]:
        """Forget a connection that is gone; nothing where it was forgotten before."""
        client = self._clients.pop(connection, None)
        if client is None:
            return []
        self._unregistered.pop(connection, None)
        self._admission.leave(client.address, client.bucket)
        return self._leave(client)

    def tick(self, now: float) -> list[Action]:
        """Close the connections that did not register in time; call it about once a second."""
        self._now = now
        actions: list[Action] = []
        for connection, deadline in list(self._unregistered.items()):
            if deadline > now:
                break
            actions += self._close(connection, "register_timeout")
        self._prompt.forget_full(now)
        return actions

    def shutdown(self) -> list[Action]:
        """Tell every client that the server goes, and forget them all."""
        actions: list[Action] = [self._last_words(connection, "server_shutdown") for connection in self._clients]
        for client in self._clients.values():
            self._admission.leave(client.address, client.bucket)
        for state in (self._clients, self._rooms, self._unregistered, self._due):
            state.clear()
        return actions

    def _refuse_rate(self, client: _Client) -> list[Action]:
        client.refused += 1
        wait = client.bucket.seconds()
        if client.refused > self._limits.excess:
            return self._close(client.connection, "rate_limited", POLICY_VIOLATION, wait=wait)
        return [Send(client.connection, _refusal("rate_limited", extended=client.extended, wait=wait))]

    def _relay(self, client: _Client, message: Relay) -> list[Action]:
        if client.room is None:
            return self._error(client, "not_registered")
        target = client.room.members.get(message.to)
        if target is None:
            shown = _shown(message.to)
            return self._error(client, "unknown_peer", detail=shown, peer=shown)
        frame = b"".join((client.prefix, message.data, b"}"))
        # A watcher hears of a peer before it hears from it.
        actions: list[Action] = self._catch_up(client.room, target) if client.room.changes else []
        # The sender's name may be longer than the receiver's, and a frame above the limit would cut the receiver off.
        if len(frame) > self._limits.message_bytes:
            return [*actions, *self._error(client, "message_too_big", peer=message.to)]
        return [*actions, Pass(target, frame, client.connection, client.address)]

    def _list_peers(self, client: _Client, message: ListPeers) -> list[Action]:
        room = client.room
        if room is None:
            return self._error(client, "not_registered")
        number = client.connection
        # What is in the list was told before it; nothing is told twice.
        actions = self._catch_up(room, number)
        if message.watch is True:
            room.watchers[number] = room.end
        elif message.watch is False:
            room.watchers.pop(number, None)
        return [*actions, self._peers(client, room)]

    def _peers(self, client: _Client, room: _Room) -> Send:
        """Answer with the members; a long list costs as much as the messages that would fill it."""
        if room.frame is None:
            room.frame = encode(Peers(tuple(map(PeerId, room.members))))
        client.bucket.tokens -= len(room.frame) // BYTES_A_MESSAGE
        return Send(client.connection, room.frame)

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
        return self._take_name(client, message, peer_id)

    def _take_name(self, client: _Client, message: Register, peer_id: PeerId) -> list[Action]:
        room = self._rooms.get(message.room) or _Room()
        holder = room.members.get(peer_id)
        frame_bytes = room.frame_bytes + len(peer_id) + 3
        # Before the signature, whose check is what costs most here and could be asked for again and again.
        if holder is None and frame_bytes > self._limits.message_bytes:
            return self._error(client, "room_full")
        public_key = None
        if message.public_key is not None and message.signature is not None:
            public_key = message.public_key
            if not _signed(client, message, public_key, message.signature):
                return self._error(client, "invalid_signature")
        actions: list[Action] = []
        if holder is not None:
            # A name without a key is nobody's to take; a name with one is its own key's, which proved itself just now.
            if public_key is None or self._clients[holder].public_key != public_key:
                return self._error(client, "already_registered")
            actions += self._close(holder, "replaced")
            frame_bytes = room.frame_bytes + len(peer_id) + 3
        prompt = self._prompt.spend(client.address, self._now)
        actions += self._changed(room, PeerJoined(peer_id), prompt=prompt)
        self._rooms[message.room] = room
        room.members[peer_id] = client.connection
        room.frame_bytes, room.frame = frame_bytes, None
        client.room_name, client.room, client.peer_id, client.public_key = message.room, room, peer_id, public_key
        client.prefix = relayed_prefix(peer_id)
        client.challenge, client.origins = b"", ()
        del self._unregistered[client.connection]
        return [*actions, self._peers(client, room)]

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
        return self._changed(room, PeerLeft(client.peer_id), prompt=False)

    # Who comes and goes.

    def _changed(self, room: _Room, message: PeerJoined | PeerLeft, *, prompt: bool) -> list[Action]:
        """Tell a few watchers at once, and many in parts: see ``announce``."""
        if not room.watchers:
            return []
        frame = encode(message)
        if len(room.watchers) <= ANNOUNCED_AT_ONCE and room not in self._due:
            return [Send(watcher, frame) for watcher in room.watchers]
        room.changes.append(frame)
        at = max(self._now + (0 if prompt else LATE_SECONDS), room.began + len(room.watchers) * ANNOUNCE_SECONDS)
        room.wanted = min(room.wanted, at)
        if not room.untold:
            self._due[room] = room.wanted
        return []

    @property
    def due(self) -> float | None:
        """When ``announce`` is to be called next; None where nothing waits to be told."""
        return min(self._due.values()) if self._due else None

    def announce(self, now: float) -> list[Action]:
        """Tell some watchers of one room who came and went since they were told last.

        A join in a quiet room is told at once, in parts small enough that nobody else waits for the whole of it.
        Further changes wait until telling takes a small share of the time, and are then told together: what the
        watchers of a room cost does not grow with the number of changes. Leaves, and joins of an address that joins
        all the time, hasten nothing.
        """
        self._now = now
        room = next((room for room, due in self._due.items() if due <= now), None)
        if room is None:
            return []
        del self._due[room]
        if not room.untold:
            room.untold, room.upto, room.began, room.wanted = list(room.watchers), room.end, now, math.inf
        actions: list[Action] = []
        for _ in range(min(ANNOUNCED_AT_ONCE, len(room.untold))):
            actions += self._catch_up(room, room.untold.pop())
        if room.untold:
            self._due[room] = now
            return actions
        # Every watcher has heard of everything up to here: this part of the list, or what was there when it began.
        del room.changes[: room.upto - room.first]
        room.first = room.upto
        if room.changes:
            self._due[room] = room.wanted
        return actions

    def _catch_up(self, room: _Room, watcher: int) -> list[Action]:
        """Tell one watcher what it was not told yet."""
        told = room.watchers.get(watcher)
        if told is None or told == room.end:
            return []
        room.watchers[watcher] = room.end
        if room.batch[:2] != (told, room.end):
            room.batch = told, room.end, tuple(room.changes[told - room.first :])
        return [SendAll(watcher, room.batch[2])]

    def _error(
        self, client: _Client, code: ErrorCode, *, detail: str | None = None, peer: str | None = None
    ) -> list[Action]:
        """Answer with an error, and close where the table says so."""
        text, close_code = ERRORS[code]
        if close_code is not None:
            return self._close(client.connection, code)
        frame = encode(Error(text if detail is None else f"{text}: {detail}", code, peer if client.extended else None))
        return [Send(client.connection, frame)]

    def _close(
        self, connection: int, code: ErrorCode, close_code: int | None = None, *, wait: float = 0.0
    ) -> list[Action]:
        """Say why, close, and let the room know; nothing where the connection was forgotten before."""
        client = self._clients.get(connection)
        if client is None:
            return []
        words = self._last_words(connection, code, close_code, extended=client.extended, wait=wait)
        return [words, *self.disconnect(connection)]

    def _last_words(
        self,
        connection: int,
        code: ErrorCode,
        close_code: int | None = None,
        *,
        extended: bool = False,
        wait: float = 0.0,
    ) -> Close:
        text, usual = ERRORS[code]
        frame = _refusal(code, extended=extended, wait=wait)
        return Close(connection, close_code or usual or POLICY_VIOLATION, text, frame)


def _refusal(code: ErrorCode, *, extended: bool, wait: float, peer: PeerId | None = None) -> bytes:
    """Encode an error, and when the same may be tried again where ``wait`` says so, in seconds."""
    text, _ = ERRORS[code]
    if not wait:
        return encode(Error(text, code))
    wait_ms = said_wait(wait)
    said = f"{text}: try again in {wait_ms / 1000:g} s"
    return encode(Error(said, code, peer, wait_ms) if extended else Error(said, code))


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


def _shown(name: str) -> str:
    """Give a name nobody has in a form that is safe to print and short: ASCII, escaped, cut."""
    return name if len(name) <= _SHOWN_ID and name.isascii() and name.isprintable() else ascii(name[:_SHOWN_ID])[1:-1]
