"""Contact cards: how a node shows who it is in one pairing (PROTOCOL section Handshake). Pure."""

from dataclasses import dataclass

from mpcnode.crypto import tags
from mpcnode.crypto.pairing_keys import Role
from mpcnode.crypto.signature import verify
from mpcnode.errors import DecodeError
from mpcnode.identity.identity import Identity, check_identity_key
from mpcnode.types import IdentityKey, PeerId


@dataclass(frozen=True, slots=True)
class Card:
    """A contact card.

    Args:
        moniker: what its holder calls itself; a label, which anybody may choose.
        public_key: its identity key.
        signature: that key's, over the pairing and the moniker.
    """

    moniker: PeerId
    public_key: IdentityKey
    signature: bytes


def make_card(identity: Identity, moniker: PeerId, *, handshake: bytes, role: Role) -> Card:
    """Make the card of ``identity`` for one pairing; in another one, and at its other end, it is not good.

    Args:
        identity: whose.
        moniker: what it calls itself.
        handshake: the hash of what both ends of the pairing saw before they had a key.
        role: which end this is.
    """
    signature = identity.sign(tags.CARD, *_fields(moniker, handshake, role))
    return Card(moniker, identity.public_key, signature)


def check_card(card: Card, *, handshake: bytes, role: Role) -> None:
    """Check that the other end of a pairing holds the key on its card.

    Args:
        card: the other end's.
        handshake: the hash of what both ends saw.
        role: which end the card is from.

    Raises:
        DecodeError: the card is not signed by its key for this pairing, or its key is good for nothing.
    """
    check_identity_key(card.public_key)
    if not verify(card.public_key, card.signature, tags.CARD, *_fields(card.moniker, handshake, role)):
        raise DecodeError("a contact card is not signed by its key, or was made for another pairing")


def _fields(moniker: PeerId, handshake: bytes, role: Role) -> tuple[bytes, ...]:
    return handshake, role.value.encode(), moniker.encode()
