"""How one link is set up, and set up again: a machine that does no I/O (PROTOCOL, Link).

Three rules. The side with the smaller peer id makes every offer, so offers never cross. Every try has a number, and
whatever belongs to an earlier one is ignored, so an answer that was under way when its try was given up does no harm.
Signals come through the relay, which may repeat, reorder and lose them: one that has no place here is ignored, so are
copies and more than any link needs, and none of it is held against the peer.

The side that offers watches the clock of each try; the side that answers waits for the next offer, and gives up only
after the time in which the other side must have given up. All that affects transitions is in this file: the table says
which event may come in which state, and an event that it does not list is an error of the program.
"""

import enum
from dataclasses import dataclass
from typing import Final

from mpcnode.mesh.transport import Answer, IceCandidate, MeshTimeouts, Offer, Signal

MAX_EARLY: Final = 64
"""How many signals wait for their time, and how many candidates one try takes; further ones are ignored."""
MAX_ATTEMPT: Final = 1000
"""How many tries a link may need in all; no signal has a higher number."""
RETRY_PAUSE: Final = 0.2
"""Seconds between tries that fail at once, times the number of tries so far."""


class State(enum.Enum):
    """How far a link is."""

    IDLE = enum.auto()
    OFFERING = enum.auto()
    """The offer is being made."""
    OFFERED = enum.auto()
    """The offer is out; its answer is awaited."""
    AWAITING = enum.auto()
    """An offer is awaited, or the time to make the next."""
    ANSWERING = enum.auto()
    """The answer is being made."""
    CONNECTING = enum.auto()
    """Both descriptions are known; the channel is on its way, or the proof that the peer is at its other end."""
    ESTABLISHED = enum.auto()
    CLOSED = enum.auto()


class Event(enum.Enum):
    """What can happen to a link."""

    AWAIT = enum.auto()
    TRY = enum.auto()
    DESCRIBED = enum.auto()
    OFFERED = enum.auto()
    ANSWERED = enum.auto()
    VERIFIED = enum.auto()
    LOST = enum.auto()
    GIVE_UP = enum.auto()


TRANSITIONS: Final[dict[State, dict[Event, State]]] = {
    State.IDLE: {Event.TRY: State.OFFERING, Event.AWAIT: State.AWAITING},
    State.OFFERING: {
        Event.DESCRIBED: State.OFFERED,
        Event.LOST: State.AWAITING,
        Event.GIVE_UP: State.CLOSED,
    },
    State.OFFERED: {
        Event.ANSWERED: State.CONNECTING,
        Event.LOST: State.AWAITING,
        Event.GIVE_UP: State.CLOSED,
    },
    State.AWAITING: {
        Event.TRY: State.OFFERING,
        Event.OFFERED: State.ANSWERING,
        Event.GIVE_UP: State.CLOSED,
    },
    State.ANSWERING: {
        Event.DESCRIBED: State.CONNECTING,
        Event.OFFERED: State.ANSWERING,
        Event.LOST: State.AWAITING,
        Event.GIVE_UP: State.CLOSED,
    },
    State.CONNECTING: {
        Event.VERIFIED: State.ESTABLISHED,
        Event.OFFERED: State.ANSWERING,
        Event.LOST: State.AWAITING,
        Event.GIVE_UP: State.CLOSED,
    },
    State.ESTABLISHED: {
        Event.OFFERED: State.ANSWERING,
        Event.LOST: State.AWAITING,
        Event.GIVE_UP: State.CLOSED,
    },
    State.CLOSED: {},
}


@dataclass(frozen=True, slots=True)
class MakeOffer:
    """Make a link for ``attempt`` and its offer; report with ``described`` or ``lost``."""

    attempt: int


@dataclass(frozen=True, slots=True)
class MakeAnswer:
    """Make a link for ``attempt`` and its answer to ``sdp``; report with ``described`` or ``lost``."""

    attempt: int
    sdp: str


@dataclass(frozen=True, slots=True)
class TakeAnswer:
    """Give ``sdp`` to the link of ``attempt``."""

    attempt: int
    sdp: str


@dataclass(frozen=True, slots=True)
class TakeCandidate:
    """Give ``candidate`` to the link of its attempt, which knows both descriptions."""

    candidate: IceCandidate


@dataclass(frozen=True, slots=True)
class Drop:
    """Tear the link of ``attempt`` down; nothing it says counts any more."""

    attempt: int
    reason: str


@dataclass(frozen=True, slots=True)
class SendSignal:
    """Send ``signal`` to the peer."""

    signal: Signal


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Every try failed; ``reason`` is the last one's."""

    reason: str


Action = MakeOffer | MakeAnswer | TakeAnswer | TakeCandidate | Drop | SendSignal | GiveUp


class Negotiation:
    """One end of one link. Every method returns what must be done now, in order; ``now`` is any steady clock."""

    def __init__(self, *, offers: bool, timeouts: MeshTimeouts) -> None:
        self.state = State.IDLE
        self.attempt = 0
        self.heard = False
        """Whether the peer ever signalled: it tells a silent peer from a link that does not open."""
        self._offers = offers
        self._timeouts = timeouts
        self._early: list[Signal] = []
        self._candidates: set[IceCandidate] = set()
        """The candidates that the present try was given."""
        self._tries = 0
        self._reason = "no answer came"
        self._deadline = 0.0
        """On the side that offers: in AWAITING when the next try begins, else when this one ends. On the side that
        answers: when all tries have ended."""

    def start(self, now: float) -> list[Action]:
        """Begin; what came early is taken now."""
        if self._offers:
            return [*self._try(now), *self._take_early(now)]
        self._move(Event.AWAIT)
        self._deadline = now + self._all_tries
        return self._take_early(now)

    def receive(self, signal: Signal, now: float) -> list[Action]:
        """Take a signal of the peer; one that has no place here asks for nothing."""
        if isinstance(signal, Offer if self._offers else Answer) or not 1 <= signal.attempt <= MAX_ATTEMPT:
            return []
        self.heard = True
        if self.state is State.CLOSED or signal.attempt < self.attempt:
            return []
        if self.state is State.IDLE:
            return self._keep(signal)
        match signal:
            case Offer():
                return self._take_offer(signal, now)
            case Answer():
                return self._take_answer(signal)
            case IceCandidate():
                return self._take_candidate(signal)

    def described(self, attempt: int, sdp: str) -> list[Action]:
        """The description of this side is made."""
        if attempt != self.attempt or self.state not in {State.OFFERING, State.ANSWERING}:
            return []
        offering = self.state is State.OFFERING
        self._move(Event.DESCRIBED)
        if offering:
            return [SendSignal(Offer(sdp, attempt))]
        return [SendSignal(Answer(sdp, attempt)), *self._take_candidates()]

    def verified(self, attempt: int) -> list[Action]:
        """The channel is open and the other end proved that it is the peer."""
        if attempt == self.attempt and self.state is State.CONNECTING:
            self._move(Event.VERIFIED)
            self._tries = 0
        return []

    def lost(self, attempt: int, reason: str, now: float) -> list[Action]:
        """The link of ``attempt`` failed or broke; that may happen in any state."""
        if attempt != self.attempt or self.state in {State.IDLE, State.AWAITING, State.CLOSED}:
            return []
        return [Drop(attempt, reason), *self._lost(reason, now)]

    def tick(self, now: float) -> list[Action]:
        """Look at the deadline; call it often."""
        if self.state in {State.IDLE, State.ESTABLISHED, State.CLOSED} or now < self._deadline:
            return []
        if not self._offers:
            dropped: list[Action] = [] if self.state is State.AWAITING else [Drop(self.attempt, "too late")]
            self._move(Event.GIVE_UP)
            return [*dropped, GiveUp(self._reason)]
        if self.state is State.AWAITING:
            return self._try(now)
        reason = "no answer came" if self.state is State.OFFERED else "the channel did not open in time"
        return [Drop(self.attempt, reason), *self._lost(reason, now, at_once=True)]

    @property
    def _all_tries(self) -> float:
        """How long the side that answers waits: all tries of the other side, and one for the way."""
        return self._timeouts.all_tries + self._timeouts.attempt

    def _move(self, event: Event) -> None:
        self.state = TRANSITIONS[self.state][event]

    def _try(self, now: float) -> list[Action]:
        self._move(Event.TRY)
        self._number(self.attempt + 1)
        self._tries += 1
        self._deadline = now + self._timeouts.attempt
        return [MakeOffer(self.attempt)]

    def _number(self, attempt: int) -> None:
        """Begin the try of this number; what waited for an earlier one is of no use any more."""
        self.attempt = attempt
        self._early = [early for early in self._early if early.attempt >= attempt]
        self._candidates.clear()

    def _lost(self, reason: str, now: float, *, at_once: bool = False) -> list[Action]:
        self._reason = reason
        was_established = self.state is State.ESTABLISHED
        if self._offers and (self._tries >= self._timeouts.tries or self.attempt >= MAX_ATTEMPT):
            self._move(Event.GIVE_UP)
            return [GiveUp(reason)]
        self._move(Event.LOST)
        if not self._offers:
            if was_established:
                self._deadline = now + self._all_tries
            return []
        self._deadline = now if at_once else now + RETRY_PAUSE * self._tries
        return self._try(now) if now >= self._deadline else []

    def _keep(self, signal: Signal) -> list[Action]:
        if len(self._early) < MAX_EARLY and signal not in self._early:
            self._early.append(signal)
        return []

    def _take_early(self, now: float) -> list[Action]:
        early, self._early = self._early, []
        return [action for signal in early for action in self.receive(signal, now)]

    def _take_offer(self, offer: Offer, now: float) -> list[Action]:
        if offer.attempt == self.attempt:
            return []
        dropped: list[Action] = []
        if self.state is not State.AWAITING:
            dropped = [Drop(self.attempt, "the other side tries again")]
        if self.state is State.ESTABLISHED:
            self._deadline = now + self._all_tries
        self._move(Event.OFFERED)
        self._number(offer.attempt)
        return [*dropped, MakeAnswer(offer.attempt, offer.sdp)]

    def _take_answer(self, answer: Answer) -> list[Action]:
        if answer.attempt > self.attempt or self.state is not State.OFFERED:
            return []
        self._move(Event.ANSWERED)
        return [TakeAnswer(answer.attempt, answer.sdp), *self._take_candidates()]

    def _take_candidate(self, candidate: IceCandidate) -> list[Action]:
        if candidate.attempt > self.attempt and self._offers:
            return []  # it belongs to an offer that was not made
        described = self.state in {State.CONNECTING, State.ESTABLISHED}
        if candidate.attempt > self.attempt or not described:
            return self._keep(candidate)
        if candidate in self._candidates or len(self._candidates) >= MAX_EARLY:
            return []
        self._candidates.add(candidate)
        return [TakeCandidate(candidate)]

    def _take_candidates(self) -> list[Action]:
        """Give over the candidates that waited for the descriptions; those of later tries wait on."""
        mine = [early for early in self._early if early.attempt == self.attempt]
        self._early = [early for early in self._early if early.attempt > self.attempt]
        return [action for early in mine if isinstance(early, IceCandidate) for action in self._take_candidate(early)]
