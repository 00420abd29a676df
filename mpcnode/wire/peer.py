"""What nodes say to each other on a data channel (PROTOCOL section Messages on a link).

Each is ``{"type", "payload", "msg_id"}`` and never names its sender: the mesh stamps it from the channel it came on.
Everything a protocol says is a ``RoundMessage``; four rounds keep the names that the source document gave their
messages, all others are called ``round``.
"""

from typing import Annotated, Any, Final

import msgspec

from mpcnode.crypto.transcript import MAX_INTEGER
from mpcnode.errors import DecodeError
from mpcnode.wire import json
from mpcnode.wire.fields import (
    Hex16,
    Hex32,
    Hex64,
    HexData,
    HexKey,
    HexSession,
    Name,
    SuiteName,
    Text,
    Word,
)
from mpcnode.wire.relay import (
    Culprits,
    NegotiationMessage,
    SessionCancel,
    SessionProposal,
    SessionResponse,
    SessionStart,
)

NAMED_ROUNDS: Final = ("commitment", "share", "ready", "wallet_created")
"""The rounds whose messages have a type of their own; a message of any other round has the type ``round``."""

MessageId = Annotated[int, msgspec.Meta(ge=1, le=MAX_INTEGER)]


class _Payload(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What every payload is: frozen, and nothing in it that was not asked for."""


class ChannelOpen(_Payload, frozen=True):
    """First on each channel, with a signature; later, without one, the announcement of another open link.

    ``peer_id`` is the other end of the link as the sender sees it.
    """

    peer_id: Name
    mesh: Hex16
    public_key: HexKey
    signature: Hex64 | None = None


class MeshReady(_Payload, frozen=True):
    """Once: all my channels are open and all are accepted."""

    mesh: Hex16


class RoundMessage(_Payload, frozen=True, kw_only=True):
    """What a protocol says in one of its rounds.

    Args:
        session_id: the session.
        round: the round's name in the protocol's plan.
        lane: the suite it is about; absent where it is about the whole session.
        data: what the protocol says, opaque to the wire.
        echo: the hash of what the sender heard in an earlier round, where the round has one.
    """

    session_id: HexSession
    round: Word
    lane: SuiteName | None = None
    data: HexData
    echo: Hex32 | None = None


class _NamedRound(_Payload, frozen=True, kw_only=True):
    """A ``RoundMessage`` whose round stands in the message's type."""

    session_id: HexSession
    lane: SuiteName | None = None
    data: HexData
    echo: Hex32 | None = None


class Ack(_Payload, frozen=True):
    """The message of that number was taken."""

    msg_id: MessageId


class Ping(_Payload, frozen=True):
    """Heartbeat; its ``ack`` measures the round trip."""


class Abort(_Payload, frozen=True):
    """I stop, and why; what it says of others is hearsay unless ``evidence`` proves it."""

    session_id: HexSession
    code: Word
    reason: Text
    culprits: Culprits = ()
    evidence: HexData | None = None


class Idle(_Payload, frozen=True):
    """Nothing was asked of this mesh for a while: I close it, and nobody did anything wrong."""

    mesh: Hex16


PeerMessage = ChannelOpen | MeshReady | RoundMessage | NegotiationMessage | Ack | Ping | Abort | Idle

_TYPES: Final[dict[str, type[PeerMessage | _NamedRound]]] = {
    "channel_open": ChannelOpen,
    "mesh_ready": MeshReady,
    **dict.fromkeys(NAMED_ROUNDS, _NamedRound),
    "round": RoundMessage,
    "session_proposal": SessionProposal,
    "session_response": SessionResponse,
    "session_start": SessionStart,
    "session_cancel": SessionCancel,
    "ack": Ack,
    "ping": Ping,
    "abort": Abort,
    "idle": Idle,
}
_NAMES: Final = {payload: name for name, payload in _TYPES.items()}


class _Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: str
    payload: msgspec.Raw
    msg_id: MessageId | None = None


class _Tag(msgspec.Struct):
    type: msgspec.Raw = msgspec.Raw(b"")


_envelope: Final = json.Decoder(_Envelope, "a data-channel message")
_payloads: Final[dict[str, json.Decoder[Any]]] = {
    name: json.Decoder(payload, f"a {name}") for name, payload in _TYPES.items()
}
_tag: Final = json.Decoder(_Tag, "a payload")


def encode(message: PeerMessage, msg_id: int | None = None) -> bytes:
    """Encode ``message``; ``msg_id`` is given where an ``ack`` is wanted."""
    payload = json.to_json(message)
    # The type stands once, in the envelope: what the relay tags inside is not tagged here.
    payload.pop("type", None)
    name = type_name(message)
    if name in NAMED_ROUNDS:
        del payload["round"]
    tree = {"type": name, "payload": payload}
    return msgspec.json.encode(tree if msg_id is None else {**tree, "msg_id": msg_id})


def decode(data: bytes) -> tuple[PeerMessage, int | None]:
    """Decode one data-channel message.

    Returns:
        The message and its ``msg_id``, if it has one.

    Raises:
        DecodeError: not JSON, an unknown type, or a payload that is not that type's.
    """
    envelope = _envelope.decode(data)
    name = envelope.type
    if name not in _TYPES:
        raise DecodeError(f"unknown message type {name[:40]!a}")
    payload = _payloads[name].decode_part(envelope.payload)
    match payload:
        case _NamedRound():
            payload = RoundMessage(
                session_id=payload.session_id, round=name, lane=payload.lane, data=payload.data, echo=payload.echo
            )
        case RoundMessage() if payload.round in NAMED_ROUNDS:
            raise DecodeError(f"a message of the round {payload.round} has that type and is not called round")
        case SessionProposal() | SessionResponse() | SessionStart() | SessionCancel():
            if bytes(_tag.decode_part(envelope.payload).type):
                raise DecodeError("a payload that repeats its type")
    return payload, envelope.msg_id


def type_name(message: PeerMessage) -> str:
    """The ``type`` of ``message`` on the wire."""
    if isinstance(message, RoundMessage):
        return message.round if message.round in NAMED_ROUNDS else "round"
    return _NAMES[type(message)]
