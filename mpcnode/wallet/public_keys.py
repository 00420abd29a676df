"""A wallet's keys as other programs see them: the key its signatures verify under, as bytes, DER or PEM.

Pure; public data only. SubjectPublicKeyInfo holds Ed25519 as RFC 8410 has it, and secp256k1 as RFC 5480 has it: the
point uncompressed, the form that every reader must know. BIP-340 verification uses the x coordinate of a Taproot key
alone.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

from ecdsa import Ed25519, SECP256k1, VerifyingKey
from ecdsa.errors import MalformedPointError

from mpcnode.crypto.adjustment import adjust, adjusted_key, default_adjustments
from mpcnode.crypto.ed25519 import ED25519
from mpcnode.crypto.group import Group
from mpcnode.crypto.secp256k1 import SECP256K1
from mpcnode.crypto.suites import SUITES
from mpcnode.errors import DecodeError
from mpcnode.protocols.epoch import SuiteKeys
from mpcnode.types import SuiteId

Curve = Literal["ed25519", "secp256k1"]

MAX_ENCODED: Final = 4096
"""Bytes of a file that may be a public key."""

_ED25519: Final = SuiteId("FROST-ED25519-SHA512-v1")
_PEM: Final = re.compile(rb"-----BEGIN PUBLIC KEY-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END PUBLIC KEY-----")
_FORMS: Final[tuple[tuple[Curve, Any, int, str], ...]] = (
    ("ed25519", Ed25519, 32, "compressed"),
    ("secp256k1", SECP256k1, 65, "uncompressed"),
    ("secp256k1", SECP256k1, 33, "compressed"),
)
"""What may be read: curve, its name in ``ecdsa``, bytes of a point and their form."""
_GROUPS: Final[dict[Curve, Group[Any, Any]]] = {"ed25519": ED25519, "secp256k1": SECP256K1}


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key of some curve; the key does not say which kind of signatures it verifies.

    Args:
        curve: the curve it is a point of.
        data: 32 bytes for Ed25519 (RFC 8032), 33 for secp256k1 (compressed, SEC 1).
    """

    curve: Curve
    data: bytes


def verification_key(suite: SuiteId, group_public_key: bytes) -> bytes:
    """Give the key that a wallet's own signatures verify under.

    For Taproot this is the stored internal key tweaked with no script tree (BIP-341): the internal key itself never
    signs and is not paid to. Other suites sign under the key that is stored.

    Args:
        suite: the suite of the key.
        group_public_key: as the wallet stores it.

    Raises:
        DecodeError: not an element of the suite's group.
    """
    SUITES[suite].group.decode_element(group_public_key)
    return adjusted_key(suite, group_public_key, default_adjustments(suite))


@lru_cache(maxsize=64)
def verification_keys(keys: SuiteKeys) -> SuiteKeys:
    """Give the keys of a suite, verifying shares too, as ``verification_key`` gives the group public key.

    For Taproot this is the form in which the Zcash Foundation's frost-secp256k1-tr keeps and exports keys.
    """
    suite = SUITES[keys.suite]
    decode = suite.group.decode_element
    adjustment = adjust(suite, decode(keys.group_public_key), default_adjustments(keys.suite))
    shares = tuple(adjustment.element(decode(share)).encode() for share in keys.verifying_shares)
    return SuiteKeys(keys.suite, adjustment.group_key.encode(), shares)


def public_key_der(suite: SuiteId, group_public_key: bytes) -> bytes:
    """Write the key that a wallet's signatures verify under as DER.

    Args:
        suite: the suite of the key.
        group_public_key: as the wallet stores it; for Taproot the tweak is applied here.

    Raises:
        DecodeError: not an element of the suite's group.
    """
    curve = Ed25519 if suite == _ED25519 else SECP256k1
    return bytes(VerifyingKey.from_string(verification_key(suite, group_public_key), curve=curve).to_der())


def public_key_pem(suite: SuiteId, group_public_key: bytes) -> str:
    """Write the key that a wallet's signatures verify under as PEM (RFC 7468).

    Raises:
        DecodeError: as ``public_key_der``.
    """
    text = base64.b64encode(public_key_der(suite, group_public_key)).decode("ascii")
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])


def read_public_key(data: bytes) -> PublicKey:
    """Read a public key from a PEM or DER file.

    Args:
        data: the file; of PEM, text around the one key is fine.

    Raises:
        DecodeError: neither, more than one key, another algorithm or curve, not the canonical encoding, or not a
            point.
    """
    if len(data) > MAX_ENCODED:
        raise DecodeError(f"longer than {MAX_ENCODED} bytes")
    if b"-----BEGIN" not in data:
        return _read_der(data)
    blocks = _PEM.findall(data)
    if len(blocks) != 1 or data.count(b"-----BEGIN") != 1:
        raise DecodeError("not a PEM file with one PUBLIC KEY in it")
    try:
        der = base64.b64decode(b"".join(blocks[0].split()), validate=True)
    except binascii.Error as error:
        raise DecodeError(f"not base 64: {error}") from None
    return _read_der(der)


def _read_der(der: bytes) -> PublicKey:
    # Nothing here takes foreign DER apart: the point is at the end, and the whole must be how that point is written.
    for name, curve, size, form in _FORMS:
        try:
            key = VerifyingKey.from_string(der[-size:], curve=curve)
        except MalformedPointError:
            continue
        if der == key.to_der(form):
            data = bytes(key.to_string("compressed"))
            _GROUPS[name].decode_element(data)
            return PublicKey(name, data)
    raise DecodeError("not an Ed25519 or secp256k1 public key in its canonical encoding")
