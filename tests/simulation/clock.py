"""An event loop whose time jumps to the next timer when nothing is ready: minutes of deadlines cost milliseconds.

No socket, no thread, no wait: what would block runs in the loop, after a time of its own.
"""

import asyncio
import os
import random
import secrets
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar
from unittest import mock

T = TypeVar("T")

BEGAN = 1_800_000_000.0
"""The wall clock's time at the beginning of every run, in seconds."""
BOOTED = 5_000.0
"""The monotonic clock's, which is another."""


class Stuck(BaseException):
    """Nothing is ready, no timer runs, and the run is not over: everybody waits for ever."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs until everything waits for time, and then lets time pass.

    Args:
        slowness: gives the seconds that a piece of work for a thread takes.
    """

    def __init__(self, slowness: Callable[[], float] = lambda: 0.0) -> None:
        super().__init__()
        self._slowness = slowness
        self._passed = 0.0
        self._selector = self  # what the loop of the standard library asks to wait

    def time(self) -> float:
        """The monotonic clock, in seconds."""
        return BOOTED + self._passed

    def select(self, timeout: float | None) -> tuple[()]:
        """Let time pass in place of waiting for a socket."""
        if timeout is None:
            raise Stuck("nothing is ready and no timer runs")
        self._passed += timeout
        return ()

    def run_in_executor(self, _executor: object, work: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """Do here what a thread would do, a little later."""
        future: asyncio.Future[T] = self.create_future()

        def happen() -> None:
            if future.done():
                return
            try:
                result = work(*arguments)
            except Exception as error:  # noqa: BLE001 (the one who waits gets it)
                future.set_exception(error)
            else:
                future.set_result(result)

        self.call_later(self._slowness(), happen)
        return future

    def _process_events(self, _events: object) -> None:
        """There are no sockets."""

    def _write_to_self(self) -> None:
        """There are no threads."""


@contextmanager
def virtual(loop: VirtualLoop, rng: random.Random) -> Iterator[None]:
    """Have every clock of this process be the loop's, and all randomness the seed's, for as long as a run takes."""

    def wall() -> float:
        return BEGAN - BOOTED + loop.time()

    with ExitStack() as stack:
        for place, name, instead in (
            (time, "time", wall),
            (time, "time_ns", lambda: round(wall() * 1e9)),
            (time, "monotonic", loop.time),
            (time, "monotonic_ns", lambda: round(loop.time() * 1e9)),
            (secrets, "token_bytes", rng.randbytes),
            (os, "urandom", rng.randbytes),
        ):
            stack.enter_context(mock.patch.object(place, name, instead))
        yield


def run(work: Coroutine[Any, Any, T], loop: VirtualLoop, rng: random.Random) -> T:
    """Run ``work`` under virtual clocks; nothing of it is left behind.

    Raises:
        Stuck: it waits for what cannot come.
        AssertionError: it left tasks behind.
    """
    crashes: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: crashes.append(context))
    with virtual(loop, rng):
        asyncio.set_event_loop(loop)
        try:
            result = loop.run_until_complete(work)
            left = [task for task in asyncio.all_tasks(loop) if not task.done()]
            assert not left, f"tasks are left: {left}"
        finally:
            for task in asyncio.all_tasks(loop):
                task.cancel()
            for _ in range(100):
                if not asyncio.all_tasks(loop):
                    break
                loop.run_until_complete(asyncio.sleep(0.1))
            loop.run_until_complete(loop.shutdown_asyncgens())
            asyncio.set_event_loop(None)
            loop.close()
    if crashes:
        raise AssertionError(f"the loop was told of a crash: {crashes[0]}") from crashes[0].get("exception")
    return result
