"""One attempt at one session, of any kind: propose or approve, gather answers, choose, connect, run, leave, give up.

The proposer asks everybody in the proposal, takes as many as the kind needs, and tells them who takes part
(``session_start``). From there on proposer and participants do the same. Whom to ask again after a failure is
``session.quorum``'s business; an attempt is over when it is over.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar, cast

from mpcnode.blame import COMPARE, Came, Event, heard, judge, key_of_name, last_words, why
from mpcnode.errors import (
    ClocksApart,
    DecodeError,
    Disagreement,
    MpcError,
    ParticipantCheated,
    ParticipantRefused,
    PeerError,
    Refused,
    Unanswered,
)
from mpcnode.mesh.pool import Channel, SharedMesh
from mpcnode.mesh.transport import LinkChange, LinkState, Signal, from_relay
from mpcnode.peers.conversation import Opened
from mpcnode.peers.trust import fingerprint
from mpcnode.protocols.descriptor import Member
from mpcnode.protocols.execution import Execution
from mpcnode.protocols.rounds import Round
from mpcnode.session.answers import NONCE_SIZE, Answers, Choose, accept, check_start, refuse, start, two_faced
from mpcnode.session.kinds.kind import Agreed, Matter, Script, roster_of
from mpcnode.session.pump import Pump
from mpcnode.session.stage import Stage
from mpcnode.session.state import AttemptState, State
from mpcnode.session.state import Event as Step
from mpcnode.session.talk import Talk
from mpcnode.status import Answered, Link, LinkShown, Phase
from mpcnode.types import Identifier, IdentityKey, PeerId, SessionId
from mpcnode.waits import see_end
from mpcnode.wire import agreement
from mpcnode.wire import relay as wire
from mpcnode.wire.peer import Abort

T = TypeVar("T")
R = TypeVar("R")

NOT_NEEDED: Final = "not_needed"
"""Said to those that accepted and were not chosen: no failure of anybody's."""
MAX_SIGNALS: Final = 64
"""Signals of one participant that may come before its link is made here: three tries of an offer and its candidates."""
DOUBT: Final = 5.0
"""Seconds to wait for somebody better once enough accepted, but not without a suspect."""
ASK_AGAIN: Final = 0.5
"""Seconds after which a participant is asked by relay as well: the link it was asked over may be dead."""
GRACE: Final = 5.0
"""Seconds that a participant waits for the proposer's choice when the time to answer is over: it was on its way."""
_LINKS: Final[dict[LinkState, LinkShown]] = {
    LinkState.CONNECTING: "connecting",
    LinkState.READY: "open",
    LinkState.LOST: "rebuilding",
    LinkState.FAILED: "broken",
}


class _NotNeeded(Exception):
    """Others take part: whatever this node still asks its user or waits for, it need not."""


@dataclass(slots=True)
class _Heard:
    """What was heard so far, and the waiting for more."""

    began: float
    failure: asyncio.Future[None]
    news: asyncio.Event = field(default_factory=asyncio.Event)
    start: wire.SessionStart | None = None
    signals: dict[PeerId, list[wire.Offer | wire.Answer | wire.IceCandidate]] = field(default_factory=dict)

    def end(self) -> None:
        """Wait for nothing any more."""
        if not self.failure.done():
            self.failure.cancel()
        elif not self.failure.cancelled():
            self.failure.exception()


class Attempt(Generic[R]):
    """One attempt.

    Args:
        matter: what it is about at this node.
        stage: shows and records it.
        proposer: the node that proposed it, this one or another.
        by_mesh: whether the proposal came over a mesh; then the answer goes back that way.
    """

    def __init__(self, matter: Matter[R], stage: Stage, *, proposer: PeerId, by_mesh: bool = False) -> None:
        loop = asyncio.get_running_loop()
        self.roster = roster_of(matter.proposal)
        self.state = AttemptState(matter.proposal.session_id)
        self.answers = Answers(
            {name: key for name, key in self.roster.items() if name != matter.services.peer_id},
            agreement.proposal_hash(matter.proposal),
        )
        self.matter = matter
        self.stage = stage
        self._services = matter.services
        self._proposer = proposer
        self._talk = Talk(self.roster, expires=matter.proposal.expires, services=matter.services)
        self._talk.heard(proposer, by_mesh=by_mesh)
        self._heard = _Heard(loop.time(), loop.create_future())
        self._mine: wire.SessionResponse | None = None
        """This node's acceptance, once it is said."""
        self._channel: Channel | None = None
        """Once the participants are connected."""

    @property
    def session_id(self) -> SessionId:
        """Which session."""
        return self.matter.proposal.session_id

    @property
    def chosen(self) -> tuple[PeerId, ...]:
        """The participants that were chosen, once that is known."""
        if self._heard.start is None:
            return ()
        names = {one.identifier: one.peer_id for one in self.matter.proposal.participants}
        return tuple(names[one.identifier] for one in self._heard.start.chosen if one.identifier in names)

    # What comes in

    def handle(self, opened: Opened) -> None:
        """Take what another participant says, by relay or by mesh; what a stranger says has no effect."""
        if opened.sender not in self._others or self.state.over:
            return
        if opened.public_key != self.roster[opened.sender]:
            self.doubted(opened.sender, _another_key(opened.sender))
            return
        try:
            if self._channel is None:
                self._take(opened)
            elif isinstance(said := opened.message, wire.SessionCancel) and opened.sender in self.chosen:
                # It has no mesh to say so on.
                self._channel.take(opened.sender, Abort(self.session_id, said.code, said.reason, said.culprits))
        except PeerError as error:
            if opened.sender in {self._proposer, *self.chosen}:
                self._fail(error)
            else:
                self.answers.distrust(opened.sender, error)
        self._heard.news.set()

    def doubted(self, peer: PeerId, error: MpcError) -> None:
        """Note that something odd came through the server in the name of ``peer``, which the server may have made.

        It ends nothing that is under way; it explains why a participant that did not answer yet cannot.
        """
        if self._own and self._heard.start is None:
            self.answers.lose(peer, error)
            self._heard.news.set()

    def introduced(self, peer: PeerId, key: IdentityKey) -> None:
        """Note that ``peer`` showed this key; with another than the roster's it is another node."""
        problem = self._services.room.problem_of(peer)
        if self.roster.get(peer, key) != key:
            self.doubted(peer, _another_key(peer))
        elif isinstance(problem, ClocksApart):
            self.doubted(peer, problem)  # whatever it says is over before this node hears it

    def lost(self, peers: Collection[PeerId]) -> None:
        """Note that the links to ``peers`` are gone; those that are still in the room are asked again there."""
        for name in self._talk.linked & set(peers):
            self._talk.linked.discard(name)
            if name not in self._services.present():
                self.answers.lose(name)
            elif name in self.answers.missing and self._own:
                self._talk.relay(name, self.matter.proposal)
        self._heard.news.set()

    def link_changed(self, change: LinkChange) -> None:
        """Show how far a link of this session's mesh is."""
        shown = _LINKS.get(change.state)
        if shown is not None and self.state.state not in {State.LEAVING, State.DONE}:  # then all links go
            self.stage.emit(Link(self.stage.shown.session_id, self._services.peer_id, change.peer, shown))

    def _fail(self, error: "MpcError | _NotNeeded") -> None:
        """End the session from outside; once its participants are connected, only their channel can."""
        if self._channel is None and not self._heard.failure.done():
            self._heard.failure.set_exception(error)

    def _take(self, opened: Opened) -> None:
        sender, heard = opened.sender, self._heard
        match opened.message:
            case wire.SessionResponse() as answer if self._own:
                self._talk.heard(sender, by_mesh=opened.by_mesh)
                self.answers.take(sender, answer)
                self._answered(sender, accepted=answer.accepted, reason=answer.reason)
            case wire.SessionStart() as begun if sender == self._proposer:
                self._take_start(sender, begun)
            case wire.SessionCancel(code=code) if code == NOT_NEEDED and sender == self._proposer:
                if heard.start is None:
                    self._fail(_NotNeeded())
            case wire.SessionCancel() as cancel:
                self._take_cancel(sender, cancel, by_mesh=opened.by_mesh)
            case wire.Offer() | wire.Answer() | wire.IceCandidate() as signal:
                if len(early := heard.signals.setdefault(sender, [])) < MAX_SIGNALS:
                    early.append(signal)
            case wire.SessionProposal() if sender == self._proposer and self._mine and not opened.by_mesh:
                # Asked again, by the server this time: the link over which this node answered may be dead.
                self._talk.linked.discard(sender)
                self._talk.say(sender, self._mine)
            case _:
                pass

    def _answered(self, sender: PeerId, *, accepted: bool, reason: str | None) -> None:
        self.stage.emit(Answered(self.stage.shown.session_id, sender, accepted=accepted, reason=reason))

    def _take_start(self, sender: PeerId, begun: wire.SessionStart) -> None:
        if self._heard.start is None:
            self._heard.start = begun
        elif two_faced(sender, self._heard.start, begun, self.matter.proposal):
            said = f"{sender} signed two different choices of participants"
            raise judge(self.matter.signed_by(sender), Event.TWO_VALUES, said, [sender])

    def _take_cancel(self, sender: PeerId, cancel: wire.SessionCancel, *, by_mesh: bool) -> None:
        if sender not in {self._proposer, *self.chosen}:
            self.answers.give_up(sender, why(cancel.code, cancel.reason))
            self._answered(sender, accepted=False, reason=cancel.reason)
            return
        came = Came.LINK if by_mesh else Came.RELAY
        # Only those that take part can be at fault; before the choice, that is anybody.
        among = set(self.chosen or self.roster) - {self._services.peer_id}
        if cancel.code == ParticipantRefused.code and not self._own:
            # The proposer's word for the answers of others: true in the ordinary case, and proof of nothing.
            named = among.intersection([sender, *cancel.culprits])
            raise judge(came, Event.REFUSAL, f"{sender} {why(cancel.code, cancel.reason)}", named)
        raise heard(
            came,
            sender,
            code=cancel.code,
            reason=cancel.reason,
            named=cancel.culprits,
            me=self._services.peer_id,
            among=among,
        )

    # The two ways through

    async def answer(self, approve: Callable[[], Awaitable[None]]) -> R | None:
        """Take part in what somebody else proposed.

        Args:
            approve: returns to take part, raises not to.

        Returns:
            The result; None where this node accepted and was not needed.

        Raises:
            MpcError: why there is no result; the others were told.
        """
        async with self._giving_up():
            try:
                await self._unless_failed(approve(), late=_not_approved)
                self.state.on(Step.APPROVED)
                self._talk.say(self._proposer, self._accept(self._services.pool.offered(self._proposer)))
                async with self.matter.prepared(self.stage) as prepared:
                    self.stage.phases.enter("negotiating", (self._proposer,), within=self._time_left(GRACE))
                    begun = await self._unless_failed(self._chosen_here(), late=self._not_chosen, grace=GRACE)
                    self.state.on(Step.CHOSEN)
                    return await self._carry_out(begun, prepared)
            except _NotNeeded:
                self.state.on(Step.NOT_NEEDED)
                return None

    async def propose(self, choose: Choose) -> R:
        """Ask everybody in the proposal, and go on with those that are chosen.

        Args:
            choose: says which of those that accepted take part with this node.

        Raises:
            ParticipantRefused, ParticipantSilent: too few accepted.
            MpcError: why there is no result; those that accepted were told.
        """
        asking_again = asyncio.get_running_loop().call_later(ASK_AGAIN, self._ask_again)
        async with self._giving_up():
            try:
                self.state.on(Step.APPROVED)
                self._talk.begin(self._others)
                for name in self._others:
                    self.introduced(name, self._services.conversations.key_of(name) or self.roster[name])
                    self._talk.say(name, self.matter.proposal)
                mine = self._accept(())
                async with self.matter.prepared(self.stage) as prepared:
                    begun = await self._unless_failed(self._enough(choose, mine), late=self._too_late)
                    self.state.on(Step.CHOSEN)
                    dismissal = wire.SessionCancel(self.session_id, NOT_NEEDED, "others take part")
                    for name in self._others:
                        self._talk.say(name, begun if name in self.chosen else dismissal)
                    return await self._carry_out(begun, prepared)
            finally:
                asking_again.cancel()

    def _accept(self, meshes: Collection[SessionId]) -> wire.SessionResponse:
        self._mine = accept(
            self.matter.proposal,
            self._services.identity,
            nonce=self._services.rng(NONCE_SIZE),
            terms=self.matter.said_with_yes(),
            meshes=tuple(meshes),
        )
        return self._mine

    async def _enough(self, choose: Choose, mine: wire.SessionResponse) -> wire.SessionStart:
        """Wait until enough accepted; for somebody better than a suspect only a while."""
        answers, needed = self.answers, self.matter.needed - 1
        now = asyncio.get_running_loop().time
        patience: float | None = None
        while True:
            if len(answers.accepted) < needed:
                patience = None
            elif patience is None:
                patience = now() + DOUBT
            more = bool(answers.missing) and (patience is None or now() < patience)
            if chosen := choose(answers.accepted, more=more):
                # At once, and not when this task runs again: until then one of them may take its answer back.
                self._heard.start = begun = self._choice(chosen, mine)
                return begun
            if len(answers.accepted) + len(answers.missing) < needed or not answers.missing:
                raise answers.too_few()
            self.stage.phases.enter("negotiating", answers.missing, within=self._time_left())
            self._heard.news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(patience):
                    await self._heard.news.wait()

    def _choice(self, chosen: Collection[PeerId], mine: wire.SessionResponse) -> wire.SessionStart:
        answers = {name: self.answers.accepted[name] for name in chosen}
        everybody = {**answers, self._services.peer_id: mine}
        warm = self._services.pool.warm({name: self.roster[name] for name in everybody})
        # A mesh that everybody has, and over which they answered although the server carries answers too.
        known = warm and all(warm.id in answers[name].meshes and name in self._talk.linked for name in chosen)
        mesh = warm.id if warm and known else self.session_id
        return start(self.matter.proposal, everybody, self._services.identity, mesh=mesh)

    def _ask_again(self) -> None:
        """Ask those by relay as well whose links say nothing: they may be back without them."""
        for name in self._talk.linked.intersection(self.answers.missing):
            self._talk.relay(name, self.matter.proposal)

    async def _chosen_here(self) -> wire.SessionStart:
        while self._heard.start is None:
            self._heard.news.clear()
            await self._heard.news.wait()
        assert self._mine is not None
        check_start(
            self._heard.start,
            self.matter.proposal,
            proposer=self._proposer,
            me=self._services.peer_id,
            mine=self._mine,
            needed=self.matter.needed,
            signed=self.matter.signed_by(self._proposer),
        )
        return self._heard.start

    # The session itself

    async def _carry_out(self, begun: wire.SessionStart, prepared: Any) -> R:  # noqa: ANN401 (the kind's own)
        members = {one.identifier: one for one in self.matter.proposal.participants}
        agreed = Agreed(
            session_id=self.session_id,
            digest=agreement.agreed(begun.proposal, begun.chosen),
            roster=tuple(
                Member(one.identifier, members[one.identifier].peer_id, members[one.identifier].public_key)
                for one in begun.chosen
            ),
            terms={one.identifier: one.terms for one in begun.chosen},
        )
        shared = await self._unless_failed(self._connect(begun))
        self.state.on(Step.CONNECTED)
        self._channel = Channel(shared, self.session_id)
        try:
            with self._channel as channel:
                script = await self._script(channel, agreed, prepared)
                me = next(one.identifier for one in agreed.roster if one.peer_id == self._services.peer_id)
                pump = Pump(
                    Execution(script.rounds, me=me, participants=agreed.participants),
                    channel,
                    session_id=self.session_id,
                    me=self._services.peer_id,
                    host=_Host(self.matter, self.stage, self.state, agreed.participants, script, self._proposer, begun),
                    timeouts=self._services.timeouts,
                )
                value = await pump.run()
                result = await self.matter.result(value, agreed, self.stage)
            self.state.on(Step.LEFT)
            return result
        finally:
            # A link to somebody that this node has no wallet with is not kept when nothing came of the session.
            keep = self.matter.wallet is not None or self.state.state is State.DONE
            await self._services.pool.released(shared, deadline=self._services.timeouts.leave, keep=keep)

    async def _script(self, channel: Channel, agreed: Agreed, prepared: Any) -> Script:  # noqa: ANN401 (the kind's own)
        try:
            return await self.matter.script(agreed, prepared, self.stage)
        except MpcError as error:
            for name in agreed.participants.values():
                if name != self._services.peer_id:
                    channel.send(name, Abort(self.session_id, *last_words(error)))
            raise

    async def _connect(self, begun: wire.SessionStart) -> SharedMesh:
        others = tuple(name for name in self.chosen if name != self._services.peer_id)
        roster = {name: self.roster[name] for name in self.chosen}
        if begun.mesh != self.session_id:
            shared = self._services.pool.get(SessionId(begun.mesh))
            if shared is None or not shared.usable or shared.roster != roster:
                raise judge(Came.CLOCK, Event.NO_LINK, "the mesh this session was to use is gone", hint="start again")
            return shared
        self.stage.phases.enter("connecting", others, within=self._services.pool.patience)
        early: list[tuple[PeerId, Signal]] = [
            (sender, from_relay(signal)) for sender, signals in self._heard.signals.items() for signal in signals
        ]
        return await self._services.pool.open(self.session_id, roster, early=early, on_link=self.link_changed)

    # Around it

    @property
    def _own(self) -> bool:
        return self._proposer == self._services.peer_id

    @property
    def _others(self) -> tuple[PeerId, ...]:
        return tuple(name for name in self.roster if name != self._services.peer_id)

    def _time_left(self, grace: float = 0.0) -> float:
        """Give the seconds for which answers are waited for, by this node's clock alone: another one's may be off."""
        until = self._heard.began + self.matter.proposal.answer_within / 1000 + grace
        return max(0.0, until - asyncio.get_running_loop().time())

    async def _unless_failed(
        self, work: Awaitable[T], *, late: Callable[[], MpcError] | None = None, grace: float = 0.0
    ) -> T:
        """Await ``work`` unless the session fails first; with ``late``, unless the proposal's time is over."""
        task = asyncio.ensure_future(work)
        futures: set[asyncio.Future[Any]] = {task, self._heard.failure}
        left = self._time_left(grace) if late else None
        try:
            await asyncio.wait(futures, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if self._heard.failure.done():
                self._heard.failure.result()
            if late and not task.done():
                raise late()
            return task.result()
        finally:
            task.cancel()
            await see_end(task)

    def _too_late(self) -> MpcError:
        """Why too few accepted in time; where there is neither a server nor a link to somebody, that is not silence."""
        error = self.answers.too_late()
        linked = all(self._services.pool.link_to(name, self.roster[name]) for name in error.suspects)
        return error if linked else self._services.explained(error)

    def _not_chosen(self) -> MpcError:
        said = f"{self._proposer} did not say which nodes take part"
        return self._services.explained(judge(Came.CLOCK, Event.SILENCE, said, [self._proposer]))

    @asynccontextmanager
    async def _giving_up(self) -> AsyncIterator[None]:
        """Tell those that wait why this node stops, where the channel did not do so already."""
        try:
            yield
        except (MpcError, asyncio.CancelledError) as error:
            if isinstance(error, MpcError):
                error.saved = error.saved or self.matter.saved()
                error.hint = error.hint or self._unproved(error.culprits)
            if self.state.state in {State.LEAVING, State.DONE}:
                raise  # the result stands: Ctrl-C while the links are closed fails nothing
            self.state.on(Step.FAIL)
            if self._channel is None:
                self._tell(error)
            raise
        finally:
            self.stage.phases.end()
            self._heard.end()

    def _unproved(self, culprits: Collection[PeerId]) -> str | None:
        """Say of which key a conviction is, where the key has its name by the server's word."""
        met = [name for name in culprits if self.matter.signed_by(name) is Came.INTRODUCED]
        return "; ".join(key_of_name(name, fingerprint(self.roster[name])) for name in met) or None

    def _tell(self, error: MpcError | asyncio.CancelledError) -> None:
        message: wire.SessionResponse | wire.SessionCancel
        if isinstance(error, Refused) and not isinstance(error, Unanswered) and not self._own:
            message = refuse(self.matter.proposal, error.message)
        else:
            message = wire.SessionCancel(self.session_id, *last_words(error))
        waiting = self._others if self._own and not self.chosen else {self._proposer, *self.chosen}
        for name in waiting:
            if name != self._services.peer_id:
                self._talk.say(name, message)


@dataclass(frozen=True, slots=True)
class _Host:
    """What the pump asks of an attempt."""

    matter: Matter[Any]
    stage: Stage
    state: AttemptState
    participants: dict[Identifier, PeerId]
    script: Script
    proposer: PeerId
    begun: wire.SessionStart

    async def checkpoint(self, record: object) -> object:
        """Do what the protocol waits for."""
        return await self.matter.checkpoint(record, self.stage)

    def waiting(self, planned: Round, missing: tuple[PeerId, ...], *, within: float) -> None:
        """Show the round, and whose messages are still to come within so many seconds."""
        self.stage.phases.enter(cast("Phase", planned.phase), missing, within=within)

    def evidence(self, error: MpcError, heard: bytes | None) -> bytes | None:
        """Show what was heard, or, where the others were told something else, the choice that this node was told."""
        if isinstance(error, Disagreement):
            return wire.encode_message(self.begun)
        return heard if isinstance(error, ParticipantCheated) else None

    def proved(self, code: str, mine: bytes | None, theirs: bytes) -> PeerError | None:
        """Judge those that are proved liars: by promises, for which one roster was agreed on, or by two starts."""
        guilty, came = set[PeerId](), Came.SIGNED
        try:
            if code == Disagreement.code:
                came = self.matter.signed_by(self.proposer)
                if two_faced(self.proposer, self.begun, wire.decode_start(theirs), self.matter.proposal):
                    guilty = {self.proposer}
            elif mine is not None:
                guilty = {self.participants[culprit] for culprit in self.script.equivocators(mine, theirs)}
        except DecodeError:
            return None  # what cannot be read proves nothing
        said = f"{', '.join(sorted(guilty))} signed two different values for one"
        return judge(came, Event.TWO_VALUES, said, guilty) if guilty else None

    def concluded(self) -> None:
        """Note that the result stands."""
        self.state.on(Step.RESULT)


def _not_approved() -> MpcError:
    return Unanswered("nobody at this node answered the proposal in time")


def _another_key(peer: PeerId) -> PeerError:
    said = f"{peer} speaks with another identity key than the proposal names"
    return judge(Came.RELAY, Event.WRONG_KEY, said, hint=COMPARE)
