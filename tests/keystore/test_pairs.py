"""The key that a node shares with a contact: sealed, one file a contact, and gone when the contact is."""

import random
from pathlib import Path

import pytest

from mpcnode.errors import KeystoreAbsent, KeystoreUnreadable, KeystoreUnwritable, WrongPassphrase
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.store import Home
from mpcnode.types import IdentityKey
from tests.helpers.identities import key_of

BOB = key_of("bob")
SHARED = bytearray(range(32))


def file_of(home: Home, key: IdentityKey) -> Path:
    return home.path / "pairs" / f"{key.hex()}.json"


def test_a_shared_key_comes_back_and_a_new_one_replaces_it(home: Home, keyring: Keyring) -> None:
    home.save_pair_key(BOB, SHARED, keyring)
    assert home.load_pair_key(BOB, keyring) == SHARED
    home.save_pair_key(BOB, bytearray(32), keyring)
    assert home.load_pair_key(BOB, keyring) == bytes(32)
    assert SHARED.hex() not in file_of(home, BOB).read_text()
    assert file_of(home, BOB).stat().st_mode & 0o777 == 0o600
    assert file_of(home, BOB).parent.stat().st_mode & 0o777 == 0o700


def test_a_contact_without_one_has_none(home: Home, keyring: Keyring) -> None:
    with pytest.raises(KeystoreAbsent):
        home.load_pair_key(BOB, keyring)
    home.remove_pair_key(BOB)
    home.save_pair_key(BOB, SHARED, keyring)
    home.remove_pair_key(BOB)
    with pytest.raises(KeystoreAbsent):
        home.load_pair_key(BOB, keyring)


def test_another_passphrase_neither_opens_nor_stores_one(home: Home, keyring: Keyring) -> None:
    home.save_pair_key(BOB, SHARED, keyring)
    with Keyring(bytearray(b"wrong horse")) as other:
        with pytest.raises(WrongPassphrase):
            home.load_pair_key(BOB, other)
        with pytest.raises(WrongPassphrase):
            home.save_pair_key(BOB, SHARED, other)
    assert home.load_pair_key(BOB, keyring) == SHARED


def test_the_file_of_one_contact_is_not_taken_for_another(home: Home, keyring: Keyring) -> None:
    home.save_pair_key(BOB, SHARED, keyring)
    carol = key_of("carol")
    file_of(home, carol).write_bytes(file_of(home, BOB).read_bytes())
    file_of(home, carol).chmod(0o600)
    with pytest.raises(KeystoreUnreadable, match="another contact"):
        home.load_pair_key(carol, keyring)


def test_a_file_of_another_kind_is_not_taken_for_one(home: Home, keyring: Keyring) -> None:
    home.save_pair_key(BOB, SHARED, keyring)
    file_of(home, BOB).write_bytes((home.path / "identity.json").read_bytes())
    with pytest.raises(KeystoreUnreadable):
        home.load_pair_key(BOB, keyring)


@pytest.mark.parametrize("key", [b"", b"../../identity", bytes(31)])
def test_what_is_no_key_names_no_file(home: Home, keyring: Keyring, key: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        home.save_pair_key(IdentityKey(key), SHARED, keyring)


def test_what_cannot_be_removed_is_said(home: Home, keyring: Keyring) -> None:
    home.save_pair_key(BOB, SHARED, keyring)
    file_of(home, BOB).unlink()
    file_of(home, BOB).mkdir()
    with pytest.raises(KeystoreUnwritable):
        home.remove_pair_key(BOB)


def test_leftovers_of_writers_that_died_are_swept(home: Home, keyring: Keyring) -> None:
    home.save_pair_key(BOB, SHARED, keyring)
    left = file_of(home, BOB).with_name(f".{BOB.hex()}.json.{random.Random(1).randbytes(8).hex()}.tmp")
    left.write_bytes(b"half")
    with Home.open(home.path, create=False).lock():
        pass
    assert not left.exists()
