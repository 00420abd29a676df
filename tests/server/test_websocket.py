"""What a client can do to its own connection below the messages: half a close, no reading, no end of sending."""

import asyncio
import contextlib
import itertools
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from uvicorn.server import ServerState
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from mpcnode.server.admission import Admission
from mpcnode.server.config import ServerConfig
from mpcnode.server.limits import Limits
from mpcnode.server.listen import serve
from mpcnode.server.relay.room import RelayRoom
from mpcnode.server.room import Ground
from mpcnode.server.switchboard import Switchboard
from mpcnode.server.turns import Turns
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
    async with asyncio.timeout(6 * DEADLINE):
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
            said = await reader.readuntil(b"\x03\xf1")
        assert b'"code":"message_too_big"' in said


async def test_pings_whose_answers_nobody_reads_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Connection.connection_made

    def with_little_room(connection: Connection, transport: asyncio.BaseTransport) -> None:
        # Or the system keeps megabytes of answers on their way before any of them waits at the server.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        made(connection, transport)

    monkeypatch.setattr(Connection, "connection_made", with_little_room)
    async with (
        running_server(limited(burst=10_000_000, message_bytes=1024, outbox_bytes=1024, close_seconds=0.2)) as server,
        raw(server) as (_, writer),
    ):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
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
    limits = Limits(connections_per_address=5000)
    room = RelayRoom(Ground(ServerConfig(limits=limits), Admission(limits), Turns()))
    ended: list[int] = []

    class Stuck:
        number = 0

        def send(self, _frame: bytes) -> None:
            room.overflow(cast("Connection", self))

        send_all = send

        def close(self, _code: int, _reason: str, _frame: bytes) -> None:
            ended.append(self.number)

    hub = room._machine
    for number in range(1, 1001):
        stuck = Stuck()
        stuck.number = number
        room._connections[number] = cast("Connection", stuck)
        hub.connect(number, address="192.0.2.1", extended=True, origins=[], now=0)
        hub.receive(number, b'{"type":"register","peer_id":"p%d"}' % number, 0)
        hub.receive(number, b'{"type":"list_peers","watch":true}', 0)
    room.act(hub.disconnect(1))
    async with asyncio.timeout(DEADLINE):
        while hub.connections:
            await asyncio.sleep(0.01)
    assert sorted(ended) == list(range(2, 1001))
    assert hub.connections == 0


class Reader:
    """Counts what the server gives to the parser of frames, and how many frames come of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bytes = 0
        self.frames = 0
        self.most = 0
        self.calls = 0
        given, came = ServerProtocol.receive_data, ServerProtocol.events_received

        def receive_data(protocol: ServerProtocol, data: bytes) -> None:
            self.bytes += len(data)
            self.calls += 1
            given(protocol, data)

        def events_received(protocol: ServerProtocol) -> list[Any]:
            events = came(protocol)
            count = sum(isinstance(event, Frame) for event in events)
            self.frames += count
            self.most = max(self.most, count)
            return cast("list[Any]", events)

        monkeypatch.setattr(ServerProtocol, "receive_data", receive_data)
        monkeypatch.setattr(ServerProtocol, "events_received", events_received)


async def flood(writer: asyncio.StreamWriter, data: bytes, seconds: float) -> int:
    """Write as fast as the socket takes it, for some seconds or until it breaks; give how many bytes went."""
    loop = asyncio.get_running_loop()
    end, gone = loop.time() + seconds, 0
    with contextlib.suppress(ConnectionError, TimeoutError):
        while loop.time() < end:
            writer.write(data)
            gone += len(data)
            async with asyncio.timeout_at(end):
                await writer.drain()
    return gone


@pytest.mark.parametrize(
    "message",
    [b'{"type":"x"}', b'{"type":"list_peers"}', b""],
    ids=["of 18 bytes", "of 27 bytes", "empty"],
)
async def test_nothing_is_parsed_after_the_verdict(monkeypatch: pytest.MonkeyPatch, message: bytes) -> None:
    limits = Limits(messages_per_second=1)
    tiny = frame(Opcode.TEXT, message)
    async with running_server(ServerConfig(port=0, limits=limits)) as server:
        reader = Reader(monkeypatch)
        async with raw(server) as (_, writer):
            await flood(writer, tiny * 20_000, 1)
        allowed = limits.burst + limits.excess + 1 + int(DEADLINE)  # more come with time, one a second
        # What is handed to the parser at once, 2 KiB, may hold some frames more than those that were judged.
        assert reader.frames <= allowed + 2048 // len(tiny)
        assert reader.bytes <= allowed * len(tiny) + 2 * 2048


async def test_few_frames_of_a_flood_are_judged_at_once_and_a_long_message_is_not_read_in_crumbs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running_server(limited(burst=100_000)) as server:
        reader = Reader(monkeypatch)
        async with raw(server) as (answers, writer):
            writer.write(frame(Opcode.TEXT, b"") * 2_000)
            async with asyncio.timeout(DEADLINE):
                while reader.frames < 2_000:
                    await answers.read(65_536)
        # Empty messages: six bytes each, the shortest frames that a client can send.
        assert reader.most <= 50
        calls = reader.calls
        async with raw(server) as (answers, writer):
            writer.write(frame(Opcode.TEXT, b"[" * 65_536))
            async with asyncio.timeout(DEADLINE):
                await answers.readuntil(b"invalid message")
        assert reader.calls - calls <= 2 * 65_536 // 2048


class Written(asyncio.Transport):
    """A socket that keeps what is written to it, write for write."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 1)})
        self.writes: list[bytes] = []
        self.ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.ended
        self.writes.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.ended

    def close(self) -> None:
        self.ended = True

    abort = close


class Clients:
    """Connections of one switchboard on such sockets."""

    def __init__(self, **limits: Any) -> None:
        self.switchboard = Switchboard(ServerConfig(limits=Limits(**limits)))
        self.state = ServerState()

    def registered(self, name: str) -> tuple[Connection, Written]:
        connection, socket = Connection(self.switchboard, self.state), Written()
        connection.connection_made(socket)
        connection.data_received(HANDSHAKE)
        connection.data_received(frame(Opcode.TEXT, b'{"type":"register","peer_id":"%b"}' % name.encode()))
        socket.writes.clear()
        return connection, socket


async def test_what_comes_at_once_is_answered_and_passed_on_at_once() -> None:
    """A write is a system call: one for each receiver, and not one a message."""
    clients = Clients()
    (one, socket), (_, other), (_, third) = (clients.registered(name) for name in ("cli1", "cli2", "cli3"))
    messages = [frame(Opcode.TEXT, b'{"type":"relay","to":"cli2","data":{"n":%d}}' % n) for n in range(9)]
    one.data_received(b"".join(messages) + frame(Opcode.TEXT, b'{"type":"x"}') * 5)
    assert len(socket.writes) == len(other.writes) == 1
    assert third.writes == []
    assert [b'"n":%d}' % n in other.writes[0] for n in range(9)] == [True] * 9
    assert other.writes[0].index(b'"n":0') < other.writes[0].index(b'"n":8')
    assert socket.writes[0].count(b"invalid message") == 5
    one.data_received(messages[0])
    assert len(other.writes) == 2


async def test_what_was_kept_to_go_together_goes_before_a_pong_and_before_the_last_words() -> None:
    clients = Clients(burst=6, messages_per_second=1, excess=2)
    one, socket = clients.registered("cli1")
    one.data_received(frame(Opcode.TEXT, b'{"type":"x"}') * 2 + frame(Opcode.PING, b"?") + frame(Opcode.TEXT, b"y"))
    said = b"".join(socket.writes)
    assert said.count(b"invalid message") == 3
    assert said.index(b"invalid message") < said.index(b"\x8a\x01?") < said.rindex(b"invalid message")
    socket.writes.clear()
    one.data_received(frame(Opcode.TEXT, b'{"type":"x"}') * 10)
    said = b"".join(socket.writes)
    assert said.count(b"rate_limited") == 3
    assert said.count(b"invalid message") == 1
    assert said.rindex(b"rate_limited") < said.index(b"\x88")


async def test_what_is_kept_to_go_together_is_counted_as_waiting() -> None:
    clients = Clients(message_bytes=1024, outbox_bytes=1024)
    one, socket = clients.registered("cli1")
    one.data_received(frame(Opcode.TEXT, b'{"type":"list_peers"}') * 60)
    said = b"".join(socket.writes)
    assert 0 < said.count(b'{"type":"peers"') <= 1024 // 30
    assert b"slow_reader" in said


async def test_the_last_words_arrive_before_the_connection_of_a_flooder_ends() -> None:
    async with running_server(limited(burst=5, excess=5)) as server, raw(server) as (reader, writer):
        flooding = asyncio.create_task(flood(writer, frame(Opcode.TEXT, b"x") * 1000, DEADLINE))
        async with asyncio.timeout(DEADLINE):
            said = await reader.readuntil(b"\x88\x0e\x03\xf0rate limited")
        assert said.count(b'"code":"rate_limited"') == 6
        async with asyncio.timeout(DEADLINE):
            await flooding  # the socket breaks


async def test_a_client_that_answers_the_close_is_let_go_at_once() -> None:
    async with (
        running_server(limited(burst=1, excess=1, close_seconds=1000)) as server,
        raw(server) as (reader, writer),
    ):
        writer.write(frame(Opcode.TEXT, b"x") * 3)
        async with asyncio.timeout(DEADLINE):
            await reader.readuntil(b"\x88")
            writer.write(frame(Opcode.CLOSE, b"\x03\xf0"))
            await reader.read()
            assert reader.at_eof()


async def test_a_long_read_of_one_client_does_not_keep_the_others_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two messages of an innocent pair stands at most a small part of what a flooder sent at once."""
    heard: list[str] = []
    text = RelayRoom.text

    def noted(room: RelayRoom, connection: Connection, data: bytes) -> None:
        heard.append("innocent" if b"relay" in data else "flooder")
        text(room, connection, data)

    async with (
        running_server(limited(burst=1_000_000)) as server,
        PlainClient.registered(server.url, "cli1") as one,
        PlainClient.registered(server.url, "cli2") as two,
        raw(server) as (_, writer),
    ):
        monkeypatch.setattr(RelayRoom, "text", noted)
        writer.write(frame(Opcode.TEXT, b'{"type":"x"}') * 20_000)
        for number in range(10):
            await one.relay("cli2", {"number": number})
            assert (await two.receive())["data"] == {"number": number}
        innocents = [index for index, sender in enumerate(heard) if sender == "innocent"]
        gaps = [after - before for before, after in itertools.pairwise([0, *innocents])]
        # Two clients in this very process, and a server that turns to them between parts of 64 frames.
        assert sorted(gaps)[len(gaps) // 2] < 1000
        assert innocents[-1] < 20_000


async def test_nothing_is_parsed_after_a_verdict_that_came_from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client is closed while much of what it sent still waits for its turn."""
    closing: list[Connection] = []
    binary = RelayRoom.binary

    def closed(room: RelayRoom, connection: Connection) -> None:
        binary(room, connection)
        closing.append(connection)
        asyncio.get_running_loop().call_soon(connection.close, 1008, "enough", b"")

    async with running_server(limited(burst=1_000_000)) as server, raw(server) as (stream, writer):
        monkeypatch.setattr(RelayRoom, "binary", closed)
        reader = Reader(monkeypatch)
        writer.write(frame(Opcode.BINARY, b"x") + frame(Opcode.TEXT, b"x") * 10_000)
        async with asyncio.timeout(DEADLINE):
            await stream.readuntil(b"enough")
            await asyncio.sleep(0.1)
        assert len(closing) == 1
        # The part that is taken at once, and at most one that was waiting.
        assert reader.frames < 1000
