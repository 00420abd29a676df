"""The node that invites: it makes codes, hears who joins, and knows when all are there (PROTOCOL section Invitations).

A code verifies who uses it, both ways. Whoever comes by the link alone is introduced: the link may have been
photographed, so the user sees everybody who joined and can refuse them before the session is proposed.
"""

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Self

from mpcnode.blame import Came, judge
from mpcnode.blame import Event as Seen
from mpcnode.errors import MpcError
from mpcnode.peers.budget import Complaints
from mpcnode.peers.conversation import Conversations, Opened
from mpcnode.peers.introductions import guests as table
from mpcnode.peers.introductions.guests import Guest, Guests
from mpcnode.peers.introductions.introductions import Introductions
from mpcnode.peers.room import Room
from mpcnode.peers.trust import Trusts, fingerprint
from mpcnode.status import CodeUsed, Event, GuestView, PairingCode, error_view
from mpcnode.status import Guests as GuestsShown
from mpcnode.status import Inviting as Begun
from mpcnode.types import IdentityKey, PeerId
from mpcnode.wire.invitation import Invitation, encode
from mpcnode.wire.relay import Join, JoinAnswer

ANSWER_LASTS: Final = 60_000
"""Milliseconds after which an answer is of no use."""

_TOLD: Final[Mapping[str, str]] = {
    table.WRONG: "without its secret",
    table.TWICE: "under a second name",
    table.NAME_TAKEN: "under a name that is taken",
    table.USED_UP: "after all places were taken: if you do not know everybody who joined, refuse them",
    table.BEGUN: "when all had joined: if you do not know everybody who did, say that the words differ",
    table.EXPIRED: "after its time",
}
"""What the inviter's user is told of those who are told no."""


class Inviting:
    """One invitation while it is open; leaving the block ends it, and tells everybody who joined.

    Args:
        invitation: which.
        guests: its places.
        introductions: makes codes.
        room: the invitation's room, in which this node is registered.
        conversations: to those who come.
        trusts: how well they are known.
        complaints: says who was told no.
        emit: told of codes, and of everybody who comes and goes.
        now: Unix milliseconds.
    """

    def __init__(
        self,
        invitation: Invitation,
        guests: Guests,
        *,
        introductions: Introductions,
        room: Room,
        conversations: Conversations,
        trusts: Trusts,
        complaints: Complaints,
        emit: Callable[[Event], None],
        now: Callable[[], int],
    ) -> None:
        self.invitation = invitation
        self.guests = guests
        self._introductions = introductions
        self._room = room
        self._conversations = conversations
        self._trusts = trusts
        self._complaints = complaints
        self._emit = emit
        self._now = now
        self._codes: set[asyncio.Task[None]] = set()
        self._shown: tuple[GuestView, ...] = ()

    async def __aenter__(self) -> Self:
        self._emit(Begun(encode(self.invitation), self.guests.places, self.invitation.expires))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end_codes()
        if not self.guests.over:
            self.guests.end()
            for guest in self.guests.joined:
                self._answer(guest.peer_id, guest.public_key, table.OVER)

    def make_code(self, words: int) -> None:
        """Make a code for one who is missing; it is shown, and who uses it is verified and gets the link."""
        task = asyncio.get_running_loop().create_task(self._meet(words), name="code")
        self._codes.add(task)
        task.add_done_callback(self._codes.discard)

    def opened(self, opened: Opened) -> None:
        """Take what somebody presents."""
        if not isinstance(opened.message, Join):
            return
        peer, key = opened.sender, opened.public_key
        why = self.guests.join(peer, key, opened.message, now=self._now(), present=self._room.present)
        self._answer(peer, key, why)
        if why is not None and why in _TOLD:
            self._complaints.say(peer, f"{peer} presented the invitation {_TOLD[why]}")
        self._show()

    def refuse(self, name: PeerId) -> bool:
        """Refuse a guest, whose key gets no place any more; says whether there is such a guest."""
        guest = self.guests.refuse(name)
        if guest is None:
            return False
        self._answer(guest.peer_id, guest.public_key, table.REFUSED)
        self._show()
        self._room.stir(guest.peer_id)
        return True

    async def all_joined(self) -> Mapping[PeerId, IdentityKey]:
        """Wait until all have joined and are here; nobody joins after that. Gives their keys by name.

        Raises:
            ParticipantSilent: they did not come in time.
        """
        left = self.invitation.expires - self._now()
        try:
            async with asyncio.timeout(left / 1000):
                await self._room.all_here(self._all_here, self._show)
        except TimeoutError:
            missing = self.guests.missing(self._room.present)
            raise judge(
                Came.CLOCK,
                Seen.SILENCE,
                f"the time of the invitation is over, and {missing} more had to join",
                hint="run the command again when everybody is ready; --wait gives them longer",
            ) from None
        keys = self.guests.begin()
        self._show()
        await self._end_codes()
        return keys

    def _all_here(self) -> bool:
        return self.guests.missing(self._room.present) == 0

    def _answer(self, peer: PeerId, key: IdentityKey, why: str | None) -> None:
        answer = JoinAnswer(invitation=self.invitation.room, refused=why)
        self._conversations.send(peer, answer, key=key, expires=self._now() + ANSWER_LASTS)

    async def _meet(self, words: int) -> None:
        made: list[str] = []

        def emit(event: Event) -> None:
            if isinstance(event, PairingCode):
                made.append(event.code)
            self._emit(event)

        try:
            contact, card = await self._introductions.offer(
                words, encode(self.invitation), is_taken=self.guests.has, emit=emit
            )
        except MpcError as error:
            self._emit(CodeUsed(made[0] if made else "", error=error_view(error)))
            return
        self.guests.expect(card.moniker, card.public_key)
        self._emit(CodeUsed(made[0], contact.peer_id))

    async def _end_codes(self) -> None:
        codes = tuple(self._codes)
        for task in codes:
            task.cancel()
        await asyncio.gather(*codes, return_exceptions=True)

    def _show(self) -> None:
        shown = tuple(map(self._view, self.guests.joined))
        if shown != self._shown:
            self._shown = shown
            self._emit(GuestsShown(shown, self.guests.missing(self._room.present)))

    def _view(self, guest: Guest) -> GuestView:
        contact = next((one for one in self._trusts.contacts if one.public_key == guest.public_key), None)
        return GuestView(
            guest.peer_id,
            fingerprint(guest.public_key),
            contact.how if contact is not None else "introduced",
            contact.peer_id if contact is not None and contact.peer_id != guest.peer_id else None,
            guest.peer_id in self._room.present,
        )
