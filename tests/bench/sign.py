"""Signatures of a 2-of-3 wallet whose nodes are running: one after the other, in batches, and the mathematics alone."""

import asyncio
from collections.abc import Mapping, Sequence

from mpcnode.crypto.suites import DEFAULT_SUITES
from mpcnode.session.kinds.sign import MAX_BATCH
from mpcnode.types import SuiteId
from tests.bench import signing_maths
from tests.bench.cluster import Cluster, Signing, cluster
from tests.bench.report import Table, Target, median, ms, percentile, times, watched_load

MESSAGE = b"what a transaction hashes to, 32"
ED25519, TAPROOT = DEFAULT_SUITES
WARM_UP = 10
"""Signatures with each of the other nodes, before."""
PHASES = {
    "negotiating": "propose, accept, choose",
    "committing": "commitments",
    "agreeing": "the hash of their list",
    "signing": "shares",
}
ROUNDS = ("committing", "agreeing", "signing")
ROUND_TRIPS = 3
SLACK = 0.003
"""What the issue allows beside the round trips, in seconds."""
IDLE = 12.0
"""How long the links are left alone, to hear six of their pings."""


async def one_by_one(nodes: Cluster, runs: int) -> tuple[Sequence[Signing], Sequence[float]]:
    """Sign again and again on a warm mesh, and hear what an echo takes meanwhile and after."""
    for other in [*nodes.nodes][1:] * WARM_UP:
        await nodes.sign("warm", [MESSAGE], others=[other])
    starts = {name: len(child.lines) for name, child in nodes.nodes.items()}
    signed = [await nodes.sign("warm", [MESSAGE]) for _ in range(runs)]
    await asyncio.sleep(IDLE)
    lines = [line for name, child in nodes.nodes.items() for line in child.lines[starts[name] :]]
    assert not any(line.get("mark") == "mesh" for line in lines), "a mesh was opened although all were warm"
    return signed, [line["seconds"] for line in lines if line.get("mark") == "echo"]


async def batch(nodes: Cluster, suite: SuiteId, count: int) -> float:
    """Sign ``count`` messages with one command; give the signatures a second."""
    messages = [b"message %d" % number for number in range(count)]
    done = await nodes.sign("warm", messages, suite=suite)
    assert len(done.view.signatures) == count
    return count / done.seconds


def _warm_table(signed: Sequence[Signing], echoes: Sequence[float], load: Sequence[float], runs: int) -> Table:
    middle, worst = median(one.seconds for one in signed), percentile((one.seconds for one in signed), 99)
    echo = median(echoes)
    rows = [(what, ms(median(one.phases[0].get(phase, 0.0) for one in signed)), "") for phase, what in PHASES.items()]
    rounds = median(sum(one.phases[0].get(phase, 0.0) for phase in ROUNDS) for one in signed)
    allowed = ROUND_TRIPS * echo + SLACK
    maths = signing_maths.signer_seconds(ED25519, 2, 3, 51)
    return Table(
        title="A warm signature, 2 of 3",
        conditions=(
            "Three registered nodes and a server, one process each; one of the nodes is told by its control socket to "
            f"sign 32 bytes and asks both others, {runs} times after {WARM_UP} with each to warm up. From the command "
            "to its result, the audit log's line on the disk included. The echo is what the channel's own ping and "
            f"its answer take, {len(echoes)} of them, the same way."
        ),
        columns=("", "median", "p99"),
        rows=[
            *rows,
            ("the three rounds together", ms(rounds), ""),
            ("from the command to its result", ms(middle), ms(worst)),
            ("an echo on the channel", ms(echo), ms(percentile(echoes, 99))),
            ("mathematics of one signer, within it", ms(maths), ""),
        ],
        targets=(
            Target(f"the rounds beside {ROUND_TRIPS} echoes and {SLACK * 1000:.0f} ms", rounds / allowed, 1),
            Target("from the command to its result, beside the same", middle / allowed, 1),
        ),
        load=load,
    )


def _batch_table(rates: Mapping[SuiteId, float], alone: float, count: int, load: Sequence[float]) -> Table:
    return Table(
        title=f"A batch of {count:,} messages, 2 of 3",
        conditions=f"As above, with one command: sessions of {MAX_BATCH} messages, one after the other. Once each.",
        columns=("", "signatures a second", "beside one by one"),
        rows=[(suite, f"{rate:,.0f}", times(rate / alone)) for suite, rate in rates.items()],
        load=load,
    )


async def tables(*, quick: bool) -> list[Table]:
    runs, count = (40, 300) if quick else (400, 1000)
    with watched_load() as load:
        async with cluster(3) as nodes:
            await nodes.create_wallet("warm", 2)
            signed, echoes = await one_by_one(nodes, runs)
            rates = {suite: await batch(nodes, suite, count) for suite in (ED25519, TAPROOT)}
    alone = 1 / median(one.seconds for one in signed)
    with watched_load() as later:
        maths = signing_maths.table(quick=quick, load=later)
    return [_warm_table(signed, echoes, load, runs), _batch_table(rates, alone, count, load), maths]
