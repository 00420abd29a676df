"""A signaling server that lies on command: the real hub, and between it and the sockets whatever a test wants."""

import asyncio
import contextlib
import itertools
import json
import os
import random
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, cast

import msgspec
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as listen
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from mpcnode.crypto import tags
from mpcnode.identity.contacts import Contacts
from mpcnode.peers.conversation import Conversations, Opened
from mpcnode.server.actions import Close
from mpcnode.server.admission import Admission
from mpcnode.server.limits import Limits
from mpcnode.server.relay.hub import Action, Hub, SendAll
from mpcnode.types import IdentityKey, PeerId, SessionId
from mpcnode.wire import agreement
from mpcnode.wire import relay as wire
from mpcnode.wire.introduction import hello_fields
from mpcnode.wire.signaling import SUBPROTOCOL
from tests.helpers.identities import identity, key_of


@dataclass(frozen=True, slots=True)
class Passing:
    """What the server is about to hand on."""

    sender: str
    to: str
    data: dict[str, Any]

    @property
    def is_hello(self) -> bool:
        return bool(self.data.get("type") == "hello")


Lie = Callable[[Passing], Iterable[Passing]]
"""Takes what would be handed on; gives what is handed on instead, to whomever."""

When = Callable[[Passing], bool]


def always(_passing: Passing) -> bool:
    return True


def seals(passing: Passing) -> bool:
    return not passing.is_hello


def between(*names: str) -> When:
    """What passes among these alone."""
    return lambda passing: passing.sender in names and passing.to in names


class LyingServer:
    """Speaks the whole signaling wire; ``lies`` are told in order, and ``hidden`` and ``invented`` change rosters.

    Nobody's signature is looked at: a name belongs to the node that the server says.
    """

    def __init__(self) -> None:
        self.lies: list[Lie] = []
        self.hidden: set[tuple[str, str]] = set()
        """(viewer, name): the viewer is not shown the name."""
        self.invented: dict[str, list[str]] = {}
        """By viewer: names that are shown and are nobody's."""
        self.passed: list[Passing] = []
        self.url = ""
        self._hub = Hub(Admission(Limits()), version="1.2.3", rng=os.urandom)
        self._sockets: dict[int, ServerConnection] = {}
        self._names: dict[int, str] = {}
        self._numbers = itertools.count(1)
        self._outbox: dict[int, asyncio.Queue[str | None]] = {}

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, *lies: Lie) -> AsyncIterator["LyingServer"]:
        server = cls()
        server.lies.extend(lies)
        protocols = [Subprotocol(SUBPROTOCOL)]
        async with listen(server._serve, "127.0.0.1", 0, subprotocols=protocols, compression=None) as sockets:
            server.url = f"ws://127.0.0.1:{next(iter(sockets.sockets)).getsockname()[1]}"
            yield server

    def say(self, sender: str, to: str, data: dict[str, Any]) -> None:
        """Make something up, or say something again."""
        for number, name in self._names.items():
            if name == to:
                self._queue(number, {"type": "relay", "from": sender, "data": data})

    async def cut(self, name: str) -> None:
        """Break the connection of ``name``."""
        for number in [number for number, other in self._names.items() if other == name]:
            self._sockets[number].transport.abort()

    async def _serve(self, socket: ServerConnection) -> None:
        number = next(self._numbers)
        self._sockets[number] = socket
        outbox = self._outbox[number] = asyncio.Queue()
        writer = asyncio.create_task(self._write(socket, outbox))
        origin = f"ws://127.0.0.1:{socket.local_address[1]}"
        extended = socket.subprotocol == SUBPROTOCOL
        now = time.monotonic
        try:
            self._act(self._hub.connect(number, address="127.0.0.1", extended=extended, origins=[origin], now=now()))
            async for frame in socket:
                assert isinstance(frame, str)
                message = json.loads(frame)
                if message["type"] == "register":
                    self._names[number] = message["peer_id"]
                self._act(self._hub.receive(number, frame.encode(), now()))
        except ConnectionClosed:
            pass
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            self._names.pop(number, None)
            self._act(self._hub.disconnect(number))

    async def _write(self, socket: ServerConnection, outbox: asyncio.Queue[str | None]) -> None:
        with contextlib.suppress(ConnectionClosed):
            while (frame := await outbox.get()) is not None:
                await socket.send(frame)
            await socket.close()

    def _act(self, actions: list[Action]) -> None:
        for action in actions:
            for frame in action.frames if isinstance(action, SendAll) else (action.frame,):
                message = json.loads(frame)
                if message["type"] == "relay":
                    self._relay(Passing(message["from"], self._names[action.connection], message["data"]))
                else:
                    self._show(action.connection, message)
            if isinstance(action, Close):
                self._outbox[action.connection].put_nowait(None)

    def _relay(self, passing: Passing) -> None:
        self.passed.append(passing)
        handed = [passing]
        for lie in self.lies:
            handed = [out for one in handed for out in lie(one)]
        for one in handed:
            self.say(one.sender, one.to, one.data)

    def _show(self, number: int, message: dict[str, Any]) -> None:
        viewer = self._names.get(number, "")
        if message["type"] == "peers":
            shown = [name for name in message["peers"] if (viewer, name) not in self.hidden]
            message["peers"] = shown + self.invented.get(viewer, [])
        elif message["type"] in {"peer_joined", "peer_left"} and (viewer, message["peer_id"]) in self.hidden:
            return
        self._queue(number, message)

    def _queue(self, number: int, message: dict[str, Any]) -> None:
        self._outbox[number].put_nowait(json.dumps(message))


# --- lies about what passes ---


def drop(when: When = always) -> Lie:
    """Hand nothing on."""
    return lambda passing: [] if when(passing) else [passing]


def twice(when: When = always) -> Lie:
    """Hand everything on again."""
    return lambda passing: [passing, passing] if when(passing) else [passing]


@dataclass
class Hold:
    """Keeps what passes until it is released, in whatever order."""

    server: LyingServer
    when: When = always
    held: list[Passing] = field(default_factory=list)

    def __call__(self, passing: Passing) -> Iterable[Passing]:
        if not self.when(passing):
            return [passing]
        self.held.append(passing)
        return []

    def release(self, order: Callable[[list[Passing]], Iterable[Passing]] = lambda held: held) -> None:
        """Hand on what was kept, and keep nothing from now on."""
        self.when = lambda _passing: False
        for passing in order(self.held):
            self.server.say(passing.sender, passing.to, passing.data)


def delay(server: LyingServer, seconds: Callable[[], float], when: When = always) -> Lie:
    """Hand everything on later, each after a time of its own, and so in another order."""

    def later(passing: Passing) -> Iterable[Passing]:
        if not when(passing):
            return [passing]
        asyncio.get_running_loop().call_later(seconds(), server.say, passing.sender, passing.to, passing.data)
        return []

    return later


def replay(server: LyingServer, seed: int = 0) -> Lie:
    """Say things again that were said before, to whom they were said before."""
    rng = random.Random(seed)

    def again(passing: Passing) -> Iterable[Passing]:
        old = [one for one in server.passed if one.to == passing.to]
        return [rng.choice(old), passing, rng.choice(old)]

    return again


def tamper(when: When = seals, at: int = 40) -> Lie:
    """Change a bit of each seal."""

    def change(passing: Passing) -> Iterable[Passing]:
        if passing.is_hello or not when(passing):
            return [passing]
        body = bytearray.fromhex(passing.data["body"])
        body[at] ^= 1
        return [replace(passing, data={**passing.data, "body": body.hex()})]

    return change


def forge_signature(of: str) -> Lie:
    """Show another key in the hellos of ``of`` without being able to sign with it."""
    key = key_of("eve").hex()
    return lambda passing: (
        [replace(passing, data={**passing.data, "public_key": key})]
        if passing.is_hello and passing.sender == of
        else [passing]
    )


def swap_identity(of: str, eve: str = "eve") -> Lie:
    """Show a key of the server's own in the hellos of ``of``, properly signed."""

    def swap(passing: Passing) -> Iterable[Passing]:
        if not passing.is_hello or passing.sender != of:
            return [passing]
        hello = wire.decode(json.dumps(passing.data).encode())
        assert isinstance(hello, wire.Hello)
        signed = hello_fields(hello, PeerId(of), PeerId(passing.to))
        own = {"public_key": key_of(eve).hex(), "signature": identity(eve).sign(tags.HELLO, *signed).hex()}
        return [replace(passing, data={**passing.data, **own})]

    return swap


# --- a go-between ---


class GoBetween:
    """Stands between two nodes that never met: to each it is the other, and all they seal it opens, and may change.

    What it cannot do is speak for either on a channel between them.

    Args:
        server: what it sits on.
        one, other: between whom.
        change: what becomes of each message, or None for nothing.
    """

    def __init__(
        self,
        server: LyingServer,
        one: str,
        other: str,
        change: Callable[[wire.RelayMessage], wire.RelayMessage | None] = lambda message: message,
    ) -> None:
        self.opened: list[Opened] = []
        self._ends = (PeerId(one), PeerId(other))
        self._change = change
        self._masks = {name: f"mask of {name}" for name in self._ends}
        """Whose identity each is shown for the other: the mask of ana is what ben takes for ana."""
        self._keys: dict[str, IdentityKey] = {}
        self._waiting: list[tuple[PeerId, PeerId, wire.RelayMessage]] = []
        """What came before both were heard: what is said of their keys must be true for each."""
        self._hashes: dict[bytes, bytes] = {}
        self._ids: dict[SessionId, SessionId] = {}
        self._acceptances: dict[bytes, wire.SessionResponse] = {}
        self._relays = {mask_of: self._relay(server, mask_of) for mask_of in self._ends}

    def __call__(self, passing: Passing) -> Iterable[Passing]:
        """Be a lie of the server."""
        if {passing.sender, passing.to} != set(self._ends):
            return [passing]
        sender, to = PeerId(passing.sender), PeerId(passing.to)
        taken = self._relays[to].receive(sender, json.dumps(passing.data).encode())
        if passing.is_hello:
            self._keys[passing.sender] = IdentityKey(bytes.fromhex(passing.data["public_key"]))
            self._relays[sender].introduce(to)
        if isinstance(taken, Opened):
            self.opened.append(taken)
            self._waiting.append((sender, to, taken.message))
        while self._waiting and len(self._keys) == len(self._ends):
            self._hand_on(*self._waiting.pop(0))
        return []

    def _hand_on(self, sender: PeerId, to: PeerId, message: wire.RelayMessage) -> None:
        changed = self._change(self._translated(sender, to, message))
        if changed is not None:
            self._relays[sender].send(to, changed, key=self._keys[to], expires=2**50)

    def _relay(self, server: LyingServer, mask_of: PeerId) -> Conversations:
        return Conversations(
            identity=identity(self._masks[mask_of]),
            peer_id=mask_of,
            contacts=Contacts,
            send=lambda to, data, _standing: server.say(mask_of, to, json.loads(data)),
            complain=lambda _peer, _line: None,
            now=lambda: time.time_ns() // 1_000_000,
            clock=time.monotonic,
            rng=os.urandom,
        )

    def _translated(self, sender: PeerId, to: PeerId, message: wire.RelayMessage) -> wire.RelayMessage:
        """Name the keys that the recipient knows, and the sessions and proposals that it saw; sign with the masks."""
        mask = identity(self._masks[sender])
        match message:
            case wire.SessionProposal():
                keys = {sender: mask.public_key, to: self._keys[to]}
                roster = tuple(
                    msgspec.structs.replace(one, public_key=keys.get(one.peer_id, one.public_key))
                    for one in message.participants
                )
                proposed = agreement.session_id_of(mask.public_key, message.salt)
                self._ids |= {message.session_id: proposed, proposed: message.session_id}
                changed = msgspec.structs.replace(message, participants=roster, session_id=proposed)
                here, there = agreement.proposal_hash(message), agreement.proposal_hash(changed)
                self._hashes |= {here: there, there: here}
                return changed
            case wire.SessionResponse(accepted=True, nonce=nonce) if nonce is not None:
                self._acceptances[nonce] = message
                hashed = self._hashes.get(message.proposal, message.proposal)
                fields = agreement.acceptance_fields(hashed, nonce, message.terms)
                signature = mask.sign(tags.ACCEPTANCE, *fields)
                session_id = self._ids.get(message.session_id, message.session_id)
                return msgspec.structs.replace(message, session_id=session_id, proposal=hashed, signature=signature)
            case wire.SessionStart():
                return self._start(sender, message)
            case wire.SessionResponse() | wire.SessionCancel():
                return msgspec.structs.replace(
                    message, session_id=self._ids.get(message.session_id, message.session_id)
                )
            case wire.Offer() | wire.Answer() | wire.IceCandidate():
                mesh = self._ids.get(SessionId(message.mesh), SessionId(message.mesh))
                return msgspec.structs.replace(message, mesh=mesh)
            case _:
                return message

    def _start(self, sender: PeerId, start: wire.SessionStart) -> wire.SessionStart:
        """Say who takes part with the acceptances that the recipient knows: its own, and the mask's."""
        mask = identity(self._masks[sender])
        hashed = self._hashes.get(start.proposal, start.proposal)
        chosen = []
        for one in start.chosen:
            fields = agreement.acceptance_fields(hashed, one.nonce, one.terms)
            known = self._acceptances.get(one.nonce)
            signature = known.signature if known else mask.sign(tags.ACCEPTANCE, *fields)
            assert signature is not None
            chosen.append(msgspec.structs.replace(one, signature=signature))
        mesh = self._ids.get(SessionId(start.mesh), SessionId(start.mesh))
        return msgspec.structs.replace(
            start,
            session_id=self._ids.get(start.session_id, start.session_id),
            proposal=hashed,
            mesh=mesh,
            chosen=tuple(chosen),
            signature=mask.sign(tags.START, *agreement.start_fields(hashed, mesh, chosen)),
        )


_FINGERPRINT = re.compile(r"a=fingerprint:sha-256 [0-9A-F:]+\r\n")


def without_fingerprint(message: wire.RelayMessage) -> wire.RelayMessage:
    """Take the fingerprint out of a description."""
    if isinstance(message, wire.Offer | wire.Answer):
        sdp = _FINGERPRINT.sub("", message.sdp)
        return cast("wire.RelayMessage", msgspec.structs.replace(message, sdp=sdp))
    return message


def with_another_fingerprint(message: wire.RelayMessage) -> wire.RelayMessage:
    """Put another fingerprint into a description."""
    if isinstance(message, wire.Offer | wire.Answer):
        sdp = _FINGERPRINT.sub(f"a=fingerprint:sha-256 {':'.join(['AB'] * 32)}\r\n", message.sdp)
        return cast("wire.RelayMessage", msgspec.structs.replace(message, sdp=sdp))
    return message
