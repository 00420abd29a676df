"""What the Zcash Foundation's binary packages are made of: a header, then scalars, elements and numbers."""

from typing import Final
from zlib import crc32

from mpcnode.crypto.ciphersuite import AnyCiphersuite
from mpcnode.crypto.group import SCALAR_SIZE, Element, Scalar
from mpcnode.errors import DecodeError
from mpcnode.types import MAX_PARTICIPANTS, Identifier

HEADER_SIZE: Final = 5
_FORMAT_VERSION: Final = 0
_MAX_NUMBER: Final = 0xFFFF


def header(suite: AnyCiphersuite) -> bytes:
    """Give what every package begins with: the version of the format and which ciphersuite."""
    return bytes([_FORMAT_VERSION]) + crc32(suite.id.encode()).to_bytes(4, "big")


def varint(number: int) -> bytes:
    """Encode a number, seven bits a byte, the lowest first."""
    data = bytearray()
    while number >= 0x80:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)


class Reader:
    """Takes a package apart; what does not fit is a ``DecodeError``.

    Args:
        suite: whose package it has to be.
        data: all of it.
    """

    def __init__(self, suite: AnyCiphersuite, data: bytes | bytearray) -> None:
        self._suite = suite
        self._rest = memoryview(data)
        if self.take(HEADER_SIZE) != header(suite):
            raise DecodeError(f"not a package of version {_FORMAT_VERSION} for {suite.id}")

    def _advance(self, size: int) -> memoryview:
        if len(self._rest) < size:
            raise DecodeError("a package ends too early")
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def take(self, size: int) -> bytes:
        """Take that many bytes."""
        return bytes(self._advance(size))

    def number(self) -> int:
        """Take a number of at most 65535, encoded in the one shortest way."""
        number = 0
        for shift in (0, 7, 14):
            byte = self.take(1)[0]
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
        # One encoding a number: a last byte of 0 would only pad, and a fourth byte would not be read.
        if number > _MAX_NUMBER or byte >= 0x80 or (byte == 0 and shift > 0):
            raise DecodeError("a number in a package is at most 65535, in as few bytes as it takes")
        return number

    def scalar(self) -> Scalar:
        """Take a scalar."""
        # No copy of it is made: it may be a secret.
        scalar: Scalar = self._suite.group.decode_scalar(self._advance(SCALAR_SIZE))
        return scalar

    def element(self) -> Element:
        """Take an element of the group; the identity is refused."""
        element: Element = self._suite.group.decode_element(self.take(self._suite.group.element_size))
        return element

    def identifier(self) -> Identifier:
        """Take an identifier, which stands as a scalar."""
        encoding = self.take(SCALAR_SIZE)
        for i in range(1, MAX_PARTICIPANTS + 1):
            if self._suite.encode_identifier(Identifier(i)) == encoding:
                return Identifier(i)
        raise DecodeError(f"an identifier is 1 to {MAX_PARTICIPANTS}")

    @property
    def at_end(self) -> bool:
        """Whether everything is taken."""
        return not self._rest

    def end(self) -> None:
        """Require that everything is taken."""
        if self._rest:
            raise DecodeError("a package has bytes after its end")
