"""Whose relayed bytes wait for one receiver. Pure.

One that sends more than a receiver reads is refused; the receiver is never closed for it. Each sender may fill what
all others leave free, so that one alone gets half, and the next finds place whatever the others do.
"""

from collections import deque


class Ledger:
    """The bytes of one receiver's outbox, by sender.

    Args:
        space: how many bytes may wait in all when a message is taken.
    """

    __slots__ = ("_entries", "_space", "_written", "shares")

    def __init__(self, space: int) -> None:
        self._space = space
        self._written = 0
        """Bytes that were taken since nothing waited."""
        self._entries: deque[tuple[int, str, int]] = deque()
        self.shares: dict[str, int] = {}
        """How many of the bytes that wait are whose."""

    def take(self, sender: str, size: int, waiting: int) -> bool:
        """Count a message of ``sender``, or refuse it.

        Args:
            sender: its address; one that connects often has one share.
            size: of the message.
            waiting: bytes in the outbox now, the server's own included.
        """
        if waiting == 0:
            self._entries.clear()
            self.shares.clear()
            self._written = 0
        else:
            self._forget(waiting)
        share = self.shares.get(sender, 0)
        free = self._space - waiting
        if size > free or (share and share + size > free):
            return False
        self._written += size
        self._entries.append((self._written, sender, size))
        self.shares[sender] = share + size
        return True

    def _forget(self, waiting: int) -> None:
        """Forget what has left; the server's own bytes count as the oldest, which forgets too little, never more."""
        left = self._written - waiting
        while self._entries and self._entries[0][0] <= left:
            _, sender, size = self._entries.popleft()
            self.shares[sender] -= size
            if not self.shares[sender]:
                del self.shares[sender]
