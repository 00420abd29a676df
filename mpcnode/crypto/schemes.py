"""Signature schemes: what a finished signature is, and the library that is not ours that says whether it is one.

Ed25519 by libsodium (RFC 8032), Taproot by libsecp256k1 (BIP-340), plain secp256k1 by the points of ``ecdsa``: none of
them shares a line with the arithmetic that made the signature. No signature leaves a node that they do not accept.
All of this is about public data.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NewType

from btclib_secp256k1 import ssa

from mpcnode.crypto.ciphersuite import Secp256k1Sha256
from mpcnode.crypto.signature import verify_ed25519

SignatureBytes = NewType("SignatureBytes", bytes)
"""An encoded signature that its scheme accepted for its key and message."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way in which the world checks signatures.

    Args:
        name: what it is called.
        signature_size: how many bytes a signature has.
        tweaked: whether signatures are made under a key after exactly one BIP-341 tweak, and never without.
        verify: says whether a signature is valid, of (public key, message, signature). Everything may come from
            anybody: what is malformed is an answer of False and never an exception.
    """

    name: str
    signature_size: int
    tweaked: bool
    verify: Callable[[bytes, bytes, bytes], bool]


def _verify_bip340(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """BIP-340, Verification; of a 33-byte key the y is not looked at."""
    if len(public_key) not in {32, 33} or len(signature) != 64:
        return False
    try:
        return ssa.verify(message, public_key, signature)
    except ValueError:
        return False  # the key is not a point


def _verify_secp256k1(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """RFC 9591, section 6.5 and appendix B: z G = R + c P."""
    # A user of the default suites never pays for this import.
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
    c = int.from_bytes(Secp256k1Sha256().H2(bytes(signature[:33]) + public_key + message).encode(), "big")
    return bool(SECP256k1.generator.mul_add(z, P, SECP256k1.order - c) == R)


ED25519_SIGNATURES: Final = Scheme("ed25519", 64, tweaked=False, verify=verify_ed25519)
BIP340_SIGNATURES: Final = Scheme("bip340", 64, tweaked=True, verify=_verify_bip340)
SECP256K1_SIGNATURES: Final = Scheme("secp256k1-schnorr", 65, tweaked=False, verify=_verify_secp256k1)
