"""Clients that cost a load generator almost nothing: WebSocket frames by hand, two dialects, many source addresses."""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal, cast

Dialect = Literal["plain", "peerjs"]

BODY: Final = 1024
"""Bytes of a relayed message's data."""
PER_ADDRESS: Final = 5
"""Clients that share an address of the loopback range: the server's limits stay on, and these share bursts."""

_UPGRADE: Final = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
)
_SUBPROTOCOL: Final = "Sec-WebSocket-Protocol: mpcnode.v1\r\n"
_STAMP: Final = re.compile(rb'"at": ?"([0-9.]+)"')


def text_frame(payload: bytes) -> bytes:
    """Give a client's text frame; masked with zeros, which costs the server what any mask does, and us nothing."""
    if len(payload) < 126:
        head = bytes((0x81, 0x80 | len(payload)))
    elif len(payload) < 65536:
        head = b"\x81\xfe" + len(payload).to_bytes(2, "big")
    else:
        raise ValueError("no benchmark sends that")
    return head + bytes(4) + payload


class Client(asyncio.Protocol):
    """One registered client.

    Args:
        dialect: what the server speaks.
        port: where it listens.
        name: this client's.
        room: a room to enter, which needs our subprotocol; PeerJS has none.
    """

    def __init__(self, dialect: Dialect, port: int, name: str, *, room: str = "") -> None:
        self.name = name
        self._room = room
        self.on_frame: Callable[[bytes], None] = lambda _payload: None
        self.registered = asyncio.get_running_loop().create_future()
        self.lost = False
        self._dialect = dialect
        self._port = port
        self._buffer = bytearray()
        self._upgraded = False
        self.transport: asyncio.Transport

    @classmethod
    async def connected(
        cls, dialect: Dialect, port: int, name: str, number: int, *, source: str = "", **options: Any
    ) -> "Client":
        """Connect and register; ``number`` says which address to come from, unless ``source`` does."""
        source = source or f"127.0.{1 + number // PER_ADDRESS // 250}.{1 + number // PER_ADDRESS % 250}"
        _, client = await asyncio.get_running_loop().create_connection(
            lambda: cls(dialect, port, name, **options), "127.0.0.1", port, local_addr=(source, 0)
        )
        async with asyncio.timeout(30):
            await client.registered
        return client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        more = _SUBPROTOCOL if self._room and self._dialect == "plain" else ""
        self.transport.write(_UPGRADE.format(path=self._path(), port=self._port, more=more).encode())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._upgraded:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            if b" 101 " not in head.split(b"\r\n")[0]:
                self._refused(bytes(head))
                return
            self._upgraded, self._buffer = True, rest
            if self._dialect == "plain":
                self.transport.write(text_frame(self._registration()))
        self._take_frames()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        self._refused(error or "closed")

    def _refused(self, why: object) -> None:
        if not self.registered.done():
            self.registered.set_exception(ConnectionError(why))

    def _path(self) -> str:
        return f"/peerjs?key=peerjs&id={self.name}&token=t" if self._dialect == "peerjs" else "/"

    def _registration(self) -> bytes:
        room = f',"room":"{self._room}"' if self._room else ""
        return f'{{"type":"register","peer_id":"{self.name}"{room}}}'.encode()

    def send_to(self, name: str, body: str) -> None:
        self.transport.write(self.frame_to(name, body))

    def frame_to(self, name: str, body: str) -> bytes:
        """Give the frame that has the server relay ``body``, the inside of a JSON object, to ``name``."""
        if self._dialect == "peerjs":
            return text_frame(f'{{"type":"OFFER","dst":"{name}","payload":{{{body}}}}}'.encode())
        return text_frame(f'{{"type":"relay","to":"{name}","data":{{{body}}}}}'.encode())

    def _take_frames(self) -> None:
        view, start = self._buffer, 0
        while len(view) >= start + 2:
            length, header = view[start + 1] & 0x7F, 2
            if length == 126:
                length, header = int.from_bytes(view[start + 2 : start + 4], "big"), 4
            elif length == 127:
                length, header = int.from_bytes(view[start + 2 : start + 10], "big"), 10
            end = start + header + length
            if len(view) < end:
                break
            if view[start] & 0x0F == 1:
                self._take(bytes(view[start + header : end]))
            elif view[start] & 0x0F == 9:
                # A server on a busy machine asks those that have been silent for long.
                self.transport.write(bytes((0x8A, 0x80 | length)) + bytes(4) + view[start + header : end])
            start = end
        if start:
            del view[:start]

    def _take(self, payload: bytes) -> None:
        if self.registered.done():
            self.on_frame(payload)
        elif b'"peers"' in payload[:20] or b'"OPEN"' in payload[:20]:
            self.registered.set_result(None)
        elif b'"welcome"' not in payload[:20]:
            self._refused(payload[:200])


class SlotClient(Client):
    """One end of a slot; it is ``registered`` when it has one."""

    slot = 0

    def _path(self) -> str:
        return "/slots"

    def _registration(self) -> bytes:
        return b'{"type":"allocate"}'

    def _take(self, payload: bytes) -> None:
        if not self.registered.done():
            answer = json.loads(payload)
            if answer["type"] != "allocated":
                self._refused(payload)
                return
            self.slot = answer["slot"]
            self.registered.set_result(None)
            return
        self.on_frame(payload)


class SlotGuest(SlotClient):
    """The other end of somebody's slot; its name is the number, and it is ``registered`` when it was let in."""

    def _registration(self) -> bytes:
        self.began = time.perf_counter()
        return f'{{"type":"claim","slot":{self.name}}}'.encode()

    def _take(self, payload: bytes) -> None:
        if not self.registered.done():
            self.seconds = time.perf_counter() - self.began
            if payload.startswith(b'{"type":"claimed"'):
                self.registered.set_result(None)
            else:
                self._refused(payload)


def stamped_body(now: float) -> str:
    """Give the inside of a JSON object of about ``BODY`` bytes that says when it was sent."""
    stamp = f'"at":"{now:.6f}"'
    return f'"pad":"{"x" * (BODY - len(stamp) - 11)}",{stamp}'


def stamp_of(payload: bytes) -> float:
    """Give the time a stamped body was sent at."""
    found = _STAMP.search(payload, len(payload) - 64)
    assert found is not None
    return float(found[1])


async def many(work: list[Awaitable[Client]], *, at_once: int = 32) -> list[Client]:
    """Connect many clients, some at a time."""
    gate = asyncio.Semaphore(at_once)

    async def one(connecting: Awaitable[Client]) -> Client:
        async with gate:
            return await connecting

    return list(await asyncio.gather(*(one(each) for each in work)))
