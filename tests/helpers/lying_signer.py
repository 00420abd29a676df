"""A dishonest signer: what it can send that its identity really signed, and what the honest make of it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mpcnode.errors import InconsistentBroadcast, ParticipantCheated
from mpcnode.protocols.execution import ProtocolMessage
from mpcnode.protocols.frost.broadcast import BOUND_SIZE, Promise, digest_of, promise
from mpcnode.protocols.frost.sign import HEAD_SIZE
from mpcnode.protocols.frost.signing_packages import SignatureShare, SigningCommitments
from mpcnode.protocols.signing_descriptor import SigningDescriptor
from mpcnode.types import Identifier, SuiteId
from tests.helpers.signing import ED25519, signing_descriptor, simulate_sign, wallet
from tests.helpers.simulate import Simulation, Tamper, name_of, signer
from tests.helpers.tamper import Change

LIAR = 3
HONEST = {Identifier(1), Identifier(2)}
MESSAGES = (b"first", b"second")

FRESH = b"\x07" * 32


def signed_commitments(descriptor: SigningDescriptor, sender: int, listed: bytes, fresh: bytes = FRESH) -> bytes:
    """A message of any commitments, as ``sender``'s identity signs it."""
    bound, i = descriptor.hash, Identifier(sender)
    digest = digest_of(bound, descriptor.suite, i, fresh, listed)
    return bound + fresh + promise(signer(name_of(sender)), bound, i, fresh, [digest]).signature + listed


def fresh_of(data: bytes) -> bytes:
    """The fresh bytes of a message of commitments."""
    return data[BOUND_SIZE : BOUND_SIZE + 32]


def pairs(descriptor: SigningDescriptor, data: bytes) -> list[bytes]:
    """The encoded commitments of a message."""
    size = SigningCommitments.size(descriptor.ciphersuite)
    listed = data[HEAD_SIZE:]
    return [listed[at : at + size] for at in range(0, len(listed), size)]


def resign(descriptor: SigningDescriptor, sender: int, change: Callable[[list[bytes]], Sequence[bytes]]) -> Change:
    """Change the commitments, and sign what comes out."""

    def changed(message: ProtocolMessage) -> Iterable[ProtocolMessage]:
        listed = b"".join(change(pairs(descriptor, message.data)))
        return [replace(message, data=signed_commitments(descriptor, sender, listed, fresh_of(message.data)))]

    return changed


def add_to_share(descriptor: SigningDescriptor, amount: int, k: int = 0) -> Change:
    """Add to the share for message ``k``; a negative ``k`` counts from the end."""
    group, size = descriptor.ciphersuite.group, SignatureShare.SIZE

    def changed(message: ProtocolMessage) -> Iterable[ProtocolMessage]:
        shares = [message.data[at : at + size] for at in range(0, len(message.data), size)]
        shares[k] = (group.decode_scalar(shares[k]) + group.scalar(amount)).encode()
        return [replace(message, data=b"".join(shares))]

    return changed


def session(suite: SuiteId = ED25519) -> SigningDescriptor:
    return signing_descriptor(wallet(suite, 2, 3), [1, 2, 3], MESSAGES)


def run(descriptor: SigningDescriptor, tamper: Tamper, seed: int = 0) -> Simulation[Any]:
    """All of a 2-of-3 sign; afterwards nobody has a signature who should have none."""
    simulation = simulate_sign(descriptor, wallet(descriptor.suite, 2, 3), tamper=tamper, seed=seed)
    simulation.run_all()
    return simulation


def accused(simulation: Simulation[Any]) -> Mapping[Identifier, tuple[str, ...]]:
    """Whom each honest signer names."""
    return {i: error.culprits for i, error in simulation.errors.items() if isinstance(error, ParticipantCheated)}


def expect_named(simulation: Simulation[Any], match: str) -> None:
    """Both honest signers name the liar, and no other."""
    errors = {i: simulation.errors.get(i) for i in HONEST}
    for error in errors.values():
        assert isinstance(error, ParticipantCheated)
        assert not isinstance(error, InconsistentBroadcast)
        assert error.culprits == ("cli03",)
        assert match in str(error)
    assert not any(simulation.executions[i].finished for i in HONEST)


class Heard:
    """Which kinds of message honest signers sent."""

    def __init__(self, rule: Tamper) -> None:
        self._rule = rule
        self.kinds: set[str] = set()

    def __call__(
        self, sender: Identifier, recipient: Identifier, message: ProtocolMessage
    ) -> Iterable[ProtocolMessage]:
        if sender in HONEST:
            self.kinds.add(message.kind)
        return self._rule(sender, recipient, message)


def evidence_of(simulation: Simulation[Any], i: int) -> bytes:
    """What signer ``i`` can show, whether it stopped or waits."""
    evidence = simulation.executions[Identifier(i)].evidence
    assert evidence is not None
    assert len(evidence) == BOUND_SIZE + 3 * Promise.size(1)
    return evidence
