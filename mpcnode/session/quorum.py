"""A signature in spite of some: ask everybody, sign with the first that accept, replace whoever stalls or cheats.

Each attempt is a session of its own with fresh nonces; nothing of a failed one is used again.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

import msgspec

from mpcnode.errors import LinkFailed, ParticipantRefused, ParticipantSilent, ProtocolAbort, UsageError
from mpcnode.session.proposal import propose_signing
from mpcnode.session.requests import Sign
from mpcnode.session.sessions import Sessions
from mpcnode.session.signatory import signature_view
from mpcnode.session.signing import SigningSession
from mpcnode.status import ErrorView, Event, SignatureView, error_view
from mpcnode.types import PeerId, SessionId, SuiteId
from mpcnode.wallet.wallet import Wallet
from mpcnode.wire.relay import SignRequest

TRIES: Final = 4
BACK_OFF: Final = 0.2
"""Seconds before the second try; each one after waits twice as long."""


@dataclass(slots=True)
class _Trouble:
    """What went wrong so far, and with whom not to try again."""

    excluded: set[PeerId] = field(default_factory=set)
    failures: list[ErrorView] = field(default_factory=list)

    def note(self, error: ProtocolAbort | LinkFailed) -> None:
        self.excluded.update(error.culprits)
        self.failures.append(error_view(error))


class Quorum:
    """Signs with whoever can.

    Args:
        sessions: this node's.
        me: this node's name.
        present: gives who is in the room now.
    """

    def __init__(self, sessions: Sessions, *, me: PeerId, present: Callable[[], Collection[PeerId]]) -> None:
        self._sessions = sessions
        self._meshes = sessions.meshes
        self._me = me
        self._present = present

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
        views = [
            await self._portion(wallet, suite, portion, request.with_peers, emit=emit, negotiate=negotiate)
            for portion in request.portions(wallet.wallet_id, wallet.epoch)
        ]
        return msgspec.structs.replace(
            views[-1],
            messages=tuple(message for view in views for message in view.messages),
            signatures=tuple(signature for view in views for signature in view.signatures),
            attempts=max(view.attempts for view in views),
            failures=tuple(failure for view in views for failure in view.failures),
        )

    async def _portion(
        self,
        wallet: Wallet,
        suite: SuiteId,
        request: SignRequest,
        chosen: tuple[PeerId, ...],
        *,
        emit: Callable[[Event], None],
        negotiate: float,
    ) -> SignatureView:
        trouble = _Trouble()
        for attempt in range(1, TRIES + 1):
            others = self._reachable(wallet, chosen, trouble)
            try:
                view = await self._attempt(wallet, suite, request, others, emit=emit, negotiate=negotiate)
            except ParticipantRefused:
                raise  # everybody was asked, and too few are willing: asking again is no answer
            except (ProtocolAbort, LinkFailed) as error:
                if chosen or attempt == TRIES:
                    raise
                trouble.note(error)
                await asyncio.sleep(BACK_OFF * 2 ** (attempt - 1))
            else:
                return msgspec.structs.replace(view, attempts=attempt, failures=tuple(trouble.failures))
        raise AssertionError("the last try returns or raises")

    def _reachable(self, wallet: Wallet, chosen: tuple[PeerId, ...], trouble: _Trouble) -> tuple[PeerId, ...]:
        """Who can be asked: chosen by the user, else everybody there who did not fail before."""
        if chosen:
            return chosen
        here = [n for n in wallet.identity_keys if n != self._me and (n in self._present() or self._meshes.link_to(n))]
        others = tuple(name for name in here if name not in trouble.excluded)
        if len(others) < wallet.threshold - 1:
            away = [name for name in wallet.identity_keys if name not in here and name != self._me]
            said = "; ".join(failure.message for failure in trouble.failures)
            raise ParticipantSilent(
                f"{len(others)} other signers are left of the {wallet.threshold - 1} that are needed"
                + (f": {said}" if said else f"; not here: {', '.join(away)}"),
                culprits=trouble.excluded or away,
                hint="start `mpcnode register` on another participant's node",
            )
        return others

    async def _attempt(
        self,
        wallet: Wallet,
        suite: SuiteId,
        request: SignRequest,
        others: tuple[PeerId, ...],
        *,
        emit: Callable[[Event], None],
        negotiate: float,
    ) -> SignatureView:
        proposal = propose_signing(
            session_id=SessionId(secrets.token_hex(16)),
            wallet=wallet,
            asked=(self._me, *others),
            suite=suite,
            request=request,
            now=time.time(),
            answer_within=negotiate,
        )
        session = SigningSession(
            proposal,
            proposer=self._me,
            wallet=wallet,
            services=self._sessions.services,
            meshes=self._meshes,
            emit=emit,
        )
        async with self._sessions.tracked(session, self._sessions.shown(proposal, self._me), emit) as told:
            told.approved_by = "user"
            try:
                signed = await session.propose(self._preferred)
            finally:
                told.signers = session.signers
            told.signature = signature_view(wallet, signed)
        return told.signature

    def _preferred(self, accepted: Collection[PeerId]) -> list[PeerId]:
        """Sort by measured round-trip time; whoever has none yet comes after, in the order of the answers."""
        return sorted(accepted, key=self._distance)

    def _distance(self, peer: PeerId) -> float:
        shared = self._meshes.link_to(peer)
        return shared.round_trip().get(peer, 1e6) if shared else 1e9
