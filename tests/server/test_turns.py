"""Work that waits is done in turns: a little of each, and most of the time for everything else."""

import asyncio
import time

from mpcnode.server.turns import TURN, TURN_SECONDS, Turns
from tests.helpers.server import DEADLINE


class Digger:
    """Has some work to do, a unit at a time."""

    def __init__(self, turns: Turns, log: list["Digger"], units: int, *, seconds: float = 0.0) -> None:
        self.turns = turns
        self.log = log
        self.units = units
        self.seconds = seconds

    def work(self) -> int:
        self.log.append(self)
        self.units -= 1
        end = time.thread_time() + self.seconds
        while time.thread_time() < end:
            pass
        if self.units:
            self.turns.wait(self)
        return 1


async def test_who_has_little_to_do_does_not_wait_for_who_has_much() -> None:
    turns = Turns()
    log: list[Digger] = []
    much, little = Digger(turns, log, 10 * TURN), Digger(turns, log, 2)
    turns.wait(much)
    turns.wait(little)
    async with asyncio.timeout(DEADLINE):
        while little.units or much.units:
            await asyncio.sleep(0)
    assert [index for index, one in enumerate(log) if one is little] == [1, 3]
    assert len(log) == 10 * TURN + 2


async def test_the_loop_does_everything_else_between_two_turns() -> None:
    turns = Turns()
    log: list[Digger] = []
    digger = Digger(turns, log, 10 * TURN)
    turns.wait(digger)
    most = done = 0
    async with asyncio.timeout(DEADLINE):
        while digger.units:
            await asyncio.sleep(0)
            most, done = max(most, len(log) - done), len(log)
    assert most <= TURN


async def test_work_that_waits_takes_a_share_of_the_time() -> None:
    """Measured in processor time against the clock of the same process: a busy machine only lowers it."""
    turns = Turns()
    log: list[Digger] = []
    digger = Digger(turns, log, 10 * TURN, seconds=0.0002)
    turns.wait(digger)
    began = time.monotonic()
    async with asyncio.timeout(DEADLINE):
        while digger.units:
            await asyncio.sleep(0.001)
    assert 0.4 * (time.monotonic() - began) > 10 * TURN * 0.0002


async def test_a_turn_ends_when_its_time_is_over() -> None:
    """However much is waiting, and however long a unit of it takes: nobody else waits for more than one of them."""
    turns = Turns()
    log: list[Digger] = []
    diggers = [Digger(turns, log, 5, seconds=2 * TURN_SECONDS) for _ in range(10)]
    for digger in diggers:
        turns.wait(digger)
    most = done = 0
    async with asyncio.timeout(DEADLINE):
        while any(digger.units for digger in diggers):
            await asyncio.sleep(0)
            most, done = max(most, len(log) - done), len(log)
    assert most == 1


async def test_what_comes_at_once_is_begun_within_the_time_of_a_turn_and_without_a_pause() -> None:
    turns = Turns()
    begun = most = done = passes = 0

    def begin() -> None:
        nonlocal begun
        begun += 1
        end = time.thread_time() + 2 * TURN_SECONDS
        while time.thread_time() < end:
            pass

    for _ in range(20):
        turns.soon(begin)
    assert begun == 0
    async with asyncio.timeout(DEADLINE):
        while begun < 20:
            await asyncio.sleep(0)
            most, done, passes = max(most, begun - done), begun, passes + 1
    assert most == 1
    assert passes <= 21


async def test_one_that_fails_does_not_end_the_turns_of_all_others() -> None:
    turns = Turns()
    said: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: said.append(context["exception"]))
    log: list[Digger] = []
    begun = 0

    class Broken:
        def work(self) -> int:
            raise ArithmeticError

    def begin() -> None:
        nonlocal begun
        begun += 1
        if begun % 2:
            raise ArithmeticError

    for _ in range(4):
        turns.soon(begin)
    turns.wait(Broken())
    digger = Digger(turns, log, 3)
    turns.wait(digger)
    async with asyncio.timeout(DEADLINE):
        while digger.units or begun < 4:
            await asyncio.sleep(0)
    assert len(said) == 3
    turns.soon(begin)
    turns.wait(Digger(turns, log, 1))
    async with asyncio.timeout(DEADLINE):
        while len(log) < 4 or begun < 5:
            await asyncio.sleep(0)
