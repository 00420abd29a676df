"""A node's identity: one Ed25519 key that signs, and the same key as X25519 that seals and opens.

A seal is HPKE in mode auth (PROTOCOL section Identity and sealing; RFC 9180, section 5.1.3): the recipient knows that
the sender wrote it. Its limits are those of the mode: it is deniable, because the recipient could have made it; it says
nothing about freshness, so an envelope inside carries what does; and a thief of the *recipient's* key can seal to it
in anybody's name. What may convict anybody is signed.
"""

from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from typing import Final

from nacl import bindings as sodium
from nacl.exceptions import CryptoError

from mpcnode.crypto import tags
from mpcnode.crypto.ed25519 import ffi, lib
from mpcnode.crypto.ed25519_rules import why_refused
from mpcnode.crypto.signature import SIGNATURE_SIZE
from mpcnode.crypto.transcript import tagged_hash
from mpcnode.errors import DecodeError
from mpcnode.identity import hpke
from mpcnode.types import IdentityKey

SEED_SIZE: Final = 32
SEAL_OVERHEAD: Final = hpke.KEY_SIZE + hpke.TAG_SIZE
"""How much longer a sealed message is than its plaintext: the ephemeral key and the tag."""

EPHEMERAL_LABEL: Final = b"mpcnode-eph-v1"
"""BLAKE2b personalisation (RFC 7693, section 2.8) of drawing a sealed message's ephemeral key."""

_SECRET_SIZE: Final = 64
_PERSONAL: Final = EPHEMERAL_LABEL.ljust(16, b"\x00")
_NO_SALT: Final = bytes(16)


def new_seed() -> bytearray:
    """Draw the seed of a new identity from libsodium, into a buffer of the caller's to wipe.

    Not from an argument: what Python's generators give is immutable, and stays in memory.
    """
    seed = bytearray(SEED_SIZE)
    lib.randombytes(ffi.from_buffer(seed), SEED_SIZE)
    return seed


class Identity:
    """The secret half of a node's identity.

    Sign with it, seal to others, open what was sealed to it; ``wipe`` it at the end. libsodium works on our own copy of
    the secret and on buffers that are cleared after each use, so that no trace of it is left behind.
    """

    __slots__ = ("_secret", "public_key")

    public_key: IdentityKey
    """The 32 bytes this node is known by; what contacts pin."""

    def __init__(self, *, public_key: IdentityKey, secret: bytearray) -> None:
        self.public_key = public_key
        self._secret = secret

    @classmethod
    def from_seed(cls, seed: bytearray) -> "Identity":
        """Make the identity of a seed (RFC 8032, section 5.1.5).

        Args:
            seed: 32 uniformly random bytes. They are copied: the caller wipes its own.

        Raises:
            ValueError: not 32 bytes.
        """
        if len(seed) != SEED_SIZE:
            raise ValueError(f"an identity seed is {SEED_SIZE} bytes")
        public_key, secret = bytearray(32), bytearray(_SECRET_SIZE)
        lib.crypto_sign_seed_keypair(ffi.from_buffer(public_key), ffi.from_buffer(secret), ffi.from_buffer(seed))
        return cls(public_key=IdentityKey(bytes(public_key)), secret=secret)

    def sign(self, tag: str, *fields: bytes) -> bytes:
        """Sign ``fields`` for the one purpose ``tag`` names; ``crypto.signature.verify`` is the other side.

        Args:
            tag: what the signature is for, a constant of ``mpcnode.crypto.tags``.
            fields: any byte strings; their tagged hash is what is signed.

        Returns:
            64 bytes, the same for the same input (RFC 8032 signatures are deterministic).

        Raises:
            ValueError: the identity was wiped; a mistake of the caller.
        """
        self._require_secret()
        message = tagged_hash(tag, *fields)
        signed = bytearray(SIGNATURE_SIZE + len(message))
        lib.crypto_sign(ffi.from_buffer(signed), ffi.NULL, message, len(message), ffi.from_buffer(self._secret))
        return bytes(signed[:SIGNATURE_SIZE])

    def seal(
        self,
        recipient: IdentityKey,
        plaintext: bytes | bytearray,
        *,
        purpose: str,
        topic: bytes,
        aad: bytes,
        rng: Callable[[int], bytes],
    ) -> bytes:
        """Encrypt ``plaintext`` so that ``recipient`` alone can read it and knows that it is ours.

        Args:
            recipient: the identity key that shall open it.
            plaintext: any bytes, may be empty.
            purpose: what seals of this kind are for: ``relay``, ``share``.
            topic: what this one belongs to.
            aad: what the message is bound to beside and does not carry; ``open`` needs the same bytes.
            rng: gives that many uniformly random bytes.

        Returns:
            The ephemeral public key (32 bytes), then ciphertext and tag.

        Raises:
            DecodeError: ``recipient`` is not a usable key; the sender of that key is to blame.
            ValueError: the identity was wiped; a mistake of the caller.
        """
        self._require_secret()
        theirs, ours = _to_x25519(recipient), _to_x25519(self.public_key)
        info = _info(purpose, self.public_key, recipient, topic)
        mine = self._x25519()
        ephemeral = self._ephemeral(rng(32), info, aad, plaintext)
        try:
            return hpke.seal(
                theirs,
                info,
                aad,
                plaintext,
                sender=mine,
                sender_public=ours,
                ephemeral=ephemeral,
            )
        finally:
            hpke.wipe(mine, ephemeral)

    def open(self, sender: IdentityKey, sealed: bytes, *, purpose: str, topic: bytes, aad: bytes) -> bytearray:
        """Decrypt what ``sender`` sealed to us.

        Args:
            sender: the identity key it must come from.
            sealed: what ``seal`` returned on the other side.
            purpose: what it must be for.
            topic: what it must belong to.
            aad: what the sender bound it to.

        Returns:
            The plaintext, for the caller to wipe.

        Raises:
            DecodeError: it is not from ``sender``, not for us, not for this purpose or topic, not bound to ``aad``,
                altered or truncated: these cannot be told apart. The transport knows whom to blame.
            ValueError: the identity was wiped; a mistake of the caller.
        """
        self._require_secret()
        theirs, ours = _to_x25519(sender), _to_x25519(self.public_key)
        info = _info(purpose, sender, self.public_key, topic)
        mine = self._x25519()
        try:
            return hpke.open_(theirs, info, aad, sealed, recipient=mine, recipient_public=ours)
        finally:
            hpke.wipe(mine)

    def wipe(self) -> None:
        """Clear the secret; from here on only ``public_key`` is of use."""
        hpke.wipe(self._secret)
        self._secret.clear()

    def _require_secret(self) -> None:
        if not self._secret:
            raise ValueError("this identity was wiped")

    def _x25519(self) -> bytearray:
        """Give the secret key as X25519's, for the caller to wipe."""
        secret = bytearray(hpke.KEY_SIZE)
        lib.crypto_sign_ed25519_sk_to_curve25519(ffi.from_buffer(secret), ffi.from_buffer(self._secret))
        return secret

    def _ephemeral(self, drawn: bytes, info: bytes, aad: bytes, plaintext: bytes | bytearray) -> bytearray:
        """Make the ephemeral secret key of one message, for the caller to wipe.

        Hedged: should the random bytes ever repeat (a cloned machine), another message still gets another key.
        """
        ephemeral = bytearray(hpke.KEY_SIZE)
        message = drawn + info + sha256(aad).digest() + sha256(plaintext).digest()
        failed = lib.crypto_generichash_blake2b_salt_personal(
            ffi.from_buffer(ephemeral),
            len(ephemeral),
            message,
            len(message),
            ffi.from_buffer(self._secret),
            len(self._secret),
            _NO_SALT,
            _PERSONAL,
        )
        if failed:
            raise RuntimeError("libsodium did not hash")  # never go on: an ephemeral key of zeros is known to everybody
        return ephemeral

    def __repr__(self) -> str:
        return f"Identity({self.public_key.hex()}, <redacted>)"


def check_identity_key(data: bytes) -> IdentityKey:
    """Take bytes from a peer or a file as an identity key that can be verified with and sealed to.

    Raises:
        DecodeError: not 32 bytes, not canonical, not a point, or outside the prime-order subgroup.
    """
    key = IdentityKey(bytes(data))
    _to_x25519(key)
    return key


@lru_cache(maxsize=1024)
def _to_x25519(public_key: bytes) -> bytes:
    """Map an Ed25519 key to X25519; libsodium refuses small-order and mixed-order points (RFC 7748, section 6.1).

    The map takes twice as long as a key agreement, and a node has few peers: it is remembered.
    """
    if len(public_key) != 32:
        raise DecodeError("an identity key is 32 bytes")
    try:
        return sodium.crypto_sign_ed25519_pk_to_curve25519(public_key)
    except (CryptoError, RuntimeError):
        raise DecodeError(f"an identity key is not a usable point: {why_refused(public_key)}") from None


def _info(purpose: str, sender: IdentityKey, recipient: IdentityKey, topic: bytes) -> bytes:
    """What a seal is for. Both identity keys are in it: an X25519 key stands for two Ed25519 ones."""
    return tagged_hash(tags.SEAL, purpose.encode(), sender, recipient, topic)
