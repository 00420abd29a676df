from typing import cast

import pytest

from mpcnode.session.meshes import Meshes
from mpcnode.session.services import SIGNAL_LASTS, Services
from mpcnode.session.talk import Talk
from mpcnode.types import IdentityKey, PeerId
from mpcnode.wire.relay import RelayMessage, SessionCancel, SessionProposal, SessionStart
from tests.helpers.relays import ANA, BEN, key_of

NOW = 1000.0
CANCEL = SessionCancel("5e" * 16, "refused", "no")
START = SessionStart(session_id="5e" * 16, signers=(ANA, BEN), fresh={ANA: "00" * 32, BEN: "11" * 32}, mesh="5e" * 16)


class Wire:
    """A relay and links that only note what they are given."""

    def __init__(self) -> None:
        self.relayed: list[tuple[RelayMessage, float, IdentityKey | None]] = []
        self.linked: list[RelayMessage] = []
        self.has_link = True
        self.mesh = self
        self.relay = self

    def now(self) -> float:
        return NOW

    def link_to(self, _peer: PeerId, key: IdentityKey) -> "Wire | None":
        assert key == key_of(BEN)
        return self if self.has_link else None

    def send(
        self, _to: PeerId, message: RelayMessage, *, expires: float | None = None, key: IdentityKey | None = None
    ) -> None:
        if expires is None:
            self.linked.append(message)
        else:
            self.relayed.append((message, expires, key))


@pytest.fixture
def wire() -> Wire:
    return Wire()


def talk(wire: Wire, expires: float = NOW + 5) -> Talk:
    services, meshes = cast("Services", wire), cast("Meshes", wire)
    return Talk({ANA: key_of(ANA), BEN: key_of(BEN)}, expires=expires, services=services, meshes=meshes)


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


def test_who_begins_believes_in_every_link_and_a_link_that_is_gone_is_none(wire: Wire) -> None:
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


@pytest.mark.parametrize("expires", [NOW - 100, NOW, NOW + 5])
def test_a_decision_after_the_time_to_answer_is_not_sent_as_expired(wire: Wire, expires: float) -> None:
    talk(wire, expires).say(BEN, CANCEL)
    assert [until for _, until, _ in wire.relayed] == [NOW + SIGNAL_LASTS]


def test_a_proposal_is_good_for_as_long_as_it_says(wire: Wire) -> None:
    proposal = SessionProposal(
        session_id="5e" * 16,
        salt="99" * 16,
        kind="keygen",
        total=2,
        threshold=2,
        participants=(ANA, BEN),
        public_keys=(key_of(ANA).hex(), key_of(BEN).hex()),
        suites=("FROST-ED25519-SHA512-v1",),
        wallet_name="w",
        expires=int(NOW + 5),
        answer_within=5.0,
    )
    talk(wire).relay(BEN, proposal)
    assert [until for _, until, _ in wire.relayed] == [NOW + 5]
