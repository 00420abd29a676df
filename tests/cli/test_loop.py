"""Every way of stopping a command is orderly."""

import asyncio
import gc
import os
import signal
import socket
import threading
import time

import pytest

from mpcnode.cli import signals
from mpcnode.cli.loop import run_orderly
from mpcnode.errors import ConfigurationError, Interrupted


def test_a_result_and_an_error_come_through() -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 42

    async def fail() -> int:
        raise KeyError("x")

    assert run_orderly(answer) == 42
    with pytest.raises(KeyError):
        run_orderly(fail)


def test_garbage_is_collected_while_a_loop_runs() -> None:
    async def look() -> bool:
        return gc.isenabled()

    gc.disable()  # as ``__main__`` does
    try:
        assert run_orderly(look)
    finally:
        gc.enable()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels_and_leaves_time_to_unwind(number: signal.Signals) -> None:
    unwound = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            unwound.append(True)

    with pytest.raises(Interrupted, match=number.name):
        run_orderly(work)
    assert unwound


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_loop_is_made_waits_until_somebody_answers_to_it(number: signal.Signals) -> None:
    def make() -> asyncio.AbstractEventLoop:
        signal.raise_signal(number)  # pytest would die of it, or be interrupted; at this thread, where others may run
        return asyncio.new_event_loop()

    async def work() -> None:
        await asyncio.sleep(30)

    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with pytest.raises(Interrupted, match=number.name):
        run_orderly(work, loop_factory=make)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_a_signal_that_python_dropped_before_the_loop_is_answered_when_it_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As where it comes inside a finalizer: the exception goes nowhere."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(signals, "_seen", [])
    begun = []

    async def work() -> None:
        begun.append(True)

    try:
        signals.catch()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted, match="SIGTERM"):
            run_orderly(work)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert not begun


def test_a_second_signal_ends_an_unwinding_that_hangs() -> None:
    async def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()

    begun = time.monotonic()
    with pytest.raises(Interrupted):
        run_orderly(work)
    assert time.monotonic() - begun < 30


def test_a_cancellation_of_its_own_is_not_taken_for_a_signal() -> None:
    async def work() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run_orderly(work)


def test_the_end_of_standard_input_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    with os.fdopen(read) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)

        async def work() -> None:
            os.write(write, b"ignored")
            await asyncio.sleep(0.01)
            os.close(write)
            await asyncio.Event().wait()

        with pytest.raises(Interrupted, match="standard input"):
            run_orderly(work, stop_with_stdin=True)


def test_a_plain_file_cannot_be_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "file")  # noqa: PTH118
    with open(path, "w+") as file:  # noqa: PTH123
        monkeypatch.setattr("sys.stdin", file)

        async def work() -> None:
            raise AssertionError

        with pytest.raises(ConfigurationError, match="stop-with-stdin"):
            run_orderly(work, stop_with_stdin=True)


def test_a_name_service_that_does_not_answer_holds_up_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    held, asked = threading.Event(), threading.Event()

    def ask(*_: object, **__: object) -> list[object]:
        asked.set()
        held.wait(60)
        return []

    async def connect() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await asyncio.open_connection("signaling.example", 9000)

    monkeypatch.setattr("socket.getaddrinfo", ask)
    try:
        began = time.monotonic()
        run_orderly(connect)
        assert asked.is_set()
        assert time.monotonic() - began < 30  # it would wait for as long as the question takes
    finally:
        held.set()


def test_what_the_name_service_says_reaches_the_one_that_asked() -> None:
    async def ask(host: str) -> list[object]:
        return list(await asyncio.get_running_loop().getaddrinfo(host, 9, type=socket.SOCK_STREAM))

    assert run_orderly(lambda: ask("127.0.0.1"))
    with pytest.raises(UnicodeError):
        run_orderly(lambda: ask("x" * 70))  # it is refused in the thread
