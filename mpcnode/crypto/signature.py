"""Ed25519 signatures of node identities, each bound to the one purpose it was made for (PROTOCOL, Conventions).

What is signed is always the 32-byte tagged hash of a tag and fields. Which signatures verify is libsodium's rule, so
that evidence convicts everywhere or nowhere: see ``verify_ed25519``.
"""

from typing import Final

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from mpcnode.crypto.transcript import tagged_hash
from mpcnode.types import IdentityKey

SIGNATURE_SIZE: Final = 64


def verify(public_key: IdentityKey, signature: bytes, tag: str, *fields: bytes) -> bool:
    """Say whether ``signature`` is ``public_key``'s over ``fields``, made for ``tag``.

    Everything that comes from a peer may be anything: a key that is not a point, or is of small order or not
    canonical, and a signature of the wrong length, are an answer of ``False`` and never an exception.

    Args:
        public_key: 32 bytes; other lengths verify nothing.
        signature: 64 bytes; other lengths verify nothing.
        tag: the constant of ``mpcnode.crypto.tags`` the signer used.
        fields: what was signed.
    """
    return verify_ed25519(public_key, tagged_hash(tag, *fields), signature)


def verify_ed25519(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether an Ed25519 signature is valid (RFC 8032, section 5.1.7), as libsodium decides it.

    Args:
        public_key: 32 bytes; other lengths verify nothing.
        message: what was signed, any bytes.
        signature: 64 bytes; other lengths verify nothing.
    """
    if len(public_key) != 32 or len(signature) != SIGNATURE_SIZE:
        return False
    try:
        crypto_sign_open(bytes(signature) + message, bytes(public_key))
    except BadSignatureError:
        return False
    return True
