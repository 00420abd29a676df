"""Whole nodes in one process: real homes, a real signaling server, real everything but the links, which are memory."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar
from unittest import mock

import pytest

from mpcnode import node as node_module
from mpcnode import status
from mpcnode.commands import CreateWallet
from mpcnode.consent.approval import Options
from mpcnode.errors import MpcError
from mpcnode.identity.contacts import Contacts
from mpcnode.identity.identity import Identity
from mpcnode.keystore.format import KdfPolicy
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.store import Home
from mpcnode.mesh.memory import MemoryConnector, MemoryNetwork
from mpcnode.node import Node, NodeConfig
from mpcnode.peers.conversation import Conversations, Doubted, Introduced, Opened
from mpcnode.session.services import SessionTimeouts
from mpcnode.signaling import events
from mpcnode.signaling.client import SignalingClient
from mpcnode.types import IdentityKey, PeerId
from mpcnode.wallet.store import list_wallets
from mpcnode.wire.relay import RelayMessage
from tests.helpers.filesystem import QuickFileSystem
from tests.helpers.identities import identity
from tests.helpers.table import STEADY, Human

T = TypeVar("T")
EventT = TypeVar("EventT")

PASSPHRASE: Final = b"correct horse"
QUICK: Final = KdfPolicy(8 << 20, 1)
DEADLINE: Final = 20.0
QUICKLY: Final = SessionTimeouts(introduce=5, negotiate=15, round=10, confirm=10, evidence=0.15, leave=3)
_OPTIONS: Final = {"accept", "yes", "contacts_only"}
WALLET: Final = CreateWallet(threshold=2, total=2, name="treasury")
TREASURY3: Final = CreateWallet(threshold=2, total=3, name="treasury")


async def soon(work: Awaitable[T]) -> T:
    """Await ``work``; a test that waits longer is wrong."""
    async with asyncio.timeout(DEADLINE):
        return await work


class Running:
    """A node that runs in a task of its own, as in a process of its own."""

    def __init__(self, config: NodeConfig, human: Human) -> None:
        self.config = config
        self.human = human
        self.events: list[Any] = []
        self._news = asyncio.Event()
        self._stopping = asyncio.Event()
        self._ready: asyncio.Future[Node] = asyncio.get_running_loop().create_future()
        self.task: asyncio.Task[None] | None = None
        self.over = False
        """Whether the test has seen its end."""

    @property
    def node(self) -> Node:
        return self._ready.result()

    async def start(self, passphrase: bytes = PASSPHRASE) -> None:
        """Return once registered; raise what it ended with where it did not get there."""
        self.task = asyncio.create_task(self._run(bytearray(passphrase)), name=f"node {self.config.peer_id}")
        either: set[asyncio.Future[Any]] = {self.task, self._ready}
        await soon(asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED))
        if self.task.done():
            self.over = True
            self.task.result()

    async def stop(self) -> None:
        """End it as Ctrl-C or SIGTERM does; raise what it ended with before."""
        self._stopping.set()
        self.over = True
        assert self.task is not None
        await soon(self.task)

    async def ended(self) -> BaseException | None:
        """Wait until it has ended by itself, and give why."""
        assert self.task is not None
        self.over = True
        await soon(asyncio.wait({self.task}))
        return self.task.exception()

    async def _run(self, passphrase: bytearray) -> None:
        async with Node(self.config, user=self.human, emit=self._emit) as node:
            await node.start(Keyring(passphrase))
            self._ready.set_result(node)
            serving = asyncio.create_task(node.serve_forever())
            stopping = asyncio.create_task(self._stopping.wait())
            try:
                await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if serving.done():
                    serving.result()
            finally:
                for task in (serving, stopping):
                    task.cancel()
                await asyncio.gather(serving, stopping, return_exceptions=True)

    def _emit(self, event: status.Event) -> None:
        self.events.append(status.decode(status.encode(event)))
        self._news.set()

    def of(self, kind: type[EventT]) -> list[EventT]:
        return [event for event in self.events if isinstance(event, kind)]

    async def saw(self, kind: type[EventT], when: Callable[[EventT], bool] = lambda _: True, count: int = 1) -> EventT:
        """Wait for the ``count``-th event of this kind for which ``when`` holds."""
        async with asyncio.timeout(DEADLINE):
            while len(found := [event for event in self.of(kind) if when(event)]) < count:
                self._news.clear()
                await self._news.wait()
        return found[count - 1]

    async def in_phase(self, phase: str) -> None:
        await self.saw(status.Progress, lambda progress: progress.phase == phase)

    async def end_of_session(self, count: int = 1) -> status.SessionEnded:
        return await self.saw(status.SessionEnded, count=count)

    async def knows(self, *names: str) -> None:
        """Wait until these are in the room."""
        async with asyncio.timeout(DEADLINE):
            while not {peer.peer_id for peer in self.node.peers()} >= set(names):
                self._news.clear()
                await self._news.wait()

    @property
    def warnings(self) -> list[str]:
        return [event.message for event in self.of(status.Warned)]

    @property
    def contacts(self) -> Contacts:
        return Home.open(self.config.home, create=False).load_contacts()

    @property
    def states(self) -> list[str]:
        """The states of its wallets, from the disk."""
        shown = list_wallets(Home.open(self.config.home, create=False))
        return [one.state for one in shown if isinstance(one, status.WalletView)]


class Nodes:
    """Every node of one test.

    Args:
        path: where their homes are.
        url: the signaling server's.
    """

    def __init__(self, path: Path, url: str) -> None:
        self.path = path
        self.url = url
        self.network = MemoryNetwork()
        self.running: list[Running] = []

    def home(self, name: str) -> Path:
        """The home of that name, with an identity under ``PASSPHRASE`` that is quick to open."""
        path = self.path / name
        if not path.exists():
            home = Home.open(path, create=True, files=QuickFileSystem())
            with Keyring(bytearray(PASSPHRASE)) as keyring:
                home.create_identity(keyring, QUICK).wipe()
        return path

    def configured(self, name: str, human: Human | None = None, *, home: str | None = None, **config: Any) -> Running:
        """A node that is not started yet."""
        given: dict[str, Any] = {
            "home": self.home(home or name),
            "server": self.url,
            "peer_id": PeerId(name),
            "options": Options(**{"accept": "auto", **{name: config.pop(name) for name in _OPTIONS & config.keys()}}),
            "loopback": True,
            "timeouts": QUICKLY,
            "mesh_timeouts": STEADY,
            **config,
        }
        running = Running(NodeConfig(**given), human or Human())
        self.running.append(running)
        return running

    async def start(self, name: str, human: Human | None = None, **config: Any) -> Running:
        """Start a node and wait until it is registered."""
        running = self.configured(name, human, **config)
        await running.start()
        return running

    async def all(self, *names: str, **config: Any) -> list[Running]:
        """Start several nodes and wait until they see each other."""
        made = [await self.start(name, **config) for name in names]
        for running in made:
            await running.knows(*names)
        return made


@contextlib.asynccontextmanager
async def nodes(path: Path, url: str) -> AsyncIterator[Nodes]:
    """Give a place for nodes; at the end all are stopped, and nothing is left of them."""
    before = asyncio.all_tasks()
    made = Nodes(path, url)

    def connector(config: NodeConfig, _signaling: object) -> MemoryConnector:
        return made.network.connector(config.peer_id or PeerId(config.home.name))

    with mock.patch.object(node_module, "_connector", connector):
        try:
            yield made
        finally:
            await asyncio.gather(
                *(running.stop() for running in made.running if running.task is not None and not running.over)
            )
    assert not made.network.links
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not left, left


def making(running: Running, request: CreateWallet = WALLET, **options: Any) -> asyncio.Task[status.WalletView]:
    """Have a node make a wallet, as a command does."""
    work: Coroutine[Any, Any, status.WalletView] = running.node.create_wallet(request, **options)
    return asyncio.create_task(work, name=f"create_wallet {request.name}")


class Stranger:
    """Somebody with an identity and no node: says hello and seals whatever it is told to."""

    def __init__(self, name: str, url: str, identity_of: str | None = None) -> None:
        self.name = PeerId(name)
        self.identity: Identity = identity(identity_of or name)
        self.heard: list[Introduced | Opened | Doubted] = []
        self._news = asyncio.Event()
        self.client = SignalingClient(
            url=url,
            peer_id=self.name,
            unlocked=self._unlocked,
            rng=random.Random(name).randbytes,
            on_event=self._on_event,
        )
        self.conversations = Conversations(
            identity=self.identity,
            peer_id=self.name,
            contacts=Contacts,
            send=self.client.relay,
            complain=lambda _peer, _line: None,
            now=lambda: time.time_ns() // 1_000_000,
            clock=time.monotonic,
            rng=random.Random(name).randbytes,
        )

    async def _unlocked(self) -> Identity:
        return self.identity

    @classmethod
    @contextlib.asynccontextmanager
    async def registered(cls, name: str, url: str, identity_of: str | None = None) -> AsyncIterator["Stranger"]:
        stranger = cls(name, url, identity_of)
        task = asyncio.create_task(stranger.client.run())
        try:
            yield stranger
        finally:
            await stranger.client.close()
            await task

    def say(self, to: str, message: RelayMessage, *, key: IdentityKey) -> None:
        self.conversations.send(PeerId(to), message, key=key, expires=2**50)

    async def hears(self, kind: type[T], count: int = 1) -> T:
        """Wait for the ``count``-th sealed message of this kind."""
        async with asyncio.timeout(DEADLINE):
            while True:
                opened = [heard.message for heard in self.heard if isinstance(heard, Opened)]
                found = [message for message in opened if isinstance(message, kind)]
                if len(found) >= count:
                    return found[count - 1]
                self._news.clear()
                await self._news.wait()

    def _on_event(self, event: events.ClientEvent) -> None:
        if isinstance(event, events.Relayed):
            taken = self.conversations.receive(event.sender, event.data)
            if taken is not None:
                self.heard.append(taken)
            self._news.set()


async def failing(running: Running, request: CreateWallet = WALLET, **options: Any) -> MpcError:
    """Have a wallet made that is not made, and give why."""
    with pytest.raises(MpcError) as caught:
        await soon(making(running, request, **options))
    return caught.value


def why(ended: status.SessionEnded) -> tuple[str, int]:
    assert ended.error is not None
    return ended.error.code, ended.error.exit_code


async def for_ever(*_: object) -> bool:
    await asyncio.Event().wait()
    return True
