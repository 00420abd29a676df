"""What a running session shows and records: its phases, its questions, its progress."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from mpcnode.consent.approval import Consent
from mpcnode.consent.journal import Told
from mpcnode.status import Event, Phase, Progress, Proposed
from mpcnode.types import PeerId


class Phases:
    """Which phase a session is in, told as it changes, and how long each one took.

    Args:
        session_id: in hexadecimal.
        emit: takes progress.
        now: Unix milliseconds.
    """

    def __init__(self, session_id: str, emit: Callable[[Event], None], *, now: Callable[[], int]) -> None:
        self._session_id = session_id
        self._emit = emit
        self._now = now
        self._phase: Phase | None = None
        self._began = 0.0
        self.seconds: dict[str, float] = {}
        """How long each phase took that is over."""

    def enter(self, phase: Phase, waiting_for: tuple[PeerId, ...] = (), *, within: float | None = None) -> None:
        """Be in ``phase``, waiting for these, at most so many seconds."""
        if phase != self._phase:
            self.end()
            self._phase, self._began = phase, asyncio.get_running_loop().time()
        until = None if within is None else self._now() + round(within * 1000)
        self._emit(Progress(self._session_id, phase, waiting_for, until))

    def end(self) -> None:
        """Be in no phase any more."""
        if self._phase is not None:
            took = asyncio.get_running_loop().time() - self._began
            self.seconds[self._phase] = round(self.seconds.get(self._phase, 0.0) + took, 6)
        self._phase = None


@dataclass(slots=True, kw_only=True)
class Stage:
    """One session as its user and the journal see it.

    Args:
        shown: the proposal as people are shown it.
        emit: takes what happens.
        consent: the questions of this session.
        phases: how far it is.
        told: what there is to write down.
    """

    shown: Proposed
    emit: Callable[[Event], None]
    consent: Consent
    phases: Phases
    told: Told = field(default_factory=Told)
