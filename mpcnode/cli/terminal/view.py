"""What sessions look like so far: a pure fold over status events, for the code that draws it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, get_args

from mpcnode import status

Mark = Literal["done", "waiting", "failed", "ahead"]

PHASES: Final[tuple[status.Phase, ...]] = get_args(status.Phase)
PHASES_OF: Final[Mapping[str, tuple[status.Phase, ...]]] = {
    "keygen": tuple(phase for phase in PHASES if phase not in {"agreeing", "signing"}),
    "refresh": (
        "negotiating",
        "connecting",
        "committing",
        "revealing",
        "sharing",
        "storing",
        "certifying",
        "leaving",
    ),
    "sign": ("negotiating", "connecting", "committing", "agreeing", "signing"),
}
STEPS: Final[Mapping[status.Phase, tuple[str, str]]] = {  # what a participant does, and what it did
    "introducing": ("says hello", "said hello"),
    "negotiating": ("answers", "answered"),
    "connecting": ("connects", "connected"),
    "committing": ("commits", "committed"),
    "revealing": ("reveals", "revealed"),
    "confirming": ("compares the words", "compared the words"),
    "sharing": ("sends its share", "sent its share"),
    "storing": ("stores its share", "stored its share"),
    "certifying": ("confirms", "confirmed"),
    "agreeing": ("agrees", "agreed"),
    "signing": ("signs", "signed"),
    "leaving": ("says goodbye", "said goodbye"),
}


@dataclass(frozen=True, slots=True)
class SessionView:
    """One session: how far each participant is, what it waits for, and until when."""

    proposal: status.Proposed
    phase: status.Phase | None = None
    waiting_for: frozenset[str] = frozenset()
    until: int | None = None
    """When the present wait ends, Unix milliseconds, where that is known."""
    answers: Mapping[str, bool] = field(default_factory=dict)
    links: Mapping[tuple[str, str], str] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    compared: bool = False
    """Whether a user compares the words in this session, or did."""
    ended: status.SessionEnded | None = None

    @property
    def phases(self) -> tuple[status.Phase, ...]:
        """The phases of this kind of session, in order."""
        return PHASES_OF.get(self.proposal.kind, PHASES)

    def mark(self, participant: str, phase: status.Phase) -> Mark:
        """Where ``participant`` stands in ``phase``."""
        if self.ended is not None and self.ended.error is None:
            return "done" if participant in self._through else self._left_out(participant, phase)
        if self.phase is None or PHASES.index(phase) > PHASES.index(self.phase):
            return "ahead"
        if phase == "confirming" and participant not in self._here:
            return self._words_elsewhere(participant)
        if phase != self.phase:
            return "done"
        if self._failed(participant):
            return "failed"
        return "waiting" if participant in self.waiting_for else "done"

    def done(self, participant: str) -> tuple[int, int]:
        """How many of how many phases ``participant`` is through."""
        marks = [self.mark(participant, phase) for phase in self.phases]
        return marks.count("done"), len(marks)

    def step(self, participant: str) -> str:  # noqa: PLR0911 -- one case each
        """What ``participant`` does now, in a word or a few."""
        if self.answers.get(participant) is False:
            return "refused"
        if self.ended is not None:
            return self._at_the_end(participant)
        if self.phase is None:
            return "proposes" if participant == self.proposal.proposer else "is asked"
        if self.phase == "negotiating":
            return self._answering(participant)
        if self.phase == "confirming":
            # What the others do is not known here; they are asked at the same time.
            return STEPS["confirming"][0]
        if self.phase == "sharing" and self.compared and participant in self.waiting_for:
            return STEPS["confirming"][0]
        return STEPS[self.phase][participant not in self.waiting_for]

    @property
    def troubled_links(self) -> tuple[tuple[str, str, str], ...]:
        """Links that are being rebuilt or are broken: one end, the other, the state."""
        return tuple((*ends, state) for ends, state in sorted(self.links.items()) if state in {"rebuilding", "broken"})

    @property
    def _here(self) -> set[str]:
        return {peer.peer_id for peer in self.proposal.participants if peer.trust == "self"}

    @property
    def _through(self) -> set[str]:
        """The participants that went through every phase of a session that ended well: all, or the signers."""
        if self.proposal.kind != "sign":
            return {peer.peer_id for peer in self.proposal.participants}
        signature = self.ended.signature if self.ended else None
        return set(signature.signers) if signature else set()

    def _left_out(self, participant: str, phase: status.Phase) -> Mark:
        """Mark a participant that did not sign: it answered at most, and few nodes know the answer."""
        accepted = self.answers.get(participant, True if participant in self._here else None)
        if phase != "negotiating" or accepted is None:
            return "ahead"
        return "done" if accepted else "failed"

    def _words_elsewhere(self, participant: str) -> Mark:
        """Mark whether another participant compared the words: it sends its share only after that."""
        if self.phase == "confirming":
            return "ahead"
        if self.phase == "sharing" and participant in self.waiting_for:
            return "failed" if self._failed(participant) else "waiting"
        return "done"

    def _at_the_end(self, participant: str) -> str:
        assert self.ended is not None
        if self.ended.error is None:
            return "done" if participant in self._through else "not needed"
        if self._failed(participant):
            return "failed"
        return STEPS[self.phase][participant not in self.waiting_for] if self.phase else "was asked"

    def _answering(self, participant: str) -> str:
        """What is known of an answer: the proposer hears all of them, everybody else none."""
        if participant in self.waiting_for:
            return "chooses" if participant == self.proposal.proposer else "answers"
        if participant == self.proposal.proposer:
            return "proposes"
        known = participant in self._here or self.proposal.proposer in self._here or participant in self.answers
        return "accepted" if known else "is asked"

    def _failed(self, participant: str) -> bool:
        if self.answers.get(participant) is False:
            return True
        return self.ended is not None and self.ended.error is not None and participant in self.ended.error.named


def after(view: SessionView, event: status.Event) -> SessionView:  # noqa: PLR0911 -- one kind of event each
    """The view after ``event``; an event of another session, or of none, changes nothing."""
    if getattr(event, "session_id", None) != view.proposal.session_id:
        return view
    match event:
        case status.Answered():
            return replace(view, answers={**view.answers, event.peer_id: event.accepted})
        case status.Progress():
            return replace(view, **_progress(view, event))
        case status.Link():
            ends = (min(event.one, event.other), max(event.one, event.other))
            return replace(view, links={**view.links, ends: event.state})
        case status.SafetyWords():
            return replace(view, words=event.words, until=event.until or view.until)
        case status.SessionEnded():
            return replace(view, ended=event)
        case _:
            return view


def _progress(view: SessionView, event: status.Progress) -> dict[str, Any]:
    return {
        "phase": event.phase,
        "waiting_for": frozenset(event.waiting_for),
        "until": event.until,
        "compared": view.compared or event.phase == "confirming",
    }


class Board:
    """Every session that runs, oldest first; what ended is gone after it was looked at."""

    def __init__(self) -> None:
        self.views: dict[str, SessionView] = {}

    def take(self, event: status.Event) -> SessionView | None:
        """Take an event; give the session it is about, as it is now, if it is about one."""
        if isinstance(event, status.Proposed):
            view = SessionView(event, until=event.until or event.expires)
        else:
            session = getattr(event, "session_id", None)
            if session not in self.views:
                return None
            view = after(self.views[session], event)
        if view.ended is not None:
            del self.views[view.proposal.session_id]
        else:
            self.views[view.proposal.session_id] = view
        return view

    def of(self, session_id: str) -> SessionView | None:
        """A session that runs."""
        return self.views.get(session_id)
