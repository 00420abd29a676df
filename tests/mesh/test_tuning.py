"""Each tuning leans on an inner part of aiortc or aioice: these tests fail when a release changes it."""

import asyncio
import time

import aioice
import aiortc
import pytest
from aiortc import RTCIceGatherer, RTCIceServer, RTCSctpTransport, rtcsctptransport
from aiortc.rtcdtlstransport import SRTP_PROFILES

from mpcnode.mesh import tuning
from mpcnode.mesh.tuning import QuickConnection

TUNINGS = ["CHECKS_AT_ONCE", "OWN_ADDRESSES", "ONE_TLS_CONTEXT", "NO_MEDIA_KEYS", "GUARDED_CHANNELS"]


@pytest.mark.parametrize("name", TUNINGS)
def test_the_inner_parts_are_as_we_know_them(name: str) -> None:
    assert getattr(tuning, name), f"{name} fell back to stock behaviour: look at what changed upstream"


def test_a_part_that_is_gone_or_has_another_form_is_noticed() -> None:
    assert not tuning.has(aioice.Connection, "_no_such_part", "self")
    assert not tuning.has(aioice.Connection, "_check_periodic", "self", "more")
    assert not tuning.has(RTCSctpTransport, "State", "self")


def test_the_kinds_of_text_and_bytes_are_aiortcs() -> None:
    assert (tuning._TEXT, tuning._BINARY) == (rtcsctptransport.WEBRTC_STRING, rtcsctptransport.WEBRTC_BINARY)


async def test_a_connection_offers_the_addresses_it_is_told_to() -> None:
    gatherer = tuning.gatherer([], ["127.0.0.1"], controlling=True)
    assert isinstance(gatherer._connection, QuickConnection)
    await gatherer.gather()
    assert [candidate.ip for candidate in gatherer.getLocalCandidates()] == ["127.0.0.1"]
    await gatherer._connection.close()


async def test_stock_aioice_still_drops_the_loopback() -> None:
    assert "127.0.0.1" not in aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=True)


async def test_an_address_that_is_offered_first_is_preferred_by_the_side_that_takes_only_some() -> None:
    gatherer = tuning.gatherer([], ["127.0.0.3", "127.0.0.1", "127.0.0.2"], controlling=True)
    await gatherer.gather()
    found = sorted(gatherer.getLocalCandidates(), key=lambda candidate: -candidate.priority)
    assert [candidate.ip for candidate in found] == ["127.0.0.3", "127.0.0.1", "127.0.0.2"]
    assert len({candidate.priority for candidate in found}) == 3
    await gatherer._connection.close()


def test_what_a_gatherer_is_made_of_is_where_we_put_it() -> None:
    stock = RTCIceGatherer(iceServers=[])
    assert isinstance(stock._connection, aioice.Connection)
    assert stock._connection.ice_controlling is False


@pytest.mark.parametrize("url", ["stun:192.0.2.1:3478", "turn:192.0.2.1?transport=tcp"])
def test_configured_servers_reach_the_connection(url: str) -> None:
    server = RTCIceServer(url, "ana", "secret")
    connection = tuning.gatherer([server], ["127.0.0.1"], controlling=True)._connection
    assert "192.0.2.1" in {address[0] for address in (connection.stun_server, connection.turn_server) if address}


def test_no_server_is_asked_unless_configured() -> None:
    connection = tuning.gatherer([], ["127.0.0.1"], controlling=True)._connection
    assert (connection.stun_server, connection.turn_server) == (None, None)


async def connected(kind: type[aioice.Connection]) -> float:
    """Give the seconds two connections of this kind take to meet on three addresses each."""
    pair = [kind(ice_controlling=controlling) for controlling in (True, False)]
    for connection in pair:
        if isinstance(connection, QuickConnection):
            connection.addresses = ["127.0.0.1"]
            await connection.gather_candidates()
        else:
            connection._local_candidates += await connection.get_component_candidates(1, ["127.0.0.1"])
            connection._local_candidates_start = connection._local_candidates_end = True
    for connection, other in (pair, pair[::-1]):
        connection.remote_username, connection.remote_password = other.local_username, other.local_password
        for candidate in other.local_candidates:
            await connection.add_remote_candidate(candidate)
        await connection.add_remote_candidate(None)
    began = time.perf_counter()
    await asyncio.gather(*(connection.connect() for connection in pair))
    took = time.perf_counter() - began
    for connection in pair:
        await connection.close()
    return took


@pytest.mark.webrtc
async def test_first_checks_do_not_wait_for_a_clock() -> None:
    quick = [await connected(QuickConnection) for _ in range(7)]
    stock = [await connected(aioice.Connection) for _ in range(3)]
    assert min(stock) >= 0.02, "stock aioice no longer sleeps: the tuning may go"
    assert min(quick) < 0.02


@pytest.mark.webrtc
async def test_checks_that_begin_before_their_peer_is_there_still_end() -> None:
    quick = QuickConnection(ice_controlling=True)
    quick.addresses = ["127.0.0.1"]
    await quick.gather_candidates()
    quick.remote_username, quick.remote_password = "abcd", "p" * 22
    connecting = asyncio.create_task(quick.connect())
    await asyncio.sleep(0.05)
    assert not connecting.done()
    await quick.close()
    with pytest.raises(ConnectionError):
        await connecting


def test_one_certificate_makes_one_context_and_shows_one_fingerprint() -> None:
    own = tuning.certificate()
    assert isinstance(own, tuning.NodeCertificate)
    assert [fingerprint.algorithm for fingerprint in own.getFingerprints()] == ["sha-256"]
    assert own._create_ssl_context(SRTP_PROFILES) is own._create_ssl_context(SRTP_PROFILES)
    assert len(aiortc.RTCCertificate.generateCertificate().getFingerprints()) > 1, "the tuning may go"


def test_without_its_parts_everything_is_made_the_stock_way(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TUNINGS:
        monkeypatch.setattr(tuning, name, False)
    assert type(tuning.certificate()) is aiortc.RTCCertificate
    assert type(tuning.gatherer([], [], controlling=True)._connection) is aioice.Connection
