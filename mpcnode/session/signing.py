"""One signing session of one node: approve, be chosen, agree on commitments, sign, verify.

The proposer asks every participant it can reach, takes the first ``t`` that accept, and tells them who they are
(``session_start``). From there on proposer and signers are the same. Whom to ask again after a failure is
``session.quorum``'s business; a session here is one attempt, with nonces of its own.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Final, TypeVar

from mpcnode.errors import (
    IdentityCheckFailed,
    Interrupted,
    LinkFailed,
    MpcError,
    ParticipantSilent,
    ProtocolAbort,
    Refused,
)
from mpcnode.mesh.transport import from_relay
from mpcnode.protocols.descriptor import FRESH_SIZE
from mpcnode.session.agreement import refusal
from mpcnode.session.answers import Answers, Approver, Choose, check_choice
from mpcnode.waits import see_end
from mpcnode.session.meshes import Channel, Meshes, SharedMesh
from mpcnode.session.phases import Phases
from mpcnode.session.proposal import proposal_hash, roster_of
from mpcnode.session.sealed_relay import Opened
from mpcnode.session.services import Services
from mpcnode.session.session import stopped
from mpcnode.session.signatory import Signatory, Signed, signing_descriptor
from mpcnode.session.talk import Talk
from mpcnode.session.wallets import OpenKey
from mpcnode.status import Answered, Event
from mpcnode.types import IdentityKey, PeerId, SessionId, SuiteId
from mpcnode.wallet.wallet import Wallet
from mpcnode.wire import relay as wire
from mpcnode.wire.peer import Abort

T = TypeVar("T")

NOT_NEEDED: Final = "not_needed"
"""Said to those who accepted and were not chosen: no failure of anybody's."""
MAX_SIGNALS: Final = 64
"""Signals of one participant that may come before its link is made here: three tries of an offer and its candidates."""
DOUBT: Final = 5.0
"""Seconds to wait for somebody better once enough accepted, but not without a suspect."""
ASK_AGAIN: Final = 0.5
"""Seconds after which who was asked over a link, and may have lost it without this node's knowledge, is asked again."""


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
        self._talk = Talk(self.roster, expires=proposal.expires, services=services, meshes=meshes)
        self._talk.heard(proposer, by_mesh=by_mesh)
        self._start: wire.SessionStart | None = None
        self._dismissed = False
        self._signals: dict[PeerId, list[wire.Offer | wire.Answer | wire.IceCandidate]] = {}
        self._accepted: wire.SessionResponse | None = None
        self._asking_again: asyncio.TimerHandle | None = None
        self._news = asyncio.Event()
        self._began = asyncio.get_running_loop().time()
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._channel: Channel | None = None
        """Once its signers are connected."""

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
        if opened.sender not in self._others:
            return
        try:
            if opened.public_key != self.roster[opened.sender]:
                raise _another_key(opened.sender)
            if self._channel is None:
                self._take(opened)
            elif isinstance(said := opened.message, wire.SessionCancel) and opened.sender in self.signers:
                # It has no mesh to say so on.
                self._channel.take(opened.sender, Abort(self.session_id, said.code, said.reason, said.culprits))
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
        """Take it that ``peer`` showed this key; with another than the wallet's it is somebody else."""
        if self.roster.get(peer, key) != key:
            self.peer_failed(peer, _another_key(peer))

    def lost(self, peers: Collection[PeerId], present: Collection[PeerId]) -> None:
        """Take it that the links to ``peers`` are gone; who is still in the room is asked again there."""
        for name in self._talk.linked & set(peers):
            self._talk.linked.discard(name)
            if name not in present:
                self._answers.lose(name)
            elif name in self._answers.missing and self._proposer == self._me:
                self._talk.relay(name, self._proposal)
        self._news.set()

    def _fail(self, error: MpcError) -> None:
        """End the session from outside; once its signers are connected, only their channel can."""
        if self._channel is None and not self._failure.done():
            self._failure.set_exception(error)

    def _take(self, opened: Opened) -> None:
        sender = opened.sender
        match opened.message:
            case wire.SessionResponse() as answer if self._proposer == self._me:
                self._talk.heard(sender, by_mesh=opened.by_mesh)
                self._answers.take(sender, answer)
                self._emit(Answered(self.session_id, sender, accepted=answer.accepted, reason=answer.reason))
            case wire.SessionStart() as start if sender == self._proposer and self._start is None:
                self._start = start
            case wire.SessionCancel(code=code) if code == NOT_NEEDED and sender == self._proposer:
                self._dismissed = True
            case wire.SessionCancel(code=code, reason=reason, culprits=accused):
                if sender in {self._proposer, *self.signers}:
                    others = {name for name in self._others if name in accused and name != sender}
                    raise stopped(sender, f"{sender} gave the session up: {reason!a}", code=code, others=others)
                self._answers.give_up(sender, reason)
            case wire.Offer() | wire.Answer() | wire.IceCandidate() as signal:
                if len(early := self._signals.setdefault(sender, [])) < MAX_SIGNALS:
                    early.append(signal)
            case wire.SessionProposal() if sender == self._proposer and self._accepted and not opened.by_mesh:
                # Asked again, by the server this time: the link over which this node answered may be dead.
                self._talk.linked.discard(sender)
                self._talk.say(sender, self._accepted)
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
            self._accepted = self._acceptance(fresh)
            self._talk.say(self._proposer, self._accepted)
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
            self._talk.begin(self._others)
            for name in self._others:
                self.introduced(name, self._services.relay.key_of(name) or self.roster[name])
                self._talk.say(name, self._proposal)
            self._asking_again = asyncio.get_running_loop().call_later(ASK_AGAIN, self._ask_again)
            async with self._signing_key() as key:
                start = await self._unless_failed(self._enough(choose), late=self._too_late)
                for name in self._others:
                    dismissal = wire.SessionCancel(self.session_id, NOT_NEEDED, "others sign")
                    self._talk.say(name, start if name in start.signers else dismissal)
                return await self._sign(start, key)
        except (MpcError, asyncio.CancelledError) as error:
            self._give_up(error, self._others)
            raise
        finally:
            self._close()

    async def _enough(self, choose: Choose) -> wire.SessionStart:
        """Wait until enough accepted; for somebody better than a suspect only a while."""
        answers, needed = self._answers, self._wallet.threshold - 1
        now = asyncio.get_running_loop().time
        patience: float | None = None
        while True:
            if len(answers.accepted) < needed:
                patience = None
            elif patience is None:
                patience = now() + DOUBT
            more = bool(answers.missing) and (patience is None or now() < patience)
            if chosen := choose(answers.accepted, more=more):
                # At once, and not by whoever awaits this: until it runs, one of them may take its answer back.
                self._start = self._choice(chosen)
                return self._start
            if len(answers.accepted) + len(answers.missing) < needed or not answers.missing:
                raise answers.too_few()
            self.phases.enter("negotiating", answers.missing)
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(patience):
                    await self._news.wait()

    def _ask_again(self) -> None:
        """Whose link says nothing may be back without it, and is asked by relay as well."""
        for name in self._talk.linked.intersection(self._answers.missing):
            self._talk.relay(name, self._proposal)

    def _choice(self, chosen: Collection[PeerId]) -> wire.SessionStart:
        answers = self._answers.accepted
        fresh: dict[str, str] = {name: answers[name].fresh or "" for name in chosen}
        fresh[self._me] = self._services.rng(FRESH_SIZE).hex()
        warm = self._meshes.warm(self._roster_of(fresh))
        # Who has the mesh, and answered over a link although the server carries answers too.
        known = warm and all(warm.id in answers[name].meshes and name in self._talk.linked for name in chosen)
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
        self._channel = Channel(shared, self.session_id)
        try:
            with self._channel as channel:
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
        for sender, signals in self._signals.items():
            for signal in signals:
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

    def _give_up(self, error: MpcError | asyncio.CancelledError, others: Collection[PeerId]) -> None:
        """Tell whoever waits why this node stops, where the channel did not do so already."""
        if self._channel is not None:
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
            self._talk.say(name, message)

    def _close(self) -> None:
        self.phases.end()
        if self._asking_again is not None:
            self._asking_again.cancel()
        if not self._failure.done():
            self._failure.cancel()
        elif not self._failure.cancelled():
            self._failure.exception()


def _not_approved() -> MpcError:
    return Refused("nobody at this node answered the proposal in time")


def _another_key(peer: PeerId) -> MpcError:
    return IdentityCheckFailed(f"{peer} speaks with another identity key than the wallet's", peer=peer)
