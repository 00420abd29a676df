"""The way each participant is talked to: a link that is known to carry, else the server; never anybody else."""

from typing import cast

import pytest

from mpcnode.crypto.suites import DEFAULT_SUITES
from mpcnode.session.services import Services
from mpcnode.session.talk import SIGNAL_LASTS, Talk
from mpcnode.types import Identifier, IdentityKey, PeerId, SessionId
from mpcnode.wire.relay import Acceptance, Participant, RelayMessage, SessionCancel, SessionProposal, SessionStart
from tests.helpers.identities import NOW, key_of

ANA, BEN = PeerId("ana"), PeerId("ben")
SESSION = SessionId(bytes.fromhex("5e" * 16))
CANCEL = SessionCancel(session_id=SESSION, code="refused", reason="no")
START = SessionStart(
    session_id=SESSION,
    proposal=bytes(32),
    mesh=SESSION,
    chosen=tuple(Acceptance(identifier=Identifier(i), nonce=bytes(16), signature=bytes(64)) for i in (1, 2)),
    signature=bytes(64),
)


class Wire:
    """A relay and links that only note what they are given."""

    def __init__(self) -> None:
        self.relayed: list[tuple[RelayMessage, int, IdentityKey | None]] = []
        self.linked: list[RelayMessage] = []
        self.has_link = True
        self.mesh = self.pool = self.conversations = self

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


def talk(wire: Wire, expires: int = NOW + 5000) -> Talk:
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


def test_one_that_begins_believes_in_every_link_there_is_and_in_none_that_is_gone(wire: Wire) -> None:
    talking = talk(wire)
    talking.begin([BEN])
    talking.say(BEN, START)
    wire.has_link = False
    talking.say(BEN, CANCEL)
    assert wire.linked == [START]
    assert [message for message, *_ in wire.relayed] == [CANCEL]


def test_only_the_holder_of_the_roster_s_key_is_told_anything(wire: Wire) -> None:
    talk(wire).say(BEN, CANCEL)
    assert [key for *_, key in wire.relayed] == [key_of(BEN)]


@pytest.mark.parametrize("expires", [NOW - 100_000, NOW, NOW + 5000])
def test_a_decision_after_the_time_to_answer_is_not_sent_as_expired(wire: Wire, expires: int) -> None:
    talk(wire, expires).say(BEN, CANCEL)
    assert [until for _, until, _ in wire.relayed] == [NOW + SIGNAL_LASTS]


def test_a_decision_lasts_as_long_as_the_time_to_answer_where_that_is_longer(wire: Wire) -> None:
    talk(wire, NOW + 2 * SIGNAL_LASTS).say(BEN, START)
    assert [until for _, until, _ in wire.relayed] == [NOW + 2 * SIGNAL_LASTS]


@pytest.mark.parametrize("expires", [NOW - 100_000, NOW + 5000])
def test_a_proposal_is_good_for_as_long_as_it_says(wire: Wire, expires: int) -> None:
    proposal = SessionProposal(
        session_id=SESSION,
        salt=bytes(16),
        kind="keygen",
        wallet_name="w",
        threshold=2,
        suites=DEFAULT_SUITES,
        participants=tuple(Participant(Identifier(i), name, key_of(name)) for i, name in enumerate((ANA, BEN), 1)),
        expires=expires,
        answer_within=5000,
    )
    talk(wire, expires).relay(BEN, proposal)
    assert [until for _, until, _ in wire.relayed] == [expires]


def test_nobody_is_linked_who_was_not_heard_or_asked(wire: Wire) -> None:
    wire.has_link = False
    talking = talk(wire)
    talking.begin([BEN])
    assert talking.linked == set()
