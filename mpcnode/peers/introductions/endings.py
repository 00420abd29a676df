"""What the end of a slot means to a person: one table, *what ended it x which end this is x how far it was*.

The slot says why it is over in a word (PROTOCOL section Slots). An end that is gone, silent or released means other
things before anything is proved than when this node has the other end's card.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from mpcnode.crypto.pairing_keys import Role
from mpcnode.errors import CodeCrowded, CodeOver, MpcError, PairingStopped, ServerRefused
from mpcnode.peers.introductions.pairing import TYPING_OR_ATTACK, Stage
from mpcnode.signaling.slots import LOST, RELEASED, UNKNOWN_MESSAGE, SlotOver

SILENT: Final = "silent"
"""This node's own time for the other end is over; no word of a server's."""


class Moment(Enum):
    """How far a pairing was when its slot ended."""

    ASKING = auto()
    """The server has not answered yet."""
    WAITING = auto()
    """The inviter has a code, and nobody came to it."""
    EXCHANGING = auto()
    """Both ends are there, and this one has not heard the other yet."""
    PROVING = auto()
    """The other end has not shown whether it knows the password."""
    MEETING = auto()
    """This node has the other end's card, and has not heard whether the other end has its own."""


def moment_of(stage: Stage) -> Moment:
    """Say how far two ends are that are both there."""
    return _MOMENTS[stage]


_MOMENTS: Final = {
    Stage.EXCHANGING: Moment.EXCHANGING,
    Stage.PROVING: Moment.PROVING,
    Stage.MEETING: Moment.MEETING,
    Stage.DONE: Moment.MEETING,
}


@dataclass(frozen=True, slots=True)
class Ending:
    """What an end means.

    Args:
        kind: the error.
        says: what happened.
        hint: what to do next.
    """

    kind: type[MpcError]
    says: str
    hint: str


_AGAIN: Final = "pair again with a new code"
_ASK: Final = "ask for a new code; a code lives as long as the command that made it, and is used once"
_GONE: Final = "nothing was kept here"
_GUESS: Final = f"it did not show that it knows the words: {TYPING_OR_ATTACK}"
_HALF: Final = "nothing was kept here; the other side may have kept this node"

_CROWDED: Final = Ending(
    CodeCrowded,
    f"a third connection used the code, so that nobody can use it any more: {TYPING_OR_ATTACK}",
    "make a new code with `mpcnode pair`, and tell it to one person alone",
)
_USED: Final = Ending(CodeOver, "the code is used up, or was given up", _ASK)
_NOBODY: Final = Ending(
    CodeOver,
    "nobody is at this code",
    "check the number and --server; a code lives as long as the command that made it",
)
_EXPIRED: Final = Ending(
    CodeOver, "nobody used the code in its time", "make a new code with `mpcnode pair` when the other side is ready"
)

_TOGETHER: Final = {Moment.EXCHANGING: _GONE, Moment.PROVING: _GUESS, Moment.MEETING: _HALF}
"""The moments in which both ends are there, and what else is said of an end in each."""

TABLE: Final[Mapping[tuple[str, Role, Moment], Ending]] = MappingProxyType(
    {
        **{("crowded", role, moment): _CROWDED for role in Role for moment in Moment},
        ("unknown_slot", Role.JOINER, Moment.ASKING): _NOBODY,
        ("slot_over", Role.JOINER, Moment.ASKING): _USED,
        ("expired", Role.INVITER, Moment.WAITING): _EXPIRED,
        (SILENT, Role.INVITER, Moment.WAITING): _EXPIRED,
        ("expired", Role.JOINER, Moment.ASKING): _USED,
        ("peer_gone", Role.JOINER, Moment.ASKING): _USED,
        (RELEASED, Role.JOINER, Moment.ASKING): _USED,
        **{
            (word, role, moment): Ending(PairingStopped, f"{what} before the two had met; {kept}", _AGAIN)
            for word, what in (
                ("peer_gone", "the other side went away"),
                (RELEASED, "the other side stopped"),
                (SILENT, "the other side did not answer"),
                ("expired", "the time of the code was over"),
            )
            for role in Role
            for moment, kept in _TOGETHER.items()
        },
    }
)
"""What is not here is about the server and not about the other end."""

_SERVER: Final[Mapping[str, str]] = MappingProxyType(
    {
        LOST: "the connection to the server is lost",
        UNKNOWN_MESSAGE: "the server says something that is no answer about a slot",
        SILENT: "the server does not answer",
        "server_shutdown": "the server was stopped",
    }
)


def ending(over: SlotOver, role: Role, moment: Moment) -> MpcError:
    """Make the error of a slot that ended.

    Args:
        over: what ended it.
        role: which end this is.
        moment: how far the pairing was.
    """
    found = TABLE.get((over.code, role, moment))
    if found is not None:
        return found.kind(found.says, hint=found.hint)
    says = _SERVER.get(over.code) or f"the server refused: {over.said or over.code}"
    kept = f"; {_HALF}" if moment is Moment.MEETING else ""
    again = "" if over.retry_after is None else f" in {-(-over.retry_after // 1000)} s"
    return ServerRefused(
        says + kept, server_code=over.code, hint=f"try again{again} with a new code, or use another --server"
    )
