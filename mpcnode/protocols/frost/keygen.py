"""Key generation: PedPop for all suites of a wallet in the same rounds, and a certificate around it.

PROTOCOL, Key generation:

1. ``digest`` (broadcast): fresh bytes, and signed hashes of everything to come in round 2. They make the context.
2. ``commitment`` (broadcast): the commitments, parts of chain code and document key, a hash of everything heard.
3. checkpoint ``ConfirmWords``: people compare the safety words. No share leaves before.
4. ``share`` (to each its own): sealed to its recipient.
5. checkpoint ``StorePending``: the shares are durable.
6. ``ready`` (broadcast): the signature over the epoch id.
7. checkpoint ``StoreActive``: all n signatures, the certificate, are durable. The result stands.
8. ``wallet_created`` (broadcast): last words.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mpcnode.crypto import tags
from mpcnode.crypto.ciphersuite import CIPHERSUITES, AnyCiphersuite
from mpcnode.crypto.group import Rng
from mpcnode.crypto.polynomial import Polynomial
from mpcnode.crypto.transcript import listed, safety_words, tagged_hash
from mpcnode.errors import DecodeError
from mpcnode.protocols.checkpoints import ConfirmWords, KeyResult, StoreActive, StorePending
from mpcnode.protocols.descriptor import FRESH_SIZE, KEYGEN, Descriptor
from mpcnode.protocols.epoch import WALLET_ID_SIZE, Statement, chain_code_hash_of, wallet_id_of
from mpcnode.protocols.frost import pedpop
from mpcnode.protocols.frost.broadcast import contribution_digest_of, digest_of
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
from mpcnode.protocols.frost.held import suite_keys_of
from mpcnode.protocols.frost.packages import Round1Package
from mpcnode.protocols.frost.pedpop import KeyShare
from mpcnode.protocols.rounds import Fault, Plan, Round, Rounds, checkpoint, conclude, parallel
from mpcnode.types import Identifier, SuiteId

__all__ = ["Signer", "equivocators", "keygen"]

WALLET_CREATED: Final = "wallet_created"
PART_SIZE: Final = 32
CONTRIBUTION_SIZE: Final = 2 * PART_SIZE
"""A part of the chain code, then a part of the document key."""


def keygen(*, descriptor: Descriptor, me: Identifier, signer: Signer, rng: Rng) -> Rounds[KeyResult]:
    """Run key generation as participant ``me``; a script for ``Execution``.

    Args:
        descriptor: what all participants agreed on.
        me: this participant's identifier.
        signer: this node's identity; its key is the roster's for ``me``.
        rng: fresh randomness. Drawn in this order: 32 fresh bytes, 64 of the contribution, then suite by suite the
            coefficients and the nonce of the proof, then what sealing takes.

    Raises:
        ValueError: the descriptor is of another kind; a mistake of the caller.
    """
    if descriptor.kind != KEYGEN:
        raise ValueError("this descriptor is not of a key generation")
    session = Session(descriptor, me, signer, rng)
    suites = descriptor.suites
    dealt: dict[SuiteId, _Dealt] = {}
    shares: dict[SuiteId, KeyShare] = {}
    secrets: list[bytearray] = []
    yield _plan(descriptor)
    try:
        fresh = rng(FRESH_SIZE)
        contribution = bytearray(rng(CONTRIBUTION_SIZE))
        secrets.append(contribution)
        for suite in suites:
            dealt[suite] = _Dealt(*pedpop.commit(CIPHERSUITES[suite], me, descriptor.threshold, rng))
        # 1. Nobody can choose its commitment after seeing another's.
        heard = yield from exchange_promises(session, fresh, _digests(session, fresh, contribution, dealt))
        # 2. Everybody holds the same commitments, or it shows here.
        revealed = yield from parallel(
            (COMMITMENT,),
            {
                None: exchange_commitments(session, heard, None, bytes(contribution), _read_contribution),
                **{suite: _exchange_commitments(session, heard, dealt[suite]) for suite in suites},
            },
        )
        parts: Mapping[Identifier, bytes] = revealed[None]
        packages: dict[SuiteId, Mapping[Identifier, Round1Package]] = {suite: revealed[suite] for suite in suites}
        # 3. Nobody stands between people who see the same words.
        yield from checkpoint(ConfirmWords(_words(session, heard, packages)))
        # 4. Each share is seen by its recipient alone.
        received = yield from parallel(
            (SHARE,), {suite: _exchange_shares(session, heard, dealt[suite], packages[suite]) for suite in suites}
        )
        shares.update(received)
        # 5. What this node promises next must survive it.
        chain_code, document_key = _draw(heard, parts)
        secrets += [chain_code, document_key]
        statement = _statement(session, heard, packages, shares, chain_code)
        signature = signer.sign(tags.READY, statement.epoch_id)
        yield from checkpoint(StorePending(statement, me, dict(shares), chain_code, document_key, signature))
        _wipe(shares, secrets)
        # 6. and 7. All promises together are the certificate.
        certificate = yield from certify(session, statement, signature)
        yield from checkpoint(StoreActive(certificate))
        result = KeyResult(statement, certificate)
        yield from conclude(result)
        # 8. Nobody leaves before it knows that the others have the wallet too, or long enough after.
        yield from say_done(WALLET_CREATED, statement.wallet_id)
        return result
    finally:
        for deal in dealt.values():
            deal.polynomial.wipe()
        _wipe(shares, secrets)


@dataclass(frozen=True, slots=True)
class _Dealt:
    """What this participant drew for one suite."""

    polynomial: Polynomial[Any, Any]
    package: Round1Package

    @property
    def suite(self) -> AnyCiphersuite:
        return self.package.suite


def _plan(descriptor: Descriptor) -> Plan:
    suites = descriptor.suites
    longest = max(Round1Package.size(CIPHERSUITES[suite], descriptor.threshold) for suite in suites)
    return Plan(
        (
            digest_round(descriptor),
            Round(COMMITMENT, (None, *suites), max(longest, CONTRIBUTION_SIZE), phase="revealing", seconds=SECONDS),
            share_round(descriptor, users=True),
            ready_round(users=True),
            last_words_round(WALLET_CREATED, WALLET_ID_SIZE),
        )
    )


def _digests(session: Session, fresh: bytes, contribution: bytearray, dealt: Mapping[SuiteId, _Dealt]) -> list[bytes]:
    agreed, me = session.descriptor.agreed, session.me
    return [
        contribution_digest_of(agreed, me, fresh, contribution),
        *(digest_of(agreed, suite, me, fresh, deal.package.encode()) for suite, deal in dealt.items()),
    ]


def _read_contribution(_dealer: Identifier, data: bytes) -> bytes:
    if len(data) != CONTRIBUTION_SIZE:
        raise DecodeError(f"parts of the chain code and the document key are {CONTRIBUTION_SIZE} bytes")
    return data


def _exchange_commitments(session: Session, heard: Heard, dealt: _Dealt) -> Rounds[Any]:
    """Reveal the commitments of one suite, each with a proof of knowledge."""
    suite, threshold = dealt.suite, session.descriptor.threshold

    def read(dealer: Identifier, data: bytes) -> Round1Package:
        if dealer == session.me:
            return dealt.package
        package = Round1Package.decode(suite, threshold, data)
        if not pedpop.verify_proof_of_knowledge(dealer, package):
            raise Fault("sent an invalid proof of knowledge", [dealer])
        return package

    return (yield from exchange_commitments(session, heard, suite.id, dealt.package.encode(), read))


def _words(
    session: Session, heard: Heard, packages: Mapping[SuiteId, Mapping[Identifier, Round1Package]]
) -> tuple[str, str, str, str, str, str]:
    """Give the safety words: ``tagged_hash(SAFETY_WORDS, context, u64 count, package*)``, suite by suite."""
    encoded = [package.encode() for suite in session.descriptor.suites for package in packages[suite].values()]
    return safety_words(tagged_hash(tags.SAFETY_WORDS, heard.context, *listed(encoded)))


def _exchange_shares(
    session: Session, heard: Heard, dealt: _Dealt, packages: Mapping[Identifier, Round1Package]
) -> Rounds[KeyShare]:
    """Deal, check what comes, and add it up."""
    shares = yield from exchange_shares(session, dealt.suite, heard.context, dealt.polynomial)
    try:
        return pedpop.finish(dealt.suite, session.me, packages, shares)
    finally:
        for share in shares.values():
            share.wipe()


def _draw(heard: Heard, parts: Mapping[Identifier, bytes]) -> tuple[bytearray, bytearray]:
    """Make chain code and document key of everybody's parts, by ascending identifier; the caller wipes both."""
    chain = [parts[i][:PART_SIZE] for i in sorted(parts)]
    document = [parts[i][PART_SIZE:] for i in sorted(parts)]
    return (
        bytearray(tagged_hash(tags.CHAIN_CODE, heard.context, *chain)),
        bytearray(tagged_hash(tags.DOCUMENT_KEY, heard.context, *document)),
    )


def _statement(
    session: Session,
    heard: Heard,
    packages: Mapping[SuiteId, Mapping[Identifier, Round1Package]],
    shares: Mapping[SuiteId, KeyShare],
    chain_code: bytearray,
) -> Statement:
    descriptor = session.descriptor
    encoded = {suite: {i: package.encode() for i, package in packages[suite].items()} for suite in descriptor.suites}
    return Statement(
        wallet_id=wallet_id_of(heard.context),
        number=0,
        previous=None,
        abandoned=(),
        kind=descriptor.kind,
        threshold=descriptor.threshold,
        roster=descriptor.roster,
        suites=tuple(suite_keys_of(shares[suite].public) for suite in descriptor.suites),
        chain_code_hash=chain_code_hash_of(chain_code),
        transcript=transcript_of(heard, encoded, descriptor.suites),
    )


def _wipe(shares: dict[SuiteId, KeyShare], secrets: list[bytearray]) -> None:
    for share in shares.values():
        share.wipe()
    shares.clear()
    for secret in secrets:
        secret[:] = bytes(len(secret))
