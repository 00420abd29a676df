"""A node's end of the signaling wire: registers, stays registered, relays.

What the server says is not trusted: names have the form of names, texts are escaped, sizes are bounded, and anything
else ends the connection.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, WebSocketException

from mpcnode.errors import DecodeError, ServerRefused, ServerUnreachable
from mpcnode.signaling.dialling import CLOSE_SECONDS
from mpcnode.signaling.events import (
    ClientEvent,
    Disconnected,
    Dropped,
    PeerJoined,
    PeerLeft,
    Peers,
    Relayed,
    ServerSaid,
)
from mpcnode.signaling.outbox import Outbox, Standing
from mpcnode.signaling.reasons import refusal, shown, why
from mpcnode.signaling.registration import Registration, Signer, peer_ids, receive
from mpcnode.types import PeerId, parse_peer_id
from mpcnode.wire import signaling as wire

_LASTED_SECONDS: Final = 10.0
_LONGEST_WAIT: Final = 60.0
"""However long the server says."""
# What we keep below what the server allows, for what is already on its way.
_MARGIN: Final = 0.9
_BYTES_A_MESSAGE: Final = 16 * 1024
# Of what may go at once, the part that is kept for others than strangers.
_RESERVE: Final = 0.75


class SignalingClient:
    """Keeps a name registered at a signaling server and passes messages both ways.

    Args:
        url: ``ws://`` or ``wss://``.
        peer_id: the name to take.
        room: the room to enter.
        unlocked: gives the identity that protects the name. It is waited for only when the server has said welcome,
            so that the key may be derived while the connection is made; what it raises ends ``run``.
        rng: gives n random bytes; spreads the reconnections.
        on_event: is told everything, in order, from ``run``; what it raises ends ``run``.
        watch: be told which peers come and go.
        first_try_deadline: seconds for the first registration.
        retry_seconds: the first and the longest pause between tries.
        ca_file: PEM file of the authorities to trust for ``wss``, in place of the system's.

    Raises:
        UsageError: ``url`` is not a signaling server's.
        ConfigurationError: ``ca_file`` cannot be used.
    """

    def __init__(
        self,
        *,
        url: str,
        peer_id: PeerId,
        room: str = wire.DEFAULT_ROOM,
        unlocked: Callable[[], Awaitable[Signer]],
        rng: Callable[[int], bytes],
        on_event: Callable[[ClientEvent], None],
        watch: bool = True,
        first_try_deadline: float = 10,
        retry_seconds: tuple[float, float] = (0.2, 30.0),
        ca_file: Path | None = None,
    ) -> None:
        self._registration = Registration(
            url=url,
            peer_id=peer_id,
            room=room,
            unlocked=unlocked,
            watch=watch,
            deadline=first_try_deadline,
            ca_file=ca_file,
        )
        self._rng = rng
        self._on_event = on_event
        self._retry_seconds = retry_seconds
        self._outbox = Outbox()
        self._outbox_changed = asyncio.Event()
        self._limits = wire.OfferedLimits(wire.MESSAGE_BYTES, 50, 1000)
        self._socket: ClientConnection | None = None
        self._attempt: asyncio.Timeout | None = None
        self._stop = asyncio.Event()
        self._ended = asyncio.Event()
        self._running = False
        self._held = 0.0
        """Until when the server takes nothing, by the loop's clock."""
        self._again: dict[PeerId, asyncio.TimerHandle] = {}

    async def run(self) -> None:
        """Register and stay; returns after ``close``.

        Raises:
            ServerUnreachable: the first try found no signaling server.
            NameTaken: the first try found the name taken; or, later, another node with our own identity took it, and
                taking it back would only begin a fight.
            ServerRefused: the first try was refused for another reason.
        """
        self._running = True
        registered_once = False
        failures = 0
        try:
            while not self._stop.is_set():
                reason, lasted = await self._connect_once(first=not registered_once)
                registered_once = registered_once or lasted is not None
                failures = 0 if lasted is not None and lasted > _LASTED_SECONDS else failures + 1
                if not self._stop.is_set():
                    await self._pause(reason, failures)
        finally:
            self._ended.set()

    @property
    def local_address(self) -> str | None:
        """The address of this machine that the connection starts from; None while there is none."""
        address = self._socket.local_address if self._socket is not None else None
        return str(address[0]) if isinstance(address, tuple) else None

    def relay(self, to: PeerId, data: bytes, standing: Standing = Standing.KNOWN) -> None:
        """Queue ``data`` for a peer; while there is no connection it waits. Where there is no place: ``Dropped``.

        Args:
            to: a peer of our room.
            data: the bytes of one JSON object.
            standing: whose turn is before whose.

        Raises:
            ServerUnreachable: the client is closed.
            ValueError: ``data`` is not one JSON object, or above the server's limit; a mistake of the caller.
        """
        frame = wire.relay_frame(to, data)
        if len(frame) > self._limits.message_bytes:
            raise ValueError(f"a relayed message has at most {self._limits.message_bytes} bytes, not {len(frame)}")
        self._enqueue(to, frame, standing)

    def list_peers(self) -> None:
        """Ask for the peers in the room; the answer is a ``Peers`` event.

        Raises:
            ServerUnreachable: the client is closed.
        """
        self._enqueue(None, wire.encode(wire.ListPeers()), Standing.LIVE)

    async def close(self) -> None:
        """Let what is queued for others than strangers go out, within two seconds, then close; ``run`` returns."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                while self._outbox.waits(strangers=False) and self._socket is not None and not self._ended.is_set():
                    self._outbox_changed.clear()
                    await self._outbox_changed.wait()
        self._stop.set()
        for timer in self._again.values():
            timer.cancel()
        if self._attempt is not None:
            # It raises for an attempt that has just failed by itself, which is as good.
            with contextlib.suppress(RuntimeError):
                self._attempt.reschedule(0)
        if self._socket is not None:
            await self._socket.close()
        if self._running:
            await self._ended.wait()

    # One connection.

    async def _connect_once(self, *, first: bool) -> tuple[str, float | None]:
        """Hold one connection for as long as it lives; give why it ended and how long it was registered."""
        loop = asyncio.get_running_loop()
        since: float | None = None
        try:
            async with contextlib.AsyncExitStack() as stack:
                async with asyncio.timeout(None) as self._attempt:  # for ``close``; the registration has its own
                    entered = await self._registration.enter(stack)
                self._attempt = None
                since = loop.time()
                self._socket = socket = entered.socket
                self._limits = entered.limits or self._limits
                self._on_event(entered.registered)
                for message in entered.early:
                    self._tell(message)
                reason = await self._pump(socket)
        except (OSError, WebSocketException, DecodeError) as exc:
            reason = why(exc, self._registration.deadline)
            if first and since is None and not self._stop.is_set():
                raise ServerUnreachable(
                    f"no signaling server at {self._registration.way}: {reason}",
                    hint="start one with mpcnode serve, or name another with --server",
                ) from exc
        except ServerRefused as exc:
            if first or since is not None:
                raise
            self._on_event(ServerSaid(exc.server_code, exc.message, None))
            reason = exc.message
        finally:
            self._attempt = None
            self._socket = None
            self._outbox_changed.set()
        return reason, None if since is None else loop.time() - since

    async def _pump(self, socket: ClientConnection) -> str:
        """Pass messages both ways until the connection ends; give why it did."""
        try:
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(self._write(socket))
                try:
                    while True:
                        self._tell(await receive(socket))
                except (ConnectionClosed, DecodeError) as exc:
                    return why(exc, self._registration.deadline)
                finally:
                    writer.cancel()
        except BaseExceptionGroup as group:
            if len(group.exceptions) == 1:
                raise group.exceptions[0] from None
            raise

    async def _write(self, socket: ClientConnection) -> None:
        """Send what is queued, at the pace the server allows."""
        loop = asyncio.get_running_loop()
        rate, burst = self._limits.messages_per_second * _MARGIN, max(1.0, self._limits.burst * _MARGIN)
        reserve = max(1.0, burst * _RESERVE)
        tokens, counted = burst, loop.time()
        with contextlib.suppress(ConnectionClosed):
            while True:
                self._outbox_changed.clear()
                now = loop.time()
                tokens, counted = min(burst, tokens + (now - counted) * rate), now
                frame = self._outbox.next(strangers=tokens >= reserve)
                if now < self._held:
                    await asyncio.sleep(self._held - now)
                    continue
                if frame is None or tokens < 1:
                    # Of strangers alone, until there is more than the others are likely to need.
                    needed = 1.0 if frame is not None else reserve
                    pause = (needed - tokens) / rate if self._outbox.waits(strangers=True) else None
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(pause):
                            await self._outbox_changed.wait()
                    continue
                # As the server counts; it lets a debt be paid off, too.
                tokens -= 1 + len(frame) // _BYTES_A_MESSAGE
                await socket.send(frame, text=True)
                # Only now is it gone; what a broken connection took half of goes again on the next one.
                self._outbox.sent(frame)
                self._outbox_changed.set()

    # Small things.

    def _enqueue(self, to: PeerId | None, frame: bytes, standing: Standing) -> None:
        if self._stop.is_set() or self._ended.is_set():
            raise ServerUnreachable("the connection to the signaling server is closed")
        if dropped := self._outbox.put(to, frame, standing):
            self._on_event(Dropped(dropped))
        self._outbox_changed.set()

    def _tell(self, message: wire.ServerMessage) -> None:
        if isinstance(message, wire.Relayed):
            self._on_event(Relayed(PeerId(message.sender), bytes(message.data)))
        elif isinstance(message, wire.PeerJoined):
            self._on_event(PeerJoined(PeerId(message.peer_id)))
        elif isinstance(message, wire.PeerLeft):
            self._on_event(PeerLeft(PeerId(message.peer_id)))
        elif isinstance(message, wire.Peers):
            self._on_event(Peers(peer_ids(message)))
        elif isinstance(message, wire.Error) and message.code != "replaced":
            if self._tries_again(message):
                return
            self._on_event(ServerSaid(message.code or "", shown(message.error), _peer(message.peer)))
        else:
            raise refusal(message, self._registration.peer_id)

    def _tries_again(self, message: wire.Error) -> bool:
        """Do later what the server refused for now; say whether nobody need hear of it."""
        if message.retry_after is None:
            return False
        wait, loop = min(message.retry_after / 1000, _LONGEST_WAIT), asyncio.get_running_loop()
        peer = _peer(message.peer)
        if message.code == "rate_limited":
            self._held = loop.time() + wait
        if message.code != "recipient_busy" or peer is None:
            return False
        if peer in self._again:
            self._outbox.take_back(peer)
            return True  # it goes with what is to go again anyway
        tries = self._outbox.take_back(peer)
        if tries:
            self._again[peer] = loop.call_later(min(wait * 2 ** (tries - 1), _LONGEST_WAIT), self._once_more, peer)
        return tries > 0

    def _once_more(self, peer: PeerId) -> None:
        del self._again[peer]
        self._outbox.again(peer)
        self._outbox_changed.set()

    async def _pause(self, reason: str, failures: int) -> None:
        """Wait before the next try: longer each time, and never in step with others who lost the same server."""
        shortest, longest = self._retry_seconds
        jitter = int.from_bytes(self._rng(4), "big") / 2**32
        pause = min(longest, shortest * 2.0 ** min(failures - 1, 20)) * (0.5 + jitter / 2)
        self._on_event(Disconnected(reason, pause))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._stop.wait()


def _peer(name: str | None) -> PeerId | None:
    with contextlib.suppress(ValueError):
        return None if name is None else parse_peer_id(name)
    return None
