import pytest
from ecdsa import curves

from mpcnode.crypto.secp256k1 import SECP256K1, Secp256k1Element
from mpcnode.errors import DecodeError

FIELD = 2**256 - 2**32 - 977
GENERATOR = SECP256K1.generator.encode()


def test_generator_and_order_are_those_of_sec_2() -> None:
    assert SECP256K1.order == curves.SECP256k1.order
    assert curves.SECP256k1.generator.to_bytes("compressed") == GENERATOR


@pytest.mark.parametrize("prefix", [0, 1, 4, 5, 6, 7, 0xFF])
def test_only_compressed_encodings_are_taken(prefix: int) -> None:
    with pytest.raises(DecodeError, match="compressed"):
        SECP256K1.decode_element(bytes([prefix]) + GENERATOR[1:])


@pytest.mark.parametrize("x", [FIELD, FIELD + 1, 2**256 - 1, 5, 0])
def test_an_x_above_the_field_or_off_the_curve_is_refused(x: int) -> None:
    with pytest.raises(DecodeError, match="point of the curve"):
        SECP256K1.decode_element(b"\x02" + x.to_bytes(32, "big"))


def test_a_negative_has_the_other_parity() -> None:
    G = SECP256K1.generator
    assert G.has_even_y
    assert not (-G).has_even_y
    assert (-G).encode()[1:] == G.encode()[1:]


def test_an_element_is_not_changed_through_one_that_was_made_from_it() -> None:
    G = Secp256k1Element(SECP256K1.scalar(1).base_mult())
    _ = (-G, SECP256K1.scalar(9) * G, G.times(200))
    assert G.encode() == GENERATOR
