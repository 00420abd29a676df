"""``create-wallet`` for a 2-of-3 wallet, from the command line to its end, phase by phase."""

import time
from collections.abc import Mapping, Sequence

from tests.bench.child import Child, Line
from tests.bench.cluster import Cluster, cluster
from tests.bench.report import Table, Target, median, ms, watched_load

PHASES = {
    "Python and the command line": ("start", "argon2id began"),
    "Argon2id (256 MiB, 3 passes), in a thread": ("argon2id began", "argon2id ended"),
    "meanwhile: the node loaded": ("argon2id began", "aiortc began"),
    "meanwhile: aiortc loaded": ("aiortc began", "aiortc ended"),
    "register, once the key is there": ("unlocked", "registered"),
    "introduce, propose, all accept": ("registered", "connecting"),
    "mesh": ("connecting", "mesh"),
    "digests and commitments": ("mesh", "confirming"),
    "shares": ("confirming", "storing"),
    "store the pending share": ("storing", "certifying"),
    "certificate, stored as active; last words": ("certifying", "session_ended"),
    "the process ends": ("session_ended", "end"),
}


def moments(lines: Sequence[Line], start: float, end: float) -> dict[str, float]:
    """When each thing happened for the first time, by its name."""
    found = {"start": start, "end": end}
    for line in lines:
        name = str(line.get("mark") or line.get("phase") or line.get("event"))
        found.setdefault(name, line["at"])
    found.setdefault("unlocked", max(found["argon2id ended"], found["aiortc ended"]))
    # A round that is complete before it is looked at was never waited for.
    found.setdefault("certifying", found.get("leaving", found["session_ended"]))
    return found


async def once(nodes: Cluster, run: int) -> Mapping[str, float]:
    """Make a wallet with two nodes that wait; the command is a process of its own, its home one that exists."""
    name = f"wallet-{run}"
    # Another name each time under one home: who comes back all the time would wait for the others' limit on hellos.
    options = [*nodes.options("ana", kdf="default"), "--peer-id", f"ana-{run}"]
    command = ("create-wallet", *options, "--threshold", "2", "--total", "3", "--name", name)
    start = time.monotonic()
    async with Child.python("tests.bench.stamped", *command, "--with", ",".join(nodes.nodes)) as child:
        assert await child.wait() == 0, (child.lines, child.talk)
        end = time.monotonic()
        return moments(child.lines, start, end)


def spans(at: Mapping[str, float]) -> dict[str, float]:
    return {what: at[end] - at[begin] for what, (begin, end) in PHASES.items()}


async def tables(*, quick: bool) -> list[Table]:
    runs = 3 if quick else 11
    with watched_load() as load:
        async with cluster(2) as nodes:
            seen = [await once(nodes, run) for run in range(runs + 1)][1:]
    rows = [(what, ms(median(spans(at)[what] for at in seen))) for what in PHASES]
    total = median(at["end"] - at["start"] for at in seen)
    derive = median(at["argon2id ended"] - at["argon2id began"] for at in seen)
    after = median(at["registered"] - at["argon2id ended"] for at in seen)
    return [
        Table(
            title="`create-wallet`, 2 of 3, end to end",
            conditions=(
                f"The command as a process, its home already there and under the default passphrase protection, with "
                f"two registered nodes and a server, one process each; medians of {runs} runs after a warm-up, which "
                f"makes the home. `--yes`: nobody compares words."
            ),
            columns=("phase", "time"),
            rows=[*rows, ("all of it", ms(total))],
            targets=(Target("registered after Argon2id, beside Argon2id itself", after / derive, 0.25),),
            load=load,
        )
    ]
