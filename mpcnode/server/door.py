"""What stands at the port: a new connection is admitted or not, and goes on as a WebSocket or as a page."""

import asyncio
import json
import math
from collections.abc import Callable
from typing import Final, Protocol, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from mpcnode.server.turns import Turns
from mpcnode.server.websocket import Connection

_LINGER_SECONDS: Final = 0.5
_HELD_SECONDS: Final = 1.0
_HELD: Final = 1024


class Gate(Protocol):
    """What decides on new connections."""

    turns: Turns

    def admit(self, address: str) -> float | None:
        """Say how many seconds too early a connection of ``address`` comes; None where it is worth no answer."""


class Door(asyncio.Protocol):
    """A new connection, until its first bytes are there.

    A WebSocket upgrade is handed over as it came. uvicorn would parse it and write it anew for ``Connection`` to parse
    it a second time, which is a quarter of what it costs to accept a client.

    Args:
        gate: decides whether the connection is welcome.
        held: the connections that are kept waiting for their end; every door of a server has the same.
        state: uvicorn's set of connections.
        websocket: makes a connection of it.
        page: makes a request for a page of it.
    """

    __slots__ = ("_born", "_first", "_gate", "_held", "_loop", "_page", "_state", "_wait", "_websocket", "transport")

    def __init__(
        self,
        gate: Gate,
        held: set[object],
        state: ServerState,
        websocket: Callable[[], Connection],
        page: Callable[[], "Page"],
    ) -> None:
        self.transport: asyncio.Transport
        self._gate = gate
        self._held = held
        self._state = state
        self._first = b""
        self._websocket = websocket
        self._page = page
        self._wait = 0.0
        self._loop = asyncio.get_running_loop()
        self._born = self._loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask whether this connection is welcome, before anything is read from it."""
        self.transport = cast("asyncio.Transport", transport)
        name = transport.get_extra_info("peername")
        wait = self._gate.admit(str(name[0]) if isinstance(name, tuple) else "")
        self._state.connections.add(self)  # type: ignore[arg-type] # uvicorn names its own
        if wait is not None:
            self._wait = wait
        elif len(self._held) < _HELD:
            # A client that connects again as soon as it is sent away has to wait for that.
            self._held.add(self)
            self._loop.call_later(_HELD_SECONDS, self.transport.abort)
        else:
            self.transport.abort()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Forget everything."""
        self._held.discard(self)
        self._state.connections.discard(self)

    def shutdown(self) -> None:
        """End; uvicorn calls it when the server stops."""
        self.transport.abort()

    def expire(self, now: float, seconds: float) -> None:
        """Abort where nothing came in ``seconds``."""
        if now - self._born > seconds:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take the first bytes, and step aside."""
        if self.transport.is_closing():
            return
        if self in self._held:
            self.transport.pause_reading()
            return
        if self._first:
            self._first += data
        elif _is_upgrade(data):
            # Accepting a client is the longest thing that a read can lead to, and many may come together.
            self._first = data
            self._gate.turns.soon(self._accept)
        elif self._wait:
            self._refuse()
        else:
            page = self._page()
            page.born = self._born
            self._hand_over(page, data)

    def _accept(self) -> None:
        """Make a WebSocket of it, where it is still there."""
        if self.transport.is_closing():
            return
        connection = self._websocket()
        connection.wait = self._wait
        self._hand_over(connection, self._first)

    def _hand_over(self, protocol: asyncio.Protocol, data: bytes) -> None:
        self._state.connections.discard(self)
        protocol.connection_made(self.transport)
        self.transport.set_protocol(protocol)
        protocol.data_received(data)

    def _refuse(self) -> None:
        """Tell a request for a page that its address comes too often (RFC 6585, section 4)."""
        seconds = max(1, math.ceil(self._wait))
        body = json.dumps({"error": "too many connections", "code": "too_many_connections"}).encode()
        self.transport.pause_reading()
        self.transport.write(
            b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nConnection: close\r\n"
            b"Retry-After: %d\r\nContent-Length: %d\r\n\r\n%b" % (seconds, len(body), body)
        )
        self._loop.call_later(_LINGER_SECONDS, self.transport.abort)


class Page(H11Protocol):
    """uvicorn's HTTP protocol for one request: a connection that never asks a whole one is ended."""

    born = 0.0

    def expire(self, now: float, seconds: float) -> None:
        """Abort where no whole request came in ``seconds``."""
        if self.conn.their_state is h11.IDLE and now - self.born > seconds:
            self.transport.abort()


def _is_upgrade(data: bytes) -> bool:
    """Say whether this is one whole request for a WebSocket as clients usually write it; ``Connection`` judges it."""
    head = data.lower()
    return (
        head.startswith(b"get ")
        and head.find(b"\r\n\r\n") == len(head) - 4
        and b"\r\nupgrade: websocket\r\n" in head
        and b"\r\nconnection: upgrade\r\n" in head
    )
