"""Every session of one node: what is asked about a proposal, and which session a message belongs to."""

import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from mpcnode.consent.approval import Consent, Options, User
from mpcnode.consent.journal import Told
from mpcnode.consent.limits import Early, Over, Places
from mpcnode.consent.policy import WalletPolicy
from mpcnode.errors import IdentityCheckFailed, Interrupted, MpcError, Refused
from mpcnode.mesh.transport import from_relay
from mpcnode.peers.budget import Complaints
from mpcnode.peers.conversation import Opened
from mpcnode.session.admission import Admission
from mpcnode.session.answers import refuse
from mpcnode.session.attempt import Attempt
from mpcnode.session.kinds import KINDS
from mpcnode.session.kinds.kind import Matter, require, roster_of
from mpcnode.session.proposal import check_proposal
from mpcnode.session.services import Services
from mpcnode.session.stage import Phases, Stage
from mpcnode.session.talk import Talk
from mpcnode.status import Approval, Event, PeerView, Proposed, SessionEnded, error_view
from mpcnode.types import IdentityKey, PeerId, SessionId
from mpcnode.wallet.wallet import Wallet
from mpcnode.wire import agreement
from mpcnode.wire import relay as wire

R = TypeVar("R")

REFUSALS: Final = (32, 0.5)
"""Refusals that one contact, or everybody else, is told: so many at once, and one more every so many seconds."""
BEGUN: Final = (64, 1.0)
"""Sessions that strangers begin, however short each of them is; contacts begin any number, one after another."""

_log = logging.getLogger(__name__)


class Agenda:
    """The sessions of one node.

    Args:
        services: what a session needs.
        options: what this node takes part in.
        user: the person to ask.
        policy_of: reads the policy of a wallet, if it has one; a few lines from the disk.
        complaints: says, within a budget for each peer, what peers do.
        emit: takes progress.
    """

    def __init__(
        self,
        services: Services,
        *,
        options: Options,
        user: User,
        policy_of: Callable[[Wallet], WalletPolicy | None],
        complaints: Complaints,
        emit: Callable[[Event], None],
    ) -> None:
        self.services = services
        self.options = options
        self._user = user
        self._policy_of = policy_of
        self._complaints = complaints
        self._emit = emit
        self._running: dict[SessionId, Attempt[Any]] = {}
        strangers = complaints.payers(BEGUN)
        self._places = Places(lambda: strangers.take(None))
        self._over = Over()
        self._early: Early[Opened] = Early()
        self.admission: Admission | None = None
        """The one session that this node takes part in, where it came by an invitation."""
        self._refusals = complaints.payers(REFUSALS)

    @property
    def busy(self) -> bool:
        """Whether any session is under way."""
        return bool(self._running)

    # What comes in

    def handle(self, opened: Opened) -> wire.SessionProposal | None:
        """Take a message of a session.

        Returns:
            A proposal that is new: the caller runs ``answer`` with it, in a task of its own.
        """
        message = opened.message
        session_id = SessionId(wire.topic_of(message))
        if isinstance(message, wire.Offer | wire.Answer | wire.IceCandidate) and self.services.pool.handle_signal(
            session_id, opened.sender, opened.public_key, from_relay(message)
        ):
            return None  # of a mesh that may outlive the session it was made for
        if session_id in self._over:
            return None
        if attempt := self._running.get(session_id):
            attempt.handle(opened)
        elif isinstance(message, wire.SessionProposal):
            return message
        else:
            self._early.keep(opened.public_key, session_id, opened)
        return None

    def doubted(self, peer: PeerId, error: MpcError) -> None:
        """Tell every session that something odd came in the name of ``peer``."""
        for attempt in tuple(self._running.values()):
            if peer in attempt.roster:
                attempt.doubted(peer, error)

    def introduced(self, peer: PeerId, key: IdentityKey) -> None:
        """Tell every session with which key ``peer`` is here."""
        for attempt in tuple(self._running.values()):
            attempt.introduced(peer, key)

    def lost(self, peers: Collection[PeerId]) -> None:
        """Tell every session that the links to ``peers`` are gone."""
        for attempt in tuple(self._running.values()):
            attempt.lost(peers)

    # What others propose

    async def answer(self, opened: Opened, proposal: wire.SessionProposal) -> None:
        """Run a session that somebody else proposed; its end is told as an event, whatever it is."""
        if proposal.session_id != agreement.session_id_of(opened.public_key, proposal.salt):
            # Not even refused: that would be remembered, and the session may be another's.
            _log.warning("%s proposes a session under an id that is not its own", opened.sender)
            return
        writable = await self.services.journal.is_ready()
        if proposal.session_id in self._running or proposal.session_id in self._over:
            return  # the same proposal twice: one task is enough
        admission = self.admission
        try:
            if admission is not None:
                admission.check(opened.public_key, proposal)
            matter = self._check(opened, proposal)
            attempt = self.attempt(matter, opened.sender, by_mesh=opened.by_mesh)
            stage = attempt.stage
            require(writable, "this node cannot write its audit log")
            reason = matter.hindrance() or self._places.hindrance(
                opened.sender, opened.public_key, known=stage.told.known
            )
            require(reason is None, reason or "")
        except (Refused, IdentityCheckFailed) as error:
            await self._refuse(proposal, opened, error)
            if admission is not None:
                admission.ended(proposal, None, error)
            return
        ended: MpcError | None = None
        try:
            async with self.tracked(attempt):
                try:
                    done = await attempt.answer(stage.consent.approve)
                finally:
                    stage.told.approved_by, stage.told.signers = stage.consent.approved_by, attempt.chosen
                    stage.told.known = stage.told.known or stage.consent.by_user
                if done is None:
                    stage.told.unneeded = True
                    stage.consent.release()
        except MpcError as error:
            _log.info("session %s ended: %s", stage.shown.session_id, error.message)
            ended = error
        if admission is not None:
            admission.ended(proposal, stage.told.wallet, ended)

    def _check(self, opened: Opened, proposal: wire.SessionProposal) -> Matter[Any]:
        kind = KINDS.get(proposal.kind)
        if kind is None:
            raise Refused(f"sessions of kind {proposal.kind} are not supported")
        check_proposal(proposal, proposer=opened.sender, key=opened.public_key, services=self.services)
        # Two meshes of one id would end each other.
        require(self.services.pool.get(proposal.session_id) is None, "the session id is that of an open mesh")
        return kind.matter(proposal, self.services)

    async def _refuse(self, proposal: wire.SessionProposal, opened: Opened, error: MpcError) -> None:
        """Say no, to the proposer alone, without a session; one that proposes without end is told so no more."""
        sender = opened.sender
        self._over.refused(proposal.session_id)
        shown, told = self._shown(proposal, sender), Told(sender=opened.public_key.hex())
        line: str | Event = _ended(shown, {}, told, error)
        if self._refusals.take(self._refusals.of(sender)):
            talk = Talk({sender: opened.public_key}, expires=0, services=self.services)
            talk.heard(sender, by_mesh=opened.by_mesh)
            talk.say(sender, refuse(proposal, error.message))
        else:
            line = f"{sender} is not told that its proposal is refused: there were too many just now"
        await self.services.journal.record(shown, told, error)
        self._complaints.say(sender, line)

    # Every session

    def attempt(
        self,
        matter: Matter[R],
        proposer: PeerId,
        *,
        by_mesh: bool = False,
        options: Options | None = None,
        user: User | None = None,
        emit: Callable[[Event], None] | None = None,
    ) -> Attempt[R]:
        """Make a session that has not begun; to propose one is this node's own yes to it.

        Args:
            matter: what it is about.
            proposer: the node that proposes it, this one or another.
            by_mesh: whether the proposal came over a mesh.
            options, user, emit: in place of the node's own, for a session of a client of the control socket.
        """
        shown = self._shown(matter.proposal, proposer, matter)
        roster, own = roster_of(matter.proposal), proposer == self.services.peer_id
        strangers = self.services.trusts.not_verified(roster)
        approved_by: Approval | None = "user" if own else None
        emit = emit or self._emit
        stage = Stage(
            shown=shown,
            emit=emit,
            consent=Consent(
                options=options or self.options,
                user=user or self._user,
                proposal=shown,
                verified=not strangers,
                known=proposer not in strangers,
                policy_of=lambda: self._policy_of(matter.wallet) if matter.wallet is not None else None,
                journal=self.services.journal,
                on_yes=lambda: self.claim(matter),
                approved_by=approved_by,
            ),
            phases=Phases(shown.session_id, emit, now=self.services.now),
            told=Told(sender=roster[proposer].hex(), own=own, known=_is_known(shown), approved_by=approved_by),
        )
        return Attempt(matter, stage, proposer=proposer, by_mesh=by_mesh)

    def claim(self, matter: Matter[Any]) -> None:
        """Have no other session make what this one makes; not before somebody here said yes to it.

        Raises:
            Refused: another session makes it, or this node has it by now.
        """
        if reason := matter.hindrance():
            raise Refused(reason)
        if makes := matter.makes():
            self.services.claims.take(makes, matter.proposal.session_id)

    @asynccontextmanager
    async def tracked(self, attempt: Attempt[Any]) -> AsyncIterator[None]:
        """Give a session its messages for as long as it runs; tell its beginning and its end, and write it down.

        Raises:
            KeystoreError: an earlier session could not be written down; this one does not begin.
        """
        stage, session_id = attempt.stage, attempt.session_id
        shown, told = stage.shown, stage.told
        self._running[session_id] = attempt
        if not told.own:
            self._places.take(session_id, attempt.roster[PeerId(shown.proposer)], known=told.known)
        stage.emit(shown)
        for opened in self._early.take(session_id):
            attempt.handle(opened)
        error: MpcError | None = None
        try:
            await self.services.journal.ready()
            yield
        except MpcError as raised:
            error = raised
            raise
        except BaseException as raised:
            error = Interrupted(str(next(iter(raised.args), "this node was stopped")))
            raise
        finally:
            del self._running[session_id]
            self.services.claims.free(session_id)
            self._places.free(session_id)
            self._over.ran(session_id)
            try:
                await self.services.journal.record(shown, told, error)
            finally:
                stage.emit(_ended(shown, stage.phases.seconds, told, error))

    def _shown(self, proposal: wire.SessionProposal, proposer: PeerId, matter: Matter[Any] | None = None) -> Proposed:
        """A proposal as people are shown it; without ``matter`` it was refused, and nothing of it is known to hold."""
        return Proposed(
            session_id=proposal.session_id.hex(),
            kind=proposal.kind,
            proposer=proposer,
            wallet=proposal.wallet_name,
            threshold=proposal.threshold,
            total=len(proposal.participants),
            participants=tuple(self._views(proposal, checked=matter is not None)),
            suites=proposal.suites,
            expires=proposal.expires,
            until=self.services.now() + proposal.answer_within,
            wallet_id=matter.wallet.wallet_id.hex() if matter and matter.wallet else None,
            sign=matter.signed() if matter else None,
        )

    def _views(self, proposal: wire.SessionProposal, *, checked: bool) -> Iterable[PeerView]:
        view = self.services.trusts.view
        for one in proposal.participants:
            yield view(one.peer_id, one.public_key) if checked else PeerView(one.peer_id, "unknown")


def _is_known(shown: Proposed) -> bool:
    """Whether a checked proposal is a verified contact's, or of a participant of the wallet."""
    verified = {peer.peer_id for peer in shown.participants if peer.trust == "verified"}
    return shown.wallet_id is not None or shown.proposer in verified


def _ended(shown: Proposed, seconds: dict[str, float], told: Told, error: MpcError | None) -> SessionEnded:
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
