"""What a session looks like so far: a pure fold over status events, for the code that draws it."""

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
HEADINGS: Final[Mapping[status.Phase, str]] = {
    "introducing": "hello",
    "negotiating": "answer",
    "connecting": "link",
    "committing": "digest",
    "revealing": "commit",
    "confirming": "words",
    "sharing": "share",
    "storing": "store",
    "certifying": "ready",
    "agreeing": "list",
    "signing": "sign",
    "leaving": "leave",
}


@dataclass(frozen=True, slots=True)
class SessionView:
    """One session as a table: a row a participant, a column a phase."""

    proposal: status.Proposed
    phase: status.Phase | None = None
    waiting_for: frozenset[str] = frozenset()
    answers: Mapping[str, bool] = field(default_factory=dict)
    links: Mapping[tuple[str, str], str] = field(default_factory=dict)
    words: tuple[str, ...] = ()
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

    def _failed(self, participant: str) -> bool:
        if self.answers.get(participant) is False:
            return True
        return self.ended is not None and self.ended.error is not None and participant in self.ended.error.culprits


def after(view: SessionView | None, event: status.Event) -> SessionView | None:
    """The view after ``event``; an event of another session, or of none, changes nothing."""
    if isinstance(event, status.Proposed):
        return SessionView(event)
    if view is None or getattr(event, "session_id", None) != view.proposal.session_id:
        return view
    return replace(view, **_changes(view, event))


def _changes(view: SessionView, event: status.Event) -> dict[str, Any]:
    match event:
        case status.Answered():
            return {"answers": {**view.answers, event.peer_id: event.accepted}}
        case status.Progress():
            return {"phase": event.phase, "waiting_for": frozenset(event.waiting_for)}
        case status.Link():
            ends = (min(event.one, event.other), max(event.one, event.other))
            return {"links": {**view.links, ends: event.state}}
        case status.SafetyWords():
            return {"words": event.words}
        case status.SessionEnded():
            return {"ended": event}
        case _:
            return {}
