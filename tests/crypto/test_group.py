"""Laws every group keeps, and encodings every group refuses."""

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.crypto.ed25519 import ED25519
from mpcnode.crypto.group import SCALAR_SIZE, Group
from mpcnode.crypto.secp256k1 import SECP256K1
from mpcnode.errors import DecodeError
from tests.helpers.simulate import seeded

GROUPS: list[Group[Any, Any]] = [ED25519, SECP256K1]
NUMBERS = st.one_of(st.integers(-3, 3), st.integers(0, 2**256))

every_group = pytest.mark.parametrize("group", GROUPS, ids=repr)


@pytest.fixture(params=GROUPS, ids=repr)
def group(request: Any) -> Group[Any, Any]:
    chosen: Group[Any, Any] = request.param
    return chosen


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(GROUPS), NUMBERS, NUMBERS)
def test_scalars_compute_modulo_the_order(group: Group[Any, Any], a: int, b: int) -> None:
    x, y = group.scalar(a), group.scalar(b)
    assert x + y == group.scalar(a + b)
    assert x - y == group.scalar(a - b)
    assert x * y == group.scalar(a * b)
    assert -x == group.scalar(-a)
    assert x.is_zero() == (a % group.order == 0)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(GROUPS), NUMBERS, NUMBERS)
def test_elements_compute_as_their_scalars_do(group: Group[Any, Any], a: int, b: int) -> None:
    x, y = group.scalar(a), group.scalar(b)
    X, Y = group.scalar_base_mult(x), group.scalar_base_mult(y)
    assert group.scalar_base_mult(x + y) == X + Y
    assert group.scalar_base_mult(x - y) == X - Y
    assert x * Y == group.scalar_base_mult(x * y)
    assert group.scalar_base_mult(-x) == -X
    assert group.sum([X, Y, X]) == X + Y + X
    assert X.is_identity == x.is_zero()
    assert (X == Y) == (x == y)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(GROUPS), st.integers(0, 300))
def test_a_small_multiple_is_that_multiple(group: Group[Any, Any], k: int) -> None:
    P = group.scalar_base_mult(group.scalar(12345))
    assert P.times(k) == group.scalar(k) * P
    assert group.identity.times(k) == group.identity


def test_the_identity_is_where_sums_and_products_of_nothing_end(group: Group[Any, Any]) -> None:
    G, zero = group.generator, group.scalar(0)
    assert group.sum([]) == group.identity
    assert group.sum_scalars([]) == zero
    assert group.identity == G - G
    assert zero * G == group.identity
    assert group.scalar(7) * group.identity == group.identity
    assert G + group.identity == G
    assert -group.identity == group.identity
    assert group.scalar(group.order) == zero
    assert group.scalar(1) * G == group.scalar_base_mult(group.scalar(1)) == G


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(GROUPS), st.integers(1, 2**256))
def test_encodings_come_back(group: Group[Any, Any], a: int) -> None:
    x = group.scalar(a)
    assert group.decode_scalar(x.encode()) == x
    if not x.is_zero():
        X = group.scalar_base_mult(x)
        assert group.decode_element(X.encode()) == X
        assert hash(group.decode_element(X.encode())) == hash(X)
        assert len(X.encode()) == group.element_size


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(GROUPS), st.one_of(st.binary(max_size=40), st.binary(min_size=32, max_size=33)))
def test_bytes_are_an_element_or_a_decode_error(group: Group[Any, Any], data: bytes) -> None:
    for decode in (group.decode_element, group.decode_scalar):
        try:
            value = decode(data)
        except DecodeError:
            continue
        assert value.encode() == data


def test_the_identity_is_not_encoded(group: Group[Any, Any]) -> None:
    with pytest.raises(ValueError, match="identity"):
        group.identity.encode()


def test_zero_is_a_scalar_and_the_order_is_none(group: Group[Any, Any]) -> None:
    assert group.decode_scalar(bytes(SCALAR_SIZE)) == group.scalar(0)
    byteorder: Any = "little" if group is ED25519 else "big"
    assert group.decode_scalar((group.order - 1).to_bytes(32, byteorder)) == group.scalar(-1)
    for too_big in (group.order, group.order + 1, 2**256 - 1):
        with pytest.raises(DecodeError, match="below the group order"):
            group.decode_scalar(too_big.to_bytes(32, byteorder))


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_scalar_of_another_length_is_refused(group: Group[Any, Any], size: int) -> None:
    with pytest.raises(DecodeError, match="32 bytes"):
        group.decode_scalar(bytes(size))


@pytest.mark.parametrize("change", [-1, 1])
def test_an_element_of_another_length_is_refused(group: Group[Any, Any], change: int) -> None:
    encoding = group.generator.encode()
    with pytest.raises(DecodeError, match=f"{len(encoding)} bytes"):
        group.decode_element(encoding[:-1] if change < 0 else encoding + b"\x00")


def test_random_scalars_are_never_zero(group: Group[Any, Any]) -> None:
    # The first draw would be 0 (or no scalar at all); another one is made.
    draws = iter([bytes(64), bytes(63) + b"\x07", b"\x07" + bytes(63)])
    assert not group.random_scalar(lambda size: next(draws)[-size:]).is_zero()


def test_random_scalars_above_the_order_are_drawn_again() -> None:
    draws = iter([b"\xff" * 32, bytes(31) + b"\x05"])
    assert SECP256K1.random_scalar(lambda _size: next(draws)) == SECP256K1.scalar(5)


def test_hashes_reduce_as_integers_do(group: Group[Any, Any]) -> None:
    rng = seeded("wide")
    size, byteorder = (64, "little") if group is ED25519 else (48, "big")
    for data in (*(rng(size) for _ in range(20)), b"\xff" * size, bytes(size)):
        assert group.wide_reduce(data) == group.scalar(int.from_bytes(data, byteorder))  # type: ignore[arg-type]
    with pytest.raises(DecodeError):
        group.wide_reduce(bytes(size - 1))


def test_a_scalar_does_not_show_itself(group: Group[Any, Any]) -> None:
    secret = group.scalar(0xC0FFEE)
    for shown in (repr(secret), str(secret), f"{secret}"):
        assert "redacted" in shown
        assert "c0ffee" not in shown.lower()
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        copy.deepcopy(secret)
    with pytest.raises(TypeError):
        hash(secret)


def test_a_wiped_scalar_holds_nothing(group: Group[Any, Any]) -> None:
    secret = group.scalar(0xC0FFEE)
    buffer, twin = secret._buffer, secret.copy()
    secret.wipe()
    assert buffer == bytes(SCALAR_SIZE)
    assert twin == group.scalar(0xC0FFEE)


def test_a_dropped_scalar_is_wiped(group: Group[Any, Any]) -> None:
    secret = group.scalar(0xC0FFEE)
    buffer = secret._buffer
    del secret
    assert buffer == bytes(SCALAR_SIZE)


def test_arithmetic_leaves_its_operands_alone(group: Group[Any, Any]) -> None:
    x, y = group.scalar(3), group.scalar(5)
    X = group.scalar_base_mult(x)
    before = X.encode()
    _ = (x + y, x * y, -x, x - y, y * X, -X, X + X, X.times(3))
    assert (x, y, X.encode()) == (group.scalar(3), group.scalar(5), before)


def test_things_of_different_kinds_do_not_mix(group: Group[Any, Any]) -> None:
    other = SECP256K1 if group is ED25519 else ED25519
    assert group.scalar(1) != other.scalar(1)
    assert group.generator != other.generator
    with pytest.raises(TypeError):
        _ = group.scalar(1) * other.scalar(1)
