"""What participants agree on before they make or refresh keys, and the context of it (PROTOCOL, Key generation)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mpcnode.crypto import tags
from mpcnode.crypto.suites import SUITES
from mpcnode.crypto.transcript import tagged_hash, u64
from mpcnode.types import (
    MAX_PARTICIPANTS,
    Identifier,
    IdentityKey,
    PeerId,
    SessionId,
    SuiteId,
    check_threshold,
    parse_peer_id,
    parse_wallet_name,
)

KEYGEN: Final = "keygen"
REFRESH: Final = "refresh"
AGREED_SIZE: Final = 32
FRESH_SIZE: Final = 32
SESSION_ID_SIZE: Final = 16


@dataclass(frozen=True, slots=True)
class Member:
    """One participant, as everybody sees it.

    Args:
        identifier: its number in the wallet, for life.
        peer_id: its name.
        identity_key: its 32-byte Ed25519 key.
    """

    identifier: Identifier
    peer_id: PeerId
    identity_key: IdentityKey


def check_roster(roster: Sequence[Member]) -> None:
    """Check that a roster is sorted by identifier, and that no identifier, name or key is in it twice.

    Raises:
        ValueError: saying what does not hold.
    """
    identifiers = [member.identifier for member in roster]
    if identifiers != sorted(set(identifiers)) or not all(1 <= i <= MAX_PARTICIPANTS for i in identifiers):
        raise ValueError(f"a roster is sorted by identifier, from 1 to {MAX_PARTICIPANTS}, each once")
    if len({parse_peer_id(member.peer_id) for member in roster}) != len(roster):
        raise ValueError("two participants cannot have one peer id")
    if any(len(member.identity_key) != 32 for member in roster):
        raise ValueError("an identity key is 32 bytes")
    if len({member.identity_key for member in roster}) != len(roster):
        raise ValueError("two participants cannot have one identity key")


def context(agreed: bytes, fresh: Mapping[Identifier, bytes]) -> bytes:
    """Give the 32 bytes that bind every later hash and seal to one run of a protocol.

    ``tagged_hash(CONTEXT, agreed, u64 n, (u64 identifier, fresh)*)``, by ascending identifier. Every participant's
    own fresh bytes are in it, so no participant can be made to run two sessions that look the same.

    Args:
        agreed: what was agreed on before the first message of the protocol, 32 bytes.
        fresh: 32 random bytes of every participant, heard inside the mesh.
    """
    heard = [field for i in sorted(fresh) for field in (u64(i), fresh[i])]
    return tagged_hash(tags.CONTEXT, agreed, u64(len(fresh)), *heard)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a key generation or a refresh is about.

    Args:
        agreed: the hash of the proposal and the acceptances, 32 bytes; everything below, and in a refresh the epoch
            before and the abandoned ones, must already be in it.
        session_id: 16 bytes.
        kind: ``keygen`` or ``refresh``; what the epoch statement calls it.
        wallet_name: what the wallet is to be called.
        threshold: t, how many signers suffice.
        suites: the wallet's suites, at least one, in the order of the proposal.
        roster: all participants, sorted by identifier.

    Raises:
        ValueError: saying what does not hold.
    """

    agreed: bytes
    session_id: SessionId
    kind: str
    wallet_name: str
    threshold: int
    suites: tuple[SuiteId, ...]
    roster: tuple[Member, ...]

    def __post_init__(self) -> None:
        if len(self.agreed) != AGREED_SIZE:
            raise ValueError(f"what was agreed on is a hash of {AGREED_SIZE} bytes")
        if len(self.session_id) != SESSION_ID_SIZE:
            raise ValueError(f"a session id is {SESSION_ID_SIZE} bytes")
        if not self.kind.isascii() or not self.kind:
            raise ValueError("a session's kind is ASCII")
        parse_wallet_name(self.wallet_name)
        check_threshold(self.threshold, len(self.roster))
        if not self.suites or len(set(self.suites)) != len(self.suites) or not SUITES.keys() >= set(self.suites):
            raise ValueError("suites are known, at least one, each once")
        check_roster(self.roster)

    @property
    def total(self) -> int:
        """How many participants there are, n."""
        return len(self.roster)

    @property
    def participants(self) -> Mapping[Identifier, PeerId]:
        """Everybody's peer id by identifier."""
        return {member.identifier: member.peer_id for member in self.roster}

    @property
    def identity_keys(self) -> Mapping[Identifier, IdentityKey]:
        """Everybody's identity key by identifier."""
        return {member.identifier: member.identity_key for member in self.roster}

    def identifier(self, peer_id: PeerId) -> Identifier:
        """Give a participant's identifier.

        Raises:
            ValueError: ``peer_id`` does not take part.
        """
        for member in self.roster:
            if member.peer_id == peer_id:
                return member.identifier
        raise ValueError("this peer is not among the participants")

    def identity_key(self, i: Identifier) -> IdentityKey:
        """Give participant ``i``'s identity key.

        Raises:
            ValueError: nobody has this identifier.
        """
        for member in self.roster:
            if member.identifier == i:
                return member.identity_key
        raise ValueError("this identifier is not among the participants")
