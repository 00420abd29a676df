import itertools
import logging

import pytest

from mpcnode.session.state import TRANSITIONS, AttemptState, Event, State
from mpcnode.types import SessionId

SESSION = SessionId(bytes.fromhex("5e" * 16))
WAY = (
    (State.PROPOSED, Event.APPROVED),
    (State.NEGOTIATING, Event.CHOSEN),
    (State.CONNECTING, Event.CONNECTED),
    (State.RUNNING, Event.RESULT),
    (State.LEAVING, Event.LEFT),
)
LISTED = {(state, event) for state, events in TRANSITIONS.items() for event in events}
UNLISTED = sorted(set(itertools.product(State, Event)) - LISTED, key=str)


def at(state: State) -> AttemptState:
    attempt = AttemptState(SESSION)
    attempt._state = state
    return attempt


def test_an_attempt_goes_from_a_proposal_to_its_end() -> None:
    attempt = AttemptState(SESSION)
    for state, event in WAY:
        assert attempt.state is state
        assert not attempt.over
        attempt.on(event)
    assert attempt.state is State.DONE
    assert attempt.over


@pytest.mark.parametrize("state", [State.PROPOSED, State.NEGOTIATING])
def test_an_attempt_that_is_not_needed_is_done_and_has_not_failed(state: State) -> None:
    attempt = at(state)
    attempt.on(Event.NOT_NEEDED)
    assert attempt.state is State.DONE
    assert attempt.over


def test_only_an_attempt_that_has_not_begun_is_not_needed() -> None:
    assert {state for state, event in LISTED if event is Event.NOT_NEEDED} == {State.PROPOSED, State.NEGOTIATING}


def test_what_fails_before_the_result_stands_fails_the_attempt_and_nothing_fails_it_after() -> None:
    for state in State:
        if Event.FAIL in TRANSITIONS[state]:
            attempt = at(state)
            attempt.on(Event.FAIL)
            assert attempt.state is State.FAILED
            assert attempt.over
    assert {state for state, event in LISTED if event is Event.FAIL} == {state for state, _ in WAY[:4]}


@pytest.mark.parametrize(("state", "event"), UNLISTED)
def test_an_event_that_is_not_listed_for_a_state_is_a_mistake(state: State, event: Event) -> None:
    attempt = at(state)
    with pytest.raises(KeyError):
        attempt.on(event)
    assert attempt.state is state


def test_every_state_has_its_line_and_every_line_leads_to_a_state() -> None:
    assert set(TRANSITIONS) == set(State)
    reached = {following for events in TRANSITIONS.values() for following in events.values()}
    assert reached == set(State) - {State.PROPOSED}
    assert len(LISTED) == 11


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        TRANSITIONS[State.DONE] = {Event.FAIL: State.FAILED}  # type: ignore[index]


def test_every_change_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="mpcnode.session.state"):
        AttemptState(SESSION).on(Event.APPROVED)
    assert caplog.messages == [f"session {SESSION.hex()}: PROPOSED -> NEGOTIATING"]
