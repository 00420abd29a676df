"""Who holds a place for a session, which ids are remembered, and how often something is allowed."""

import pytest

from mpcnode.session.allowance import Allowance
from mpcnode.session.places import MAX_KNOWN, MAX_REMEMBERED, MAX_STRANGER, MAX_STRANGERS, Over, Places
from mpcnode.session.policy import HOUR
from mpcnode.types import IdentityKey, PeerId, SessionId

NOW = 1_800_000_000
BEN = PeerId("ben")


def key(number: int) -> IdentityKey:
    return IdentityKey(number.to_bytes(32, "big"))


def session(number: int) -> SessionId:
    return SessionId(f"{number:032x}")


@pytest.mark.parametrize(("known", "most"), [(False, MAX_STRANGER), (True, MAX_KNOWN)])
def test_nobody_holds_more_places_than_its_own_whatever_it_calls_itself(*, known: bool, most: int) -> None:
    places = Places()
    for number in range(most):
        assert places.hindrance(BEN, key(1), known=known) is None
        places.take(session(number), key(1), known=known)
    reason = places.hindrance(PeerId("another-name"), key(1), known=known)
    assert reason == f"{most} sessions that another-name proposed are under way at this node already"
    places.free(session(0))
    assert places.hindrance(BEN, key(1), known=known) is None


def test_strangers_together_hold_a_few_and_none_of_those_of_anybody_known() -> None:
    places = Places()
    for number in range(MAX_STRANGERS):
        assert places.hindrance(BEN, key(number), known=False) is None
        places.take(session(number), key(number), known=False)
    assert places.hindrance(BEN, key(98), known=False) == "this node is busy with other sessions"
    for number in range(100, 120):
        assert places.hindrance(BEN, key(number), known=True) is None
        places.take(session(number), key(number), known=True)


def test_those_that_are_known_hold_none_of_the_strangers() -> None:
    places = Places()
    for number in range(20):
        places.take(session(number), key(number), known=True)
    assert places.hindrance(BEN, key(99), known=False) is None


def test_what_has_no_place_is_freed_without_harm() -> None:
    Places().free(session(1))


def test_what_was_refused_pushes_out_nothing_that_ran() -> None:
    over = Over()
    over.ran(session(1))
    for number in range(2, MAX_REMEMBERED + 10):
        over.refused(session(number))
    assert session(1) in over
    assert session(MAX_REMEMBERED + 9) in over
    assert session(2) not in over
    for number in range(10_000, 10_000 + MAX_REMEMBERED):
        over.ran(session(number))
    assert session(1) not in over
    assert session(10_000) in over


def test_an_allowance_is_each_sender_s_and_everybody_s_and_comes_back_after_an_hour() -> None:
    allowance = Allowance(each=2, total=3)
    assert [allowance.take("a", NOW) for _ in range(3)] == [True, True, False]
    assert [allowance.take(sender, NOW + 1) for sender in "bc"] == [True, False]
    assert not allowance.take("a", NOW + HOUR - 1)
    assert allowance.take("a", NOW + HOUR)


def test_an_allowance_is_not_used_up_for_good_by_a_clock_that_was_wrong() -> None:
    allowance = Allowance(each=1, total=1)
    assert allowance.take("a", NOW + 1000 * HOUR)
    assert allowance.take("a", NOW)
