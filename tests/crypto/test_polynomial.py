from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.crypto.ed25519 import ED25519
from mpcnode.crypto.group import SCALAR_SIZE, Group
from mpcnode.crypto.polynomial import Polynomial, lagrange_coefficient
from mpcnode.crypto.secp256k1 import SECP256K1
from mpcnode.types import Identifier
from tests.helpers.simulate import seeded

GROUPS: list[Group[Any, Any]] = [ED25519, SECP256K1]
X = Identifier(3)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(GROUPS), st.lists(st.integers(-2, 2**256), min_size=1, max_size=6), st.integers(1, 64))
def test_evaluation_is_that_of_integers(group: Group[Any, Any], coefficients: list[int], x: int) -> None:
    f = Polynomial(group, [group.scalar(a) for a in coefficients])
    assert f.evaluate(Identifier(x)) == group.scalar(sum(a * x**k for k, a in enumerate(coefficients)))


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(GROUPS), st.integers(1, 6), st.data())
def test_any_t_shares_interpolate_to_the_secret(group: Group[Any, Any], threshold: int, data: st.DataObject) -> None:
    identifiers = st.lists(st.integers(1, 64).map(Identifier), min_size=threshold, max_size=threshold, unique=True)
    signers = data.draw(identifiers)
    f = Polynomial.random(group, threshold, seeded(threshold))
    secret = group.sum_scalars(lagrange_coefficient(group, i, signers) * f.evaluate(i) for i in signers)
    assert secret == f.constant_term


def test_one_share_too_few_interpolates_to_something_else() -> None:
    f = Polynomial.random(ED25519, 3, seeded("few"))
    signers = [Identifier(1), Identifier(2)]
    guess = ED25519.sum_scalars(lagrange_coefficient(ED25519, i, signers) * f.evaluate(i) for i in signers)
    assert guess != f.constant_term


@pytest.mark.parametrize("group", GROUPS, ids=repr)
def test_the_secret_is_not_given_out_as_a_share(group: Group[Any, Any]) -> None:
    f = Polynomial.random(group, 2, seeded(0))
    for zero in (0, group.order):
        with pytest.raises(ValueError, match="never taken at 0"):
            f.evaluate(Identifier(zero))


@pytest.mark.parametrize("group", GROUPS, ids=repr)
@pytest.mark.parametrize("threshold", [1, 3])
def test_a_wiped_polynomial_is_gone_and_its_shares_are_not(group: Group[Any, Any], threshold: int) -> None:
    f = Polynomial.random(group, threshold, seeded(1))
    # Held here, so that it is wipe() that overwrites them and not their end.
    coefficients = list(f._coefficients)
    share = f.evaluate(X)
    f.wipe()
    assert all(a._buffer == bytes(SCALAR_SIZE) for a in coefficients)
    assert not share.is_zero()
    for use in (lambda: f.evaluate(X), f.commit, lambda: f.constant_term):
        with pytest.raises(ValueError, match="wiped"):
            use()


def test_a_polynomial_does_not_show_itself() -> None:
    assert repr(Polynomial.random(ED25519, 4, seeded(2))) == "Polynomial(<redacted>, threshold=4)"


def test_a_polynomial_without_coefficients_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Polynomial(ED25519, [])


@pytest.mark.parametrize("signers", [[1, 2, 2], [1, 2], [0, 3], []])
def test_interpolation_wants_distinct_signers_with_this_one_among_them(signers: list[int]) -> None:
    with pytest.raises(ValueError, match="distinct"):
        lagrange_coefficient(ED25519, X, [Identifier(i) for i in ([3, *signers] if len(signers) == 3 else signers)])
