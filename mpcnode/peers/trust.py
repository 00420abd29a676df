"""How well this node knows a peer, and what a confirmed session makes of that.

Contacts are pinned names (``identity.contacts``); introductions are keys seen in this process alone. A participant of a
session in which a human compared the safety words becomes a verified contact, because the words cover every identity
key; without that it is pinned unverified: from then on another key under its name is an error.
"""

from collections.abc import Callable, Iterable, Mapping

from mpcnode.crypto import tags
from mpcnode.crypto.transcript import tagged_hash
from mpcnode.identity.contacts import Contact, Contacts, How
from mpcnode.keystore.store import Home
from mpcnode.status import ContactView, PeerView, Trust
from mpcnode.types import IdentityKey, PeerId


def fingerprint(key: IdentityKey) -> str:
    """Forty hexadecimal digits of the key's hash, in groups of four, for people to compare."""
    digest = tagged_hash(tags.FINGERPRINT, key).hex()[:40]
    return " ".join(digest[i : i + 4] for i in range(0, 40, 4))


def contact_view(contact: Contact) -> ContactView:
    """Show a contact."""
    return ContactView(
        peer_id=contact.peer_id,
        verified=contact.verified,
        how=contact.how,
        fingerprint=fingerprint(contact.public_key),
        public_key=contact.public_key.hex(),
        first_seen=contact.first_seen,
        moniker=contact.moniker,
    )


class Trusts:
    """The contacts of one home and the introductions of one process.

    Args:
        home: where contacts are stored.
        peer_id: this node's name.
        public_key: this node's identity key.
        introduced: gives the key a peer was introduced with, if it was.
    """

    def __init__(
        self,
        home: Home,
        *,
        peer_id: PeerId,
        public_key: IdentityKey,
        introduced: Callable[[PeerId], IdentityKey | None],
    ) -> None:
        self._home = home
        self._me = peer_id
        self._my_key = public_key
        self._introduced = introduced
        self.contacts: Contacts = home.load_contacts()

    def known_key(self, peer: PeerId) -> IdentityKey | None:
        """The key this node knows for a name: its own, pinned, or introduced in this process."""
        if peer == self._me:
            return self._my_key
        contact = self.contacts.get(peer)
        return contact.public_key if contact else self._introduced(peer)

    def view(self, peer: PeerId, key: IdentityKey | None = None) -> PeerView:
        """Show a peer; ``key`` where a proposal names one."""
        key = self._my_key if peer == self._me else key or self.known_key(peer)
        shown = fingerprint(key) if key else None
        if peer == self._me:
            return PeerView(peer, "self", shown)
        contact = None if key is None else self.contacts.of(peer, key)
        if contact is None:
            return PeerView(peer, "unknown", shown)
        trust: Trust = "verified" if contact.verified else "unverified"
        return PeerView(peer, trust, shown, contact=contact.peer_id if contact.peer_id != peer else None)

    def seen(self, peer: PeerId) -> PeerView:
        """Show one that is in the room: the name is all there is until it proves the key that is known for it.

        Anybody can take the name of a contact that is away, so such a name is called nothing better than unknown.
        """
        key = self._my_key if peer == self._me else self._introduced(peer)
        if key is not None and key == self.known_key(peer):
            return self.view(peer, key)
        contact = self.contacts.get(peer)
        pinned = fingerprint(contact.public_key) if contact is not None else None
        return PeerView(peer, "unknown", proved=False, pinned=pinned)

    def pinned(self, peer: PeerId, key: IdentityKey) -> bool:
        """Whether this very name is pinned to this key: then not the server alone gave the key this name."""
        contact = self.contacts.get(peer)
        return contact is not None and contact.public_key == key

    def all_verified(self, roster: Mapping[PeerId, IdentityKey]) -> bool:
        """Whether everybody else is a verified contact under the very key of the roster."""
        return not self.not_verified(roster)

    def all_by_code(self, roster: Mapping[PeerId, IdentityKey]) -> bool:
        """Whether a code verified everybody else, where all are verified."""
        contacts = (self.contacts.of(name, key) for name, key in self._without_me(roster))
        return all(contact is not None and contact.how == "code" for contact in contacts)

    def not_verified(self, roster: Mapping[PeerId, IdentityKey]) -> tuple[PeerId, ...]:
        """Name the others in ``roster`` whose very key is not a verified contact's."""
        return tuple(name for name, key in self._without_me(roster) if self.view(name, key).trust != "verified")

    def pin(self, roster: Mapping[PeerId, IdentityKey], *, verified: bool, now: int) -> None:
        """Pin everybody after a confirmed session; a verified contact stays verified, and is called what it was.

        Args:
            roster: everybody with the key of the session.
            verified: a human compared the safety words in it.
            now: Unix milliseconds.

        Raises:
            ContactChanged: a name is pinned to another key.
            KeystoreUnwritable: not durable; the contacts are as before.
        """
        contacts = self.contacts
        for name, key in self._without_me(roster):
            known = contacts.of(name, key)
            called = name if known is None else known.peer_id
            contacts = contacts.pin(called, key, how="words" if verified else "introduced", now=now, moniker=name)
        if contacts != self.contacts:
            self._home.save_contacts(contacts)
            self.contacts = contacts

    def keep(self, peer: PeerId, key: IdentityKey, *, how: How, now: int, moniker: PeerId | None = None) -> Contact:
        """Pin one contact, and give it as it is then.

        Raises:
            ContactChanged: the name is pinned to another key.
            ValueError: no more can be kept.
            KeystoreUnwritable: not durable; the contacts are as before.
        """
        contacts = self.contacts.pin(peer, key, how=how, now=now, moniker=moniker)
        if contacts != self.contacts:
            self._home.save_contacts(contacts)
            self.contacts = contacts
        kept = contacts.get(peer)
        assert kept is not None
        return kept

    def _without_me(self, roster: Mapping[PeerId, IdentityKey]) -> Iterable[tuple[PeerId, IdentityKey]]:
        return ((name, key) for name, key in roster.items() if name != self._me)
