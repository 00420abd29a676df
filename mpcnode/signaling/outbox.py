"""What waits for the signaling server: a line for each peer, so that none of them waits for another's messages. Pure.

Peers of a session that goes on come first, then those this node knows, each class in turns. Strangers come last: they
have a bounded place together and only the part of the pace that nobody else is likely to need (``signaling.client``).
What finds no place takes that of whoever fills most of it.
"""

from collections import deque
from enum import IntEnum
from typing import Final

from mpcnode.types import PeerId

MAX_BYTES: Final = 4 * 1024 * 1024
MAX_STRANGERS_BYTES: Final = 256 * 1024


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


class Outbox:
    """Lines of frames; ``next`` shows the one whose turn it is, ``sent`` takes it out."""

    def __init__(self) -> None:
        self._lines: dict[Standing, dict[PeerId | None, _Line]] = {standing: {} for standing in Standing}
        self._shown: PeerId | None = None

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
        for lines in self._lines.values():
            line = lines.get(self._shown)
            if line and line.frames[0] is frame:
                line.bytes -= len(line.frames.popleft())
                del lines[self._shown]
                if line.frames:
                    lines[self._shown] = line

    def _drop(self, *, strangers: bool) -> PeerId | None:
        classes = [Standing.STRANGER] if strangers else [Standing.LIVE, Standing.KNOWN]
        lines = {to: line for one in classes for to, line in self._lines[one].items()}
        if sum(line.bytes for line in lines.values()) <= (MAX_STRANGERS_BYTES if strangers else MAX_BYTES):
            return None
        longest = max(lines, key=lambda to: lines[to].bytes)
        lines[longest].bytes -= len(lines[longest].frames.pop())
        if not lines[longest].frames:
            for one in classes:
                self._lines[one].pop(longest, None)
        return longest
