"""The first message on a data channel: who is at its other end (DESIGN section 3, "Channel").

DTLS shows that the other end holds the key of a certificate; nothing ties that certificate to a node. The signature
here does: it is made by the identity key over both fingerprints *as the signer sees them*, so a go-between, who must
show each side a certificate of its own, makes the two sides sign different things.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mpcnode.crypto.signature import verify
from mpcnode.mesh.transport import Fingerprints
from mpcnode.types import IdentityKey, PeerId, SessionId
from mpcnode.wire.peer import ChannelOpen

CONTEXT: Final = "channel_open"


@dataclass(frozen=True, slots=True)
class Ends:
    """Whom a channel should connect, as this node sees it."""

    session_id: SessionId
    me: PeerId
    my_key: IdentityKey
    peer: PeerId
    peer_key: IdentityKey


def introduce(ends: Ends, seen: Fingerprints, sign: Callable[[str, bytes], bytes]) -> ChannelOpen:
    """Make this node's first message on a channel."""
    statement = _statement(ends.session_id, (ends.me, ends.my_key, seen.local), (ends.peer, ends.peer_key, seen.remote))
    return ChannelOpen(
        peer_id=ends.peer,
        session_id=ends.session_id,
        public_key=ends.my_key.hex(),
        signature=sign(CONTEXT, statement).hex(),
    )


def announce(ends: Ends, other: PeerId) -> ChannelOpen:
    """Make the announcement, to anybody, that this node's link to ``other`` is open and verified."""
    return ChannelOpen(peer_id=other, session_id=ends.session_id, public_key=ends.my_key.hex())


def check_introduction(ends: Ends, seen: Fingerprints, message: ChannelOpen) -> str | None:
    """Check the other end's first message.

    Returns:
        None where it is the peer of the roster; else what does not fit, in our own words.
    """
    if message.signature is None:
        return "its first message is not signed"
    if message.session_id != ends.session_id:
        return "its first message is of another session"
    if message.peer_id != ends.me:
        return "its first message is for another node"
    if message.public_key != ends.peer_key.hex():
        return "it shows another identity key than the one agreed on"
    statement = _statement(ends.session_id, (ends.peer, ends.peer_key, seen.remote), (ends.me, ends.my_key, seen.local))
    if not verify(ends.peer_key, CONTEXT, statement, bytes.fromhex(message.signature)):
        return "the signature does not fit this channel"
    return None


def _statement(
    session_id: SessionId,
    sender: tuple[PeerId, IdentityKey, bytes],
    recipient: tuple[PeerId, IdentityKey, bytes],
) -> bytes:
    """Give what is signed: every field with its length, the signer's first, so a reflected signature fits nothing."""
    fields = [session_id.encode()]
    for peer_id, key, fingerprint in (sender, recipient):
        fields += [peer_id.encode(), key, fingerprint]
    return b"".join(len(field).to_bytes(2, "big") + field for field in fields)
