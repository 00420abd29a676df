"""How long a full mesh takes, beside stock aiortc opening the same links."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from tests.bench.child import Child, free_names
from tests.bench.cluster import Cluster, cluster
from tests.bench.report import Table, Target, median, ms, times, watched_load

WARM_UP = 1
PAUSE = 0.1
"""Seconds between two runs, so that no run pays for closing the links of the one before."""


@asynccontextmanager
async def bare_mesh(total: int) -> AsyncIterator[Sequence[Child]]:
    """Run the bare script's processes and their relay."""
    names = free_names("bare", total)
    async with AsyncExitStack() as stack:
        relay = await stack.enter_async_context(Child.python("tests.bench.line_relay"))
        port = (await relay.wait_for(lambda line: "port" in line))["port"]
        nodes = [
            await stack.enter_async_context(Child.python("tests.bench.bare_mesh", str(port), name, *names))
            for name in names
        ]
        for node in nodes:
            await node.wait_for(lambda line: "ready" in line)
        yield nodes


@dataclass(frozen=True, slots=True)
class Opened:
    """One mesh: how long it took by the clock, and what each node spent on it."""

    seconds: float
    cpu: float


async def open_bare(nodes: Sequence[Child]) -> Opened:
    """Open all links of the bare script, and close them."""
    starts = [len(node.lines) for node in nodes]
    for node in nodes:
        node.say("open")
    opened = [
        await node.wait_for(lambda line: "open" in line, start=start) for node, start in zip(nodes, starts, strict=True)
    ]
    for node in nodes:
        node.say("close")
    for node, start in zip(nodes, starts, strict=True):
        await node.wait_for(lambda line: "closed" in line, start=start)
    seconds = max(line["open"] for line in opened) - min(line["began"] for line in opened)
    return Opened(seconds, sum(line["cpu"] for line in opened) / len(opened))


async def compare(total: int, runs: int) -> tuple[list[Opened], list[Opened]]:
    """Measure both in turn, so that whatever else this machine does meets both."""
    ours: list[Opened] = []
    theirs: list[Opened] = []
    # Nodes that keep a mesh would make the next wallet over it.
    async with cluster(total, "--warm-seconds", "0") as nodes, bare_mesh(total) as bare:
        for run in range(WARM_UP + runs):
            ours.append(await open_ours(nodes, run))
            await asyncio.sleep(PAUSE)
            theirs.append(await open_bare(bare))
            await asyncio.sleep(PAUSE)
    return ours[WARM_UP:], theirs[WARM_UP:]


async def open_ours(nodes: Cluster, run: int) -> Opened:
    """Open a mesh, by the key generation it is for."""
    session = await nodes.create_wallet(f"mesh-{run}", 2)
    return Opened(session.mesh_seconds, session.mesh_cpu)


def row_of(total: int, ours: Sequence[Opened], theirs: Sequence[Opened]) -> Sequence[str]:
    links = total * (total - 1) // 2
    shown = [f"{total} nodes, {links} links"]
    for these in (ours, theirs):
        shown += [ms(median(one.seconds for one in these)), ms(median(one.cpu for one in these))]
    cpu = median(our.cpu / their.cpu for our, their in zip(ours, theirs, strict=True))
    return [*shown, times(ratio_of(ours, theirs)), times(cpu)]


def ratio_of(ours: Sequence[Opened], theirs: Sequence[Opened]) -> float:
    return median(our.seconds / their.seconds for our, their in zip(ours, theirs, strict=True))


async def tables(*, quick: bool) -> list[Table]:
    runs = {3: 5, 5: 3} if quick else {3: 21, 5: 15, 8: 11}
    rows: list[Sequence[str]] = []
    ratios: dict[int, float] = {}
    with watched_load() as load:
        for total, count in runs.items():
            ours, theirs = await compare(total, count)
            ratios[total] = ratio_of(ours, theirs)
            rows.append(row_of(total, ours, theirs))
    return [
        Table(
            title="Mesh",
            conditions=(
                "From the first node that holds every acceptance to the last that heard every `mesh_ready`, one "
                "process a node, signals sealed and through the real signaling server; beside stock "
                "`RTCPeerConnection`s of aiortc opening the same links, one process a node, SDP in the clear through a "
                "line relay. In turn, after a warm-up; medians of "
                + ", ".join(f"{count} (n = {total})" for total, count in runs.items())
                + " runs; a ratio is the median of each pair's. CPU is a node's mean."
            ),
            columns=("", "mpcnode", "its CPU", "stock aiortc", "its CPU", "time, ratio", "CPU, ratio"),
            rows=rows,
            targets=(
                Target("at every n, beside stock aiortc", max(ratios.values()), 1.25),
                Target("at n = 3, beside stock aiortc", ratios[3], 0.6),
            ),
            load=load,
        )
    ]
