"""When a peer gave its last sign of life, and what follows from its silence (PROTOCOL, Messages on a link)."""

import enum

from mpcnode.mesh.transport import MeshTimeouts


class Due(enum.Enum):
    """What a clock says about a peer."""

    NOTHING = enum.auto()
    PING = enum.auto()
    """It is time to ask for a sign of life."""
    QUIET = enum.auto()
    """Its channel said nothing for so long that it is built again."""
    DEAD = enum.auto()
    """The peer said nothing for so long, on any channel, that nothing more is expected of it."""


class Liveness:
    """The clocks of one peer; ``now`` is any steady clock.

    Args:
        timeouts: the deadlines.
    """

    def __init__(self, timeouts: MeshTimeouts) -> None:
        self.known = False
        """Whether any channel was ever verified: from then on silence means death."""
        self._timeouts = timeouts
        self._heard = 0.0
        self._asked = 0.0
        self._lost_at = 0.0

    def verified(self, now: float) -> None:
        """A channel to the peer is verified."""
        self.known = True
        self._heard = self._asked = now

    def heard(self, now: float) -> None:
        """The peer gave a sign of life: a frame, which may be a piece of a message, or a signal."""
        self._heard = now

    def asked(self, now: float) -> None:
        """The peer was asked for a sign of life."""
        self._asked = now

    def lost(self, now: float) -> None:
        """The verified channel to the peer is gone."""
        self._lost_at = now

    def excuse(self, seconds: float) -> None:
        """Do not hold against the peer what it could not say because this process stood still."""
        self._heard += seconds

    @property
    def silent_since_loss(self) -> bool:
        """Whether the peer said nothing since its channel was lost."""
        return self.known and self._heard < self._lost_at

    def due(self, now: float, *, linked: bool) -> Due:
        """Say what the clocks ask for.

        Args:
            now: the time.
            linked: whether there is a verified channel.
        """
        silence = now - self._heard
        if self.known and silence > self._timeouts.dead:
            return Due.DEAD
        if linked and silence > self._timeouts.quiet:
            return Due.QUIET
        if linked and now - self._asked >= self._timeouts.ping:
            return Due.PING
        return Due.NOTHING
