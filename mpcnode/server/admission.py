"""Who may connect, and what each connection may say: one count of all addresses, for every room. Pure."""

from mpcnode.server.buckets import Address, Bucket
from mpcnode.server.limits import Limits


class Admission:
    """What addresses use of what they may use, whichever room their connections are in.

    An address is what ``address_group`` gives. Nothing here is named by anything a client says.

    Args:
        limits: what one client may cost.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.connections = 0
        """How many connections have entered and not left."""
        self._addresses: dict[str, Address] = {}
        # Those without a connection, which are forgotten when they have everything back.
        self._idle: dict[str, None] = {}

    def admit(self, address: str, now: float) -> float | None:
        """Count a new connection, before anything is read from it.

        Returns:
            How many seconds too early it comes: 0 where it is welcome. None where the address was told often enough:
            the connection is not worth an answer.
        """
        used = self._address(address, now)
        if used.arrivals.spend(now):
            return 0.0
        return used.arrivals.seconds() if used.refusals.spend(now) else None

    def enter(self, address: str, now: float) -> Bucket | None:
        """Give a connection that was admitted its place, and what it may say; None where there is no place."""
        used = self._address(address, now)
        if used.connections >= self.limits.connections_per_address or self.connections >= self.limits.connections:
            return None
        used.connections += 1
        self.connections += 1
        self._idle.pop(address, None)
        limits = self.limits
        return Bucket(rate=limits.messages_per_second, size=limits.burst, tokens=used.burst(limits, now), now=now)

    def leave(self, address: str, bucket: Bucket) -> None:
        """Take back the place of a connection that is gone, and what it did not say."""
        used = self._addresses[address]
        used.connections -= 1
        self.connections -= 1
        used.messages.put(bucket.tokens)
        if not used.connections:
            self._idle[address] = None

    def tick(self, now: float) -> None:
        """Forget the addresses that have everything back; call it about once a second."""
        for address in [address for address in self._idle if self._addresses[address].is_unused(now)]:
            del self._idle[address], self._addresses[address]

    def _address(self, address: str, now: float) -> Address:
        used = self._addresses.get(address)
        if used is None:
            self._addresses[address] = used = Address.fresh(self.limits, now)
            self._idle[address] = None
        return used
