"""The signaling server beside a bare relay and, where npm is at hand, beside the PeerJS server."""

import asyncio
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.child import Child, run_once
from tests.bench.load import VISITORS
from tests.bench.report import MIB, Table, Target, median, ms, watched_load

PAIRS = 100
RATE = 2000
IDLE = 1000
FLOODERS = (1, 3, 10)
INNOCENTS = (5, 200)
"""Pairs that talk while others flood, and their messages a second: few, so that a quiet server answers at once."""
WATCHERS = 1000
MPCNODE, BARE, BARE_UVLOOP, PEERJS = "mpcnode", "bare websockets", "the same on uvloop", "PeerJS"


@dataclass(frozen=True, slots=True)
class Rival:
    """A server to measure: how to start it and what it speaks."""

    name: str
    dialect: str
    running: Callable[[], AbstractAsyncContextManager[tuple[Child, int]]]


def python_server(module: str, *arguments: str) -> Callable[[], AbstractAsyncContextManager[tuple[Child, int]]]:
    @asynccontextmanager
    async def running() -> AsyncIterator[tuple[Child, int]]:
        async with Child.python(module, *arguments) as child:
            yield child, (await child.wait_for(lambda line: line.get("event") == "serving"))["port"]

    return running


def peerjs_server(program: Path) -> Callable[[], AbstractAsyncContextManager[tuple[Child, int]]]:
    @asynccontextmanager
    async def running() -> AsyncIterator[tuple[Child, int]]:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        async with Child("node", str(program), "--host", "127.0.0.1", "--port", str(port)) as child:
            for _ in range(100):
                await asyncio.sleep(0.1)
                if any("Started" in line for line in child.talk):
                    break
            yield child, port

    return running


def install_peerjs(directory: Path) -> Path | None:
    """Install the PeerJS server where npm can; say why not where it cannot."""
    npm = shutil.which("npm")
    if npm is None:
        print("npm is not at hand: no PeerJS server to compare with", file=sys.stderr)
        return None
    command = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(directory), "peer@1"]
    done = subprocess.run(command, check=False, capture_output=True, timeout=300)
    program = directory / "node_modules/peer/dist/bin/peerjs.js"
    if done.returncode == 0 and program.exists():
        return program
    print("npm could not install `peer`: no PeerJS server to compare with", file=sys.stderr)
    return None


async def generate(rival: Rival, port: int, what: str, *numbers: int) -> dict[str, Any]:
    """Run the load generator to its end."""
    return await run_once("tests.bench.load", what, rival.dialect, str(port), *map(str, numbers), deadline=120)


async def throughput(rival: Rival, each: int) -> tuple[float, float]:
    """Give messages a second, and the server's processor time for one."""
    async with rival.running() as (child, port):
        await generate(rival, port, "throughput", 20, 100)
        cpu = child.cpu
        result = await generate(rival, port, "throughput", PAIRS, each)
        return result["messages"] / result["seconds"], (child.cpu - cpu) / result["messages"]


async def latency(rival: Rival, seconds: int) -> float:
    """Give the 99th percentile at the steady rate."""
    async with rival.running() as (child, port):
        result = await generate(rival, port, "latency", 50, RATE, seconds)
        assert result["came"] == result["sent"], (rival.name, result)
        del child
        return float(result["p99"])


async def connections(rival: Rival) -> tuple[float, float]:
    """Give connections a second, and the bytes an idle one costs."""
    async with rival.running() as (child, port):
        async with Child.python("tests.bench.load", "connections", rival.dialect, str(port), "100") as warm_up:
            await warm_up.wait_for(lambda line: "connections" in line)
            warm_up.say("end")
            await warm_up.wait()
        await asyncio.sleep(0.5)
        before = child.rss
        async with Child.python("tests.bench.load", "connections", rival.dialect, str(port), str(IDLE)) as load:
            made = await load.wait_for(lambda line: "connections" in line)
            await asyncio.sleep(0.5)
            grown = child.rss - before
            load.say("end")
            lost = await load.wait_for(lambda line: "lost" in line)
            assert lost["lost"] == 0, (rival.name, lost)
        return IDLE / made["seconds"], grown / IDLE


async def stalled(rival: Rival, seconds: int) -> tuple[float, float]:
    """Give the 99th percentile of everybody else, and how far memory grew, while one client does not read."""
    async with rival.running() as (child, port):
        await generate(rival, port, "latency", 50, RATE, 1)
        before = peak = child.rss
        load = asyncio.create_task(generate(rival, port, "stalled", 50, RATE, seconds))
        while not load.done():
            peak = max(peak, child.rss)
            await asyncio.sleep(0.02)
        result = await load
        assert result["came"] == result["sent"], (rival.name, result)
        return float(result["p99"]), float(peak - before)


@dataclass(frozen=True, slots=True)
class Figures:
    """One server's."""

    rate: float
    cpu: float
    p99: float
    connections: float
    idle: float
    stalled_p99: float
    stalled_memory: float

    def row(self, name: str) -> Sequence[str]:
        return (
            name,
            f"{self.rate:,.0f}/s",
            f"{self.cpu * 1e6:.0f} us",
            ms(self.p99),
            f"{self.connections:,.0f}/s",
            f"{self.idle / 1024:.1f} KiB",
            ms(self.stalled_p99),
            f"{self.stalled_memory / MIB:.1f} MiB",
        )


@dataclass(frozen=True, slots=True)
class Disturbed:
    """How one server serves innocents while strangers do what they can.

    Args:
        quiet: the innocents' 99th percentile while nothing else happens.
        elsewhere: the same while ten strangers flood another server on this machine: what the machine makes of it.
        tiny: the same while one, three and ten strangers send tiny frames and reconnect.
        joins: the same while one address comes and goes before a thousand watchers.
        share: the server's processor time for that, as a share of one core.
        visits: how often that address came in, a second.
    """

    quiet: float
    elsewhere: float
    tiny: Sequence[float]
    joins: float
    share: float
    visits: float

    def row(self, name: str) -> Sequence[str]:
        return (
            name,
            ms(self.quiet),
            ms(self.elsewhere),
            *map(ms, self.tiny),
            ms(self.joins),
            f"{self.share:.0%}",
            f"{self.visits:,.0f}/s",
        )


async def beside(
    rival: Rival, port: int, seconds: int, what: str, *numbers: int, at: int | None = None
) -> tuple[float, dict[str, Any]]:
    """Give the innocents' 99th percentile while another generator does ``what``, here or ``at`` another server."""
    async with asyncio.TaskGroup() as group:
        innocents = group.create_task(generate(rival, port, "latency", *INNOCENTS, seconds))
        # Some servers would not even let the innocents in later.
        await asyncio.sleep(1.5)
        other = await generate(rival, at or port, what, *numbers, seconds + 2)
    return float(innocents.result()["p99"]), other


async def disturbed(rival: Rival, seconds: int) -> Disturbed:
    """Measure one server under floods of tiny frames, and of joins and leaves; a fresh one for each."""
    async with rival.running() as (_, port):
        quiet = float((await generate(rival, port, "latency", *INNOCENTS, seconds))["p99"])
    async with rival.running() as (_, port), rival.running() as (_, another):
        elsewhere, _ = await beside(rival, port, seconds, "tiny", FLOODERS[-1], at=another)
    tiny = []
    for count in FLOODERS:
        async with rival.running() as (_, port):
            tiny.append((await beside(rival, port, seconds, "tiny", count))[0])
    async with (
        rival.running() as (child, port),
        Child.python("tests.bench.load", "watchers", rival.dialect, str(port), str(WATCHERS)) as watching,
    ):
        await watching.wait_for(lambda line: "watching" in line)
        cpu = child.cpu
        await generate(rival, port, "latency", *INNOCENTS, seconds)
        innocents, cpu = child.cpu - cpu, child.cpu
        p99, visits = await beside(rival, port, seconds, "visitors")
        share = (child.cpu - cpu - innocents) / (seconds + 2)
        watching.say("end")
        await watching.wait_for(lambda line: "said" in line)
    return Disturbed(quiet, elsewhere, tiny, p99, share, visits["joined"] / (seconds + 2))


async def measure_disturbed(rivals: Sequence[Rival], *, quick: bool) -> dict[str, Disturbed]:
    """Measure all servers in turn; give medians."""
    runs, seconds = (1, 3) if quick else (3, 6)
    seen: dict[str, list[Disturbed]] = {rival.name: [] for rival in rivals}
    for _ in range(runs):
        for rival in rivals:
            seen[rival.name].append(await disturbed(rival, seconds))
    return {
        name: Disturbed(
            median(one.quiet for one in these),
            median(one.elsewhere for one in these),
            [median(values) for values in zip(*(one.tiny for one in these), strict=True)],
            median(one.joins for one in these),
            median(one.share for one in these),
            median(one.visits for one in these),
        )
        for name, these in seen.items()
    }


async def measure(rivals: Sequence[Rival], *, quick: bool) -> dict[str, Figures]:
    """Measure all servers in turn, as often as it takes, so that whatever else goes on here meets all of them."""
    runs, each, seconds = (1, 300, 3) if quick else (3, 900, 6)
    seen: dict[str, list[Figures]] = {rival.name: [] for rival in rivals}
    for _ in range(runs):
        for rival in rivals:
            figures = (*await throughput(rival, each), await latency(rival, seconds), *await connections(rival))
            seen[rival.name].append(Figures(*figures, *await stalled(rival, seconds)))
    return {
        name: Figures(*(median(getattr(one, field) for one in these) for field in Figures.__dataclass_fields__))
        for name, these in seen.items()
    }


def targets(figures: dict[str, Figures]) -> Sequence[Target]:
    ours, bare = figures[MPCNODE], figures[BARE]
    found = [
        Target("throughput: the bare relay's beside ours", bare.rate / ours.rate, 1),
        Target("p99: ours beside the bare relay's", ours.p99 / bare.p99, 1),
        Target("connections: the bare relay's beside ours", bare.connections / ours.connections, 1),
        Target("idle memory: ours beside the bare relay's", ours.idle / bare.idle, 1),
    ]
    if (peerjs := figures.get(PEERJS)) is not None:
        found += [
            Target("one does not read: p99, ours beside PeerJS's", ours.stalled_p99 / peerjs.stalled_p99, 1),
            Target("one does not read: memory, ours beside PeerJS's", ours.stalled_memory / peerjs.stalled_memory, 1),
        ]
    return found


def strained_targets(ours: Disturbed) -> Sequence[Target]:
    found = []
    for count, p99 in zip(FLOODERS, ours.tiny, strict=True):
        found.append(Target(f"{count} flooding: p99 in units of 20 ms", p99 / 0.020, 1))
        found.append(Target(f"{count} flooding: p99 beside the quiet one", p99 / ours.quiet, 3))
    found.append(Target("10 flooding: p99 beside the same elsewhere", ours.tiny[-1] / ours.elsewhere, 3))
    return [*found, Target("joins and leaves: share of a core", ours.share, 0.1)]


async def tables(*, quick: bool) -> list[Table]:
    rivals = [
        Rival(MPCNODE, "plain", python_server("tests.bench.stamped", "serve", "--port", "0", "--json")),
        Rival(BARE, "plain", python_server("tests.bench.bare_relay")),
        Rival(BARE_UVLOOP, "plain", python_server("tests.bench.bare_relay", "uvloop")),
    ]
    with tempfile.TemporaryDirectory(prefix="mpcnode-bench-") as directory, watched_load() as load:
        if (program := install_peerjs(Path(directory))) is not None:
            rivals.append(Rival(PEERJS, "peerjs", peerjs_server(program)))
        figures = await measure(rivals, quick=quick)
        strained = await measure_disturbed(rivals, quick=quick)
    return [
        Table(
            title="Signaling server",
            conditions=(
                f"`mpcnode serve` with every limit at its default, a 30-line relay on `websockets`, the same on "
                f"uvloop, and the PeerJS server (npm `peer`): one process each, a load generator in another, the "
                f"loopback address, 1 KB messages; medians of {1 if quick else 3} runs in turn. Throughput and the "
                f"server's CPU for a message with {PAIRS} senders and as many receivers; p99 at {RATE:,}/s; memory of "
                f"each of {IDLE:,} idle connections; then p99 at {RATE:,}/s, and how far memory grew, while ten others "
                f"send 3.2 MB/s to a client that does not read."
            ),
            columns=(
                "",
                "messages",
                "CPU each",
                "p99",
                "connections",
                "idle memory",
                "p99, stalled",
                "memory, stalled",
            ),
            rows=[each.row(name) for name, each in figures.items()],
            targets=targets(figures),
            load=load,
        ),
        Table(
            title="Signaling server: strangers",
            conditions=(
                f"The same servers; medians of {1 if quick else 3} runs in turn. p99 of {INNOCENTS[0]} innocent pairs "
                f"at {INNOCENTS[1]} messages a second: quiet; while 10 strangers flood another server of the same "
                f"kind; while 1, 3 and 10 strangers, each from its own address, "
                f"send the tiniest messages (26 or 27 bytes) as fast as the socket takes them and connect again when "
                f"they are sent away; while one address comes and goes on {VISITORS} sockets in a room of {WATCHERS:,} "
                f"watchers. Then the server's processor time for these visits, as a share of one core, and how many "
                f"there were. PeerJS tells nobody who comes and goes."
            ),
            columns=(
                "",
                "quiet",
                "10 elsewhere",
                *(f"{count} flooding" for count in FLOODERS),
                "joins",
                "CPU, joins",
                "joins made",
            ),
            rows=[each.row(name) for name, each in strained.items()],
            targets=strained_targets(strained[MPCNODE]),
            load=load,
        ),
    ]
