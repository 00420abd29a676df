"""The states of a session, as a table (the model is h11's ``_state.py``).

::

    proposed --approve--> negotiating --all accepted--> connecting --mesh ready--> running --result--> leaving --> done
        |                     |                             |                         |
        +------refuse/fail----+-----------fail--------------+----------fail-----------+--> failed

Everything that may happen to a session is an event here, and an event that is not listed for a state is a mistake of
this program. What a peer does wrong never reaches the table: it is a ``fail`` with an error that says whose fault.
"""

import logging
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from mpcnode.types import SessionId

_log = logging.getLogger(__name__)


class State(Enum):
    """Where a session is."""

    PROPOSED = auto()
    NEGOTIATING = auto()
    CONNECTING = auto()
    RUNNING = auto()
    LEAVING = auto()
    DONE = auto()
    FAILED = auto()


class Happening(Enum):
    """What can happen to it."""

    APPROVED = auto()
    ALL_ACCEPTED = auto()
    MESH_READY = auto()
    RESULT = auto()
    LEFT = auto()
    FAIL = auto()


TRANSITIONS: Final = MappingProxyType(
    {
        State.PROPOSED: {Happening.APPROVED: State.NEGOTIATING, Happening.FAIL: State.FAILED},
        State.NEGOTIATING: {Happening.ALL_ACCEPTED: State.CONNECTING, Happening.FAIL: State.FAILED},
        State.CONNECTING: {Happening.MESH_READY: State.RUNNING, Happening.FAIL: State.FAILED},
        State.RUNNING: {Happening.RESULT: State.LEAVING, Happening.FAIL: State.FAILED},
        # The wallet is active here: a peer that does not hear our last words catches up later, so nothing fails it.
        State.LEAVING: {Happening.LEFT: State.DONE},
        State.DONE: {},
        State.FAILED: {},
    }
)


class SessionState:
    """One session's place in the table; each change is logged."""

    def __init__(self, session_id: SessionId) -> None:
        self._session_id = session_id
        self._state = State.PROPOSED

    @property
    def state(self) -> State:
        """Where the session is."""
        return self._state

    @property
    def over(self) -> bool:
        """Whether nothing can happen any more."""
        return not TRANSITIONS[self._state]

    def on(self, happening: Happening) -> None:
        """Move on.

        Raises:
            KeyError: this cannot happen in this state; a mistake of this program.
        """
        following = TRANSITIONS[self._state][happening]
        _log.debug("session %s: %s -> %s", self._session_id, self._state.name, following.name)
        self._state = following
