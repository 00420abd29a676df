"""Vectors of PROTOCOL, Conventions: which Ed25519 signatures verify, where libraries differ."""

from collections.abc import Callable, Iterator
from hashlib import sha512
from itertools import count
from typing import Final

from nacl import bindings as sodium

from mpcnode.crypto.signature import verify_ed25519
from tests.vectors.made import Json, people

ORDER: Final = 2**252 + 27742317777372353535851937790883648493
IDENTITY: Final = b"\x01" + bytes(31)
ORDER_2: Final = b"\xec" + b"\xff" * 30 + b"\x7f"
ORDER_4: Final = bytes(32)
ORDER_8: Final = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
IDENTITY_NOT_CANONICAL: Final = b"\xee" + b"\xff" * 30 + b"\x7f"
"""y = p + 1."""
ORDER_4_NOT_CANONICAL: Final = b"\xed" + b"\xff" * 30 + b"\x7f"
"""y = p."""
NONCE: Final = 0x5EED


def make() -> Json:
    alice, *_ = people(1)
    seed, key = alice.seed, bytes(alice.key)
    secret = _secret(seed)
    message = b"which signatures verify"
    R, S = _sign(secret, key, _base(NONCE), message)
    mixed = sodium.crypto_core_ed25519_add(key, ORDER_8)
    mixed_R = sodium.crypto_core_ed25519_add(_base(NONCE), ORDER_8)
    cases = [
        ("an ordinary signature", key, message, R, S),
        ("another message", key, message + b".", R, S),
        ("S of 0 and R of the identity", key, message, IDENTITY, 0),
        ("S + L: not canonical", key, message, R, S + ORDER),
        ("S with its top three bits set", key, message, R, S | 7 << 253),
        ("A is the identity", IDENTITY, message, _base(NONCE), NONCE),
        ("A of order 2", ORDER_2, *_even(ORDER_2, 2, _base(NONCE))),
        ("A of order 4", ORDER_4, *_even(ORDER_4, 4, _base(NONCE))),
        ("A of order 8", ORDER_8, *_even(ORDER_8, 8, _base(NONCE))),
        ("A is the identity, written with y = p + 1", IDENTITY_NOT_CANONICAL, message, _base(NONCE), NONCE),
        (
            "A of order 4, written with y = p",
            ORDER_4_NOT_CANONICAL,
            *_even(ORDER_4_NOT_CANONICAL, 4, _base(NONCE)),
        ),
        (
            "R of order 8, which the equation with cofactor forgives",
            key,
            message,
            *_sign(secret, key, ORDER_8, message, 0),
        ),
        (
            "R with a part of order 8: without cofactor it does not hold",
            key,
            message,
            *_sign(secret, key, mixed_R, message),
        ),
        ("A with a part of order 8, and k not a multiple of 8", mixed, *_mixed(secret, mixed, lambda k: k % 8 != 0)),
        (
            "A with a part of order 8, and k a multiple of 8: it holds",
            mixed,
            *_mixed(secret, mixed, lambda k: k % 8 == 0),
        ),
        ("A is not a point", b"\x02" + bytes(31), message, R, S),
        ("R is not a point", key, message, b"\x02" + bytes(31), S),
    ]
    return {
        "cases": [
            {
                "what": what,
                "public_key": public_key,
                "message": said,
                "signature": (signature := nonce + S_.to_bytes(32, "little")),
                "valid": verify_ed25519(public_key, said, signature),
            }
            for what, public_key, said, nonce, S_ in cases
        ]
    }


def _secret(seed: bytes) -> int:
    wide = bytearray(sha512(seed).digest()[:32])
    wide[0] &= 248
    wide[31] = wide[31] & 127 | 64
    return int.from_bytes(wide, "little") % ORDER


def _base(scalar: int) -> bytes:
    point: bytes = sodium.crypto_scalarmult_ed25519_base_noclamp(scalar.to_bytes(32, "little"))
    return point


def _challenge(R: bytes, key: bytes, message: bytes) -> int:
    return int.from_bytes(sha512(R + key + message).digest(), "little") % ORDER


def _sign(secret: int, key: bytes, R: bytes, message: bytes, nonce: int = NONCE) -> tuple[bytes, int]:
    return R, (nonce + _challenge(R, key, message) * secret) % ORDER


def _messages() -> Iterator[bytes]:
    return (b"number %d" % number for number in count())


def _even(key: bytes, order: int, R: bytes) -> tuple[bytes, bytes, int]:
    """Give a signature by a key of small order whose equation holds without any secret."""
    message = next(message for message in _messages() if _challenge(R, key, message) % order == 0)
    return message, R, NONCE


def _mixed(secret: int, key: bytes, wanted: Callable[[int], bool]) -> tuple[bytes, bytes, int]:
    R = _base(NONCE)
    message = next(message for message in _messages() if wanted(_challenge(R, key, message)))
    return message, *_sign(secret, key, R, message)
