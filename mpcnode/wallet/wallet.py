"""A wallet as one participant holds it: a public model, and a secret that never leaves this node.

A wallet is *pending* from the moment its share is stored until everybody's signature over the key generation's
transcript is there too, and *active* from then on. Nothing but the full certificate makes it active, whoever asks and
whatever a file says.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Any

import msgspec

from mpcnode.crypto.ciphersuite import SUITES
from mpcnode.errors import DecodeError, WalletPending
from mpcnode.protocols.certificate import TRANSCRIPT_SIZE, Certificate
from mpcnode.types import (
    MAX_PARTICIPANTS,
    Identifier,
    IdentityKey,
    PeerId,
    SessionId,
    SuiteId,
    WalletId,
    check_threshold,
    parse_identity_key,
    parse_peer_id,
    parse_session_id,
    parse_wallet_id,
    parse_wallet_name,
)
from mpcnode.wallet.secret import WalletSecret


class State(StrEnum):
    """How far a wallet has come."""

    PENDING = "pending"
    """The share is stored; not everybody is known to have stored theirs. No address is shown."""
    ACTIVE = "active"
    """Everybody signed that they stored their share."""


@dataclass(frozen=True, slots=True)
class Participant:
    """One of the n, fixed for the wallet's life; its position in the roster, from 1, is its identifier."""

    peer_id: PeerId
    identity_key: IdentityKey


@dataclass(frozen=True, slots=True)
class SuiteKeys:
    """The public side of a wallet's key in one ciphersuite.

    Args:
        suite: which.
        group_public_key: the key signatures verify under, in the suite's element encoding; final, tweak included.
        verifying_shares: everybody's, sorted by identifier, in the same encoding.

    Raises:
        ValueError: the suite is unknown, or an element is none of its group's.
    """

    suite: SuiteId
    group_public_key: bytes
    verifying_shares: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if self.suite not in SUITES:
            raise ValueError(f"unknown ciphersuite {self.suite!a}")
        for element in (self.group_public_key, *self.verifying_shares):
            SUITES[self.suite].group.decode_element(element)


@dataclass(frozen=True, slots=True)
class Wallet:
    """What a participant knows of a wallet and may show.

    Args:
        wallet_id: the first 128 bits of the session descriptor's hash.
        session_id: of its key generation; what a certificate is asked for by.
        name: for people.
        peer_id: this participant.
        identifier: this participant's, from 1.
        threshold: t, how many signers suffice.
        roster: all n, sorted by peer id.
        suites: the keys, one for each ciphersuite, sorted by suite.
        certificate: the transcript and the ``ready`` signatures over it that are known so far.
        state: pending or active.
        compared_words: whether a human compared the safety words, or every participant was a verified contact.
        created: when, in whole seconds since 1970-01-01 UTC.
        epoch: how often the shares were refreshed.

    Raises:
        ValueError: saying what does not hold; above all, an active wallet without its full certificate.
    """

    wallet_id: WalletId
    session_id: SessionId
    name: str
    peer_id: PeerId
    identifier: Identifier
    threshold: int
    roster: tuple[Participant, ...]
    suites: tuple[SuiteKeys, ...]
    certificate: Certificate
    state: State
    compared_words: bool
    created: int
    epoch: int = 0

    def __post_init__(self) -> None:
        parse_wallet_id(self.wallet_id)
        parse_session_id(self.session_id)
        parse_wallet_name(self.name)
        check_threshold(self.threshold, self.total)
        names = [parse_peer_id(participant.peer_id) for participant in self.roster]
        if names != sorted(set(names)) or len(self.identity_keys.values()) != len(set(self.identity_keys.values())):
            raise ValueError("a roster is sorted by peer id, each name and each identity key once")
        if not 1 <= self.identifier <= self.total or names[self.identifier - 1] != self.peer_id:
            raise ValueError("the identifier is not this participant's place in the roster")
        suites = [keys.suite for keys in self.suites]
        if not suites or suites != sorted(set(suites)):
            raise ValueError("a wallet has at least one ciphersuite, sorted, each once")
        if any(len(keys.verifying_shares) != self.total for keys in self.suites):
            raise ValueError("a wallet has one verifying share for each participant")
        if not self.certificate.signatures.keys() <= set(names):
            raise ValueError("a certificate is signed by participants only")
        if self.state is State.ACTIVE and not self.certificate.verify(self.identity_keys):
            raise ValueError("an active wallet has everybody's valid signature")

    @property
    def total(self) -> int:
        """How many participants there are, n."""
        return len(self.roster)

    @property
    def identity_keys(self) -> dict[PeerId, IdentityKey]:
        """Everybody's identity key by peer id."""
        return {participant.peer_id: participant.identity_key for participant in self.roster}

    @property
    def missing(self) -> tuple[PeerId, ...]:
        """Whose valid ``ready`` signature is not known yet, sorted; nobody's once the wallet is active."""
        signed = self.certificate.signers(self.identity_keys)
        return tuple(participant.peer_id for participant in self.roster if participant.peer_id not in signed)

    @property
    def promised(self) -> bool:
        """Whether this participant's own ``ready`` is among the signatures.

        Others may count on this share from then on: it must not be deleted without a human.
        """
        return self.peer_id in self.certificate.signatures

    def keys(self, suite: SuiteId) -> SuiteKeys:
        """Give the keys of one ciphersuite.

        Raises:
            KeyError: the wallet has none.
        """
        return {keys.suite: keys for keys in self.suites}[suite]

    def merge(self, certificate: Certificate) -> "Wallet":
        """Add the valid signatures of ``certificate``; with everybody's, the wallet becomes active.

        Args:
            certificate: some or all signatures, from whomever; what is invalid or a stranger's is left out.

        Raises:
            ValueError: it is about another transcript.
        """
        merged = self.certificate.merge(certificate, self.identity_keys)
        complete = merged.verify(self.identity_keys)
        return replace(self, certificate=merged, state=State.ACTIVE if complete else self.state)

    def require_active(self) -> None:
        """Refuse to go on with a wallet that others may not have.

        Raises:
            WalletPending: naming whose signatures are missing.
        """
        if self.state is not State.ACTIVE:
            raise WalletPending(
                f"wallet {self.name} is pending: no word yet from {', '.join(self.missing)} that their share is stored",
                hint="bring these nodes online: whoever has the certificate hands it on",
                saved="this node's share is stored",
            )

    def check_secret(self, secret: WalletSecret) -> None:
        """Check that ``secret`` is this participant's: every signing share gives its verifying share.

        Raises:
            DecodeError: other suites, a share that is no scalar, or another participant's.
        """
        if list(secret.shares) != [keys.suite for keys in self.suites]:
            raise DecodeError("the secret is of other ciphersuites than the wallet")
        for keys in self.suites:
            group = SUITES[keys.suite].group
            share = group.decode_scalar(secret.shares[keys.suite])
            mine = group.scalar_base_mult(share)
            share.wipe()
            if mine != group.decode_element(keys.verifying_shares[self.identifier - 1]):
                raise DecodeError(f"the signing share for {keys.suite} does not fit its verifying share")

    def to_header(self) -> dict[str, Any]:
        """Give the wallet as the JSON object that stands in its file."""
        header = _Header(
            wallet_id=self.wallet_id,
            session_id=self.session_id,
            name=self.name,
            peer_id=self.peer_id,
            identifier=self.identifier,
            threshold=self.threshold,
            total=self.total,
            participants=[_Participant(p.peer_id, p.identity_key.hex()) for p in self.roster],
            suites=[
                _SuiteKeys(k.suite, k.group_public_key.hex(), [share.hex() for share in k.verifying_shares])
                for k in self.suites
            ],
            state=self.state.value,
            transcript=self.certificate.transcript.hex(),
            signatures={peer_id: signature.hex() for peer_id, signature in self.certificate.signatures.items()},
            compared_words=self.compared_words,
            created=self.created,
            epoch=self.epoch,
        )
        built: dict[str, Any] = msgspec.to_builtins(header)
        return built

    @classmethod
    def from_header(cls, header: dict[str, Any]) -> "Wallet":
        """Take a wallet from its file's header.

        A header says the truth only once the file's sealed part was opened; without that, show nothing that money
        could be sent to.

        Raises:
            DecodeError: a field is missing, unknown, of another form or not canonical; or what ``Wallet`` refuses.
        """
        try:
            wallet = _from_header(msgspec.convert(header, type=_Header))
        except (msgspec.MsgspecError, ValueError) as error:
            raise DecodeError(f"not a wallet: {str(error)!a}") from None
        if wallet.to_header() != header:
            raise DecodeError("not the canonical form of a wallet")
        return wallet


class _Participant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    peer_id: str
    identity_key: str


class _SuiteKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    suite: str
    group_public_key: str
    verifying_shares: Annotated[list[str], msgspec.Meta(max_length=MAX_PARTICIPANTS)]


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    wallet_id: str
    session_id: str
    name: str
    peer_id: str
    identifier: int
    threshold: int
    total: int
    participants: Annotated[list[_Participant], msgspec.Meta(max_length=MAX_PARTICIPANTS)]
    suites: Annotated[list[_SuiteKeys], msgspec.Meta(max_length=len(SUITES))]
    state: str
    transcript: Annotated[str, msgspec.Meta(max_length=2 * TRANSCRIPT_SIZE)]
    signatures: dict[str, str]
    compared_words: bool
    created: Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
    epoch: Annotated[int, msgspec.Meta(ge=0, lt=2**32)]


def _from_header(header: _Header) -> Wallet:
    signatures = {parse_peer_id(name): bytes.fromhex(signature) for name, signature in header.signatures.items()}
    return Wallet(
        wallet_id=parse_wallet_id(header.wallet_id),
        session_id=parse_session_id(header.session_id),
        name=header.name,
        peer_id=parse_peer_id(header.peer_id),
        identifier=Identifier(header.identifier),
        threshold=header.threshold,
        roster=tuple(
            Participant(parse_peer_id(p.peer_id), parse_identity_key(bytes.fromhex(p.identity_key)))
            for p in header.participants
        ),
        suites=tuple(
            SuiteKeys(
                SuiteId(k.suite),
                bytes.fromhex(k.group_public_key),
                tuple(bytes.fromhex(share) for share in k.verifying_shares),
            )
            for k in header.suites
        ),
        certificate=Certificate(bytes.fromhex(header.transcript), signatures),
        state=State(header.state),
        compared_words=header.compared_words,
        created=header.created,
        epoch=header.epoch,
    )
