"""Wallets out of nothing: real keys, shares and signatures, and no key generation."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mpcnode.crypto import tags
from mpcnode.crypto.suites import DEFAULT_SUITES, SUITES
from mpcnode.identity.identity import Identity
from mpcnode.keystore.format import KdfPolicy
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.store import Home
from mpcnode.protocols.checkpoints import StorePending
from mpcnode.protocols.descriptor import Member
from mpcnode.protocols.epoch import Certificate, Statement, SuiteKeys, chain_code_hash_of
from mpcnode.protocols.frost import held
from mpcnode.types import EpochId, Identifier, PeerId, SuiteId, WalletId
from mpcnode.wallet.secret import Share, WalletSecret
from mpcnode.wallet.wallet import Epoch, EpochState, Wallet
from tests.helpers.filesystem import QuickFileSystem

NAMES = tuple(PeerId(name) for name in ("ana", "ben", "cleo", "dora"))
WALLET_ID = WalletId(b"\xab" * 16)
CHAIN_CODE, DOCUMENT_KEY = b"\xcc" * 32, b"\xdd" * 32
MADE_MS = 1_700_000_000_000


@dataclass(frozen=True)
class Sharing:
    """One sharing of a wallet's keys: what everybody signs of it, and everybody's shares."""

    statement: Statement
    keys: Mapping[SuiteId, int]
    shares: Mapping[SuiteId, Mapping[PeerId, bytes]]
    identities: Mapping[PeerId, Identity]

    @property
    def epoch_id(self) -> EpochId:
        return self.statement.epoch_id

    def signed(self, *names: PeerId) -> Certificate:
        """The signatures of these; without a name, of everybody."""
        return Certificate(
            self.epoch_id,
            {
                self.identities[name].public_key: self.identities[name].sign(tags.READY, self.epoch_id)
                for name in names or self.identities
            },
        )

    def held_by(self, name: PeerId) -> list[Share]:
        """The shares of one participant, as a wallet's secret holds them."""
        return [Share(self.epoch_id, suite, "frost", bytearray(shares[name])) for suite, shares in self.shares.items()]

    def record(self, name: PeerId) -> StorePending:
        """What ``name`` is asked to store."""
        me = self.statement.member(name).identifier
        first = self.statement.previous is None
        return StorePending(
            statement=self.statement,
            identifier=me,
            secrets={
                suite: held.decode_share(self.statement, suite, me, shares[name])
                for suite, shares in self.shares.items()
            },
            chain_code=bytearray(CHAIN_CODE) if first else None,
            document_key=bytearray(DOCUMENT_KEY) if first else None,
            ready=self.identities[name].sign(tags.READY, self.epoch_id),
        )

    def refreshed(self, *abandoned: EpochId, seed: int = 1) -> "Sharing":
        """New shares of the same keys, for the same participants."""
        return _share(
            random.Random(f"refresh {seed} {self.epoch_id.hex()}"),
            self.keys,
            self.identities,
            replace(
                self.statement,
                number=self.statement.number + 1,
                previous=self.epoch_id,
                abandoned=tuple(sorted(abandoned)),
                kind="refresh",
            ),
        )


@dataclass(frozen=True)
class Made:
    """A pending wallet as ``ana`` holds it, her secret, and everybody's signature."""

    wallet: Wallet
    secret: WalletSecret
    identities: Mapping[PeerId, Identity]
    certificate: Certificate
    sharing: Sharing

    @property
    def active(self) -> Wallet:
        """The same wallet with everybody's signature."""
        return self.wallet.merge(self.certificate)


def make_sharing(
    total: int = 3, suites: tuple[SuiteId, ...] = DEFAULT_SUITES, *, wallet_id: WalletId = WALLET_ID
) -> Sharing:
    """A first epoch, 2 of ``total``, always the same."""
    rng = random.Random(total)
    identities = {name: Identity.from_seed(bytearray(rng.randbytes(32))) for name in NAMES[:total]}
    keys = {suite: rng.randrange(1, SUITES[suite].group.order) for suite in suites}
    roster = tuple(
        Member(Identifier(i), name, identity.public_key) for i, (name, identity) in enumerate(identities.items(), 1)
    )
    blank = Statement(
        wallet_id=wallet_id,
        number=0,
        previous=None,
        abandoned=(),
        kind="keygen",
        threshold=2,
        roster=roster,
        suites=tuple(SuiteKeys(suite, *_public(suite, [1], total)) for suite in suites),
        chain_code_hash=chain_code_hash_of(CHAIN_CODE),
        transcript=bytes(32),
    )
    return _share(rng, keys, identities, blank)


def make_wallet(
    total: int = 3, suites: tuple[SuiteId, ...] = DEFAULT_SUITES, *, wallet_id: WalletId = WALLET_ID
) -> Made:
    """A wallet with one epoch, 2 of ``total``, always the same."""
    sharing = make_sharing(total, suites, wallet_id=wallet_id)
    ana = NAMES[0]
    wallet = Wallet(
        wallet_id=wallet_id,
        name="treasury",
        peer_id=ana,
        identity_key=sharing.identities[ana].public_key,
        epochs=(Epoch(sharing.statement, Certificate(sharing.epoch_id, {}), EpochState.PENDING),),
        verified="words",
        created_ms=MADE_MS,
    )
    return Made(wallet, secret_of(sharing), sharing.identities, sharing.signed(), sharing)


def secret_of(*sharings: Sharing, name: PeerId = NAMES[0]) -> WalletSecret:
    """The secret of one participant with its shares of these epochs."""
    return WalletSecret(
        [share for sharing in sharings for share in sharing.held_by(name)],
        chain_code=bytearray(CHAIN_CODE),
        document_key=bytearray(DOCUMENT_KEY),
    )


def _share(
    rng: random.Random, keys: Mapping[SuiteId, int], identities: Mapping[PeerId, Identity], like: Statement
) -> Sharing:
    """Share ``keys`` anew, and state what everybody signs of it."""
    shares: dict[SuiteId, dict[PeerId, bytes]] = {}
    suites = []
    for suite, key in keys.items():
        group = SUITES[suite].group
        polynomial = [key, *(rng.randrange(1, group.order) for _ in range(like.threshold - 1))]
        suites.append(SuiteKeys(suite, *_public(suite, polynomial, len(like.roster))))
        shares[suite] = {
            member.peer_id: group.scalar(_value(polynomial, member.identifier)).encode() for member in like.roster
        }
    statement = replace(like, suites=tuple(suites), transcript=rng.randbytes(32))
    return Sharing(statement, keys, shares, identities)


def _public(suite: SuiteId, polynomial: list[int], total: int) -> tuple[bytes, tuple[bytes, ...]]:
    """The group public key and the verifying shares of a polynomial."""
    group = SUITES[suite].group
    points = [group.scalar_base_mult(group.scalar(_value(polynomial, i))).encode() for i in range(total + 1)]
    return points[0], tuple(points[1:])


def _value(polynomial: list[int], x: int) -> int:
    return sum(coefficient * x**power for power, coefficient in enumerate(polynomial))


def home_with_a_wallet(path: Path) -> Home:
    """Make a home of ana, with the active wallet ``treasury``; its passphrase is ``correct horse``."""
    home = Home.open(path, create=True, files=QuickFileSystem())
    made = make_wallet()
    active = made.active
    with Keyring(bytearray(b"correct horse")) as keyring:
        home.create_identity(keyring, KdfPolicy(8 << 20, 1))
        home.save_wallet(active.wallet_id, active.peer_id, active.to_header(), made.secret.encode(), keyring)
    return home
