"""What all signers must agree on before the first message, as one hash (PROTOCOL, Signing)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from mpcnode.crypto import tags
from mpcnode.crypto.adjustment import Adjustment, adjusted_key
from mpcnode.crypto.ciphersuite import CIPHERSUITES, AnyCiphersuite
from mpcnode.crypto.transcript import listed, tagged_hash, u64
from mpcnode.protocols.descriptor import AGREED_SIZE, SESSION_ID_SIZE, Member, check_roster
from mpcnode.protocols.epoch import EPOCH_ID_SIZE, WALLET_ID_SIZE
from mpcnode.types import (
    MAX_PARTICIPANTS,
    MIN_THRESHOLD,
    EpochId,
    Identifier,
    IdentityKey,
    PeerId,
    SessionId,
    SuiteId,
    WalletId,
)

SIGN: Final = "sign"
MAX_MESSAGES: Final = 1_000
"""How many messages one session signs."""
MAX_MESSAGE_SIZE: Final = 0xFFFF
"""The longest message in bytes; of anything longer a hash is signed."""
MAX_READING_SIZE: Final = 32


@dataclass(frozen=True, slots=True)
class SigningDescriptor:
    """What a signing session is about.

    Its hash is ``tagged_hash(SIGNING_DESCRIPTOR, agreed, session_id, wallet_id, epoch_id, suite, group_public_key, u64
    threshold, u64 n, (u64 identifier, peer_id, identity key)*, reading, u64 count, message*, u64 count,
    ("taproot-tweak", merkle_root)*)``.

    Args:
        agreed: the hash of the proposal and the acceptances, 32 bytes.
        session_id: 16 bytes.
        wallet_id: whose key signs.
        epoch_id: which sharing of that key.
        suite: the suite of the key.
        group_public_key: the wallet's key in this suite, encoded, before every adjustment.
        threshold: t, how many signers suffice.
        signers: at least t of the wallet's participants, sorted by identifier.
        reading: what people were shown of the messages.
        messages: the bytes that are signed, 1 to ``MAX_MESSAGES``, each at most ``MAX_MESSAGE_SIZE`` bytes.
        adjustments: how the key is changed first; for Taproot always one tweak, for other suites none.

    Raises:
        ValueError: saying what does not hold.
    """

    agreed: bytes
    session_id: SessionId
    wallet_id: WalletId
    epoch_id: EpochId
    suite: SuiteId
    group_public_key: bytes
    threshold: int
    signers: tuple[Member, ...]
    reading: str
    messages: tuple[bytes, ...]
    adjustments: tuple[Adjustment, ...] = ()
    verifying_key: bytes = field(init=False)
    """The encoded key the signatures verify under: the group public key after its adjustments."""
    hash: bytes = field(init=False)
    """The 32 bytes that everything of the session hangs on, its messages included."""

    def __post_init__(self) -> None:
        if len(self.agreed) != AGREED_SIZE or len(self.epoch_id) != EPOCH_ID_SIZE:
            raise ValueError(f"what was agreed on and an epoch id are hashes of {AGREED_SIZE} bytes")
        if len(self.session_id) != SESSION_ID_SIZE or len(self.wallet_id) != WALLET_ID_SIZE:
            raise ValueError(f"a session id and a wallet id are {SESSION_ID_SIZE} bytes each")
        check_roster(self.signers)
        if not MIN_THRESHOLD <= self.threshold <= len(self.signers) <= MAX_PARTICIPANTS:
            raise ValueError(f"{len(self.signers)} signers do not reach a threshold of {self.threshold}")
        if not self.reading.isascii() or not 1 <= len(self.reading) <= MAX_READING_SIZE:
            raise ValueError(f"a reading is 1 to {MAX_READING_SIZE} ASCII characters")
        if not 1 <= len(self.messages) <= MAX_MESSAGES:
            raise ValueError(f"a session signs 1 to {MAX_MESSAGES} messages, not {len(self.messages)}")
        if any(len(message) > MAX_MESSAGE_SIZE for message in self.messages):
            raise ValueError(f"a message is at most {MAX_MESSAGE_SIZE} bytes: sign a hash of it")
        if self.suite not in CIPHERSUITES:
            raise ValueError("FROST signs with suites it knows")
        # DecodeError is a ValueError and says what is wrong with the key.
        key = adjusted_key(self.suite, self.group_public_key, self.adjustments)
        object.__setattr__(self, "verifying_key", key)
        object.__setattr__(self, "hash", self._hash())

    def _hash(self) -> bytes:
        members = [
            part
            for member in self.signers
            for part in (u64(member.identifier), member.peer_id.encode(), member.identity_key)
        ]
        adjustments = [part for tweak in self.adjustments for part in (b"taproot-tweak", tweak.merkle_root)]
        return tagged_hash(
            tags.SIGNING_DESCRIPTOR,
            self.agreed,
            self.session_id,
            self.wallet_id,
            self.epoch_id,
            self.suite.encode(),
            self.group_public_key,
            u64(self.threshold),
            u64(len(self.signers)),
            *members,
            self.reading.encode(),
            *listed(self.messages),
            u64(len(self.adjustments)),
            *adjustments,
        )

    @property
    def ciphersuite(self) -> AnyCiphersuite:
        """The suite as FROST has it."""
        return CIPHERSUITES[self.suite]

    @property
    def participants(self) -> Mapping[Identifier, PeerId]:
        """The signers' peer ids by identifier."""
        return {member.identifier: member.peer_id for member in self.signers}

    @property
    def identity_keys(self) -> Mapping[Identifier, IdentityKey]:
        """The signers' identity keys by identifier."""
        return {member.identifier: member.identity_key for member in self.signers}

    def identifier(self, peer_id: PeerId) -> Identifier:
        """Give a signer's identifier.

        Raises:
            ValueError: ``peer_id`` does not sign.
        """
        for member in self.signers:
            if member.peer_id == peer_id:
                return member.identifier
        raise ValueError("this peer is not among the signers")

    def identity_key(self, i: Identifier) -> IdentityKey:
        """Give signer ``i``'s identity key.

        Raises:
            ValueError: ``i`` does not sign.
        """
        for member in self.signers:
            if member.identifier == i:
                return member.identity_key
        raise ValueError("this identifier is not among the signers")
