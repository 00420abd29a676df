"""A node's identity: one Ed25519 key that signs, and the same key as X25519 that seals and opens.

Sealing is the one-way Noise pattern X (Noise Protocol Framework, section 7.4): an ephemeral key and the sender's
identity against the recipient's identity, so that who opens it knows who sealed it. Its limits are those of the
pattern: it is deniable (the recipient could have made it), it says nothing about freshness (bind session and expiry
in ``aad``), and whoever steals the *recipient's* key can seal to it in anybody's name.
"""

from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from nacl import bindings as sodium
from nacl.exceptions import CryptoError

from mpcnode.crypto.signature import SIGNATURE_SIZE, signing_input
from mpcnode.errors import DecodeError
from mpcnode.types import IdentityKey

SEED_SIZE: Final = 32
SEAL_OVERHEAD: Final = 32 + sodium.crypto_aead_xchacha20poly1305_ietf_ABYTES
"""How much longer a sealed message is than its plaintext: the ephemeral key and the tag."""

SEAL_LABEL: Final = b"mpcnode-seal-v1"
"""BLAKE2b personalisation (RFC 7693, section 2.8) of the key one sealed message is encrypted with."""

EPHEMERAL_LABEL: Final = b"mpcnode-eph-v1"
"""The same for drawing a sealed message's ephemeral key."""

# Every sealed message has its own ephemeral key and so its own encryption key, which is used once: a fixed nonce is
# safe here and here only. Nothing else may ever be encrypted with the key that _seal_key returns.
_NONCE: Final = bytes(sodium.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES)


class Identity:
    """The secret half of a node's identity.

    Sign with it, seal to others, open what was sealed to it; ``wipe`` it at the end. libsodium's bindings take
    ``bytes``, so each use makes a short-lived copy that Python frees without clearing: wiping clears what we hold, no
    more.
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
        public_key, secret = sodium.crypto_sign_seed_keypair(bytes(seed))
        return cls(public_key=IdentityKey(public_key), secret=bytearray(secret))

    def sign(self, context: str, message: bytes) -> bytes:
        """Sign ``message`` for the one purpose ``context`` names; ``crypto.signature.verify`` is the other side.

        Args:
            context: what the signature is for, a constant of the program; ASCII without NUL.
            message: any bytes.

        Returns:
            64 bytes, the same for the same input (RFC 8032 signatures are deterministic).

        Raises:
            ValueError: ``context`` is not usable, or the identity was wiped; a mistake of the caller.
        """
        return sodium.crypto_sign(signing_input(context, message), self._secret_key())[:SIGNATURE_SIZE]

    def seal(self, recipient: IdentityKey, plaintext: bytes, aad: bytes, rng: Callable[[int], bytes]) -> bytes:
        """Encrypt ``plaintext`` so that only ``recipient`` can read it and knows that it is ours.

        Args:
            recipient: the identity key of who shall open it.
            plaintext: any bytes, may be empty.
            aad: what the message is bound to and does not carry; ``open`` needs the same bytes.
            rng: gives that many uniformly random bytes.

        Returns:
            The ephemeral public key (32 bytes), then ciphertext and tag.

        Raises:
            DecodeError: ``recipient`` is no usable key; whoever sent that key is to blame.
            ValueError: the identity was wiped; a mistake of the caller.
        """
        theirs = _to_x25519(recipient)
        # Hedged: should rng ever repeat (a cloned machine), another plaintext still gets another ephemeral key.
        drawn = rng(32) + blake2b(aad).digest() + blake2b(plaintext).digest()
        ephemeral = blake2b(drawn, key=self._secret_key(), digest_size=32, person=EPHEMERAL_LABEL).digest()
        ephemeral_public = sodium.crypto_scalarmult_base(ephemeral)
        es = _agree(ephemeral, theirs)
        ss = _agree(sodium.crypto_sign_ed25519_sk_to_curve25519(self._secret_key()), theirs)
        key = _seal_key(es, ss, ephemeral_public, sender=self.public_key, recipient=recipient)
        return ephemeral_public + sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, aad, _NONCE, key)

    def open(self, sender: IdentityKey, sealed: bytes, aad: bytes) -> bytearray:
        """Decrypt what ``sender`` sealed to us.

        Args:
            sender: the identity key it must come from.
            sealed: what ``seal`` returned on the other side.
            aad: what the sender bound it to.

        Returns:
            The plaintext, for the caller to wipe.

        Raises:
            DecodeError: it is not from ``sender``, not for us, not bound to ``aad``, altered or truncated: these
                cannot be told apart. The transport knows whom to blame.
            ValueError: the identity was wiped; a mistake of the caller.
        """
        if len(sealed) < SEAL_OVERHEAD:
            raise DecodeError("a sealed message is at least its overhead long")
        ephemeral_public = bytes(sealed[:32])
        mine = sodium.crypto_sign_ed25519_sk_to_curve25519(self._secret_key())
        es = _agree(mine, ephemeral_public)
        ss = _agree(mine, _to_x25519(sender))
        key = _seal_key(es, ss, ephemeral_public, sender=sender, recipient=self.public_key)
        try:
            return bytearray(sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(bytes(sealed[32:]), aad, _NONCE, key))
        except CryptoError:
            raise DecodeError(
                "a sealed message does not open: wrong sender, recipient or context, or altered"
            ) from None

    def wipe(self) -> None:
        """Clear the secret; from here on only ``public_key`` is of use."""
        self._secret[:] = bytes(len(self._secret))
        self._secret.clear()

    def _secret_key(self) -> bytes:
        if not self._secret:
            raise ValueError("this identity was wiped")
        return bytes(self._secret)

    def __repr__(self) -> str:
        return f"Identity({self.public_key.hex()}, <redacted>)"


def check_identity_key(data: bytes) -> IdentityKey:
    """Take bytes from a peer or a file as an identity key that can be verified with and sealed to.

    Raises:
        DecodeError: not 32 bytes, not canonical, no point, or outside the prime-order subgroup.
    """
    if len(data) != 32:
        raise DecodeError("an identity key is 32 bytes")
    _to_x25519(data)
    return IdentityKey(bytes(data))


def _to_x25519(public_key: bytes) -> bytes:
    """Map an Ed25519 key to X25519; libsodium refuses small-order and mixed-order points (RFC 7748, section 6.1)."""
    if len(public_key) != 32:
        raise DecodeError("an identity key is 32 bytes")
    try:
        return sodium.crypto_sign_ed25519_pk_to_curve25519(bytes(public_key))
    except (CryptoError, RuntimeError):
        raise DecodeError("an identity key is not a usable point") from None


def _agree(secret: bytes, public: bytes) -> bytes:
    """X25519, refusing the all-zero result that low-order points give (RFC 7748, section 6.1)."""
    try:
        return sodium.crypto_scalarmult(secret, public)
    except (CryptoError, RuntimeError):
        raise DecodeError("a low-order point in a sealed message") from None


def _seal_key(es: bytes, ss: bytes, ephemeral: bytes, *, sender: bytes, recipient: bytes) -> bytes:
    # Five fields of 32 bytes each: no two field lists give the same input. The public keys are in it because X25519
    # alone does not bind them (RFC 7748, section 7).
    return blake2b(es + ss + ephemeral + sender + recipient, digest_size=32, person=SEAL_LABEL).digest()
