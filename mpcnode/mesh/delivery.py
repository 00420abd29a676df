"""What is said on one link that may be built again: numbers, acknowledgements, pieces, and what is said once more.

No I/O. PROTOCOL, Messages on a link, has the same rules, and the limits.

*Numbers.* Each direction counts its messages from 1 in the order in which they begin on the channel; the number is the
``msg_id``. An ``ack`` has none and is never said again.

*Long and short.* A message that does not fit one frame is sent in pieces, one long message at a time. A short message
goes between the pieces. Messages of one session keep their order all the same: a short one waits here for a long one
of its own session. Pings, acknowledgements and aborts wait for nothing.

*Flow control.* At most ``framing.WINDOW`` pieces are on their way; the other side reports the pieces it took. So a
short message waits behind a window and never behind the rest of a long message, what the data channel buffers is
bounded, and so is what SCTP has in flight: aiortc heeds neither its peer's window nor the size of the sockets' buffers,
and a burst that overflows them costs it seconds.

*Acknowledgements.* A ``ping`` is acknowledged at once. The ``ack`` of number k says that k was taken and everything
whose last frame was sent before k's, because the channel is reliable and ordered. What must be heard is followed by a
ping.

*A new channel.* What was not acknowledged is kept, and begins again on a new channel, in the order of its numbers; a
long message begins from its first piece. The other side drops what it has. Only here may a short message wait for a
long one of another session: where both were sent, and not acknowledged, when the channel was lost.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from mpcnode.errors import DecodeError
from mpcnode.wire import framing
from mpcnode.wire import peer as wire
from mpcnode.wire.peer import Abort, Ack, PeerMessage, Ping

MAX_UNACKED: Final = 33_554_432
"""How many bytes are kept for a peer, sent or not, until it acknowledges them: seven of the longest messages."""

_ROOM_FOR_NUMBER: Final = 16
"""A message so much shorter than a frame fits one whatever its number is."""


@dataclass(slots=True)
class _Waiting:
    """A message without a number."""

    message: PeerMessage
    data: bytes
    """Encoded with the number it would have had."""
    number: int
    heard: bool

    @property
    def long(self) -> bool:
        return len(self.data) > framing.FRAME_SIZE - _ROOM_FOR_NUMBER

    @property
    def session(self) -> object:
        """What its order is kept in; None where it waits for nothing."""
        return None if isinstance(self.message, Abort) else getattr(self.message, "session_id", None)


@dataclass(slots=True)
class _Kept:
    """A message with a number, until it is acknowledged."""

    number: int
    data: bytes
    session: object
    long: bool
    heard: bool
    asked_at: float | None
    """When it was sent, where its ``ack`` measures the round trip."""
    sent: int = 0
    """Its place in the order in which last frames were sent on the present channel; 0 before that."""


class Outgoing:
    """One direction of one link: what is to be said, in frames."""

    def __init__(self) -> None:
        self.round_trip: float | None = None
        """The last measured round-trip time, in seconds."""
        self.ask = False
        """Whether a ping is wanted: something that must be heard was sent after the last one."""
        self._number = 0
        self._sent = 0
        self._bytes = 0
        self._waiting: deque[_Waiting] = deque()
        self._kept: dict[int, _Kept] = {}
        self._due: deque[_Kept] = deque()
        """What has a number and did not begin on the present channel."""
        self._replies: deque[bytes] = deque()
        """Acknowledgements and reports, which have no number."""
        self._under_way: tuple[_Kept, deque[bytes]] | None = None
        self._pieces_sent = self._pieces_taken = 0
        """On the present channel."""

    def send(self, message: PeerMessage, now: float, *, heard: bool = False) -> None:
        """Take ``message``, to be given out by ``frames``.

        Raises:
            BufferError: the peer has not acknowledged ``MAX_UNACKED`` bytes.
            ValueError: the message is longer than any may be; a mistake of the caller.
        """
        number = self._number + 1
        data = wire.encode(message, number)
        if len(data) > framing.MAX_MESSAGE:
            raise ValueError(f"a message is at most {framing.MAX_MESSAGE} bytes long")
        if self._bytes + len(data) > MAX_UNACKED:
            raise BufferError("the peer does not acknowledge what is sent")
        self._bytes += len(data)
        if isinstance(message, Ping):
            self.ask = False
        self._waiting.append(_Waiting(message, data, number, heard))
        self._admit(now, long=False)

    def acknowledge(self, number: int) -> None:
        """Have the peer's message of this number acknowledged."""
        self._replies.append(wire.encode(Ack(number)))

    def report(self, pieces: int) -> None:
        """Have it reported how many of the peer's pieces were taken on the present channel."""
        self._replies.append(framing.report(pieces))

    def reported(self, pieces: int) -> None:
        """The peer took so many pieces on the present channel.

        Raises:
            DecodeError: so many were not sent, or it reported more before.
        """
        if not self._pieces_taken <= pieces <= self._pieces_sent:
            raise DecodeError("a report of pieces that were not sent")
        self._pieces_taken = pieces

    def acknowledged(self, number: int, now: float) -> None:
        """The peer took message ``number`` and whatever was sent before it.

        Raises:
            DecodeError: that message was not sent.
        """
        heard = self._kept.get(number)
        if number > self._number or (heard is not None and not heard.sent):
            raise DecodeError("an acknowledgement of what was not sent")
        if heard is None:
            return
        if heard.asked_at is not None:
            self.round_trip = now - heard.asked_at
        for kept in [kept for kept in self._kept.values() if 0 < kept.sent <= heard.sent]:
            del self._kept[kept.number]
            self._bytes -= len(kept.data)

    def new_channel(self) -> None:
        """Go over to a new channel: what was not acknowledged begins again."""
        self._sent = 0
        self._replies.clear()
        self._under_way = None
        self._pieces_sent = self._pieces_taken = 0
        for kept in self._kept.values():
            kept.sent = 0
            kept.asked_at = None  # the time to the acknowledgement would say nothing about the way there
        self._due = deque(self._kept.values())  # a dict keeps its order, here that of the numbers
        self.ask = any(kept.heard for kept in self._due)

    def frames(self, now: float) -> Iterator[bytes]:
        """Give what is to be sent now: every short message, and pieces of a long one while there is room for them."""
        while True:
            while self._replies:
                yield self._replies.popleft()
            room = self._pieces_sent - self._pieces_taken < framing.WINDOW
            if not self._due and room:
                self._admit(now, long=True)
            if self._due and self._may_begin(self._due[0], room=room):
                yield self._begin(self._due.popleft())
            elif self._under_way is not None and room:
                yield self._next(*self._under_way)
            else:
                return

    @property
    def unacked(self) -> bool:
        """Whether anything may not have been taken by the peer."""
        return bool(self._kept or self._waiting)

    @property
    def owes(self) -> bool:
        """Whether anything that must be heard was not acknowledged."""
        return any(one.heard for one in self._waiting) or any(kept.heard for kept in self._kept.values())

    def _admit(self, now: float, *, long: bool) -> None:
        """Give numbers to what may begin: short messages whose session is not held up, and one ``long`` one."""
        if not self._waiting:
            return
        held = [kept for kept in self._due if kept.long] + ([self._under_way[0]] if self._under_way else [])
        sessions, may_begin = {kept.session for kept in held}, long and not held
        still: deque[_Waiting] = deque()
        for one in self._waiting:
            held_up = one.session is not None and one.session in sessions
            if held_up or (one.long and not may_begin):
                still.append(one)
            else:
                self._keep(one, now)
            if one.long:
                may_begin = False
                sessions.add(one.session)
        self._waiting = still

    def _keep(self, one: _Waiting, now: float) -> None:
        self._number += 1
        data = one.data if one.number == self._number else wire.encode(one.message, self._number)
        self._bytes += len(data) - len(one.data)
        asked_at = now if isinstance(one.message, Ping) else None
        kept = _Kept(self._number, data, one.session, one.long, one.heard, asked_at)
        self._kept[self._number] = kept
        self._due.append(kept)

    def _may_begin(self, kept: _Kept, *, room: bool) -> bool:
        """Say whether a message with a number may begin; what has a higher number waits with it."""
        if self._under_way is None:
            return room or not kept.long
        # After a new channel, a short message may stand behind a long one of its own session.
        return not kept.long and (kept.session is None or kept.session != self._under_way[0].session)

    def _begin(self, kept: _Kept) -> bytes:
        frames = framing.split(kept.data)
        if len(frames) == 1:
            self._complete(kept)
            return frames[0]
        self._under_way = kept, deque(frames[1:])
        self._pieces_sent += 1
        return frames[0]

    def _next(self, kept: _Kept, pieces: deque[bytes]) -> bytes:
        frame = pieces.popleft()
        self._pieces_sent += 1
        if not pieces:
            self._under_way = None
            self._complete(kept)
        return frame

    def _complete(self, kept: _Kept) -> None:
        self._sent += 1
        kept.sent = self._sent
        self.ask = self.ask or kept.heard


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of one frame.

    Args:
        message: to be passed on, where the frame completed one that is new.
        acknowledged: whether the peer acknowledged something.
    """

    message: PeerMessage | None = None
    acknowledged: bool = False


class Incoming:
    """The other direction: frames put together, and their messages held to the order of their numbers."""

    def __init__(self) -> None:
        self._joiner = framing.Joiner()
        self.pieces = 0
        """How many pieces were taken on the present channel."""
        self._highest = 0
        """The highest number taken."""
        self._missing: int | None = None
        """The one number below it that was not: a long message that others overtook."""
        self._last = 0
        """The highest number of the present channel."""
        self._before = 0
        """The highest number that came before the first piece of the long message under way."""

    def new_channel(self) -> None:
        """Go over to a new channel: half of a message is worth nothing."""
        self._joiner = framing.Joiner()
        self.pieces = self._last = self._before = 0

    def feed(self, frame: bytes) -> bytes | None:
        """Take a frame; give the message that it completes.

        Raises:
            DecodeError: no honest node sends that frame here.
        """
        under_way = self._joiner.under_way
        data = self._joiner.feed(frame)
        if self._joiner.under_way and not under_way:
            self._before = self._last
        if data is not frame:
            self.pieces += 1
        return data

    def is_new(self, number: int, *, long: bool) -> bool:
        """Take the number of a complete message.

        Args:
            number: its number.
            long: whether it came in pieces, so that others may have overtaken it.

        Returns:
            False where the message was taken before, on an earlier channel.

        Raises:
            DecodeError: no message of that number can come now.
        """
        if number <= (self._before if long else self._last):
            raise DecodeError("a message out of order")
        self._last = max(self._last, number)
        if number == self._missing:
            self._missing = None
            return True
        if number <= self._highest:
            return False
        # Only a long message that is under way may be overtaken.
        overtaken = [] if self._missing is None else [self._missing]
        overtaken += range(self._highest + 1, min(number, self._highest + 3))
        if len(overtaken) > (1 if self._joiner.under_way else 0):
            raise DecodeError("a message out of order")
        self._missing = overtaken[0] if overtaken else None
        self._highest = number
        return True


class Delivery:
    """Both directions of one link, over all its channels."""

    def __init__(self) -> None:
        self.outgoing = Outgoing()
        self.incoming = Incoming()

    def new_channel(self) -> None:
        """Go over to a new channel, whose first message was taken elsewhere."""
        self.outgoing.new_channel()
        self.incoming.new_channel()

    def receive(self, frame: bytes, now: float) -> Taken:
        """Take one frame.

        Raises:
            DecodeError: it is not a frame, completes no message, or one that cannot come now.
        """
        pieces = framing.read_report(frame)
        if pieces is not None:
            self.outgoing.reported(pieces)
            return Taken()
        before = self.incoming.pieces
        data = self.incoming.feed(frame)
        if self.incoming.pieces != before and self.incoming.pieces % framing.REPORT_AFTER == 0:
            self.outgoing.report(self.incoming.pieces)
        if data is None:
            return Taken()
        message, number = wire.decode(data)
        if isinstance(message, Ack):
            if number is not None:
                raise DecodeError("an acknowledgement with a number of its own")
            self.outgoing.acknowledged(message.msg_id, now)
            return Taken(acknowledged=True)
        if number is None:
            raise DecodeError("a message without a number")
        is_new = self.incoming.is_new(number, long=len(data) > framing.FRAME_SIZE)
        if isinstance(message, Ping):
            self.outgoing.acknowledge(number)
            return Taken()
        return Taken(message if is_new else None)
