"""What a protocol script may yield: its plan, exchanges of messages, checkpoints, and its result before last words.

A script is a generator that reads top to bottom. It knows identifiers and bytes, not peers, channels or time; the
``Execution`` that drives it knows the rest::

    def sign(...) -> Rounds[Signature]:
        yield Plan(...)
        everybody = yield from broadcast("nonces", suite, data, accept)
        ...
        return signature
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, TypeVar

from mpcnode.types import Identifier, SuiteId

T = TypeVar("T")
V = TypeVar("V")

Lane: TypeAlias = SuiteId | None
"""Whose message it is in a round that several suites share; None for a message of the whole session."""

L = TypeVar("L", bound=Lane)

Accept: TypeAlias = Callable[[Identifier, bytes, bytes | None], V]
"""Takes (sender, data, echo) as soon as it is their turn; raises ``DecodeError`` or ``Fault`` where they are wrong."""


ECHO_SIZE: Final = 32


@dataclass(frozen=True, slots=True)
class ProtocolMessage:
    """One message of a protocol, as the session layer maps it to a data-channel message.

    Args:
        kind: the round's name, such as ``"commitment"``.
        lane: whose message it is where several suites share the round; None for one of the whole session.
        data: the payload, encoded.
        echo: in a broadcast that repeats what was heard in the round before, ``ECHO_SIZE`` bytes.
    """

    kind: str
    lane: Lane
    data: bytes
    echo: bytes | None = None


class Fault(Exception):
    """Participants sent what no honest participant sends; ``mpcnode.blame`` says what follows for them.

    Args:
        reason: what they did, lower case, no full stop, without a byte that a peer chose.
        senders: the participants; empty where it cannot be known.
    """

    def __init__(self, reason: str, senders: Iterable[Identifier] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.senders = frozenset(senders)


class Inconsistent(Fault):
    """A participant holds another value of one broadcast; it takes a second participant's evidence to know the liar.

    The participant that shows the difference is as likely the one that was lied to.
    """


class ViewsDiffer(Fault):
    """A participant was told something else about the session, by its proposer or by the server."""


@dataclass(frozen=True, slots=True)
class Round:
    """One exchange to come, and everything its host needs to know of it.

    Args:
        kind: what its messages are called on the wire.
        lanes: whose messages it has; each participant sends one in each lane. A suite may have rounds of its own.
        limit: the longest data an honest participant sends, in bytes.
        phase: what a user is told this is, one of the phases of ``mpcnode.status``.
        seconds: how long the others may take, before the host scales it.
        users: it may begin while another participant's user is still asked.
        heard: nobody leaves before the others acknowledged its own messages of this round.
        last_words: it comes after the script has concluded.
    """

    kind: str
    lanes: tuple[Lane, ...]
    limit: int
    phase: str = field(kw_only=True)
    seconds: int = field(kw_only=True)
    users: bool = field(default=False, kw_only=True)
    heard: bool = field(default=False, kw_only=True)
    last_words: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Plan:
    """Every exchange to come, in order; a script yields it first, so that what fits nowhere is refused at once.

    Raises:
        ValueError: two rounds have the same kind in the same lane, or a round has no lane.
    """

    rounds: tuple[Round, ...]

    def __post_init__(self) -> None:
        places = [(planned.kind, lane) for planned in self.rounds for lane in planned.lanes]
        if len(set(places)) != len(places) or not all(planned.lanes for planned in self.rounds):
            raise ValueError("in a plan each round has lanes, and no two have the same kind in one of them")


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one lane of an exchange sends, and how it takes what it receives.

    Args:
        outgoing: the same bytes to everybody, or to each their own.
        accept: takes one participant's message.
        echo: for a broadcast that also says what was heard before.
    """

    outgoing: bytes | Mapping[Identifier, bytes]
    accept: Accept[Any]
    echo: bytes | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """A round: everybody sends, then has everybody else's message; yields the accepted values by lane and sender."""

    kind: str
    traffic: Mapping[Lane, Traffic]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the host must do before the script goes on; yields what the host answers."""

    record: object


@dataclass(frozen=True, slots=True)
class Witness:
    """What this participant was told so far, signed by its senders; the host may need it to name a liar."""

    evidence: bytes


@dataclass(frozen=True, slots=True)
class Concluded:
    """The script has its result, which stands; rounds after it are last words, whose failure undoes nothing.

    Args:
        result: what the script will also return.
    """

    result: object


Step: TypeAlias = Plan | Exchange | Checkpoint | Witness | Concluded
Rounds: TypeAlias = Generator[Step, Any, T]


def broadcast(
    kind: str, lane: Lane, data: bytes, accept: Accept[V], echo: bytes | None = None
) -> Rounds[Mapping[Identifier, V]]:
    """Send ``data`` to everybody; give what everybody else sent, by identifier in ascending order."""
    received = yield Exchange(kind, {lane: Traffic(data, accept, echo)})
    values: Mapping[Identifier, V] = received[lane]
    return values


def direct(
    kind: str, lane: Lane, data: Mapping[Identifier, bytes], accept: Accept[V]
) -> Rounds[Mapping[Identifier, V]]:
    """Send to each participant its own data; give what everybody else sent to us."""
    received = yield Exchange(kind, {lane: Traffic(data, accept)})
    values: Mapping[Identifier, V] = received[lane]
    return values


def conclude(result: object) -> Rounds[None]:
    """Say that the script has its result."""
    yield Concluded(result)


def checkpoint(record: object) -> Rounds[Any]:
    """Have the host do what ``record`` says; give its answer."""
    return (yield Checkpoint(record))


def parallel(kinds: Sequence[str], scripts: Mapping[L, Rounds[T]]) -> Rounds[Mapping[L, T]]:
    """Run a script for each lane in shared rounds, of which a lane may skip some; give each one's result.

    Args:
        kinds: the rounds in the order of the plan.
        scripts: by lane; each has some of the rounds, in that order.

    Raises:
        RuntimeError: a script has a round that is not among ``kinds``, or not in their order; a mistake of its author.
        TypeError: a script yields something that lanes cannot share; likewise.
    """
    results: dict[L, T] = {}
    standing: dict[L, Exchange] = {}

    def advance(lane: L, answer: object) -> None:
        try:
            step = scripts[lane].send(answer)
        except StopIteration as stop:
            results[lane] = stop.value
            return
        if not isinstance(step, Exchange):
            raise TypeError("only exchanges run side by side")
        standing[lane] = step

    try:
        for lane in scripts:
            advance(lane, None)
        for kind in kinds:
            now = [lane for lane, step in standing.items() if step.kind == kind]
            if not now:
                continue
            exchanges = [standing.pop(lane) for lane in now]
            received = yield Exchange(
                kind, {place: traffic for step in exchanges for place, traffic in step.traffic.items()}
            )
            for lane, step in zip(now, exchanges, strict=True):
                advance(lane, {place: received[place] for place in step.traffic})
        if standing:
            raise RuntimeError("scripts that run side by side keep to the rounds of their plan, in order")
        return {lane: results[lane] for lane in scripts}
    finally:
        for script in scripts.values():
            script.close()
