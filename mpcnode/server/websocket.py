"""One WebSocket client: bytes of a socket on one side, whole messages for a room on the other.

uvicorn accepts the socket, and ``Connection`` stands in the place of uvicorn's own WebSocket protocol. Both read the
frames with the Sans-I/O core of ``websockets``. ``Connection`` has no queue and no task for each client, and it has
an outbox with a limit, which an ASGI application cannot see. Only this file and ``listen`` touch uvicorn.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final, Protocol, TypeVar, cast

from uvicorn.server import ServerState
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from mpcnode.server.ledger import Ledger
from mpcnode.server.limits import Limits
from mpcnode.server.turns import Turns

_MAX_FRAGMENTS: Final = 1024
_SLICE: Final = 2048
_SMALL_SLICE: Final = 256
"""Bytes the parser gets at once; none of the frames in them is judged before all of them are parsed.

Few, unless the last ones were all of one message.
"""
_TURN_FRAMES: Final = 16
_TURN_BYTES: Final = 64 * 1024
"""What is taken of one read at once; the rest waits for its turns, and nothing more is read until they are over."""
_NOTHING: Final = memoryview(b"")
_LINGER_SECONDS: Final = 0.5

# The library's own log names peers' bytes at level DEBUG; ours does not.
_logger: Final = logging.getLogger("mpcnode.server.websocket")
_logger.setLevel(logging.WARNING)


class Room(Protocol):
    """What a connection calls once its upgrade is answered."""

    @property
    def subprotocol(self) -> str | None:
        """What is chosen where a client offers it."""

    def text(self, connection: "Connection", frame: bytes) -> None:
        """A whole text message came in."""

    def binary(self, connection: "Connection") -> None:
        """A whole binary message came in."""

    def control(self, connection: "Connection") -> None:
        """A ping, a pong or a fragment came in."""

    def too_big(self, connection: "Connection") -> None:
        """A message above the limit begins; it will not be read."""

    def overflow(self, connection: "Connection") -> None:
        """Too much waits for this client."""

    def closed(self, connection: "Connection") -> None:
        """The connection will deliver nothing any more."""


R = TypeVar("R", bound=Room)


class Switchboard(Protocol[R]):
    """What a connection calls before; the server behind it."""

    limits: Limits
    turns: Turns
    kept: "list[Connection] | None"
    """The connections with frames that are to go together, while the messages that came at once are judged."""

    def room(self, path: str) -> R | None:
        """Give the room at a path."""

    def opened(self, connection: "Connection", room: R, request: Request) -> None:
        """The upgrade is answered; frames may follow."""


class _Core(ServerProtocol):
    """The frames of a connection; ``room_subprotocol`` is known when the request is."""

    room_subprotocol: str | None = None

    def select_subprotocol(self, subprotocols: Sequence[Subprotocol] | None) -> Subprotocol | None:
        """Choose what the room speaks, where the client offers it."""
        ours = self.room_subprotocol
        return Subprotocol(ours) if ours is not None and ours in (subprotocols or ()) else None


class Connection(asyncio.Protocol):
    """A WebSocket client (RFC 6455).

    Args:
        switchboard: finds it the room that is told of everything that comes in.
        state: uvicorn's set of connections, which shutdown empties.
    """

    __slots__ = (
        "_conn", "_fragments", "_heard", "_is_text", "_kept", "_ledger", "_pinged", "_rest", "_room", "_state",
        "_switchboard", "_timer", "number", "transport", "wait",
    )  # fmt: skip

    def __init__(self, switchboard: Switchboard[Any], state: ServerState) -> None:
        self.number = 0
        self.wait = 0.0
        self._switchboard = switchboard
        self._state = state
        self._room: Room  # until it is there, nothing comes in that one would be told of
        self._conn = _Core(max_size=switchboard.limits.message_bytes, logger=_logger)
        self.transport: asyncio.Transport
        self._fragments: list[bytes] = []
        self._ledger: Ledger | None = None
        self._is_text = True
        self._kept: list[bytes] | None = None
        self._rest = _NOTHING
        self._heard = asyncio.get_running_loop().time()
        self._pinged: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    # What asyncio and uvicorn call.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket over from the HTTP protocol."""
        self.transport = cast("asyncio.Transport", transport)
        self._state.connections.add(self)  # type: ignore[arg-type] # uvicorn names its own

    def data_received(self, data: bytes) -> None:
        """Read frames: a part of them now, and the rest in turns with everybody else."""
        if self._timer is not None:
            self._end(data)
            return
        self._heard, self._pinged = asyncio.get_running_loop().time(), None
        if self._rest:
            # A transport may hand over what it had when it was told to pause.
            self._rest = memoryview(bytes(self._rest) + data)
            return
        if len(data) <= _SLICE:
            self._feed(data)
            return
        self._rest = memoryview(data)
        self.transport.pause_reading()
        self._switchboard.turns.soon(self._begin)

    def work(self) -> int:
        """Read some more of what came at once."""
        # Few frames or many bytes, so that a long message does not wait its turn for each of its slices.
        return max(1, self._go_on(1, _TURN_BYTES // 2))

    def eof_received(self) -> bool:
        """Treat a half-closed socket as closed: a client that cannot answer a close is gone."""
        return False

    def connection_lost(self, _exc: Exception | None) -> None:
        """Forget everything."""
        if self._timer is not None:
            self._timer.cancel()
        self._rest = _NOTHING
        self._kept = None
        self._state.connections.discard(self)
        if self.number:
            self._room.closed(self)

    def shutdown(self) -> None:
        """Close a connection that the hub did not know; uvicorn calls it when the server stops."""
        self.close(CloseCode.SERVICE_RESTART, "", b"")

    # What the server calls.

    @property
    def peer_address(self) -> str:
        """The IP address at the other end of the socket."""
        name = self.transport.get_extra_info("peername")
        return str(name[0]) if isinstance(name, tuple) else ""

    @property
    def is_tls(self) -> bool:
        """Whether the socket itself is encrypted."""
        return self.transport.get_extra_info("sslcontext") is not None

    @property
    def extended(self) -> bool:
        """Whether the client speaks the room's subprotocol."""
        return self._conn.subprotocol is not None

    def send(self, frame: bytes) -> None:
        """Queue a text frame; never waits. A client whose outbox is full is reported instead."""
        if self._conn.state is not OPEN:
            return
        if self._waiting() + len(frame) > self._switchboard.limits.outbox_bytes:
            self._room.overflow(self)
            return
        self._write(with_header(frame))

    def pass_on(self, frame: bytes, sender: str) -> bool:
        """Queue a text frame that came from the address ``sender``; say whether there was place for one of its."""
        if self._conn.state is not OPEN:
            return True  # the room is about to hear that it is gone
        limits = self._switchboard.limits
        if self._ledger is None:
            # The rest is the server's own: strangers' messages never stand in the way of what it has to say.
            self._ledger = Ledger(max(limits.message_bytes, limits.outbox_bytes * 3 // 4))
        if not self._ledger.take(sender, len(frame), self._waiting()):
            return False
        self._write(with_header(frame))
        return True

    def send_all(self, frames: bytes) -> None:
        """Queue text frames that have their headers already, as ``send`` does."""
        if self._conn.state is not OPEN:
            return
        if self._waiting() + len(frames) > self._switchboard.limits.outbox_bytes:
            self._room.overflow(self)
            return
        self._write(frames)

    def close(self, code: int, reason: str, frame: bytes) -> None:
        """Send ``frame`` where there is one, then the close frame, and see to it that the socket ends soon."""
        if self._timer is not None:
            return
        if self._conn.close_rcvd is None:
            if frame:
                self._let_go()
                self.transport.write(with_header(frame))
            if self._conn.state is OPEN:
                self._conn.send_close(code, reason)
        self._flush()
        self._end_soon()

    def keep_alive(self, now: float) -> None:
        """Ping a client that has been silent, give up one that stayed so; call it about once a second."""
        if self._timer is not None or self.transport.is_closing():
            return
        seconds = self._switchboard.limits.ping_seconds
        if self._pinged is None:
            if now - self._heard > seconds and self._conn.state is OPEN:
                self._pinged = now
                self._conn.send_ping(b"mpcnode")
                self._flush()
        elif now - self._pinged > seconds:
            # Nobody reads a close frame there, and what waits in the outbox would hold the socket open for minutes.
            self.transport.abort()

    def abort(self) -> None:
        """End the socket at once."""
        self.transport.abort()

    # Inside.

    def _begin(self) -> None:
        """Read the first part of what came at once."""
        self._go_on(_TURN_FRAMES, _TURN_BYTES)

    def _go_on(self, most_frames: int, most_bytes: int) -> int:
        """Read a part of the rest; wait for a turn where more is left, and read on from the socket where none is."""
        if self._is_ending():
            self._end(self._rest)
            return 0
        frames = self._feed_slices(most_frames, most_bytes)
        if self._rest:
            self._switchboard.turns.wait(self)
        elif not self._is_ending() and not self.transport.is_closing():
            self.transport.resume_reading()
        return frames

    def _is_ending(self) -> bool:
        """Say whether a close was decided."""
        return self._timer is not None

    def _feed_slices(self, most_frames: int, most_bytes: int) -> int:
        """Read slices of the rest until there were so many frames, or bytes; give how many frames there were."""
        frames = taken = 0
        size = _SMALL_SLICE
        while self._rest and frames < most_frames and taken < most_bytes:
            data, self._rest = bytes(self._rest[:size]), self._rest[size:]
            came = self._feed(data)
            frames += came
            taken += size
            size = _SMALL_SLICE if came else _SLICE
        return frames

    def _feed(self, data: bytes) -> int:
        """Read the frames in ``data``, which is short; give how many there were."""
        if self.transport.is_closing():
            self._rest = _NOTHING
            return 0
        self._conn.receive_data(data)
        events = self._conn.events_received()
        if len(events) > 1 and self._switchboard.kept is None:
            self._take_together(events)
        else:
            self._take_each(events)
        if self._timer is not None:
            if self._rest:
                self._end(self._rest)
        elif self._conn.parser_exc is not None:
            self._fail()
        elif self._conn.handshake_exc is not None:
            # Not even a request, so there is nobody to answer, and no deadline that would end it later.
            self.transport.abort()
        return len(events)

    def _take_each(self, events: Sequence[object]) -> None:
        """Take what came, up to a verdict."""
        for event in events:
            if self._timer is not None:
                break
            if isinstance(event, Frame):
                self._take(event)
            elif isinstance(event, Request):
                self._handshake(event)

    def _take_together(self, events: Sequence[object]) -> None:
        """Take what came, and write what it leads to once for each receiver: a write costs more than a tiny frame."""
        self._switchboard.kept = []
        try:
            self._take_each(events)
        finally:
            kept, self._switchboard.kept = self._switchboard.kept, None
            for connection in kept:
                connection._let_go()  # noqa: SLF001 -- one of this class

    def _write(self, data: bytes) -> None:
        """Write, or keep what is to go with more."""
        others = self._switchboard.kept
        if others is None:
            self.transport.write(data)
        elif self._kept is None:
            self._kept = [data]
            others.append(self)
        else:
            self._kept.append(data)

    def _let_go(self) -> None:
        """Write what was kept to go together."""
        if self._kept is not None:
            data, self._kept = b"".join(self._kept), None
            if not self.transport.is_closing():
                self.transport.write(data)

    def _waiting(self) -> int:
        """Give how many bytes this client has not taken yet."""
        kept = 0 if self._kept is None else sum(map(len, self._kept))
        return self.transport.get_write_buffer_size() + kept

    def _end(self, data: bytes | memoryview) -> None:
        """Take the first that comes after a close was decided: the client's own close frame, or more of the same.

        Nothing of it is parsed, and nothing more is read, so that a client which goes on costs nothing. The socket is
        reset only after a pause: the reset could overtake the last words on their way out.
        """
        self._rest = _NOTHING
        if _is_close_frame(data):
            self.transport.close()
            return
        self.transport.pause_reading()
        asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._leave)

    def _leave(self) -> None:
        """Abort where the last words have left; where they have not, the client has its time to read them."""
        if self.transport.get_write_buffer_size() == 0:
            self.transport.abort()

    def _handshake(self, request: Request) -> None:
        room = self._switchboard.room(request.path)
        if room is None:
            self._answer(self._conn.reject(404, "the signaling server is at /\n"))
            return
        self._conn.room_subprotocol = room.subprotocol
        response = self._conn.accept(request)
        del response.headers["Date"]
        self._answer(response)
        if response.status_code == 101:
            self._room = room
            self._switchboard.opened(self, room, request)
            # The parser keeps the request for as long as the connection lives: a third of what an idle one costs.
            request.headers.clear()

    def _answer(self, response: Response) -> None:
        self._conn.send_response(response)
        self._flush()
        if response.status_code != 101:
            self._end_soon()
            self.transport.close()

    def _take(self, frame: Frame) -> None:
        if frame.opcode is Opcode.TEXT and frame.fin:
            self._room.text(self, bytes(frame.data))
        elif frame.opcode in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            self._take_fragment(frame)
        elif frame.opcode is Opcode.CLOSE:
            self._flush()
            self._room.closed(self)
            self._end_soon()
            self.transport.close()
        else:
            if answer := b"".join(self._conn.data_to_send()):
                self._write(answer)
            self._room.control(self)
            if self._waiting() > self._switchboard.limits.outbox_bytes:
                self._room.overflow(self)

    def _take_fragment(self, frame: Frame) -> None:
        if frame.opcode is not Opcode.CONT:
            self._is_text, self._fragments = frame.opcode is Opcode.TEXT, []
        self._fragments.append(bytes(frame.data))
        if not frame.fin:
            # Their bytes are limited with the message; empty ones would be free.
            if len(self._fragments) > _MAX_FRAGMENTS:
                self._room.too_big(self)
            else:
                self._room.control(self)
            return
        message, self._fragments = b"".join(self._fragments), []
        if self._is_text:
            self._room.text(self, message)
        else:
            self._room.binary(self)

    def _fail(self) -> None:
        """End a connection on which the frames make no sense, or one is too big."""
        if self._conn.close_sent is not None and self._conn.close_sent.code == CloseCode.MESSAGE_TOO_BIG:
            self._room.too_big(self)
        self._room.closed(self)
        self._flush()
        self._end_soon()
        self._end(self._rest)

    def _flush(self) -> None:
        self._let_go()
        data = b"".join(self._conn.data_to_send())
        if data:
            self.transport.write(data)

    def _end_soon(self) -> None:
        """Abort after a while, because ``transport.close`` waits for as long as a client does not read."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(
                self._switchboard.limits.close_seconds, self.transport.abort
            )


def _is_close_frame(data: bytes | memoryview) -> bool:
    """Say whether this is one whole masked close frame and nothing else (RFC 6455, section 5.5.1)."""
    return len(data) >= 6 and data[0] == 0x88 and data[1] & 0x80 != 0 and len(data) == 6 + (data[1] & 0x7F)


def with_header(text: bytes) -> bytes:
    """Give a whole unmasked text frame (RFC 6455, section 5.2)."""
    length = len(text)
    if length < 126:
        return bytes((0x81, length)) + text
    if length < 65_536:
        return b"\x81\x7e" + length.to_bytes(2, "big") + text
    return b"\x81\x7f" + length.to_bytes(8, "big") + text
