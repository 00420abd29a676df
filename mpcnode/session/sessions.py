"""Every session of one node: who is asked about a proposal, and which session a relayed message belongs to."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from mpcnode.crypto.ciphersuite import SUITES
from mpcnode.errors import IdentityCheckFailed, Interrupted, MpcError, Refused
from mpcnode.session.agreement import refusal
from mpcnode.session.keygen import KeygenSession
from mpcnode.session.proposal import check_proposal, roster_of
from mpcnode.session.sealed_relay import Opened
from mpcnode.session.services import Services
from mpcnode.session.trust import Trusts
from mpcnode.status import Event, PeerView, Proposed, SafetyWords, SessionEnded, WalletView, error_view
from mpcnode.types import PeerId, SessionId
from mpcnode.wire import relay as wire

Accept = Literal["ask", "auto", "contacts", "none"]

MAX_SESSIONS: Final = 8
"""Sessions of one node at once; a proposal beyond is refused, not queued: its proposer waits for an answer."""
MAX_EARLY: Final = 256
"""Messages that may wait for the proposal they belong to: a server may deliver in any order."""
MAX_REMEMBERED: Final = 1024
REFUSAL_LASTS: Final = 60

_log = logging.getLogger(__name__)


class User(Protocol):
    """Who answers for a node: a terminal, a client of the control socket, or nobody."""

    async def approve(self, proposal: Proposed) -> bool:
        """Say whether to take part.

        Raises:
            NoTerminal: there is nobody to ask.
        """

    async def confirm_words(self, words: SafetyWords) -> bool:
        """Say whether everybody's screen shows the same words.

        Raises:
            NoTerminal: there is nobody to ask.
        """

    async def choose_peers(self, candidates: tuple[PeerView, ...], count: int) -> tuple[PeerId, ...]:
        """Choose ``count`` of the candidates.

        Raises:
            NoTerminal: there is nobody to ask.
            Refused: none of them.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What this node takes part in.

    Args:
        accept: ``ask`` the user, ``auto`` everything, ``contacts`` when everybody is a verified contact, ``none``.
        contacts_only: refuse whatever has a participant who is not a verified contact, before anybody is asked.
        yes: nobody compares safety words; the wallet says so.
    """

    accept: Accept = "ask"
    contacts_only: bool = False
    yes: bool = False


@dataclass(frozen=True, slots=True)
class _Asked:
    """One session's questions, answered by the policy where it can and by the user where it cannot."""

    policy: Policy
    user: User
    proposal: Proposed
    verified: bool

    async def approve(self) -> None:
        if self.policy.contacts_only and not self.verified:
            raise Refused("this node takes part only with verified contacts (--contacts-only)")
        match self.policy.accept:
            case "none":
                raise Refused("this node accepts no proposals (--accept none)")
            case "contacts" if not self.verified:
                raise Refused("this node accepts proposals of verified contacts only (--accept contacts)")
            case "ask":
                if not await self.user.approve(self.proposal):
                    raise Refused("the user of this node said no")
            case _:
                return

    async def confirm_words(self, words: SafetyWords) -> bool:
        # Verified contacts were compared before, by code or by words: asking again teaches people to say yes unread.
        if self.verified:
            return True
        if self.policy.yes:
            return False
        if not await self.user.confirm_words(words):
            raise Refused("the safety words differ: somebody stands between the participants")
        return True


class Sessions:
    """The sessions of one node.

    Args:
        services: what a session needs.
        policy: see there.
        user: who is asked.
        trusts: how well each participant is known, and who is pinned after a session.
        emit: takes progress.
    """

    def __init__(
        self,
        services: Services,
        *,
        policy: Policy,
        user: User,
        trusts: Trusts,
        emit: Callable[[Event], None],
    ) -> None:
        self._services = services
        self._policy = policy
        self._user = user
        self._trusts = trusts
        self._emit = emit
        self._running: dict[SessionId, KeygenSession] = {}
        self._over: OrderedDict[SessionId, None] = OrderedDict()
        self._early: list[Opened] = []

    @property
    def busy(self) -> bool:
        """Whether any session is under way."""
        return bool(self._running)

    def handle(self, opened: Opened) -> wire.SessionProposal | None:
        """Take a relayed message of a session.

        Returns:
            A proposal that is new: the caller runs ``answer`` with it, in a task of its own.
        """
        session_id = SessionId(opened.message.session_id)
        if session_id in self._over:
            return None
        if session := self._running.get(session_id):
            session.handle(opened)
        elif isinstance(opened.message, wire.SessionProposal):
            return opened.message
        elif len(self._early) < MAX_EARLY:
            self._early.append(opened)
        else:
            self._early = [*self._early[MAX_EARLY // 2 :], opened]  # a flood pushes out only what has no proposal
        return None

    def peer_failed(self, peer: PeerId, error: MpcError) -> None:
        """End what ``peer`` takes part in and is not yet connected: the relay to it cannot be trusted."""
        for session in self._running.values():
            if peer in session.roster:
                session.fail(error)

    async def propose(
        self, proposal: wire.SessionProposal, *, user: User | None = None, emit: Callable[[Event], None] | None = None
    ) -> WalletView:
        """Run a session of this node's own.

        Raises:
            MpcError: why there is no wallet.
        """
        return await self._run(proposal, self._services.peer_id, user=user or self._user, emit=emit or self._emit)

    async def answer(self, opened: Opened, proposal: wire.SessionProposal) -> None:
        """Run a session that somebody else proposed; its end is told as an event, whatever it is."""
        if proposal.session_id in self._running or proposal.session_id in self._over:
            return  # the same proposal twice: one task is enough
        try:
            self._check(opened, proposal)
        except (Refused, IdentityCheckFailed) as error:
            self._refuse(proposal, opened.sender, [opened.sender], error)
            return
        if reason := self._hindrance(proposal):
            self._refuse(proposal, opened.sender, map(PeerId, proposal.participants), Refused(reason))
            return
        try:
            await self._run(proposal, opened.sender, user=self._user, emit=self._emit)
        except MpcError as error:
            _log.info("session %s ended: %s", proposal.session_id, error.message)

    def _check(self, opened: Opened, proposal: wire.SessionProposal) -> None:
        check_proposal(
            proposal,
            proposer=opened.sender,
            me=self._services.peer_id,
            my_key=self._services.identity.public_key,
            known_key=self._trusts.known_key,
            suites=SUITES,
            now=self._services.now(),
        )
        if roster_of(proposal)[opened.sender] != opened.public_key:
            raise IdentityCheckFailed(f"{opened.sender} proposes with a key not its own", peer=opened.sender)

    def _hindrance(self, proposal: wire.SessionProposal) -> str | None:
        """Why this node cannot take part, whatever its user would say."""
        if len(self._running) >= MAX_SESSIONS:
            return "this node is busy with other sessions"
        if any(wallet.name == proposal.wallet_name for wallet in self._services.wallets.all()):
            return f"this node has a wallet named {proposal.wallet_name} already"
        return None

    def _refuse(
        self, proposal: wire.SessionProposal, proposer: PeerId, others: Iterable[PeerId], error: MpcError
    ) -> None:
        """Say no without a session; to everybody only where the roster was found to be one.

        A proposal that is not checked could name strangers, and make this node write to all of them.
        """
        self._remember(SessionId(proposal.session_id))
        answer = refusal(proposal, error.message)
        for name in set(others) - {self._services.peer_id}:
            self._services.relay.send(name, answer, expires=self._services.now() + REFUSAL_LASTS)
        self._emit(
            SessionEnded(
                session_id=proposal.session_id,
                kind=proposal.kind,
                proposer=proposer,
                seconds={},
                error=error_view(error),
            )
        )

    async def _run(
        self, proposal: wire.SessionProposal, proposer: PeerId, *, user: User, emit: Callable[[Event], None]
    ) -> WalletView:
        roster = roster_of(proposal)
        shown = self._shown(proposal, proposer)
        asked = _Asked(self._policy, user, shown, self._trusts.all_verified(roster))
        session = KeygenSession(proposal, services=self._services, asked=asked, emit=emit)
        self._running[session.session_id] = session
        emit(shown)
        early, self._early = self._early, []
        for opened in early:
            self.handle(opened)
        error: MpcError | None = None
        try:
            wallet = await session.run(propose=proposer == self._services.peer_id)
            self._trusts.pin(roster, verified=wallet.words_compared, now=self._services.now())
        except MpcError as raised:
            error = raised
            raise
        except asyncio.CancelledError:
            error = Interrupted("this node was stopped")
            raise
        else:
            return wallet
        finally:
            del self._running[session.session_id]
            self._remember(session.session_id)
            emit(
                SessionEnded(
                    session_id=session.session_id,
                    kind=proposal.kind,
                    proposer=proposer,
                    seconds=session.phases.seconds,
                    words=session.words,
                    wallet=session.wallet,
                    error=error_view(error) if error else None,
                )
            )

    def _shown(self, proposal: wire.SessionProposal, proposer: PeerId) -> Proposed:
        return Proposed(
            session_id=proposal.session_id,
            kind=proposal.kind,
            proposer=proposer,
            wallet=proposal.wallet_name,
            threshold=proposal.threshold,
            total=proposal.total,
            participants=tuple(self._trusts.view(name, key) for name, key in roster_of(proposal).items()),
            suites=proposal.suites,
            expires=proposal.expires,
        )

    def _remember(self, session_id: SessionId) -> None:
        """Keep the ids of sessions that are over, so that what is late for them starts nothing."""
        self._over[session_id] = None
        while len(self._over) > MAX_REMEMBERED:
            self._over.popitem(last=False)
