"""Signing: FROST for a batch of messages in the same three rounds, without a coordinator (DESIGN section 5).

1. ``signing_commitments`` (broadcast): one pair for each message, signed by the sender's identity.
2. ``commitment_list`` (broadcast): the hash of everybody's commitments. No share leaves before all hashes agree.
3. ``signature_share`` (broadcast): one for each message.

Every signer aggregates; each signature is verified by a library that is not ours before it is anybody's.

RFC 9591 has a coordinator send the list of commitments; here each signer hears them from their owners, so a second
list for the same commitments takes an owner that signed two, which convicts it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from mpcnode.crypto.ciphersuite import AnyCiphersuite
from mpcnode.crypto.group import Rng
from mpcnode.crypto.signature import SIGNATURE_SIZE
from mpcnode.crypto.verification import SignatureBytes, verify
from mpcnode.errors import DecodeError
from mpcnode.protocols.frost import broadcast as signed
from mpcnode.protocols.frost import round1, round2
from mpcnode.protocols.frost.aggregation import aggregate, verify_signature_share
from mpcnode.protocols.frost.binding import Binding, bind
from mpcnode.protocols.frost.broadcast import DIGEST_SIZE, SignedDigest, SigningKey, digest_of, echo_of, sign_digest
from mpcnode.protocols.frost.packages import KeyPackage, PublicKeyPackage
from mpcnode.protocols.frost.round1 import SigningNonces
from mpcnode.protocols.frost.signing_packages import SignatureShare, SigningCommitments, SigningPackage
from mpcnode.protocols.frost.tweak import tweak_key, tweak_public
from mpcnode.protocols.rounds import Fault, Inconsistent, Plan, Round, Rounds, Witness, broadcast
from mpcnode.protocols.signing_descriptor import SigningDescriptor, SigningMember
from mpcnode.types import Identifier

__all__ = ["SignatureBytes", "SigningDescriptor", "SigningMember", "equivocators", "sign"]

COMMITMENTS: Final = "signing_commitments"
COMMITMENT_LIST: Final = "commitment_list"
SIGNATURE_SHARE: Final = "signature_share"


def sign(
    *,
    descriptor: SigningDescriptor,
    me: Identifier,
    key: KeyPackage,
    public: PublicKeyPackage,
    signer: SigningKey,
    rng: Rng,
    process: Callable[[], object],
) -> Rounds[tuple[SignatureBytes, ...]]:
    """Sign as signer ``me``; a script for ``Execution``. Gives one signature for each message, in order.

    Args:
        descriptor: what all signers agreed on, its messages approved here.
        me: this signer's identifier in the wallet.
        key: this signer's key package; it stays the caller's to wipe.
        public: everybody's verifying shares.
        signer: this node's identity; its key is the descriptor's for ``me``.
        rng: fresh randomness.
        process: says in which process this runs, such as ``os.getpid``: nonces answer only where they were made.

    Raises:
        ValueError: the key is not that of the descriptor, or a signer is none of the wallet; a mistake of the caller.
        RuntimeError: the process is a copy of the one that made the nonces, or arithmetic failed in this node.
    """
    _check(descriptor, me, key, public)
    tweaked = None
    nonces: list[SigningNonces] = []
    yield _plan(descriptor)
    try:
        if descriptor.merkle_root is not None:
            key = tweaked = tweak_key(key, descriptor.merkle_root)
            public = tweak_public(public, descriptor.merkle_root)
        session = _Session(descriptor, descriptor.context, me, key, public, signer)
        born = process()
        # 1. Nonces are made now, for these messages, and nowhere but here.
        nonces.extend(round1.commit(key.suite, key.signing_share, rng) for _ in descriptor.messages)
        everybody = yield from _exchange_commitments(session, [pair.commitments for pair in nonces])
        # 2. Everybody holds the same commitments, or no share leaves.
        yield from _agree(session, everybody)
        bindings = _bind(session, everybody)
        if process() != born:
            raise RuntimeError("these nonces were made in another process, which may answer with them too")
        mine = [round2.sign(binding, pair, key) for binding, pair in zip(bindings, nonces, strict=True)]
        # 3. Every signer adds up and verifies for itself.
        shares = yield from _exchange_shares(session, mine)
        return _finish(session, bindings, shares)
    finally:
        for pair in nonces:
            pair.wipe()
        if tweaked is not None:
            tweaked.wipe()


def equivocators(mine: bytes, theirs: bytes, descriptor: SigningDescriptor) -> frozenset[Identifier]:
    """Name the signers that signed two different sets of commitments: proof against them, whoever shows it.

    None where nobody did: then one of the two who compare told a wrong hash, and it is not known which.

    Args:
        mine: evidence this signer holds.
        theirs: evidence another signer showed.
        descriptor: the session's.

    Raises:
        DecodeError: one of them is not this session's evidence.
    """
    return signed.equivocators(mine, theirs, descriptor)


@dataclass(frozen=True, slots=True)
class _Session:
    descriptor: SigningDescriptor
    context: bytes
    me: Identifier
    key: KeyPackage = field(repr=False)
    public: PublicKeyPackage
    signer: SigningKey

    @property
    def suite(self) -> AnyCiphersuite:
        return self.key.suite


@dataclass(frozen=True, slots=True)
class _Committed:
    """One signer's commitments for all messages, and its signature over them."""

    pairs: tuple[SigningCommitments, ...]
    digest: SignedDigest


def _check(descriptor: SigningDescriptor, me: Identifier, key: KeyPackage, public: PublicKeyPackage) -> None:
    """Refuse what does not belong together before anything is said; nobody else is to blame for it."""
    if key.suite is not descriptor.ciphersuite or public.suite is not descriptor.ciphersuite:
        raise ValueError("the key is not of the session's suite")
    if not key.group_public_key.encode() == public.group_public_key.encode() == descriptor.group_public_key:
        raise ValueError("the key is not the one the session signs for")
    if key.identifier != me or me not in descriptor.participants:
        raise ValueError("this key's owner is not among the signers")
    if descriptor.threshold != key.threshold:
        raise ValueError("the session does not have the wallet's threshold")
    if not public.verifying_shares.keys() >= descriptor.participants.keys():
        raise ValueError("a signer is none of the wallet")


def _plan(descriptor: SigningDescriptor) -> Plan:
    suites, count = descriptor.suites, len(descriptor.messages)
    commitments = len(descriptor.context) + SIGNATURE_SIZE + count * SigningCommitments.size(descriptor.ciphersuite)
    return Plan(
        (
            Round(COMMITMENTS, suites, commitments),
            Round(COMMITMENT_LIST, suites, DIGEST_SIZE),
            Round(SIGNATURE_SHARE, suites, count * SignatureShare.SIZE),
        )
    )


def _exchange_commitments(
    session: _Session, mine: Sequence[SigningCommitments]
) -> Rounds[Mapping[Identifier, _Committed]]:
    """Commit; the context goes first: two sessions, or two messages, must not look like a bad signature."""
    suite, context, me = session.suite, session.context, session.me
    descriptor = session.descriptor

    def accept(sender: Identifier, data: bytes, _echo: bytes | None) -> _Committed:
        if len(data) < len(context) + SIGNATURE_SIZE:
            raise DecodeError("commitments come after a context and a signature")
        if data[: len(context)] != context:
            raise Inconsistent("signers were told different things about this session", [sender])
        signature, listed = data[len(context) :][:SIGNATURE_SIZE], data[len(context) + SIGNATURE_SIZE :]
        digest = SignedDigest(digest_of(context, suite.id, sender, listed), signature)
        if not digest.verify(descriptor, context, suite.id, sender):
            raise Fault("sent commitments with an invalid signature", [sender])
        return _Committed(_decode_commitments(session, sender, listed), digest)

    listed = b"".join(pair.encode() for pair in mine)
    digest = sign_digest(session.signer, context, suite.id, me, digest_of(context, suite.id, me, listed))
    theirs = yield from broadcast(COMMITMENTS, suite.id, context + digest.signature + listed, accept)
    return dict(sorted({**theirs, me: _Committed(tuple(mine), digest)}.items()))


def _decode_commitments(session: _Session, sender: Identifier, listed: bytes) -> tuple[SigningCommitments, ...]:
    size, count = SigningCommitments.size(session.suite), len(session.descriptor.messages)
    if len(listed) != count * size:
        raise DecodeError(f"a pair of commitments for each message is {count * size} bytes, not {len(listed)}")
    pieces = [listed[at : at + size] for at in range(0, len(listed), size)]
    if len(set(pieces)) != count:
        # Whoever answers two messages with one nonce gives its signing share to everybody.
        raise Fault("committed to the same nonces for two messages", [sender])
    return tuple(SigningCommitments.decode(session.suite, piece) for piece in pieces)


def _agree(session: _Session, everybody: Mapping[Identifier, _Committed]) -> Rounds[None]:
    """Compare what was heard; who told two things is found by comparing evidence."""
    suite = session.suite.id
    digests = {i: committed.digest for i, committed in everybody.items()}
    yield Witness(signed.encode_evidence(session.descriptor, {suite: digests}))
    heard = echo_of(session.context, suite, digests)

    def accept(sender: Identifier, data: bytes, _echo: bytes | None) -> None:
        if len(data) != DIGEST_SIZE:
            raise DecodeError(f"the hash of a commitment list is {DIGEST_SIZE} bytes, not {len(data)}")
        if data != heard:
            # An honest sender shows what it heard; without that it is the first to be suspected.
            raise Inconsistent("signers heard different commitments", [sender])

    yield from broadcast(COMMITMENT_LIST, suite, heard, accept)


def _bind(session: _Session, everybody: Mapping[Identifier, _Committed]) -> list[Binding]:
    bindings = []
    for k, message in enumerate(session.descriptor.messages):
        commitments = {i: committed.pairs[k] for i, committed in everybody.items()}
        bindings.append(bind(SigningPackage(session.suite, commitments, message), session.key.group_public_key))
    return bindings


def _exchange_shares(
    session: _Session, mine: Sequence[SignatureShare]
) -> Rounds[Mapping[Identifier, Sequence[SignatureShare]]]:
    size, count = SignatureShare.SIZE, len(mine)

    def accept(_sender: Identifier, data: bytes, _echo: bytes | None) -> Sequence[SignatureShare]:
        if len(data) != count * size:
            raise DecodeError(f"a share for each message is {count * size} bytes, not {len(data)}")
        return [SignatureShare.decode(session.suite, data[at : at + size]) for at in range(0, len(data), size)]

    data = b"".join(share.encode() for share in mine)
    theirs = yield from broadcast(SIGNATURE_SHARE, session.suite.id, data, accept)
    return {**theirs, session.me: mine}


def _finish(
    session: _Session, bindings: Sequence[Binding], shares: Mapping[Identifier, Sequence[SignatureShare]]
) -> tuple[SignatureBytes, ...]:
    """Aggregate and verify; that the sum is right is all the signature needs, so shares are checked where it is not."""
    suite, verifying_key = session.suite, session.key.group_public_key.encode()
    signatures = []
    for k, binding in enumerate(bindings):
        answers = {i: listed[k] for i, listed in shares.items()}
        signature = suite.encode_signature(aggregate(binding, answers))
        if not verify(suite.id, verifying_key, binding.package.message, signature):
            _blame(session, binding, answers)
        signatures.append(SignatureBytes(signature))
    return tuple(signatures)


def _blame(session: _Session, binding: Binding, answers: Mapping[Identifier, SignatureShare]) -> None:
    verifying_shares = session.public.verifying_shares
    wrong = [i for i, z_i in answers.items() if not verify_signature_share(binding, i, z_i, verifying_shares[i])]
    culprits = [i for i in wrong if i != session.me]
    if not culprits:
        raise RuntimeError("a signature of valid shares does not verify: this node's arithmetic cannot be trusted")
    raise Fault("sent an invalid signature share", culprits)
