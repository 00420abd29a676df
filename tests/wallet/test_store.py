"""The open store of wallets: what is durable when, and what is left of a share that was replaced."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mpcnode.errors import (
    KeystoreAbsent,
    KeystoreUnreadable,
    KeystoreUnwritable,
    ParticipantSilent,
    Refused,
    UsageError,
    WrongPassphrase,
)
from mpcnode.keystore.format import KdfPolicy
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.store import Home
from mpcnode.protocols.epoch import Certificate
from mpcnode.status import WalletView, error_view
from mpcnode.types import EpochId, PeerId, WalletId
from mpcnode.wallet.addresses import TAPROOT
from mpcnode.wallet.public_keys import verification_key
from mpcnode.wallet.secret import WalletSecret
from mpcnode.wallet.store import (
    Wallets,
    delete_wallet,
    find_wallet,
    list_wallets,
    read_header,
    unreadable_wallets,
    view,
)
from mpcnode.wallet.wallet import Wallet
from tests.helpers.filesystem import QuickFileSystem, full_disk
from tests.helpers.memory_home import MemoryHome, wallets_in
from tests.helpers.wallets import CHAIN_CODE, DOCUMENT_KEY, MADE_MS, WALLET_ID, Sharing, make_sharing, make_wallet

ANA, BEN, CLEO = PeerId("ana"), PeerId("ben"), PeerId("cleo")


@pytest.fixture
def sharing() -> Sharing:
    """A first epoch, of which ana is asked to store her share."""
    return make_sharing()


async def stored(wallets: Wallets, sharing: Sharing, *, name: str = "treasury") -> WalletView:
    return await wallets.store_pending(sharing.record(ANA), name=name, verified="words", now=MADE_MS)


async def refreshed(home: MemoryHome, sharing: Sharing) -> tuple[Wallets, Sharing]:
    """An active wallet with a pending second epoch."""
    wallets = wallets_in(home, ANA)
    await stored(wallets, sharing)
    await wallets.merge(WALLET_ID, sharing.signed())
    later = sharing.refreshed()
    await stored(wallets, later)
    return wallets, later


def only(wallets: Wallets) -> Wallet:
    (wallet,) = wallets.all()
    return wallet


# --- a first epoch ---


async def test_a_new_share_is_pending_shows_no_key_and_holds_this_nodes_promise(sharing: Sharing) -> None:
    wallets = wallets_in(MemoryHome(), ANA)
    shown = await wallets.store_pending(sharing.record(ANA), name="treasury", verified="nobody", now=MADE_MS + 9)
    assert (shown.state, shown.signatures, shown.total, shown.threshold) == ("pending", 1, 3, 2)
    assert shown.participants == (ANA, BEN, CLEO)
    assert (shown.epoch, shown.epoch_id) == (0, sharing.epoch_id.hex())
    assert shown.group_public_keys == {}
    assert shown.verifying_shares == {}
    assert not shown.certificate_valid
    assert shown.verified == "nobody"
    assert shown.created == MADE_MS + 9
    wallet = wallets.find(WALLET_ID)
    assert wallet is not None
    assert wallet.current.certificate == sharing.signed(ANA)
    assert wallets.all() == (wallet,)
    assert wallets.find(WalletId(bytes(16))) is None


async def test_what_is_sealed_is_every_share_the_chain_code_and_the_document_key(sharing: Sharing) -> None:
    home = MemoryHome()
    await stored(wallets_in(home, ANA), sharing)
    ((_, sealed),) = home.files.values()
    secret = WalletSecret.decode(bytearray(sealed))
    assert secret.shares == tuple(sorted(sharing.held_by(ANA), key=lambda share: share.order))
    assert bytes(secret.chain_code) == CHAIN_CODE
    assert bytes(secret.document_key) == DOCUMENT_KEY


async def test_everybodys_promises_make_it_active_whatever_the_order(sharing: Sharing) -> None:
    home = MemoryHome()
    wallets = wallets_in(home, ANA)
    await stored(wallets, sharing)
    secrets = [secret for _, secret in home.files.values()]
    shown = await wallets.merge(WALLET_ID, sharing.signed(CLEO))
    assert (shown.state, shown.signatures) == ("pending", 2)
    shown = await wallets.merge(WALLET_ID, sharing.signed(BEN, CLEO))
    assert (shown.state, shown.signatures, shown.certificate_valid) == ("active", 3, True)
    assert set(shown.group_public_keys) == set(shown.suites)
    assert {name for shares in shown.verifying_shares.values() for name in shares} == {ANA, BEN, CLEO}
    assert [secret for _, secret in home.files.values()] == secrets


async def test_a_taproot_key_is_shown_as_the_key_that_signatures_verify_under(sharing: Sharing) -> None:
    wallets = wallets_in(MemoryHome(), ANA)
    await stored(wallets, sharing)
    shown = await wallets.merge(WALLET_ID, sharing.signed())
    internal = sharing.statement.keys(TAPROOT).group_public_key
    assert bytes.fromhex(shown.group_public_keys[TAPROOT]) == verification_key(TAPROOT, internal) != internal


async def test_what_adds_nothing_is_not_written(sharing: Sharing) -> None:
    home = MemoryHome()
    wallets = wallets_in(home, ANA)
    await stored(wallets, sharing)

    def refuse(_states: list[str]) -> None:
        raise AssertionError

    home.before_save = refuse
    assert (await wallets.merge(WALLET_ID, sharing.signed(ANA))).state == "pending"
    forged = Certificate(sharing.epoch_id, {sharing.identities[BEN].public_key: bytes(64)})
    assert (await wallets.merge(WALLET_ID, forged)).signatures == 1


async def test_signatures_for_no_wallet_or_another_epoch_are_errors(sharing: Sharing) -> None:
    wallets = wallets_in(MemoryHome(), ANA)
    with pytest.raises(KeystoreAbsent, match="no such wallet"):
        await wallets.merge(WALLET_ID, sharing.signed(BEN))
    await stored(wallets, sharing)
    with pytest.raises(KeystoreAbsent, match="no such epoch"):
        await wallets.merge(WALLET_ID, Certificate(EpochId(bytes(32)), {}))


async def test_another_nodes_wallet_under_the_same_home_is_not_this_ones(sharing: Sharing) -> None:
    home = MemoryHome()
    await stored(wallets_in(home, ANA), sharing)
    assert wallets_in(home, BEN).all() == ()
    assert wallets_in(home, BEN).find(WALLET_ID) is None


async def test_a_wallet_of_the_same_id_is_not_written_over(sharing: Sharing) -> None:
    home = MemoryHome()
    wallets = wallets_in(home, ANA)
    await stored(wallets, sharing)
    kept = dict(home.files)
    with pytest.raises(KeystoreUnwritable):
        await stored(wallets, sharing, name="another")
    assert home.files == kept


# --- a later epoch ---


async def test_a_later_epoch_stands_beside_the_active_one_and_both_shares_are_kept(sharing: Sharing) -> None:
    home = MemoryHome()
    wallets, later = await refreshed(home, sharing)
    assert home.states == [["active", "pending"]]
    ((_, sealed),) = home.files.values()
    secret = WalletSecret.decode(bytearray(sealed))
    assert {share.epoch_id for share in secret.shares} == {sharing.epoch_id, later.epoch_id}
    shown = view(only(wallets), home.kdf())
    assert (shown.state, shown.epoch, shown.signatures) == ("active", 0, 3)


async def test_a_later_epoch_changes_neither_name_nor_trust_nor_chain_code(sharing: Sharing) -> None:
    home = MemoryHome()
    wallets, later = await refreshed(home, sharing)
    another = sharing.refreshed(later.epoch_id, seed=2)
    shown = await wallets.store_pending(another.record(ANA), name="other", verified="nobody", now=0)
    assert (shown.name, shown.verified, shown.created) == ("treasury", "words", MADE_MS)
    ((_, sealed),) = home.files.values()
    secret = WalletSecret.decode(bytearray(sealed))
    assert bytes(secret.chain_code) == CHAIN_CODE
    assert bytes(secret.document_key) == DOCUMENT_KEY


async def test_the_full_certificate_of_a_later_epoch_erases_the_old_shares(
    sharing: Sharing, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = MemoryHome()
    wallets, later = await refreshed(home, sharing)
    held: list[WalletSecret] = []
    old: list[bytearray] = []
    real = WalletSecret.decode

    def decode(data: bytearray) -> WalletSecret:
        held.append(real(data))
        old.extend(share.data for share in held[-1].shares)
        return held[-1]

    monkeypatch.setattr(WalletSecret, "decode", decode)
    shown = await wallets.merge(WALLET_ID, later.signed(BEN))
    assert (shown.epoch, home.states) == (0, [["active", "pending"]])
    shown = await wallets.merge(WALLET_ID, later.signed())
    assert (shown.state, shown.epoch, shown.epoch_id) == ("active", 1, later.epoch_id.hex())
    assert home.states == [["retired", "active"]]
    ((_, sealed),) = home.files.values()
    for share in sharing.held_by(ANA):
        assert bytes(share.data) not in sealed
    for share in later.held_by(ANA):
        assert bytes(share.data) in sealed
    assert len(old) == 8
    assert all(data == bytes(len(data)) for data in old)


async def test_a_wallet_shows_which_epoch_is_pending_and_whose_signature_is_missing(sharing: Sharing) -> None:
    wallets = wallets_in(MemoryHome(), ANA)
    shown = await stored(wallets, sharing)
    assert (shown.state, shown.epoch, shown.pending, shown.missing) == ("pending", 0, 0, (BEN, CLEO))
    shown = await wallets.merge(WALLET_ID, sharing.signed())
    assert (shown.state, shown.epoch, shown.pending, shown.missing) == ("active", 0, None, ())
    later = sharing.refreshed()
    shown = await stored(wallets, later)
    assert (shown.state, shown.epoch, shown.pending, shown.missing) == ("active", 0, 1, (BEN, CLEO))
    assert (shown.epoch_id, shown.certificate_valid) == (sharing.epoch_id.hex(), True)
    shown = await wallets.merge(WALLET_ID, later.signed(CLEO))
    assert (shown.epoch, shown.pending, shown.missing) == (0, 1, (BEN,))
    another = sharing.refreshed(later.epoch_id, seed=2)
    shown = await stored(wallets, another)
    assert (shown.epoch, shown.pending, shown.missing) == (0, 1, (BEN, CLEO))  # not of the abandoned one
    shown = await wallets.merge(WALLET_ID, another.signed())
    assert (shown.state, shown.epoch, shown.pending, shown.missing) == ("active", 1, None, ())


async def test_an_abandoned_epoch_goes_with_its_share_as_the_next_is_stored_and_is_never_accepted(
    sharing: Sharing, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = MemoryHome()
    wallets, later = await refreshed(home, sharing)
    writes: list[list[str]] = []
    home.before_save = writes.append
    held: list[WalletSecret] = []
    old: list[bytearray] = []
    real = WalletSecret.decode

    def decode(data: bytearray) -> WalletSecret:
        held.append(real(data))
        old.extend(share.data for share in held[-1].shares)
        return held[-1]

    monkeypatch.setattr(WalletSecret, "decode", decode)
    another = sharing.refreshed(later.epoch_id, seed=2)
    await stored(wallets, another)
    monkeypatch.undo()
    assert len(old) == 4
    assert all(data == bytes(len(data)) for data in old)
    assert writes == [["active", "pending"]]
    kept = dict(home.files)
    ((_, sealed),) = kept.values()
    assert not any(bytes(share.data) in sealed for share in later.held_by(ANA))
    assert all(bytes(share.data) in sealed for share in (*another.held_by(ANA), *sharing.held_by(ANA)))
    for one in (wallets, wallets_in(home, ANA)):  # this process and the next
        assert [epoch.epoch_id for epoch in only(one).epochs] == [sharing.epoch_id, another.epoch_id]
        with pytest.raises(KeystoreAbsent, match="no such epoch"):
            await one.merge(WALLET_ID, later.signed())
        with pytest.raises(Refused, match="does not abandon"):
            await stored(one, later)
    assert home.files == kept
    await wallets.merge(WALLET_ID, another.signed())
    assert home.states == [["retired", "active"]]
    ((_, sealed),) = home.files.values()
    assert not any(bytes(share.data) in sealed for share in (*later.held_by(ANA), *sharing.held_by(ANA)))
    with pytest.raises(KeystoreAbsent, match="no such epoch"):
        await wallets.merge(WALLET_ID, later.signed())


async def test_an_epoch_that_does_not_fit_what_is_active_here_is_not_stored(sharing: Sharing) -> None:
    home = MemoryHome()
    wallets = wallets_in(home, ANA)
    with pytest.raises(KeystoreAbsent, match="no such wallet"):
        await stored(wallets, sharing.refreshed())
    await stored(wallets, sharing)
    kept = dict(home.files)
    for abandoned in ((), (sharing.epoch_id,)):
        with pytest.raises(Refused, match="no epoch is active here yet"):
            await stored(wallets, sharing.refreshed(*abandoned))
    assert home.files == kept
    await wallets.merge(WALLET_ID, sharing.signed())
    kept = dict(home.files)
    with pytest.raises(Refused, match="does not follow") as refused:
        await stored(wallets, sharing.refreshed().refreshed())
    assert refused.value.hint is not None
    assert home.files == kept
    home = MemoryHome()
    wallets, later = await refreshed(home, sharing)
    kept = dict(home.files)
    with pytest.raises(Refused, match="does not abandon the one that is pending here"):
        await stored(wallets, sharing.refreshed(seed=2))
    with pytest.raises(Refused, match="does not follow"):
        await stored(wallets, sharing.refreshed().refreshed(later.epoch_id, seed=2))
    assert home.files == kept
    await wallets.merge(WALLET_ID, later.signed())
    kept = dict(home.files)
    with pytest.raises(Refused, match="does not follow"):
        await stored(wallets, sharing.refreshed(later.epoch_id, seed=3))
    assert home.files == kept


# --- secrets are wiped, writes are alone ---


Act = Callable[[Wallets, Sharing], object]


async def test_secrets_are_wiped_once_they_are_stored_and_where_they_cannot_be(
    sharing: Sharing, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[WalletSecret] = []
    encoded: list[bytearray] = []
    real_init, real_encode = WalletSecret.__init__, WalletSecret.encode

    def init(secret: WalletSecret, *arguments: object, **named: bytearray) -> None:
        real_init(secret, *arguments, **named)  # type: ignore[arg-type]
        made.append(secret)

    def encode(secret: WalletSecret) -> bytearray:
        encoded.append(real_encode(secret))
        return encoded[-1]

    monkeypatch.setattr(WalletSecret, "__init__", init)
    monkeypatch.setattr(WalletSecret, "encode", encode)

    def all_wiped() -> bool:
        buffers = [*encoded]
        for secret in made:
            buffers += [secret.chain_code, secret.document_key, *(share.data for share in secret.shares)]
        return bool(buffers) and all(buffer == bytes(len(buffer)) for buffer in buffers)

    home = MemoryHome()
    wallets, later = await refreshed(home, sharing)
    assert all_wiped()

    def full(_states: list[str]) -> None:
        raise KeystoreUnwritable("full")

    home.before_save = full
    another = sharing.refreshed(later.epoch_id, seed=2)
    with pytest.raises(KeystoreUnwritable):
        await stored(wallets, another)
    with pytest.raises(KeystoreUnwritable):
        await wallets.merge(WALLET_ID, later.signed())
    with pytest.raises(Refused, match="abandon"):
        await stored(wallets, sharing.refreshed(seed=3))
    with pytest.raises(KeystoreAbsent):
        await wallets.merge(WALLET_ID, another.signed())
    with pytest.raises(KeystoreUnwritable):
        await stored(wallets_in(MemoryHome(full), ANA), sharing)
    assert len(made) > 7
    assert all_wiped()


async def test_a_share_that_does_not_fit_its_epoch_is_not_stored(sharing: Sharing) -> None:
    record = sharing.record(ANA)
    for share, bens in zip(record.secrets.values(), sharing.record(BEN).secrets.values(), strict=True):
        share.key.signing_share.wipe()
        object.__setattr__(share.key, "signing_share", bens.key.signing_share)
    home = MemoryHome()
    with pytest.raises(ValueError, match="verifying share"):
        await wallets_in(home, ANA).store_pending(record, name="treasury", verified="words", now=MADE_MS)
    assert home.files == {}


async def test_a_cancelled_store_has_ended_when_its_caller_goes_on(sharing: Sharing) -> None:
    writing, go_on = threading.Event(), threading.Event()

    def slow(_states: list[str]) -> None:
        writing.set()
        go_on.wait(10)

    home = MemoryHome(slow)
    wallets = wallets_in(home, ANA)
    task = asyncio.create_task(stored(wallets, sharing))
    await asyncio.to_thread(writing.wait, 10)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert home.states == [["pending"]]


async def test_writes_do_not_overlap(sharing: Sharing) -> None:
    inside = threading.Semaphore(1)

    def alone(_states: list[str]) -> None:
        assert inside.acquire(blocking=False)
        threading.Event().wait(0.01)
        inside.release()

    wallets = wallets_in(MemoryHome(alone), ANA)
    await stored(wallets, sharing)
    merges = [wallets.merge(WALLET_ID, sharing.signed(name)) for name in (BEN, CLEO)]
    async with asyncio.timeout(10):
        shown = await asyncio.gather(*merges)
    assert [one.state for one in shown] == ["pending", "active"]


# --- on a real home ---


@pytest.fixture
def keyring() -> Keyring:
    return Keyring(bytearray(b"correct horse"))


@pytest.fixture
def home(tmp_path: Path, keyring: Keyring) -> Home:
    home = Home.open(tmp_path / "home", create=True, files=QuickFileSystem())
    home.create_identity(keyring, KdfPolicy(8 << 20, 1))
    return home


async def test_a_stored_wallet_is_there_in_the_next_life(sharing: Sharing, home: Home, keyring: Keyring) -> None:
    pending = await stored(Wallets(home, keyring, ANA), sharing)
    again = Wallets(Home.open(home.path, create=False), Keyring(bytearray(b"correct horse")), ANA)
    active = await again.merge(WALLET_ID, sharing.signed(BEN, CLEO))
    assert (pending.wallet_id, pending.kdf) == (active.wallet_id, "custom")
    assert active.state == "active"
    later = sharing.refreshed()
    await stored(again, later)
    third = Wallets(Home.open(home.path, create=False), Keyring(bytearray(b"correct horse")), ANA)
    assert [epoch.state for epoch in only(third).epochs] == ["active", "pending"]
    newer = await third.merge(WALLET_ID, later.signed())
    assert newer.epoch == 1
    assert newer.group_public_keys == active.group_public_keys
    assert newer.verifying_shares != active.verifying_shares
    assert view(only(third), home.kdf()) == newer


async def test_another_passphrase_neither_stores_nor_merges(sharing: Sharing, home: Home, keyring: Keyring) -> None:
    wrong = Wallets(home, Keyring(bytearray(b"wrong")), ANA)
    with pytest.raises(WrongPassphrase):
        await stored(wrong, sharing)
    assert wrong.all() == ()
    await stored(Wallets(home, keyring, ANA), sharing)
    with pytest.raises(WrongPassphrase):
        await wrong.merge(WALLET_ID, sharing.signed())


async def test_a_full_disk_leaves_what_was_there(sharing: Sharing, home: Home, keyring: Keyring) -> None:
    def full() -> Wallets:
        return Wallets(Home.open(home.path, create=False, files=full_disk(100)), keyring, ANA)

    healthy = Wallets(home, keyring, ANA)
    later = sharing.refreshed()
    with pytest.raises(KeystoreUnwritable):
        await stored(full(), sharing)
    assert healthy.all() == ()
    await stored(healthy, sharing)
    with pytest.raises(KeystoreUnwritable):
        await full().merge(WALLET_ID, sharing.signed())
    assert only(healthy).state == "pending"
    await healthy.merge(WALLET_ID, sharing.signed())
    with pytest.raises(KeystoreUnwritable):
        await stored(full(), later)
    assert [epoch.state for epoch in only(healthy).epochs] == ["active"]
    await stored(healthy, later)
    with pytest.raises(KeystoreUnwritable):
        await full().merge(WALLET_ID, later.signed())
    assert [epoch.state for epoch in only(healthy).epochs] == ["active", "pending"]


async def test_a_file_that_cannot_be_read_hides_no_other(sharing: Sharing, home: Home, keyring: Keyring) -> None:
    wallets = Wallets(home, keyring, ANA)
    await stored(wallets, sharing)
    (path,) = (home.path / "wallets").rglob("*.json")
    directory = home.path / "wallets" / ("00" * 16)
    directory.mkdir(mode=0o700)
    (directory / path.name).write_bytes(path.read_bytes()[:-9])
    (directory / path.name).chmod(0o600)
    assert len(wallets.all()) == 1
    problems = [header for one in home.list_wallets() if isinstance(header := read_header(one), Exception)]
    assert [type(problem) for problem in problems] == [KeystoreUnreadable]
    assert [type(problem) for problem in unreadable_wallets(home)] == [KeystoreUnreadable]
    shown = list_wallets(home)
    assert [isinstance(one, WalletView) for one in shown] == [False, True]
    assert wallets.named("treasury").name == "treasury"
    assert wallets.named("abab").name == "treasury"
    with pytest.raises(KeystoreUnreadable, match="among those that can be read"):
        wallets.named("other")


async def test_a_wallet_is_found_by_its_name_or_the_beginning_of_its_id(sharing: Sharing) -> None:
    wallets = wallets_in(MemoryHome(), ANA)
    with pytest.raises(KeystoreAbsent):
        wallets.named("treasury")
    await stored(wallets, sharing, name="treasury")
    for wanted in ("treasury", "abab", WALLET_ID.hex()):
        assert wallets.named(wanted).wallet_id == WALLET_ID
    for wanted in ("aba", "treasur", "ABAB", "abac"):
        with pytest.raises(KeystoreAbsent):
            wallets.named(wanted)
    twice = [(one, read_header(one)) for one in wallets._home.list_wallets()] * 2
    with pytest.raises(UsageError, match="2 wallets"):
        find_wallet(twice, "treasury")


def test_an_error_is_shown_with_all_that_is_known_of_it() -> None:
    error = ParticipantSilent("no answer", culprits=[BEN, ANA], hint="try again", saved="the share is stored")
    shown = error_view(error)
    assert (shown.code, shown.exit_code, shown.fault) == ("participant_silent", 6, "peer")
    assert shown.culprits == (ANA, BEN)
    assert (shown.message, shown.hint, shown.saved) == ("no answer", "try again", "the share is stored")


def test_wallets_that_did_not_change_are_not_read_again(
    home: Home, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_wallet()
    wallet, secret = made.wallet, made.secret.encode()
    home.save_wallet(wallet.wallet_id, wallet.peer_id, wallet.to_header(), secret, keyring)
    wallets = Wallets(home, keyring, wallet.peer_id)
    assert wallets.all() == (wallet,)
    with monkeypatch.context() as patched:
        patched.setattr(Wallet, "from_header", None)  # reading again fails here
        assert wallets.all() == (wallet,)
    active = made.active
    home.save_wallet(wallet.wallet_id, wallet.peer_id, active.to_header(), secret, keyring, replaces=wallet.to_header())
    assert wallets.all() == (active,)
    home.trash_wallet(wallet.wallet_id, wallet.peer_id, active.to_header())
    assert wallets.all() == ()


# --- the trash ---


async def test_a_pending_wallet_goes_to_the_trash_when_a_person_asks(home: Home, keyring: Keyring) -> None:
    made = make_wallet()
    wallet = made.wallet
    home.save_wallet(wallet.wallet_id, wallet.peer_id, wallet.to_header(), made.secret.encode(), keyring)
    wallets = Wallets(home, keyring, wallet.peer_id)
    place = await wallets.delete(wallet.wallet_id)
    assert (place / f"{wallet.peer_id}.json").is_file()
    assert wallets.all() == ()
    with pytest.raises(KeystoreAbsent):
        await wallets.delete(wallet.wallet_id)


def test_an_active_wallet_goes_to_the_trash_only_where_that_was_said(home: Home, keyring: Keyring) -> None:
    made = make_wallet()
    active = made.active
    home.save_wallet(active.wallet_id, active.peer_id, active.to_header(), made.secret.encode(), keyring)
    with pytest.raises(Refused, match="active") as raised:
        delete_wallet(home, active)
    assert "share" in (raised.value.saved or "")
    assert list_wallets(home)
    assert delete_wallet(home, active, even_active=True).is_dir()
    assert list_wallets(home) == ()


def test_a_wallet_that_became_active_since_the_person_looked_is_kept(home: Home, keyring: Keyring) -> None:
    made = make_wallet()
    pending, active = made.wallet, made.active
    home.save_wallet(active.wallet_id, active.peer_id, active.to_header(), made.secret.encode(), keyring)
    for even_active in (False, True):
        with pytest.raises(KeystoreUnwritable, match="meanwhile"):
            delete_wallet(home, pending, even_active=even_active)
    assert list_wallets(home)
