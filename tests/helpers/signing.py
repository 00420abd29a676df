"""Wallets without their key generation, and whole signing sessions in memory."""

import random
from collections.abc import Iterable, Mapping
from functools import cache

from mpcnode.crypto import vss
from mpcnode.crypto.ciphersuite import SUITES
from mpcnode.crypto.polynomial import Polynomial
from mpcnode.protocols.execution import Execution
from mpcnode.protocols.frost.packages import KeyPackage, PublicKeyPackage
from mpcnode.protocols.frost.pedpop import KeyShare
from mpcnode.protocols.frost.sign import SignatureBytes, sign
from mpcnode.protocols.signing_descriptor import SigningDescriptor, SigningMember
from mpcnode.types import Identifier, PeerId, SessionId, SuiteId, WalletId
from tests.helpers.simulate import Simulation, Tamper, seeded, signer

ED25519 = SuiteId("FROST-ED25519-SHA512-v1")
TAPROOT = SuiteId("FROST-secp256k1-SHA256-TR-v1")
PLAIN = SuiteId("FROST-secp256k1-SHA256-v1")

Wallet = Mapping[Identifier, KeyShare]


@cache
def wallet(suite_id: SuiteId, threshold: int, total: int, seed: object = 0) -> Wallet:
    """A wallet as a trusted dealer makes it; shared by tests, so nobody may wipe it."""
    suite = SUITES[suite_id]
    f = Polynomial.random(suite.group, threshold, seeded("wallet", suite_id, seed))
    adjustment = suite.finish_key(f.commit()[0])
    points = vss.evaluate_all(suite.group, f.commit(), total)
    shares = {Identifier(i): adjustment.element(Y_i) for i, Y_i in enumerate(points, 1)}
    public = PublicKeyPackage(suite, shares, adjustment.group_key, threshold)
    return {
        i: KeyShare(
            KeyPackage(suite, i, adjustment.scalar(f.evaluate(i)), Y_i, adjustment.group_key, threshold), public
        )
        for i, Y_i in shares.items()
    }


def name_of(i: int) -> PeerId:
    return PeerId(f"cli{i:02}")


def signing_descriptor(
    keys: Wallet,
    signers: Iterable[int],
    messages: Iterable[bytes] = (b"hello",),
    *,
    merkle_root: bytes | None = None,
    seed: object = 0,
) -> SigningDescriptor:
    rng = seeded("signing", seed)
    key = next(iter(keys.values())).key
    return SigningDescriptor(
        session_id=SessionId(rng(16).hex()),
        wallet_id=WalletId(rng(16).hex()),
        epoch=0,
        suite=key.suite.id,
        group_public_key=key.group_public_key.encode(),
        threshold=key.threshold,
        signers=tuple(
            SigningMember(Identifier(i), name_of(i), signer(name_of(i)).public_key, rng(32)) for i in signers
        ),
        messages=tuple(messages),
        merkle_root=merkle_root,
    )


def execution(
    descriptor: SigningDescriptor, keys: Wallet, me: Identifier, *, seed: object = 0
) -> Execution[tuple[SignatureBytes, ...]]:
    script = sign(
        descriptor=descriptor,
        me=me,
        key=keys[me].key,
        public=keys[me].public,
        signer=signer(name_of(me)),
        rng=seeded(seed, me),
        process=lambda: "this process",
    )
    return Execution(script, me=me, participants=descriptor.participants)


def simulate_sign(
    descriptor: SigningDescriptor, keys: Wallet, *, seed: int = 0, tamper: Tamper | None = None
) -> Simulation[tuple[SignatureBytes, ...]]:
    """Set up a signing session of everybody in ``descriptor``; ``run`` it."""
    executions = {me: execution(descriptor, keys, me, seed=seed) for me in descriptor.participants}
    simulation = Simulation(executions, random.Random(seed))
    if tamper is not None:
        simulation.tamper = tamper
    return simulation
