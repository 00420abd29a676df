"""The places of an invitation, as a table: who comes, and what they are told."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mpcnode.peers.introductions import guests
from mpcnode.peers.introductions.guests import Guest, Guests
from mpcnode.types import PeerId
from mpcnode.wire.invitation import Invitation
from mpcnode.wire.relay import Join
from tests.helpers.identities import NOW, key_of

ALICE, BOB, CAROL, DAVE = (PeerId(name) for name in ("alice", "bob", "carol", "dave"))
INVITATION = Invitation(
    server="ws://127.0.0.1:9000", room=b"r" * 16, key=key_of("alice"), secret=b"s" * 16, expires=NOW + 1000
)
RIGHT = Join(invitation=b"r" * 16, secret=b"s" * 16)
EVERYBODY = (ALICE, BOB, CAROL, DAVE)


def join(table: Guests, name: PeerId, *, key: str = "", said: Join = RIGHT, **given: Any) -> str | None:
    return table.join(
        name, key_of(key or name), said, now=given.pop("now", NOW), present=given.pop("present", EVERYBODY), **given
    )


def table(places: int = 2) -> Guests:
    return Guests(INVITATION, places=places, me=ALICE)


@pytest.mark.parametrize(
    "said",
    [
        Join(invitation=b"r" * 16, secret=b"S" * 16),
        Join(invitation=b"R" * 16, secret=b"s" * 16),
        Join(invitation=b"s" * 16, secret=b"r" * 16),
    ],
)
def test_without_the_secret_of_this_invitation_nobody_joins(said: Join) -> None:
    one = table()
    assert join(one, BOB, said=said) == guests.WRONG
    assert one.joined == ()


def test_an_invitation_whose_time_is_over_serves_nobody() -> None:
    one = table()
    assert join(one, BOB, now=INVITATION.expires) == guests.EXPIRED
    assert join(one, BOB, now=INVITATION.expires - 1) is None


def test_no_more_join_than_are_missing() -> None:
    one = table()
    assert [join(one, name) for name in (BOB, CAROL, DAVE)] == [None, None, guests.USED_UP]
    assert one.joined == (Guest(BOB, key_of("bob")), Guest(CAROL, key_of("carol")))


def test_one_that_joins_again_has_the_place_that_it_had() -> None:
    one = table()
    assert [join(one, BOB), join(one, BOB)] == [None, None]
    assert len(one.joined) == 1
    assert one.missing(EVERYBODY) == 1


def test_the_same_key_under_two_names_has_one_place() -> None:
    one = table()
    assert join(one, BOB) is None
    assert join(one, CAROL, key="bob") == guests.TWICE
    assert one.joined == (Guest(BOB, key_of("bob")),)


def test_one_that_came_back_under_another_name_has_its_place_under_that_name() -> None:
    one = table()
    assert join(one, BOB) is None
    assert join(one, CAROL, key="bob", present=(ALICE, CAROL)) is None
    assert one.joined == (Guest(CAROL, key_of("bob")),)


def test_two_keys_cannot_have_one_name_whatever_the_server_says() -> None:
    one = table()
    assert join(one, BOB) is None
    assert join(one, BOB, key="carol") == guests.NAME_TAKEN
    assert join(one, BOB, key="carol", present=(ALICE,)) == guests.NAME_TAKEN


def test_nobody_joins_under_the_name_of_the_inviter() -> None:
    assert join(table(), ALICE, key="bob") == guests.NAME_TAKEN


def test_the_place_of_one_that_is_away_goes_to_the_next_who_needs_it() -> None:
    one = table()
    assert [join(one, BOB), join(one, CAROL)] == [None, None]
    assert one.missing((ALICE, CAROL)) == 1
    assert join(one, DAVE, present=(ALICE, CAROL, DAVE)) is None
    assert [guest.peer_id for guest in one.joined] == [CAROL, DAVE]
    assert join(one, BOB) == guests.USED_UP


def test_one_that_was_refused_never_joins_under_any_name() -> None:
    one = table(1)
    assert join(one, BOB) is None
    assert one.refuse(BOB) == Guest(BOB, key_of("bob"))
    assert join(one, BOB) == join(one, CAROL, key="bob") == guests.REFUSED
    assert join(one, CAROL) is None


def test_only_a_guest_is_refused_and_only_before_the_session_begins() -> None:
    one = table(1)
    assert one.refuse(BOB) is None
    assert join(one, BOB) is None
    one.begin()
    assert one.refuse(BOB) is None


def test_the_session_is_proposed_to_the_keys_that_joined_and_nobody_after_that_joins() -> None:
    one = table()
    assert [join(one, BOB), join(one, CAROL)] == [None, None]
    assert one.begin() == {BOB: key_of("bob"), CAROL: key_of("carol")}
    assert join(one, DAVE) == guests.BEGUN
    assert join(one, CAROL) is None, "one that is in it and did not hear the answer"
    assert join(one, DAVE, key="carol") == guests.BEGUN


def test_a_session_does_not_begin_before_all_are_there() -> None:
    one = table()
    join(one, BOB)
    with pytest.raises(ValueError, match="all who were invited"):
        one.begin()


def test_an_invitation_that_was_given_up_serves_nobody() -> None:
    one = table()
    one.end()
    assert join(one, BOB) == guests.OVER


def test_the_secret_is_not_in_what_a_log_would_show() -> None:
    assert b"s".hex() * 16 not in repr(RIGHT) + repr(replace(INVITATION))
    assert "secret" not in str(RIGHT.__rich_repr__())


class Comings(RuleBasedStateMachine):
    """Anybody comes under any name, goes, and is refused, in any order."""

    names = st.sampled_from((BOB, CAROL, DAVE))
    keys = st.sampled_from(("bob", "carol", "dave"))

    def __init__(self) -> None:
        super().__init__()
        self.table = table()
        self.present: set[PeerId] = {ALICE}
        self.out: set[bytes] = set()

    @rule(name=names, key=keys, right=st.booleans())
    def come(self, name: PeerId, key: str, right: bool) -> None:  # noqa: FBT001 -- drawn
        self.present.add(name)
        said = RIGHT if right else Join(invitation=b"r" * 16, secret=b"x" * 16)
        before = self.table.joined
        told = join(self.table, name, key=key, said=said, present=self.present)
        assert (told is None) == (Guest(name, key_of(key)) in self.table.joined and right)
        assert right or self.table.joined == before

    @rule(name=names)
    def go(self, name: PeerId) -> None:
        self.present.discard(name)

    @rule(name=names)
    def refuse(self, name: PeerId) -> None:
        if (guest := self.table.refuse(name)) is not None:
            self.out.add(guest.public_key)

    @rule()
    def begin(self) -> None:
        if len(self.table.joined) == self.table.places:
            assert set(self.table.begin()) == {guest.peer_id for guest in self.table.joined}

    @invariant()
    def each_name_and_key_has_one_place_and_there_are_no_more_places(self) -> None:
        joined = self.table.joined
        assert len(joined) <= self.table.places
        assert len({one.peer_id for one in joined}) == len({one.public_key for one in joined}) == len(joined)
        assert not self.out & {one.public_key for one in joined}


TestComings = Comings.TestCase
TestComings.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
