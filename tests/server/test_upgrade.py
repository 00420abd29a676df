"""How a WebSocket upgrade is taken over: whole or in pieces, well-formed or not."""

import asyncio

import pytest

from tests.helpers.server import DEADLINE, RunningServer, running_server

HEAD = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
REGISTER = b'{"type":"register","peer_id":"cli1"}'


async def answer_to(server: RunningServer, *pieces: bytes, until: bytes = b"") -> bytes:
    """Send pieces one after the other; give what comes back, up to ``until`` or the end."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        async with asyncio.timeout(DEADLINE):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.02)
            if until:
                return await reader.readuntil(until)
            try:
                return await reader.read()
            except ConnectionResetError:
                return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "pieces",
    [
        (HEAD,),
        (HEAD[:40], HEAD[40:]),
        (HEAD.replace(b"Connection: Upgrade", b"Connection: keep-alive, Upgrade"),),
        (HEAD.replace(b"\r\nHost", b"\r\nhOST").replace(b"Upgrade: websocket", b"UPGRADE: WebSocket"),),
    ],
    ids=["whole", "in pieces", "as a browser writes it", "in another case"],
)
async def test_an_upgrade_is_answered_however_it_comes(pieces: tuple[bytes, ...]) -> None:
    async with running_server() as server:
        assert (await answer_to(server, *pieces, until=b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")


async def test_what_comes_right_after_the_upgrade_is_answered_too() -> None:
    frame = bytes((0x81, 0x80 | len(REGISTER))) + bytes(4) + REGISTER
    async with running_server() as server:
        answered = await answer_to(server, HEAD, frame, until=b"]}")
        assert answered.endswith(b'{"type":"peers","peers":["cli1"]}')


@pytest.mark.parametrize(
    "head",
    [
        HEAD.replace(b"Host: 127.0.0.1", b"no colon"),
        HEAD.replace(b"HTTP/1.1", b"HTTP/9"),
        HEAD.replace(b"Host: 127.0.0.1", b"Host: 127.0.0.1\r\n folded: on"),
        HEAD.replace(b"Host: 127.0.0.1", b"X: " + b"y" * 20_000),
    ],
    ids=["no header", "no version", "folded", "too long"],
)
async def test_an_upgrade_that_is_no_request_ends_its_connection(head: bytes) -> None:
    async with running_server() as server:
        answered = await answer_to(server, head)
        assert not answered.startswith(b"HTTP/1.1 101 ")
        assert (await answer_to(server, HEAD, until=b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")


async def test_another_page_is_refused_however_it_is_asked_for() -> None:
    async with running_server() as server:
        answered = await answer_to(server, HEAD.replace(b"GET / ", b"GET /elsewhere "), until=b"\r\n\r\n")
        assert answered.startswith(b"HTTP/1.1 404 ")
