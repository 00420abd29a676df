"""The signaling server on a socket: one port for WebSocket clients, ``GET /healthz`` and pages."""

import asyncio
import contextlib
import ipaddress
import itertools
import os
import signal
import socket
import ssl
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse
from starlette.routing import Route
from uvicorn.server import ServerState
from websockets.http11 import Request

from mpcnode import __version__
from mpcnode.errors import ConfigurationError
from mpcnode.signaling.connection import Connection
from mpcnode.signaling.http import HttpProtocol
from mpcnode.signaling.hub import Action, Hub, Send
from mpcnode.signaling.limits import Limits
from mpcnode.wire.signaling import IceServer, origin_of

_TICK_SECONDS: Final = 0.5
_BACKLOG: Final = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """How to run a signaling server.

    Args:
        host: the address or name to listen on.
        port: the TCP port; 0 takes a free one.
        limits: what one client may cost.
        ice_servers: STUN and TURN servers to offer in ``welcome``.
        origins: what clients call this server, such as ``wss://mpc.example``; a registration with a key must be
            signed for one of them. Empty: whatever the client says it dialled, which does not keep another server
            from passing a registration on.
        certificate: PEM file of the TLS certificate chain; with ``key``, or neither.
        key: PEM file of its private key.
        trusted_proxies: addresses or networks whose ``X-Forwarded-For`` and ``X-Forwarded-Proto`` are believed.
    """

    host: str = "127.0.0.1"
    port: int = 9000
    limits: Limits = field(default_factory=Limits)
    ice_servers: tuple[IceServer, ...] = ()
    origins: tuple[str, ...] = ()
    certificate: Path | None = None
    key: Path | None = None
    trusted_proxies: tuple[str, ...] = ()


async def serve(
    config: ServerConfig, *, on_ready: Callable[[str, int], None], stop: asyncio.Event | None = None
) -> None:
    """Run a signaling server until it is told to stop, then say goodbye to every client and return.

    Args:
        config: how.
        on_ready: called with the host and the port once connections are accepted.
        stop: ends the server when set. Without it, SIGTERM and SIGINT do; with it, signals are left alone.

    Raises:
        ConfigurationError: the address cannot be listened on, or an option does not make sense.
    """
    switchboard = _Switchboard(config)
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


class _Switchboard:
    """Joins connections and the hub: numbers them, passes calls in and carries actions out."""

    def __init__(self, config: ServerConfig) -> None:
        self.limits = config.limits
        self._origins = tuple(_check_origin(origin) for origin in config.origins)
        self._proxies = tuple(_check_network(proxy) for proxy in config.trusted_proxies)
        self._hub = Hub(config.limits, version=__version__, rng=os.urandom, ice_servers=config.ice_servers)
        self._connections: dict[int, Connection] = {}
        self._numbers = itertools.count(1)
        self._waiting: deque[Action] = deque()
        self._acting = False
        self._time = asyncio.get_running_loop().time

    def opened(self, connection: Connection, request: Request) -> None:
        connection.number = next(self._numbers)
        self._connections[connection.number] = connection
        address, scheme = self._seen_from(connection, request)
        # Only a client of the subprotocol signs anything.
        origins = (self._origins or _origin_dialled(scheme, request)) if connection.extended else ()
        self._act(
            self._hub.connect(
                connection.number,
                address=address,
                extended=connection.extended,
                origins=origins,
                now=self._time(),
            )
        )

    def text(self, connection: Connection, frame: bytes) -> None:
        self._act(self._hub.receive(connection.number, frame, self._time()))

    def binary(self, connection: Connection) -> None:
        self._act(self._hub.receive_binary(connection.number, self._time()))

    def control(self, connection: Connection) -> None:
        self._act(self._hub.receive_control(connection.number, self._time()))

    def too_big(self, connection: Connection) -> None:
        self._act(self._hub.too_big(connection.number))

    def overflow(self, connection: Connection) -> None:
        self._act(self._hub.overflow(connection.number))

    def closed(self, connection: Connection) -> None:
        self._connections.pop(connection.number, None)
        self._act(self._hub.disconnect(connection.number))

    def tick(self) -> None:
        """Enforce what only time shows."""
        now = self._time()
        self._act(self._hub.tick(now))
        for connection in list(self._connections.values()):
            connection.keep_alive(now)

    def shutdown(self) -> None:
        """Tell every client that the server goes."""
        self._act(self._hub.shutdown())

    def _act(self, actions: list[Action]) -> None:
        """Carry actions out in order. What they lead to in turn waits: many full outboxes must not nest."""
        if self._acting:
            self._waiting.extend(actions)
            return
        self._acting = True
        try:
            for action in actions:
                self._do(action)
            while self._waiting:
                self._do(self._waiting.popleft())
        finally:
            self._acting = False

    def _do(self, action: Action) -> None:
        connection = self._connections.get(action.connection)
        if connection is None:
            return
        if isinstance(action, Send):
            connection.send(action.frame)
        else:
            connection.close(action.code, action.reason, action.frame)

    def _seen_from(self, connection: Connection, request: Request) -> tuple[str, str]:
        """Give the client's address and the scheme it dialled, through the proxies that are believed."""
        address, scheme = connection.peer_address, "wss" if connection.is_tls else "ws"
        if not self._is_proxy(address):
            return address, scheme
        if request.headers.get_all("X-Forwarded-Proto")[-1:] in (["https"], ["wss"]):
            scheme = "wss"
        hops = ",".join(request.headers.get_all("X-Forwarded-For")).split(",")
        # From the right: each proxy adds at the end, and what stands left of the first stranger is the stranger's word.
        for hop in reversed([hop.strip() for hop in hops if hop.strip()]):
            address = hop[:64]
            if not self._is_proxy(address):
                break
        return address, scheme

    def _is_proxy(self, address: str) -> bool:
        if not self._proxies:
            return False
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(ip in network for network in self._proxies)


class _Server(uvicorn.Server):
    """uvicorn's server, stopped by an event as well, saying goodbye before it closes, and returning after a signal."""

    def __init__(self, config: uvicorn.Config, switchboard: _Switchboard, stop: asyncio.Event | None) -> None:
        super().__init__(config)
        self._switchboard = switchboard
        self._signals = () if stop is not None else (signal.SIGTERM, signal.SIGINT)
        self._stop = stop or asyncio.Event()
        self.on_ready: Callable[[], None] = lambda: None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
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
                if isinstance(connection, HttpProtocol):
                    connection.expire(now, seconds)

    def abort(self) -> None:
        """End what is left, where the server did not come to its own end."""
        for server in getattr(self, "servers", []):
            server.close()
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()


async def _healthz(_request: HttpRequest) -> JSONResponse:
    return JSONResponse({"status": "ok", "version": __version__})


def _uvicorn_config(config: ServerConfig, switchboard: _Switchboard) -> uvicorn.Config:
    def connection(*, server_state: ServerState, **_unused: object) -> Connection:
        return Connection(switchboard, server_state)

    result = uvicorn.Config(
        Starlette(routes=[Route("/healthz", _healthz)]),
        http=HttpProtocol,
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


def _origin_dialled(scheme: str, request: Request) -> tuple[str, ...]:
    hosts = request.headers.get_all("Host")
    try:
        return (origin_of(f"{scheme}://{hosts[0]}"),) if len(hosts) == 1 else ()
    except ValueError:
        return ()


def _check_origin(origin: str) -> str:
    try:
        return origin_of(origin)
    except ValueError as exc:
        raise ConfigurationError(
            f"not an origin: {origin!r}", hint="an origin is wss://host or ws://host:port"
        ) from exc


def _check_network(network: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(network)
    except ValueError as exc:
        raise ConfigurationError(f"not an address or network: {network!r}") from exc
