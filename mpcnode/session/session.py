"""Pumps an Execution over a mesh: messages both ways, checkpoints to the host, deadlines, and what is said at the end.

The pump is the same for every protocol. It never looks inside a message; whose fault something is the Execution, the
mesh or a proof says, never a guess made here.
"""

import asyncio
import contextlib
from collections.abc import Collection, Mapping
from typing import Any, Final, Generic, NoReturn, Protocol, TypeVar

from mpcnode.errors import (
    InconsistentBroadcast,
    Interrupted,
    LinkFailed,
    MpcError,
    ParticipantAborted,
    ParticipantCheated,
    ParticipantSilent,
    ProtocolAbort,
)
from mpcnode.protocols.execution import Execution
from mpcnode.waits import see_end
from mpcnode.session.messages import from_wire, to_wire
from mpcnode.session.timeouts import SessionTimeouts
from mpcnode.types import Identifier, PeerId, SessionId
from mpcnode.wire import peer as wire

T = TypeVar("T")

PROTOCOL_MESSAGES: Final = (
    wire.CommitmentDigest,
    wire.Commitment,
    wire.Share,
    wire.Ready,
    wire.SigningCommitments,
    wire.CommitmentList,
    wire.SignatureShare,
)
LAST_ROUND: Final = "ready"
WAIT_FOR_USERS: Final = frozenset({"share", LAST_ROUND})
"""Rounds that begin for one participant while another's user still compares the safety words."""
CHEATING: Final = frozenset({ParticipantCheated.code, InconsistentBroadcast.code})


class Pipe(Protocol):
    """What the pump pumps over: a mesh, or one session's part of a shared one."""

    def send(self, to: PeerId, message: wire.PeerMessage) -> None:
        """Send ``message``; never blocks."""

    async def receive(self) -> tuple[PeerId, wire.PeerMessage]:
        """Wait for the next message; raise ``MpcError`` when no more will come."""


class Host(Protocol):
    """What the pump cannot do by itself."""

    async def checkpoint(self, record: object) -> object:
        """Do what the protocol waits for (ask, store) and give what it wants to know."""

    def waiting(self, phase: str, missing: tuple[PeerId, ...]) -> None:
        """The round is ``phase``, and these are still to be heard."""

    def equivocators(self, mine: bytes, theirs: bytes) -> frozenset[PeerId]:
        """Who is proved a liar by what this node holds and what another participant shows."""

    def last_words(self, sender: PeerId, message: wire.WalletCreated) -> None:
        """A participant has finished."""

    def stopped(self, sender: PeerId) -> None:
        """A participant that had said everything stopped; nothing more comes from it."""


class Session(Generic[T]):
    """One execution over one open mesh.

    Args:
        execution: the protocol.
        mesh: open, everybody ready.
        session_id: stands in every message.
        identifiers: everybody's place in the protocol, this node's included.
        me: this node's name.
        host: asks and stores.
        timeouts: see there.
    """

    def __init__(
        self,
        execution: Execution[T],
        mesh: Pipe,
        *,
        session_id: SessionId,
        identifiers: Mapping[PeerId, Identifier],
        me: PeerId,
        host: Host,
        timeouts: SessionTimeouts,
    ) -> None:
        self._execution = execution
        self._mesh = mesh
        self._session_id = session_id
        self._identifiers = identifiers
        self._names = {identifier: name for name, identifier in identifiers.items()}
        self._others = tuple(name for name in sorted(identifiers) if name != me)
        self._host = host
        self._timeouts = timeouts
        self._shown: tuple[str, tuple[PeerId, ...]] | None = None
        self._finished: set[PeerId] = set()
        self._rounds = -1
        """How many rounds there were before this one."""

    async def run(self) -> T:
        """Drive the protocol to its result.

        Raises:
            ProtocolAbort: a participant refused, stopped, fell silent or cheated.
            MpcError: whatever the host's checkpoint raised; the others were told.
        """
        try:
            return await self._drive()
        except asyncio.CancelledError:
            self._tell_abort(Interrupted("this node was stopped"))
            raise
        except MpcError as error:
            self._tell_abort(error)
            await self._look_for_proof(error)
        finally:
            self._execution.close()

    async def _drive(self) -> T:
        loop = asyncio.get_running_loop()
        receiving: asyncio.Future[Any] = asyncio.ensure_future(self._mesh.receive())
        hosting: asyncio.Future[object] | None = None
        deadline = loop.time() + self._timeouts.round
        try:
            while True:
                if self._send_all():
                    self._rounds += 1
                    deadline = loop.time() + self._patience()
                if self._execution.finished:
                    return self._execution.result
                if hosting is None and self._execution.checkpoint is not None:
                    hosting = asyncio.ensure_future(self._host.checkpoint(self._execution.checkpoint))
                done = await self._next(receiving, hosting, deadline)
                if receiving in done and self._complete:
                    receiving = self._take_late(receiving)
                elif receiving in done:
                    self._take(*receiving.result())
                    receiving = asyncio.ensure_future(self._mesh.receive())
                if hosting is not None and hosting in done:
                    self._execution.confirm(hosting.result())
                    hosting = None
                    deadline = loop.time() + self._patience()
        finally:
            await _cancel(receiving, hosting)

    async def _next(
        self, receiving: asyncio.Future[Any], hosting: asyncio.Future[object] | None, deadline: float
    ) -> set[asyncio.Future[Any]]:
        """Wait for a message or the host; while the host is busy, its own deadline counts and not the round's."""
        self._show()
        futures: set[asyncio.Future[Any]] = {receiving, *([hosting] if hosting else [])}
        timeout = None if hosting else max(0.0, deadline - asyncio.get_running_loop().time())
        done, _ = await asyncio.wait(futures, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            missing = self._missing()
            raise ParticipantSilent(
                f"no {self._execution.phase} from {', '.join(missing)} within {self._patience():.0f} s",
                culprits=missing,
                hint="see whether their nodes still run, then start again",
            )
        return done

    def _send_all(self) -> bool:
        sent = False
        for to, message in self._execution.messages_to_send():
            sent = True
            payload = to_wire(self._session_id, message)
            for name in self._others if to is None else (self._names[to],):
                self._mesh.send(name, payload)
        return sent

    def _take(self, sender: PeerId, message: wire.PeerMessage) -> None:
        if not isinstance(message, (*PROTOCOL_MESSAGES, wire.WalletCreated, wire.Abort)):
            kind = wire.type_name(message)
            raise ParticipantCheated(f"{sender} sent a {kind} inside the protocol", culprits=[sender])
        if message.session_id != self._session_id:
            raise ParticipantCheated(f"{sender} sent a message of another session", culprits=[sender])
        match message:
            case wire.Abort():
                self._take_abort(sender, message)
            case wire.WalletCreated():
                self._take_last_words(sender, message)
            case _:
                self._execution.receive(self._identifiers[sender], from_wire(message))

    def _take_last_words(self, sender: PeerId, message: wire.WalletCreated) -> None:
        """Whoever has finished has everybody's last round, ours too, and finishes once."""
        if self._execution.phase != LAST_ROUND or sender in self._finished:
            raise ParticipantCheated(f"{sender} says at the wrong time that it has finished", culprits=[sender])
        self._finished.add(sender)
        self._host.last_words(sender, message)

    @property
    def _complete(self) -> bool:
        """Whether everything everybody had to say is in, and only this node has something left to do."""
        return self._execution.phase == LAST_ROUND and not self._execution.waiting_for

    def _take_late(self, receiving: asyncio.Future[tuple[PeerId, wire.PeerMessage]]) -> asyncio.Future[Any]:
        """Take what comes when nothing can undo the result any more: no abort, no lost link.

        Returns:
            What to wait for next.
        """
        try:
            sender, message = receiving.result()
        except MpcError:
            return asyncio.get_running_loop().create_future()  # nothing more will come
        if isinstance(message, wire.WalletCreated) and message.session_id == self._session_id:
            self._host.last_words(sender, message)
        if isinstance(message, wire.Abort):
            self._host.stopped(sender)
        return asyncio.ensure_future(self._mesh.receive())

    def _take_abort(self, sender: PeerId, abort: wire.Abort) -> NoReturn:
        """Turn somebody's last words into this node's error; what they say of others is hearsay until seen."""
        mine = self._execution.evidence
        if mine and abort.evidence and (proved := self._host.equivocators(mine, bytes.fromhex(abort.evidence))):
            names = ", ".join(sorted(proved))
            raise ParticipantCheated(f"{names} signed two different values for one broadcast", culprits=proved)
        accused = ", ".join(abort.culprits) or "nobody"
        said = f"{sender} stopped ({abort.code}, accuses {accused}): {abort.reason!a}"
        others = {name for name in self._others if name in abort.culprits and name != sender}
        if abort.code in CHEATING:
            suspects = {sender, *others} if others else ()
            hint = "this node saw no proof: the accuser or the accused is not honest"
            raise ParticipantCheated(said, suspects=suspects, hint=hint)
        silent = [name for name in self._missing() if name in abort.culprits]
        if abort.code == ParticipantSilent.code and silent:
            raise ParticipantSilent(said, culprits=silent)
        raise stopped(sender, said, code=abort.code, others=others)

    async def _look_for_proof(self, error: MpcError) -> NoReturn:
        """Go on listening a moment where somebody lies and it is not known who: proof may be under way.

        Nothing is sent any more, above all no share.
        """
        heard: list[MpcError] = [error]
        if isinstance(error, ParticipantCheated) and not error.culprits:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timeouts.evidence):
                    if not isinstance(error, InconsistentBroadcast):
                        self._look_at_what_waits()
                    await self._listen(heard)
            if len(self._others) == 1:
                # Between two, who knows that it did not lie itself knows who did.
                raise ParticipantCheated(error.message, culprits=self._others)
        raise heard[-1]

    def _look_at_what_waits(self) -> None:
        """Have what came early for the next round checked now, where this node was busy asking or storing.

        It need not do either any more: nothing of what follows from it is sent.
        """
        if self._execution.checkpoint is not None and self._execution.phase != LAST_ROUND:
            self._execution.confirm()

    async def _listen(self, heard: list[MpcError]) -> None:
        """Hear what is still said until it proves somebody a liar; what this node sees itself counts more than hearsay.

        Args:
            heard: why this node stops; a difference that it sees itself is added, and then it hears aborts alone.
        """
        while True:
            closed = isinstance(heard[-1], InconsistentBroadcast)
            try:
                sender, message = await self._mesh.receive()
            except ParticipantCheated:
                raise
            except MpcError:
                return  # the links are gone, and nothing more will come
            if closed and not isinstance(message, wire.Abort):
                continue
            try:
                self._take(sender, message)
            except InconsistentBroadcast as error:
                heard.append(error)
            except ProtocolAbort as error:
                if isinstance(error, ParticipantCheated) and error.culprits:
                    raise

    def _tell_abort(self, error: MpcError) -> None:
        """Say why this node stops; of what went wrong inside this machine only the code goes out."""
        reason = error.message[:500] if isinstance(error, ProtocolAbort | Interrupted) else "an error of its own"
        mine = self._execution.evidence if isinstance(error, ParticipantCheated) else None
        evidence = mine.hex() if mine else None
        accused = error.culprits or tuple(sorted(error.suspects))
        for name in self._others:
            self._mesh.send(name, wire.Abort(self._session_id, error.code, reason, accused, evidence))

    def _patience(self) -> float:
        """How long this round may take.

        Each round more than the one before: whoever was left out by one participant says so before the others, who
        heard that participant and wait in the next round, take the silence to be its own.
        """
        extra = self._timeouts.confirm if self._execution.phase in WAIT_FOR_USERS else 0.0
        return self._timeouts.round * (1 + self._rounds / 2) + extra

    def _missing(self) -> tuple[PeerId, ...]:
        return tuple(sorted(self._names[identifier] for identifier in self._execution.waiting_for))

    def _show(self) -> None:
        shown = (self._execution.phase, self._missing())
        if shown != self._shown:
            self._shown = shown
            self._host.waiting(*shown)


def stopped(sender: PeerId, said: str, *, code: str, others: Collection[PeerId]) -> ParticipantAborted:
    """The error of somebody's stop. Who stops because of somebody else, or of a link, is no more suspicious than that.

    Args:
        sender: who stopped.
        said: the message.
        code: why, in its own word.
        others: whom else it accuses.
    """
    suspects = {sender, *others} if others or code == LinkFailed.code else ()
    return ParticipantAborted(said, culprits=[sender], suspects=suspects)


async def _cancel(*futures: asyncio.Future[Any] | None) -> None:
    """Cancel what is still under way and see it end."""
    for future in futures:
        if future is not None:
            future.cancel()
    await see_end(*futures)
