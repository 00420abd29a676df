"""Who is to blame for what: the one table *way it came x event -> verdict*, and the errors that are made with it.

Nobody else in this package names a culprit or a suspect. The rules behind the table (PROTOCOL, Blame):

* The server decides when a relayed message arrives, how often, and instead of which other one. What came over the relay
  therefore never convicts, whoever sealed it.
* A participant is convicted by what it sent on a channel that it proved to be its own, or by values that it signed and
  that anybody can check.
* Which key belongs to a name is the server's word, where two nodes meet for the first time. What is signed by such a
  key convicts its name no sooner than people compared the words, or all participants agreed on one roster with it.
* A node that stops is honest about it, whatever made it stop: it is at most a suspect.
* Silence makes a suspect, and only at the end of this node's own time for it. What one participant reports of another
  makes suspects of both.
* Two views of one session that differ name nobody: a participant or the server made them differ.

``judge`` makes an error of something that this node saw; ``heard`` makes one of what another participant says at its
end, in ``session_cancel`` or ``abort``; ``last_words`` is what this node says at its own.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from mpcnode.errors import (
    ContactChanged,
    Disagreement,
    IdentityCheckFailed,
    InconsistentBroadcast,
    Interrupted,
    KeystoreError,
    KeystoreNewer,
    KeystoreUnwritable,
    LinkFailed,
    MpcError,
    NoTerminal,
    ParticipantAborted,
    ParticipantCheated,
    ParticipantRefused,
    ParticipantSilent,
    ParticipantStopped,
    PeerError,
    PeerIncompatible,
    Refused,
    Unanswered,
    WordsDiffer,
    WordsUnanswered,
)
from mpcnode.types import PeerId

MAX_REASON: Final = 500
"""Characters of a reason on the wire."""


class Came(Enum):
    """The way by which something came to this node."""

    RELAY = auto()
    """Through the server, sealed or not."""
    UNPROVED = auto()
    """On a channel whose other end has not proved to be the participant."""
    LINK = auto()
    """On a channel that the participant proved to be its own."""
    SIGNED = auto()
    """In values that are signed, and that anybody can check."""
    INTRODUCED = auto()
    """In values that are signed by a key that the name has by the server's word alone."""
    CLOCK = auto()
    """It did not come: this node's own time for it is over."""


class Event(Enum):
    """What it was."""

    MISPLACED = auto()
    """Something that no honest node sends there."""
    TWO_VALUES = auto()
    """Two different values where there is one."""
    VALUES_DIFFER = auto()
    """A participant holds another value of one broadcast than this node does."""
    VIEWS_DIFFER = auto()
    """A participant was told something else about the session than this node was."""
    WRONG_KEY = auto()
    """Another key, signature or fingerprint than the one that belongs to the name."""
    CONTACT_CHANGED = auto()
    """Another key than the one that is pinned to the name."""
    OTHER_VERSION = auto()
    SILENCE = auto()
    REFUSAL = auto()
    STOP = auto()
    """A participant stops for a reason of its own."""
    REPORT = auto()
    """A participant stops because of others, or of a link."""
    ACCUSATION = auto()
    """A participant stops because, it says, another one cheats."""
    WORDS_DIFFER = auto()
    NO_LINK = auto()
    """A link did not open, or opened and broke."""
    COPY = auto()
    """Something that was there before, or is more than anybody needs, or belongs to an earlier life."""


class Verdict(Enum):
    """What follows for the participants that are named with the event."""

    IGNORED = auto()
    """The event has no effect at all, and makes no error."""
    NOBODY = auto()
    """The session ends, and nobody is named."""
    SUSPECTS = auto()
    CULPRITS = auto()


TABLE: Final[Mapping[tuple[Came, Event], Verdict]] = MappingProxyType(
    {
        (Came.RELAY, Event.COPY): Verdict.IGNORED,
        (Came.RELAY, Event.MISPLACED): Verdict.SUSPECTS,
        (Came.RELAY, Event.TWO_VALUES): Verdict.SUSPECTS,
        (Came.RELAY, Event.WRONG_KEY): Verdict.NOBODY,
        (Came.RELAY, Event.CONTACT_CHANGED): Verdict.NOBODY,
        (Came.RELAY, Event.OTHER_VERSION): Verdict.NOBODY,
        (Came.RELAY, Event.REFUSAL): Verdict.SUSPECTS,
        (Came.RELAY, Event.STOP): Verdict.SUSPECTS,
        (Came.RELAY, Event.REPORT): Verdict.SUSPECTS,
        (Came.RELAY, Event.ACCUSATION): Verdict.SUSPECTS,
        (Came.RELAY, Event.VIEWS_DIFFER): Verdict.NOBODY,
        (Came.RELAY, Event.WORDS_DIFFER): Verdict.NOBODY,
        (Came.RELAY, Event.NO_LINK): Verdict.SUSPECTS,
        (Came.UNPROVED, Event.WRONG_KEY): Verdict.SUSPECTS,
        (Came.LINK, Event.MISPLACED): Verdict.CULPRITS,
        (Came.LINK, Event.VALUES_DIFFER): Verdict.SUSPECTS,
        (Came.LINK, Event.VIEWS_DIFFER): Verdict.NOBODY,
        (Came.LINK, Event.WRONG_KEY): Verdict.NOBODY,
        (Came.LINK, Event.REFUSAL): Verdict.SUSPECTS,
        (Came.LINK, Event.STOP): Verdict.SUSPECTS,
        (Came.LINK, Event.REPORT): Verdict.SUSPECTS,
        (Came.LINK, Event.ACCUSATION): Verdict.SUSPECTS,
        (Came.LINK, Event.WORDS_DIFFER): Verdict.NOBODY,
        (Came.LINK, Event.NO_LINK): Verdict.SUSPECTS,
        (Came.SIGNED, Event.MISPLACED): Verdict.CULPRITS,
        (Came.SIGNED, Event.TWO_VALUES): Verdict.CULPRITS,
        (Came.INTRODUCED, Event.MISPLACED): Verdict.SUSPECTS,
        (Came.INTRODUCED, Event.TWO_VALUES): Verdict.SUSPECTS,
        (Came.CLOCK, Event.SILENCE): Verdict.SUSPECTS,
        (Came.CLOCK, Event.NO_LINK): Verdict.SUSPECTS,
    }
)
"""What is not here cannot happen; to ask for it is a mistake of this program."""

_ERRORS: Final[Mapping[Event, type[PeerError]]] = MappingProxyType(
    {
        Event.MISPLACED: ParticipantCheated,
        Event.TWO_VALUES: ParticipantCheated,
        Event.VALUES_DIFFER: InconsistentBroadcast,
        Event.VIEWS_DIFFER: Disagreement,
        Event.WRONG_KEY: IdentityCheckFailed,
        Event.CONTACT_CHANGED: ContactChanged,
        Event.OTHER_VERSION: PeerIncompatible,
        Event.SILENCE: ParticipantSilent,
        Event.REFUSAL: ParticipantRefused,
        Event.STOP: ParticipantStopped,
        Event.REPORT: ParticipantAborted,
        Event.ACCUSATION: ParticipantCheated,
        Event.WORDS_DIFFER: WordsDiffer,
        Event.NO_LINK: LinkFailed,
    }
)

NOBODY_TO_ASK: Final = "nobody_to_ask"
CANNOT_STORE: Final = "cannot_store"
CANNOT_READ: Final = "cannot_read"
INTERNAL: Final = "internal"

COMPARE: Final = "do not start again before you have compared fingerprints by voice or in person (`mpcnode peers`)"
_DIFFER: Final = f"somebody may stand between the participants: {COMPARE}"


def judge(
    came: Came, event: Event, message: str, names: Iterable[PeerId] = (), *, hint: str | None = None
) -> PeerError:
    """Make the error of an event; the table says what the names in it are.

    Args:
        came: the way it came.
        event: what it was.
        message: what happened, lower case, no full stop, without a byte that a peer chose.
        names: the participants it was seen of.
        hint: what to do next.

    Raises:
        KeyError: this event cannot come this way.
        ValueError: the event is to be ignored.
    """
    verdict = TABLE[came, event]
    if verdict is Verdict.IGNORED:
        raise ValueError(f"{event.name} that came by {came.name} is ignored, and makes no error")
    names = frozenset(names)
    error = _ERRORS[event](
        message,
        culprits=names if verdict is Verdict.CULPRITS else (),
        suspects=names if verdict is Verdict.SUSPECTS else (),
        hint=hint,
    )
    error.seen_of = names
    return error


@dataclass(frozen=True, slots=True)
class Ending:
    """One way in which a node can end a session, as the others hear of it.

    Args:
        says: what it did.
        hint: what a participant that hears of it can do.
    """

    says: str
    hint: str | None = None


ENDINGS: Final[Mapping[str, Ending]] = MappingProxyType(
    {
        Unanswered.code: Ending("did not answer the proposal in time", "ask its user, then start again"),
        WordsUnanswered.code: Ending(
            "did not compare the safety words in time",
            "agree on a moment with its user, or allow more --confirm-seconds",
        ),
        Interrupted.code: Ending("was stopped by its user", "ask its user, then start again"),
        NOBODY_TO_ASK: Ending("has nobody to ask", "start its node in a terminal, or with --accept auto"),
        CANNOT_STORE: Ending("cannot write to its disk", "its user has to make room for its home, then start again"),
        CANNOT_READ: Ending(
            "cannot read a file of its home", "its user sees on its own screen which one, and has to mend it"
        ),
        "unsupported": Ending("did not understand a message", "install the same release of mpcnode on both"),
        INTERNAL: Ending("stopped because of a fault of its own", "see what its own screen says"),
    }
)
"""The endings that are a node's own doing, by their code on the wire."""


def last_words(error: BaseException) -> tuple[str, str, tuple[PeerId, ...]]:
    """Say why this node stops, for ``abort`` and ``session_cancel``.

    Of what went wrong inside this machine only the kind goes out, never a message of this node's own.

    Returns:
        The code, the reason and the participants that this node names.
    """
    if isinstance(error, PeerError):
        named = error.culprits or tuple(sorted(error.seen_of))
        return error.code, error.message[:MAX_REASON], named
    if isinstance(error, Refused):
        return error.code, error.message[:MAX_REASON], ()
    if isinstance(error, NoTerminal):
        return NOBODY_TO_ASK, ENDINGS[NOBODY_TO_ASK].says, ()
    if isinstance(error, KeystoreError | KeystoreNewer):
        code = CANNOT_STORE if isinstance(error, KeystoreUnwritable) else CANNOT_READ
        return code, ENDINGS[code].says, ()
    if isinstance(error, MpcError) and not isinstance(error, Interrupted):
        return INTERNAL, ENDINGS[INTERNAL].says, ()
    return Interrupted.code, ENDINGS[Interrupted.code].says, ()


def heard(
    came: Came,
    sender: PeerId,
    *,
    code: str,
    reason: str,
    named: Collection[PeerId],
    me: PeerId,
    among: Iterable[PeerId],
) -> PeerError:
    """Make an error of what a participant says at its end.

    Args:
        came: the way it came.
        sender: the participant.
        code: why it stops, in its own word.
        reason: the same in its own words.
        named: whom it names, in its own words as well.
        me: this node.
        among: the participants that can be at fault.
    """
    others = sorted({name for name in among if name in named} - {sender, me})
    said, names, hint = f"{sender} {why(code, reason)}", [sender, *others], None
    if code == WordsDiffer.code:
        event, names, hint = Event.WORDS_DIFFER, [], COMPARE
        said = f"the user of {sender} says that the safety words differ: somebody may stand between the participants"
    elif code == IdentityCheckFailed.code and me in named:
        # Two ends, and each sees something else of what stands between them; of another link neither can say that.
        event, names, hint = Event.WRONG_KEY, [], COMPARE
        said = f"{sender} finds that the channel between it and this node is not with this node"
    elif code in {IdentityCheckFailed.code, ContactChanged.code} and not named:
        # It saw odd keys through the server, which names nobody: it is no more to blame for that than those.
        event, names, hint = Event.WRONG_KEY, [], COMPARE
    elif code == Disagreement.code:
        event = Event.VIEWS_DIFFER
    elif code == Refused.code or code in ENDINGS:
        event, names, hint = Event.STOP, [sender], ENDINGS[code].hint if code in ENDINGS else None
    elif code in {ParticipantCheated.code, InconsistentBroadcast.code}:
        event, names = Event.ACCUSATION, names if others else []
        hint = "this node saw no proof: the participant that accuses or one that it accuses is not honest"
    else:
        event = Event.REPORT
    return judge(came, event, said, names, hint=hint)


def together(errors: Sequence[PeerError], message: str, *, hint: str | None) -> PeerError:
    """Make one error of several: of the kind of the first, with everybody that any of them names.

    A participant that one of them convicts is no suspect any more.
    """
    culprits = {name for error in errors for name in error.culprits}
    suspects = {name for error in errors for name in error.suspects} - culprits
    return type(errors[0])(message, culprits=culprits, suspects=suspects, hint=hint)


def why(code: str, reason: str) -> str:
    """Say, after the name of a participant, why it stopped; a reason in its own words is quoted and escaped."""
    if code == Refused.code:
        return f"refused ({reason!a})"
    return ENDINGS[code].says if code in ENDINGS else f"stopped ({code}): {reason!a}"


def key_of_name(name: PeerId, fingerprint: str) -> str:
    """Say that it is a key that is convicted, where nobody here knows that the name is its holder's."""
    return f"nobody here compared the key of {name}: convicted is the holder of the key {fingerprint} (`mpcnode peers`)"


def words_differ() -> PeerError:
    """Make the error of a node whose own user says that the words differ."""
    return judge(Came.LINK, Event.WORDS_DIFFER, "the safety words differ", hint=_DIFFER)
