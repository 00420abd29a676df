"""What two ends of a pairing say to each other through a slot (PROTOCOL section Handshake), one JSON object each.

First each says ``exchange``, then two ``sealed``: in the first is its ``card``, in the second ``met`` or ``declined``.
"""

from typing import Annotated, Final, Literal

import msgspec

from mpcnode.crypto.transcript import MAX_INTEGER
from mpcnode.errors import DecodeError
from mpcnode.wire import json
from mpcnode.wire.fields import Hex33, Hex64, HexKey, HexSlotBody, Name, Word

VERSION: Final = 1
MAX_LINK: Final = 400
"""Characters of the link of an invitation."""
MAX_SEALED: Final = 1024
"""The longest seal; a card has about 300 bytes."""


Link = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_LINK)]


class OtherVersion(DecodeError):
    """The other end speaks another version of the handshake."""


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="type"):
    """What every message is: frozen, and nothing in it that was not asked for."""


class Exchange(_Message, frozen=True, tag="exchange"):
    """The message of the password exchange."""

    message: Hex33
    version: Literal[1]


class Sealed(_Message, frozen=True, tag="sealed"):
    """A message that only the two ends can read."""

    body: HexSlotBody

    def __post_init__(self) -> None:
        if len(self.body) > MAX_SEALED:
            raise ValueError(f"a seal of a pairing has at most {MAX_SEALED} bytes")


class Card(_Message, frozen=True, tag="card"):
    """A contact card: what its holder calls itself, its identity key, and that key's signature over the handshake."""

    moniker: Name
    public_key: HexKey
    signature: Hex64


class Met(_Message, frozen=True, tag="met"):
    """The card is good, and its holder becomes a contact; the inviter of a wallet adds the link of its invitation."""

    invitation: Link | None = None

    def __repr__(self) -> str:
        return f"Met({'<redacted>' if self.invitation is not None else ''})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """Show rich what ``repr`` shows; msgspec's own would show the secret in the link."""
        return []


class Declined(_Message, frozen=True, tag="declined"):
    """The card is good, and its holder becomes no contact; ``code`` says why."""

    code: Word


class _AnyVersion(msgspec.Struct, frozen=True, tag_field="type", tag="exchange"):
    """What an exchange of any version has."""

    version: Annotated[int, msgspec.Meta(ge=1, le=MAX_INTEGER)]


_exchanges: Final = json.Decoder(Exchange, "the beginning of a pairing")
_versions: Final = json.Decoder(_AnyVersion, "the beginning of a pairing")
_seals: Final = json.Decoder(Sealed, "a sealed message of a pairing")
_cards: Final = json.Decoder(Card, "a contact card")
_ends: Final[json.Decoder[Met | Declined]] = json.Decoder(Met | Declined, "the end of a pairing")  # type: ignore[arg-type] # a union is a type to msgspec


def encode(message: Exchange | Sealed | Card | Met | Declined) -> bytes:
    """Encode a message."""
    return json.encode(message)


def decode_exchange(data: bytes) -> Exchange:
    """Read the first message of the other end.

    Raises:
        OtherVersion: it speaks another version.
        DecodeError: it is not a first message.
    """
    version = _versions.decode(data).version
    if version != VERSION:
        raise OtherVersion(f"the other side pairs as version {version} does; this is version {VERSION}")
    return _exchanges.decode(data)


def decode_sealed(data: bytes) -> bytes:
    """Read a sealed message; gives the seal.

    Raises:
        DecodeError: it is not one.
    """
    return _seals.decode(data).body


def decode_card(data: bytes) -> Card:
    """Read what the first seal holds.

    Raises:
        DecodeError: it is not a card.
    """
    return _cards.decode(data)


def decode_end(data: bytes) -> Met | Declined:
    """Read what the second seal holds.

    Raises:
        DecodeError: it is neither ``met`` nor ``declined``.
    """
    return _ends.decode(data)
