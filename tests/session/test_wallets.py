import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mpcnode.errors import KeystoreAbsent, KeystoreUnreadable, KeystoreUnwritable, ParticipantSilent
from mpcnode.keystore.format import KdfPolicy
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.store import Home
from mpcnode.protocols.certificate import READY_CONTEXT, Certificate
from mpcnode.protocols.frost.keygen import StorePending
from mpcnode.session.wallets import Wallets, read_header, view
from mpcnode.status import error_view
from mpcnode.types import PeerId, SessionId
from mpcnode.wallet.secret import WalletSecret
from mpcnode.wallet.wallet import State, Wallet
from tests.helpers.filesystem import QuickFileSystem, full_disk
from tests.helpers.relays import ANA, BEN, CLEO, NOW, identity
from tests.helpers.sessions import SESSION, THREE, MemoryHome, run_until_pending, wallets_in
from tests.helpers.wallets import make_wallet

OTHER = SessionId("0f" * 16)


@pytest.fixture
def record() -> Iterator[StorePending]:
    """What ana is asked to store; its secrets live as long as the execution."""
    executions = run_until_pending()
    record = executions[ANA].checkpoint
    assert isinstance(record, StorePending)
    yield record
    for execution in executions.values():
        execution.close()


def certificate(record: StorePending, *names: PeerId) -> Certificate:
    transcript = record.transcript
    return Certificate(transcript, {name: identity(name).sign(READY_CONTEXT, transcript) for name in names})


async def test_a_new_share_is_pending_shows_no_key_and_holds_this_nodes_promise(record: StorePending) -> None:
    home = MemoryHome()
    wallets = wallets_in(home, ANA)
    shown = await wallets.store_pending(record, words_compared=False, now=NOW + 0.9)
    assert (shown.state, shown.signatures, shown.total, shown.threshold) == ("pending", 1, 3, 2)
    assert shown.participants == THREE
    assert shown.group_public_keys == {}
    assert shown.verifying_shares == {}
    assert not shown.certificate_valid
    assert shown.words_compared is False
    assert shown.created == int(NOW)
    wallet = wallets.of_session(SESSION)
    assert wallet is not None
    assert wallet.promised
    assert wallets.all() == (wallet,)
    assert wallets.find(wallet.wallet_id) == wallet
    assert wallets.of_session(OTHER) is None


async def test_everybodys_promises_make_it_active_whatever_the_order(record: StorePending) -> None:
    home = MemoryHome()
    wallets = wallets_in(home, ANA)
    await wallets.store_pending(record, words_compared=True, now=NOW)
    secrets = [secret for _, secret in home.files.values()]
    shown = await wallets.merge(SESSION, certificate(record, CLEO))
    assert (shown.state, shown.signatures) == ("pending", 2)
    shown = await wallets.merge(SESSION, certificate(record, BEN, CLEO))
    assert (shown.state, shown.signatures, shown.certificate_valid) == ("active", 3, True)
    assert set(shown.group_public_keys) == set(shown.suites)
    assert {name for shares in shown.verifying_shares.values() for name in shares} == set(THREE)
    assert [secret for _, secret in home.files.values()] == secrets


async def test_what_adds_nothing_is_not_written(record: StorePending) -> None:
    home = MemoryHome()
    wallets = wallets_in(home, ANA)
    await wallets.store_pending(record, words_compared=True, now=NOW)

    def refuse(_state: str) -> None:
        raise AssertionError

    home.before_save = refuse
    assert (await wallets.merge(SESSION, certificate(record, ANA))).state == "pending"
    forged = Certificate(certificate(record).transcript, {BEN: bytes(64)})
    assert (await wallets.merge(SESSION, forged)).signatures == 1


async def test_signatures_for_no_wallet_or_another_transcript_are_errors(record: StorePending) -> None:
    wallets = wallets_in(MemoryHome(), ANA)
    with pytest.raises(KeystoreAbsent):
        await wallets.merge(SESSION, certificate(record, BEN))
    await wallets.store_pending(record, words_compared=True, now=NOW)
    with pytest.raises(ValueError, match="different transcripts"):
        await wallets.merge(SESSION, Certificate(bytes(32), {}))


async def test_another_nodes_wallet_under_the_same_home_is_not_this_ones(record: StorePending) -> None:
    home = MemoryHome()
    await wallets_in(home, ANA).store_pending(record, words_compared=True, now=NOW)
    assert wallets_in(home, BEN).all() == ()
    assert wallets_in(home, BEN).of_session(SESSION) is None


async def test_the_secret_is_wiped_once_it_is_stored_and_where_it_cannot_be(
    record: StorePending, monkeypatch: pytest.MonkeyPatch
) -> None:
    wiped: list[dict[str, bytes]] = []
    real = WalletSecret.wipe

    def wipe(secret: WalletSecret) -> None:
        real(secret)
        wiped.append({suite: bytes(share) for suite, share in secret.shares.items()})

    monkeypatch.setattr(WalletSecret, "wipe", wipe)
    home = MemoryHome()
    await wallets_in(home, ANA).store_pending(record, words_compared=True, now=NOW)
    assert [set(one.values()) for one in wiped] == [{bytes(32)}]

    def full(_state: str) -> None:
        raise KeystoreUnwritable("full")

    wiped.clear()
    with pytest.raises(KeystoreUnwritable):
        await wallets_in(MemoryHome(full), ANA).store_pending(record, words_compared=True, now=NOW)
    assert [set(one.values()) for one in wiped] == [{bytes(32)}]


async def test_a_cancelled_store_has_ended_when_its_caller_goes_on(record: StorePending) -> None:
    writing, go_on = threading.Event(), threading.Event()

    def slow(_state: str) -> None:
        writing.set()
        go_on.wait(10)

    home = MemoryHome(slow)
    wallets = wallets_in(home, ANA)
    task = asyncio.create_task(wallets.store_pending(record, words_compared=True, now=NOW))
    await asyncio.to_thread(writing.wait, 10)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert home.states == ["pending"]


async def test_writes_do_not_overlap(record: StorePending) -> None:
    inside = threading.Semaphore(1)

    def alone(_state: str) -> None:
        assert inside.acquire(blocking=False)
        threading.Event().wait(0.01)
        inside.release()

    home = MemoryHome(alone)
    wallets = wallets_in(home, ANA)
    await wallets.store_pending(record, words_compared=True, now=NOW)
    merges = [wallets.merge(SESSION, certificate(record, name)) for name in (BEN, CLEO)]
    async with asyncio.timeout(10):
        shown = await asyncio.gather(*merges)
    assert [one.state for one in shown] == ["pending", "active"]


# --- on a real home ---


@pytest.fixture
def keyring() -> Keyring:
    return Keyring(bytearray(b"correct horse"))


def make_home(path: Path, keyring: Keyring) -> Home:
    home = Home.open(path, create=True, files=QuickFileSystem())
    home.create_identity(keyring, KdfPolicy(8 << 20, 1))
    return home


async def test_a_stored_wallet_is_there_in_the_next_life(
    record: StorePending, tmp_path: Path, keyring: Keyring
) -> None:
    home = make_home(tmp_path / "home", keyring)
    stored = await Wallets(home, keyring, ANA).store_pending(record, words_compared=True, now=NOW)
    again = Wallets(Home.open(home.path, create=False), Keyring(bytearray(b"correct horse")), ANA)
    active = await again.merge(SESSION, certificate(record, BEN, CLEO))
    assert (stored.wallet_id, stored.kdf) == (active.wallet_id, "custom")
    assert active.state == "active"
    (wallet,) = again.all()
    assert wallet.state is State.ACTIVE
    assert view(wallet, home.kdf()) == active


async def test_a_full_disk_leaves_what_was_there(record: StorePending, tmp_path: Path, keyring: Keyring) -> None:
    home = make_home(tmp_path / "home", keyring)
    full = Home.open(home.path, create=False, files=full_disk(100))
    with pytest.raises(KeystoreUnwritable):
        await Wallets(full, keyring, ANA).store_pending(record, words_compared=True, now=NOW)
    assert Wallets(home, keyring, ANA).all() == ()
    await Wallets(home, keyring, ANA).store_pending(record, words_compared=True, now=NOW)
    full = Home.open(home.path, create=False, files=full_disk(100))
    with pytest.raises(KeystoreUnwritable):
        await Wallets(full, keyring, ANA).merge(SESSION, certificate(record, BEN, CLEO))
    assert [wallet.state for wallet in Wallets(home, keyring, ANA).all()] == [State.PENDING]


async def test_a_file_that_cannot_be_read_hides_no_other(
    record: StorePending, tmp_path: Path, keyring: Keyring
) -> None:
    home = make_home(tmp_path / "home", keyring)
    await Wallets(home, keyring, ANA).store_pending(record, words_compared=True, now=NOW)
    (path,) = (home.path / "wallets").rglob("*.json")
    directory = home.path / "wallets" / ("00" * 16)
    directory.mkdir(mode=0o700)
    (directory / path.name).write_bytes(path.read_bytes()[:-9])
    (directory / path.name).chmod(0o600)
    assert len(Wallets(home, keyring, ANA).all()) == 1
    problems = [header for stored in home.list_wallets() if isinstance(header := read_header(stored), Exception)]
    assert [type(problem) for problem in problems] == [KeystoreUnreadable]


def test_an_error_is_shown_with_all_that_is_known_of_it() -> None:
    error = ParticipantSilent("no answer", culprits=[BEN, ANA], hint="try again", saved="the share is stored")
    shown = error_view(error)
    assert (shown.code, shown.exit_code, shown.fault) == ("participant_silent", 6, "peer")
    assert shown.culprits == (ANA, BEN)
    assert (shown.message, shown.hint, shown.saved) == ("no answer", "try again", "the share is stored")


def test_wallets_that_did_not_change_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home.open(tmp_path / "home", create=True, files=QuickFileSystem())
    made = make_wallet()
    with Keyring(bytearray(b"right")) as keyring:
        home.create_identity(keyring, KdfPolicy(8 << 20, 1)).wipe()
        wallet = made.wallet
        secret = made.secret.encode()
        home.save_wallet(wallet.wallet_id, wallet.peer_id, wallet.to_header(), secret, keyring)
        wallets = Wallets(home, keyring, wallet.peer_id)
        assert wallets.all() == (wallet,)
        with monkeypatch.context() as patched:
            patched.setattr(Wallet, "from_header", None)  # whoever reads again stumbles
            assert wallets.all() == (wallet,)
        active = wallet.merge(made.certificate)
        home.save_wallet(wallet.wallet_id, wallet.peer_id, active.to_header(), secret, keyring)
        assert wallets.all() == (active,)
        home.delete_wallet(wallet.wallet_id, wallet.peer_id)
        assert wallets.all() == ()
