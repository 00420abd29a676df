"""Commands of a shell in surroundings of a test's choice: descriptors, variables, limits, mounts."""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.store import Home
from tests.cli.actions.test_serve import start
from tests.helpers.filesystem import QuickFileSystem
from tests.helpers.processes import PASSPHRASE, QUICK
from tests.helpers.terminal import clean_environment

DEADLINE: Final = 120.0
"""Seconds after which a command is taken to hang; nothing is asserted about how long one takes before."""
CHECKOUT: Final = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    def lines(self) -> list[dict[str, Any]]:
        """Its JSON lines; every line of them must be whole."""
        return [json.loads(line) for line in self.out.splitlines()]

    def says(self, code: int, sentence: str) -> None:
        """It ended with this code and said this: as data, as an error, or as talk; an error says what to do as well."""
        self.check()
        assert self.code == code, self
        assert sentence in self.out + self.err, self
        if code:
            assert "error: " in self.err, self
            assert "hint: " in self.err, self

    def check(self) -> None:
        """Whatever happened, the program does not call it its own defect, and shows no trace of its inside."""
        said = self.out + self.err
        assert "bug in mpcnode" not in said, said
        assert "Traceback" not in said, said
        assert "Exception ignored" not in said, said
        assert self.code != 1, said


@dataclass(frozen=True)
class Surroundings:
    """A server, the homes ``cli1`` and ``cli2`` of one wallet, ``treasury``, and ``cli2`` running."""

    path: Path
    url: str

    def node(self, name: str, *command: str) -> list[str]:
        """The command line of a node."""
        home = self.home(name)
        passphrase = str(self.path / "passphrase")
        options = ["--home", str(home), "--passphrase-file", passphrase, "--server", self.url, "--peer-id", name]
        return [*command, *options, *(() if command[0] == "peers" else ("--loopback",))]

    def home(self, name: str) -> Path:
        """The home of that name, with an identity that is quick to open."""
        path = self.path / name
        if not path.exists():
            with Keyring(bytearray(PASSPHRASE)) as keyring:
                Home.open(path, create=True, files=QuickFileSystem()).create_identity(keyring, QUICK).wipe()
        return path

    def sign(self, *more: str) -> list[str]:
        """``cli1`` signs, together with ``cli2``."""
        return self.node("cli1", "sign", "--wallet", "treasury", "-m", "hello", *more)


def shell(
    command: Sequence[str],
    around: str = "{}",
    *,
    environment: Mapping[str, str | None] | None = None,
    deadline: float = DEADLINE,
    at: Path = CHECKOUT,
) -> Ended:
    """Run ``mpcnode`` as a shell does.

    Args:
        command: its arguments.
        around: the shell's line; ``{}`` is the command.
        environment: variables beside the usual ones; those that are None are not there.
        deadline: how long it may take.
        at: the directory that it runs in.
    """
    line = around.replace("{}", shlex.join([sys.executable, "-m", "mpcnode", *command]))
    ended = subprocess.run(
        ["/bin/sh", "-c", line],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=deadline,
        env=variables(environment),
        cwd=at,
        check=False,
    )
    return Ended(ended.returncode, ended.stdout.decode(errors="replace"), ended.stderr.decode(errors="replace"))


def variables(changed: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """The developer's environment without their own node's, and with what a test changes."""
    given = clean_environment() | {"PYTHONPATH": str(CHECKOUT)} | dict(changed or {})
    return {name: value for name, value in given.items() if value is not None}


@contextmanager
def surroundings(path: Path) -> Iterator[Surroundings]:
    """Make them; nothing of them is left running."""
    (path / "passphrase").touch(mode=0o600)
    (path / "passphrase").write_bytes(PASSPHRASE)
    server, port = start("--stop-with-stdin")
    made = Surroundings(path, f"ws://127.0.0.1:{port}")
    with server, running(made.node("cli2", "register", "--accept", "auto", "--yes", "--json")) as other:
        until(lambda: "registered" in other.read())
        command = made.node("cli1", "create-wallet", "--threshold", "2", "--total", "2", "--name", "treasury", "--yes")
        ended = shell([*command, "--json"])
        assert ended.code == 0, ended
        yield made
        other.process.terminate()
        other.process.wait(DEADLINE)
        server.communicate(timeout=30)


@dataclass(frozen=True)
class Running:
    """A command that runs; its standard output and error go to files."""

    process: "subprocess.Popen[bytes]"
    out: Path
    err: Path

    def read(self) -> str:
        return self.out.read_text()


@contextmanager
def running(command: Sequence[str], program: Sequence[str] = (sys.executable, "-m", "mpcnode")) -> Iterator[Running]:
    """Have a command run meanwhile."""
    home = Path(command[command.index("--home") + 1])
    out, err = home.with_suffix(".out"), home.with_suffix(".err")
    with out.open("wb") as to, err.open("wb") as talk:
        process = subprocess.Popen(
            [*program, *command],
            stdin=subprocess.DEVNULL,
            stdout=to,
            stderr=talk,
            env=variables(),
            cwd=CHECKOUT,
        )
    try:
        yield Running(process, out, err)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(DEADLINE)


def until(wanted: Any, what: str = "") -> None:
    """Wait until ``wanted`` gives something true."""
    end = time.monotonic() + DEADLINE
    while not wanted():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def has_namespaces() -> str | None:
    """Why this process cannot make network namespaces; None where it can."""
    if os.geteuid() != 0:
        return "needs root"
    found = subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, check=False)
    return None if found.returncode == 0 else "may not make namespaces here"
