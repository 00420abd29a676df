"""The HTTP side of the port: pages by uvicorn, and WebSocket upgrades handed over as they came."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class HttpProtocol(H11Protocol):
    """uvicorn's HTTP protocol with the age of a connection, so that one which never asks anything can be closed.

    It hands a WebSocket upgrade over as it came. uvicorn would parse it and write it anew for ``Connection`` to parse
    it a second time, which is a quarter of what it costs to accept a client.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Note when the connection began."""
        super().connection_made(transport)
        self.born = self.loop.time()
        self._asked = False

    def data_received(self, data: bytes) -> None:
        """Take a request, or the beginning of one."""
        first, self._asked = not self._asked, True
        if not first or not _is_upgrade(data):
            super().data_received(data)
            return
        self._unset_keepalive_if_required()
        self.connections.discard(self)
        connection = self.ws_protocol_class(  # type: ignore[call-arg, misc] # as uvicorn makes it
            config=self.config, server_state=self.server_state, app_state=self.app_state
        )
        connection.connection_made(self.transport)
        self.transport.set_protocol(connection)
        connection.data_received(data)

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
