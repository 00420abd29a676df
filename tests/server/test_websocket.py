"""What a client can do to its own connection below the messages: half a close, no reading, no end of sending."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from websockets.frames import Frame, Opcode

from mpcnode.server.limits import Limits
from mpcnode.server.listen import ServerConfig, serve
from mpcnode.server.relay.switchboard import Switchboard
from mpcnode.server.websocket import Connection
from tests.helpers.server import DEADLINE, PlainClient, RunningServer, running_server

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def frame(opcode: Opcode, data: bytes) -> bytes:
    return Frame(opcode, data).serialize(mask=True)


def limited(**limits: Any) -> ServerConfig:
    return ServerConfig(port=0, limits=Limits(**limits))


@contextlib.asynccontextmanager
async def raw(server: RunningServer) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A socket after the handshake, with nobody who would answer pings or closes."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(HANDSHAKE)
    async with asyncio.timeout(DEADLINE):
        await reader.readuntil(b"\r\n\r\n")
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def write_until_cut_off(writer: asyncio.StreamWriter, data: bytes, times: int) -> bool:
    """Write, and say whether the other end stopped it."""
    async with asyncio.timeout(DEADLINE):
        try:
            for _ in range(times):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            return True
    return False


async def test_the_error_arrives_even_while_the_client_is_still_sending() -> None:
    async with running_server() as server, raw(server) as (reader, writer):
        writer.write(frame(Opcode.TEXT, b"x" * 4_000_000))
        async with asyncio.timeout(DEADLINE):
            said = await reader.read()
        assert b'"code":"message_too_big"' in said
        assert b"\x03\xf1" in said


async def test_pings_whose_answers_nobody_reads_are_ended() -> None:
    async with (
        running_server(limited(burst=10_000_000, message_bytes=1024, outbox_bytes=1024, close_seconds=0.2)) as server,
        raw(server) as (_, writer),
    ):
        cast("asyncio.Transport", writer.transport).pause_reading()
        assert await write_until_cut_off(writer, frame(Opcode.PING, b"x" * 125) * 1000, 200)


async def test_who_goes_on_sending_after_the_close_is_cut_off() -> None:
    async with (
        running_server(limited(burst=1, excess=1, close_seconds=1000)) as server,
        raw(server) as (_, writer),
    ):
        assert await write_until_cut_off(writer, frame(Opcode.TEXT, b"x" * 60_000), 2000)


async def test_who_answers_no_close_does_not_hold_the_server(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with (
        asyncio.timeout(DEADLINE),
        running_server(limited(close_seconds=0.1)) as server,
        PlainClient.registered(server.url, "cli1") as one,
        raw(server) as (_, deaf),
    ):
        deaf.write(frame(Opcode.TEXT, b'{"type":"register","peer_id":"deaf"}'))
        cast("asyncio.Transport", deaf.transport).pause_reading()
        server.stop.set()
        await one.closed()
        await asyncio.sleep(1)
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_cancelling_the_server_ends_every_connection() -> None:
    ready = asyncio.Event()
    ports: list[int] = []

    def on_ready(_host: str, port: int) -> None:
        ports.append(port)
        ready.set()

    task = asyncio.create_task(serve(ServerConfig(port=0), on_ready=on_ready, stop=asyncio.Event()))
    async with asyncio.timeout(DEADLINE):
        await ready.wait()
    async with PlainClient.registered(f"ws://127.0.0.1:{ports[0]}", "cli1") as client:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await client.closed() == 1006


async def test_a_thousand_full_outboxes_at_once_do_not_nest() -> None:
    switchboard = Switchboard(Limits(connections_per_address=5000), ice_servers=(), origins=(), trusted_proxies=())
    ended: list[int] = []

    class Stuck:
        number = 0

        def send(self, _frame: bytes) -> None:
            switchboard.overflow(cast("Connection", self))

        def close(self, _code: int, _reason: str, _frame: bytes) -> None:
            ended.append(self.number)

    hub = switchboard._hub
    for number in range(1, 1001):
        stuck = Stuck()
        stuck.number = number
        switchboard._connections[number] = cast("Connection", stuck)
        hub.connect(number, address="192.0.2.1", extended=True, origins=[], now=0)
        hub.receive(number, b'{"type":"register","peer_id":"p%d"}' % number, 0)
        hub.receive(number, b'{"type":"list_peers","watch":true}', 0)
    switchboard._act(hub.disconnect(1))
    assert sorted(ended) == list(range(2, 1001))
    assert hub.connections == 0
