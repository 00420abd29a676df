"""Split and join what exceeds one data-channel message (PROTOCOL, Messages on a link).

A message that fits goes as it is: JSON, so its first byte is ``{``. A longer one goes in pieces: the first is
``0x01 || length of the whole (4 bytes, big-endian) || data``, every other ``0x02 || data``. All pieces but the last are
exactly ``FRAME_SIZE`` long, so that a message has one encoding. The channel is reliable and ordered. A message that
fits may come between the pieces of a longer one; the pieces of two messages never mix, so one partial message is all a
receiver ever holds.

After every ``REPORT_AFTER`` pieces the receiver reports ``0x03 || number of pieces it took on this channel (4 bytes,
big-endian)``, and a sender has at most ``WINDOW`` pieces on their way that were not reported.
"""

from typing import Final

from mpcnode.errors import DecodeError

FRAME_SIZE: Final = 16_384
"""The longest data-channel message every WebRTC implementation takes (RFC 8831, section 6.6)."""
MAX_MESSAGE: Final = 4_202_496
"""The longest message: 2 MiB of round data in hexadecimal, and 8 KiB for all that stands around it."""

WINDOW: Final = 6
"""How many pieces may be on their way; the system's usual buffer of a socket, 208 KiB, has room for them."""
REPORT_AFTER: Final = 3

_FIRST: Final = 0x01
_NEXT: Final = 0x02
_REPORT: Final = 0x03
_OPENING: Final = ord("{")
_FIRST_HEADER: Final = 5


def split(message: bytes) -> list[bytes]:
    """Split ``message`` into frames of at most ``FRAME_SIZE`` bytes.

    Args:
        message: an encoded message, JSON, at most ``MAX_MESSAGE`` bytes.

    Raises:
        ValueError: ``message`` is too long or not a JSON object; a mistake of the caller.
    """
    if not message or message[0] != _OPENING or len(message) > MAX_MESSAGE:
        raise ValueError(f"a message is a JSON object of at most {MAX_MESSAGE} bytes")
    if len(message) <= FRAME_SIZE:
        return [message]
    taken = FRAME_SIZE - _FIRST_HEADER
    frames = [bytes([_FIRST]) + len(message).to_bytes(4, "big") + message[:taken]]
    step = FRAME_SIZE - 1
    frames += [bytes([_NEXT]) + message[start : start + step] for start in range(taken, len(message), step)]
    return frames


def report(pieces: int) -> bytes:
    """Say how many pieces were taken on the present channel."""
    return bytes([_REPORT]) + pieces.to_bytes(4, "big")


def read_report(frame: bytes) -> int | None:
    """Read how many pieces the other side took; None where the frame is not a report."""
    if len(frame) != _FIRST_HEADER or frame[0] != _REPORT:
        return None
    return int.from_bytes(frame[1:], "big")


class Joiner:
    """Puts frames together again; holds at most one partial message, never more than ``MAX_MESSAGE`` bytes of it."""

    def __init__(self) -> None:
        self._expected = 0
        self._partial = bytearray()

    @property
    def under_way(self) -> bool:
        """Whether there are pieces of a message whose last one has not come."""
        return self._expected > 0

    def feed(self, frame: bytes) -> bytes | None:
        """Take the next frame.

        Returns:
            The message it completes, or None where more is to come.

        Raises:
            DecodeError: no sender that follows this page sends that; the joiner must not be fed again.
        """
        if not frame or len(frame) > FRAME_SIZE:
            raise DecodeError(f"a frame has 1 to {FRAME_SIZE} bytes")
        match frame[0]:
            case 0x7B:
                return frame
            case 0x01 if not self._expected:
                self._first(frame)
                return None
            case 0x02 if self._expected:
                return self._next(frame)
            case _:
                raise DecodeError("a frame that cannot come here")

    def _first(self, frame: bytes) -> None:
        length = int.from_bytes(frame[1:_FIRST_HEADER], "big")
        if not FRAME_SIZE < length <= MAX_MESSAGE or len(frame) != FRAME_SIZE:
            raise DecodeError("a first piece of the wrong size")
        if frame[_FIRST_HEADER] != _OPENING:
            raise DecodeError("a message in pieces that is not a JSON object")
        self._expected = length
        self._partial += frame[_FIRST_HEADER:]

    def _next(self, frame: bytes) -> bytes | None:
        missing = self._expected - len(self._partial)
        if len(frame) - 1 != min(missing, FRAME_SIZE - 1):
            raise DecodeError("a piece of the wrong size")
        self._partial += frame[1:]
        if len(self._partial) < self._expected:
            return None
        message = bytes(self._partial)
        self._expected = 0
        self._partial.clear()
        return message
