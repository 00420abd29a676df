"""Homes for tests of what befalls them: made once, copied often, looked at to the byte; and commands under them."""

import asyncio
import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from mpcnode import status
from mpcnode.faults.model import Faults
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.store import Home
from tests.helpers.filesystem import QuickFileSystem
from tests.helpers.processes import PASSPHRASE, Child, Processes
from tests.helpers.terminal import clean_environment
from tests.helpers.wallets import make_wallet

WALLET: Final = f"wallets/{'ab' * 16}/ana.json"
"""The one wallet's file in a home."""
NODE: Final = ("register", "create-wallet", "sign")
"""The commands that are a node, and lock the home."""
CHANGING: Final = frozenset({"lock", "control.sock", "audit.log", "settings.yaml"})
"""What any start of a node may make or write."""


@dataclass
class Place:
    """A home with an identity and the active wallet ``treasury``, and commands under it."""

    world: Processes
    path: Path

    def arguments(self, command: str) -> tuple[str, ...]:
        """A command line; what waits for others waits for a second."""
        home = ("--home", str(self.path), "--json")
        passphrase = ("--passphrase-file", str(self.world.passphrase_file))
        room = self.path.name.replace(" ", "-")
        node = ("--server", self.world.url, "--loopback", "--peer-id", "ana", "--room", room, *passphrase, *home)
        return {
            "register": ("register", "--accept", "none", "--kdf", "interactive", *node),
            "create-wallet": ("create-wallet", "-t", "2", "-n", "2", "--name", "new", "--wait", "1", "--yes", *node),
            "sign": ("sign", "--wallet", "treasury", "-m", "hello", "--answer-seconds", "1", *node),
            "wallets list": ("wallets", "list", *home),
            "wallets show": ("wallets", "show", "treasury", *passphrase, *home),
        }[command]

    def start(self, command: str, *, faults: Faults | None = None) -> Child:
        return self.world.start(self.path.name, *self.arguments(command), faults=faults)

    async def fails(self, command: str, code: str, *, faults: Faults | None = None) -> status.ErrorView:
        """Run a command that ends with exit 3 and this code, and changes nothing."""
        before = stored(self.path)
        child = self.start(command, faults=faults)
        assert await child.ends() == 3, f"{command}: {child.talk}"
        check_talk(child.talk)
        assert child.error.code == code, f"{command}: {child.error}"
        assert child.error.exit_code == 3
        assert stored(self.path) == before, command
        return child.error


@dataclass
class Homes:
    """As many homes as a test needs, each a copy of one that is whole."""

    world: Processes
    path: Path
    whole: Path

    def copy(self, name: str) -> Place:
        """A home of that name."""
        return Place(self.world, Path(shutil.copytree(self.whole, self.path / name)))


def stored(home: Path) -> Mapping[str, bytes | str]:
    """Everything of value in a home, to the byte; and no half of anything."""
    found: dict[str, bytes | str] = {}
    for path in home.rglob("*"):
        name = str(path.relative_to(home))
        assert path.suffix != ".tmp", path
        if path.is_symlink():
            found[name] = str(path.readlink())
        elif path.is_file() and name not in CHANGING:
            found[name] = path.read_bytes()
    return found


def check_talk(talk: str) -> None:
    assert "Traceback" not in talk
    assert "bug" not in talk
    assert talk.startswith("error: ")


CPU_SECONDS: Final = 30
"""Of its own time, however slow the machine: a node starts in one or two."""

ALONE = """
import ctypes, os, resource, sys
if sys.argv[1] == "bound" and not os.geteuid():
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH: no program started from here has them
        if ctypes.CDLL(None).prctl(24, capability, 0, 0, 0):  # PR_CAPBSET_DROP
            sys.exit(97)
resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[2]),) * 2)
_, status, usage = os.wait4(os.posix_spawn(sys.argv[3], sys.argv[3:], os.environ), 0)
print(usage.ru_maxrss, file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended that was started as a shell does, and the most memory it had, in bytes."""

    code: int
    out: str
    talk: str
    peak: int

    @property
    def error(self) -> Mapping[str, object]:
        found: Mapping[str, object] = json.loads(self.out.splitlines()[-1])["error"]
        return found


async def alone(*arguments: str, bound: bool = False) -> Ended:
    """Run a command on its own, measured; ``bound`` by permission bits even where it is root's."""
    command = ("-m", "mpcnode", *arguments)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", "-c", ALONE, "bound" if bound else "free", str(CPU_SECONDS)),
        *(sys.executable, *command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=clean_environment(),
    )
    out, err = await process.communicate()
    if process.returncode == 97:
        pytest.skip("this is root, whom no permission bits bind, and it may not give its capabilities up")
    *talk, peak = err.decode().splitlines()
    unit = 1 if sys.platform == "darwin" else 1024
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), "\n".join(talk), int(peak) * unit)


def whole_home(world: Processes) -> Path:
    """Make the home that others are copies of."""
    path = world.home("whole")
    made = make_wallet()
    wallet = made.wallet.merge(made.certificate)
    with Keyring(bytearray(PASSPHRASE)) as keyring:
        home = Home.open(path, create=False, files=QuickFileSystem())
        home.save_wallet(wallet.wallet_id, wallet.peer_id, wallet.to_header(), made.secret.encode(), keyring)
    return path
