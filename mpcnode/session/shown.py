"""A session as people and records are shown it."""

import hashlib

from mpcnode.errors import MpcError
from mpcnode.session.journal import Told
from mpcnode.status import PeerView, Proposed, SessionEnded, SignView, error_view
from mpcnode.types import PeerId
from mpcnode.wire import relay as wire


def sign_view(request: wire.SignRequest) -> SignView:
    """Show what is to be signed; each message with its SHA-256."""
    return SignView(
        wallet_id=request.wallet_id,
        epoch=request.epoch,
        reading=request.reading,
        messages=request.messages,
        hashes=tuple(hashlib.sha256(bytes.fromhex(message)).hexdigest() for message in request.messages),
        merkle_root=request.merkle_root,
    )


def unchecked(proposal: wire.SessionProposal, proposer: PeerId) -> Proposed:
    """A proposal of which nothing was found to hold, for the record: names, and nothing known of anybody."""
    return Proposed(
        session_id=proposal.session_id,
        kind=proposal.kind,
        proposer=proposer,
        wallet=proposal.wallet_name,
        threshold=proposal.threshold,
        total=proposal.total,
        participants=tuple(PeerView(name, "unknown") for name in proposal.participants),
        suites=proposal.suites,
        expires=proposal.expires,
        sign=sign_view(proposal.sign) if proposal.sign else None,
    )


def is_known(shown: Proposed) -> bool:
    """Whether a checked proposal is a verified contact's, or of somebody who has a share of the wallet."""
    verified = {peer.peer_id for peer in shown.participants if peer.trust == "verified"}
    return shown.sign is not None or shown.proposer in verified


def ended(shown: Proposed, seconds: dict[str, float], told: Told, error: MpcError | None) -> SessionEnded:
    """Show the end of a session."""
    return SessionEnded(
        session_id=shown.session_id,
        kind=shown.kind,
        proposer=shown.proposer,
        seconds=seconds,
        words=told.words,
        wallet=told.wallet,
        signature=told.signature,
        error=error_view(error) if error else None,
    )
