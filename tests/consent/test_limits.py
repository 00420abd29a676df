"""How much others can have this node do: places, claims, early messages, ended sessions, and how often."""

import pytest

from mpcnode.consent.limits import (
    HOUR,
    MAX_EARLY,
    MAX_EARLY_SENDERS,
    MAX_KNOWN,
    MAX_REMEMBERED,
    MAX_STRANGER,
    MAX_STRANGERS,
    Allowance,
    Claims,
    Early,
    Over,
    Places,
)
from mpcnode.errors import Refused
from mpcnode.types import IdentityKey, PeerId, SessionId

NOW = 1_800_000_000_000
BEN = PeerId("ben")


def key(number: int) -> IdentityKey:
    return IdentityKey(number.to_bytes(32, "big"))


def session(number: int) -> SessionId:
    return SessionId(number.to_bytes(16, "big"))


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


def test_of_those_that_ran_only_so_many_are_remembered() -> None:
    over = Over()
    for number in range(MAX_REMEMBERED + 1):
        over.ran(session(number))
    assert [session(number) in over for number in (0, 1, MAX_REMEMBERED)] == [False, True, True]


# --- what only one session may make ---


def test_what_one_session_makes_no_other_makes() -> None:
    claims = Claims()
    claims.take("a wallet named treasury", session(1))
    assert claims.held("a wallet named treasury")
    with pytest.raises(Refused, match="another session at this node makes a wallet named treasury already"):
        claims.take("a wallet named treasury", session(2))
    claims.take("a wallet named other", session(2))


def test_a_session_may_claim_again_what_it_has() -> None:
    claims = Claims()
    for _ in range(2):
        claims.take("a wallet named treasury", session(1))


def test_what_a_session_made_is_free_when_it_is_over_and_nothing_of_another_is() -> None:
    claims = Claims()
    claims.take("a wallet named treasury", session(1))
    claims.take("new shares of wallet ab", session(1))
    claims.take("a wallet named other", session(2))
    claims.free(session(3))
    assert claims.held("a wallet named treasury")
    claims.free(session(1))
    assert not claims.held("a wallet named treasury")
    assert not claims.held("new shares of wallet ab")
    assert claims.held("a wallet named other")
    claims.take("a wallet named treasury", session(4))


def test_a_claim_that_was_refused_took_nothing_away() -> None:
    claims = Claims()
    claims.take("a wallet named treasury", session(1))
    with pytest.raises(Refused):
        claims.take("a wallet named treasury", session(2))
    claims.free(session(2))
    assert claims.held("a wallet named treasury")


# --- what comes too early ---


def test_what_came_early_is_handed_on_in_order_and_once() -> None:
    early: Early[str] = Early()
    for sender, number, message in ((1, 5, "a"), (2, 5, "b"), (1, 6, "other"), (1, 5, "c")):
        early.keep(key(sender), session(number), message)
    taken = early.take(session(5))
    assert sorted(taken) == ["a", "b", "c"]
    assert taken.index("a") < taken.index("c")
    assert early.take(session(5)) == []
    assert early.take(session(6)) == ["other"]


def test_each_sender_has_room_of_its_own_and_its_oldest_message_makes_room() -> None:
    early: Early[int] = Early()
    early.keep(key(1), session(1), -1)
    for number in range(MAX_EARLY + 3):
        early.keep(key(2), session(1), number)
    assert early.take(session(1)) == [-1, *range(3, MAX_EARLY + 3)]


def test_of_too_many_senders_the_one_that_was_quiet_longest_makes_room() -> None:
    early: Early[int] = Early()
    for number in range(MAX_EARLY_SENDERS):
        early.keep(key(number), session(1), number)
    early.keep(key(0), session(1), 0)  # not quiet any more
    early.keep(key(999), session(1), 999)
    taken = early.take(session(1))
    assert 1 not in taken
    assert {0, 2, 999} <= set(taken)
    assert len(set(taken)) == MAX_EARLY_SENDERS


def test_a_sender_whose_messages_were_all_handed_on_takes_no_room() -> None:
    early: Early[int] = Early()
    for number in range(1, MAX_EARLY_SENDERS):
        early.keep(key(number), session(2), number)
    early.keep(key(0), session(1), 0)
    early.take(session(1))
    early.keep(key(999), session(2), 999)
    assert early.take(session(2)) == [*range(1, MAX_EARLY_SENDERS), 999]


# --- how often ---


def test_an_allowance_is_each_sender_s_and_everybody_s_and_comes_back_after_an_hour() -> None:
    allowance = Allowance(each=2, total=3)
    assert [allowance.take("a", NOW) for _ in range(3)] == [True, True, False]
    assert [allowance.take(sender, NOW + 1) for sender in "bc"] == [True, False]
    assert not allowance.take("a", NOW + HOUR - 1)
    assert allowance.take("a", NOW + HOUR)


def test_new_identity_keys_make_no_room() -> None:
    allowance = Allowance(each=2, total=3)
    assert [allowance.take(f"{number}", NOW) for number in range(5)] == [True] * 3 + [False] * 2


def test_strangers_begin_no_more_sessions_than_they_may_and_known_ones_any_number() -> None:
    left = [True, False]
    places = Places(lambda: left.pop(0))
    assert places.hindrance(BEN, key(1), known=False) is None
    assert places.hindrance(BEN, key(1), known=False) == "this node began too many sessions of strangers just now"
    assert places.hindrance(BEN, key(1), known=True) is None


def test_what_was_not_allowed_is_not_counted() -> None:
    allowance = Allowance(each=1, total=2)
    assert [allowance.take(sender, NOW) for sender in "aaab"] == [True, False, False, True]
