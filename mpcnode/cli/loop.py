"""Run a command's coroutine so that every way of stopping it is orderly."""

import asyncio
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

from mpcnode.cli import signals, streams
from mpcnode.errors import ConfigurationError, Interrupted

T = TypeVar("T")

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""SIGHUP: a terminal that goes away takes its node with it, but orderly."""


class NodeLoop(asyncio.SelectorEventLoop):
    """asyncio's own, but for one thing: its end does not wait for a name server that does not answer.

    What works in asyncio's threads is waited for, because it may be writing a file; a question to a name server writes
    nothing, and nobody can take it back, and the system asks for minutes.
    """

    async def getaddrinfo(self, host: str | bytes | None, port: str | bytes | int | None, **more: int) -> "list[Any]":
        """Ask for a name's addresses, in a thread of its own that the process may leave behind."""
        answer: asyncio.Future[list[Any]] = self.create_future()

        def tell(found: "list[Any] | None", error: Exception | None) -> None:
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(found or [])

        def ask() -> None:
            found, failed = None, None
            try:
                found = socket.getaddrinfo(host, port, **more)
            except Exception as error:  # noqa: BLE001 -- it is raised where the answer is waited for
                failed = error
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self.call_soon_threadsafe(tell, found, failed)

        threading.Thread(target=ask, name="name service", daemon=True).start()
        return await answer


def run_orderly(
    main: Callable[[], Coroutine[Any, Any, T]],
    *,
    stop_with_stdin: bool = False,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> T:
    """Run ``main`` to its end; a signal cancels it, and it has the time it needs to unwind.

    A second signal cancels the unwinding too: files are replaced whole, so even that leaves nothing half-written.

    Args:
        main: makes the coroutine.
        stop_with_stdin: cancel it as well when standard input ends.
        loop_factory: makes the event loop, where it is not to be that of a node.

    Raises:
        Interrupted: a signal or the end of standard input stopped it.
    """
    gc.enable()  # ``__main__`` disabled it for the imports
    streams.be_brief(streams.RUNNING)
    # Held back until they have handlers: a signal that comes while Python makes the loop leaves half of a loop.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)

    def listen() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    try:
        if name := signals.came():
            raise Interrupted(f"interrupted by {name}")
        with asyncio.Runner(loop_factory=loop_factory or NodeLoop) as runner:
            return runner.run(_watched(main, listen, stop_with_stdin=stop_with_stdin))
    finally:
        listen()
        streams.be_brief(streams.LAST_WORDS)


async def _watched(
    main: Callable[[], Coroutine[Any, Any, T]], listen: Callable[[], None], *, stop_with_stdin: bool
) -> T:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    reasons: list[str] = []

    def stop(reason: str) -> None:
        reasons.append(reason)
        task.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop, number.name)
    listen()
    unwatch = _watch_stdin(loop, stop) if stop_with_stdin else None
    try:
        return await main()
    except asyncio.CancelledError:
        if not reasons:
            raise
        raise Interrupted(f"interrupted by {reasons[0]}") from None
    finally:
        if unwatch is not None:
            unwatch()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: Callable[[str], None]) -> Callable[[], None]:
    fd = sys.stdin.fileno()

    def readable() -> None:
        if not os.read(fd, 4096):  # only the end of it matters here, not what is written
            loop.remove_reader(fd)
            stop("the end of standard input")

    def unwatch() -> None:
        loop.remove_reader(fd)

    try:
        loop.add_reader(fd, readable)
    except OSError as error:  # a plain file has no end to wait for
        raise ConfigurationError("--stop-with-stdin needs a pipe or a terminal on standard input") from error
    return unwatch
