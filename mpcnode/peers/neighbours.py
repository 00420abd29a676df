"""The peers of one node as the server tells of them: the room they are in, and what they say, opened and checked."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from mpcnode.errors import ClocksApart, DecodeError
from mpcnode.peers.budget import Budget, Complaints
from mpcnode.peers.conversation import Conversations, Doubted, Introduced, Opened
from mpcnode.peers.room import HELLO_AGAIN, Room
from mpcnode.peers.trust import Trusts, fingerprint
from mpcnode.signaling import events
from mpcnode.status import Disconnected, Event, Peers, PeerView, Registered
from mpcnode.types import IdentityKey, PeerId

SHOWN: Final = (16, 1.0)
"""How often the peers of the room are shown, and each is met: a server may say at any rate that they come and go."""
MET: Final = (4, HELLO_AGAIN)
MAX_MEETINGS: Final = 8192
MAX_GREETED: Final = 64
"""Of a room that is to be shown; a server can invent peers without end."""


class Listener(Protocol):
    """What wants to hear of the peers."""

    def met(self, peer: PeerId) -> None:
        """Hear that ``peer`` is in the room."""

    def parted(self, peer: PeerId) -> None:
        """Hear that ``peer`` left the room."""

    def introduced(self, peer: PeerId, key: IdentityKey) -> None:
        """Hear that ``peer`` proved to hold ``key``."""

    def opened(self, opened: Opened) -> None:
        """Take a message."""


class Neighbours:
    """What this node makes of the events of its signaling client.

    Args:
        place: the server's URL and the room's name, to be shown.
        room: told which peers are here.
        conversations: open what is relayed.
        trusts: show peers.
        complaints: says what is wrong with peers.
        listener: told of everything.
        emit: takes what the user should see.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        *,
        place: tuple[str, str],
        room: Room,
        conversations: Conversations,
        trusts: Trusts,
        complaints: Complaints,
        listener: Listener,
        emit: Callable[[Event], None],
        clock: Callable[[], float],
    ) -> None:
        self._place = place
        self._room = room
        self._conversations = conversations
        self._trusts = trusts
        self._complaints = complaints
        self._listener = listener
        self._emit = emit
        self._clock = clock
        self._shown = Budget(*SHOWN)
        self._meetings: dict[PeerId, Budget] = {}
        self._last: tuple[PeerView, ...] = ()
        """What was shown last."""
        self._put_off: set[PeerId | None] = set()
        """Whom to meet later; None where the room is to be shown."""

    def views(self) -> tuple[PeerView, ...]:
        """Show everybody in the room, this node included."""
        return tuple(map(self._trusts.seen, self._room.present))

    async def greet(self) -> None:
        """Say hello to those in the room whose key is not known yet, and wait a moment for their answers."""
        strangers = [name for name in self._room.others_of(()) if self._conversations.key_of(name) is None]
        # Contacts first: of them the answer says most.
        strangers.sort(key=lambda name: self._trusts.contacts.get(name) is None)
        await self._room.greet(strangers[:MAX_GREETED], self._conversations)

    async def keep_up(self) -> None:
        """Do again and again what was put off, and say hello where something waits; cancel it at the end."""
        while True:
            await asyncio.sleep(HELLO_AGAIN)
            self._conversations.say_again(self._room.present)
            put_off, self._put_off = self._put_off, set()
            if put_off:
                self._met(put_off.intersection(self._room.present))
            self._complaints.say_left_out()

    def on_event(self, event: events.ClientEvent) -> None:
        """Take an event of the signaling client."""
        match event:
            case events.Registered():
                key = self._trusts.known_key(self._room.me)
                self._emit(Registered(self._room.me, *self._place, fingerprint(key) if key else ""))
                self._room.set(event.peers)
                self._meetings.clear()
                self._met(event.peers)
            case events.Peers():
                before = self._room.present
                self._room.set(event.peers)
                if self._room.present != before:
                    self._show()
            case events.PeerJoined():
                self._room.joined(event.peer_id)
                self._met((event.peer_id,))
            case events.PeerLeft():
                self._room.left(event.peer_id)
                self._listener.parted(event.peer_id)
                self._show()
            case events.Relayed():
                self._take(event.sender, event.data)
            case events.Dropped():
                to = event.peer_id
                self._complaints.say(to, f"a message to {to} is lost: too much waits for the signaling server")
            case events.ServerSaid():
                self._complaints.say(event.peer or self._room.me, f"the server says: {event.error}")
            case events.Disconnected():
                self._room.away = True
                self._emit(Disconnected(event.reason, event.retry_in))

    def _met(self, peers: Iterable[PeerId | None]) -> None:
        now = self._clock()
        if len(self._meetings) > MAX_MEETINGS:
            self._meetings.clear()
        for name in peers:
            if name is None or name == self._room.me:
                continue
            if self._meetings.setdefault(name, Budget(*MET)).take(now):
                self._conversations.rejoined(name)
                if self._trusts.contacts.get(name) is not None:
                    # Anybody can take a pinned name; only the answer shows that the contact is here.
                    self._conversations.introduce(name)
                self._listener.met(name)
            else:
                self._put_off.add(name)
        self._show()

    def _show(self) -> None:
        if self._shown.take(self._clock()):
            self._last = self.views()
            self._emit(Peers(self._last))
        else:
            self._put_off.add(None)

    def _take(self, sender: PeerId, data: bytes) -> None:
        try:
            taken = self._conversations.receive(sender, data)
        except DecodeError as error:
            self._complaints.say(sender, f"{sender} sent what this version does not understand: {error}")
            return
        match taken:
            case Doubted(error=problem):
                # It ends nothing: the server can make such a hello. It explains why the peer may not answer.
                self._room.stir(sender, problem)
                self._complaints.say(sender, problem.message)
            case Opened():
                self._room.stir(sender)
                self._listener.opened(taken)
            case Introduced():
                self._introduced(taken)

    def _introduced(self, taken: Introduced) -> None:
        apart = _apart(taken) if taken.apart else None
        self._room.stir(taken.peer_id, apart, introduced=True)
        if apart:
            self._complaints.say(taken.peer_id, f"{apart.message}; {apart.hint}")
        self._listener.introduced(taken.peer_id, taken.public_key)
        seen = self._trusts.seen(taken.peer_id)
        if self._trusts.contacts.get(taken.peer_id) is not None and seen.proved and seen not in self._last:
            self._show()


def _apart(taken: Introduced) -> ClocksApart:
    way = "ahead of" if taken.apart > 0 else "behind"
    return ClocksApart(
        f"the clock of {taken.peer_id} is {_span(abs(taken.apart))} {way} this node's",
        hint="set the clocks of both machines, or what one says is over before the other hears it",
    )


def _span(milliseconds: int) -> str:
    """Say how long, in the two largest units."""
    minutes = round(milliseconds / 60_000)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
