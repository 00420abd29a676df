"""What a node lends to its sessions."""

from collections.abc import Callable
from dataclasses import dataclass

from mpcnode.identity.identity import Identity
from mpcnode.mesh.transport import Connector, MeshTimeouts
from mpcnode.session.sealed_relay import SealedRelay
from mpcnode.session.timeouts import SessionTimeouts
from mpcnode.session.wallets import Wallets
from mpcnode.types import PeerId


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
