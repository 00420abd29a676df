"""Over which way a negotiation talks to each participant: a link that is known to carry, else the server."""

from collections.abc import Collection, Mapping

from mpcnode.session.meshes import Meshes
from mpcnode.session.services import SIGNAL_LASTS, Services
from mpcnode.types import IdentityKey, PeerId
from mpcnode.wire.relay import (
    RelayMessage,
    SessionCancel,
    SessionProposal,
    SessionResponse,
    SessionStart,
)


class Talk:
    """One negotiation's talk. An answer goes back the way its question came: another link may be dead, unknown to us.

    Args:
        roster: with whom, and the one key under which each hears anything.
        expires: Unix time in seconds after which nobody shall act on the proposal.
        services: the node's.
        meshes: the node's shared meshes.
    """

    def __init__(
        self, roster: Mapping[PeerId, IdentityKey], *, expires: float, services: Services, meshes: Meshes
    ) -> None:
        self._roster = roster
        self._expires = expires
        self._services = services
        self._meshes = meshes
        self.linked: set[PeerId] = set()
        """To whom there is a link that carried something in this negotiation, or is believed to."""

    def begin(self, others: Collection[PeerId]) -> None:
        """Believe in every link there is to ``others``."""
        self.linked = {name for name in others if self._meshes.link_to(name, self._roster[name])}

    def heard(self, sender: PeerId, *, by_mesh: bool) -> None:
        """Take it that ``sender`` was heard this way."""
        (self.linked.add if by_mesh else self.linked.discard)(sender)

    def say(self, to: PeerId, message: SessionProposal | SessionResponse | SessionStart | SessionCancel) -> None:
        """Say ``message`` over the link that ``to`` is known to have, else through the server."""
        shared = self._meshes.link_to(to, self._roster[to]) if to in self.linked else None
        if shared is None:
            self.relay(to, message)
        else:
            shared.mesh.send(to, message)

    def relay(self, to: PeerId, message: RelayMessage) -> None:
        """Say ``message`` through the server, to the holder of the roster's key and nobody else."""
        expires: float = self._expires
        if not isinstance(message, SessionProposal):
            # A decision may come when the time to answer is over; it is of use for as long as a signal is.
            expires = max(expires, self._services.now() + SIGNAL_LASTS)
        self._services.relay.send(to, message, expires=expires, key=self._roster[to])
