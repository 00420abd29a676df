"""Real processes of mpcnode for tests about how they die: started fast, listened to, and gone at the end."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from mpcnode import status
from mpcnode.control.lines import Failed, Line, Result, Serving, decode_line
from mpcnode.errors import DecodeError
from mpcnode.faults.model import VARIABLE, Faults
from mpcnode.keystore.format import KdfPolicy
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.store import Home
from mpcnode.wallet.store import list_wallets
from tests.helpers.filesystem import QuickFileSystem
from tests.helpers.terminal import clean_environment

T = TypeVar("T")

PASSPHRASE = b"correct horse"
QUICK = KdfPolicy(8 << 20, 1)
DEADLINE = 60.0
"""Seconds after which a test that waits is wrong; nothing is asserted about how long anything takes before."""
LOOK_AGAIN = 0.02


def encode_faults(faults: Faults) -> str:
    """Give ``faults`` as the variable holds them."""
    return msgspec.json.encode(faults).decode()


@dataclass
class Child:
    """One process."""

    name: str
    pid: int
    out: Path
    err: Path
    processes: "Processes" = field(repr=False)

    @property
    def code(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self.processes.ended().get(self.pid)

    @property
    def lines(self) -> list[Line]:
        """What it printed, as far as it is whole."""
        found: list[Line] = []
        for line in self.out.read_bytes().split(b"\n")[:-1]:
            with contextlib.suppress(DecodeError):
                found.append(decode_line(line))
        return found

    @property
    def talk(self) -> str:
        """What it said on stderr."""
        return self.err.read_text()

    def of(self, kind: type[T]) -> list[T]:
        """What it printed of this kind."""
        return [line for line in self.lines if isinstance(line, kind)]

    @property
    def error(self) -> status.ErrorView:
        """The error it ended with."""
        return self.of(Failed)[-1].error

    def strike(self, number: signal.Signals) -> None:
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def until(self, wanted: Callable[[], T | None]) -> T:
        """Wait until ``wanted`` gives something."""
        end = time.monotonic() + DEADLINE
        while not (found := wanted()):
            if time.monotonic() > end:
                raise AssertionError(f"{self.name} ({self.code}) did not come there: {self._story}")
            await asyncio.sleep(LOOK_AGAIN)
        return found

    async def says(self, kind: type[T], when: Callable[[T], bool] = lambda _: True) -> T:
        """Wait for what it prints, while it lives."""

        def find() -> list[T] | None:
            dead = self.code is not None
            found = [one for one in self.of(kind) if when(one)]
            if not found and dead:
                raise AssertionError(f"{self.name} ended with {self.code}: {self._story}")
            return found

        return (await self.until(find))[0]

    async def in_phase(self, phase: str) -> None:
        await self.says(status.Progress, lambda progress: progress.phase == phase)

    async def ends(self) -> int:
        """Wait for its end."""
        await self.until(lambda: self.code is not None)
        code = self.code
        assert code is not None
        return code

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.strike(number)
        return await self.ends()

    @property
    def _story(self) -> str:
        return (self.out.read_text() + self.talk)[-2000:]


@dataclass
class Processes:
    """Every process of one test, and what they share: a signaling server and a place for homes."""

    path: Path
    _nursery: subprocess.Popen[bytes]
    url: str = ""
    children: list[Child] = field(default_factory=list)
    _ended: dict[int, int] = field(default_factory=dict)
    _buffer: bytes = b""

    # --- homes ---

    def home(self, name: str) -> Path:
        """The home of that name, with an identity that is quick to open."""
        path = self.path / name
        if not path.exists():
            with Keyring(bytearray(PASSPHRASE)) as keyring:
                Home.open(path, create=True, files=QuickFileSystem()).create_identity(keyring, QUICK).wipe()
        return path

    @property
    def passphrase_file(self) -> Path:
        path = self.path / "passphrase"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_bytes(PASSPHRASE)
        return path

    def wallets(self, name: str) -> list[status.WalletView]:
        """The wallets under a home, from the disk; whatever cannot be read fails the test."""
        found = list_wallets(Home.open(self.path / name, create=False))
        assert all(isinstance(one, status.WalletView) for one in found), found
        return [one for one in found if isinstance(one, status.WalletView)]

    # --- processes ---

    def start(
        self,
        name: str,
        *arguments: str,
        faults: Faults | None = None,
        environment: Mapping[str, str] | None = None,
        umask: int = 0o022,
    ) -> Child:
        """Start ``mpcnode`` with ``arguments``, without a terminal."""
        place = self.path / f"{name}.{len(self.children)}"
        given = dict(environment or {}) | ({VARIABLE: encode_faults(faults)} if faults is not None else {})
        request = {
            "arguments": arguments,
            "faulty": faults is not None,
            "environment": given,
            "umask": umask,
            "stdin": os.devnull,
            "stdout": f"{place}.out",
            "stderr": f"{place}.err",
        }
        assert self._nursery.stdin is not None
        Path(f"{place}.out").touch()
        Path(f"{place}.err").touch()
        self._nursery.stdin.write(json.dumps(request).encode() + b"\n")
        self._nursery.stdin.flush()
        child = Child(name, self._hear("started")["started"], Path(f"{place}.out"), Path(f"{place}.err"), self)
        self.children.append(child)
        return child

    def node(self, name: str, *command: str, room: str = "public", faults: Faults | None = None) -> Child:
        """Start a command that is a node under the home of that name."""
        common = ("--json", "--yes", "--loopback", "--peer-id", name.rsplit("-", maxsplit=1)[-1], "--room", room)
        home = ("--home", str(self.home(name)), "--passphrase-file", str(self.passphrase_file), "--server", self.url)
        return self.start(name, *command, *common, *home, faults=faults)

    def register(
        self, name: str, *, room: str = "public", faults: Faults | None = None, more: tuple[str, ...] = ()
    ) -> Child:
        """Start a node that takes part in whatever it is asked to."""
        return self.node(name, "register", "--accept", "auto", *more, room=room, faults=faults)

    async def serve(self, port: int = 0) -> Child:
        """Start a signaling server; from here on nodes go to it."""
        server = self.start("server", "serve", "--json", "--port", str(port))
        serving = await server.says(Serving)
        self.url = f"ws://{serving.host}:{serving.port}"
        return server

    def ended(self) -> dict[int, int]:
        """The exit codes of those that have ended."""
        os.set_blocking(self._out.fileno(), False)
        while self._take() is not None:
            pass
        return self._ended

    def running(self) -> list[Child]:
        return [child for child in self.children if child.code is None]

    async def close(self) -> None:
        """Stop everything that still runs; what does not stop in order is a failure."""
        left = self.running()
        for child in left:
            child.strike(signal.SIGCONT)
            child.strike(signal.SIGTERM)
        codes = [await child.ends() for child in left]
        assert set(codes) <= {130}, [(child.name, child.code, child.talk) for child in left]

    @property
    def _out(self) -> Any:
        assert self._nursery.stdout is not None
        return self._nursery.stdout

    def _hear(self, what: str) -> dict[str, int]:
        os.set_blocking(self._out.fileno(), True)
        while True:
            message = self._take()
            if message is not None and what in message:
                return message

    def _take(self) -> dict[str, int] | None:
        """The nursery's next message; None where there is none yet."""
        while b"\n" not in self._buffer:
            try:
                data = os.read(self._out.fileno(), 1 << 16)
            except BlockingIOError:
                return None
            assert data, "the nursery has died"
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        message: dict[str, int] = json.loads(line)
        if "ended" in message:
            self._ended[message["ended"]] = message["code"]
        return message


@contextlib.asynccontextmanager
async def processes(path: Path) -> AsyncIterator[Processes]:
    """Give a place for processes; none is left of them at the end."""
    nursery = subprocess.Popen(  # noqa: ASYNC220 -- once, and before anything else is done
        [sys.executable, "-m", "tests.helpers.nursery"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=clean_environment(),
        cwd=Path(__file__).parents[2],
        start_new_session=True,
    )
    made = Processes(path, nursery)
    try:
        made._hear("ready")
        yield made
        await made.close()
    finally:
        assert nursery.stdin is not None
        assert nursery.stdout is not None
        nursery.stdin.close()
        nursery.wait(DEADLINE)
        nursery.stdout.close()


def result_of(child: Child) -> status.WalletView:
    """The wallet that ``create-wallet`` printed at its end."""
    wallet = child.of(Result)[-1].wallet
    assert wallet is not None
    return wallet
