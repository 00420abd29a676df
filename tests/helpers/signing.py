"""Wallets without their key generation, and whole signing sessions in memory."""

import random
from collections.abc import Iterable, Mapping
from functools import cache

from mpcnode.crypto import vss
from mpcnode.crypto.adjustment import Adjustment, default_adjustments
from mpcnode.crypto.ciphersuite import CIPHERSUITES
from mpcnode.crypto.polynomial import Polynomial
from mpcnode.protocols.execution import Execution
from mpcnode.protocols.frost.packages import KeyPackage, PublicKeyPackage
from mpcnode.protocols.frost.pedpop import KeyShare
from mpcnode.protocols.frost.sign import SignatureBytes, sign
from mpcnode.protocols.signing_descriptor import SigningDescriptor
from mpcnode.types import EpochId, Identifier, SessionId, SuiteId, WalletId
from tests.helpers.simulate import Simulation, Tamper, member, name_of, seeded, signer

ED25519 = SuiteId("FROST-ED25519-SHA512-v1")
TAPROOT = SuiteId("FROST-secp256k1-SHA256-TR-v1")
PLAIN = SuiteId("FROST-secp256k1-SHA256-v1")

Wallet = Mapping[Identifier, KeyShare]


@cache
def wallet(suite_id: SuiteId, threshold: int, total: int, seed: object = 0) -> Wallet:
    """A wallet as a trusted dealer makes it; shared by tests, so nobody may wipe it."""
    suite = CIPHERSUITES[suite_id]
    f = Polynomial.random(suite.group, threshold, seeded("wallet", suite_id, seed))
    group_key = f.commit()[0]
    shares = vss.evaluate_all(suite.group, f.commit(), [Identifier(i) for i in range(1, total + 1)])
    public = PublicKeyPackage(suite, shares, group_key, threshold)
    return {
        i: KeyShare(KeyPackage(suite, i, f.evaluate(i), Y_i, group_key, threshold), public) for i, Y_i in shares.items()
    }


def signing_descriptor(
    keys: Wallet,
    signers: Iterable[int],
    messages: Iterable[bytes] = (b"hello",),
    *,
    adjustments: tuple[Adjustment, ...] | None = None,
    seed: object = 0,
) -> SigningDescriptor:
    rng = seeded("signing", seed)
    key = next(iter(keys.values())).key
    return SigningDescriptor(
        agreed=rng(32),
        session_id=SessionId(rng(16)),
        wallet_id=WalletId(rng(16)),
        epoch_id=EpochId(rng(32)),
        suite=key.suite.id,
        group_public_key=key.group_public_key.encode(),
        threshold=key.threshold,
        signers=tuple(member(i) for i in signers),
        reading="hex",
        messages=tuple(messages),
        adjustments=default_adjustments(key.suite.id) if adjustments is None else adjustments,
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
