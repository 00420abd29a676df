"""What a signer does once everybody is chosen and connected: the protocol, with this node's share of the key."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mpcnode.errors import DecodeError, MpcError
from mpcnode.protocols.execution import Execution
from mpcnode.protocols.frost.sign import SignatureBytes, equivocators, sign
from mpcnode.protocols.signing_descriptor import SigningDescriptor, SigningMember
from mpcnode.session.meshes import Channel
from mpcnode.session.phases import Phases
from mpcnode.session.services import Services
from mpcnode.session.session import Session
from mpcnode.session.wallets import OpenKey
from mpcnode.status import Phase, SignatureView
from mpcnode.types import Identifier, PeerId, SessionId, SuiteId
from mpcnode.wallet.wallet import Wallet
from mpcnode.wire import relay as wire
from mpcnode.wire.peer import Abort, WalletCreated

_PHASES: Final[dict[str, Phase]] = {
    "signing_commitments": "committing",
    "commitment_list": "agreeing",
    "signature_share": "signing",
}


@dataclass(frozen=True, slots=True)
class Signed:
    """What a signing session gave.

    Args:
        descriptor: what was agreed on.
        signatures: one for each message, each verified by another library.
    """

    descriptor: SigningDescriptor
    signatures: tuple[SignatureBytes, ...]


class Signatory:
    """One signer of one session.

    Args:
        descriptor: what all signers agree on.
        wallet: whose key; this node's.
        services: the node's.
        phases: told how far it is.
        key: opens this node's share of the key; whoever gave it wipes it.
    """

    def __init__(
        self, descriptor: SigningDescriptor, *, wallet: Wallet, services: Services, phases: Phases, key: OpenKey
    ) -> None:
        self._descriptor = descriptor
        self._key = key
        self._wallet = wallet
        self._services = services
        self._phases = phases
        self._me = services.peer_id

    async def sign(self, channel: Channel) -> Signed:
        """Run the protocol over ``channel``.

        Raises:
            ProtocolAbort: a signer stopped, fell silent or cheated; no signature left this node.
            MpcError: this node's share cannot be used.
        """
        descriptor = self._descriptor
        me = self._wallet.identifier
        try:
            key, public = await self._key()
        except MpcError as error:
            for name in descriptor.participants.values():
                if name != self._me:
                    channel.send(name, Abort(descriptor.session_id, error.code, "an error of its own"))
            raise
        script = sign(
            descriptor=descriptor,
            me=me,
            key=key,
            public=public,
            signer=self._services.identity,
            rng=self._services.rng,
            process=os.getpid,
        )
        session = Session(
            Execution(script, me=me, participants=descriptor.participants),
            channel,
            session_id=descriptor.session_id,
            identifiers={name: identifier for identifier, name in descriptor.participants.items()},
            me=self._me,
            host=self,
            timeouts=self._services.timeouts,
        )
        return Signed(descriptor, await session.run())

    # What the pump asks of its host

    async def checkpoint(self, record: object) -> object:
        """Signing has none."""
        raise AssertionError(f"no such checkpoint: {type(record).__name__}")

    def waiting(self, phase: str, missing: tuple[PeerId, ...]) -> None:
        """Show the round and whom it waits for."""
        if missing:
            self._phases.enter(_PHASES[phase], missing)

    def equivocators(self, mine: bytes, theirs: bytes) -> frozenset[PeerId]:
        """Who is proved a liar by two signers' evidence."""
        names = self._descriptor.participants
        try:
            return frozenset(names[culprit] for culprit in equivocators(mine, theirs, self._descriptor))
        except DecodeError:
            return frozenset()  # what cannot be read proves nothing

    def last_words(self, sender: PeerId, message: WalletCreated) -> None:
        """No wallet is created here."""
        raise AssertionError(f"the pump takes no {type(message).__name__} of {sender} here")

    def stopped(self, sender: PeerId) -> None:
        """Nothing is waited for after the last round."""


def signing_descriptor(
    proposal: wire.SessionProposal, wallet: Wallet, fresh: Mapping[PeerId, bytes]
) -> SigningDescriptor:
    """The descriptor: the wallet's key, the messages as proposed here, and the signers with their fresh bytes.

    Args:
        proposal: what this node approved, or made.
        wallet: whose identifiers and identity keys count.
        fresh: 32 bytes of each signer, by name.
    """
    request = proposal.sign
    assert request is not None
    identifiers = {p.peer_id: Identifier(i) for i, p in enumerate(wallet.roster, 1)}
    suite = SuiteId(proposal.suites[0])
    root = request.merkle_root
    members = [SigningMember(identifiers[n], n, wallet.identity_keys[n], fresh[n]) for n in fresh]
    return SigningDescriptor(
        session_id=SessionId(proposal.session_id),
        wallet_id=wallet.wallet_id,
        epoch=wallet.epoch,
        suite=suite,
        group_public_key=wallet.keys(suite).group_public_key,
        threshold=wallet.threshold,
        signers=tuple(sorted(members, key=lambda member: member.identifier)),
        messages=tuple(bytes.fromhex(message) for message in request.messages),
        merkle_root=None if root is None else bytes.fromhex(root),
    )


def signature_view(wallet: Wallet, signed: Signed) -> SignatureView:
    """Show signatures."""
    descriptor = signed.descriptor
    return SignatureView(
        wallet_id=wallet.wallet_id,
        name=wallet.name,
        suite=descriptor.suite,
        public_key=descriptor.verifying_key.hex(),
        messages=tuple(message.hex() for message in descriptor.messages),
        signatures=tuple(signature.hex() for signature in signed.signatures),
        signers=tuple(signer.peer_id for signer in descriptor.signers),
    )
