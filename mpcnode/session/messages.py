"""A protocol's messages in their data-channel form and back; ``protocols`` and ``wire`` do not know each other."""

from typing import Final

from mpcnode.protocols.certificate import decode_ready, encode_ready
from mpcnode.protocols.execution import ProtocolMessage
from mpcnode.types import SessionId, SuiteId
from mpcnode.wire import peer as wire

PlainPayload = wire.CommitmentDigest | wire.Share | wire.SigningCommitments | wire.CommitmentList | wire.SignatureShare
ProtocolPayload = PlainPayload | wire.Commitment | wire.Ready

_PLAIN: Final[dict[str, type[PlainPayload]]] = {
    "commitment_digest": wire.CommitmentDigest,
    "share": wire.Share,
    "signing_commitments": wire.SigningCommitments,
    "commitment_list": wire.CommitmentList,
    "signature_share": wire.SignatureShare,
}
"""What says a suite and its data and nothing else."""


def to_wire(session_id: SessionId, message: ProtocolMessage) -> ProtocolPayload:
    """Give ``message`` its form for the data channel."""
    if message.kind == "ready":
        transcript, signature = decode_ready(message.data)
        return wire.Ready(session_id, transcript.hex(), signature.hex())
    assert message.suite is not None
    if message.kind == "commitment":
        assert message.echo is not None
        return wire.Commitment(session_id, message.suite, message.data.hex(), message.echo.hex())
    return _PLAIN[message.kind](session_id, message.suite, message.data.hex())


def from_wire(payload: ProtocolPayload) -> ProtocolMessage:
    """Take a protocol's message out of its data-channel form; what is in ``data`` the protocol looks at."""
    match payload:
        case wire.Ready():
            data = encode_ready(bytes.fromhex(payload.transcript), bytes.fromhex(payload.signature))
            return ProtocolMessage("ready", None, data)
        case wire.Commitment():
            echo = bytes.fromhex(payload.echo)
            return ProtocolMessage("commitment", SuiteId(payload.suite), bytes.fromhex(payload.data), echo)
        case _:
            return ProtocolMessage(wire.type_name(payload), SuiteId(payload.suite), bytes.fromhex(payload.data))
