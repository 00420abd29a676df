import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.mesh import negotiation as nego
from mpcnode.mesh.negotiation import (
    Action,
    Drop,
    GiveUp,
    MakeAnswer,
    MakeOffer,
    Negotiation,
    SendSignal,
    State,
    TakeAnswer,
    TakeCandidate,
)
from mpcnode.mesh.transport import Answer, IceCandidate, MeshTimeouts, Offer, Signal

TIMES = MeshTimeouts()


def offerer() -> Negotiation:
    return Negotiation(offers=True, timeouts=TIMES)


def answerer() -> Negotiation:
    return Negotiation(offers=False, timeouts=TIMES)


def candidate(attempt: int, text: str = "candidate") -> IceCandidate:
    return IceCandidate(text, "0", 0, attempt)


def offered() -> Negotiation:
    one = offerer()
    assert one.start(0.0) == [MakeOffer(1)]
    assert one.described(1, "offer") == [SendSignal(Offer("offer", 1))]
    return one


def established() -> Negotiation:
    one = offered()
    assert one.receive(Answer("answer", 1), 0.0) == [TakeAnswer(1, "answer")]
    assert one.verified(1) == []
    return one


def answering() -> Negotiation:
    other = answerer()
    assert other.start(0.0) == []
    assert other.receive(Offer("offer", 1), 0.0) == [MakeAnswer(1, "offer")]
    return other


def test_a_link_is_set_up_by_one_offer_and_one_answer() -> None:
    assert established().state is State.ESTABLISHED
    other = answering()
    assert other.described(1, "answer") == [SendSignal(Answer("answer", 1))]
    other.verified(1)
    assert other.state is State.ESTABLISHED


def test_an_offer_that_comes_before_its_time_waits() -> None:
    other = answerer()
    assert other.receive(Offer("offer", 1), 0.0) == []
    assert other.receive(candidate(1), 0.0) == []
    assert other.start(1.0) == [MakeAnswer(1, "offer")]
    assert other.described(1, "answer") == [SendSignal(Answer("answer", 1)), TakeCandidate(candidate(1))]


def test_a_candidate_waits_for_the_description() -> None:
    one = offered()
    assert one.receive(candidate(1), 0.0) == []
    assert one.receive(Answer("answer", 1), 0.0) == [TakeAnswer(1, "answer"), TakeCandidate(candidate(1))]
    assert one.receive(candidate(1, "another"), 0.0) == [TakeCandidate(candidate(1, "another"))]


def test_a_candidate_of_a_later_try_waits_for_it() -> None:
    other = answering()
    assert other.receive(candidate(2), 0.0) == []
    assert other.described(1, "answer") == [SendSignal(Answer("answer", 1))]
    assert other.receive(Offer("again", 2), 1.0)[-1] == MakeAnswer(2, "again")
    assert other.described(2, "answer")[-1] == TakeCandidate(candidate(2))


def test_a_try_that_is_not_answered_in_time_is_followed_by_the_next() -> None:
    one = offered()
    assert one.tick(TIMES.attempt - 0.1) == []
    assert one.tick(TIMES.attempt) == [Drop(1, "no answer came"), MakeOffer(2)]


def test_a_channel_that_never_opens_is_built_again() -> None:
    one = offered()
    one.receive(Answer("answer", 1), 0.0)
    assert one.tick(TIMES.attempt) == [Drop(1, "the channel did not open in time"), MakeOffer(2)]


def test_three_tries_are_enough() -> None:
    one, actions = offered(), list[Action]()
    for second in range(1, 100):
        actions += one.tick(float(second))
    assert [action for action in actions if isinstance(action, MakeOffer)] == [MakeOffer(2), MakeOffer(3)]
    assert actions[-1] == GiveUp("the channel did not open in time")
    assert one.state is State.CLOSED


def test_a_try_that_fails_at_once_is_not_repeated_at_once() -> None:
    one = offered()
    assert one.lost(1, "no address", 0.0) == [Drop(1, "no address")]
    assert one.tick(nego.RETRY_PAUSE / 2) == []
    assert one.tick(nego.RETRY_PAUSE) == [MakeOffer(2)]


def test_the_side_that_answers_gives_up_after_all_tries_of_the_other() -> None:
    other = answering()
    other.described(1, "answer")
    assert other.tick(TIMES.all_tries) == []
    assert other.tick(TIMES.all_tries + TIMES.attempt) == [Drop(1, "too late"), GiveUp("no answer came")]


def test_an_established_link_has_no_deadline_and_fresh_tries_when_it_breaks() -> None:
    one = established()
    assert one.tick(1e6) == []
    assert one.lost(1, "cut", 1e6) == [Drop(1, "cut"), MakeOffer(2)]
    one.described(2, "offer")
    assert one.tick(1e6 + TIMES.attempt)[-1] == MakeOffer(3)
    assert one.tick(1e6 + 2 * TIMES.attempt)[-1] == MakeOffer(4)
    assert isinstance(one.tick(1e6 + 3 * TIMES.attempt)[-1], GiveUp)


def test_a_new_offer_replaces_even_an_established_link() -> None:
    other = answering()
    other.described(1, "answer")
    other.verified(1)
    assert other.receive(Offer("again", 2), 9.0) == [Drop(1, "the other side tries again"), MakeAnswer(2, "again")]


@pytest.mark.parametrize("signal", [Answer("late", 1), candidate(1)])
def test_what_belongs_to_an_earlier_try_is_ignored(signal: Signal) -> None:
    one = offered()
    one.tick(TIMES.attempt)
    one.described(2, "again")
    assert one.receive(signal, TIMES.attempt) == []
    assert one.state is State.OFFERED


def test_an_offer_of_an_earlier_try_and_a_second_of_the_same_are_ignored() -> None:
    other = answering()
    assert other.receive(Offer("other", 1), 0.0) == []
    other.receive(Offer("again", 2), 0.0)
    assert other.receive(Offer("offer", 1), 0.0) == []


def test_a_second_answer_is_ignored() -> None:
    one = offered()
    one.receive(Answer("answer", 1), 0.0)
    assert one.receive(Answer("another", 1), 0.0) == []


def test_reports_about_an_earlier_try_are_ignored() -> None:
    one = offered()
    one.tick(TIMES.attempt)
    assert one.described(1, "offer") == []
    assert one.lost(1, "cut", TIMES.attempt) == []
    assert one.verified(1) == []
    assert one.state is State.OFFERING


# The relay repeats, reorders and loses: nothing that it can do is held against the peer.


@pytest.mark.parametrize("attempt", [0, -1, nego.MAX_ATTEMPT + 1])
@pytest.mark.parametrize("kind", [Offer, Answer])
def test_a_number_no_try_has_is_ignored(kind: type[Offer | Answer], attempt: int) -> None:
    for one in (offered(), answering()):
        before = one.state, one.attempt
        assert one.receive(kind("sdp", attempt), 0.0) == []
        assert (one.state, one.attempt) == before


def test_the_side_that_offers_takes_no_offer() -> None:
    one = offered()
    assert one.receive(Offer("offer", 2), 0.0) == []
    assert (one.state, one.attempt, one.heard) == (State.OFFERED, 1, False)


def test_the_side_that_answers_takes_no_answer() -> None:
    other = answering()
    assert other.receive(Answer("answer", 1), 0.0) == []
    assert other.state is State.ANSWERING


def test_an_answer_to_an_offer_never_made_is_ignored() -> None:
    one = offered()
    assert one.receive(Answer("answer", 2), 0.0) == []
    assert one.state is State.OFFERED
    making = offerer()
    making.start(0.0)
    assert making.receive(Answer("answer", 1), 0.0) == []
    assert making.described(1, "offer") == [SendSignal(Offer("offer", 1))]


def test_a_candidate_for_an_offer_never_made_is_ignored() -> None:
    one = offered()
    assert one.receive(candidate(2), 0.0) == []
    one.tick(TIMES.attempt)
    one.described(2, "offer")
    assert one.receive(Answer("answer", 2), TIMES.attempt) == [TakeAnswer(2, "answer")]


@pytest.mark.parametrize("copies", [2, nego.MAX_EARLY * 3])
def test_copies_of_what_waits_are_dropped_before_they_are_counted(copies: int) -> None:
    other = answerer()
    for _ in range(copies):
        assert other.receive(Offer("offer", 1), 0.0) == []
        assert other.receive(candidate(1), 0.0) == []
    assert other.receive(candidate(1, "another"), 0.0) == []
    assert other.start(1.0) == [MakeAnswer(1, "offer")]
    taken = [TakeCandidate(candidate(1)), TakeCandidate(candidate(1, "another"))]
    assert other.described(1, "answer") == [SendSignal(Answer("answer", 1)), *taken]


def test_copies_of_what_was_taken_ask_for_nothing() -> None:
    one = established()
    assert one.receive(candidate(1), 0.0) == [TakeCandidate(candidate(1))]
    for _ in range(nego.MAX_EARLY * 3):
        assert one.receive(candidate(1), 0.0) == []
        assert one.receive(Answer("answer", 1), 0.0) == []
    assert one.receive(candidate(1, "another"), 0.0) == [TakeCandidate(candidate(1, "another"))]


def test_what_waits_is_bounded_and_the_surplus_is_dropped() -> None:
    other = answerer()
    other.receive(Offer("offer", 1), 0.0)
    for number in range(nego.MAX_EARLY * 3):
        assert other.receive(candidate(1, f"number {number}"), 0.0) == []
    assert other.start(1.0) == [MakeAnswer(1, "offer")]
    taken = other.described(1, "answer")
    assert len(taken) == nego.MAX_EARLY
    assert taken[1] == TakeCandidate(candidate(1, "number 0"))


def test_one_try_takes_so_many_candidates_and_the_next_try_begins_anew() -> None:
    one = established()
    taken = [one.receive(candidate(1, f"number {number}"), 0.0) for number in range(nego.MAX_EARLY + 5)]
    assert taken.count([]) == 5
    one.lost(1, "cut", 0.0)
    one.described(2, "offer")
    assert one.receive(Answer("answer", 2), 0.0) == [TakeAnswer(2, "answer")]
    assert one.receive(candidate(2, "number 0"), 0.0) == [TakeCandidate(candidate(2, "number 0"))]


def test_a_silent_peer_is_told_from_one_that_signals() -> None:
    one = offered()
    assert not one.heard
    one.receive(candidate(1), 0.0)
    assert one.heard


def test_an_event_the_table_does_not_list_is_an_error_of_the_program() -> None:
    one = offerer()
    one.start(0.0)
    with pytest.raises(KeyError):
        one.start(0.0)


def test_every_state_can_be_reached_and_left() -> None:
    reached = {target for events in nego.TRANSITIONS.values() for target in events.values()}
    assert reached == set(State) - {State.IDLE}
    assert [state for state, events in nego.TRANSITIONS.items() if not events] == [State.CLOSED]


def carry_out(actions: list[Action], number: int, outbox: list[Signal]) -> Iterator[tuple[str, int]]:
    for action in actions:
        match action:
            case MakeOffer() | MakeAnswer():
                yield "describe", action.attempt
            case SendSignal():
                outbox.append(action.signal)
            case GiveUp():
                raise AssertionError(number)
            case _:
                pass


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_two_sides_meet_on_one_try_whatever_the_relay_loses_at_first(seed: int) -> None:
    order = random.Random(seed)
    sides = (Negotiation(offers=True, timeouts=TIMES), Negotiation(offers=False, timeouts=TIMES))
    boxes: tuple[list[Signal], list[Signal]] = ([], [])
    now, due = 0.0, list[tuple[int, int]]()

    def do(side: int, actions: list[Action]) -> None:
        due.extend((side, attempt) for _, attempt in carry_out(actions, side, boxes[side]))

    for side in order.sample([0, 1], 2):
        do(side, sides[side].start(now))
    while any(side.state is not State.CONNECTING for side in sides) or sides[0].attempt != sides[1].attempt:
        now += 0.1
        assert now < TIMES.all_tries
        while due:
            side, attempt = due.pop(order.randrange(len(due)))
            do(side, sides[side].described(attempt, "sdp"))
        for side in (0, 1):
            if boxes[side] and order.random() < 0.5:
                signal = boxes[side].pop(0)
                if now > TIMES.attempt * 1.5 or order.random() < 0.5:
                    do(1 - side, sides[1 - side].receive(signal, now))
            do(side, sides[side].tick(now))
