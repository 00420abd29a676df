"""One home, one process."""

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mpcnode.errors import (
    HomeInUse,
    KeystoreUnwritable,
)
from mpcnode.keystore.format import KdfPolicy
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.store import Home
from mpcnode.types import PeerId, WalletId
from tests.helpers.filesystem import WatchedFileSystem
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


HOLDER = """
import sys
from pathlib import Path
from mpcnode.keystore.store import Home
with Home.open(Path(sys.argv[1]), create=False).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_processes_do_not_share_a_home(home: Home, keyring: Keyring) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(home.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(HomeInUse, match=f"process {other.pid}"), home.lock():
            pytest.fail("two processes hold one home")
        with pytest.raises(HomeInUse):
            save(home, keyring)
        home.load_identity(keyring)  # who only reads need not wait
        other.kill()
        other.wait()
        with home.lock():  # nothing is left to break
            save(home, keyring)


def test_the_lock_is_taken_again_within_and_given_back_once(home: Home, keyring: Keyring) -> None:
    second = Home.open(home.path, create=False)
    with home.lock():
        with home.lock():
            save(home, keyring)
        with pytest.raises(HomeInUse), second.lock():
            pytest.fail("the inner lock gave it back")
    with second.lock():
        pass
    assert (home.path / "lock").exists()


def test_threads_of_one_process_write_one_after_the_other_and_no_write_is_lost(home: Home, keyring: Keyring) -> None:
    errors: list[BaseException] = []
    save(home, keyring, state=0)

    def count() -> None:
        there = header_there(home, WALLET, CLI1)
        assert there is not None
        counted = there | {"state": there["state"] + 1}
        try:
            home.save_wallet(WALLET, CLI1, counted, bytearray(b"secret"), keyring, replaces=there)
        except KeystoreUnwritable as error:
            assert "meanwhile" in error.message  # noqa: PT017 - another thread was faster
            count()

    def work() -> None:
        try:
            for _ in range(5):
                count()
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            errors.append(error)

    with home.lock():
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert errors == []
    assert home.load_wallet(WALLET, CLI1, keyring)[0]["state"] == 20


def test_a_lock_file_with_anything_in_it_names_no_process(home: Home) -> None:
    with home.lock():
        (home.path / "lock").write_bytes(b"\x1b[2J rm -rf\n")
        with pytest.raises(HomeInUse, match="another process"), Home.open(home.path, create=False).lock():
            pytest.fail("two hold one home")


def test_what_dead_writers_left_is_swept_under_the_lock(home: Home, keyring: Keyring) -> None:
    save(home, keyring)
    leftovers = [
        home.path / f".identity.json.{'0' * 16}.tmp",
        wallet_file(home).with_name(f".cli1.json.{'a' * 16}.tmp"),
    ]
    other = home.path / ".note.tmp"
    for path in (*leftovers, other):
        path.write_bytes(b"half")
    Home.open(home.path, create=False)
    assert all(path.exists() for path in leftovers)  # a running writer may own them
    with home.lock():
        assert not any(path.exists() for path in leftovers)
        assert other.exists()
    assert home.load_wallet(WALLET, CLI1, keyring) == (HEADER, bytearray(b"secret"))


def test_a_lock_that_the_file_system_does_not_offer_is_said(home: Home) -> None:
    def before(step: object) -> None:
        if getattr(step, "operation", None) == "lock":
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    broken = Home.open(home.path, create=False, files=WatchedFileSystem(before))
    with pytest.raises(KeystoreUnwritable, match="locks"), broken.lock():
        pytest.fail("held without a lock")
