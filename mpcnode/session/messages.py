"""A protocol's messages in their data-channel form and back; ``protocols`` and ``wire`` do not know each other."""

from mpcnode.protocols.certificate import decode_ready, encode_ready
from mpcnode.protocols.execution import ProtocolMessage
from mpcnode.types import SessionId, SuiteId
from mpcnode.wire import peer as wire

ProtocolPayload = wire.CommitmentDigest | wire.Commitment | wire.Share | wire.Ready


def to_wire(session_id: SessionId, message: ProtocolMessage) -> ProtocolPayload:
    """Give ``message`` its form for the data channel."""
    match message.kind:
        case "commitment_digest":
            return wire.CommitmentDigest(session_id, _suite(message), message.data.hex())
        case "commitment":
            return wire.Commitment(session_id, _suite(message), message.data.hex(), _echo(message))
        case "share":
            return wire.Share(session_id, _suite(message), message.data.hex())
        case "ready":
            transcript, signature = decode_ready(message.data)
            return wire.Ready(session_id, transcript.hex(), signature.hex())
        case _:
            raise AssertionError(f"no wire form for {message.kind}")


def from_wire(payload: ProtocolPayload) -> ProtocolMessage:
    """Take a protocol's message out of its data-channel form; what is in ``data`` the protocol looks at."""
    match payload:
        case wire.Commitment():
            echo = bytes.fromhex(payload.echo)
            return ProtocolMessage("commitment", SuiteId(payload.suite), bytes.fromhex(payload.data), echo)
        case wire.CommitmentDigest() | wire.Share():
            return ProtocolMessage(wire.type_name(payload), SuiteId(payload.suite), bytes.fromhex(payload.data))
        case wire.Ready():
            data = encode_ready(bytes.fromhex(payload.transcript), bytes.fromhex(payload.signature))
            return ProtocolMessage("ready", None, data)


def _suite(message: ProtocolMessage) -> SuiteId:
    assert message.suite is not None
    return message.suite


def _echo(message: ProtocolMessage) -> str:
    assert message.echo is not None
    return message.echo.hex()
