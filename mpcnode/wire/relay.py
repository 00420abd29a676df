"""What nodes say to each other through the signaling server, inside ``relay``'s ``data`` (DESIGN section 5).

``hello`` goes in the open, once for each peer and connection; everything after it is ``sealed``, and what is inside
the seal is an ``Envelope``: the message, the session it belongs to, when it expires, and its place in the order.
"""

from collections.abc import Iterable
from typing import Annotated, Final

import msgspec

from mpcnode.errors import DecodeError
from mpcnode.types import Reading
from mpcnode.wire.fields import Hex16, Hex32, Hex64, Name, SuiteName, Text

PROTOCOL_VERSION: Final = 1

MAX_MESSAGE_BYTES: Final = 8 * 1024
"""The longest message that travels; what is longer is signed by its hash (``mpcnode sign --file``)."""
MAX_REQUEST_BYTES: Final = 16 * 1024
"""The messages of one session together, so that their proposal fits the relay."""
MAX_BATCH: Final = 250
MAX_ANSWER_SECONDS: Final = 24 * 3600
"""How many messages one session signs; a longer batch is several sessions on one mesh."""

MessageHex = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{2})*\Z", max_length=2 * MAX_MESSAGE_BYTES)]
WalletName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\Z")]


class Hello(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="hello"):
    """Introduces an identity key; ``nonce`` is fresh for each connection and goes into every seal made for it.

    ``answering`` is the nonce of the hello it answers, absent in a first one; the signature covers it.
    """

    public_key: Hex32
    nonce: Hex32
    signature: Hex64
    answering: Hex32 | None = None
    version: int = PROTOCOL_VERSION


class Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="sealed"):
    """An ``Envelope`` that only the recipient can open and only the sender can have made."""

    body: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9+/]*={0,2}\Z", max_length=60_000)]


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """What every sealed message is: frozen, and nothing in it that was not asked for."""


class Participant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of a proposal's roster."""

    peer_id: Name
    public_key: Hex32


class SignRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be signed, by which key; ``reading`` is how a person is shown it, and changes no byte of it.

    ``merkle_root`` asks for an additional BIP-341 tweak, for Taproot alone; empty for one without a script tree.
    """

    wallet_id: Hex16
    epoch: int
    reading: Reading
    messages: Annotated[tuple[MessageHex, ...], msgspec.Meta(min_length=1, max_length=MAX_BATCH)]
    merkle_root: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?\Z")] | None = None


def check_reading(reading: Reading, messages: Iterable[bytes]) -> None:
    """Check that messages can be read as they are said to be: nobody approves what it cannot be shown.

    Args:
        reading: ``text`` is UTF-8, ``file`` the 32 bytes of a SHA-256, ``hex`` anything.

    Raises:
        ValueError: one cannot.
    """
    for message in messages:
        if reading == "file" and len(message) != 32:
            raise ValueError(f"the SHA-256 of a file has 32 bytes, not {len(message)}")
        if reading == "text":
            try:
                message.decode()
            except UnicodeDecodeError:
                raise ValueError("a text that is not UTF-8") from None


class SessionProposal(_Message, frozen=True, tag="session_proposal", kw_only=True):
    """Propose a session to everybody in it.

    ``session_id`` is made of the proposer's identity key and ``salt``: nobody else can propose a session of that id.
    ``expires`` is Unix time in seconds and keeps an old proposal from being played again; ``answer_within`` is how many
    seconds answers are waited for, each by its own clock, which may be minutes off.
    """

    session_id: Hex16
    salt: Hex16
    kind: Annotated[str, msgspec.Meta(pattern=r"^[a-z_]{1,20}\Z")]
    total: int
    threshold: int
    participants: Annotated[tuple[Name, ...], msgspec.Meta(max_length=64)]
    public_keys: Annotated[tuple[Hex32, ...], msgspec.Meta(max_length=64)]
    suites: Annotated[tuple[SuiteName, ...], msgspec.Meta(min_length=1, max_length=4)]
    wallet_name: WalletName
    expires: int
    answer_within: Annotated[float, msgspec.Meta(gt=0, le=MAX_ANSWER_SECONDS)]
    sign: SignRequest | None = None


class SessionResponse(_Message, frozen=True, tag="session_response", kw_only=True):
    """Yes or no, to every other participant; ``fresh`` is this participant's 32 bytes of the descriptor.

    ``meshes``, where somebody asks for a signature: those open here that the proposer is on, and may name for it.
    """

    session_id: Hex16
    accepted: bool
    proposal: Hex32
    fresh: Hex32 | None = None
    reason: Text | None = None
    meshes: Annotated[tuple[Hex16, ...], msgspec.Meta(max_length=64)] = ()


class SessionStart(_Message, frozen=True, tag="session_start", kw_only=True):
    """The proposer's choice among those who accepted to sign; ``fresh`` repeats what each of them answered.

    ``mesh`` names the mesh to sign on: one that is open, or this session's own, which is made now.
    """

    session_id: Hex16
    signers: Annotated[tuple[Name, ...], msgspec.Meta(min_length=2, max_length=64)]
    fresh: dict[Name, Hex32]
    mesh: Hex16


class SessionCancel(_Message, frozen=True, tag="session_cancel"):
    """The sender gives the session up before there is a mesh to say so on; whom it blames is hearsay."""

    session_id: Hex16
    code: Annotated[str, msgspec.Meta(pattern=r"^[a-z_]{1,40}\Z")]
    reason: Text
    culprits: Annotated[tuple[Name, ...], msgspec.Meta(max_length=64)] = ()


class Offer(_Message, frozen=True, tag="offer"):
    """An SDP offer; ``attempt`` counts the tries of this link, so what is late for one is not taken for the next."""

    session_id: Hex16
    attempt: int
    sdp: Annotated[str, msgspec.Meta(max_length=16_384)]


class Answer(_Message, frozen=True, tag="answer"):
    """An SDP answer to the offer of the same attempt."""

    session_id: Hex16
    attempt: int
    sdp: Annotated[str, msgspec.Meta(max_length=16_384)]


class IceCandidate(
    _Message, frozen=True, tag="ice-candidate", rename={"sdp_mid": "sdpMid", "sdp_mline_index": "sdpMLineIndex"}
):
    """One ICE candidate of an attempt."""

    session_id: Hex16
    attempt: int
    candidate: Annotated[str, msgspec.Meta(max_length=512)]
    sdp_mid: Annotated[str, msgspec.Meta(max_length=32)] | None
    sdp_mline_index: int | None


class CertificateRequest(_Message, frozen=True, tag="certificate_request"):
    """My wallet of this session is pending: show me the signatures you hold."""

    session_id: Hex16


class CertificateReply(_Message, frozen=True, tag="certificate"):
    """The ``ready`` signatures I hold over this transcript, my own among them; all n make the certificate."""

    session_id: Hex16
    transcript: Hex32
    signatures: dict[Name, Hex64]


RelayMessage = (
    SessionProposal
    | SessionResponse
    | SessionStart
    | SessionCancel
    | Offer
    | Answer
    | IceCandidate
    | CertificateRequest
    | CertificateReply
)


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The inside of a seal: ``sequence`` rises by one for each message to one peer over one pair of hellos."""

    session_id: Hex16
    expires: int
    sequence: int
    message: RelayMessage


_outer: Final[msgspec.json.Decoder[Hello | Sealed]] = msgspec.json.Decoder(Hello | Sealed)
_envelope: Final = msgspec.json.Decoder(Envelope)


def encode(message: Hello | Sealed | Envelope) -> bytes:
    """Encode what goes into ``relay``'s ``data``, or what goes into the seal."""
    return msgspec.json.encode(message)


def encode_message(message: RelayMessage) -> bytes:
    """Encode one sealed message by itself, for what is hashed or signed about it."""
    return msgspec.json.encode(message)


def decode(data: bytes) -> Hello | Sealed:
    """Decode ``relay``'s ``data``.

    Raises:
        DecodeError: neither a hello nor a seal.
    """
    try:
        return _outer.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"not a hello and not a seal: {error}") from None


def decode_envelope(data: bytes) -> Envelope:
    """Decode the inside of a seal.

    Raises:
        DecodeError: not an envelope, or its session is not its message's.
    """
    try:
        envelope = _envelope.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"not a sealed message: {error}") from None
    if envelope.session_id != envelope.message.session_id:
        raise DecodeError("a sealed message names another session than its envelope")
    return envelope
