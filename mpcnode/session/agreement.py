"""Everybody's answer to a proposal: each participant tells every other one, and one no ends it for all.

A pure machine: answers in, "all accepted" or an error out. Answers may come before this node's own user has said
anything; they are kept.
"""

from collections.abc import Mapping

from mpcnode.errors import ParticipantCheated, ParticipantRefused
from mpcnode.protocols.descriptor import FRESH_SIZE
from mpcnode.session.proposal import proposal_hash, roster_of
from mpcnode.types import PeerId
from mpcnode.wire.relay import SessionProposal, SessionResponse


class Agreement:
    """The answers of one session.

    Args:
        proposal: what is answered.
        me: this node's name.
    """

    def __init__(self, proposal: SessionProposal, *, me: PeerId) -> None:
        self._session_id = proposal.session_id
        self._hash = proposal_hash(proposal).hex()
        self._roster = roster_of(proposal)
        self._me = me
        self._fresh: dict[PeerId, bytes] = {}

    @property
    def missing(self) -> tuple[PeerId, ...]:
        """Who has not answered, this node included, sorted."""
        return tuple(name for name in sorted(self._roster) if name not in self._fresh)

    @property
    def fresh(self) -> Mapping[PeerId, bytes]:
        """The fresh bytes of those who accepted."""
        return self._fresh

    def accept(self, fresh: bytes) -> SessionResponse:
        """Say yes for this node, once.

        Args:
            fresh: 32 random bytes made for this session.
        """
        assert self._me not in self._fresh
        assert len(fresh) == FRESH_SIZE
        self._fresh[self._me] = fresh
        return _answer(self._session_id, self._hash, accepted=True, fresh=fresh.hex())

    def refuse(self, reason: str) -> SessionResponse:
        """Say no for this node; ``reason`` is shown to the others."""
        return _answer(self._session_id, self._hash, accepted=False, reason=reason[:200])

    def receive(self, sender: PeerId, message: SessionResponse) -> bool:
        """Take the answer of ``sender``, another participant.

        Returns:
            Whether it says anything new; the same answer again does not.

        Raises:
            ParticipantRefused: it says no.
            ParticipantCheated: it says two different things, or answers another proposal under this session id.
        """
        if not message.accepted:
            raise ParticipantRefused(f"{sender} refused: {message.reason or 'no reason given'!a}", culprits=[sender])
        if message.proposal != self._hash:
            # Not proof against the sender alone: the proposer may have told two stories.
            raise ParticipantCheated(
                f"{sender} accepted another proposal than this node was shown; it or the proposer is not honest"
            )
        fresh = bytes.fromhex(message.fresh or "")
        if len(fresh) != FRESH_SIZE:
            raise ParticipantCheated(f"{sender} accepted without its fresh bytes", culprits=[sender])
        known = self._fresh.setdefault(sender, fresh)
        if known != fresh:
            raise ParticipantCheated(f"{sender} answered twice, differently", culprits=[sender])
        return known is fresh


def refusal(proposal: SessionProposal, reason: str) -> SessionResponse:
    """Say no to a proposal that is not worth an ``Agreement``: nothing about it needs to hold."""
    return _answer(proposal.session_id, proposal_hash(proposal).hex(), accepted=False, reason=reason[:200])


def _answer(
    session_id: str, proposal: str, *, accepted: bool, fresh: str | None = None, reason: str | None = None
) -> SessionResponse:
    return SessionResponse(session_id=session_id, accepted=accepted, proposal=proposal, fresh=fresh, reason=reason)
