"""The first message on a data channel: who is at its other end (PROTOCOL, Link).

DTLS shows that the other end holds the key of a certificate; nothing ties that certificate to a node. The signature
here does. The identity key makes it over both fingerprints *as the signer sees them*: a go-between has to show each
side a certificate of its own, so the two sides sign different things.
"""

from dataclasses import dataclass

from mpcnode.crypto import tags
from mpcnode.crypto.signature import verify
from mpcnode.mesh.transport import Fingerprints, Sign
from mpcnode.types import IdentityKey, PeerId, SessionId
from mpcnode.wire.peer import ChannelOpen


@dataclass(frozen=True, slots=True)
class Ends:
    """Whom a channel should connect, as this node sees it."""

    mesh_id: SessionId
    me: PeerId
    my_key: IdentityKey
    peer: PeerId
    peer_key: IdentityKey


def introduce(ends: Ends, seen: Fingerprints, sign: Sign) -> ChannelOpen:
    """Make this node's first message on a channel."""
    fields = _fields(ends.mesh_id, (ends.me, ends.my_key, seen.local), (ends.peer, ends.peer_key, seen.remote))
    return ChannelOpen(
        peer_id=ends.peer,
        mesh=ends.mesh_id,
        public_key=ends.my_key,
        signature=sign(tags.CHANNEL_OPEN, *fields),
    )


def announce(ends: Ends, other: PeerId) -> ChannelOpen:
    """Make the announcement, to anybody, that this node's link to ``other`` is open and verified."""
    return ChannelOpen(peer_id=other, mesh=ends.mesh_id, public_key=ends.my_key)


def check_introduction(ends: Ends, seen: Fingerprints, message: ChannelOpen) -> str | None:
    """Check the other end's first message.

    Returns:
        None where it is the peer of the roster; else what does not fit, in our own words.
    """
    if message.signature is None:
        return "its first message is not signed"
    if message.mesh != ends.mesh_id:
        return "its first message is of another mesh"
    if message.peer_id != ends.me:
        return "its first message is for another node"
    if message.public_key != ends.peer_key:
        return "it shows another identity key than the one agreed on"
    fields = _fields(ends.mesh_id, (ends.peer, ends.peer_key, seen.remote), (ends.me, ends.my_key, seen.local))
    if not verify(ends.peer_key, message.signature, tags.CHANNEL_OPEN, *fields):
        return "the signature does not fit this channel"
    return None


def _fields(
    mesh_id: SessionId,
    sender: tuple[PeerId, IdentityKey, bytes],
    recipient: tuple[PeerId, IdentityKey, bytes],
) -> list[bytes]:
    """Give what is signed, the signer's fields first: a reflected signature fits nothing."""
    fields: list[bytes] = [mesh_id]
    for peer_id, key, fingerprint in (sender, recipient):
        fields += [peer_id.encode(), key, fingerprint]
    return fields
