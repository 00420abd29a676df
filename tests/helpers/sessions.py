"""Sessions of several participants in one process: real meshes over memory, and a relay and homes that are lists."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, cast

from mpcnode.crypto.ciphersuite import DEFAULT_SUITES
from mpcnode.errors import KeystoreAbsent, MpcError
from mpcnode.keystore.format import Kdf, KdfPolicy
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.store import Home
from mpcnode.keystore.wallets import StoredWallet
from mpcnode.mesh.memory import MemoryNetwork
from mpcnode.mesh.transport import MeshTimeouts
from mpcnode.protocols.descriptor import Descriptor, Member
from mpcnode.protocols.execution import Execution
from mpcnode.protocols.frost.keygen import KeygenResult, StorePending, keygen
from mpcnode.session.keygen import KeygenSession
from mpcnode.session.proposal import propose_keygen, session_id_of
from mpcnode.session.sealed_relay import Opened, SealedRelay
from mpcnode.session.services import Services
from mpcnode.session.timeouts import SessionTimeouts
from mpcnode.session.wallets import Wallets
from mpcnode.status import Event, SafetyWords, WalletView
from mpcnode.types import Identifier, IdentityKey, PeerId, SuiteId
from mpcnode.wire.relay import RelayMessage, SessionProposal
from tests.helpers.relays import ANA, BEN, CLEO, NOW, identity, key_of

SALT: Final = bytes.fromhex("5e" * 16)
SESSION: Final = session_id_of(key_of(ANA), SALT)
"""What ana proposes."""
ED25519: Final = DEFAULT_SUITES[:1]
PATIENT: Final = SessionTimeouts(introduce=10, negotiate=20, round=20, confirm=20, evidence=0.15, leave=5)
"""For a test in which somebody says what is wrong: no deadline is what ends it."""
HASTY: Final = SessionTimeouts(introduce=0.5, negotiate=0.5, round=0.5, confirm=0.5, evidence=0.15, leave=0.3)
"""For a test that waits for a deadline."""
STEADY: Final = MeshTimeouts(attempt=5, ping=1, quiet=4, dead=8, linger=0.1)
DEADLINE: Final = 30.0
THREE: Final = (ANA, BEN, CLEO)

Outcome = WalletView | BaseException


class MemoryHome:
    """A home's wallets without a disk and without key derivation; ``before_save`` may refuse, wait or watch."""

    def __init__(self, before_save: Callable[[str], None] = lambda _state: None) -> None:
        self.files: dict[tuple[str, str], tuple[dict[str, Any], bytes]] = {}
        self.before_save = before_save

    @property
    def states(self) -> list[str]:
        """The state of every wallet."""
        return [header["state"] for header, _ in self.files.values()]

    def kdf(self) -> Kdf:
        return Kdf(KdfPolicy.INTERACTIVE, bytes(16))

    def list_wallets(self) -> tuple[StoredWallet, ...]:
        return tuple(
            StoredWallet(cast("Any", wallet_id), PeerId(peer_id), self.kdf(), header)
            for (wallet_id, peer_id), (header, _) in sorted(self.files.items())
        )

    def save_wallet(self, wallet_id: str, peer_id: str, header: dict[str, Any], secret: bytearray, _: object) -> None:
        self.before_save(header["state"])
        self.files[wallet_id, peer_id] = (header, bytes(secret))

    def load_wallet(self, wallet_id: str, peer_id: str, _: object) -> tuple[dict[str, Any], bytearray]:
        if (wallet_id, peer_id) not in self.files:
            raise KeystoreAbsent("no such wallet")
        header, secret = self.files[wallet_id, peer_id]
        return header, bytearray(secret)


def wallets_in(home: MemoryHome, name: PeerId) -> Wallets:
    return Wallets(cast("Home", home), cast("Keyring", _Derived()), name)


class _Derived:
    """A keyring for a home without key derivation."""

    def has_derived(self, _kdf: Kdf) -> bool:
        return True


@dataclass
class Answers:
    """A user who says yes, unless told otherwise."""

    on_approve: Callable[[], Awaitable[None]] | None = None
    on_words: Callable[[SafetyWords], Awaitable[bool]] | None = None
    asked: list[str] = field(default_factory=list)

    async def approve(self) -> None:
        self.asked.append("approve")
        if self.on_approve is not None:
            await self.on_approve()

    async def confirm_words(self, words: SafetyWords) -> bool:
        self.asked.append("words")
        return True if self.on_words is None else await self.on_words(words)


async def for_ever(*_: object) -> Any:
    """Answer nothing."""
    await asyncio.Event().wait()


@dataclass
class Seat:
    """One participant."""

    name: PeerId
    session: KeygenSession
    home: MemoryHome
    answers: Answers
    events: list[Event]
    crooked: bool = False
    """Whether it cheats: how it ends is of no interest, and it is stopped when everybody else has ended."""
    outcome: Outcome | None = None

    @property
    def error(self) -> tuple[type[BaseException], tuple[str, ...]]:
        """What ended the session here, and whom it names."""
        assert isinstance(self.outcome, MpcError), self.outcome
        return type(self.outcome), self.outcome.culprits


class Table:
    """Everybody of one session; ``tamper`` may change or drop (None) what the relay carries."""

    def __init__(
        self,
        *names: PeerId,
        threshold: int = 2,
        timeouts: SessionTimeouts = PATIENT,
        mesh_timeouts: MeshTimeouts = STEADY,
        suites: tuple[SuiteId, ...] = ED25519,
    ) -> None:
        self.network = MemoryNetwork()
        self.relayed: list[tuple[PeerId, PeerId, RelayMessage]] = []
        self.tamper: Callable[[PeerId, PeerId, RelayMessage], RelayMessage | None] = lambda _sender, _to, message: (
            message
        )
        self.proposal = propose_keygen(
            proposer=names[0],
            salt=SALT,
            roster={name: key_of(name) for name in names},
            threshold=threshold,
            suites=suites,
            wallet_name="treasury",
            now=NOW + 1000 - timeouts.negotiate,
            answer_within=timeouts.negotiate,
        )
        self._timeouts, self._mesh_timeouts = timeouts, mesh_timeouts
        self._seed = itertools.count()
        self._began = asyncio.get_running_loop().time()
        self.seats = {name: self._seat(name) for name in names}

    def __getitem__(self, name: PeerId) -> Seat:
        return self.seats[name]

    def now(self) -> float:
        """Unix time; the proposal expires ``negotiate`` seconds after the beginning."""
        return NOW + 1000 - self._timeouts.negotiate + asyncio.get_running_loop().time() - self._began

    async def run(self, *, without: Iterable[PeerId] = ()) -> dict[PeerId, Outcome]:
        """Let everybody run to the end; the first name proposes. Nothing must be left running."""
        before = asyncio.all_tasks()
        seats = [seat for seat in self.seats.values() if seat.name not in set(without)]
        running = {seat.name: asyncio.create_task(self.run_one(seat)) for seat in seats}
        try:
            async with asyncio.timeout(DEADLINE):
                await asyncio.gather(*(running[seat.name] for seat in seats if not seat.crooked))
        finally:
            for task in running.values():
                task.cancel()
            await asyncio.gather(*running.values())
        assert asyncio.all_tasks() <= before, asyncio.all_tasks() - before
        return {seat.name: seat.outcome for seat in seats if seat.outcome is not None}

    async def run_one(self, seat: Seat) -> None:
        propose = seat.name == next(iter(self.seats))
        try:
            seat.outcome = await seat.session.run(propose=propose)
        except (MpcError, asyncio.CancelledError) as error:
            seat.outcome = error

    def _seat(self, name: PeerId) -> Seat:
        home, answers, events = MemoryHome(), Answers(), list[Event]()
        services = Services(
            peer_id=name,
            identity=identity(name),
            relay=cast("SealedRelay", _Relay(self, name)),
            connector=self.network.connector(name),
            wallets=wallets_in(home, name),
            rng=random.Random(f"{name} {next(self._seed)}").randbytes,
            now=self.now,
            timeouts=self._timeouts,
            mesh_timeouts=self._mesh_timeouts,
        )
        session = KeygenSession(self.proposal, services=services, asked=answers, emit=events.append)
        return Seat(name, session, home, answers, events)

    def carry(self, sender: PeerId, to: PeerId, message: RelayMessage) -> None:
        self.relayed.append((sender, to, message))
        changed = self.tamper(sender, to, message)
        if changed is not None and to in self.seats and not isinstance(changed, SessionProposal):
            opened = Opened(sender, key_of(sender), changed)
            asyncio.get_running_loop().call_soon(self.seats[to].session.handle, opened)


@dataclass
class _Relay:
    """As much of a ``SealedRelay`` as a session uses."""

    table: Table
    name: PeerId

    def send(self, to: PeerId, message: RelayMessage, *, expires: float, key: IdentityKey | None = None) -> None:
        assert key in {None, key_of(to)}
        assert expires == self.table.proposal.expires or self.table.now() < expires < self.table.now() + 120
        self.table.carry(self.name, to, message)


def run_until_pending() -> dict[PeerId, Execution[KeygenResult]]:
    """Everybody up to the moment when its share is to be stored."""
    rng = random.Random(0).randbytes
    descriptor = Descriptor(
        session_id=SESSION,
        suites=ED25519,
        threshold=2,
        wallet_name="treasury",
        roster=tuple(Member(name, key_of(name), rng(32)) for name in THREE),
    )
    executions = {
        name: Execution(
            keygen(descriptor=descriptor, me=descriptor.identifier(name), signer=identity(name), rng=rng),
            me=descriptor.identifier(name),
            participants=descriptor.participants,
        )
        for name in THREE
    }
    while not all(isinstance(execution.checkpoint, StorePending) for execution in executions.values()):
        for name, execution in executions.items():
            if execution.checkpoint is not None and not isinstance(execution.checkpoint, StorePending):
                execution.confirm()
            deliver(executions, name)
    return executions


def deliver(executions: dict[PeerId, Execution[KeygenResult]], sender: PeerId, *, only: int = len(THREE)) -> None:
    """Hand everything ``sender`` says to the others, or to the first ``only`` of them."""
    others = [name for name in THREE if name != sender]
    for to, message in executions[sender].messages_to_send():
        recipients = others[:only] if to is None else [THREE[to - 1]]
        for recipient in recipients:
            executions[recipient].receive(Identifier(THREE.index(sender) + 1), message)
