"""A node that does what a test says, for whatever gives a node commands."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from mpcnode import status
from mpcnode.commands import Command, CreateWallet, Pair, Refresh, Sign
from mpcnode.node import Node, NodeConfig, User
from mpcnode.types import PeerId
from tests.helpers.statuses import contact, peers, signature, wallet

Emit = Callable[[status.Event], None]
Work = Callable[[CreateWallet, User, Emit], Awaitable[status.WalletView]]


async def _make_at_once(command: CreateWallet, user: User, emit: Emit) -> status.WalletView:
    del user
    emit(status.Waiting((), 0))
    return wallet(command.name)


class FakeNode(Node):
    """Has three peers and one wallet; makes wallets by ``work``."""

    def __init__(self, home: Path, work: Work = _make_at_once) -> None:
        super().__init__(NodeConfig(home=home), user=_Nobody(), emit=lambda _: None)
        self._work = work

    def peers(self) -> tuple[status.PeerView, ...]:
        return peers("cli1", "cli2", "cli3")

    async def greet(self) -> None:
        """Nobody is to be greeted."""

    def wallets(self) -> tuple[status.WalletView | status.ErrorView, ...]:
        return (wallet(), status.ErrorView("unreadable", "truncated", 3, "us"))

    async def create_wallet(
        self, command: CreateWallet, *, user: User | None = None, emit: Emit | None = None
    ) -> status.WalletView:
        assert user is not None
        assert emit is not None
        return await self._work(command, user, emit)


class Recording(FakeNode):
    """Notes what it is asked, and does it at once."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.asked: list[Command] = []

    async def create_wallet(
        self, command: CreateWallet, *, user: User | None = None, emit: Emit | None = None
    ) -> status.WalletView:
        self.asked.append(command)
        return await super().create_wallet(command, user=user, emit=emit)

    async def refresh(
        self, command: Refresh, *, user: User | None = None, emit: Emit | None = None
    ) -> status.WalletView:
        del user, emit
        self.asked.append(command)
        return wallet(command.wallet)

    async def sign(self, command: Sign, *, emit: Emit | None = None) -> status.SignatureView:
        del emit
        self.asked.append(command)
        return signature(command.wallet, command.contents)

    async def pair(self, command: Pair, *, emit: Emit | None = None) -> status.ContactView:
        assert emit is not None
        self.asked.append(command)
        emit(status.PairingCode("12-swirl-motor", 1))
        return contact("bob")


class _Nobody:
    async def approve(self, proposal: status.Proposed) -> bool:
        raise NotImplementedError

    async def confirm_words(self, words: status.SafetyWords) -> bool:
        raise NotImplementedError

    async def choose_peers(self, candidates: tuple[status.PeerView, ...], count: int) -> tuple[PeerId, ...]:
        raise NotImplementedError
