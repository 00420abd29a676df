"""What key generation and refresh have in common: promised commitments, sealed shares, a certificate.

Each function is one round. The scripts put them in order.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from mpcnode.crypto import tags
from mpcnode.crypto.ciphersuite import AnyCiphersuite
from mpcnode.crypto.group import Rng, Scalar
from mpcnode.crypto.polynomial import Polynomial
from mpcnode.crypto.signature import verify
from mpcnode.crypto.suites import SUITES
from mpcnode.crypto.transcript import listed, tagged_hash, u64
from mpcnode.errors import DecodeError
from mpcnode.protocols.descriptor import AGREED_SIZE, KEYGEN, Descriptor, context
from mpcnode.protocols.epoch import READY_SIZE, Certificate, Statement, decode_ready, encode_ready
from mpcnode.protocols.frost import broadcast as promises
from mpcnode.protocols.frost import pedpop
from mpcnode.protocols.frost.broadcast import Promise, SigningKey, digest_of, echo_of, encode_evidence, promise
from mpcnode.protocols.frost.packages import Round2Package
from mpcnode.protocols.rounds import Fault, Inconsistent, Lane, Round, Rounds, ViewsDiffer, Witness, broadcast, direct
from mpcnode.types import Identifier, IdentityKey, SuiteId

V = TypeVar("V")

DIGEST: Final = "digest"
COMMITMENT: Final = "commitment"
SHARE: Final = "share"
READY: Final = "ready"

SECONDS: Final = 60
"""How long the others may take for one round."""
SEAL_PURPOSE: Final = "share"
_SEAL_OVERHEAD: Final = 48
"""What sealing adds to a share's bytes: an ephemeral key and an authentication tag (PROTOCOL, Identity and sealing)."""


class Signer(SigningKey, Protocol):
    """What is needed of this node's identity."""

    def seal(
        self,
        recipient: IdentityKey,
        plaintext: bytes | bytearray,
        *,
        purpose: str,
        topic: bytes,
        aad: bytes,
        rng: Rng,
    ) -> bytes:
        """Encrypt to ``recipient``, authenticated as from us, bound to purpose, topic and ``aad``."""
        ...

    def open(self, sender: IdentityKey, sealed: bytes, *, purpose: str, topic: bytes, aad: bytes) -> bytearray:
        """Decrypt what ``sender`` sealed to us for the same; raise ``DecodeError`` for anything else."""
        ...


@dataclass(frozen=True, slots=True)
class Session:
    """One participant of one session."""

    descriptor: Descriptor
    me: Identifier
    signer: Signer
    rng: Rng

    @property
    def others(self) -> list[Identifier]:
        """Everybody else."""
        return [i for i in self.descriptor.participants if i != self.me]


@dataclass(frozen=True, slots=True)
class Heard:
    """What everybody promised, and the context that follows from it."""

    promises: Mapping[Identifier, Promise]
    context: bytes
    echo: bytes


def digest_count(descriptor: Descriptor) -> int:
    """Give how many digests a promise has: one for each suite; in key generation one more, for the chain code."""
    return len(descriptor.suites) + (1 if descriptor.kind == KEYGEN else 0)


def equivocators(mine: bytes, theirs: bytes, descriptor: Descriptor) -> frozenset[Identifier]:
    """Name the dealers that signed two different promises: see ``broadcast.equivocators``.

    Args:
        mine: evidence this participant holds.
        theirs: evidence another participant showed.
        descriptor: the session's.

    Raises:
        DecodeError: one of them does not have the form of this session's evidence.
    """
    return promises.equivocators(
        mine,
        theirs,
        bound=descriptor.agreed,
        keys=descriptor.identity_keys,
        count=digest_count(descriptor),
    )


def digest_round(descriptor: Descriptor) -> Round:
    """Plan ``exchange_promises``."""
    # Long enough for any session: a participant that was told of another one is not to blame for it.
    longest = max(len(SUITES), len(descriptor.suites)) + 1
    return Round(DIGEST, (None,), AGREED_SIZE + Promise.size(longest), phase="committing", seconds=SECONDS)


def share_round(descriptor: Descriptor, *, users: bool) -> Round:
    """Plan ``exchange_shares``."""
    limit = Round2Package.SIZE + _SEAL_OVERHEAD
    return Round(SHARE, descriptor.suites, limit, phase="sharing", seconds=SECONDS, users=users, heard=True)


def ready_round(*, users: bool) -> Round:
    """Plan ``certify``."""
    return Round(READY, (None,), READY_SIZE, phase="certifying", seconds=SECONDS, users=users, heard=True)


def last_words_round(kind: str, size: int) -> Round:
    """Plan ``say_done``."""
    return Round(kind, (None,), size, phase="leaving", seconds=SECONDS, heard=True, last_words=True)


def exchange_promises(session: Session, fresh: bytes, digests: Sequence[bytes]) -> Rounds[Heard]:
    """Say which commitments will come, and draw the context (PROTOCOL, Key generation).

    The data is ``agreed || fresh || digest* || signature``. What was agreed on goes first and is compared first: two
    sessions must not look like a bad message. The proposer may have told two stories, so a difference names nobody.
    """
    descriptor, me = session.descriptor, session.me
    agreed = descriptor.agreed

    def accept(dealer: Identifier, data: bytes, _echo: bytes | None) -> Promise:
        if len(data) >= AGREED_SIZE and data[:AGREED_SIZE] != agreed:
            raise ViewsDiffer("participants were told different things about this session", [dealer])
        said = Promise.decode(len(digests), data[AGREED_SIZE:])
        if not said.verify(descriptor.identity_key(dealer), agreed, dealer):
            raise Fault("sent digests with an invalid signature", [dealer])
        return said

    mine = promise(session.signer, agreed, me, fresh, digests)
    theirs = yield from broadcast(DIGEST, None, agreed + mine.encode(), accept)
    heard = dict(sorted({**theirs, me: mine}.items()))
    yield Witness(encode_evidence(agreed, heard))
    bound = context(agreed, {i: said.fresh for i, said in heard.items()})
    return Heard(heard, bound, echo_of(bound, heard))


def exchange_commitments(
    session: Session,
    heard: Heard,
    lane: Lane,
    mine: bytes,
    read: Callable[[Identifier, bytes], V],
) -> Rounds[Mapping[Identifier, V]]:
    """Reveal the commitments of one lane; each must be the one its dealer promised.

    Args:
        session: this participant's.
        heard: what everybody promised.
        lane: a suite, or None for the parts of the chain code and the document key.
        mine: this participant's, encoded.
        read: takes another's; raises ``DecodeError`` or ``Fault`` where it is wrong.
    """
    agreed, descriptor = session.descriptor.agreed, session.descriptor
    digested = digest_count(descriptor) - len(descriptor.suites)
    place = 0 if lane is None else digested + descriptor.suites.index(lane)

    def accept(dealer: Identifier, data: bytes, echo: bytes | None) -> V:
        said = heard.promises[dealer]
        digest = (
            promises.contribution_digest_of(agreed, dealer, said.fresh, data)
            if lane is None
            else digest_of(agreed, lane, dealer, said.fresh, data)
        )
        if digest != said.digests[place]:
            # Where it told others another digest, the echoes say so; what it revealed is wrong either way.
            raise Fault("revealed another commitment than it promised", [dealer])
        value = read(dealer, data)
        if echo != heard.echo:
            raise Inconsistent("participants heard different commitment digests")
        return value

    theirs = yield from broadcast(COMMITMENT, lane, mine, accept, heard.echo)
    return dict(sorted({**theirs, session.me: read(session.me, mine)}.items()))


def exchange_shares(
    session: Session, suite: AnyCiphersuite, bound: bytes, f_i: Polynomial[Any, Any]
) -> Rounds[dict[Identifier, Scalar]]:
    """Send each participant its share, sealed to its identity; give those dealt to us, our own included.

    The shares are the caller's to wipe. The polynomial is wiped here.

    Args:
        session: this participant's.
        suite: of the shares.
        bound: the context.
        f_i: what is dealt.
    """
    me, identity_key = session.me, session.descriptor.identity_key
    shares: dict[Identifier, Scalar] = {}
    done = False

    def accept(dealer: Identifier, data: bytes, _echo: bytes | None) -> None:
        opened = session.signer.open(
            identity_key(dealer), data, purpose=SEAL_PURPOSE, topic=bound, aad=share_aad(bound, suite.id, dealer, me)
        )
        try:
            shares[dealer] = Round2Package.decode(suite, opened).signing_share
        finally:
            opened[:] = bytes(len(opened))

    try:
        shares[me] = f_i.evaluate(me)
        sealed = _seal_shares(session, suite, bound, f_i)
        # The paper deletes f_i and each share here; nothing is evaluated from it again.
        f_i.wipe()
        yield from direct(SHARE, suite.id, sealed, accept)
        done = True
        return shares
    finally:
        if not done:
            for share in shares.values():
                share.wipe()


def _seal_shares(
    session: Session, suite: AnyCiphersuite, bound: bytes, f_i: Polynomial[Any, Any]
) -> Mapping[Identifier, bytes]:
    sealed: dict[Identifier, bytes] = {}
    for recipient, share in pedpop.deal(f_i, session.others).items():
        package = Round2Package(suite, share)
        encoded = package.encode()
        try:
            sealed[recipient] = session.signer.seal(
                session.descriptor.identity_key(recipient),
                encoded,
                purpose=SEAL_PURPOSE,
                topic=bound,
                aad=share_aad(bound, suite.id, session.me, recipient),
                rng=session.rng,
            )
        finally:
            encoded[:] = bytes(len(encoded))
            package.wipe()
    return sealed


def share_aad(bound: bytes, suite: SuiteId, dealer: Identifier, recipient: Identifier) -> bytes:
    """Bind a sealed share to its place: nobody can pass it on as another's, or in another session."""
    return tagged_hash(tags.SHARE, bound, suite.encode(), u64(dealer), u64(recipient))


def transcript_of(
    heard: Heard, packages: Mapping[SuiteId, Mapping[Identifier, bytes]], suites: Sequence[SuiteId]
) -> bytes:
    """Hash everything said.

    ``tagged_hash(TRANSCRIPT, context, u64 n, (u64 identifier, u64 count, digest*, u64 s, package*)*)``: participants by
    ascending identifier, digests as in their promise, commitments in the order of the suites. The parts of the chain
    code are in it through their digests alone.
    """
    said = [
        field
        for i, promised in heard.promises.items()
        for field in (u64(i), *listed(promised.digests), *listed([packages[suite][i] for suite in suites]))
    ]
    return tagged_hash(tags.TRANSCRIPT, heard.context, u64(len(heard.promises)), *said)


def certify(session: Session, statement: Statement, signature: bytes) -> Rounds[Certificate]:
    """Exchange signatures over the epoch id; everybody's together are the certificate."""
    epoch_id, keys = statement.epoch_id, session.descriptor.identity_keys

    def accept(sender: Identifier, data: bytes, _echo: bytes | None) -> bytes:
        theirs, signed = decode_ready(data)
        if theirs != epoch_id:
            # Everybody holds the same promises and commitments, so an honest participant's statement is ours.
            raise Fault("says ready for another epoch", [sender])
        if not verify(keys[sender], signed, tags.READY, epoch_id):
            raise Fault("sent an invalid signature over the epoch", [sender])
        return signed

    everybody = yield from broadcast(READY, None, encode_ready(epoch_id, signature), accept)
    return Certificate(epoch_id, {keys[i]: signed for i, signed in {**everybody, session.me: signature}.items()})


def say_done(kind: str, data: bytes) -> Rounds[None]:
    """Say that the epoch is active here, and hear the same of everybody: the last words.

    Args:
        kind: what the round is called.
        data: what everybody names.
    """

    def accept(_sender: Identifier, theirs: bytes, _echo: bytes | None) -> None:
        if theirs != data:
            raise DecodeError("it names something else")

    yield from broadcast(kind, None, data, accept)
