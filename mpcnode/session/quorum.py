"""A signature in spite of some: ask everybody, sign with the first that accept, replace whoever stalls or cheats.

Each attempt is a session of its own with fresh nonces; nothing of a failed one is used again.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from mpcnode.errors import (
    ContactChanged,
    IdentityCheckFailed,
    LinkFailed,
    MpcError,
    ParticipantCheated,
    ParticipantRefused,
    ParticipantSilent,
    PeerIncompatible,
    ProtocolAbort,
    UsageError,
)
from mpcnode.session.proposal import propose_signing
from mpcnode.session.requests import Sign
from mpcnode.session.sessions import Sessions
from mpcnode.session.signatory import signature_view
from mpcnode.session.signing import SigningSession
from mpcnode.status import ErrorView, Event, SignatureView, error_view
from mpcnode.types import IdentityKey, PeerId, SuiteId
from mpcnode.wallet.wallet import Wallet
from mpcnode.wire.relay import SignRequest

TRIES: Final = 4
BACK_OFF: Final = 0.2
"""Seconds before the second try; each one after waits twice as long."""
_HINT: Final = "start `mpcnode register` on another participant's node"


def _blamed(error: MpcError) -> tuple[PeerId, ...]:
    """Who is to blame for certain: who stopped because of somebody else is as good a suspect as that somebody."""
    return () if error.suspects else error.culprits


@dataclass(slots=True)
class _Trouble:
    """What went wrong so far, and with whom not to try again."""

    errors: list[MpcError] = field(default_factory=list)
    suspicion: Counter[PeerId] = field(default_factory=Counter)
    """In how many failures somebody may have been the one to blame."""

    @property
    def excluded(self) -> frozenset[PeerId]:
        """Who is not asked again: whoever is to blame, and whoever this node could not be linked to twice."""
        blamed = {culprit for error in self.errors for culprit in _blamed(error) if not isinstance(error, LinkFailed)}
        links = Counter(error.peer for error in self.errors if isinstance(error, LinkFailed) and _blamed(error))
        return frozenset(blamed.union(peer for peer, times in links.items() if times > 1))

    @property
    def failures(self) -> tuple[ErrorView, ...]:
        return tuple(msgspec.structs.replace(error_view(error), culprits=_blamed(error)) for error in self.errors)

    def note(self, error: MpcError, signers: Collection[PeerId] = ()) -> None:
        """Remember ``error``; where nobody is to blame for certain, its suspects are, or any of the ``signers``."""
        if error not in self.errors:
            self.errors.append(error)
            self.suspicion.update(error.suspects or _blamed(error) or signers)

    def no_quorum(self, why: str) -> MpcError:
        """Say that no quorum is left, as gravely as the gravest of what went wrong; whoever is to blame is named."""
        message = "; ".join([why, *(error.message for error in self.errors)])
        if any(isinstance(error, ParticipantCheated) for error in self.errors):
            return ParticipantCheated(message, culprits=self.excluded, hint=_HINT)
        for error in self.errors:
            if isinstance(error, IdentityCheckFailed | ContactChanged):
                return type(error)(message, peer=error.peer, hint=_HINT)
        last = self.errors[-1]
        if isinstance(last, LinkFailed) and _blamed(last):
            return LinkFailed(message, peer=last.peer, hint=last.hint)
        return ParticipantSilent(message, culprits=self.excluded, hint=_HINT)

    def refused(self, error: ParticipantRefused) -> ParticipantRefused:
        """Say that too few are willing, and what happened to the others."""
        message = "; ".join([error.message, *(earlier.message for earlier in self.errors)])
        return ParticipantRefused(message, culprits={*error.culprits, *self.excluded}, hint=error.hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """What stays the same from attempt to attempt."""

    wallet: Wallet
    suite: SuiteId
    chosen: tuple[PeerId, ...]
    """Who may sign, where the user says who; nobody replaces them."""
    emit: Callable[[Event], None]
    negotiate: float

    @property
    def needed(self) -> int:
        """How many other signers it takes."""
        return self.wallet.threshold - 1


class Quorum:
    """Signs with whoever can.

    Args:
        sessions: this node's.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._services = sessions.services
        self._me = sessions.services.peer_id

    async def sign(
        self, wallet: Wallet, request: Sign, *, emit: Callable[[Event], None], negotiate: float
    ) -> SignatureView:
        """Sign every message of ``request``.

        Args:
            wallet: whose key.
            request: what.
            emit: takes progress.
            negotiate: seconds everybody has to answer.

        Raises:
            WalletPending: not everybody has a share.
            UsageError: the wallet has no such key or participant.
            ProtocolAbort: no quorum is left; the culprits of every attempt are in the error.
        """
        order = self._order(wallet, request, emit=emit, negotiate=negotiate)
        trouble = _Trouble()
        views = [
            await self._portion(order, portion, trouble) for portion in request.portions(wallet.wallet_id, wallet.epoch)
        ]
        return msgspec.structs.replace(
            views[-1],
            messages=tuple(message for view in views for message in view.messages),
            signatures=tuple(signature for view in views for signature in view.signatures),
            attempts=max(view.attempts for view in views),
            failures=trouble.failures,
        )

    def _order(self, wallet: Wallet, request: Sign, *, emit: Callable[[Event], None], negotiate: float) -> _Order:
        wallet.require_active()
        suites = [keys.suite for keys in wallet.suites]
        suite = request.suite or suites[0]
        if suite not in suites:
            raise UsageError(
                f"wallet {wallet.name} has no key for that ciphersuite", hint=f"it has {', '.join(suites)}"
            )
        strangers = [name for name in request.with_peers if name not in wallet.identity_keys or name == self._me]
        if strangers:
            raise UsageError(f"--with names {strangers[0]}, which is no other participant of {wallet.name}")
        if request.with_peers and len(set(request.with_peers)) < wallet.threshold - 1:
            raise UsageError(f"--with names too few: wallet {wallet.name} needs {wallet.threshold - 1} other signers")
        return _Order(
            wallet=wallet, suite=suite, chosen=tuple(dict.fromkeys(request.with_peers)), emit=emit, negotiate=negotiate
        )

    async def _portion(self, order: _Order, request: SignRequest, trouble: _Trouble) -> SignatureView:
        for attempt in range(1, TRIES + 1):
            others = order.chosen or self._reachable(order.wallet, trouble)
            try:
                view = await self._attempt(order, request, others, trouble)
            except ParticipantRefused as error:
                raise trouble.refused(error) from error  # everybody was asked: asking again is no answer
            except (ProtocolAbort, LinkFailed, IdentityCheckFailed, ContactChanged, PeerIncompatible) as error:
                if order.chosen:
                    raise
                trouble.note(error)
                if attempt == TRIES:
                    raise trouble.no_quorum(f"no signature in {TRIES} attempts") from error
                await asyncio.sleep(BACK_OFF * 2 ** (attempt - 1))
            else:
                return msgspec.structs.replace(view, attempts=attempt)
        raise AssertionError("the last try returns or raises")

    def _reachable(self, wallet: Wallet, trouble: _Trouble) -> tuple[PeerId, ...]:
        """Who can be asked: everybody there who did not fail before."""
        others = {name: key for name, key in wallet.identity_keys.items() if name != self._me}
        present, meshes = self._sessions.present(), self._sessions.meshes
        here = [name for name, key in others.items() if name in present or meshes.link_to(name, key)]
        left = tuple(name for name in here if name not in trouble.excluded)
        needed = wallet.threshold - 1
        if len(left) >= needed:
            return left
        why = f"{len(left)} other signers are left of the {needed} that are needed"
        if trouble.errors:
            raise trouble.no_quorum(why)
        away = [name for name in others if name not in here]
        silent = ParticipantSilent(f"{why}; not here: {', '.join(away)}", culprits=away, hint=_HINT)
        raise self._services.explained(silent)

    async def _attempt(
        self, order: _Order, request: SignRequest, others: tuple[PeerId, ...], trouble: _Trouble
    ) -> SignatureView:
        proposal = propose_signing(
            salt=self._services.rng(16),
            wallet=order.wallet,
            asked=(self._me, *others),
            suite=order.suite,
            request=request,
            now=self._services.now(),
            answer_within=order.negotiate,
        )
        session = SigningSession(
            proposal,
            proposer=self._me,
            wallet=order.wallet,
            services=self._services,
            meshes=self._sessions.meshes,
            emit=order.emit,
        )

        def choose(accepted: Collection[PeerId], *, more: bool) -> list[PeerId]:
            return self._choose(accepted, trouble.suspicion, order, more=more)

        async with self._sessions.tracked(session, self._sessions.shown(proposal, self._me), order.emit) as told:
            told.approved_by = "user"
            try:
                signed = await session.propose(choose)
            except (ProtocolAbort, LinkFailed) as error:
                trouble.note(error, [PeerId(name) for name in session.signers if name != self._me])
                raise
            finally:
                told.signers = session.signers
                for distrusted in session.distrusted:
                    trouble.note(distrusted)
            told.signature = signature_view(order.wallet, signed)
        return told.signature

    def _choose(
        self, accepted: Collection[PeerId], suspicion: Mapping[PeerId, int], order: _Order, *, more: bool
    ) -> list[PeerId]:
        """Choose the least suspicious, among them those with the shortest measured round-trip time.

        Returns:
            Who signs; nobody yet, where too few accepted, or where it takes a suspect and ``more`` may accept.
        """
        keys = order.wallet.identity_keys
        ranked = sorted(accepted, key=lambda peer: (suspicion.get(peer, 0), self._distance(peer, keys[peer])))
        best = ranked[: order.needed]
        doubtful = more and any(suspicion.get(peer) for peer in best)
        return best if len(best) == order.needed and not doubtful else []

    def _distance(self, peer: PeerId, key: IdentityKey) -> float:
        shared = self._sessions.meshes.link_to(peer, key)
        return shared.round_trip().get(peer, 1e6) if shared else 1e9
