"""Who said what to one signing proposal, as its proposer hears it, and what it may make of that; nothing here waits.

One participant that refuses, cheats or is gone is left out, and ends nothing as long as enough others may still accept.
"""

from collections.abc import Collection
from typing import Protocol

from mpcnode.errors import MpcError, ParticipantCheated, ParticipantRefused, ParticipantSilent
from mpcnode.types import PeerId
from mpcnode.wallet.wallet import Wallet
from mpcnode.wire.relay import SessionProposal, SessionResponse, SessionStart


class Choose(Protocol):
    """Who says which participants sign."""

    def __call__(self, accepted: Collection[PeerId], *, more: bool) -> list[PeerId]:
        """Choose some of ``accepted``, or nobody yet; ``more``: others may still accept."""


class Approver(Protocol):
    """Who answers for this node."""

    async def approve(self) -> None:
        """Return to sign; raise ``Refused`` not to."""


class Answers:
    """The answers to one signing proposal.

    Args:
        others: everybody who was asked.
        proposal: the hash of the proposal, in hexadecimal, which every answer repeats.
    """

    def __init__(self, others: Collection[PeerId], proposal: str) -> None:
        self.accepted: dict[PeerId, SessionResponse] = {}
        """Who would sign, in the order of the answers."""
        self.refused: dict[PeerId, str] = {}
        """Who would not, and why, in their own words."""
        self.gone: set[PeerId] = set()
        self.failures: dict[PeerId, MpcError] = {}
        """Whose answer cannot be trusted, and why."""
        self._others = tuple(others)
        self._proposal = proposal

    @property
    def missing(self) -> tuple[PeerId, ...]:
        """Who has not answered and still may."""
        heard = self.accepted.keys() | self.refused.keys() | self.failures.keys() | self.gone
        return tuple(name for name in self._others if name not in heard)

    def take(self, sender: PeerId, answer: SessionResponse) -> None:
        """Take an answer.

        Raises:
            ParticipantCheated: it answers something else, or answers twice and differently.
        """
        if not answer.accepted:
            self.give_up(sender, answer.reason or "no reason given")
            return
        if answer.proposal != self._proposal or answer.fresh is None:
            raise ParticipantCheated(f"{sender} accepted something else than was proposed", culprits=[sender])
        if sender in self.refused or self.accepted.get(sender, answer).fresh != answer.fresh:
            raise ParticipantCheated(f"{sender} answered twice, differently", culprits=[sender])
        if sender not in self.failures:
            self.gone.discard(sender)
            self.accepted.setdefault(sender, answer)

    def give_up(self, sender: PeerId, reason: str) -> None:
        """``sender`` does not sign, whatever it said before; ``reason`` is its own words."""
        self.accepted.pop(sender, None)
        self.refused.setdefault(sender, reason)

    def lose(self, peer: PeerId) -> None:
        """``peer`` cannot be reached, unless it answered before or does so yet."""
        if peer in self.missing:
            self.gone.add(peer)

    def distrust(self, sender: PeerId, error: MpcError) -> None:
        """Count nothing that ``sender`` said or will say."""
        self.accepted.pop(sender, None)
        self.failures.setdefault(sender, error)

    def too_few(self) -> MpcError:
        """Why not enough can accept any more."""
        said = [f"{name} ({reason!a})" for name, reason in sorted(self.refused.items())]
        said += [error.message for error in self.failures.values()]
        said += [f"{name} cannot be reached" for name in sorted(self.gone)]
        message = f"too few agree to sign: {', '.join(said)}"
        if self.refused:
            return ParticipantRefused(message, culprits=self.refused)
        if self.failures:
            return next(iter(self.failures.values()))
        return ParticipantSilent(message, culprits=self.gone)

    def too_late(self) -> ParticipantSilent:
        """Why not enough accepted in time."""
        missing = sorted({*self.missing, *self.gone})
        return ParticipantSilent(f"no answer to the proposal from {', '.join(missing)}", culprits=missing)


def check_choice(
    start: SessionStart, proposal: SessionProposal, *, wallet: Wallet, me: tuple[PeerId, bytes], by: PeerId
) -> None:
    """Check the choice of a proposer; the messages are those of the proposal, which was approved here.

    Args:
        start: who signs.
        proposal: what was proposed, to whom.
        wallet: whose key.
        me: this node, which accepted, and the fresh bytes it sent.
        by: the proposer.

    Raises:
        ParticipantCheated: no honest proposer says so.
    """
    names, (name, fresh) = start.signers, me
    honest = (
        list(names) == sorted(set(names))
        and set(names) <= set(proposal.participants)
        and {name, by} <= set(names)
        and len(names) >= wallet.threshold
        and set(start.fresh) == set(names)
        and start.fresh[name] == fresh.hex()
    )
    if not honest:
        raise ParticipantCheated(f"{by} chose signers that cannot be meant", culprits=[by])
