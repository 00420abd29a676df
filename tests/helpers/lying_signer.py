"""What a dishonest signer can send that its identity really signed."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from mpcnode.protocols.execution import ProtocolMessage
from mpcnode.protocols.frost.broadcast import digest_of, sign_digest
from mpcnode.protocols.frost.signing_packages import SignatureShare, SigningCommitments
from mpcnode.protocols.signing_descriptor import SigningDescriptor
from mpcnode.types import Identifier
from tests.helpers.signing import name_of
from tests.helpers.simulate import signer
from tests.helpers.tamper import Change

CONTEXT_SIZE = 32
HEAD_SIZE = CONTEXT_SIZE + 64
"""Context and signature, before the commitments."""


def signed_commitments(descriptor: SigningDescriptor, sender: int, listed: bytes) -> bytes:
    """A message of any commitments, as ``sender``'s identity signs it."""
    context, i = descriptor.context, Identifier(sender)
    digest = digest_of(context, descriptor.suite, i, listed)
    signed = sign_digest(signer(name_of(sender)), context, descriptor.suite, i, digest)
    return context + signed.signature + listed


def pairs(descriptor: SigningDescriptor, data: bytes) -> list[bytes]:
    """The encoded commitments of a message."""
    size = SigningCommitments.size(descriptor.ciphersuite)
    listed = data[HEAD_SIZE:]
    return [listed[at : at + size] for at in range(0, len(listed), size)]


def resign(descriptor: SigningDescriptor, sender: int, change: Callable[[list[bytes]], Sequence[bytes]]) -> Change:
    """Change the commitments, and sign what comes out."""

    def changed(message: ProtocolMessage) -> Iterable[ProtocolMessage]:
        listed = b"".join(change(pairs(descriptor, message.data)))
        return [replace(message, data=signed_commitments(descriptor, sender, listed))]

    return changed


def add_to_share(descriptor: SigningDescriptor, amount: int, k: int = 0) -> Change:
    """Add to the share for message ``k``; a negative ``k`` counts from the end."""
    group, size = descriptor.ciphersuite.group, SignatureShare.SIZE

    def changed(message: ProtocolMessage) -> Iterable[ProtocolMessage]:
        shares = [message.data[at : at + size] for at in range(0, len(message.data), size)]
        shares[k] = (group.decode_scalar(shares[k]) + group.scalar(amount)).encode()
        return [replace(message, data=b"".join(shares))]

    return changed
