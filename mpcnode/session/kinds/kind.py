"""What differs from session to session, and nothing else: the interface between an attempt and its kind.

A ``Kind`` turns a proposal into a ``Matter``: what this one session is about at this node. The attempt does the rest.
"""

from abc import ABC
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from mpcnode.blame import Came
from mpcnode.errors import Refused
from mpcnode.protocols.descriptor import Member
from mpcnode.protocols.rounds import Rounds
from mpcnode.session.services import Services
from mpcnode.session.stage import Stage
from mpcnode.status import SignView
from mpcnode.types import Identifier, IdentityKey, PeerId, SessionId
from mpcnode.wallet.wallet import Wallet
from mpcnode.wire.relay import SessionProposal

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """What the participants of one attempt agreed on before their mesh was open (PROTOCOL, Agreement).

    Args:
        session_id: of the proposal.
        digest: the hash of the proposal and of every acceptance; everything after is bound to it.
        roster: those that take part, by ascending identifier.
        terms: what each of them said with its yes.
    """

    session_id: SessionId
    digest: bytes
    roster: tuple[Member, ...]
    terms: Mapping[Identifier, tuple[bytes, ...]]

    @property
    def participants(self) -> dict[Identifier, PeerId]:
        """Everybody's name by identifier."""
        return {member.identifier: member.peer_id for member in self.roster}


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A protocol to be run.

    Args:
        rounds: the script, not yet started.
        equivocators: names those that two participants' evidence proves liars; raises ``DecodeError`` for what cannot
            be read.
    """

    rounds: Rounds[Any]
    equivocators: Callable[[bytes, bytes], frozenset[Identifier]]


class Matter(ABC, Generic[R]):
    """What one session is about, at one node; the defaults are those of a session that uses no share.

    Args:
        proposal: checked.
        services: the node's.
        needed: how many participants it takes, this node included.
        wallet: the wallet it is about, where there is one already.
    """

    def __init__(
        self, proposal: SessionProposal, services: Services, *, needed: int, wallet: Wallet | None = None
    ) -> None:
        self.proposal = proposal
        self.services = services
        self.needed = needed
        self.wallet = wallet

    def signed(self) -> SignView | None:
        """Show what is to be signed, where something is."""
        return None

    def makes(self) -> str | None:
        """Name what only one session at a time may make, such as a wallet of one name."""
        return None

    def hindrance(self) -> str | None:
        """Say why this node cannot take part, whatever its user would say."""
        makes = self.makes()
        held = makes is not None and self.services.claims.held(makes)
        return f"another session at this node makes {makes} already" if held else None

    def signed_by(self, peer: PeerId) -> Came:
        """Say what a signature of a participant's key is worth: whether more than the server gave it this name."""
        pinned = self.services.trusts.pinned(peer, roster_of(self.proposal)[peer])
        return Came.SIGNED if pinned or self.wallet is not None else Came.INTRODUCED

    def said_with_yes(self) -> tuple[bytes, ...]:
        """Give what this node says with its acceptance, for everybody to count on."""
        return ()

    @asynccontextmanager
    async def prepared(self, _stage: Stage) -> AsyncIterator[Any]:
        """Open what ``script`` is handed, beside the negotiation, and wipe it at the end."""
        yield None

    async def script(self, agreed: Agreed, prepared: Any, stage: Stage) -> Script:  # noqa: ANN401 (the kind's own)
        """Make the script; nothing made with a share may leave before what must be durable first is.

        Raises:
            MpcError: this node cannot go on.
        """
        raise NotImplementedError

    async def checkpoint(self, record: object, stage: Stage) -> object:
        """Do what the protocol waits for (ask, store), and give what it wants to know."""
        raise AssertionError(f"no such checkpoint in a {stage.shown.kind}: {type(record).__name__}")

    async def result(self, value: Any, agreed: Agreed, stage: Stage) -> R:  # noqa: ANN401 (what the script returned)
        """Turn what the script returned into what the user is given."""
        raise NotImplementedError

    def saved(self) -> str | None:
        """Say what is on disk, for the error of a session that fails."""
        return None


@dataclass(frozen=True, slots=True)
class Kind(Generic[R]):
    """One kind of session.

    Args:
        name: as it stands in a proposal.
        matter: checks what only this kind knows of a proposal against what this node has; raises ``Refused``, with the
            reason that the proposer is told, where it does not fit.
    """

    name: str
    matter: Callable[[SessionProposal, Services], Matter[R]]


def roster_of(proposal: SessionProposal) -> dict[PeerId, IdentityKey]:
    """Everybody in ``proposal`` with the key it names."""
    return {one.peer_id: one.public_key for one in proposal.participants}


def require(condition: bool, reason: str) -> None:  # noqa: FBT001 -- reads as a sentence at every call
    """Refuse a proposal unless ``condition`` holds.

    Raises:
        Refused: for ``reason``.
    """
    if not condition:
        raise Refused(reason)
