import itertools
import logging

import pytest

from mpcnode.session.state import TRANSITIONS, Happening, SessionState, State
from mpcnode.types import SessionId

SESSION = SessionId("5e" * 16)
WAY = (
    (State.PROPOSED, Happening.APPROVED),
    (State.NEGOTIATING, Happening.ALL_ACCEPTED),
    (State.CONNECTING, Happening.MESH_READY),
    (State.RUNNING, Happening.RESULT),
    (State.LEAVING, Happening.LEFT),
)
LISTED = {(state, happening) for state, events in TRANSITIONS.items() for happening in events}
UNLISTED = sorted(set(itertools.product(State, Happening)) - LISTED, key=str)


def at(state: State) -> SessionState:
    session = SessionState(SESSION)
    session._state = state
    return session


def test_a_session_goes_from_a_proposal_to_its_end() -> None:
    session = SessionState(SESSION)
    for state, happening in WAY:
        assert session.state is state
        assert not session.over
        session.on(happening)
    assert session.state is State.DONE
    assert session.over


def test_whatever_fails_before_the_wallet_is_active_fails_the_session() -> None:
    for state in State:
        if Happening.FAIL in TRANSITIONS[state]:
            session = at(state)
            session.on(Happening.FAIL)
            assert session.state is State.FAILED
            assert session.over
    assert {state for state, happening in LISTED if happening is Happening.FAIL} == {state for state, _ in WAY[:4]}


@pytest.mark.parametrize(("state", "happening"), UNLISTED)
def test_an_event_that_is_not_listed_for_a_state_is_a_mistake(state: State, happening: Happening) -> None:
    session = at(state)
    with pytest.raises(KeyError):
        session.on(happening)
    assert session.state is state


def test_every_state_has_its_line_and_every_line_leads_to_a_state() -> None:
    assert set(TRANSITIONS) == set(State)
    reached = {following for events in TRANSITIONS.values() for following in events.values()}
    assert reached == set(State) - {State.PROPOSED}
    assert len(LISTED) == 9


def test_every_change_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="mpcnode.session.state"):
        SessionState(SESSION).on(Happening.APPROVED)
    assert caplog.messages == [f"session {SESSION}: PROPOSED -> NEGOTIATING"]
