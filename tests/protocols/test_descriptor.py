from dataclasses import replace
from typing import Any

import pytest

from mpcnode.crypto.ciphersuite import SUITES
from mpcnode.protocols.descriptor import Member
from mpcnode.types import Identifier, IdentityKey, PeerId, SessionId
from tests.helpers.simulate import descriptor

HONEST = descriptor(2, 3)


def member(i: int, **changes: Any) -> Member:
    return replace(HONEST.roster[i], **changes)


DIFFERENT = {
    "session id": replace(HONEST, session_id=SessionId("0" * 32)),
    "kind": replace(HONEST, kind="sign"),
    "threshold": replace(HONEST, threshold=3),
    "name": replace(HONEST, wallet_name="other"),
    "suites": replace(HONEST, suites=HONEST.suites[:1]),
    "order of suites": replace(HONEST, suites=HONEST.suites[::-1]),
    "total": replace(HONEST, roster=HONEST.roster[:2]),
    "peer id": replace(HONEST, roster=(*HONEST.roster[:2], member(2, peer_id=PeerId("cli04")))),
    "identity key": replace(HONEST, roster=(*HONEST.roster[:2], member(2, identity_key=IdentityKey(bytes(32))))),
    "fresh bytes": replace(HONEST, roster=(*HONEST.roster[:2], member(2, fresh=bytes(32)))),
}


@pytest.mark.parametrize("other", DIFFERENT.values(), ids=DIFFERENT)
def test_whatever_differs_changes_the_context(other: Any) -> None:
    assert other.context != HONEST.context
    assert other.wallet_id != HONEST.wallet_id


def test_the_context_names_the_wallet() -> None:
    assert HONEST.wallet_id == HONEST.context.hex()[:32]
    assert HONEST.context == descriptor(2, 3).context


def test_identifiers_are_positions_from_one() -> None:
    assert HONEST.participants == {1: "cli01", 2: "cli02", 3: "cli03"}
    assert HONEST.total == 3
    for i, name in HONEST.participants.items():
        assert HONEST.identifier(name) == i
        assert HONEST.identity_key(i) == HONEST.identity_keys[name]
    with pytest.raises(ValueError, match="not in list"):
        HONEST.identifier(PeerId("stranger"))
    for nobody in (0, 4, -1):
        with pytest.raises(ValueError, match="identifiers are 1 to 3"):
            HONEST.identity_key(Identifier(nobody))


WRONG: dict[str, dict[str, Any]] = {
    "a threshold of one": {"threshold": 1},
    "a threshold above the total": {"threshold": 4},
    "no suite": {"suites": ()},
    "a suite twice": {"suites": HONEST.suites[:1] * 2},
    "a suite nobody knows": {"suites": ("FROST-P256-SHA256-v1",)},
    "a session id that is none": {"session_id": "xyz"},
    "a wallet name that is a path": {"wallet_name": "../etc"},
    "another version": {"version": 2},
    "no kind": {"kind": ""},
    "an unsorted roster": {"roster": HONEST.roster[::-1]},
    "a participant twice": {"roster": (*HONEST.roster[:2], HONEST.roster[1])},
    "one key for two": {"roster": (*HONEST.roster[:2], member(1, peer_id=PeerId("cli09")))},
    "a peer id that is none": {"roster": (*HONEST.roster[:2], member(2, peer_id=PeerId("x y")))},
    "short fresh bytes": {"roster": (*HONEST.roster[:2], member(2, fresh=bytes(31)))},
    "a short key": {"roster": (*HONEST.roster[:2], member(2, identity_key=IdentityKey(bytes(31))))},
}


@pytest.mark.parametrize("changes", WRONG.values(), ids=WRONG)
def test_what_cannot_be_a_session_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"[a-z]"):
        replace(HONEST, **changes)


def test_every_suite_can_be_named() -> None:
    assert descriptor(2, 2, suites=tuple(SUITES)).suites == tuple(SUITES)
