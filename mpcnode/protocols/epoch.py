"""An epoch: one sharing of a wallet's key, what is certified of it, and by whom (PROTOCOL, Key generation).

Everything the statement says is stored, so anybody recomputes its hash, the epoch id, and checks the signatures over
it without a passphrase. A participant signs only after its share is checked and durably stored; so all signatures
together say that the epoch exists, everywhere and the same. Fewer say nothing yet.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from mpcnode.crypto import tags
from mpcnode.crypto.signature import SIGNATURE_SIZE, verify
from mpcnode.crypto.suites import SUITES
from mpcnode.crypto.transcript import MAX_INTEGER, listed, tagged_hash, u64
from mpcnode.errors import DecodeError
from mpcnode.protocols.descriptor import Member, check_roster
from mpcnode.types import EpochId, Identifier, IdentityKey, PeerId, SuiteId, WalletId, check_threshold

EPOCH_ID_SIZE: Final = 32
WALLET_ID_SIZE: Final = 16
HASH_SIZE: Final = 32
READY_SIZE: Final = EPOCH_ID_SIZE + SIGNATURE_SIZE
MAX_ABANDONED: Final = 64
"""How many epochs that were never completed one statement may abandon."""


def wallet_id_of(context: bytes) -> WalletId:
    """Give the id of the wallet that the key generation of this context makes."""
    return WalletId(tagged_hash(tags.WALLET_ID, context)[:WALLET_ID_SIZE])


def chain_code_hash_of(chain_code: bytes | bytearray) -> bytes:
    """Give what a statement says of the chain code, which itself is sealed: it opens every address."""
    return tagged_hash(tags.CHAIN_CODE, chain_code)


@dataclass(frozen=True, slots=True)
class SuiteKeys:
    """The public side of a wallet's key in one suite.

    Args:
        suite: the suite.
        group_public_key: encoded; for Taproot the internal key P with its parity, before every tweak.
        verifying_shares: encoded, in the order of the statement's roster.

    Raises:
        ValueError: the suite is not known, or a key or share is not an element of its group.
    """

    suite: SuiteId
    group_public_key: bytes
    verifying_shares: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if self.suite not in SUITES:
            raise ValueError("a wallet's suite is one of those we know")
        for element in (self.group_public_key, *self.verifying_shares):
            # DecodeError is a ValueError and says what is wrong.
            SUITES[self.suite].group.decode_element(element)


@dataclass(frozen=True, slots=True)
class Statement:
    """What everybody signs of an epoch.

    Its hash is ``tagged_hash(EPOCH, wallet_id, u64 number, previous or empty, u64 count, abandoned*, kind, u64
    threshold, u64 n, (u64 identifier, peer_id, identity_key)*, u64 s, (suite, group_public_key, u64 n,
    verifying_share*)*, chain_code_hash, transcript)``.

    Args:
        wallet_id: 16 bytes, the same in every epoch of a wallet.
        number: 0 for the first epoch, one more for each later one.
        previous: the epoch before; None for the first.
        abandoned: earlier attempts at this number that were never completed, ascending bytewise, each once.
        kind: the protocol that made it, such as ``keygen``.
        threshold: t, how many signers suffice.
        roster: all participants, sorted by identifier.
        suites: the keys, suite by suite, in the order of the first proposal.
        chain_code_hash: see ``chain_code_hash_of``.
        transcript: the hash of everything said.

    Raises:
        ValueError: saying what does not hold.
    """

    wallet_id: WalletId
    number: int
    previous: EpochId | None
    abandoned: tuple[EpochId, ...]
    kind: str
    threshold: int
    roster: tuple[Member, ...]
    suites: tuple[SuiteKeys, ...]
    chain_code_hash: bytes
    transcript: bytes
    epoch_id: EpochId = field(init=False)

    def __post_init__(self) -> None:
        if len(self.wallet_id) != WALLET_ID_SIZE:
            raise ValueError(f"a wallet id is {WALLET_ID_SIZE} bytes")
        self._check_place()
        if not self.kind.isascii() or not self.kind:
            raise ValueError("an epoch's kind is ASCII")
        check_threshold(self.threshold, len(self.roster))
        check_roster(self.roster)
        if not self.suites or len({keys.suite for keys in self.suites}) != len(self.suites):
            raise ValueError("an epoch has at least one suite, each once")
        if any(len(keys.verifying_shares) != len(self.roster) for keys in self.suites):
            raise ValueError("an epoch has one verifying share for each participant, in every suite")
        if len(self.chain_code_hash) != HASH_SIZE or len(self.transcript) != HASH_SIZE:
            raise ValueError(f"the hash of a chain code and a transcript are {HASH_SIZE} bytes each")
        object.__setattr__(self, "epoch_id", self._hash())

    def _check_place(self) -> None:
        if not 0 <= self.number <= MAX_INTEGER:
            raise ValueError(f"an epoch's number is 0 to {MAX_INTEGER}")
        if (self.number == 0) != (self.previous is None):
            raise ValueError("the first epoch has no epoch before it, and every other has one")
        if self.number == 0 and self.abandoned:
            raise ValueError("the first epoch abandons none")
        if any(len(epoch) != EPOCH_ID_SIZE for epoch in (self.previous or bytes(EPOCH_ID_SIZE), *self.abandoned)):
            raise ValueError(f"an epoch id is {EPOCH_ID_SIZE} bytes")
        if len(self.abandoned) > MAX_ABANDONED or list(self.abandoned) != sorted(set(self.abandoned)):
            raise ValueError(f"abandoned epochs are sorted, each once, at most {MAX_ABANDONED}")

    def _hash(self) -> EpochId:
        members = [
            part
            for member in self.roster
            for part in (u64(member.identifier), member.peer_id.encode(), member.identity_key)
        ]
        keys = [
            part
            for suite in self.suites
            for part in (suite.suite.encode(), suite.group_public_key, *listed(suite.verifying_shares))
        ]
        return EpochId(
            tagged_hash(
                tags.EPOCH,
                self.wallet_id,
                u64(self.number),
                self.previous or b"",
                *listed(self.abandoned),
                self.kind.encode(),
                u64(self.threshold),
                u64(len(self.roster)),
                *members,
                u64(len(self.suites)),
                *keys,
                self.chain_code_hash,
                self.transcript,
            )
        )

    @property
    def participants(self) -> Mapping[Identifier, PeerId]:
        """Everybody's peer id by identifier."""
        return {member.identifier: member.peer_id for member in self.roster}

    @property
    def identity_keys(self) -> Mapping[Identifier, IdentityKey]:
        """Everybody's identity key by identifier."""
        return {member.identifier: member.identity_key for member in self.roster}

    def member(self, peer_id: PeerId) -> Member:
        """Give the participant of this name.

        Raises:
            ValueError: ``peer_id`` does not take part.
        """
        for member in self.roster:
            if member.peer_id == peer_id:
                return member
        raise ValueError("this peer is not among the participants")

    def keys(self, suite: SuiteId) -> SuiteKeys:
        """Give the keys of one suite.

        Raises:
            ValueError: the wallet has no key of it.
        """
        for keys in self.suites:
            if keys.suite == suite:
                return keys
        raise ValueError("the wallet has no key of this suite")

    def check_follows(self, previous: "Statement") -> None:
        """Check that this can be the epoch after ``previous``: the same wallet with the same keys and chain code.

        Raises:
            ValueError: saying what does not hold.
        """
        if self.previous != previous.epoch_id or self.number != previous.number + 1:
            raise ValueError("this epoch does not follow that one")
        if self.wallet_id != previous.wallet_id:
            raise ValueError("the two epochs are of different wallets")
        ours, theirs = ([(keys.suite, keys.group_public_key) for keys in epoch.suites] for epoch in (self, previous))
        if ours != theirs:
            raise ValueError("an epoch keeps the suites and group public keys of the one before")
        if self.chain_code_hash != previous.chain_code_hash:
            raise ValueError("an epoch keeps the chain code of the one before")


def encode_ready(epoch_id: EpochId, signature: bytes) -> bytes:
    """Give the 96 bytes of a ``ready`` message: a participant's word that its share is checked and stored.

    Args:
        epoch_id: the 32-byte hash of the statement.
        signature: the participant's 64 bytes over it, made for ``READY``.
    """
    return epoch_id + signature


def decode_ready(data: bytes) -> tuple[EpochId, bytes]:
    """Take a ``ready`` message apart into epoch id and signature.

    Raises:
        DecodeError: not 96 bytes.
    """
    if len(data) != READY_SIZE:
        raise DecodeError(f"a ready message is {READY_SIZE} bytes, not {len(data)}")
    return EpochId(bytes(data[:EPOCH_ID_SIZE])), bytes(data[EPOCH_ID_SIZE:])


@dataclass(frozen=True, slots=True)
class Certificate:
    """Signatures over one epoch id; complete when everybody's are there, and of a later epoch enough of the one before.

    Args:
        epoch_id: 32 bytes.
        signatures: 64 bytes by identity key, of those who signed so far; kept sorted by key.
    """

    epoch_id: EpochId
    signatures: Mapping[IdentityKey, bytes]

    def __post_init__(self) -> None:
        if len(self.epoch_id) != EPOCH_ID_SIZE:
            raise ValueError(f"an epoch id is {EPOCH_ID_SIZE} bytes")
        if any(len(key) != 32 for key in self.signatures):
            raise ValueError("an identity key is 32 bytes")
        if any(len(signature) != SIGNATURE_SIZE for signature in self.signatures.values()):
            raise ValueError(f"a signature is {SIGNATURE_SIZE} bytes")
        object.__setattr__(self, "signatures", MappingProxyType(dict(sorted(self.signatures.items()))))

    def valid_signers(self, keys: Collection[IdentityKey]) -> frozenset[IdentityKey]:
        """Give whose signatures are there and valid; strangers' do not count.

        Args:
            keys: whose signatures may count.
        """
        return frozenset(
            key
            for key, signature in self.signatures.items()
            if key in keys and verify(key, signature, tags.READY, self.epoch_id)
        )

    def complete_for(self, statement: Statement, previous: Statement | None) -> bool:
        """Say whether this certifies ``statement``.

        All of its participants signed; of a later epoch also at least the threshold of the epoch before, with that
        epoch's keys. A signature that is invalid or a stranger's makes the certificate incomplete.

        Args:
            statement: the epoch's.
            previous: the statement of the epoch before, itself certified; None for a first epoch.
        """
        if self.epoch_id != statement.epoch_id or (previous is None) != (statement.previous is None):
            return False
        needed = frozenset(statement.identity_keys.values())
        before: frozenset[IdentityKey] = frozenset()
        if previous is not None:
            try:
                statement.check_follows(previous)
            except ValueError:
                return False
            before = frozenset(previous.identity_keys.values())
        signed = self.valid_signers(needed | before)
        enough = previous is None or len(signed & before) >= previous.threshold
        return signed == self.signatures.keys() and signed >= needed and enough

    def merge(self, other: "Certificate", keys: Collection[IdentityKey]) -> "Certificate":
        """Give every valid signature of both; what is invalid or a stranger's is left out.

        Args:
            other: signatures over the same epoch id, from anywhere.
            keys: whose signatures may count.

        Raises:
            ValueError: ``other`` is about another epoch.
        """
        if other.epoch_id != self.epoch_id:
            raise ValueError("the certificates are about different epochs")
        theirs = {key: other.signatures[key] for key in other.valid_signers(keys)}
        ours = {key: self.signatures[key] for key in self.valid_signers(keys)}
        return Certificate(self.epoch_id, theirs | ours)
