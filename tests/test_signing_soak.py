"""Signatures one after the other on meshes that stay open: nothing of them stays."""

import asyncio
import gc
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from unittest import mock

import pytest

from mpcnode import node as node_module
from mpcnode.commands import Sign
from mpcnode.mesh.transport import MeshTimeouts
from mpcnode.types import PeerId
from tests.bench.child import Line
from tests.bench.cluster import cluster
from tests.bench.report import MIB
from tests.helpers.nodes import TREASURY3, Nodes, Running, making, nodes, soon
from tests.helpers.server import running_server

pytestmark = pytest.mark.webrtc

OVER_WEBRTC: Final = node_module._connector
"""Taken before any test puts another in its place."""
NAMES: Final = ("ana", "ben", "cleo")
WARM_UP = 12
SIGNATURES = 60
THOUSAND = 1000
OBJECTS_A_SIGNATURE = 5
"""What was accepted is counted for an hour, and an id is remembered; what is leaked of a session is far more."""
SETTLED = 5.0
"""Seconds that a node may take to put away what the last signature needed."""


@dataclass(frozen=True, slots=True)
class Held:
    """What this process holds."""

    tasks: int
    files: int
    objects: int


def held() -> Held:
    gc.collect()
    return Held(len(asyncio.all_tasks()), len(list(Path("/proc/self/fd").iterdir())), len(gc.get_objects()))


async def settled(before: Held) -> Held:
    """What is held once no more tasks and files are than before, or for as long as that may take at most."""
    deadline = asyncio.get_running_loop().time() + SETTLED
    while (now := held()).tasks > before.tasks or now.files > before.files:
        if asyncio.get_running_loop().time() > deadline:
            break
        await asyncio.sleep(0.1)
    return now


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Nodes]:
    async with running_server() as server, nodes(tmp_path, server.url) as made:
        with mock.patch.object(node_module, "_connector", OVER_WEBRTC):
            yield made


async def one_after_the_other(everybody: Sequence[Running], first: int, count: int) -> None:
    """Sign; each proposes in turn, and the first that accept sign."""
    for number in range(first, first + count):
        proposer = everybody[number % len(everybody)]
        await soon(proposer.node.sign(Sign(wallet="treasury", contents=(b"%d" % number,))))
        for running in everybody:
            await running.end_of_session()
            running.events.clear()


async def warmed_up(place: Nodes) -> list[Running]:
    """Three nodes and their wallet, with a mesh open between each two of them."""
    everybody = await place.all(*NAMES, yes=True, mesh_timeouts=MeshTimeouts())
    await soon(making(everybody[0], TREASURY3))
    for running in everybody:
        await running.end_of_session()
        running.events.clear()
    for proposer, other in ((0, 1), (0, 2), (1, 2)):
        chosen = Sign(wallet="treasury", contents=(b"warm",), with_peers=(PeerId(NAMES[other]),))
        await soon(everybody[proposer].node.sign(chosen))
        await everybody[other].end_of_session()
    for running in everybody:
        running.events.clear()
    return everybody


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted in /proc")
async def test_sixty_signatures_on_warm_meshes_leave_nothing_behind(place: Nodes) -> None:
    everybody = await warmed_up(place)
    await one_after_the_other(everybody, 0, WARM_UP)
    meshes = [set(running.node._parts.services.pool._meshes) for running in everybody]
    before = held()
    await one_after_the_other(everybody, WARM_UP, SIGNATURES)
    after = await settled(before)
    assert [set(running.node._parts.services.pool._meshes) for running in everybody] == meshes, "a mesh was not kept"
    assert after.tasks <= before.tasks
    assert after.files <= before.files
    assert after.objects - before.objects < OBJECTS_A_SIGNATURE * SIGNATURES


@pytest.mark.slow
@pytest.mark.process
async def test_a_thousand_signatures_of_processes_leave_nothing_behind() -> None:
    async with cluster(3) as running:
        await running.create_wallet("soak", 2)
        for other in [*running.nodes][1:] * 5:
            await running.sign("soak", [b"warm"], others=[other])
        processes = {"server": running.server, **running.nodes}
        probes: dict[str, list[Line]] = {name: [] for name in processes}
        for number in range(1, THOUSAND + 1):
            await running.sign("soak", [b"%d" % number])
            if number % (THOUSAND // 10) == 0:
                for name, child in processes.items():
                    probes[name].append(await child.probe())
        for name, found in probes.items():
            grown = {what: found[-1][what] - found[0][what] for what in ("tasks", "files", "objects", "resident")}
            assert grown["tasks"] <= 0, (name, found)
            assert grown["files"] <= 0, (name, found)
            assert grown["objects"] < OBJECTS_A_SIGNATURE * THOUSAND, (name, found)
            assert grown["resident"] < 4 * MIB, (name, found)
        meshes = [line for child in running.nodes.values() for line in child.lines if line.get("mark") == "mesh"]
        assert len(meshes) == 3 + 4, "a mesh was not kept"
