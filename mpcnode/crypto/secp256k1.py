"""The group of secp256k1 (RFC 9591, section 6.5), computed by libsecp256k1.

libsecp256k1's secret keys are never 0 and its public keys never the point at infinity; both are scalars and elements
here, so each operation says what it does with them.
"""

from collections.abc import Iterable
from typing import Any, Final, final

from btclib_secp256k1 import ffi as _ffi
from btclib_secp256k1 import lib as _lib
from btclib_secp256k1.context import ctx

from mpcnode.crypto.group import SCALAR_SIZE, Element, Group, Rng, Scalar, exactly
from mpcnode.errors import DecodeError

ffi: Final[Any] = _ffi
lib: Final[Any] = _lib

_PUBKEY: Final = ffi.typeof("secp256k1_pubkey *")
_PUBKEYS: Final = ffi.typeof("secp256k1_pubkey *[]")
_COMPRESSED: Final = 0x102  # SECP256K1_EC_COMPRESSED
_ELEMENT_SIZE: Final = 33
_WIDE: Final = 48

# Up to here a sum of k equal terms is cheaper than one multiplication.
_TERMS_WORTH_A_MULTIPLICATION: Final = 96


@final
class Secp256k1Scalar(Scalar):
    """An integer modulo the order of secp256k1, big-endian."""

    __slots__ = ()

    def __add__(self, other: "Secp256k1Scalar") -> "Secp256k1Scalar":
        if self.is_zero():
            return Secp256k1Scalar(bytearray(other._buffer))
        out = bytearray(self._buffer)
        if not lib.secp256k1_ec_seckey_tweak_add(ctx, ffi.from_buffer(out), ffi.from_buffer(other._buffer)):
            # Both terms are below the order, so the one refusal left is a sum of 0.
            out[:] = bytes(SCALAR_SIZE)
        return Secp256k1Scalar(out)

    def __neg__(self) -> "Secp256k1Scalar":
        out = bytearray(self._buffer)
        # Refused for 0 alone, which is left as it is: its own negative.
        lib.secp256k1_ec_seckey_negate(ctx, ffi.from_buffer(out))
        return Secp256k1Scalar(out)

    def __mul__(self, other: "Secp256k1Scalar") -> "Secp256k1Scalar":
        if not isinstance(other, Secp256k1Scalar):
            return NotImplemented
        out = bytearray(self._buffer)
        if not lib.secp256k1_ec_seckey_tweak_mul(ctx, ffi.from_buffer(out), ffi.from_buffer(other._buffer)):
            # Refused where a factor is 0; a field has no other way to a product of 0.
            out[:] = bytes(SCALAR_SIZE)
        return Secp256k1Scalar(out)

    def is_secret_key(self) -> bool:
        """Say whether this is from 1 to the order - 1."""
        return bool(lib.secp256k1_ec_seckey_verify(ctx, ffi.from_buffer(self._buffer)))

    def base_mult(self) -> Any:  # noqa: ANN401 (cffi data has no type)
        """Give the point of this non-zero scalar times the generator, in constant time."""
        point = ffi.new(_PUBKEY)
        if not lib.secp256k1_ec_pubkey_create(ctx, point, ffi.from_buffer(self._buffer)):
            raise ValueError("0 times the generator is not a public key")
        return point


@final
class Secp256k1Element(Element):
    """A point of the curve; ``None`` inside stands for the point at infinity.

    Args:
        point: an initialised ``secp256k1_pubkey *`` that nobody changes from now on, or None.
    """

    __slots__ = ("_encoding", "_point")

    def __init__(self, point: Any) -> None:  # noqa: ANN401 (cffi data has no type)
        self._point = point
        self._encoding: bytes | None = None

    def __add__(self, other: "Secp256k1Element") -> "Secp256k1Element":
        return _combine([self, other])

    def __neg__(self) -> "Secp256k1Element":
        if self._point is None:
            return self
        point = self._copy()
        if not lib.secp256k1_ec_pubkey_negate(ctx, point):
            raise ValueError("not a point")
        return Secp256k1Element(point)

    def __rmul__(self, scalar: Scalar) -> "Secp256k1Element":
        if scalar.is_zero() or self._point is None:
            return Secp256k1Element(None)
        point = self._copy()
        if not lib.secp256k1_ec_pubkey_tweak_mul(ctx, point, scalar.encode()):
            raise ValueError("not a point and a scalar of this group")
        return Secp256k1Element(point)

    def times(self, k: int) -> "Secp256k1Element":
        """Multiply by a small public integer, ``k >= 0``."""
        if k > _TERMS_WORTH_A_MULTIPLICATION:
            return self.__rmul__(SECP256K1.scalar(k))
        return _combine([self] * k)

    def _copy(self) -> Any:  # noqa: ANN401 (cffi data has no type)
        point = ffi.new(_PUBKEY)
        ffi.memmove(point, self._point, ffi.sizeof("secp256k1_pubkey"))
        return point

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secp256k1Element):
            return NotImplemented
        if self._point is None or other._point is None:
            return self._point is other._point
        return bool(lib.secp256k1_ec_pubkey_cmp(ctx, self._point, other._point) == 0)

    def __hash__(self) -> int:
        return hash(None if self._point is None else self.encode())

    @property
    def is_identity(self) -> bool:
        """Whether this is the identity, which is never sent."""
        return self._point is None

    @property
    def has_even_y(self) -> bool:
        """Whether the y coordinate is even, as BIP-340 wants public keys and nonces."""
        return self.encode()[0] == 2

    def encode(self) -> bytes:
        """Give the bytes of SerializeElement, for which the identity has none."""
        if self._point is None:
            raise ValueError("the identity has no encoding")
        if self._encoding is None:
            out = ffi.new("unsigned char[33]")
            size = ffi.new("size_t *", _ELEMENT_SIZE)
            if not lib.secp256k1_ec_pubkey_serialize(ctx, out, size, self._point, _COMPRESSED):
                raise ValueError("not a point")
            self._encoding = ffi.buffer(out)[:]
        return self._encoding


def _combine(elements: Iterable[Secp256k1Element]) -> Secp256k1Element:
    points = [element._point for element in elements if element._point is not None]  # noqa: SLF001
    if not points:
        return Secp256k1Element(None)
    total = ffi.new(_PUBKEY)
    # Every point is initialised, so the one refusal left is a sum at infinity.
    if not lib.secp256k1_ec_pubkey_combine(ctx, total, ffi.new(_PUBKEYS, points), len(points)):
        return Secp256k1Element(None)
    return Secp256k1Element(total)


_HALF: Final = Secp256k1Scalar(bytearray((2**192).to_bytes(SCALAR_SIZE, "big")))
"""What the higher half of a hash counts."""


def _generator() -> Secp256k1Element:
    return Secp256k1Element(Secp256k1Scalar(bytearray((1).to_bytes(SCALAR_SIZE, "big"))).base_mult())


@final
class _Secp256k1Group(Group[Secp256k1Scalar, Secp256k1Element]):
    name = "secp256k1"
    order = 2**256 - 432420386565659656852420866394968145599
    element_size = _ELEMENT_SIZE
    identity = Secp256k1Element(None)
    generator = _generator()

    def scalar(self, value: int) -> Secp256k1Scalar:
        return Secp256k1Scalar(bytearray((value % self.order).to_bytes(SCALAR_SIZE, "big")))

    def decode_scalar(self, data: bytes | bytearray | memoryview) -> Secp256k1Scalar:
        exactly(data, SCALAR_SIZE, "a scalar")
        scalar = Secp256k1Scalar(bytearray(data))
        if not (scalar.is_zero() or scalar.is_secret_key()):
            raise DecodeError("a scalar is below the group order")
        return scalar

    def decode_element(self, data: bytes) -> Secp256k1Element:
        exactly(data, self.element_size, "an element")
        point = ffi.new(_PUBKEY)
        if not lib.secp256k1_ec_pubkey_parse(ctx, point, bytes(data), _ELEMENT_SIZE):
            raise DecodeError("not a compressed point of the curve")
        return Secp256k1Element(point)

    def wide_reduce(self, data: bytes | bytearray) -> Secp256k1Scalar:
        exactly(data, _WIDE, "a hash to reduce")
        # Both halves are below the order, so that the reduction itself happens inside libsecp256k1.
        high, low = bytearray(SCALAR_SIZE), bytearray(SCALAR_SIZE)
        with memoryview(data) as view:
            # Into a view: a slice of a buffer that is assigned to makes a copy on the way, of all but buffers.
            memoryview(high)[8:], memoryview(low)[8:] = view[:24], view[24:]
        return Secp256k1Scalar(high) * _HALF + Secp256k1Scalar(low)

    def random_scalar(self, rng: Rng) -> Secp256k1Scalar:
        while not (scalar := Secp256k1Scalar(bytearray(rng(SCALAR_SIZE)))).is_secret_key():
            pass
        return scalar

    def scalar_base_mult(self, scalar: Secp256k1Scalar) -> Secp256k1Element:
        return self.identity if scalar.is_zero() else Secp256k1Element(scalar.base_mult())

    def sum(self, elements: Iterable[Secp256k1Element]) -> Secp256k1Element:
        return _combine(elements)


SECP256K1: Final = _Secp256k1Group()
