"""What a room's machine has done: frames to queue for connections, and connections to close. Pure."""

import math
from typing import Final

import msgspec

POLICY_VIOLATION: Final = 1008
MESSAGE_TOO_BIG: Final = 1009
SERVICE_RESTART: Final = 1012
TRY_AGAIN_LATER: Final = 1013
NORMAL: Final = 1000
"""Close codes (RFC 6455, section 7.4, and IANA's registry)."""


class Send(msgspec.Struct, frozen=True, gc=False):
    """Queue one text frame for ``connection``; when its outbox is full, tell the machine with ``overflow`` instead."""

    connection: int
    frame: bytes


class Close(msgspec.Struct, frozen=True, gc=False):
    """Send ``frame``, whatever waits before it, then close; the machine has already forgotten the connection."""

    connection: int
    code: int
    reason: str
    frame: bytes


def said_wait(seconds: float) -> int:
    """Give ``retry_after`` in milliseconds, rounded up to tens: nobody needs it finer."""
    return max(10, math.ceil(seconds * 100) * 10)
