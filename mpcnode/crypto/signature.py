"""Ed25519 signatures of node identities, each bound to the one purpose it was made for."""

from typing import Final

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from mpcnode.types import IdentityKey

SIGNATURE_SIZE: Final = 64


def signing_input(context: str, message: bytes) -> bytes:
    """Give the bytes that are signed for ``message`` in ``context``.

    No two (context, message) pairs give the same bytes, because a context holds no NUL.

    Args:
        context: what the signature is for, a constant of the program such as ``"register"``; ASCII without NUL.
        message: what is signed; any bytes.

    Raises:
        ValueError: ``context`` is empty, not ASCII or holds a NUL; a mistake of the caller.
    """
    if not context or not context.isascii() or "\x00" in context:
        raise ValueError("a signature's context is non-empty ASCII without NUL")
    return b"mpcnode/" + context.encode("ascii") + b"/v1\x00" + message


def verify(public_key: IdentityKey, context: str, message: bytes, signature: bytes) -> bool:
    """Say whether ``signature`` is ``public_key``'s over ``message`` made for ``context`` (RFC 8032, section 5.1.7).

    Everything that comes from a peer may be anything: a key that is no point, of small order or not canonical, and a
    signature of the wrong length, are an answer of ``False`` and never an exception.

    Args:
        public_key: 32 bytes; other lengths verify nothing.
        context: the same constant the signer used.
        message: what was signed.
        signature: 64 bytes; other lengths verify nothing.

    Raises:
        ValueError: ``context`` is not usable; a mistake of the caller.
    """
    signed = signing_input(context, message)
    if len(public_key) != 32 or len(signature) != SIGNATURE_SIZE:
        return False
    try:
        crypto_sign_open(bytes(signature) + signed, bytes(public_key))
    except BadSignatureError:
        return False
    return True
