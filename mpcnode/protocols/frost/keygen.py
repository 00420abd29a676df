"""Key generation: PedPop for all suites of a wallet in the same rounds, and a certificate around it (DESIGN section 5).

1. ``commitment_digest`` (broadcast): the signed hash of the commitment to come.
2. ``commitment`` (broadcast): the commitment, and a hash of every digest heard.
3. checkpoint ``ConfirmWords``: people compare the safety words. No share leaves before.
4. ``share`` (to each its own): sealed to its recipient.
5. checkpoint ``StorePending``: the key packages are durable.
6. ``ready`` (broadcast): the signature over the transcript.
7. checkpoint ``StoreActive``: all n signatures, the certificate, are durable.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from mpcnode.crypto.ciphersuite import CIPHERSUITES, AnyCiphersuite
from mpcnode.crypto.group import Rng, Scalar
from mpcnode.crypto.polynomial import Polynomial
from mpcnode.crypto.signature import verify
from mpcnode.crypto.transcript import safety_words, tagged_hash
from mpcnode.protocols.certificate import READY_CONTEXT, READY_SIZE, Certificate, decode_ready, encode_ready
from mpcnode.protocols.descriptor import Descriptor, Member
from mpcnode.protocols.frost import pedpop
from mpcnode.protocols.frost.broadcast import (
    SIGNED_DIGEST_SIZE,
    SignedDigest,
    SigningKey,
    digest_of,
    echo_of,
    encode_evidence,
    equivocators,
    sign_digest,
)
from mpcnode.protocols.frost.packages import Round1Package, Round2Package
from mpcnode.protocols.frost.pedpop import KeyShare
from mpcnode.protocols.rounds import (
    Fault,
    Inconsistent,
    Plan,
    Round,
    Rounds,
    Witness,
    broadcast,
    checkpoint,
    direct,
    parallel,
)
from mpcnode.types import Identifier, IdentityKey, PeerId, SuiteId

__all__ = [
    "ConfirmWords",
    "Descriptor",
    "KeyShare",
    "KeygenResult",
    "Member",
    "Signer",
    "StoreActive",
    "StorePending",
    "equivocators",
    "keygen",
]

_SHARE_TAG: Final = "mpcnode/share/v1"
_WORDS_TAG: Final = "mpcnode/safety-words/v1"
_TRANSCRIPT_TAG: Final = "mpcnode/keygen-transcript/v1"
_SEALED_LIMIT: Final = Round2Package.SIZE + 256
"""What sealing may add to a share's bytes is the identity's business, within reason."""


class Signer(SigningKey, Protocol):
    """What key generation needs of this node's identity."""

    def seal(self, recipient: IdentityKey, plaintext: bytes, aad: bytes, rng: Rng) -> bytes:
        """Encrypt to ``recipient``, authenticated as from us, bound to ``aad``."""
        ...

    def open(self, sender: IdentityKey, sealed: bytes, aad: bytes) -> bytearray:
        """Decrypt what ``sender`` sealed to us for ``aad``; raise ``DecodeError`` for anything else."""
        ...


@dataclass(frozen=True, slots=True)
class ConfirmWords:
    """Checkpoint: show ``words``; confirm when the user found the same on every screen, or nobody needs to be asked."""

    words: tuple[str, str, str, str, str, str]


@dataclass(frozen=True, slots=True)
class StorePending:
    """Checkpoint: store this durably as a pending wallet, and read it back, before confirming.

    Args:
        descriptor: what was agreed on.
        identifier: this participant's.
        shares: key packages by suite; secrets, which stay the execution's to wipe until it has finished.
        transcript: what everybody will sign.
        ready: this participant's own signature over it, which will leave the node next.
    """

    descriptor: Descriptor
    identifier: Identifier
    shares: Mapping[SuiteId, KeyShare] = field(repr=False)
    transcript: bytes
    ready: bytes


@dataclass(frozen=True, slots=True)
class StoreActive:
    """Checkpoint: store the certificate with the wallet, which makes it active, before confirming."""

    certificate: Certificate


@dataclass(frozen=True, slots=True)
class KeygenResult:
    """A wallet's key, as one participant has it.

    Args:
        descriptor: what was agreed on.
        identifier: this participant's.
        shares: by suite, in the descriptor's order; the caller wipes them.
        transcript: the hash of everything said.
        certificate: everybody's signature over it.
    """

    descriptor: Descriptor
    identifier: Identifier
    shares: Mapping[SuiteId, KeyShare] = field(repr=False)
    transcript: bytes
    certificate: Certificate

    @property
    def group_public_keys(self) -> Mapping[SuiteId, bytes]:
        """Each suite's group public key, encoded."""
        return {suite: share.public.group_public_key.encode() for suite, share in self.shares.items()}


def keygen(*, descriptor: Descriptor, me: Identifier, signer: Signer, rng: Rng) -> Rounds[KeygenResult]:
    """Run key generation as participant ``me``; a script for ``Execution``.

    Args:
        descriptor: what all participants agreed on.
        me: this participant's identifier.
        signer: this node's identity; its key is the roster's for ``me``.
        rng: fresh randomness.
    """
    session = _Session(descriptor, descriptor.context, me, signer, rng)
    suites = [CIPHERSUITES[suite] for suite in descriptor.suites]
    dealt: dict[SuiteId, _Dealt] = {}
    shares: dict[SuiteId, KeyShare] = {}
    done = False
    yield _plan(descriptor)
    try:
        for suite in suites:
            dealt[suite.id] = _Dealt(*pedpop.commit(suite, me, descriptor.threshold, rng))
        # 1. Nobody can choose its commitment after seeing another's.
        digests = yield from parallel({s: _exchange_digests(session, d) for s, d in dealt.items()})
        yield Witness(encode_evidence(descriptor, digests))
        # 2. Everybody holds the same commitments, or it shows here.
        packages = yield from parallel({s: _exchange_commitments(session, d, digests[s]) for s, d in dealt.items()})
        # 3. Nobody stands between people who see the same words.
        words = safety_words(_hash_packages(_WORDS_TAG, session, packages))
        yield from checkpoint(ConfirmWords(words))
        # 4. Each share is seen by its recipient alone.
        received = yield from parallel({s: _exchange_shares(session, d, packages[s]) for s, d in dealt.items()})
        shares.update(received)
        # 5. What this node promises next must survive it.
        transcript = _transcript(session, digests, packages, shares)
        signature = signer.sign(READY_CONTEXT, transcript)
        yield from checkpoint(StorePending(descriptor, me, shares, transcript, signature))
        # 6. and 7. All promises together are the certificate.
        certificate = yield from _certify(session, transcript, signature)
        yield from checkpoint(StoreActive(certificate))
        done = True
        return KeygenResult(descriptor, me, shares, transcript, certificate)
    finally:
        for deal in dealt.values():
            deal.polynomial.wipe()
        if not done:
            for share in shares.values():
                share.wipe()


@dataclass(frozen=True, slots=True)
class _Session:
    descriptor: Descriptor
    context: bytes
    me: Identifier
    signer: Signer
    rng: Rng

    @property
    def others(self) -> list[Identifier]:
        return [i for i in self.descriptor.participants if i != self.me]


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
    commitment = max(Round1Package.size(CIPHERSUITES[suite], descriptor.threshold) for suite in suites)
    return Plan(
        (
            Round("commitment_digest", suites, len(descriptor.context) + SIGNED_DIGEST_SIZE),
            Round("commitment", suites, commitment),
            Round("share", suites, _SEALED_LIMIT),
            Round("ready", (None,), READY_SIZE),
        )
    )


def _exchange_digests(session: _Session, dealt: _Dealt) -> Rounds[Mapping[Identifier, SignedDigest]]:
    """Say which commitment will come; the context goes first: two sessions must not look like a bad signature."""
    suite, context, me = dealt.suite.id, session.context, session.me

    def accept(dealer: Identifier, data: bytes, _echo: bytes | None) -> SignedDigest:
        signed = SignedDigest.decode(data[len(context) :])
        if data[: len(context)] != context:
            raise Inconsistent("participants were told different things about this session")
        if not signed.verify(session.descriptor, context, suite, dealer):
            raise Fault("sent a digest with an invalid signature", [dealer])
        return signed

    digest = digest_of(context, suite, me, dealt.package.encode())
    mine = sign_digest(session.signer, context, suite, me, digest)
    theirs = yield from broadcast("commitment_digest", suite, context + mine.encode(), accept)
    return dict(sorted({**theirs, me: mine}.items()))


def _exchange_commitments(
    session: _Session, dealt: _Dealt, digests: Mapping[Identifier, SignedDigest]
) -> Rounds[Mapping[Identifier, Round1Package]]:
    """Reveal the commitments; each must be the one its digest promised, with a proof of knowledge."""
    suite, context, me = dealt.suite, session.context, session.me
    mine_heard = echo_of(context, suite.id, digests)

    def accept(dealer: Identifier, data: bytes, echo: bytes | None) -> Round1Package:
        if digest_of(context, suite.id, dealer, data) != digests[dealer].digest:
            # Where it told others another digest, the echoes say so; what it revealed is wrong either way.
            raise Fault("revealed another commitment than it promised", [dealer])
        package = Round1Package.decode(suite, session.descriptor.threshold, data)
        if not pedpop.verify_proof_of_knowledge(dealer, package):
            raise Fault("sent an invalid proof of knowledge", [dealer])
        if echo != mine_heard:
            raise Inconsistent("participants heard different commitment digests")
        return package

    theirs = yield from broadcast("commitment", suite.id, dealt.package.encode(), accept, mine_heard)
    return dict(sorted({**theirs, me: dealt.package}.items()))


def _exchange_shares(
    session: _Session, dealt: _Dealt, packages: Mapping[Identifier, Round1Package]
) -> Rounds[KeyShare]:
    """Send each participant its share, check what comes, and add it up."""
    suite, me, identity_key = dealt.suite, session.me, session.descriptor.identity_key
    shares: dict[Identifier, Scalar] = {}

    def accept(dealer: Identifier, data: bytes, _echo: bytes | None) -> None:
        opened = session.signer.open(identity_key(dealer), data, _share_aad(session, suite.id, dealer, me))
        try:
            shares[dealer] = Round2Package.decode(suite, opened).signing_share
        finally:
            opened[:] = bytes(len(opened))

    try:
        shares[me] = dealt.polynomial.evaluate(me)
        sealed = _seal_shares(session, dealt)
        # The paper deletes f_i and each share here; nothing is evaluated from it again.
        dealt.polynomial.wipe()
        yield from direct("share", suite.id, sealed, accept)
        return pedpop.finish(suite, me, packages, shares)
    finally:
        for share in shares.values():
            share.wipe()


def _seal_shares(session: _Session, dealt: _Dealt) -> Mapping[Identifier, bytes]:
    sealed: dict[Identifier, bytes] = {}
    for recipient, share in pedpop.deal(dealt.polynomial, session.others).items():
        package = Round2Package(dealt.suite, share)
        encoded = package.encode()
        aad = _share_aad(session, dealt.suite.id, session.me, recipient)
        key = session.descriptor.identity_key(recipient)
        sealed[recipient] = session.signer.seal(key, bytes(encoded), aad, session.rng)
        encoded[:] = bytes(len(encoded))
        package.wipe()
    return sealed


def _share_aad(session: _Session, suite: SuiteId, dealer: Identifier, recipient: Identifier) -> bytes:
    """Bind a sealed share to its place: nobody can pass it on as another's, or in another session."""
    return tagged_hash(
        _SHARE_TAG, session.context, suite.encode(), dealer.to_bytes(2, "big"), recipient.to_bytes(2, "big")
    )


def _certify(session: _Session, transcript: bytes, signature: bytes) -> Rounds[Certificate]:
    """Exchange signatures over the transcript; everybody's together are the certificate."""
    names = session.descriptor.participants

    def accept(sender: Identifier, data: bytes, _echo: bytes | None) -> bytes:
        theirs, signed = decode_ready(data)
        if theirs != transcript:
            # Everybody holds the same digests and commitments, so an honest participant's transcript is ours.
            raise Fault("says ready for another transcript", [sender])
        if not verify(session.descriptor.identity_key(sender), READY_CONTEXT, transcript, signed):
            raise Fault("sent an invalid signature over the transcript", [sender])
        return signed

    everybody = yield from broadcast("ready", None, encode_ready(transcript, signature), accept)
    signatures: dict[PeerId, bytes] = {names[i]: signed for i, signed in everybody.items()}
    return Certificate(transcript, {**signatures, names[session.me]: signature})


def _hash_packages(
    tag: str, session: _Session, packages: Mapping[SuiteId, Mapping[Identifier, Round1Package]], *more: bytes
) -> bytes:
    encoded = [package.encode() for suite in session.descriptor.suites for package in packages[suite].values()]
    return tagged_hash(tag, session.context, *encoded, *more)


def _transcript(
    session: _Session,
    digests: Mapping[SuiteId, Mapping[Identifier, SignedDigest]],
    packages: Mapping[SuiteId, Mapping[Identifier, Round1Package]],
    shares: Mapping[SuiteId, KeyShare],
) -> bytes:
    """Hash what the wallet is: descriptor, every digest and commitment, group keys, all verifying shares."""
    heard = [signed.digest for suite in session.descriptor.suites for signed in digests[suite].values()]
    keys = [shares[suite].public.encode() for suite in session.descriptor.suites]
    return _hash_packages(_TRANSCRIPT_TAG, session, packages, *heard, *keys)
