"""The hub's adapter: WebSocket connections on one side, calls and actions of the hub on the other."""

import asyncio
import ipaddress
import itertools
import os
from collections import deque

from websockets.http11 import Request

from mpcnode import __version__
from mpcnode.errors import ConfigurationError
from mpcnode.server.limits import Limits
from mpcnode.server.relay.hub import Action, Close, Hub, Pass, Send, SendAll
from mpcnode.server.turns import Turns
from mpcnode.server.websocket import Connection, with_header
from mpcnode.wire.signaling import IceServer, origin_of


class Switchboard:
    """Joins connections and the hub: numbers them, passes calls in and carries actions out.

    Args:
        limits: what one client may cost.
        ice_servers: STUN and TURN servers to offer in ``welcome``.
        origins: what clients call this server; without any, what each client says it dialled.
        trusted_proxies: addresses or networks whose ``X-Forwarded-For`` and ``X-Forwarded-Proto`` are believed.

    Raises:
        ConfigurationError: an origin or a network is malformed.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        ice_servers: tuple[IceServer, ...],
        origins: tuple[str, ...],
        trusted_proxies: tuple[str, ...],
    ) -> None:
        self.limits = limits
        self.turns = Turns()
        self._origins = tuple(_check_origin(origin) for origin in origins)
        self._proxies = tuple(_check_network(proxy) for proxy in trusted_proxies)
        self._hub = Hub(limits, version=__version__, rng=os.urandom, ice_servers=ice_servers)
        self._connections: dict[int, Connection] = {}
        self._numbers = itertools.count(1)
        self._waiting: deque[Action] = deque()
        self._acting = False
        self._announcing: tuple[asyncio.Handle, float] | None = None
        self._batch: tuple[tuple[bytes, ...], bytes] = ((), b"")
        self._time = asyncio.get_running_loop().time

    def admit(self, address: str) -> float | None:
        """Say how many seconds too early a connection of ``address`` comes; None where it is worth no answer."""
        return 0.0 if self._is_proxy(address) else self._hub.admit(address, self._time())

    def opened(self, connection: Connection, request: Request) -> None:
        """Take a connection whose upgrade is answered."""
        connection.number = next(self._numbers)
        self._connections[connection.number] = connection
        address, scheme = self._seen_from(connection, request)
        if self._is_proxy(connection.peer_address):
            # The proxy itself was welcome; now it is known whom it brings.
            wait = self._hub.admit(address, self._time())
            if wait is None:
                connection.abort()
                return
            connection.wait = wait
        # Only a client of the subprotocol signs anything.
        origins = (self._origins or _origin_dialled(scheme, request)) if connection.extended else ()
        self._act(
            self._hub.connect(
                connection.number,
                address=address,
                extended=connection.extended,
                origins=origins,
                now=self._time(),
                wait=connection.wait,
            )
        )

    def text(self, connection: Connection, frame: bytes) -> None:
        """Pass a whole text message to the hub."""
        self._act(self._hub.receive(connection.number, frame, self._time()))

    def binary(self, connection: Connection) -> None:
        """Pass on that a binary message came in."""
        self._act(self._hub.receive_binary(connection.number, self._time()))

    def control(self, connection: Connection) -> None:
        """Pass on that a ping, a pong or a fragment came in."""
        self._act(self._hub.receive_control(connection.number, self._time()))

    def too_big(self, connection: Connection) -> None:
        """Pass on that a message is above the limit."""
        self._act(self._hub.too_big(connection.number))

    def overflow(self, connection: Connection) -> None:
        """Pass on that too much waits for a client."""
        self._act(self._hub.overflow(connection.number))

    def closed(self, connection: Connection) -> None:
        """Forget a connection that delivers nothing any more."""
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
        if self._announcing is not None:
            self._announcing[0].cancel()
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
        if (due := self._hub.due) is not None:
            self._announce_at(due)

    def _announce_at(self, due: float) -> None:
        if self._announcing is not None:
            handle, earlier = self._announcing
            if earlier <= due:
                return
            handle.cancel()
        self._announcing = asyncio.get_running_loop().call_at(due, self._announce), due

    def _announce(self) -> None:
        """Tell watchers of a large room the next part; the loop turns to everything else in between."""
        self._announcing = None
        self._act(self._hub.announce(self._time()))

    def _do(self, action: Action) -> None:
        connection = self._connections.get(action.connection)
        if connection is None:
            return
        if type(action) is Pass:
            if not connection.pass_on(action.frame, action.address):
                self._act(self._hub.busy(action.sender, action.connection))
        elif type(action) is Send:
            connection.send(action.frame)
        elif type(action) is SendAll:
            if action.frames is not self._batch[0]:
                self._batch = action.frames, b"".join(map(with_header, action.frames))
            connection.send_all(self._batch[1])
        elif type(action) is Close:
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
