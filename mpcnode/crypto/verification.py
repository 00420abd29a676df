"""Verification of finished signatures by libraries that are not ours; of public data only.

Ed25519 by libsodium (RFC 8032), Taproot by libsecp256k1 (BIP-340), plain secp256k1 by the points of ``ecdsa``: none of
them shares a line with the arithmetic that made the signature. No signature leaves a node that they do not accept.
"""

from collections.abc import Callable, Mapping
from typing import Final, NewType

from btclib_secp256k1 import ssa
from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from mpcnode.crypto.ciphersuite import Ed25519Sha512, Secp256k1Sha256, Secp256k1Sha256Taproot
from mpcnode.types import SuiteId

SignatureBytes = NewType("SignatureBytes", bytes)
"""An encoded signature that ``verify`` accepted for its key and message."""


def verify(suite: SuiteId, public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether ``signature`` is valid for ``message`` under ``public_key``.

    Everything may come from anybody: what is malformed is an answer of ``False`` and never an exception.

    Args:
        suite: the ciphersuite whose signatures these are.
        public_key: 32 bytes for Ed25519; 33 for secp256k1, for Taproot also the 32 of the x coordinate.
        message: what was signed, any bytes.
        signature: 64 bytes; for plain secp256k1 65.

    Raises:
        ValueError: nobody knows this suite; a mistake of the caller.
    """
    if suite not in _VERIFIERS:
        raise ValueError("no such ciphersuite")
    return _VERIFIERS[suite](public_key, message, signature)


def _verify_ed25519(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """RFC 8032, section 5.1.7; small-order keys and R and a non-canonical S are refused."""
    if len(public_key) != 32 or len(signature) != 64:
        return False
    try:
        crypto_sign_open(bytes(signature) + message, bytes(public_key))
    except BadSignatureError:
        return False
    return True


def _verify_bip340(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """BIP-340, Verification; of a 33-byte key the y is not looked at."""
    if len(public_key) not in {32, 33} or len(signature) != 64:
        return False
    try:
        return ssa.verify(message, public_key, signature)
    except ValueError:
        return False  # a key that is no point


def _verify_secp256k1(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """RFC 9591, section 6.5 and appendix B: z G = R + c P."""
    # Whoever uses the default suites never pays for this import.
    from ecdsa import SECP256k1  # noqa: PLC0415
    from ecdsa.ellipticcurve import PointJacobi  # noqa: PLC0415
    from ecdsa.errors import MalformedPointError  # noqa: PLC0415

    if len(public_key) != 33 or len(signature) != 65:
        return False
    z = int.from_bytes(signature[33:], "big")
    if z >= SECP256k1.order:
        return False
    try:
        P, R = (
            PointJacobi.from_bytes(SECP256k1.curve, bytes(data), valid_encodings=("compressed",), order=SECP256k1.order)
            for data in (public_key, signature[:33])
        )
    except MalformedPointError:
        return False
    c = int.from_bytes(_PLAIN.H2(bytes(signature[:33]) + public_key + message).encode(), "big")
    return bool(SECP256k1.generator.mul_add(z, P, SECP256k1.order - c) == R)


_PLAIN: Final = Secp256k1Sha256()
_VERIFIERS: Final[Mapping[SuiteId, Callable[[bytes, bytes, bytes], bool]]] = {
    Ed25519Sha512.id: _verify_ed25519,
    Secp256k1Sha256Taproot.id: _verify_bip340,
    Secp256k1Sha256.id: _verify_secp256k1,
}
