"""A signaling server in memory: the real hub, between sockets that are queues, and a liar between it and them."""

import asyncio
import itertools
import random
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from websockets.exceptions import ConnectionClosedError

from mpcnode.server.actions import Close
from mpcnode.server.admission import Admission
from mpcnode.server.limits import Limits
from mpcnode.server.relay.hub import Hub
from mpcnode.wire.signaling import SUBPROTOCOL
from tests.helpers.lying_server import Lie, Passing

_decode: Final = msgspec.json.decode
_encode: Final = msgspec.json.encode


class Socket:
    """A client's end of a connection, as much of it as ``SignalingClient`` uses."""

    subprotocol = SUBPROTOCOL

    def __init__(self, server: "Server", owner: str, number: int) -> None:
        self.close_code: int | None = None
        self._server = server
        self.owner = owner
        self.number = number
        self._came: deque[bytes] = deque()
        self._news = asyncio.Event()

    async def send(self, frame: bytes, *, text: bool) -> None:
        assert text
        if self.close_code is not None:
            raise ConnectionClosedError(None, None)
        self._server.heard(self, frame)

    async def recv(self, *, decode: bool) -> bytes:
        assert not decode
        while not self._came:
            if self.close_code is not None:
                raise ConnectionClosedError(None, None)
            self._news.clear()
            await self._news.wait()
        return self._came.popleft()

    async def close(self) -> None:
        self._server.gone(self)
        self.broke()

    def came(self, frame: bytes) -> None:
        if self.close_code is None:
            self._came.append(frame)
            self._news.set()

    def broke(self) -> None:
        self.close_code = self.close_code or 1006
        self._news.set()


class _Dialling:
    """What ``connect`` gives."""

    def __init__(self, server: "Server", owner: str) -> None:
        self._server = server
        self._owner = owner
        self._socket: Socket | None = None

    async def __aenter__(self) -> Socket:
        await asyncio.sleep(self._server.latency())
        if self._server.unreachable(self._owner):
            raise ConnectionRefusedError
        self._socket = self._server.connect(self._owner)
        return self._socket

    async def __aexit__(self, *_: object) -> None:
        assert self._socket is not None
        await self._socket.close()

    def __await__(self) -> Any:
        return self.__aenter__().__await__()


class Server:
    """Speaks the whole signaling wire; ``lies`` are told in order.

    Args:
        rng: the run's.
        trace: takes what happens, for a person.
    """

    def __init__(self, rng: random.Random, trace: Callable[..., None]) -> None:
        self.rng = rng
        self.trace = trace
        self.lies: list[Lie] = []
        self.shown: Callable[[str, dict[str, Any]], dict[str, Any] | None] = lambda _viewer, message: message
        """Changes what a viewer is told of the room; None for nothing."""
        self.down = False
        self.unreachable: Callable[[str], bool] = lambda _address: self.down
        self.passed: list[Passing] = []
        self.on_registered: list[Callable[[str], None]] = []
        """Told of each name as it comes."""
        self._hub = Hub(Admission(Limits()), version="1.2.3", rng=rng.randbytes)
        self._sockets: dict[int, Socket] = {}
        self._names: dict[int, str] = {}
        self._numbers = itertools.count(1)
        self._pipes: dict[tuple[int, str], deque[Callable[[], None]]] = {}

    def latency(self) -> float:
        return self.rng.uniform(0.002, 0.04)

    # What clients do

    def dial(self, url: str, **_: Any) -> _Dialling:
        """Be what ``websockets.connect`` is."""
        return _Dialling(self, url.removeprefix("ws://").split(".")[0])

    def connect(self, owner: str) -> Socket:
        number = next(self._numbers)
        socket = self._sockets[number] = Socket(self, owner, number)
        now = asyncio.get_running_loop().time()
        origins = [f"ws://{owner}.test:9000"]
        self._act(self._hub.connect(number, address=f"192.0.2.{number % 250}", extended=True, origins=origins, now=now))
        return socket

    def heard(self, socket: Socket, frame: bytes) -> None:
        """Take a frame of a client, after the time it takes."""
        self._later(socket.number, "up", lambda: self._receive(socket, frame))

    def gone(self, socket: Socket) -> None:
        """Have a connection end."""
        if self._sockets.pop(socket.number, None) is not None:
            self._act(self._hub.disconnect(socket.number))
            self._names.pop(socket.number, None)

    # What a liar does

    @property
    def here(self) -> list[str]:
        """The names that are registered."""
        return sorted(set(self._names.values()))

    def say(self, sender: str, to: str, data: dict[str, Any]) -> None:
        """Hand something on, or make it up."""
        self.trace("relay", sender, to, data)
        self.tell(to, {"type": "relay", "from": sender, "data": data})

    def tell(self, to: str, message: dict[str, Any]) -> None:
        """Say anything to the holder of a name."""
        for number, name in tuple(self._names.items()):
            if name == to:
                self._queue(number, message)

    def cut(self, name: str) -> None:
        """Break the connection of ``name``."""
        for number, socket in tuple(self._sockets.items()):
            if self._names.get(number) == name:
                self.trace("cut", name)
                self.gone(socket)
                socket.broke()

    # Inside

    def _receive(self, socket: Socket, frame: bytes) -> None:
        if socket.number not in self._sockets:
            return
        message = _decode(frame)
        if message["type"] == "register":
            self._names[socket.number] = message["peer_id"]
            for hear in self.on_registered:
                hear(message["peer_id"])
        self._act(self._hub.receive(socket.number, frame, asyncio.get_running_loop().time()))

    def _act(self, actions: Iterable[Any]) -> None:
        for action in actions:
            message = _decode(action.frame)
            if message["type"] == "relay":
                self._relay(Passing(message["from"], self._names.get(action.connection, ""), message["data"]))
            elif (shown := self.shown(self._names.get(action.connection, ""), message)) is not None:
                self._queue(action.connection, shown)
            if isinstance(action, Close):
                self._later(action.connection, "down", self._closing(action.connection))

    def _closing(self, number: int) -> Callable[[], None]:
        def happen() -> None:
            if (socket := self._sockets.get(number)) is not None:
                self.gone(socket)
                socket.broke()

        return happen

    def _relay(self, passing: Passing) -> None:
        self.passed.append(passing)
        handed: list[Passing] = [passing]
        for lie in self.lies:
            handed = [out for one in handed for out in lie(one)]
        for one in handed:
            self.say(one.sender, one.to, one.data)

    def _queue(self, number: int, message: dict[str, Any]) -> None:
        frame = _encode(message)

        def arrive() -> None:
            if (socket := self._sockets.get(number)) is not None:
                socket.came(frame)

        self._later(number, "down", arrive)

    def _later(self, number: int, way: str, event: Callable[[], None]) -> None:
        """Do it after the time it takes; one direction of one connection keeps its order."""
        pipe = self._pipes.setdefault((number, way), deque())
        pipe.append(event)

        def happen() -> None:
            pipe.popleft()()

        asyncio.get_running_loop().call_later(self.latency(), happen)
