"""Signing: FROST for a batch of messages in the same three rounds, without a coordinator.

PROTOCOL, Signing:

1. ``nonces`` (broadcast): fresh bytes, and one pair of nonce commitments for each message, signed by the sender.
2. ``nonce_list`` (broadcast): the hash of everybody's commitments. No share leaves before all hashes agree.
3. ``signature_share`` (broadcast): one for each message.

Every signer aggregates; each signature is verified by a library that is not ours before it is anybody's.

RFC 9591 has a coordinator send the list of commitments; here each signer hears them from their owners, so a second
list for the same commitments takes an owner that signed two, which convicts it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from mpcnode.crypto import tags
from mpcnode.crypto.ciphersuite import CIPHERSUITES, AnyCiphersuite
from mpcnode.crypto.group import Rng
from mpcnode.crypto.schemes import SignatureBytes
from mpcnode.crypto.signature import SIGNATURE_SIZE
from mpcnode.crypto.suites import verify
from mpcnode.crypto.transcript import tagged_hash, u64
from mpcnode.errors import DecodeError
from mpcnode.protocols.descriptor import FRESH_SIZE, context
from mpcnode.protocols.frost import broadcast as promises
from mpcnode.protocols.frost import round1, round2
from mpcnode.protocols.frost.adjusting import adjust_key, adjust_public
from mpcnode.protocols.frost.aggregation import aggregate, verify_signature_share
from mpcnode.protocols.frost.binding import Binding, bind
from mpcnode.protocols.frost.broadcast import (
    BOUND_SIZE,
    DIGEST_SIZE,
    Promise,
    SigningKey,
    digest_of,
    echo_of,
    encode_evidence,
    promise,
)
from mpcnode.protocols.frost.packages import KeyPackage, PublicKeyPackage
from mpcnode.protocols.frost.round1 import SigningNonces
from mpcnode.protocols.frost.signing_packages import SignatureShare, SigningCommitments, SigningPackage
from mpcnode.protocols.rounds import Fault, Inconsistent, Plan, Round, Rounds, ViewsDiffer, Witness, broadcast
from mpcnode.protocols.signing_descriptor import MAX_MESSAGES, SigningDescriptor
from mpcnode.types import Identifier

__all__ = ["SignatureBytes", "equivocators", "sign"]

NONCES: Final = "nonces"
NONCE_LIST: Final = "nonce_list"
SIGNATURE_SHARE: Final = "signature_share"

SECONDS: Final = 60
"""How long the others may take for one round."""
HEAD_SIZE: Final = BOUND_SIZE + FRESH_SIZE + SIGNATURE_SIZE
"""What stands before the commitments: the descriptor's hash, fresh bytes, a signature."""


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
        key: this signer's key package, as it is stored; it stays the caller's to wipe.
        public: everybody's verifying shares, as they are stored.
        signer: this node's identity; its key is the descriptor's for ``me``.
        rng: fresh randomness. Drawn in this order: 32 fresh bytes, then message by message 32 for the hiding and 32 for
            the binding nonce.
        process: says in which process this runs, such as ``os.getpid``: nonces answer only where they were made.

    Raises:
        ValueError: the key is not that of the descriptor, or a signer is not of the wallet; a mistake of the caller.
        RuntimeError: the process is a copy of the one that made the nonces, or arithmetic failed in this node.
    """
    _check(descriptor, me, key, public)
    adjusted = None
    nonces: list[SigningNonces] = []
    yield _plan(descriptor)
    try:
        adjusted = adjust_key(key, descriptor.adjustments)
        session = _Session(descriptor, me, adjusted, public, signer)
        born = process()
        # 1. Nonces are made now, for these messages, and nowhere but here.
        fresh = rng(FRESH_SIZE)
        for k in range(len(descriptor.messages)):
            randomness = nonce_randomness(rng, descriptor.hash, k)
            nonces.append(round1.commit(adjusted.suite, adjusted.signing_share, randomness))
        everybody = yield from _exchange_commitments(session, fresh, [pair.commitments for pair in nonces])
        # 2. Everybody holds the same commitments, or no share leaves.
        yield from _agree(session, everybody)
        bindings = _bind(session, everybody, nonces)
        if process() != born:
            raise RuntimeError("these nonces were made in another process, which may answer with them too")
        mine = [round2.sign(binding, pair, adjusted) for binding, pair in zip(bindings, nonces, strict=True)]
        # 3. Every signer adds up and verifies for itself.
        shares = yield from _exchange_shares(session, mine)
        return _finish(session, bindings, shares)
    finally:
        for pair in nonces:
            pair.wipe()
        if adjusted is not None:
            adjusted.wipe()


def nonce_randomness(rng: Rng, bound: bytes, index: int) -> Rng:
    """Bind the randomness of one pair of nonces to its session and message.

    ``tagged_hash(NONCE, 32 random bytes, bound, u64 index, "hiding" or "binding")``. Where randomness repeats, in a
    copy of a machine or for want of a source, the nonces of two sessions or two messages still differ.

    Args:
        rng: fresh randomness, of which each nonce takes 32 bytes.
        bound: the descriptor's hash.
        index: of the message, from 0.

    Returns:
        What ``round1.commit`` draws twice, for the hiding nonce and then for the binding nonce.
    """
    which: Iterator[bytes] = iter((b"hiding", b"binding"))
    return lambda size: tagged_hash(tags.NONCE, rng(size), bound, u64(index), next(which))


def equivocators(mine: bytes, theirs: bytes, descriptor: SigningDescriptor) -> frozenset[Identifier]:
    """Name the signers that signed two different sets of commitments: proof against them, from anybody's hand.

    Nobody is named where nobody did: then one of the two who compare told a wrong hash, and it is not known which.

    Args:
        mine: evidence this signer holds.
        theirs: evidence another signer showed.
        descriptor: the session's.

    Raises:
        DecodeError: one of them does not have the form of this session's evidence.
    """
    return promises.equivocators(mine, theirs, bound=descriptor.hash, keys=descriptor.identity_keys, count=1)


@dataclass(frozen=True, slots=True)
class _Session:
    descriptor: SigningDescriptor
    me: Identifier
    key: KeyPackage = field(repr=False)
    """After the adjustments."""
    public: PublicKeyPackage
    """Before the adjustments, which only a wrong share makes necessary."""
    signer: SigningKey

    @property
    def suite(self) -> AnyCiphersuite:
        return self.key.suite

    @property
    def bound(self) -> bytes:
        return self.descriptor.hash


@dataclass(frozen=True, slots=True)
class _Committed:
    """One signer's commitments for all messages, and its signature over them."""

    pairs: tuple[SigningCommitments, ...]
    promise: Promise


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
        raise ValueError("a signer is not of the wallet")
    if public.verifying_shares[me] != key.verifying_share:
        raise ValueError("the key and the verifying shares are of different epochs")


def _plan(descriptor: SigningDescriptor) -> Plan:
    count = len(descriptor.messages)
    # Long enough for any session: a signer that was told of another one is not to blame for it.
    commitments = HEAD_SIZE + MAX_MESSAGES * max(SigningCommitments.size(suite) for suite in CIPHERSUITES.values())
    shares = count * SignatureShare.SIZE
    return Plan(
        (
            Round(NONCES, (None,), commitments, phase="committing", seconds=SECONDS),
            Round(NONCE_LIST, (None,), DIGEST_SIZE, phase="agreeing", seconds=SECONDS),
            Round(SIGNATURE_SHARE, (None,), shares, phase="signing", seconds=SECONDS, heard=True),
        )
    )


def _exchange_commitments(
    session: _Session, fresh: bytes, mine: Sequence[SigningCommitments]
) -> Rounds[Mapping[Identifier, _Committed]]:
    """Commit. The data is ``descriptor hash || fresh || signature || commitments``.

    The hash goes first and is compared first: two sessions, or two messages, must not look like a bad message. The
    proposer may have told two stories, so a difference names nobody.
    """
    suite, bound, me = session.suite, session.bound, session.me
    descriptor = session.descriptor

    def accept(sender: Identifier, data: bytes, _echo: bytes | None) -> _Committed:
        if len(data) >= BOUND_SIZE and data[:BOUND_SIZE] != bound:
            # Proof of nothing: the proposer may have told two stories. A proposer that told one asks another signer.
            raise ViewsDiffer("signers were told different things about this session", [sender])
        if len(data) < HEAD_SIZE:
            raise DecodeError("commitments come after a hash, fresh bytes and a signature")
        theirs, signature, listed = (
            data[BOUND_SIZE : BOUND_SIZE + FRESH_SIZE],
            data[BOUND_SIZE + FRESH_SIZE : HEAD_SIZE],
            data[HEAD_SIZE:],
        )
        said = Promise(theirs, (digest_of(bound, suite.id, sender, theirs, listed),), signature)
        if not said.verify(descriptor.identity_key(sender), bound, sender):
            raise Fault("sent commitments with an invalid signature", [sender])
        return _Committed(_decode_commitments(session, sender, listed), said)

    listed = b"".join(pair.encode() for pair in mine)
    said = promise(session.signer, bound, me, fresh, [digest_of(bound, suite.id, me, fresh, listed)])
    theirs = yield from broadcast(NONCES, None, bound + fresh + said.signature + listed, accept)
    return dict(sorted({**theirs, me: _Committed(tuple(mine), said)}.items()))


def _decode_commitments(session: _Session, sender: Identifier, listed: bytes) -> tuple[SigningCommitments, ...]:
    size, count = SigningCommitments.size(session.suite), len(session.descriptor.messages)
    if len(listed) != count * size:
        raise DecodeError(f"a pair of commitments for each message is {count * size} bytes, not {len(listed)}")
    pieces = [listed[at : at + size] for at in range(0, len(listed), size)]
    if len(set(pieces)) != count:
        # A signer that answers two messages with one nonce gives its signing share to everybody.
        raise Fault("committed to the same nonces for two messages", [sender])
    return tuple(SigningCommitments.decode(session.suite, piece) for piece in pieces)


def _agree(session: _Session, everybody: Mapping[Identifier, _Committed]) -> Rounds[None]:
    """Compare what was heard; a signer that told two things is found by comparing evidence."""
    said = {i: committed.promise for i, committed in everybody.items()}
    yield Witness(encode_evidence(session.bound, said))
    heard = echo_of(context(session.bound, {i: one.fresh for i, one in said.items()}), said)

    def accept(sender: Identifier, data: bytes, _echo: bytes | None) -> None:
        if len(data) != DIGEST_SIZE:
            raise DecodeError(f"the hash of a commitment list is {DIGEST_SIZE} bytes, not {len(data)}")
        if data != heard:
            # An honest sender shows what it heard; without that it is the first to be suspected.
            raise Inconsistent("signers heard different commitments", [sender])

    yield from broadcast(NONCE_LIST, None, heard, accept)


def _bind(
    session: _Session, everybody: Mapping[Identifier, _Committed], nonces: Sequence[SigningNonces]
) -> list[Binding]:
    bindings = []
    for k, message in enumerate(session.descriptor.messages):
        commitments = {i: committed.pairs[k] for i, committed in everybody.items()}
        package = SigningPackage(session.suite, commitments, message)
        bindings.append(bind(package, session.key.group_public_key, own=nonces[k]))
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
    theirs = yield from broadcast(SIGNATURE_SHARE, None, data, accept)
    return {**theirs, session.me: mine}


def _finish(
    session: _Session, bindings: Sequence[Binding], shares: Mapping[Identifier, Sequence[SignatureShare]]
) -> tuple[SignatureBytes, ...]:
    """Aggregate and verify; that the sum is right is all the signature needs, so shares are checked where it is not."""
    suite, verifying_key = session.suite, session.descriptor.verifying_key
    signatures = []
    for k, binding in enumerate(bindings):
        answers = {i: listed[k] for i, listed in shares.items()}
        signature = suite.encode_signature(aggregate(binding, answers))
        if not verify(suite.id, verifying_key, binding.package.message, signature):
            _blame(session, binding, answers)
        signatures.append(SignatureBytes(signature))
    return tuple(signatures)


def _blame(session: _Session, binding: Binding, answers: Mapping[Identifier, SignatureShare]) -> None:
    verifying_shares = adjust_public(session.public, session.descriptor.adjustments).verifying_shares
    wrong = [i for i, z_i in answers.items() if not verify_signature_share(binding, i, z_i, verifying_shares[i])]
    culprits = [i for i in wrong if i != session.me]
    if not culprits:
        raise RuntimeError("a signature of valid shares does not verify: this node's arithmetic cannot be trusted")
    raise Fault("sent an invalid signature share", culprits)
