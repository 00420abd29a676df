"""Ten thousand open slots on one server: what they hold in memory, and how long a claim takes among them."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.child import Child
from tests.bench.report import MIB, Table, Target, median, ms, watched_load

OPEN = 10_000
CLAIMS = 1_000
RATE = 100


@dataclass(frozen=True, slots=True)
class Seen:
    """One server.

    Args:
        slots: the numbers that were given out.
        empty: its resident memory before anybody came.
        memory: the same with all of them open.
        p50: the median time from a claim to its answer.
        p99: what 99 of 100 take at most.
        cpu: the server's processor time for one guest: its connection, its claim, the end of both.
    """

    slots: Sequence[int]
    empty: int
    memory: int
    p50: float
    p99: float
    cpu: float


async def measured(count: int, *, claims: int, rate: int) -> Seen:
    """Open ``count`` slots of a server in a process of its own, then claim some, ``rate`` a second."""
    serve = ("serve", "--port", "0", "--json", "--connections", str(count + claims))
    async with Child.python("tests.bench.stamped", *serve) as server:
        port = (await server.wait_for(lambda line: line.get("event") == "serving"))["port"]
        empty = server.rss
        numbers = map(str, (port, count, claims, rate))
        async with Child.python("tests.bench.load", "slots", "plain", *numbers) as load:
            opened = await load.wait_for(lambda line: "slots" in line, deadline=300)
            memory, cpu = server.rss, server.cpu
            load.say("go on")
            claimed = await load.wait_for(lambda line: "claims" in line, deadline=300)
            assert claimed["claims"] == claims, claimed
            cpu = (server.cpu - cpu) / claims
    return Seen(opened["slots"], empty, memory, claimed["p50"], claimed["p99"], cpu)


def row(name: str, seen: Sequence[Seen]) -> Sequence[str]:
    return (
        name,
        f"{median(one.empty for one in seen) / MIB:.0f} MiB",
        f"{median(one.memory for one in seen) / MIB:.0f} MiB",
        f"{median((one.memory - one.empty) / len(one.slots) for one in seen) / 1024:.1f} KiB",
        ms(median(one.p50 for one in seen)),
        ms(median(one.p99 for one in seen)),
        f"{median(one.cpu for one in seen) * 1e6:.0f} us",
    )


async def tables(*, quick: bool) -> list[Table]:
    runs, count, claims = (1, 2_000, 200) if quick else (3, OPEN, CLAIMS)
    few, many = [], []
    with watched_load() as load:
        for _ in range(runs):
            few.append(await measured(claims, claims=claims, rate=RATE))
            many.append(await measured(count, claims=claims, rate=RATE))
    memory, p99 = median(one.memory for one in many), median(one.p99 for one in many)
    return [
        Table(
            title="Slots",
            conditions=(
                f"{claims:,} and {count:,} slots open on one server, each a WebSocket of its own, sixty of an address; "
                f"then {claims:,} guests, {RATE} a second, each of whom connects, claims a slot and releases it. "
                f"Resident memory of the server, from a claim to its answer, and the server's CPU for one guest. "
                f"Medians of {runs} runs in turn."
            ),
            columns=("", "empty server", "all open", "each", "claim", "claim, p99", "CPU, a guest"),
            rows=[row(f"{claims:,} slots", few), row(f"{count:,} slots", many)],
            targets=[
                Target("memory of 10,000 in units of 100 MiB", memory / (100 * MIB), 1),
                Target("p99 of a claim in units of 5 ms", p99 / 0.005, 1),
                Target("p99 of a claim beside the one among few slots", p99 / median(one.p99 for one in few), 2),
            ],
            load=load,
        )
    ]
