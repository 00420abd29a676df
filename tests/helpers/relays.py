"""Conversations and the server between them, which does with every message what a test says; no socket, no clock."""

import random
from collections import deque
from dataclasses import dataclass, field
from functools import cache

from mpcnode.errors import MpcError
from mpcnode.identity.contacts import Contacts
from mpcnode.identity.identity import Identity
from mpcnode.peers.conversation import Conversations, Doubted, Introduced, Opened
from mpcnode.peers.room import HELLO_AGAIN
from mpcnode.signaling.outbox import Standing
from mpcnode.types import IdentityKey, PeerId
from mpcnode.wire.relay import RelayMessage

NOW = 1_800_000_000_000
"""Unix milliseconds."""
ANA, BEN, CLEO, EVE = PeerId("ana"), PeerId("ben"), PeerId("cleo"), PeerId("eve")


@cache
def identity(name: str) -> Identity:
    """The identity of that name, always the same; never wiped, because every test shares it."""
    return Identity.from_seed(bytearray(random.Random(name).randbytes(32)))


def key_of(name: str) -> IdentityKey:
    return identity(name).public_key


@dataclass(frozen=True, slots=True)
class Letter:
    """What one node handed to the server for another."""

    sender: PeerId
    to: PeerId
    data: bytes

    @property
    def is_hello(self) -> bool:
        return b'"hello"' in self.data


@dataclass
class Post:
    """The nodes of one room; ``carry`` delivers everything, until nobody says anything any more."""

    now: int = NOW
    """The true time; the clock on a node's wall shows it with an error of its own."""
    errors_of_clocks: dict[PeerId, int] = field(default_factory=dict)
    relays: dict[PeerId, Conversations] = field(default_factory=dict)
    contacts: dict[PeerId, Contacts] = field(default_factory=dict)
    waiting: deque[Letter] = field(default_factory=deque)
    carried: list[Letter] = field(default_factory=list)
    got: dict[PeerId, list[Introduced | Opened | Doubted]] = field(default_factory=dict)
    errors: dict[PeerId, list[Exception]] = field(default_factory=dict)
    complaints: dict[PeerId, list[str]] = field(default_factory=dict)
    standings: list[Standing] = field(default_factory=list)
    _lives: int = 0

    def start(self, *names: PeerId, identity_of: str | None = None) -> None:
        """Start nodes, or start them anew: what a relay remembers does not outlive its process."""
        for name in names:
            self._lives += 1
            self.got[name] = []
            self.errors[name] = []
            self.complaints[name] = []
            self.relays[name] = Conversations(
                identity=identity(identity_of or name),
                peer_id=name,
                contacts=lambda name=name: self.contacts.get(name, Contacts()),  # type: ignore[misc]
                send=lambda to, data, standing, name=name: self._take(Letter(name, to, data), standing),  # type: ignore[misc]
                complain=lambda peer, line, name=name: self.complaints[name].append(f"{peer}: {line}"),  # type: ignore[misc]
                now=lambda name=name: self.now + self.errors_of_clocks.get(name, 0),  # type: ignore[misc]
                clock=lambda: self.now / 1000,
                rng=random.Random(self._lives).randbytes,
            )

    def _take(self, letter: Letter, standing: Standing) -> None:
        self.waiting.append(letter)
        self.standings.append(standing)

    def tick(self, seconds: float = HELLO_AGAIN) -> None:
        """Let time pass, and have every node do what it put off."""
        self.now += round(seconds * 1000)
        for relay in self.relays.values():
            relay.say_again(tuple(self.relays))

    def say(self, sender: PeerId, to: PeerId, message: RelayMessage, *, lasts: int = 60_000) -> None:
        """Have ``sender`` say something to the node that has the name ``to`` and the key of that name."""
        expires = self.now + self.errors_of_clocks.get(sender, 0) + lasts
        self.relays[sender].send(to, message, key=key_of(to), expires=expires)

    def carry(self, *, most: int = 500) -> None:
        """Deliver what waits and what it leads to; a conversation without end is a failure."""
        for _ in range(most):
            if not self.waiting:
                return
            self.deliver(self.waiting.popleft())
        raise AssertionError(f"still talking after {most} messages")

    def deliver(self, letter: Letter) -> Introduced | Opened | Doubted | None:
        """Deliver one message, no matter where it comes from; to a node that is not there it is lost."""
        self.carried.append(letter)
        if letter.to not in self.relays:
            return None
        try:
            taken = self.relays[letter.to].receive(letter.sender, letter.data)
        except (MpcError, ValueError) as error:
            self.errors[letter.to].append(error)
            return None
        if taken is not None:
            self.got[letter.to].append(taken)
        return taken

    def opened(self, name: PeerId) -> list[Opened]:
        """What ``name`` was told, in order."""
        return [taken for taken in self.got[name] if isinstance(taken, Opened)]

    def doubts(self, name: PeerId) -> list[MpcError]:
        """Why ``name`` refused hellos, in order."""
        return [taken.error for taken in self.got[name] if isinstance(taken, Doubted)]

    def seals(self) -> list[Letter]:
        return [letter for letter in self.carried if not letter.is_hello]

    def hellos(self, sender: PeerId) -> list[Letter]:
        return [letter for letter in self.carried if letter.is_hello and letter.sender == sender]
