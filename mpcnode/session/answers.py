"""The answers to one proposal, as its proposer hears them, and what it may make of them; nothing here waits.

One participant that refuses, cheats or is gone is left out, and ends nothing as long as enough others may still accept.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from mpcnode.blame import Came, Event, judge, why
from mpcnode.crypto import tags
from mpcnode.crypto.signature import verify
from mpcnode.errors import MpcError, PeerError, Refused
from mpcnode.identity.identity import Identity
from mpcnode.types import IdentityKey, PeerId, SessionId
from mpcnode.wire import agreement
from mpcnode.wire.relay import Acceptance, SessionProposal, SessionResponse, SessionStart

NONCE_SIZE = 16


class Choose(Protocol):
    """Says which participants take part."""

    def __call__(self, accepted: Collection[PeerId], *, more: bool) -> list[PeerId]:
        """Choose some of ``accepted``, or nobody yet; ``more``: others may still accept."""


class Answers:
    """The answers to one proposal.

    Args:
        others: everybody that was asked, with the identity key of the proposal.
        proposal: the hash of the proposal, which every answer repeats.
    """

    def __init__(self, others: Mapping[PeerId, IdentityKey], proposal: bytes) -> None:
        self.accepted: dict[PeerId, SessionResponse] = {}
        """Those that take part, in the order of their answers."""
        self.refused: dict[PeerId, str] = {}
        """Those that do not, and why."""
        self.gone: dict[PeerId, MpcError | None] = {}
        """Those that cannot be reached, and why, where that is known; one that answers yet is counted."""
        self.failures: dict[PeerId, PeerError] = {}
        """Those whose answer cannot be trusted, and why."""
        self._others = others
        self._proposal = proposal

    @property
    def missing(self) -> tuple[PeerId, ...]:
        """Those that have not answered and still may."""
        heard = self.accepted.keys() | self.refused.keys() | self.failures.keys() | self.gone.keys()
        return tuple(name for name in self._others if name not in heard)

    def take(self, sender: PeerId, answer: SessionResponse) -> None:
        """Take an answer.

        Raises:
            ParticipantCheated: it answers something else, is not signed by its sender, or is a second, other one, which
                convicts nobody: a node that was started again signs one more.
        """
        if not answer.accepted:
            self.give_up(sender, why(Refused.code, answer.reason or "no reason given"))
            return
        if answer.proposal != self._proposal:
            raise _doubtful(Event.MISPLACED, f"{sender} accepted something else than was proposed", sender)
        if not is_signed(self._others[sender], answer):
            raise _doubtful(Event.MISPLACED, f"the acceptance of {sender} is not signed by it", sender)
        if sender in self.refused:
            return  # it took its yes back: what says so is not signed, and the server may bring the two in any order
        earlier = self.accepted.get(sender, answer)
        if (earlier.nonce, earlier.terms) != (answer.nonce, answer.terms):
            raise _doubtful(Event.TWO_VALUES, f"{sender} answered twice, differently", sender)
        if sender not in self.failures:
            self.gone.pop(sender, None)
            self.accepted.setdefault(sender, answer)

    def give_up(self, sender: PeerId, reason: str) -> None:
        """Count ``sender`` out, whatever it said before."""
        self.accepted.pop(sender, None)
        self.refused.setdefault(sender, reason)

    def lose(self, peer: PeerId, error: MpcError | None = None) -> None:
        """Note that ``peer`` cannot be reached, unless it answered before or does so yet."""
        if peer in self.missing:
            self.gone[peer] = error

    def distrust(self, sender: PeerId, error: PeerError) -> None:
        """Count nothing that ``sender`` said or will say."""
        self.accepted.pop(sender, None)
        self.failures.setdefault(sender, error)

    def too_few(self) -> MpcError:
        """Why not enough can accept any more."""
        said = [f"{name} {reason}" for name, reason in sorted(self.refused.items())]
        said += [error.message for error in self.failures.values()]
        said += [error.message if error else f"{name} cannot be reached" for name, error in sorted(self.gone.items())]
        message = f"too few take part: {', '.join(said)}"
        if self.refused:
            return judge(Came.RELAY, Event.REFUSAL, message, self.refused)
        if explained := [error for error in (*self.failures.values(), *self.gone.values()) if error]:
            return explained[0]
        return judge(Came.CLOCK, Event.SILENCE, message, self.gone)

    def too_late(self) -> MpcError:
        """Why not enough accepted in time."""
        missing = sorted({*self.missing, *self.gone})
        return judge(Came.CLOCK, Event.SILENCE, f"no answer to the proposal from {', '.join(missing)}", missing)


def accept(
    proposal: SessionProposal,
    identity: Identity,
    *,
    nonce: bytes,
    terms: tuple[bytes, ...],
    meshes: Sequence[SessionId],
) -> SessionResponse:
    """Say yes for this node (PROTOCOL, Agreement).

    Args:
        proposal: what is accepted.
        identity: this node's, which signs.
        nonce: 16 fresh random bytes: what is signed in this session later is bound to them, so that no other life of
            this node can be confused with it.
        terms: what the kind has to say with the yes.
        meshes: those open here that the proposer is on, and may name for the session.
    """
    hashed = agreement.proposal_hash(proposal)
    return SessionResponse(
        session_id=proposal.session_id,
        proposal=hashed,
        accepted=True,
        nonce=nonce,
        terms=terms,
        meshes=tuple(meshes),
        signature=identity.sign(tags.ACCEPTANCE, *agreement.acceptance_fields(hashed, nonce, terms)),
    )


def refuse(proposal: SessionProposal, reason: str) -> SessionResponse:
    """Say no for this node; nothing about the proposal needs to hold."""
    return SessionResponse(
        session_id=proposal.session_id,
        proposal=agreement.proposal_hash(proposal),
        accepted=False,
        reason=reason[:200],
    )


def is_signed(key: IdentityKey, answer: SessionResponse | Acceptance, proposal: bytes | None = None) -> bool:
    """Say whether an acceptance is signed by the holder of ``key``.

    Args:
        key: the identity key of the proposal.
        answer: as it came, or as the proposer repeats it.
        proposal: the hash of the proposal, where ``answer`` does not say it.
    """
    hashed = answer.proposal if isinstance(answer, SessionResponse) else proposal
    if hashed is None or answer.nonce is None or answer.signature is None:
        return False
    fields = agreement.acceptance_fields(hashed, answer.nonce, answer.terms)
    return verify(key, answer.signature, tags.ACCEPTANCE, *fields)


def start(
    proposal: SessionProposal, chosen: Mapping[PeerId, SessionResponse], identity: Identity, *, mesh: SessionId
) -> SessionStart:
    """Say who takes part (PROTOCOL, Agreement).

    Args:
        proposal: of this node.
        chosen: everybody that takes part with its acceptance, this node's own included.
        identity: this node's, which signs.
        mesh: the mesh to use: one that is open, or the session's own, which is made now.
    """
    hashed = agreement.proposal_hash(proposal)
    listed = tuple(
        Acceptance(identifier=one.identifier, nonce=answer.nonce, terms=answer.terms, signature=answer.signature)
        for one in proposal.participants
        if (answer := chosen.get(one.peer_id)) and answer.nonce is not None and answer.signature is not None
    )
    assert len(listed) == len(chosen)
    return SessionStart(
        session_id=proposal.session_id,
        proposal=hashed,
        mesh=mesh,
        chosen=listed,
        signature=identity.sign(tags.START, *agreement.start_fields(hashed, mesh, listed)),
    )


def check_start(
    begun: SessionStart,
    proposal: SessionProposal,
    *,
    proposer: PeerId,
    me: PeerId,
    mine: SessionResponse,
    needed: int,
    signed: Came = Came.SIGNED,
) -> None:
    """Check the choice of a proposer; the proposal is the one that was approved here.

    Args:
        begun: who takes part.
        proposal: what was proposed, to whom.
        proposer: its name.
        me: this node, which accepted.
        mine: this node's acceptance.
        needed: how many must take part at least.
        signed: what a signature of the proposer's key is worth.

    Raises:
        ParticipantCheated: no honest proposer says so; convicted where it signed it, by a key that is surely its own.
        Disagreement: it repeats what this node said in an earlier life; that may be the server's doing.
    """
    members = {one.identifier: one for one in proposal.participants}
    identifiers = [one.identifier for one in begun.chosen]
    hashed = agreement.proposal_hash(proposal)
    if not is_start_of(proposer, begun, proposal):
        raise _doubtful(Event.MISPLACED, f"the choice of participants is not signed by {proposer}", proposer)
    honest = (
        identifiers == sorted(set(identifiers))
        and members.keys() >= set(identifiers)
        and {me, proposer} <= {members[identifier].peer_id for identifier in identifiers}
        and len(identifiers) >= needed
        and all(is_signed(members[one.identifier].public_key, one, hashed) for one in begun.chosen)
    )
    if not honest:
        said = f"{proposer} chose participants as no honest node does"
        raise judge(signed, Event.MISPLACED, said, [proposer])
    repeated = next(one for one in begun.chosen if members[one.identifier].peer_id == me)
    if (repeated.nonce, repeated.terms) != (mine.nonce, mine.terms):
        # Signed by this node, but in an earlier life: the server may have kept the newer answer back.
        said = f"{proposer} repeats an answer that this node gave in an earlier life"
        raise judge(Came.RELAY, Event.VIEWS_DIFFER, said, hint="start again")


def two_faced(proposer: PeerId, one: SessionStart, other: SessionStart, proposal: SessionProposal) -> bool:
    """Say whether these are two different choices that the proposer signed; an honest one signs one.

    Only what is signed is compared: the rest of what somebody shows it may have written itself.
    """
    different = (one.mesh, one.chosen) != (other.mesh, other.chosen)
    return different and all(is_start_of(proposer, begun, proposal) for begun in (one, other))


def is_start_of(proposer: PeerId, begun: SessionStart, proposal: SessionProposal) -> bool:
    """Say whether a start is signed by the proposer of ``proposal``."""
    key = next(one.public_key for one in proposal.participants if one.peer_id == proposer)
    hashed = agreement.proposal_hash(proposal)
    if (begun.session_id, begun.proposal) != (proposal.session_id, hashed):
        return False
    fields = agreement.start_fields(hashed, begun.mesh, begun.chosen)
    return verify(key, begun.signature, tags.START, *fields)


def _doubtful(event: Event, message: str, sender: PeerId) -> PeerError:
    """Make a suspect of ``sender``: its seal is its own, but no third party can check it."""
    return judge(Came.RELAY, event, message, [sender])
