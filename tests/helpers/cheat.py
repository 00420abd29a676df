"""A peer that cheats on command: it runs the honest code, and rules change what leaves it."""

import asyncio
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Self, cast

import msgspec

from mpcnode.crypto.ciphersuite import SUITES, AnySuite
from mpcnode.identity.identity import Identity
from mpcnode.mesh.mesh import Mesh
from mpcnode.protocols.frost import pedpop
from mpcnode.protocols.frost.broadcast import SignedDigest, digest_of, echo_of, sign_digest
from mpcnode.types import Identifier, IdentityKey, PeerId, SuiteId
from mpcnode.wire.peer import Commitment, CommitmentDigest, PeerMessage
from tests.helpers.relays import identity
from tests.helpers.sessions import Seat, Table

Said = PeerMessage | bytes
"""A message, or bytes that go out as they are."""

Change = Callable[[PeerId, Any], Iterable[Said]]
"""Takes the recipient and the honest message; gives what is sent instead."""


@dataclass
class Rule:
    """One lie.

    Args:
        about: the kinds of message it changes.
        change: how.
        to: to whom; nobody else is lied to. None for everybody.
    """

    about: tuple[type[PeerMessage], ...]
    change: Change
    to: PeerId | None = None
    used: int = field(default=0, init=False)

    def __call__(self, to: PeerId, message: PeerMessage) -> Iterable[Said]:
        if not isinstance(message, self.about) or self.to not in {None, to}:
            return [message]
        self.used += 1
        return self.change(to, message)


class CheatingMesh:
    """A mesh with rules on everything that the session sends over it."""

    def __init__(self, mesh: Mesh, rules: Iterable[Rule]) -> None:
        self._mesh = mesh
        self._rules = list(rules)
        self.heard: list[tuple[PeerId, PeerMessage]] = []
        self.may_begin = asyncio.Event()
        self.may_begin.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._mesh, name)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._mesh.close()

    async def open(self) -> None:
        await self._mesh.open()
        await self.may_begin.wait()

    def send(self, to: PeerId, message: PeerMessage) -> None:
        said: list[Said] = [message]
        for rule in self._rules:
            said = [out for one in said for out in ([one] if isinstance(one, bytes) else rule(to, one))]
        for one in said:
            if isinstance(one, bytes):
                self.say_raw(to, one)
            else:
                self._mesh.send(to, one)

    async def receive(self) -> tuple[PeerId, PeerMessage]:
        sender, message = await self._mesh.receive()
        self.heard.append((sender, message))
        return sender, message

    def broadcast(self, message: PeerMessage) -> None:
        for to in self._mesh._links:
            self.send(to, message)

    def say_raw(self, to: PeerId, frame: bytes) -> None:
        """Send one data-channel message that no codec of ours would make."""
        attempt = self._mesh._links[to]._attempt
        assert attempt is not None
        attempt.send(frame)


def cheat(table: Table, liar: PeerId, *rules: Rule) -> None:
    """Have ``liar`` keep to ``rules`` and otherwise be honest."""
    table[liar].crooked = True
    overhear(table, liar, *rules)


def overhear(table: Table, name: PeerId, *rules: Rule) -> CheatingMesh:
    """Put rules on everything ``name`` says without making it a liar."""
    session = table[name].session
    mesh = CheatingMesh(session._mesh, rules)
    session._mesh = cast("Mesh", mesh)
    return mesh


def on(*about: type[PeerMessage], to: PeerId | None = None) -> Callable[[Change], Rule]:
    """Make a rule of a change: ``on(Share, to=BEN)(drop)``."""
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
    """Flip a bit of a byte of a hexadecimal field; a negative position counts from the end."""

    def change(_to: PeerId, message: PeerMessage) -> Iterable[Said]:
        data = bytearray.fromhex(getattr(message, name))
        data[at] ^= 1
        return [msgspec.structs.replace(message, **{name: data.hex()})]

    return change


# --- changes that take the protocol's mathematics ---


Make = Callable[[AnySuite, Identifier, int, PeerId], bytes]
"""Makes the bytes of a round-1 package: suite, dealer, threshold, recipient."""


class FalseDealer:
    """Promises and reveals packages of its own making, each to whom ``make`` made it for.

    The digests are signed and the echoes are what each recipient expects: nothing is wrong but the packages.
    """

    def __init__(self, seat: Seat, make: Make) -> None:
        self._seat, self._make = seat, make
        self._roster = sorted(seat.session.roster)
        self._me = self._identifier(seat.name)
        self._threshold = seat.session._proposal.threshold
        self._promised: dict[tuple[SuiteId, PeerId], tuple[bytes, SignedDigest]] = {}
        self._context = b""

    @property
    def rules(self) -> tuple[Rule, Rule]:
        return on(CommitmentDigest)(self._promise), on(Commitment)(self._reveal)

    def _identifier(self, name: PeerId) -> Identifier:
        return Identifier(self._roster.index(name) + 1)

    def _promise(self, to: PeerId, message: CommitmentDigest) -> Iterable[Said]:
        suite, context = SuiteId(message.suite), bytes.fromhex(message.data)[:32]
        made = self._make(SUITES[suite], self._me, self._threshold, to)
        digest = digest_of(context, suite, self._me, made)
        signed = sign_digest(identity(self._seat.name), context, suite, self._me, digest)
        self._promised[suite, to], self._context = (made, signed), context
        return [msgspec.structs.replace(message, data=(context + signed.encode()).hex())]

    def _reveal(self, to: PeerId, message: Commitment) -> Iterable[Said]:
        suite = SuiteId(message.suite)
        made, signed = self._promised[suite, to]
        digests = {self._me: signed}
        for sender, heard in cast("CheatingMesh", self._seat.session._mesh).heard:
            if isinstance(heard, CommitmentDigest) and heard.suite == suite:
                digests[self._identifier(sender)] = SignedDigest.decode(bytes.fromhex(heard.data)[32:])
        echo = echo_of(self._context, suite, digests)
        return [msgspec.structs.replace(message, data=made.hex(), echo=echo.hex())]


def package(suite: AnySuite, me: Identifier, threshold: int, seed: object = 0) -> bytes:
    """Make an honest package of so many points."""
    polynomial, made = pedpop.commit(suite, me, threshold, random.Random(repr(seed)).randbytes)
    polynomial.wipe()
    return made.encode()


def one_for_all(make: Callable[[AnySuite, Identifier, int], bytes]) -> Make:
    """Tell everybody the same."""
    return lambda suite, me, threshold, _to: make(suite, me, threshold)


def more_points(suite: AnySuite, me: Identifier, threshold: int) -> bytes:
    """Commit to a polynomial of a degree too high: a share of it is worth nothing to t signers."""
    return package(suite, me, threshold + 1)


def fewer_points(suite: AnySuite, me: Identifier, threshold: int) -> bytes:
    """Commit to a polynomial of a degree too low."""
    return package(suite, me, threshold - 1)


def identity_point(suite: AnySuite, me: Identifier, threshold: int) -> bytes:
    """Commit to the identity as the last coefficient, which makes the degree too low in a way that counts right."""
    size = suite.group.element_size
    nothing = bytes([1]).ljust(size, b"\x00") if size == 32 else bytes(size)
    made = package(suite, me, threshold)
    at = 6 + (threshold - 1) * size
    return made[:at] + nothing + made[at + size :]


def wrong_proof(suite: AnySuite, me: Identifier, threshold: int) -> bytes:
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

    def seal(self, recipient: IdentityKey, plaintext: bytes, aad: bytes, rng: Callable[[int], bytes]) -> bytes:
        if recipient == self._victim:
            plaintext = self._change(plaintext)
        return self._identity.seal(recipient, plaintext, aad, rng)


def lie_in_shares(table: Table, liar: PeerId, victim: IdentityKey, change: Callable[[bytes], bytes]) -> None:
    """Have ``liar`` seal changed shares to ``victim``."""
    table[liar].crooked = True
    session = table[liar].session
    session._services = replace(session._services, identity=cast("Identity", LyingIdentity(liar, victim, change)))
