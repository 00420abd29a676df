"""What signers send each other, in the Zcash Foundation's binary encoding.

Nonces are not among it: they have no encoding here, so that nothing can store or send them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mpcnode.crypto.ciphersuite import AnyCiphersuite
from mpcnode.crypto.group import SCALAR_SIZE, Element, Scalar
from mpcnode.errors import DecodeError
from mpcnode.protocols.frost.encoding import HEADER_SIZE, Reader, header, varint
from mpcnode.types import MAX_PARTICIPANTS, Identifier


@dataclass(frozen=True, slots=True)
class SigningCommitments:
    """What a signer commits to before it knows the others' commitments; good for one signature.

    Args:
        suite: the ciphersuite.
        hiding: D_i, the hiding nonce times the generator.
        binding: E_i, the binding nonce times the generator.
    """

    suite: AnyCiphersuite
    hiding: Element
    binding: Element

    @staticmethod
    def size(suite: AnyCiphersuite) -> int:
        """Give how many bytes encoded commitments have."""
        return HEADER_SIZE + 2 * suite.group.element_size

    def encode(self) -> bytes:
        """Give the commitments' bytes."""
        return header(self.suite) + self.hiding.encode() + self.binding.encode()

    @classmethod
    def decode(cls, suite: AnyCiphersuite, data: bytes) -> "SigningCommitments":
        """Take the bytes of commitments.

        Raises:
            DecodeError: wrong length, version or suite, or bytes that are not an element; the identity is not one.
        """
        reader = Reader(suite, data)
        commitments = cls._read(reader, suite)
        reader.end()
        return commitments

    @classmethod
    def _read(cls, reader: Reader, suite: AnyCiphersuite) -> "SigningCommitments":
        return cls(suite, reader.element(), reader.element())


@dataclass(frozen=True, slots=True)
class SigningPackage:
    """What one signature is made of: who signs, with which commitments, and what.

    Args:
        suite: the ciphersuite.
        commitments: everybody's, by identifier; kept in ascending order.
        message: what is signed.
    """

    suite: AnyCiphersuite
    commitments: Mapping[Identifier, SigningCommitments]
    message: bytes

    def __post_init__(self) -> None:
        object.__setattr__(self, "commitments", MappingProxyType(dict(sorted(self.commitments.items()))))

    def encode(self) -> bytes:
        """Give the package's bytes."""
        data = header(self.suite) + varint(len(self.commitments))
        for i, commitments in self.commitments.items():
            data += self.suite.encode_identifier(i) + commitments.encode()
        return data + varint(len(self.message)) + self.message

    @classmethod
    def decode(cls, suite: AnyCiphersuite, data: bytes) -> "SigningPackage":
        """Take the bytes of a package.

        Raises:
            DecodeError: wrong length, version or suite, a field that is out of range, identifiers not ascending.
        """
        reader = Reader(suite, data)
        total = reader.number()
        if not 1 <= total <= MAX_PARTICIPANTS:
            raise DecodeError(f"a signature has 1 to {MAX_PARTICIPANTS} signers")
        listed = [
            (reader.identifier(), SigningCommitments.decode(suite, reader.take(SigningCommitments.size(suite))))
            for _ in range(total)
        ]
        if [i for i, _ in listed] != sorted({i for i, _ in listed}):
            raise DecodeError("commitments come by ascending identifier, each once")
        message = reader.take(reader.number())
        reader.end()
        return cls(suite, dict(listed), message)


@dataclass(frozen=True, slots=True)
class SignatureShare:
    """What a signer contributes to one signature; public once sent.

    Args:
        suite: the ciphersuite.
        share: z_i.
    """

    suite: AnyCiphersuite
    share: Scalar

    SIZE = SCALAR_SIZE

    def encode(self) -> bytes:
        """Give the share's bytes, which have no header."""
        return self.share.encode()

    @classmethod
    def decode(cls, suite: AnyCiphersuite, data: bytes) -> "SignatureShare":
        """Take the bytes of a share.

        Raises:
            DecodeError: not ``SIZE`` bytes, or not a canonical scalar.
        """
        return cls(suite, suite.group.decode_scalar(data))
