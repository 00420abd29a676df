"""How a client reaches a server: one WebSocket connection, for whatever room of the server it is."""

from collections.abc import Sequence
from ssl import SSLContext
from typing import Final
from urllib.parse import urlsplit

from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

CLOSE_SECONDS: Final = 2.0

_FRAME_BYTES: Final = 1024 * 1024
_PING_SECONDS: Final = 10.0


def dial(url: str, ssl: SSLContext | None, subprotocols: Sequence[str] = ()) -> connect:
    """Give a connection to enter; the caller has the deadline for it.

    Args:
        url: ``ws://`` or ``wss://``.
        ssl: the context for ``wss``.
        subprotocols: what this client speaks.
    """
    host = urlsplit(url).hostname or ""
    return connect(
        url,
        subprotocols=[Subprotocol(name) for name in subprotocols] or None,
        compression=None,
        # A proxy is for the way out of a network; this machine is not on that way.
        proxy=None if host in {"localhost", "127.0.0.1", "::1"} else True,
        ssl=ssl,
        open_timeout=None,
        ping_interval=_PING_SECONDS,
        ping_timeout=_PING_SECONDS,
        close_timeout=CLOSE_SECONDS,
        max_size=_FRAME_BYTES,
    )
