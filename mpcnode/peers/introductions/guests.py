"""Who has joined by one invitation, and who is told no (PROTOCOL section Invitations). Pure.

There are as many places as participants are missing. A place belongs to an identity key; a key that is away by the
server's word keeps its place until another one needs it, because the server may lie, and connections break.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hmac import compare_digest
from typing import Final

from mpcnode.types import IdentityKey, PeerId
from mpcnode.wire.invitation import Invitation
from mpcnode.wire.relay import Join

WRONG: Final = "wrong_invitation"
"""Another invitation than this one, or not its secret."""
EXPIRED: Final = "expired"
OVER: Final = "over"
"""The inviter gave the invitation up."""
BEGUN: Final = "begun"
"""All were there, and the session began without this one."""
REFUSED: Final = "refused"
"""The inviter's user refused this key."""
TWICE: Final = "twice"
"""This key is here under another name already."""
NAME_TAKEN: Final = "name_taken"
USED_UP: Final = "used_up"
"""As many have joined as were missing."""


@dataclass(frozen=True, slots=True)
class Guest:
    """A node that presented the invitation's secret.

    Args:
        peer_id: its name in the invitation's room.
        public_key: its identity key.
    """

    peer_id: PeerId
    public_key: IdentityKey


class Guests:
    """The places of one invitation.

    Args:
        invitation: which.
        places: how many participants are missing.
        me: the inviter's name, which no guest can have.
    """

    def __init__(self, invitation: Invitation, *, places: int, me: PeerId) -> None:
        self.places = places
        self._invitation = invitation
        self._me = me
        self._joined: dict[IdentityKey, Guest] = {}
        self._expected: dict[IdentityKey, PeerId] = {}
        """Those who used a code: each has a place, whoever comes by the link before it."""
        self._refused: set[IdentityKey] = set()
        self._over: str | None = None

    @property
    def joined(self) -> tuple[Guest, ...]:
        """Everybody who has a place, in the order in which they came."""
        return tuple(self._joined.values())

    @property
    def over(self) -> bool:
        """Whether nobody can join any more."""
        return self._over is not None

    def expect(self, peer: PeerId, key: IdentityKey) -> None:
        """Hold a place for one who is known, and is about to come."""
        self._expected[key] = peer

    def has(self, name: PeerId, *, but: IdentityKey | None = None) -> bool:
        """Whether a name is the inviter's, a guest's, or one's who is expected; ``but`` for the holder of a key."""
        others = [*((one.public_key, one.peer_id) for one in self.joined), *self._expected.items()]
        return name == self._me or any(name == taken and key != but for key, taken in others)

    def join(self, peer: PeerId, key: IdentityKey, said: Join, *, now: int, present: Collection[PeerId]) -> str | None:
        """Give a place to who presents the invitation.

        Args:
            peer: its name.
            key: the key that it proved.
            said: what it presents.
            now: Unix milliseconds.
            present: the names that are in the room.

        Returns:
            why it has no place; None where it has one, new or from before.
        """
        mine = self._invitation
        # Both are compared whatever the first one gives: how long it takes says nothing about the secret.
        right = compare_digest(said.invitation, mine.room) & compare_digest(said.secret, mine.secret)
        if not right:
            return WRONG
        if key in self._refused:
            return REFUSED
        if self._over is not None:
            return None if self._joined.get(key) == Guest(peer, key) else self._over
        if now >= mine.expires:
            return EXPIRED
        return self._place(Guest(peer, key), present)

    def _place(self, guest: Guest, present: Collection[PeerId]) -> str | None:
        before = self._joined.get(guest.public_key)
        if before is not None and before.peer_id != guest.peer_id and before.peer_id in present:
            return TWICE
        if self.has(guest.peer_id, but=guest.public_key):
            return NAME_TAKEN
        held = self._joined.keys() | self._expected.keys()
        if guest.public_key not in held and len(held) >= self.places:
            away = next((one for one in self.joined if self._may_lose(one, present)), None)
            if away is None:
                return USED_UP
            del self._joined[away.public_key]
        self._joined[guest.public_key] = guest
        return None

    def _may_lose(self, guest: Guest, present: Collection[PeerId]) -> bool:
        return guest.peer_id not in present and guest.public_key not in self._expected

    def refuse(self, peer: PeerId) -> Guest | None:
        """Take a guest's place and never give its key another; None where there is no such guest, or it is too late."""
        expected = (Guest(name, key) for key, name in self._expected.items())
        guest = next((one for one in (*self.joined, *expected) if one.peer_id == peer), None)
        if guest is None or self.over:
            return None
        self._joined.pop(guest.public_key, None)
        self._expected.pop(guest.public_key, None)
        self._refused.add(guest.public_key)
        return guest

    def missing(self, present: Collection[PeerId]) -> int:
        """How many are not here yet, by the server's word of who is in the room."""
        return self.places - sum(one.peer_id in present for one in self.joined)

    def begin(self) -> Mapping[PeerId, IdentityKey]:
        """End the invitation because all are there; gives the keys that the session is proposed to, by name.

        Raises:
            ValueError: not everybody has joined.
        """
        if len(self._joined) != self.places:
            raise ValueError("a session begins when all who were invited have joined")
        self._over = self._over or BEGUN
        return {one.peer_id: one.public_key for one in self.joined}

    def end(self) -> None:
        """End the invitation because the inviter gives it up, or its time is over."""
        self._over = self._over or OVER
