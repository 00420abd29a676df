"""Hybrid public key encryption, mode auth, one message at a time (RFC 9180, section 6.1), on raw X25519 keys.

One suite: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305. Names are the RFC's. Every secret stays in
buffers of our own, which are cleared: libsodium is called on them, because PyNaCl's and hashlib's functions return
``bytes`` that nobody can clear.
"""

from typing import Final

from mpcnode.crypto import aead
from mpcnode.crypto.aead import KEY_SIZE, TAG_SIZE
from mpcnode.crypto.hashing import ffi, lib, wipe
from mpcnode.crypto.hkdf import hmac_sha256
from mpcnode.errors import DecodeError

__all__ = ["KEY_SIZE", "TAG_SIZE", "open_", "public_key", "seal", "wipe"]

_KEM: Final = b"KEM\x00\x20"
_HPKE: Final = b"HPKE\x00\x20\x00\x01\x00\x03"
_MODE_AUTH: Final = b"\x02"

Bytes = bytes | bytearray


def seal(
    recipient: bytes,
    info: bytes,
    aad: bytes,
    plaintext: Bytes,
    *,
    sender: bytearray,
    sender_public: bytes,
    ephemeral: bytearray,
) -> bytes:
    """Encrypt one message so that ``recipient`` alone can read it and knows that ``sender`` wrote it (SealAuth).

    Args:
        recipient: the recipient's X25519 public key.
        info: what the message is for.
        aad: what the message is bound to beside.
        plaintext: any bytes, may be empty.
        sender: the sender's X25519 secret key.
        sender_public: its public key, which a caller has at hand; with another one, nobody can open the message.
        ephemeral: an X25519 secret key made for this message alone. With the same one, two messages would be encrypted
            with the same key and nonce.

    Returns:
        ``enc``, the ephemeral public key, then ciphertext and tag.

    Raises:
        DecodeError: ``recipient`` is a point of low order.
    """
    enc = public_key(ephemeral)
    shared = _shared_secret((ephemeral, recipient), (sender, recipient), kem_context=enc + recipient + sender_public)
    key, nonce = _key_schedule(shared, info)
    try:
        return enc + aead.encrypt(key, nonce, aad, plaintext)
    finally:
        wipe(key, nonce)


def open_(
    sender: bytes, info: bytes, aad: bytes, sealed: bytes, *, recipient: bytearray, recipient_public: bytes
) -> bytearray:
    """Decrypt what ``sender`` sealed to us (OpenAuth).

    Args:
        sender: the sender's X25519 public key.
        info: what the sender said it is for.
        aad: what the sender bound it to.
        sealed: what ``seal`` returned on the other side.
        recipient: the recipient's X25519 secret key.
        recipient_public: its public key, which a caller has at hand; with another one, nothing opens.

    Returns:
        The plaintext, for the caller to wipe.

    Raises:
        DecodeError: it does not open, or holds a point of low order.
    """
    if len(sealed) < KEY_SIZE + TAG_SIZE:
        raise DecodeError("a sealed message is at least its overhead long")
    enc, ciphertext = bytes(sealed[:KEY_SIZE]), bytes(sealed[KEY_SIZE:])
    shared = _shared_secret((recipient, enc), (recipient, sender), kem_context=enc + recipient_public + sender)
    key, nonce = _key_schedule(shared, info)
    try:
        return aead.decrypt(key, nonce, aad, ciphertext)
    finally:
        wipe(key, nonce)


def public_key(secret: bytearray) -> bytes:
    """Give the X25519 public key of a secret one."""
    public = bytearray(KEY_SIZE)
    lib.crypto_scalarmult_base(ffi.from_buffer(public), ffi.from_buffer(secret))
    return bytes(public)


def _shared_secret(*pairs: tuple[bytearray, bytes], kem_context: bytes) -> bytearray:
    """AuthEncap and AuthDecap, section 4.1: what both ends compute, each with its own halves of the two pairs."""
    dh = bytearray(KEY_SIZE * len(pairs))
    prk = bytearray()
    try:
        for at, (secret, public) in enumerate(pairs):
            _agree(memoryview(dh)[KEY_SIZE * at : KEY_SIZE * (at + 1)], secret, public)
        prk = _extract(_KEM, b"", b"eae_prk", dh)
        return _expand(_KEM, prk, b"shared_secret", kem_context, 32)
    finally:
        wipe(dh, prk)


def _agree(out: memoryview, secret: bytearray, public: bytes) -> None:
    """X25519, refusing the all-zero result that low-order points give (RFC 9180, section 7.1.4)."""
    if lib.crypto_scalarmult(ffi.from_buffer(out), ffi.from_buffer(secret), public) != 0:
        raise DecodeError("a low-order point in a sealed message")


def _key_schedule(shared: bytearray, info: bytes) -> tuple[bytearray, bytearray]:
    """Give the key and the nonce of the first message, section 5.1; without a pre-shared key. Wipes ``shared``."""
    context = _MODE_AUTH + _NO_PSK_ID_HASH + _extract(_HPKE, b"", b"info_hash", info)
    secret = _extract(_HPKE, shared, b"secret", b"")
    key = _expand(_HPKE, secret, b"key", context, KEY_SIZE)
    nonce = _expand(_HPKE, secret, b"base_nonce", context, aead.NONCE_SIZE)
    wipe(shared, secret)
    return key, nonce


def _extract(suite: bytes, salt: Bytes, label: bytes, ikm: Bytes) -> bytearray:
    """LabeledExtract, section 4."""
    return hmac_sha256(salt, b"HPKE-v1", suite, label, ikm)


def _expand(suite: bytes, prk: bytearray, label: bytes, info: bytes, length: int) -> bytearray:
    """LabeledExpand, section 4, of at most one block."""
    block = hmac_sha256(prk, length.to_bytes(2, "big"), b"HPKE-v1", suite, label, info, b"\x01")
    if length == len(block):
        return block
    out = block[:length]
    wipe(block)
    return out


_NO_PSK_ID_HASH: Final = bytes(_extract(_HPKE, b"", b"psk_id_hash", b""))
