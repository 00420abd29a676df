"""One signing session of one node: approve, be chosen, agree on commitments, sign, verify.

The proposer asks every participant it can reach, takes the first ``t`` that accept, and tells them who they are
(``session_start``). From there on proposer and signers are the same. Whom to ask again after a failure is
``session.quorum``'s business; a session here is one attempt, with nonces of its own.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final, Protocol, TypeVar

from mpcnode.errors import (
    IdentityCheckFailed,
    Interrupted,
    LinkFailed,
    MpcError,
    ParticipantAborted,
    ParticipantCheated,
    ParticipantRefused,
    ParticipantSilent,
    ProtocolAbort,
    Refused,
)
from mpcnode.mesh.transport import from_relay
from mpcnode.protocols.descriptor import FRESH_SIZE
from mpcnode.session.ending import see_end
from mpcnode.session.meshes import Channel, Meshes, SharedMesh
from mpcnode.session.phases import Phases
from mpcnode.session.proposal import proposal_hash, roster_of
from mpcnode.session.sealed_relay import Opened
from mpcnode.session.services import Services
from mpcnode.session.signatory import Signatory, Signed, signing_descriptor
from mpcnode.status import Answered, Event
from mpcnode.types import PeerId, SessionId
from mpcnode.wallet.wallet import Wallet
from mpcnode.wire import relay as wire

T = TypeVar("T")

NOT_NEEDED: Final = "not_needed"
"""Said to those who accepted and were not chosen: no failure of anybody's."""


class Approver(Protocol):
    """Who answers for this node."""

    async def approve(self) -> None:
        """Return to sign; raise ``Refused`` not to."""


class SigningSession:
    """One attempt to sign.

    Args:
        proposal: checked, of kind ``sign``.
        proposer: who sent it.
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
        self._answers: dict[PeerId, bytes] = {}
        self._refusals: dict[PeerId, str] = {}
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

    # What comes in

    def handle(self, opened: Opened) -> None:
        """Take what another participant says, by relay or by mesh; what a stranger says has no effect."""
        if opened.sender == self._me or opened.sender not in self.roster or self._connected:
            return
        try:
            if opened.public_key != self.roster[opened.sender]:
                raise IdentityCheckFailed(
                    f"{opened.sender} speaks with another identity key than the wallet's", peer=opened.sender
                )
            self._take(opened.sender, opened.message)
        except MpcError as error:
            self.fail(error)
        self._news.set()

    def fail(self, error: MpcError) -> None:
        """End the session from outside; once its signers are connected, only their channel can."""
        if not self._connected and not self._failure.done():
            self._failure.set_exception(error)

    def lost(self, peers: Collection[PeerId]) -> None:
        """Take it that these cannot answer any more."""
        for name in peers:
            if name in self.roster and name not in self._answers:
                self._refusals.setdefault(name, "its link is gone")
        self._news.set()

    def _take(self, sender: PeerId, message: wire.RelayMessage) -> None:
        match message:
            case wire.SessionResponse() if self._proposer == self._me:
                self._take_answer(sender, message)
            case wire.SessionStart() if sender == self._proposer and self._start is None:
                self._start = message
            case wire.SessionCancel(code=code) if code == NOT_NEEDED and sender == self._proposer:
                self._dismissed = True
            case wire.SessionCancel():
                said = f"{sender} gave the session up: {message.reason!a}"
                if sender == self._proposer or (self._start and sender in self._start.signers):
                    raise ParticipantAborted(said, culprits=[sender])
                self._refusals[sender] = message.reason
            case wire.Offer() | wire.Answer() | wire.IceCandidate():
                self._signals.append((sender, message))
            case _:
                pass

    def _take_answer(self, sender: PeerId, answer: wire.SessionResponse) -> None:
        if not answer.accepted:
            self._refusals[sender] = answer.reason or "no reason given"
            self._emit(Answered(self.session_id, sender, accepted=False, reason=answer.reason))
            return
        fresh = bytes.fromhex(answer.fresh or "")
        if answer.proposal != self._hash or len(fresh) != FRESH_SIZE:
            raise ParticipantCheated(f"{sender} accepted something else than was proposed", culprits=[sender])
        if self._answers.setdefault(sender, fresh) != fresh:
            raise ParticipantCheated(f"{sender} answered twice, differently", culprits=[sender])
        self._emit(Answered(self.session_id, sender, accepted=True))

    # The two ways through

    async def answer(self, approver: Approver) -> Signed | None:
        """Take part in what somebody else proposed.

        Returns:
            The signatures; None where this node accepted and was not needed.

        Raises:
            MpcError: why there is no signature; the proposer was told.
        """
        try:
            await self._unless_failed(approver.approve())
            fresh = self._services.rng(FRESH_SIZE)
            self._tell(self._proposer, self._response(fresh))
            self.phases.enter("negotiating", (self._proposer,))
            await self._unless_failed(self._until(lambda: self._start is not None or self._dismissed))
            if self._start is None:
                return None
            return await self._sign(self._checked(self._start, fresh))
        except (MpcError, asyncio.CancelledError) as error:
            self._give_up(error, [self._proposer])
            raise
        finally:
            self._close()

    async def propose(self, preference: Callable[[Collection[PeerId]], list[PeerId]]) -> Signed:
        """Ask everybody in the proposal, sign with the first that suffice.

        Args:
            preference: sorts who accepted, the best first.

        Raises:
            ParticipantRefused, ParticipantSilent: too few accepted.
            MpcError: why there is no signature; whoever accepted was told.
        """
        others = [name for name in self.roster if name != self._me]
        needed = self._wallet.threshold - 1
        try:
            for name in others:
                self._tell(name, self._proposal)
            await self._unless_failed(self._enough(others, needed))
            chosen = sorted(preference(self._answers)[:needed])
            fresh = {name: self._answers[name] for name in chosen} | {self._me: self._services.rng(FRESH_SIZE)}
            signers = frozenset(fresh)
            warm = self._meshes.warm(signers)
            self._start = wire.SessionStart(
                session_id=self.session_id,
                signers=tuple(sorted(fresh)),
                fresh={name: value.hex() for name, value in fresh.items()},
                mesh=warm.id if warm else self.session_id,
            )
            for name in chosen:
                self._tell(name, self._start)
            for name in others:
                if name not in signers:
                    self._tell(name, wire.SessionCancel(self.session_id, NOT_NEEDED, "others sign"))
            return await self._sign(self._start)
        except (MpcError, asyncio.CancelledError) as error:
            self._give_up(error, others)
            raise
        finally:
            self._close()

    async def _enough(self, others: list[PeerId], needed: int) -> None:
        while len(self._answers) < needed:
            missing = [name for name in others if name not in self._answers and name not in self._refusals]
            if len(self._answers) + len(missing) < needed:
                said = ", ".join(f"{name} ({reason!a})" for name, reason in sorted(self._refusals.items()))
                raise ParticipantRefused(f"too few agree to sign: {said}", culprits=self._refusals)
            self.phases.enter("negotiating", tuple(missing))
            self._news.clear()
            await self._news.wait()

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._news.clear()
            await self._news.wait()

    def _checked(self, start: wire.SessionStart, fresh: bytes) -> wire.SessionStart:
        """Check the proposer's choice; the messages are those of the proposal, which was approved here."""
        names = start.signers
        honest = (
            list(names) == sorted(set(names))
            and set(names) <= set(self.roster)
            and {self._me, self._proposer} <= set(names)
            and len(names) >= self._wallet.threshold
            and set(start.fresh) == set(names)
            and start.fresh[self._me] == fresh.hex()
        )
        if not honest:
            raise ParticipantCheated(f"{self._proposer} chose signers that cannot be meant", culprits=[self._proposer])
        return start

    # Signing

    async def _sign(self, start: wire.SessionStart) -> Signed:
        shared = await self._unless_failed(self._connect(start))
        self._connected = True
        try:
            with Channel(shared, self.session_id) as channel:
                fresh = {PeerId(name): bytes.fromhex(value) for name, value in start.fresh.items()}
                descriptor = signing_descriptor(self._proposal, self._wallet, fresh)
                signatory = Signatory(descriptor, wallet=self._wallet, services=self._services, phases=self.phases)
                signed = await signatory.sign(channel)
                # A signer leaves only when its share was heard: the others cannot finish without it.
                await shared.mesh.flush(self._services.timeouts.leave)
                return signed
        finally:
            await self._meshes.released(shared)

    async def _connect(self, start: wire.SessionStart) -> SharedMesh:
        others = tuple(PeerId(name) for name in start.signers if name != self._me)
        if start.mesh != self.session_id:
            shared = self._meshes.get(SessionId(start.mesh))
            if shared is None or not shared.opened or set(shared.roster) != set(start.signers):
                raise LinkFailed("the mesh this session was to use is gone", peer=self._proposer)
            return shared
        self.phases.enter("connecting", others)
        roster = {PeerId(name): self.roster[PeerId(name)] for name in start.signers}
        opening = asyncio.ensure_future(self._meshes.open(self.session_id, roster))
        await asyncio.sleep(0)
        for sender, signal in self._signals:
            self._meshes.handle_signal(self.session_id, sender, self.roster[sender], from_relay(signal))
        try:
            return await opening
        finally:
            opening.cancel()
            await see_end(opening)

    # Around it

    async def _unless_failed(self, work: Awaitable[T]) -> T:
        """Await ``work`` unless the session fails first or the proposal expires."""
        task = asyncio.ensure_future(work)
        futures: set[asyncio.Future[Any]] = {task, self._failure}
        left = max(0.0, self._began + self._proposal.answer_within - asyncio.get_running_loop().time())
        try:
            await asyncio.wait(futures, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if self._failure.done():
                self._failure.result()
            if not task.done():
                raise self._nobody_answered()
            return task.result()
        finally:
            task.cancel()
            await see_end(task)

    def _nobody_answered(self) -> MpcError:
        if self._proposer != self._me:
            return Refused("nobody at this node answered the proposal in time")
        missing = [n for n in self.roster if n != self._me and n not in self._answers and n not in self._refusals]
        return ParticipantSilent(f"no answer to the proposal from {', '.join(missing)}", culprits=missing)

    def _response(self, fresh: bytes) -> wire.SessionResponse:
        return wire.SessionResponse(session_id=self.session_id, accepted=True, proposal=self._hash, fresh=fresh.hex())

    def _tell(self, to: PeerId, message: wire.RelayMessage) -> None:
        """Say ``message`` on a mesh that is open, else through the relay."""
        shared = self._meshes.link_to(to)
        if shared is not None and isinstance(
            message, wire.SessionProposal | wire.SessionResponse | wire.SessionStart | wire.SessionCancel
        ):
            shared.mesh.send(to, message)
        else:
            self._services.relay.send(to, message, expires=self._proposal.expires)

    def _give_up(self, error: MpcError | asyncio.CancelledError, others: Collection[PeerId]) -> None:
        """Tell whoever waits why this node stops, where the channel did not do so already."""
        if self._connected:
            return
        message: wire.RelayMessage
        if isinstance(error, Refused) and self._proposer != self._me:
            message = wire.SessionResponse(
                session_id=self.session_id, accepted=False, proposal=self._hash, reason=error.message[:200]
            )
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
