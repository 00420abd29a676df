"""What a signaling client tells its owner, as frozen values."""

from dataclasses import dataclass

from mpcnode.types import PeerId
from mpcnode.wire.signaling import IceServer, OfferedLimits


@dataclass(frozen=True, slots=True)
class Registered:
    """The name is ours, now or again after a reconnection; ``peers`` are in the room, ourselves included.

    ``server_version`` and ``limits`` are ``None`` where the server speaks the source document's messages alone.
    """

    peers: tuple[PeerId, ...]
    server_version: str | None
    ice_servers: tuple[IceServer, ...]
    limits: OfferedLimits | None


@dataclass(frozen=True, slots=True)
class Peers:
    """The answer to ``list_peers``: everybody in the room, ourselves included."""

    peers: tuple[PeerId, ...]


@dataclass(frozen=True, slots=True)
class PeerJoined:
    """A peer came into the room; only its ``hello`` tells whether it is the node that had the name before."""

    peer_id: PeerId


@dataclass(frozen=True, slots=True)
class PeerLeft:
    """Somebody left the room, or lost its connection."""

    peer_id: PeerId


@dataclass(frozen=True, slots=True)
class Relayed:
    """``data``, one JSON object, from the peer the server says it is from."""

    sender: PeerId
    data: bytes


@dataclass(frozen=True, slots=True)
class Dropped:
    """A message to ``peer_id`` is lost: too much waits for the server. This is said at once, by whoever queues."""

    peer_id: PeerId


@dataclass(frozen=True, slots=True)
class ServerSaid:
    """The server refused something.

    Args:
        code: its machine-readable word; ``""`` where it gave none.
        error: its text, escaped and cut for showing.
        peer: the peer it is about, where it is about one whose name has the form of a peer id.
    """

    code: str
    error: str
    peer: PeerId | None


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection is lost; what is sent meanwhile waits.

    Args:
        reason: why, for people, escaped.
        retry_in: seconds until the next try.
    """

    reason: str
    retry_in: float


ClientEvent = Registered | Peers | PeerJoined | PeerLeft | Relayed | Dropped | ServerSaid | Disconnected
