"""Every session of one node: who is asked about a proposal, and which session a relayed message belongs to."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final, Protocol

from mpcnode.crypto.ciphersuite import SUITES
from mpcnode.errors import IdentityCheckFailed, Interrupted, MpcError, Refused, UsageError
from mpcnode.mesh.transport import from_relay
from mpcnode.session.agreement import refusal
from mpcnode.session.consent import Asked, Policy, User
from mpcnode.session.cosigning import AskedToSign
from mpcnode.session.journal import Journal, Told
from mpcnode.session.keygen import KeygenSession
from mpcnode.session.meshes import Meshes
from mpcnode.session.phases import Phases
from mpcnode.session.places import Over, Places
from mpcnode.session.policy import WalletPolicy
from mpcnode.session.proposal import KEYGEN, SIGN, check_proposal, check_signing, is_of, roster_of
from mpcnode.session.sealed_relay import Opened
from mpcnode.session.services import Services
from mpcnode.session.shown import ended, is_known, sign_view, unchecked
from mpcnode.session.signatory import signature_view
from mpcnode.session.signing import SigningSession
from mpcnode.session.trust import Trusts
from mpcnode.status import Event, Proposed, WalletView, Warned
from mpcnode.types import IdentityKey, PeerId, SessionId, WalletId
from mpcnode.wallet.wallet import Wallet
from mpcnode.wire import relay as wire

MAX_EARLY: Final = 256
"""Messages that may wait for the proposal they belong to: a server may deliver in any order."""
REFUSAL_LASTS: Final = 60

_log = logging.getLogger(__name__)


class RunningSession(Protocol):
    """What a session is to those who hand it messages."""

    session_id: SessionId
    roster: dict[PeerId, IdentityKey]
    phases: Phases

    def handle(self, opened: Opened) -> None:
        """Take what another participant says."""

    def peer_failed(self, peer: PeerId, error: MpcError) -> None:
        """Count on ``peer`` no more: the relay to it cannot be trusted."""


class Sessions:
    """The sessions of one node.

    Args:
        services: what a session needs.
        policy: see there.
        user: who is asked.
        trusts: how well each participant is known, and who is pinned after a session.
        journal: where each of them is written down.
        policy_of: reads the policy of a wallet, if it has one; a few lines from the disk.
        emit: takes progress.
        negotiate: takes what negotiates a session and came over a mesh; hands it back to ``handle``.
        present: gives who is in the room now.
        warm: seconds a mesh stays open after a signature.
    """

    def __init__(
        self,
        services: Services,
        *,
        policy: Policy,
        user: User,
        trusts: Trusts,
        journal: Journal,
        policy_of: Callable[[Wallet], WalletPolicy | None],
        emit: Callable[[Event], None],
        negotiate: Callable[[Opened], None],
        present: Callable[[], Collection[PeerId]],
        warm: float,
    ) -> None:
        self.services = services
        self.meshes = Meshes(services.mesh, negotiate=negotiate, lost=self._lost, idle=warm)
        self._policy = policy
        self._user = user
        self._trusts = trusts
        self._journal = journal
        self._policy_of = policy_of
        self._emit = emit
        self.present = present
        self._running: dict[SessionId, RunningSession] = {}
        self._places = Places()
        self._over = Over()
        self._early: list[Opened] = []
        self._being_made: dict[str, SessionId] = {}
        """The names of the wallets that running sessions would make, once somebody here said yes to them."""

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
        message = opened.message
        if isinstance(message, wire.Offer | wire.Answer | wire.IceCandidate) and self.meshes.handle_signal(
            session_id, opened.sender, opened.public_key, from_relay(message)
        ):
            return None  # of a mesh that may outlive the session it was made for
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
        """Have every session count on ``peer`` no more: the relay to it cannot be trusted."""
        for session in self._running.values():
            if peer in session.roster:
                session.peer_failed(peer, error)

    def introduced(self, peer: PeerId, key: IdentityKey) -> None:
        """Tell whoever waits for an answer of ``peer`` with which key it is here."""
        for session in self._signing():
            session.introduced(peer, key)

    def _lost(self, peers: Collection[PeerId]) -> None:
        for session in self._signing():
            session.lost(peers, self.present())

    def _signing(self) -> list[SigningSession]:
        return [session for session in self._running.values() if isinstance(session, SigningSession)]

    async def propose(
        self,
        proposal: wire.SessionProposal,
        *,
        yes: bool = False,
        user: User | None = None,
        emit: Callable[[Event], None] | None = None,
    ) -> WalletView:
        """Run a session of this node's own.

        Args:
            proposal: what is proposed.
            yes: nobody at this node compares the safety words.
            user: who answers the questions of this session.
            emit: takes what happens in it.

        Raises:
            UsageError: this node has a wallet of that name, or is making one.
            Refused: a policy of this node is against it.
            MpcError: why there is no wallet.
        """
        if reason := self._name_taken(proposal.wallet_name):
            raise UsageError(reason, hint="choose another --name")
        strangers = self._trusts.not_verified(roster_of(proposal))
        if self._policy.contacts_only and strangers:
            names = ", ".join(strangers)
            raise Refused(f"not a verified contact: {names} (--contacts-only)", hint="pair with them first")
        policy = replace(self._policy, yes=yes or self._policy.yes)
        user, emit = user or self._user, emit or self._emit
        return await self._generate(proposal, self.services.peer_id, policy=policy, user=user, emit=emit)

    async def answer(self, opened: Opened, proposal: wire.SessionProposal) -> None:
        """Run a session that somebody else proposed; its end is told as an event, whatever it is."""
        if not is_of(proposal, opened.public_key):
            # Not even refused: that would be remembered, and the session may be another's.
            _log.warning("%s proposes a session under an id that is not its own", opened.sender)
            return
        writable = await self._journal.is_ready()
        if proposal.session_id in self._running or proposal.session_id in self._over:
            return  # the same proposal twice: one task is enough
        try:
            wallet = self._check(opened, proposal)
        except (Refused, IdentityCheckFailed) as error:
            await self._refuse(proposal, opened, [opened.sender], error)
            return
        if reason := self._hindrance(proposal, opened) if writable else "this node cannot write its audit log":
            await self._refuse(proposal, opened, map(PeerId, proposal.participants), Refused(reason))
            return
        try:
            if wallet is not None:
                await self._cosign(proposal, opened, wallet)
            else:
                await self._generate(proposal, opened.sender, policy=self._policy, user=self._user, emit=self._emit)
        except MpcError as error:
            _log.info("session %s ended: %s", proposal.session_id, error.message)

    def _check(self, opened: Opened, proposal: wire.SessionProposal) -> Wallet | None:
        """Check a proposal; give the wallet it asks to sign with, if it does."""
        check_proposal(
            proposal,
            proposer=opened.sender,
            me=self.services.peer_id,
            my_key=self.services.identity.public_key,
            known_key=self._trusts.known_key,
            suites=SUITES,
            now=self.services.now(),
        )
        if roster_of(proposal)[opened.sender] != opened.public_key:
            raise IdentityCheckFailed(f"{opened.sender} proposes with a key not its own", peer=opened.sender)
        if self.meshes.get(SessionId(proposal.session_id)) is not None:
            raise Refused("the session id is that of an open mesh")  # two meshes of one id would end each other
        if proposal.sign is None:
            return None
        return check_signing(proposal, self.services.wallets.find(WalletId(proposal.sign.wallet_id)))

    def _hindrance(self, proposal: wire.SessionProposal, opened: Opened) -> str | None:
        """Why this node cannot take part, whatever its user would say."""
        known = is_known(self.shown(proposal, opened.sender))
        if reason := self._places.hindrance(opened.sender, opened.public_key, known=known):
            return reason
        return self._name_taken(proposal.wallet_name) if proposal.kind == KEYGEN else None

    def _claim(self, name: str, session_id: SessionId) -> None:
        """Have no other session make a wallet of that name; not before somebody here wants this one to.

        Raises:
            Refused: there is one, or another session makes it.
        """
        if reason := self._name_taken(name):
            raise Refused(reason)
        self._being_made[name] = session_id

    def _name_taken(self, name: str) -> str | None:
        """Why no wallet can be called ``name``; two sessions at once must not make two of one name either."""
        if any(wallet.name == name for wallet in self.services.wallets.all()):
            return f"this node has a wallet named {name} already"
        if name in self._being_made:
            return f"this node is making a wallet named {name} already"
        return None

    async def _refuse(
        self, proposal: wire.SessionProposal, opened: Opened, others: Iterable[PeerId], error: MpcError
    ) -> None:
        """Say no without a session; to everybody only where the roster was found to be one.

        A proposal that is not checked could name strangers, and make this node write to all of them.
        """
        self._over.refused(SessionId(proposal.session_id))
        answer = refusal(proposal, error.message)
        for name in set(others) - {self.services.peer_id}:
            self.services.relay.send(name, answer, expires=self.services.now() + REFUSAL_LASTS)
        shown, told = unchecked(proposal, opened.sender), Told(sender=opened.public_key.hex())
        await self._journal.record(shown, told, error)
        self._emit(ended(shown, {}, told, error))

    async def _generate(
        self,
        proposal: wire.SessionProposal,
        proposer: PeerId,
        *,
        policy: Policy,
        user: User,
        emit: Callable[[Event], None],
    ) -> WalletView:
        roster = roster_of(proposal)
        shown = self.shown(proposal, proposer)
        session_id, name, own = SessionId(proposal.session_id), proposal.wallet_name, proposer == self.services.peer_id
        asked = Asked(
            policy, user, shown, self._trusts.all_verified(roster), on_yes=lambda: self._claim(name, session_id)
        )
        session = KeygenSession(proposal, services=self.services, asked=asked, emit=emit)
        if own:
            self._claim(name, session_id)
        try:
            async with self.tracked(session, shown, emit) as told:
                try:
                    wallet = await session.run(propose=own)
                finally:
                    told.approved_by = "user" if own else asked.approved_by
                    told.known = told.known or asked.by_user
                    told.wallet, told.words = session.wallet, session.words
                self._pin(roster, wallet, emit)
        finally:
            if self._being_made.get(name) == session_id:
                del self._being_made[name]
        return wallet

    def _pin(self, roster: dict[PeerId, IdentityKey], wallet: WalletView, emit: Callable[[Event], None]) -> None:
        try:
            self._trusts.pin(roster, verified=wallet.words_compared, now=self.services.now())
        except (MpcError, ValueError) as error:
            # The wallet is active and durable: that the address book is not does not undo it.
            emit(Warned(f"wallet {wallet.name} is made, but its participants are not pinned as contacts: {error}"))

    async def _cosign(self, proposal: wire.SessionProposal, opened: Opened, wallet: Wallet) -> None:
        proposer = opened.sender
        shown = self.shown(proposal, proposer)
        roster = roster_of(proposal)
        assert shown.sign is not None
        asked = AskedToSign(
            asked=Asked(self._policy, self._user, shown, self._trusts.all_verified(roster)),
            wallet=wallet,
            request=shown.sign,
            policy_of=self._policy_of,
            journal=self._journal,
            me=self.services.peer_id,
            known=proposer not in self._trusts.not_verified(roster),
        )

        async def accepted() -> None:
            told.approved_by, told.signers = asked.asked.approved_by, session.signers
            await self._journal.accept(shown, told)

        session = SigningSession(
            proposal,
            proposer=proposer,
            by_mesh=opened.by_mesh,
            wallet=wallet,
            services=replace(self.services, wallets=self.services.wallets.announced(accepted)),
            meshes=self.meshes,
            emit=self._emit,
        )
        async with self.tracked(session, shown, self._emit) as told:
            try:
                signed = await session.answer(asked)
            finally:
                told.approved_by, told.signers = asked.asked.approved_by, session.signers
            if signed is None:
                told.unneeded = True
                asked.release()
            else:
                told.signature = signature_view(wallet, signed)

    @asynccontextmanager
    async def tracked(
        self, session: RunningSession, shown: Proposed, emit: Callable[[Event], None]
    ) -> AsyncIterator[Told]:
        """Give a session its messages for as long as it runs; tell its beginning and its end, and write it down.

        Raises:
            KeystoreError: an earlier session could not be written down; this one does not begin.
        """
        key = session.roster[PeerId(shown.proposer)]
        told = Told(sender=key.hex(), own=shown.proposer == self.services.peer_id, known=is_known(shown))
        self._running[session.session_id] = session
        if not told.own:
            self._places.take(session.session_id, key, known=told.known)
        emit(shown)
        early, self._early = self._early, []
        for opened in early:
            self.handle(opened)
        error: MpcError | None = None
        try:
            await self._journal.ready()
            if told.own and shown.kind == SIGN:
                told.approved_by = "user"
                await self._journal.accept(shown, told)
            yield told
        except MpcError as raised:
            error = raised
            raise
        except asyncio.CancelledError:
            error = Interrupted("this node was stopped")
            raise
        finally:
            del self._running[session.session_id]
            self._places.free(session.session_id)
            self._over.ran(session.session_id)
            try:
                await self._journal.record(shown, told, error)
            finally:
                emit(ended(shown, session.phases.seconds, told, error))

    def shown(self, proposal: wire.SessionProposal, proposer: PeerId) -> Proposed:
        """A proposal as people are shown it."""
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
            sign=sign_view(proposal.sign) if proposal.sign else None,
        )
