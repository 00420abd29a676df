"""Proof that everybody was told the same: dealers sign digests of their commitments, all repeat what they heard.

A commitment is committed to before it is revealed, so nobody chooses its own after seeing another's. A participant
that signs two digests is found when those who hold them compare.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from mpcnode.crypto.signature import SIGNATURE_SIZE, verify
from mpcnode.crypto.transcript import tagged_hash
from mpcnode.errors import DecodeError
from mpcnode.types import Identifier, IdentityKey, PeerId, SuiteId

DIGEST_SIZE: Final = 32
SIGNED_DIGEST_SIZE: Final = DIGEST_SIZE + SIGNATURE_SIZE
DIGEST_CONTEXT: Final = "commitment-digest"
"""The purpose a digest's signature is made for; see ``mpcnode.crypto.signature``."""

_DIGEST_TAG: Final = "mpcnode/commitment-digest/v1"
_SIGNED_TAG: Final = "mpcnode/signed-digest/v1"
_ECHO_TAG: Final = "mpcnode/digest-echo/v1"


class Agreed(Protocol):
    """What is needed of a descriptor, whether a key is made or used."""

    @property
    def suites(self) -> Sequence[SuiteId]:
        """The ciphersuites, in the order in which evidence has them."""
        ...

    @property
    def participants(self) -> Mapping[Identifier, PeerId]:
        """Everybody in the session."""
        ...

    @property
    def context(self) -> bytes:
        """The 32 bytes that bind every hash and signature to the session."""
        ...

    def identity_key(self, i: Identifier) -> IdentityKey:
        """Give participant ``i``'s identity key."""
        ...


class SigningKey(Protocol):
    """What is needed of an identity to sign with it."""

    def sign(self, context: str, message: bytes) -> bytes:
        """Sign ``message`` for one purpose; 64 bytes that ``mpcnode.crypto.signature.verify`` accepts."""
        ...


@dataclass(frozen=True, slots=True)
class SignedDigest:
    """A dealer's word which commitment it will reveal.

    Args:
        digest: the 32-byte hash of the commitment package.
        signature: the dealer's 64 bytes over session, suite, identifier and digest.
    """

    digest: bytes
    signature: bytes

    def encode(self) -> bytes:
        """Give digest and signature, 96 bytes."""
        return self.digest + self.signature

    @classmethod
    def decode(cls, data: bytes) -> "SignedDigest":
        """Take the bytes of ``encode``.

        Raises:
            DecodeError: not 96 bytes.
        """
        if len(data) != SIGNED_DIGEST_SIZE:
            raise DecodeError(f"a signed digest is {SIGNED_DIGEST_SIZE} bytes, not {len(data)}")
        return cls(bytes(data[:DIGEST_SIZE]), bytes(data[DIGEST_SIZE:]))

    def verify(self, descriptor: Agreed, context: bytes, suite: SuiteId, dealer: Identifier) -> bool:
        """Say whether ``dealer`` signed this digest in this session."""
        message = _signed(context, suite, dealer, self.digest)
        return verify(descriptor.identity_key(dealer), DIGEST_CONTEXT, message, self.signature)


def digest_of(context: bytes, suite: SuiteId, dealer: Identifier, package: bytes) -> bytes:
    """Commit to an encoded round-1 package; its random elements are what hides it.

    Args:
        context: the session's.
        suite: the package's.
        dealer: who will reveal it; so that nobody can commit to a copy of another's.
        package: its bytes.
    """
    return tagged_hash(_DIGEST_TAG, context, suite.encode(), dealer.to_bytes(2, "big"), package)


def sign_digest(signer: SigningKey, context: bytes, suite: SuiteId, dealer: Identifier, digest: bytes) -> SignedDigest:
    """Sign a digest; a second one for the same session, suite and identifier would prove a lie."""
    return SignedDigest(digest, signer.sign(DIGEST_CONTEXT, _signed(context, suite, dealer, digest)))


def echo_of(context: bytes, suite: SuiteId, digests: Mapping[Identifier, SignedDigest]) -> bytes:
    """Hash every digest heard, our own included, for the others to compare with theirs."""
    heard = [digests[dealer].digest for dealer in sorted(digests)]
    return tagged_hash(_ECHO_TAG, context, suite.encode(), *heard)


def encode_evidence(descriptor: Agreed, heard: Mapping[SuiteId, Mapping[Identifier, SignedDigest]]) -> bytes:
    """Give everybody's signed digests, suite by suite in the descriptor's order, dealers ascending."""
    return b"".join(
        heard[suite][dealer].encode() for suite in descriptor.suites for dealer in sorted(descriptor.participants)
    )


def decode_evidence(descriptor: Agreed, data: bytes) -> Mapping[SuiteId, Mapping[Identifier, SignedDigest]]:
    """Take the bytes of ``encode_evidence``; whether the signatures are valid is not looked at.

    Raises:
        DecodeError: not as long as this session's evidence is.
    """
    dealers = sorted(descriptor.participants)
    if len(data) != len(descriptor.suites) * len(dealers) * SIGNED_DIGEST_SIZE:
        raise DecodeError("evidence is one signed digest for each suite and dealer")
    digests = [
        SignedDigest.decode(data[at : at + SIGNED_DIGEST_SIZE]) for at in range(0, len(data), SIGNED_DIGEST_SIZE)
    ]
    n = len(dealers)
    return {
        suite: dict(zip(dealers, digests[k * n : (k + 1) * n], strict=True))
        for k, suite in enumerate(descriptor.suites)
    }


def equivocators(mine: bytes, theirs: bytes, descriptor: Agreed) -> frozenset[Identifier]:
    """Name the dealers that validly signed two different digests: proof against them, whoever shows it.

    None where nobody did: then one of the two who compare told a wrong echo, and it is not known which.

    Args:
        mine: evidence this participant holds.
        theirs: evidence another participant showed.
        descriptor: the session's.

    Raises:
        DecodeError: one of them is not this session's evidence.
    """
    ours, shown = decode_evidence(descriptor, mine), decode_evidence(descriptor, theirs)
    context = descriptor.context
    return frozenset(
        dealer
        for suite in descriptor.suites
        for dealer, digest in ours[suite].items()
        if digest.digest != shown[suite][dealer].digest
        and digest.verify(descriptor, context, suite, dealer)
        and shown[suite][dealer].verify(descriptor, context, suite, dealer)
    )


def _signed(context: bytes, suite: SuiteId, dealer: Identifier, digest: bytes) -> bytes:
    return tagged_hash(_SIGNED_TAG, context, suite.encode(), dealer.to_bytes(2, "big"), digest)
