"""Links over WebRTC: ICE, DTLS and SCTP of aiortc, put together by us.

``RTCPeerConnection`` would do it with tasks nobody waits for, a certificate for each link and a parser fed by a peer.
The four transports it is made of are public; here they are started in one task that ``close`` waits for.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from mpcnode.errors import DecodeError
from mpcnode.mesh import addresses, sdp, tuning

# aiortc comes after tuning, which loads it without its media
# isort: split
from aiortc import (
    RTCDataChannel,
    RTCDataChannelParameters,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
    RTCIceCandidate,
    RTCIceGatherer,
    RTCIceParameters,
    RTCIceServer,
    RTCIceTransport,
    RTCSctpCapabilities,
    RTCSctpTransport,
)

from mpcnode.mesh.transport import Fingerprints, IceCandidate, LinkEvents
from mpcnode.wire.framing import FRAME_SIZE
from mpcnode.wire.signaling import IceServer

_log = logging.getLogger(__name__)

LABEL: Final = "mpcnode"
_CANCEL_AGAIN: Final = 0.02
_KEEP_ADDRESSES: Final = 5.0
"""Seconds for which the machine's addresses are taken to be the same."""


class WebRtcConnector:
    """Makes the links of one node; all of them show one certificate, made here.

    Args:
        policy: which addresses are offered.
        ice_servers: those configured and no others, none by default: a stranger's STUN server learns which nodes meet.
        named: the addresses that the user named; where there are any, no others are offered.
        signaling: gives the address that the connection to the signaling server starts from.
    """

    def __init__(
        self,
        *,
        policy: addresses.AddressPolicy = "auto",
        ice_servers: Sequence[IceServer] = (),
        named: Sequence[str] = (),
        signaling: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.servers = [RTCIceServer(list(one.urls), one.username, one.credential) for one in ice_servers]
        self.certificate = tuning.certificate()
        self.fingerprint = _sha256(self.certificate.getFingerprints())
        self.local = policy == "loopback"
        """Whether every node is on this machine."""
        self._policy: addresses.AddressPolicy = policy
        self._named = tuple(named)
        self._signaling = signaling
        self._default: list[str] = []
        self._others: list[addresses.Own] = []
        self._looked_at: float | None = None
        self._reaching: dict[str, None] = {}
        """Where ways to addresses of peers start, as their descriptions said; the latest last."""
        self._chosen = addresses.Choice(())

    def link(self, events: LinkEvents) -> "WebRtcLink":
        """Make the link of one try."""
        return WebRtcLink(self, events)

    def addresses(self) -> addresses.Choice:
        """Give the addresses to offer now."""
        now = asyncio.get_running_loop().time()
        if self._policy == "auto" and (self._looked_at is None or now - self._looked_at > _KEEP_ADDRESSES):
            self._looked_at = now
            self._default = addresses.default_addresses()
            self._others = addresses.machine_addresses()
        chosen = addresses.choose(
            self._policy,
            signaling=self._signaling(),
            reaching=reversed(self._reaching),
            default=self._default,
            others=self._others,
            named=self._named,
        )
        if chosen != self._chosen:
            self._chosen = chosen
            offered, left_out = ", ".join(chosen.offered), ", ".join(chosen.left_out) or "none"
            _log.info("addresses offered: %s; left out: %s", offered or "none", left_out)
        return chosen

    def heard_of(self, hosts: Iterable[str]) -> None:
        """Learn where ways to a peer's addresses start: a link to it offers those before others.

        The side that offers knows no address of the peer before its first answer; the next try is made with it.
        """
        if self._policy != "auto":
            return
        for source in addresses.sources_towards(hosts):
            self._reaching.pop(source, None)
            self._reaching[source] = None
        while len(self._reaching) > addresses.MAX_ADDRESSES:
            del self._reaching[next(iter(self._reaching))]


@dataclass(frozen=True, slots=True)
class _Stack:
    """The transports of one link, from the network up."""

    gatherer: RTCIceGatherer
    ice: RTCIceTransport
    dtls: RTCDtlsTransport
    sctp: RTCSctpTransport
    channel: RTCDataChannel


class WebRtcLink:
    """One end of one try at one link."""

    def __init__(self, connector: WebRtcConnector, events: LinkEvents) -> None:
        self._connector = connector
        self._events: LinkEvents | None = events
        self._stack: _Stack | None = None
        self._remote: sdp.Description | None = None
        self._left_out: tuple[str, ...] = ()
        self._gathering: asyncio.Task[None] | None = None
        self._connecting: asyncio.Task[None] | None = None

    @property
    def fingerprints(self) -> Fingerprints:
        """Both fingerprints; DTLS has held the other end to the one its description has."""
        return Fingerprints(self._connector.fingerprint, self._remote.fingerprint if self._remote else b"")

    @property
    def route(self) -> str:
        """Which kinds of addresses each side offered, and whether an ICE server was of any use."""
        if self._stack is None:
            return ""
        mine = Counter(candidate.type for candidate in self._stack.gatherer.getLocalCandidates())
        theirs = Counter(candidate.kind for candidate in self._remote.candidates) if self._remote else Counter()
        said = [f"addresses offered here: {_count(mine)}, there: {_count(theirs)}"]
        if self._left_out:
            said.append(f"left out here: {', '.join(self._left_out)}")
        if self._connector.servers and not mine["srflx"] + mine["relay"]:
            said.append("the configured STUN or TURN server gave no address")
        elif not self._connector.servers and not self._connector.local:
            said.append("nodes in different networks need a STUN or TURN server: give both --ice-server")
        elif self._connector.servers and not theirs["srflx"] + theirs["relay"]:
            said.append("the other node offers no address outside its own network: give it --ice-server as well")
        elif self._connector.servers and not mine["relay"] + theirs["relay"]:
            said.append("where STUN is not enough, a TURN server relays: --ice-server turn:... on one side")
        return "; ".join(said)

    async def offer(self) -> str:
        """Gather addresses and make the offer."""
        stack = await self._gather(controlling=True)
        return self._describe(stack, "actpass", "0")

    async def answer(self, offer: str) -> str:
        """Take the offer, gather addresses, make the answer and begin to connect."""
        remote = sdp.read(offer, setup="actpass")
        self._connector.heard_of(candidate.host for candidate in remote.candidates)
        stack = await self._gather(controlling=False)
        self._begin(stack, remote)
        return self._describe(stack, "active", remote.mid)

    async def accept(self, answer: str) -> None:
        """Take the answer and begin to connect."""
        remote = sdp.read(answer, setup="active")
        self._connector.heard_of(candidate.host for candidate in remote.candidates)
        if self._stack is None:
            raise RuntimeError("an answer is taken after the offer was made")
        self._begin(self._stack, remote)

    async def add_candidate(self, candidate: IceCandidate) -> None:
        """Take one more address of the other side, if it is one that can be used.

        That there are no more (an empty candidate) is not passed on: browsers say it of candidates we cannot use, and
        the library would give up before the browser's own checks arrive. The end of the try ends it (RFC 8863).
        """
        if self._stack is None:
            raise RuntimeError("a candidate is taken after both descriptions")
        try:
            read = sdp.read_candidate(candidate.candidate) if candidate.candidate else None
        except DecodeError:
            return
        if read is not None:
            await self._stack.ice.addRemoteCandidate(_to_aiortc(read))

    def send(self, data: bytes) -> None:
        """Send a frame: JSON as text, as browsers do; a piece of a longer message as bytes."""
        stack = self._stack
        if stack is not None and stack.channel.readyState == "open" and stack.dtls.state == "connected":
            stack.channel.send(data.decode() if data.startswith(b"{") else data)

    async def close(self) -> None:
        """Tear down channel, association, handshake, sockets, and the task that began them."""
        self._events = None
        stack = self._stack
        if stack is None:
            return
        if self._gathering is not None:
            await asyncio.wait([self._gathering])
            self._gathering.exception()
        # The task goes first: it would begin an association with timers, or aioice a consent check without end, on what
        # is stopped already.
        if self._connecting is not None:
            await _cancelled(self._connecting)
        await stack.sctp.stop()
        await stack.dtls.stop()
        await stack.ice.stop()

    async def _gather(self, *, controlling: bool) -> _Stack:
        chosen = self._connector.addresses()
        if not chosen.offered:
            raise ConnectionError("none of the addresses named with --address is one of this machine's any more")
        self._left_out = chosen.left_out
        gatherer = tuning.gatherer(self._connector.servers, list(chosen.offered), controlling=controlling)
        ice = RTCIceTransport(gatherer)
        dtls = tuning.dtls_transport(ice, self._connector.certificate)
        sctp = tuning.sctp_transport(dtls, self._received, self._violated, self._lost)
        parameters = RTCDataChannelParameters(label=LABEL, negotiated=True, id=tuning.CHANNEL_ID, ordered=True)
        channel = RTCDataChannel(sctp, parameters)
        self._stack = _Stack(gatherer, ice, dtls, sctp, channel)
        channel.on("open", self._opened)
        channel.on("message", self._received)
        channel.on("close", lambda: self._lost("the data channel was closed"))
        dtls.on("statechange", self._dtls_changed)
        # Interrupted, the library would leave its sockets and its questions to ICE servers behind; it ends by itself.
        self._gathering = asyncio.create_task(gatherer.gather())
        try:
            await asyncio.shield(self._gathering)
        except OSError as error:
            raise ConnectionError(f"no address could be gathered: {error.strerror}") from error
        if not gatherer.getLocalCandidates():
            raise ConnectionError("this machine has no address to offer")
        return self._stack

    def _describe(self, stack: _Stack, setup: str, mid: str) -> str:
        own = stack.gatherer.getLocalParameters()
        found = stack.gatherer.getLocalCandidates()
        return sdp.write(
            sdp.Description(
                ufrag=own.usernameFragment or "",
                password=own.password or "",
                fingerprint=self._connector.fingerprint,
                setup=setup,
                candidates=tuple(sdp.Candidate(c.foundation, c.priority, c.ip, c.port, c.type) for c in found),
                mid=mid,
            )
        )

    def _begin(self, stack: _Stack, remote: sdp.Description) -> None:
        self._remote = remote
        self._connecting = asyncio.create_task(self._connect(stack, remote))
        self._connecting.add_done_callback(self._connected)

    def _connected(self, task: "asyncio.Task[None]") -> None:
        """End this try, and nothing else, if the library raised anything."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._lost(f"connecting failed: {type(error).__name__}")

    async def _connect(self, stack: _Stack, remote: sdp.Description) -> None:
        """Start the transports, each when the one below it stands; say what did not."""
        for candidate in remote.candidates:
            await stack.ice.addRemoteCandidate(_to_aiortc(candidate))
        if remote.complete:
            await stack.ice.addRemoteCandidate(None)
        await stack.ice.start(RTCIceParameters(remote.ufrag, remote.password))
        if stack.ice.state != "completed":
            self._lost("neither side reaches the other")
            return
        fingerprint = RTCDtlsFingerprint("sha-256", remote.fingerprint.hex(":").upper())
        await stack.dtls.start(RTCDtlsParameters([fingerprint]))
        if stack.dtls.state != "connected":
            self._lost("the DTLS handshake failed, or showed another certificate than the one described")
            return
        await stack.sctp.start(RTCSctpCapabilities(remote.max_message_size), remote.sctp_port)

    # Events come from deep inside the library's receive loop, which our own errors must not end and which must not
    # find its objects torn down when it is returned to: so they wait for the next turn of the loop.

    def _opened(self) -> None:
        asyncio.get_running_loop().call_soon(self._tell_opened)

    def _received(self, data: bytes | str) -> None:
        asyncio.get_running_loop().call_soon(self._tell_received, data.encode() if isinstance(data, str) else data)

    def _lost(self, reason: str) -> None:
        asyncio.get_running_loop().call_soon(self._tell_closed, reason)

    def _violated(self, reason: str) -> None:
        asyncio.get_running_loop().call_soon(self._tell_violated, reason)

    def _dtls_changed(self) -> None:
        if self._stack is not None and self._stack.dtls.state == "closed":
            self._lost("the other end closed the link, or is gone")

    def _tell_opened(self) -> None:
        if self._events is not None:
            self._events.opened()

    def _tell_received(self, data: bytes) -> None:
        if self._events is None:
            return
        if len(data) > FRAME_SIZE:
            self._events.violated("it sends a message above the size agreed on")
        else:
            self._events.received(data)

    def _tell_closed(self, reason: str) -> None:
        if self._events is not None:
            self._events.closed(reason)

    def _tell_violated(self, reason: str) -> None:
        if self._events is not None:
            self._events.violated(reason)


async def _cancelled(task: "asyncio.Task[None]") -> None:
    """Cancel ``task`` until it ends.

    Once is not enough: before Python 3.12 ``asyncio.wait_for``, which the handshake waits with, forgets that it
    was cancelled when its result comes at that very moment, and then the handshake waits on for half a minute.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_CANCEL_AGAIN)


def _sha256(fingerprints: list[RTCDtlsFingerprint]) -> bytes:
    value = next(each.value for each in fingerprints if each.algorithm == "sha-256")
    return bytes.fromhex(value.replace(":", ""))


def _to_aiortc(candidate: sdp.Candidate) -> RTCIceCandidate:
    return RTCIceCandidate(
        component=1,
        foundation=candidate.foundation,
        ip=candidate.host,
        port=candidate.port,
        priority=candidate.priority,
        protocol="udp",
        type=candidate.kind,
    )


def _count(kinds: Counter[str]) -> str:
    return ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items())) or "none"
