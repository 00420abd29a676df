"""What a node and the signaling server say to each other (PROTOCOL section Signaling), one JSON object a text frame.

The first six messages are the source document's. Everything else needs the WebSocket subprotocol ``mpcnode.v1``.
``data`` of a relay passes through byte for byte: number for number, space for space, whatever it says.
"""

from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec

from mpcnode.errors import DecodeError
from mpcnode.types import PeerId
from mpcnode.wire import json
from mpcnode.wire.fields import Hex32, Hex64, HexKey, Name, from_hex

SUBPROTOCOL: Final = "mpcnode.v1"
DEFAULT_ROOM: Final = "public"
MESSAGE_BYTES: Final = 65_536
"""A text frame's limit in either direction; a server may be told another one and says so in ``welcome``."""

ErrorCode = Literal[
    "invalid_message",
    "message_too_big",
    "invalid_peer_id",
    "invalid_room",
    "invalid_signature",
    "already_registered",
    "not_registered",
    "unknown_peer",
    "recipient_busy",
    "rate_limited",
    "register_timeout",
    "too_many_connections",
    "room_full",
    "slow_reader",
    "replaced",
    "server_shutdown",
]
"""The stable words of the server's errors; a client decides by these and never by the text."""


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="type"):
    """What every message is: frozen, and nothing in it that was not asked for."""


class Register(_Message, frozen=True, tag="register"):
    """Take a name. ``room``, ``public_key`` and ``signature`` need the subprotocol; the last two come together."""

    peer_id: str
    room: str = DEFAULT_ROOM
    public_key: HexKey | None = None
    signature: Hex64 | None = None

    def __post_init__(self) -> None:
        if (self.public_key is None) != (self.signature is None):
            raise ValueError("public_key and signature come together")


class ListPeers(_Message, frozen=True, tag="list_peers"):
    """Ask who is there. ``watch`` needs the subprotocol: be told of who comes and goes, or no longer."""

    watch: bool | None = None


class Relay(_Message, frozen=True, tag="relay", gc=False):
    """Hand ``data``, a JSON object, to the peer named ``to``."""

    to: str
    data: msgspec.Raw


ClientMessage = Register | ListPeers | Relay


class IceServer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A STUN or TURN server the operator offers; nobody has to use it."""

    urls: Annotated[tuple[Annotated[str, msgspec.Meta(max_length=256)], ...], msgspec.Meta(min_length=1, max_length=8)]
    username: Annotated[str, msgspec.Meta(max_length=512)] | None = None
    credential: Annotated[str, msgspec.Meta(max_length=512)] | None = None

    def __repr__(self) -> str:
        return f"IceServer(urls={self.urls!r}, credential={None if self.credential is None else '<redacted>'})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """Show rich what ``repr`` shows; msgspec's own would show the credential."""
        return [("urls", self.urls)]


class OfferedLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client must keep to: bytes of a frame, messages a second, messages at once."""

    message_bytes: Annotated[int, msgspec.Meta(ge=1024, le=16 * 1024 * 1024)]
    messages_per_second: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
    burst: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class Welcome(_Message, frozen=True, tag="welcome"):
    """First of all, to a client of the subprotocol; ``challenge`` is fresh for each connection."""

    version: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z.+-]{1,64}\Z")]
    challenge: Hex32
    limits: OfferedLimits
    ice_servers: Annotated[tuple[IceServer, ...], msgspec.Meta(max_length=16)] = ()


class Peers(_Message, frozen=True, tag="peers"):
    """Who is in the room, in the order they came, the asker included; also the answer to ``register``."""

    peers: tuple[Name, ...]


class PeerJoined(_Message, frozen=True, tag="peer_joined"):
    """Somebody came into the watched room."""

    peer_id: Name


class PeerLeft(_Message, frozen=True, tag="peer_left"):
    """Somebody left the watched room."""

    peer_id: Name


class Relayed(_Message, frozen=True, tag="relay", rename={"sender": "from"}, gc=False):
    """``data`` from the peer the server says it is from; nothing proves that it is."""

    sender: Name
    data: msgspec.Raw


class Error(_Message, frozen=True, tag="error"):
    """What the server refused: ``error`` for people, ``code`` for programs, ``peer`` where it is about one.

    ``code`` is a plain string when it comes in, so that a newer server's word is still an error and no garbage.
    ``retry_after`` is in milliseconds, where the same is worth another try; like ``peer``, it needs the subprotocol.
    """

    error: Annotated[str, msgspec.Meta(max_length=512)]
    code: Annotated[str, msgspec.Meta(pattern=r"^[a-z_]{1,40}\Z")] | None = None
    peer: Annotated[str, msgspec.Meta(max_length=256)] | None = None
    retry_after: Annotated[int, msgspec.Meta(ge=1, le=86_400_000)] | None = None


ServerMessage = Welcome | Peers | PeerJoined | PeerLeft | Relayed | Error

_from_client: Final = msgspec.json.Decoder(ClientMessage, dec_hook=from_hex)
_from_server: Final = msgspec.json.Decoder(ServerMessage, dec_hook=from_hex)
_encode: Final = msgspec.json.Encoder().encode

# {"type":"relay","to":"","data":} with and without the five spaces of Python's json.dumps. A repeated key needs at
# least eight bytes more (,"to":""), so a frame of either length holds each key once.
_COMPACT: Final = len('{"type":"relay","to":"","data":}')
_USUAL_LENGTHS: Final = frozenset({_COMPACT, _COMPACT + 5})
_USUAL_LENGTHS_RELAYED: Final = frozenset(length + len("from") - len("to") for length in _USUAL_LENGTHS)


def encode(message: ClientMessage | ServerMessage) -> bytes:
    """Encode ``message`` as the bytes of one text frame."""
    # Only these two hold byte strings; a list of all peers of a room is encoded too often to be walked through.
    return json.encode(message) if isinstance(message, Register | Welcome) else _encode(message)


def decode_from_client(frame: bytes, *, extended: bool) -> ClientMessage:
    """Take one text frame of a client.

    Args:
        frame: any bytes.
        extended: the connection speaks ``mpcnode.v1``. Without it the fields of our extension are refused rather than
            ignored: a client that believes its name protected must not be left believing it.

    Raises:
        DecodeError: it is none of the messages, in any respect.
    """
    try:
        message: ClientMessage = _from_client.decode(frame)
        if type(message) is Relay:
            _check_data(message.data)
            overhead = len(frame) - len(message.to) - len(memoryview(message.data))
            if overhead not in _USUAL_LENGTHS:
                json.check_keys(frame)
            return message
        json.check(frame)
    except (ValueError, RecursionError) as exc:
        raise DecodeError("not a signaling message") from exc
    if not extended and message != (Register(message.peer_id) if isinstance(message, Register) else ListPeers()):
        raise DecodeError("a field that needs the subprotocol")
    return message


def decode_from_server(frame: bytes) -> ServerMessage:
    """Take one text frame of a signaling server, which nobody has to trust.

    Raises:
        DecodeError: it is none of the messages, in any respect.
    """
    try:
        message: ServerMessage = _from_server.decode(frame)
        if type(message) is Relayed:
            _check_data(message.data)
            overhead = len(frame) - len(message.sender) - len(memoryview(message.data))
            if overhead not in _USUAL_LENGTHS_RELAYED:
                json.check_keys(frame)
        else:
            json.check(frame)
    except (ValueError, RecursionError) as exc:
        raise DecodeError("not a message of a signaling server") from exc
    return message


def relay_frame(to: PeerId, data: bytes) -> bytes:
    """Encode a ``relay``, ``data`` untouched.

    Args:
        to: the receiver; its form needs no escaping.
        data: the bytes of one JSON object.

    Raises:
        DecodeError: ``data`` is not a JSON object that a server passes on.
    """
    try:
        _check_data(msgspec.json.decode(data, type=msgspec.Raw))
    except (ValueError, RecursionError) as exc:
        raise DecodeError("data is not a JSON object that can be relayed") from exc
    return b"".join((b'{"type":"relay","to":"', to.encode("ascii"), b'","data":', data, b"}"))


def relayed_prefix(sender: PeerId) -> bytes:
    """Give what stands before ``data`` in every frame relayed from ``sender``; one ``}`` follows it."""
    return b"".join((b'{"type":"relay","from":"', sender.encode("ascii"), b'","data":'))


def origin_of(url: str) -> str:
    """Give the origin of a server's URL, as both sides of a registration must see it.

    Lower case, the default port left out: ``ws://127.0.0.1:9000``, ``wss://mpc.example``.

    Raises:
        ValueError: not a ``ws`` or ``wss`` URL with a host.
    """
    parts = urlsplit(url)
    default = {"ws": 80, "wss": 443}.get(parts.scheme)
    if default is None or not parts.hostname:
        raise ValueError("a signaling server's URL is ws://host[:port] or wss://host[:port]")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname.encode("idna").decode("ascii")
    return f"{parts.scheme}://{host}" + ("" if parts.port in {None, default} else f":{parts.port}")


def register_fields(*, origin: str, challenge: bytes, room: str, peer_id: str) -> tuple[bytes, bytes, bytes, bytes]:
    """Give the fields that a client signs under ``tags.REGISTER`` to protect its name.

    The origin keeps a dishonest server from registering with an honest one in the client's name; the challenge keeps
    anybody from doing it twice.

    Args:
        origin: ``origin_of`` the server as the client dialled it.
        challenge: the 32 bytes of this connection's ``welcome``.
        room: the room of the registration.
        peer_id: the name it takes.
    """
    return origin.encode(), challenge, room.encode(), peer_id.encode()


def _check_data(raw: msgspec.Raw) -> None:
    """Check what skipping over ``data`` did not: that it is an object, is UTF-8 and is not too deep."""
    data = bytes(raw)
    if data[:1] != b"{":
        raise ValueError("data is not an object")
    if not data.isascii():
        data.decode("utf-8")
    if json.depth_exceeds(data, json.MAX_DEPTH):
        raise ValueError("data is nested too deep")
