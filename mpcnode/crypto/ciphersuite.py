# ruff: noqa: N802 (H1 to H5, HDKG and HID are the names the specifications give)
"""The FROST ciphersuites (RFC 9591, section 6; the Taproot one after the Zcash Foundation's frost-secp256k1-tr).

A ciphersuite is a group, a hash and the encodings of a signature. H1 to H5 are the RFC's; HDKG and HID are the Zcash
Foundation's, for the proof of knowledge in key generation and for identifiers made from names.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256, sha512
from types import MappingProxyType
from typing import Any, Final, Generic, final

from mpcnode.crypto import hashing
from mpcnode.crypto.ed25519 import ED25519, Ed25519Element, Ed25519Scalar
from mpcnode.crypto.group import SCALAR_SIZE, E, Group, Rng, S, exactly
from mpcnode.crypto.secp256k1 import SECP256K1, Secp256k1Element, Secp256k1Scalar
from mpcnode.types import Identifier, SuiteId

_BIP340_CHALLENGE: Final = sha256(2 * sha256(b"BIP0340/challenge").digest())
"""The hash of BIP-340's challenge after its tag, to be copied."""


@dataclass(frozen=True, slots=True)
class Signature(Generic[S, E]):
    """A Schnorr signature, or a proof of knowledge of the same form: R, and z with z G = R + c P."""

    R: E
    z: S


class Ciphersuite(ABC, Generic[S, E]):
    """What RFC 9591, section 6, asks of a ciphersuite, and what key generation needs beside it."""

    id: SuiteId
    group: Group[S, E]
    signature_size: int

    def __repr__(self) -> str:
        return f"<ciphersuite {self.id}>"

    @property
    def context(self) -> bytes:
        """The contextString: it separates every hash of this suite from those of all others."""
        return self.id.encode("ascii")

    @abstractmethod
    def _hash(self, label: bytes, m: bytes) -> bytes:
        """Hash to bytes, under the context and a label."""

    @abstractmethod
    def _hash_to_scalar(self, label: bytes, m: bytes | bytearray, *, secret: bool = False) -> S:
        """Hash to a scalar, under the context and a label; of a secret no copy is left, nor of anything on the way."""

    def H1(self, m: bytes) -> S:
        """Hash to a scalar: binding factors."""
        return self._hash_to_scalar(b"rho", m)

    @abstractmethod
    def H2(self, m: bytes) -> S:
        """Hash to a scalar: the signature's challenge, as the signature scheme of the suite has it."""

    def H3(self, m: bytes | bytearray) -> S:
        """Hash to a scalar: nonces; ``m`` holds a secret, which the caller can wipe."""
        return self._hash_to_scalar(b"nonce", m, secret=True)

    def H4(self, m: bytes) -> bytes:
        """Hash the message."""
        return self._hash(b"msg", m)

    def H5(self, m: bytes) -> bytes:
        """Hash the list of commitments."""
        return self._hash(b"com", m)

    def HDKG(self, m: bytes) -> S:
        """Hash to a scalar: the challenge of a proof of knowledge."""
        return self._hash_to_scalar(b"dkg", m)

    def HID(self, m: bytes) -> S:
        """Hash to a scalar: an identifier from a name."""
        return self._hash_to_scalar(b"id", m)

    def encode_identifier(self, i: Identifier) -> bytes:
        """Give an identifier as the scalar it is."""
        return _encode_identifier(self.group, i)

    def challenge(self, R: E, group_public_key: E, message: bytes) -> S:
        """Give the challenge of a signature (RFC 9591, section 4.6, compute_challenge).

        Args:
            R: the group commitment.
            group_public_key: the key that is signed for.
            message: what is signed.

        Raises:
            ValueError: R or the key is the identity.
        """
        return self.H2(R.encode() + group_public_key.encode() + message)

    def negates(self, element: E) -> bool:  # noqa: ARG002 (a suite that does looks at it)
        """Say whether a signature has the negative of ``element``, a group public key or commitment, in its place."""
        return False

    def random_nonce(self, rng: Rng) -> tuple[S, E]:
        """Draw k and give it with R = k G; k is a secret for one use."""
        k = self.group.random_scalar(rng)
        return k, self.group.scalar_base_mult(k)

    def encode_signature(self, signature: Signature[S, E]) -> bytes:
        """Give R and z as this suite's signatures have them.

        Raises:
            ValueError: R is the identity.
        """
        return signature.R.encode() + signature.z.encode()

    def decode_signature(self, data: bytes) -> Signature[S, E]:
        """Take the bytes of a signature.

        Raises:
            DecodeError: wrong length, or R or z is not canonical.
        """
        exactly(data, self.signature_size, "a signature")
        split = self.signature_size - SCALAR_SIZE
        return Signature(self.group.decode_element(data[:split]), self.group.decode_scalar(data[split:]))


@final
class Ed25519Sha512(Ciphersuite[Ed25519Scalar, Ed25519Element]):
    """FROST(Ed25519, SHA-512), RFC 9591, section 6.1; signatures verify as Ed25519 (RFC 8032)."""

    id = SuiteId("FROST-ED25519-SHA512-v1")
    group = ED25519
    signature_size = 64

    def _hash(self, label: bytes, m: bytes) -> bytes:
        return sha512(self.context + label + m).digest()

    def _hash_to_scalar(self, label: bytes, m: bytes | bytearray, *, secret: bool = False) -> Ed25519Scalar:
        if not secret:
            return self.group.wide_reduce(sha512(self.context + label + m).digest())
        digest = hashing.sha512(self.context, label, m)
        scalar = self.group.wide_reduce(digest)
        hashing.wipe(digest)
        return scalar

    def H2(self, m: bytes) -> Ed25519Scalar:
        """Hash to a scalar without a context, as RFC 8032 does: what makes the signature an Ed25519 one."""
        return self.group.wide_reduce(sha512(m).digest())


class Secp256k1Sha256(Ciphersuite[Secp256k1Scalar, Secp256k1Element]):
    """FROST(secp256k1, SHA-256), RFC 9591, section 6.5."""

    id = SuiteId("FROST-secp256k1-SHA256-v1")
    group = SECP256K1
    signature_size = 65

    def _hash(self, label: bytes, m: bytes) -> bytes:
        return sha256(self.context + label + m).digest()

    def _hash_to_scalar(self, label: bytes, m: bytes | bytearray, *, secret: bool = False) -> Secp256k1Scalar:
        if not secret:
            # Public, so Python's integers may reduce it.
            return self.group.scalar(int.from_bytes(expand_message_xmd(m, self.context + label, 48), "big"))
        uniform = expand_secret_xmd(m, self.context + label, 48)
        scalar = self.group.wide_reduce(uniform)
        hashing.wipe(uniform)
        return scalar

    def H2(self, m: bytes) -> Secp256k1Scalar:
        """Hash to a scalar: the signature's challenge."""
        return self._hash_to_scalar(b"chal", m)


@final
class Secp256k1Sha256Taproot(Secp256k1Sha256):
    """FROST(secp256k1, SHA-256) whose signatures verify under BIP-340."""

    id = SuiteId("FROST-secp256k1-SHA256-TR-v1")
    signature_size = 64

    def H2(self, m: bytes) -> Secp256k1Scalar:
        """Hash to a scalar as BIP-340 does: the challenge, of public values alone."""
        hasher = _BIP340_CHALLENGE.copy()
        hasher.update(m)
        return self.group.scalar(int.from_bytes(hasher.digest(), "big"))

    def challenge(self, R: Secp256k1Element, group_public_key: Secp256k1Element, message: bytes) -> Secp256k1Scalar:
        """Give the challenge as BIP-340 has it: of x coordinates alone."""
        return self.H2(R.encode()[1:] + group_public_key.encode()[1:] + message)

    def negates(self, element: Secp256k1Element) -> bool:
        """Say whether the y of ``element`` is odd: BIP-340 means the point of even y by an x coordinate."""
        return not element.has_even_y

    def random_nonce(self, rng: Rng) -> tuple[Secp256k1Scalar, Secp256k1Element]:
        """Draw k and give it with R = k G of even y, as BIP-340 wants it."""
        k, R = super().random_nonce(rng)
        return (-k, -R) if self.negates(R) else (k, R)

    def encode_signature(self, signature: Signature[Secp256k1Scalar, Secp256k1Element]) -> bytes:
        """Give the 64 bytes of BIP-340: the x coordinate of R, and z.

        Raises:
            ValueError: R is the identity, or its y is odd, which these bytes could not say.
        """
        if not signature.R.has_even_y:
            raise ValueError("R of a BIP-340 signature has an even y")
        return signature.R.encode()[1:] + signature.z.encode()

    def decode_signature(self, data: bytes) -> Signature[Secp256k1Scalar, Secp256k1Element]:
        """Take the 64 bytes of BIP-340.

        Raises:
            DecodeError: wrong length, or R or z is not canonical.
        """
        exactly(data, self.signature_size, "a signature")
        return Signature(self.group.decode_element(b"\x02" + data[:32]), self.group.decode_scalar(data[32:]))


@cache
def _encode_identifier(group: Group[Any, Any], i: Identifier) -> bytes:
    encoded: bytes = group.scalar(i).encode()
    return encoded


def expand_message_xmd(msg: bytes | bytearray, dst: bytes, size: int) -> bytes:
    """Expand ``msg``, which is public, to ``size`` uniform bytes with SHA-256 (RFC 9380, section 5.3.1).

    Args:
        msg: what is hashed.
        dst: the domain separation tag, at most 255 bytes.
        size: how many bytes, at most 255 * 32.

    Raises:
        ValueError: ``dst`` or ``size`` is over its limit.
    """
    blocks = -(-size // 32)
    if len(dst) > 255 or blocks > 255:
        raise ValueError("a tag is at most 255 bytes, an expansion at most 255 blocks")
    dst_prime = dst + bytes([len(dst)])
    b_0 = sha256(bytes(64) + msg + size.to_bytes(2, "big") + b"\x00" + dst_prime).digest()
    b_i = sha256(b_0 + b"\x01" + dst_prime).digest()
    uniform = b_i
    for i in range(2, blocks + 1):
        mixed = (int.from_bytes(b_0, "big") ^ int.from_bytes(b_i, "big")).to_bytes(32, "big")
        b_i = sha256(mixed + bytes([i]) + dst_prime).digest()
        uniform += b_i
    return uniform[:size]


def expand_secret_xmd(msg: bytes | bytearray, dst: bytes, size: int) -> bytearray:
    """Expand ``msg``, of which no copy is left, nor of anything on the way; the result is the caller's to wipe.

    The same as ``expand_message_xmd``, slower; arguments and errors as there.
    """
    blocks = -(-size // 32)
    if len(dst) > 255 or blocks > 255:
        raise ValueError("a tag is at most 255 bytes, an expansion at most 255 blocks")
    dst_prime = dst + bytes([len(dst)])
    b_0 = hashing.sha256(bytes(64), msg, size.to_bytes(2, "big") + b"\x00" + dst_prime)
    uniform = bytearray(size)
    # strxor(b_0, b_(i - 1)) || I2OSP(i, 1) || DST_prime, in one buffer for all blocks; what b_0 goes with first is 0.
    block = bytearray(33 + len(dst_prime))
    block[33:] = dst_prime
    b_i = bytearray(32)
    for i in range(1, blocks + 1):
        # Byte by byte: an integer of them all, or a slice, would be a copy that cannot be wiped.
        for at, byte in enumerate(b_0):
            block[at] = byte ^ b_i[at]
        block[32] = i
        hashing.sha256_into(b_i, block)
        # Through views, which make no copy; what the last block has too much is not taken at all.
        start = 32 * (i - 1)
        memoryview(uniform)[start : start + 32] = memoryview(b_i)[: size - start]
    hashing.wipe(b_0, b_i, block)
    return uniform


AnyCiphersuite = Ciphersuite[Any, Any]
"""A ciphersuite where the code is the same for all of them."""

CIPHERSUITES: Final[Mapping[SuiteId, AnyCiphersuite]] = MappingProxyType(
    {suite.id: suite for suite in (Ed25519Sha512(), Secp256k1Sha256Taproot(), Secp256k1Sha256())}
)
"""The suites whose keys FROST makes and uses."""
