"""The client against real servers, dead ones, plain ones and dishonest ones."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websocket
from websockets.typing import Subprotocol

from mpcnode.crypto.transcript import tagged_hash
from mpcnode.errors import (
    ConfigurationError,
    DecodeError,
    MpcError,
    NameTaken,
    ServerRefused,
    ServerUnreachable,
    UsageError,
    WrongPassphrase,
)
from mpcnode.server.config import ServerConfig
from mpcnode.server.limits import Limits
from mpcnode.signaling import registration
from mpcnode.signaling.client import SignalingClient
from mpcnode.signaling.events import (
    ClientEvent,
    Disconnected,
    Dropped,
    PeerJoined,
    PeerLeft,
    Peers,
    Registered,
    Relayed,
    ServerSaid,
)
from mpcnode.signaling.outbox import MAX_BYTES, Standing
from mpcnode.types import IdentityKey, PeerId
from mpcnode.wire.signaling import IceServer
from tests.helpers.server import DEADLINE, PlainClient, running_server

CLI2 = PeerId("cli2")


class Key:
    """An identity."""

    def __init__(self, seed: int) -> None:
        self._key = SigningKey(bytes([seed]) * 32)

    @property
    def public_key(self) -> IdentityKey:
        return IdentityKey(bytes(self._key.verify_key))

    def sign(self, tag: str, *fields: bytes) -> bytes:
        return bytes(self._key.sign(tagged_hash(tag, *fields)).signature)


class Node:
    """A client, its key and what it was told."""

    def __init__(self, url: str, name: str = "cli1", *, seed: int = 1, **options: Any) -> None:
        async def unlocked() -> Key:
            return Key(seed)

        self.events: asyncio.Queue[ClientEvent] = asyncio.Queue()
        self.client = SignalingClient(
            url=url,
            peer_id=PeerId(name),
            rng=random.Random(seed).randbytes,
            on_event=self.events.put_nowait,
            **{"retry_seconds": (0.01, 0.1), "unlocked": unlocked, **options},
        )

    async def next(self, kind: type[Any]) -> Any:
        """Give the next event of a kind, past the others."""
        async with asyncio.timeout(DEADLINE):
            while not isinstance(event := await self.events.get(), kind):
                pass
        return event


@contextlib.asynccontextmanager
async def running(url: str, name: str = "cli1", **options: Any) -> AsyncIterator[Node]:
    node = Node(url, name, **options)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(node.client.run())
        yield node
        async with asyncio.timeout(DEADLINE):
            await node.client.close()
            await task


async def failure(node: Node) -> MpcError:
    with pytest.raises(MpcError) as raised:
        async with asyncio.timeout(DEADLINE):
            await node.client.run()
    return raised.value


@contextlib.asynccontextmanager
async def false_server(behave: Callable[[ServerConnection], Awaitable[None]], **options: Any) -> AsyncIterator[str]:
    """A WebSocket server that behaves as the test says, then holds the line."""

    async def hold(socket: ServerConnection) -> None:
        await behave(socket)
        await socket.wait_closed()

    async with serve_websocket(hold, "127.0.0.1", 0, close_timeout=0.1, **options) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


async def test_it_registers_watches_and_relays() -> None:
    ice = IceServer(("stun:stun.example",))
    async with (
        running_server(ServerConfig(port=0, ice_servers=(ice,))) as server,
        PlainClient.registered(server.url, "cli2") as cli2,
        running(server.url) as node,
    ):
        registered = await node.next(Registered)
        assert registered.peers == ("cli2", "cli1")
        assert registered.ice_servers == (ice,)
        assert registered.limits.burst == 1000
        data = b'{ "n": 1.00 }'
        node.client.relay(CLI2, data)
        assert await cli2.receive() == {"type": "relay", "from": "cli1", "data": {"n": 1.0}}
        await cli2.send_text('{"type":"relay","to":"cli1","data":{ "n": 2.00 }}')
        assert await node.next(Relayed) == Relayed(CLI2, b'{ "n": 2.00 }')
        async with PlainClient.registered(server.url, "cli3"):
            assert await node.next(PeerJoined) == PeerJoined(PeerId("cli3"))
        assert await node.next(PeerLeft) == PeerLeft(PeerId("cli3"))
        node.client.list_peers()
        assert await node.next(Peers) == Peers((CLI2, PeerId("cli1")))
        node.client.relay(PeerId("cli9"), b"{}")
        assert await node.next(ServerSaid) == ServerSaid("unknown_peer", "unknown peer: cli9", PeerId("cli9"))


async def test_what_is_relayed_before_the_registration_waits_for_it() -> None:
    async with running_server() as server, PlainClient.registered(server.url, "cli2") as cli2:
        node = Node(server.url)
        node.client.relay(CLI2, b'{"early":1}')
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(node.client.run())
            assert (await cli2.receive())["data"] == {"early": 1}
            await node.client.close()


async def test_close_lets_the_last_words_out() -> None:
    async with running_server() as server, PlainClient.registered(server.url, "cli2") as cli2:
        async with running(server.url) as node:
            await node.next(Registered)
            for index in range(100):
                node.client.relay(CLI2, json.dumps({"index": index}).encode())
        assert [(await cli2.receive())["data"]["index"] for _ in range(100)] == list(range(100))
        with pytest.raises(ServerUnreachable):
            node.client.relay(CLI2, b"{}")


async def test_it_comes_back_with_its_name_and_what_waited_is_sent() -> None:
    async with contextlib.AsyncExitStack() as outer:
        async with running_server() as first:
            port = first.port
            node = await outer.enter_async_context(running(first.url))
            await node.next(Registered)
        said = await node.next(ServerSaid)
        assert said.code == "server_shutdown"
        lost = await node.next(Disconnected)
        assert "1012" in lost.reason
        assert 0 < lost.retry_in <= 0.1
        node.client.relay(CLI2, b'{"late":1}')
        assert "refused" in (await node.next(Disconnected)).reason
        second = await outer.enter_async_context(running_server(ServerConfig(port=port)))
        async with PlainClient.connected(second.url) as cli2:
            await cli2.send(type="register", peer_id="cli2")
            await cli2.receive()
            await node.next(Registered)
            # Whether the peer was there first is chance; that the message was not lost on our side is not.
            async with asyncio.timeout(DEADLINE):
                waiting = {asyncio.ensure_future(cli2.receive()), asyncio.ensure_future(node.next(ServerSaid))}
                done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            (result,) = (task.result() for task in done)
            assert result in (
                {"type": "relay", "from": "cli1", "data": {"late": 1}},
                ServerSaid("unknown_peer", "unknown peer: cli2", CLI2),
            )
        await node.client.close()


async def test_nobody_there_is_said_at_once() -> None:
    async with running_server() as server:
        pass
    error = await failure(Node(server.url))
    assert isinstance(error, ServerUnreachable)
    assert error.message == f"no signaling server at {server.url}: connection refused"
    assert error.hint is not None


async def test_a_host_without_a_name_is_said() -> None:
    assert isinstance(await failure(Node("ws://no-such-host.invalid:9000")), ServerUnreachable)


async def test_a_silent_host_is_given_up_after_the_deadline() -> None:
    async with false_server(lambda _: asyncio.sleep(0), subprotocols=None) as url:
        error = await failure(Node(url, first_try_deadline=0.2))
    assert error.message.endswith("no answer within 0.2 s")


async def test_close_ends_a_try_that_still_waits() -> None:
    async with false_server(lambda _: asyncio.sleep(0)) as url, running(url, first_try_deadline=1000):
        await asyncio.sleep(0.05)


async def test_the_server_is_dialled_while_the_key_is_derived() -> None:
    welcomed = asyncio.Event()

    async def behave(socket: ServerConnection) -> None:
        welcomed.set()
        await socket.send('{"type":"peers","peers":[]}')

    async def unlocked() -> Key:
        await welcomed.wait()  # for ever, where the key is waited for first
        return Key(1)

    async with false_server(behave) as url, running(url, unlocked=unlocked) as node:
        await node.next(Registered)


@pytest.mark.parametrize(("patience", "welcome", "late"), [(0.1, 5.0, 1.6), (60.0, 0.2, 0.4)])
async def test_a_key_that_comes_late_is_no_error(
    patience: float, welcome: float, late: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registration, "_WELCOME_SECONDS", welcome)
    asked = 0

    async def unlocked() -> Key:
        nonlocal asked
        asked += 1
        if asked == 1:
            await asyncio.sleep(late)
        return Key(1)

    config = ServerConfig(port=0, limits=Limits(register_seconds=patience))
    async with running_server(config) as server, running(server.url, unlocked=unlocked) as node:
        assert isinstance(await node.next(Registered), Registered)
        assert asked == 2  # the first welcome was too old, or its connection closed
        assert node.events.empty()


async def test_what_keeps_the_key_away_ends_the_first_try() -> None:
    async def unlocked() -> Key:
        raise WrongPassphrase("not this one")

    async with running_server() as server:
        assert isinstance(await failure(Node(server.url, unlocked=unlocked)), WrongPassphrase)
        async with PlainClient.registered(server.url, "cli1"):
            pass  # nobody has the name


async def test_close_waits_for_no_key() -> None:
    async def unlocked() -> Key:
        await asyncio.Event().wait()
        raise AssertionError

    async with running_server() as server, running(server.url, unlocked=unlocked):
        await asyncio.sleep(0.1)


async def test_a_taken_name_is_an_error_of_ours() -> None:
    async with running_server() as server, running(server.url, seed=1) as holder:
        await holder.next(Registered)
        error = await failure(Node(server.url, seed=2))
    assert isinstance(error, NameTaken)
    assert (error.exit_code, error.server_code) == (5, "already_registered")


async def test_the_same_key_takes_over_and_the_old_node_does_not_fight() -> None:
    async with running_server() as server:
        old = Node(server.url)
        task = asyncio.create_task(old.client.run())
        await old.next(Registered)
        async with running(server.url) as new:
            await new.next(Registered)
            with pytest.raises(NameTaken, match="took over"):
                async with asyncio.timeout(DEADLINE):
                    await task
            new.client.list_peers()
            assert (await new.next(Peers)).peers == ("cli1",)


async def test_another_refusal_carries_the_servers_word() -> None:
    config = ServerConfig(port=0, limits=Limits(connections_per_address=1))
    async with running_server(config) as server, PlainClient.registered(server.url, "cli2"):
        error = await failure(Node(server.url))
    assert isinstance(error, ServerRefused)
    assert not isinstance(error, NameTaken)
    assert error.server_code == "too_many_connections"


async def test_an_origin_the_server_does_not_go_by_is_refused() -> None:
    async with running_server(ServerConfig(port=0, origins=("wss://mpc.example",))) as server:
        error = await failure(Node(server.url))
    assert isinstance(error, ServerRefused)
    assert error.server_code == "invalid_signature"


async def test_a_server_of_the_source_document_will_do() -> None:
    async def plain(socket: ServerConnection) -> None:
        assert json.loads(await socket.recv()) == {"type": "register", "peer_id": "cli1"}
        assert json.loads(await socket.recv()) == {"type": "list_peers"}
        await socket.send('{"type": "peers", "peers": ["cli1"]}')
        await socket.send('{"type": "relay", "from": "cli2", "data": {"x": 1}}')
        await socket.send('{"type": "error", "error": "\\u001b[31mno"}')

    async with false_server(plain) as url, running(url) as node:
        assert await node.next(Registered) == Registered((PeerId("cli1"),), None, (), None)
        assert await node.next(Relayed) == Relayed(CLI2, b'{"x": 1}')
        assert await node.next(ServerSaid) == ServerSaid("", "\\x1b[31mno", None)


@pytest.mark.parametrize(
    "frame",
    [
        "hello",
        "[" * 100_000,
        '{"type":"peers","peers":["\\u001b"]}',
        b"\xff",
        "x" * 2_000_000,
        '{"type":"peer_joined"}',
    ],
    ids=["no JSON", "deep", "escape", "binary", "huge", "incomplete"],
)
async def test_what_is_no_signaling_server_is_refused_on_the_first_try(frame: str | bytes) -> None:
    async with false_server(lambda socket: socket.send(frame)) as url:
        error = await failure(Node(url))
    assert isinstance(error, ServerUnreachable)
    assert error.message.isascii()


async def test_rubbish_later_ends_the_connection_and_another_is_made() -> None:
    visits = 0

    async def dishonest(socket: ServerConnection) -> None:
        nonlocal visits
        visits += 1
        await socket.send('{"type":"peers","peers":[]}')
        if visits == 1:
            await socket.send("rubbish")

    async with false_server(dishonest) as url, running(url) as node:
        await node.next(Registered)
        assert (await node.next(Disconnected)).reason == "what answers does not speak its protocol"
        await node.next(Registered)


async def test_a_server_that_welcomes_twice_is_refused() -> None:
    welcome = {
        "type": "welcome",
        "version": "1",
        "challenge": "00" * 32,
        "limits": {"message_bytes": 65_536, "messages_per_second": 50, "burst": 10},
    }

    async def twice(socket: ServerConnection) -> None:
        await socket.send(json.dumps(welcome))
        await socket.send(json.dumps(welcome))

    async with false_server(twice, subprotocols=[Subprotocol("mpcnode.v1")]) as url:
        assert isinstance(await failure(Node(url)), ServerUnreachable)


async def test_something_else_on_the_port_is_unreachable() -> None:
    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert isinstance(await failure(Node(f"ws://127.0.0.1:{port}")), ServerUnreachable)
    async with running_server() as running_one:
        error = await failure(Node(running_one.url + "/elsewhere"))
        assert error.message.endswith("it answered with HTTP status 404")


async def test_it_keeps_to_the_pace_the_server_allows() -> None:
    config = ServerConfig(port=0, limits=Limits(burst=20, messages_per_second=200, excess=1))
    async with (
        running_server(config) as server,
        PlainClient.registered(server.url, "cli2") as cli2,
        running(server.url) as node,
    ):
        await node.next(Registered)
        for index in range(60):
            node.client.relay(CLI2, json.dumps({"index": index}).encode())
        assert [(await cli2.receive())["data"]["index"] for _ in range(60)] == list(range(60))
        assert node.events.empty()


async def test_the_queue_is_bounded_and_what_is_lost_is_told() -> None:
    node = Node("ws://127.0.0.1:1")
    data = b'{"x":"' + b"x" * 60_000 + b'"}'
    for _ in range(MAX_BYTES // (len(data) + 40)):
        node.client.relay(CLI2, data)
    assert node.events.empty()
    node.client.relay(CLI2, data)
    assert await node.next(Dropped) == Dropped(CLI2)
    node.client.relay(PeerId("mallory"), data, Standing.STRANGER)
    assert node.events.empty()


async def test_strangers_leave_most_of_what_may_go_at_once_to_others() -> None:
    config = ServerConfig(port=0, limits=Limits(burst=100, messages_per_second=1))
    async with (
        running_server(config) as server,
        PlainClient.registered(server.url, "cli2") as cli2,
        PlainClient.registered(server.url, "mallory", close_timeout=0.1),  # it reads nothing, so its close would wait
        running(server.url) as node,
    ):
        await node.next(Registered)
        for _ in range(1000):
            node.client.relay(PeerId("mallory"), b"{}", Standing.STRANGER)
        await asyncio.sleep(0.1)
        for index in range(60):
            node.client.relay(CLI2, json.dumps({"index": index}).encode())
        async with asyncio.timeout(DEADLINE):
            assert [(await cli2.receive())["data"]["index"] for _ in range(60)] == list(range(60))


async def test_a_server_that_lets_one_message_go_at_once_is_served() -> None:
    heard: asyncio.Queue[str | bytes] = asyncio.Queue()

    async def slow(socket: ServerConnection) -> None:
        limits = {"message_bytes": 65_536, "messages_per_second": 50, "burst": 1}
        await socket.send(json.dumps({"type": "welcome", "version": "1", "challenge": "00" * 32, "limits": limits}))
        for _ in range(2):
            await socket.recv()
            await socket.send('{"type":"peers","peers":["cli1","cli2"]}')
        async for frame in socket:
            heard.put_nowait(frame)

    async with false_server(slow, subprotocols=[Subprotocol("mpcnode.v1")]) as url, running(url) as node:
        await node.next(Registered)
        for standing in Standing:
            node.client.relay(CLI2, b"{}", standing)
        async with asyncio.timeout(DEADLINE):
            for _ in Standing:
                await heard.get()


WELCOME = {
    "type": "welcome",
    "version": "1",
    "challenge": "00" * 32,
    "limits": {"message_bytes": 65_536, "messages_per_second": 50, "burst": 100},
}


def telling(
    then: Callable[[ServerConnection, int], Awaitable[None]], **limits: int
) -> tuple[list[float], Callable[[ServerConnection], Awaitable[None]]]:
    """A server that does something after each message; and when each came."""
    times: list[float] = []

    async def tell(socket: ServerConnection) -> None:
        await socket.send(json.dumps(WELCOME | {"limits": {**WELCOME["limits"], **limits}}))  # type: ignore[dict-item]
        for _ in range(2):
            await socket.recv()
            await socket.send('{"type":"peers","peers":["cli1","cli2"]}')
        async for _frame in socket:
            times.append(asyncio.get_running_loop().time())
            await then(socket, len(times))

    return times, tell


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not happened():
            await asyncio.sleep(0.01)


async def test_a_message_whose_recipient_was_busy_goes_again_after_the_time_the_server_says() -> None:
    async def busy(socket: ServerConnection, number: int) -> None:
        if number == 1:
            error = {"type": "error", "error": "busy", "code": "recipient_busy", "peer": "cli2", "retry_after": 300}
            await socket.send(json.dumps(error))

    times, tell = telling(busy)
    async with false_server(tell, subprotocols=[Subprotocol("mpcnode.v1")]) as url, running(url) as node:
        await node.next(Registered)
        node.client.relay(CLI2, b"{}")
        await until(lambda: len(times) == 2)
        assert times[1] - times[0] >= 0.29
        assert node.events.empty()


async def test_nothing_goes_while_the_server_says_that_too_much_came() -> None:
    async def refuse(socket: ServerConnection, number: int) -> None:
        if number == 1:
            error = {"type": "error", "error": "rate limited", "code": "rate_limited", "retry_after": 300}
            await socket.send(json.dumps(error))

    times, tell = telling(refuse)
    async with false_server(tell, subprotocols=[Subprotocol("mpcnode.v1")]) as url, running(url) as node:
        await node.next(Registered)
        node.client.relay(CLI2, b"{}")
        await node.next(ServerSaid)
        node.client.relay(CLI2, b"{}")
        await until(lambda: len(times) == 2)
        assert times[1] - times[0] >= 0.29


async def test_a_long_message_counts_as_much_as_it_does_at_the_server() -> None:
    async def listen(_socket: ServerConnection, _number: int) -> None:
        """Say nothing."""

    times, tell = telling(listen, burst=9, messages_per_second=10)
    long = b'{"x":"' + b"x" * 50_000 + b'"}'  # counts four
    async with false_server(tell, subprotocols=[Subprotocol("mpcnode.v1")]) as url, running(url) as node:
        await node.next(Registered)
        for _ in range(4):
            node.client.relay(CLI2, long)
        await until(lambda: len(times) == 4)
        assert times[3] - times[0] >= 0.4


async def test_too_many_connections_before_the_handshake_is_said_in_words() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        error = await failure(Node(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    assert error.message.endswith("too many connections came from this address; it says to try again later, in 3 s")


async def test_a_server_without_tls_is_not_called_forbidden() -> None:
    async with running_server() as server:
        error = await failure(Node(f"wss://127.0.0.1:{server.port}"))
    assert "it does not speak TLS there" in error.message


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"x":"' + b"x" * 70_000 + b'"}'])
async def test_what_cannot_be_relayed_is_the_callers_mistake(data: bytes) -> None:
    with pytest.raises((DecodeError, ValueError)):
        Node("ws://127.0.0.1:1").client.relay(CLI2, data)


async def test_what_on_event_raises_comes_out_of_run() -> None:
    def broken(_event: ClientEvent) -> None:
        raise ZeroDivisionError

    async with running_server() as server, PlainClient.registered(server.url, "cli2") as cli2:
        node = Node(server.url)
        task = asyncio.create_task(node.client.run())
        await node.next(Registered)
        node.client._on_event = broken
        await cli2.relay("cli1", {})
        with pytest.raises(ZeroDivisionError):
            async with asyncio.timeout(DEADLINE):
                await task


async def test_cancelling_run_leaves_nothing_behind() -> None:
    async with running_server() as server:
        before = asyncio.all_tasks()
        node = Node(server.url)
        task = asyncio.create_task(node.client.run())
        await node.next(Registered)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == before


async def test_wss_needs_a_certificate_it_trusts(tls_files: tuple[Path, Path]) -> None:
    certificate, key = tls_files
    async with running_server(ServerConfig(port=0, certificate=certificate, key=key)) as server:
        url = f"wss://127.0.0.1:{server.port}"
        async with running(url, ca_file=certificate) as node:
            assert (await node.next(Registered)).peers == ("cli1",)
        error = await failure(Node(url))
        assert isinstance(error, ServerUnreachable)
        assert "certificate is not trusted" in error.message
        assert isinstance(await failure(Node(f"ws://127.0.0.1:{server.port}")), ServerUnreachable)
    with pytest.raises(ConfigurationError):
        Node("wss://a", ca_file=Path("/nowhere.pem"))


@pytest.mark.parametrize("url", ["", "127.0.0.1:9000", "http://127.0.0.1:9000", "ws://"])
async def test_what_is_no_url_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError):
        Node(url)
