"""What is hashed and signed while a session is agreed on (PROTOCOL section Agreement): the fields, in their order.

Nothing is hashed as it stood on the wire, so a second implementation needs no spelling of JSON, only these lists.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from mpcnode.crypto import tags
from mpcnode.crypto.transcript import listed, tagged_hash, u64
from mpcnode.types import IdentityKey, SessionId
from mpcnode.wire.relay import SessionProposal


class Accepted(Protocol):
    """What the hashes take of an acceptance: whose it is, the nonce drawn for it, and its terms."""

    @property
    def identifier(self) -> int:
        """The participant's identifier in the proposal."""

    @property
    def nonce(self) -> bytes:
        """16 bytes, new in each acceptance."""

    @property
    def terms(self) -> Sequence[bytes]:
        """What the kind adds."""


def session_id_of(proposer: IdentityKey, salt: bytes) -> SessionId:
    """Give the id of a session: only the holder of ``proposer`` can propose it, because a proposal is sealed by it.

    Args:
        proposer: the identity key of the proposer.
        salt: 16 random bytes, which the proposal carries.
    """
    return SessionId(tagged_hash(tags.SESSION_ID, proposer, salt)[:16])


def proposal_hash(proposal: SessionProposal) -> bytes:
    """Give the hash that stands for everything in ``proposal``."""
    return tagged_hash(
        tags.PROPOSAL,
        proposal.session_id,
        proposal.salt,
        proposal.kind.encode(),
        proposal.wallet_name.encode(),
        u64(proposal.threshold),
        *listed([suite.encode() for suite in proposal.suites]),
        u64(len(proposal.participants)),
        *(
            field
            for participant in proposal.participants
            for field in (u64(participant.identifier), participant.peer_id.encode(), participant.public_key)
        ),
        u64(proposal.expires),
        u64(proposal.answer_within),
        *listed(proposal.terms),
    )


def acceptance_fields(proposal: bytes, nonce: bytes, terms: Sequence[bytes]) -> tuple[bytes, ...]:
    """Give what an acceptance signs, under the tag ``ACCEPTANCE``.

    Args:
        proposal: the hash of the proposal.
        nonce: 16 bytes, new in each acceptance: a node that died and answers anew has another one.
        terms: what the kind adds.
    """
    return (proposal, nonce, *listed(terms))


def start_fields(proposal: bytes, mesh: bytes, chosen: Iterable[Accepted]) -> tuple[bytes, ...]:
    """Give what a start signs, under the tag ``START``.

    Args:
        proposal: the hash of the proposal.
        mesh: the id of the mesh to use.
        chosen: who takes part, sorted by identifier.
    """
    return (proposal, mesh, *_acceptances(chosen))


def agreed(proposal: bytes, chosen: Iterable[Accepted]) -> bytes:
    """Give the hash that everything of the session hangs on: the proposal and the acceptances it began with.

    Args:
        proposal: the hash of the proposal.
        chosen: who takes part, sorted by identifier.
    """
    return tagged_hash(tags.AGREED, proposal, *_acceptances(chosen))


def _acceptances(chosen: Iterable[Accepted]) -> list[bytes]:
    some = list(chosen)
    fields = [u64(len(some))]
    for one in some:
        fields += [u64(one.identifier), one.nonce, *listed(one.terms)]
    return fields
