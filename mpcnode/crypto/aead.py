"""ChaCha20-Poly1305 (RFC 8439) on buffers of our own, which can be wiped."""

from typing import Final

from mpcnode.crypto.hashing import ffi, lib
from mpcnode.errors import DecodeError

KEY_SIZE: Final = 32
NONCE_SIZE: Final = 12
TAG_SIZE: Final = 16

Bytes = bytes | bytearray


def encrypt(key: bytearray, nonce: Bytes, aad: bytes, plaintext: Bytes) -> bytearray:
    """Give ciphertext and tag; two messages must never have the same key and nonce."""
    ciphertext = bytearray(len(plaintext) + TAG_SIZE)
    lib.crypto_aead_chacha20poly1305_ietf_encrypt(
        ffi.from_buffer(ciphertext),
        ffi.NULL,
        ffi.from_buffer(plaintext),
        len(plaintext),
        aad,
        len(aad),
        ffi.NULL,
        ffi.from_buffer(nonce),
        ffi.from_buffer(key),
    )
    return ciphertext


def decrypt(key: bytearray, nonce: Bytes, aad: bytes, ciphertext: bytes) -> bytearray:
    """Give the plaintext, for the caller to wipe.

    Raises:
        DecodeError: it was not encrypted with this key, nonce and ``aad``, or was altered.
    """
    if len(ciphertext) < TAG_SIZE:
        raise DecodeError("a sealed message is at least its overhead long")
    plaintext = bytearray(len(ciphertext) - TAG_SIZE)
    failed: int = lib.crypto_aead_chacha20poly1305_ietf_decrypt(
        ffi.from_buffer(plaintext),
        ffi.NULL,
        ffi.NULL,
        ciphertext,
        len(ciphertext),
        aad,
        len(aad),
        ffi.from_buffer(nonce),
        ffi.from_buffer(key),
    )
    if failed:
        raise DecodeError("a sealed message does not open: wrong sender, recipient or context, or altered")
    return plaintext
