"""How many sessions that others propose a node takes part in at once, and whose; which ones are over. Pure."""

from collections import OrderedDict
from typing import Final

from mpcnode.types import IdentityKey, PeerId, SessionId

MAX_KNOWN: Final = 8
"""Sessions at once of one verified contact or participant of the wallet.

A proposal beyond is refused, not queued: its proposer waits for an answer.
"""
MAX_STRANGER: Final = 2
"""Sessions of one stranger at once."""
MAX_STRANGERS: Final = 4
"""Sessions at once of all proposers who are neither verified contacts nor have a share of the wallet."""
MAX_REMEMBERED: Final = 1024


class Places:
    """Who holds a place here.

    A place may be held for a day, while a human is waited for or a proposer that says no more. So nobody has more than
    so many, and strangers, who can be as many as they like, have places of their own: verified contacts and the
    participants of this node's wallets find theirs free whatever strangers do.
    """

    def __init__(self) -> None:
        self._held: dict[SessionId, tuple[IdentityKey, bool]] = {}

    def hindrance(self, proposer: PeerId, key: IdentityKey, *, known: bool) -> str | None:
        """Say why there is no place for one more session.

        Args:
            proposer: who proposes it.
            key: the proposer's identity key; names are free.
            known: whether it is a verified contact, or has a share of the wallet.
        """
        most = MAX_KNOWN if known else MAX_STRANGER
        if sum(holder == key for holder, _ in self._held.values()) >= most:
            return f"{most} sessions that {proposer} proposed are under way at this node already"
        if not known and sum(not known_one for _, known_one in self._held.values()) >= MAX_STRANGERS:
            return "this node is busy with other sessions"
        return None

    def take(self, session_id: SessionId, key: IdentityKey, *, known: bool) -> None:
        """Hold a place for a session; see ``hindrance`` first."""
        self._held[session_id] = key, known

    def free(self, session_id: SessionId) -> None:
        """Give the place of a session back, if it has one."""
        self._held.pop(session_id, None)


class Over:
    """The ids of sessions that are over: what is late for them starts nothing.

    Those that were refused unrun, which cost their senders nothing, do not push out those that ran.
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


def _add(remembered: OrderedDict[SessionId, None], session_id: SessionId) -> None:
    remembered[session_id] = None
    while len(remembered) > MAX_REMEMBERED:
        remembered.popitem(last=False)
