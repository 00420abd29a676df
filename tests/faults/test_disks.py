"""Disks and files that fail a command: the right error, no traceback, and whatever was stored is there to the byte.

What each file-system call does when it fails is tested in ``tests/keystore``; here whole commands meet a disk, as real
processes. DESIGN sections 6 and 7: every one of these is exit 3.
"""

import asyncio
import hashlib
import json
import os
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from mpcnode import status
from mpcnode.faults.model import Faults
from mpcnode.keystore.format import MAX_MEMORY, canonical
from tests.helpers.homes import NODE, WALLET, Ended, Homes, Place, alone, check_talk, stored, whole_home
from tests.helpers.processes import Child, Processes, processes, result_of

pytestmark = pytest.mark.process


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Processes]:
    async with processes(tmp_path_factory.mktemp("disks")) as made:
        await made.serve()
        yield made


@pytest.fixture(scope="module")
def whole(world: Processes) -> Path:
    return whole_home(world)


@pytest.fixture
def homes(world: Processes, whole: Path, tmp_path: Path) -> Homes:
    return Homes(world, tmp_path, whole)


# --- files that are not what they were ---


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _flip(path: Path) -> None:
    """Another digit, where any digit may be: nothing but a checksum shows it."""
    data = bytearray(path.read_bytes())
    sealed = data.index(b'"sealed": "') + len(b'"sealed": "')
    data[next(at for at in range(sealed, len(data)) if chr(data[at]).isdigit())] ^= 1
    path.write_bytes(data)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


DAMAGE: Final = {"truncated": _truncate, "flipped": _flip, "empty": _empty, "pipe": _pipe}


@pytest.mark.parametrize("how", DAMAGE)
async def test_a_damaged_identity_is_not_taken_for_a_new_home(homes: Homes, how: str) -> None:
    place = homes.copy("home")
    DAMAGE[how](place.path / "identity.json")
    assert "identity.json" in (await place.fails("register", "unreadable")).message


@pytest.mark.parametrize("command", ["create-wallet", "sign", "wallets show"])
async def test_a_damaged_identity_ends_every_command_that_needs_it(homes: Homes, command: str) -> None:
    place = homes.copy("home")
    _flip(place.path / "identity.json")
    assert "identity.json" in (await place.fails(command, "unreadable")).message


@pytest.mark.parametrize("how", DAMAGE)
async def test_a_damaged_wallet_is_listed_as_what_it_is(homes: Homes, how: str) -> None:
    place = homes.copy("home")
    DAMAGE[how](place.path / WALLET)
    assert WALLET in (await place.fails("wallets list", "unreadable")).message


@pytest.mark.parametrize("command", ["wallets show", "sign"])
async def test_a_damaged_wallet_that_is_asked_for_is_not_called_absent(homes: Homes, command: str) -> None:
    place = homes.copy("home")
    _flip(place.path / WALLET)
    message = (await place.fails(command, "unreadable")).message
    assert "no wallet 'treasury' among those that can be read" in message
    assert WALLET in message


async def test_a_node_with_a_damaged_wallet_says_so_and_still_serves_the_others(homes: Homes) -> None:
    place = homes.copy("home")
    _flip(place.path / WALLET)
    before = stored(place.path)
    node = place.start("register")
    await node.says(status.Registered)
    (warned,) = node.of(status.Warned)
    assert WALLET in warned.message
    assert await node.stop() == 130
    assert stored(place.path) == before


@pytest.mark.parametrize("damaged", [False, True])
async def test_no_identity_is_made_beside_wallets_whose_own_is_gone(homes: Homes, damaged: bool) -> None:  # noqa: FBT001
    place = homes.copy("home")
    (place.path / "identity.json").unlink()
    if damaged:
        _empty(place.path / WALLET)
    error = await place.fails("register", "absent")
    assert "identity.json" in error.message
    assert "restore identity.json from a backup" in (error.hint or "")
    assert "identity.json" not in stored(place.path)


async def test_damaged_settings_are_found_before_anybody_hears_of_the_node(homes: Homes) -> None:
    place = homes.copy("home")
    (place.path / "settings.yaml").write_bytes(b"{")
    node = place.start("register")  # with --peer-id, for which no settings are needed
    assert await node.ends() == 3
    assert "settings.yaml" in node.error.message
    assert not node.of(status.Registered)
    assert (place.path / "settings.yaml").read_bytes() == b"{"


# --- key derivation that somebody else chose ---


HOSTILE: Final = {
    "a little too much memory": {"memory_bytes": MAX_MEMORY + 1024},
    "all memory there is": {"memory_bytes": 2**53 - 1024},
    "passes without end": {"passes": 2**31},
}


def _forge(path: Path, kdf: Mapping[str, int]) -> None:
    """What anybody can do who can write to the file: its checksum fits."""
    fields = json.loads(path.read_bytes())
    del fields["checksum"]
    fields["kdf"] |= kdf
    path.write_bytes(canonical(fields | {"checksum": hashlib.sha256(canonical(fields)).hexdigest()}))


@pytest.mark.parametrize("how", HOSTILE)
async def test_hostile_key_derivation_is_refused_at_once(homes: Homes, how: str) -> None:
    async def run(command: str, file: str) -> None:
        place = homes.copy(command)
        _forge(place.path / file, HOSTILE[how])
        error = await place.fails(command, "unreadable")
        assert f"{file}: refused before any memory was taken" in error.message

    await asyncio.gather(run("register", "identity.json"), run("wallets list", WALLET))


@pytest.mark.parametrize(
    "how", [how if "little" in how else pytest.param(how, marks=pytest.mark.slow) for how in HOSTILE]
)
async def test_hostile_key_derivation_takes_neither_memory_nor_time(homes: Homes, how: str) -> None:
    """A process that computes for ``CPU_SECONDS`` is killed."""
    place = homes.copy("home")
    _forge(place.path / "identity.json", HOSTILE[how])
    before = stored(place.path)
    ended = await alone(*place.arguments("register"))
    assert (ended.code, ended.error["code"]) == (3, "unreadable"), ended
    assert ended.peak < MAX_MEMORY // 2
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
    "name", ["", "identity.json", "contacts.json", "settings.yaml", "lock", "audit.log", "wallets", "dangling"]
)
async def test_no_symbolic_link_in_a_home_is_followed(homes: Homes, name: str) -> None:
    code = "unwritable" if name in {"lock", "audit.log"} else "unreadable"  # those are opened to be written
    elsewhere = homes.path / "elsewhere"
    linked = homes.copy("home")
    path = linked.path / (name.replace("dangling", "contacts.json"))
    if name in {"contacts.json", "settings.yaml", "lock", "audit.log"}:
        path.write_bytes(b"precious")
    _link(path, elsewhere)
    before = _files(elsewhere)
    for command in ("register", *(["wallets list"] if name in {"", "wallets"} else [])):
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


# --- files and homes that permissions keep us from ---


async def test_a_file_that_may_not_be_read_is_neither_absent_nor_empty(homes: Homes) -> None:
    async def run(command: str, file: str) -> None:
        place = homes.copy(command)
        before = stored(place.path)
        (place.path / file).chmod(0)
        ended = await alone(*place.arguments(command), bound=True)
        assert (ended.code, ended.error["code"]) == (3, "unreadable"), ended
        assert "permission denied" in ended.talk
        assert str(place.path / file) in ended.talk
        check_talk(ended.talk)
        (place.path / file).chmod(0o600)
        assert stored(place.path) == before

    await asyncio.gather(run("register", "identity.json"), run("wallets list", WALLET))


async def test_a_home_that_may_not_be_written_can_be_looked_at_and_no_node_runs(homes: Homes) -> None:
    async def run(command: str) -> Ended:
        place = homes.copy(command)
        before = stored(place.path)
        place.path.chmod(0o500)
        ended = await alone(*place.arguments(command), bound=True)
        assert place.path.stat().st_mode & 0o777 == 0o500
        assert stored(place.path) == before
        return ended

    node, listing = await asyncio.gather(run("register"), run("wallets list"))
    assert (node.code, node.error["code"]) == (3, "unwritable"), node
    assert "check who owns the home" in node.talk
    check_talk(node.talk)
    assert (listing.code, "treasury" in listing.out) == (0, True)


# --- disks that take nothing ---


async def test_on_a_read_only_disk_a_home_can_be_looked_at_and_no_node_runs(homes: Homes) -> None:
    read_only = Faults(disk="read-only")
    ends = (homes.copy(command).fails(command, "unwritable", faults=read_only) for command in NODE)
    for error in await asyncio.gather(*ends):
        assert "read-only" in error.message
        assert "--home" in (error.hint or "")
    place = homes.copy("home")
    before = stored(place.path)
    for child in [place.start(command, faults=read_only) for command in ("wallets list", "wallets show")]:
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
    assert (theirs.exit_code, theirs.culprits, theirs.suspects) == (6, (), ("ana" if full == "proposer" else "ben",))
    assert code == proposer.error.exit_code
    assert "Traceback" not in proposer.talk + other.talk
    there = ana if full == "proposer" else ben
    assert {name: data for name, data in stored(there.path).items() if name != "contacts.json"} == before[there.path]
    assert not any(wallet.name == "new" and wallet.state == "active" for wallet in homes.world.wallets(ben.path.name))


# --- whatever the umask ---


@pytest.mark.webrtc
async def test_with_umask_000_a_new_home_and_its_wallet_are_nobody_elses(homes: Homes) -> None:
    def start(name: str, *command: str) -> Child:
        place = homes.path / "new" / name
        own = ("--home", str(place), "--passphrase-file", str(homes.world.passphrase_file), "--peer-id", name)
        shared = ("--server", homes.world.url, "--room", "umask", "--loopback", "--kdf", "interactive", "--yes")
        return homes.world.start(name, *command, *own, *shared, "--json", umask=0)

    ben = start("ben", "register", "--accept", "auto")
    ana = start("ana", "create-wallet", "-t", "2", "-n", "2")
    assert await ana.ends() == 0, ana.talk
    wallet = f"wallets/{result_of(ana).wallet_id}"
    await ben.says(status.SessionEnded)
    files = {"identity.json", "contacts.json", "settings.yaml", "audit.log", "lock"}
    for name, more in (("ana", set[str]()), ("ben", {"control.sock"})):
        home = homes.path / "new" / name
        found = {str(path.relative_to(home)): path.stat().st_mode & 0o777 for path in home.rglob("*")}
        wanted = dict.fromkeys(files | more | {f"{wallet}/{name}.json"}, 0o600)
        assert found == wanted | {"wallets": 0o700, wallet: 0o700}
        assert home.stat().st_mode & 0o777 == 0o700
    assert await ben.stop() == 130
