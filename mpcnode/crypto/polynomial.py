"""Polynomials over the scalars: what Shamir's secret sharing is made of (RFC 9591, appendix C.1)."""

from collections.abc import Collection, Sequence
from typing import Generic

from mpcnode.crypto.group import E, Group, Rng, S
from mpcnode.types import Identifier


class Polynomial(Generic[S, E]):
    """A secret polynomial f(x) = a_0 + a_1 x + ... + a_(t-1) x^(t-1).

    Args:
        group: whose scalars the coefficients are.
        coefficients: a_0 first; the polynomial owns and wipes them from now on.
    """

    __slots__ = ("_coefficients", "_group")

    def __init__(self, group: Group[S, E], coefficients: Sequence[S]) -> None:
        if not coefficients:
            raise ValueError("a polynomial has at least one coefficient")
        self._group = group
        self._coefficients = list(coefficients)

    @classmethod
    def random(cls, group: Group[S, E], threshold: int, rng: Rng) -> "Polynomial[S, E]":
        """Draw ``threshold`` uniform non-zero coefficients."""
        return cls(group, [group.random_scalar(rng) for _ in range(threshold)])

    def __repr__(self) -> str:
        return f"Polynomial(<redacted>, threshold={len(self._coefficients)})"

    @property
    def threshold(self) -> int:
        """How many values determine the polynomial: one more than its degree can be."""
        return len(self._coefficients)

    @property
    def constant_term(self) -> S:
        """The shared secret a_0; the polynomial still owns and wipes it.

        Raises:
            ValueError: the polynomial was wiped.
        """
        return self._intact()[0]

    def evaluate(self, x: Identifier) -> S:
        """Give f(x), by Horner's rule.

        Args:
            x: a participant's identifier; never 0, at which lies the secret itself.

        Raises:
            ValueError: ``x`` is 0 modulo the order, or the polynomial was wiped.
        """
        point = self._group.scalar(x)
        if point.is_zero():
            raise ValueError("a share is never taken at 0: that is the secret")
        *lower, highest = self._intact()
        value = highest.copy()
        for coefficient in reversed(lower):
            value = value * point + coefficient
        return value

    def commit(self) -> tuple[E, ...]:
        """Give the Feldman commitment: each coefficient times the generator (RFC 9591, appendix C.2)."""
        return tuple(self._group.scalar_base_mult(a_k) for a_k in self._intact())

    def _intact(self) -> list[S]:
        if not self._coefficients:
            raise ValueError("the polynomial was wiped")
        return self._coefficients

    def wipe(self) -> None:
        """Overwrite every coefficient; after this nothing can be evaluated."""
        for coefficient in self._coefficients:
            coefficient.wipe()
        self._coefficients.clear()


def lagrange_coefficient(group: Group[S, E], i: Identifier, signers: Collection[Identifier]) -> S:
    """Give lambda_i with f(0) = sum of lambda_i f(i) (RFC 9591, section 4.2, derive_interpolating_value).

    Identifiers are public, so Python's integers may do this.

    Args:
        group: whose scalars.
        i: one of ``signers``.
        signers: whose shares are combined; distinct, none 0.

    Raises:
        ValueError: ``i`` is not among ``signers``, two are the same, or one is 0.
    """
    if i not in signers or len(set(signers)) != len(signers) or 0 in signers:
        raise ValueError("signers are distinct and non-zero, and the interpolated one is among them")
    numerator = denominator = 1
    for j in signers:
        if j != i:
            numerator = numerator * j % group.order
            denominator = denominator * (j - i) % group.order
    return group.scalar(numerator * pow(denominator, -1, group.order))
