from dataclasses import replace
from typing import Any

import pytest

from mpcnode.crypto.suites import SUITES
from mpcnode.crypto.transcript import tagged_hash
from mpcnode.protocols.descriptor import Member, context
from mpcnode.types import Identifier, IdentityKey, PeerId, SessionId
from tests.helpers.simulate import descriptor, member

HONEST = descriptor(2, 3)
FRESH = {Identifier(i): bytes([i]) * 32 for i in (1, 2, 3)}


def changed(k: int, **changes: Any) -> tuple[Member, ...]:
    roster = list(HONEST.roster)
    roster[k] = replace(roster[k], **changes)
    return tuple(roster)


def test_the_context_is_of_what_was_agreed_and_of_everybodys_fresh_bytes() -> None:
    fields = [field for i in (1, 2, 3) for field in (i.to_bytes(8, "big"), bytes([i]) * 32)]
    expected = tagged_hash("mpcnode/context/v1", HONEST.agreed, (3).to_bytes(8, "big"), *fields)
    assert context(HONEST.agreed, FRESH) == expected
    assert context(HONEST.agreed, dict(reversed(FRESH.items()))) == expected


@pytest.mark.parametrize(
    ("agreed", "fresh"),
    [
        (bytes(32), FRESH),
        (HONEST.agreed, {**FRESH, Identifier(2): bytes(32)}),
        (HONEST.agreed, {**FRESH, Identifier(4): bytes(32)}),
        (HONEST.agreed, {i: fresh for i, fresh in FRESH.items() if i != 3}),
        (HONEST.agreed, {Identifier(1): FRESH[Identifier(2)], Identifier(2): FRESH[Identifier(1)]}),
    ],
    ids=["agreed", "fresh", "one more", "one less", "swapped"],
)
def test_whatever_differs_changes_the_context(agreed: bytes, fresh: dict[Identifier, bytes]) -> None:
    assert context(agreed, fresh) != context(HONEST.agreed, FRESH)


def test_identifiers_are_those_of_the_members() -> None:
    session = replace(HONEST, roster=tuple(member(i) for i in (2, 7, 64)))
    assert session.participants == {2: "cli02", 7: "cli07", 64: "cli64"}
    assert session.total == 3
    for i, name in session.participants.items():
        assert session.identifier(name) == i
        assert session.identity_key(i) == session.identity_keys[i]
    with pytest.raises(ValueError, match="not among the participants"):
        session.identifier(PeerId("stranger"))
    for nobody in (0, 1, 3, 65, -1):
        with pytest.raises(ValueError, match="not among the participants"):
            session.identity_key(Identifier(nobody))


WRONG: dict[str, dict[str, Any]] = {
    "a threshold of one": {"threshold": 1},
    "a threshold above the total": {"threshold": 4},
    "no suite": {"suites": ()},
    "a suite twice": {"suites": HONEST.suites[:1] * 2},
    "a suite nobody knows": {"suites": ("FROST-P256-SHA256-v1",)},
    "a short session id": {"session_id": SessionId(bytes(15))},
    "a long session id": {"session_id": SessionId(bytes(17))},
    "an agreement that is not a hash": {"agreed": bytes(31)},
    "a wallet name that is a path": {"wallet_name": "../etc"},
    "no kind": {"kind": ""},
    "a kind that is not ASCII": {"kind": "keyg\u00e9n"},
    "an unsorted roster": {"roster": HONEST.roster[::-1]},
    "a participant twice": {"roster": (*HONEST.roster[:2], HONEST.roster[1])},
    "an identifier twice": {"roster": changed(2, identifier=Identifier(2))},
    "an identifier of zero": {"roster": changed(0, identifier=Identifier(0))},
    "an identifier above the limit": {"roster": changed(2, identifier=Identifier(65))},
    "one name for two": {"roster": changed(2, peer_id=HONEST.roster[1].peer_id)},
    "one key for two": {"roster": changed(2, identity_key=HONEST.roster[1].identity_key)},
    "a peer id of another form": {"roster": changed(2, peer_id=PeerId("x y"))},
    "a short key": {"roster": changed(2, identity_key=IdentityKey(bytes(31)))},
    "a participant too few": {"roster": HONEST.roster[:1]},
}


@pytest.mark.parametrize("changes", WRONG.values(), ids=WRONG)
def test_what_cannot_be_a_session_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"[a-z]"):
        replace(HONEST, **changes)


def test_every_suite_can_be_named() -> None:
    assert descriptor(2, 2, suites=tuple(SUITES)).suites == tuple(SUITES)
