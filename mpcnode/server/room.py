"""A room of the server: WebSocket connections on one side, calls and actions of its pure machine on the other.

A room is a machine and an adapter, in a package of their own, and a line in ``rooms``. Who may connect, how fast and
from where is settled before, and counted for all rooms together.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from websockets.http11 import Request

from mpcnode.server.actions import Close, Send
from mpcnode.server.admission import Admission
from mpcnode.server.config import ServerConfig
from mpcnode.server.turns import Turns
from mpcnode.server.websocket import Connection

_ASKED_AT_ONCE: Final = 32


@dataclass(frozen=True, slots=True)
class Ground:
    """What every room of a server stands on.

    Args:
        config: how the server is run.
        admission: what addresses use, in all rooms together.
        turns: how what takes long shares the loop.
    """

    config: ServerConfig
    admission: Admission
    turns: Turns


@dataclass(frozen=True, slots=True)
class Caller:
    """Where a connection comes from, through the proxies that are believed.

    Args:
        address: what is counted as one address: ``limits.address_group``.
        scheme: ``ws`` or ``wss``, as the client dialled it.
        request: its upgrade.
        wait: how many seconds too early it comes; it is told so, and closed.
    """

    address: str
    scheme: str
    request: Request
    wait: float


class Action(Protocol):
    """Something to do for a connection."""

    @property
    def connection(self) -> int:
        """The connection's number."""


A_co = TypeVar("A_co", bound=Action, covariant=True)
M = TypeVar("M", bound="Machine[Action]")


class Machine(Protocol[A_co]):
    """What decides in a room, without any I/O: calls in, actions out.

    A connection is a number that was never used before; the clock is the argument ``now``, in seconds of any monotonic
    clock. Whatever a client says, the answer is actions and never an exception.
    """

    def receive(self, connection: int, frame: bytes, now: float) -> Sequence[A_co]:
        """Take a text message."""

    def receive_binary(self, connection: int, now: float) -> Sequence[A_co]:
        """Take a binary message."""

    def receive_control(self, connection: int, now: float) -> Sequence[A_co]:
        """Take a ping, a pong or a fragment."""

    def too_big(self, connection: int) -> Sequence[A_co]:
        """Close on a message above the limit, which was not read to its end."""

    def overflow(self, connection: int) -> Sequence[A_co]:
        """Close a connection whose outbox is full."""

    def disconnect(self, connection: int) -> Sequence[A_co]:
        """Forget a connection that is gone; nothing where it was forgotten before."""

    def tick(self, now: float) -> Sequence[A_co]:
        """Do what only time shows; it is called about twice a second."""

    def shutdown(self) -> Sequence[A_co]:
        """Tell every client that the server goes, and forget them all."""


class Room(Generic[M]):
    """Joins connections and a machine: numbers them, passes calls in and carries actions out.

    Args:
        machine: what decides.
        turns: how what takes long shares the loop.
    """

    subprotocol: str | None = None
    """What is chosen where a client offers it."""

    def __init__(self, machine: M, turns: Turns) -> None:
        self._machine = machine
        self._turns = turns
        self._unasked: list[Connection] = []
        self._connections: dict[int, Connection] = {}
        self._numbers = itertools.count(1)
        self._waiting: deque[Action] = deque()
        self._acting = False
        self._time = asyncio.get_running_loop().time

    def connect(self, connection: Connection, caller: Caller) -> Sequence[Action]:
        """Have the machine take a new connection."""
        raise NotImplementedError

    def opened(self, connection: Connection, caller: Caller) -> None:
        """Take a connection whose upgrade is answered."""
        connection.number = next(self._numbers)
        self._connections[connection.number] = connection
        self.act(self.connect(connection, caller))

    def text(self, connection: Connection, frame: bytes) -> None:
        """Pass a whole text message in."""
        self.act(self._machine.receive(connection.number, frame, self._time()))

    def binary(self, connection: Connection) -> None:
        """Pass on that a binary message came in."""
        self.act(self._machine.receive_binary(connection.number, self._time()))

    def control(self, connection: Connection) -> None:
        """Pass on that a ping, a pong or a fragment came in."""
        self.act(self._machine.receive_control(connection.number, self._time()))

    def too_big(self, connection: Connection) -> None:
        """Pass on that a message is above the limit."""
        self.act(self._machine.too_big(connection.number))

    def overflow(self, connection: Connection) -> None:
        """Pass on that too much waits for a client."""
        self.act(self._machine.overflow(connection.number))

    def closed(self, connection: Connection) -> None:
        """Forget a connection that delivers nothing any more."""
        self._connections.pop(connection.number, None)
        self.act(self._machine.disconnect(connection.number))

    def tick(self) -> None:
        """Enforce what only time shows."""
        self.act(self._machine.tick(self._time()))
        if not self._unasked:
            self._unasked = list(self._connections.values())
            self._turns.soon(self._keep_alive)

    def shutdown(self) -> None:
        """Tell every client that the server goes."""
        self.act(self._machine.shutdown())

    def act(self, actions: Sequence[Action]) -> None:
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

    def do(self, connection: Connection, action: Action) -> None:
        """Carry one action out."""
        if type(action) is Send:
            connection.send(action.frame)
        elif type(action) is Close:
            connection.close(action.code, action.reason, action.frame)
        else:
            raise AssertionError(action)

    def _keep_alive(self) -> None:
        """Ask some of the connections whether they live, and have the others wait; many come to be silent together."""
        now = self._time()
        for connection in self._unasked[-_ASKED_AT_ONCE:]:
            connection.keep_alive(now)
        del self._unasked[-_ASKED_AT_ONCE:]
        if self._unasked:
            self._turns.soon(self._keep_alive)

    def _do(self, action: Action) -> None:
        connection = self._connections.get(action.connection)
        if connection is not None:
            self.do(connection, action)
