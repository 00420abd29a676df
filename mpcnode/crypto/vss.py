"""Feldman's verifiable secret sharing (RFC 9591, appendix C.2): shares that can be checked against a public commitment.

A commitment is the tuple of a_k G of a polynomial's coefficients. Commitments add up column by column, as their
polynomials do; so what concerns all dealers together is computed once, on the sum.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from mpcnode.crypto.group import E, Group, S
from mpcnode.crypto.polynomial import lagrange_coefficient
from mpcnode.types import Identifier


def sum_commitments(group: Group[S, E], commitments: Iterable[Sequence[E]]) -> tuple[E, ...]:
    """Commit to the sum of polynomials: add the commitments column by column.

    Args:
        group: whose elements.
        commitments: one or more, all of the same length.

    Raises:
        ValueError: their lengths differ.
    """
    return tuple(group.sum(column) for column in zip(*commitments, strict=True))


def evaluate(group: Group[S, E], commitment: Sequence[E], i: Identifier) -> E:
    """Give f(i) G from the commitment to f, by Horner's rule; identifiers are small, so no step costs a multiplication.

    Args:
        group: whose elements.
        commitment: a_k G, constant term first.
        i: a participant's identifier, >= 1.
    """
    value = group.identity
    for element in reversed(commitment):
        value = value.times(i) + element
    return value


def evaluate_all(
    group: Group[S, E], commitment: Sequence[E], identifiers: Collection[Identifier]
) -> dict[Identifier, E]:
    """Give f(i) G for each identifier, ascending, from the commitment to f, of degree t - 1.

    By finite differences (Knuth, TAOCP 2, section 4.6.4): t - 1 additions a value, after t**2 / 2 steps to turn
    coefficients into differences. For 43 of 64 this is a seventh of the work of evaluating each value alone.

    Args:
        group: whose elements.
        commitment: a_k G, constant term first.
        identifiers: at which places, >= 1; every place up to the greatest is computed.
    """
    # Horner's rule on differences at 0. Where f(x) = a + x q(x), Leibniz' rule for differences gives
    # delta^k f(0) = k (delta^(k-1) q(0) + delta^k q(0)) for k >= 1, and f(0) = a.
    differences: list[E] = []
    for element in reversed(commitment):
        of_q = [*differences, group.identity]
        higher = ((of_q[k - 1] + of_q[k]).times(k) for k in range(1, len(of_q)))
        differences = [element, *higher]
    # delta^k f(x + 1) = delta^k f(x) + delta^(k+1) f(x); the highest is constant.
    values = {}
    for i in range(1, max(identifiers) + 1):
        differences = [a + b for a, b in zip(differences, [*differences[1:], group.identity], strict=True)]
        values[Identifier(i)] = differences[0]
    return {i: values[i] for i in sorted(identifiers)}


def verify_share(group: Group[S, E], share: S, i: Identifier, commitment: Sequence[E]) -> bool:
    """Say whether ``share`` is f(i) for the f of ``commitment`` (RFC 9591, appendix C.2, vss_verify).

    Args:
        group: whose elements.
        share: the alleged f(i).
        i: the identifier of its recipient, >= 1.
        commitment: the dealer's, constant term first.
    """
    return group.scalar_base_mult(share) == evaluate(group, commitment, i)


def interpolate(group: Group[S, E], points: Mapping[Identifier, E]) -> E:
    """Give f(0) G from f(i) G of enough participants: the group public key from verifying shares.

    Args:
        group: whose elements.
        points: f(i) G by identifier, at least as many as f has coefficients.
    """
    signers = list(points)
    return group.sum(lagrange_coefficient(group, i, signers) * point for i, point in points.items())
