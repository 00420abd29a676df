"""A wallet as one participant holds it: a public model, and a secret that never leaves this node.

A wallet is a chain of epochs. The first is made by key generation; each later one, made by a refresh, shares the same
keys anew. Nothing but the full certificate makes an epoch active, no matter which node asks or what a file says; then
the epoch before it is retired, and its shares are erased (PROTOCOL, Wallet file).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, get_args

import msgspec

from mpcnode.crypto.suites import SUITES
from mpcnode.crypto.transcript import MAX_INTEGER
from mpcnode.errors import DecodeError, Refused, WalletPending
from mpcnode.protocols.descriptor import Member
from mpcnode.protocols.epoch import MAX_ABANDONED, WALLET_ID_SIZE, Certificate, Statement, SuiteKeys, chain_code_hash_of
from mpcnode.protocols.frost import held
from mpcnode.protocols.registry import PROTOCOLS
from mpcnode.status import Verified
from mpcnode.types import (
    MAX_PARTICIPANTS,
    EpochId,
    Identifier,
    IdentityKey,
    PeerId,
    SuiteId,
    WalletId,
    parse_epoch_id,
    parse_identity_key,
    parse_peer_id,
    parse_wallet_id,
    parse_wallet_name,
)
from mpcnode.wallet.secret import WalletSecret

MAX_EPOCHS: Final = 1024
FIRST: Final = 0
"""The number of a wallet's first epoch."""


class EpochState(StrEnum):
    """How far an epoch has come at this node."""

    PENDING = "pending"
    """The share is stored; not everybody is known to have stored theirs."""
    ACTIVE = "active"
    """Everybody signed that the share is stored: signatures are made with this epoch, and with no other."""
    RETIRED = "retired"
    """A later epoch became active; this one has no secret any more."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One sharing of the wallet's keys, as this node knows it.

    Args:
        statement: what everybody signs of it.
        certificate: the signatures over it that are known so far.
        state: how far it has come here.

    Raises:
        ValueError: the certificate is about another epoch.
    """

    statement: Statement
    certificate: Certificate
    state: EpochState

    def __post_init__(self) -> None:
        if self.certificate.epoch_id != self.statement.epoch_id:
            raise ValueError("the certificate is about another epoch")

    @property
    def epoch_id(self) -> EpochId:
        """The hash of the statement, which names the epoch."""
        return self.statement.epoch_id

    @property
    def number(self) -> int:
        """0 for the wallet's first epoch, one more for each later one."""
        return self.statement.number

    @property
    def missing(self) -> tuple[PeerId, ...]:
        """The participants whose valid signature is not known yet, by identifier."""
        signed = self.certificate.valid_signers(self.statement.identity_keys.values())
        return tuple(member.peer_id for member in self.statement.roster if member.identity_key not in signed)


@dataclass(frozen=True, slots=True)
class Wallet:
    """What a participant knows of a wallet and may show.

    Args:
        wallet_id: 16 bytes, for life.
        name: for people.
        peer_id: this participant's name.
        identity_key: this participant's key.
        epochs: by number: retired ones, the active one, the pending one. There is an active or a pending one; the
            secret holds shares of all but the retired ones.
        verified: how the participants were verified when the wallet was made.
        created_ms: when it was made, Unix milliseconds.

    Raises:
        ValueError: saying what does not hold; above all, an active or retired epoch without its full certificate, or
            one that does not follow the epoch before it.
    """

    wallet_id: WalletId
    name: str
    peer_id: PeerId
    identity_key: IdentityKey
    epochs: tuple[Epoch, ...]
    verified: Verified
    created_ms: int

    def __post_init__(self) -> None:
        if len(self.wallet_id) != WALLET_ID_SIZE:
            raise ValueError(f"a wallet id is {WALLET_ID_SIZE} bytes")
        parse_wallet_name(self.name)
        parse_peer_id(self.peer_id)
        if self.verified not in get_args(Verified):
            raise ValueError(
                f"a wallet's participants were verified in one of the ways {', '.join(get_args(Verified))}"
            )
        if not 0 <= self.created_ms <= MAX_INTEGER:
            raise ValueError("a wallet was made at a time in whole milliseconds since 1970")
        if any(epoch.statement.wallet_id != self.wallet_id for epoch in self.epochs):
            raise ValueError("an epoch is of another wallet")
        self._check_states()
        self._check_chain()
        self._check_unretired()

    # --- which epoch ---

    @property
    def active(self) -> Epoch | None:
        """The one epoch that signatures are made with; None before everybody is known to hold a share."""
        return self._in(EpochState.ACTIVE)

    @property
    def pending(self) -> Epoch | None:
        """The one epoch whose certificate is still to be completed, if there is one."""
        return self._in(EpochState.PENDING)

    @property
    def current(self) -> Epoch:
        """The active epoch, or the pending first one of a wallet that has no active epoch yet."""
        epoch = self.active or self.pending
        assert epoch is not None  # checked when the wallet was made
        return epoch

    @property
    def state(self) -> Literal["pending", "active"]:
        """Whether the wallet can be used: ``active`` where an epoch is."""
        return "pending" if self.active is None else "active"

    def epoch(self, epoch_id: EpochId) -> Epoch:
        """Give the epoch of this id.

        Raises:
            KeyError: the wallet has no such epoch.
        """
        return {epoch.epoch_id: epoch for epoch in self.epochs}[epoch_id]

    def require_active(self) -> Epoch:
        """Give the active epoch.

        Raises:
            WalletPending: there is none; the message names the participants whose signatures are missing.
        """
        if self.active is None:
            waiting = ", ".join(self.current.missing)
            raise WalletPending(
                f"wallet {self.name} is pending: no word yet from {waiting} that their share is stored",
                hint="bring these nodes online: every node that has the certificate hands it on",
                saved="this node's share is stored",
            )
        return self.active

    # --- what the current epoch says ---

    @property
    def identifier(self) -> Identifier:
        """This participant's number."""
        return self.current.statement.member(self.peer_id).identifier

    @property
    def threshold(self) -> int:
        """How many signers suffice, t."""
        return self.current.statement.threshold

    @property
    def total(self) -> int:
        """How many participants there are, n."""
        return len(self.roster)

    @property
    def roster(self) -> tuple[Member, ...]:
        """All participants, by identifier."""
        return self.current.statement.roster

    @property
    def identity_keys(self) -> Mapping[PeerId, IdentityKey]:
        """Everybody's identity key by peer id."""
        return {member.peer_id: member.identity_key for member in self.roster}

    @property
    def suites(self) -> tuple[SuiteKeys, ...]:
        """The keys, one entry for each suite."""
        return self.current.statement.suites

    def keys(self, suite: SuiteId) -> SuiteKeys:
        """Give the keys of one suite.

        Raises:
            KeyError: the wallet has none.
        """
        return {keys.suite: keys for keys in self.suites}[suite]

    # --- how it changes ---

    def with_pending(self, statement: Statement, certificate: Certificate) -> "Wallet":
        """Give this wallet with a later epoch that is still to be certified.

        The pending epoch that it abandons is dropped, and must be: this node's signature for the new one is in
        ``certificate``, and says that no full certificate for the old one was known here. From now on none is taken,
        because the wallet has no such epoch. A pending first epoch is never dropped.

        Args:
            statement: of the new epoch; it follows the active one, and abandons what was pending.
            certificate: this node's signature over it, and others' where they are known.

        Raises:
            Refused: no epoch is active, or it does not follow the active one, or does not abandon the pending one.
        """
        try:
            return self._followed_by(Epoch(statement, certificate, EpochState.PENDING))
        except ValueError as error:
            raise Refused(
                f"wallet {self.name} cannot take these new shares: {error}",
                hint="refresh the wallet again; see `mpcnode wallets list`",
            ) from error

    def merge(self, certificate: Certificate) -> "Wallet":
        """Add the valid signatures of ``certificate`` to a pending epoch; the full certificate makes it active.

        Then the epoch that was active is retired. The certificate of an active or retired epoch is full: nothing is
        added to it.

        Args:
            certificate: some or all signatures, from anybody; what is invalid or a stranger's is left out.

        Raises:
            KeyError: the wallet has no such epoch.
        """
        epoch = self.epoch(certificate.epoch_id)
        if epoch.state is not EpochState.PENDING:
            return self
        merged = epoch.certificate.merge(certificate, self._signers(epoch.statement))
        if not merged.complete_for(epoch.statement, self._before(epoch.statement)):
            changed = replace(epoch, certificate=merged)
            return replace(self, epochs=tuple(changed if one is epoch else one for one in self.epochs))
        retired = tuple(replace(one, state=EpochState.RETIRED) for one in self.epochs if one is not epoch)
        return replace(self, epochs=(*retired, Epoch(epoch.statement, merged, EpochState.ACTIVE)))

    # --- its secret ---

    @property
    def secret_epochs(self) -> frozenset[EpochId]:
        """The epochs of which this node keeps shares: all but the retired ones."""
        return frozenset(epoch.epoch_id for epoch in self._with_secret())

    def check_secret(self, secret: WalletSecret) -> None:
        """Check that ``secret`` is this participant's: every signing share gives its verifying share.

        Raises:
            DecodeError: a share is missing, of no use here, not a scalar, or another participant's; or the chain code
                is another one.
        """
        wanted = {
            (epoch.epoch_id, keys.suite): epoch.statement
            for epoch in self._with_secret()
            for keys in epoch.statement.suites
        }
        if {share.order for share in secret.shares} != wanted.keys():
            raise DecodeError("the secret is of other epochs or suites than the wallet")
        if chain_code_hash_of(secret.chain_code) != self.current.statement.chain_code_hash:
            raise DecodeError("the chain code is not the wallet's")
        for (epoch_id, suite), statement in wanted.items():
            share = secret.share(epoch_id, suite)
            if share.protocol != PROTOCOLS[suite]:
                raise DecodeError(f"the share for {suite} is of a protocol that does not make its keys")
            me = statement.member(self.peer_id).identifier
            held.decode_share(statement, suite, me, share.data).wipe()

    # --- its file ---

    def to_header(self) -> dict[str, Any]:
        """Give the wallet as the JSON object that stands in its file (PROTOCOL, Wallet file)."""
        header = _Header(
            wallet_id=self.wallet_id.hex(),
            name=self.name,
            peer_id=self.peer_id,
            identity_key=self.identity_key.hex(),
            verified=self.verified,
            created=self.created_ms,
            epochs=[_to_row(epoch) for epoch in self.epochs],
        )
        built: dict[str, Any] = msgspec.to_builtins(header)
        return built

    @classmethod
    def from_header(cls, header: dict[str, Any]) -> "Wallet":
        """Take a wallet from its file's header.

        Epoch ids are computed from what the header says, and signatures and the chain of epochs are checked. Still, a
        header says the truth only once the file's sealed part was opened: anybody can make a wallet that is whole. Do
        not show anything that money could be sent to without that.

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

    # --- inside ---

    def _in(self, state: EpochState) -> Epoch | None:
        return next((epoch for epoch in self.epochs if epoch.state is state), None)

    def _followed_by(self, later: Epoch) -> "Wallet":
        """Give this wallet with ``later`` in the place of what is pending; ValueError where it cannot be."""
        if self.active is None:
            raise ValueError("no epoch is active here yet")
        if self.pending is not None and self.pending.epoch_id not in later.statement.abandoned:
            raise ValueError("their epoch does not abandon the one that is pending here")
        kept = tuple(epoch for epoch in self.epochs if epoch is not self.pending)
        return replace(self, epochs=(*kept, later))

    def _with_secret(self) -> Iterator[Epoch]:
        return (epoch for epoch in self.epochs if epoch.state is not EpochState.RETIRED)

    def _before(self, statement: Statement) -> Statement | None:
        """Give the statement of the epoch before, which is in the chain."""
        if statement.previous is None:
            return None
        return self.epoch(statement.previous).statement

    def _signers(self, statement: Statement) -> frozenset[IdentityKey]:
        """Give whose signatures may be in a certificate: the participants', and those of the epoch before."""
        before = self._before(statement)
        keys = frozenset(statement.identity_keys.values())
        return keys if before is None else keys | frozenset(before.identity_keys.values())

    def _check_states(self) -> None:
        if not 1 <= len(self.epochs) <= MAX_EPOCHS:
            raise ValueError(f"a wallet has 1 to {MAX_EPOCHS} epochs")
        order = (EpochState.RETIRED, EpochState.ACTIVE, EpochState.PENDING)
        places = [order.index(epoch.state) for epoch in self.epochs]
        if places != sorted(places):
            raise ValueError("epochs are sorted: retired, active, pending")
        counts = {state: sum(epoch.state is state for epoch in self.epochs) for state in EpochState}
        if counts[EpochState.ACTIVE] > 1 or counts[EpochState.PENDING] > 1:
            raise ValueError("a wallet has at most one active and at most one pending epoch")
        if not counts[EpochState.ACTIVE] and (len(self.epochs), counts[EpochState.PENDING]) != (1, 1):
            raise ValueError("a wallet without an active epoch has its pending first one alone")

    def _check_chain(self) -> None:
        """Check that every epoch that was ever active follows the one before, with its full certificate."""
        before: Statement | None = None
        for epoch in self.epochs:
            if epoch.state is EpochState.PENDING:
                continue
            # This also says that it follows the epoch before, or is a first one where there is none before.
            if not epoch.certificate.complete_for(epoch.statement, before):
                raise ValueError("an active epoch has everybody's valid signature, and enough of the epoch it follows")
            before = epoch.statement

    def _check_unretired(self) -> None:
        active, pending = self.active, self.pending
        if pending is not None:
            if active is not None:
                pending.statement.check_follows(active.statement)
            elif pending.number != FIRST:
                raise ValueError("a wallet's epochs begin with its first")
            if not pending.certificate.signatures.keys() <= self._signers(pending.statement):
                raise ValueError("a certificate is signed by participants only")
        for epoch in self._with_secret():
            if epoch.statement.member(self.peer_id).identity_key != self.identity_key:
                raise ValueError("this participant has another identity key in an epoch")


class _Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    identifier: Annotated[int, msgspec.Meta(ge=1, le=MAX_PARTICIPANTS)]
    peer_id: str
    identity_key: str


class _SuiteKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    suite: str
    group_public_key: str
    verifying_shares: Annotated[list[str], msgspec.Meta(max_length=MAX_PARTICIPANTS)]


class _Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    public_key: str
    signature: str


_Number = Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)]


class _Epoch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    epoch_id: str
    state: EpochState
    number: _Number
    previous: str | msgspec.UnsetType = msgspec.UNSET
    abandoned: Annotated[list[str], msgspec.Meta(max_length=MAX_ABANDONED)]
    kind: Annotated[str, msgspec.Meta(max_length=64)]
    threshold: Annotated[int, msgspec.Meta(ge=1, le=MAX_PARTICIPANTS)]
    roster: Annotated[list[_Member], msgspec.Meta(max_length=MAX_PARTICIPANTS)]
    suites: Annotated[list[_SuiteKeys], msgspec.Meta(max_length=len(SUITES))]
    chain_code_hash: str
    transcript: str
    signatures: Annotated[list[_Signature], msgspec.Meta(max_length=2 * MAX_PARTICIPANTS)]


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    wallet_id: str
    name: str
    peer_id: str
    identity_key: str
    verified: Verified
    created: _Number
    epochs: Annotated[list[_Epoch], msgspec.Meta(max_length=MAX_EPOCHS)]


def _to_row(epoch: Epoch) -> _Epoch:
    statement = epoch.statement
    return _Epoch(
        epoch_id=epoch.epoch_id.hex(),
        state=epoch.state,
        number=statement.number,
        previous=msgspec.UNSET if statement.previous is None else statement.previous.hex(),
        abandoned=[abandoned.hex() for abandoned in statement.abandoned],
        kind=statement.kind,
        threshold=statement.threshold,
        roster=[_Member(one.identifier, one.peer_id, one.identity_key.hex()) for one in statement.roster],
        suites=[
            _SuiteKeys(keys.suite, keys.group_public_key.hex(), [share.hex() for share in keys.verifying_shares])
            for keys in statement.suites
        ],
        chain_code_hash=statement.chain_code_hash.hex(),
        transcript=statement.transcript.hex(),
        signatures=[_Signature(key.hex(), signature.hex()) for key, signature in epoch.certificate.signatures.items()],
    )


def _from_row(wallet_id: WalletId, row: _Epoch) -> Epoch:
    statement = Statement(
        wallet_id=wallet_id,
        number=row.number,
        previous=parse_epoch_id(row.previous) if isinstance(row.previous, str) else None,
        abandoned=tuple(parse_epoch_id(abandoned) for abandoned in row.abandoned),
        kind=row.kind,
        threshold=row.threshold,
        roster=tuple(
            Member(Identifier(one.identifier), parse_peer_id(one.peer_id), _identity_key(one.identity_key))
            for one in row.roster
        ),
        suites=tuple(
            SuiteKeys(
                SuiteId(keys.suite),
                bytes.fromhex(keys.group_public_key),
                tuple(bytes.fromhex(share) for share in keys.verifying_shares),
            )
            for keys in row.suites
        ),
        chain_code_hash=bytes.fromhex(row.chain_code_hash),
        transcript=bytes.fromhex(row.transcript),
    )
    signatures = {_identity_key(one.public_key): bytes.fromhex(one.signature) for one in row.signatures}
    return Epoch(statement, Certificate(parse_epoch_id(row.epoch_id), signatures), row.state)


def _identity_key(text: str) -> IdentityKey:
    return parse_identity_key(bytes.fromhex(text))


def _from_header(header: _Header) -> Wallet:
    wallet_id = parse_wallet_id(header.wallet_id)
    return Wallet(
        wallet_id=wallet_id,
        name=header.name,
        peer_id=parse_peer_id(header.peer_id),
        identity_key=_identity_key(header.identity_key),
        epochs=tuple(_from_row(wallet_id, row) for row in header.epochs),
        verified=header.verified,
        created_ms=header.created,
    )
