"""Participants of sessions in one process: links in memory, a relay and homes that are lists, and all else as it is."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Final, TypeVar, cast

import msgspec
from btclib_secp256k1 import ssa
from nacl.signing import VerifyKey

from mpcnode.commands import CreateWallet, Refresh, Sign
from mpcnode.consent.approval import Options
from mpcnode.consent.journal import Journal, Told, Use
from mpcnode.consent.limits import Claims
from mpcnode.consent.policy import WalletPolicy
from mpcnode.crypto import tags
from mpcnode.crypto.suites import DEFAULT_SUITES
from mpcnode.errors import KeystoreAbsent, MpcError
from mpcnode.identity.contacts import Contacts, How
from mpcnode.keystore.format import Kdf, KdfPolicy
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.store import Home
from mpcnode.keystore.wallets import StoredWallet
from mpcnode.mesh.memory import MemoryNetwork
from mpcnode.mesh.mesh import Mesh
from mpcnode.mesh.pool import OnLink, Pool
from mpcnode.mesh.transport import Local, MeshTimeouts
from mpcnode.peers.budget import Complaints
from mpcnode.peers.conversation import Conversations, Opened
from mpcnode.peers.room import Room
from mpcnode.peers.trust import Trusts
from mpcnode.protocols.descriptor import Member
from mpcnode.protocols.epoch import Certificate, Statement, SuiteKeys, chain_code_hash_of
from mpcnode.readings import registry as readings
from mpcnode.session.agenda import Agenda
from mpcnode.session.catch_up import CatchUp
from mpcnode.session.kinds.refresh import new_shares_of
from mpcnode.session.services import Services, SessionTimeouts
from mpcnode.session.sessions import Sessions
from mpcnode.status import ErrorView, Event, PeerView, Proposed, SafetyWords, SessionEnded, SignatureView, WalletView
from mpcnode.types import Identifier, IdentityKey, PeerId, SessionId, SuiteId, WalletId
from mpcnode.wallet.secret import Share, WalletSecret
from mpcnode.wallet.store import Wallets
from mpcnode.wallet.wallet import Epoch, EpochState, Wallet
from mpcnode.wire.relay import CertificateReply, CertificateRequest, RelayMessage
from tests.helpers import signing
from tests.helpers.cheat import CheatingMesh, Rule
from tests.helpers.identities import NOW, identity, key_of

T = TypeVar("T")

ED25519, TAPROOT = DEFAULT_SUITES
NAMES: Final = tuple(PeerId(name) for name in ("ana", "ben", "cleo", "dora", "eli", "fay", "gus", "hal"))
ANA, BEN, CLEO = NAMES[:3]
WALLET_ID: Final = WalletId(bytes.fromhex("ab" * 16))
PATIENT: Final = SessionTimeouts(introduce=10, negotiate=20, round=20, confirm=20, evidence=0.15, leave=5)
"""For a test in which somebody says what is wrong: no deadline is what ends it."""
HASTY: Final = SessionTimeouts(introduce=0.5, negotiate=0.5, round=0.5, confirm=0.5, evidence=0.15, leave=0.3)
"""For a test that waits for a deadline."""
STEADY: Final = MeshTimeouts(attempt=5, ping=1, quiet=4, dead=8, linger=0.1)
DEADLINE: Final = 30.0

Tamper = Callable[[PeerId, PeerId, RelayMessage], RelayMessage | None]


class MemoryHome:
    """A home's wallets without a disk and without key derivation; ``before_save`` may refuse, wait or watch."""

    def __init__(self, before_save: Callable[[dict[str, Any]], None] = lambda _header: None) -> None:
        self.files: dict[tuple[WalletId, PeerId], tuple[dict[str, Any], bytes]] = {}
        self.before_save = before_save

    def kdf(self) -> Kdf:
        return Kdf(KdfPolicy.INTERACTIVE, bytes(16))

    def list_wallets(self) -> tuple[StoredWallet, ...]:
        return tuple(
            StoredWallet(wallet_id, peer_id, self.kdf(), header)
            for (wallet_id, peer_id), (header, _) in sorted(self.files.items())
        )

    def save_wallet(
        self,
        wallet_id: WalletId,
        peer_id: PeerId,
        header: dict[str, Any],
        secret: bytearray,
        _keyring: object,
        *,
        replaces: dict[str, Any] | None = None,
    ) -> None:
        assert replaces == self.files.get((wallet_id, peer_id), (None,))[0]
        self.before_save(header)
        self.files[wallet_id, peer_id] = (header, bytes(secret))

    def load_wallet(self, wallet_id: WalletId, peer_id: PeerId, _: object) -> tuple[dict[str, Any], bytearray]:
        if (wallet_id, peer_id) not in self.files:
            raise KeystoreAbsent("no such wallet")
        header, secret = self.files[wallet_id, peer_id]
        return header, bytearray(secret)

    def load_contacts(self) -> Contacts:
        return Contacts()

    def save_contacts(self, contacts: Contacts) -> None:
        pass


class _Derived:
    """A keyring for a home without key derivation."""

    def has_derived(self, _kdf: Kdf) -> bool:
        return True


def wallets_in(home: MemoryHome, name: PeerId) -> Wallets:
    """Open a home's wallets."""
    return Wallets(cast("Home", home), cast("Keyring", _Derived()), name)


@dataclass
class Human:
    """The user of one node: says yes to everything, unless a test says otherwise."""

    approves: Callable[[Proposed], Awaitable[bool]] | bool = True
    finds_words: Callable[[SafetyWords], Awaitable[bool]] | bool = True
    chooses: Callable[[tuple[PeerView, ...], int], tuple[str, ...]] = lambda peers, count: tuple(
        peer.peer_id for peer in peers[:count]
    )
    asked: list[Any] = field(default_factory=list)

    async def approve(self, proposal: Proposed) -> bool:
        self.asked.append(proposal)
        return self.approves if isinstance(self.approves, bool) else await self.approves(proposal)

    async def confirm_words(self, words: SafetyWords) -> bool:
        self.asked.append(words)
        return self.finds_words if isinstance(self.finds_words, bool) else await self.finds_words(words)

    async def choose_peers(self, candidates: tuple[PeerView, ...], count: int) -> tuple[PeerId, ...]:
        self.asked.append(candidates)
        return cast("tuple[PeerId, ...]", self.chooses(candidates, count))

    def was_asked(self, kind: type) -> int:
        """How many questions of this kind there were."""
        return sum(isinstance(question, kind) for question in self.asked)


class Records:
    """As much of a ``Journal`` as sessions use; it keeps what it was told."""

    def __init__(self, now: Callable[[], int]) -> None:
        self.running = now
        self.told: list[tuple[Proposed, Told, MpcError | None]] = []
        self.uses: list[Use] = []
        self.accepted: list[Proposed] = []
        self.refuses: MpcError | None = None
        """What ``accept`` raises: a log that takes no line."""

    async def ready(self) -> None:
        pass

    async def is_ready(self) -> bool:
        return self.refuses is None

    async def accept(self, shown: Proposed, told: Told) -> None:
        told.accepted = True
        if self.refuses is not None:
            raise self.refuses
        self.accepted.append(shown)

    async def record(self, shown: Proposed, told: Told, error: MpcError | None) -> None:
        self.told.append((shown, told, error))

    def recent(self, _wallet_id: str, *, me: str) -> Iterable[int]:
        return [use.when for use in self.uses if use.proposer != me]

    def use(self, shown: Proposed) -> Use:
        assert shown.sign is not None
        use = Use(shown.sign.wallet_id, shown.proposer, self.running(), len(shown.sign.messages))
        self.uses.append(use)
        return use

    def release(self, use: Use) -> None:
        if use in self.uses:
            self.uses.remove(use)


@dataclass
class Seat:
    """One participant and everything of its node that takes part in sessions."""

    name: PeerId
    home: MemoryHome
    human: Human
    services: Services
    agenda: Agenda
    sessions: Sessions
    catch_up: CatchUp
    journal: Records
    events: list[Event]
    rules: list[Rule]
    """Lies that leave it on a mesh."""
    policy: WalletPolicy | None = None
    made: list[CheatingMesh] = field(default_factory=list)
    """Every mesh it made, the oldest first."""
    news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def wallet(self) -> Wallet:
        """The wallet it has, which is one."""
        (wallet,) = self.services.wallets.all()
        return wallet

    @property
    def states(self) -> list[str]:
        """The state of each epoch of its wallet, the oldest first."""
        return [epoch.state.value for wallet in self.services.wallets.all() for epoch in wallet.epochs]

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]

    def asks(self, *, says: Callable[[Proposed], Awaitable[bool]] | bool = True) -> None:
        """Have its user asked, and answer like this."""
        self.agenda.options = replace(self.agenda.options, accept="ask")
        self.human.approves = says

    async def ended(self, count: int = 1) -> SessionEnded:
        """Wait for the end of its ``count``-th session."""
        return (await self.heard(lambda: self.of(SessionEnded), count))[count - 1]

    async def failure(self) -> ErrorView:
        """Wait for the first session that fails; say why."""
        return (await self.heard(lambda: [ended.error for ended in self.of(SessionEnded) if ended.error], 1))[0]

    async def error(self, count: int = 1) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        """How its ``count``-th session failed, whom it convicts and whom it suspects."""
        error = (await self.ended(count)).error
        assert error is not None
        return error.code, error.culprits, error.suspects

    async def heard(self, look: Callable[[], list[T]], count: int) -> list[T]:
        async with asyncio.timeout(DEADLINE):
            while len(found := look()) < count:
                self.news.clear()
                await self.news.wait()
        return found


class Table:
    """Everybody; ``tamper`` may change or drop (None) what the relay carries.

    Args:
        threshold, total: of the wallet.
        wallets: whether everybody has a wallet already, of a trusted dealer.
        suites: its suites.
        timeouts, mesh_timeouts, warm: of every node.
    """

    def __init__(
        self,
        threshold: int,
        total: int,
        *,
        wallets: bool = True,
        suites: tuple[SuiteId, ...] = DEFAULT_SUITES,
        timeouts: SessionTimeouts = PATIENT,
        mesh_timeouts: MeshTimeouts = STEADY,
        warm: float = 60.0,
    ) -> None:
        self.network = MemoryNetwork()
        self.threshold, self.total, self.suites = threshold, total, suites
        self.timeouts, self.mesh_timeouts, self.warm = timeouts, mesh_timeouts, warm
        self.relayed: list[tuple[PeerId, PeerId, RelayMessage]] = []
        self.tamper: Tamper = lambda _sender, _to, message: message
        self.away: set[PeerId] = set()
        """Those that are not in the room: no relayed message reaches them, and none of theirs is carried."""
        self.deaf: set[PeerId] = set()
        """Those that are in the room, and hear nothing by relay."""
        self.keys: dict[PeerId, IdentityKey] = {}
        """With which key somebody is introduced that is not the participant of that name."""
        self.ghosts: list[Seat] = []
        """Seats whose process was killed: they say nothing more, and are cleared away at the end."""
        self._answering: set[asyncio.Task[None]] = set()
        self._seed = itertools.count()
        self._wallets = wallets
        self.seats = {name: self._seat(name) for name in NAMES[:total]}
        self.gather()

    def __getitem__(self, name: PeerId) -> Seat:
        return self.seats[name]

    def now(self) -> int:
        return NOW + round(asyncio.get_running_loop().time() * 1000)

    def gather(self) -> None:
        """Tell every room which seats are there."""
        here = [name for name in self.seats if name not in self.away]
        for seat in self.seats.values():
            seat.services.room.set(here)

    def know_each_other(self, how: How) -> None:
        """Have everybody be everybody's contact."""
        for seat in self.seats.values():
            for name in set(self.seats) - {seat.name}:
                trusts = seat.services.trusts
                trusts.contacts = trusts.contacts.pin(name, key_of(name), how=how, now=0)

    def leave(self, *names: PeerId) -> None:
        """Have these leave the room."""
        self.away.update(names)
        self.gather()

    @property
    def server_away(self) -> bool:
        return any(seat.services.room.away for seat in self.seats.values())

    @server_away.setter
    def server_away(self, away: bool) -> None:
        for seat in self.seats.values():
            seat.services.room.away = away

    async def create_wallet(self, proposer: PeerId, **options: Any) -> WalletView:
        """Have ``proposer`` make a wallet with everybody."""
        given = {"threshold": self.threshold, "total": self.total, "name": "treasury", "suites": self.suites, **options}
        async with asyncio.timeout(DEADLINE):
            return await self[proposer].sessions.create_wallet(CreateWallet(**given))

    async def refresh(self, proposer: PeerId, **options: Any) -> WalletView:
        """Have ``proposer`` refresh the wallet of everybody."""
        async with asyncio.timeout(DEADLINE):
            return await self[proposer].sessions.refresh(Refresh(wallet="treasury", **options))

    async def sign(self, proposer: PeerId, command: Sign | None = None, **options: Any) -> SignatureView:
        """Have ``proposer`` sign; every signature is verified by a library that is not ours."""
        command = command or hello()
        if options:
            command = msgspec.structs.replace(command, **options)
        async with asyncio.timeout(DEADLINE):
            view = await self[proposer].sessions.sign(command)
        check(view, command)
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
        asyncio.get_running_loop().call_soon(self.hand, self[to], opened)

    def hand(self, seat: Seat, opened: Opened) -> None:
        """Do what a node does with an opened message."""
        if isinstance(opened.message, CertificateRequest | CertificateReply):
            self._spawn(seat.catch_up.handle(opened), f"{seat.name} catches up")
        elif proposal := seat.agenda.handle(opened):
            self._spawn(seat.agenda.answer(opened, proposal), f"{seat.name} answers")

    def of(self, kind: type[T], sender: PeerId | None = None, to: PeerId | None = None) -> list[T]:
        """What the relay was given, of one kind."""
        return [
            message
            for one, other, message in self.relayed
            if isinstance(message, kind) and sender in {None, one} and to in {None, other}
        ]

    async def meet(self) -> None:
        """Have everybody meet everybody, and wait until nothing more is said."""
        for seat in self.seats.values():
            for name in self.seats:
                if name not in self.away and seat.name not in self.away:
                    seat.catch_up.met(name)
        await self.settled()

    async def settled(self) -> None:
        """Wait until every answer under way has ended."""
        async with asyncio.timeout(DEADLINE):
            for _ in range(5):
                await asyncio.sleep(0)
            while self._answering:
                await asyncio.wait(self._answering)
                for _ in range(5):
                    await asyncio.sleep(0)

    def restart(self, name: PeerId) -> Seat:
        """Have the process of ``name`` die and come back under its home; what was under way in it is a ghost's."""
        old = self.seats[name]
        self.ghosts.append(old)
        self.seats[name] = self._seat(name, old.home)
        self.gather()
        return self.seats[name]

    async def close(self) -> None:
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)
        await asyncio.gather(*(seat.services.pool.close() for seat in (*self.seats.values(), *self.ghosts)))

    def _spawn(self, work: Any, name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    def _seat(self, name: PeerId, home: MemoryHome | None = None) -> Seat:
        if home is None:
            home = MemoryHome()
            if self._wallets:
                wallet, secret = wallet_of(name, self.threshold, self.total, self.suites)
                home.save_wallet(wallet.wallet_id, name, wallet.to_header(), secret.encode(), None)
        human, journal, events = Human(), Records(self.now), list[Event]()
        conversations = cast("Conversations", _Relay(self, name))
        wallets = wallets_in(home, name)
        claims = Claims()
        seat: Seat

        def emit(event: Event) -> None:
            seat.events.append(event)
            seat.news.set()

        def make(local: Local, mesh_id: SessionId, roster: Any, on_link: OnLink) -> Mesh:
            mesh = CheatingMesh(Mesh(local, mesh_id, roster, on_link), seat.rules)
            seat.made.append(mesh)
            return cast("Mesh", mesh)

        complaints = Complaints(emit, is_contact=lambda one: one in NAMES, clock=asyncio.get_running_loop().time)
        local = Local(
            peer_id=name,
            sign=identity(name).sign,
            connector=self.network.connector(name),
            signal=lambda to, key, signal: conversations.send(to, signal, key=key, expires=self.now() + 60_000),
            timeouts=self.mesh_timeouts,
        )
        pool = Pool(
            local,
            negotiate=lambda sender, key, message: self.hand(seat, Opened(sender, key, message, by_mesh=True)),
            lost=lambda peers: seat.agenda.lost(peers),  # noqa: PLW0108 -- its seat is made after it
            idle=self.warm,
            make=make,
        )
        services = Services(
            peer_id=name,
            identity=identity(name),
            conversations=conversations,
            room=Room(name),
            pool=pool,
            wallets=wallets,
            trusts=Trusts(cast("Home", home), peer_id=name, public_key=key_of(name), introduced=conversations.key_of),
            journal=cast("Journal", journal),
            claims=claims,
            rng=random.Random(f"{name} {next(self._seed)}").randbytes,
            now=self.now,
            timeouts=self.timeouts,
        )
        agenda = Agenda(
            services,
            options=Options(accept="auto"),
            user=human,
            policy_of=lambda _wallet: seat.policy,
            complaints=complaints,
            emit=emit,
        )
        catch_up = CatchUp(
            wallets,
            conversations,
            peer_id=name,
            now=self.now,
            changing=lambda wallet_id: claims.held(new_shares_of(wallet_id)),
            complaints=complaints,
            emit=emit,
        )
        sessions = Sessions(agenda, user=human, emit=emit)
        seat = Seat(name, home, human, services, agenda, sessions, catch_up, journal, events, [])
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
    """As much of ``Conversations`` as sessions use."""

    table: Table
    name: PeerId

    def key_of(self, peer: PeerId) -> IdentityKey | None:
        return self.table.keys.get(peer, key_of(peer))

    def introduce(self, peer: PeerId, *, anew: bool = False) -> None:
        """Everybody is introduced."""

    def send(self, to: PeerId, message: RelayMessage, *, key: IdentityKey, expires: int) -> None:
        assert expires > self.table.now()
        if key == (self.key_of(to) or key_of(to)):
            self.table.carry(self.name, to, message)


@cache
def _dealt(threshold: int, total: int, suites: tuple[SuiteId, ...]) -> tuple[Statement, dict[PeerId, bytes]]:
    names = NAMES[:total]
    keys = []
    for suite in suites:
        public = signing.wallet(suite, threshold, total)[Identifier(1)].public
        elements = tuple(public.verifying_shares[Identifier(i)].encode() for i in range(1, total + 1))
        keys.append(SuiteKeys(suite, public.group_public_key.encode(), elements))
    statement = Statement(
        wallet_id=WALLET_ID,
        number=0,
        previous=None,
        abandoned=(),
        kind="keygen",
        threshold=threshold,
        roster=tuple(Member(Identifier(i), name, key_of(name)) for i, name in enumerate(names, 1)),
        suites=tuple(keys),
        chain_code_hash=chain_code_hash_of(bytes(32)),
        transcript=bytes(range(32)),
    )
    return statement, {name: identity(name).sign(tags.READY, statement.epoch_id) for name in names}


def wallet_of(
    name: PeerId, threshold: int, total: int, suites: tuple[SuiteId, ...] = DEFAULT_SUITES
) -> tuple[Wallet, WalletSecret]:
    """An active wallet as ``name`` holds it, and its secret; the keys are a trusted dealer's."""
    statement, ready = _dealt(threshold, total, suites)
    me = statement.member(name).identifier
    wallet = Wallet(
        wallet_id=WALLET_ID,
        name="treasury",
        peer_id=name,
        identity_key=key_of(name),
        epochs=(
            Epoch(
                statement,
                Certificate(statement.epoch_id, {key_of(one): signature for one, signature in ready.items()}),
                EpochState.ACTIVE,
            ),
        ),
        verified="words",
        created_ms=1_700_000_000_000,
    )
    shares = [
        Share(
            statement.epoch_id,
            suite,
            "frost",
            bytearray(signing.wallet(suite, threshold, total)[me].key.signing_share.encode()),
        )
        for suite in suites
    ]
    return wallet, WalletSecret(shares, chain_code=bytearray(32), document_key=bytearray(32))


def hello(*others: str, **options: Any) -> Sign:
    """Ask for a signature of a short text."""
    given: dict[str, Any] = {"wallet": "treasury", "contents": (b"hello",), **options}
    return Sign(with_peers=tuple(map(PeerId, others)), **given)


def check(view: SignatureView, command: Sign) -> None:
    """Have another library verify every signature of ``view``, which is what was asked for."""
    assert view.messages == tuple(content.hex() for content in command.contents)
    assert len(view.signatures) == len(command.contents)
    for content, signed, signature in zip(command.contents, view.signed, view.signatures, strict=True):
        message = readings.signed_bytes(command.reading, content)
        assert signed == message.hex()
        key, made = bytes.fromhex(view.public_key), bytes.fromhex(signature)
        if view.suite == ED25519:
            VerifyKey(key).verify(message, made)
        else:
            assert view.suite == TAPROOT
            assert ssa.verify(message, key[-32:], made)


def asked(seat: Seat) -> list[Proposed]:
    """What its user was asked about."""
    return [question for question in seat.human.asked if isinstance(question, Proposed)]
