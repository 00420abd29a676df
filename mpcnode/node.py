"""One node: home, signaling, mesh and sessions put together. Everything a user can ask of a node is a method here."""

import asyncio
import re
import secrets
import socket
import time
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from mpcnode.errors import (
    AuthenticationError,
    DecodeError,
    MpcError,
    PeerIncompatible,
    UsageError,
)
from mpcnode.identity.identity import Identity
from mpcnode.keystore.format import KdfPolicy
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.store import Home
from mpcnode.mesh.transport import Connector, MeshTimeouts
from mpcnode.session.catch_up import CatchUp
from mpcnode.session.consent import Accept, Policy, User
from mpcnode.waits import first_of, see_end
from mpcnode.session.journal import Journal
from mpcnode.session.policy import load_policy
from mpcnode.session.proposal import propose_keygen
from mpcnode.session.quorum import Quorum
from mpcnode.session.requests import CreateWallet, Sign
from mpcnode.session.room import Room
from mpcnode.session.sealed_relay import Opened, SealedRelay
from mpcnode.session.services import Services
from mpcnode.session.sessions import Sessions
from mpcnode.session.timeouts import SessionTimeouts
from mpcnode.session.trust import Trusts, fingerprint
from mpcnode.session.wallets import Wallets, list_wallets, unreadable_wallets
from mpcnode.signaling import events
from mpcnode.signaling.client import SignalingClient
from mpcnode.status import (
    Disconnected,
    ErrorView,
    Event,
    Peers,
    PeerView,
    Registered,
    SignatureView,
    WalletView,
    Warned,
)
from mpcnode.types import PeerId, parse_peer_id
from mpcnode.wire.relay import CertificateReply, CertificateRequest
from mpcnode.wire.signaling import IceServer

DEFAULT_SERVER: Final = "ws://127.0.0.1:9000"
DEFAULT_ROOM: Final = "public"

__all__ = ["Accept", "CreateWallet", "Node", "NodeConfig", "Sign", "User"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """How a node is run.

    Args:
        home: where it keeps everything.
        server: the signaling server's URL.
        peer_id: its name; by default the home's last one, else the host's.
        room: whom it is among.
        accept, yes, contacts_only: what it takes part in, see ``Policy``.
        interactive_kdf: protect a new home lightly, for throw-away homes; an existing one stays as it is.
        ice_servers: STUN and TURN servers; nothing else is ever contacted.
        loopback: offer the loopback address alone: everybody is on this machine.
        ca_file: authorities to trust for ``wss``, in place of the system's.
        warm: seconds that a mesh stays open after a signature, for the next one; 0 keeps none.
        timeouts, mesh_timeouts: see there.
    """

    home: Path
    server: str = DEFAULT_SERVER
    peer_id: PeerId | None = None
    room: str = DEFAULT_ROOM
    accept: Accept = "ask"
    yes: bool = False
    contacts_only: bool = False
    interactive_kdf: bool = False
    ice_servers: tuple[IceServer, ...] = ()
    loopback: bool = False
    ca_file: Path | None = None
    warm: float = 300.0
    timeouts: SessionTimeouts = field(default_factory=SessionTimeouts)
    mesh_timeouts: MeshTimeouts = field(default_factory=MeshTimeouts)


class Node:
    """A node under one home; ``async with`` it, ``start`` it, and ask it things.

    Args:
        config: how.
        user: who answers its questions.
        emit: takes what happens, as it happens.
    """

    def __init__(self, config: NodeConfig, *, user: User, emit: Callable[[Event], None]) -> None:
        self.config = config
        self._user = user
        self._emit = emit
        self._resources = AsyncExitStack()
        self._tasks = asyncio.TaskGroup()
        self._answering: set[asyncio.Task[None]] = set()
        self._client: SignalingClient | None = None
        self._composed = False

    # Life

    async def __aenter__(self) -> Self:
        self._home = await asyncio.to_thread(Home.open, self.config.home, create=True)
        self._resources.enter_context(self._home.lock())
        journal = await asyncio.to_thread(
            Journal, self.config.home, now=time.time, warn=lambda message: self._emit(Warned(message))
        )
        self._journal = self._resources.enter_context(journal)
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.stop()
            await self._tasks.__aexit__(kind, error, trace)
        except BaseExceptionGroup as group:
            # One reason is enough to end, and it is the one to show: the rest was cancelled because of it.
            first = first_of(group)
            raise first from first.__cause__
        finally:
            await self._resources.aclose()

    async def start(self, passphrase: bytearray) -> None:
        """Unlock the home (or make its identity), connect and register.

        Args:
            passphrase: of the home; wiped at the end.

        Raises:
            WrongPassphrase, KeystoreError: the home does not open.
            ServerUnreachable, NameTaken, ServerRefused: the server does not take this node.
        """
        keyring = self._resources.enter_context(Keyring(passphrase))
        # What is wrong with the home is said before anybody hears of this node.
        settings = await asyncio.to_thread(self._home.load_settings)
        self.peer_id = self.config.peer_id or settings.peer_id or _host_name()
        for problem in await asyncio.to_thread(unreadable_wallets, self._home):
            self._emit(Warned(problem.message))
        self._room = Room(self.peer_id)
        self._unlocking = self._tasks.create_task(self._unlock(keyring), name="unlock")
        self._client = SignalingClient(
            url=self.config.server,
            peer_id=self.peer_id,
            room=self.config.room,
            unlocked=lambda: asyncio.shield(self._unlocking),
            rng=secrets.token_bytes,
            on_event=self._on_event,
            ca_file=self.config.ca_file,
        )
        self._running = self._tasks.create_task(self._stay(self._client), name="signaling")
        while not self._room.present:
            await self._room.changed()
        self._remember_name()

    async def serve_forever(self) -> None:
        """Answer proposals until cancelled.

        Raises:
            MpcError: the node cannot go on; another one took its name with its own key, for instance.
        """
        await asyncio.shield(self._running)

    async def stop(self) -> None:
        """End every session, telling the others, and leave the server when they have been told."""
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)
        if self._composed:
            await self._sessions.meshes.close()
        if self._client is not None:
            await self._client.close()

    # What a user can ask

    def peers(self) -> tuple[PeerView, ...]:
        """Who is in the room, this node included."""
        return tuple(self._trusts.view(name) for name in self._room.present)

    def wallets(self) -> tuple[WalletView | ErrorView, ...]:
        """Every wallet under the home; headers only."""
        return list_wallets(self._home)

    async def create_wallet(
        self, request: CreateWallet, *, user: User | None = None, emit: Callable[[Event], None] | None = None
    ) -> WalletView:
        """Make a wallet together with others.

        Args:
            request: which.
            user: who answers the questions of this session.
            emit: takes what happens in it.

        Raises:
            UsageError: there is a wallet of that name, or a peer named does not exist.
            MpcError: why there is no wallet.
        """
        if any(wallet.name == request.name for wallet in self._wallets.all()):
            raise UsageError(f"there is a wallet named {request.name} already", hint="choose another --name")
        if self.peer_id in request.with_peers:
            raise UsageError(f"--with names {self.peer_id}, which is this node itself")
        others = await self._room.gather(
            request, choose=(user or self._user).choose_peers, view=self._trusts.view, emit=emit or self._emit
        )
        roster = await self._room.introduce(others, self._relay, wait=self.config.timeouts.introduce)
        proposal = propose_keygen(
            proposer=self.peer_id,
            salt=secrets.token_bytes(16),
            roster={**roster, self.peer_id: self._identity.public_key},
            threshold=request.threshold,
            suites=request.suites,
            wallet_name=request.name,
            now=time.time(),
            answer_within=request.answer_within or self.config.timeouts.negotiate,
        )
        return await self._sessions.propose(proposal, yes=request.yes, user=user, emit=emit)

    async def sign(self, request: Sign, *, emit: Callable[[Event], None] | None = None) -> SignatureView:
        """Sign together with others; whoever asks for it has approved it.

        Args:
            request: what, with which wallet.
            emit: takes what happens in it.

        Raises:
            KeystoreAbsent: there is no such wallet.
            UsageError: the request does not fit it.
            MpcError: why there is no signature.
        """
        answer_within = request.answer_within or self.config.timeouts.negotiate
        wallet, quorum = self._wallets.named(request.wallet), Quorum(self._sessions)
        return await quorum.sign(wallet, request, emit=emit or self._emit, negotiate=answer_within)

    # Start-up

    async def _unlock(self, keyring: Keyring) -> Identity:
        """Open the home. Argon2id is most of a start: aiortc is loaded and the server dialled beside it."""
        opening = asyncio.ensure_future(asyncio.to_thread(self._open_identity, keyring))
        try:
            connector = await asyncio.to_thread(_connector, self.config)
            identity = await opening
        finally:
            await see_end(opening)
        self._resources.callback(identity.wipe)
        assert self._client is not None
        self._compose(self._client, identity, connector, keyring)
        return identity

    async def _stay(self, client: SignalingClient) -> None:
        try:
            await client.run()
        except MpcError:
            await asyncio.shield(self._unlocking)  # what is wrong with the home is certain, and is said first
            raise

    def _open_identity(self, keyring: Keyring) -> Identity:
        if not self._home.is_new():
            return self._home.load_identity(keyring)
        policy = KdfPolicy.INTERACTIVE if self.config.interactive_kdf else KdfPolicy.DEFAULT
        return self._home.create_identity(keyring, policy)

    def _compose(self, client: SignalingClient, identity: Identity, connector: Connector, keyring: Keyring) -> None:
        self._identity = identity
        self._relay = SealedRelay(
            identity=identity,
            peer_id=self.peer_id,
            contacts=lambda: self._trusts.contacts,
            send=client.relay,
            now=time.time,
            rng=secrets.token_bytes,
        )
        self._trusts = Trusts(
            self._home, peer_id=self.peer_id, public_key=identity.public_key, introduced=self._relay.key_of
        )
        self._wallets = Wallets(self._home, keyring, self.peer_id)
        self._catch_up = CatchUp(self._wallets, self._relay, peer_id=self.peer_id, now=time.time, emit=self._emit)
        services = Services(
            peer_id=self.peer_id,
            identity=identity,
            relay=self._relay,
            connector=connector,
            wallets=self._wallets,
            rng=secrets.token_bytes,
            now=time.time,
            timeouts=self.config.timeouts,
            mesh_timeouts=self.config.mesh_timeouts,
            away=lambda: self._room.away,
        )
        policy = Policy(accept=self.config.accept, contacts_only=self.config.contacts_only, yes=self.config.yes)
        self._sessions = Sessions(
            services,
            policy=policy,
            user=self._user,
            trusts=self._trusts,
            journal=self._journal,
            policy_of=lambda wallet: load_policy(self._home.path, wallet),
            emit=self._emit,
            negotiate=self._handle,
            present=lambda: self._room.present,
            warm=self.config.warm,
        )
        self._composed = True

    def _remember_name(self) -> None:
        settings = self._home.load_settings()
        if settings.peer_id != self.peer_id:
            self._home.save_settings(replace(settings, peer_id=self.peer_id))

    # What the server says

    def _on_event(self, event: events.ClientEvent) -> None:
        match event:
            case events.Registered():
                shown = fingerprint(self._identity.public_key)
                self._emit(Registered(self.peer_id, self.config.server, self.config.room, shown))
                self._room.set(event.peers)
                self._met(event.peers)
            case events.Peers():
                self._room.set(event.peers)
                self._emit(Peers(self.peers()))
            case events.PeerJoined():
                self._room.joined(event.peer_id)
                self._met((event.peer_id,))
            case events.PeerLeft():
                self._room.left(event.peer_id)
                self._catch_up.parted(event.peer_id)
                self._emit(Peers(self.peers()))
            case events.Relayed():
                self._take(event.sender, event.data)
            case events.ServerSaid():
                self._emit(Warned(f"the server says: {event.error}"))
            case events.Disconnected():
                self._room.away = True
                self._emit(Disconnected(event.reason, event.retry_in))

    def _met(self, peers: Iterable[PeerId]) -> None:
        for name in peers:
            if name != self.peer_id:
                self._relay.rejoined(name)
                self._catch_up.met(name)
        self._emit(Peers(self.peers()))

    def _take(self, sender: PeerId, data: bytes) -> None:
        try:
            taken = self._relay.receive(sender, data)
        except DecodeError as error:
            self._emit(Warned(f"{sender} sent what this version does not understand: {error}"))
            return
        except (AuthenticationError, PeerIncompatible) as error:
            self._room.stir(sender, error)
            self._sessions.peer_failed(sender, error)
            self._emit(Warned(error.message))
            return
        self._room.stir(sender)
        if isinstance(taken, Opened):
            self._handle(taken)
        elif taken is not None:
            self._sessions.introduced(taken.peer_id, taken.public_key)

    def _handle(self, opened: Opened) -> None:
        if isinstance(opened.message, CertificateRequest | CertificateReply):
            self._spawn(self._catch_up.handle(opened))
        elif proposal := self._sessions.handle(opened):
            self._spawn(self._sessions.answer(opened, proposal))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._tasks.create_task(work)
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)


def _connector(config: NodeConfig) -> Connector:
    from mpcnode.mesh.webrtc import WebRtcConnector  # noqa: PLC0415 -- aiortc takes half a second to load

    return WebRtcConnector(policy="loopback" if config.loopback else "auto", ice_servers=config.ice_servers)


def _host_name() -> PeerId:
    """This machine's name, made fit for a peer id."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:64]
    return parse_peer_id(name or "node")
