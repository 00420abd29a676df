"""In-order delivery on one link that may be built again: numbers, acknowledgements and what to say once more.

Each direction counts its messages from 1; the number is the ``msg_id``. A channel is reliable and ordered, so an
``ack`` of number k says that everything up to k was taken. What is not acknowledged is kept, and said again first
thing on a new channel; the other side drops what it has. ``ack`` itself has no number and is never said again.
"""

import re
from collections import deque
from dataclasses import dataclass
from typing import Final

from mpcnode.errors import DecodeError
from mpcnode.wire import peer as wire
from mpcnode.wire.peer import Ack, PeerMessage, Ping

MAX_UNACKED: Final = 1_048_576
"""How many bytes are kept for a peer that acknowledges nothing; many times what a session sends in two seconds."""

_NUMBER: Final = re.compile(r"[1-9][0-9]{0,15}")


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of one message.

    Args:
        message: to be passed on; None where it was an ``ack`` or a repetition.
        reply: to be sent back, where an ``ack`` is due.
        round_trip: seconds, where it was the ``ack`` of a ``ping``.
    """

    message: PeerMessage | None = None
    reply: bytes | None = None
    round_trip: float | None = None


@dataclass(frozen=True, slots=True)
class _Kept:
    number: int
    data: bytes
    last_words: bool
    """Whether a node must not leave before this is acknowledged."""
    sent_at: float | None
    """When it was sent, where its ``ack`` measures the round trip."""


class Delivery:
    """Both directions of one link, over all its channels."""

    def __init__(self) -> None:
        self._sent = 0
        self._kept: deque[_Kept] = deque()
        self._kept_bytes = 0
        self._taken = 0
        self._channel_at: int | None = None
        """The number of the last message on the present channel; None before its first."""

    def send(self, message: PeerMessage, now: float) -> bytes:
        """Number and keep ``message``.

        Returns:
            Its bytes, to be sent if there is a channel.

        Raises:
            BufferError: the peer has not acknowledged ``MAX_UNACKED`` bytes.
        """
        data = wire.encode(message, str(self._sent + 1))
        if self._kept_bytes + len(data) > MAX_UNACKED:
            raise BufferError("the peer does not acknowledge what is sent")
        self._sent += 1
        self._kept_bytes += len(data)
        is_ping = isinstance(message, Ping)
        last_words = isinstance(message, wire.NEEDS_ACK) and not is_ping
        self._kept.append(_Kept(self._sent, data, last_words, now if is_ping else None))
        return data

    def new_channel(self) -> list[bytes]:
        """Go over to a new channel; what is returned must be sent on it before anything else."""
        self._channel_at = None
        # The time to the acknowledgement of a ping said again says nothing about the way there.
        self._kept = deque(_Kept(kept.number, kept.data, kept.last_words, None) for kept in self._kept)
        return [kept.data for kept in self._kept]

    def receive(self, data: bytes, now: float) -> Taken:
        """Take one message.

        Raises:
            DecodeError: no message, or not one that can come now.
        """
        message, msg_id = wire.decode(data)
        if isinstance(message, Ack):
            if msg_id is not None:
                raise DecodeError("an acknowledgement with a number of its own")
            return Taken(round_trip=self._acknowledged(_number(message.msg_id), now))
        number = _number(msg_id)
        first = self._channel_at is None
        if number > self._taken + 1 or not (first or number == (self._channel_at or 0) + 1):
            raise DecodeError("a message out of order")
        self._channel_at = number
        reply = wire.encode(Ack(str(number))) if isinstance(message, wire.NEEDS_ACK) else None
        if number <= self._taken:
            return Taken(reply=reply)
        self._taken = number
        return Taken(message, reply)

    @property
    def unacked(self) -> bool:
        """Whether anything sent may not have been taken."""
        return bool(self._kept)

    @property
    def last_words_unacked(self) -> bool:
        """Whether anything a node must not leave before was not acknowledged."""
        return any(kept.last_words for kept in self._kept)

    def _acknowledged(self, number: int, now: float) -> float | None:
        if number > self._sent:
            raise DecodeError("an acknowledgement of what was never sent")
        round_trip = None
        while self._kept and self._kept[0].number <= number:
            kept = self._kept.popleft()
            self._kept_bytes -= len(kept.data)
            if kept.number == number and kept.sent_at is not None:
                round_trip = now - kept.sent_at
        return round_trip


def _number(text: str | None) -> int:
    if text is None or not _NUMBER.fullmatch(text):
        raise DecodeError("a message without a number")
    return int(text)
