"""Disks and files that fail a command: the right error, no traceback, and whatever was stored is there to the byte.

What each file-system call does when it fails is tested in ``tests/keystore``; here whole commands meet a disk, as real
processes. DESIGN sections 6 and 7: every one of these is exit 3.
"""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from mpcnode import status
from mpcnode.control.lines import Failed
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.store import Home
from mpcnode.scenario.faults import Faults
from tests.helpers.filesystem import QuickFileSystem
from tests.helpers.processes import PASSPHRASE, Child, Processes, processes, result_of
from tests.helpers.wallets import make_wallet

pytestmark = pytest.mark.process

WALLET: Final = f"wallets/{'ab' * 16}/ana.json"
NODE: Final = ("register", "create-wallet", "sign")
"""The commands that are a node, and lock the home."""
CHANGING: Final = frozenset({"lock", "control.sock", "audit.log", "settings.json"})
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

    def start(self, command: str, *, faults: Faults | None = None, umask: int = 0o022) -> Child:
        return self.world.start(self.path.name, *self.arguments(command), faults=faults, umask=umask)

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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Processes]:
    async with processes(tmp_path_factory.mktemp("disks")) as made:
        await made.serve()
        yield made


@pytest.fixture(scope="module")
def whole(world: Processes) -> Path:
    path = world.home("whole")
    made = make_wallet()
    wallet = made.wallet.merge(made.certificate)
    with Keyring(bytearray(PASSPHRASE)) as keyring:
        home = Home.open(path, create=False, files=QuickFileSystem())
        home.save_wallet(wallet.wallet_id, wallet.peer_id, wallet.to_header(), made.secret.encode(), keyring)
    return path


@pytest.fixture
def homes(world: Processes, whole: Path, tmp_path: Path) -> Homes:
    return Homes(world, tmp_path, whole)


# --- files that are not what they were ---


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    at = data.index(b'"sealed": "') + 20
    data[at] ^= 1  # another hexadecimal digit, or none
    path.write_bytes(data)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


DAMAGE: Final = {"truncated": _truncate, "flipped": _flip, "empty": _empty, "pipe": _pipe}


@pytest.mark.parametrize("how", DAMAGE)
async def test_a_damaged_identity_ends_every_command_that_needs_it(homes: Homes, how: str) -> None:
    async def run(command: str) -> None:
        place = homes.copy(command)
        DAMAGE[how](place.path / "identity.json")
        assert "identity.json" in (await place.fails(command, "unreadable")).message

    await asyncio.gather(*map(run, (*NODE, "wallets show")))


@pytest.mark.parametrize("how", DAMAGE)
async def test_a_damaged_wallet_is_listed_as_what_it_is(homes: Homes, how: str) -> None:
    place = homes.copy("home")
    DAMAGE[how](place.path / WALLET)
    assert WALLET in (await place.fails("wallets list", "unreadable")).message


async def test_a_node_with_a_damaged_wallet_still_serves_the_others(homes: Homes) -> None:
    place = homes.copy("home")
    _flip(place.path / WALLET)
    before = stored(place.path)
    node = place.start("register")
    await node.says(status.Registered)
    assert await node.stop() == 130
    assert stored(place.path) == before


# --- two processes ---


async def test_of_three_nodes_on_one_home_one_runs_and_its_death_frees_the_home(homes: Homes) -> None:
    place = homes.copy("home")
    before = stored(place.path)
    three = [place.start("register") for _ in range(3)]
    await three[0].until(lambda: sum(child.code is not None for child in three) == 2)
    (alive,) = [child for child in three if child.code is None]
    await alive.says(status.Registered)
    for child in three:
        if child is not alive:
            assert (child.code, child.error.code) == (3, "home_in_use")
            check_talk(child.talk)
    assert f"process {alive.pid}" in (await place.fails("register", "home_in_use")).message
    assert await place.start("wallets list").ends() == 0  # who only reads need not wait
    await alive.stop(signal.SIGKILL)
    again = place.start("register")
    await again.says(status.Registered)
    assert await again.stop() == 130
    assert stored(place.path) == before


async def test_of_three_nodes_that_make_one_home_one_makes_it(homes: Homes) -> None:
    place = Place(homes.world, homes.path / "new" / "home")
    three = [place.start("register") for _ in range(3)]
    await three[0].until(lambda: sum(child.code is not None for child in three) == 2)
    assert sorted(child.error.code for child in three if child.code is not None) == ["home_in_use"] * 2
    (alive,) = [child for child in three if child.code is None]
    await alive.says(status.Registered)
    assert await alive.stop() == 130
    assert set(stored(place.path)) == {"identity.json"}


# --- symbolic links ---


def _link(path: Path, target: Path) -> None:
    """Move what is at ``path`` elsewhere, and leave a link to it."""
    if path.exists():
        path.rename(target)
    path.symlink_to(target)


@pytest.mark.parametrize(
    "name", ["", "identity.json", "contacts.json", "settings.json", "lock", "audit.log", "wallets", "dangling"]
)
async def test_no_symbolic_link_in_a_home_is_followed(homes: Homes, name: str) -> None:
    code = "unwritable" if name in {"lock", "audit.log"} else "unreadable"  # those are opened to be written
    elsewhere = homes.path / "elsewhere"
    linked = homes.copy("home")
    path = linked.path / (name.replace("dangling", "contacts.json"))
    if name in {"contacts.json", "settings.json", "lock", "audit.log"}:
        path.write_bytes(b"precious")
    _link(path, elsewhere)
    before = _files(elsewhere)
    for command in (*NODE, *(["wallets list"] if name in {"", "wallets"} else [])):
        error = await linked.fails(command, code)
        assert "symbolic link" in error.message
        assert str(path) in error.message
    assert _files(elsewhere) == before
    assert path.is_symlink()


@pytest.mark.parametrize("name", [WALLET, str(Path(WALLET).parent)])
async def test_a_wallet_behind_a_symbolic_link_is_listed_as_what_it_is(homes: Homes, name: str) -> None:
    place = homes.copy("home")
    _link(place.path / name, homes.path / "elsewhere")
    before = _files(homes.path / "elsewhere")
    assert "symbolic link" in (await place.fails("wallets list", "unreadable")).message
    assert _files(homes.path / "elsewhere") == before


def _files(path: Path) -> Mapping[Path, bytes]:
    return {one: one.read_bytes() for one in (path, *path.rglob("*")) if one.is_file()}


# --- disks that take nothing ---


async def test_on_a_read_only_disk_a_home_can_be_looked_at_and_no_node_runs(homes: Homes) -> None:
    read_only = Faults(disk="read-only")
    for command in NODE:
        error = await homes.copy(command).fails(command, "unwritable", faults=read_only)
        assert "read-only" in error.message
        assert "--home" in (error.hint or "")
    place = homes.copy("home")
    before = stored(place.path)
    for command in ("wallets list", "wallets show"):
        child = place.start(command, faults=read_only)
        assert await child.ends() == 0, child.talk
        assert "treasury" in child.out.read_text()
    assert stored(place.path) == before


async def test_no_home_is_made_on_a_read_only_disk(homes: Homes) -> None:
    place = Place(homes.world, homes.path / "new" / "home")
    error = await place.fails("register", "unwritable", faults=Faults(disk="read-only"))
    assert "read-only" in error.message
    assert not (homes.path / "new").exists()


@pytest.mark.webrtc
@pytest.mark.parametrize("full", ["proposer", "participant"])
async def test_a_disk_that_is_full_while_a_wallet_is_stored(homes: Homes, full: str) -> None:
    ana, ben = homes.copy(f"{full} ana"), Place(homes.world, homes.world.home(f"{full}-ben"))
    before = {place.path: stored(place.path) for place in (ana, ben)}
    disk = Faults(disk="full")
    room = ana.path.name.replace(" ", "-")
    other = homes.world.register(ben.path.name, room=room, faults=disk if full == "participant" else None)
    await other.says(status.Registered)
    proposer = ana.start("create-wallet", faults=disk if full == "proposer" else None)
    code = await proposer.ends()
    ended = await other.says(status.SessionEnded)
    assert ended.error is not None
    assert await other.stop() == 130
    mine, theirs = (proposer.error, ended.error) if full == "proposer" else (ended.error, proposer.error)
    assert (mine.code, mine.exit_code) == ("unwritable", 3)
    assert "no space" in mine.message
    assert mine.saved == "what was stored before is untouched"
    assert (theirs.exit_code, theirs.culprits) == (6, ("ana" if full == "proposer" else "ben",))
    assert code == proposer.error.exit_code
    assert "Traceback" not in proposer.talk + other.talk
    there = ana if full == "proposer" else ben
    assert {name: data for name, data in stored(there.path).items() if name != "contacts.json"} == before[there.path]
    assert not any(wallet.name == "new" and wallet.state == "active" for wallet in homes.world.wallets(ben.path.name))


# --- whatever the umask ---


@pytest.mark.webrtc
async def test_with_umask_000_a_new_home_and_its_wallet_are_nobody_elses(homes: Homes) -> None:
    async def modes(name: str, *command: str) -> Child:
        place = homes.path / "new" / name
        options = ("--home", str(place), "--passphrase-file", str(homes.world.passphrase_file), "--peer-id", name)
        options += ("--server", homes.world.url, "--room", "umask", "--loopback", "--kdf", "interactive", "--yes")
        return homes.world.start(name, *command, *options, "--json", umask=0)

    ben = await modes("ben", "register", "--accept", "auto")
    ana = await modes("ana", "create-wallet", "-t", "2", "-n", "2")
    assert await ana.ends() == 0, ana.talk
    wallet = f"wallets/{result_of(ana).wallet_id}"
    await ben.says(status.SessionEnded)
    files = {"identity.json", "contacts.json", "settings.json", "audit.log", "lock"}
    for name, more in (("ana", set[str]()), ("ben", {"control.sock"})):
        home = homes.path / "new" / name
        found = {str(path.relative_to(home)): path.stat().st_mode & 0o777 for path in home.rglob("*")}
        wanted = dict.fromkeys(files | more | {f"{wallet}/{name}.json"}, 0o600)
        assert found == wanted | {"wallets": 0o700, wallet: 0o700}
        assert home.stat().st_mode & 0o777 == 0o700
    assert await ben.stop() == 130
