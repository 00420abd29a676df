"""One node: home, signaling, mesh, peers and sessions put together, and nothing else."""

import asyncio
import secrets
import time
from collections.abc import Callable, Collection, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from mpcnode.commands import CreateWallet, Invite, Pair, Refresh, Sign
from mpcnode.consent.approval import Accept, Options, User
from mpcnode.consent.journal import Journal
from mpcnode.consent.limits import Claims
from mpcnode.consent.policy import load_policy
from mpcnode.errors import ConfigurationError, MpcError
from mpcnode.identity.contacts import How
from mpcnode.identity.identity import Identity
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.opening import name_of, open_identity
from mpcnode.keystore.settings import Settings
from mpcnode.keystore.store import Home
from mpcnode.mesh.mesh import Mesh
from mpcnode.mesh.pool import Pool
from mpcnode.mesh.transport import Connector, Local, MeshTimeouts
from mpcnode.peers.budget import Complaints
from mpcnode.peers.conversation import Conversations, Opened
from mpcnode.peers.introductions.guests import Guests
from mpcnode.peers.introductions.introductions import Introductions
from mpcnode.peers.introductions.inviting import Inviting
from mpcnode.peers.introductions.joining import Joining
from mpcnode.peers.introductions.meeting import Introducer
from mpcnode.peers.neighbours import Neighbours
from mpcnode.peers.room import Room
from mpcnode.peers.trust import Trusts
from mpcnode.session.admission import Admission
from mpcnode.session.agenda import Agenda
from mpcnode.session.catch_up import CatchUp
from mpcnode.session.kinds.refresh import new_shares_of
from mpcnode.session.services import Services, SessionTimeouts
from mpcnode.session.sessions import Sessions
from mpcnode.signaling import events
from mpcnode.signaling.client import SignalingClient
from mpcnode.status import ContactView, ErrorView, Event, PeerView, SignatureView, WalletView, Warned
from mpcnode.types import IdentityKey, PeerId
from mpcnode.waits import first_of, see_end
from mpcnode.wallet.store import Wallets, list_wallets, unreadable_wallets
from mpcnode.wire.invitation import SECRET_SIZE, Invitation
from mpcnode.wire.relay import CertificateReply, CertificateRequest, Join, JoinAnswer, NegotiationMessage
from mpcnode.wire.signaling import IceServer, origin_of

DEFAULT_SERVER: Final = "ws://127.0.0.1:9000"
DEFAULT_ROOM: Final = "public"

__all__ = ["Accept", "Node", "NodeConfig", "User"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """How a node is run.

    Args:
        home: where it keeps everything.
        server: the signaling server's URL.
        peer_id: its name; by default the home's last one, else the host's.
        room: whom it is among.
        options: what it takes part in.
        interactive_kdf: protect a new home lightly, for throw-away homes; an existing one stays as it is.
        ice_servers: STUN and TURN servers; nothing else is ever contacted.
        loopback: offer the loopback address alone: everybody is on this machine.
        addresses: the addresses of this machine to offer, and no others; where there are none, those that can matter.
        ca_file: authorities to trust for ``wss``, in place of the system's.
        invited_by: the key of an invitation: until its session is over, this node takes part in nothing else.
        warm: seconds that a mesh stays open after a session, for the next one; 0 keeps none.
        timeouts, mesh_timeouts: see there.
    """

    home: Path
    server: str = DEFAULT_SERVER
    peer_id: PeerId | None = None
    room: str = DEFAULT_ROOM
    options: Options = field(default_factory=Options)
    interactive_kdf: bool = False
    ice_servers: tuple[IceServer, ...] = ()
    loopback: bool = False
    addresses: tuple[str, ...] = ()
    ca_file: Path | None = None
    invited_by: IdentityKey | None = None
    warm: float = 300.0
    timeouts: SessionTimeouts = field(default_factory=SessionTimeouts)
    mesh_timeouts: MeshTimeouts = field(default_factory=MeshTimeouts)


class Node:
    """A node under one home; ``async with`` it, ``start`` it, and ask it things.

    Args:
        config: how.
        user: the person to ask.
        emit: takes what happens, as it happens.
    """

    peer_id: PeerId
    """This node's name, once it is started."""

    def __init__(self, config: NodeConfig, *, user: User, emit: Callable[[Event], None]) -> None:
        self.config = config
        self._user = user
        self._emit = emit
        self._resources = AsyncExitStack()
        self._tasks = asyncio.TaskGroup()
        self._home: Home
        self._journal: Journal
        self._client: SignalingClient | None = None
        self._running: asyncio.Task[None]
        self._unlocking: asyncio.Task[_Parts]

    # Life

    async def __aenter__(self) -> Self:
        self._home = await asyncio.to_thread(Home.open, self.config.home, create=True)
        self._resources.enter_context(self._home.lock())
        journal = await asyncio.to_thread(
            Journal,
            self.config.home,
            now=_now,
            clock=time.monotonic,
            warn=lambda message: self._emit(Warned(message)),
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

    async def start(self, keyring: Keyring) -> None:
        """Unlock the home (or make its identity), connect and register.

        Args:
            keyring: of the home's passphrase; the node owns it from here on and closes it at its end.

        Raises:
            WrongPassphrase, KeystoreError: the home does not open.
            ServerUnreachable, NameTaken, ServerRefused: the server does not take this node.
        """
        self._resources.enter_context(keyring)
        # What is wrong with the home is said before anybody hears of this node.
        settings = await asyncio.to_thread(self._home.load_settings)
        self.peer_id = name_of(self.config.peer_id, settings)
        for problem in await asyncio.to_thread(unreadable_wallets, self._home):
            self._emit(Warned(problem.message))
        room = Room(self.peer_id)
        self._unlocking = self._tasks.create_task(self._unlock(keyring, settings, room), name="unlock")
        self._client = client = SignalingClient(
            url=self.config.server,
            peer_id=self.peer_id,
            room=self.config.room,
            unlocked=self._identity,
            rng=secrets.token_bytes,
            on_event=self._on_event,
            ca_file=self.config.ca_file,
        )
        room.ask = client.list_peers
        self._running = self._tasks.create_task(self._stay(client), name="signaling")
        while not room.present:
            await room.changed()

    async def serve_forever(self) -> None:
        """Answer proposals until cancelled.

        Raises:
            MpcError: the node cannot go on; another one took its name with its own key, for instance.
        """
        await asyncio.shield(self._running)

    async def stop(self) -> None:
        """End every session, telling the others, and leave the server when they have been told."""
        if self._client is None:
            return
        if self._unlocking.done() and not self._unlocking.cancelled() and not self._unlocking.exception():
            await self._parts.router.stop()
            await self._parts.services.pool.close()
        await self._client.close()

    # What a user can ask

    @property
    def busy(self) -> bool:
        """Whether any session is under way."""
        return self._parts.agenda.busy

    async def greet(self) -> None:
        """Have everybody in the room show its key, where it can, before ``peers`` is asked; takes a moment."""
        await self._parts.neighbours.greet()

    def peers(self) -> tuple[PeerView, ...]:
        """Give everybody in the room, this node included."""
        return self._parts.neighbours.views()

    def wallets(self) -> tuple[WalletView | ErrorView, ...]:
        """Give every wallet under the home; headers only."""
        return list_wallets(self._home)

    async def create_wallet(
        self, command: CreateWallet, *, user: User | None = None, emit: Callable[[Event], None] | None = None
    ) -> WalletView:
        """Make a wallet together with others; see ``Sessions``."""
        return await self._parts.sessions.create_wallet(command, user=user, emit=emit)

    async def refresh(
        self, command: Refresh, *, user: User | None = None, emit: Callable[[Event], None] | None = None
    ) -> WalletView:
        """Give every participant of a wallet a new share; see ``Sessions``."""
        return await self._parts.sessions.refresh(command, user=user, emit=emit)

    async def sign(self, command: Sign, *, emit: Callable[[Event], None] | None = None) -> SignatureView:
        """Sign together with others; see ``Sessions``."""
        return await self._parts.sessions.sign(command, emit=emit)

    async def pair(self, command: Pair, *, emit: Callable[[Event], None] | None = None) -> ContactView:
        """Meet somebody with a code; see ``Introductions``."""
        return await self._parts.introductions.pair(command, emit=emit or self._emit)

    def invite(self, command: Invite, *, emit: Callable[[Event], None] | None = None) -> Inviting:
        """Open an invitation in this node's room, whose name is 16 random bytes in hexadecimal; see ``Inviting``.

        The node is for that alone. Hand what this gives to ``make_with_invited``, which ends it.

        Raises:
            ConfigurationError: the server's address has no place in a link.
        """
        parts, wallet = self._parts, command.wallet
        try:
            invitation = Invitation(
                server=origin_of(self.config.server),
                room=bytes.fromhex(self.config.room),
                key=parts.services.identity.public_key,
                secret=secrets.token_bytes(SECRET_SIZE),
                expires=_now() + wallet.wait,
            )
        except ValueError as error:
            raise ConfigurationError(f"this server cannot stand in an invitation: {error}") from None
        services = parts.services
        inviting = Inviting(
            invitation,
            Guests(invitation, places=wallet.total - 1, me=self.peer_id),
            introductions=parts.introductions,
            room=services.room,
            conversations=services.conversations,
            trusts=services.trusts,
            complaints=parts.complaints,
            emit=emit or self._emit,
            now=_now,
        )
        parts.router.invitation = inviting
        return inviting

    async def make_with_invited(
        self, command: Invite, inviting: Inviting, *, emit: Callable[[Event], None] | None = None
    ) -> WalletView:
        """Make a wallet together with those who join; see ``Sessions``."""
        return await self._parts.sessions.invite(command, inviting, emit=emit)

    async def join(self, invitation: Invitation, *, how: How) -> WalletView:
        """Take part in what this node is invited to; see ``Sessions``.

        Args:
            invitation: of the node that ``config.invited_by`` names, whose room this node is in.
            how: how this node knows its key.
        """
        parts, services = self._parts, self._parts.services
        joining = parts.router.invitation = Joining(
            invitation,
            how,
            room=services.room,
            conversations=services.conversations,
            trusts=services.trusts,
            emit=self._emit,
            now=_now,
        )
        assert parts.agenda.admission is not None
        return await parts.sessions.join(joining, parts.agenda.admission)

    async def remember(self, ice_servers: Sequence[str] = ()) -> None:
        """Have this home come to this server and room by itself from now on, where it remembers neither.

        Args:
            ice_servers: what ``--ice-server`` said, which is remembered where nothing was.
        """
        settings = await asyncio.to_thread(self._home.load_settings)
        here = settings
        if settings.server is None and settings.room is None:
            here = replace(here, server=self.config.server, room=self.config.room)
        if not settings.ice_servers:
            here = replace(here, ice_servers=tuple(ice_servers))
        if here != settings:
            await asyncio.to_thread(self._home.save_settings, here)

    # Start-up

    @property
    def _parts(self) -> "_Parts":
        return self._unlocking.result()

    async def _identity(self) -> Identity:
        parts = await asyncio.shield(self._unlocking)
        return parts.services.identity

    def _on_event(self, event: events.ClientEvent) -> None:
        self._parts.neighbours.on_event(event)

    async def _stay(self, client: SignalingClient) -> None:
        try:
            await client.run()
        except MpcError:
            await asyncio.shield(self._unlocking)  # what is wrong with the home is certain, and is said first
            raise

    def _signaling_address(self) -> str | None:
        return None if self._client is None else self._client.local_address

    async def _unlock(self, keyring: Keyring, settings: Settings, room: Room) -> "_Parts":
        """Open the home. Argon2id is most of a start: aiortc is loaded and the server dialled beside it."""
        opening = asyncio.ensure_future(
            asyncio.to_thread(
                open_identity,
                self._home,
                keyring,
                self.peer_id,
                settings,
                interactive_kdf=self.config.interactive_kdf,
            )
        )
        try:
            connector = await asyncio.to_thread(_connector, self.config, self._signaling_address)
        finally:
            # The thread may be writing, under the home's lock and with the keyring: a node that is told to stop waits.
            try:
                await see_end(opening)
            finally:
                if opening.exception() is None:
                    self._resources.callback(opening.result().wipe)
        identity = opening.result()
        parts = self._compose(identity, connector, keyring, room)
        parts.router.spawn(parts.router.catch_up.keep_asking())
        parts.router.spawn(parts.neighbours.keep_up())
        return parts

    def _compose(self, identity: Identity, connector: Connector, keyring: Keyring, room: Room) -> "_Parts":
        assert self._client is not None
        home, emit = self._home, self._emit
        complaints = Complaints(
            emit,
            is_contact=lambda name: name == self.peer_id or trusts.contacts.get(name) is not None,
            clock=time.monotonic,
        )
        conversations = Conversations(
            identity=identity,
            peer_id=self.peer_id,
            contacts=lambda: trusts.contacts,
            send=self._client.relay,
            complain=complaints.say,
            now=_now,
            clock=time.monotonic,
            rng=secrets.token_bytes,
        )
        trusts = Trusts(home, peer_id=self.peer_id, public_key=identity.public_key, introduced=conversations.key_of)
        wallets = Wallets(home, keyring, self.peer_id)
        claims = Claims()
        catch_up = CatchUp(
            wallets,
            conversations,
            peer_id=self.peer_id,
            now=_now,
            changing=lambda wallet_id: claims.held(new_shares_of(wallet_id)),
            complaints=complaints,
            emit=emit,
        )
        router = _Router(catch_up, self._tasks)
        local = Local(
            peer_id=self.peer_id,
            sign=identity.sign,
            connector=connector,
            signal=lambda to, key, signal: conversations.send(to, signal, key=key, expires=_now() + SIGNAL_LASTS),
            timeouts=self.config.mesh_timeouts,
        )
        pool = Pool(local, negotiate=router.negotiated, lost=router.lost, idle=self.config.warm, make=Mesh)
        services = Services(
            peer_id=self.peer_id,
            identity=identity,
            conversations=conversations,
            room=room,
            pool=pool,
            wallets=wallets,
            trusts=trusts,
            journal=self._journal,
            claims=claims,
            rng=secrets.token_bytes,
            now=_now,
            timeouts=self.config.timeouts,
        )
        agenda = router.agenda = Agenda(
            services,
            options=self.config.options,
            user=self._user,
            policy_of=lambda wallet: load_policy(home.path, wallet),
            complaints=complaints,
            emit=emit,
        )
        neighbours = Neighbours(
            place=(self.config.server, self.config.room),
            room=room,
            conversations=conversations,
            trusts=trusts,
            complaints=complaints,
            listener=router,
            emit=emit,
            clock=time.monotonic,
        )
        sessions = Sessions(agenda, user=self._user, emit=emit)
        introducer = Introducer(
            server=self.config.server,
            ca_file=self.config.ca_file,
            identity=identity,
            moniker=self.peer_id,
            rng=secrets.token_bytes,
        )
        introductions = Introductions(home, keyring, introducer, trusts, _now)
        if self.config.invited_by is not None:
            agenda.admission = Admission(self.config.invited_by)
        return _Parts(services, agenda, sessions, neighbours, router, introductions, complaints)


SIGNAL_LASTS: Final = 60_000
"""Milliseconds after which a signal is of no use: every try of its link is over."""


class _Router:
    """Hands what peers say to the part of the node that it concerns."""

    agenda: Agenda
    invitation: Inviting | Joining | None = None

    def __init__(self, catch_up: CatchUp, tasks: asyncio.TaskGroup) -> None:
        self.catch_up = catch_up
        self._tasks = tasks
        self._answering: set[asyncio.Task[None]] = set()

    def met(self, peer: PeerId) -> None:
        """Ask it for what is pending here."""
        self.catch_up.met(peer)

    def parted(self, peer: PeerId) -> None:
        """Hand nothing on to it."""
        self.catch_up.parted(peer)

    def introduced(self, peer: PeerId, key: IdentityKey) -> None:
        """Tell the sessions."""
        self.agenda.introduced(peer, key)

    def lost(self, peers: Collection[PeerId]) -> None:
        """Tell the sessions."""
        self.agenda.lost(peers)

    def negotiated(self, sender: PeerId, key: IdentityKey, message: NegotiationMessage) -> None:
        """Take what negotiates a session and came over a mesh."""
        self.opened(Opened(sender, key, message, by_mesh=True))

    def opened(self, opened: Opened) -> None:
        """Take a message."""
        if isinstance(opened.message, Join | JoinAnswer):
            if self.invitation is not None:
                self.invitation.opened(opened)
        elif isinstance(opened.message, CertificateRequest | CertificateReply):
            self.spawn(self.catch_up.handle(opened))
        elif proposal := self.agenda.handle(opened):
            self.spawn(self.agenda.answer(opened, proposal))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a task that ends with the node."""
        task = self._tasks.create_task(work)
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def stop(self) -> None:
        """End every task, and see each of them end."""
        answering = tuple(self._answering)
        for task in answering:
            task.cancel()
        await asyncio.gather(*answering, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a node is made of, once its home is open."""

    services: Services
    agenda: Agenda
    sessions: Sessions
    neighbours: Neighbours
    router: _Router
    introductions: Introductions
    complaints: Complaints


def _now() -> int:
    return time.time_ns() // 1_000_000


def _connector(config: NodeConfig, signaling: Callable[[], str | None]) -> Connector:
    from mpcnode.mesh.webrtc import WebRtcConnector  # noqa: PLC0415 -- aiortc takes a third of a second to load

    return WebRtcConnector(
        policy="loopback" if config.loopback else "auto",
        ice_servers=config.ice_servers,
        named=config.addresses,
        signaling=signaling,
    )
