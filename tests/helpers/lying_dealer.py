"""A dishonest dealer in key generation or refresh: what it can send that its identity really signed and sealed."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mpcnode.crypto.ciphersuite import CIPHERSUITES
from mpcnode.protocols.descriptor import AGREED_SIZE, KEYGEN, Descriptor, context
from mpcnode.protocols.execution import ProtocolMessage
from mpcnode.protocols.frost import broadcast
from mpcnode.protocols.frost.broadcast import Promise, decode_evidence, digest_of, echo_of
from mpcnode.protocols.frost.dealing import SEAL_PURPOSE, digest_count, share_aad
from mpcnode.protocols.frost.packages import Round2Package
from mpcnode.types import Identifier, SuiteId
from tests.helpers.simulate import Simulation, Tamper, seeded, signer
from tests.helpers.tamper import Change, Rule

LIAR = Identifier(2)
VICTIM = Identifier(3)


def promise_of(session: Descriptor, message: ProtocolMessage) -> Promise:
    """What a ``digest`` message promises."""
    return Promise.decode(digest_count(session), message.data[AGREED_SIZE:])


def promised_in(session: Descriptor, simulation: Simulation[Any], i: int = 1) -> Mapping[Identifier, Promise]:
    """What participant ``i`` heard."""
    evidence = simulation.executions[Identifier(i)].evidence
    assert evidence is not None
    return decode_evidence(sorted(session.participants), digest_count(session), evidence)[1]


def context_of(session: Descriptor, simulation: Simulation[Any]) -> bytes:
    """The context of a session in which nobody lied about its fresh bytes."""
    return context(session.agreed, {i: said.fresh for i, said in promised_in(session, simulation).items()})


def signed_by(session: Descriptor, name: str, said: Promise, **changes: Any) -> bytes:
    """The data of a ``digest`` message that says something else than ``said``, signed by ``name``."""
    fresh, digests = changes.get("fresh", said.fresh), changes.get("digests", said.digests)
    made = broadcast.promise(signer(name), session.agreed, changes.get("dealer", LIAR), fresh, digests)
    return session.agreed + made.encode()


@dataclass
class Promised:
    """Promise and then reveal what ``make`` makes of a suite, in every suite.

    The liar's own execution is lied to as well, so that it goes on: the echoes it hears are those of what it meant; and
    the echo each participant hears of it is the one of what that participant was told.

    Args:
        session: what it is about.
        make: gives the encoded commitments.
        recipients: who is lied to; None for everybody.
    """

    session: Descriptor
    make: Callable[[Any], bytes]
    recipients: set[int] | None = None
    meant: dict[Identifier, Promise] = field(default_factory=dict)

    def __call__(
        self, sender: Identifier, recipient: Identifier, message: ProtocolMessage
    ) -> Iterable[ProtocolMessage]:
        if message.kind == "digest":
            self.meant[sender] = promise_of(self.session, message)
        elif message.kind == "commitment" and recipient == LIAR:
            return [replace(message, echo=self._echo(self.meant))]
        lied_to = self.recipients is None or recipient in self.recipients
        if sender != LIAR or not lied_to or message.kind not in {"digest", "commitment"}:
            return [message]
        if message.kind == "commitment":
            lie = promise_of(self.session, replace(message, data=self._digests()))
            told = replace(message, echo=self._echo({**self.meant, LIAR: lie}))
            return [told if told.lane is None else replace(told, data=self.make(CIPHERSUITES[told.lane]))]
        return [replace(message, data=self._digests())]

    def _echo(self, heard: Mapping[Identifier, Promise]) -> bytes:
        return echo_of(context(self.session.agreed, {i: said.fresh for i, said in heard.items()}), heard)

    def _digests(self) -> bytes:
        said = self.meant[LIAR]
        own = list(said.digests[:1]) if self.session.kind == KEYGEN else []
        for suite in self.session.suites:
            made = self.make(CIPHERSUITES[suite])
            own.append(digest_of(self.session.agreed, suite, LIAR, said.fresh, made))
        return signed_by(self.session, "cli02", said, digests=own)


Remake = Callable[[ProtocolMessage, bytes], bytes]


def resealed(session: Descriptor, bound: bytes, make: Remake) -> Tamper:
    """Open what the liar sent to the victim (the test is in league with it) and seal something else."""

    def change(source: Identifier, recipient: Identifier, message: ProtocolMessage) -> Iterable[ProtocolMessage]:
        if source != LIAR or recipient != VICTIM or message.lane is None or message.kind != "share":
            return [message]
        plain = make(message, message.data[32:])
        key = session.identity_keys[VICTIM]
        aad = share_aad(bound, message.lane, LIAR, VICTIM)
        data = signer("cli02").seal(key, plain, purpose=SEAL_PURPOSE, topic=bound, aad=aad, rng=seeded(0))
        return [replace(message, data=data)]

    return change


def add_one(message: ProtocolMessage, plain: bytes) -> bytes:
    """A share that is wrong by one."""
    assert message.lane is not None
    suite = CIPHERSUITES[message.lane]
    share = Round2Package.decode(suite, plain).signing_share + suite.group.scalar(1)
    return bytes(Round2Package(suite, share).encode())


WRONG_SHARES: dict[str, tuple[Remake, str]] = {
    "wrong": (add_one, "does not fit its commitment"),
    "short": (lambda _message, plain: plain[:-1], "malformed"),
    "long": (lambda _message, plain: plain + b"\x00", "malformed"),
    "header": (lambda _message, plain: b"\x01" + plain[1:], "malformed"),
    "no scalar": (lambda _message, plain: plain[:5] + b"\xff" * 32, "below the group order"),
}


def lied(change: Change, kind: str, victim: int | None, lane: SuiteId | None) -> Rule:
    """A rule about one lane of what the liar says."""
    return Rule(kind, LIAR, victim, change, (lane,))
