"""The states of one attempt, for every kind of session, as a table (the model is h11's ``_state.py``).

::

    proposed --approved--> negotiating --chosen--> connecting --connected--> running --result--> leaving --left--> done
        |                      |   |                   |                        |
        +------not needed------+---> done              |                        |
        |                      |                       |                        |
        +--------fail----------+---------fail----------+----------fail----------+--> failed

Everything that may happen to an attempt is an event here, and an event that is not listed for a state is a mistake of
this program. What a peer does wrong never reaches the table: it is a ``fail`` with an error that says whose fault.
"""

import logging
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from mpcnode.types import SessionId

_log = logging.getLogger(__name__)


class State(Enum):
    """How far an attempt is."""

    PROPOSED = auto()
    """The answer of this node's user is awaited."""
    NEGOTIATING = auto()
    """The others' answers are awaited, or the proposer's choice."""
    CONNECTING = auto()
    RUNNING = auto()
    LEAVING = auto()
    """The result stands; last words are exchanged."""
    DONE = auto()
    FAILED = auto()


class Event(Enum):
    """What can happen to it."""

    APPROVED = auto()
    CHOSEN = auto()
    NOT_NEEDED = auto()
    CONNECTED = auto()
    RESULT = auto()
    LEFT = auto()
    FAIL = auto()


TRANSITIONS: Final = MappingProxyType(
    {
        State.PROPOSED: {
            Event.APPROVED: State.NEGOTIATING,
            Event.NOT_NEEDED: State.DONE,
            Event.FAIL: State.FAILED,
        },
        State.NEGOTIATING: {
            Event.CHOSEN: State.CONNECTING,
            Event.NOT_NEEDED: State.DONE,
            Event.FAIL: State.FAILED,
        },
        State.CONNECTING: {Event.CONNECTED: State.RUNNING, Event.FAIL: State.FAILED},
        State.RUNNING: {Event.RESULT: State.LEAVING, Event.FAIL: State.FAILED},
        # The result is durable here: a peer that does not hear our last words catches up later, so nothing fails it.
        State.LEAVING: {Event.LEFT: State.DONE},
        State.DONE: {},
        State.FAILED: {},
    }
)


class AttemptState:
    """One attempt's place in the table; each change is logged."""

    def __init__(self, session_id: SessionId) -> None:
        self._session_id = session_id
        self._state = State.PROPOSED

    @property
    def state(self) -> State:
        """Where the attempt is."""
        return self._state

    @property
    def over(self) -> bool:
        """Whether nothing can happen any more."""
        return not TRANSITIONS[self._state]

    def on(self, event: Event) -> None:
        """Move on.

        Raises:
            KeyError: this cannot happen in this state; a mistake of this program.
        """
        following = TRANSITIONS[self._state][event]
        _log.debug("session %s: %s -> %s", self._session_id.hex(), self._state.name, following.name)
        self._state = following
