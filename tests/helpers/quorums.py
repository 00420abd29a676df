"""A wallet's participants in one process: links in memory, a relay and homes that are lists, and all else as it is."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast

from btclib_secp256k1 import ssa
from nacl.signing import VerifyKey

from mpcnode.crypto.ciphersuite import DEFAULT_SUITES
from mpcnode.errors import MpcError
from mpcnode.identity.contacts import Contacts
from mpcnode.keystore.store import Home
from mpcnode.mesh.memory import MemoryNetwork
from mpcnode.mesh.mesh import Mesh
from mpcnode.mesh.transport import MeshTimeouts
from mpcnode.protocols.certificate import READY_CONTEXT, Certificate
from mpcnode.session.consent import Policy
from mpcnode.session.journal import Journal, Told, Use
from mpcnode.session.quorum import Quorum
from mpcnode.session.requests import Sign
from mpcnode.session.sealed_relay import Opened, SealedRelay
from mpcnode.session.services import Services
from mpcnode.session.sessions import Sessions
from mpcnode.session.timeouts import SessionTimeouts
from mpcnode.session.trust import Trusts
from mpcnode.status import ErrorView, Event, Proposed, SessionEnded, SignatureView
from mpcnode.types import Identifier, IdentityKey, PeerId, SessionId, SuiteId, WalletId
from mpcnode.wallet.secret import WalletSecret
from mpcnode.wallet.wallet import Participant, State, SuiteKeys, Wallet
from mpcnode.wire.relay import RelayMessage
from tests.helpers import signing
from tests.helpers.cheat import CheatingMesh, Rule
from tests.helpers.nodes import Human
from tests.helpers.relays import NOW, identity, key_of
from tests.helpers.sessions import DEADLINE, PATIENT, STEADY, MemoryHome, wallets_in

T = TypeVar("T")

ED25519, TAPROOT = DEFAULT_SUITES
NAMES: Final = tuple(PeerId(name) for name in ("ana", "ben", "cleo", "dora", "eli", "fay", "gus", "hal"))
TRANSCRIPT: Final = bytes(range(32))
WALLET_ID: Final = WalletId("ab" * 16)

Tamper = Callable[[PeerId, PeerId, RelayMessage], RelayMessage | None]


def wallet_of(
    name: PeerId, threshold: int, total: int, suites: tuple[SuiteId, ...] = DEFAULT_SUITES
) -> tuple[Wallet, WalletSecret]:
    """An active wallet as ``name`` holds it, and its secret; the keys are a trusted dealer's."""
    names = NAMES[:total]
    me = Identifier(names.index(name) + 1)
    dealt = {suite: signing.wallet(suite, threshold, total) for suite in suites}
    keys, shares = [], {}
    for suite in sorted(suites):
        public = dealt[suite][me].public
        elements = tuple(element.encode() for element in public.verifying_shares.values())
        keys.append(SuiteKeys(suite, public.group_public_key.encode(), elements))
        shares[suite] = bytearray(dealt[suite][me].key.signing_share.encode())
    ready = {one: identity(one).sign(READY_CONTEXT, TRANSCRIPT) for one in names}
    wallet = Wallet(
        wallet_id=WALLET_ID,
        session_id=SessionId("cd" * 16),
        name="treasury",
        peer_id=name,
        identifier=me,
        threshold=threshold,
        roster=tuple(Participant(one, key_of(one)) for one in names),
        suites=tuple(keys),
        certificate=Certificate(TRANSCRIPT, ready),
        state=State.ACTIVE,
        compared_words=True,
        created=1_700_000_000,
    )
    return wallet, WalletSecret(shares)


class Records:
    """As much of a ``Journal`` as sessions use; it keeps what it was told."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.told: list[tuple[Proposed, Told, MpcError | None]] = []
        self.uses: list[Use] = []

    async def ready(self) -> None:
        pass

    async def is_ready(self) -> bool:
        return True

    async def accept(self, _shown: Proposed, told: Told) -> None:
        told.accepted = True

    async def record(self, shown: Proposed, told: Told, error: MpcError | None) -> None:
        self.told.append((shown, told, error))

    def recent(self, _wallet_id: WalletId, *, me: PeerId) -> Iterable[float]:
        return [use.when for use in self.uses if use.proposer != me]

    def use(self, wallet_id: WalletId, proposer: PeerId, count: int) -> Use:
        use = Use(wallet_id, proposer, self.now(), count)
        self.uses.append(use)
        return use

    def release(self, use: Use) -> None:
        if use in self.uses:
            self.uses.remove(use)


@dataclass
class Seat:
    """One participant and everything of its node that signs."""

    name: PeerId
    wallet: Wallet
    home: MemoryHome
    human: Human
    sessions: Sessions
    quorum: Quorum
    journal: Records
    events: list[Event]
    rules: list[Rule]
    """Lies that leave it on a mesh."""
    made: list[Mesh] = field(default_factory=list)
    """Every mesh it made, the oldest first."""
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]

    def asks(self, *, says: Callable[[Proposed], Awaitable[bool]] | bool) -> None:
        """Have its user asked, who answers like this."""
        self.sessions._policy = Policy(accept="ask")
        self.human.approves = says

    async def ended(self, count: int = 1) -> SessionEnded:
        """Wait for the end of its ``count``-th session."""
        return (await self._heard(lambda: self.of(SessionEnded), count))[count - 1]

    async def failure(self) -> ErrorView:
        """Wait for the first session that fails; say why."""
        return (await self._heard(lambda: [ended.error for ended in self.of(SessionEnded) if ended.error], 1))[0]

    async def _heard(self, look: Callable[[], list[T]], count: int) -> list[T]:
        async with asyncio.timeout(DEADLINE):
            while len(found := look()) < count:
                self.news.clear()
                await self.news.wait()
        return found

    async def error(self, count: int = 1) -> tuple[str, tuple[str, ...]]:
        """How its ``count``-th session failed, and whom it names."""
        error = (await self.ended(count)).error
        assert error is not None
        return error.code, error.culprits


class Table:
    """Everybody who has a share; ``tamper`` may change or drop (None) what the relay carries."""

    def __init__(self, threshold: int, total: int, **options: Any) -> None:
        self.network = MemoryNetwork()
        self.threshold, self.total = threshold, total
        self.timeouts: SessionTimeouts = options.get("timeouts", PATIENT)
        self.mesh_timeouts: MeshTimeouts = options.get("mesh_timeouts", STEADY)
        self.warm: float = options.get("warm", 60.0)
        self.relayed: list[tuple[PeerId, PeerId, RelayMessage]] = []
        self.tamper: Tamper = lambda _sender, _to, message: message
        self.away: set[PeerId] = set()
        """Who is not in the room: no relayed message reaches them, and none of theirs is carried."""
        self.deaf: set[PeerId] = set()
        """Who is in the room, and hears nothing by relay."""
        self.server_away = False
        self.keys: dict[PeerId, IdentityKey] = {}
        """With which key somebody is introduced who is not the participant of that name."""
        self.ghosts: list[Seat] = []
        """Seats whose process was killed: they say nothing more, and are cleared away at the end."""
        self._answering: set[asyncio.Task[None]] = set()
        self._seed = itertools.count()
        self.seats = {name: self._seat(name) for name in NAMES[:total]}

    def __getitem__(self, name: PeerId) -> Seat:
        return self.seats[name]

    def now(self) -> float:
        return NOW + asyncio.get_running_loop().time()

    def present(self) -> list[PeerId]:
        """Who is in the room."""
        return [name for name in self.seats if name not in self.away]

    async def sign(
        self, proposer: PeerId, request: Sign | None = None, *, negotiate: float | None = None
    ) -> SignatureView:
        """Have ``proposer`` sign; every signature is verified by a library that is not ours."""
        seat, request = self[proposer], request or hello()
        async with asyncio.timeout(DEADLINE):
            view = await seat.quorum.sign(
                seat.wallet, request, emit=self._emitter(seat), negotiate=negotiate or self.timeouts.negotiate
            )
        check(view, request)
        return view

    def carry(self, sender: PeerId, to: PeerId, message: RelayMessage) -> None:
        """Do what the server and the seals do with one message."""
        self.relayed.append((sender, to, message))
        changed = self.tamper(sender, to, message)
        unheard = self.server_away or to not in self.seats or to in self.deaf or {sender, to} & self.away
        if changed is not None and not unheard:
            self.say(sender, to, changed)

    def say(self, sender: PeerId, to: PeerId, message: RelayMessage, *, key_as: str | None = None) -> None:
        """Have ``to`` hear ``message``, sealed by the key of ``sender`` or somebody else's."""
        opened = Opened(sender, key_of(key_as or sender), message)
        asyncio.get_running_loop().call_soon(self._hand, self[to], opened)

    def of(self, kind: type[T], sender: PeerId | None = None, to: PeerId | None = None) -> list[T]:
        """What the relay was given, of one kind."""
        return [
            message
            for one, other, message in self.relayed
            if isinstance(message, kind) and sender in {None, one} and to in {None, other}
        ]

    async def close(self) -> None:
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)
        await asyncio.gather(*(seat.sessions.meshes.close() for seat in (*self.seats.values(), *self.ghosts)))

    def _hand(self, seat: Seat, opened: Opened) -> None:
        if proposal := seat.sessions.handle(opened):
            task = asyncio.create_task(seat.sessions.answer(opened, proposal), name=f"{seat.name} answers")
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    def _emitter(self, seat: Seat) -> Callable[[Event], None]:
        def emit(event: Event) -> None:
            seat.events.append(event)
            seat.news.set()

        return emit

    def _seat(self, name: PeerId) -> Seat:
        wallet, secret = wallet_of(name, self.threshold, self.total)
        home = MemoryHome()
        home.save_wallet(wallet.wallet_id, name, wallet.to_header(), secret.encode(), None)
        services = Services(
            peer_id=name,
            identity=identity(name),
            relay=cast("SealedRelay", _Relay(self, name)),
            connector=self.network.connector(name),
            wallets=wallets_in(home, name),
            rng=random.Random(f"{name} {next(self._seed)}").randbytes,
            now=self.now,
            timeouts=self.timeouts,
            mesh_timeouts=self.mesh_timeouts,
            away=lambda: self.server_away,
        )
        human, journal, events = Human(), Records(self.now), list[Event]()
        sessions = Sessions(
            services,
            policy=Policy(accept="auto"),
            user=human,
            trusts=Trusts(
                cast("Home", _NoContacts()), peer_id=name, public_key=key_of(name), introduced=lambda _: None
            ),
            journal=cast("Journal", journal),
            policy_of=lambda _wallet: None,
            emit=lambda event: self._emitter(self[name])(event),  # noqa: PLW0108 -- its seat is made after it
            negotiate=lambda opened: self._hand(self[name], opened),
            present=self.present,
            warm=self.warm,
        )
        quorum = Quorum(sessions)
        seat = Seat(name, wallet, home, human, sessions, quorum, journal, events, [])

        def make(mesh_id: SessionId, roster: Any, *, shared: bool) -> Mesh:
            mesh = cast("Mesh", CheatingMesh(services.mesh(mesh_id, roster, shared=shared), seat.rules))
            seat.made.append(mesh)
            return mesh

        sessions.meshes._make = make
        return seat


@asynccontextmanager
async def table(threshold: int, total: int, **options: Any) -> AsyncIterator[Table]:
    """Seat everybody; at the end nothing is left of them, and no link."""
    before = asyncio.all_tasks()
    made = Table(threshold, total, **options)
    try:
        yield made
    finally:
        await made.close()
    assert not made.network.links
    left = asyncio.all_tasks() - before
    assert not left, left


@dataclass
class _Relay:
    """As much of a ``SealedRelay`` as sessions use."""

    table: Table
    name: PeerId

    def key_of(self, peer: PeerId) -> IdentityKey | None:
        return self.table.keys.get(peer)

    def send(self, to: PeerId, message: RelayMessage, *, expires: float, key: IdentityKey | None = None) -> None:
        assert expires > self.table.now()
        if key in {None, self.key_of(to) or key_of(to)}:
            self.table.carry(self.name, to, message)


class _NoContacts:
    """A home without contacts."""

    def load_contacts(self) -> Contacts:
        return Contacts()


def hello(*others: str, **options: Any) -> Sign:
    """Ask for a signature of a short text."""
    given: dict[str, Any] = {"wallet": "treasury", "messages": (b"hello",), **options}
    return Sign(with_peers=tuple(map(PeerId, others)), **given)


def check(view: SignatureView, request: Sign) -> None:
    """Have another library verify every signature of ``view``, which is what was asked for."""
    assert view.messages == tuple(message.hex() for message in request.messages)
    assert len(view.signatures) == len(request.messages)
    for message, signature in zip(request.messages, view.signatures, strict=True):
        key, made = bytes.fromhex(view.public_key), bytes.fromhex(signature)
        if view.suite == ED25519:
            VerifyKey(key).verify(message, made)
        else:
            assert view.suite == TAPROOT
            assert ssa.verify(message, key, made)


def asked(seat: Seat) -> list[Proposed]:
    """What its user was asked about."""
    return [question for question in seat.human.asked if isinstance(question, Proposed)]
