"""What a home keeps, and the four ways of not getting it back."""

import hashlib
import json
import random
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from mpcnode.errors import (
    ConfigurationError,
    KeystoreAbsent,
    KeystoreNewer,
    KeystoreUnreadable,
    KeystoreUnwritable,
    WrongPassphrase,
)
from mpcnode.identity.contacts import Contacts
from mpcnode.identity.identity import Identity
from mpcnode.keystore.format import KdfPolicy, canonical
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.settings import Settings
from mpcnode.keystore.store import Home
from mpcnode.types import PeerId, WalletId
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


def test_what_is_stored_comes_back(home: Home, keyring: Keyring) -> None:
    save(home, keyring)
    assert home.load_wallet(WALLET, CLI1, keyring) == (HEADER, bytearray(b"secret"))
    save(home, keyring, state="active")
    assert home.load_wallet(WALLET, CLI1, keyring) == (HEADER | {"state": "active"}, bytearray(b"secret"))


def test_each_file_opens_alone_and_without_the_rest_of_the_home(home: Home, keyring: Keyring) -> None:
    save(home, keyring)
    (home.path / "identity.json").unlink()
    with Keyring(bytearray(b"correct horse")) as fresh:
        assert home.load_wallet(WALLET, CLI1, fresh) == (HEADER, bytearray(b"secret"))


def test_all_files_of_a_home_share_one_key_derivation(home: Home, keyring: Keyring) -> None:
    save(home, keyring)
    (listed,) = home.list_wallets()
    assert listed.kdf == home.kdf()
    assert len(keyring._roots) == 1


def test_a_homes_identity_is_made_once(home: Home, keyring: Keyring) -> None:
    identity = home.load_identity(keyring)
    assert home.identity_exists()
    assert home.identity_public_key() == identity.public_key
    with pytest.raises(ConfigurationError, match="already"):
        home.create_identity(keyring, QUICK)
    assert home.load_identity(keyring).public_key == identity.public_key


def test_a_damaged_identity_is_never_replaced(home: Home, keyring: Keyring) -> None:
    (home.path / "identity.json").write_bytes(b"")
    assert home.identity_exists()
    with pytest.raises(ConfigurationError, match="already"):
        home.create_identity(keyring, QUICK)


def test_a_home_that_lost_its_identity_gets_no_other(home: Home, keyring: Keyring) -> None:
    save(home, keyring)
    (home.path / "identity.json").unlink()
    with pytest.raises(KeystoreAbsent, match="no other identity can sign with") as caught:
        home.create_identity(keyring, QUICK)
    assert "backup" in (caught.value.hint or "")
    (path,) = home.path.glob("wallets/*/*.json")
    path.write_bytes(b"")  # a wallet that cannot be read was one nevertheless
    with pytest.raises(KeystoreAbsent):
        home.is_new()
    assert not home.identity_exists()
    path.unlink()
    assert home.is_new()


def test_an_identity_file_that_names_another_key_is_refused(home: Home, keyring: Keyring) -> None:
    file = keyring.seal("mpcnode-identity", home.kdf(), {"public_key": "00" * 32}, bytes(32), random.randbytes)
    (home.path / "identity.json").write_bytes(file.encode())
    with pytest.raises(KeystoreUnreadable, match="another public key"):
        home.load_identity(keyring)
    with pytest.raises(KeystoreUnreadable):
        home.identity_public_key()


def test_an_identity_is_not_made_of_randomness_that_stays_in_memory(tmp_path: Path) -> None:
    keys = []
    for name in ("one", "two"):
        home = Home.open(tmp_path / name, create=True, rng=random.Random(1).randbytes)
        keys.append(home.create_identity(Keyring(bytearray(b"pass")), QUICK).public_key)
    assert keys[0] != keys[1]


def test_contacts_and_settings_are_empty_until_they_are_stored(home: Home) -> None:
    assert home.load_contacts() == Contacts()
    assert home.load_settings() == Settings()
    key = Identity.from_seed(bytearray(32)).public_key
    contacts = Contacts().pin(CLI1, key, how="code", now=1)
    home.save_contacts(contacts)
    home.save_settings(Settings(peer_id=CLI1))
    assert home.load_contacts() == contacts
    assert home.load_settings() == Settings(peer_id=CLI1)


# --- the four ways of not getting a file ---


def test_absent_unreadable_wrong_passphrase_and_newer_are_four_errors(home: Home, keyring: Keyring) -> None:
    with pytest.raises(KeystoreAbsent):
        home.load_wallet(WALLET, CLI1, keyring)
    save(home, keyring)
    with pytest.raises(WrongPassphrase):
        home.load_wallet(WALLET, CLI1, Keyring(bytearray(b"wrong")))
    data = wallet_file(home).read_bytes()
    for damaged in (b"", data[:-1], data[: len(data) // 2], data + b"\n", data.replace(b'"pending"', b'"active"')):
        wallet_file(home).write_bytes(damaged)
        with pytest.raises(KeystoreUnreadable):
            home.load_wallet(WALLET, CLI1, keyring)
    wallet_file(home).write_bytes(canonical({"format": "mpcnode-wallet", "version": 9}))
    with pytest.raises(KeystoreNewer, match=str(wallet_file(home))):
        home.load_wallet(WALLET, CLI1, keyring)


@pytest.mark.parametrize("name", ["contacts.json", "settings.yaml", "identity.json"])
def test_a_damaged_file_is_an_error_and_never_taken_for_an_absent_one(home: Home, keyring: Keyring, name: str) -> None:
    (home.path / name).write_bytes(b"{}")
    loads: dict[str, Callable[[], object]] = {
        "contacts.json": home.load_contacts,
        "settings.yaml": home.load_settings,
        "identity.json": lambda: home.load_identity(keyring),
    }
    with pytest.raises(KeystoreUnreadable, match=name):
        loads[name]()


@pytest.mark.parametrize(
    ("name", "newer"),
    [
        ("contacts.json", canonical({"format": "mpcnode-contacts", "version": 2})),
        ("settings.yaml", b"version: 2\nfuture: [a, b]\n"),
    ],
)
def test_newer_contacts_and_settings_are_left_alone(home: Home, name: str, newer: bytes) -> None:
    (home.path / name).write_bytes(newer)
    with pytest.raises(KeystoreNewer):
        getattr(home, f"load_{name.partition('.')[0]}")()
    assert (home.path / name).read_bytes() == newer


def test_a_header_altered_by_somebody_who_fits_the_checksum_does_not_open(home: Home, keyring: Keyring) -> None:
    save(home, keyring)
    other = keyring.seal("mpcnode-wallet", home.kdf(), HEADER | {"state": "active"}, b"", random.randbytes)
    fields = json.loads(wallet_file(home).read_bytes())
    mixed = json.loads(other.encode()) | {"nonce": fields["nonce"], "sealed": fields["sealed"]}
    del mixed["checksum"]
    wallet_file(home).write_bytes(canonical(mixed | {"checksum": hashlib.sha256(canonical(mixed)).hexdigest()}))
    (listed,) = home.list_wallets()
    assert listed.header == HEADER | {"state": "active"}  # a list is not authenticated, and says so
    with pytest.raises(KeystoreUnreadable, match="altered"):
        home.load_wallet(WALLET, CLI1, keyring)


def test_a_wallet_is_not_stored_under_another_passphrase_than_the_homes(home: Home) -> None:
    with pytest.raises(WrongPassphrase):
        save(home, Keyring(bytearray(b"another")))
    assert home.list_wallets() == ()


def test_a_wallet_moved_to_another_name_is_refused(home: Home, keyring: Keyring) -> None:
    save(home, keyring)
    wallet_file(home).rename(wallet_file(home).with_name("cli2.json"))
    with pytest.raises(KeystoreUnreadable, match="another wallet"):
        home.load_wallet(WALLET, PeerId("cli2"), keyring)


def test_a_header_of_another_wallet_is_the_callers_mistake(home: Home, keyring: Keyring) -> None:
    for header in ({}, HEADER | {"peer_id": "cli2"}, HEADER | {"wallet_id": "cd" * 16}):
        with pytest.raises(ValueError, match="another wallet"):
            home.save_wallet(WALLET, CLI1, header, bytearray(), keyring)


@pytest.mark.parametrize("name", ["../cli1", "", "a/b", "a\x00b", "x" * 65])
def test_nothing_but_a_peer_id_becomes_a_path(home: Home, keyring: Keyring, name: str) -> None:
    peer_id = PeerId(name)
    with pytest.raises(ValueError, match="peer id"):
        home.save_wallet(WALLET, peer_id, {"wallet_id": WALLET.hex(), "peer_id": peer_id}, bytearray(), keyring)
    with pytest.raises(ValueError, match="peer id"):
        home.load_wallet(WALLET, peer_id, keyring)
    with pytest.raises(ValueError, match="wallet id"):
        home.trash_wallet(WalletId(b".."), CLI1, HEADER)


@pytest.mark.parametrize("name", ["..", ".", "...", ".tmp", "-"])
def test_an_odd_peer_id_is_a_plain_file_of_its_own(home: Home, keyring: Keyring, name: str) -> None:
    peer_id = PeerId(name)
    header = {"wallet_id": WALLET.hex(), "peer_id": name}
    home.save_wallet(WALLET, peer_id, header, bytearray(b"odd"), keyring)
    with home.lock():  # its sweep must not take it for a leftover
        pass
    assert home.load_wallet(WALLET, peer_id, keyring) == (header, bytearray(b"odd"))
    assert [listed.peer_id for listed in home.list_wallets()] == [peer_id]


def test_a_wallet_that_is_there_is_not_written_over_unasked(home: Home, keyring: Keyring) -> None:
    save(home, keyring)
    stale = HEADER | {"state": "stale"}
    for replaces in (None, stale, {}):
        with pytest.raises(KeystoreUnwritable, match=r"already|meanwhile") as raised:
            home.save_wallet(WALLET, CLI1, HEADER, bytearray(b"other"), keyring, replaces=replaces)
        assert raised.value.saved == "what was stored before is untouched"
    assert home.load_wallet(WALLET, CLI1, keyring) == (HEADER, bytearray(b"secret"))
    wallet_file(home).write_bytes(b"damaged, and somebody may still mend it")
    with pytest.raises(KeystoreUnreadable):
        home.save_wallet(WALLET, CLI1, HEADER, bytearray(b"other"), keyring)


def test_a_wallet_that_was_to_be_replaced_and_is_gone_is_an_error(home: Home, keyring: Keyring) -> None:
    with pytest.raises(KeystoreAbsent):
        home.save_wallet(WALLET, CLI1, HEADER, bytearray(b"secret"), keyring, replaces=HEADER)


# --- lists and removal ---


def test_one_bad_file_does_not_hide_the_others(home: Home, keyring: Keyring) -> None:
    save(home, keyring)
    others = [WalletId(i.to_bytes(16, "big")) for i in range(1, 4)]
    for other in others:
        home.save_wallet(other, CLI1, {"wallet_id": other.hex(), "peer_id": CLI1}, bytearray(), keyring)
    (home.path / "wallets" / others[0].hex() / "cli1.json").write_bytes(b"\x00")
    (home.path / "wallets" / others[1].hex() / "cli1.json").write_bytes(
        canonical({"format": "mpcnode-wallet", "version": 2})
    )
    (home.path / "wallets" / others[2].hex() / "cli1.json").unlink()
    (home.path / "wallets" / others[2].hex()).rmdir()
    (home.path / "wallets" / others[2].hex()).symlink_to(home.path / "wallets" / WALLET.hex())
    (home.path / "wallets" / ".DS_Store").write_bytes(b"")
    (home.path / "wallets" / WALLET.hex() / "notes.txt").write_bytes(b"")
    listed = {entry.wallet_id: entry for entry in home.list_wallets()}
    assert list(listed) == [*others, WALLET]
    assert [type(listed[other].problem) for other in others] == [KeystoreUnreadable, KeystoreNewer, KeystoreUnreadable]
    assert listed[WALLET].header == HEADER
    assert listed[WALLET].problem is None


def test_a_wallet_in_the_trash_is_gone_from_the_home_and_can_be_put_back(home: Home, keyring: Keyring) -> None:
    save(home, keyring)
    policy = wallet_file(home).with_name("policy.yaml")
    policy.write_text("ask: never\n")
    place = home.trash_wallet(WALLET, CLI1, HEADER)
    assert home.list_wallets() == ()
    assert list((home.path / "wallets").iterdir()) == []  # its policy went with it
    with pytest.raises(KeystoreAbsent):
        home.load_wallet(WALLET, CLI1, keyring)
    with pytest.raises(KeystoreAbsent):
        home.trash_wallet(WALLET, CLI1, HEADER)
    assert place.parent == home.path / "trash"
    assert [stat.S_IMODE(one.stat().st_mode) for one in (place, place.parent)] == [0o700, 0o700]
    place.rename(policy.parent)
    assert home.load_wallet(WALLET, CLI1, keyring) == (HEADER, bytearray(b"secret"))
    assert policy.read_text() == "ask: never\n"


def test_another_nodes_share_of_the_same_wallet_stays_where_it_is(home: Home, keyring: Keyring) -> None:
    save(home, keyring)
    cli2 = PeerId("cli2")
    other = {"wallet_id": WALLET.hex(), "peer_id": cli2}
    home.save_wallet(WALLET, cli2, other, bytearray(), keyring)
    place = home.trash_wallet(WALLET, CLI1, HEADER)
    assert [path.name for path in place.iterdir()] == ["cli1.json"]
    assert [entry.peer_id for entry in home.list_wallets()] == [cli2]
    assert home.trash_wallet(WALLET, cli2, other) != place
    assert list((home.path / "wallets").iterdir()) == []


def test_a_wallet_that_changed_since_it_was_looked_at_does_not_go_to_the_trash(home: Home, keyring: Keyring) -> None:
    save(home, keyring)
    save(home, keyring, state="active")
    with pytest.raises(KeystoreUnwritable, match="meanwhile") as raised:
        home.trash_wallet(WALLET, CLI1, HEADER)
    assert raised.value.saved == "what was stored before is untouched"
    assert home.load_wallet(WALLET, CLI1, keyring) == (HEADER | {"state": "active"}, bytearray(b"secret"))
    assert not (home.path / "trash").exists()


def test_a_list_reads_again_only_what_changed(home: Home, keyring: Keyring) -> None:
    save(home, keyring)
    (first,) = home.list_wallets()
    (again,) = home.list_wallets()
    assert again is first
    save(home, keyring, name="renamed")
    (changed,) = home.list_wallets()
    assert changed.header is not None
    assert changed.header["name"] == "renamed"
    data = wallet_file(home).read_bytes()
    wallet_file(home).write_bytes(data.replace(b"renamed", b"emanner"))  # in place, of the same length
    (damaged,) = home.list_wallets()
    assert damaged.problem is not None
    wallet_file(home).write_bytes(data)
    assert home.list_wallets()[0].problem is None
    wallet_file(home).chmod(0o666)
    assert home.list_wallets()[0].problem is not None


def test_what_was_removed_is_forgotten(home: Home, keyring: Keyring) -> None:
    save(home, keyring)
    home.list_wallets()
    home.trash_wallet(WALLET, CLI1, HEADER)
    assert home.list_wallets() == ()
    assert not home._seen
