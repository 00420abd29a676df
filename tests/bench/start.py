"""What a user waits for beside the session itself, and what a node holds: help, ``create-wallet``, ``sign``, memory."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Final

from tests.bench.cluster import Cluster, cluster
from tests.bench.report import MIB, Table, Target, median, ms, times, watched_load

NOTHING: Final = ("-c", "pass")
ARGON2ID: Final = """
import time
from nacl import bindings as sodium
began = time.monotonic()
sodium.crypto_pwhash_alg(32, b"passphrase", bytes(16), 3, 256 << 20, sodium.crypto_pwhash_ALG_ARGON2ID13)
print('{"argon2id": %f}' % (time.monotonic() - began))
"""
BARE: Final = """
import aiortc, asyncio, os
loop = asyncio.new_event_loop()
aiortc.RTCCertificate.generateCertificate()
with open("/proc/self/statm") as statm:
    print('{"resident": %d}' % (int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")))
"""
MESSAGE: Final = "what a transaction hashes to, 32"


def run(*arguments: str) -> tuple[Mapping[str, float], Sequence[Mapping[str, object]]]:
    """Run Python to its end; give when it said each thing first and ended, its processor time, and what it said."""
    # Where Python may not keep what it compiled, our own modules are compiled by each process again.
    unwanted = {"PYTHONDONTWRITEBYTECODE"} | {name for name in os.environ if name.startswith("MPCNODE_")}
    environment = {name: value for name, value in os.environ.items() if name not in unwanted}
    at: dict[str, float] = {}
    lines = []
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            now = time.monotonic() - began
            if line.startswith(b"{"):
                lines.append(json.loads(line))
                at.setdefault(lines[-1].get("event", "line"), now)
        _, ended, used = os.wait4(process.pid, 0)
        at |= {"end": time.monotonic() - began, "cpu": used.ru_utime + used.ru_stime}
        process.returncode = os.waitstatus_to_exitcode(ended)
    assert process.returncode == 0, (arguments, lines)
    return at, lines


async def helped() -> Mapping[str, float]:
    return (await asyncio.to_thread(run, "-m", "mpcnode", "--help"))[0]


async def created(nodes: Cluster, number: int) -> Mapping[str, float]:
    """Make a wallet with two nodes that wait, under a home that exists."""
    # Another name each time under one home: who comes back all the time would wait for the others' limit on hellos.
    options = [*nodes.options("ana", kdf="default"), "--peer-id", f"ana-{number}", "--with", "node02,node03"]
    command = ("create-wallet", *options, "--threshold", "2", "--total", "3", "--name", f"wallet-{number}")
    at, lines = await asyncio.to_thread(run, "-m", "mpcnode", *command)
    assert lines[-1]["event"] == "result"
    return at


async def signed(nodes: Cluster) -> tuple[Mapping[str, float], float]:
    """Have the first node sign by a command of its own; give its moments, and what the session took of it."""
    home = str(nodes.directory / "node01")
    command = ("sign", "--home", home, "--wallet", "warm", "--message", MESSAGE, "--json")
    at, lines = await asyncio.to_thread(run, "-m", "mpcnode", *command)
    session = next(line for line in lines if line["event"] == "session_ended")["seconds"]
    assert isinstance(session, dict)
    return at, sum(session.values())


async def tables(*, quick: bool) -> list[Table]:
    runs = 5 if quick else 21
    nothing, argon, page, making, signing, sessions = [], [], [], [], [], []
    with watched_load() as load:
        async with cluster(3) as nodes:
            resident = median(child.rss for child in nodes.nodes.values())
            await nodes.create_wallet("warm", 2)
            await nodes.sign("warm", [MESSAGE.encode()])
            for number in range(runs + 1):  # in turn, so that all of them meet the same disturbances
                nothing.append((await asyncio.to_thread(run, *NOTHING))[0])
                argon.append(float(str((await asyncio.to_thread(run, "-c", ARGON2ID))[1][0]["argon2id"])))
                page.append(await helped())
                making.append(await created(nodes, number))
                at, session = await signed(nodes)
                signing.append(at)
                sessions.append(session)
            later = median(child.rss for child in nodes.nodes.values())
        bare = float(str((await asyncio.to_thread(run, "-c", BARE))[1][0]["resident"]))

    def middle(measured: Sequence[Mapping[str, float]], name: str = "end") -> float:
        return median(at[name] for at in measured[1:])

    python, derive = middle(nothing), median(argon[1:])
    active, created_in, sign = middle(making, "session_ended"), middle(making), middle(signing)
    rows = [
        ("`python -c pass`", ms(python), ms(middle(nothing, "cpu")), times(1)),
        ("Argon2id alone (256 MiB, 3 passes)", ms(derive), "", times(derive / python)),
        ("`mpcnode --help`", ms(middle(page)), ms(middle(page, "cpu")), times(middle(page) / python)),
        ("`create-wallet`, 2 of 3: registered", ms(middle(making, "registered")), "", ""),
        ("... the wallet is active", ms(active), "", times(active / python)),
        ("... the process has ended", ms(created_in), ms(middle(making, "cpu")), times(created_in / python)),
        ("warm `sign` by the running node", ms(sign), ms(middle(signing, "cpu")), times(sign / python)),
        ("... of which the session", ms(median(sessions[1:])), "", ""),
    ]
    memory = [
        ("Python with stock aiortc", f"{bare / MIB:.1f} MiB", times(1)),
        ("a registered node", f"{resident / MIB:.1f} MiB", times(resident / bare)),
        (f"... after {runs + 2} wallets and {runs + 2} signatures", f"{later / MIB:.1f} MiB", times(later / bare)),
    ]
    return [
        Table(
            title="From Enter to the end",
            conditions=(
                f"Each a process of its own, in turn; medians of {runs} runs after one to warm up, with three "
                "registered nodes and a server, one process each. The homes are there already."
            ),
            columns=("", "time", "its CPU", "beside `python -c pass`"),
            rows=rows,
            targets=(
                Target("`--help`, beside `python -c pass`", middle(page) / python, 8),
                Target("`create-wallet`, beside Argon2id and `python -c pass`", created_in / (derive + python), 1.9),
                Target("warm `sign`, beside `python -c pass`", sign / python, 12),
            ),
            load=load,
        ),
        Table(
            title="Memory of a node",
            conditions="Resident memory, the median of three nodes; aiortc with a certificate made and no link.",
            columns=("", "resident", "beside aiortc"),
            rows=memory,
            targets=(Target("a registered node, beside stock aiortc alone", resident / bare, 1),),
            load=load,
        ),
    ]
