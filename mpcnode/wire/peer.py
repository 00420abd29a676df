"""What nodes say to each other on a data channel (DESIGN section 5): ``{"type", "payload", "msg_id"}``.

A message never names its sender: the mesh stamps it from the channel it came on.
"""

from typing import Annotated, Final

import msgspec

from mpcnode.errors import DecodeError
from mpcnode.wire.fields import Hex, Hex16, Hex32, Hex64, MessageId, Name, SuiteName, Text
from mpcnode.wire.relay import SessionCancel, SessionProposal, SessionResponse, SessionStart


class _Payload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every payload is: frozen, and nothing in it that was not asked for."""


class ChannelOpen(_Payload, frozen=True):
    """First on each channel, with a signature; later, without one, the announcement of another open link.

    ``peer_id`` is the other end of the link as the sender sees it.
    """

    peer_id: Name
    session_id: Hex16
    public_key: Hex32
    signature: Hex64 | None = None


class MeshReady(_Payload, frozen=True):
    """Once: all my channels are open and all are accepted."""

    session_id: Hex16


class CommitmentDigest(_Payload, frozen=True):
    """The hash of the commitment to come, signed, so that two of them prove the lie."""

    session_id: Hex16
    suite: SuiteName
    data: Hex


class Commitment(_Payload, frozen=True):
    """A ZF round-1 package; ``echo`` is the hash of every digest the sender holds."""

    session_id: Hex16
    suite: SuiteName
    data: Hex
    echo: Hex32


class Share(_Payload, frozen=True):
    """A ZF round-2 package, sealed to its recipient."""

    session_id: Hex16
    suite: SuiteName
    data: Hex


class Ready(_Payload, frozen=True):
    """My share is verified and durable: my signature over the transcript."""

    session_id: Hex16
    transcript: Hex32
    signature: Hex64


class WalletCreated(_Payload, frozen=True):
    """I hold all n ``ready`` signatures; ``pubkey`` is the first suite's entry of ``pubkeys``."""

    session_id: Hex16
    pubkey: Hex
    pubkeys: dict[SuiteName, Hex]


class SigningCommitments(_Payload, frozen=True):
    """The session's context, the sender's signature, and a pair of commitments for each message."""

    session_id: Hex16
    suite: SuiteName
    data: Hex


class CommitmentList(_Payload, frozen=True):
    """The hash of everybody's commitments: no share leaves before all hashes agree."""

    session_id: Hex16
    suite: SuiteName
    data: Hex


class SignatureShare(_Payload, frozen=True):
    """A share of each message's signature."""

    session_id: Hex16
    suite: SuiteName
    data: Hex


class Ack(_Payload, frozen=True):
    """The message of that id was taken."""

    msg_id: MessageId


class Ping(_Payload, frozen=True):
    """Heartbeat; its ``ack`` measures the round trip."""


class Abort(_Payload, frozen=True):
    """I stop, and why; whom it accuses is hearsay unless ``evidence`` proves it."""

    session_id: Hex16
    code: Annotated[str, msgspec.Meta(pattern=r"^[a-z_]{1,40}\Z")]
    reason: Text
    culprits: Annotated[tuple[Name, ...], msgspec.Meta(max_length=64)] = ()
    evidence: Hex | None = None


Negotiation = SessionProposal | SessionResponse | SessionStart | SessionCancel
"""Nodes that keep a mesh between signatures agree on the next one over it, in the words of the sealed relay."""

PeerMessage = (
    ChannelOpen
    | MeshReady
    | CommitmentDigest
    | Commitment
    | Share
    | Ready
    | WalletCreated
    | SigningCommitments
    | CommitmentList
    | SignatureShare
    | Negotiation
    | Ack
    | Ping
    | Abort
)

_TYPES: Final[dict[str, type[PeerMessage]]] = {
    "channel_open": ChannelOpen,
    "mesh_ready": MeshReady,
    "commitment_digest": CommitmentDigest,
    "commitment": Commitment,
    "share": Share,
    "ready": Ready,
    "wallet_created": WalletCreated,
    "signing_commitments": SigningCommitments,
    "commitment_list": CommitmentList,
    "signature_share": SignatureShare,
    "session_proposal": SessionProposal,
    "session_response": SessionResponse,
    "session_start": SessionStart,
    "session_cancel": SessionCancel,
    "ack": Ack,
    "ping": Ping,
    "abort": Abort,
}
_NAMES: Final = {payload: name for name, payload in _TYPES.items()}

NEEDS_ACK: Final = (Share, Ready, WalletCreated, SignatureShare, Ping)
"""A node leaves only when its last words were heard."""


class _Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    type: str
    payload: msgspec.Raw
    msg_id: MessageId | None = None


_envelope: Final = msgspec.json.Decoder(_Envelope)
_payloads: Final = {name: msgspec.json.Decoder(payload) for name, payload in _TYPES.items()}


def encode(message: PeerMessage, msg_id: str | None = None) -> bytes:
    """Encode ``message``; ``msg_id`` is given where an ``ack`` is wanted."""
    payload = msgspec.Raw(msgspec.json.encode(message))
    return msgspec.json.encode(_Envelope(type_name(message), payload, msg_id))


def decode(data: bytes) -> tuple[PeerMessage, str | None]:
    """Decode one data-channel message.

    Returns:
        The message and its ``msg_id``, if it has one.

    Raises:
        DecodeError: not JSON, an unknown type, or a payload that is not that type's.
    """
    try:
        envelope = _envelope.decode(data)
        decoder = _payloads.get(envelope.type)
        if decoder is None:
            raise DecodeError(f"unknown message type {envelope.type[:40]!a}")
        return decoder.decode(envelope.payload), envelope.msg_id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"not a data-channel message: {error}") from None


def type_name(message: PeerMessage) -> str:
    """The ``type`` of ``message`` on the wire."""
    return _NAMES[type(message)]
