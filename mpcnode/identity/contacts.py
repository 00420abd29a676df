"""Whom a node knows: names pinned to identity keys.

A name is worth what its key is worth, so a name that comes with another key is an error that names the contact, never a
question. How a key came to be known stays with it: a person's own comparison is worth more than somebody else's word.
Contacts are immutable values; the keystore writes them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Final, Literal

import msgspec

from mpcnode.blame import Came, Event, judge
from mpcnode.errors import DecodeError, KeystoreNewer
from mpcnode.identity.identity import check_identity_key
from mpcnode.types import IdentityKey, PeerId, parse_peer_id

FORMAT: Final = "mpcnode-contacts"
VERSION: Final = 1
MAX_CONTACTS: Final = 4096
"""Strangers must not be able to fill a disk or a start-up by being met."""

How = Literal["code", "words", "fingerprint", "invitation", "introduced"]
"""How a key came to be known: a pairing code or safety words, which verify it both ways; its fingerprint, which this
node's user compared; an invitation, which shows the inviter's key to the joiner alone; or the word of somebody else,
which is never called verified."""

_RANK: Final[dict[How, int]] = {"introduced": 0, "invitation": 1, "fingerprint": 2, "words": 2, "code": 2}


@dataclass(frozen=True, slots=True)
class Contact:
    """A pinned name.

    Args:
        peer_id: the name.
        public_key: the identity key pinned under it.
        how: the best that is known of how the key came to be known.
        first_seen: when it was pinned, in Unix milliseconds.
        moniker: what its holder calls itself, where that is known and is not the name.
    """

    peer_id: PeerId
    public_key: IdentityKey
    how: How
    first_seen: int
    moniker: PeerId | None = None

    @property
    def verified(self) -> bool:
        """Whether this node's user verified the key."""
        return self.how in {"code", "words", "fingerprint"}

    def called(self, moniker: PeerId | None) -> "Contact":
        """Note what its holder calls itself."""
        return replace(self, moniker=None if moniker == self.peer_id else moniker)


class Contacts:
    """A set of contacts, at most one per name; every change gives a new set."""

    __slots__ = ("_by_name",)

    def __init__(self, contacts: Iterable[Contact] = ()) -> None:
        by_name = {contact.peer_id: contact for contact in contacts}
        self._by_name = {name: by_name[name] for name in sorted(by_name)}

    def check(self, peer_id: PeerId, key: IdentityKey) -> Literal["verified", "unverified", "unknown"]:
        """Say how well the peer that shows ``key`` is known under this name.

        The caller must have seen a signature of ``key`` from that peer; the name alone proves nothing.

        Raises:
            ContactChanged: the name is pinned to another key. Never go on with either key: a human decides, by
                removing the contact.
        """
        contact = self._by_name.get(peer_id)
        if contact is None:
            return "unknown"
        if contact.public_key != key:
            raise judge(
                Came.RELAY,
                Event.CONTACT_CHANGED,
                f"{peer_id} came with another identity key than the one pinned for it",
                hint=f"ask its owner; if it was set up anew, run `mpcnode contacts remove {peer_id}`, then pair anew: "
                "`mpcnode pair`",
            )
        return "verified" if contact.verified else "unverified"

    def pin(
        self, peer_id: PeerId, key: IdentityKey, *, how: How, now: int, moniker: PeerId | None = None
    ) -> "Contacts":
        """Pin a name to a key, or note that a contact is now known better; nothing ever lowers one.

        Args:
            peer_id: the name.
            key: the key the peer proved to hold.
            how: how it came to be known; where a contact was known as well or better before, that stays.
            now: Unix milliseconds; kept as ``first_seen`` of a new contact.
            moniker: what its holder calls itself, where it said so.

        Raises:
            ContactChanged: the name is pinned to another key.
            ValueError: ``MAX_CONTACTS`` are pinned already.
        """
        if self.check(peer_id, key) == "unknown":
            if len(self._by_name) >= MAX_CONTACTS:
                raise ValueError(f"no more than {MAX_CONTACTS} contacts")
            pinned = Contact(peer_id, key, how, now)
        else:
            known = self._by_name[peer_id]
            pinned = replace(known, how=how) if _RANK[how] > _RANK[known.how] else known
        return Contacts([*self, pinned if moniker is None else pinned.called(moniker)])

    def rename(self, old: PeerId, new: PeerId) -> "Contacts":
        """Call a contact otherwise; its key and all else that is known of it stay.

        Raises:
            KeyError: no such contact.
            ValueError: another contact has the new name.
        """
        contact = self._by_name[old]
        if new != old and new in self._by_name:
            raise ValueError(f"there is a contact {new} already")
        renamed = replace(contact, peer_id=new, moniker=None).called(contact.moniker or old)
        return Contacts(renamed if one is contact else one for one in self)

    def remove(self, peer_id: PeerId) -> "Contacts":
        """Forget a name: what a human does after a key was changed for a good reason.

        Raises:
            KeyError: no such contact.
        """
        return Contacts(contact for contact in self if contact is not self._by_name[peer_id])

    def get(self, peer_id: PeerId) -> Contact | None:
        """Give the contact of this name, if there is one."""
        return self._by_name.get(peer_id)

    def of(self, peer_id: PeerId, key: IdentityKey) -> Contact | None:
        """Give the contact that a peer is which proved ``key`` under this name: names are labels, keys are people.

        Where the name is pinned to another key, it is nobody that is known.
        """
        named = self._by_name.get(peer_id)
        if named is not None:
            return named if named.public_key == key else None
        held = [one for one in self if one.public_key == key]
        return max(held, key=lambda one: _RANK[one.how], default=None)

    def __iter__(self) -> Iterator[Contact]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Contacts) and self._by_name == other._by_name

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"Contacts({list(self)!r})"

    def encode(self) -> bytes:
        """Give the canonical bytes of the contacts file: JSON, contacts sorted by name."""
        rows = [_Row(c.peer_id, c.public_key.hex(), c.how, c.first_seen, c.moniker) for c in self]
        return msgspec.json.format(msgspec.json.encode(_File(FORMAT, VERSION, rows)), indent=2) + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> "Contacts":
        """Read a contacts file.

        Raises:
            DecodeError: not the canonical bytes of any contacts: damaged, edited into something else, or a name twice.
            KeystoreNewer: a newer mpcnode wrote it.
        """
        try:
            if msgspec.json.decode(data, type=_Version).version > VERSION:
                raise KeystoreNewer("the contacts were written by a newer mpcnode")
            contacts = [_to_contact(row) for row in msgspec.json.decode(data, type=_File).contacts]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise DecodeError(f"not a contacts file: {str(error)!a}") from None
        decoded = cls(contacts)
        # Re-encoding settles duplicates, order, white space and unknown escapes at one stroke.
        if decoded.encode() != data:
            raise DecodeError("not the canonical form of a contacts file")
        return decoded


class _Version(msgspec.Struct, frozen=True):
    format: Literal["mpcnode-contacts"]
    version: Annotated[int, msgspec.Meta(ge=1)]


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    peer_id: str
    public_key: str
    how: How
    first_seen: Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
    moniker: str | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: Literal["mpcnode-contacts"]
    version: Literal[1]
    contacts: Annotated[list[_Row], msgspec.Meta(max_length=MAX_CONTACTS)]


def _to_contact(row: _Row) -> Contact:
    try:
        key = check_identity_key(bytes.fromhex(row.public_key))
        moniker = None if row.moniker is None else parse_peer_id(row.moniker)
        return Contact(parse_peer_id(row.peer_id), key, row.how, row.first_seen).called(moniker)
    except ValueError as error:
        raise DecodeError(f"not a contact: {error}") from None
