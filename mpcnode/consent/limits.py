"""What others can have this node do, and how often: places, claims, allowances, early messages, ended sessions. Pure.

Each bound is charged to an identity key where one is known. Names are free, so a name bounds nothing alone.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from mpcnode.errors import Refused
from mpcnode.types import IdentityKey, PeerId, SessionId

T = TypeVar("T")

HOUR: Final = 3_600_000
"""Milliseconds."""
MAX_KNOWN: Final = 8
"""Sessions at once of one verified contact or participant of the wallet.

A proposal beyond is refused, not queued: its proposer waits for an answer.
"""
MAX_STRANGER: Final = 2
"""Sessions of one stranger at once."""
MAX_STRANGERS: Final = 4
"""Sessions at once of all proposers that are neither verified contacts nor have a share of the wallet."""
MAX_REMEMBERED: Final = 1024
MAX_EARLY: Final = 32
"""Messages of one sender that may wait for the proposal they belong to: a server may deliver in any order."""
MAX_EARLY_SENDERS: Final = 64


class Places:
    """The places of sessions that others proposed.

    A place may be held for a day, while a human is waited for or a proposer says no more. So nobody has more than so
    many, and strangers, of whom there can be any number, have places of their own: verified contacts and the
    participants of this node's wallets find theirs free whatever strangers do.

    Args:
        may_begin: spends one of the sessions that strangers may begin just now, however short each is; says whether
            there was one.
    """

    def __init__(self, may_begin: Callable[[], bool] = lambda: True) -> None:
        self._held: dict[SessionId, tuple[IdentityKey, bool]] = {}
        self._may_begin = may_begin

    def hindrance(self, proposer: PeerId, key: IdentityKey, *, known: bool) -> str | None:
        """Say why one more session cannot begin; None where it can, and does.

        Args:
            proposer: the peer that proposes it.
            key: the proposer's identity key; names are free.
            known: whether it is a verified contact, or has a share of the wallet.
        """
        most = MAX_KNOWN if known else MAX_STRANGER
        if sum(holder == key for holder, _ in self._held.values()) >= most:
            return f"{most} sessions that {proposer} proposed are under way at this node already"
        if not known and sum(not known_one for _, known_one in self._held.values()) >= MAX_STRANGERS:
            return "this node is busy with other sessions"
        if not known and not self._may_begin():
            return "this node began too many sessions of strangers just now"
        return None

    def take(self, session_id: SessionId, key: IdentityKey, *, known: bool) -> None:
        """Hold a place for a session; see ``hindrance`` first."""
        self._held[session_id] = key, known

    def free(self, session_id: SessionId) -> None:
        """Give the place of a session back, if it has one."""
        self._held.pop(session_id, None)


class Over:
    """The ids of sessions that are over: what is late for them starts nothing.

    Proposals that were refused unrun cost their senders nothing, so they do not push out the sessions that ran.
    """

    def __init__(self) -> None:
        self._ran: OrderedDict[SessionId, None] = OrderedDict()
        self._refused: OrderedDict[SessionId, None] = OrderedDict()

    def __contains__(self, session_id: object) -> bool:
        return session_id in self._ran or session_id in self._refused

    def ran(self, session_id: SessionId) -> None:
        """Remember a session that ran."""
        _add(self._ran, session_id)

    def refused(self, session_id: SessionId) -> None:
        """Remember a proposal that was refused, and never was a session."""
        _add(self._refused, session_id)


class Early(Generic[T]):
    """Messages that came before the proposal they belong to; each sender has room of its own."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[IdentityKey, deque[tuple[SessionId, T]]] = OrderedDict()

    def keep(self, sender: IdentityKey, session_id: SessionId, message: T) -> None:
        """Keep a message; the sender's own oldest one makes room, or the sender that was quiet longest."""
        self._waiting.setdefault(sender, deque(maxlen=MAX_EARLY)).append((session_id, message))
        self._waiting.move_to_end(sender)
        if len(self._waiting) > MAX_EARLY_SENDERS:
            self._waiting.popitem(last=False)

    def take(self, session_id: SessionId) -> list[T]:
        """Give what waited for a session, in order for each sender."""
        taken: list[T] = []
        for sender, messages in tuple(self._waiting.items()):
            taken += [message for one, message in messages if one == session_id]
            left = [(one, message) for one, message in messages if one != session_id]
            messages.clear()
            messages.extend(left)
            if not left:
                del self._waiting[sender]
        return taken


class Claims:
    """What only one session at a time may make at this node, such as a wallet of one name."""

    def __init__(self) -> None:
        self._held: dict[str, SessionId] = {}

    def held(self, what: str) -> bool:
        """Say whether a session makes ``what``."""
        return what in self._held

    def take(self, what: str, session_id: SessionId) -> None:
        """Have no other session make ``what``.

        Raises:
            Refused: one does.
        """
        if self._held.setdefault(what, session_id) != session_id:
            raise Refused(f"another session at this node makes {what} already")

    def free(self, session_id: SessionId) -> None:
        """Give back what a session took."""
        self._held = {what: holder for what, holder in self._held.items() if holder != session_id}


class Allowance:
    """What is allowed to each sender, and to all of them together, in any sixty minutes.

    Args:
        each: how many of one sender.
        total: how many of all; new identity keys cost nothing.
    """

    def __init__(self, *, each: int, total: int) -> None:
        self._each = each
        self._total = total
        self._taken: list[tuple[int, str]] = []

    def take(self, sender: str, now: int) -> bool:
        """Take one for ``sender``; say whether there was one left.

        Args:
            sender: whose.
            now: milliseconds, monotonic.
        """
        self._taken = [(when, one) for when, one in self._taken if now - when < HOUR]
        if len(self._taken) >= self._total or sum(one == sender for _, one in self._taken) >= self._each:
            return False
        self._taken.append((now, sender))
        return True


def _add(remembered: OrderedDict[SessionId, None], session_id: SessionId) -> None:
    remembered[session_id] = None
    while len(remembered) > MAX_REMEMBERED:
        remembered.popitem(last=False)
