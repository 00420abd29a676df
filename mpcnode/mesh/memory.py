"""Links inside one process, with faults on demand, to test sessions and the mesh itself over."""

import asyncio
import hashlib
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Final

from mpcnode.errors import DecodeError
from mpcnode.mesh.transport import Fingerprints, IceCandidate, LinkEvents
from mpcnode.types import PeerId

_PREFIX: Final = "memory "


class MemoryNetwork:
    """All nodes of one test, and what goes wrong between them.

    Args:
        delay: seconds from sending to receiving, the same for every message, so that order holds.
        rate: bytes that one direction of one link carries in a second; None for any number of them.
    """

    def __init__(self, *, delay: float = 0.0, rate: float | None = None) -> None:
        self.delay = delay
        self.rate = rate
        self.links: dict[int, MemoryLink] = {}
        self._numbers = count(1)
        self._refused: Counter[frozenset[PeerId]] = Counter()
        self._stalled: set[frozenset[PeerId]] = set()

    def connector(self, peer_id: PeerId) -> "MemoryConnector":
        """Make the connector of one node."""
        return MemoryConnector(self, peer_id)

    def refuse(self, one: PeerId, other: PeerId, times: int = 1_000_000) -> None:
        """Let the next tries of a link never open, without a word."""
        self._refused[frozenset((one, other))] = times

    def stall(self, one: PeerId, other: PeerId) -> None:
        """Deliver nothing more between two nodes, without a word, on this link or any later one."""
        between = frozenset((one, other))
        self._stalled.add(between)
        for link in self.links.values():
            link.dead = link.dead or link.between == between

    def heal(self, one: PeerId, other: PeerId) -> None:
        """Let later tries through again; a reliable channel that lost something never speaks again."""
        self._stalled.discard(frozenset((one, other)))
        self._refused.pop(frozenset((one, other)), None)

    def silence(self, node: PeerId, others: list[PeerId]) -> None:
        """Do what a killed process does: from now on it says nothing to anybody."""
        for other in others:
            self.stall(node, other)

    def cut(self, one: PeerId, other: PeerId) -> None:
        """Break the present link; both ends hear of it."""
        for link in list(self.links.values()):
            if link.between == frozenset((one, other)):
                link.break_down("cut by the test")

    def opens(self, between: frozenset[PeerId]) -> bool:
        """Say whether a try made now opens."""
        if self._refused[between] > 0:
            self._refused[between] -= 1
            return False
        return between not in self._stalled

    def register(self, link: "MemoryLink") -> int:
        """Number a link."""
        number = next(self._numbers)
        self.links[number] = link
        return number


class MemoryConnector:
    """Makes the links of one node of a ``MemoryNetwork``."""

    def __init__(self, network: MemoryNetwork, peer_id: PeerId) -> None:
        self._network = network
        self._peer_id = peer_id
        self.fingerprint = hashlib.sha256(b"memory certificate of " + peer_id.encode()).digest()

    def link(self, events: LinkEvents) -> "MemoryLink":
        """Make the link of one try."""
        return MemoryLink(self._network, self._peer_id, self.fingerprint, events)


class _Line:
    """One direction of a link, which carries so many bytes in a second."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._free_at = 0.0

    def take(self, size: int, now: float) -> float:
        """Take a frame; say in how many seconds it has left."""
        if self._rate is None:
            return 0.0
        self._free_at = max(self._free_at, now) + size / self._rate
        return self._free_at - now


class MemoryLink:
    """One end of one try at a link."""

    def __init__(self, network: MemoryNetwork, owner: PeerId, fingerprint: bytes, events: LinkEvents) -> None:
        self.owner = owner
        self.other: MemoryLink | None = None
        self.dead = False
        """Whether it carries nothing any more, and says nothing of it."""
        self.candidates: list[IceCandidate] = []
        self._network = network
        self._number = network.register(self)
        self._line = _Line(network.rate)
        self.fingerprints = Fingerprints(fingerprint, b"")
        """Both fingerprints, as the descriptions have them."""
        self._events = events
        self._closed = False
        self._events_due: deque[Callable[[], None]] = deque()
        self._handles: set[asyncio.TimerHandle] = set()

    @property
    def between(self) -> frozenset[PeerId]:
        """Both nodes, once they met."""
        return frozenset((self.owner, self.other.owner)) if self.other is not None else frozenset()

    @property
    def route(self) -> str:
        """Where it goes."""
        return "inside one process"

    async def offer(self) -> str:
        """Make the offer."""
        await asyncio.sleep(0)
        return self._describe()

    async def answer(self, offer: str) -> str:
        """Take the offer, make the answer."""
        await asyncio.sleep(0)
        self.other = self._find(offer)
        return self._describe()

    async def accept(self, answer: str) -> None:
        """Take the answer; both ends open unless a fault says no."""
        await asyncio.sleep(0)
        self.other = self._find(answer)
        self.dead = self.other.dead = not self._network.opens(self.between)
        if not self.dead:
            self.later(self._events.opened)
            self.other.later(self.other._events.opened)  # noqa: SLF001 (the other end of the same link)

    async def add_candidate(self, candidate: IceCandidate) -> None:
        """Note the candidate."""
        self.candidates.append(candidate)

    def send(self, data: bytes) -> None:
        """Carry a message to the other end."""
        other = self.other
        if other is None or self._closed or self.dead:
            return
        wait = self._line.take(len(data), asyncio.get_running_loop().time())
        other.later(lambda: other._events.received(data), wait)  # noqa: SLF001 (the other end of the same link)

    async def close(self) -> None:
        """Close; what is under way is lost, and the other end hears of it unless the link is dead."""
        if self._closed:
            return
        self._closed = True
        self.forget()
        del self._network.links[self._number]
        other = self.other
        if other is not None and not self.dead:
            other.forget()
            other.later(lambda: other._events.closed("closed by the other end"))  # noqa: SLF001 (the other end)

    def break_down(self, reason: str) -> None:
        """Let this end hear that the link broke."""
        self.later(lambda: self._events.closed(reason))

    def forget(self) -> None:
        """Let nothing of what is under way to this end arrive."""
        for handle in self._handles:
            handle.cancel()
        self._handles.clear()
        self._events_due.clear()

    def later(self, event: Callable[[], None], wait: float = 0.0) -> None:
        """Let this end hear ``event`` after the network's delay, and ``wait`` seconds before that."""
        if self._closed:
            return
        handle: asyncio.TimerHandle
        # Timers of the same moment fire in any order; events of one link must not.
        self._events_due.append(event)

        def happen() -> None:
            self._handles.discard(handle)
            self._events_due.popleft()()

        handle = asyncio.get_running_loop().call_later(wait + self._network.delay, happen)
        self._handles.add(handle)

    def _describe(self) -> str:
        return f"{_PREFIX}{self._number} {self.fingerprints.local.hex()}"

    def _find(self, description: str) -> "MemoryLink":
        words = description.removeprefix(_PREFIX).split(" ")
        if not description.startswith(_PREFIX) or len(words) != 2 or not words[0].isdigit():
            raise DecodeError("not the description of a link in memory")
        self.fingerprints = replace(self.fingerprints, remote=bytes.fromhex(words[1]))
        link = self._network.links.get(int(words[0]))
        if link is None:
            raise ConnectionError("the other end is gone")
        return link
