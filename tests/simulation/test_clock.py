"""The virtual clock: minutes pass at once, in order, and a run of a seed is the same run each time."""

import asyncio
import os
import random
import subprocess
import sys
import time

import pytest

from tests.simulation.clock import BEGAN, Stuck, VirtualLoop, run
from tests.simulation.seeds import ROOT


def test_hours_pass_at_once_and_every_clock_shows_them() -> None:
    async def wait() -> tuple[float, float, float]:
        loop = asyncio.get_running_loop()
        began = loop.time(), time.monotonic(), time.time()
        assert began[2] == pytest.approx(BEGAN)
        await asyncio.sleep(7200)
        return loop.time() - began[0], time.monotonic() - began[1], time.time() - began[2]

    really = time.monotonic()
    assert run(wait(), VirtualLoop(), random.Random(0)) == pytest.approx((7200, 7200, 7200))
    assert time.monotonic() - really < 60


def test_timers_fire_in_the_order_of_their_times() -> None:
    async def wait() -> list[int]:
        fired: list[int] = []
        for seconds in (3, 1, 2):
            asyncio.get_running_loop().call_later(seconds, fired.append, seconds)
        await asyncio.sleep(4)
        return fired

    assert run(wait(), VirtualLoop(), random.Random(0)) == [1, 2, 3]


def test_a_deadline_ends_what_would_wait_for_ever() -> None:
    async def wait() -> None:
        async with asyncio.timeout(300):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        run(wait(), VirtualLoop(), random.Random(0))


def test_waiting_for_what_cannot_come_is_told_from_waiting() -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Stuck):
        run(wait(), VirtualLoop(), random.Random(0))


def test_a_task_that_is_left_behind_is_told() -> None:
    async def leave() -> None:
        asyncio.get_running_loop().left = asyncio.create_task(asyncio.sleep(10))  # type: ignore[attr-defined]

    with pytest.raises(AssertionError, match="tasks are left"):
        run(leave(), VirtualLoop(), random.Random(0))


def test_work_for_a_thread_is_done_later_and_its_errors_are_raised() -> None:
    async def work() -> float:
        began = time.monotonic()
        assert await asyncio.to_thread(lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 // 0)
        return time.monotonic() - began

    assert run(work(), VirtualLoop(lambda: 1.5), random.Random(0)) == pytest.approx(3)


@pytest.mark.parametrize("kind", ["keygen", "sign-liar"])
def test_a_seed_is_the_same_run_each_time(kind: str) -> None:
    command = [sys.executable, "-m", "tests.simulation", kind, "5", "--trace"]

    def trace(hash_seed: str) -> list[str]:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        return [line for line in ran.stdout.splitlines() if line[:1] == " " and line[9:13] != "name"]

    first = trace("0")
    assert len(first) > 50
    assert trace("1") == first
