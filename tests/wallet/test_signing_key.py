"""Shares that are opened for one session: beside other work, wiped whatever happens, and never of another wallet."""

import asyncio
import gc
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mpcnode.crypto.suites import SUITES
from mpcnode.errors import KeystoreAbsent, KeystoreUnreadable, WalletPending
from mpcnode.keystore.format import KdfPolicy, canonical
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.store import Home
from mpcnode.protocols.frost.packages import KeyPackage
from mpcnode.types import PeerId
from mpcnode.wallet.secret import WalletSecret
from mpcnode.wallet.store import Wallets
from mpcnode.wallet.wallet import Wallet
from tests.helpers.filesystem import QuickFileSystem
from tests.helpers.stored import header_there
from tests.helpers.wallets import WALLET_ID, Sharing, make_sharing, make_wallet, secret_of

PASSPHRASE = b"correct horse"
ANA, BEN = PeerId("ana"), PeerId("ben")


@pytest.fixture
def sharing() -> Sharing:
    return make_sharing()


@pytest.fixture
def home(tmp_path: Path, sharing: Sharing) -> Home:
    home = Home.open(tmp_path / "home", create=True, files=QuickFileSystem())
    with Keyring(bytearray(PASSPHRASE)) as keyring:
        home.create_identity(keyring, KdfPolicy(8 << 20, 1)).wipe()
        store(home, keyring, make_wallet().active, secret_of(sharing))
    return home


def store(home: Home, keyring: Keyring, wallet: Wallet, secret: WalletSecret) -> None:
    there = header_there(home, wallet.wallet_id, wallet.peer_id)
    home.save_wallet(wallet.wallet_id, wallet.peer_id, wallet.to_header(), secret.encode(), keyring, replaces=there)


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


def opened(home: Home, keyring: Keyring) -> tuple[Wallets, Wallet]:
    wallets = Wallets(home, keyring, ANA)
    (wallet,) = wallets.all()
    return wallets, wallet


async def test_a_key_is_there_for_its_block_and_wiped_after(
    home: Home, keyring: Keyring, wiped: list[KeyPackage], sharing: Sharing
) -> None:
    wallets, wallet = opened(home, keyring)
    for keys in wallet.suites:
        wiped.clear()
        async with wallets.signing_key(wallet, keys.suite) as key:
            package, public = await key()
            assert package.identifier == wallet.identifier
            assert package.threshold == public.threshold == 2
            assert package.signing_share.holds(sharing.shares[keys.suite][ANA])
            # Taproot's too: the internal key as it is stored, untweaked.
            assert public.group_public_key.encode() == keys.group_public_key
            assert tuple(share.encode() for share in public.verifying_shares.values()) == keys.verifying_shares
            assert not wiped
        assert wiped == [package]
        assert package.signing_share.is_zero()


async def test_the_shares_of_all_keys_are_there_for_a_refresh_and_wiped_after(
    home: Home, keyring: Keyring, sharing: Sharing
) -> None:
    wallets, wallet = opened(home, keyring)
    async with wallets.key_shares(wallet) as shares:
        found = await shares()
        assert list(found) == [keys.suite for keys in wallet.suites]
        for suite, share in found.items():
            assert share.key.signing_share.holds(sharing.shares[suite][ANA])
            assert share.public.group_public_key.encode() == wallet.keys(suite).group_public_key
    assert all(share.key.signing_share.is_zero() for share in found.values())


async def test_a_key_nobody_waited_for_is_wiped_too(home: Home, keyring: Keyring, wiped: list[KeyPackage]) -> None:
    wallets, wallet = opened(home, keyring)
    async with wallets.signing_key(wallet, wallet.suites[0].suite):
        pass
    assert len(wiped) == 1
    async with wallets.key_shares(wallet):
        pass
    assert len(wiped) == 3


async def test_a_key_is_wiped_where_its_user_is_cancelled_while_it_is_opened(
    home: Home, keyring: Keyring, wiped: list[KeyPackage]
) -> None:
    wallets, wallet = opened(home, keyring)
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
    wallets, wallet = opened(home, keyring)
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


async def test_what_is_wrong_with_the_file_is_said_to_the_one_that_waits_and_to_nobody_else(
    home: Home, keyring: Keyring, caplog: pytest.LogCaptureFixture
) -> None:
    wallets, wallet = opened(home, keyring)
    (path,) = (home.path / "wallets").rglob("*.json")
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    async with wallets.signing_key(wallet, wallet.suites[0].suite) as key:
        with pytest.raises(KeystoreUnreadable):
            await key()
    async with wallets.signing_key(wallet, wallet.suites[0].suite):
        pass  # a node that is not chosen to sign does not ask
    path.unlink()
    async with wallets.signing_key(wallet, wallet.suites[0].suite) as key:
        with pytest.raises(KeystoreAbsent):
            await key()
    gc.collect()
    assert not caplog.records


async def test_a_pending_wallet_gives_no_key(home: Home, keyring: Keyring, sharing: Sharing) -> None:
    store(home, keyring, make_wallet().wallet, secret_of(sharing))
    wallets, wallet = opened(home, keyring)
    async with wallets.signing_key(wallet, wallet.suites[0].suite) as key:
        with pytest.raises(WalletPending):
            await key()
    async with wallets.key_shares(wallet) as shares:
        with pytest.raises(WalletPending):
            await shares()


# --- the wallet that is opened is the one that was seen (audit L2) ---


def forge(home: Home, change: Callable[[dict[str, Any]], None]) -> None:
    """Write another header into the file, with a checksum that fits, as anybody can who may write there."""
    (path,) = (home.path / "wallets").rglob("*.json")
    fields = json.loads(path.read_bytes())
    change(fields["header"])
    del fields["checksum"]
    path.write_bytes(canonical(fields | {"checksum": hashlib.sha256(canonical(fields)).hexdigest()}))


@pytest.mark.parametrize("change", [{"name": "savings"}, {"verified": "code"}, {"created": 0}], ids=str)
async def test_a_wallet_that_a_forged_header_showed_gives_no_key(
    home: Home, keyring: Keyring, wiped: list[KeyPackage], change: dict[str, Any]
) -> None:
    (path,) = (home.path / "wallets").rglob("*.json")
    whole = path.read_bytes()
    forge(home, lambda header: header.update(change))
    wallets, forged = opened(home, keyring)  # a header alone is not authentic
    path.write_bytes(whole)
    async with wallets.signing_key(forged, forged.suites[0].suite) as key:
        with pytest.raises(KeystoreUnreadable, match="before it was opened"):
            await key()
    async with wallets.key_shares(forged) as shares:
        with pytest.raises(KeystoreUnreadable, match="before it was opened"):
            await shares()
    assert not wiped


async def test_a_forged_header_does_not_open(home: Home, keyring: Keyring) -> None:
    forge(home, lambda header: header.update(name="savings"))
    wallets, forged = opened(home, keyring)
    assert forged.name == "savings"
    async with wallets.signing_key(forged, forged.suites[0].suite) as key:
        with pytest.raises(KeystoreUnreadable, match="altered"):
            await key()


async def test_a_key_of_an_epoch_that_is_no_longer_active_is_not_given(
    home: Home, keyring: Keyring, sharing: Sharing, wiped: list[KeyPackage]
) -> None:
    wallets, before = opened(home, keyring)
    later = sharing.refreshed()
    await wallets.store_pending(later.record(ANA), name="", verified="nobody", now=0)
    async with wallets.signing_key(before, before.suites[0].suite) as key:
        package, _ = await key()  # the active epoch is the same, and it is what signs
        assert package.signing_share.holds(sharing.shares[before.suites[0].suite][ANA])
    pending = wallets.find(WALLET_ID)
    assert pending is not None
    await wallets.merge(WALLET_ID, later.signed(BEN))
    async with wallets.signing_key(pending, before.suites[0].suite) as key:
        await key()
    await wallets.merge(WALLET_ID, later.signed())
    wiped.clear()
    for old in (before, pending):
        async with wallets.signing_key(old, before.suites[0].suite) as key:
            with pytest.raises(KeystoreUnreadable, match="new shares, of epoch 1"):
                await key()
    assert not wiped
    now = wallets.find(WALLET_ID)
    assert now is not None
    async with wallets.signing_key(now, before.suites[0].suite) as key:
        package, public = await key()
        assert package.signing_share.holds(later.shares[before.suites[0].suite][ANA])
        assert public.group_public_key.encode() == before.suites[0].group_public_key


async def test_a_secret_without_the_share_is_said_to_be_unusable(
    home: Home, keyring: Keyring, sharing: Sharing
) -> None:
    one, two = (replace(share, data=bytearray(share.data)) for share in sharing.held_by(ANA))
    other = WalletSecret([two], chain_code=bytearray(32), document_key=bytearray(32))
    store(home, keyring, make_wallet().active, other)
    wallets, wallet = opened(home, keyring)
    async with wallets.signing_key(wallet, one.suite) as key:
        with pytest.raises(KeystoreUnreadable, match="no usable share"):
            await key()
    bens = SUITES[one.suite].group.decode_scalar(sharing.shares[one.suite][BEN]).encode()
    wrong = replace(one, data=bytearray(bens))
    store(
        home,
        keyring,
        make_wallet().active,
        WalletSecret([wrong, two], chain_code=bytearray(32), document_key=bytearray(32)),
    )
    async with wallets.signing_key(wallet, one.suite) as key:
        with pytest.raises(KeystoreUnreadable, match="no usable share"):
            await key()
