"""Which phase a session is in, told as it changes, and how long each one took."""

import asyncio
from collections.abc import Callable

from mpcnode.status import Event, Phase, Progress
from mpcnode.types import PeerId, SessionId


class Phases:
    """The phases of one session.

    Args:
        session_id: which.
        emit: takes progress.
    """

    def __init__(self, session_id: SessionId, emit: Callable[[Event], None]) -> None:
        self._session_id = session_id
        self._emit = emit
        self._phase: Phase | None = None
        self._began = 0.0
        self.seconds: dict[str, float] = {}
        """How long each phase took that is over."""

    def enter(self, phase: Phase, waiting_for: tuple[PeerId, ...] = ()) -> None:
        """Be in ``phase``, waiting for these."""
        if phase != self._phase:
            self.end()
            self._phase, self._began = phase, asyncio.get_running_loop().time()
        self._emit(Progress(self._session_id, phase, waiting_for))

    def end(self) -> None:
        """Be in no phase any more."""
        if self._phase is not None:
            took = asyncio.get_running_loop().time() - self._began
            self.seconds[self._phase] = round(self.seconds.get(self._phase, 0.0) + took, 6)
        self._phase = None
