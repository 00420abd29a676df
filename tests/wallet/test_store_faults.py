"""A node that dies while it stores a second epoch comes back to exactly one usable epoch, and can go on from there."""

import asyncio
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from mpcnode.errors import KeystoreAbsent, KeystoreError
from mpcnode.keystore.filesystem import FileSystem
from mpcnode.keystore.format import KdfPolicy
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.store import Home
from mpcnode.types import PeerId
from mpcnode.wallet.secret import WalletSecret
from mpcnode.wallet.store import Wallets
from mpcnode.wallet.wallet import Wallet
from tests.helpers.filesystem import PowerCut, PoweredFileSystem, QuickFileSystem, Step, WatchedFileSystem, failing
from tests.helpers.wallets import MADE_MS, WALLET_ID, Sharing, make_sharing

ANA = PeerId("ana")
FIRST = make_sharing()
SECOND = FIRST.refreshed()
INSTEAD = FIRST.refreshed(SECOND.epoch_id, seed=2)
"""A later attempt that abandons ``SECOND``."""

NAMED = {FIRST.epoch_id: "first", SECOND.epoch_id: "second", INSTEAD.epoch_id: "instead"}

STATES = {
    "a refresh": ["first active", "first active, second pending", "first retired, second active"],
    "a refresh after one that was never completed": [
        "first active, second pending",
        "first active, instead pending",
        "first retired, instead active",
    ],
}
"""What the epochs may be, in the order in which it happens."""


def attempt(starts: str) -> Sharing:
    return SECOND if starts == "a refresh" else INSTEAD


@pytest.fixture(scope="module")
def keyring() -> Keyring:
    return Keyring(bytearray(b"correct horse"))


@pytest.fixture(params=STATES)
def starts(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def ready(tmp_path: Path, keyring: Keyring, starts: str) -> Path:
    """A home as it is before the refresh."""
    home = Home.open(tmp_path / "ready", create=True, files=QuickFileSystem())
    home.create_identity(keyring, KdfPolicy(8 << 20, 1)).wipe()
    wallets = Wallets(home, keyring, ANA)

    async def prepare() -> None:
        await store(wallets, FIRST)
        await wallets.merge(WALLET_ID, FIRST.signed())
        if starts != "a refresh":
            await store(wallets, SECOND)

    asyncio.run(prepare())
    return home.path


async def store(wallets: Wallets, sharing: Sharing) -> None:
    await wallets.store_pending(sharing.record(ANA), name="treasury", verified="words", now=MADE_MS)


async def refresh(wallets: Wallets, sharing: Sharing) -> None:
    """Everything of a refresh that is written."""
    await store(wallets, sharing)
    await wallets.merge(WALLET_ID, sharing.signed())


def on(files: FileSystem, path: Path, keyring: Keyring) -> Wallets:
    return Wallets(Home.open(path, create=False, files=files), keyring, ANA)


def found(path: Path, keyring: Keyring) -> str:
    """The epochs as the next process finds them; one must be usable, and shares are of those that are not retired."""
    home = Home.open(path, create=False, files=QuickFileSystem())
    with home.lock():
        assert list(path.rglob("*.tmp")) == []
    header, sealed = home.load_wallet(WALLET_ID, ANA, keyring)
    wallet, secret = Wallet.from_header(header), WalletSecret.decode(sealed)
    wallet.check_secret(secret)
    assert {share.epoch_id for share in secret.shares} == wallet.secret_epochs
    states = [epoch.state.value for epoch in wallet.epochs]
    assert states.count("active") == 1
    assert states.count("pending") <= 1
    active = wallet.require_active()
    sharing = next(one for one in (FIRST, SECOND, INSTEAD) if one.epoch_id == active.epoch_id)
    suites = tuple(keys.suite for keys in wallet.suites)
    for suite, share in Wallets(home, keyring, ANA)._open_shares(wallet, suites).items():
        assert share.key.signing_share.holds(sharing.shares[suite][ANA])
    return ", ".join(f"{NAMED[epoch.epoch_id]} {epoch.state}" for epoch in wallet.epochs)


def go_on(path: Path, keyring: Keyring, starts: str, states: str) -> None:
    """After any death the refresh can be carried to its end."""
    wallets = on(QuickFileSystem(), path, keyring)
    if states == STATES[starts][0]:
        asyncio.run(store(wallets, attempt(starts)))
    elif starts != "a refresh":
        # Its own word for the new epoch is on the disk: what that abandons is unknown here, in every later life.
        with pytest.raises(KeystoreAbsent):
            asyncio.run(merge(wallets, SECOND))
        assert found(path, keyring) == states
    asyncio.run(merge(wallets, attempt(starts)))
    assert found(path, keyring) == STATES[starts][-1]


async def merge(wallets: Wallets, sharing: Sharing) -> None:
    await wallets.merge(WALLET_ID, sharing.signed())


def steps_of(ready: Path, keyring: Keyring, starts: str) -> list[Step]:
    """Every call to the file system that a refresh makes."""
    path = Path(shutil.copytree(ready, ready.with_name("counted")))
    files = WatchedFileSystem()
    asyncio.run(refresh(on(files, path, keyring), attempt(starts)))
    shutil.rmtree(path)
    return files.steps


def writes_of(ready: Path, keyring: Keyring, starts: str) -> list[int]:
    """The numbers of the calls before which a death makes a difference."""
    return [step.number for step in steps_of(ready, keyring, starts) if step.changes or step.operation == "fsync"]


@pytest.mark.parametrize(("lose_content", "lose_names"), [(True, False), (False, True), (True, True)])
def test_a_power_cut_before_any_write_leaves_one_usable_epoch(
    ready: Path, keyring: Keyring, starts: str, *, lose_content: bool, lose_names: bool
) -> None:
    order = STATES[starts]
    places = []
    for cut_at in writes_of(ready, keyring, starts):
        path = Path(shutil.copytree(ready, ready.with_name("home")))
        files = PoweredFileSystem(cut_at)
        with pytest.raises(PowerCut):
            asyncio.run(refresh(on(files, path, keyring), attempt(starts)))
        files.restart(lose_content=lose_content, lose_names=lose_names)
        places.append(order.index(found(path, keyring)))
        if len(places) % 4 == 0:
            go_on(path, keyring, starts, order[places[-1]])
        shutil.rmtree(path)
    assert places == sorted(places)
    assert set(places) >= {0, 1}
    assert len(places) > 20


@pytest.mark.parametrize(("lose_content", "lose_names"), [(True, False), (False, True), (True, True)])
def test_a_refresh_that_returned_is_not_lost(
    ready: Path, keyring: Keyring, starts: str, *, lose_content: bool, lose_names: bool
) -> None:
    files = PoweredFileSystem(None)
    asyncio.run(refresh(on(files, ready, keyring), attempt(starts)))
    files.restart(lose_content=lose_content, lose_names=lose_names)
    assert found(ready, keyring) == STATES[starts][-1]


def is_number(number: int, step: Step) -> bool:
    return step.number == number


def test_whichever_call_fails_the_wallet_is_at_one_usable_epoch_and_the_error_is_told(
    ready: Path, keyring: Keyring, starts: str
) -> None:
    for failed in steps_of(ready, keyring, starts):
        if not failed.changes and failed.operation not in {"fsync", "read"}:
            continue
        path = Path(shutil.copytree(ready, ready.with_name("home")))
        broken = failing(errno.ENOSPC if failed.changes else errno.EIO, partial(is_number, failed.number))
        try:
            asyncio.run(refresh(on(broken, path, keyring), attempt(starts)))
        except KeystoreError:
            states = found(path, keyring)
            assert states in STATES[starts][:2], failed
            if failed.number % 4 == 0:
                go_on(path, keyring, starts, states)
        else:
            assert found(path, keyring) == STATES[starts][-1], failed
        shutil.rmtree(path)


KILLED = """
import asyncio, json, os, shutil, sys
from pathlib import Path
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.store import Home
from tests.helpers.filesystem import killing
from tests.wallet import test_store_faults as faults

ready, starts = Path(sys.argv[1]), sys.argv[2]
keyring = Keyring(bytearray(b"correct horse"))
keyring.derive(Home.open(ready, create=False).kdf())
path = ready.with_name("killed")
fates = []
for number in [*faults.writes_of(ready, keyring, starts), 1000]:
    shutil.copytree(ready, path)
    child = os.fork()
    if not child:
        asyncio.run(faults.refresh(faults.on(killing(number), path, keyring), faults.attempt(starts)))
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    fates.append([os.waitstatus_to_exitcode(status), faults.found(path, keyring)])
    shutil.rmtree(path)
print(json.dumps(fates))
"""


@pytest.mark.process
def test_kill_9_before_any_write_leaves_one_usable_epoch(ready: Path, starts: str) -> None:
    """A real process and a real kernel."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(ready), starts],
        check=False,
        capture_output=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    fates = json.loads(done.stdout)
    *killed, last = fates
    assert {code for code, _ in killed} == {-signal.SIGKILL}
    assert last == [0, STATES[starts][-1]]
    places = [STATES[starts].index(states) for _, states in killed]
    assert places == sorted(places)
    assert set(places) == {0, 1, 2}
    assert len(killed) > 20
