"""How a node with a pending epoch becomes active when it meets a peer again (PROTOCOL, Wallet file).

A participant that has its share durable signs ``ready`` once and for all, so the certificate can be put together from
what any participants hold, in any number of meetings. Nothing here needs trust in the one that brings a signature: it
is valid or not.

A node that learns a signature hands it on to the participants that are here: of two that wait for a third, each may
hear the third's signature from it, and nobody would ever ask the other one again. And while an epoch is pending it asks
now and then without any event: what was said may have been lost.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from mpcnode.errors import MpcError
from mpcnode.peers.budget import Complaints
from mpcnode.peers.conversation import Conversations, Opened
from mpcnode.protocols.epoch import Certificate
from mpcnode.status import Event, WalletChanged, Warned
from mpcnode.types import EpochId, IdentityKey, PeerId, WalletId
from mpcnode.wallet.store import Wallets
from mpcnode.wallet.wallet import Epoch, Wallet
from mpcnode.wire.relay import CertificateReply, CertificateRequest, EpochSignature

LASTS: Final = 60_000
"""Milliseconds."""
ASK_EVERY: Final = 15.0
"""Seconds between the questions of a node whose epoch is pending."""
ASKED: Final = (64, 0.25)
"""Questions and answers of one participant that are looked at; it asks again for what is left out."""


class CatchUp:
    """Asks for certificates, and hands them on.

    Args:
        wallets: this node's.
        conversations: to the peers.
        peer_id: this node's name.
        now: Unix milliseconds.
        changing: says whether a session replaces the shares of a wallet just now.
        complaints: says what a participant overdoes.
        emit: takes what changed.
    """

    def __init__(
        self,
        wallets: Wallets,
        conversations: Conversations,
        *,
        peer_id: PeerId,
        now: Callable[[], int],
        changing: Callable[[WalletId], bool],
        complaints: Complaints,
        emit: Callable[[Event], None],
    ) -> None:
        self._wallets = wallets
        self._conversations = conversations
        self._me = peer_id
        self._now = now
        self._changing = changing
        self._complaints = complaints
        self._asked = complaints.payers(ASKED)
        self._emit = emit
        self._here: set[PeerId] = set()
        self._one_at_a_time = asyncio.Lock()

    def met(self, peer: PeerId) -> None:
        """Ask ``peer`` for the signatures of every pending epoch that it takes part in."""
        self._here.add(peer)
        self._ask(peer)

    def parted(self, peer: PeerId) -> None:
        """Hand nothing on to ``peer`` until it is met again."""
        self._here.discard(peer)

    async def keep_asking(self) -> None:
        """Ask those that are here, again and again, for as long as something is pending; cancel it at the end."""
        while True:
            await asyncio.sleep(ASK_EVERY)
            for peer in tuple(self._here):
                self._ask(peer)

    async def handle(self, opened: Opened) -> None:
        """Answer a request, or take an answer.

        Neither has any effect where it is of a stranger to the epoch, or about an epoch that this node does not have,
        such as one that was abandoned here.
        """
        message = opened.message
        if not isinstance(message, CertificateRequest | CertificateReply):
            return
        wallet = self._wallets.find(message.wallet)
        epoch = _epoch(wallet, message.epoch)
        if wallet is None or epoch is None or _participants(epoch).get(opened.sender) != opened.public_key:
            return
        if not self._asked.take(opened.sender):
            self._complaints.say(opened.sender, f"{opened.sender} asks for certificates, or sends some, without end")
        elif isinstance(message, CertificateRequest):
            self._reply(opened.sender, opened.public_key, wallet, epoch)
        else:
            async with self._one_at_a_time:
                await self._take(wallet.wallet_id, message)

    def _ask(self, peer: PeerId) -> None:
        if peer == self._me:
            return
        for wallet in self._wallets.all():
            if wallet.pending is not None and (key := _participants(wallet.pending).get(peer)):
                self._conversations.send(
                    peer,
                    CertificateRequest(wallet=wallet.wallet_id, epoch=wallet.pending.epoch_id),
                    expires=self._now() + LASTS,
                    key=key,
                )

    async def _take(self, wallet_id: WalletId, reply: CertificateReply) -> None:
        before = self._wallets.find(wallet_id)
        known = _epoch(before, reply.epoch)
        if before is None or known is None or self._changing(wallet_id):
            return  # a session that replaces these shares may be abandoning this very epoch
        certificate = Certificate(reply.epoch, {one.public_key: one.signature for one in reply.signatures})
        try:
            view = await self._wallets.merge(wallet_id, certificate)
        except MpcError as error:
            # The share is as it was; the next meeting tries again.
            self._emit(Warned(f"an epoch of wallet {before.name} stays pending: {error.message}"))
            return
        after = self._wallets.find(wallet_id)
        epoch = _epoch(after, reply.epoch)
        if after is not None and epoch is not None and epoch != known:
            self._emit(WalletChanged(view))
            self._hand_on(after, reply.epoch)

    def _hand_on(self, wallet: Wallet, epoch_id: EpochId) -> None:
        """Tell the participants that are here; it ends, because nobody hands on what says nothing new."""
        epoch = wallet.epoch(epoch_id)
        for name, key in _participants(epoch).items():
            if name in self._here and name != self._me:
                self._reply(name, key, wallet, epoch)

    def _reply(self, to: PeerId, key: IdentityKey, wallet: Wallet, epoch: Epoch) -> None:
        signatures = sorted(epoch.certificate.signatures.items())
        reply = CertificateReply(
            wallet=wallet.wallet_id,
            epoch=epoch.epoch_id,
            signatures=tuple(EpochSignature(signer, signature) for signer, signature in signatures),
        )
        self._conversations.send(to, reply, expires=self._now() + LASTS, key=key)


def _epoch(wallet: Wallet | None, epoch_id: EpochId) -> Epoch | None:
    return next((epoch for epoch in wallet.epochs if epoch.epoch_id == epoch_id), None) if wallet else None


def _participants(epoch: Epoch) -> dict[PeerId, IdentityKey]:
    return {member.peer_id: member.identity_key for member in epoch.statement.roster}
