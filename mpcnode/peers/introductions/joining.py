"""The node that joins by an invitation, from its arrival in the room until the session is proposed.

The inviter is whoever in the room holds the key of the invitation, under whatever name. The secret is shown to that key
alone.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from mpcnode.blame import Came, judge
from mpcnode.blame import Event as Seen
from mpcnode.errors import InvitationOver, MpcError
from mpcnode.identity.contacts import How
from mpcnode.peers.conversation import Conversations, Opened
from mpcnode.peers.introductions import guests as table
from mpcnode.peers.room import HELLO_AGAIN, Room
from mpcnode.peers.trust import Trusts
from mpcnode.status import Event, Joined, Warned
from mpcnode.types import PeerId
from mpcnode.wire.invitation import Invitation
from mpcnode.wire.relay import Join, JoinAnswer

FIND_SECONDS: Final = 15.0
"""For the inviter's hello, and for its answer."""
SAID_LASTS: Final = 60_000
"""Milliseconds for which the inviter may hear of this node."""
AWAY_SECONDS: Final = 30.0
"""How long an inviter may be away, by the server's word: its connection may have broken."""
MAX_GREETED: Final = 64
"""Of those in the room; a server can invent peers without end."""


@dataclass(frozen=True, slots=True)
class _No:
    says: str
    hint: str


_STRANGER: Final = "tell the inviter at once: where it does not know everybody who joined, a stranger has its link"

_NOES: Final[Mapping[str, _No]] = {
    table.WRONG: _No("the inviter knows this invitation no more", "ask for a new one"),
    table.EXPIRED: _No("the time of the invitation is over", "ask for a new one; it says until when it is good"),
    table.OVER: _No("the inviter stopped before all were there", "ask its user, and join by a new invitation"),
    table.BEGUN: _No("all who were missing have joined, and the wallet is made without this node", _STRANGER),
    table.TWICE: _No(
        "this node's key has joined already, under another name",
        "one home is one participant: use another --home, or stop the other process",
    ),
    table.NAME_TAKEN: _No("another participant has this node's name", "join again with --peer-id and another name"),
    table.USED_UP: _No("as many have joined as were missing", _STRANGER),
}


class Joining:
    """One node's way into a session that it is invited to.

    Args:
        invitation: checked, and not expired.
        how: how this node knows the inviter's key: by the link, or by a code.
        room: the invitation's room, in which this node is registered.
        conversations: to those in the room.
        trusts: shows the inviter.
        emit: told of the place that this node has.
        now: Unix milliseconds.
    """

    def __init__(
        self,
        invitation: Invitation,
        how: How,
        *,
        room: Room,
        conversations: Conversations,
        trusts: Trusts,
        emit: Callable[[Event], None],
        now: Callable[[], int],
    ) -> None:
        self.invitation = invitation
        self.how = how
        self._room = room
        self._conversations = conversations
        self._trusts = trusts
        self._emit = emit
        self._now = now
        self._accepted = False
        self._refused: str | None = None

    @property
    def inviter(self) -> PeerId | None:
        """The name of the peer that showed the key of the invitation."""
        key = self.invitation.key
        return next((name for name in self._room.others_of(()) if self._conversations.key_of(name) == key), None)

    def opened(self, opened: Opened) -> None:
        """Take an answer of the inviter; nobody else's word counts."""
        answer = opened.message
        if not isinstance(answer, JoinAnswer) or opened.public_key != self.invitation.key:
            return
        if answer.refused is None:
            self._accepted = True
        else:
            self._refused = answer.refused
        self._room.stir(opened.sender)

    async def wait(self) -> None:
        """Find the inviter, present the invitation, and wait; cancel it when there is a session.

        Raises:
            InvitationOver: there is no place for this node, the inviter gave up or is gone, or the time is over.
            ParticipantRefused: the inviter's user does not want this node.
            MpcError: why the inviter cannot be found.
        """
        await self._arrive()
        await self._watch()

    async def _arrive(self) -> None:
        inviter = await self._find()
        said = Join(invitation=self.invitation.room, secret=self.invitation.secret)
        # Each life of this node says it with a time of its own: what is the same, the inviter takes for a copy.
        self._conversations.send(inviter, said, key=self.invitation.key, expires=self._now() + SAID_LASTS)
        try:
            async with asyncio.timeout(FIND_SECONDS):
                while not self._accepted:
                    self._check(inviter)
                    await self._room.changed()
        except TimeoutError:
            raise judge(
                Came.CLOCK, Seen.SILENCE, f"{inviter} does not answer", [inviter], hint="ask its user, then join again"
            ) from None
        self._emit(Joined(self._trusts.view(inviter, self.invitation.key), self.how, self.invitation.expires))

    def keep(self) -> None:
        """Keep the inviter as a contact, after the session that pinned everybody as far as it could."""
        inviter = self.inviter
        try:
            if inviter is not None:
                self._trusts.keep(inviter, self.invitation.key, how=self.how, now=self._now())
        except (MpcError, ValueError) as error:
            self._emit(Warned(f"how the key of {inviter} came to be known is not kept: {error}"))

    async def _watch(self) -> None:
        """Raise when there will be no session."""
        try:
            async with asyncio.timeout(max(self.invitation.expires - self._now(), 0) / 1000):
                while True:
                    inviter = self.inviter
                    self._check(inviter)
                    if inviter is not None or self._room.away:
                        await self._room.changed()
                        continue
                    await self._is_back()
        except TimeoutError:
            raise _no(table.EXPIRED) from None

    async def _find(self) -> PeerId:
        try:
            async with asyncio.timeout(FIND_SECONDS):
                while (inviter := self.inviter) is None:
                    for name in self._room.others_of(())[:MAX_GREETED]:
                        self._conversations.introduce(name)
                    with suppress(TimeoutError):
                        async with asyncio.timeout(HELLO_AGAIN):
                            await self._room.all_here(lambda: self.inviter is not None)
                return inviter
        except TimeoutError:
            problems = map(self._room.problem_of, self._room.others_of(()))
            if problem := next(filter(None, problems), None):
                raise problem from None
            raise InvitationOver(
                "nobody in the room shows the key of the invitation: its maker is gone, or does not speak to this node",
                hint="ask its maker, whose screen says why; a name that it knows with another key needs --peer-id",
            ) from None

    async def _is_back(self) -> None:
        """Wait for an inviter that is away."""
        back = self._room.all_here(lambda: self.inviter is not None or self._refused is not None)
        try:
            async with asyncio.timeout(AWAY_SECONDS):
                await back
        except TimeoutError:
            raise InvitationOver(
                "the inviter went away before it proposed the wallet", hint="ask its user, and join by a new invitation"
            ) from None

    def _check(self, inviter: PeerId | None) -> None:
        if self._refused == table.REFUSED:
            name = inviter or "the inviter"
            raise judge(
                Came.RELAY,
                Seen.REFUSAL,
                f"the user of {name} refused this node",
                [inviter] if inviter is not None else [],
                hint="call each other: where its user does not know this node's fingerprint, compare it",
            )
        if self._refused is not None:
            raise _no(self._refused)


def check_time(invitation: Invitation, now: int) -> None:
    """Check that an invitation is still good, before anything is dialled.

    Raises:
        InvitationOver: its time is over.
    """
    if now >= invitation.expires:
        raise _no(table.EXPIRED)


def _no(why: str) -> MpcError:
    no = _NOES.get(why) or _No(f"the inviter has no place for this node ({why})", "ask its user")
    return InvitationOver(no.says, hint=no.hint)
