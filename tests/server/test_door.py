"""New connections at the port: how many an address may make, what it is told, and what a page may cost."""

import asyncio
import contextlib
import json

import pytest
from websockets.exceptions import ConnectionClosed

from mpcnode.server.config import ServerConfig
from mpcnode.server.door import Page
from mpcnode.server.limits import Limits
from mpcnode.server.websocket import Connection
from tests.helpers.server import DEADLINE, PlainClient, RunningServer, running_server

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


def strict(**limits: float) -> ServerConfig:
    return ServerConfig(port=0, limits=Limits(**{"arrivals": 3, "arrivals_per_second": 0.1, **limits}))  # type: ignore[arg-type]


async def ask(server: RunningServer, request: bytes) -> bytes:
    """Connect, send a request and give everything that comes back."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    answer = b""
    try:
        writer.write(request)
        async with asyncio.timeout(DEADLINE):
            with contextlib.suppress(ConnectionError):
                while part := await reader.read(4096):
                    answer += part
    finally:
        writer.transport.abort()
    return answer


async def test_a_client_that_connects_too_often_is_told_when_to_come_again() -> None:
    async with running_server(strict()) as server:
        for _ in range(3):
            async with PlainClient.connected(server.url):
                pass
        async with PlainClient.connected(server.url, subprotocols=["mpcnode.v1"]) as refused:
            error = await refused.receive()
            assert error["code"] == "too_many_connections"
            assert 0 < error["retry_after"] <= 10_000
            assert error["error"].startswith("too many connections: try again in ")
            assert await refused.closed() == 1013


async def test_a_request_for_a_page_is_counted_as_well() -> None:
    async with running_server(strict()) as server:
        for _ in range(3):
            assert (await ask(server, GET)).startswith(b"HTTP/1.1 200 ")
        head, _, body = (await ask(server, GET)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 429 ")
        assert b"\r\nRetry-After: 10" in head
        assert json.loads(body)["code"] == "too_many_connections"


async def test_one_connection_asks_for_one_page() -> None:
    """Or a stranger asks for a thousand over one connection, which no limit counts."""
    async with running_server() as server:
        answer = await ask(server, GET * 1000)
        assert answer.count(b"HTTP/1.1 200 ") == 1


async def test_nothing_is_made_for_an_address_that_connects_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a WebSocket nor a request: a few are told, and all others wait for their end."""
    made = 0

    def counted(kind: type[Connection] | type[Page]) -> None:
        create = kind.__init__

        def init(*arguments: object, **options: object) -> None:
            nonlocal made
            made += 1
            create(*arguments, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(kind, "__init__", init)

    async with running_server(strict()) as server:
        counted(Connection)
        counted(Page)
        answers = await asyncio.gather(*(ask(server, GET) for _ in range(200)))
        assert made == 3
        told = sum(answer.startswith(b"HTTP/1.1 429 ") for answer in answers)
        assert 0 < told <= 20
        assert sum(answer == b"" for answer in answers) == 200 - 3 - told


@pytest.mark.parametrize("flooding", [False, True], ids=["upgrades", "long reads"])
async def test_those_that_come_at_once_do_not_keep_everybody_else_waiting(
    monkeypatch: pytest.MonkeyPatch, *, flooding: bool
) -> None:
    """Ten strangers that connect together, or whose floods arrive together, are a time apart for the loop."""
    monkeypatch.setattr("mpcnode.server.turns.TURN_SECONDS", 0.0)
    head = (
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    worked = most = done = 0
    feed = Connection._feed

    def noted(connection: Connection, data: bytes) -> int:
        nonlocal worked
        worked += 1
        return feed(connection, data)

    async with running_server() as server, contextlib.AsyncExitStack() as stack:
        sockets = [await asyncio.open_connection(server.host, server.port) for _ in range(20)]
        for _, writer in sockets:
            stack.callback(writer.transport.abort)
        await asyncio.sleep(0.05)
        if flooding:
            for reader, writer in sockets:
                writer.write(head)
                await reader.readuntil(b"\r\n\r\n")
        monkeypatch.setattr(Connection, "_feed", noted)
        for _, writer in sockets:
            writer.write((b"\x81\xfe\x04\x00" + bytes(4 + 1024)) * 4 if flooding else head)
        async with asyncio.timeout(DEADLINE):
            while worked < 20:
                await asyncio.sleep(0)
                most, done = max(most, worked - done), worked
    # A read of 4 KiB is some slices.
    assert most <= (6 if flooding else 1)


async def test_behind_a_proxy_the_address_it_names_is_counted_and_not_its_own() -> None:
    config = ServerConfig(port=0, limits=Limits(arrivals=2, arrivals_per_second=0.1), trusted_proxies=("127.0.0.0/8",))

    async def code(server: RunningServer, address: str) -> str:
        headers = {"X-Forwarded-For": address}
        async with PlainClient.connected(server.url, additional_headers=headers) as client:
            with contextlib.suppress(ConnectionClosed):
                await client.send(type="list_peers")
            return str((await client.receive())["code"])

    async with running_server(config) as server:
        assert [await code(server, "192.0.2.1") for _ in range(3)] == [
            "not_registered",
            "not_registered",
            "too_many_connections",
        ]
        assert await code(server, "192.0.2.2") == "not_registered"
