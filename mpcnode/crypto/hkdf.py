"""HMAC and HKDF with SHA-256 (RFC 2104, RFC 5869) in buffers that are wiped: what ``hmac`` gives stays in memory."""

from typing import Final

from mpcnode.crypto.hashing import ffi, lib, wipe

HASH_SIZE: Final = 32

_BLOCK: Final = 64
_ROOM: Final = bytes(HASH_SIZE)
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))

Bytes = bytes | bytearray


def hmac_sha256(key: Bytes, *parts: Bytes) -> bytearray:
    """Give HMAC-SHA256 of the concatenation of ``parts``, for the caller to wipe; the key has at most 64 bytes."""
    padded = bytearray(_BLOCK)
    padded[: len(key)] = key
    ipad, opad = padded.translate(_INNER), padded.translate(_OUTER)
    # `join` makes its result at once: a buffer that grows leaves pieces of the secret where it was before.
    inner, outer, out = bytearray().join((ipad, *parts)), bytearray().join((opad, _ROOM)), bytearray(HASH_SIZE)
    start = ffi.from_buffer("unsigned char[]", outer)
    lib.crypto_hash_sha256(start + _BLOCK, ffi.from_buffer(inner), len(inner))
    lib.crypto_hash_sha256(ffi.from_buffer(out), start, len(outer))
    wipe(padded, ipad, opad, inner, outer)
    return out


def extract(salt: Bytes, secret: Bytes) -> bytearray:
    """HKDF-Extract (RFC 5869, section 2.2): make a key to expand of a secret; the salt has at most 64 bytes."""
    return hmac_sha256(salt, secret)


def expand(key: Bytes, info: Bytes) -> bytearray:
    """HKDF-Expand (RFC 5869, section 2.3) of one block: 32 bytes for the purpose ``info`` names."""
    return hmac_sha256(key, info, b"\x01")
