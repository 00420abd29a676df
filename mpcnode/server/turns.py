"""Taking turns: how connections that have much to say share the loop with those that have little."""

import asyncio
from collections import deque
from typing import Final, Protocol

TURN: Final = 64
"""What is done of the waiting work before the loop turns to everything else, in units of ``Worker.work``."""


class Worker(Protocol):
    """Something with more to do than fits one turn."""

    def work(self) -> int:
        """Do a small part; give how much it was, in messages, at least 1. Wait again for a turn where more is left."""


class Turns:
    """Gives each waiting worker a small part of each turn of the loop, one after the other."""

    __slots__ = ("_due", "_loop", "_waiting")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Worker] = deque()
        self._due = False

    def wait(self, worker: Worker) -> None:
        """Have ``worker`` work once, in one of the next turns of the loop."""
        self._waiting.append(worker)
        if not self._due:
            self._due = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        left = TURN
        while self._waiting and left > 0:
            left -= self._waiting.popleft().work()
        self._due = bool(self._waiting)
        if self._due:
            # The loop looks at every socket before it comes here again.
            self._loop.call_soon(self._turn)
