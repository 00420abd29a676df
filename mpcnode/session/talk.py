"""The way a negotiation talks to each participant: a link that is known to carry, else the server."""

from collections.abc import Collection, Mapping
from typing import Final

from mpcnode.session.services import Services
from mpcnode.types import IdentityKey, PeerId
from mpcnode.wire.relay import SessionCancel, SessionProposal, SessionResponse, SessionStart

SIGNAL_LASTS: Final = 60_000
"""Milliseconds after which a decision or a signal is of no use any more."""


class Talk:
    """One negotiation's talk. An answer goes back the way its question came: another link may be dead, unknown to us.

    Args:
        roster: everybody, and the one key under which each hears anything.
        expires: Unix milliseconds after which nobody shall act on the proposal.
        services: the node's.
    """

    def __init__(self, roster: Mapping[PeerId, IdentityKey], *, expires: int, services: Services) -> None:
        self._roster = roster
        self._expires = expires
        self._services = services
        self.linked: set[PeerId] = set()
        """To whom there is a link that carried something in this negotiation, or is believed to."""

    def begin(self, others: Collection[PeerId]) -> None:
        """Believe in every link there is to ``others``."""
        self.linked = {name for name in others if self._services.pool.link_to(name, self._roster[name])}

    def heard(self, sender: PeerId, *, by_mesh: bool) -> None:
        """Note which way ``sender`` was heard."""
        (self.linked.add if by_mesh else self.linked.discard)(sender)

    def say(self, to: PeerId, message: SessionProposal | SessionResponse | SessionStart | SessionCancel) -> None:
        """Say ``message`` over the link that ``to`` is known to have, else through the server."""
        shared = self._services.pool.link_to(to, self._roster[to]) if to in self.linked else None
        if shared is None:
            self.relay(to, message)
        else:
            shared.mesh.send(to, message)

    def relay(self, to: PeerId, message: SessionProposal | SessionResponse | SessionStart | SessionCancel) -> None:
        """Say ``message`` through the server, to the holder of the roster's key and nobody else."""
        expires = self._expires
        if not isinstance(message, SessionProposal):
            # A decision may come when the time to answer is over; it is of use for as long as a signal is.
            expires = max(expires, self._services.now() + SIGNAL_LASTS)
        if expires > self._services.now():
            self._services.conversations.send(to, message, expires=expires, key=self._roster[to])
