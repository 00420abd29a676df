"""The client of slots, against the real server and against one that says what it likes."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from mpcnode.errors import ServerUnreachable, UsageError
from mpcnode.server.config import ServerConfig
from mpcnode.signaling.slots import LOST, RELEASED, UNKNOWN_MESSAGE, Slot, SlotOver
from mpcnode.wire.slots import MESSAGES
from tests.helpers.server import DEADLINE, RunningServer, running_server


@pytest.fixture(autouse=True)
async def deadline() -> AsyncIterator[None]:
    async with asyncio.timeout(DEADLINE):
        yield


@pytest.fixture
async def server() -> AsyncIterator[RunningServer]:
    async with running_server() as running:
        yield running


async def over(work: Any) -> SlotOver:
    with pytest.raises(SlotOver) as ended:
        await work
    return ended.value


async def test_two_ends_hear_each_other_until_one_releases(server: RunningServer) -> None:
    async with Slot.open(server.url) as inviter, Slot.open(server.url + "/") as joiner:
        number, lasts = await inviter.allocate()
        assert lasts > 60
        await joiner.claim(number)
        await joiner.say(b"one")
        assert await inviter.claimed() > 1
        assert await joiner.claimed() > 1
        assert await inviter.hear() == b"one"
        await inviter.say(b"two")
        await inviter.say(b"three")
        await inviter.release()
        assert [await joiner.hear(), await joiner.hear()] == [b"two", b"three"]
        assert (await over(joiner.hear())).code == RELEASED
        assert (await over(joiner.say(b"four"))).code == RELEASED
        await joiner.release()


async def test_nobody_is_at_a_slot_that_nobody_has(server: RunningServer) -> None:
    async with Slot.open(server.url) as joiner:
        await joiner.claim(77)
        ended = await over(joiner.claimed())
    assert (ended.code, ended.said) == ("unknown_slot", "nobody has this slot")


async def test_leaving_the_block_ends_the_slot(server: RunningServer) -> None:
    async with Slot.open(server.url) as inviter:
        number, _ = await inviter.allocate()
    async with Slot.open(server.url) as joiner:
        await joiner.claim(number)
        assert (await over(joiner.claimed())).code == "slot_over"


async def test_a_task_that_is_cancelled_leaves_no_slot_open(server: RunningServer) -> None:
    numbers: asyncio.Queue[int] = asyncio.Queue()

    async def wait() -> None:
        async with Slot.open(server.url) as inviter:
            numbers.put_nowait((await inviter.allocate())[0])
            await inviter.claimed()

    task = asyncio.create_task(wait())
    number = await numbers.get()
    task.cancel()
    await asyncio.wait({task})
    async with Slot.open(server.url) as joiner:
        await joiner.claim(number)
        assert (await over(joiner.claimed())).code == "slot_over"


async def test_a_third_one_ends_it_for_all(server: RunningServer) -> None:
    async with Slot.open(server.url) as inviter, Slot.open(server.url) as joiner, Slot.open(server.url) as third:
        number, _ = await inviter.allocate()
        await joiner.claim(number)
        await joiner.claimed()
        await inviter.claimed()
        await third.claim(number)
        assert {(await over(one.hear())).code for one in (inviter, joiner)} == {"crowded"}
        assert (await over(third.claimed())).code == "crowded"


async def test_the_end_that_is_left_hears_that_the_other_is_gone(server: RunningServer) -> None:
    async with Slot.open(server.url) as inviter:
        number, _ = await inviter.allocate()
        async with Slot.open(server.url) as joiner:
            await joiner.claim(number)
            await joiner.claimed()
        await inviter.claimed()
        assert (await over(inviter.hear())).code == "peer_gone"


async def test_a_server_that_ends_says_so() -> None:
    async with running_server() as server, Slot.open(server.url) as inviter:
        await inviter.allocate()
        server.stop.set()
        assert (await over(inviter.claimed())).code == "server_shutdown"


async def test_a_slot_that_is_over_is_left_without_a_handshake_that_the_server_takes_its_time_for(
    server: RunningServer,
) -> None:
    async with Slot.open(server.url) as slot:
        await slot.allocate()
        await slot.release()
    assert slot._socket.close_code == 1006


async def test_what_is_too_much_is_said_to_be(server: RunningServer) -> None:
    async with Slot.open(server.url) as inviter, Slot.open(server.url) as joiner:
        number, _ = await inviter.allocate()
        await joiner.claim(number)
        await joiner.claimed()
        for _ in range(MESSAGES + 1):
            await joiner.say(b"x")
        assert (await over(joiner.hear())).code == "out_of_order"


async def test_where_no_server_is_the_origin_is_named() -> None:
    with pytest.raises(ServerUnreachable, match=r"no server with slots at ws://127\.0\.0\.1:1: "):
        async with Slot.open("ws://127.0.0.1:1"):
            pytest.fail("there is no server")


@pytest.mark.parametrize("url", ["http://127.0.0.1", "ws://", "nonsense"])
async def test_what_is_no_servers_url_is_refused_before_anything_is_dialled(url: str) -> None:
    with pytest.raises(UsageError):
        async with Slot.open(url):
            pytest.fail("there is no server")


async def test_a_server_over_tls_is_reached_with_its_authority(tls_files: tuple[Path, Path]) -> None:
    certificate, key = tls_files
    config = ServerConfig(port=0, certificate=certificate, key=key)
    async with running_server(config) as server:
        inviter = Slot.open(f"wss://127.0.0.1:{server.port}", ca_file=certificate)
        async with inviter as slot:
            assert (await slot.allocate())[0] == 1


@contextlib.asynccontextmanager
async def liar(*frames: str | bytes, close: bool = False) -> AsyncIterator[str]:
    """A server that answers the first message with ``frames``, whatever it is."""

    async def handle(connection: ServerConnection) -> None:
        await connection.recv()
        for frame in frames:
            await connection.send(frame)
        if close:
            connection.transport.abort()
        await connection.wait_closed()

    async with serve(handle, "127.0.0.1", 0) as listening:
        yield f"ws://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{}",
        "[]",
        '{"type":"allocated","slot":0,"expires_in":1}',
        '{"type":"allocated","slot":1,"expires_in":604800001}',
        '{"type":"allocated","slot":1,"expires_in":1,"more":1}',
        '{"type":"claimed","expires_in":1}',
        '{"type":"message","body":"00"}',
        b"\xff",
    ],
)
async def test_an_answer_that_is_none_ends_the_slot(frame: str | bytes) -> None:
    async with liar(frame) as url, Slot.open(url) as slot:
        assert (await over(slot.allocate())).code == UNKNOWN_MESSAGE
        assert (await over(slot.claimed())).code == UNKNOWN_MESSAGE


async def test_an_unknown_word_is_an_end_and_its_text_is_escaped() -> None:
    frame = json.dumps({"type": "error", "error": "\x1b[31mred" + "x" * 300, "code": "new_word", "retry_after": 5})
    async with liar(frame) as url, Slot.open(url) as slot:
        ended = await over(slot.allocate())
    assert (ended.code, ended.retry_after) == ("new_word", 5)
    assert ended.said.startswith("\\x1b[31mred")
    assert len(ended.said) < 250


async def test_a_connection_that_breaks_is_the_end() -> None:
    async with liar(close=True) as url, Slot.open(url) as slot:
        assert (await over(slot.allocate())).code == LOST
        assert (await over(slot.say(b"x"))).code == LOST
        await slot.release()


async def test_what_was_said_before_the_end_is_heard_by_one_that_speaks_meanwhile(server: RunningServer) -> None:
    async with Slot.open(server.url) as inviter, Slot.open(server.url) as joiner:
        number, _ = await inviter.allocate()
        await joiner.claim(number)
        await joiner.claimed()
        await inviter.claimed()
        await inviter.say(b"last words")
        await inviter.release()
        await asyncio.sleep(0.1)
        await joiner.say(b"too late")
        assert await joiner.hear() == b"last words"
        assert (await over(joiner.hear())).code == RELEASED


async def test_a_server_that_does_not_answer_to_release_is_not_waited_for() -> None:
    async with liar('{"type":"allocated","slot":1,"expires_in":1000}') as url, Slot.open(url) as slot:
        await slot.allocate()
        async with asyncio.timeout(5):
            await slot.release()
