"""SHA-2 of secrets, in buffers that are wiped: the digests of ``hashlib`` are immutable, and stay in memory."""

from typing import Any, Final

from nacl import _sodium

ffi: Final[Any] = _sodium.ffi
lib: Final[Any] = _sodium.lib


def sha256(*parts: bytes | bytearray) -> bytearray:
    """Hash the concatenation of ``parts``; gives 32 bytes that are the caller's to wipe."""
    return _hash(lib.crypto_hash_sha256, 32, parts)


def sha512(*parts: bytes | bytearray) -> bytearray:
    """Hash the concatenation of ``parts``; gives 64 bytes that are the caller's to wipe."""
    return _hash(lib.crypto_hash_sha512, 64, parts)


def wipe(*buffers: bytearray) -> None:
    """Overwrite buffers."""
    for buffer in buffers:
        buffer[:] = bytes(len(buffer))


def _hash(function: Any, size: int, parts: tuple[bytes | bytearray, ...]) -> bytearray:  # noqa: ANN401 (cffi has no types)
    # As long as it will be: a buffer that grows leaves what it held behind.
    message = bytearray(sum(map(len, parts)))
    at = 0
    for part in parts:
        message[at : at + len(part)] = part
        at += len(part)
    digest = bytearray(size)
    function(ffi.from_buffer(digest), ffi.from_buffer(message), len(message))
    wipe(message)
    return digest
