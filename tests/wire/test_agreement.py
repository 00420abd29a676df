"""What is hashed and signed while a session is agreed on, spelled out from the tag and the fields."""

from hashlib import sha256
from typing import Any

import msgspec
import pytest

from mpcnode.types import Identifier, IdentityKey, PeerId, SessionId, SuiteId
from mpcnode.wire import agreement
from mpcnode.wire.relay import Acceptance, Participant, SessionProposal

PROPOSAL = SessionProposal(
    session_id=SessionId(b"\x5e" * 16),
    salt=b"\x99" * 16,
    kind="keygen",
    wallet_name="treasury",
    threshold=2,
    suites=(SuiteId("one"), SuiteId("two")),
    participants=(
        Participant(Identifier(1), PeerId("ana"), IdentityKey(b"a" * 32)),
        Participant(Identifier(4), PeerId("ben"), IdentityKey(b"b" * 32)),
    ),
    expires=1_900_000_000_000,
    answer_within=60_000,
    terms=(b"", b"term"),
)
HASH = b"\x22" * 32
MESH = b"\x77" * 16
CHOSEN = (
    Acceptance(identifier=Identifier(1), nonce=b"\x31" * 16, signature=b"\x41" * 64),
    Acceptance(identifier=Identifier(4), nonce=b"\x32" * 16, terms=(b"x", b"yz"), signature=b"\x42" * 64),
)


def tagged(tag: str, *fields: bytes) -> bytes:
    """BIP-340's tagged hash over fields with their lengths, written out once more."""
    prefix = sha256(tag.encode()).digest()
    return sha256(prefix + prefix + b"".join(len(field).to_bytes(8, "big") + field for field in fields)).digest()


def number(value: int) -> bytes:
    return value.to_bytes(8, "big")


def test_a_session_id_is_made_of_its_proposers_key_and_a_salt() -> None:
    key, salt = IdentityKey(b"k" * 32), b"s" * 16
    assert agreement.session_id_of(key, salt) == tagged("mpcnode/session-id/v1", key, salt)[:16]
    assert agreement.session_id_of(IdentityKey(b"l" * 32), salt) != agreement.session_id_of(key, salt)


def test_the_hash_of_a_proposal_is_of_its_fields_in_their_order() -> None:
    assert agreement.proposal_hash(PROPOSAL) == tagged(
        "mpcnode/proposal/v1",
        b"\x5e" * 16,
        b"\x99" * 16,
        b"keygen",
        b"treasury",
        number(2),
        number(2),
        b"one",
        b"two",
        number(2),
        number(1),
        b"ana",
        b"a" * 32,
        number(4),
        b"ben",
        b"b" * 32,
        number(1_900_000_000_000),
        number(60_000),
        number(2),
        b"",
        b"term",
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"session_id": b"\x5f" * 16},
        {"salt": b"\x9a" * 16},
        {"kind": "refresh"},
        {"wallet_name": "treasure"},
        {"threshold": 3},
        {"suites": ("one",)},
        {"suites": ("two", "one")},
        {"suites": ("onetwo",)},
        {"participants": PROPOSAL.participants[:1]},
        {"participants": (PROPOSAL.participants[0], Participant(Identifier(5), PeerId("ben"), IdentityKey(b"b" * 32)))},
        {"participants": (PROPOSAL.participants[0], Participant(Identifier(4), PeerId("bea"), IdentityKey(b"b" * 32)))},
        {"participants": (PROPOSAL.participants[0], Participant(Identifier(4), PeerId("ben"), IdentityKey(b"c" * 32)))},
        {"expires": 1_900_000_000_001},
        {"answer_within": 60_001},
        {"terms": ()},
        {"terms": (b"term",)},
        {"terms": (b"term", b"")},
        {"terms": (b"te", b"rm")},
    ],
    ids=str,
)
def test_every_field_of_a_proposal_is_in_its_hash(changes: dict[str, Any]) -> None:
    assert agreement.proposal_hash(msgspec.structs.replace(PROPOSAL, **changes)) != agreement.proposal_hash(PROPOSAL)


def test_no_two_places_of_a_proposal_can_be_confused() -> None:
    """A suite moved among the terms, a term among the suites: the counts in between tell them apart."""
    one = msgspec.structs.replace(PROPOSAL, suites=(SuiteId("one"),), terms=(b"two",))
    other = msgspec.structs.replace(PROPOSAL, suites=(SuiteId("one"), SuiteId("two")), terms=())
    assert agreement.proposal_hash(one) != agreement.proposal_hash(other)


def test_an_acceptance_signs_the_proposal_its_nonce_and_its_terms() -> None:
    assert agreement.acceptance_fields(HASH, b"\x31" * 16, ()) == (HASH, b"\x31" * 16, number(0))
    assert agreement.acceptance_fields(HASH, b"\x31" * 16, (b"x", b"")) == (HASH, b"\x31" * 16, number(2), b"x", b"")


LISTED = [number(2), number(1), b"\x31" * 16, number(0), number(4), b"\x32" * 16, number(2), b"x", b"yz"]


def test_a_start_signs_the_proposal_the_mesh_and_every_acceptance() -> None:
    assert agreement.start_fields(HASH, MESH, CHOSEN) == (HASH, MESH, *LISTED)


def test_what_was_agreed_on_is_the_proposal_and_every_acceptance_whichever_mesh_carries_it() -> None:
    assert agreement.agreed(HASH, CHOSEN) == tagged("mpcnode/agreed/v1", HASH, *LISTED)
    assert agreement.agreed(HASH, iter(CHOSEN)) == agreement.agreed(HASH, CHOSEN)


@pytest.mark.parametrize("changes", [{"identifier": 2}, {"nonce": b"\x33" * 16}, {"terms": (b"x",)}], ids=str)
def test_another_acceptance_is_another_agreement(changes: dict[str, Any]) -> None:
    other = (msgspec.structs.replace(CHOSEN[0], **changes), CHOSEN[1])
    assert agreement.agreed(HASH, other) != agreement.agreed(HASH, CHOSEN)
    assert agreement.start_fields(HASH, MESH, other) != agreement.start_fields(HASH, MESH, CHOSEN)


def test_a_number_that_no_program_keeps_exactly_is_not_hashed() -> None:
    for changes in ({"expires": 2**53}, {"answer_within": -1}):
        with pytest.raises(ValueError, match="number"):
            agreement.proposal_hash(msgspec.structs.replace(PROPOSAL, **changes))
