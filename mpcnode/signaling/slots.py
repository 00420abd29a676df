"""The client of a server's slots: one connection, one slot, and the other end behind it (PROTOCOL section Slots).

What the server says is not trusted: it has its form or ends the slot, and its texts are escaped before anybody sees
them.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, Self, TypeVar

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, WebSocketException

from mpcnode.errors import DecodeError, ServerUnreachable, UsageError
from mpcnode.signaling.dialling import by_proxy, dial
from mpcnode.signaling.reasons import shown, tls_context, why
from mpcnode.wire import slots as wire
from mpcnode.wire.signaling import origin_of

M = TypeVar("M", wire.Allocated, wire.Claimed, wire.Message)

RELEASED: Final = "released"
LOST: Final = "connection_lost"
UNKNOWN_MESSAGE: Final = "unknown_message"

_RELEASE_SECONDS: Final = 1.0


class SlotOver(Exception):
    """The slot is over, for both ends, or was never had.

    Args:
        code: the server's word; ``RELEASED`` where an end released it, ``LOST`` where the connection is gone.
        said: the server's text, escaped and cut.
        retry_after: milliseconds after which the same is worth another try, where the server says so.
    """

    def __init__(self, code: str, said: str = "", retry_after: int | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.said = said
        self.retry_after = retry_after


class Slot:
    """One connection for one slot; ``open`` it, then ``allocate`` or ``claim``, once.

    Leaving the block ends the slot, whatever happened. Every method raises ``SlotOver`` when there is no slot any more.
    Deadlines are the caller's.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._over: SlotOver | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, server: str, *, ca_file: Path | None = None, deadline: float = 10.0) -> AsyncIterator[Self]:
        """Connect to a server, for as long as the block lasts.

        Args:
            server: its URL, as for signaling.
            ca_file: PEM file of the authorities to trust for ``wss``, in place of the system's.
            deadline: seconds to connect in.

        Raises:
            ServerUnreachable: there is no server, or it has no slots.
            UsageError: ``server`` is not a signaling server's URL.
            ConfigurationError: ``ca_file`` cannot be used.
        """
        try:
            origin = origin_of(server)
        except ValueError as exc:
            raise UsageError(f"not a signaling server's URL: {server!r}", hint="such as ws://127.0.0.1:9000") from exc
        dialled = dial(server.rstrip("/") + wire.PATH, tls_context(server, ca_file))
        async with contextlib.AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(deadline):
                    socket = await stack.enter_async_context(dialled)
            except (OSError, WebSocketException) as exc:
                raise ServerUnreachable(
                    f"no server with slots at {origin}{by_proxy(server)}: {why(exc, deadline)}",
                    hint="start one with mpcnode serve, or name another with --server",
                ) from exc
            slot = cls(socket)
            try:
                yield slot
            finally:
                if slot._over is not None:
                    socket.transport.abort()  # nothing follows; a handshake of closing would only be waited for

    async def allocate(self) -> tuple[int, float]:
        """Get a slot; gives its number, and for how many seconds it waits for its other end."""
        await self._send(wire.Allocate())
        answer = await self._hear(wire.Allocated)
        return answer.slot, answer.expires_in / 1000

    async def claim(self, slot: int) -> None:
        """Come to a slot; what is said next goes right behind, before ``claimed`` is heard."""
        await self._send(wire.Claim(slot))

    async def claimed(self) -> float:
        """Wait until both ends are there; gives for how many seconds they may speak."""
        return (await self._hear(wire.Claimed)).expires_in / 1000

    async def say(self, body: bytes) -> None:
        """Say something to the other end."""
        await self._send(wire.Message(body))

    async def hear(self) -> bytes:
        """Hear the next thing that the other end said."""
        return (await self._hear(wire.Message)).body

    async def release(self) -> None:
        """End the slot; the other end hears first what was said before. Never raises for what a server does."""
        with contextlib.suppress(SlotOver, TimeoutError):
            async with asyncio.timeout(_RELEASE_SECONDS):
                await self._send(wire.Release())
                while True:
                    await self._next()

    async def _send(self, message: wire.ClientMessage) -> None:
        if self._over is not None:
            raise self._over
        with contextlib.suppress(ConnectionClosed):  # what was said before that, and why it ended, is heard next
            await self._socket.send(wire.encode(message), text=True)

    async def _hear(self, kind: type[M]) -> M:
        message = await self._next()
        if not isinstance(message, kind):
            raise self._end(UNKNOWN_MESSAGE)
        return message

    async def _next(self) -> wire.Allocated | wire.Claimed | wire.Message:
        if self._over is not None:
            raise self._over
        try:
            message = wire.decode_from_server(await self._socket.recv(decode=False))
        except ConnectionClosed as exc:
            raise self._end(LOST, why(exc, 0)) from None
        except DecodeError:
            raise self._end(UNKNOWN_MESSAGE) from None
        match message:
            case wire.Released():
                raise self._end(RELEASED)
            case wire.Error():
                raise self._end(message.code, shown(message.error), message.retry_after)
            case _:
                return message

    def _end(self, code: str, said: str = "", retry_after: int | None = None) -> SlotOver:
        self._over = SlotOver(code, said, retry_after)
        return self._over
