import asyncio
import contextlib
import gc
import logging
import random
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCDataChannelParameters,
    RTCPeerConnection,
    RTCSessionDescription,
    rtcsctptransport,
)

from mpcnode.errors import DecodeError, MpcError, ParticipantCheated, ParticipantSilent
from mpcnode.mesh import addresses, tuning, webrtc
from mpcnode.mesh.transport import IceCandidate, MeshTimeouts, Offer, Signal
from mpcnode.mesh.webrtc import WebRtcConnector, WebRtcLink
from mpcnode.types import PeerId
from mpcnode.wire.fields import MAX_DATA_BYTES
from mpcnode.wire.framing import FRAME_SIZE
from mpcnode.wire.peer import PeerMessage
from mpcnode.wire.signaling import IceServer
from tests.helpers.blamed import blamed
from tests.helpers.meshes import OTHER, Meshes, digest, failure, link, meshes, names, outcome_of, share, until

pytestmark = pytest.mark.webrtc

ONE, TWO, THREE = names(3)
TIMES = MeshTimeouts(attempt=3.0, grace=3.0, ping=0.2, quiet=2.0, dead=4.0)


@pytest.fixture(autouse=True)
def _no_complaint(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail on what asyncio complains of: tasks nobody waited for, exceptions nobody saw."""
    with caplog.at_level(logging.WARNING):
        yield
        gc.collect()
    theirs = ("asyncio", "aiortc", "aioice")
    records = [*caplog.get_records("call"), *caplog.records]
    assert [record.getMessage() for record in records if record.name.startswith(theirs)] == []


def connector() -> Callable[[PeerId], WebRtcConnector]:
    made: dict[PeerId, WebRtcConnector] = {}
    return lambda node: made.setdefault(node, WebRtcConnector(policy="loopback"))


def sockets() -> int:
    return sum("socket:" in str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink())


@pytest.mark.parametrize("count", [2, 4])
async def test_a_mesh_opens_over_webrtc_and_leaves_no_socket_behind(count: int) -> None:
    nodes, before = names(count), sockets()
    async with meshes(nodes, connector(), timeouts=TIMES) as made:
        await made.open()
        assert sockets() > before
        for node in nodes:
            made[node].broadcast(digest(b"short"))
            made[node].broadcast(share(bytes(30_000)))
        for node in nodes:
            received = [await made[node].receive() for _ in range(2 * (count - 1))]
            for other in nodes:
                if other != node:
                    assert [message for sender, message in received if sender == other] == [
                        digest(b"short"),
                        share(bytes(30_000)),
                    ]
            assert await made[node].flush(5.0) == frozenset()
            assert made[node].topology.complete
    assert sockets() == before


async def test_two_megabytes_cross_in_both_directions_through_a_lost_link_and_short_messages_go_between() -> None:
    longest = digest(random.Random(1).randbytes(MAX_DATA_BYTES))
    async with meshes([ONE, TWO], connector(), timeouts=replace(TIMES, quiet=6.0, dead=12.0)) as made:
        await made.open()
        for node, other in ((ONE, TWO), (TWO, ONE)):
            made[node].send(other, longest, heard=True)
        heard: dict[PeerId, list[tuple[PeerId, PeerMessage]]] = {ONE: [], TWO: []}

        async def listen(node: PeerId) -> None:
            while not heard[node] or heard[node][-1][1] != longest:
                heard[node].append(await made[node].receive())

        async with asyncio.timeout(120), asyncio.TaskGroup() as group:
            for node in (ONE, TWO):
                group.create_task(listen(node))
            await until(lambda: len(link(made, ONE, TWO).delivery.incoming._joiner._partial) > MAX_DATA_BYTES // 16)
            made[ONE].send(TWO, digest(b"before the link is lost", OTHER))
            await until(lambda: len(heard[TWO]) == 1)
            attempt = link(made, TWO, ONE)._attempt
            assert attempt is not None
            attempt.closed("closed by the test")
            await until(lambda: link(made, ONE, TWO).attempt == 2 and link(made, ONE, TWO).verified)
            await until(lambda: link(made, ONE, TWO).delivery.incoming._joiner.under_way)
            made[ONE].send(TWO, digest(b"after it", OTHER))
        short = [digest(b"before the link is lost", OTHER), digest(b"after it", OTHER)]
        assert heard == {ONE: [(TWO, longest)], TWO: [*((ONE, message) for message in short), (ONE, longest)]}
        assert await made[ONE].flush(5.0) == await made[TWO].flush(5.0) == frozenset()
        assert link(made, ONE, TWO).attempt == 2, "heartbeats went on, so no other link was lost"


async def test_a_mesh_closed_while_it_opens_leaves_nothing_behind() -> None:
    before = sockets()
    for pause in (number * 0.0008 for number in range(25)):
        async with meshes([ONE, TWO, THREE], connector(), timeouts=TIMES) as made:
            opening = [asyncio.create_task(mesh.open()) for mesh in made.nodes.values()]
            await asyncio.sleep(pause)
            async with asyncio.timeout(2):
                await asyncio.gather(*(mesh.close() for mesh in made.nodes.values()))
            await asyncio.gather(*opening, return_exceptions=True)
    assert sockets() == before


async def test_a_link_the_other_end_closed_is_built_again() -> None:
    async with meshes([ONE, TWO], connector(), timeouts=TIMES) as made:
        await made.open()
        attempt = link(made, TWO, ONE)._attempt
        assert attempt is not None
        attempt.closed("closed by the test")
        made[ONE].send(TWO, share(b"one"))
        made[TWO].send(ONE, share(b"two"))
        async with asyncio.timeout(5):
            assert await made[TWO].receive() == (ONE, share(b"one"))
            assert await made[ONE].receive() == (TWO, share(b"two"))
        assert link(made, ONE, TWO)._negotiation.attempt == 2


async def test_a_peer_whose_packets_stop_is_named() -> None:
    times = MeshTimeouts(attempt=0.5, ping=0.1, quiet=0.5, dead=1.0)
    async with meshes([ONE, TWO], connector(), timeouts=times) as made:
        await made.open()
        stack = _stack(made, TWO, ONE)
        for protocol in stack.gatherer._connection._protocols:
            protocol.datagram_received = lambda _data, _address: None  # type: ignore[method-assign,assignment]
            protocol.send_stun = lambda _message, _address: None  # type: ignore[method-assign,assignment]
            protocol.transport.sendto = lambda _data, _address=None: None  # type: ignore[method-assign,assignment]
        made.tamper = lambda _sender, _to, _signal: None
        error = await failure(made, ONE)
        assert isinstance(error, ParticipantSilent)
        assert blamed(error) == ((), {TWO})


async def test_a_relay_that_swaps_a_fingerprint_gets_no_link() -> None:
    times = MeshTimeouts(attempt=0.4, grace=0.2)
    false = WebRtcConnector(policy="loopback").fingerprint.hex(":").upper()

    def swap(_sender: PeerId, _to: PeerId, signal: Signal) -> Signal:
        if not isinstance(signal, Offer):
            return signal
        lines = [
            f"a=fingerprint:sha-256 {false}" if line.startswith("a=fingerprint") else line
            for line in signal.sdp.splitlines()
        ]
        return Offer("\r\n".join(lines) + "\r\n", signal.attempt)

    async with meshes([ONE, TWO], connector(), timeouts=times) as made:
        made.tamper = swap
        with pytest.raises(MpcError):
            await outcome_of(made, ONE)


def _stack(made: Meshes, node: PeerId, other: PeerId) -> webrtc._Stack:
    attempt = link(made, node, other)._attempt
    assert attempt is not None
    inner = attempt._link
    assert isinstance(inner, WebRtcLink)
    assert inner._stack is not None
    return inner._stack


async def cheats(cheat: Callable[[webrtc._Stack], object]) -> None:
    async with meshes([ONE, TWO], connector(), timeouts=TIMES) as made:
        await made.open()
        cheat(_stack(made, TWO, ONE))
        error = await failure(made, ONE)
        assert isinstance(error, ParticipantCheated)
        assert error.culprits == (TWO,)


async def test_a_channel_nobody_asked_for_names_who_opens_it() -> None:
    parameters = RTCDataChannelParameters(label="more")
    await cheats(lambda stack: RTCDataChannel(stack.sctp, parameters))


async def test_a_channel_nobody_asked_for_is_noticed_the_stock_way_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "GUARDED_CHANNELS", False)
    parameters = RTCDataChannelParameters(label="more")
    await cheats(lambda stack: RTCDataChannel(stack.sctp, parameters))


def _send_large(stack: webrtc._Stack) -> None:
    stack.sctp._remote_max_message_size = 0
    stack.channel.send(bytes(FRAME_SIZE + 1))


async def test_a_piece_for_a_channel_nobody_asked_for_names_who_sends_it() -> None:
    def begin_elsewhere(stack: webrtc._Stack) -> None:
        chunk = rtcsctptransport.DataChunk(flags=rtcsctptransport.SCTP_DATA_FIRST_FRAG)
        chunk.tsn, chunk.stream_id, chunk.user_data = stack.sctp._local_tsn, 5, b"the beginning of a message"
        pieces.append(asyncio.ensure_future(stack.sctp._send_chunk(chunk)))

    pieces: list[asyncio.Future[None]] = []
    await cheats(begin_elsewhere)


async def test_a_message_above_the_size_agreed_on_names_its_sender() -> None:
    await cheats(_send_large)


async def test_a_message_above_the_size_is_noticed_the_stock_way_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "GUARDED_CHANNELS", False)
    await cheats(_send_large)


async def test_a_message_that_never_ends_names_its_sender() -> None:
    async with meshes([ONE, TWO], connector(), timeouts=TIMES) as made:
        await made.open()
        _stack(made, ONE, TWO).sctp._advertised_rwnd = 5_000  # a megabyte, were it not for the time it takes
        _stack(made, TWO, ONE).channel.send(bytes(FRAME_SIZE))
        error = await failure(made, ONE)
        assert isinstance(error, ParticipantCheated)
        assert "more than it was allowed" in str(error)


async def test_a_packet_that_makes_no_sense_ends_the_link_and_blames_nobody() -> None:
    async with meshes([ONE, TWO], connector(), timeouts=TIMES) as made:
        await made.open()
        stack = _stack(made, TWO, ONE)
        bad = rtcsctptransport.ReconfigChunk()
        bad.params.append((13, b"short"))
        await stack.sctp._send_chunk(bad)
        await until(lambda: link(made, ONE, TWO).attempt == 2)
        made[TWO].send(ONE, share(b"again"))
        assert await made[ONE].receive() == (TWO, share(b"again"))


async def test_a_text_that_is_none_names_its_sender() -> None:
    def garble(stack: webrtc._Stack) -> None:
        stack.sctp._data_channel_queue.append((stack.channel, tuning._TEXT, b"\xff\xfe"))
        stack.channel.send("{}")

    await cheats(garble)


async def test_without_any_tuning_links_open_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CHECKS_AT_ONCE", "ONE_TLS_CONTEXT", "NO_MEDIA_KEYS", "GUARDED_CHANNELS"):
        monkeypatch.setattr(tuning, name, False)
    async with meshes([ONE, TWO], connector(), timeouts=TIMES) as made:
        await made.open()
        made[ONE].send(TWO, share(bytes(20_000)))
        assert await made[TWO].receive() == (ONE, share(bytes(20_000)))


class Recorder:
    def __init__(self) -> None:
        self.events: list[object] = []

    def opened(self) -> None:
        self.events.append("opened")

    def received(self, data: bytes) -> None:
        self.events.append(data)

    def closed(self, reason: str) -> None:
        self.events.append(reason)

    def violated(self, reason: str) -> None:
        self.events.append(reason)


@pytest.fixture
def loopback_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda **_: ["127.0.0.1"])


@pytest.mark.usefixtures("loopback_everywhere")
@pytest.mark.parametrize("we_offer", [True, False])
async def test_a_stock_peer_connection_and_we_understand_each_other(we_offer: bool) -> None:  # noqa: FBT001
    theirs = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    channel = theirs.createDataChannel("mpcnode", negotiated=True, id=0)
    heard = Recorder()
    channel.on("message", heard.received)
    recorder = Recorder()
    ours = WebRtcConnector(policy="loopback").link(recorder)
    if we_offer:
        await theirs.setRemoteDescription(RTCSessionDescription(await ours.offer(), "offer"))
        await theirs.setLocalDescription(await theirs.createAnswer())
        await ours.accept(theirs.localDescription.sdp)
    else:
        await theirs.setLocalDescription(await theirs.createOffer())
        answer = await ours.answer(theirs.localDescription.sdp)
        await theirs.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    await until(lambda: recorder.events == ["opened"] and channel.readyState == "open")
    ours.send(b'{"type":"ping"}')
    channel.send('{"type":"pong"}')
    channel.send(b"\x02piece")
    await until(lambda: len(heard.events) == 1 and len(recorder.events) == 3)
    assert heard.events == ['{"type":"ping"}']
    assert recorder.events[1:] == [b'{"type":"pong"}', b"\x02piece"]
    await theirs.close()
    await until(lambda: len(recorder.events) > 3)
    await ours.close()
    await asyncio.sleep(0.01)


async def test_candidates_that_come_on_their_own_are_enough() -> None:
    one, other = Recorder(), Recorder()
    ours, theirs = (WebRtcConnector(policy="loopback").link(recorder) for recorder in (one, other))
    offer = await ours.offer()
    answer = await theirs.answer(_bare(offer))
    await ours.accept(_bare(answer))
    for description, to in ((offer, theirs), (answer, ours)):
        for line in description.splitlines():
            if line.startswith("a=candidate"):
                await to.add_candidate(IceCandidate(line.removeprefix("a="), "0", 0, 1))
        await to.add_candidate(IceCandidate("", "0", 0, 1))
    await until(lambda: one.events == ["opened"] and other.events == ["opened"])
    await ours.close()
    await theirs.close()


def _hidden(description: str) -> str:
    """Describe what a browser shows that hides its addresses behind names and says that these are all."""
    lines = [line for line in description.splitlines() if not line.startswith(("a=candidate", "a=end"))]
    name = "a=candidate:1 1 udp 2113937151 5b2a3c1e-aaaa-4b4b-8c8c-0123456789ab.local 53000 typ host"
    return "\r\n".join([*lines, name, "a=end-of-candidates"]) + "\r\n"


@pytest.mark.parametrize("we_offer", [True, False])
@pytest.mark.parametrize("trickles", [True, False])
async def test_a_browser_that_hides_its_addresses_and_says_so_early_is_waited_for(
    *, we_offer: bool, trickles: bool
) -> None:
    """Its own checks tell its address, and they come after it has ours."""
    one, other = Recorder(), Recorder()
    ours, theirs = (WebRtcConnector(policy="loopback").link(recorder) for recorder in (one, other))
    if we_offer:
        offer = await ours.offer()
        answer = await theirs.answer(_bare(offer))
        await ours.accept(_hidden(answer))
    else:
        offer = _hidden(await theirs.offer())
        answer = await ours.answer(offer)
    if trickles:
        await ours.add_candidate(IceCandidate("", "0", 0, 1))
        await ours.add_candidate(IceCandidate("rubbish", "0", 0, 1))
        await ours.add_candidate(IceCandidate("", None, None, 1))
    await asyncio.sleep(0.2)  # that long a browser took
    assert one.events == []
    if we_offer:
        for line in offer.splitlines():
            if line.startswith("a=candidate"):
                await theirs.add_candidate(IceCandidate(line.removeprefix("a="), "0", 0, 1))
    else:
        await theirs.accept(answer)
    await until(lambda: one.events == ["opened"] and other.events == ["opened"])
    await ours.close()
    await theirs.close()


def _bare(description: str) -> str:
    lines = [line for line in description.splitlines() if not line.startswith(("a=candidate", "a=end"))]
    return "\r\n".join(lines) + "\r\n"


async def test_a_description_is_looked_at_before_the_library_sees_it() -> None:
    ours = WebRtcConnector(policy="loopback").link(Recorder())
    with pytest.raises(DecodeError):
        await ours.answer("v=0\r\n")
    with pytest.raises(DecodeError):
        await ours.accept("v=0\r\n")
    await ours.close()


async def test_a_machine_whose_sockets_cannot_be_had_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: object, **__: object) -> None:
        raise OSError(24, "too many open files")

    monkeypatch.setattr(asyncio.get_running_loop(), "create_datagram_endpoint", none_left)
    ours = WebRtcConnector(policy="loopback").link(Recorder())
    with pytest.raises(ConnectionError, match="no address"):
        await ours.offer()
    await ours.close()


async def test_a_link_without_ice_servers_names_the_option_that_links_different_networks() -> None:
    ours = WebRtcConnector().link(Recorder())
    await ours.offer()
    assert "--ice-server" in ours.route
    assert "TURN" in ours.route
    await ours.close()


async def test_addresses_that_were_left_out_are_named_in_the_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [addresses.Own(f"127.0.0.{number}", "lo") for number in range(2, 12)]
    monkeypatch.setattr(addresses, "machine_addresses", lambda: many)
    monkeypatch.setattr(addresses, "default_addresses", list)
    monkeypatch.setattr(addresses, "is_offerable", lambda _text: True)
    ours = WebRtcConnector().link(Recorder())
    await ours.offer()
    assert "left out here: 127.0.0.8, " in ours.route
    assert "left out here" in ours.route
    await ours.close()


async def test_an_address_that_is_not_this_machines_is_said() -> None:
    ours = WebRtcConnector(named=["192.0.2.77"]).link(Recorder())
    with pytest.raises(ConnectionError, match="named with --address"):
        await ours.offer()
    await ours.close()


@pytest.mark.slow
async def test_a_silent_ice_server_is_said_in_the_hint() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        server = IceServer((f"stun:127.0.0.1:{silent.getsockname()[1]}",))
        ours = WebRtcConnector(policy="loopback", ice_servers=[server]).link(Recorder())
        async with asyncio.timeout(10):
            await ours.offer()
        assert "gave no address" in ours.route
        await ours.close()


@pytest.mark.slow
async def test_a_link_closed_while_an_ice_server_is_asked_leaves_nothing_behind() -> None:
    tasks, before = asyncio.all_tasks(), sockets()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        server = IceServer((f"stun:127.0.0.1:{silent.getsockname()[1]}",))
        ours = WebRtcConnector(policy="loopback", ice_servers=[server]).link(Recorder())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await ours.offer()
        async with asyncio.timeout(tuning.GATHER_SECONDS + 2):
            await ours.close()
        await asyncio.sleep(0.01)
    assert asyncio.all_tasks() == tasks
    assert sockets() == before


async def test_a_task_that_forgets_it_was_cancelled_is_cancelled_again() -> None:
    async def forgetful() -> None:
        for _ in range(2):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
        await asyncio.sleep(60)

    task = asyncio.create_task(forgetful())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await webrtc._cancelled(task)
    assert task.cancelled()


def test_a_credential_is_not_shown() -> None:
    assert "secret" not in repr(IceServer(("turn:192.0.2.1",), "ana", "secret"))


async def test_auto_offers_real_addresses_or_the_loopback() -> None:
    ours = WebRtcConnector(policy="auto").link(Recorder())
    offer = await ours.offer()
    assert 1 <= offer.count("a=candidate") <= 4
    await ours.close()


async def test_auto_opens_links_too() -> None:
    made_by: dict[PeerId, WebRtcConnector] = {}
    async with meshes(
        [ONE, TWO], lambda node: made_by.setdefault(node, WebRtcConnector(policy="auto")), timeouts=TIMES
    ) as made:
        await made.open()
