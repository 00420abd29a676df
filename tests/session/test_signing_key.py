"""A share of a key that is opened for one signature: beside other work, and wiped whatever happens."""

import asyncio
import gc
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mpcnode.errors import KeystoreAbsent, KeystoreUnreadable, WalletPending
from mpcnode.keystore.format import KdfPolicy
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.store import Home
from mpcnode.protocols.frost.packages import KeyPackage
from mpcnode.session.wallets import Wallets
from mpcnode.wallet.wallet import State, Wallet
from tests.helpers.filesystem import QuickFileSystem
from tests.helpers.quorums import NAMES, wallet_of

PASSPHRASE = b"correct horse"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home.open(tmp_path / "home", create=True, files=QuickFileSystem())
    with Keyring(bytearray(PASSPHRASE)) as keyring:
        home.create_identity(keyring, KdfPolicy(8 << 20, 1)).wipe()
        store(home, keyring)
    return home


def store(home: Home, keyring: Keyring, state: State = State.ACTIVE) -> None:
    wallet, secret = wallet_of(NAMES[0], 2, 3)
    header = replace(wallet, state=state).to_header()
    home.save_wallet(wallet.wallet_id, wallet.peer_id, header, secret.encode(), keyring)


@pytest.fixture
def keyring() -> Iterator[Keyring]:
    with Keyring(bytearray(PASSPHRASE)) as keyring:
        yield keyring


@pytest.fixture
def wiped(monkeypatch: pytest.MonkeyPatch) -> list[KeyPackage]:
    """Every key package that was wiped."""
    seen: list[KeyPackage] = []
    real = KeyPackage.wipe

    def wipe(package: KeyPackage) -> None:
        seen.append(package)
        real(package)

    monkeypatch.setattr(KeyPackage, "wipe", wipe)
    return seen


def held(home: Home, keyring: Keyring) -> tuple[Wallets, Wallet]:
    wallets = Wallets(home, keyring, NAMES[0])
    (wallet,) = wallets.all()
    return wallets, wallet


async def test_a_key_is_there_for_its_block_and_wiped_after(
    home: Home, keyring: Keyring, wiped: list[KeyPackage]
) -> None:
    wallets, wallet = held(home, keyring)
    async with wallets.signing_key(wallet, wallet.suites[0].suite) as key:
        package, public = await key()
        assert package.identifier == wallet.identifier
        assert public.group_public_key.encode() == wallet.suites[0].group_public_key
        assert not wiped
    assert wiped == [package]


async def test_a_key_nobody_waited_for_is_wiped_too(home: Home, keyring: Keyring, wiped: list[KeyPackage]) -> None:
    wallets, wallet = held(home, keyring)
    async with wallets.signing_key(wallet, wallet.suites[0].suite):
        pass
    assert len(wiped) == 1


async def test_a_key_is_wiped_where_its_user_is_cancelled_while_it_is_opened(
    home: Home, keyring: Keyring, wiped: list[KeyPackage]
) -> None:
    wallets, wallet = held(home, keyring)
    inside = asyncio.Event()

    async def use() -> None:
        async with wallets.signing_key(wallet, wallet.suites[0].suite) as key:
            inside.set()
            await key()
            await asyncio.sleep(60)

    using = asyncio.create_task(use())
    await inside.wait()
    using.cancel()
    using.cancel()
    with pytest.raises(asyncio.CancelledError):
        await using
    assert len(wiped) == 1


async def test_a_passphrase_not_yet_derived_is_derived_beside_the_loop_and_then_no_more(
    home: Home, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    wallets, wallet = held(home, keyring)
    threads: list[threading.Thread] = []
    real = Home.load_wallet

    def load(*arguments: Any) -> Any:
        threads.append(threading.current_thread())
        return real(*arguments)

    monkeypatch.setattr(Home, "load_wallet", load)
    for _ in range(2):
        async with wallets.signing_key(wallet, wallet.suites[0].suite) as key:
            await key()
    assert [thread is threading.main_thread() for thread in threads] == [False, True]


async def test_what_is_wrong_with_the_file_is_said_to_who_waits_and_to_nobody_else(
    home: Home, keyring: Keyring, caplog: pytest.LogCaptureFixture
) -> None:
    wallets, wallet = held(home, keyring)
    (path,) = (home.path / "wallets").rglob("*.json")
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    async with wallets.signing_key(wallet, wallet.suites[0].suite) as key:
        with pytest.raises(KeystoreUnreadable):
            await key()
    async with wallets.signing_key(wallet, wallet.suites[0].suite):
        pass  # who is not chosen to sign does not ask
    path.unlink()
    async with wallets.signing_key(wallet, wallet.suites[0].suite) as key:
        with pytest.raises(KeystoreAbsent):
            await key()
    gc.collect()
    assert not caplog.records


async def test_a_pending_wallet_gives_no_key(home: Home, keyring: Keyring) -> None:
    store(home, keyring, State.PENDING)
    wallets, wallet = held(home, keyring)
    async with wallets.signing_key(wallet, wallet.suites[0].suite) as key:
        with pytest.raises(WalletPending):
            await key()
