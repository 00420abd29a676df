"""SHA-2 of secrets, in buffers that are wiped: the digests of ``hashlib`` are immutable, and stay in memory."""

from typing import Any, Final

from nacl import _sodium

ffi: Final[Any] = _sodium.ffi
lib: Final[Any] = _sodium.lib


def sha256(*parts: bytes | bytearray) -> bytearray:
    """Hash the concatenation of ``parts``; gives 32 bytes that are the caller's to wipe."""
    digest = bytearray(32)
    _hash(lib.crypto_hash_sha256, digest, parts)
    return digest


def sha512(*parts: bytes | bytearray) -> bytearray:
    """Hash the concatenation of ``parts``; gives 64 bytes that are the caller's to wipe."""
    digest = bytearray(64)
    _hash(lib.crypto_hash_sha512, digest, parts)
    return digest


def sha256_into(target: bytearray, message: bytearray) -> None:
    """Hash ``message`` into ``target``, 32 bytes; both stay the caller's."""
    lib.crypto_hash_sha256(ffi.from_buffer(target), ffi.from_buffer(message), len(message))


def wipe(*buffers: bytearray) -> None:
    """Overwrite buffers."""
    for buffer in buffers:
        buffer[:] = bytes(len(buffer))


def _hash(function: Any, digest: bytearray, parts: tuple[bytes | bytearray, ...]) -> None:  # noqa: ANN401 (cffi has no types)
    # As long as it will be: a buffer that grows leaves what it held behind.
    message = bytearray(sum(map(len, parts)))
    at = 0
    for part in parts:
        end = at + len(part)
        message[at:end] = part
        at = end
    function(ffi.from_buffer(digest), ffi.from_buffer(message), len(message))
    wipe(message)
