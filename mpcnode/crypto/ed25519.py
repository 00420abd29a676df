"""The prime-order group of edwards25519 (RFC 9591, section 6.1), computed by libsodium.

The C functions are called on our own buffers: PyNaCl's wrappers take and give immutable ``bytes``, which cannot be
wiped, so a secret would leave a trace at every step.
"""

from collections.abc import Iterable
from typing import Any, Final, final

from nacl import _sodium

from mpcnode.crypto.group import SCALAR_SIZE, Element, Group, Rng, Scalar, exactly
from mpcnode.errors import DecodeError

ffi: Final[Any] = _sodium.ffi
lib: Final[Any] = _sodium.lib

_POINT: Final = ffi.typeof("unsigned char[32]")
_IDENTITY: Final = b"\x01" + bytes(31)
_WIDE: Final = 64

# Up to this many additions cost less than one scalar multiplication.
_ADDITIONS_WORTH_A_MULTIPLICATION: Final = 6


@final
class Ed25519Scalar(Scalar):
    """An integer modulo 2**252 + 27742317777372353535851937790883648493, little-endian."""

    __slots__ = ()

    def __add__(self, other: "Ed25519Scalar") -> "Ed25519Scalar":
        out = bytearray(SCALAR_SIZE)
        lib.crypto_core_ed25519_scalar_add(
            ffi.from_buffer(out), ffi.from_buffer(self._buffer), ffi.from_buffer(other._buffer)
        )
        return Ed25519Scalar(out)

    def __neg__(self) -> "Ed25519Scalar":
        out = bytearray(SCALAR_SIZE)
        lib.crypto_core_ed25519_scalar_negate(ffi.from_buffer(out), ffi.from_buffer(self._buffer))
        return Ed25519Scalar(out)

    def __mul__(self, other: "Ed25519Scalar") -> "Ed25519Scalar":
        if not isinstance(other, Ed25519Scalar):
            return NotImplemented
        out = bytearray(SCALAR_SIZE)
        lib.crypto_core_ed25519_scalar_mul(
            ffi.from_buffer(out), ffi.from_buffer(self._buffer), ffi.from_buffer(other._buffer)
        )
        return Ed25519Scalar(out)

    def base_mult(self) -> bytes:
        """Give the encoding of this non-zero scalar times the generator, in constant time."""
        out = ffi.new(_POINT)
        if lib.crypto_scalarmult_ed25519_base_noclamp(out, ffi.from_buffer(self._buffer)) != 0:
            raise ValueError("0 times the generator has no encoding")
        encoding: bytes = ffi.buffer(out)[:]
        return encoding


@final
class Ed25519Element(Element):
    """A point of the prime-order subgroup, held as its canonical encoding.

    Args:
        encoding: 32 bytes that libsodium gave, or that ``decode_element`` accepted.
    """

    __slots__ = ("_encoding",)

    def __init__(self, encoding: bytes) -> None:
        self._encoding = encoding

    def __add__(self, other: "Ed25519Element") -> "Ed25519Element":
        out = ffi.new(_POINT)
        if lib.crypto_core_ed25519_add(out, self._encoding, other._encoding) != 0:
            raise ValueError("not a point")
        return Ed25519Element(ffi.buffer(out)[:])

    def __neg__(self) -> "Ed25519Element":
        return Ed25519Element(_IDENTITY) - self

    def __sub__(self, other: "Ed25519Element") -> "Ed25519Element":
        out = ffi.new(_POINT)
        if lib.crypto_core_ed25519_sub(out, self._encoding, other._encoding) != 0:
            raise ValueError("not a point")
        return Ed25519Element(ffi.buffer(out)[:])

    def __rmul__(self, scalar: Scalar) -> "Ed25519Element":
        # libsodium refuses the scalar 0 and the identity; both have a right answer.
        if scalar.is_zero() or self.is_identity:
            return Ed25519Element(_IDENTITY)
        out = ffi.new(_POINT)
        if lib.crypto_scalarmult_ed25519_noclamp(out, scalar.encode(), self._encoding) != 0:
            raise ValueError("not a point of prime order")
        return Ed25519Element(ffi.buffer(out)[:])

    def times(self, k: int) -> "Ed25519Element":
        """Multiply by a small public integer, ``k >= 0``."""
        if k == 0:
            return Ed25519Element(_IDENTITY)
        if k.bit_length() + k.bit_count() - 2 > _ADDITIONS_WORTH_A_MULTIPLICATION:
            return self.__rmul__(ED25519.scalar(k))
        product = self
        for bit in bin(k)[3:]:
            product = product + product
            if bit == "1":
                product = product + self
        return product

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ed25519Element):
            return NotImplemented
        return self._encoding == other._encoding

    def __hash__(self) -> int:
        return hash(self._encoding)

    @property
    def is_identity(self) -> bool:
        """Whether this is the identity, which is never sent."""
        return self._encoding == _IDENTITY

    def encode(self) -> bytes:
        """Give the bytes of SerializeElement, for which the identity has none."""
        if self.is_identity:
            raise ValueError("the identity has no encoding")
        return self._encoding


@final
class _Ed25519Group(Group[Ed25519Scalar, Ed25519Element]):
    name = "edwards25519"
    order = 2**252 + 27742317777372353535851937790883648493
    element_size = 32
    identity = Ed25519Element(_IDENTITY)
    generator = Ed25519Element(b"\x58" + b"\x66" * 31)

    def scalar(self, value: int) -> Ed25519Scalar:
        return Ed25519Scalar(bytearray((value % self.order).to_bytes(SCALAR_SIZE, "little")))

    def decode_scalar(self, data: bytes | bytearray | memoryview) -> Ed25519Scalar:
        exactly(data, SCALAR_SIZE, "a scalar")
        wide = bytearray(_WIDE)
        memoryview(wide)[:SCALAR_SIZE] = data  # through a view: a sum, or a slice of the buffer, would be a copy
        scalar = self.wide_reduce(wide)
        wide[:] = bytes(_WIDE)
        # A canonical scalar is its own remainder; compared without a branch on the secret's bytes.
        same = scalar.holds(data)
        if not same:
            raise DecodeError("a scalar is below the group order")
        return scalar

    def decode_element(self, data: bytes) -> Ed25519Element:
        exactly(data, self.element_size, "an element")
        encoding = bytes(data)
        # Canonical, on the curve, of prime order and not the identity; after this no point is checked again.
        if lib.crypto_core_ed25519_is_valid_point(encoding) != 1:
            raise DecodeError("not an element of the group's prime-order subgroup")
        return Ed25519Element(encoding)

    def wide_reduce(self, data: bytes | bytearray) -> Ed25519Scalar:
        exactly(data, _WIDE, "a hash to reduce")
        out = bytearray(SCALAR_SIZE)
        lib.crypto_core_ed25519_scalar_reduce(ffi.from_buffer(out), ffi.from_buffer(data))
        return Ed25519Scalar(out)

    def random_scalar(self, rng: Rng) -> Ed25519Scalar:
        while (scalar := self.wide_reduce(rng(_WIDE))).is_zero():
            pass
        return scalar

    def scalar_base_mult(self, scalar: Ed25519Scalar) -> Ed25519Element:
        # libsodium refuses 0, for which the right answer is the identity.
        if scalar.is_zero():
            return self.identity
        return Ed25519Element(scalar.base_mult())

    def sum(self, elements: Iterable[Ed25519Element]) -> Ed25519Element:
        total = self.identity
        for element in elements:
            total = element if total.is_identity else total + element
        return total


ED25519: Final = _Ed25519Group()
