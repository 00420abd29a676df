"""Contact cards: good in the one pairing they were made for, from the end they were made by."""

from dataclasses import replace

import pytest

from mpcnode.crypto.pairing_keys import Role
from mpcnode.errors import DecodeError
from mpcnode.identity.card import check_card, make_card
from mpcnode.types import IdentityKey, PeerId
from tests.helpers.identities import identity, key_of
from tests.vectors.ed25519 import ORDER_8

HANDSHAKE = b"\x05" * 32
CARD = make_card(identity("alice"), PeerId("alice"), handshake=HANDSHAKE, role=Role.INVITER)


def test_a_card_is_good_in_its_pairing() -> None:
    check_card(CARD, handshake=HANDSHAKE, role=Role.INVITER)
    assert (CARD.moniker, CARD.public_key) == ("alice", key_of("alice"))


@pytest.mark.parametrize(
    "card",
    [
        replace(CARD, moniker=PeerId("alicia")),
        replace(CARD, public_key=key_of("bob")),
        replace(CARD, public_key=IdentityKey(ORDER_8)),
        replace(CARD, public_key=IdentityKey(bytes(32))),
        replace(CARD, signature=bytes(64)),
        replace(CARD, signature=CARD.signature[:-1]),
    ],
)
def test_a_card_that_was_altered_is_refused(card: object) -> None:
    with pytest.raises(DecodeError):
        check_card(card, handshake=HANDSHAKE, role=Role.INVITER)  # type: ignore[arg-type]


def test_a_card_of_another_pairing_is_refused() -> None:
    with pytest.raises(DecodeError, match="another pairing"):
        check_card(CARD, handshake=b"\x06" * 32, role=Role.INVITER)


def test_a_card_that_comes_from_the_other_end_is_refused() -> None:
    with pytest.raises(DecodeError, match="another pairing"):
        check_card(CARD, handshake=HANDSHAKE, role=Role.JOINER)
