"""Wallets made out of thin air: real keys and signatures, and no key generation."""

import random
from dataclasses import dataclass

from mpcnode.crypto.ciphersuite import DEFAULT_SUITES, SUITES
from mpcnode.identity.identity import Identity
from mpcnode.protocols.certificate import READY_CONTEXT, Certificate
from mpcnode.types import Identifier, PeerId, SessionId, SuiteId, WalletId
from mpcnode.wallet.secret import WalletSecret
from mpcnode.wallet.wallet import Participant, State, SuiteKeys, Wallet

TRANSCRIPT = bytes(range(32))


@dataclass(frozen=True)
class Made:
    """A pending wallet as ``ana`` holds it, her secret, and everybody's signature."""

    wallet: Wallet
    secret: WalletSecret
    identities: dict[PeerId, Identity]
    certificate: Certificate


def make_wallet(total: int = 3, suites: tuple[SuiteId, ...] = DEFAULT_SUITES) -> Made:
    rng = random.Random(total)
    names = [PeerId(name) for name in ("ana", "ben", "cleo", "dora")[:total]]
    identities = {name: Identity.from_seed(bytearray(rng.randbytes(32))) for name in names}
    keys, shares = [], {}
    for suite in sorted(suites):
        group = SUITES[suite].group
        everyones = [group.random_scalar(rng.randbytes) for _ in names]
        elements = tuple(group.scalar_base_mult(share).encode() for share in everyones)
        shares[suite] = bytearray(everyones[0].encode())
        keys.append(SuiteKeys(suite, group.scalar_base_mult(group.random_scalar(rng.randbytes)).encode(), elements))
    wallet = Wallet(
        wallet_id=WalletId("ab" * 16),
        session_id=SessionId("cd" * 16),
        name="treasury",
        peer_id=names[0],
        identifier=Identifier(1),
        threshold=2,
        roster=tuple(Participant(name, identity.public_key) for name, identity in identities.items()),
        suites=tuple(keys),
        certificate=Certificate(TRANSCRIPT, {}),
        state=State.PENDING,
        compared_words=True,
        created=1_700_000_000,
    )
    signatures = {name: identity.sign(READY_CONTEXT, TRANSCRIPT) for name, identity in identities.items()}
    return Made(wallet, WalletSecret(shares), identities, Certificate(TRANSCRIPT, signatures))
