"""A disk that is full, read-only, broken, or without power at the worst moment: the old data is intact."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mpcnode.errors import ConfigurationError, KeystoreAbsent, KeystoreError, KeystoreUnreadable, KeystoreUnwritable
from mpcnode.keystore.filesystem import FileSystem
from mpcnode.keystore.format import KdfPolicy
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.settings import Settings
from mpcnode.keystore.store import Home
from mpcnode.types import PeerId, WalletId
from tests.helpers.filesystem import (
    PowerCut,
    PoweredFileSystem,
    QuickFileSystem,
    Step,
    WatchedFileSystem,
    failing,
    full_disk,
    read_only,
)
from tests.helpers.stored import header_there

QUICK = KdfPolicy(8 << 20, 1)
WALLET = WalletId(b"\xab" * 16)
CLI1 = PeerId("cli1")


def header(state: str) -> dict[str, Any]:
    return {"wallet_id": WALLET.hex(), "peer_id": CLI1, "state": state}


def save(home: Home, keyring: Keyring, state: str) -> None:
    there = header_there(home, WALLET, CLI1)
    home.save_wallet(WALLET, CLI1, header(state), bytearray(state.encode()), keyring, replaces=there)


def stored(home: Home, keyring: Keyring) -> str | None:
    """What a healthy process finds in the home: the state of the one wallet, header and secret of the same save."""
    healthy = Home.open(home.path, create=False, files=QuickFileSystem())
    with healthy.lock():
        leftovers = [path.name for path in home.path.rglob("*.tmp")]
    assert leftovers == []
    try:
        found, secret = healthy.load_wallet(WALLET, CLI1, keyring)
    except KeystoreAbsent:
        return None
    assert secret == found["state"].encode()
    state = found["state"]
    assert isinstance(state, str)
    return state


def trash(home: Home) -> Path:
    return home.trash_wallet(WALLET, CLI1, header_there(home, WALLET, CLI1) or {})


def on(files: FileSystem, home: Home) -> Home:
    return Home.open(home.path, create=False, files=files)


@pytest.mark.parametrize("room", [0, 1, 500])
def test_a_full_disk_leaves_the_old_wallet(home: Home, keyring: Keyring, room: int) -> None:
    save(home, keyring, "pending")
    with pytest.raises(KeystoreUnwritable, match="no space") as raised:
        save(on(full_disk(room), home), keyring, "active")
    assert list(home.path.rglob("*.tmp")) == []  # what room it took is given back
    assert raised.value.hint == "make room on the disk, then try again"
    assert stored(home, keyring) == "pending"


def test_a_disk_that_is_full_from_the_start_has_no_half_made_wallet(home: Home, keyring: Keyring) -> None:
    with pytest.raises(KeystoreUnwritable, match="no space"):
        save(on(full_disk(), home), keyring, "pending")
    assert stored(home, keyring) is None


def test_an_identity_is_whole_or_not_there(tmp_path: Path, keyring: Keyring) -> None:
    home = Home.open(tmp_path / "home", create=True, files=full_disk(100))
    with pytest.raises(KeystoreUnwritable):
        home.create_identity(keyring, QUICK)
    assert not home.identity_exists()
    Home.open(tmp_path / "home", create=True).create_identity(keyring, QUICK)


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_home_that_cannot_be_written_can_be_read(home: Home, keyring: Keyring, code: int) -> None:
    save(home, keyring, "pending")
    stuck = on(read_only(code), home)
    assert stuck.load_wallet(WALLET, CLI1, keyring)[0] == header("pending")
    assert len(stuck.list_wallets()) == 1
    stuck.load_identity(keyring)
    stuck.load_contacts()
    writes: list[Callable[[], object]] = [
        lambda: save(stuck, keyring, "active"),
        lambda: stuck.trash_wallet(WALLET, CLI1, header("pending")),
        lambda: stuck.save_settings(Settings()),
        lambda: stuck.lock().__enter__(),
    ]
    for write in writes:
        with pytest.raises(KeystoreUnwritable) as raised:
            write()
        assert "--home" in (raised.value.hint or "")
    assert stored(home, keyring) == "pending"


def test_a_home_cannot_be_made_where_nothing_can(tmp_path: Path) -> None:
    with pytest.raises(KeystoreUnwritable):
        Home.open(tmp_path / "home", create=True, files=read_only())


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO])
def test_a_file_that_cannot_be_read_is_neither_absent_nor_empty(home: Home, keyring: Keyring, code: int) -> None:
    save(home, keyring, "pending")

    def reads(step: Step) -> bool:
        return step.operation in {"open", "read"} and step.path.suffix in {".json", ".yaml"}

    broken = on(failing(code, reads), home)
    reads_of: list[Callable[[], object]] = [
        lambda: broken.load_wallet(WALLET, CLI1, keyring),
        lambda: broken.load_identity(keyring),
        broken.load_settings,
        broken.load_contacts,
    ]
    home.save_settings(Settings())
    for read in reads_of:
        with pytest.raises(KeystoreUnreadable):
            read()
    assert isinstance(broken.list_wallets()[0].problem, KeystoreUnreadable)


def is_number(number: int, step: Step) -> bool:
    return step.number == number


def is_from(number: int, step: Step) -> bool:
    return step.number >= number


def steps_of(home: Home, act: Callable[[Home], object]) -> list[Step]:
    files = WatchedFileSystem()
    act(on(files, home))
    return files.steps


def test_whichever_call_fails_the_old_wallet_stays(home: Home, keyring: Keyring) -> None:
    save(home, keyring, "pending")
    steps = steps_of(home, lambda home: save(home, keyring, "pending"))
    assert {"write", "fsync", "rename", "read", "lock"} <= {step.operation for step in steps}
    for failed in steps:
        code = errno.ENOSPC if failed.changes else errno.EIO
        broken = failing(code, partial(is_number, failed.number))
        try:
            save(on(broken, home), keyring, "active")
        except KeystoreError:
            assert stored(home, keyring) == "pending", failed
        else:
            # The process number in the lock is for people only, and giving the lock back cannot fail.
            assert failed.path.name == "lock", failed
            assert stored(home, keyring) == "active"
            save(home, keyring, "pending")


def test_whichever_call_fails_a_first_wallet_is_whole_or_not_there(home: Home, keyring: Keyring) -> None:
    def act(home: Home) -> None:
        save(home, keyring, "pending")
        trash(home)

    for number in range(len(steps_of(home, act))):
        broken = failing(errno.EIO, partial(is_number, number))
        try:
            act(on(broken, home))
        except KeystoreError:
            assert stored(home, keyring) in {None, "pending"}
        if stored(home, keyring):
            trash(home)


def test_a_disk_that_fails_for_good_leaves_the_whole_old_or_the_whole_new_and_says_so(
    home: Home, keyring: Keyring
) -> None:
    save(home, keyring, "pending")
    steps = steps_of(home, lambda home: save(home, keyring, "pending"))
    for number in range(len(steps)):
        said = ""
        try:
            save(on(failing(errno.EIO, partial(is_from, number)), home), keyring, "active")
        except KeystoreError as error:
            said = error.saved or "nothing was touched"
        found = stored(home, keyring)
        if found == "active":
            assert "whole new" in said or number == len(steps) - 1
            save(home, keyring, "pending")
        else:
            assert found == "pending"
            assert said


def test_what_the_disk_gives_back_altered_is_not_accepted(home: Home, keyring: Keyring) -> None:
    save(home, keyring, "pending")

    class Lying(WatchedFileSystem):
        def write(self, fd: int, data: bytes) -> int:
            return super().write(fd, data.replace(b"active", b"actlve"))

    files = Lying()
    with pytest.raises(KeystoreUnwritable, match="does not hold what was written"):
        save(on(files, home), keyring, "active")
    assert "rename" not in {step.operation for step in files.steps}  # it never had the wallet's name
    assert stored(home, keyring) == "pending"


OUTCOMES = [(True, False), (False, True), (True, True)]
"""Nothing lost at all is what a killed process leaves; see below."""


@pytest.mark.parametrize(("lose_content", "lose_names"), OUTCOMES)
@pytest.mark.parametrize("old", [None, "pending"])
def test_a_power_cut_at_any_call_leaves_the_whole_old_or_the_whole_new(
    home: Home, keyring: Keyring, old: str | None, *, lose_content: bool, lose_names: bool
) -> None:
    cut_at = 0
    while True:
        if old:
            save(home, keyring, old)
        files = PoweredFileSystem(cut_at)
        try:
            save(on(files, home), keyring, "active")
        except PowerCut:
            files.restart(lose_content=lose_content, lose_names=lose_names)
            assert stored(home, keyring) in {old, "active"}
        else:
            break
        if stored(home, keyring) == "active":
            trash(home)
        cut_at += 1
    # It returned: from here on nothing may be lost, whatever the disk does with what was not made durable.
    files.restart(lose_content=lose_content, lose_names=lose_names)
    assert stored(home, keyring) == "active"
    assert cut_at > 30


@pytest.mark.parametrize(("lose_content", "lose_names"), OUTCOMES)
@pytest.mark.parametrize("shared", [False, True])
def test_a_power_cut_on_the_way_to_the_trash_leaves_the_wallet_whole_in_one_of_the_two(
    home: Home, keyring: Keyring, *, shared: bool, lose_content: bool, lose_names: bool
) -> None:
    if shared:
        cli2 = PeerId("cli2")
        home.save_wallet(WALLET, cli2, {"wallet_id": WALLET.hex(), "peer_id": cli2}, bytearray(), keyring)
    save(home, keyring, "pending")
    content = (home.path / "wallets" / WALLET.hex() / "cli1.json").read_bytes()
    cut_at = 0
    while True:
        files = PoweredFileSystem(cut_at)
        try:
            trash(on(files, home))
        except PowerCut:
            files.restart(lose_content=lose_content, lose_names=lose_names)
        else:
            break
        if stored(home, keyring) is None:
            (moved,) = (home.path / "trash").rglob("cli1.json")
            assert moved.read_bytes() == content
            moved.unlink()
            save(home, keyring, "pending")
            content = (home.path / "wallets" / WALLET.hex() / "cli1.json").read_bytes()
        cut_at += 1
    files.restart(lose_content=lose_content, lose_names=lose_names)
    assert stored(home, keyring) is None
    (moved,) = (home.path / "trash").rglob("cli1.json")
    assert moved.read_bytes() == content
    assert cut_at > 10


@pytest.mark.parametrize(("lose_content", "lose_names"), OUTCOMES)
def test_a_power_cut_while_an_identity_is_made_leaves_one_or_none(
    tmp_path: Path, keyring: Keyring, *, lose_content: bool, lose_names: bool
) -> None:
    cut_at = 0
    while True:
        path = tmp_path / f"home{cut_at}"
        files = PoweredFileSystem(cut_at)
        try:
            Home.open(path, create=True, files=files).create_identity(keyring, QUICK)
        except PowerCut:
            files.restart(lose_content=lose_content, lose_names=lose_names)
            home = Home.open(path, create=True, files=QuickFileSystem())
            if not home.identity_exists():
                home.create_identity(keyring, QUICK)
            home.load_identity(keyring)
        else:
            break
        cut_at += 1
    files.restart(lose_content=lose_content, lose_names=lose_names)
    Home.open(path, create=False).load_identity(keyring)


KILLED = """
import json, os, sys
from pathlib import Path
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.store import Home
from tests.helpers.filesystem import QuickFileSystem, killing

path, wallet = Path(sys.argv[1]), bytes.fromhex(sys.argv[2])
keyring = Keyring(bytearray(b"correct horse"))
keyring.derive(Home.open(path, create=False).kdf())
fates = []
for number in range(1000):
    child = os.fork()
    if not child:
        home = Home.open(path, create=False, files=killing(number))
        there = None
        for state in ("pending", "active"):
            header = {"wallet_id": wallet.hex(), "peer_id": "cli1", "state": state}
            home.save_wallet(wallet, "cli1", header, bytearray(state.encode()), keyring, replaces=there)
            there = header
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    home = Home.open(path, create=False, files=QuickFileSystem())
    with home.lock():
        leftovers = [str(leftover) for leftover in path.rglob("*.tmp")]
    listed = home.list_wallets()
    state = None
    if listed:
        header, secret = home.load_wallet(wallet, "cli1", keyring)
        state = header["state"]
        assert secret == state.encode()
        home.trash_wallet(wallet, "cli1", header)
    fates.append([os.waitstatus_to_exitcode(status), state, leftovers])
    if not status:
        break
print(json.dumps(fates))
"""


def test_kill_9_at_any_call_leaves_the_whole_old_or_the_whole_new(home: Home) -> None:
    """A real process, a real kernel: locks come back, files are whole, and what happened stays happened."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(home.path), WALLET.hex()],
        check=True,
        capture_output=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        timeout=120,
    )
    fates = json.loads(done.stdout)
    assert len(fates) > 60
    *killed, last = fates
    assert {code for code, _, _ in killed} == {-signal.SIGKILL}
    assert last == [0, "active", []]
    order = [None, "pending", "active"]
    states = [order.index(state) for _, state, _ in killed]
    assert states == sorted(states)
    assert set(states) == {0, 1, 2}
    assert all(leftovers == [] for _, _, leftovers in killed)


def test_every_error_says_what_is_safe(home: Home, keyring: Keyring) -> None:
    save(home, keyring, "pending")
    with pytest.raises(ConfigurationError) as raised:
        save(on(full_disk(), home), keyring, "active")
    assert raised.value.saved == "what was stored before is untouched"
