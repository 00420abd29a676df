"""Pumps an Execution over a mesh: messages both ways, checkpoints to the host, deadlines, and what is said at the end.

The pump is the same for every protocol and knows none of their rounds by name: what it needs (how long a round may
take, in which phase a user sees it, whether a user is waited for) stands in the plan of the script. It never looks
inside a message, and whose fault something is ``mpcnode.blame`` says.
"""

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, Protocol, TypeVar

from mpcnode.blame import Came, Event, heard, judge, last_words
from mpcnode.errors import (
    Disagreement,
    InconsistentBroadcast,
    LinkFailed,
    MpcError,
    ParticipantCheated,
    ParticipantSilent,
    PeerError,
)
from mpcnode.protocols.execution import Execution
from mpcnode.protocols.rounds import ProtocolMessage, Round
from mpcnode.session.services import SessionTimeouts
from mpcnode.types import PeerId, SessionId
from mpcnode.waits import see_end
from mpcnode.wire import peer as wire

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Pipe(Protocol):
    """What the pump pumps over: one session's part of a mesh."""

    def send(self, to: PeerId, message: wire.PeerMessage, *, heard: bool = False) -> None:
        """Send ``message``; never blocks. ``heard`` wants it acknowledged before this node leaves."""

    async def receive(self) -> tuple[PeerId, wire.PeerMessage]:
        """Wait for the next message; raise ``MpcError`` when no more will come."""

    async def flush(self, seconds: float) -> frozenset[PeerId]:
        """Wait, at most so long, until what must be heard is acknowledged; name those that did not."""


class Host(Protocol):
    """What the pump cannot do by itself."""

    async def checkpoint(self, record: object) -> object:
        """Do what the protocol waits for (ask, store) and give what it wants to know."""

    def waiting(self, planned: Round, missing: tuple[PeerId, ...], *, within: float) -> None:
        """Show that the round is ``planned``, and whose messages are still to come within so many seconds."""

    def evidence(self, error: MpcError, heard: bytes | None) -> bytes | None:
        """Give what others need in order to see who lied, where ``error`` is about that.

        Args:
            error: why this node stops.
            heard: what the protocol keeps as evidence.
        """

    def proved(self, code: str, mine: bytes | None, theirs: bytes) -> PeerError | None:
        """Make an error of what is proved by what this node holds and what another participant shows with ``code``."""

    def concluded(self) -> None:
        """Note that the result stands: nothing that comes from now on can undo it."""


@dataclass(frozen=True, slots=True)
class _Report:
    """Somebody stopped because others, for which this node waits as well, are silent: they may be.

    Args:
        error: what it comes to where it turns out that they are not.
        accused: those others; never the one that says so, whose word is missing because it stopped.
    """

    error: PeerError
    accused: frozenset[PeerId]


class Pump(Generic[T]):
    """One execution over one open mesh.

    Args:
        execution: the protocol.
        pipe: open, everybody ready.
        session_id: stands in every message.
        me: this node's name.
        host: asks and stores.
        timeouts: see there.
    """

    def __init__(
        self,
        execution: Execution[T],
        pipe: Pipe,
        *,
        session_id: SessionId,
        me: PeerId,
        host: Host,
        timeouts: SessionTimeouts,
    ) -> None:
        self._execution = execution
        self._pipe = pipe
        self._session_id = session_id
        self._me = me
        self._identifiers = {name: identifier for identifier, name in execution.participants.items()}
        self._host = host
        self._timeouts = timeouts
        self._shown: tuple[Round, tuple[PeerId, ...], float] | None = None
        self._rounds = -1
        """How many rounds there were before this one."""
        self._stopped: set[PeerId] = set()
        self._report: _Report | None = None
        self._receiving: asyncio.Future[tuple[PeerId, wire.PeerMessage]] | None = None
        """The next message: no phase of the session may end the wait for it, or it would be lost."""

    async def run(self) -> T:
        """Drive the protocol to its result, and stay for the last words.

        Raises:
            ProtocolAbort: a participant refused, stopped, fell silent or cheated.
            MpcError: what the host's checkpoint raised; the others were told.
        """
        try:
            await self._drive()
            self._host.concluded()
            await self._last_words()
        except asyncio.CancelledError:
            if not self._execution.concluded:
                self._tell_abort(asyncio.CancelledError())
            raise
        except MpcError as raised:
            # A mesh that closes because somebody stopped says less than its last words did.
            error = self._report.error if self._report and isinstance(raised, LinkFailed) else raised
            self._tell_abort(error)
            await self._look_for_proof(error)
        else:
            return self._execution.result
        finally:
            self._execution.close()
            await _cancel(self._receiving)

    async def _drive(self) -> None:
        loop = asyncio.get_running_loop()
        hosting: asyncio.Future[object] | None = None
        deadline = loop.time() + self._timeouts.round
        try:
            while True:
                self._weigh_report()
                if self._send_all():
                    self._rounds += 1
                    deadline = loop.time() + self._patience()
                if self._execution.concluded:
                    return
                if hosting is None and self._execution.checkpoint is not None:
                    hosting = asyncio.ensure_future(self._host.checkpoint(self._execution.checkpoint))
                # Once all is heard, nothing that comes can undo anything, not a lie, an abort or a lost link: it waits.
                receiving = None if self._execution.all_heard else self._receive()
                done = await self._next(receiving, hosting, deadline)
                if receiving is not None and receiving in done:
                    self._take(*self._received())
                if hosting is not None and hosting in done:
                    self._execution.confirm(hosting.result())
                    hosting = None
                    deadline = loop.time() + self._patience()
        finally:
            await _cancel(hosting)

    async def _next(
        self, receiving: asyncio.Future[Any] | None, hosting: asyncio.Future[object] | None, deadline: float
    ) -> set[asyncio.Future[Any]]:
        """Wait for a message or the host; while the host is busy, its own deadline counts and not the round's."""
        self._show(deadline)
        futures = {future for future in (receiving, hosting) if future is not None}
        timeout = None if hosting else max(0.0, deadline - asyncio.get_running_loop().time())
        done, _ = await asyncio.wait(futures, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            missing, planned = self._missing(), self._execution.round
            if self._report is not None:
                missing = tuple(name for name in missing if name in self._report.accused)
            what = planned.kind if planned else "message"
            said = f"no {what} from {', '.join(missing)} within {self._patience():.0f} s"
            hint = "see whether their nodes still run, then start again"
            raise judge(Came.CLOCK, Event.SILENCE, said, missing, hint=hint)
        return done

    async def _last_words(self) -> None:
        """Say what the script has still to say, and wait a while for the same from the others.

        The result is durable: a participant that does not hear our last words asks for them when it comes back.
        """
        try:
            async with asyncio.timeout(self._timeouts.leave) as limit:
                while True:
                    self._send_all()
                    if not set(self._missing()) - self._stopped:
                        break
                    self._show(limit.when() or 0.0)
                    sender, message = await self._hear()
                    if isinstance(message, wire.Abort):
                        self._stopped.add(sender)
                    elif isinstance(message, wire.RoundMessage):
                        self._execution.receive(self._identifiers[sender], _from_wire(message))
                planned = self._execution.round
                if planned is not None and planned.last_words:
                    await self._pipe.flush(self._timeouts.leave)  # the process may end as soon as this returns
        except (TimeoutError, MpcError) as error:
            _log.info("session %s: left before everybody's last words: %s", self._session_id.hex(), error)

    def _receive(self) -> asyncio.Future[tuple[PeerId, wire.PeerMessage]]:
        if self._receiving is None:
            self._receiving = asyncio.ensure_future(self._pipe.receive())
        return self._receiving

    def _received(self) -> tuple[PeerId, wire.PeerMessage]:
        received, self._receiving = self._receive(), None
        return received.result()

    async def _hear(self) -> tuple[PeerId, wire.PeerMessage]:
        await asyncio.wait({self._receive()})
        return self._received()

    def _send_all(self) -> bool:
        sent = False
        for to, message in self._execution.messages_to_send():
            sent = True
            planned = self._execution.round
            payload = wire.RoundMessage(
                session_id=self._session_id,
                round=message.kind,
                lane=message.lane,
                data=message.data,
                echo=message.echo,
            )
            for name in self._others if to is None else (self._execution.participants[to],):
                self._pipe.send(name, payload, heard=planned is not None and planned.heard)
        return sent

    def _take(self, sender: PeerId, message: wire.PeerMessage) -> None:
        match message:
            case wire.Abort(session_id=self._session_id):
                self._take_abort(sender, message)
            case wire.RoundMessage(session_id=self._session_id):
                self._execution.receive(self._identifiers[sender], _from_wire(message))
            case _:
                said = f"{sender} sent a {wire.type_name(message)} that has no place in the protocol"
                raise judge(Came.LINK, Event.MISPLACED, said, [sender])

    def _take_abort(self, sender: PeerId, abort: wire.Abort) -> None:
        """Turn somebody's last words into this node's error.

        Raises:
            MpcError: at once, but for a report that somebody is silent of whom this node waits to hear as well, now or
                when its user has answered: that counts when this node's own time for it is over, and no sooner.
        """
        if abort.evidence and (proved := self._host.proved(abort.code, self._execution.evidence, abort.evidence)):
            raise proved
        error = heard(
            Came.LINK,
            sender,
            code=abort.code,
            reason=abort.reason,
            named=abort.culprits,
            me=self._me,
            among=self._identifiers,
        )
        accused = error.suspects - {sender}
        if self._execution.checkpoint is None:
            accused = accused.intersection(self._missing())
        if abort.code != ParticipantSilent.code or not accused:
            raise error
        # Of several reports the first one is the error; they count no sooner than one.
        first = self._report or _Report(error, accused)
        self._report = _Report(first.error, first.accused | accused)

    def _weigh_report(self) -> None:
        """Stop where those that were called silent have spoken: one of them or the one that said so is wrong."""
        if self._execution.checkpoint is not None or self._execution.concluded:
            return  # nobody is waited for just now, or ever again
        if self._report and not self._report.accused.intersection(self._missing()):
            raise self._report.error

    async def _look_for_proof(self, error: MpcError) -> NoReturn:
        """Go on listening a moment where somebody lies and it is not known which: proof may be under way.

        Nothing is sent any more, above all no share. Without proof nobody is named, also between two: what differs
        may have been carried by the server.
        """
        reasons: list[MpcError] = [error]
        if isinstance(error, ParticipantCheated | Disagreement) and not error.culprits:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timeouts.evidence):
                    if not isinstance(error, InconsistentBroadcast | Disagreement):
                        self._look_at_what_waits()
                    await self._listen(reasons)
        raise reasons[-1]

    def _look_at_what_waits(self) -> None:
        """Have what came early for the next round checked now, where this node was busy asking or storing.

        It need not do either any more: nothing of what follows from it is sent.
        """
        if self._execution.checkpoint is not None and not self._execution.all_heard:
            self._execution.confirm()

    async def _listen(self, reasons: list[MpcError]) -> None:
        """Hear what is still said until it proves somebody a liar; what this node sees itself counts more than hearsay.

        Args:
            reasons: why this node stops; a difference that it sees itself is added, and then it hears aborts alone.
        """
        while True:
            closed = isinstance(reasons[-1], InconsistentBroadcast | Disagreement)
            try:
                sender, message = await self._hear()
            except ParticipantCheated:
                raise
            except MpcError:
                return  # the links are gone, and nothing more will come
            if closed and not isinstance(message, wire.Abort):
                continue
            try:
                self._take(sender, message)
            except (InconsistentBroadcast, Disagreement) as error:
                if not closed:
                    reasons.append(error)
            except PeerError as error:
                if isinstance(error, ParticipantCheated) and error.culprits:
                    raise

    def _tell_abort(self, error: MpcError | asyncio.CancelledError) -> None:
        """Say why this node stops."""
        code, reason, named = last_words(error)
        evidence = self._host.evidence(error, self._execution.evidence) if isinstance(error, MpcError) else None
        for name in self._others:
            self._pipe.send(name, wire.Abort(self._session_id, code, reason, named, evidence))

    def _patience(self) -> float:
        """How long this round may take.

        Each round may take longer than the one before: a node that one participant left out says so before the others
        give up, which heard that participant, wait in the next round, and would take the node's silence for its own.
        """
        planned = self._execution.round
        if planned is None:
            return self._timeouts.round
        scale = self._timeouts.round / SessionTimeouts().round
        return planned.seconds * scale * (1 + self._rounds / 2) + (self._timeouts.confirm if planned.users else 0.0)

    @property
    def _others(self) -> tuple[PeerId, ...]:
        return tuple(sorted(name for name in self._identifiers if name != self._me))

    def _missing(self) -> tuple[PeerId, ...]:
        names = self._execution.participants
        return tuple(sorted(names[identifier] for identifier in self._execution.waiting_for))

    def _show(self, deadline: float) -> None:
        planned, missing = self._execution.round, self._missing()
        if planned is not None and missing and (planned, missing, deadline) != self._shown:
            self._shown = (planned, missing, deadline)
            self._host.waiting(planned, missing, within=max(0.0, deadline - asyncio.get_running_loop().time()))


def _from_wire(message: wire.RoundMessage) -> ProtocolMessage:
    return ProtocolMessage(message.round, message.lane, message.data, message.echo)


async def _cancel(*futures: asyncio.Future[Any] | None) -> None:
    """Cancel what is still under way and see it end."""
    for future in futures:
        if future is not None:
            future.cancel()
    await see_end(*futures)
