"""A real signaling server in this process, and a client that knows the source document and nothing else."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, cast

from websockets.asyncio.client import ClientConnection, connect

from mpcnode.server.config import ServerConfig
from mpcnode.server.listen import serve
from mpcnode.server.rooms import ROOMS, Rooms

DEADLINE = 10.0
"""Seconds any single wait of a test may take before the test is wrong."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """Where the server listens, and how to stop it before its time."""

    host: str
    port: int
    stop: asyncio.Event

    @property
    def url(self) -> str:
        return f"ws://{self.host}:{self.port}"


@contextlib.asynccontextmanager
async def running_server(config: ServerConfig | None = None, rooms: Rooms = ROOMS) -> AsyncIterator[RunningServer]:
    """Run a signaling server for as long as the block lasts; on a free port unless ``config`` says otherwise."""
    stop, ready = asyncio.Event(), asyncio.Event()
    where: list[tuple[str, int]] = []

    def on_ready(host: str, port: int) -> None:
        where.append((host, port))
        ready.set()

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(serve(config or ServerConfig(port=0), on_ready=on_ready, stop=stop, rooms=rooms))
        waiter = tasks.create_task(ready.wait())
        await asyncio.wait({task, waiter}, timeout=DEADLINE, return_when=asyncio.FIRST_COMPLETED)
        waiter.cancel()
        if where:
            try:
                yield RunningServer(*where[0], stop)
            finally:
                stop.set()


class PlainClient:
    """Speaks the source document's messages: what a stranger's forty lines would do."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    @classmethod
    @contextlib.asynccontextmanager
    async def connected(cls, url: str, **options: Any) -> AsyncIterator["PlainClient"]:
        async with connect(url, proxy=None, max_size=1 << 20, **options) as socket:
            yield cls(socket)

    @classmethod
    @contextlib.asynccontextmanager
    async def registered(cls, url: str, peer_id: str, **options: Any) -> AsyncIterator["PlainClient"]:
        async with cls.connected(url, **options) as client:
            await client.send(type="register", peer_id=peer_id)
            assert peer_id in (await client.receive())["peers"]
            yield client

    async def send(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def send_text(self, text: str) -> None:
        await self.socket.send(text)

    async def relay(self, to: str, data: dict[str, Any]) -> None:
        await self.send(type="relay", to=to, data=data)

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(DEADLINE):
            return cast("dict[str, Any]", json.loads(await self.socket.recv()))

    async def closed(self) -> int | None:
        """Wait for the end; give the server's close code, ``None`` where it came without one."""
        async with asyncio.timeout(DEADLINE):
            await self.socket.wait_closed()
        return self.socket.close_code
