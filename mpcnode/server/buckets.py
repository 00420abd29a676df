"""Token buckets, and what one address has used of what it may use."""

from dataclasses import dataclass
from typing import Final

from mpcnode.server.limits import Limits

_BURSTS: Final = 16
"""How many whole bursts an address has for its connections together."""
_PORTION: Final = 1 / 8
"""What one connection gets at most of what its address has left, so that the last of many still gets something."""


class Bucket:
    """Tokens that are spent one by one and come back at a steady rate; the clock is the caller's, in seconds.

    Args:
        rate: tokens a second.
        size: how many there can be.
        tokens: how many there are now.
        now: the time.
    """

    __slots__ = ("_counted", "_rate", "_size", "tokens")

    def __init__(self, *, rate: float, size: float, tokens: float, now: float) -> None:
        self._rate = rate
        self._size = size
        self._counted = now
        self.tokens = tokens

    def spend(self, now: float) -> bool:
        """Take one token; say whether there was one."""
        tokens = self.tokens + (now - self._counted) * self._rate
        self._counted = now
        if tokens < 1:
            self.tokens = tokens
            return False
        self.tokens = min(tokens, self._size) - 1
        return True

    def seconds(self) -> float:
        """Give how long it takes until there is a whole token, counted from the last time one was asked for."""
        return max(0.0, (1 - self.tokens) / self._rate)

    def draw(self, most: float, now: float) -> float:
        """Take as many as there are, at most ``most``."""
        taken = max(0.0, min(most, self.level(now)))
        self.tokens -= taken
        return taken

    def put(self, tokens: float) -> None:
        """Give tokens back; ``level`` knows how many there can be."""
        self.tokens += max(0.0, tokens)

    def is_full(self, now: float) -> bool:
        """Say whether nothing of it is used."""
        return self.level(now) >= self._size

    def level(self, now: float) -> float:
        """Give how many tokens there are."""
        self.tokens = min(self._size, self.tokens + (now - self._counted) * self._rate)
        self._counted = now
        return self.tokens


class AddressBuckets:
    """A bucket for each address; a full one is not kept.

    Args:
        rate: tokens a second.
        size: how many there can be.
    """

    def __init__(self, *, rate: float, size: float) -> None:
        self._rate = rate
        self._size = size
        self._buckets: dict[str, Bucket] = {}

    def spend(self, address: str, now: float) -> bool:
        """Take one token of an address; say whether there was one."""
        bucket = self._buckets.get(address)
        if bucket is None:
            bucket = Bucket(rate=self._rate, size=self._size, tokens=self._size, now=now)
            self._buckets[address] = bucket
        return bucket.spend(now)

    def seconds(self, address: str) -> float:
        """Give how long it takes until there is a whole token again, where there was none just now."""
        return self._buckets[address].seconds()

    def forget_full(self, now: float) -> None:
        """Forget the buckets of which nothing is used; call it about once a second."""
        for address in [address for address, bucket in self._buckets.items() if bucket.is_full(now)]:
            del self._buckets[address]


@dataclass(slots=True)
class Address:
    """What one address uses: nothing here is named by anything a client says.

    Args:
        arrivals: the connections it may make.
        refusals: how many of those above are told so.
        messages: what its next connections may send at once. A connection takes its burst from here and gives back what
            it did not use, so that connecting again does not bring a new burst.
        connections: how many it has now.
    """

    arrivals: Bucket
    refusals: Bucket
    messages: Bucket
    connections: int = 0

    @classmethod
    def fresh(cls, limits: Limits, now: float) -> "Address":
        """Begin to count for an address."""

        def full(rate: float, size: float) -> Bucket:
            return Bucket(rate=rate, size=size, tokens=size, now=now)

        return cls(
            arrivals=full(limits.arrivals_per_second, limits.arrivals),
            refusals=full(min(limits.arrivals_per_second, 5), min(limits.arrivals, 20)),
            messages=full(limits.messages_per_second, limits.burst * _BURSTS),
        )

    def burst(self, limits: Limits, now: float) -> float:
        """Take what a new connection may send at once: a whole burst, mostly, and at least what a second brings."""
        least = min(limits.burst, limits.messages_per_second)
        return max(least, self.messages.draw(min(limits.burst, self.messages.level(now) * _PORTION), now))

    def is_unused(self, now: float) -> bool:
        """Say whether it can be forgotten: counting from the beginning would give the same."""
        return (
            not self.connections
            and self.arrivals.is_full(now)
            and self.refusals.is_full(now)
            and self.messages.is_full(now)
        )
