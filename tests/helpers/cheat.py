"""A peer that cheats on command: it runs the honest code, and rules change what leaves it."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import msgspec

from mpcnode.crypto.ciphersuite import CIPHERSUITES, AnyCiphersuite
from mpcnode.mesh.mesh import Mesh
from mpcnode.protocols.descriptor import AGREED_SIZE, context
from mpcnode.protocols.frost import broadcast, pedpop, zero
from mpcnode.protocols.frost.broadcast import Promise, digest_of, echo_of
from mpcnode.types import Identifier, IdentityKey, PeerId, SuiteId
from mpcnode.wire.peer import PeerMessage, RoundMessage, type_name
from tests.helpers.identities import identity

if TYPE_CHECKING:
    from tests.helpers.table import Seat, Table  # which have cheats at them

Said = PeerMessage | bytes
"""A message, or bytes that go out as they are."""

Change = Callable[[PeerId, Any], Iterable[Said]]
"""Takes the recipient and the honest message; gives what is sent instead."""


def name_of(message: PeerMessage) -> str:
    """What a message is called: its round's name, or its type on the wire."""
    return message.round if isinstance(message, RoundMessage) else type_name(message)


@dataclass
class Rule:
    """One lie.

    Args:
        about: the names of the rounds, or of the messages, that it changes.
        change: how.
        to: to whom; nobody else is lied to. None for everybody.
    """

    about: tuple[str, ...]
    change: Change
    to: PeerId | None = None
    used: int = field(default=0, init=False)

    def __call__(self, to: PeerId, message: PeerMessage) -> Iterable[Said]:
        if name_of(message) not in self.about or self.to not in {None, to}:
            return [message]
        self.used += 1
        return self.change(to, message)


class CheatingMesh:
    """A mesh with rules on everything that sessions send over it; ``rules`` may grow later."""

    def __init__(self, mesh: Mesh, rules: list[Rule]) -> None:
        self._mesh = mesh
        self._rules = rules
        self.heard: list[tuple[PeerId, PeerMessage]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._mesh, name)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._mesh.close()

    def send(self, to: PeerId, message: PeerMessage, *, heard: bool = False) -> None:
        said: list[Said] = [message]
        for rule in self._rules:
            said = [out for one in said for out in ([one] if isinstance(one, bytes) else rule(to, one))]
        for one in said:
            if isinstance(one, bytes):
                self.say_raw(to, one)
            else:
                self._mesh.send(to, one, heard=heard)

    async def receive(self) -> tuple[PeerId, PeerMessage]:
        sender, message = await self._mesh.receive()
        self.heard.append((sender, message))
        return sender, message

    def say_raw(self, to: PeerId, frame: bytes) -> None:
        """Send one data-channel message that no codec of ours would make."""
        attempt = self._mesh._links[to]._attempt
        assert attempt is not None
        attempt.send(frame)


def on(*about: str, to: PeerId | None = None) -> Callable[[Change], Rule]:
    """Make a rule of a change: ``on("share", to=BEN)(drop)``."""
    return lambda change: Rule(about, change, to)


# --- changes that fit any message ---


def drop(_to: PeerId, _message: PeerMessage) -> Iterable[Said]:
    """Say nothing."""
    return []


def twice(_to: PeerId, message: PeerMessage) -> Iterable[Said]:
    """Say it again."""
    return [message, message]


def after(other: PeerMessage | bytes) -> Change:
    """Say something else first."""
    return lambda _to, message: [other, message]


def with_fields(**changes: Any) -> Change:
    """Change fields."""
    return lambda _to, message: [msgspec.structs.replace(message, **changes)]


def flip(at: int, name: str = "data") -> Change:
    """Flip a bit of a byte of a field; a negative position counts from the end."""

    def change(_to: PeerId, message: PeerMessage) -> Iterable[Said]:
        data = bytearray(getattr(message, name))
        data[at] ^= 1
        return [msgspec.structs.replace(message, **{name: bytes(data)})]

    return change


# --- changes that take the protocol's mathematics ---


Make = Callable[[AnyCiphersuite, Identifier, int, PeerId], bytes]
"""Makes the bytes of a commitment: suite, dealer, threshold, recipient."""


class FalseDealer:
    """Promises and reveals commitments of its own making, each to the recipient that ``make`` made it for.

    The promises are signed and the echoes are what each recipient expects: nothing is wrong but the commitments.

    Args:
        table: whose session it is.
        name: the dealer.
        make: see there.
    """

    def __init__(self, table: "Table", name: PeerId, make: Make) -> None:
        self._seat = table[name]
        self._make = make
        self._suites, self._threshold = table.suites, table.threshold
        self._numbers = {one: Identifier(i) for i, one in enumerate(sorted(table.seats), 1)}
        self._me = self._numbers[name]
        self._made: dict[tuple[SuiteId, PeerId], bytes] = {}
        self._promised: dict[PeerId, Promise] = {}
        self._agreed = b""

    @property
    def rules(self) -> tuple[Rule, Rule]:
        """The lie in the promise, and the one in what is revealed."""
        return on("digest")(self._promise), on("commitment")(self._reveal)

    def _promise(self, to: PeerId, message: RoundMessage) -> Iterable[Said]:
        honest = self._read(message)
        own = len(honest.digests) - len(self._suites)  # of the chain code, in key generation
        digests = list(honest.digests[:own])
        self._agreed = agreed = message.data[:AGREED_SIZE]
        for suite in self._suites:
            made = self._make(CIPHERSUITES[suite], self._me, self._threshold, to)
            self._made[suite, to] = made
            digests.append(digest_of(agreed, suite, self._me, honest.fresh, made))
        said = broadcast.promise(identity(self._seat.name), agreed, self._me, honest.fresh, digests)
        self._promised[to] = said
        return [msgspec.structs.replace(message, data=agreed + said.encode())]

    def _reveal(self, to: PeerId, message: RoundMessage) -> Iterable[Said]:
        heard = {self._me: self._promised[to]}
        for sender, said in self._seat.made[-1].heard:
            if isinstance(said, RoundMessage) and said.round == "digest" and said.session_id == message.session_id:
                heard[self._numbers[sender]] = self._read(said)
        bound = context(self._agreed, {i: said.fresh for i, said in heard.items()})
        data = message.data if message.lane is None else self._made[SuiteId(message.lane), to]
        return [msgspec.structs.replace(message, data=data, echo=echo_of(bound, heard))]

    @staticmethod
    def _read(message: RoundMessage) -> Promise:
        promised = message.data[AGREED_SIZE:]
        return Promise.decode((len(promised) - Promise.size(0)) // (Promise.size(1) - Promise.size(0)), promised)


def package(suite: AnyCiphersuite, me: Identifier, threshold: int, seed: object = 0) -> bytes:
    """Make an honest commitment of key generation, of so many points."""
    polynomial, made = pedpop.commit(suite, me, threshold, random.Random(repr(seed)).randbytes)
    polynomial.wipe()
    return made.encode()


def zero_package(suite: AnyCiphersuite, _me: Identifier, threshold: int, seed: object = 0) -> bytes:
    """Make an honest commitment of a refresh, of one point fewer."""
    polynomial, made = zero.commit(suite, threshold, random.Random(repr(seed)).randbytes)
    polynomial.wipe()
    return made.encode()


def one_for_all(make: Callable[[AnyCiphersuite, Identifier, int], bytes]) -> Make:
    """Tell everybody the same."""
    return lambda suite, me, threshold, _to: make(suite, me, threshold)


def more_points(suite: AnyCiphersuite, me: Identifier, threshold: int) -> bytes:
    """Commit to a polynomial of a degree too high: a share of it is worth nothing to t signers."""
    return package(suite, me, threshold + 1)


def fewer_points(suite: AnyCiphersuite, me: Identifier, threshold: int) -> bytes:
    """Commit to a polynomial of a degree too low."""
    return package(suite, me, threshold - 1)


def identity_point(suite: AnyCiphersuite, me: Identifier, threshold: int) -> bytes:
    """Commit to the identity as the last coefficient, which makes the degree too low in a way that counts right."""
    size = suite.group.element_size
    nothing = bytes([1]).ljust(size, b"\x00") if size == 32 else bytes(size)
    made = package(suite, me, threshold)
    at = 6 + (threshold - 1) * size
    return made[:at] + nothing + made[at + size :]


def wrong_proof(suite: AnyCiphersuite, me: Identifier, threshold: int) -> bytes:
    """Prove knowledge of another secret."""
    made, other = package(suite, me, threshold), package(suite, me, threshold, "other")
    return made[: -suite.signature_size] + other[-suite.signature_size :]


class LyingIdentity:
    """An identity that seals something else than it is given to one recipient, and is otherwise honest."""

    def __init__(self, name: PeerId, victim: IdentityKey, change: Callable[[bytes], bytes]) -> None:
        self._identity = identity(name)
        self._victim, self._change = victim, change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._identity, name)

    def seal(self, recipient: IdentityKey, plaintext: bytes | bytearray, **bound: Any) -> bytes:
        changed = self._change(bytes(plaintext)) if recipient == self._victim else plaintext
        return self._identity.seal(recipient, changed, **bound)


def lie_in_shares(seat: "Seat", victim: IdentityKey, change: Callable[[bytes], bytes]) -> None:
    """Have ``seat`` seal changed shares to ``victim``."""
    object.__setattr__(seat.services, "identity", LyingIdentity(seat.name, victim, change))
