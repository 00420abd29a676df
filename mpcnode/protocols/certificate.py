"""The certificate of a wallet: every participant's signature over one transcript.

A participant signs only after its share is verified and durably stored; so all n signatures together say that the
wallet exists, everywhere and the same. Fewer say nothing yet.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from mpcnode.crypto.signature import SIGNATURE_SIZE, verify
from mpcnode.errors import DecodeError
from mpcnode.types import MAX_PARTICIPANTS, IdentityKey, PeerId, parse_peer_id

TRANSCRIPT_SIZE: Final = 32
READY_SIZE: Final = TRANSCRIPT_SIZE + SIGNATURE_SIZE
READY_CONTEXT: Final = "ready"
"""The purpose a ``ready`` signature is made for; see ``mpcnode.crypto.signature``."""


def encode_ready(transcript: bytes, signature: bytes) -> bytes:
    """Give the 96 bytes of a ``ready`` message: a participant's word that its share is verified and stored.

    Args:
        transcript: the 32-byte hash of the session.
        signature: the participant's 64 bytes over it, made for ``READY_CONTEXT``.
    """
    return transcript + signature


def decode_ready(data: bytes) -> tuple[bytes, bytes]:
    """Take a ``ready`` message apart into transcript and signature.

    Raises:
        DecodeError: not 96 bytes.
    """
    if len(data) != READY_SIZE:
        raise DecodeError(f"a ready message is {READY_SIZE} bytes, not {len(data)}")
    return bytes(data[:TRANSCRIPT_SIZE]), bytes(data[TRANSCRIPT_SIZE:])


@dataclass(frozen=True, slots=True)
class Certificate:
    """Signatures over one transcript; complete when everybody's are there.

    Args:
        transcript: the 32-byte hash of the session.
        signatures: 64 bytes by peer id, of those who signed so far; kept sorted by peer id.
    """

    transcript: bytes
    signatures: Mapping[PeerId, bytes]

    def __post_init__(self) -> None:
        if len(self.transcript) != TRANSCRIPT_SIZE:
            raise ValueError(f"a transcript is {TRANSCRIPT_SIZE} bytes")
        if any(len(signature) != SIGNATURE_SIZE for signature in self.signatures.values()):
            raise ValueError(f"a signature is {SIGNATURE_SIZE} bytes")
        ordered = MappingProxyType(dict(sorted(self.signatures.items())))
        object.__setattr__(self, "signatures", ordered)

    def signers(self, roster: Mapping[PeerId, IdentityKey]) -> frozenset[PeerId]:
        """Give whose signatures are there and valid; strangers' do not count.

        Args:
            roster: everybody's identity key.
        """
        return frozenset(
            peer_id
            for peer_id, signature in self.signatures.items()
            if peer_id in roster and verify(roster[peer_id], READY_CONTEXT, self.transcript, signature)
        )

    def verify(self, roster: Mapping[PeerId, IdentityKey]) -> bool:
        """Say whether everybody in ``roster`` signed, and nobody else's signature is in it.

        Args:
            roster: everybody's identity key; an empty one certifies nothing.
        """
        return bool(roster) and self.signatures.keys() == roster.keys() and self.signers(roster) == roster.keys()

    def merge(self, other: "Certificate", roster: Mapping[PeerId, IdentityKey]) -> "Certificate":
        """Give every valid signature of both; what is invalid or a stranger's is left out.

        Args:
            other: signatures over the same transcript, from anywhere.
            roster: everybody's identity key.

        Raises:
            ValueError: ``other`` is about another transcript.
        """
        if other.transcript != self.transcript:
            raise ValueError("the certificates are about different transcripts")
        theirs = {peer_id: other.signatures[peer_id] for peer_id in other.signers(roster)}
        ours = {peer_id: self.signatures[peer_id] for peer_id in self.signers(roster)}
        return Certificate(self.transcript, theirs | ours)

    def encode(self) -> bytes:
        """Give transcript, number of signatures, and each as length of name, name, signature; sorted by name."""
        parts = [self.transcript, bytes([len(self.signatures)])]
        for peer_id, signature in self.signatures.items():
            name = peer_id.encode()
            parts += [bytes([len(name)]), name, signature]
        return b"".join(parts)

    @classmethod
    def decode(cls, data: bytes) -> "Certificate":
        """Take the bytes of ``encode``.

        Raises:
            DecodeError: truncated, too long, more than 64 signatures, a name that is none, not in order, or twice.
        """
        transcript, rest = data[:TRANSCRIPT_SIZE], data[TRANSCRIPT_SIZE:]
        if not rest or rest[0] > MAX_PARTICIPANTS:
            raise DecodeError("not a certificate")
        count, rest = rest[0], rest[1:]
        signatures: dict[PeerId, bytes] = {}
        for _ in range(count):
            size = rest[0] if rest else 0
            name, signature, rest = rest[1 : 1 + size], rest[1 + size : 1 + size + 64], rest[1 + size + 64 :]
            if len(signature) != SIGNATURE_SIZE:
                raise DecodeError("a certificate ends before its last signature")
            try:
                signatures[parse_peer_id(name.decode("ascii"))] = bytes(signature)
            except ValueError as error:
                raise DecodeError("a certificate names somebody who can have no such name") from error
        if rest or len(signatures) != count or list(signatures) != sorted(signatures):
            raise DecodeError("a certificate has each signer once, sorted by name, and nothing after")
        return cls(bytes(transcript), signatures)
