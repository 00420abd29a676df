"""How a node with a pending wallet becomes active when it meets a peer again (DESIGN section 5, certificate_request).

Whoever has a share durable signs ``ready`` once and for all, so the certificate can be put together from what any
participants hold, in any number of meetings. Nothing here needs trust in who brings a signature: it is valid or not.

Whoever learns a signature hands it on to the participants who are there: of two who wait for a third, each may hear the
third's signature from it, and nobody would ever ask the other one again.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from mpcnode.errors import MpcError
from mpcnode.protocols.certificate import Certificate
from mpcnode.session.sealed_relay import Opened, SealedRelay
from mpcnode.session.wallets import Wallets
from mpcnode.status import Event, WalletChanged, Warned
from mpcnode.types import PeerId, SessionId
from mpcnode.wallet.wallet import State, Wallet
from mpcnode.wire.relay import CertificateReply, CertificateRequest

LASTS: Final = 60.0


class CatchUp:
    """Asks for certificates, and hands them on.

    Args:
        wallets: this node's.
        relay: to the peers.
        peer_id: this node's name.
        now: Unix time in seconds.
        emit: takes what changed.
    """

    def __init__(
        self,
        wallets: Wallets,
        relay: SealedRelay,
        *,
        peer_id: PeerId,
        now: Callable[[], float],
        emit: Callable[[Event], None],
    ) -> None:
        self._wallets = wallets
        self._relay = relay
        self._me = peer_id
        self._now = now
        self._emit = emit
        self._here: set[PeerId] = set()
        self._one_at_a_time = asyncio.Lock()

    def met(self, peer: PeerId) -> None:
        """Ask ``peer`` for the signatures of every pending wallet that is also its own."""
        self._here.add(peer)
        for wallet in self._wallets.all():
            if wallet.state is State.PENDING and peer != self._me and peer in wallet.identity_keys:
                self._relay.send(peer, CertificateRequest(wallet.session_id), expires=self._now() + LASTS)

    def parted(self, peer: PeerId) -> None:
        """Hand nothing on to ``peer`` until it is met again."""
        self._here.discard(peer)

    async def handle(self, opened: Opened) -> None:
        """Answer a request, or take an answer; of a stranger to the wallet neither has any effect."""
        message = opened.message
        if not isinstance(message, CertificateRequest | CertificateReply):
            return
        wallet = self._wallets.of_session(SessionId(message.session_id))
        if wallet is None or wallet.identity_keys.get(opened.sender) != opened.public_key:
            return
        if isinstance(message, CertificateRequest):
            self._relay.send(opened.sender, _reply(wallet), expires=self._now() + LASTS)
        elif message.transcript == wallet.certificate.transcript.hex():
            async with self._one_at_a_time:
                await self._take(SessionId(message.session_id), message)

    async def _take(self, session_id: SessionId, reply: CertificateReply) -> None:
        wallet = self._wallets.of_session(session_id)
        if wallet is None or wallet.state is not State.PENDING:
            return
        signatures = {PeerId(name): bytes.fromhex(signature) for name, signature in reply.signatures.items()}
        try:
            view = await self._wallets.merge(wallet.session_id, Certificate(wallet.certificate.transcript, signatures))
        except MpcError as error:
            # The share is as it was; the next meeting tries again.
            self._emit(Warned(f"wallet {wallet.name} stays pending: {error.message}"))
            return
        if view.signatures > wallet.total - len(wallet.missing):
            self._emit(WalletChanged(view))
            self._hand_on(session_id)

    def _hand_on(self, session_id: SessionId) -> None:
        """Tell the participants who are there; it ends, because nobody hands on what says nothing new."""
        wallet = self._wallets.of_session(session_id)
        assert wallet is not None
        for name in wallet.identity_keys:
            if name in self._here and name != self._me:
                self._relay.send(name, _reply(wallet), expires=self._now() + LASTS)


def _reply(wallet: Wallet) -> CertificateReply:
    return CertificateReply(
        session_id=wallet.session_id,
        transcript=wallet.certificate.transcript.hex(),
        signatures={name: signature.hex() for name, signature in wallet.certificate.signatures.items()},
    )
