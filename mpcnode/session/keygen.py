"""One key generation, from a checked proposal to an active wallet.

Proposer and participants run the same session; all that differs is who sent the proposal and who was asked about it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar

from mpcnode.errors import (
    DecodeError,
    IdentityCheckFailed,
    Interrupted,
    LinkFailed,
    MpcError,
    ParticipantAborted,
    ParticipantRefused,
    ParticipantSilent,
    ProtocolAbort,
    Refused,
)
from mpcnode.mesh.transport import LinkChange, LinkState, from_relay
from mpcnode.protocols.descriptor import FRESH_SIZE, Descriptor
from mpcnode.protocols.execution import Execution
from mpcnode.protocols.frost.keygen import (
    ConfirmWords,
    KeygenResult,
    StoreActive,
    StorePending,
    equivocators,
    keygen,
)
from mpcnode.session.agreement import Agreement
from mpcnode.waits import see_end
from mpcnode.session.phases import Phases
from mpcnode.session.proposal import descriptor_of, roster_of
from mpcnode.session.sealed_relay import Opened
from mpcnode.session.services import Services
from mpcnode.session.session import Session
from mpcnode.session.state import Happening, SessionState, State
from mpcnode.status import (
    Answered,
    Event,
    Link,
    LinkShown,
    Phase,
    SafetyWords,
    WalletChanged,
    WalletView,
    Warned,
)
from mpcnode.types import PeerId, SessionId
from mpcnode.wire import relay as wire
from mpcnode.wire.peer import Abort, WalletCreated

T = TypeVar("T")

_PHASES: Final[dict[str, Phase]] = {
    "commitment_digest": "committing",
    "commitment": "revealing",
    "share": "sharing",
    "ready": "certifying",
}
_LINKS: Final[dict[LinkState, LinkShown]] = {
    LinkState.CONNECTING: "connecting",
    LinkState.VERIFIED: "open",
    LinkState.LOST: "rebuilding",
    LinkState.FAILED: "broken",
}

HEARD_STEP: Final = 0.2
"""How often to look, in seconds, whether who has not acknowledged the last words is still there."""
FOREVER: Final = 24 * 3600.0

_log = logging.getLogger(__name__)


class Asked(Protocol):
    """Who answers for this node."""

    async def approve(self) -> None:
        """Return to take part; raise ``Refused`` not to."""

    async def confirm_words(self, words: SafetyWords) -> bool:
        """Say whether a human compared the words; raise ``Refused`` if they differ."""


class KeygenSession:
    """One key generation of this node.

    Args:
        proposal: checked.
        services: the node's.
        asked: approves and compares words.
        emit: takes progress.
    """

    def __init__(
        self, proposal: wire.SessionProposal, *, services: Services, asked: Asked, emit: Callable[[Event], None]
    ) -> None:
        self.session_id = SessionId(proposal.session_id)
        self.words: tuple[str, ...] = ()
        self.phases = Phases(SessionId(proposal.session_id), emit)
        self.wallet: WalletView | None = None
        self._proposal = proposal
        self.roster = roster_of(proposal)
        self._services = services
        self._asked = asked
        self._emit = emit
        self._me = services.peer_id
        self._others = tuple(name for name in self.roster if name != self._me)
        self._agreement = Agreement(proposal, me=self._me)
        self._state = SessionState(self.session_id)
        self._news = asyncio.Event()
        self._began = asyncio.get_running_loop().time()
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._mesh = services.mesh(self.session_id, self.roster, self._link_changed)
        self._descriptor: Descriptor | None = None
        self._last_words: dict[PeerId, WalletCreated] = {}
        self._stopped: set[PeerId] = set()
        self._words_compared = False

    def handle(self, opened: Opened) -> None:
        """Take what another participant says through the relay; what a stranger says has no effect."""
        if opened.sender not in self._others or self._state.over:
            return
        try:
            if opened.public_key != self.roster[opened.sender]:
                raise IdentityCheckFailed(
                    f"{opened.sender} speaks with another identity key than the proposal names",
                    peer=opened.sender,
                    hint="compare fingerprints with the proposer: somebody may stand between you",
                )
            self._take(opened.sender, opened.message)
        except MpcError as error:
            self.peer_failed(opened.sender, error)
        self._news.set()

    def _take(self, sender: PeerId, message: wire.RelayMessage) -> None:
        match message:
            case wire.SessionResponse():
                if self._agreement.receive(sender, message):
                    self._emit(Answered(self.session_id, sender, accepted=True))
            case wire.SessionCancel():
                self._take_cancel(sender, message)
            case wire.Offer() | wire.Answer() | wire.IceCandidate():
                self._mesh.handle_signal(sender, from_relay(message))
            case wire.SessionProposal() | wire.CertificateRequest() | wire.CertificateReply():
                pass  # the same proposal once more, or what concerns the wallet and not this session

    def peer_failed(self, _peer: PeerId, error: MpcError) -> None:
        """End the session: everybody is needed. Once everybody is in the mesh, only the mesh can."""
        before_mesh = {State.PROPOSED, State.NEGOTIATING, State.CONNECTING}
        if self._state.state in before_mesh and not self._failure.done():
            self._failure.set_exception(error)

    async def run(self, *, propose: bool) -> WalletView:
        """Go from the proposal to the active wallet.

        Args:
            propose: this node is the proposer: nobody is asked here, and the proposal goes out.

        Raises:
            MpcError: why there is no wallet; the others were told.
        """
        try:
            try:
                return await self._run(propose=propose)
            finally:
                # In a task of its own: a second Ctrl-C must not leave half of the links open.
                await see_end(asyncio.ensure_future(self._mesh.close()))
        except (MpcError, asyncio.CancelledError) as error:
            if isinstance(error, MpcError) and self.wallet is not None:
                name = self.wallet.name
                error.saved = f"this node's share is stored; wallet {name} is {self.wallet.state}"
            self._give_up(error)
            raise
        finally:
            self.phases.end()
            if not self._failure.done():
                self._failure.cancel()
            elif not self._failure.cancelled():
                self._failure.exception()

    async def _run(self, *, propose: bool) -> WalletView:
        if propose:
            for name in self._others:
                self._tell(name, self._proposal)
        else:
            await self._unless_failed(self._asked.approve(), self._time_left())
        self._state.on(Happening.APPROVED)
        response = self._agreement.accept(self._services.rng(FRESH_SIZE))
        for name in self._others:
            self._tell(name, response)
        await self._unless_failed(self._everybody_accepted(), self._time_left())
        self._state.on(Happening.ALL_ACCEPTED)
        self.phases.enter("connecting", self._others)
        await self._unless_failed(self._mesh.open(), FOREVER)  # the mesh has its own deadlines
        self._state.on(Happening.MESH_READY)
        result = await self._generate()
        self._state.on(Happening.RESULT)
        await self._leave(result)
        self._state.on(Happening.LEFT)
        assert self.wallet is not None
        return self.wallet

    async def _everybody_accepted(self) -> None:
        while self._agreement.missing:
            self.phases.enter("negotiating", self._agreement.missing)
            self._news.clear()
            await self._news.wait()

    async def _unless_failed(self, work: Awaitable[T], seconds: float) -> T:
        """Await ``work`` unless the session fails first or time runs out."""
        task = asyncio.ensure_future(work)
        futures: set[asyncio.Future[Any]] = {task, self._failure}
        try:
            await asyncio.wait(futures, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if self._failure.done():
                self._failure.result()
            if not task.done():
                raise self._nobody_answered()
            return task.result()
        except MpcError as error:
            raise self._services.explained(error) from error.__cause__
        finally:
            task.cancel()
            await see_end(task)

    def _nobody_answered(self) -> MpcError:
        missing = [name for name in self._agreement.missing if name != self._me]
        if self._state.state is State.PROPOSED:
            return Refused("nobody at this node answered the proposal in time")
        names = ", ".join(missing)
        return ParticipantSilent(f"no answer to the proposal from {names}", culprits=missing)

    def _take_cancel(self, sender: PeerId, cancel: wire.SessionCancel) -> None:
        """A cancel that says what this node sees too is that; otherwise it is only its sender's word."""
        unheard = {*self._agreement.missing, *self._unlinked()} - {self._me, sender}
        silent = [name for name in sorted(unheard) if name in cancel.culprits]
        if cancel.code in {ParticipantSilent.code, LinkFailed.code} and silent:
            raise ParticipantSilent(f"neither {sender} nor this node reaches {', '.join(silent)}", culprits=silent)
        if cancel.code == IdentityCheckFailed.code and self._me in cancel.culprits:
            # Two ends, and each sees something else of who stands between them; nobody can say that of another link.
            raise IdentityCheckFailed(
                f"{sender} finds that the channel between it and this node is not with this node",
                peer=sender,
                hint="compare fingerprints with it: somebody may stand between you",
            )
        raise ParticipantAborted(f"{sender} gave the session up: {cancel.reason!a}", culprits=[sender])

    def _unlinked(self) -> set[PeerId]:
        """To whom this node has no link, where it should have one to everybody."""
        if self._state.state is not State.CONNECTING:
            return set()
        return {name for pair in self._mesh.topology.broken if self._me in pair for name in pair}

    async def _generate(self) -> KeygenResult:
        self._descriptor = descriptor = descriptor_of(self._proposal, self._agreement.fresh)
        script = keygen(
            descriptor=descriptor,
            me=descriptor.identifier(self._me),
            signer=self._services.identity,
            rng=self._services.rng,
        )
        session = Session(
            Execution(script, me=descriptor.identifier(self._me), participants=descriptor.participants),
            self._mesh,
            session_id=self.session_id,
            identifiers={name: identifier for identifier, name in descriptor.participants.items()},
            me=self._me,
            host=self,
            timeouts=self._services.timeouts,
        )
        return await session.run()

    async def _leave(self, result: KeygenResult) -> None:
        """Say the last words, and stay until everybody heard them and said theirs (DESIGN section 5, ``ack``)."""
        for share in result.shares.values():
            share.wipe()
        keys: dict[str, str] = {suite: key.hex() for suite, key in result.group_public_keys.items()}
        mine = WalletCreated(self.session_id, next(iter(keys.values())), keys)
        self._mesh.broadcast(mine)
        try:
            async with asyncio.timeout(self._services.timeouts.leave):
                while missing := [name for name in self._others if name not in self._last_words.keys() | self._stopped]:
                    self.phases.enter("leaving", tuple(missing))
                    sender, message = await self._mesh.receive()
                    if isinstance(message, WalletCreated):
                        self.last_words(sender, message)
                    elif isinstance(message, Abort):
                        self.stopped(sender)
                await self._be_heard()
        except (TimeoutError, MpcError) as error:
            # The wallet is active and durable. Whoever did not hear it asks for the certificate when it comes back.
            _log.info("session %s: left before everybody's last words: %s", self.session_id, error)
        for name, words in self._last_words.items():
            if words != mine:
                self._emit(Warned(f"{name} signed for this wallet and then named other public keys for it"))

    async def _be_heard(self) -> None:
        """Stay until everybody acknowledged the last words; whoever said its own and is gone needs nothing more."""
        while unheard := await self._mesh.flush(HEARD_STEP):
            linked = {other for node, other in self._mesh.topology.claims if node == self._me}
            if not unheard & linked:
                return

    # What the session asks of its host

    async def checkpoint(self, record: object) -> object:
        """Ask, or store."""
        match record:
            case ConfirmWords(words=words):
                await self._confirm(words)
                return None
            case StorePending():
                self.phases.enter("storing")
                wallet = await self._services.wallets.store_pending(
                    record, words_compared=self._words_compared, now=self._services.now()
                )
                self.wallet = wallet
                self._emit(WalletChanged(wallet))
                return None
            case StoreActive(certificate=certificate):
                self.wallet = await self._services.wallets.merge(self.session_id, certificate)
                self._emit(WalletChanged(self.wallet))
                return None
            case _:
                raise AssertionError(f"no such checkpoint: {type(record).__name__}")

    async def _confirm(self, words: tuple[str, ...]) -> None:
        self.words = words
        shown = SafetyWords(self.session_id, words)
        self._emit(shown)
        self.phases.enter("confirming", (self._me,))
        try:
            async with asyncio.timeout(self._services.timeouts.confirm):
                self._words_compared = await self._asked.confirm_words(shown)
        except TimeoutError:
            raise Refused("nobody compared the safety words in time") from None

    def waiting(self, phase: str, missing: tuple[PeerId, ...]) -> None:
        """Show the round and whom it waits for."""
        if missing:
            self.phases.enter(_PHASES[phase], missing)

    def equivocators(self, mine: bytes, theirs: bytes) -> frozenset[PeerId]:
        """Who is proved a liar by two participants' evidence."""
        assert self._descriptor is not None
        names = self._descriptor.participants
        try:
            return frozenset(names[culprit] for culprit in equivocators(mine, theirs, self._descriptor))
        except DecodeError:
            return frozenset()  # what cannot be read proves nothing

    def last_words(self, sender: PeerId, message: WalletCreated) -> None:
        """Note that ``sender`` has its wallet."""
        self._last_words[sender] = message

    def stopped(self, sender: PeerId) -> None:
        """Wait no more for ``sender``: its promise is in the certificate, and it becomes active when it can."""
        self._stopped.add(sender)

    # Progress, and what is said at the end

    def _tell(self, to: PeerId, message: wire.RelayMessage) -> None:
        self._services.relay.send(to, message, expires=self._proposal.expires)

    def _time_left(self) -> float:
        """How long this node waits for answers, by its own clock alone: the proposer's may be minutes off."""
        return max(0.0, self._began + self._proposal.answer_within - asyncio.get_running_loop().time())

    def _link_changed(self, change: LinkChange) -> None:
        state = _LINKS.get(change.state)
        if state is not None and self._state.state not in {State.LEAVING, State.DONE}:  # then all links go
            self._emit(Link(self.session_id, self._me, change.peer, state))

    def _give_up(self, error: MpcError | asyncio.CancelledError) -> None:
        """Tell the others why this node stops, where the mesh did not do so already."""
        before_mesh = self._state.state in {State.PROPOSED, State.NEGOTIATING, State.CONNECTING}
        asked_only = self._state.state is State.PROPOSED
        if self._state.state in {State.LEAVING, State.DONE}:
            return  # the wallet is active: Ctrl-C while the links are closed fails nothing
        self._state.on(Happening.FAIL)
        if not before_mesh or isinstance(error, ParticipantRefused | ParticipantAborted):
            return  # whoever refused or gave up told everybody itself
        if isinstance(error, Refused):
            message: wire.RelayMessage = self._agreement.refuse(error.message)
        elif asked_only:
            stopped = isinstance(error, asyncio.CancelledError)
            message = self._agreement.refuse("this node was stopped" if stopped else "this node cannot take part")
        elif isinstance(error, ProtocolAbort | LinkFailed | IdentityCheckFailed):
            message = wire.SessionCancel(self.session_id, error.code, error.message[:500], error.culprits)
        else:
            code = error.code if isinstance(error, MpcError) else Interrupted.code
            message = wire.SessionCancel(self.session_id, code, "an error of its own")
        for name in self._others:
            self._tell(name, message)
