"""What FROST participants send and keep, in the Zcash Foundation's binary encoding (frost-core's ``serialize``).

Every package starts with a header: format version 0, then the CRC-32 of the suite's id. Fields follow in order:
scalars and elements at their fixed size, a list or a byte string after its length, numbers as LEB128 varints.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mpcnode.crypto.ciphersuite import AnyCiphersuite, Signature
from mpcnode.crypto.group import SCALAR_SIZE, Element, Scalar
from mpcnode.errors import DecodeError
from mpcnode.protocols.frost.encoding import HEADER_SIZE, Reader, header, varint
from mpcnode.types import MAX_PARTICIPANTS, MIN_THRESHOLD, Identifier


@dataclass(frozen=True, slots=True)
class Round1Package:
    """What a participant broadcasts: the commitment to its polynomial, and proof that it knows the secret in it.

    Args:
        suite: the ciphersuite.
        commitment: t elements, a_k G, constant term first.
        proof_of_knowledge: a Schnorr proof for the first of them.
    """

    suite: AnyCiphersuite
    commitment: tuple[Element, ...]
    proof_of_knowledge: Signature[Any, Any]

    @staticmethod
    def size(suite: AnyCiphersuite, threshold: int) -> int:
        """Give how many bytes an encoded package has; thresholds up to 64 and signatures take one length byte."""
        return HEADER_SIZE + 1 + threshold * suite.group.element_size + 1 + suite.signature_size

    def encode(self) -> bytes:
        """Give the package's bytes."""
        proof = self.suite.encode_signature(self.proof_of_knowledge)
        elements = b"".join(element.encode() for element in self.commitment)
        return header(self.suite) + varint(len(self.commitment)) + elements + varint(len(proof)) + proof

    @classmethod
    def decode(cls, suite: AnyCiphersuite, threshold: int, data: bytes) -> "Round1Package":
        """Take the bytes of a package with exactly ``threshold`` elements.

        Raises:
            DecodeError: wrong length, version, suite or number of elements, or bytes of another kind.
        """
        reader = Reader(suite, data)
        if reader.number() != threshold:
            raise DecodeError(f"a commitment has exactly {threshold} elements")
        commitment = tuple(reader.element() for _ in range(threshold))
        if reader.number() != suite.signature_size:
            raise DecodeError(f"a proof of knowledge is {suite.signature_size} bytes")
        proof = suite.decode_signature(reader.take(suite.signature_size))
        reader.end()
        return cls(suite, commitment, proof)


@dataclass(frozen=True, slots=True)
class RefreshPackage:
    """What a participant broadcasts in a refresh: the commitment to a sharing of 0.

    It has no constant term, which nobody could choose, and so no proof of knowledge of one.

    Args:
        suite: the ciphersuite.
        commitment: t - 1 elements, a_k G for k = 1 to t - 1.
    """

    suite: AnyCiphersuite
    commitment: tuple[Element, ...]

    @staticmethod
    def size(suite: AnyCiphersuite, threshold: int) -> int:
        """Give how many bytes an encoded package has; thresholds up to 64 take one length byte."""
        return HEADER_SIZE + 1 + (threshold - 1) * suite.group.element_size

    def encode(self) -> bytes:
        """Give the package's bytes."""
        elements = b"".join(element.encode() for element in self.commitment)
        return header(self.suite) + varint(len(self.commitment)) + elements

    @classmethod
    def decode(cls, suite: AnyCiphersuite, threshold: int, data: bytes) -> "RefreshPackage":
        """Take the bytes of a package with exactly ``threshold - 1`` elements.

        Raises:
            DecodeError: wrong length, version, suite or number of elements, or bytes that are not an element.
        """
        reader = Reader(suite, data)
        if reader.number() != threshold - 1:
            raise DecodeError(f"a commitment to a sharing of 0 has exactly {threshold - 1} elements")
        commitment = tuple(reader.element() for _ in range(threshold - 1))
        reader.end()
        return cls(suite, commitment)


@dataclass(frozen=True, slots=True)
class Round2Package:
    """What a participant sends to one other: its polynomial at the other's identifier; a secret of these two.

    Args:
        suite: the ciphersuite.
        signing_share: f_from(to); the package owns and wipes it.
    """

    suite: AnyCiphersuite
    signing_share: Scalar

    SIZE = HEADER_SIZE + SCALAR_SIZE

    def encode(self) -> bytearray:
        """Give the package's bytes, which the caller wipes."""
        data = bytearray(header(self.suite))
        self.signing_share.copy_into(data)
        return data

    @classmethod
    def decode(cls, suite: AnyCiphersuite, data: bytes | bytearray) -> "Round2Package":
        """Take the bytes of a package; the caller wipes them.

        Raises:
            DecodeError: wrong length, version or suite, or not a scalar.
        """
        reader = Reader(suite, data)
        package = cls(suite, reader.scalar())
        reader.end()
        return package

    def wipe(self) -> None:
        """Overwrite the share."""
        self.signing_share.wipe()


@dataclass(frozen=True, slots=True)
class KeyPackage:
    """What a participant keeps of a wallet's key: its signing share, and what is needed to use it.

    Args:
        suite: the ciphersuite.
        identifier: this participant's.
        signing_share: s_i, the secret; the package owns and wipes it.
        verifying_share: s_i G.
        group_public_key: the key everybody signs for.
        threshold: t.
    """

    suite: AnyCiphersuite
    identifier: Identifier
    signing_share: Scalar
    verifying_share: Element
    group_public_key: Element
    threshold: int

    def encode(self) -> bytearray:
        """Give the package's bytes, which hold the secret and which the caller wipes."""
        data = bytearray(header(self.suite) + self.suite.encode_identifier(self.identifier))
        self.signing_share.copy_into(data)
        data += self.verifying_share.encode() + self.group_public_key.encode() + varint(self.threshold)
        return data

    @classmethod
    def decode(cls, suite: AnyCiphersuite, data: bytes | bytearray) -> "KeyPackage":
        """Take the bytes of a package; the caller wipes them.

        Raises:
            DecodeError: wrong length, version or suite, a field that is out of range, or shares that do not belong
                together.
        """
        reader = Reader(suite, data)
        identifier, signing_share = reader.identifier(), reader.scalar()
        package = cls(suite, identifier, signing_share, reader.element(), reader.element(), reader.number())
        reader.end()
        if not MIN_THRESHOLD <= package.threshold <= MAX_PARTICIPANTS:
            raise DecodeError(f"a threshold is {MIN_THRESHOLD} to {MAX_PARTICIPANTS}")
        if suite.group.scalar_base_mult(signing_share) != package.verifying_share:
            raise DecodeError("the verifying share is not that of the signing share")
        return package

    def wipe(self) -> None:
        """Overwrite the signing share."""
        self.signing_share.wipe()


@dataclass(frozen=True, slots=True)
class PublicKeyPackage:
    """What everybody may know of a wallet's key.

    Args:
        suite: the ciphersuite.
        verifying_shares: s_i G by identifier, in ascending order.
        group_public_key: the key everybody signs for.
        threshold: t; None where the bytes came from frost-core before version 3, which did not write it.
    """

    suite: AnyCiphersuite
    verifying_shares: Mapping[Identifier, Element]
    group_public_key: Element
    threshold: int | None

    def encode(self) -> bytes:
        """Give the package's bytes."""
        data = header(self.suite) + varint(len(self.verifying_shares))
        for i, verifying_share in sorted(self.verifying_shares.items()):
            data += self.suite.encode_identifier(i) + verifying_share.encode()
        data += self.group_public_key.encode()
        return data if self.threshold is None else data + b"\x01" + varint(self.threshold)

    @classmethod
    def decode(cls, suite: AnyCiphersuite, data: bytes) -> "PublicKeyPackage":
        """Take the bytes of a package.

        Raises:
            DecodeError: wrong length, version or suite, a field that is out of range, identifiers not ascending.
        """
        reader = Reader(suite, data)
        total = reader.number()
        if not MIN_THRESHOLD <= total <= MAX_PARTICIPANTS:
            raise DecodeError(f"a wallet has {MIN_THRESHOLD} to {MAX_PARTICIPANTS} participants")
        shares = [(reader.identifier(), reader.element()) for _ in range(total)]
        if [i for i, _ in shares] != sorted({i for i, _ in shares}):
            raise DecodeError("verifying shares come by ascending identifier, each once")
        group_public_key = reader.element()
        threshold = None
        if not reader.at_end:
            if reader.take(1) != b"\x01":
                raise DecodeError("a threshold that is absent is not written")
            threshold = reader.number()
            if not MIN_THRESHOLD <= threshold <= total:
                raise DecodeError("a threshold is 2 to the number of participants")
        reader.end()
        return cls(suite, dict(shares), group_public_key, threshold)
