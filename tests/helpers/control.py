"""The control server around a node that does what a test says, and users who answer as told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from mpcnode import status
from mpcnode.commands import CreateWallet
from mpcnode.control import place
from mpcnode.control.client import ControlClient
from mpcnode.control.lines import decode_line
from mpcnode.control.server import ControlServer
from mpcnode.errors import MpcError
from mpcnode.node import User
from mpcnode.types import PeerId
from tests.helpers.fake_node import Emit, FakeNode, Work

COMMAND = CreateWallet(threshold=2, total=3, name="treasury")


def ignore(event: status.Event) -> None:
    del event


class Says:
    """A user who answers as told."""

    def __init__(self, *, yes: bool = True, error: MpcError | None = None) -> None:
        self.yes = yes
        self.error = error
        self.asked: list[object] = []

    async def approve(self, proposal: status.Proposed) -> bool:
        return await self._answer(proposal)

    async def confirm_words(self, words: status.SafetyWords) -> bool:
        return await self._answer(words)

    async def choose_peers(self, candidates: tuple[status.PeerView, ...], count: int) -> tuple[PeerId, ...]:
        await self._answer(candidates)
        return tuple(PeerId(peer.peer_id) for peer in candidates[:count])

    async def _answer(self, about: object) -> bool:
        self.asked.append(about)
        if self.error is not None:
            raise self.error
        return self.yes


@asynccontextmanager
async def running(home: Path, work: Work | None = None) -> AsyncIterator[ControlServer]:
    node = FakeNode(home) if work is None else FakeNode(home, work)
    async with asyncio.timeout(30), ControlServer(node, home, emit=ignore) as served:
        served.node_started()
        yield served


async def connected(home: Path) -> ControlClient:
    client = await ControlClient.connect(home)
    assert client is not None
    return client


async def raw(home: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_unix_connection(str(place.find_socket(home)))


async def said(reader: asyncio.StreamReader) -> list[object]:
    return [decode_line(line) async for line in reader]


async def create(home: Path, user: User, emit: Emit = ignore) -> status.WalletView:
    async with await connected(home) as client:
        return await client.create_wallet(COMMAND, user=user, emit=emit)
