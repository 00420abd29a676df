"""What makes a link quick, or safe, by way of aiortc's and aioice's inner parts.

All of it is here and nowhere else. Each tuning looks whether the part it leans on is there and has the form it knows;
where it has not, the link is made the stock way, which is slower and nothing worse. A test for each fails when a new
release changes that part, so that it is looked at and not lost.
"""

import inspect
import struct
from collections.abc import Callable
from typing import Any, Final

from mpcnode.mesh import lean

# aiortc and aioice come after what makes them small
# isort: split
from aioice import Connection, ice
from aiortc import (
    RTCCertificate,
    RTCDtlsFingerprint,
    RTCDtlsTransport,
    RTCIceGatherer,
    RTCIceServer,
    RTCSctpTransport,
    rtcicetransport,
)

MAX_PAIRS_AT_ONCE: Final = 8
"""Checks begun together; RFC 8445 paces them for the sake of networks with many more than our few pairs."""

MAX_PLACES: Final = 1000
"""How far down an address can be on the list."""

GATHER_SECONDS: Final = 2
"""How long ICE servers may take to answer: both sides in turn must be done well within one try."""

CHANNEL_ID: Final = 0
_TEXT: Final = 51
_BINARY: Final = 53


def has(owner: object, name: str, *parameters: str) -> bool:
    """Say whether ``owner`` has a callable part of this name that takes these parameters."""
    part = getattr(owner, name, None)
    return callable(part) and tuple(inspect.signature(part).parameters) == parameters


MEDIA_LEFT_OUT: Final = lean.MEDIA_LEFT_OUT
DNS_LEFT_OUT: Final = lean.DNS_LEFT_OUT
CHECKS_AT_ONCE: Final = has(Connection, "_check_periodic", "self") and has(
    Connection, "_remote_candidates_expected", "self"
)
OWN_ADDRESSES: Final = has(Connection, "get_component_candidates", "self", "component", "addresses", "timeout") and has(
    rtcicetransport, "connection_kwargs", "servers"
)
ONE_TLS_CONTEXT: Final = has(RTCCertificate, "_create_ssl_context", "self", "srtp_profiles")
NO_MEDIA_KEYS: Final = has(RTCDtlsTransport, "_setup_srtp", "self")
GUARDED_CHANNELS: Final = has(RTCSctpTransport, "_data_channel_receive", "self", "stream_id", "pp_id", "data") and has(
    RTCSctpTransport, "_receive_data_chunk", "self", "chunk"
)


class NodeCertificate(RTCCertificate):
    """One certificate and one TLS context for all links of a node, shown by its SHA-256 fingerprint alone.

    Stock aiortc makes a key, a certificate and a context for each link and hashes the certificate three ways.
    """

    _fingerprints: list[RTCDtlsFingerprint] | None = None
    _context: Any = None

    def getFingerprints(self) -> list[RTCDtlsFingerprint]:  # noqa: N802 (aiortc's name)
        """Give the SHA-256 fingerprint."""
        if self._fingerprints is None:
            self._fingerprints = [each for each in super().getFingerprints() if each.algorithm == "sha-256"]
        return self._fingerprints

    def _create_ssl_context(self, srtp_profiles: list[Any]) -> Any:  # noqa: ANN401 (pyOpenSSL's context)
        if self._context is None:
            self._context = super()._create_ssl_context(srtp_profiles)
        return self._context


class QuickConnection(Connection):
    """An ICE connection that offers the addresses it is told to, and does not sleep between its first checks."""

    addresses: list[str]

    async def gather_candidates(self) -> None:
        """Gather host candidates on our addresses, and what ICE servers there are."""
        if self._local_candidates_start:
            return
        self._local_candidates_start = True
        found = await self.get_component_candidates(1, self.addresses, timeout=GATHER_SECONDS)
        for candidate in found:
            if candidate.type == "host":
                # Stock aioice says of all that they are as good; a side that takes only some takes the best.
                place = self.addresses.index(candidate.host) if candidate.host in self.addresses else MAX_PLACES
                candidate.priority -= min(place, MAX_PLACES) << 8  # the local preference (RFC 8445, section 5.1.2.1)
        self._local_candidates += found
        self._local_candidates_end = True

    def _check_periodic(self) -> bool:
        """Begin the first checks together; end the pacing where nothing is left to begin.

        Stock aioice sleeps 20 ms after each check begun, and again to see that there is none left.
        """
        for _ in range(MAX_PAIRS_AT_ONCE):
            if not super()._check_periodic():
                return False
            begun = all(pair.task is not None or pair.state not in _WAITING for pair in self._check_list)
            if begun:
                break
        return not begun or self._remote_candidates_expected()


_WAITING: Final = (ice.CandidatePair.State.WAITING, ice.CandidatePair.State.FROZEN)


class DataTransport(RTCDtlsTransport):
    """A DTLS transport that never carries media, so derives no keys for it."""

    def _setup_srtp(self) -> None:
        """Derive nothing."""


class GuardedSctpTransport(RTCSctpTransport):
    """An SCTP transport with one data channel, the negotiated one; whatever else arrives is reported, not obeyed.

    Stock aiortc opens a channel for anybody that asks, fails an assertion on a second one of the same number, puts
    messages of any size together and decodes text before anybody looked at it.
    """

    on_message: Callable[[bytes], None]
    on_violation: Callable[[str], None]
    on_broken: Callable[[str], None]

    async def _handle_data(self, data: bytes) -> None:
        """Take a packet; one that stock aiortc trips over ends the link and blames nobody, for it may be its own fault.

        Stock aiortc lets its receiving task die of it, with a trace nobody asked for.
        """
        try:
            await super()._handle_data(data)
        except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError, struct.error):
            self.on_broken("a packet came that makes no sense")

    async def _receive_data_chunk(self, chunk: Any) -> None:  # noqa: ANN401 (aiortc's inner type)
        if chunk.stream_id != CHANNEL_ID:
            self.on_violation("it opens a channel nobody asked for")
            return
        await super()._receive_data_chunk(chunk)
        # What it may have under way is told to it; only a sender that does not listen goes below nothing.
        if self._advertised_rwnd < 0:
            self.on_violation("it sends more than it was allowed to")

    async def _data_channel_receive(self, stream_id: int, pp_id: int, data: bytes) -> None:
        if stream_id != CHANNEL_ID or pp_id not in {_TEXT, _BINARY}:
            self.on_violation("it sends something that is not a message on the data channel")
        else:
            self.on_message(data)


def gatherer(servers: list[RTCIceServer], addresses: list[str], *, controlling: bool) -> RTCIceGatherer:
    """Make what gathers candidates, for the side that offers (``controlling``) or answers."""
    made = RTCIceGatherer(iceServers=servers)
    if OWN_ADDRESSES:
        kind = QuickConnection if CHECKS_AT_ONCE else _PatientConnection
        connection = kind(ice_controlling=controlling, **rtcicetransport.connection_kwargs(servers))
        connection.addresses = addresses
        made._connection = connection  # noqa: SLF001
    # Without a controlling side ICE does not end; aiortc sets it the same way from the descriptions.
    made._connection.ice_controlling = controlling  # noqa: SLF001
    return made


class _PatientConnection(QuickConnection):
    """Our addresses, stock pacing."""

    _check_periodic = Connection._check_periodic  # noqa: SLF001


def certificate() -> RTCCertificate:
    """Make the certificate of a node."""
    kind = NodeCertificate if ONE_TLS_CONTEXT else RTCCertificate
    return kind.generateCertificate()


def dtls_transport(transport: rtcicetransport.RTCIceTransport, own: RTCCertificate) -> RTCDtlsTransport:
    """Make the DTLS transport of a link."""
    return (DataTransport if NO_MEDIA_KEYS else RTCDtlsTransport)(transport, [own])


def sctp_transport(
    dtls: RTCDtlsTransport,
    on_message: Callable[[bytes], None],
    on_violation: Callable[[str], None],
    on_broken: Callable[[str], None],
) -> RTCSctpTransport:
    """Make the SCTP transport of a link.

    Where it cannot be guarded from inside, a channel nobody asked for is reported once it is there, and messages come
    by the channel's own event.
    """
    if not GUARDED_CHANNELS:
        stock = RTCSctpTransport(dtls)
        stock.on("datachannel", lambda _channel: on_violation("it opens a channel nobody asked for"))
        return stock
    made = GuardedSctpTransport(dtls)
    made.on_message = on_message
    made.on_violation = on_violation
    made.on_broken = on_broken
    return made
