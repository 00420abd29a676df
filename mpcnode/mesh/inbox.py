"""Messages that wait to be taken, counted and weighed for each sender: only the sender answers for too many."""

from collections import Counter, deque
from typing import Final

from mpcnode.mesh.watch import Watch
from mpcnode.types import PeerId
from mpcnode.wire.peer import Abort, PeerMessage, RoundMessage

SMALL: Final = 1024
"""What a message weighs beside its long fields, in bytes, generously."""


def weight(message: PeerMessage) -> int:
    """Say roughly how many bytes of memory ``message`` takes."""
    match message:
        case RoundMessage():
            return SMALL + len(message.data)
        case Abort(evidence=bytes() as evidence):
            return SMALL + len(evidence)
        case _:
            return SMALL


class Inbox:
    """A queue of messages with their senders, which gives everything that came before it gives its failure.

    Args:
        messages: how many messages of one sender may wait.
        bytes_: how much they may weigh together.
    """

    def __init__(self, *, messages: int, bytes_: int) -> None:
        self.failure: BaseException | None = None
        self._most_messages = messages
        self._most_bytes = bytes_
        self._queue: deque[tuple[PeerId, PeerMessage]] = deque()
        self._messages: Counter[PeerId] = Counter()
        self._bytes: Counter[PeerId] = Counter()
        self._watch = Watch()

    def put(self, sender: PeerId, message: PeerMessage) -> bool:
        """Queue ``message``.

        Returns:
            False where its sender has too much waiting already; the message is dropped.
        """
        weighs = weight(message)
        if self._messages[sender] >= self._most_messages or self._bytes[sender] + weighs > self._most_bytes:
            return False
        self._messages[sender] += 1
        self._bytes[sender] += weighs
        self._queue.append((sender, message))
        self._watch.stir()
        return True

    def fail(self, error: BaseException) -> None:
        """Have ``get`` raise ``error`` once the queue is empty; the first error counts."""
        if self.failure is None:
            self.failure = error
        self._watch.stir()

    async def get(self) -> tuple[PeerId, PeerMessage]:
        """Wait for the next message.

        Raises:
            BaseException: what ``fail`` was given, once every message that came before is taken.
        """
        await self._watch.until(self._has_news)
        sender, message = self._queue.popleft()
        self._messages[sender] -= 1
        self._bytes[sender] -= weight(message)
        return sender, message

    def _has_news(self) -> bool:
        if not self._queue and self.failure is not None:
            raise self.failure
        return bool(self._queue)
