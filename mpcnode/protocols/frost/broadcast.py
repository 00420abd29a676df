"""Proof that everybody was told the same: dealers sign digests of their commitments, all repeat what they heard.

A commitment is committed to before it is revealed, so nobody chooses its own after seeing another's. A dealer's fresh
bytes are signed with it, inside the mesh: the context of the session is made of values no server carried. A
participant that signs two different promises is found when those that hold them compare (PROTOCOL, Blame).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from mpcnode.crypto import tags
from mpcnode.crypto.signature import SIGNATURE_SIZE, verify
from mpcnode.crypto.transcript import listed, tagged_hash, u64
from mpcnode.errors import DecodeError
from mpcnode.protocols.descriptor import FRESH_SIZE
from mpcnode.types import Identifier, IdentityKey, SuiteId

DIGEST_SIZE: Final = 32
BOUND_SIZE: Final = 32
"""What was agreed on before the first message: the hash that everything here is bound to, written ``bound``."""


class SigningKey(Protocol):
    """What is needed of an identity to sign with it."""

    def sign(self, tag: str, *fields: bytes) -> bytes:
        """Sign ``fields`` for one purpose; 64 bytes that ``mpcnode.crypto.signature.verify`` accepts."""
        ...


@dataclass(frozen=True, slots=True)
class Promise:
    """A dealer's word which commitments it will reveal, and its fresh bytes.

    Args:
        fresh: 32 random bytes the dealer drew for this session.
        digests: the hash of each commitment to come.
        signature: the dealer's 64 bytes over ``SIGNED_DIGEST, bound, u64 identifier, fresh, u64 count, digest*``.
    """

    fresh: bytes
    digests: tuple[bytes, ...]
    signature: bytes

    @staticmethod
    def size(count: int) -> int:
        """Give how many bytes an encoded promise of ``count`` digests has."""
        return FRESH_SIZE + count * DIGEST_SIZE + SIGNATURE_SIZE

    def encode(self) -> bytes:
        """Give fresh bytes, digests and signature."""
        return self.fresh + b"".join(self.digests) + self.signature

    @classmethod
    def decode(cls, count: int, data: bytes) -> "Promise":
        """Take the bytes of ``encode``.

        Raises:
            DecodeError: not as long as a promise of ``count`` digests.
        """
        if len(data) != cls.size(count):
            raise DecodeError(f"a promise of {count} digests is {cls.size(count)} bytes, not {len(data)}")
        end = len(data) - SIGNATURE_SIZE
        digests = tuple(bytes(data[at : at + DIGEST_SIZE]) for at in range(FRESH_SIZE, end, DIGEST_SIZE))
        return cls(bytes(data[:FRESH_SIZE]), digests, bytes(data[end:]))

    def verify(self, key: IdentityKey, bound: bytes, dealer: Identifier) -> bool:
        """Say whether ``key`` made this promise as ``dealer`` in this session."""
        return verify(key, self.signature, tags.SIGNED_DIGEST, *_signed(bound, dealer, self.fresh, self.digests))

    def says(self, other: "Promise") -> bool:
        """Say whether both promise the same; their signatures may differ."""
        return (self.fresh, self.digests) == (other.fresh, other.digests)


def promise(signer: SigningKey, bound: bytes, dealer: Identifier, fresh: bytes, digests: Sequence[bytes]) -> Promise:
    """Sign digests; a second promise for the same session and identifier would prove a lie."""
    return Promise(fresh, tuple(digests), signer.sign(tags.SIGNED_DIGEST, *_signed(bound, dealer, fresh, digests)))


def _signed(bound: bytes, dealer: Identifier, fresh: bytes, digests: Sequence[bytes]) -> list[bytes]:
    return [bound, u64(dealer), fresh, *listed(digests)]


def digest_of(bound: bytes, suite: SuiteId, dealer: Identifier, fresh: bytes, package: bytes) -> bytes:
    """Commit to encoded commitments; their random elements are what hides them.

    Args:
        bound: what was agreed on.
        suite: the package's.
        dealer: the participant that will reveal it; so that nobody can commit to a copy of another's.
        fresh: the dealer's.
        package: its bytes.
    """
    return tagged_hash(tags.COMMITMENT_DIGEST, bound, suite.encode(), u64(dealer), fresh, package)


def contribution_digest_of(bound: bytes, dealer: Identifier, fresh: bytes, contribution: bytes | bytearray) -> bytes:
    """Commit to a part of the chain code and of the document key; arguments as for ``digest_of``."""
    return tagged_hash(tags.CONTRIBUTION, bound, u64(dealer), fresh, contribution)


def echo_of(context: bytes, heard: Mapping[Identifier, Promise]) -> bytes:
    """Hash every promise heard, our own included, for the others to compare with theirs.

    ``tagged_hash(ECHO, context, u64 n, (u64 identifier, fresh, u64 count, digest*)*)``, by ascending identifier.
    """
    fields = [
        field
        for dealer in sorted(heard)
        for field in (u64(dealer), heard[dealer].fresh, *listed(heard[dealer].digests))
    ]
    return tagged_hash(tags.ECHO, context, u64(len(heard)), *fields)


def encode_evidence(bound: bytes, heard: Mapping[Identifier, Promise]) -> bytes:
    """Give ``bound`` and everybody's promises, dealers ascending."""
    return bound + b"".join(heard[dealer].encode() for dealer in sorted(heard))


def decode_evidence(
    dealers: Sequence[Identifier], count: int, data: bytes
) -> tuple[bytes, Mapping[Identifier, Promise]]:
    """Take the bytes of ``encode_evidence``; whether the signatures are valid is not looked at.

    Args:
        dealers: of the session, ascending.
        count: how many digests each promised.
        data: all of it.

    Raises:
        DecodeError: not as long as this session's evidence is.
    """
    size = Promise.size(count)
    if len(data) != BOUND_SIZE + len(dealers) * size:
        raise DecodeError("evidence is the hash agreed on, and one promise for each dealer")
    places = range(BOUND_SIZE, len(data), size)
    promises = {i: Promise.decode(count, data[at : at + size]) for i, at in zip(dealers, places, strict=True)}
    return bytes(data[:BOUND_SIZE]), promises


def equivocators(
    mine: bytes, theirs: bytes, *, bound: bytes, keys: Mapping[Identifier, IdentityKey], count: int
) -> frozenset[Identifier]:
    """Name the dealers that validly signed two different promises: proof against them, from anybody's hand.

    Nobody is named where nobody did: then one of the two who compare told a wrong echo, and it is not known which. What
    was signed in another session proves nothing.

    Args:
        mine: evidence this participant holds.
        theirs: evidence another participant showed.
        bound: what was agreed on in this session.
        keys: everybody's identity key.
        count: how many digests each promised.

    Raises:
        DecodeError: one of them does not have the form of this session's evidence.
    """
    (our_bound, ours), (their_bound, shown) = (decode_evidence(sorted(keys), count, data) for data in (mine, theirs))
    if not bound == our_bound == their_bound:
        return frozenset()
    return frozenset(
        dealer
        for dealer, held in ours.items()
        if not held.says(shown[dealer])
        and held.verify(keys[dealer], bound, dealer)
        and shown[dealer].verify(keys[dealer], bound, dealer)
    )
