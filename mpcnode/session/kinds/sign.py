"""Signing as a kind of session: the first t that accept, and a line in the audit log before a share leaves.

The terms of a proposal (PROTOCOL, Signing): wallet id, epoch id, reading, script tree, then each content as people read
it. What is signed follows from reading and content; see ``mpcnode.readings``.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, get_args

from mpcnode.commands import MAX_CONTENT_BYTES
from mpcnode.crypto.adjustment import Adjustment, TaprootTweak
from mpcnode.crypto.suites import SUITES, Suite
from mpcnode.errors import DecodeError, Refused
from mpcnode.protocols.frost.packages import KeyPackage, PublicKeyPackage
from mpcnode.protocols.frost.sign import equivocators, sign
from mpcnode.protocols.signing_descriptor import SigningDescriptor
from mpcnode.readings import registry as readings
from mpcnode.session.kinds.kind import Agreed, Kind, Matter, Script, require
from mpcnode.session.services import Services
from mpcnode.session.stage import Stage
from mpcnode.status import SignatureView, SignView
from mpcnode.types import EpochId, Reading, WalletId
from mpcnode.wallet.wallet import Wallet
from mpcnode.wire.relay import SessionProposal

MAX_CONTENTS_SIZE: Final = 9 * 1024
"""Bytes of the contents of one session together, so that their proposal fits the relay."""
MAX_BATCH: Final = 250
"""How many contents one session signs; a longer batch is several sessions on one mesh."""

OpenKey = Callable[[], Awaitable[tuple[KeyPackage, PublicKeyPackage]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignTerms:
    """What a signing proposal says beyond every proposal.

    Args:
        wallet_id: whose key.
        epoch_id: the sharing of that key, so that two epochs are never mixed.
        reading: how people read the contents; with it, what is signed.
        merkle_root: for Taproot, the script tree of the key; empty for none, and for every other suite.
        contents: as people read them.
    """

    wallet_id: WalletId
    epoch_id: EpochId
    reading: Reading
    merkle_root: bytes
    contents: tuple[bytes, ...]

    def encode(self) -> tuple[bytes, ...]:
        """Give the terms as they stand in a proposal."""
        return self.wallet_id, self.epoch_id, self.reading.encode(), self.merkle_root, *self.contents

    @classmethod
    def decode(cls, terms: Sequence[bytes]) -> "SignTerms":
        """Take the terms of a proposal.

        Raises:
            Refused: they are not of their form, or cannot be read as they say.
        """
        require(5 <= len(terms) <= 4 + MAX_BATCH, f"a session signs 1 to {MAX_BATCH} messages")
        wallet_id, epoch_id, reading, merkle_root, *contents = terms
        require(len(wallet_id) == 16 and len(epoch_id) == 32, "a wallet id is 16 bytes, an epoch id 32")
        require(len(merkle_root) in {0, 32}, "a script tree is named by 32 bytes")
        longest = max(map(len, contents))
        require(longest <= MAX_CONTENT_BYTES, f"a message of {longest} bytes; {MAX_CONTENT_BYTES} are allowed")
        size = sum(map(len, contents))
        require(size <= MAX_CONTENTS_SIZE, f"{size} bytes to sign in one session; {MAX_CONTENTS_SIZE} are allowed")
        known = {name.encode(): name for name in get_args(Reading)}
        require(reading in known, "this node cannot read what is to be signed")
        try:
            for content in contents:
                readings.check(known[reading], content)
        except DecodeError as error:
            raise Refused(str(error)) from None
        return cls(
            wallet_id=WalletId(wallet_id),
            epoch_id=EpochId(epoch_id),
            reading=known[reading],
            merkle_root=merkle_root,
            contents=tuple(contents),
        )

    @property
    def signed(self) -> tuple[bytes, ...]:
        """The bytes that are signed, one for each content."""
        return tuple(readings.signed_bytes(self.reading, content) for content in self.contents)


class SignMatter(Matter[SignatureView]):
    """One signing session at one node."""

    def __init__(self, proposal: SessionProposal, services: Services, *, wallet: Wallet, terms: SignTerms) -> None:
        super().__init__(proposal, services, needed=wallet.threshold, wallet=wallet)
        self._wallet = wallet
        self._terms = terms
        self._descriptor: SigningDescriptor | None = None

    def signed(self) -> SignView:
        """Show what is to be signed, from this node's own copy."""
        terms = self._terms
        return SignView(
            wallet_id=terms.wallet_id.hex(),
            epoch=self._wallet.require_active().number,
            reading=terms.reading,
            messages=tuple(content.hex() for content in terms.contents),
            hashes=tuple(readings.digest(terms.reading, content).hex() for content in terms.contents),
            signed=tuple(signed.hex() for signed in terms.signed),
            merkle_root=terms.merkle_root.hex() or None,
        )

    @asynccontextmanager
    async def prepared(self, _stage: Stage) -> AsyncIterator[OpenKey]:
        """Open this node's share while others answer; it is used when they have, and wiped in any case."""
        async with self.services.wallets.signing_key(self._wallet, self._suite.id) as key:
            yield key

    async def script(self, agreed: Agreed, prepared: OpenKey, stage: Stage) -> Script:
        """Make the script; before it can send anything, the audit log says that this node signs."""
        stage.told.signers = tuple(member.peer_id for member in agreed.roster)
        stage.told.approved_by = stage.consent.approved_by
        if not stage.told.accepted:
            await self.services.journal.accept(stage.shown, stage.told)
        key, public = await prepared()
        epoch = self._wallet.require_active()
        self._descriptor = descriptor = SigningDescriptor(
            agreed=agreed.digest,
            session_id=agreed.session_id,
            wallet_id=self._wallet.wallet_id,
            epoch_id=epoch.epoch_id,
            suite=self._suite.id,
            group_public_key=public.group_public_key.encode(),
            threshold=self._wallet.threshold,
            signers=agreed.roster,
            reading=self._terms.reading,
            messages=self._terms.signed,
            adjustments=self._adjustments(),
        )
        rounds = sign(
            descriptor=descriptor,
            me=self._wallet.identifier,
            key=key,
            public=public,
            signer=self.services.identity,
            rng=self.services.rng,
            process=os.getpid,
        )
        return Script(rounds=rounds, equivocators=lambda mine, theirs: equivocators(mine, theirs, descriptor))

    async def result(self, value: Any, _agreed: Agreed, stage: Stage) -> SignatureView:  # noqa: ANN401
        """Show the signatures."""
        assert self._descriptor is not None
        descriptor, signatures = self._descriptor, value
        stage.told.signature = view = SignatureView(
            wallet_id=self._wallet.wallet_id.hex(),
            name=self._wallet.name,
            suite=descriptor.suite,
            public_key=descriptor.verifying_key.hex(),
            messages=tuple(content.hex() for content in self._terms.contents),
            signed=tuple(message.hex() for message in descriptor.messages),
            signatures=tuple(signature.hex() for signature in signatures),
            signers=tuple(signer.peer_id for signer in descriptor.signers),
        )
        return view

    @property
    def _suite(self) -> Suite:
        return SUITES[self.proposal.suites[0]]

    def _adjustments(self) -> tuple[Adjustment, ...]:
        """The bare internal key of a Taproot wallet never signs: exactly one tweak stands at the end."""
        return (TaprootTweak(self._terms.merkle_root),) if self._suite.scheme.tweaked else ()


def _matter(proposal: SessionProposal, services: Services) -> SignMatter:
    """Check a signing proposal against this node's wallet.

    Raises:
        Refused: there is no such wallet here, or the proposal does not fit it.
    """
    require(len(proposal.suites) == 1, "a signing proposal names one ciphersuite")
    (suite,) = proposal.suites
    terms = SignTerms.decode(proposal.terms)
    wallet = wallet_of(proposal, services, wallet_id=terms.wallet_id, epoch_id=terms.epoch_id)
    require(suite in {keys.suite for keys in wallet.suites}, "the wallet has no key of that ciphersuite")
    require(not terms.merkle_root or SUITES[suite].scheme.tweaked, "only Taproot keys have a script tree")
    require(len(proposal.participants) >= wallet.threshold, "fewer participants are asked than must sign")
    return SignMatter(proposal, services, wallet=wallet, terms=terms)


def wallet_of(proposal: SessionProposal, services: Services, *, wallet_id: WalletId, epoch_id: EpochId) -> Wallet:
    """Give this node's wallet that a proposal is about, checked against it.

    Raises:
        Refused: there is no such wallet here, it is of another epoch, or the proposal does not fit it.
    """
    wallet = services.wallets.find(wallet_id)
    if wallet is None:
        raise Refused("this node has no wallet of that id")
    active = wallet.active
    if active is None:
        raise Refused(f"wallet {wallet.name} is pending at this node")
    if active.epoch_id != epoch_id:
        known = [epoch for epoch in wallet.epochs if epoch.epoch_id == epoch_id]
        named = f"epoch {known[0].number}" if known else "an epoch that is unknown here"
        raise Refused(f"the active shares of wallet {wallet.name} here are of epoch {active.number}, not of {named}")
    require(proposal.threshold == wallet.threshold, f"the wallet's threshold is {wallet.threshold}")
    require(proposal.wallet_name == wallet.name, f"the wallet is called {wallet.name} here")
    roster = {(member.identifier, member.peer_id, member.identity_key) for member in active.statement.roster}
    strangers = [
        one.peer_id for one in proposal.participants if (one.identifier, one.peer_id, one.public_key) not in roster
    ]
    require(not strangers, f"{', '.join(strangers)} is not a participant of the wallet under that key")
    return wallet


SIGN: Final = Kind("sign", _matter)
