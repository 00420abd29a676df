"""What waits for the signaling server: a line for each peer, so that none of them waits for another's messages. Pure.

Peers of a session that goes on come first, then those this node knows, each class in turns. Strangers come last: they
have a bounded place together and only the part of the pace that nobody else is likely to need (``signaling.client``).
What finds no place takes that of whoever fills most of it.
"""

from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from mpcnode.types import PeerId

MAX_BYTES: Final = 4 * 1024 * 1024
MAX_STRANGERS_BYTES: Final = 256 * 1024
MAX_SENT: Final = 16
"""How many of the frames that went are remembered, in case that their peer was busy."""
RETRIES: Final = 8


class Standing(IntEnum):
    """How urgent it is what a peer is told."""

    LIVE = 0
    """It is in a session with this node."""
    KNOWN = 1
    STRANGER = 2


class _Line:
    """What waits for one peer, in order."""

    def __init__(self) -> None:
        self.frames: deque[bytes] = deque()
        self.bytes = 0

    def append(self, frame: bytes) -> None:
        self.frames.append(frame)
        self.bytes += len(frame)


@dataclass(frozen=True, slots=True)
class _Sent:
    """One of the latest frames that went, and how often it was refused before."""

    to: PeerId
    frame: bytes
    standing: Standing
    tries: int


class Outbox:
    """Lines of frames; ``next`` shows the one whose turn it is, ``sent`` takes it out."""

    def __init__(self) -> None:
        self._lines: dict[Standing, dict[PeerId | None, _Line]] = {standing: {} for standing in Standing}
        self._shown: PeerId | None = None
        self._sent: deque[_Sent] = deque(maxlen=MAX_SENT)
        self._refused: dict[PeerId, list[_Sent]] = {}
        self._tries: dict[bytes, int] = {}
        """How often what waits was refused."""

    def waits(self, *, strangers: bool) -> bool:
        """Whether anything waits, or anything for others than strangers."""
        return any(lines for standing, lines in self._lines.items() if strangers or standing is not Standing.STRANGER)

    def put(self, to: PeerId | None, frame: bytes, standing: Standing) -> PeerId | None:
        """Add a frame for a peer, or for the server itself (None); all that waits for a peer has its latest standing.

        Returns:
            The peer for which there was no place: its newest frame is dropped. None where there is place for all.
        """
        if to not in self._lines[standing]:
            before = next((lines.pop(to) for lines in self._lines.values() if to in lines), None)
            self._lines[standing][to] = before or _Line()
        self._lines[standing][to].append(frame)
        return self._drop(strangers=standing is Standing.STRANGER)

    def next(self, *, strangers: bool) -> bytes | None:
        """Show the frame whose turn it is; None where nothing waits, or nothing but for strangers."""
        for standing, lines in self._lines.items():
            if lines and (strangers or standing is not Standing.STRANGER):
                self._shown, line = next(iter(lines.items()))
                return line.frames[0]
        return None

    def sent(self, frame: bytes) -> None:
        """Take out the frame that was shown last, if it was not dropped; its peer waits for another turn."""
        for standing, lines in self._lines.items():
            line = lines.get(self._shown)
            if line and line.frames[0] is frame:
                if self._shown is not None:
                    self._sent.append(_Sent(self._shown, frame, standing, self._tries.pop(frame, 0)))
                line.bytes -= len(line.frames.popleft())
                del lines[self._shown]
                if line.frames:
                    lines[self._shown] = line

    def take_back(self, to: PeerId) -> int:
        """Take back what was sent to a peer of late: one of it was refused, and nobody says which.

        Returns:
            How often it was now taken back; 0 where nothing was, or that was done often enough.
        """
        back = [one for one in self._sent if one.to == to]
        self._sent = deque((one for one in self._sent if one.to != to), maxlen=MAX_SENT)
        tries = 1 + max((one.tries for one in back), default=0)
        if not back or tries > RETRIES:
            return 0
        self._refused[to] = [*self._refused.get(to, []), *back][-MAX_SENT:]
        return tries

    def again(self, to: PeerId) -> None:
        """Put what was taken back into the line of its peer, before what waits there."""
        for one in reversed(self._refused.pop(to, [])):
            self._tries[one.frame] = one.tries + 1
            standing = next((at for at, lines in self._lines.items() if to in lines), one.standing)
            line = self._lines[standing].setdefault(to, _Line())
            line.frames.appendleft(one.frame)
            line.bytes += len(one.frame)
            self._drop(strangers=standing is Standing.STRANGER)

    def _drop(self, *, strangers: bool) -> PeerId | None:
        classes = [Standing.STRANGER] if strangers else [Standing.LIVE, Standing.KNOWN]
        lines = {to: line for one in classes for to, line in self._lines[one].items()}
        if sum(line.bytes for line in lines.values()) <= (MAX_STRANGERS_BYTES if strangers else MAX_BYTES):
            return None
        longest = max(lines, key=lambda to: lines[to].bytes)
        dropped = lines[longest].frames.pop()
        lines[longest].bytes -= len(dropped)
        self._tries.pop(dropped, None)
        if not lines[longest].frames:
            for one in classes:
                self._lines[one].pop(longest, None)
        return longest
