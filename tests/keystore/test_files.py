"""Who may look into a home, and what is never followed."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mpcnode.errors import (
    ConfigurationError,
    KeystoreAbsent,
    KeystoreUnreadable,
    KeystoreUnwritable,
)
from mpcnode.identity.contacts import Contacts
from mpcnode.keystore.format import KdfPolicy
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.settings import Settings
from mpcnode.keystore.store import Home
from mpcnode.types import PeerId, WalletId
from tests.helpers.filesystem import WatchedFileSystem, foreign
from tests.helpers.stored import header_there

QUICK = KdfPolicy(8 << 20, 1)
WALLET = WalletId(b"\xab" * 16)
CLI1 = PeerId("cli1")
HEADER = {"wallet_id": WALLET.hex(), "peer_id": CLI1, "state": "pending"}


def save(home: Home, keyring: Keyring, **changes: object) -> None:
    there = header_there(home, WALLET, CLI1)
    home.save_wallet(WALLET, CLI1, HEADER | changes, bytearray(b"secret"), keyring, replaces=there)


def wallet_file(home: Home) -> Path:
    return home.path / "wallets" / WALLET.hex() / "cli1.json"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_a_home_is_nobody_elses_whatever_the_umask(tmp_path: Path, keyring: Keyring, umask: int) -> None:
    before = os.umask(umask)
    try:
        home = Home.open(tmp_path / "new" / "home", create=True)
        home.create_identity(keyring, QUICK)
        home.save_settings(Settings())
        save(home, keyring)
    finally:
        os.umask(before)
    modes = {str(path.relative_to(home.path)): path.stat().st_mode & 0o777 for path in home.path.rglob("*")}
    assert home.path.stat().st_mode & 0o777 == 0o700
    assert modes == {
        "identity.json": 0o600,
        "settings.yaml": 0o600,
        "lock": 0o600,
        "wallets": 0o700,
        f"wallets/{WALLET.hex()}": 0o700,
        f"wallets/{WALLET.hex()}/cli1.json": 0o600,
    }


def test_a_home_others_can_look_into_is_closed(home: Home) -> None:
    home.path.chmod(0o755)
    Home.open(home.path, create=False)
    assert home.path.stat().st_mode & 0o777 == 0o700


def test_a_home_that_its_owner_made_read_only_stays_so(home: Home) -> None:
    for mode in (0o500, 0o555):
        home.path.chmod(mode)
        Home.open(home.path, create=False)
        assert home.path.stat().st_mode & 0o777 == 0o500


def test_a_home_others_could_have_written_to_is_refused_unless_it_is_empty(home: Home, tmp_path: Path) -> None:
    home.path.chmod(0o777)
    with pytest.raises(KeystoreUnreadable, match="other users may write"):
        Home.open(home.path, create=False)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty").chmod(0o777)
    assert Home.open(tmp_path / "empty", create=False).path.stat().st_mode & 0o777 == 0o700


def test_a_file_others_could_have_written_is_refused(home: Home, keyring: Keyring) -> None:
    (home.path / "identity.json").chmod(0o622)
    with pytest.raises(KeystoreUnreadable, match="other users"):
        home.load_identity(keyring)
    (home.path / "identity.json").chmod(0o644)  # as a restored copy often is; the directory keeps others out
    home.load_identity(keyring)


def test_a_home_or_file_of_another_user_is_refused(home: Home, keyring: Keyring) -> None:
    with pytest.raises(KeystoreUnreadable, match="another user"):
        Home.open(home.path, create=False, files=foreign(lambda path: path == home.path))
    theirs = Home.open(home.path, create=False, files=foreign(lambda path: path.name == "identity.json"))
    with pytest.raises(KeystoreUnreadable, match="another user"):
        theirs.load_identity(keyring)


def test_there_is_no_home_until_somebody_makes_one(tmp_path: Path) -> None:
    with pytest.raises(KeystoreAbsent, match="no home"):
        Home.open(tmp_path / "home", create=False)
    assert not (tmp_path / "home").exists()
    Home.open(tmp_path / "home", create=True)
    Home.open(tmp_path / "home", create=True)


def test_a_file_where_the_home_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").write_bytes(b"")
    for create in (False, True):
        with pytest.raises(KeystoreUnreadable):
            Home.open(tmp_path / "home", create=create)
        with pytest.raises((KeystoreUnreadable, KeystoreUnwritable)):
            Home.open(tmp_path / "home" / "inside", create=create)


@pytest.mark.parametrize("create", [False, True])
def test_a_home_is_not_a_symbolic_link_and_may_stand_behind_one(home: Home, tmp_path: Path, *, create: bool) -> None:
    (tmp_path / "link").symlink_to(home.path)
    with pytest.raises(KeystoreUnreadable, match="symbolic link"):
        Home.open(tmp_path / "link", create=create)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(KeystoreUnreadable, match="symbolic link"):
        Home.open(tmp_path / "dangling", create=create)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises((KeystoreUnreadable, KeystoreAbsent, KeystoreUnwritable)):
        Home.open(tmp_path / "loop" / "home", create=create)
    (tmp_path / "disk").symlink_to(tmp_path)
    assert Home.open(tmp_path / "disk" / "home", create=create).path == home.path


@pytest.mark.parametrize("name", ["identity.json", "contacts.json", "settings.yaml", "lock"])
def test_no_symbolic_link_is_followed_to_read_or_write(home: Home, keyring: Keyring, tmp_path: Path, name: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"precious")
    elsewhere.chmod(0o600)
    (home.path / name).unlink(missing_ok=True)
    (home.path / name).symlink_to(elsewhere)
    calls: dict[str, list[Callable[[], object]]] = {
        "identity.json": [lambda: home.load_identity(keyring), lambda: home.create_identity(keyring, QUICK)],
        "contacts.json": [home.load_contacts, lambda: home.save_contacts(Contacts())],
        "settings.yaml": [home.load_settings, lambda: home.save_settings(Settings())],
        "lock": [lambda: home.lock().__enter__()],
    }
    for call in calls[name]:
        with pytest.raises(ConfigurationError):
            call()
    assert elsewhere.read_bytes() == b"precious"
    assert (home.path / name).is_symlink()


def test_a_wallet_behind_a_symbolic_link_is_not_read_and_not_written(
    home: Home, keyring: Keyring, tmp_path: Path
) -> None:
    save(home, keyring)
    target = tmp_path / "target.json"
    wallet_file(home).rename(target)
    before = target.read_bytes()
    wallet_file(home).symlink_to(target)
    with pytest.raises(KeystoreUnreadable, match="symbolic link"):
        home.load_wallet(WALLET, CLI1, keyring)
    with pytest.raises(KeystoreUnreadable, match="symbolic link"):
        save(home, keyring, state="active")
    assert target.read_bytes() == before


def test_a_sweep_does_not_leave_the_home(home: Home, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir(mode=0o700)
    leftover = tmp_path / "outside" / f".x.json.{'0' * 16}.tmp"
    leftover.write_bytes(b"")
    (home.path / "wallets").mkdir(mode=0o700)
    (home.path / "wallets" / WALLET.hex()).symlink_to(tmp_path / "outside")
    with home.lock():
        assert leftover.exists()


def test_a_pipe_in_a_files_place_does_not_hang(home: Home) -> None:
    os.mkfifo(home.path / "contacts.json", 0o600)
    with pytest.raises(KeystoreUnreadable, match="not a plain file"):
        home.load_contacts()


def test_a_huge_file_is_not_read_to_its_end(home: Home) -> None:
    path = home.path / "contacts.json"
    path.touch(0o600)
    os.truncate(path, 1 << 40)
    files = WatchedFileSystem()
    with pytest.raises(KeystoreUnreadable, match="longer"):
        Home.open(home.path, create=False, files=files).load_contacts()
    assert sum(step.operation == "read" for step in files.steps) < 50
