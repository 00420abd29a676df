"""The one driver of protocol scripts: messages in, messages out; no clock, no network, no thread.

The host pumps it: hand over what arrives (``receive``), send what it wants sent (``messages_to_send``), do what it
asks for (``checkpoint``, then ``confirm``), until it is ``finished``. Everything else the host needs is in ``round``.
Here, and nowhere else, early messages wait, duplicates and strangers are refused, and a fault by identifier becomes an
error that names peers.
"""

from collections.abc import Mapping
from typing import Any, Final, Generic, NoReturn, TypeVar, cast

from mpcnode.blame import Came, Event, judge
from mpcnode.errors import DecodeError
from mpcnode.protocols.rounds import (
    ECHO_SIZE,
    Checkpoint,
    Concluded,
    Exchange,
    Fault,
    Inconsistent,
    Lane,
    Plan,
    ProtocolMessage,
    Round,
    Rounds,
    Step,
    ViewsDiffer,
    Witness,
)
from mpcnode.types import Identifier, PeerId

T = TypeVar("T")

_VIEWS_DIFFER: Final = "start again; where it happens again, the proposer or the server tells different things"

__all__ = ["ECHO_SIZE", "Execution", "ProtocolMessage"]


class Execution(Generic[T]):
    """A running script.

    After an error nothing can be done with it: its secrets are wiped, and the error names the participants to blame.

    Args:
        script: a script just made, not yet started.
        me: this participant.
        participants: everybody's peer id, this participant's included.

    Raises:
        ValueError: ``me`` is not among the participants; a mistake of the caller.
    """

    def __init__(self, script: Rounds[T], *, me: Identifier, participants: Mapping[Identifier, PeerId]) -> None:
        if me not in participants:
            raise ValueError("this participant is not among the participants")
        self._script = script
        self._me = me
        self._participants = dict(sorted(participants.items()))
        self._others = [i for i in self._participants if i != me]
        self._plan = Plan(())
        self._position = -1  # index in the plan of the exchange last begun
        self._exchange: Exchange | None = None
        self._checkpoint: Checkpoint | None = None
        self._seen: set[tuple[Identifier, str, Lane]] = set()
        self._early: dict[tuple[Identifier, Lane], ProtocolMessage] = {}
        self._accepted: dict[Lane, dict[Identifier, Any]] = {}
        self._outbox: list[tuple[Identifier | None, ProtocolMessage]] = []
        self._evidence: bytes | None = None
        self._result: list[T] = []
        self._finished = False
        self._closed = False
        self._run(None)

    # What the host does

    def receive(self, sender: Identifier, message: ProtocolMessage) -> None:
        """Take one message; whose it is, the channel says and not the message.

        A message of the next round waits. Afterwards ask for ``messages_to_send``, ``checkpoint`` and ``finished``.

        Args:
            sender: as the mesh stamped it.
            message: decoded, not yet looked into.

        Raises:
            ParticipantCheated: an honest participant does not send this here: a duplicate (identical or not), a round
                that is not in the plan or more than one ahead, too long, malformed, or with a content that is refused.
                A stranger's message is refused without harm to the execution.
            InconsistentBroadcast, Disagreement: the sender was told something else than this participant was.
            RuntimeError: the execution was closed; a mistake of the caller.
        """
        self._require_open()
        if sender not in self._others:
            raise judge(Came.LINK, Event.MISPLACED, "a message came from a node that does not take part")
        try:
            position = self._admit(sender, message)
            if position == self._position and self._exchange is not None:
                self._accept(self._exchange, sender, message)
            else:
                self._early[sender, message.lane] = message
        except Fault as fault:
            self._abort(fault)
        except BaseException:
            self.close()
            raise
        if self._exchange is not None and not self.waiting_for:
            self._run(self._collect())

    def messages_to_send(self) -> list[tuple[Identifier | None, ProtocolMessage]]:
        """Give what is to be sent, each message once: to that participant, or to everybody else where it is None."""
        outbox, self._outbox = self._outbox, []
        return outbox

    def confirm(self, result: object = None) -> None:
        """Say that what ``checkpoint`` asks for is done, durably where it is about storing.

        Args:
            result: what the script is told; what it may be stands in the checkpoint's own documentation.

        Raises:
            RuntimeError: there is no checkpoint, or the execution was closed; a mistake of the caller.
            ParticipantCheated: a message that waited for this moment is wrong.
        """
        self._require_open()
        if self._checkpoint is None:
            raise RuntimeError("there is no checkpoint to confirm")
        self._checkpoint = None
        self._run(result)

    def close(self) -> None:
        """End it and wipe its secrets; may be called at any time and more than once."""
        self._closed = True
        self._exchange = self._checkpoint = None
        self._early.clear()
        self._accepted.clear()
        self._outbox.clear()
        self._script.close()

    # What the host may ask

    @property
    def participants(self) -> Mapping[Identifier, PeerId]:
        """Everybody's peer id, this participant's included, by identifier."""
        return self._participants

    @property
    def finished(self) -> bool:
        """Whether the script has ended with its ``result``: nothing is sent or received any more."""
        return self._finished

    @property
    def concluded(self) -> bool:
        """Whether there is a ``result``, which stands; rounds after it are last words.

        An error, or anything else that ends the execution from here on, takes nothing from the result.
        """
        return bool(self._result)

    @property
    def result(self) -> T:
        """What the script gives; it outlives ``close``.

        Raises:
            RuntimeError: not concluded; a mistake of the caller.
        """
        if not self._result:
            raise RuntimeError("the execution has no result yet")
        return self._result[0]

    @property
    def checkpoint(self) -> object | None:
        """What the host must do, then ``confirm``, before the script goes on; None where there is nothing."""
        return None if self._checkpoint is None else self._checkpoint.record

    @property
    def waiting_for(self) -> frozenset[Identifier]:
        """Whose messages of this round are missing; nobody's while a checkpoint is open."""
        if self._exchange is None:
            return frozenset()
        return frozenset(i for i in self._others if any(i not in lane for lane in self._accepted.values()))

    @property
    def all_heard(self) -> bool:
        """Whether everything the result needs of the others is here; what may still come is last words."""
        to_come = self._plan.rounds[self._position + 1 :]
        return self._position >= 0 and not self.waiting_for and all(planned.last_words for planned in to_come)

    @property
    def round(self) -> Round | None:
        """The round last begun, as the plan has it; None before the first."""
        return self._plan.rounds[self._position] if self._position >= 0 else None

    @property
    def evidence(self) -> bytes | None:
        """What this participant was told, signed by its senders, to compare with what another was told.

        None until there is any; it outlives ``close``.
        """
        return self._evidence

    # The machine

    def _require_open(self) -> None:
        if self._closed:
            raise RuntimeError("the execution is closed")

    def _admit(self, sender: Identifier, message: ProtocolMessage) -> int:
        """Find the round a message belongs to, or raise Fault; after this each sender holds at most two rounds."""
        rounds = self._plan.rounds
        position = next((p for p, r in enumerate(rounds) if r.kind == message.kind and message.lane in r.lanes), None)
        if position is None:
            raise Fault("sent a message that no round has", [sender])
        planned = rounds[position]
        if (sender, message.kind, message.lane) in self._seen:
            raise Fault(f"sent its {planned.kind} message twice", [sender])
        # A participant one round ahead has all our messages; nobody can be further: we have not sent the next.
        if position > self._position + 1:
            raise Fault(f"sent its {planned.kind} message before that round can have begun", [sender])
        if len(message.data) > planned.limit or len(message.echo or b"") > ECHO_SIZE:
            raise Fault(f"sent a {planned.kind} message that is too long", [sender])
        self._seen.add((sender, message.kind, message.lane))
        return position

    def _accept(self, exchange: Exchange, sender: Identifier, message: ProtocolMessage) -> None:
        try:
            value = exchange.traffic[message.lane].accept(sender, message.data, message.echo)
        except DecodeError as error:
            raise Fault(f"sent a malformed {message.kind} message: {error}", [sender]) from error
        self._accepted[message.lane][sender] = value

    def _collect(self) -> Mapping[Lane, Mapping[Identifier, Any]]:
        collected = {lane: dict(sorted(values.items())) for lane, values in self._accepted.items()}
        self._exchange = None
        self._accepted = {}
        return collected

    def _run(self, answer: object) -> None:
        """Advance the script until it needs a message or the host, or has ended."""
        try:
            while True:
                step = self._script.send(answer)
                answer = None
                if isinstance(step, Checkpoint):
                    self._checkpoint = step
                    return
                self._begin(step)
                if self._exchange is not None:
                    if self.waiting_for:
                        return
                    answer = self._collect()
        except StopIteration as stop:
            self._finished = True
            if not self._result:
                self._result.append(stop.value)
        except Fault as fault:
            self._abort(fault)
        except BaseException:
            self.close()
            raise

    def _begin(self, step: Step) -> None:
        if isinstance(step, Plan):
            self._plan = step
        elif isinstance(step, Witness):
            self._evidence = step.evidence
        elif isinstance(step, Concluded):
            self._result.append(cast("T", step.result))
        elif isinstance(step, Exchange):
            self._position += 1
            planned = self._plan.rounds[self._position]
            if step.kind != planned.kind or set(step.traffic) != set(planned.lanes):
                raise RuntimeError("the script does not keep to its plan")
            if planned.last_words != self.concluded:
                raise RuntimeError("last words come after the script has concluded, and nothing else does")
            self._exchange = step
            self._accepted = {lane: {} for lane in step.traffic}
            self._post(step)
            early, self._early = self._early, {}
            for (sender, _), message in sorted(early.items(), key=lambda item: (item[0][0], item[0][1] or "")):
                self._accept(step, sender, message)

    def _post(self, exchange: Exchange) -> None:
        for lane, traffic in exchange.traffic.items():
            if isinstance(traffic.outgoing, bytes):
                self._outbox.append((None, ProtocolMessage(exchange.kind, lane, traffic.outgoing, traffic.echo)))
            else:
                for recipient, data in sorted(traffic.outgoing.items()):
                    self._outbox.append((recipient, ProtocolMessage(exchange.kind, lane, data, traffic.echo)))

    def _abort(self, fault: Fault) -> NoReturn:
        self.close()
        names = sorted(self._participants[i] for i in fault.senders)
        if isinstance(fault, Inconsistent):
            raise judge(Came.LINK, Event.VALUES_DIFFER, fault.reason, names) from fault
        if isinstance(fault, ViewsDiffer):
            raise judge(Came.LINK, Event.VIEWS_DIFFER, fault.reason, names, hint=_VIEWS_DIFFER) from fault
        message = f"{', '.join(names)} {fault.reason}" if names else fault.reason
        raise judge(Came.LINK, Event.MISPLACED, message, names) from fault
