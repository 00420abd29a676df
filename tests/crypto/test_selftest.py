"""What the linked libsodium must refuse, and what happens where it does not."""

from typing import Any

import pytest

from mpcnode.crypto import selftest
from mpcnode.crypto.ed25519 import ED25519, Ed25519Element
from mpcnode.crypto.selftest import GENERATOR, NOT_ELEMENTS, check_libraries
from mpcnode.errors import ConfigurationError, DecodeError
from mpcnode.identity.identity import check_identity_key
from tests.helpers.edwards import IDENTITY, T8, B, L, P, Point, point


def test_this_machines_library_is_good() -> None:
    check_libraries()


@pytest.mark.parametrize("encoding", NOT_ELEMENTS.values(), ids=NOT_ELEMENTS)
def test_what_is_not_an_element_is_neither_decoded_nor_taken_as_an_identity(encoding: str) -> None:
    data = bytes.fromhex(encoding)
    with pytest.raises(DecodeError):
        ED25519.decode_element(data)
    with pytest.raises(DecodeError):
        check_identity_key(data)
    assert not selftest._maps_to_x25519(encoding)


def named() -> dict[str, bytes]:
    """The same list, computed."""
    torsion = {k: k * T8 for k in range(8)}
    names = {1: "T8", 2: "T4", 3: "3 T8", 4: "T2", 5: "-3 T8", 6: "-T4", 7: "-T8"}
    listed = {name: torsion[k] for k, name in names.items()}
    sums = {f"B + {name}".replace("+ -", "- "): B + element for name, element in listed.items()}
    points: dict[str, Point] = {**listed, **sums, "the identity": IDENTITY}
    return {name: element.encode() for name, element in points.items()}


def test_the_list_has_every_point_of_small_order_and_every_way_to_hide_one_behind_the_generator() -> None:
    computed = named()
    assert len(computed) == 15
    for name, encoding in computed.items():
        assert NOT_ELEMENTS[name] == encoding.hex()
    assert bytes.fromhex(GENERATOR) == B.encode()
    assert L * B == IDENTITY
    assert 8 * T8 == IDENTITY != 4 * T8
    # All others are points of the curve whose encoding is not the one there is.
    for name in NOT_ELEMENTS.keys() - computed.keys():
        number = int.from_bytes(bytes.fromhex(NOT_ELEMENTS[name]), "little")
        y, sign = number % 2**255, number >> 255
        found = point(y % P, sign)
        assert found is not None
        assert y >= P or (sign == 1 and found.x == 0)


@pytest.mark.parametrize("taken", ["B + T2", "T8", "the identity, y written as p + 1"])
def test_a_library_that_decodes_one_of_them_is_refused(taken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = type(ED25519).decode_element

    def lax(self: Any, data: bytes) -> Ed25519Element:
        return Ed25519Element(data) if data.hex() == NOT_ELEMENTS[taken] else decode(self, data)

    monkeypatch.setattr(type(ED25519), "decode_element", lax)
    with pytest.raises(ConfigurationError, match="libsodium takes") as caught:
        check_libraries()
    assert taken in str(caught.value)
    assert "1.6.2" in (caught.value.hint or "")


def test_a_library_whose_map_to_x25519_takes_one_of_them_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lax:
        def crypto_sign_ed25519_pk_to_curve25519(self, _out: object, key: bytes) -> int:
            return 0 if key.hex() in {GENERATOR, NOT_ELEMENTS["B + T8"]} else -1

    monkeypatch.setattr(selftest, "lib", Lax())
    with pytest.raises(ConfigurationError, match=r"B \+ T8"):
        check_libraries()


def test_a_library_that_does_not_know_the_generator_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def crypto_sign_ed25519_pk_to_curve25519(self, _out: object, _key: bytes) -> int:
            return -1

    monkeypatch.setattr(selftest, "lib", Broken())
    with pytest.raises(ConfigurationError, match="generator"):
        check_libraries()
