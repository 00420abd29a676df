"""One try at one link: carries out what the negotiation asks for, in order, and lets the link talk while it counts."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from mpcnode.errors import DecodeError
from mpcnode.mesh.transport import Connector, Fingerprints, IceCandidate

MAX_HELD: Final = 64
"""How many frames may come before this side knows that its channel is open."""


@dataclass(frozen=True, slots=True)
class AttemptEvents:
    """Where a try reports; its number is the first argument each time.

    Args:
        described: this side's description is made.
        opened: the channel carries frames.
        received: a frame came, never before ``opened``.
        lost: the link failed or broke.
        unusable: the other side's description cannot be used.
        violated: the other side did on the link what no honest node does.
    """

    described: Callable[[int, str], None]
    opened: Callable[[int], None]
    received: Callable[[int, bytes], None]
    lost: Callable[[int, str], None]
    unusable: Callable[[int, str], None]
    violated: Callable[[int, str], None]


class Attempt:
    """Runs the asynchronous methods of one ``Link`` one after the other, and closes it at the end."""

    def __init__(self, number: int, connector: Connector, events: AttemptEvents) -> None:
        self.number = number
        self._events = events
        self._live = True
        self._stopped = False
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._steps: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue()
        self._open = False
        self._held: list[bytes] = []
        self._link = connector.link(self)

    def offer(self) -> None:
        """Have the offer made."""
        self._steps.put_nowait(partial(self._describe, self._link.offer))

    def answer(self, offer: str) -> None:
        """Have the answer to ``offer`` made."""
        self._steps.put_nowait(partial(self._describe, partial(self._link.answer, offer)))

    def accept(self, answer: str) -> None:
        """Have ``answer`` taken."""
        self._steps.put_nowait(partial(self._link.accept, answer))

    def add_candidate(self, candidate: IceCandidate) -> None:
        """Have ``candidate`` taken."""
        self._steps.put_nowait(partial(self._link.add_candidate, candidate))

    def send(self, frame: bytes) -> None:
        """Send one frame; it is dropped once the link is broken."""
        if self._live:
            self._link.send(frame)

    @property
    def fingerprints(self) -> Fingerprints:
        """Both fingerprints of the link."""
        return self._link.fingerprints

    @property
    def route(self) -> str:
        """What the link tried and found, in our own words."""
        return self._link.route

    def stop(self) -> None:
        """Hear nothing more of this try, and have its link torn down."""
        self._live = False
        self._stopped = True
        # Cancelled before it begins, a task would never reach the line that closes the link; cancelled while it tears
        # the link down, it would leave half of it behind.
        if self._task is not None and not self._closing:
            self._task.cancel()

    async def run(self) -> None:
        """Carry out steps until stopped; the link is closed whatever happens."""
        self._task = asyncio.current_task()
        try:
            if not self._stopped:
                await self._carry_out()
        finally:
            self._live = False
            self._closing = True
            await self._link.close()

    def opened(self) -> None:
        """Report that the link is open, then what came before this side knew it."""
        if self._live:
            self._open = True
            self._events.opened(self.number)
            held, self._held = self._held, []
            for frame in held:
                self.received(frame)

    def received(self, data: bytes) -> None:
        """Report a frame, or hold it until the link is open."""
        if not self._live:
            return
        if self._open:
            self._events.received(self.number, data)
        elif len(self._held) < MAX_HELD:
            self._held.append(data)
        else:
            self.violated("it sends on a channel that is not open")

    def closed(self, reason: str) -> None:
        """Report, once, that the link broke."""
        if self._live:
            self._live = False
            self._events.lost(self.number, reason)

    def violated(self, reason: str) -> None:
        """Report, once, that the other end broke the rules."""
        if self._live:
            self._live = False
            self._events.violated(self.number, reason)

    async def _carry_out(self) -> None:
        try:
            while True:
                step = await self._steps.get()
                await step()
        except DecodeError as error:
            self._closing = True
            if self._live:
                self._live = False
                self._events.unusable(self.number, str(error))
        except ConnectionError as error:
            self._closing = True
            self.closed(str(error))

    async def _describe(self, make: Callable[[], Awaitable[str]]) -> None:
        sdp = await make()
        if self._live:
            self._events.described(self.number, sdp)
