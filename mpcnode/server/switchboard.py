"""What stands between the port and the rooms: admits connections, sees through proxies, finds each its room."""

import asyncio
import ipaddress
from typing import Any

from websockets.http11 import Request

from mpcnode.errors import ConfigurationError
from mpcnode.server.admission import Admission
from mpcnode.server.config import ServerConfig
from mpcnode.server.limits import address_group
from mpcnode.server.room import Caller, Ground, Room
from mpcnode.server.rooms import ROOMS, Rooms
from mpcnode.server.turns import Turns
from mpcnode.server.websocket import Connection


class Switchboard:
    """The rooms of one server, and the door to them.

    Args:
        config: how the server is run.
        rooms: what makes them.

    Raises:
        ConfigurationError: an origin or a network is malformed.
    """

    def __init__(self, config: ServerConfig, rooms: Rooms = ROOMS) -> None:
        self.limits = config.limits
        self.turns = Turns()
        self.kept: list[Connection] | None = None
        self._proxies = tuple(_check_network(proxy) for proxy in config.trusted_proxies)
        self._admission = Admission(config.limits)
        ground = Ground(config, self._admission, self.turns)
        self._rooms: dict[str, Room[Any]] = {path: make(ground) for path, make in rooms.items()}
        self._time = asyncio.get_running_loop().time

    def admit(self, address: str) -> float | None:
        """Say how many seconds too early a connection of ``address`` comes; None where it is worth no answer."""
        return 0.0 if self._is_proxy(address) else self._admission.admit(address_group(address), self._time())

    def room(self, path: str) -> Room[Any] | None:
        """Give the room at a path, which may have a query behind it."""
        return self._rooms.get(path.partition("?")[0])

    def opened(self, connection: Connection, room: Room[Any], request: Request) -> None:
        """Bring a connection whose upgrade is answered to its room."""
        address, scheme = self._seen_from(connection, request)
        group = address_group(address)
        wait: float | None = connection.wait
        if self._is_proxy(connection.peer_address):
            # The proxy itself was welcome; now it is known whom it brings.
            wait = self._admission.admit(group, self._time())
        if wait is None:
            connection.abort()
        else:
            room.opened(connection, Caller(group, scheme, request, wait))

    def tick(self) -> None:
        """Enforce what only time shows."""
        for room in self._rooms.values():
            room.tick()
        self._admission.tick(self._time())

    def shutdown(self) -> None:
        """Tell every client that the server goes."""
        for room in self._rooms.values():
            room.shutdown()

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


def _check_network(network: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(network)
    except ValueError as exc:
        raise ConfigurationError(f"not an address or network: {network!r}") from exc
