from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.crypto import vss
from mpcnode.crypto.ed25519 import ED25519
from mpcnode.crypto.group import Group
from mpcnode.crypto.polynomial import Polynomial
from mpcnode.crypto.secp256k1 import SECP256K1
from mpcnode.types import Identifier
from tests.helpers.simulate import seeded

GROUPS: list[Group[Any, Any]] = [ED25519, SECP256K1]

every_group = pytest.mark.parametrize("group", GROUPS, ids=repr)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(GROUPS), st.integers(1, 7), st.integers(1, 12), st.integers(0, 3))
def test_public_values_are_those_of_the_secret_polynomial(
    group: Group[Any, Any], threshold: int, total: int, zeros: int
) -> None:
    # Zero coefficients and those that cancel are where a group's library refuses to go along.
    f = Polynomial.random(group, threshold, seeded(threshold, total))
    f._coefficients[:zeros] = [group.scalar(0)] * min(zeros, threshold)
    values = {i: group.scalar_base_mult(f.evaluate(i)) for i in map(Identifier, range(1, total + 1))}
    commitment = f.commit()
    assert vss.evaluate_all(group, commitment, list(values)) == values
    assert {i: vss.evaluate(group, commitment, i) for i in values} == values
    some = [i for i in reversed(values) if i % 3]
    assert list(vss.evaluate_all(group, commitment, some).items()) == [(i, values[i]) for i in sorted(some)]


@every_group
def test_a_polynomial_with_a_root_at_an_identifier_has_the_identity_there(group: Group[Any, Any]) -> None:
    # f(x) = (x - 2) (x - 5) = 10 - 7 x + x^2
    f = Polynomial(group, [group.scalar(a) for a in (10, -7, 1)])
    values = vss.evaluate_all(group, f.commit(), [Identifier(i) for i in range(1, 7)])
    assert [i for i, value in values.items() if value.is_identity] == [2, 5]
    assert vss.verify_share(group, f.evaluate(Identifier(2)), Identifier(2), f.commit())


@every_group
def test_a_share_verifies_for_its_recipient_and_its_dealer_alone(group: Group[Any, Any]) -> None:
    f, g = (Polynomial.random(group, 3, seeded(dealer)) for dealer in "fg")
    share = f.evaluate(Identifier(2))
    assert vss.verify_share(group, share, Identifier(2), f.commit())
    assert not vss.verify_share(group, share, Identifier(3), f.commit())
    assert not vss.verify_share(group, share, Identifier(2), g.commit())
    assert not vss.verify_share(group, share + group.scalar(1), Identifier(2), f.commit())


@every_group
def test_the_sum_of_commitments_commits_to_the_sum(group: Group[Any, Any]) -> None:
    dealers = [Polynomial.random(group, 3, seeded(i)) for i in range(5)]
    total = vss.sum_commitments(group, [f.commit() for f in dealers])
    share = group.sum_scalars(f.evaluate(Identifier(7)) for f in dealers)
    assert vss.verify_share(group, share, Identifier(7), total)


def test_commitments_of_different_lengths_do_not_add_up() -> None:
    short, long = (Polynomial.random(ED25519, t, seeded(t)).commit() for t in (2, 3))
    with pytest.raises(ValueError, match="argument"):
        vss.sum_commitments(ED25519, [short, long])


@every_group
def test_all_of_43_of_64_come_out_right(group: Group[Any, Any]) -> None:
    f = Polynomial.random(group, 43, seeded("large"))
    values = vss.evaluate_all(group, f.commit(), [Identifier(i) for i in range(1, 65)])
    for i in (Identifier(i) for i in (1, 2, 43, 44, 64)):
        assert values[i] == group.scalar_base_mult(f.evaluate(i))


@every_group
def test_any_enough_public_values_give_the_key(group: Group[Any, Any]) -> None:
    f = Polynomial.random(group, 3, seeded("interpolate"))
    values = vss.evaluate_all(group, f.commit(), [Identifier(i) for i in (1, 2, 5, 9, 64)])
    key = f.commit()[0]
    for chosen in ([1, 2, 5], [64, 9, 2], [1, 2, 5, 9, 64]):
        assert vss.interpolate(group, {Identifier(i): values[Identifier(i)] for i in chosen}) == key
    assert vss.interpolate(group, {i: values[i] for i in (Identifier(1), Identifier(2))}) != key
    wrong = {**values, Identifier(5): values[Identifier(5)] + group.generator}
    assert vss.interpolate(group, wrong) != key
