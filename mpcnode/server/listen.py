"""The server on a socket: one port for WebSocket clients and for pages, started, stopped and put behind TLS."""

import asyncio
import contextlib
import signal
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, cast

import uvicorn
from uvicorn.server import ServerState

from mpcnode.errors import ConfigurationError
from mpcnode.server.config import ServerConfig
from mpcnode.server.door import Door, Page
from mpcnode.server.rooms import ROOMS, Rooms
from mpcnode.server.routes import pages
from mpcnode.server.switchboard import Switchboard
from mpcnode.server.websocket import Connection

_TICK_SECONDS: Final = 0.5
_BACKLOG: Final = 2048


async def serve(
    config: ServerConfig,
    *,
    on_ready: Callable[[str, int], None],
    stop: asyncio.Event | None = None,
    rooms: Rooms = ROOMS,
) -> None:
    """Run a signaling server until it is told to stop, then say goodbye to every client and return.

    Args:
        config: how.
        on_ready: called with the host and the port once connections are accepted.
        stop: ends the server when set. Without it, SIGTERM and SIGINT do; with it, signals are left alone.
        rooms: what is there, by paths.

    Raises:
        ConfigurationError: the address cannot be listened on, or an option does not make sense.
    """
    switchboard = Switchboard(config, rooms)
    server = _Server(_uvicorn_config(config, switchboard), switchboard, stop)
    sockets = await _listen(config)
    server.on_ready = lambda: on_ready(config.host, sockets[0].getsockname()[1])
    _raise_file_limit()
    try:
        async with asyncio.TaskGroup() as tasks:
            ticker = tasks.create_task(server.tick())
            await server.serve(sockets=sockets)
            ticker.cancel()
    finally:
        server.abort()
        for listener in sockets:
            listener.close()


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Give the faster event loop's factory where there is one, for ``asyncio.Runner``."""
    try:
        import uvloop  # noqa: PLC0415 # not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop


class _Server(uvicorn.Server):
    """uvicorn's server, stopped by an event as well, saying goodbye before it closes, and returning after a signal."""

    def __init__(self, config: uvicorn.Config, switchboard: Switchboard, stop: asyncio.Event | None) -> None:
        super().__init__(config)
        self._switchboard = switchboard
        self._signals = () if stop is not None else (signal.SIGTERM, signal.SIGINT)
        self._stop = stop or asyncio.Event()
        self.on_ready: Callable[[], None] = lambda: None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.server_state.default_headers = self.config.encoded_headers
        self.on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._switchboard.shutdown()
        await super().shutdown(sockets)

    async def main_loop(self) -> None:
        await self._stop.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM and SIGINT; uvicorn's own would raise them again after the goodbye."""
        loop = asyncio.get_running_loop()
        for number in self._signals:
            loop.add_signal_handler(number, self._stop.set)
        try:
            yield
        finally:
            for number in self._signals:
                loop.remove_signal_handler(number)

    async def tick(self) -> None:
        """Enforce what only time shows, for as long as the server runs."""
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            self._switchboard.tick()
            now, seconds = asyncio.get_running_loop().time(), self._switchboard.limits.register_seconds
            for connection in list(self.server_state.connections):
                if isinstance(connection, Door | Page):
                    connection.expire(now, seconds)

    def abort(self) -> None:
        """End what is left, where the server did not come to its own end."""
        for server in getattr(self, "servers", []):
            server.close()
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()


def _uvicorn_config(config: ServerConfig, switchboard: Switchboard) -> uvicorn.Config:
    held: set[object] = set()

    def connection(*, server_state: ServerState, **_unused: object) -> Connection:
        return Connection(switchboard, server_state)

    def door(
        *, config: uvicorn.Config, server_state: ServerState, app_state: dict[str, Any], **_unused: object
    ) -> Door:
        return Door(
            switchboard,
            held,
            server_state,
            websocket=lambda: Connection(switchboard, server_state),
            page=lambda: Page(config=config, server_state=server_state, app_state=app_state),
        )

    result = uvicorn.Config(
        pages(),
        http=cast("type[asyncio.Protocol]", door),
        # One request a connection, so that the limit on connections is one on requests.
        headers=[("Connection", "close")],
        ws=cast("type[asyncio.Protocol]", connection),
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=max(1, int(config.limits.close_seconds * 2)),
        ssl_certfile=config.certificate,
        ssl_keyfile=config.key,
    )
    if (config.certificate is None) != (config.key is None):
        raise ConfigurationError("a TLS certificate and its key come together")
    try:
        result.load()
    except (OSError, ssl.SSLError) as exc:
        raise ConfigurationError(
            f"the TLS certificate or its key cannot be used: {exc.strerror or 'not a PEM file'}",
            hint="give PEM files of a certificate chain and its unencrypted key",
        ) from exc
    return result


async def _listen(config: ServerConfig) -> list[socket.socket]:
    """Open the listening sockets: one for each address of the host, all with one port."""
    loop = asyncio.get_running_loop()
    where = f"{config.host!r} port {config.port}"
    sockets: list[socket.socket] = []
    try:
        found = await loop.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        port = config.port
        for family, _, _, _, address in dict.fromkeys(found):
            sockets.append(_bind(family, (address[0], port, *address[2:])))
            port = sockets[0].getsockname()[1]
    except (OSError, OverflowError) as exc:
        for opened in sockets:
            opened.close()
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else "no such address"
        raise ConfigurationError(
            f"cannot listen on {where}: {reason.lower()}", hint="choose another with --host or --port"
        ) from exc
    return sockets


def _bind(family: int, address: Sequence[Any]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.setblocking(False)
        listener.bind(tuple(address))
    except (OSError, OverflowError):
        listener.close()
        raise
    return listener


def _raise_file_limit() -> None:
    """Allow as many sockets as the system lets us: each client is one."""
    try:
        import resource  # noqa: PLC0415 # not on every platform
    except ImportError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
