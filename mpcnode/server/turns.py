"""Taking turns: how connections that have much to say share the loop with those that have little."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

TURN_SECONDS: Final = 0.0005
TURN: Final = 32
"""What is done of the waiting work before the loop turns to everything else: so long, or so many units of work."""
_PAUSES: Final = 3
"""How long a turn is followed by none, in units of what it took: work that waits never takes more than a quarter."""


class Worker(Protocol):
    """Something with more to do than fits one turn."""

    def work(self) -> int:
        """Do a small part; give how much it was, in messages, at least 1. Wait again for a turn where more is left."""


class Turns:
    """Gives each waiting worker a small part of a turn, one after the other, and everything else most of the time.

    A process that is busy without a break is also made to wait by the operating system, for longer than any turn.
    """

    __slots__ = ("_begins", "_due", "_free", "_loop", "_soon", "_waiting")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Worker] = deque()
        self._soon: deque[Callable[[], None]] = deque()
        self._due = False
        self._begins = False
        self._free = 0.0

    def soon(self, begin: Callable[[], None]) -> None:
        """Have something short begin, in this round of the loop or the next; what comes at once is spread over some."""
        self._soon.append(begin)
        if not self._begins:
            self._begins = True
            self._loop.call_soon(self._begin)

    def wait(self, worker: Worker) -> None:
        """Have ``worker`` work once, in one of the next turns of the loop."""
        self._waiting.append(worker)
        if not self._due:
            self._due = True
            self._loop.call_at(self._free, self._turn)

    def _begin(self) -> None:
        until = time.thread_time() + TURN_SECONDS
        try:
            while self._soon:
                self._soon.popleft()()
                if time.thread_time() >= until:
                    break
        finally:
            self._begins = bool(self._soon)
            if self._begins:
                self._loop.call_soon(self._begin)

    def _turn(self) -> None:
        # Processor time: a turn that another process interrupted was not longer for it.
        began, left, spent = time.thread_time(), TURN, 0.0
        try:
            while self._waiting and left > 0 and spent < TURN_SECONDS:
                left -= self._waiting.popleft().work()
                spent = time.thread_time() - began
        finally:
            pause = spent * _PAUSES
            self._free = self._loop.time() + pause
            self._due = bool(self._waiting)
            if self._due:
                self._loop.call_later(pause, self._turn)
