"""The signing descriptor: what all signers must agree on before the first message, as one hash."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mpcnode.crypto.ciphersuite import SUITES, AnySuite
from mpcnode.crypto.group import Element
from mpcnode.crypto.transcript import tagged_hash
from mpcnode.errors import DecodeError
from mpcnode.protocols.descriptor import DESCRIPTOR_VERSION, FRESH_SIZE
from mpcnode.types import (
    MAX_PARTICIPANTS,
    MIN_THRESHOLD,
    Identifier,
    IdentityKey,
    PeerId,
    SessionId,
    SuiteId,
    WalletId,
    parse_peer_id,
    parse_session_id,
    parse_wallet_id,
)

SIGN: Final = "sign"
MAX_MESSAGES: Final = 1_000
"""How many messages one session signs."""
MAX_MESSAGE_SIZE: Final = 0xFFFF
"""The longest message in bytes; what is longer is hashed by whoever wants it signed."""
MAX_EPOCH: Final = 0xFFFF_FFFF

_TAG: Final = "mpcnode/signing-descriptor/v1"


@dataclass(frozen=True, slots=True)
class SigningMember:
    """One signer, as everybody sees it.

    Args:
        identifier: its identifier in the wallet, which it keeps whoever else signs.
        peer_id: its name.
        identity_key: its 32-byte Ed25519 key, as the wallet's roster has it.
        fresh: 32 random bytes it drew for this session; so that nothing said in one session fits another.
    """

    identifier: Identifier
    peer_id: PeerId
    identity_key: IdentityKey
    fresh: bytes


@dataclass(frozen=True, slots=True)
class SigningDescriptor:
    """What a signing session is about.

    Args:
        session_id: 128 random bits, in hexadecimal.
        wallet_id: whose key signs.
        epoch: which sharing of that key, from 0.
        suite: the ciphersuite.
        group_public_key: the wallet's key in this suite, encoded.
        threshold: t, how many signers suffice.
        signers: at least t of the wallet's participants, by ascending identifier.
        messages: what is signed, 1 to ``MAX_MESSAGES``, each at most ``MAX_MESSAGE_SIZE`` bytes.
        merkle_root: for Taproot, an additional BIP-341 tweak: of a script tree by its 32-byte root, or of none by an
            empty root; None signs for the key as it is.
        kind: the protocol.
        version: of this descriptor.

    Raises:
        ValueError: saying what does not hold.
    """

    session_id: SessionId
    wallet_id: WalletId
    epoch: int
    suite: SuiteId
    group_public_key: bytes
    threshold: int
    signers: tuple[SigningMember, ...]
    messages: tuple[bytes, ...]
    merkle_root: bytes | None = None
    kind: str = SIGN
    version: int = DESCRIPTOR_VERSION

    def __post_init__(self) -> None:
        if self.version != DESCRIPTOR_VERSION or self.kind != SIGN:
            raise ValueError(f"a signing descriptor is of version {DESCRIPTOR_VERSION} and kind {SIGN}")
        parse_session_id(self.session_id)
        parse_wallet_id(self.wallet_id)
        if not 0 <= self.epoch <= MAX_EPOCH:
            raise ValueError(f"an epoch is 0 to {MAX_EPOCH}")
        self._check_signers()
        self._check_key()
        if not 1 <= len(self.messages) <= MAX_MESSAGES:
            raise ValueError(f"a session signs 1 to {MAX_MESSAGES} messages, not {len(self.messages)}")
        if any(len(message) > MAX_MESSAGE_SIZE for message in self.messages):
            raise ValueError(f"a message is at most {MAX_MESSAGE_SIZE} bytes: sign a hash of it")

    def _check_signers(self) -> None:
        identifiers = [signer.identifier for signer in self.signers]
        if identifiers != sorted(set(identifiers)) or not all(1 <= i <= MAX_PARTICIPANTS for i in identifiers):
            raise ValueError(f"signers come by ascending identifier from 1 to {MAX_PARTICIPANTS}, each once")
        if not MIN_THRESHOLD <= self.threshold <= len(self.signers):
            raise ValueError(f"{len(self.signers)} signers do not reach a threshold of {self.threshold}")
        if len({parse_peer_id(signer.peer_id) for signer in self.signers}) != len(self.signers):
            raise ValueError("two signers cannot have one name")
        if len({signer.identity_key for signer in self.signers}) != len(self.signers):
            raise ValueError("two signers cannot have one identity key")
        if any(len(signer.identity_key) != 32 or len(signer.fresh) != FRESH_SIZE for signer in self.signers):
            raise ValueError("an identity key and a signer's fresh value are 32 bytes each")

    def _check_key(self) -> None:
        if self.suite not in SUITES:
            raise ValueError("a suite is one of those we know")
        try:
            key = self.ciphersuite.group.decode_element(self.group_public_key)
        except DecodeError as error:
            raise ValueError(f"the group public key is none: {error}") from error
        if self.merkle_root is not None:
            self.ciphersuite.tweak_key(key, self.merkle_root)

    @property
    def ciphersuite(self) -> AnySuite:
        """The suite itself."""
        return SUITES[self.suite]

    @property
    def suites(self) -> tuple[SuiteId, ...]:
        """The one suite, as a key generation has several."""
        return (self.suite,)

    @property
    def verifying_key(self) -> bytes:
        """The encoded key the signatures verify under: the group public key, tweaked where there is a tweak."""
        key: Element = self.ciphersuite.group.decode_element(self.group_public_key)
        if self.merkle_root is not None:
            key = self.ciphersuite.tweak_key(key, self.merkle_root).group_key
        return key.encode()

    @property
    def participants(self) -> Mapping[Identifier, PeerId]:
        """The signers' peer ids by identifier."""
        return {signer.identifier: signer.peer_id for signer in self.signers}

    def identifier(self, peer_id: PeerId) -> Identifier:
        """Give a signer's identifier.

        Raises:
            ValueError: ``peer_id`` does not sign.
        """
        for signer in self.signers:
            if signer.peer_id == peer_id:
                return signer.identifier
        raise ValueError("this peer is not among the signers")

    def identity_key(self, i: Identifier) -> IdentityKey:
        """Give signer ``i``'s identity key.

        Raises:
            ValueError: ``i`` does not sign.
        """
        for signer in self.signers:
            if signer.identifier == i:
                return signer.identity_key
        raise ValueError("this identifier is not among the signers")

    @property
    def context(self) -> bytes:
        """The 32 bytes that bind every later hash and signature to this session, its messages included."""
        members = [
            field
            for signer in self.signers
            for field in (
                signer.identifier.to_bytes(2, "big"),
                signer.peer_id.encode(),
                signer.identity_key,
                signer.fresh,
            )
        ]
        tweak = () if self.merkle_root is None else (self.merkle_root,)
        return tagged_hash(
            _TAG,
            self.version.to_bytes(2, "big"),
            self.kind.encode(),
            bytes.fromhex(self.session_id),
            bytes.fromhex(self.wallet_id),
            self.epoch.to_bytes(4, "big"),
            self.suite.encode(),
            self.group_public_key,
            self.threshold.to_bytes(2, "big"),
            # How many of what follows, so that no two descriptors give the same parts.
            len(self.signers).to_bytes(2, "big"),
            *members,
            len(tweak).to_bytes(2, "big"),
            *tweak,
            len(self.messages).to_bytes(2, "big"),
            *self.messages,
        )
