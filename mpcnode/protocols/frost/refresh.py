"""Refresh: new shares of the same keys for the same participants, for all suites of a wallet in the same rounds.

PROTOCOL, Refresh:

1. ``digest`` (broadcast): fresh bytes, and signed hashes of the commitments to come. They make the context.
2. ``commitment`` (broadcast): t - 1 elements for each suite, without constant term and without proof, and a hash of
   everything heard.
3. ``share`` (to each its own): sealed to its recipient.
4. checkpoint ``StorePending``: the new shares are durable, beside the old ones.
5. ``ready`` (broadcast): the signature over the id of the new epoch.
6. checkpoint ``StoreActive``: all n signatures are durable, and the old shares can go. The result stands.
7. ``epoch_active`` (broadcast): last words.

Participants, threshold, keys and chain code stay; nobody is asked to compare words, because the epoch before has
everybody's identity key in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mpcnode.crypto import tags
from mpcnode.crypto.ciphersuite import CIPHERSUITES, AnyCiphersuite
from mpcnode.crypto.group import Rng
from mpcnode.crypto.polynomial import Polynomial
from mpcnode.protocols.checkpoints import KeyResult, StoreActive, StorePending
from mpcnode.protocols.descriptor import FRESH_SIZE, REFRESH, Descriptor
from mpcnode.protocols.epoch import EPOCH_ID_SIZE, Statement
from mpcnode.protocols.frost import zero
from mpcnode.protocols.frost.broadcast import digest_of
from mpcnode.protocols.frost.dealing import (
    COMMITMENT,
    SECONDS,
    SHARE,
    Heard,
    Session,
    Signer,
    certify,
    digest_round,
    equivocators,
    exchange_commitments,
    exchange_promises,
    exchange_shares,
    last_words_round,
    ready_round,
    say_done,
    share_round,
    transcript_of,
)
from mpcnode.protocols.frost.held import public_keys_of, suite_keys_of
from mpcnode.protocols.frost.packages import RefreshPackage
from mpcnode.protocols.frost.pedpop import KeyShare
from mpcnode.protocols.rounds import Plan, Round, Rounds, checkpoint, conclude, parallel
from mpcnode.types import EpochId, Identifier, SuiteId

__all__ = ["Signer", "equivocators", "refresh"]

EPOCH_ACTIVE: Final = "epoch_active"


def refresh(
    *,
    descriptor: Descriptor,
    previous: Statement,
    abandoned: tuple[EpochId, ...],
    me: Identifier,
    shares: Mapping[SuiteId, KeyShare],
    signer: Signer,
    rng: Rng,
) -> Rounds[KeyResult]:
    """Refresh the shares of a wallet as participant ``me``; a script for ``Execution``.

    Args:
        descriptor: what all participants agreed on; ``previous`` and ``abandoned`` must be in its ``agreed``.
        previous: the statement of the active epoch.
        abandoned: the pending epochs after it that everybody gave up, sorted.
        me: this participant's identifier.
        shares: this participant's shares in the epoch before, by suite; they stay the caller's to wipe.
        signer: this node's identity; its key is the roster's for ``me``.
        rng: fresh randomness. Drawn in this order: 32 fresh bytes, then suite by suite the coefficients, then what
            sealing takes.

    Raises:
        ValueError: descriptor, shares and the epoch before do not belong together; a mistake of the caller.
        RuntimeError: the shares do not fit the wallet's key.
    """
    _check(descriptor, previous, me, shares)
    session = Session(descriptor, me, signer, rng)
    suites = descriptor.suites
    dealt: dict[SuiteId, _Dealt] = {}
    refreshed: dict[SuiteId, KeyShare] = {}
    yield _plan(descriptor)
    try:
        fresh = rng(FRESH_SIZE)
        for suite in suites:
            dealt[suite] = _Dealt(*zero.commit(CIPHERSUITES[suite], descriptor.threshold, rng))
        # 1. Nobody can choose its commitment after seeing another's.
        digests = [
            digest_of(descriptor.agreed, suite, me, fresh, deal.package.encode()) for suite, deal in dealt.items()
        ]
        heard = yield from exchange_promises(session, fresh, digests)
        # 2. Everybody holds the same commitments, or it shows here.
        packages = yield from parallel(
            (COMMITMENT,), {suite: _exchange_commitments(session, heard, dealt[suite]) for suite in suites}
        )
        # 3. Each share is seen by its recipient alone.
        received = yield from parallel(
            (SHARE,),
            {suite: _exchange_shares(session, heard, dealt[suite], packages[suite], shares[suite]) for suite in suites},
        )
        refreshed.update(received)
        # 4. What this node promises next must survive it.
        encoded = {suite: {i: package.encode() for i, package in packages[suite].items()} for suite in suites}
        transcript = transcript_of(heard, encoded, suites)
        statement = _statement(descriptor, refreshed, previous, abandoned, transcript)
        signature = signer.sign(tags.READY, statement.epoch_id)
        yield from checkpoint(StorePending(statement, me, dict(refreshed), None, None, signature))
        _wipe(refreshed)
        # 5. and 6. All promises together are the certificate.
        certificate = yield from certify(session, statement, signature)
        yield from checkpoint(StoreActive(certificate))
        result = KeyResult(statement, certificate)
        yield from conclude(result)
        # 7. Nobody leaves before it knows that the others have the epoch too, or long enough after.
        yield from say_done(EPOCH_ACTIVE, statement.epoch_id)
        return result
    finally:
        for deal in dealt.values():
            deal.polynomial.wipe()
        _wipe(refreshed)


@dataclass(frozen=True, slots=True)
class _Dealt:
    """What this participant drew for one suite."""

    polynomial: Polynomial[Any, Any]
    package: RefreshPackage

    @property
    def suite(self) -> AnyCiphersuite:
        return self.package.suite


def _check(descriptor: Descriptor, previous: Statement, me: Identifier, shares: Mapping[SuiteId, KeyShare]) -> None:
    """Refuse what does not belong together before anything is said; nobody else is to blame for it."""
    if descriptor.kind != REFRESH:
        raise ValueError("this descriptor is not of a refresh")
    if descriptor.roster != previous.roster or descriptor.threshold != previous.threshold:
        raise ValueError("a refresh keeps participants and threshold of the epoch before")
    if descriptor.suites != tuple(keys.suite for keys in previous.suites) or shares.keys() != set(descriptor.suites):
        raise ValueError("a refresh is of all suites of the wallet, in their order")
    if me not in descriptor.participants:
        raise ValueError("this identifier is not among the participants")
    for suite, share in shares.items():
        if share.public != public_keys_of(previous, suite):
            raise ValueError("the shares are not of the epoch before")
        fits = (share.key.identifier, share.key.threshold) == (me, previous.threshold)
        if not fits or share.key.verifying_share != share.public.verifying_shares[me]:
            raise ValueError("the share is not this participant's of the epoch before")


def _plan(descriptor: Descriptor) -> Plan:
    suites = descriptor.suites
    longest = max(RefreshPackage.size(CIPHERSUITES[suite], descriptor.threshold) for suite in suites)
    return Plan(
        (
            digest_round(descriptor),
            Round(COMMITMENT, suites, longest, phase="revealing", seconds=SECONDS),
            share_round(descriptor, users=False),
            ready_round(users=False),
            last_words_round(EPOCH_ACTIVE, EPOCH_ID_SIZE),
        )
    )


def _exchange_commitments(session: Session, heard: Heard, dealt: _Dealt) -> Rounds[Mapping[Identifier, RefreshPackage]]:
    suite, threshold = dealt.suite, session.descriptor.threshold

    def read(_dealer: Identifier, data: bytes) -> RefreshPackage:
        return RefreshPackage.decode(suite, threshold, data)

    return (yield from exchange_commitments(session, heard, suite.id, dealt.package.encode(), read))


def _exchange_shares(
    session: Session,
    heard: Heard,
    dealt: _Dealt,
    packages: Mapping[Identifier, RefreshPackage],
    previous: KeyShare,
) -> Rounds[KeyShare]:
    """Deal, check what comes, and add it to the share there is."""
    received = yield from exchange_shares(session, dealt.suite, heard.context, dealt.polynomial)
    try:
        return zero.finish(dealt.suite, session.me, previous, packages, received)
    finally:
        for share in received.values():
            share.wipe()


def _statement(
    descriptor: Descriptor,
    refreshed: Mapping[SuiteId, KeyShare],
    previous: Statement,
    abandoned: tuple[EpochId, ...],
    transcript: bytes,
) -> Statement:
    return Statement(
        wallet_id=previous.wallet_id,
        number=previous.number + 1,
        previous=previous.epoch_id,
        abandoned=abandoned,
        kind=descriptor.kind,
        threshold=descriptor.threshold,
        roster=descriptor.roster,
        suites=tuple(suite_keys_of(refreshed[suite].public) for suite in descriptor.suites),
        chain_code_hash=previous.chain_code_hash,
        transcript=transcript,
    )


def _wipe(shares: dict[SuiteId, KeyShare]) -> None:
    for share in shares.values():
        share.wipe()
    shares.clear()
