import pytest
from nacl.bindings import crypto_core_ed25519_add

from mpcnode.crypto.ed25519 import ED25519
from mpcnode.errors import DecodeError

P = 2**255 - 19

# The eight points of small order (RFC 7748 and the literature on cofactors), y little-endian.
SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
]


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_a_point_of_small_order_is_refused(point: str) -> None:
    with pytest.raises(DecodeError, match="prime-order"):
        ED25519.decode_element(bytes.fromhex(point))


@pytest.mark.parametrize("torsion", SMALL_ORDER[1:])
def test_a_point_of_mixed_order_is_refused(torsion: str) -> None:
    mixed = crypto_core_ed25519_add(ED25519.generator.encode(), bytes.fromhex(torsion))
    with pytest.raises(DecodeError, match="prime-order"):
        ED25519.decode_element(mixed)


@pytest.mark.parametrize("y", [P, P + 1, P + 3, 2**255 - 1])
def test_an_encoding_above_the_field_is_refused(y: int) -> None:
    with pytest.raises(DecodeError, match="prime-order"):
        ED25519.decode_element(y.to_bytes(32, "little"))


def test_the_generator_is_that_of_rfc_8032() -> None:
    y = 4 * pow(5, -1, P) % P
    assert ED25519.generator.encode() == y.to_bytes(32, "little")
