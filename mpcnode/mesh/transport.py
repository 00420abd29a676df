"""What the mesh asks of the code that makes links: the interface that ``memory`` and ``webrtc`` fill in.

A ``Connector`` makes ``Link`` objects, one for each try at one link. A link is told what to do by awaiting its methods
and tells what happened through its ``LinkEvents``. The mesh alone decides when to try again.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from mpcnode.types import IdentityKey, PeerId, SessionId
from mpcnode.wire import relay


@dataclass(frozen=True, slots=True)
class Offer:
    """An SDP offer; ``attempt`` counts the tries of this link from 1."""

    sdp: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Answer:
    """An SDP answer to the offer of the same attempt."""

    sdp: str
    attempt: int


@dataclass(frozen=True, slots=True)
class IceCandidate:
    """One more ICE candidate of the sender's side of an attempt; an empty ``candidate`` says that there are no more."""

    candidate: str
    sdp_mid: str | None
    sdp_mline_index: int | None
    attempt: int


Signal = Offer | Answer | IceCandidate


def to_relay(mesh_id: SessionId, signal: Signal) -> relay.Signal:
    """Give ``signal`` its form for the sealed relay."""
    match signal:
        case Offer():
            return relay.Offer(mesh=mesh_id, attempt=signal.attempt, sdp=signal.sdp)
        case Answer():
            return relay.Answer(mesh=mesh_id, attempt=signal.attempt, sdp=signal.sdp)
        case IceCandidate():
            return relay.IceCandidate(
                mesh=mesh_id,
                attempt=signal.attempt,
                candidate=signal.candidate,
                sdp_mid=signal.sdp_mid,
                sdp_mline_index=signal.sdp_mline_index,
            )


def from_relay(message: relay.Signal) -> Signal:
    """Take a signal out of its relay form, whose mesh was looked at before."""
    match message:
        case relay.Offer():
            return Offer(message.sdp, message.attempt)
        case relay.Answer():
            return Answer(message.sdp, message.attempt)
        case relay.IceCandidate():
            return IceCandidate(message.candidate, message.sdp_mid, message.sdp_mline_index, message.attempt)


class LinkState(enum.Enum):
    """How far one link is, for progress and logs."""

    CONNECTING = "connecting"
    OPEN = "open"
    """The data channel is open; nothing is known yet about the node at its other end."""
    VERIFIED = "verified"
    """Its other end showed the identity key of the roster."""
    READY = "ready"
    """Its other end has all its links."""
    LOST = "lost"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class LinkChange:
    """A link went over to another state; ``detail`` is ours, never a peer's text."""

    peer: PeerId
    state: LinkState
    attempt: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """The SHA-256 fingerprints of both DTLS certificates of a link, 32 bytes each, as this side sees them."""

    local: bytes
    remote: bytes


class LinkEvents(Protocol):
    """What a link tells; never after ``Link.close`` was called, and never from inside one of its methods."""

    def opened(self) -> None:
        """The data channel carries messages now."""

    def received(self, data: bytes) -> None:
        """One data-channel message came."""

    def closed(self, reason: str) -> None:
        """The link will never carry anything again; ``reason`` is our own words."""

    def violated(self, reason: str) -> None:
        """The other end did on this link what no honest node does; ``reason`` is our own words."""


class Link(Protocol):
    """One try at one link; ``close`` must be awaited whatever happened before.

    Its methods raise ``DecodeError`` for a description that cannot be used, ``ConnectionError`` where this try fails.
    """

    @property
    def fingerprints(self) -> Fingerprints:
        """The fingerprints of both ends; known once both descriptions are."""

    @property
    def route(self) -> str:
        """What was tried and found, in our own words, for the hint of an error."""

    async def offer(self) -> str:
        """Make the offer of this side."""

    async def answer(self, offer: str) -> str:
        """Take the other side's offer and make the answer to it; from here on the link opens by itself."""

    async def accept(self, answer: str) -> None:
        """Take the answer to the offer made before; from here on the link opens by itself."""

    async def add_candidate(self, candidate: IceCandidate) -> None:
        """Take one more address of the other side; the descriptions are known."""

    def send(self, data: bytes) -> None:
        """Queue one data-channel message on an open link; a broken link drops it and tells by ``closed``."""

    async def close(self) -> None:
        """Tear everything down: no task, no timer and no socket is left, and no event comes any more."""


class Connector(Protocol):
    """Makes links."""

    def link(self, events: LinkEvents) -> Link:
        """Make the link of one try."""


@dataclass(frozen=True, slots=True)
class MeshTimeouts:
    """Every deadline of the mesh, in seconds."""

    attempt: float = 5.0
    """One try at a link, from its offer to its verified channel."""
    tries: int = 3
    grace: float = 5.0
    """How long a mesh may take beyond all tries of its slowest link."""
    ping: float = 2.0
    quiet: float = 4.5
    """A link that said nothing for so long is built again."""
    dead: float = 9.0
    """A peer that said nothing for so long, on any link, is named."""
    announce: float = 0.5
    """A mesh not complete after so long says which of its links are."""
    linger: float = 0.5
    """How long ``close`` waits for the last words to be taken."""

    @property
    def all_tries(self) -> float:
        """How long every try at a link takes together."""
        return self.attempt * self.tries

    def lasting(self, seconds: float) -> "MeshTimeouts":
        """Give the same with so long for all tries at a link together, in as many tries."""
        return replace(self, attempt=seconds / self.tries)

    @property
    def tick(self) -> float:
        """How often deadlines are looked at."""
        return min(self.attempt, self.ping, self.announce * 4) / 20


class Sign(Protocol):
    """Signs with this node's identity key, as ``Identity.sign`` does."""

    def __call__(self, tag: str, *fields: bytes) -> bytes:
        """Give the 64-byte signature over the tagged hash of ``fields``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """What a node lends to its meshes.

    Args:
        peer_id: the node's name.
        sign: signs with its identity key.
        connector: makes its links.
        signal: seals a signal to the peer of that name and key and gives it to the relay; never blocks.
        timeouts: every deadline.
    """

    peer_id: PeerId
    sign: Sign
    connector: Connector
    signal: Callable[[PeerId, IdentityKey, relay.Signal], None]
    timeouts: MeshTimeouts = field(default_factory=MeshTimeouts)
