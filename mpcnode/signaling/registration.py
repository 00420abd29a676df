"""How a node takes its name at a signaling server: connect, be welcomed, sign, register, hear who is there."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from websockets.asyncio.client import ClientConnection

from mpcnode.crypto import tags
from mpcnode.errors import UsageError
from mpcnode.signaling.dialling import by_proxy, dial
from mpcnode.signaling.events import Registered
from mpcnode.signaling.reasons import refusal, tls_context
from mpcnode.types import IdentityKey, PeerId
from mpcnode.wire import signaling as wire

_WELCOME_SECONDS: Final = 5.0
"""How old a welcome may be that is answered: servers wait ten seconds for a registration."""


class Signer(Protocol):
    """An identity that is open."""

    @property
    def public_key(self) -> IdentityKey:
        """The key by which others know it."""

    def sign(self, tag: str, *fields: bytes) -> bytes:
        """Make a signature of 64 bytes over the tagged hash of ``fields``."""


@dataclass(frozen=True, slots=True)
class Entered:
    """A connection that holds the name.

    Args:
        socket: the connection.
        limits: what the server allows, where it says so.
        registered: what to tell.
        early: what came before the server's last answer.
    """

    socket: ClientConnection
    limits: wire.OfferedLimits | None
    registered: Registered
    early: list[wire.ServerMessage]


class Registration:
    """Takes one name, as often as it is asked; see ``SignalingClient`` for the arguments."""

    def __init__(
        self,
        *,
        url: str,
        peer_id: PeerId,
        room: str,
        unlocked: Callable[[], Awaitable[Signer]],
        watch: bool,
        deadline: float,
        ca_file: Path | None,
    ) -> None:
        try:
            self.origin = wire.origin_of(url)
        except ValueError as exc:
            raise UsageError(f"not a signaling server's URL: {url!r}", hint="such as ws://127.0.0.1:9000") from exc
        self.way = self.origin + by_proxy(url)
        """The server, and what it is reached through, for a person."""
        self.peer_id = peer_id
        self.deadline = deadline
        self._url = url
        self._ssl = tls_context(url, ca_file)
        self._room = room
        self._unlocked = unlocked
        self._watch = watch

    async def enter(self, stack: contextlib.AsyncExitStack) -> Entered:
        """Take the name on a new connection, which lives as long as ``stack``.

        Raises:
            ServerRefused: the server does not give the name.
            OSError, WebSocketException, DecodeError: no signaling server is there.
        """
        socket, welcome, signer = await self._reach(stack)
        async with asyncio.timeout(self.deadline):
            await socket.send(wire.encode(self._registration(welcome, signer)), text=True)
            # Both questions go at once. A server of the source document may leave the first without an answer.
            watch = self._watch if welcome is not None else None
            await socket.send(wire.encode(wire.ListPeers(watch)), text=True)
            early: list[wire.ServerMessage] = []
            answers = 0
            while True:
                message = await receive(socket)
                if isinstance(message, wire.Error | wire.Welcome):
                    raise refusal(message, self.peer_id)
                if not isinstance(message, wire.Peers):
                    early.append(message)
                    continue
                answers += 1
                if welcome is None or answers == 2:
                    limits = welcome.limits if welcome else None
                    return Entered(socket, limits, _registered(message, welcome), early)

    async def _reach(self, stack: contextlib.AsyncExitStack) -> tuple[ClientConnection, wire.Welcome | None, Signer]:
        """Be welcomed by the server, and have the identity to answer with, whichever of the two comes first."""
        loop = asyncio.get_running_loop()
        while True:
            async with asyncio.timeout(self.deadline):
                socket = await stack.enter_async_context(dial(self._url, self._ssl, [wire.SUBPROTOCOL]))
                welcome = await self._welcome(socket)
            welcomed = loop.time()
            signer = await self._unlocked()  # a key takes as long as it takes
            if loop.time() - welcomed < _WELCOME_SECONDS and socket.close_code is None:
                return socket, welcome, signer
            await stack.aclose()

    async def _welcome(self, socket: ClientConnection) -> wire.Welcome | None:
        """Hear what the server offers; one of the source document says nothing."""
        if socket.subprotocol != wire.SUBPROTOCOL:
            return None
        first = await receive(socket)
        if not isinstance(first, wire.Welcome):
            raise refusal(first, self.peer_id)
        return first

    def _registration(self, welcome: wire.Welcome | None, signer: Signer) -> wire.Register:
        if welcome is None:
            return wire.Register(self.peer_id)
        fields = wire.register_fields(
            origin=self.origin,
            challenge=welcome.challenge,
            room=self._room,
            peer_id=self.peer_id,
        )
        signature = signer.sign(tags.REGISTER, *fields)
        return wire.Register(self.peer_id, self._room, signer.public_key, signature)


async def receive(socket: ClientConnection) -> wire.ServerMessage:
    """Hear one message of the server."""
    return wire.decode_from_server(await socket.recv(decode=False))


def peer_ids(message: wire.Peers) -> tuple[PeerId, ...]:
    """The peers in a list of the server's."""
    return tuple(PeerId(name) for name in message.peers)


def _registered(message: wire.Peers, welcome: wire.Welcome | None) -> Registered:
    if welcome is None:
        return Registered(peer_ids(message), None, (), None)
    return Registered(peer_ids(message), welcome.version, welcome.ice_servers, welcome.limits)
