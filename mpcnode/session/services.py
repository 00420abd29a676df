"""What a node lends to its sessions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from mpcnode.errors import LinkFailed, MpcError, ParticipantSilent
from mpcnode.identity.identity import Identity
from mpcnode.mesh.mesh import Mesh
from mpcnode.mesh.transport import Connector, LinkChange, MeshTimeouts, Signal, to_relay
from mpcnode.session.room import server_away
from mpcnode.session.sealed_relay import SealedRelay
from mpcnode.session.timeouts import SessionTimeouts
from mpcnode.session.wallets import Wallets
from mpcnode.types import IdentityKey, PeerId, SessionId

SIGNAL_LASTS: Final = 60.0
"""Seconds after which a signal is of no use: every try of its link is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What a node lends to its sessions.

    Args:
        peer_id: this node's name.
        identity: signs, seals and opens.
        relay: to the others before there is a mesh.
        connector: makes the links of a mesh.
        wallets: where shares become durable.
        rng: gives that many random bytes.
        now: Unix time in seconds.
        timeouts, mesh_timeouts: see there.
        away: says whether the server cannot be reached just now.
    """

    peer_id: PeerId
    identity: Identity
    relay: SealedRelay
    connector: Connector
    wallets: Wallets
    rng: Callable[[int], bytes]
    now: Callable[[], float]
    timeouts: SessionTimeouts
    mesh_timeouts: MeshTimeouts
    away: Callable[[], bool] = lambda: False

    def explained(self, error: MpcError) -> MpcError:
        """Give the true reason of what failed before there was a mesh: where the server is away, nobody is silent."""
        if isinstance(error, ParticipantSilent | LinkFailed) and self.away():
            return server_away()
        return error

    def mesh(
        self,
        mesh_id: SessionId,
        roster: Mapping[PeerId, IdentityKey],
        on_link: Callable[[LinkChange], None] = lambda _change: None,
        *,
        shared: bool = False,
    ) -> Mesh:
        """Make a mesh, not yet open, whose links are made through the sealed relay; ``shared`` by several sessions."""

        def signal(to: PeerId, said: Signal) -> None:
            message = to_relay(mesh_id, said)
            self.relay.send(to, message, expires=self.now() + SIGNAL_LASTS, key=roster[to])

        return Mesh(
            peer_id=self.peer_id,
            session_id=mesh_id,
            roster=roster,
            sign=self.identity.sign,
            connector=self.connector,
            signal=signal,
            on_link=on_link,
            shared=shared,
            timeouts=self.mesh_timeouts,
        )
