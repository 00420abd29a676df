"""What is certified of an epoch, and by whom: everything in a statement counts; one signature too few is too few."""

from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from mpcnode.crypto import tags
from mpcnode.crypto.transcript import tagged_hash
from mpcnode.errors import DecodeError
from mpcnode.protocols.descriptor import Member
from mpcnode.protocols.epoch import (
    MAX_ABANDONED,
    Certificate,
    Statement,
    SuiteKeys,
    chain_code_hash_of,
    decode_ready,
    encode_ready,
    wallet_id_of,
)
from mpcnode.types import EpochId, Identifier, IdentityKey, PeerId, SuiteId, WalletId
from tests.helpers.signing import ED25519, PLAIN, TAPROOT
from tests.helpers.simulate import created, name_of, refreshed, signer

ONE = Identifier(1)
FIRST = created(2, 3)[ONE].statement
LATER = refreshed(2, 3)[ONE].statement
KEYS = list(FIRST.identity_keys.values())


def u64(number: int) -> bytes:
    return number.to_bytes(8, "big")


def signed(statement: Statement, *signers: int) -> Certificate:
    made = {}
    for i in signers:
        identity = signer(name_of(i))
        made[identity.public_key] = identity.sign(tags.READY, statement.epoch_id)
    return Certificate(statement.epoch_id, made)


# The statement


def test_the_epoch_id_is_the_hash_of_everything_a_statement_says() -> None:
    statement = replace(LATER, abandoned=(EpochId(bytes(32)), EpochId(b"\x01" * 32)))
    assert statement.previous == FIRST.epoch_id
    fields = [statement.wallet_id, u64(1), FIRST.epoch_id, u64(2), bytes(32), b"\x01" * 32, b"refresh", u64(2), u64(3)]
    for member in statement.roster:
        fields += [u64(member.identifier), member.peer_id.encode(), member.identity_key]
    fields.append(u64(2))
    for keys in statement.suites:
        fields += [keys.suite.encode(), keys.group_public_key, u64(3), *keys.verifying_shares]
    fields += [statement.chain_code_hash, statement.transcript]
    assert statement.epoch_id == tagged_hash("mpcnode/epoch/v1", *fields)
    assert FIRST.epoch_id != statement.epoch_id


def member(k: int, **changes: Any) -> tuple[Member, ...]:
    roster = list(LATER.roster)
    roster[k] = replace(roster[k], **changes)
    return tuple(roster)


def keys_of(k: int, **changes: Any) -> tuple[SuiteKeys, ...]:
    suites = list(LATER.suites)
    suites[k] = replace(suites[k], **changes)
    return tuple(suites)


SHARES = LATER.suites[0].verifying_shares
OTHER = FIRST.suites[0].verifying_shares[0]
DIFFERENT: dict[str, dict[str, Any]] = {
    "wallet": {"wallet_id": WalletId(bytes(16))},
    "number": {"number": 2},
    "previous": {"previous": EpochId(bytes(32))},
    "abandoned": {"abandoned": (EpochId(bytes(32)),)},
    "kind": {"kind": "reshare"},
    "threshold": {"threshold": 3},
    "identifier": {"roster": member(2, identifier=Identifier(4))},
    "name": {"roster": member(1, peer_id=PeerId("other"))},
    "identity": {"roster": member(1, identity_key=IdentityKey(bytes(32)))},
    "one suite": {"suites": LATER.suites[:1]},
    "order of suites": {"suites": LATER.suites[::-1]},
    "group key": {"suites": keys_of(0, group_public_key=OTHER)},
    "a share": {"suites": keys_of(0, verifying_shares=(OTHER, *SHARES[1:]))},
    "order of shares": {"suites": keys_of(0, verifying_shares=SHARES[::-1])},
    "suite": {"suites": keys_of(1, suite=PLAIN)},
    "chain code": {"chain_code_hash": bytes(32)},
    "transcript": {"transcript": bytes(32)},
}


def test_everything_in_a_statement_changes_the_epoch_id() -> None:
    epochs = {replace(LATER, **changes).epoch_id for changes in DIFFERENT.values()}
    assert len({LATER.epoch_id, FIRST.epoch_id, *epochs}) == len(DIFFERENT) + 2
    assert replace(LATER).epoch_id == LATER.epoch_id


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a short wallet id": ({"wallet_id": WalletId(bytes(15))}, "16 bytes"),
    "a negative number": ({"number": -1}, "number"),
    "a number above the limit": ({"number": 2**53}, "number"),
    "a later epoch without a previous one": ({"previous": None}, "no epoch before it"),
    "a first epoch with a previous one": ({"number": 0}, "no epoch before it"),
    "a short previous id": ({"previous": EpochId(bytes(31))}, "32 bytes"),
    "a short abandoned id": ({"abandoned": (EpochId(bytes(31)),)}, "32 bytes"),
    "unsorted abandoned ids": ({"abandoned": (EpochId(b"\x01" * 32), EpochId(bytes(32)))}, "sorted"),
    "an abandoned id twice": ({"abandoned": (EpochId(bytes(32)),) * 2}, "each once"),
    "too many abandoned": (
        {"abandoned": tuple(EpochId(bytes([k]) * 32) for k in range(MAX_ABANDONED + 1))},
        "at most",
    ),
    "no kind": ({"kind": ""}, "kind"),
    "a kind that is not ASCII": ({"kind": "\u00e9"}, "kind"),
    "a threshold of one": ({"threshold": 1}, "threshold"),
    "a threshold above the total": ({"threshold": 4}, "threshold"),
    "an unsorted roster": ({"roster": LATER.roster[::-1]}, "sorted"),
    "one name for two": ({"roster": member(1, peer_id=LATER.roster[0].peer_id)}, "one peer id"),
    "one key for two": ({"roster": member(1, identity_key=LATER.roster[0].identity_key)}, "one identity key"),
    "no suite": ({"suites": ()}, "at least one suite"),
    "a suite twice": ({"suites": (LATER.suites[0], LATER.suites[0])}, "each once"),
    "a share too few": ({"suites": keys_of(0, verifying_shares=SHARES[:2])}, "one verifying share"),
    "a share too many": ({"suites": keys_of(0, verifying_shares=(*SHARES, OTHER))}, "one verifying share"),
    "a short chain code hash": ({"chain_code_hash": bytes(31)}, "32 bytes"),
    "a short transcript": ({"transcript": bytes(31)}, "32 bytes"),
}


@pytest.mark.parametrize(("changes", "match"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_an_epoch_is_refused(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        replace(LATER, **changes)


def test_a_first_epoch_abandons_none() -> None:
    with pytest.raises(ValueError, match="abandons none"):
        replace(FIRST, abandoned=(EpochId(bytes(32)),))


@pytest.mark.parametrize("suite", [ED25519, TAPROOT])
@pytest.mark.parametrize(
    "key", [b"", bytes(32), bytes(33), b"\x01" + bytes(31), b"\xff" * 32], ids=lambda key: key.hex()
)
def test_a_key_that_is_not_an_element_is_refused(suite: SuiteId, key: bytes) -> None:
    good = LATER.keys(suite)
    with pytest.raises(ValueError, match=r"element|point"):
        replace(good, group_public_key=key)
    with pytest.raises(ValueError, match=r"element|point"):
        replace(good, verifying_shares=(*good.verifying_shares[:2], key))


def test_a_suite_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="one of those we know"):
        SuiteKeys(SuiteId("FROST-P256-SHA256-v1"), b"", ())


def test_a_statement_knows_its_participants_and_keys() -> None:
    assert FIRST.participants == {1: "cli01", 2: "cli02", 3: "cli03"}
    for one in FIRST.roster:
        assert FIRST.member(one.peer_id) == one
        assert FIRST.identity_keys[one.identifier] == one.identity_key
    assert FIRST.keys(ED25519) == FIRST.suites[0]
    with pytest.raises(ValueError, match="not among the participants"):
        FIRST.member(PeerId("stranger"))
    with pytest.raises(ValueError, match="no key of this suite"):
        FIRST.keys(PLAIN)


def test_ids_and_hashes_are_of_one_purpose_each() -> None:
    context = bytes(range(32))
    assert wallet_id_of(context) == tagged_hash("mpcnode/wallet-id/v1", context)[:16]
    assert chain_code_hash_of(bytearray(context)) == tagged_hash("mpcnode/chain-code/v1", context)


# What follows what


def test_a_refreshed_epoch_follows_the_one_before() -> None:
    LATER.check_follows(FIRST)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"previous": EpochId(bytes(32))}, "does not follow"),
        ({"number": 2}, "does not follow"),
        ({"wallet_id": WalletId(bytes(16))}, "different wallets"),
        ({"suites": LATER.suites[:1]}, "suites and group public keys"),
        ({"suites": LATER.suites[::-1]}, "suites and group public keys"),
        ({"suites": keys_of(0, group_public_key=OTHER)}, "suites and group public keys"),
        ({"suites": keys_of(1, suite=PLAIN)}, "suites and group public keys"),
        ({"chain_code_hash": bytes(32)}, "chain code"),
    ],
)
def test_an_epoch_that_changes_what_a_wallet_keeps_follows_nothing(changes: dict[str, Any], match: str) -> None:
    changed = replace(LATER, **changes)
    with pytest.raises(ValueError, match=match):
        changed.check_follows(FIRST)
    assert not signed(changed, 1, 2, 3).complete_for(changed, FIRST)


def test_what_a_later_epoch_may_change_it_may_change() -> None:
    changed = replace(LATER, threshold=3, kind="reshare", abandoned=(EpochId(bytes(32)),), transcript=bytes(32))
    changed.check_follows(FIRST)
    assert signed(changed, 1, 2, 3).complete_for(changed, FIRST)


# The certificate


def test_everybodys_signatures_are_a_certificate() -> None:
    full = signed(FIRST, 1, 2, 3)
    assert full.complete_for(FIRST, None)
    assert full.valid_signers(KEYS) == set(KEYS)
    assert signed(LATER, 1, 2, 3).complete_for(LATER, FIRST)


def test_one_signature_too_few_certifies_nothing() -> None:
    for some in [(), *combinations((1, 2, 3), 1), *combinations((1, 2, 3), 2)]:
        assert not signed(FIRST, *some).complete_for(FIRST, None)
        assert not signed(LATER, *some).complete_for(LATER, FIRST)
        assert signed(FIRST, *some).valid_signers(KEYS) == {KEYS[i - 1] for i in some}


def test_a_certificate_is_about_one_epoch() -> None:
    assert not signed(FIRST, 1, 2, 3).complete_for(LATER, FIRST)
    assert not signed(LATER, 1, 2, 3).complete_for(FIRST, None)
    # The signatures of one epoch under the id of another.
    moved = Certificate(LATER.epoch_id, signed(FIRST, 1, 2, 3).signatures)
    assert not moved.complete_for(LATER, FIRST)
    assert moved.valid_signers(KEYS) == frozenset()


def test_a_later_epoch_is_certified_beside_the_one_before_and_a_first_one_alone() -> None:
    assert not signed(LATER, 1, 2, 3).complete_for(LATER, None)
    assert not signed(FIRST, 1, 2, 3).complete_for(FIRST, LATER)
    assert not signed(LATER, 1, 2, 3).complete_for(LATER, LATER)


NEW = tuple(Member(Identifier(i), name_of(i), signer(name_of(i)).public_key) for i in (3, 4, 5))
RESHARED = replace(LATER, roster=NEW, kind="reshare")


@pytest.mark.parametrize(
    ("signers", "complete"),
    [
        ((3, 4, 5), False),
        ((1, 3, 4, 5), True),
        ((1, 2, 3, 4, 5), True),
        ((1, 2, 3), False),
        ((1, 2, 3, 4), False),
        ((1, 2, 4, 5), False),
        ((1, 3, 4, 5, 6), False),
    ],
    ids=str,
)
def test_a_later_epoch_takes_all_its_participants_and_a_threshold_of_those_before(
    signers: tuple[int, ...],
    complete: bool,  # noqa: FBT001 (a column of the table)
) -> None:
    assert signed(RESHARED, *signers).complete_for(RESHARED, FIRST) == complete


def test_the_signatures_of_those_before_count_with_their_keys_of_then() -> None:
    # Participant 1 has another identity now; the epoch before knows only the old one.
    moved = replace(LATER, roster=member(0, identity_key=signer("new identity").public_key))
    certificate = signed(moved, 2, 3)
    own = {signer("new identity").public_key: signer("new identity").sign(tags.READY, moved.epoch_id)}
    both = Certificate(moved.epoch_id, {**certificate.signatures, **own})
    assert both.complete_for(moved, FIRST)
    stricter = replace(FIRST, threshold=3)
    moved = replace(moved, previous=stricter.epoch_id)
    certificate = signed(moved, 2, 3)
    own = {signer("new identity").public_key: signer("new identity").sign(tags.READY, moved.epoch_id)}
    both = Certificate(moved.epoch_id, {**certificate.signatures, **own})
    assert not both.complete_for(moved, stricter)


def test_a_strangers_signature_makes_it_incomplete() -> None:
    assert not signed(FIRST, 1, 2, 3, 9).complete_for(FIRST, None)
    assert signed(FIRST, 1, 2, 3, 9).valid_signers(KEYS) == set(KEYS)


def test_a_signature_under_another_key_purpose_or_epoch_does_not_count() -> None:
    full = signed(FIRST, 1, 2, 3)
    one = signer("cli01")
    wrong = [
        full.signatures[KEYS[1]],
        one.sign(tags.REGISTER, FIRST.epoch_id),
        one.sign(tags.READY, bytes(32)),
        one.sign(tags.READY, FIRST.epoch_id, b""),
        bytes(64),
    ]
    for signature in wrong:
        certificate = replace(full, signatures={**full.signatures, KEYS[0]: signature})
        assert not certificate.complete_for(FIRST, None)
        assert certificate.valid_signers(KEYS) == set(KEYS[1:])


def test_partial_sets_grow_together() -> None:
    assert signed(FIRST, 1).merge(signed(FIRST, 3), KEYS) == signed(FIRST, 3, 1)
    assert signed(FIRST, 1, 2).merge(signed(FIRST, 2, 3), KEYS) == signed(FIRST, 1, 2, 3)


def test_an_invalid_or_a_strangers_signature_is_never_merged() -> None:
    forged = Certificate(FIRST.epoch_id, {**signed(FIRST, 2, 9).signatures, KEYS[0]: bytes(64)})
    assert signed(FIRST, 1).merge(forged, KEYS) == signed(FIRST, 1, 2)
    assert forged.merge(signed(FIRST, 1), KEYS) == signed(FIRST, 1, 2)


def test_signatures_over_another_epoch_are_not_merged() -> None:
    with pytest.raises(ValueError, match="different epochs"):
        signed(FIRST, 1).merge(signed(LATER, 2), KEYS)


def test_signatures_are_kept_sorted_by_key_and_cannot_be_changed() -> None:
    certificate = signed(FIRST, 3, 1, 2)
    assert list(certificate.signatures) == sorted(KEYS)
    with pytest.raises(TypeError):
        certificate.signatures[KEYS[0]] = bytes(64)  # type: ignore[index]


def test_a_certificate_of_wrong_sizes_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Certificate(EpochId(bytes(31)), {})
    with pytest.raises(ValueError, match="64 bytes"):
        Certificate(FIRST.epoch_id, {KEYS[0]: bytes(63)})
    with pytest.raises(ValueError, match="identity key is 32 bytes"):
        Certificate(FIRST.epoch_id, {IdentityKey(bytes(31)): bytes(64)})


def test_a_ready_message_comes_back_and_has_one_length() -> None:
    assert decode_ready(encode_ready(FIRST.epoch_id, bytes(64))) == (FIRST.epoch_id, bytes(64))
    for size in (0, 95, 97):
        with pytest.raises(DecodeError, match="96 bytes"):
            decode_ready(bytes(size))
