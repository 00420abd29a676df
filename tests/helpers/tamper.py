"""A dishonest participant, without touching protocol code: rules that change what arrives."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace

from mpcnode.protocols.execution import ProtocolMessage
from mpcnode.protocols.rounds import Lane
from mpcnode.types import Identifier

Change = Callable[[ProtocolMessage], Iterable[ProtocolMessage]]
"""What arrives instead of a message: one, none or several."""


@dataclass
class Rule:
    """One lie.

    Args:
        round: the kind of message it is about.
        sender: who lies.
        victim: to whom; None for everybody.
        change: what arrives instead.
        lanes: in which lanes; None for all.
    """

    round: str
    sender: int
    victim: int | None
    change: Change
    lanes: Collection[Lane] | None = None
    used: int = field(default=0, init=False)

    def __call__(
        self, sender: Identifier, recipient: Identifier, message: ProtocolMessage
    ) -> Iterable[ProtocolMessage]:
        """Change ``message`` where the rule is about it."""
        about = message.kind == self.round and sender == self.sender and self.victim in {None, recipient}
        if not about or (self.lanes is not None and message.lane not in self.lanes):
            return [message]
        self.used += 1
        return self.change(message)


def flip(at: int) -> Change:
    """Flip the lowest bit of one byte of the data; a negative position counts from the end."""

    def change(message: ProtocolMessage) -> Iterable[ProtocolMessage]:
        data = bytearray(message.data)
        data[at] ^= 1
        return [replace(message, data=bytes(data))]

    return change


def put(at: int, piece: bytes) -> Change:
    """Overwrite the data from ``at`` on."""
    return lambda message: [replace(message, data=message.data[:at] + piece + message.data[at + len(piece) :])]


def truncate(message: ProtocolMessage) -> Iterable[ProtocolMessage]:
    """Cut the last byte off."""
    return [replace(message, data=message.data[:-1])]


def extend(message: ProtocolMessage) -> Iterable[ProtocolMessage]:
    """Add a byte at the end."""
    return [replace(message, data=message.data + b"\x00")]


def twice(message: ProtocolMessage) -> Iterable[ProtocolMessage]:
    """Send it again."""
    return [message, message]


def drop(_message: ProtocolMessage) -> Iterable[ProtocolMessage]:
    """Send nothing."""
    return []
