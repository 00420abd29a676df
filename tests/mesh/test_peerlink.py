import asyncio
import time
from dataclasses import replace

import pytest

from mpcnode.errors import IdentityCheckFailed, LinkFailed, MpcError, ParticipantCheated, ParticipantSilent
from mpcnode.mesh import channel
from mpcnode.mesh.inbox import Inbox
from mpcnode.mesh.memory import MemoryNetwork
from mpcnode.mesh.transport import Answer, LinkState, MeshTimeouts, Offer, Signal
from mpcnode.types import PeerId
from mpcnode.wire import peer as wire
from mpcnode.wire.peer import ChannelOpen, Idle, MeshReady, PeerMessage
from tests.helpers.blamed import blamed
from tests.helpers.meshes import (
    FAST,
    OTHER,
    SESSION,
    Meshes,
    digest,
    failure,
    inject,
    key_of,
    link,
    meshes,
    names,
    outcome_of,
    share,
    signer,
    until,
)

ONE, TWO, THREE = names(3)


# Links that do not open, and links that break.


async def test_a_try_that_does_not_open_is_followed_by_one_that_does() -> None:
    network = MemoryNetwork()
    network.refuse(ONE, TWO, times=2)
    async with meshes([ONE, TWO, THREE], network.connector) as made:
        await made.open()
        assert link(made, ONE, TWO)._negotiation.attempt == 3


async def test_signals_the_relay_loses_are_made_up_for() -> None:
    network, lost = MemoryNetwork(), list[Signal]()

    def lose_the_first_two(_sender: PeerId, _to: PeerId, signal: Signal) -> Signal | None:
        if len(lost) < 2 and signal.attempt == len(lost) + 1:
            lost.append(signal)
            return None
        return signal

    async with meshes([ONE, TWO], network.connector) as made:
        made.tamper = lose_the_first_two
        await made.open()
    assert len(lost) == 2


async def test_a_link_that_never_opens_is_named_by_both_ends_and_by_the_others() -> None:
    network = MemoryNetwork()
    network.refuse(ONE, TWO)
    async with meshes([ONE, TWO, THREE], network.connector) as made:
        outcome = await made.outcomes()
    for node, other in ((ONE, TWO), (TWO, ONE)):
        error = outcome[node]
        assert isinstance(error, LinkFailed)
        assert blamed(error) == ((), {other})
    third = outcome[THREE]
    assert isinstance(third, MpcError)
    assert blamed(third) == ((), {ONE, TWO})  # of a link between two others both ends are suspects
    assert "link between node01 and node02" in str(third)


async def test_a_peer_that_never_answers_is_silent_and_not_a_broken_link() -> None:
    network = MemoryNetwork()
    async with meshes([ONE, TWO], network.connector) as made:
        for node, other in ((ONE, TWO), (TWO, ONE)):
            async with meshes([ONE, TWO], network.connector) as alone:
                alone.nodes.pop(other)
                with pytest.raises(ParticipantSilent) as caught:
                    await alone[node].open()
            assert blamed(caught.value) == ((), {other})
        await made.open()


async def test_a_broken_link_is_built_again_and_nothing_is_lost() -> None:
    network = MemoryNetwork(delay=0.003)
    sent = [share(bytes([number])) for number in range(60)]
    async with meshes([ONE, TWO], network.connector) as made:
        await made.open()

        async def break_it() -> None:
            for _ in range(3):
                await asyncio.sleep(0.03)
                network.cut(ONE, TWO)

        async def send() -> None:
            for message in sent:
                made[ONE].send(TWO, message)
                made[TWO].send(ONE, message)
                await asyncio.sleep(0.003)

        async with asyncio.TaskGroup() as group, asyncio.timeout(10):
            group.create_task(break_it())
            group.create_task(send())
            for node in (ONE, TWO):
                assert [(await made[node].receive())[1] for _ in sent] == sent
        assert await made[ONE].flush(2.0) == frozenset()
        assert link(made, ONE, TWO)._negotiation.attempt >= 2


async def test_a_link_that_falls_silent_is_built_again() -> None:
    network = MemoryNetwork()
    async with meshes([ONE, TWO], network.connector) as made:
        await made.open()
        network.stall(ONE, TWO)
        made[ONE].send(TWO, share(b"into the void"))
        await asyncio.sleep(FAST.quiet * 0.5)
        network.heal(ONE, TWO)
        async with asyncio.timeout(5):
            assert await made[TWO].receive() == (ONE, share(b"into the void"))


async def dies(times: MeshTimeouts) -> None:
    network = MemoryNetwork()
    async with meshes([ONE, TWO, THREE], network.connector, timeouts=times) as made:
        await made.open()
        made.tamper = lambda sender, to, signal: None if TWO in {sender, to} else signal
        network.silence(TWO, [ONE, THREE])
        for node in (ONE, THREE):
            error = await failure(made, node)
            assert isinstance(error, ParticipantSilent)
            assert blamed(error) == ((), {TWO})


async def test_a_dead_peer_is_named_by_everybody_although_tries_are_left() -> None:
    await dies(replace(FAST, attempt=60.0))


async def test_a_dead_peer_is_not_taken_for_a_broken_link_when_no_try_is_left() -> None:
    await dies(replace(FAST, attempt=0.1, dead=60.0))


async def test_what_a_peer_could_not_say_while_this_process_stood_still_is_excused() -> None:
    network = MemoryNetwork(delay=0.02)  # so that clocks are looked at before what waits is heard
    async with meshes([ONE, TWO], network.connector) as made:
        await made.open()
        await asyncio.sleep(0)
        time.sleep(FAST.dead * 1.5)  # noqa: ASYNC251 (the whole process stands still, which is what is tested)
        made[ONE].send(TWO, digest(b"still here"))
        assert await made[TWO].receive() == (ONE, digest(b"still here"))
        assert {change.state for change in made.changes[TWO]}.isdisjoint({LinkState.LOST, LinkState.FAILED})


async def test_what_came_before_the_end_is_received_before_the_end_is_told() -> None:
    network = MemoryNetwork()
    async with meshes([ONE, TWO], network.connector) as made:
        await made.open()
        made[ONE].send(TWO, digest(b"last words"))
        await asyncio.sleep(0.02)
        inject(made, ONE, TWO, b"{}")
        await asyncio.sleep(0.02)
        assert await made[TWO].receive() == (ONE, digest(b"last words"))
        assert isinstance(await failure(made, TWO), ParticipantCheated)


# Who is at the other end.


async def ended(made: Meshes, node: PeerId) -> MpcError:
    with pytest.raises(MpcError) as caught:
        await outcome_of(made, node)
    return caught.value


def refused_identity(error: BaseException | None, peer: PeerId) -> None:
    assert isinstance(error, IdentityCheckFailed)
    # The channel has proved nothing yet: a server that swaps fingerprints makes the same picture.
    assert blamed(error) == ((), {peer})


async def test_a_node_with_another_key_than_agreed_on_is_refused() -> None:
    network = MemoryNetwork()
    async with meshes([ONE, TWO], network.connector, sign=lambda node: signer(THREE if node == TWO else node)) as made:
        refused_identity(await ended(made, ONE), TWO)


async def test_a_relay_that_swaps_fingerprints_is_found_out_by_both() -> None:
    network = MemoryNetwork()
    false = network.connector(THREE).fingerprint.hex()

    def swap(sender: PeerId, _to: PeerId, signal: Signal) -> Signal:
        if not isinstance(signal, Offer | Answer):
            return signal
        honest = network.connector(sender).fingerprint.hex()
        return type(signal)(signal.sdp.replace(honest, false), signal.attempt)

    async with meshes([ONE, TWO], network.connector) as made:
        made.tamper = swap
        outcome = await made.outcomes()
        refused_identity(outcome[ONE], TWO)
        refused_identity(outcome[TWO], ONE)


@pytest.mark.parametrize(
    "first",
    [
        wire.encode(MeshReady(SESSION), 1),
        wire.encode(digest(b"early"), 1),
        wire.encode(ChannelOpen(ONE, SESSION, key_of(TWO)[0])),
        b"not a message",
        b"",
        b"\x02piece",
    ],
)
async def test_not_one_byte_is_taken_before_the_other_end_is_known(
    first: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = MemoryNetwork()
    async with meshes([ONE, TWO], network.connector) as made:
        monkeypatch.setattr(
            link(made, TWO, ONE), "_opened", lambda _number: inject(made, TWO, ONE, first), raising=True
        )
        refused_identity(await ended(made, ONE), TWO)
        assert not made[ONE].topology.ready


async def test_an_introduction_has_no_number() -> None:
    network = MemoryNetwork()
    async with meshes([ONE, TWO], network.connector) as made:
        theirs = link(made, TWO, ONE)

        def numbered(_number: int) -> None:
            introduction = channel.introduce(theirs.ends, theirs._present.fingerprints, signer(TWO))
            inject(made, TWO, ONE, wire.encode(introduction, 1))

        theirs._opened = numbered  # type: ignore[method-assign]
        refused_identity(await ended(made, ONE), TWO)


# What no honest node sends.


async def cheats(reason: str, data: bytes, *more: bytes) -> None:
    network = MemoryNetwork()
    async with meshes([ONE, TWO, THREE], network.connector) as made:
        await made.open()
        # mesh_ready was the first message; the clock stands, so no ping takes the second number.
        for frame in (data, *more):
            inject(made, ONE, TWO, frame)
        await asyncio.sleep(0.01)
        made[TWO]._inbox._queue.clear()
        error = await failure(made, TWO)
        assert isinstance(error, ParticipantCheated)
        assert error.culprits == (ONE,)
        assert reason in str(error)


async def test_bytes_that_are_no_message_name_the_sender() -> None:
    await cheats("not a data-channel message", b"{}")


async def test_a_message_out_of_order_names_the_sender() -> None:
    await cheats("out of order", wire.encode(digest(b"later"), 7))


async def test_a_piece_of_nothing_names_the_sender() -> None:
    await cheats("a frame that cannot come here", b"\x02piece")


async def test_a_message_said_twice_names_the_sender() -> None:
    await cheats("out of order", wire.encode(digest(b"x"), 2), wire.encode(digest(b"x"), 2))


@pytest.mark.parametrize(
    "message",
    [
        MeshReady(SESSION),
        MeshReady(OTHER),
        ChannelOpen(THREE, OTHER, key_of(ONE)[0]),
        ChannelOpen(THREE, SESSION, key_of(TWO)[0]),
        ChannelOpen(ONE, SESSION, key_of(ONE)[0]),
        ChannelOpen(PeerId("stranger"), SESSION, key_of(ONE)[0]),
        ChannelOpen(THREE, SESSION, key_of(ONE)[0], bytes(64)),
        Idle(OTHER),
    ],
)
async def test_a_mesh_message_that_cannot_be_names_the_sender(message: PeerMessage) -> None:
    reason = {MeshReady: "mesh_ready", ChannelOpen: "announcement", Idle: "the end of another mesh"}[type(message)]
    await cheats(reason, wire.encode(message, 2))


async def test_a_first_mesh_ready_of_another_session_names_the_sender() -> None:
    network = MemoryNetwork()
    network.refuse(ONE, THREE)
    async with meshes([ONE, TWO, THREE], network.connector, timeouts=replace(FAST, announce=60.0)) as made:
        opening = asyncio.gather(*(mesh.open() for mesh in made.nodes.values()), return_exceptions=True)
        await until(lambda: link(made, ONE, TWO).verified and link(made, TWO, ONE).verified)
        number = link(made, ONE, TWO).delivery.outgoing._number + 1
        inject(made, ONE, TWO, wire.encode(MeshReady(OTHER), number))
        error = await failure(made, TWO)
        assert isinstance(error, ParticipantCheated)
        assert "mesh_ready" in str(error)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)


async def test_a_flood_names_the_sender() -> None:
    network = MemoryNetwork()
    async with meshes([ONE, TWO], network.connector) as made:
        await made.open()
        made[TWO]._inbox = Inbox(messages=10, bytes_=1_000_000)
        for number in range(11):
            made[ONE].send(TWO, digest(bytes([number])))
        for number in range(10):
            assert await made[TWO].receive() == (ONE, digest(bytes([number])))
            await asyncio.sleep(0.001)
        assert isinstance(await failure(made, TWO), ParticipantCheated)


async def test_a_flood_of_long_messages_names_the_sender_and_leaves_room_for_the_others() -> None:
    network = MemoryNetwork()
    async with meshes([ONE, TWO, THREE], network.connector) as made:
        await made.open()
        made[TWO]._inbox = Inbox(messages=100, bytes_=70_000)
        for _ in range(3):
            made[ONE].send(TWO, digest(bytes(30_000)))
        made[THREE].send(TWO, digest(bytes(30_000)))
        await asyncio.sleep(0.05)
        heard = [(await made[TWO].receive())[0] for _ in range(3)]
        assert sorted(heard) == [ONE, ONE, THREE]
        error = await failure(made, TWO)
        assert isinstance(error, ParticipantCheated)
        assert error.culprits == (ONE,)


# What comes through the relay convicts nobody: the server may have repeated, reordered or kept it.


@pytest.mark.parametrize("signal", [Offer("again", 2), Answer("x", 9), Answer("x", 1), Offer("x", 0)])
@pytest.mark.parametrize("copies", [1, 500])
async def test_a_signal_that_has_no_place_changes_nothing(signal: Signal, copies: int) -> None:
    network = MemoryNetwork()
    async with meshes([ONE, TWO], network.connector) as made:
        for _ in range(copies):
            made[ONE].handle_signal(TWO, signal)
        await made.open()
        for _ in range(copies):
            made[ONE].handle_signal(TWO, signal)
        made[ONE].send(TWO, digest(b"still here"))
        async with asyncio.timeout(5):
            assert await made[TWO].receive() == (ONE, digest(b"still here"))
        assert link(made, ONE, TWO).attempt == 1


async def test_a_relay_that_says_everything_a_hundred_times_harms_nobody() -> None:
    """Whatever it repeats, and whenever."""
    network = MemoryNetwork()
    async with meshes([ONE, TWO, THREE], network.connector) as made:

        def repeat(sender: PeerId, to: PeerId, signal: Signal) -> Signal:
            for number in range(100):
                asyncio.get_running_loop().call_later(number / 500, made[to].handle_signal, sender, signal)
            return signal

        made.tamper = repeat
        await made.open()
        await asyncio.sleep(0.25)
        made[ONE].broadcast(digest(b"still here"))
        for node in (TWO, THREE):
            assert await made[node].receive() == (ONE, digest(b"still here"))


async def test_a_description_that_cannot_be_used_ends_the_mesh_and_convicts_nobody() -> None:
    network = MemoryNetwork()
    async with meshes([ONE, TWO], network.connector) as made:
        made.tamper = lambda _sender, _to, signal: Offer("rubbish", 1) if isinstance(signal, Offer) else signal
        error = await ended(made, TWO)
        assert isinstance(error, LinkFailed)
        assert "unusable" in str(error)
        assert "not the description of a link in memory" in str(error)
