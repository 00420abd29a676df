"""One signing session of one node: approve, be chosen, agree on commitments, sign, verify.

The proposer asks every participant it can reach, takes the first ``t`` that accept, and tells them who they are
(``session_start``). From there on proposer and signers are the same. Whom to ask again after a failure is
``session.quorum``'s business; a session here is one attempt, with nonces of its own.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol, TypeVar

from mpcnode.errors import (
    IdentityCheckFailed,
    Interrupted,
    LinkFailed,
    MpcError,
    ParticipantAborted,
    ParticipantSilent,
    ProtocolAbort,
    Refused,
)
from mpcnode.mesh.transport import from_relay
from mpcnode.protocols.descriptor import FRESH_SIZE
from mpcnode.session.agreement import refusal
from mpcnode.session.answers import Answers, check_choice
from mpcnode.session.ending import see_end
from mpcnode.session.meshes import Channel, Meshes, SharedMesh
from mpcnode.session.phases import Phases
from mpcnode.session.proposal import proposal_hash, roster_of
from mpcnode.session.sealed_relay import Opened
from mpcnode.session.services import Services
from mpcnode.session.signatory import Signatory, Signed, signing_descriptor
from mpcnode.session.wallets import OpenKey
from mpcnode.status import Answered, Event
from mpcnode.types import IdentityKey, PeerId, SessionId, SuiteId
from mpcnode.wallet.wallet import Wallet
from mpcnode.wire import relay as wire

T = TypeVar("T")

NOT_NEEDED: Final = "not_needed"
"""Said to those who accepted and were not chosen: no failure of anybody's."""
ASK_AGAIN: Final = 0.5
"""Seconds after which who was asked over a link, and may have lost it without this node's knowledge, is asked again."""

Decision = wire.SessionStart | wire.SessionCancel
"""What a proposer says at last."""


class Choose(Protocol):
    """Who says which participants sign."""

    def __call__(self, accepted: Collection[PeerId], *, more: bool) -> list[PeerId]:
        """Choose some of ``accepted``, or nobody yet; ``more``: others may still accept."""


class Approver(Protocol):
    """Who answers for this node."""

    async def approve(self) -> None:
        """Return to sign; raise ``Refused`` not to."""


class SigningSession:
    """One attempt to sign.

    Args:
        proposal: checked, of kind ``sign``.
        proposer: who sent it.
        by_mesh: whether it came over a mesh; then the answers go back that way.
        wallet: the key's; active.
        services: the node's.
        meshes: the node's shared meshes.
        emit: takes progress.
    """

    def __init__(
        self,
        proposal: wire.SessionProposal,
        *,
        proposer: PeerId,
        by_mesh: bool = False,
        wallet: Wallet,
        services: Services,
        meshes: Meshes,
        emit: Callable[[Event], None],
    ) -> None:
        assert proposal.sign is not None
        self.session_id = SessionId(proposal.session_id)
        self.roster = roster_of(proposal)
        self.phases = Phases(self.session_id, emit)
        self._proposal = proposal
        self._hash = proposal_hash(proposal).hex()
        self._proposer = proposer
        self._wallet = wallet
        self._services = services
        self._meshes = meshes
        self._emit = emit
        self._me = services.peer_id
        self._others = tuple(name for name in self.roster if name != self._me)
        self._answers = Answers(self._others, self._hash)
        self._by_mesh = {proposer} if by_mesh else set[PeerId]()
        """To whom there is a link that carried the last message."""
        self._start: wire.SessionStart | None = None
        self._dismissed = False
        self._signals: list[tuple[PeerId, wire.Offer | wire.Answer | wire.IceCandidate]] = []
        self._news = asyncio.Event()
        self._began = asyncio.get_running_loop().time()
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connected = False

    @property
    def signers(self) -> tuple[str, ...]:
        """Who was chosen to sign, once that is known."""
        return self._start.signers if self._start else ()

    @property
    def distrusted(self) -> Collection[MpcError]:
        """Why some that were asked were left out."""
        return self._answers.failures.values()

    # What comes in

    def handle(self, opened: Opened) -> None:
        """Take what another participant says, by relay or by mesh; what a stranger says has no effect."""
        if opened.sender not in self._others or self._connected:
            return
        try:
            if opened.public_key != self.roster[opened.sender]:
                raise _another_key(opened.sender)
            self._take(opened)
        except MpcError as error:
            self.peer_failed(opened.sender, error)
        self._news.set()

    def peer_failed(self, peer: PeerId, error: MpcError) -> None:
        """Count on ``peer`` no more; where nobody else can do its part, the session ends."""
        if peer in {self._proposer, *self.signers}:
            self._fail(error)
        elif self._proposer == self._me and self._start is None:
            self._answers.distrust(peer, error)
        self._news.set()

    def introduced(self, peer: PeerId, key: IdentityKey) -> None:
        """Take it that ``peer`` showed this key: with another than the wallet's it is somebody else."""
        if self.roster.get(peer, key) != key:
            self.peer_failed(peer, _another_key(peer))

    def lost(self, peers: Collection[PeerId], present: Collection[PeerId]) -> None:
        """Take it that the links to ``peers`` are gone; who is still in the room is asked again there."""
        for name in self._by_mesh & set(peers):
            self._by_mesh.discard(name)
            if name not in present:
                self._answers.lose(name)
            elif name in self._answers.missing and self._proposer == self._me:
                self._tell(name, self._proposal)
        self._news.set()

    def _fail(self, error: MpcError) -> None:
        """End the session from outside; once its signers are connected, only their channel can."""
        if not self._connected and not self._failure.done():
            self._failure.set_exception(error)

    def _take(self, opened: Opened) -> None:
        sender = opened.sender
        match opened.message:
            case wire.SessionResponse() as answer if self._proposer == self._me:
                (self._by_mesh.add if opened.by_mesh else self._by_mesh.discard)(sender)
                self._answers.take(sender, answer)
                self._emit(Answered(self.session_id, sender, accepted=answer.accepted, reason=answer.reason))
            case wire.SessionStart() as start if sender == self._proposer and self._start is None:
                self._start = start
            case wire.SessionCancel(code=code) if code == NOT_NEEDED and sender == self._proposer:
                self._dismissed = True
            case wire.SessionCancel(reason=reason):
                if sender in {self._proposer, *self.signers}:
                    raise ParticipantAborted(f"{sender} gave the session up: {reason!a}", culprits=[sender])
                self._answers.give_up(sender, reason)
            case wire.Offer() | wire.Answer() | wire.IceCandidate() as signal:
                self._signals.append((sender, signal))
            case _:
                pass

    # The two ways through

    async def answer(self, approver: Approver) -> Signed | None:
        """Take part in what somebody else proposed.

        Returns:
            The signatures; None where this node accepted and was not needed.

        Raises:
            MpcError: why there is no signature; the proposer was told.
        """
        try:
            await self._unless_failed(approver.approve(), late=_not_approved)
            fresh = self._services.rng(FRESH_SIZE)
            self._tell(self._proposer, self._acceptance(fresh))
            async with self._signing_key() as key:
                self.phases.enter("negotiating", (self._proposer,))
                await self._unless_failed(self._chosen(), late=self._not_chosen)
                if self._start is None:
                    return None
                check_choice(self._start, self._proposal, wallet=self._wallet, me=(self._me, fresh), by=self._proposer)
                return await self._sign(self._start, key)
        except (MpcError, asyncio.CancelledError) as error:
            self._give_up(error, [self._proposer])
            raise
        finally:
            self._close()

    async def propose(self, choose: Choose) -> Signed:
        """Ask everybody in the proposal, sign with the first that suffice.

        Args:
            choose: says which of those who accepted sign with this node.

        Raises:
            ParticipantRefused, ParticipantSilent: too few accepted.
            MpcError: why there is no signature; whoever accepted was told.
        """
        try:
            self._by_mesh = {name for name in self._others if self._meshes.link_to(name, self.roster[name])}
            for name in self._others:
                self.introduced(name, self._services.relay.key_of(name) or self.roster[name])
                self._tell(name, self._proposal)
            async with self._signing_key() as key:
                start = await self._unless_failed(self._enough(choose), late=self._too_late)
                for name in self._others:
                    dismissal = wire.SessionCancel(self.session_id, NOT_NEEDED, "others sign")
                    self._tell(name, start if name in start.signers else dismissal)
                return await self._sign(start, key)
        except (MpcError, asyncio.CancelledError) as error:
            self._give_up(error, self._others)
            raise
        finally:
            self._close()

    async def _enough(self, choose: Choose) -> wire.SessionStart:
        """Wait until enough accepted; whose link says nothing may be back without it, and is asked by relay as well."""
        answers = self._answers
        again: float | None = self._began + ASK_AGAIN
        while True:
            if chosen := choose(answers.accepted, more=bool(answers.missing)):
                # At once, and not by whoever awaits this: until it runs, one of them may take its answer back.
                self._start = self._choice(chosen)
                return self._start
            if len(answers.accepted) + len(answers.missing) < self._wallet.threshold - 1 or not answers.missing:
                raise answers.too_few()
            self.phases.enter("negotiating", answers.missing)
            self._news.clear()
            try:
                async with asyncio.timeout_at(again):
                    await self._news.wait()
            except TimeoutError:
                again = None
                for name in self._by_mesh.intersection(answers.missing):
                    self._relay(name, self._proposal)

    def _choice(self, chosen: Collection[PeerId]) -> wire.SessionStart:
        answers = self._answers.accepted
        fresh: dict[str, str] = {name: answers[name].fresh or "" for name in chosen}
        fresh[self._me] = self._services.rng(FRESH_SIZE).hex()
        warm = self._meshes.warm(self._roster_of(fresh))
        known = warm is not None and all(warm.id in answers[name].meshes for name in chosen)
        return wire.SessionStart(
            session_id=self.session_id,
            signers=tuple(sorted(fresh)),
            fresh=fresh,
            mesh=warm.id if warm and known else self.session_id,
        )

    async def _chosen(self) -> None:
        while self._start is None and not self._dismissed:
            self._news.clear()
            await self._news.wait()

    # Signing

    def _signing_key(self) -> AbstractAsyncContextManager[OpenKey]:
        """Open this node's share while others answer; it is used when they have, and wiped in any case."""
        return self._services.wallets.signing_key(self._wallet, SuiteId(self._proposal.suites[0]))

    async def _sign(self, start: wire.SessionStart, key: OpenKey) -> Signed:
        shared = await self._unless_failed(self._connect(start))
        self._connected = True
        try:
            with Channel(shared, self.session_id) as channel:
                fresh = {PeerId(name): bytes.fromhex(value) for name, value in start.fresh.items()}
                descriptor = signing_descriptor(self._proposal, self._wallet, fresh)
                signatory = Signatory(
                    descriptor, wallet=self._wallet, services=self._services, phases=self.phases, key=key
                )
                return await signatory.sign(channel)
        finally:
            await self._meshes.released(shared, deadline=self._services.timeouts.leave)

    async def _connect(self, start: wire.SessionStart) -> SharedMesh:
        others = tuple(PeerId(name) for name in start.signers if name != self._me)
        if start.mesh != self.session_id:
            shared = self._meshes.get(SessionId(start.mesh))
            if shared is None or not shared.usable or shared.roster != self._roster_of(start.signers):
                raise LinkFailed("the mesh this session was to use is gone", peer=self._proposer)
            return shared
        self.phases.enter("connecting", others)
        opening = asyncio.ensure_future(self._meshes.open(self.session_id, self._roster_of(start.signers)))
        await asyncio.sleep(0)
        for sender, signal in self._signals:
            self._meshes.handle_signal(self.session_id, sender, self.roster[sender], from_relay(signal))
        try:
            return await opening
        finally:
            opening.cancel()
            await see_end(opening)

    def _roster_of(self, signers: Iterable[str]) -> dict[PeerId, IdentityKey]:
        return {PeerId(name): self.roster[PeerId(name)] for name in signers}

    # Around it

    async def _unless_failed(self, work: Awaitable[T], *, late: Callable[[], MpcError] | None = None) -> T:
        """Await ``work`` unless the session fails first; with ``late``, unless the proposal's time is over."""
        task = asyncio.ensure_future(work)
        futures: set[asyncio.Future[Any]] = {task, self._failure}
        left = max(0.0, self._began + self._proposal.answer_within - asyncio.get_running_loop().time())
        try:
            await asyncio.wait(futures, timeout=left if late else None, return_when=asyncio.FIRST_COMPLETED)
            if self._failure.done():
                self._failure.result()
            if late and not task.done():
                raise late()
            return task.result()
        finally:
            task.cancel()
            await see_end(task)

    def _too_late(self) -> MpcError:
        """Why too few accepted in time; where there is neither a server nor a link to somebody, that is not silence."""
        error = self._answers.too_late()
        linked = all(self._meshes.link_to(PeerId(name), self.roster[PeerId(name)]) for name in error.culprits)
        return error if linked else self._services.explained(error)

    def _not_chosen(self) -> MpcError:
        return ParticipantSilent(f"{self._proposer} did not say who signs", culprits=[self._proposer])

    def _acceptance(self, fresh: bytes) -> wire.SessionResponse:
        return wire.SessionResponse(
            session_id=self.session_id,
            accepted=True,
            proposal=self._hash,
            fresh=fresh.hex(),
            meshes=self._meshes.offered(self._proposer),
        )

    def _tell(self, to: PeerId, message: wire.SessionProposal | wire.SessionResponse | Decision) -> None:
        """Say ``message`` over the link that ``to`` is known to have, else through the server."""
        shared = self._meshes.link_to(to, self.roster[to]) if to in self._by_mesh else None
        if shared is None:
            self._relay(to, message)
        else:
            shared.mesh.send(to, message)

    def _relay(self, to: PeerId, message: wire.RelayMessage) -> None:
        self._services.relay.send(to, message, expires=self._proposal.expires, key=self.roster[to])

    def _give_up(self, error: MpcError | asyncio.CancelledError, others: Collection[PeerId]) -> None:
        """Tell whoever waits why this node stops, where the channel did not do so already."""
        if self._connected:
            return
        message: wire.SessionResponse | wire.SessionCancel
        if isinstance(error, Refused) and self._proposer != self._me:
            message = refusal(self._proposal, error.message)
        elif isinstance(error, ProtocolAbort | LinkFailed):
            message = wire.SessionCancel(self.session_id, error.code, error.message[:500], error.culprits)
        else:
            code = error.code if isinstance(error, MpcError) else Interrupted.code
            message = wire.SessionCancel(self.session_id, code, "an error of its own")
        for name in others:
            self._tell(name, message)

    def _close(self) -> None:
        self.phases.end()
        if not self._failure.done():
            self._failure.cancel()
        elif not self._failure.cancelled():
            self._failure.exception()


def _not_approved() -> MpcError:
    return Refused("nobody at this node answered the proposal in time")


def _another_key(peer: PeerId) -> MpcError:
    return IdentityCheckFailed(f"{peer} speaks with another identity key than the wallet's", peer=peer)
