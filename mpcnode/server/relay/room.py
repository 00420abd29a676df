"""The relay's adapter: connections on one side, the hub on the other, and the hub's time for those who watch."""

import asyncio
import os
from collections.abc import Sequence

from websockets.http11 import Request

from mpcnode import __version__
from mpcnode.errors import ConfigurationError
from mpcnode.server.relay.hub import Hub, Pass, SendAll
from mpcnode.server.room import Action, Caller, Ground, Room
from mpcnode.server.websocket import Connection, with_header
from mpcnode.wire.signaling import SUBPROTOCOL, origin_of


class RelayRoom(Room[Hub]):
    """Where peers have names and relay to each other (PROTOCOL section Signaling).

    Args:
        ground: what the room stands on.

    Raises:
        ConfigurationError: an origin is malformed.
    """

    subprotocol = SUBPROTOCOL

    def __init__(self, ground: Ground) -> None:
        config = ground.config
        hub = Hub(ground.admission, version=__version__, rng=os.urandom, ice_servers=config.ice_servers)
        super().__init__(hub, ground.turns)
        self._origins = tuple(_check_origin(origin) for origin in config.origins)
        self._announcing: tuple[asyncio.Handle, float] | None = None
        self._batch: tuple[tuple[bytes, ...], bytes] = ((), b"")

    def connect(self, connection: Connection, caller: Caller) -> Sequence[Action]:
        """Have the hub take a new connection."""
        # Only a client of the subprotocol signs anything.
        origins = (self._origins or _origin_dialled(caller.scheme, caller.request)) if connection.extended else ()
        return self._machine.connect(
            connection.number,
            address=caller.address,
            extended=connection.extended,
            origins=origins,
            now=self._time(),
            wait=caller.wait,
        )

    def shutdown(self) -> None:
        """Tell every client that the server goes, and nobody anything after that."""
        if self._announcing is not None:
            self._announcing[0].cancel()
        super().shutdown()

    def act(self, actions: Sequence[Action]) -> None:
        """Carry actions out, and see to it that watchers hear in time of what they changed."""
        super().act(actions)
        if (due := self._machine.due) is not None:
            self._announce_at(due)

    def do(self, connection: Connection, action: Action) -> None:
        """Carry one action out."""
        if type(action) is Pass:
            if not connection.pass_on(action.frame, action.address):
                self.act(self._machine.busy(action.sender, action.connection))
        elif type(action) is SendAll:
            if action.frames is not self._batch[0]:
                self._batch = action.frames, b"".join(map(with_header, action.frames))
            connection.send_all(self._batch[1])
        else:
            super().do(connection, action)

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
        self.act(self._machine.announce(self._time()))


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
