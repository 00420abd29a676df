"""A peer that cheats on command: it runs the honest code, and rules change what leaves it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Self

import msgspec

from mpcnode.mesh.mesh import Mesh
from mpcnode.types import PeerId
from mpcnode.wire.peer import PeerMessage, RoundMessage, type_name

Said = PeerMessage | bytes
"""A message, or bytes that go out as they are."""

Change = Callable[[PeerId, Any], Iterable[Said]]
"""Takes the recipient and the honest message; gives what is sent instead."""


def name_of(message: PeerMessage) -> str:
    """What a message is called: its round's name, or its type on the wire."""
    return message.round if isinstance(message, RoundMessage) else type_name(message)


@dataclass
class Rule:
    """One lie.

    Args:
        about: the names of the rounds, or of the messages, that it changes.
        change: how.
        to: to whom; nobody else is lied to. None for everybody.
    """

    about: tuple[str, ...]
    change: Change
    to: PeerId | None = None
    used: int = field(default=0, init=False)

    def __call__(self, to: PeerId, message: PeerMessage) -> Iterable[Said]:
        if name_of(message) not in self.about or self.to not in {None, to}:
            return [message]
        self.used += 1
        return self.change(to, message)


class CheatingMesh:
    """A mesh with rules on everything that sessions send over it; ``rules`` may grow later."""

    def __init__(self, mesh: Mesh, rules: list[Rule]) -> None:
        self._mesh = mesh
        self._rules = rules
        self.heard: list[tuple[PeerId, PeerMessage]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._mesh, name)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._mesh.close()

    def send(self, to: PeerId, message: PeerMessage, *, heard: bool = False) -> None:
        said: list[Said] = [message]
        for rule in self._rules:
            said = [out for one in said for out in ([one] if isinstance(one, bytes) else rule(to, one))]
        for one in said:
            if isinstance(one, bytes):
                self.say_raw(to, one)
            else:
                self._mesh.send(to, one, heard=heard)

    async def receive(self) -> tuple[PeerId, PeerMessage]:
        sender, message = await self._mesh.receive()
        self.heard.append((sender, message))
        return sender, message

    def say_raw(self, to: PeerId, frame: bytes) -> None:
        """Send one data-channel message that no codec of ours would make."""
        attempt = self._mesh._links[to]._attempt
        assert attempt is not None
        attempt.send(frame)


def on(*about: str, to: PeerId | None = None) -> Callable[[Change], Rule]:
    """Make a rule of a change: ``on("share", to=BEN)(drop)``."""
    return lambda change: Rule(about, change, to)


# --- changes that fit any message ---


def drop(_to: PeerId, _message: PeerMessage) -> Iterable[Said]:
    """Say nothing."""
    return []


def twice(_to: PeerId, message: PeerMessage) -> Iterable[Said]:
    """Say it again."""
    return [message, message]


def after(other: PeerMessage | bytes) -> Change:
    """Say something else first."""
    return lambda _to, message: [other, message]


def with_fields(**changes: Any) -> Change:
    """Change fields."""
    return lambda _to, message: [msgspec.structs.replace(message, **changes)]


def flip(at: int, name: str = "data") -> Change:
    """Flip a bit of a byte of a field; a negative position counts from the end."""

    def change(_to: PeerId, message: PeerMessage) -> Iterable[Said]:
        data = bytearray(getattr(message, name))
        data[at] ^= 1
        return [msgspec.structs.replace(message, **{name: bytes(data)})]

    return change
