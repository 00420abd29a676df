"""How long it takes two people with a code to be contacts, beside magic-wormhole, which has the same key exchange."""

import asyncio
import re
import socket
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.child import Child
from tests.bench.report import Table, Target, median, ms, percentile, times, watched_load

_CODE = re.compile(r"\b[0-9]+-[a-z]+-[a-z]+\b")
DEADLINE = 60.0


@asynccontextmanager
async def our_server() -> AsyncIterator[int]:
    async with Child.python("mpcnode", "serve", "--port", "0", "--json") as server:
        yield (await server.wait_for(lambda line: line.get("event") == "serving"))["port"]


async def pairings(port: int, count: int) -> list[float]:
    """Seconds from a code that is known to both ends being done, in processes that have everything loaded."""
    url = f"ws://127.0.0.1:{port}"
    taken = []
    async with (
        Child.python("tests.bench.introducer", "inviter", url, str(count)) as inviter,
        Child.python("tests.bench.introducer", "joiner", url, str(count)) as joiner,
    ):
        for number in range(count):
            codes = 2 * number  # the inviter says two lines for each
            code = await inviter.wait_for(lambda line: "code" in line, start=codes)
            await asyncio.sleep(0.05)  # a person takes longer; both ends are idle by then
            joiner.say(code["code"])
            ends = [
                await one.wait_for(lambda line, number=number: line.get("met") == number)  # type: ignore[misc]
                for one in (inviter, joiner)
            ]
            taken.append(max(end["at"] for end in ends) - ends[1]["began"])
    return taken


@dataclass(frozen=True, slots=True)
class Commands:
    """Two commands of one program: one that makes a code and says it, and one that takes it."""

    make: Sequence[str]
    take: Callable[[str], Sequence[str]]


async def by_commands(commands: Commands) -> float:
    """Seconds from the start of the command that takes a code until both have ended."""
    pipe = asyncio.subprocess.PIPE
    maker = await asyncio.create_subprocess_exec(
        *commands.make, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(DEADLINE):
            assert maker.stdout is not None
            while not (found := _CODE.search((line := await maker.stdout.readline()).decode())):
                assert line, "no code was made"
            await asyncio.sleep(0.1)
            began = time.monotonic()
            taker = await asyncio.create_subprocess_exec(
                *commands.take(found.group()), stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
            )
            (_, talk), _ = await asyncio.gather(taker.communicate(), maker.stdout.read())
            assert (taker.returncode, await maker.wait()) == (0, 0), talk
            return time.monotonic() - began
    finally:
        if maker.returncode is None:
            maker.kill()
            await maker.wait()


def of_mpcnode(port: int, directory: Path) -> Commands:
    passphrase = directory / "passphrase"
    passphrase.write_text("of a throw-away home\n")
    passphrase.chmod(0o600)

    def command(name: str) -> list[str]:
        options = ("--kdf", "interactive", "--passphrase-file", str(passphrase), "--home", str(directory / name))
        where = ("--peer-id", name, "--server", f"ws://127.0.0.1:{port}")
        return [sys.executable, "-m", "mpcnode", "pair", *options, *where]

    return Commands(command("alice"), lambda code: [*command("bob"), code])


def install_wormhole(directory: Path) -> Path | None:
    """Install magic-wormhole and its server in an environment of their own; say why not where that cannot be."""
    venv.create(directory, with_pip=True)
    install = (directory / "bin/pip", "install", "--quiet", "magic-wormhole", "magic-wormhole-mailbox-server")
    done = subprocess.run(install, check=False, capture_output=True, timeout=300)
    if done.returncode == 0 and (directory / "bin/wormhole").exists():
        return directory / "bin"
    print("pip could not install magic-wormhole: nothing to compare with", file=sys.stderr)
    return None


@asynccontextmanager
async def wormhole_server(programs: Path, directory: Path) -> AsyncIterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    database = ("--channel-db", str(directory / "channels.sqlite"), "--usage-db", str(directory / "usage.sqlite"))
    listens = ("--port", f"tcp:{port}:interface=127.0.0.1")
    async with Child(str(programs / "twist"), "wormhole-mailbox", *listens, *database) as server:
        for _ in range(100):
            await asyncio.sleep(0.1)
            if any("Starting reactor" in line or "starting on" in line for line in server.talk):
                break
        yield port


def of_wormhole(programs: Path, port: int) -> Commands:
    """Nothing but this machine is spoken to: the relay for files is one that does not exist, and is not needed."""
    relays = ("--relay-url", f"ws://127.0.0.1:{port}/v1", "--transit-helper", "tcp:127.0.0.1:1")
    wormhole = [str(programs / "wormhole"), *relays]
    return Commands(
        [*wormhole, "send", "--no-listen", "--hide-progress", "--no-qr", "--text", "hello"],
        lambda code: [*wormhole, "receive", "--no-listen", "--hide-progress", code],
    )


async def repeated(commands: Commands, runs: int) -> list[float]:
    await by_commands(commands)  # compiles what was never run, and makes what is made once
    return [await by_commands(commands) for _ in range(runs)]


async def tables(*, quick: bool) -> list[Table]:
    count, runs = (10, 2) if quick else (100, 7)
    with watched_load() as load, tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        async with our_server() as port:
            pairs = (await pairings(port, count + 3))[3:]
            ours = await repeated(of_mpcnode(port, directory), runs)
        rows = [
            ("the protocol", ms(median(pairs)), ms(percentile(pairs, 90))),
            ("`mpcnode pair CODE`", ms(median(ours)), ms(max(ours))),
        ]
        targets = [Target("a pairing in units of 60 ms", median(pairs) / 0.060, 1)]
        if programs := await asyncio.to_thread(install_wormhole, directory / "wormhole"):
            async with wormhole_server(programs, directory) as port:
                theirs = await repeated(of_wormhole(programs, port), runs)
            rows.append(("`wormhole receive CODE`", ms(median(theirs)), ms(max(theirs))))
            ratio = median(ours) / median(theirs)
            targets.append(Target(f"mpcnode pair beside wormhole ({times(ratio)})", ratio, 1))
    return [
        Table(
            title="Introductions",
            conditions=(
                f"Two people and a code, over loopback. The protocol: from a code that is known until both ends have "
                f"the other's card, {count} times, in two processes that have everything loaded, and the 90th of 100. "
                f"The commands: from the start of the one that takes a code until both have ended, {runs} times, and "
                f"the longest; mpcnode opens its home with little Argon2id and stores a contact, wormhole passes "
                f"`send --text`, each over its own server."
            ),
            columns=("", "median", "slow"),
            rows=rows,
            targets=targets,
            load=load,
        )
    ]
