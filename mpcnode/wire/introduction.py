"""What a hello signs and what a seal of the relay is bound to: the fields, in their order (PROTOCOL, Sealed relay)."""

from mpcnode.crypto import tags
from mpcnode.crypto.transcript import listed, tagged_hash, u64
from mpcnode.types import PeerId
from mpcnode.wire.relay import Hello


def hello_fields(hello: Hello, sender: PeerId, recipient: PeerId) -> tuple[bytes, ...]:
    """Give what ``hello`` signs, under the tag ``HELLO``."""
    return (
        sender.encode(),
        recipient.encode(),
        hello.nonce,
        hello.answering or b"",
        u64(hello.version),
        u64(hello.time),
        *listed([capability.encode() for capability in hello.capabilities]),
    )


def topic(sender: PeerId, recipient: PeerId, sender_nonce: bytes, recipient_nonce: bytes) -> bytes:
    """Give what a seal belongs to: a direction and this pair of nonces."""
    return tagged_hash(tags.RELAY, sender.encode(), recipient.encode(), sender_nonce, recipient_nonce)
