"""Whole nodes in one run: the real ``Node``, over homes, links and a server in memory; each may die and come back."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, Self
from unittest import mock

from mpcnode import node as node_module
from mpcnode import status
from mpcnode.consent import journal as journal_module
from mpcnode.consent.approval import Options
from mpcnode.errors import MpcError
from mpcnode.identity.contacts import Contacts
from mpcnode.identity.identity import Identity
from mpcnode.keystore import opening
from mpcnode.keystore.audit_chain import Entry
from mpcnode.keystore.settings import Settings
from mpcnode.keystore.wallets import StoredWallet
from mpcnode.mesh.memory import MemoryNetwork
from mpcnode.mesh.mesh import Mesh
from mpcnode.mesh.transport import MeshTimeouts
from mpcnode.node import Node, NodeConfig
from mpcnode.session.services import SessionTimeouts
from mpcnode.signaling import dialling
from mpcnode.status import PeerView, Proposed, SafetyWords
from mpcnode.types import PeerId, SuiteId, WalletId
from mpcnode.wire.peer import PeerMessage, RoundMessage
from tests.helpers.identities import key_of
from tests.helpers.memory_home import MemoryHome
from tests.helpers.table import wallet_of
from tests.simulation.server import Server

TIMEOUTS: Final = SessionTimeouts(introduce=8, negotiate=12, round=10, confirm=10, evidence=2, leave=4)
LINKS: Final = MeshTimeouts(attempt=4, tries=3, grace=4, ping=2, quiet=4.5, dead=9, announce=0.5, linger=0.5)
NAMES: Final = tuple(PeerId(name) for name in ("ana", "ben", "cleo", "dora", "eli"))
THINKS: Final = 2.0
"""Seconds that a person takes at most."""


@cache
def seed_of(name: str) -> bytes:
    return random.Random(name).randbytes(32)


class SimulatedHome(MemoryHome):
    """As much of a ``Home`` as a node uses."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.path = Path("/nowhere") / name
        self.contacts = Contacts()
        self.lines: list[Entry] = []
        self._settings = Settings()
        self._listed: dict[tuple[WalletId, PeerId], StoredWallet] = {}

    def detached(self) -> "SimulatedHome":
        """What is on the disk now, for the next life."""
        copy = SimulatedHome(self.name)
        copy.files, copy.contacts, copy.lines = dict(self.files), self.contacts, list(self.lines)
        copy._settings = self._settings
        return copy

    def list_wallets(self) -> tuple[StoredWallet, ...]:
        """As the home does it: the same value for a file that has not changed."""
        for key, (header, _) in self.files.items():
            known = self._listed.get(key)
            if known is None or known.header is not header:
                self._listed[key] = StoredWallet(*key, self.kdf(), header)
        return tuple(self._listed[key] for key in sorted(self.files))

    def lock(self) -> AbstractContextManager[None]:
        return nullcontext()

    def is_new(self) -> bool:
        return False

    def load_identity(self, _keyring: object) -> Identity:
        return Identity.from_seed(bytearray(seed_of(self.name)))

    def load_settings(self) -> Settings:
        return self._settings

    def save_settings(self, settings: Settings) -> None:
        self._settings = settings

    def load_contacts(self) -> Contacts:
        return self.contacts

    def save_contacts(self, contacts: Contacts) -> None:
        self.contacts = contacts


class _Key:
    """A keyring without key derivation."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def has_derived(self, _kdf: object) -> bool:
        return True


class _Log:
    """An audit log in memory."""

    torn = None

    def __init__(self, home: SimulatedHome) -> None:
        self._home = home

    def append(self, entry: Entry) -> None:
        self._home.lines.append(entry)

    def close(self) -> None:
        pass


class Person:
    """Says yes, after a while, unless it is of another mind or not there."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.absent = self.unwilling = self.doubts = False

    async def approve(self, _proposal: Proposed) -> bool:
        await self._think()
        return not self.unwilling

    async def confirm_words(self, _words: SafetyWords) -> bool:
        await self._think()
        return not self.doubts

    async def choose_peers(self, candidates: tuple[PeerView, ...], count: int) -> tuple[PeerId, ...]:
        return tuple(PeerId(one.peer_id) for one in candidates[:count])

    async def _think(self) -> None:
        await asyncio.sleep(1000 if self.absent else self._rng.uniform(0, THINKS))


class Links(MemoryNetwork):
    """Links that take a time of their own for each message, in order."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self._rng = rng

    @property
    def delay(self) -> float:
        return self._rng.uniform(0.001, 0.02)

    @delay.setter
    def delay(self, _seconds: float) -> None:
        """It is drawn each time."""

    def bury(self, name: str) -> None:
        """Have every link of a process that died carry nothing more, without a word."""
        for link in tuple(self.links.values()):
            if name in {link.owner, link.other.owner if link.other else None}:
                link.dead = True
                if link.other is not None:
                    link.other.dead = True


@dataclass
class Life:
    """One process of a node, from its start to its end or death."""

    name: PeerId
    home: SimulatedHome
    address: str
    """What this process calls the server, which knows it by that."""
    events: list[status.Event] = field(default_factory=list)
    dead: bool = False
    node: Node = field(init=False)
    task: asyncio.Task[None] = field(init=False)
    ready: asyncio.Future[Node] = field(init=False)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    why: BaseException | None = None
    """Why it ended by itself."""
    commands: set[asyncio.Future[Any]] = field(default_factory=set)
    """What its user asked for; it ends before the node does."""

    async def began(self) -> None:
        """Wait until it is registered, or has ended."""
        either: set[asyncio.Future[Any]] = {self.task, self.ready}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)

    def stop(self) -> None:
        for command in self.commands:
            command.cancel()
        self.stopping.set()

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def parts(self) -> Any:
        return self.node._parts


class _SkewedNode(Node):
    """A node whose wall clock may be wrong."""

    skew = 0

    def _compose(self, *arguments: Any, **named: Any) -> Any:
        right = node_module._now

        def wrong() -> int:
            return right() + self.skew

        with mock.patch.object(node_module, "_now", wrong):
            return super()._compose(*arguments, **named)


@dataclass(frozen=True)
class Said:
    """A message of the protocol that left a node."""

    sender: PeerId
    to: PeerId
    message: RoundMessage


class World:
    """Everybody of one run.

    Args:
        seed: decides everything.
        threshold, total: of the wallet.
        traced: whether what happens is kept for a person to read.
    """

    def __init__(self, seed: object, threshold: int, total: int, *, traced: bool = False) -> None:
        self.rng = random.Random(repr(seed))
        self.threshold, self.total = threshold, total
        self.names = NAMES[:total]
        self.traced = traced
        self.lines: list[str] = []
        self.network = Links(self.rng)
        self.server = Server(self.rng, self.trace)
        self.server.unreachable = self._unreachable
        self.homes = {str(name): SimulatedHome(name) for name in self.names}
        self.lives: dict[PeerId, Life] = {}
        self.ghosts: list[Life] = []
        self.said: list[Said] = []
        self.accepts = "auto"
        self.timeouts, self.links = TIMEOUTS, LINKS
        self.warm = 60.0
        self.lying_mesh: dict[PeerId, Callable[..., WatchedMesh]] = {}
        """The nodes that have a mesh of their own making."""
        self.people = {name: Person(self.rng) for name in self.names}
        self.skews: dict[PeerId, int] = {}
        """By how many milliseconds somebody's wall clock is wrong."""

    # Setting

    def deal(self, suite: SuiteId) -> None:
        """Give everybody a wallet."""
        for name in self.names:
            wallet, secret = wallet_of(name, self.threshold, self.total, (suite,))
            self.homes[name].save_wallet(wallet.wallet_id, name, wallet.to_header(), secret.encode(), None)

    def know_each_other(self, how: Any = "words") -> None:
        """Have everybody be everybody's contact."""
        for name, home in self.homes.items():
            for other in self.names:
                if other != name:
                    home.contacts = home.contacts.pin(other, key_of(other), how=how, now=1)

    @contextmanager
    def real(self) -> Iterator[None]:
        """Have nodes run in this world and not on this machine."""
        with ExitStack() as stack:
            for place, name, instead in (
                (node_module, "Home", SimpleNamespace(open=lambda path, **_: self.homes[path.name])),
                (node_module, "Mesh", self._mesh),
                (opening, "check_libraries", lambda: None),
                (node_module, "load_policy", lambda *_: None),
                (node_module, "_connector", lambda config, *_: self.network.connector(config.peer_id)),
                (journal_module, "AuditLog", SimpleNamespace(open=lambda path, **_: _Log(self.homes[path.name]))),
                (dialling, "connect", self.server.dial),
            ):
                stack.enter_context(mock.patch.object(place, name, instead))
            yield

    # Lives

    async def start(self, name: PeerId, *, wait: bool = True) -> Life:
        """Start a process; return when it is registered, or has ended."""
        earlier = sum(ghost.name == name for ghost in self.ghosts)
        life = self.lives[name] = Life(name, self.homes[name], f"{name}-{earlier}")
        life.ready = asyncio.get_running_loop().create_future()
        life.task = asyncio.create_task(self._live(life), name=f"node {name}")
        if wait:
            await life.began()
        return life

    async def everybody(self) -> None:
        """Start everybody at about the same time; return when those that can be are registered."""
        for name in self.names:
            await self.start(name, wait=False)
            await asyncio.sleep(self.rng.uniform(0, 0.2))
        await asyncio.gather(*(life.began() for life in self.lives.values()))

    async def kill(self, name: PeerId) -> None:
        """Do what SIGKILL does: nothing of this process is said or stored any more."""
        life = self.lives.pop(name)
        self.trace("dies", name)
        life.dead = True
        self.homes[name] = life.home.detached()
        self.ghosts.append(life)
        self.network.bury(name)
        self.server.cut(name)
        life.stop()
        await asyncio.sleep(0)

    async def close(self) -> None:
        """Stop everybody, as Ctrl-C does."""
        everybody = [*self.lives.values(), *self.ghosts]
        for life in everybody:
            life.stop()
        await asyncio.gather(*(life.task for life in everybody), return_exceptions=True)

    async def _live(self, life: Life) -> None:
        config = NodeConfig(
            home=life.home.path,
            server=f"ws://{life.address}.test:9000",
            peer_id=life.name,
            options=Options(accept=self.accepts),  # type: ignore[arg-type]
            loopback=True,
            warm=self.warm,
            timeouts=self.timeouts,
            mesh_timeouts=self.links,
        )

        def emit(event: status.Event) -> None:
            if not life.dead:
                life.events.append(event)
                life.news.set()
                self.trace("event", life.name, event)

        try:
            async with _SkewedNode(config, user=self.people[life.name], emit=emit) as node:
                node.skew = self.skews.get(life.name, 0)
                await node.start(_Key())  # type: ignore[arg-type]
                life.node = node
                life.ready.set_result(node)
                serving = asyncio.create_task(node.serve_forever())
                stopping = asyncio.create_task(life.stopping.wait())
                try:
                    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
                    if serving.done():
                        serving.result()
                finally:
                    serving.cancel()
                    stopping.cancel()
                    await asyncio.gather(serving, stopping, return_exceptions=True)
        except MpcError as error:
            life.why = error
            self.trace("ended", life.name, error)

    # What runs use

    def trace(self, what: str, *values: Any) -> None:
        if self.traced:
            at = asyncio.get_running_loop().time() - 5000
            self.lines.append(f"{at:9.3f}  {what:6s} " + " ".join(_short(value) for value in values))

    def _unreachable(self, owner: str) -> bool:
        return self.server.down or owner not in {life.address for life in self.lives.values()}

    def _mesh(self, local: Any, *arguments: Any, **named: Any) -> Mesh:
        make = self.lying_mesh.get(local.peer_id, WatchedMesh)
        mesh = make(local, *arguments, **named)
        mesh.world = self
        return mesh


class WatchedMesh(Mesh):
    """A mesh that keeps what the protocol says over it."""

    world: World

    def send(self, to: PeerId, message: PeerMessage, *, heard: bool = False) -> None:
        if isinstance(message, RoundMessage):
            self.world.said.append(Said(self.peer_id, to, message))
        self.world.trace("mesh", self.peer_id, to, message)
        super().send(to, message, heard=heard)


def _short(value: Any) -> str:
    if isinstance(value, MpcError):
        return f"{value.code} {value.message} culprits={value.culprits} suspects={sorted(value.suspects)}"
    if isinstance(value, dict):
        return " ".join(f"{key}={_short(one)}" for key, one in value.items())
    if isinstance(value, bytes):
        return value.hex()[:12]
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 300 else text[:300] + "..."


async def within(seconds: float, work: Awaitable[Any]) -> Any:
    async with asyncio.timeout(seconds):
        return await work
