"""The session descriptor: what all participants must agree on before the first message, as one hash."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mpcnode.crypto.ciphersuite import SUITES
from mpcnode.crypto.transcript import tagged_hash
from mpcnode.types import (
    Identifier,
    IdentityKey,
    PeerId,
    SessionId,
    SuiteId,
    WalletId,
    check_threshold,
    parse_peer_id,
    parse_session_id,
    parse_wallet_name,
)

DESCRIPTOR_VERSION: Final = 1
KEYGEN: Final = "keygen"
FRESH_SIZE: Final = 32
_TAG: Final = "mpcnode/session-descriptor/v1"


@dataclass(frozen=True, slots=True)
class Member:
    """One participant, as everybody sees it.

    Args:
        peer_id: its name.
        identity_key: its 32-byte Ed25519 key.
        fresh: 32 random bytes it drew for this session; so that no participant can have two sessions look the same.
    """

    peer_id: PeerId
    identity_key: IdentityKey
    fresh: bytes


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a session is about.

    Args:
        session_id: 128 random bits, in hexadecimal.
        suites: the wallet's ciphersuites, at least one, in the order of the proposal.
        threshold: t, how many signers suffice.
        wallet_name: what the wallet is to be called.
        roster: all participants, sorted by peer id bytewise; an identifier is a position in it, from 1.
        kind: the protocol.
        version: of this descriptor.

    Raises:
        ValueError: saying what does not hold.
    """

    session_id: SessionId
    suites: tuple[SuiteId, ...]
    threshold: int
    wallet_name: str
    roster: tuple[Member, ...]
    kind: str = KEYGEN
    version: int = DESCRIPTOR_VERSION

    def __post_init__(self) -> None:
        if self.version != DESCRIPTOR_VERSION:
            raise ValueError(f"a descriptor's version is {DESCRIPTOR_VERSION}")
        parse_session_id(self.session_id)
        parse_wallet_name(self.wallet_name)
        check_threshold(self.threshold, len(self.roster))
        if not self.kind.isascii() or not self.kind:
            raise ValueError("a session's kind is ASCII")
        if not self.suites or len(set(self.suites)) != len(self.suites) or not SUITES.keys() >= set(self.suites):
            raise ValueError("suites are known, at least one, each once")
        names = [parse_peer_id(entry.peer_id) for entry in self.roster]
        if names != sorted(set(names)):
            raise ValueError("a roster is sorted by peer id, each once")
        if len({entry.identity_key for entry in self.roster}) != len(self.roster):
            raise ValueError("two participants cannot have one identity key")
        if any(len(entry.identity_key) != 32 or len(entry.fresh) != FRESH_SIZE for entry in self.roster):
            raise ValueError("an identity key and a participant's fresh value are 32 bytes each")

    @property
    def total(self) -> int:
        """How many participants there are, n."""
        return len(self.roster)

    @property
    def participants(self) -> Mapping[Identifier, PeerId]:
        """Everybody's peer id by identifier."""
        return {Identifier(i): entry.peer_id for i, entry in enumerate(self.roster, 1)}

    @property
    def identity_keys(self) -> Mapping[PeerId, IdentityKey]:
        """Everybody's identity key by peer id."""
        return {entry.peer_id: entry.identity_key for entry in self.roster}

    def identifier(self, peer_id: PeerId) -> Identifier:
        """Give a participant's identifier.

        Raises:
            ValueError: ``peer_id`` does not take part.
        """
        return Identifier([entry.peer_id for entry in self.roster].index(peer_id) + 1)

    def identity_key(self, i: Identifier) -> IdentityKey:
        """Give participant ``i``'s identity key.

        Raises:
            ValueError: nobody has this identifier.
        """
        if not 1 <= i <= self.total:
            raise ValueError(f"identifiers are 1 to {self.total}")
        return self.roster[i - 1].identity_key

    @property
    def context(self) -> bytes:
        """The 32 bytes that bind every later hash and signature to this session."""
        members = [
            field for entry in self.roster for field in (entry.peer_id.encode(), entry.identity_key, entry.fresh)
        ]
        return tagged_hash(
            _TAG,
            self.version.to_bytes(2, "big"),
            self.kind.encode(),
            bytes.fromhex(self.session_id),
            self.wallet_name.encode(),
            self.threshold.to_bytes(2, "big"),
            len(self.suites).to_bytes(2, "big"),
            *(suite.encode() for suite in self.suites),
            *members,
        )

    @property
    def wallet_id(self) -> WalletId:
        """The first 128 bits of the context, in hexadecimal."""
        return WalletId(self.context[:16].hex())
