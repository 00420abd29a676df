"""Runs a protocol among people in one process, in an order that is always the same, and writes down what they say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mpcnode.protocols.execution import Execution
from mpcnode.protocols.rounds import Rounds
from mpcnode.types import Identifier, SessionId
from mpcnode.wire import peer as wire
from tests.vectors.made import Json, Person


@dataclass
class Run:
    """What happened.

    Args:
        messages: everything said, by round: from whom, to whom, as the text of a data channel without a number.
        checkpoints: what each was asked, in order.
        results: what each ended with.
    """

    messages: dict[str, list[Json]] = field(default_factory=dict)
    checkpoints: dict[Identifier, list[Any]] = field(default_factory=dict)
    results: dict[Identifier, Any] = field(default_factory=dict)
    evidence: dict[Identifier, bytes | None] = field(default_factory=dict)


def run(scripts: Mapping[Identifier, Rounds[Any]], people: list[Person], session: SessionId) -> Run:
    """Run ``scripts`` to their end."""
    names = {one.number: one.name for one in people if one.number in scripts}
    happened = Run()
    executions = {i: Execution(script, me=i, participants=names) for i, script in scripts.items()}
    happened.checkpoints = {i: [] for i in executions}
    while not all(execution.finished for execution in executions.values()):
        said = [(i, *one) for i, execution in executions.items() for one in execution.messages_to_send()]
        for sender, to, message in said:
            payload = wire.RoundMessage(
                session_id=session, round=message.kind, lane=message.lane, data=message.data, echo=message.echo
            )
            shown: Json = {"from": sender} if to is None else {"from": sender, "to": to}
            happened.messages.setdefault(message.kind, []).append({**shown, "text": wire.encode(payload).decode()})
            for i, execution in executions.items():
                if i != sender and to in {None, i}:
                    execution.receive(sender, message)
        for i, execution in executions.items():
            if execution.checkpoint is not None:
                happened.checkpoints[i].append(copied(execution.checkpoint))
                execution.confirm()
    for i, execution in executions.items():
        happened.results[i], happened.evidence[i] = execution.result, execution.evidence
    return happened


def copied(record: Any) -> Any:
    """Keep what an execution wipes once it is confirmed."""
    secrets = getattr(record, "secrets", None)
    if secrets is None:
        return record
    return {
        "statement": record.statement,
        "shares": {suite: share.key.signing_share.encode() for suite, share in secrets.items()},
        "chain_code": None if record.chain_code is None else bytes(record.chain_code),
        "document_key": None if record.document_key is None else bytes(record.document_key),
        "ready": record.ready,
    }
