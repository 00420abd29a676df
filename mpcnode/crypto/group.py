"""Scalars and elements of a prime-order group (RFC 9591, section 3.1), with operators: code reads like the paper.

``Scalar`` may hold a secret: its arithmetic never leaves libsodium or libsecp256k1, its bytes lie in one buffer that
is wiped, and it never shows itself. ``Element`` is public.
"""

import hmac
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import ClassVar, Final, Generic, Self, TypeVar

from mpcnode.errors import DecodeError

Rng = Callable[[int], bytes]
"""Gives that many fresh random bytes; only the caller knows where from."""

SCALAR_SIZE: Final = 32
_ZERO: Final = bytes(SCALAR_SIZE)


class Scalar(ABC):
    """An integer modulo the group order, taken to be a secret.

    Args:
        buffer: ``SCALAR_SIZE`` canonical bytes in the group's byte order; the scalar owns and wipes them from now on.
    """

    __slots__ = ("_buffer",)

    # Here and not in the module, which may be gone before the last scalar at the end of the process.
    _WIPED: ClassVar[bytes] = bytes(SCALAR_SIZE)

    def __init__(self, buffer: bytearray) -> None:
        self._buffer = buffer

    @abstractmethod
    def __add__(self, other: Self) -> Self: ...

    @abstractmethod
    def __neg__(self) -> Self: ...

    def __sub__(self, other: Self) -> Self:
        return self + (-other)

    @abstractmethod
    def __mul__(self, other: Self) -> Self:
        """Multiply by a scalar; an ``Element`` on the right answers through its own ``__rmul__``."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type(self)):
            return NotImplemented
        return hmac.compare_digest(self._buffer, other._buffer)

    # A hash would let a secret index a dictionary, in time that depends on it.
    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(<redacted>)"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a scalar is not pickled or copied: it may be a secret")

    def __del__(self) -> None:
        self._buffer[:] = self._WIPED

    def is_zero(self) -> bool:
        """Say whether this is 0; a branch on the answer tells of a secret only what happens once in 2**252 times."""
        return hmac.compare_digest(self._buffer, _ZERO)

    def holds(self, encoding: bytes | bytearray | memoryview) -> bool:
        """Say in constant time whether this scalar's encoding is ``encoding``."""
        return hmac.compare_digest(self._buffer, encoding)

    def encode(self) -> bytes:
        """Give the ``SCALAR_SIZE`` bytes of SerializeScalar; a secret's copy cannot be wiped, see ``copy_into``."""
        return bytes(self._buffer)

    def copy(self) -> Self:
        """Give the same value in a buffer of its own, so that either can be wiped."""
        return type(self)(bytearray(self._buffer))

    def copy_into(self, target: bytearray) -> None:
        """Append the encoding to ``target`` without leaving an immutable copy behind."""
        target += self._buffer

    def wipe(self) -> None:
        """Overwrite the value with 0; it must not be used for anything afterwards."""
        self._buffer[:] = self._WIPED


class Element(ABC):
    """A group element; public, immutable, comparable."""

    __slots__ = ()

    @abstractmethod
    def __add__(self, other: Self) -> Self: ...

    @abstractmethod
    def __neg__(self) -> Self: ...

    def __sub__(self, other: Self) -> Self:
        return self + (-other)

    @abstractmethod
    def __rmul__(self, scalar: Scalar) -> Self:
        """Multiply by a **public** scalar; a secret goes through ``Group.scalar_base_mult`` alone."""

    @abstractmethod
    def times(self, k: int) -> Self:
        """Multiply by a small public integer, ``k >= 0``; cheaper than a scalar multiplication."""

    @abstractmethod
    def __eq__(self, other: object) -> bool: ...

    @abstractmethod
    def __hash__(self) -> int: ...

    @property
    @abstractmethod
    def is_identity(self) -> bool:
        """Whether this is the group's identity, which is never sent."""

    @abstractmethod
    def encode(self) -> bytes:
        """Give the bytes of SerializeElement.

        Raises:
            ValueError: this is the identity, which has no encoding (RFC 9591, section 3.1).
        """

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'identity' if self.is_identity else self.encode().hex()})"


S = TypeVar("S", bound=Scalar)
E = TypeVar("E", bound=Element)


class Group(ABC, Generic[S, E]):
    """A prime-order group with the encodings of RFC 9591, section 6."""

    name: str
    order: int
    element_size: int
    identity: E
    generator: E

    def __repr__(self) -> str:
        return f"<group {self.name}>"

    @abstractmethod
    def scalar(self, value: int) -> S:
        """Give ``value`` modulo the order; for public values, because Python's integers are not constant time."""

    @abstractmethod
    def decode_scalar(self, data: bytes | bytearray | memoryview) -> S:
        """Take the bytes of SerializeScalar; 0 is a scalar.

        Raises:
            DecodeError: not ``SCALAR_SIZE`` bytes, or not below the order.
        """

    @abstractmethod
    def decode_element(self, data: bytes) -> E:
        """Take the bytes of SerializeElement.

        Raises:
            DecodeError: wrong length, not canonical, not on the curve, the identity, or not of prime order.
        """

    @abstractmethod
    def wide_reduce(self, data: bytes | bytearray) -> S:
        """Reduce a uniform hash output modulo the order, without visible bias; leaves no copy of it."""

    @abstractmethod
    def random_scalar(self, rng: Rng) -> S:
        """Give a uniform non-zero scalar (RFC 9591, section 3.1, RandomScalar)."""

    @abstractmethod
    def scalar_base_mult(self, scalar: S) -> E:
        """Multiply the generator by a scalar in constant time: the one way from a secret to an element."""

    @abstractmethod
    def sum(self, elements: Iterable[E]) -> E:
        """Add any number of elements; none gives the identity."""

    def sum_scalars(self, scalars: Iterable[S]) -> S:
        """Add any number of scalars; none gives 0."""
        total = self.scalar(0)
        for scalar in scalars:
            total = total + scalar
        return total


def exactly(data: bytes | bytearray | memoryview, size: int, what: str) -> None:
    """Refuse ``data`` of another length than ``size``.

    Raises:
        DecodeError: saying what should have been how long.
    """
    if len(data) != size:
        raise DecodeError(f"{what} is {size} bytes, not {len(data)}")
