from typing import cast

import pytest

from mpcnode.session.services import Services
from mpcnode.session.talk import SIGNAL_LASTS, Talk
from mpcnode.types import Identifier, IdentityKey, PeerId, SessionId
from mpcnode.wire.relay import (
    Acceptance,
    Participant,
    RelayMessage,
    SessionCancel,
    SessionProposal,
    SessionResponse,
    SessionStart,
)
from tests.helpers.identities import key_of
from tests.helpers.table import ANA, BEN, ED25519

NOW = 1_000_000
SESSION = SessionId(b"\x5e" * 16)
CANCEL = SessionCancel(SESSION, "refused", "no")
REFUSAL = SessionResponse(session_id=SESSION, proposal=bytes(32), accepted=False, reason="no")
START = SessionStart(
    session_id=SESSION,
    proposal=bytes(32),
    mesh=SESSION,
    chosen=tuple(Acceptance(identifier=Identifier(i), nonce=bytes(16), signature=bytes(64)) for i in (1, 2)),
    signature=bytes(64),
)
PROPOSAL = SessionProposal(
    session_id=SESSION,
    salt=b"\x99" * 16,
    kind="keygen",
    wallet_name="w",
    threshold=2,
    suites=(ED25519,),
    participants=(
        Participant(Identifier(1), ANA, key_of(ANA)),
        Participant(Identifier(2), BEN, key_of(BEN)),
    ),
    expires=NOW + 5_000,
    answer_within=5_000,
)

Said = SessionProposal | SessionResponse | SessionStart | SessionCancel


class Wire:
    """A relay and links that only note what they are given."""

    def __init__(self) -> None:
        self.relayed: list[tuple[RelayMessage, int, IdentityKey | None]] = []
        self.linked: list[RelayMessage] = []
        self.has_link = True
        self.pool = self
        self.mesh = self
        self.conversations = self

    def now(self) -> int:
        return NOW

    def link_to(self, _peer: PeerId, key: IdentityKey) -> "Wire | None":
        assert key == key_of(BEN)
        return self if self.has_link else None

    def send(
        self, _to: PeerId, message: RelayMessage, *, expires: int | None = None, key: IdentityKey | None = None
    ) -> None:
        if expires is None:
            self.linked.append(message)
        else:
            self.relayed.append((message, expires, key))


@pytest.fixture
def wire() -> Wire:
    return Wire()


def talk(wire: Wire, expires: int = NOW + 5_000) -> Talk:
    return Talk({ANA: key_of(ANA), BEN: key_of(BEN)}, expires=expires, services=cast("Services", wire))


def test_an_answer_goes_back_the_way_its_question_came(wire: Wire) -> None:
    talking = talk(wire)
    talking.say(BEN, CANCEL)
    assert (len(wire.relayed), len(wire.linked)) == (1, 0)
    talking.heard(BEN, by_mesh=True)
    talking.say(BEN, CANCEL)
    assert (len(wire.relayed), len(wire.linked)) == (1, 1)
    talking.heard(BEN, by_mesh=False)
    talking.say(BEN, CANCEL)
    assert (len(wire.relayed), len(wire.linked)) == (2, 1)


def test_a_proposer_believes_in_every_link_and_goes_by_the_server_when_one_is_gone(wire: Wire) -> None:
    talking = talk(wire)
    talking.begin([BEN])
    talking.say(BEN, START)
    wire.has_link = False
    talking.say(BEN, CANCEL)
    assert wire.linked == [START]
    assert [message for message, *_ in wire.relayed] == [CANCEL]


def test_a_proposer_does_not_believe_in_a_link_that_there_is_not(wire: Wire) -> None:
    talking = talk(wire)
    wire.has_link = False
    talking.begin([BEN])
    wire.has_link = True
    talking.say(BEN, PROPOSAL)
    assert not wire.linked
    assert [message for message, *_ in wire.relayed] == [PROPOSAL]


def test_what_is_said_by_relay_goes_by_no_link(wire: Wire) -> None:
    talking = talk(wire)
    talking.begin([BEN])
    talking.relay(BEN, PROPOSAL)
    assert not wire.linked
    assert [message for message, *_ in wire.relayed] == [PROPOSAL]


@pytest.mark.parametrize("message", [CANCEL, REFUSAL, START, PROPOSAL], ids=lambda message: type(message).__name__)
def test_only_the_holder_of_the_roster_s_key_is_told_anything(wire: Wire, message: Said) -> None:
    talk(wire).say(BEN, message)
    assert [key for *_, key in wire.relayed] == [key_of(BEN)]


@pytest.mark.parametrize("message", [CANCEL, REFUSAL, START], ids=lambda message: type(message).__name__)
@pytest.mark.parametrize("expires", [NOW - 100_000, NOW, NOW + 5_000])
def test_a_decision_after_the_time_to_answer_is_not_sent_as_expired(wire: Wire, expires: int, message: Said) -> None:
    talk(wire, expires).say(BEN, message)
    assert [until for _, until, _ in wire.relayed] == [NOW + SIGNAL_LASTS]


def test_a_decision_is_good_for_as_long_as_its_proposal(wire: Wire) -> None:
    talk(wire, NOW + 2 * SIGNAL_LASTS).say(BEN, CANCEL)
    assert [until for _, until, _ in wire.relayed] == [NOW + 2 * SIGNAL_LASTS]


def test_a_proposal_is_good_for_as_long_as_it_says(wire: Wire) -> None:
    talk(wire).relay(BEN, PROPOSAL)
    assert [until for _, until, _ in wire.relayed] == [NOW + 5_000]
