from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from mpcnode.crypto.ciphersuite import DEFAULT_SUITES, SUITES
from mpcnode.errors import DecodeError, IdentityCheckFailed, Refused
from mpcnode.session.proposal import (
    CLOCK_SKEW,
    check_proposal,
    descriptor_of,
    is_of,
    proposal_hash,
    propose_keygen,
    roster_of,
    session_id_of,
)
from mpcnode.types import IdentityKey, PeerId
from mpcnode.wire.relay import MAX_ANSWER_SECONDS, SessionProposal, SignRequest, encode_message
from tests.helpers.relays import ANA, BEN, CLEO, EVE, NOW, key_of

SALT = bytes.fromhex("5e" * 16)
EXPIRES = int(NOW) + 120
NAMES = (ANA, BEN, CLEO)


def made(*names: PeerId, threshold: int = 2) -> SessionProposal:
    return propose_keygen(
        proposer=(names or NAMES)[0],
        salt=SALT,
        roster={name: key_of(name) for name in names or NAMES},
        threshold=threshold,
        suites=DEFAULT_SUITES,
        wallet_name="treasury",
        now=NOW,
        answer_within=120,
    )


def check(
    proposal: SessionProposal,
    *,
    proposer: PeerId = ANA,
    me: PeerId = BEN,
    my_key: IdentityKey | None = None,
    known_key: Callable[[PeerId], IdentityKey | None] = key_of,
) -> None:
    check_proposal(
        proposal,
        proposer=proposer,
        me=me,
        my_key=my_key or key_of(me),
        known_key=known_key,
        suites=SUITES,
        now=NOW,
    )


def test_a_proposal_is_sorted_whatever_the_order_it_was_made_in() -> None:
    proposal = made(CLEO, ANA, BEN)
    assert proposal.participants == NAMES
    assert proposal.public_keys == tuple(key_of(name).hex() for name in NAMES)
    assert roster_of(proposal) == {name: key_of(name) for name in NAMES}


@pytest.mark.parametrize(("names", "threshold"), [(NAMES, 1), (NAMES, 4), (NAMES, 0), ((ANA,), 1), ((ANA,), 2)])
def test_a_proposal_that_nobody_could_accept_is_not_made(names: tuple[PeerId, ...], threshold: int) -> None:
    with pytest.raises(ValueError, match="threshold and total"):
        made(*names, threshold=threshold)


@pytest.mark.parametrize("me", [BEN, CLEO])
@pytest.mark.parametrize("threshold", [2, 3])
def test_an_honest_proposal_passes_for_everybody_in_it(me: PeerId, threshold: int) -> None:
    check(made(threshold=threshold), me=me)
    check(made(threshold=threshold), me=me, known_key=lambda _: None)  # nobody was introduced yet


def keys(*names: str) -> tuple[str, ...]:
    return tuple(key_of(name).hex() for name in names)


CROOKED: dict[str, dict[str, Any]] = {
    "of kind refresh are not supported": {"kind": "refresh"},
    "in a signing proposal only": {"kind": "sign"},
    "what is to be signed is in": {"sign": SignRequest("88" * 16, 0, "text", ("68656c6c6f",))},
    "names one ciphersuite": {"kind": "sign", "sign": SignRequest("88" * 16, 0, "text", ("68656c6c6f",))},
    "must satisfy": {"threshold": 1},
    "threshold 4": {"threshold": 4},
    "threshold -1": {"threshold": -1},
    "total 65": {"total": 65, "threshold": 65},
    "do not agree": {"total": 2},
    "total do not agree": {"participants": ("ana", "ben")},
    "keys and total do not agree": {"public_keys": keys("ana", "ben")},
    "participants, keys and total": {"public_keys": keys("ana", "ben", "cleo", "eve")},
    "not sorted": {"participants": ("ben", "ana", "cleo"), "public_keys": keys("ben", "ana", "cleo")},
    "stands there twice": {"participants": ("ana", "ben", "ben"), "public_keys": keys("ana", "ben", "cleo")},
    "this node is not": {"participants": ("ana", "cleo", "eve"), "public_keys": keys("ana", "cleo", "eve")},
    "the proposer is not": {"participants": ("ben", "cleo", "eve"), "public_keys": keys("ben", "cleo", "eve")},
    "share one identity key": {"public_keys": keys("ana", "ben", "ben")},
    "not a usable point": {"public_keys": (*keys("ana", "ben"), "00" * 32)},
    "the identity key of cleo": {"public_keys": (*keys("ana", "ben"), "01" + "00" * 31)},
    "ciphersuite FROST-ED448-SHAKE256-v1 is": {"suites": ("FROST-ED25519-SHA512-v1", "FROST-ED448-SHAKE256-v1")},
    "a ciphersuite stands": {"suites": ("FROST-ED25519-SHA512-v1",) * 2},
    "has expired": {"expires": int(NOW) - CLOCK_SKEW},
    "more than a day": {"expires": int(NOW) + MAX_ANSWER_SECONDS + CLOCK_SKEW},
}


@pytest.mark.parametrize("reason", CROOKED)
def test_a_proposal_that_cannot_be_meant_is_refused_and_says_why(reason: str) -> None:
    crooked = msgspec.structs.replace(made(), **CROOKED[reason])
    with pytest.raises(Refused, match=reason):
        check(crooked, known_key=lambda _: None)


def test_a_clock_may_be_wrong_by_minutes() -> None:
    check(msgspec.structs.replace(made(), expires=int(NOW) - CLOCK_SKEW + 1))
    check(msgspec.structs.replace(made(), expires=int(NOW) + MAX_ANSWER_SECONDS + CLOCK_SKEW - 1))


def test_a_proposal_may_be_for_sixty_four() -> None:
    crowd = [PeerId(f"node{number:02}") for number in range(64)]
    check(made(*crowd, threshold=64), proposer=crowd[0], me=crowd[1])


@pytest.mark.parametrize("name", NAMES)
def test_another_key_than_the_one_known_is_an_error_that_names_its_owner(name: PeerId) -> None:
    changed = [key_of(EVE if participant == name else participant).hex() for participant in NAMES]
    with pytest.raises(IdentityCheckFailed) as caught:
        check(msgspec.structs.replace(made(), public_keys=tuple(changed)))
    assert caught.value.culprits == (name,)
    assert caught.value.exit_code == 4


def test_this_nodes_own_key_is_known_to_it_without_being_told() -> None:
    with pytest.raises(IdentityCheckFailed):
        check(made(), my_key=key_of(EVE), known_key=lambda _: None)


def test_a_session_is_its_proposer_s_and_nobody_else_s() -> None:
    proposal = made()
    assert is_of(proposal, key_of(ANA))
    assert not is_of(proposal, key_of(BEN))
    assert not is_of(msgspec.structs.replace(proposal, salt="00" * 16), key_of(ANA))
    ids = {session_id_of(key_of(name), salt) for name in NAMES for salt in (SALT, bytes(16))}
    assert len(ids) == 6
    assert all(len(bytes.fromhex(one)) == 16 for one in ids)


def test_the_hash_covers_every_field() -> None:
    proposal = made()
    changes: list[dict[str, Any]] = [
        {"session_id": "5f" * 16},
        {"salt": "5f" * 16},
        {"kind": "sign"},
        {"total": 4},
        {"threshold": 3},
        {"participants": ("ana", "ben", "eve")},
        {"public_keys": keys("ana", "ben", "eve")},
        {"suites": DEFAULT_SUITES[:1]},
        {"suites": DEFAULT_SUITES[::-1]},
        {"wallet_name": "other"},
        {"expires": EXPIRES + 1},
        {"answer_within": 60.0},
        {"sign": SignRequest("88" * 16, 0, "text", ("68656c6c6f",))},
        {"sign": SignRequest("88" * 16, 0, "hex", ("68656c6c6f",))},
    ]
    assert {name for change in changes for name in change} == set(SessionProposal.__struct_fields__)
    hashes = {proposal_hash(msgspec.structs.replace(proposal, **change)) for change in changes}
    assert len({proposal_hash(proposal), *hashes}) == 1 + len(changes)


def test_the_hash_is_the_same_after_the_wire() -> None:
    proposal = made()
    again = msgspec.json.decode(encode_message(proposal), type=SessionProposal)
    assert proposal_hash(again) == proposal_hash(proposal)


def test_the_descriptor_is_the_proposal_and_everybodys_fresh_bytes() -> None:
    fresh = {name: bytes([number]) * 32 for number, name in enumerate(NAMES)}
    descriptor = descriptor_of(made(), fresh)
    assert descriptor.session_id == session_id_of(key_of(ANA), SALT)
    assert descriptor.threshold == 2
    assert descriptor.wallet_name == "treasury"
    assert descriptor.suites == DEFAULT_SUITES
    assert [(m.peer_id, m.identity_key, m.fresh) for m in descriptor.roster] == [
        (name, key_of(name), fresh[name]) for name in NAMES
    ]
    other = descriptor_of(made(), {**fresh, CLEO: bytes([9]) * 32})
    assert other.context != descriptor.context


@pytest.mark.parametrize("fresh", [{}, {ANA: bytes(32)}, {name: bytes(32) for name in (*NAMES, EVE)}])
def test_without_everybodys_fresh_bytes_there_is_no_descriptor(fresh: dict[PeerId, bytes]) -> None:
    with pytest.raises(DecodeError):
        descriptor_of(made(), fresh)
