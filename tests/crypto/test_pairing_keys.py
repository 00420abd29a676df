"""The keys of a pairing: each end opens what the other sealed, in order, and nothing else."""

import pytest

from mpcnode.crypto.pairing_keys import MAX_SEALS, PairingKeys, Role, handshake_hash
from mpcnode.errors import DecodeError
from tests.helpers.identities import key_of

ONE, OTHER = b"S" + bytes(32), b"S" + b"\x01" * 32


def keys(
    role: Role, *, key: bytes = b"\x07" * 32, slot: int = 12, pair: tuple[bytes, bytes] = (ONE, OTHER)
) -> PairingKeys:
    return PairingKeys(bytearray(key), handshake_hash(slot, *pair), role)


def test_each_end_opens_what_the_other_sealed() -> None:
    inviter, joiner = keys(Role.INVITER), keys(Role.JOINER)
    for text in (b"one", b"two"):
        assert joiner.open(inviter.seal(text)) == text
        assert inviter.open(joiner.seal(text)) == text


@pytest.mark.parametrize(
    "other",
    [
        keys(Role.INVITER),
        keys(Role.JOINER, key=b"\x08" * 32),
        keys(Role.JOINER, slot=13),
        keys(Role.JOINER, pair=(OTHER, ONE)),
        keys(Role.JOINER, pair=(ONE, ONE)),
    ],
    ids=["the same end", "another password", "another slot", "messages exchanged", "another message"],
)
def test_another_key_slot_message_or_role_opens_nothing(other: PairingKeys) -> None:
    with pytest.raises(DecodeError):
        other.open(keys(Role.INVITER).seal(b"one"))


def test_a_message_opens_in_its_place_alone() -> None:
    inviter, joiner = keys(Role.INVITER), keys(Role.JOINER)
    first, second = inviter.seal(b"one"), inviter.seal(b"two")
    with pytest.raises(DecodeError):
        joiner.open(second)
    assert keys(Role.JOINER).open(first) == b"one"
    again = keys(Role.JOINER)
    again.open(first)
    with pytest.raises(DecodeError):
        again.open(first)


def test_an_end_does_not_open_its_own() -> None:
    inviter = keys(Role.INVITER)
    with pytest.raises(DecodeError):
        inviter.open(inviter.seal(b"one"))


def test_there_are_only_so_many_messages() -> None:
    inviter, joiner = keys(Role.INVITER), keys(Role.JOINER)
    for _ in range(MAX_SEALS):
        joiner.open(inviter.seal(b""))
    with pytest.raises(ValueError, match="more messages"):
        inviter.seal(b"")
    with pytest.raises(DecodeError):
        joiner.open(bytes(16))


def test_both_ends_share_one_key_that_names_both() -> None:
    alice, bob, carol = key_of("alice"), key_of("bob"), key_of("carol")
    shared = keys(Role.INVITER).shared_with(alice, bob)
    assert shared == keys(Role.JOINER).shared_with(bob, alice)
    assert shared not in (keys(Role.INVITER).shared_with(alice, carol), keys(Role.INVITER).shared_with(bob, alice))
    assert len(shared) == 32


def test_the_key_of_the_exchange_is_wiped_and_none_is_shown() -> None:
    exchanged = bytearray(b"\x07" * 32)
    made = PairingKeys(exchanged, handshake_hash(12, ONE, OTHER), Role.INVITER)
    assert exchanged == bytes(32)
    assert repr(made) == "PairingKeys(<redacted>)"
    made.wipe()
    assert made.shared_with(key_of("alice"), key_of("bob")) != keys(Role.INVITER).shared_with(
        key_of("alice"), key_of("bob")
    )
