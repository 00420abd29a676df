"""Whole protocols in memory: n executions, every message through bytes, delivered in a seeded random order."""

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import Any, Generic, TypeVar

import msgspec
from nacl.bindings import crypto_sign, crypto_sign_seed_keypair

from mpcnode.crypto.group import Rng
from mpcnode.crypto.suites import DEFAULT_SUITES
from mpcnode.crypto.transcript import tagged_hash
from mpcnode.errors import DecodeError
from mpcnode.protocols.checkpoints import KeyResult, StorePending
from mpcnode.protocols.descriptor import KEYGEN, REFRESH, Descriptor, Member
from mpcnode.protocols.epoch import Statement
from mpcnode.protocols.execution import Execution, ProtocolMessage
from mpcnode.protocols.frost.keygen import keygen
from mpcnode.protocols.frost.packages import KeyPackage
from mpcnode.protocols.frost.pedpop import KeyShare
from mpcnode.protocols.frost.refresh import refresh
from mpcnode.types import EpochId, Identifier, IdentityKey, PeerId, SessionId, SuiteId

T = TypeVar("T")

Deliver = tuple[Identifier, Identifier, ProtocolMessage]
"""Sender, recipient, message."""

Tamper = Callable[[Identifier, Identifier, ProtocolMessage], Iterable[ProtocolMessage]]
"""What really arrives where this was sent."""


def seeded(*seed: object) -> Rng:
    """Randomness that is the same each time; independent for different seeds."""
    source = random.Random(repr(seed))
    return source.randbytes


class Signer:
    """An identity that really signs, and whose sealing only proves who sealed what for whom: quick, and not secret."""

    def __init__(self, name: str) -> None:
        public, self._secret = crypto_sign_seed_keypair(sha256(name.encode()).digest())
        self.public_key = IdentityKey(public)

    def sign(self, tag: str, *fields: bytes) -> bytes:
        return crypto_sign(tagged_hash(tag, *fields), self._secret)[:64]

    def seal(
        self,
        recipient: IdentityKey,
        plaintext: bytes | bytearray,
        *,
        purpose: str,
        topic: bytes,
        aad: bytes,
        rng: Rng,
    ) -> bytes:
        assert len(rng(1)) == 1
        return self._tag(self.public_key, recipient, plaintext, purpose.encode(), topic, aad) + plaintext

    def open(self, sender: IdentityKey, sealed: bytes, *, purpose: str, topic: bytes, aad: bytes) -> bytearray:
        tag, plaintext = sealed[:32], sealed[32:]
        if tag != self._tag(sender, self.public_key, plaintext, purpose.encode(), topic, aad):
            raise DecodeError("not sealed by this sender to us for this purpose")
        return bytearray(plaintext)

    @staticmethod
    def _tag(sender: bytes, recipient: bytes, *bound: bytes | bytearray) -> bytes:
        return tagged_hash("test seal", sender, recipient, *bound)


@cache
def signer(name: str) -> Signer:
    return Signer(name)


def name_of(i: int) -> PeerId:
    return PeerId(f"cli{i:02}")


def member(i: int) -> Member:
    return Member(Identifier(i), name_of(i), signer(name_of(i)).public_key)


def descriptor(
    threshold: int, total: int, *, suites: tuple[SuiteId, ...] = DEFAULT_SUITES, seed: object = 0
) -> Descriptor:
    rng = seeded("descriptor", seed)
    return Descriptor(
        agreed=rng(32),
        session_id=SessionId(rng(16)),
        kind=KEYGEN,
        wallet_name="treasury",
        threshold=threshold,
        suites=suites,
        roster=tuple(member(i) for i in range(1, total + 1)),
    )


def refresh_descriptor(previous: Statement, *, seed: object = 0) -> Descriptor:
    rng = seeded("refresh", seed)
    return Descriptor(
        agreed=rng(32),
        session_id=SessionId(rng(16)),
        kind=REFRESH,
        wallet_name="treasury",
        threshold=previous.threshold,
        suites=tuple(keys.suite for keys in previous.suites),
        roster=previous.roster,
    )


def through_bytes(message: ProtocolMessage) -> ProtocolMessage:
    """What is left of a message on the wire: its bytes."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=ProtocolMessage)


@dataclass(frozen=True)
class Stored:
    """What a participant stored when it was asked to, as a wallet would: in memory of its own."""

    statement: Statement
    shares: Mapping[SuiteId, KeyShare]
    chain_code: bytes | None
    document_key: bytes | None
    ready: bytes


def stored(record: StorePending) -> Stored:
    """Copy what is to be stored; its owner wipes it afterwards."""
    shares = {}
    for suite, share in record.secrets.items():
        key = share.key
        copied = key.signing_share.copy()
        fields = (key.suite, key.identifier, copied, key.verifying_share, key.group_public_key, key.threshold)
        shares[suite] = KeyShare(KeyPackage(*fields), share.public)
    secrets = [None if secret is None else bytes(secret) for secret in (record.chain_code, record.document_key)]
    return Stored(record.statement, shares, secrets[0], secrets[1], record.ready)


@dataclass
class Simulation(Generic[T]):
    """Executions and the messages between them.

    Args:
        executions: by identifier.
        order: decides what is delivered next; messages of one sender to one recipient keep their order.
        tamper: changes what arrives.
        confirms: says which checkpoints are ever confirmed.
        checkpoints: what each participant was asked to do and did, in order.
        stored: what each participant stored.
    """

    executions: Mapping[Identifier, Execution[T]]
    order: random.Random = field(default_factory=lambda: random.Random(0))
    tamper: Tamper = lambda _sender, _recipient, message: [message]
    confirms: Callable[[object], bool] = lambda _record: True
    checkpoints: dict[Identifier, list[Any]] = field(default_factory=dict)
    stored: dict[Identifier, Stored] = field(default_factory=dict)
    links: dict[tuple[Identifier, Identifier], list[ProtocolMessage]] = field(default_factory=dict)
    errors: dict[Identifier, Exception] = field(default_factory=dict)

    def run(self) -> Mapping[Identifier, T]:
        """Deliver until nothing is left; give every result.

        Raises:
            Exception: the first error any of the executions raised.
        """
        self.run_all()
        for error in self.errors.values():
            raise error
        return {i: execution.result for i, execution in self.executions.items()}

    def run_all(self) -> Mapping[Identifier, Exception]:
        """Deliver until nothing is left; give the errors, each ending one execution only."""
        self._serve_all()
        while self.links:
            link = self.order.choice(sorted(self.links))
            message = self.links[link].pop(0)
            if not self.links[link]:
                del self.links[link]
            self._deliver(*link, message)
            self._serve_all()
        return self.errors

    def _deliver(self, sender: Identifier, recipient: Identifier, message: ProtocolMessage) -> None:
        if recipient in self.errors:
            return
        try:
            for arriving in self.tamper(sender, recipient, through_bytes(message)):
                self.executions[recipient].receive(sender, arriving)
        except Exception as error:  # noqa: BLE001 (run() raises it again)
            self.errors[recipient] = error

    def _serve_all(self) -> None:
        for i, execution in self.executions.items():
            if i not in self.errors:
                self._serve(i, execution)

    def _serve(self, i: Identifier, execution: Execution[T]) -> None:
        self._post(i, execution)
        # A checkpoint is confirmed at a moment of the seeded order's choice: messages come in before and after.
        asked = execution.checkpoint
        if asked is not None and self.confirms(asked) and (not self.links or self.order.random() < 0.5):
            self.checkpoints.setdefault(i, []).append(asked)
            if isinstance(asked, StorePending):
                self.stored[i] = stored(asked)
            try:
                execution.confirm()
            except Exception as error:  # noqa: BLE001 (run() raises it again)
                self.errors[i] = error
            else:
                self._serve(i, execution)

    def _post(self, sender: Identifier, execution: Execution[T]) -> None:
        for recipient, message in execution.messages_to_send():
            for to in [i for i in self.executions if i != sender] if recipient is None else [recipient]:
                self.links.setdefault((sender, to), []).append(message)


def simulate_keygen(descriptor: Descriptor, *, seed: int = 0, tamper: Tamper | None = None) -> Simulation[KeyResult]:
    """Set up a key generation of everybody in ``descriptor``; ``run`` it."""
    participants = descriptor.participants
    executions = {
        me: Execution(
            keygen(descriptor=descriptor, me=me, signer=signer(name), rng=seeded(seed, me)),
            me=me,
            participants=participants,
        )
        for me, name in participants.items()
    }
    return _simulation(executions, seed, tamper)


def simulate_refresh(
    wallets: Mapping[Identifier, Stored],
    *,
    descriptor: Descriptor | None = None,
    abandoned: tuple[EpochId, ...] = (),
    seed: int = 0,
    tamper: Tamper | None = None,
) -> Simulation[KeyResult]:
    """Set up a refresh of what everybody stored; ``run`` it."""
    previous = next(iter(wallets.values())).statement
    session = refresh_descriptor(previous, seed=seed) if descriptor is None else descriptor
    executions = {
        me: Execution(
            refresh(
                descriptor=session,
                previous=previous,
                abandoned=abandoned,
                me=me,
                shares=wallets[me].shares,
                signer=signer(name),
                rng=seeded("refresh", seed, me),
            ),
            me=me,
            participants=session.participants,
        )
        for me, name in session.participants.items()
    }
    return _simulation(executions, seed, tamper)


def _simulation(executions: Mapping[Identifier, Execution[T]], seed: int, tamper: Tamper | None) -> Simulation[T]:
    simulation = Simulation(executions, random.Random(seed))
    if tamper is not None:
        simulation.tamper = tamper
    return simulation


@cache
def created(threshold: int, total: int, seed: int = 0) -> Mapping[Identifier, Stored]:
    """A wallet of our own key generation, as everybody stored it; shared by tests, so nobody may wipe it."""
    simulation = simulate_keygen(descriptor(threshold, total, seed=seed), seed=seed)
    simulation.run()
    return simulation.stored


@cache
def refreshed(threshold: int, total: int, seed: int = 0) -> Mapping[Identifier, Stored]:
    """The same wallet after a refresh."""
    simulation = simulate_refresh(created(threshold, total, seed), seed=seed)
    simulation.run()
    return simulation.stored
