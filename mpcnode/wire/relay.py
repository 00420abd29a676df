"""What nodes say to each other through the signaling server, in ``relay``'s ``data`` (PROTOCOL section Sealed relay).

``hello`` goes in the open, once for each peer and connection; everything after it is ``sealed``, and what is inside
the seal is an ``Envelope``: the message, the topic it belongs to, when it expires, and its place in the order. The same
four ``session_`` messages go over a mesh that is open (``wire.peer``).
"""

from itertools import pairwise
from typing import Annotated, Final

import msgspec

from mpcnode.crypto.transcript import MAX_INTEGER
from mpcnode.errors import DecodeError
from mpcnode.wire import json
from mpcnode.wire.fields import (
    MAX_BODY_BYTES,
    MAX_TERMS_BYTES,
    Count,
    Hex16,
    Hex32,
    Hex64,
    HexBody,
    HexEpoch,
    HexKey,
    HexSession,
    HexTerm,
    HexWallet,
    Milliseconds,
    Name,
    Number,
    SuiteName,
    Text,
    Word,
    from_hex,
)

PROTOCOL_VERSION: Final = 1

SEAL_OVERHEAD: Final = 48
"""The ephemeral key and the tag of a seal."""
MAX_MESSAGE_TEXT: Final = MAX_BODY_BYTES - SEAL_OVERHEAD - 128
"""The longest message as JSON that fits a seal, with the rest of its envelope."""

MAX_TERMS: Final = 300
MAX_ACCEPTANCE_TERMS: Final = 8
MAX_ACCEPTANCE_TERMS_BYTES: Final = 128
"""All terms of one acceptance together, so that a start fits a seal with 64 acceptances in it."""
MAX_ANSWER_MS: Final = 24 * 3600 * 1000
MAX_SIGNATURES: Final = 128
"""Of one certificate: everybody of an epoch and everybody of the epoch before."""

Kind = Annotated[str, msgspec.Meta(pattern=r"^[a-z_]{1,20}\Z")]
WalletName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\Z")]
Capability = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_.-]{1,40}\Z")]
Terms = Annotated[tuple[HexTerm, ...], msgspec.Meta(max_length=MAX_TERMS)]
AcceptanceTerms = Annotated[tuple[HexTerm, ...], msgspec.Meta(max_length=MAX_ACCEPTANCE_TERMS)]
Culprits = Annotated[tuple[Name, ...], msgspec.Meta(max_length=64)]
Sdp = Annotated[str, msgspec.Meta(max_length=16_384)]
Attempt = Annotated[int, msgspec.Meta(ge=1, le=1000)]


class Hello(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="hello", kw_only=True):
    """Introduces an identity key; ``nonce`` is drawn anew for each life of the peer and goes into every seal of it.

    ``answering`` is the nonce of the hello it answers, absent in a first one. ``time`` is the sender's, in Unix
    milliseconds: clocks that differ are told to both. ``capabilities`` are words for what this node understands beyond
    the version. The signature covers all of it, and both names.
    """

    version: Annotated[int, msgspec.Meta(ge=PROTOCOL_VERSION, le=PROTOCOL_VERSION)] = msgspec.field()
    public_key: HexKey
    nonce: Hex32
    answering: Hex32 | None = None
    time: Milliseconds
    capabilities: Annotated[tuple[Capability, ...], msgspec.Meta(max_length=32)] = ()
    signature: Hex64


class ForeignHello(msgspec.Struct, frozen=True, kw_only=True):
    """A hello of another version, of which nothing more is read; ``nonce`` where it has the form of ours."""

    version: int
    nonce: bytes | None
    answers: bool


class Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="sealed"):
    """An ``Envelope`` that only the recipient can open and only the sender can have made."""

    body: HexBody


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What every sealed message is: frozen, and nothing in it that was not asked for."""


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is inside of a message is so too."""


class Participant(_Part, frozen=True):
    """One entry of a proposal's roster."""

    identifier: Number
    peer_id: Name
    public_key: HexKey


class SessionProposal(_Message, frozen=True, tag="session_proposal"):
    """Propose a session to everybody in it.

    ``session_id`` is made of the proposer's identity key and ``salt``: nobody else can propose a session of that id.
    ``expires`` keeps an old proposal from being played again; ``answer_within`` is how long answers are waited for,
    each by its own clock, which may be minutes off. ``terms`` is what the kind adds; the wire does not look into it.
    """

    session_id: HexSession
    salt: Hex16
    kind: Kind
    wallet_name: WalletName
    threshold: Annotated[int, msgspec.Meta(ge=2, le=64)]
    suites: Annotated[tuple[SuiteName, ...], msgspec.Meta(min_length=1, max_length=4)]
    participants: Annotated[tuple[Participant, ...], msgspec.Meta(min_length=2, max_length=64)]
    expires: Milliseconds
    answer_within: Annotated[int, msgspec.Meta(ge=1, le=MAX_ANSWER_MS)]
    terms: Terms = ()

    def __post_init__(self) -> None:
        _check_ascending([participant.identifier for participant in self.participants])
        _check_size(self.terms, MAX_TERMS_BYTES)


class SessionResponse(_Message, frozen=True, tag="session_response"):
    """Yes or no, to the proposer alone; ``proposal`` is the hash of what was proposed.

    A yes is signed, with ``nonce`` drawn for it; ``terms`` is what the kind adds to it. ``meshes`` are those open here
    that the proposer is on and may name for the session.
    """

    session_id: HexSession
    proposal: Hex32
    accepted: bool
    nonce: Hex16 | None = None
    terms: AcceptanceTerms = ()
    meshes: Annotated[tuple[Hex16, ...], msgspec.Meta(max_length=64)] = ()
    reason: Text | None = None
    signature: Hex64 | None = None

    def __post_init__(self) -> None:
        if self.accepted and (self.nonce is None or self.signature is None or self.reason is not None):
            raise ValueError("an acceptance has a nonce and a signature and gives no reason")
        if not self.accepted and not (self.nonce is self.signature is None and not self.terms and not self.meshes):
            raise ValueError("a refusal has nothing but a reason")
        _check_size(self.terms, MAX_ACCEPTANCE_TERMS_BYTES)


class Acceptance(_Part, frozen=True, kw_only=True):
    """One participant's signed yes, as the start repeats it."""

    identifier: Number
    nonce: Hex16
    terms: AcceptanceTerms = ()
    signature: Hex64

    def __post_init__(self) -> None:
        _check_size(self.terms, MAX_ACCEPTANCE_TERMS_BYTES)


class SessionStart(_Message, frozen=True, tag="session_start"):
    """The proposer's choice among those who accepted, signed; everybody checks every acceptance in it.

    ``mesh`` names the mesh to use: one that is open, or this session's own, which is made now.
    """

    session_id: HexSession
    proposal: Hex32
    mesh: Hex16
    chosen: Annotated[tuple[Acceptance, ...], msgspec.Meta(min_length=2, max_length=64)]
    signature: Hex64

    def __post_init__(self) -> None:
        _check_ascending([acceptance.identifier for acceptance in self.chosen])


class SessionCancel(_Message, frozen=True, tag="session_cancel"):
    """The sender gives the session up before there is a mesh to say so on; what it says of others is hearsay."""

    session_id: HexSession
    code: Word
    reason: Text
    culprits: Culprits = ()


class Offer(_Message, frozen=True, tag="offer"):
    """An SDP offer; ``attempt`` counts the tries of this link, so what is late for one is not taken for the next."""

    mesh: Hex16
    attempt: Attempt
    sdp: Sdp


class Answer(_Message, frozen=True, tag="answer"):
    """An SDP answer to the offer of the same attempt."""

    mesh: Hex16
    attempt: Attempt
    sdp: Sdp


class IceCandidate(
    _Message, frozen=True, tag="ice-candidate", rename={"sdp_mid": "sdpMid", "sdp_mline_index": "sdpMLineIndex"}
):
    """One ICE candidate of an attempt, in a browser's words."""

    mesh: Hex16
    attempt: Attempt
    candidate: Annotated[str, msgspec.Meta(max_length=512)]
    sdp_mid: Annotated[str, msgspec.Meta(max_length=32)] | None = None
    sdp_mline_index: Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)] | None = None


class CertificateRequest(_Message, frozen=True, tag="certificate_request"):
    """This epoch of my wallet is pending: show me the signatures over it that you hold."""

    wallet: HexWallet
    epoch: HexEpoch


class EpochSignature(_Part, frozen=True):
    """One ``ready`` signature, by the identity key that made it."""

    public_key: HexKey
    signature: Hex64


class CertificateReply(_Message, frozen=True, tag="certificate"):
    """The ``ready`` signatures over this epoch that I hold, my own among them; sorted by key, none twice."""

    wallet: HexWallet
    epoch: HexEpoch
    signatures: Annotated[tuple[EpochSignature, ...], msgspec.Meta(max_length=MAX_SIGNATURES)]

    def __post_init__(self) -> None:
        keys = [entry.public_key for entry in self.signatures]
        if any(before >= after for before, after in pairwise(keys)):
            raise ValueError("signatures are sorted by public key, one of each")


class Join(_Message, frozen=True, tag="join"):
    """Present an invitation to the node that made it; ``invitation`` is the room that its link names.

    It shows its secret to nobody by accident.
    """

    invitation: Hex16
    secret: Hex16

    def __repr__(self) -> str:
        return f"Join(invitation={self.invitation.hex()}, <redacted>)"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """Show rich what ``repr`` shows; msgspec's own would show the secret."""
        return [("invitation", self.invitation.hex())]


class JoinAnswer(_Message, frozen=True, tag="join_answer"):
    """Say whether a node that presented an invitation has a place; ``refused`` says why not, and may follow a yes."""

    invitation: Hex16
    refused: Word | None = None


NegotiationMessage = SessionProposal | SessionResponse | SessionStart | SessionCancel
"""What a session is agreed on with, through the relay or over a mesh that is open."""
Signal = Offer | Answer | IceCandidate
"""What a link is opened with."""
Introduction = Join | JoinAnswer
"""What is said of an invitation."""
RelayMessage = NegotiationMessage | Signal | CertificateRequest | CertificateReply | Introduction


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The inside of a seal, with the message still as text: it may be one that this node does not understand.

    ``sequence`` rises by one for each message to one peer over one pair of hellos, and a message that is sealed again
    keeps its number.
    """

    topic: Hex16
    expires: Milliseconds
    sequence: Count
    message: msgspec.Raw


class _Opening(msgspec.Struct):
    """What every version of the protocol has in common: read first, whatever else is there."""

    type: str
    version: int | None = None
    nonce: msgspec.Raw = msgspec.Raw(b"")
    answering: msgspec.Raw = msgspec.Raw(b"")


class _Kind(msgspec.Struct):
    type: str


_opening: Final = msgspec.json.Decoder(_Opening)
_hello: Final = json.Decoder(Hello, "a hello")
_sealed: Final = json.Decoder(Sealed, "a seal")
_nonce: Final = msgspec.json.Decoder(Hex32, dec_hook=from_hex)
_envelope: Final = json.Decoder(Envelope, "the inside of a seal")
_message: Final[json.Decoder[RelayMessage]] = json.Decoder(RelayMessage, "a message between nodes")  # type: ignore[arg-type] # a union is a type to msgspec
_start: Final = json.Decoder(SessionStart, "a session_start")
_kind: Final = msgspec.json.Decoder(_Kind)


def encode(message: Hello | Sealed) -> bytes:
    """Encode what goes into ``relay``'s ``data``."""
    return json.encode(message)


def decode(data: bytes) -> Hello | ForeignHello | Sealed:
    """Decode ``relay``'s ``data``; a hello's version is read before anything else of it.

    Raises:
        DecodeError: neither a hello nor a seal.
    """
    try:
        opening = _opening.decode(data)
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"not a hello and not a seal: {ascii(str(error))[1:-1]}") from None
    if opening.type == "sealed":
        return _sealed.decode(data)
    if opening.type == "hello" and opening.version in {None, PROTOCOL_VERSION}:
        return _hello.decode(data)
    if opening.type == "hello" and opening.version is not None:
        json.check(data)
        answers = bool(bytes(opening.answering))
        return ForeignHello(version=opening.version, nonce=_read_nonce(opening.nonce), answers=answers)
    raise DecodeError("not a hello and not a seal")


def encode_message(message: RelayMessage) -> bytes:
    """Encode the message of an envelope.

    Raises:
        ValueError: it is too long for a seal; a mistake of the caller.
    """
    data = json.encode(message)
    if len(data) > MAX_MESSAGE_TEXT:
        raise ValueError(f"a message of {len(data)} bytes; {MAX_MESSAGE_TEXT} fit into a seal")
    return data


def encode_envelope(topic: bytes, expires: int, sequence: int, message: bytes) -> bytes:
    """Encode what goes into the seal.

    Args:
        topic: ``topic_of`` the message.
        expires: Unix milliseconds after which nobody shall act on it.
        sequence: its number.
        message: what ``encode_message`` gave.
    """
    head = {"topic": topic.hex(), "expires": expires, "sequence": sequence, "message": msgspec.Raw(message)}
    return msgspec.json.encode(head)


def decode_envelope(data: bytes) -> Envelope:
    """Decode the inside of a seal, all but its message.

    Raises:
        DecodeError: not an envelope.
    """
    return _envelope.decode(data)


def decode_message(envelope: Envelope) -> RelayMessage:
    """Decode the message of an envelope.

    Raises:
        DecodeError: not a message that this node understands, or one of another topic than its envelope's.
    """
    message = _message.decode_part(envelope.message)
    if topic_of(message) != envelope.topic:
        raise DecodeError("a sealed message belongs to another topic than its envelope")
    return message


def decode_start(data: bytes) -> SessionStart:
    """Decode a start that a participant shows as evidence.

    Raises:
        DecodeError: it is something else.
    """
    return _start.decode(data)


def topic_of(message: RelayMessage) -> bytes:
    """What ``message`` belongs to: the id of a session, of a mesh, of a wallet or of an invitation, 16 bytes."""
    match message:
        case Join() | JoinAnswer():
            return message.invitation
        case Offer() | Answer() | IceCandidate():
            return message.mesh
        case CertificateRequest() | CertificateReply():
            return message.wallet
        case _:
            return message.session_id


def is_cancel(envelope: Envelope) -> bool:
    """Whether the message says that it is a ``session_cancel``, understood or not: no such message is answered."""
    try:
        return _kind.decode(envelope.message).type == "session_cancel"
    except (ValueError, RecursionError):
        return False


def _read_nonce(text: msgspec.Raw) -> bytes | None:
    try:
        return _nonce.decode(text)
    except (ValueError, RecursionError):
        return None


def _check_ascending(identifiers: list[int]) -> None:
    if any(before >= after for before, after in pairwise(identifiers)):
        raise ValueError("participants are sorted by identifier, one of each")


def _check_size(terms: tuple[bytes, ...], most: int) -> None:
    if sum(map(len, terms)) > most:
        raise ValueError(f"terms of more than {most} bytes together")
