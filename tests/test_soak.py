"""Key generations one after the other: nothing of them stays. ``make bench`` does a thousand; here are fewer."""

import asyncio
import gc
import shutil
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from tests.bench.report import MIB
from tests.bench.soak import soak
from tests.helpers.nodes import TREASURY3, Nodes, Running, making, nodes, soon
from tests.helpers.server import running_server

WARM_UP = 20
"""By then what is kept for resending, and the keys of the last wallets, are as many as there ever are."""
SESSIONS = 20
OBJECTS_A_SESSION = 40
"""A session over is remembered by its id, for a while, and by what the relay may still resend; a leaked one is
thousands of objects."""


@dataclass(frozen=True, slots=True)
class Held:
    """What this process holds."""

    tasks: int
    files: int
    objects: int


def held() -> Held:
    gc.collect()
    return Held(len(asyncio.all_tasks()), len(list(Path("/proc/self/fd").iterdir())), len(gc.get_objects()))


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Nodes]:
    async with running_server() as server, nodes(tmp_path, server.url) as made:
        yield made


async def one_after_the_other(place: Nodes, everybody: Sequence[Running], first: int, count: int) -> None:
    for number in range(first, first + count):
        turn = number % len(everybody)
        wallet = await soon(making(everybody[turn], msgspec.structs.replace(TREASURY3, name=f"soak-{number}")))
        for running in everybody:
            await running.end_of_session()
            running.events.clear()
            shutil.rmtree(place.path / running.config.home.name / "wallets" / wallet.wallet_id)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted in /proc")
async def test_twenty_key_generations_leave_nothing_behind(place: Nodes) -> None:
    everybody = await place.all("ana", "ben", "cleo", yes=True, warm=0)
    await one_after_the_other(place, everybody, 0, WARM_UP)
    before = held()
    await one_after_the_other(place, everybody, WARM_UP, SESSIONS)
    after = held()
    assert after.tasks <= before.tasks
    assert after.files <= before.files
    assert after.objects - before.objects < OBJECTS_A_SESSION * SESSIONS
    assert not place.network.links


@pytest.mark.slow
@pytest.mark.webrtc
@pytest.mark.process
async def test_thirty_key_generations_of_processes_leave_nothing_behind() -> None:
    result = await soak(30, every=10)
    for process in result.held:
        assert result.growth(process, "tasks") <= 0, (process, result.held[process])
        assert result.growth(process, "files") <= 0, (process, result.held[process])
        assert result.growth(process, "resident") < 4 * MIB, (process, result.held[process])
