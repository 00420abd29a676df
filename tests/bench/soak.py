"""Key generations one after the other, in one server and three nodes: nothing may grow."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.bench.child import Child, Line
from tests.bench.cluster import cluster
from tests.bench.report import MIB, Table, Target, median, ms, watched_load


@dataclass(frozen=True, slots=True)
class Soak:
    """What every process held each time it was asked, and how long the sessions before that took.

    Args:
        after: how many key generations there had been.
        held: by process, its probes.
        seconds: the medians.
    """

    after: Sequence[int]
    held: Mapping[str, Sequence[Line]]
    seconds: Sequence[float]

    def growth(self, process: str, what: str) -> int:
        """Give how much more ``process`` held at the end than after the warm-up."""
        probes = self.held[process]
        return int(probes[-1][what] - probes[0][what])


async def soak(total: int, *, every: int) -> Soak:
    """Make ``total`` wallets, each node proposing in turn, and probe all processes after every ``every``."""
    async with cluster(3) as running:
        processes: dict[str, Child] = {"server": running.server, **running.nodes}
        held: dict[str, list[Line]] = {name: [] for name in processes}
        after: list[int] = []
        medians: list[float] = []
        names, seconds = list(running.nodes), []
        for number in range(1, total + 1):
            turn = number % len(names)
            session = await running.create_wallet(f"soak-{number}", 2, names[turn:] + names[:turn])
            seconds.append(session.seconds)
            for name in names:
                # A node looks through its wallets for each new one: a thousand of them would be another benchmark.
                shutil.rmtree(running.directory / name / "wallets" / session.wallet.wallet_id)
            if number % every == 0:
                after.append(number)
                medians.append(median(seconds))
                seconds = []
                for name, child in processes.items():
                    held[name].append(await child.probe())
        return Soak(after, held, medians)


def shown(result: Soak) -> Sequence[Sequence[str]]:
    rows = []
    for index, number in enumerate(result.after):
        cells = []
        for name in ("server", "node01"):
            probe = result.held[name][index]
            cells += [f"{probe['resident'] / MIB:.1f} MiB", str(probe["files"]), str(probe["tasks"])]
        rows.append((str(number), *cells, ms(result.seconds[index])))
    return rows


async def tables(*, quick: bool) -> list[Table]:
    total = 40 if quick else 1000
    with watched_load() as load:
        result = await soak(total, every=total // 10)
    nodes = [name for name in result.held if name != "server"]
    return [
        Table(
            title="Soak",
            conditions=(
                f"{total} key generations one after the other in one server and three nodes, each proposing in turn, "
                f"real WebRTC; each process is asked after every {total // 10} what it holds. Growth is from the first "
                f"time, the warm-up, to the last. Each wallet is deleted after its session."
            ),
            columns=("after", "server", "files", "tasks", "a node", "files", "tasks", "session, median"),
            rows=shown(result),
            targets=(
                Target("a node's memory, MiB grown", max(result.growth(n, "resident") for n in nodes) / MIB, 8),
                Target("the server's memory, MiB grown", result.growth("server", "resident") / MIB, 2),
                *(
                    Target(f"{what} grown, the worst process", max(result.growth(p, what) for p in result.held), 0)
                    for what in ("files", "tasks")
                ),
            ),
            load=load,
        )
    ]
