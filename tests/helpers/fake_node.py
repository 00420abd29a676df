"""A node that does what a test says, for whatever gives a node commands."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from mpcnode import status
from mpcnode.node import CreateWallet, Node, NodeConfig, User
from mpcnode.types import PeerId
from tests.helpers.statuses import peers, wallet

Emit = Callable[[status.Event], None]
Work = Callable[[CreateWallet, User, Emit], Awaitable[status.WalletView]]


async def _make_at_once(request: CreateWallet, user: User, emit: Emit) -> status.WalletView:
    del user
    emit(status.Waiting((), 0))
    return wallet(request.name)


class FakeNode(Node):
    """Has three peers and one wallet; makes wallets by ``work``."""

    def __init__(self, home: Path, work: Work = _make_at_once) -> None:
        super().__init__(NodeConfig(home=home), user=_Nobody(), emit=lambda _: None)
        self._work = work

    def peers(self) -> tuple[status.PeerView, ...]:
        return peers("cli1", "cli2", "cli3")

    def wallets(self) -> tuple[status.WalletView | status.ErrorView, ...]:
        return (wallet(), status.ErrorView("unreadable", "truncated", 3, "us"))

    async def create_wallet(
        self, request: CreateWallet, *, user: User | None = None, emit: Emit | None = None
    ) -> status.WalletView:
        assert user is not None
        assert emit is not None
        return await self._work(request, user, emit)


class _Nobody:
    async def approve(self, proposal: status.Proposed) -> bool:
        raise NotImplementedError

    async def confirm_words(self, words: status.SafetyWords) -> bool:
        raise NotImplementedError

    async def choose_peers(self, candidates: tuple[status.PeerView, ...], count: int) -> tuple[PeerId, ...]:
        raise NotImplementedError
