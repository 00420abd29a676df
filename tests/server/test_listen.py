"""A real server on a real socket, and strangers who know the source document and nothing else."""

import asyncio
import contextlib
import json
import os
import signal
import ssl
import sys
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from mpcnode.errors import ConfigurationError
from mpcnode.server.config import ServerConfig
from mpcnode.server.limits import Limits
from mpcnode.server.listen import serve
from tests.helpers.server import DEADLINE, PlainClient, RunningServer, running_server


@pytest.fixture
async def server() -> AsyncIterator[RunningServer]:
    async with running_server() as running:
        yield running


def limited(**limits: Any) -> ServerConfig:
    return ServerConfig(port=0, limits=Limits(**limits))


async def still_relays(one: PlainClient, two: PlainClient, name: str = "cli2") -> None:
    """Check that two bystanders noticed nothing."""
    await one.relay(name, {"still": "here"})
    assert await two.receive() == {"type": "relay", "from": "cli1", "data": {"still": "here"}}


async def test_the_example_of_the_source_document(server: RunningServer) -> None:
    async with (
        PlainClient.registered(server.url, "cli1") as cli1,
        PlainClient.registered(server.url, "cli2") as cli2,
        PlainClient.registered(server.url, "chrome1"),
    ):
        await cli1.send_text('{ "type": "list_peers" }')
        assert await cli1.receive() == {"type": "peers", "peers": ["cli1", "cli2", "chrome1"]}
        await cli1.relay("cli2", {"type": "offer", "sdp": "v=0\r\n\u00e9\U0001f600"})
        offer = {"type": "relay", "from": "cli1", "data": {"type": "offer", "sdp": "v=0\r\n\u00e9\U0001f600"}}
        assert await cli2.receive() == offer


@pytest.mark.parametrize(
    "frame",
    ["", "hello", "[]", '{"type":"dance"}', '{"type":"register","peer_id":7}', '{"type":"relay","to":"cli2","data":1}',
     '{"type":"relay","to":"cli2","data":{"a":"\\ud800"}}', "[" * 60_000, b"\x00\xff"],
    ids=["empty", "no JSON", "array", "unknown type", "wrong type", "no object", "surrogate", "deep", "binary"],
)  # fmt: skip
async def test_rubbish_is_answered_and_nobody_else_notices(server: RunningServer, frame: str | bytes) -> None:
    async with (
        PlainClient.registered(server.url, "cli1") as one,
        PlainClient.registered(server.url, "cli2") as two,
        PlainClient.registered(server.url, "fool") as fool,
    ):
        await fool.socket.send(frame)
        assert await fool.receive() == {"type": "error", "error": "invalid message", "code": "invalid_message"}
        await still_relays(one, two)
        await fool.send(type="list_peers")
        assert (await fool.receive())["type"] == "peers"


@pytest.mark.parametrize("size", [65_537, 200_000, 10_000_000])
async def test_a_frame_above_the_limit_is_named_and_closed(server: RunningServer, size: int) -> None:
    async with (
        PlainClient.registered(server.url, "cli1") as one,
        PlainClient.registered(server.url, "cli2") as two,
        PlainClient.connected(server.url) as fool,
    ):
        with contextlib.suppress(ConnectionClosed):
            await fool.send_text("[" * size)
        assert (await fool.receive())["code"] == "message_too_big"
        assert await fool.closed() == 1009
        await still_relays(one, two)


async def test_a_frame_of_the_limit_is_taken(server: RunningServer) -> None:
    async with PlainClient.registered(server.url, "cli1") as one, PlainClient.registered(server.url, "cli2") as two:
        frame = '{"type":"relay","to":"cli2","data":{"a":"%s"}}'
        # "from" is two bytes longer than "to".
        await one.send_text(frame % ("a" * (65_536 - len(frame) + 2 - 2)))
        assert len((await two.receive())["data"]["a"]) == 65_536 - len(frame)


async def test_a_message_in_many_fragments_is_one_message(server: RunningServer) -> None:
    async with PlainClient.connected(server.url) as client:
        await client.socket.send(['{"type":"regi', "", 'ster","peer', '_id":"cli1"}'])
        assert await client.receive() == {"type": "peers", "peers": ["cli1"]}
        await client.socket.send([b"ab", b"cd"])
        assert (await client.receive())["code"] == "invalid_message"


async def test_empty_fragments_without_end_are_ended() -> None:
    async with running_server(limited(burst=100_000)) as server, PlainClient.connected(server.url) as fool:
        with contextlib.suppress(ConnectionClosed):
            await fool.socket.send([""] * 5000)
        assert (await fool.receive())["code"] == "message_too_big"
        assert await fool.closed() == 1009


async def test_a_taken_name_is_said_before_the_close(server: RunningServer) -> None:
    async with (
        PlainClient.registered(server.url, "cli1") as one,
        PlainClient.registered(server.url, "cli2") as two,
        PlainClient.connected(server.url) as late,
    ):
        await late.send(type="register", peer_id="cli1")
        assert await late.receive() == {
            "type": "error", "error": "peer_id already registered", "code": "already_registered",
        }  # fmt: skip
        assert await late.closed() == 1008
        await still_relays(one, two)


async def test_who_never_registers_is_closed() -> None:
    async with running_server(limited(register_seconds=0.1)) as server, PlainClient.connected(server.url) as silent:
        assert (await silent.receive())["code"] == "register_timeout"
        assert await silent.closed() == 1008


async def test_a_socket_that_never_asks_anything_is_closed() -> None:
    async with running_server(limited(register_seconds=0.1)) as server:
        for first in (b"", b"GET / HTT"):
            reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(first)
            async with asyncio.timeout(DEADLINE):
                with contextlib.suppress(ConnectionResetError):
                    assert await reader.read() == b""
            writer.close()


async def test_who_sends_without_end_is_refused_and_then_closed() -> None:
    async with (
        running_server(limited(burst=50, messages_per_second=1, excess=10)) as server,
        PlainClient.registered(server.url, "cli1") as one,
        PlainClient.registered(server.url, "cli2") as two,
        PlainClient.connected(server.url) as flood,
    ):
        with contextlib.suppress(ConnectionClosed):
            for _ in range(2000):
                await flood.send_text('{"type":"list_peers"}')
        codes = []
        with contextlib.suppress(ConnectionClosed):
            while True:
                codes.append((await flood.receive())["code"])
        assert codes == ["not_registered"] * 50 + ["rate_limited"] * 11
        assert await flood.closed() == 1008
        await still_relays(one, two)


async def test_pings_are_answered_and_not_without_limit() -> None:
    async with (
        running_server(limited(burst=20, messages_per_second=1, excess=10)) as server,
        PlainClient.connected(server.url) as client,
    ):
        async with asyncio.timeout(DEADLINE):
            await (await client.socket.ping())
        with contextlib.suppress(ConnectionClosed):
            for _ in range(100):
                await client.socket.ping()
        assert await client.closed() == 1008


async def test_one_that_fills_the_outbox_of_another_is_refused_and_the_other_stays() -> None:
    config = limited(burst=100_000, close_seconds=0.2)
    async with (
        running_server(config) as server,
        # Neither of these two reads all that it is sent, so that its end of the close would wait for as long as it may.
        PlainClient.registered(server.url, "cli1", close_timeout=0.1) as one,
        PlainClient.registered(server.url, "cli2") as two,
        PlainClient.registered(server.url, "slow", close_timeout=0.1) as slow,
    ):
        slow.socket.transport.pause_reading()
        padding, answer = "x" * 60_000, None
        async with asyncio.timeout(DEADLINE):
            while answer is None:
                await one.relay("slow", {"padding": padding})
                await still_relays(one, two)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.001):
                        answer = json.loads(await one.socket.recv())
        assert answer["code"] == "recipient_busy"
        for _ in range(20):
            await one.relay("slow", {"padding": padding})
        await two.relay("slow", {"from another connection of that address": True})
        await two.send(type="list_peers")
        async with asyncio.timeout(DEADLINE):
            while (answer := await two.receive())["type"] != "peers":
                pass
        assert answer["peers"] == ["cli1", "cli2", "slow"]
        slow.socket.transport.resume_reading()
        async with asyncio.timeout(DEADLINE):
            assert (await slow.receive())["from"] == "cli1"


async def test_an_address_has_a_limit_and_the_rest_is_told_so() -> None:
    async with running_server(limited(connections_per_address=3)) as server, contextlib.AsyncExitStack() as stack:
        one = await stack.enter_async_context(PlainClient.registered(server.url, "cli1"))
        two = await stack.enter_async_context(PlainClient.registered(server.url, "cli2"))
        await stack.enter_async_context(PlainClient.connected(server.url))
        for _ in range(5):
            async with PlainClient.connected(server.url) as refused:
                assert (await refused.receive())["code"] == "too_many_connections"
                assert await refused.closed() == 1013
        await still_relays(one, two)


@pytest.mark.slow
async def test_three_thousand_connections() -> None:
    async with running_server(limited(connections_per_address=100, arrivals=10_000)) as server:

        async def visit() -> str:
            async with PlainClient.connected(server.url, open_timeout=60) as client:
                with contextlib.suppress(ConnectionClosed):
                    await client.send(type="list_peers")
                return str((await client.receive())["code"])

        async with (
            PlainClient.registered(server.url, "cli1") as one,
            PlainClient.registered(server.url, "cli2") as two,
            asyncio.TaskGroup() as tasks,
        ):
            visits = [tasks.create_task(visit()) for _ in range(3000)]
            await still_relays(one, two)
            await asyncio.wait(visits)
            await still_relays(one, two)
        assert {task.result() for task in visits} <= {"not_registered", "too_many_connections"}


async def test_a_client_that_is_gone_frees_its_name(server: RunningServer) -> None:
    async with PlainClient.registered(server.url, "cli1"):
        pass
    async with PlainClient.registered(server.url, "cli1") as one:
        one.socket.transport.abort()
        await one.closed()
    async with PlainClient.registered(server.url, "cli1"):
        pass


async def test_a_dead_client_is_found_by_its_silence() -> None:
    async with running_server(limited(ping_seconds=0.1)) as server:
        async with PlainClient.registered(server.url, "alive"):
            reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(
                b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            async with asyncio.timeout(DEADLINE):
                with contextlib.suppress(ConnectionResetError):
                    said = await reader.read()
                    assert said.endswith(b"\x89\x07mpcnode")
            writer.close()
        async with PlainClient.registered(server.url, "alive"):
            pass


async def test_other_paths_and_other_protocols_get_plain_http_answers(server: RunningServer) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with PlainClient.connected(server.url + "/elsewhere"):
            pass
    assert refused.value.response.status_code == 404

    def get(path: str) -> tuple[int, Any]:
        with urllib.request.urlopen(f"http://{server.host}:{server.port}{path}", timeout=DEADLINE) as answer:
            return answer.status, json.load(answer)

    status, body = await asyncio.to_thread(get, "/healthz")
    assert (status, body["status"]) == (200, "ok")


async def test_nonsense_on_the_wire_ends_the_connection_and_nothing_else(server: RunningServer) -> None:
    async with PlainClient.registered(server.url, "cli1") as one, PlainClient.registered(server.url, "cli2") as two:
        async with PlainClient.connected(server.url) as fool:
            fool.socket.transport.write(b"\xff\x00unmasked and reserved")
            assert await fool.closed() == 1002
        await still_relays(one, two)


async def test_stopping_tells_every_client_and_frees_the_port() -> None:
    async with running_server() as server:
        async with PlainClient.registered(server.url, "cli1") as one, PlainClient.connected(server.url) as two:
            server.stop.set()
            for client in (one, two):
                assert await client.receive() == {
                    "type": "error", "error": "server is shutting down", "code": "server_shutdown",
                }  # fmt: skip
                assert await client.closed() == 1012
        port = server.port
    async with running_server(ServerConfig(port=port)) as again:
        assert again.port == port


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_and_ends_the_process_well(number: signal.Signals) -> None:
    program = (
        "import asyncio\n"
        "from mpcnode.server.config import ServerConfig\n"
        "from mpcnode.server.listen import loop_factory, serve\n"
        "ready = lambda host, port: print(f'ws://{host}:{port}', flush=True)\n"
        "with asyncio.Runner(loop_factory=loop_factory()) as runner:\n"
        "    runner.run(serve(ServerConfig(port=0), on_ready=ready))\n"
        "print('done')\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-c", program, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(3 * DEADLINE):
        url = (await process.stdout.readline()).decode().strip()
        async with PlainClient.registered(url, "cli1") as client:
            os.kill(process.pid, number)
            assert (await client.receive())["code"] == "server_shutdown"
            assert await client.closed() == 1012
        out, err = await process.communicate()
    assert (process.returncode, out, err) == (0, b"done\n", b"")


async def test_a_port_in_use_is_a_configuration_error(server: RunningServer) -> None:
    with pytest.raises(ConfigurationError, match=f"port {server.port}: address already in use"):
        await serve(ServerConfig(port=server.port), on_ready=lambda *_: None)


@pytest.mark.parametrize(
    "options",
    [
        {"host": "256.256.256.256"},
        {"port": 99_999},
        {"origins": ("example.org",)},
        {"trusted_proxies": ("10.0.0.1/8",)},
        {"certificate": Path("/nowhere.pem")},
        {"certificate": Path("/nowhere.pem"), "key": Path("/nowhere.pem")},
        {"certificate": Path(__file__), "key": Path(__file__)},
    ],
)
async def test_options_that_make_no_sense_are_configuration_errors(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        await serve(ServerConfig(**{"port": 0, **options}), on_ready=lambda *_: None, stop=asyncio.Event())


async def test_both_families_of_localhost_share_one_port() -> None:
    async with (
        running_server(ServerConfig(host="localhost", port=0)) as server,
        PlainClient.registered(f"ws://127.0.0.1:{server.port}", "cli1"),
    ):
        pass


async def test_a_trusted_proxy_names_the_address_and_a_stranger_does_not() -> None:
    limits = Limits(connections_per_address=1)

    async def codes(config: ServerConfig, *forwarded: str) -> list[str]:
        async with running_server(config) as server, contextlib.AsyncExitStack() as stack:
            said = []
            for value in forwarded:
                client = await stack.enter_async_context(
                    PlainClient.connected(server.url, additional_headers={"X-Forwarded-For": value})
                )
                with contextlib.suppress(ConnectionClosed):
                    await client.send(type="list_peers")
                said.append(str((await client.receive())["code"]))
            return said

    here, full = "not_registered", "too_many_connections"
    trusting = ServerConfig(port=0, limits=limits, trusted_proxies=("127.0.0.0/8",))
    assert await codes(trusting, "192.0.2.1", "192.0.2.2", "192.0.2.3, 192.0.2.1", "garbage") == [
        here,
        here,
        full,
        here,
    ]
    assert await codes(ServerConfig(port=0, limits=limits), "192.0.2.1", "192.0.2.2") == [here, full]


async def test_tls_serves_wss(tls_files: tuple[Path, Path]) -> None:
    certificate, key = tls_files
    async with running_server(ServerConfig(port=0, certificate=certificate, key=key)) as server:
        trust = ssl.create_default_context(cafile=certificate)
        async with PlainClient.connected(f"wss://127.0.0.1:{server.port}", ssl=trust) as client:
            await client.send(type="register", peer_id="cli1")
            assert await client.receive() == {"type": "peers", "peers": ["cli1"]}
            with contextlib.suppress(ConnectionClosed):
                await client.send_text("x" * 70_000)
            assert (await client.receive())["code"] == "message_too_big"
            assert await client.closed() == 1009
