"""Which Ed25519 signatures verify: libsodium's rule, which every implementation must have (PROTOCOL, Conventions).

The equation is s B = R + h A exactly, without the cofactor. A and R are canonical encodings of points that are not of
small order; they may have a part of small order beside one of prime order. s is below the group order. Other libraries
decide some of these cases otherwise; evidence against a participant must convict everywhere or nowhere.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from mpcnode.crypto.signature import verify_ed25519
from tests.helpers.edwards import IDENTITY, T8, B, L, P, Point, challenge, encoded

SECRET = 0x1234567890ABCDEF1234567890ABCDEF
NONCE = 0xFEDCBA0987654321FEDCBA0987654321


@dataclass(frozen=True)
class Case:
    """A signature and what libsodium says of it.

    Args:
        key, message, signature: as they come.
        valid: whether it verifies.
        cofactored: whether 8 s B = 8 R + 8 h A, which other libraries ask instead.
    """

    key: bytes
    message: bytes
    signature: bytes
    valid: bool
    cofactored: bool


def messages() -> Iterator[bytes]:
    return (b"message %d" % k for k in range(10_000))


def made(
    A: Point,
    R: Point,
    *,
    valid: bool,
    secret: int = SECRET,
    nonce: int = NONCE,
    wanted: Callable[[int], bool] = lambda _h: True,
    more: int = 0,
) -> Case:
    """Sign the first message whose challenge is wanted: s = nonce + h secret, whatever torsion is in A and R."""
    key, commitment = A.encode(), R.encode()
    message = next(m for m in messages() if wanted(challenge(commitment, key, m)))
    h = challenge(commitment, key, message)
    s = (nonce + h * secret) % L
    cofactored = 8 * s * B == (8 * R) + (8 * h * A)
    return Case(key, message, encoded(commitment, s + more), valid=valid, cofactored=cofactored)


def cancelling(k: int) -> Callable[[int], bool]:
    """The torsion h T8 of A and k T8 of R add up to nothing."""
    return lambda h: (h + k) % 8 == 0


def bytes_for(key: bytes, commitment: bytes, s: int, *, valid: bool) -> Case:
    return Case(key, b"message", encoded(commitment, s), valid=valid, cofactored=False)


A, R = SECRET * B, NONCE * B
NOT_CANONICAL = (1 + P).to_bytes(32, "little")
"""The identity with y = p + 1."""
MINUS_ZERO = (1 | 1 << 255).to_bytes(32, "little")
"""The identity with x = -0."""


def cases() -> dict[str, Case]:
    h = challenge(NOT_CANONICAL, A.encode(), b"message")
    return {
        "an honest one": made(A, R, valid=True),
        "R of mixed order, the equation holds up to the cofactor": made(A, R + T8, valid=False),
        "R with a part of order 2, likewise": made(A, R + 4 * T8, valid=False),
        "A of mixed order, the equation holds": made(A + T8, R, valid=True, wanted=cancelling(0)),
        "A of mixed order, the equation holds up to the cofactor": made(
            A + T8, R, valid=False, wanted=lambda h: h % 8 != 0
        ),
        "A and R of mixed order, the equation holds": made(A + T8, R + 3 * T8, valid=True, wanted=cancelling(3)),
        "A of small order, the equation holds": made(T8, R, valid=False, secret=0, wanted=cancelling(0)),
        "A is the identity, the equation holds": made(IDENTITY, R, valid=False, secret=0),
        "A of order 2, the equation holds": made(4 * T8, R, valid=False, secret=0, wanted=lambda h: h % 2 == 0),
        "R is the identity, the equation holds": made(A, IDENTITY, valid=False, nonce=0),
        "R of small order, A of mixed order, the equation holds": made(
            A + T8, 5 * T8, valid=False, nonce=0, wanted=cancelling(5)
        ),
        "R and A of small order, s is 0": made(T8, 3 * T8, valid=False, nonce=0, secret=0, wanted=cancelling(3)),
        "s above the order": made(A, R, valid=False, more=L),
        "R is the identity, not canonical": bytes_for(A.encode(), NOT_CANONICAL, h * SECRET % L, valid=False),
        "R is the identity, x = -0": bytes_for(
            A.encode(), MINUS_ZERO, challenge(MINUS_ZERO, A.encode(), b"message") * SECRET % L, valid=False
        ),
        "A is the identity, not canonical": bytes_for(NOT_CANONICAL, R.encode(), NONCE, valid=False),
        "A is the identity, x = -0": bytes_for(MINUS_ZERO, R.encode(), NONCE, valid=False),
        "A and R are the identity, s is 0": bytes_for(IDENTITY.encode(), IDENTITY.encode(), 0, valid=False),
        "A is not on the curve": bytes_for((2).to_bytes(32, "little"), R.encode(), NONCE, valid=False),
        "R is not on the curve": bytes_for(A.encode(), (2).to_bytes(32, "little"), NONCE, valid=False),
    }


CASES = cases()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_libsodium_says(case: Case) -> None:
    assert verify_ed25519(case.key, case.message, case.signature) is case.valid


def test_the_cases_tell_this_rule_from_the_cofactored_one() -> None:
    differing = {name for name, case in CASES.items() if case.cofactored and not case.valid}
    assert "R of mixed order, the equation holds up to the cofactor" in differing
    assert "A of mixed order, the equation holds up to the cofactor" in differing
    assert all(case.cofactored for case in CASES.values() if case.valid)
    assert sum(case.valid for case in CASES.values()) == 3


def test_s_is_compared_with_the_order_and_not_with_the_bits_it_has() -> None:
    # The greatest canonical s and the least that is not differ by one.
    case = CASES["an honest one"]
    for s in (L, L + 1, 2**253, 2**256 - 1):
        assert not verify_ed25519(case.key, case.message, encoded(case.signature[:32], s))
