import asyncio
from dataclasses import replace

import pytest

from mpcnode.errors import ParticipantStopped
from mpcnode.mesh.memory import MemoryNetwork
from mpcnode.mesh.transport import Answer, LinkState, MeshTimeouts, Offer
from mpcnode.wire.peer import Abort, Idle
from tests.helpers.blamed import blamed
from tests.helpers.meshes import (
    FAST,
    OTHER,
    SESSION,
    digest,
    failure,
    link,
    meshes,
    names,
    outcome_of,
    share,
    until,
)

ONE, TWO, THREE, FOUR = names(4)


@pytest.mark.parametrize("count", [2, 3, 7])
async def test_a_mesh_opens_and_carries_messages_with_their_senders(count: int) -> None:
    network, nodes = MemoryNetwork(), names(count)
    async with meshes(nodes, network.connector) as made:
        await made.open()
        for node in nodes:
            made[node].broadcast(digest(node.encode()))
        for node in nodes:
            received = [await made[node].receive() for _ in range(count - 1)]
            assert sorted(received, key=lambda each: each[0]) == [
                (other, digest(other.encode())) for other in nodes if other != node
            ]
            assert made[node].topology.complete
            assert made[node].topology.broken == ()
    assert network.links == {}


@pytest.mark.slow
async def test_sixty_four_nodes_make_a_mesh() -> None:
    network, nodes = MemoryNetwork(), names(64)
    async with meshes(nodes, network.connector, timeouts=MeshTimeouts()) as made:
        await made.open()
        assert all(mesh.topology.complete for mesh in made.nodes.values())


async def test_each_link_goes_through_its_states_in_order() -> None:
    network = MemoryNetwork()
    async with meshes([ONE, TWO], network.connector) as made:
        await made.open()
        states = [change.state for change in made.changes[ONE]]
    assert states == [LinkState.CONNECTING, LinkState.OPEN, LinkState.VERIFIED, LinkState.READY]


async def test_the_smaller_peer_id_makes_the_offer() -> None:
    network = MemoryNetwork()
    async with meshes([ONE, TWO], network.connector) as made:
        await made.open()
        assert [(sender, type(signal)) for sender, _, signal in made.signals] == [(ONE, Offer), (TWO, Answer)]


async def test_an_offer_that_comes_before_the_mesh_is_opened_waits() -> None:
    network = MemoryNetwork()
    async with meshes([ONE, TWO], network.connector) as made, asyncio.TaskGroup() as group:
        group.create_task(made[ONE].open())
        await asyncio.sleep(0.05)
        assert [type(signal) for _, _, signal in made.signals] == [Offer]
        group.create_task(made[TWO].open())


async def test_a_message_that_comes_before_the_mesh_is_ready_waits() -> None:
    network = MemoryNetwork(delay=0.005)
    async with meshes([ONE, TWO], network.connector) as made, asyncio.TaskGroup() as group:
        group.create_task(made[ONE].open())
        made[ONE].send(TWO, digest(b"early"))
        group.create_task(made[TWO].open())
        assert await made[TWO].receive() == (ONE, digest(b"early"))


async def test_a_signal_of_a_stranger_concerns_no_link() -> None:
    network = MemoryNetwork()
    async with meshes([ONE, TWO], network.connector) as made:
        made[ONE].handle_signal(THREE, Offer("offer", 1))
        await made.open()


async def test_messages_of_one_sender_come_in_order_even_when_long() -> None:
    network = MemoryNetwork()
    async with meshes([ONE, TWO], network.connector) as made:
        await made.open()
        sent = [digest(bytes([number]) * length) for number, length in enumerate([1, 30_000, 5, 20_000, 0])]
        for message in sent:
            made[ONE].send(TWO, message)
        assert [(await made[TWO].receive())[1] for _ in sent] == sent


async def test_flush_returns_when_the_last_words_were_heard() -> None:
    network = MemoryNetwork()
    async with meshes([ONE, TWO, THREE], network.connector) as made:
        await made.open()
        made[ONE].broadcast(share(b"share"), heard=True)
        assert await made[ONE].flush(2.0) == frozenset()


async def test_flush_names_who_did_not_hear() -> None:
    network = MemoryNetwork()
    async with meshes([ONE, TWO, THREE], network.connector) as made:
        await made.open()
        network.stall(ONE, TWO)
        made[ONE].broadcast(share(b"share"), heard=True)
        assert await made[ONE].flush(0.05) == {TWO}


async def test_the_round_trip_is_measured() -> None:
    network = MemoryNetwork(delay=0.002)
    async with meshes([ONE, TWO], network.connector) as made:
        await made.open()
        assert made[ONE].round_trip(TWO) is None
        await until(lambda: made[ONE].round_trip(TWO) is not None)
        assert (made[ONE].round_trip(TWO) or 0) >= 0.004


# Long messages.


async def test_the_longest_messages_cross_in_both_directions() -> None:
    network = MemoryNetwork()
    async with meshes([ONE, TWO], network.connector) as made:
        await made.open()
        longest = digest(bytes(range(256)) * 8192)
        made[ONE].send(TWO, longest, heard=True)
        made[TWO].send(ONE, longest, heard=True)
        async with asyncio.timeout(20):
            assert await made[TWO].receive() == (ONE, longest)
            assert await made[ONE].receive() == (TWO, longest)
        assert await made[ONE].flush(5) == await made[TWO].flush(5) == frozenset()


async def test_on_a_slow_line_a_short_message_overtakes_a_long_one_and_no_heartbeat_is_missed() -> None:
    """The long message takes four times as long as after which a peer is called dead."""
    size, network = 200_000, MemoryNetwork(rate=400_000 / (4 * FAST.dead))
    async with meshes([ONE, TWO], network.connector, timeouts=replace(FAST, quiet=0.45)) as made:
        await made.open()
        made[ONE].send(TWO, digest(bytes(size)))
        await asyncio.sleep(0.01)
        made[ONE].send(TWO, digest(b"short", OTHER))
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.timeout(20):
            assert await made[TWO].receive() == (ONE, digest(b"short", OTHER))
            waited = loop.time() - began
            assert await made[TWO].receive() == (ONE, digest(bytes(size)))
        assert waited < (loop.time() - began) / 2
        assert {signal.attempt for _, _, signal in made.signals} == {1}, "no link was built again"


async def test_a_link_that_breaks_in_the_middle_of_a_long_message_carries_it_all_the_same() -> None:
    network = MemoryNetwork(rate=1_000_000)
    async with meshes([ONE, TWO], network.connector) as made:
        await made.open()
        made[ONE].send(TWO, digest(bytes(150_000)), heard=True)
        made[ONE].send(TWO, digest(b"behind it"), heard=True)
        made[ONE].send(TWO, digest(b"before it", OTHER))
        async with asyncio.timeout(20):
            assert await made[TWO].receive() == (ONE, digest(b"before it", OTHER))
            assert link(made, ONE, TWO).delivery.outgoing._under_way is not None
            network.cut(ONE, TWO)
            assert await made[TWO].receive() == (ONE, digest(bytes(150_000)))
            assert await made[TWO].receive() == (ONE, digest(b"behind it"))
        assert await made[ONE].flush(5) == frozenset()
        assert link(made, ONE, TWO).attempt == 2


# Leaving.


async def test_an_abort_is_heard_although_the_sender_leaves_at_once() -> None:
    network = MemoryNetwork(delay=0.01)
    async with meshes([ONE, TWO, THREE], network.connector) as made:
        await made.open()
        abort = Abort(SESSION, "refused", "no")
        made[ONE].broadcast(abort)
        await made[ONE].close()
        for node in (TWO, THREE):
            async with asyncio.timeout(5):
                assert await made[node].receive() == (ONE, abort)


async def test_an_abort_while_the_mesh_opens_ends_it_for_all() -> None:
    network = MemoryNetwork()
    network.refuse(TWO, THREE)
    async with meshes([ONE, TWO, THREE], network.connector) as made:

        async def leave() -> None:
            await until(lambda: len(made[ONE].topology.claims) >= 4)
            made[ONE].broadcast(Abort(SESSION, "refused", "no\x1b[31m"))

        leaving = asyncio.create_task(leave())
        with pytest.raises(ParticipantStopped) as caught:
            await outcome_of(made, TWO)
        await leaving
        assert blamed(caught.value) == ((), {ONE})
        assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("released", [True, False])
async def test_a_node_that_closes_its_mesh_says_so_and_the_others_go_on_without_it(*, released: bool) -> None:
    network = MemoryNetwork()
    async with meshes([ONE, TWO, THREE], network.connector) as made:
        await made.open()
        for node in (ONE, TWO) if released else ():
            made[node].release(THREE)
        await made[THREE].close()
        for node in (ONE, TWO):
            assert await made[node].receive() == (THREE, Idle(SESSION))
        await asyncio.sleep(FAST.dead * 1.5)
        made[ONE].send(TWO, digest(b"we go on"))
        assert await made[TWO].receive() == (ONE, digest(b"we go on"))
        assert {signal.attempt for _, _, signal in made.signals} == {1}, "nobody tries to reach who left"


async def test_a_node_whose_mesh_failed_does_not_call_it_closed() -> None:
    """The others find out themselves what is wrong: they must not take the messenger for the cause."""
    network = MemoryNetwork()
    async with meshes([ONE, TWO, THREE], network.connector) as made:
        await made.open()
        made.tamper = lambda sender, to, signal: None if THREE in {sender, to} else signal
        network.silence(THREE, [ONE, TWO])
        assert blamed(await failure(made, ONE)) == ((), {THREE})
        await made[ONE].close()
        assert blamed(await failure(made, TWO)) == ((), {THREE})


async def test_a_released_peer_still_hears_what_is_sent_to_it() -> None:
    network = MemoryNetwork(delay=0.01)
    async with meshes([ONE, TWO], network.connector) as made:
        await made.open()
        made[ONE].release(TWO)
        made[ONE].send(TWO, share(b"last words"), heard=True)
        assert await made[ONE].flush(2.0) == frozenset()
        assert await made[TWO].receive() == (ONE, share(b"last words"))


async def test_a_released_peer_that_left_is_not_waited_for() -> None:
    network = MemoryNetwork()
    async with meshes([ONE, TWO], network.connector) as made:
        await made.open()
        network.stall(ONE, TWO)
        made[ONE].send(TWO, share(b"unheard"), heard=True)
        made[ONE].release(TWO)
        network.cut(ONE, TWO)
        async with asyncio.timeout(5):
            assert await made[ONE].flush(60.0) == {TWO}


async def test_a_mesh_closed_while_it_opens_leaves_nothing_behind() -> None:
    for turns in range(12):
        network = MemoryNetwork()
        async with meshes([ONE, TWO, THREE], network.connector) as made:
            opening = [asyncio.create_task(mesh.open()) for mesh in made.nodes.values()]
            for _ in range(turns):
                await asyncio.sleep(0)
            await asyncio.gather(*(mesh.close() for mesh in made.nodes.values()))
            results = await asyncio.gather(*opening, return_exceptions=True)
            assert all(result is None or isinstance(result, RuntimeError) for result in results)
        assert network.links == {}


async def test_a_cancelled_opening_leaves_nothing_behind() -> None:
    network = MemoryNetwork()
    async with meshes([ONE, TWO], network.connector) as made:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await made[ONE].open()
    assert network.links == {}


async def test_a_mesh_is_opened_once_and_closed_as_often_as_one_likes() -> None:
    network = MemoryNetwork()
    async with meshes([ONE, TWO], network.connector) as made:
        await made.open()
        with pytest.raises(RuntimeError):
            await made[ONE].open()
        await made[ONE].close()
        await made[ONE].close()
        with pytest.raises(RuntimeError):
            await made[ONE].receive()


async def test_a_defect_of_ours_is_not_swallowed() -> None:
    network = MemoryNetwork()
    async with meshes([ONE, TWO], network.connector) as made:
        await made.open()
        made[ONE]._scope.spawn(asyncio.sleep(0, None), "fine")

        async def defect() -> None:
            raise ZeroDivisionError

        made[ONE].spawn(defect(), "defect")
        with pytest.raises(ZeroDivisionError):
            await made[ONE].receive()


async def test_links_are_announced_while_the_mesh_is_not_complete() -> None:
    network = MemoryNetwork()
    network.refuse(ONE, FOUR)
    network.refuse(TWO, THREE)
    async with meshes([ONE, TWO, THREE, FOUR], network.connector) as made:
        opening = [asyncio.create_task(mesh.open()) for mesh in made.nodes.values()]
        await until(lambda: {(TWO, ONE), (THREE, ONE)} <= made[FOUR].topology.claims)
        assert (TWO, THREE) in made[FOUR].topology.broken
        assert not made[FOUR].topology.ready
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)
