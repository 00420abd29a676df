"""Meshes that stay open between sessions: reused, closed when idle, and never trusted beyond their roster."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from mpcnode.errors import LinkFailed, MpcError, ParticipantCheated, ParticipantSilent
from mpcnode.mesh import pool as pool_module
from mpcnode.mesh.inbox import Inbox
from mpcnode.mesh.memory import MemoryNetwork
from mpcnode.mesh.pool import MAX_EARLY, MAX_OFFERED, MAX_WAITING, Channel, Early, SharedMesh
from mpcnode.mesh.transport import LinkChange, LinkState, MeshTimeouts, Offer
from mpcnode.types import IdentityKey, PeerId, SessionId
from mpcnode.wire.peer import Abort, Idle, RoundMessage
from mpcnode.wire.relay import SessionCancel
from tests.helpers.blamed import blamed
from tests.helpers.meshes import FAST, OTHER, SESSION, digest, heard_on, key_of, names, pools, share, until

ONE, TWO, THREE = names(3)
THIRD = SessionId(b"\x33" * 16)
PATIENT = MeshTimeouts(attempt=5, ping=1, quiet=20, dead=40, linger=0.1)
"""A link that is dead and does not know it for as long as the test lasts."""


# Sessions on a mesh.


async def test_sessions_share_a_mesh_at_once_and_each_hears_its_own() -> None:
    async with pools([ONE, TWO], MemoryNetwork()) as made:
        shared = await made.open()
        first, second = Channel(shared[TWO], SESSION), Channel(shared[TWO], OTHER)
        with first, second, Channel(shared[ONE], SESSION) as said:
            said.send(TWO, digest(b"one"))
            said.send(TWO, digest(b"two", OTHER))
            said.send(TWO, digest(b"three"))
            assert await heard_on(second) == (ONE, digest(b"two", OTHER))
            assert await heard_on(first) == (ONE, digest(b"one"))
            assert await heard_on(first) == (ONE, digest(b"three"))


async def test_what_must_be_heard_is_waited_for() -> None:
    network = MemoryNetwork(delay=0.01)
    async with pools([ONE, TWO], network) as made:
        shared = await made.open()
        with Channel(shared[ONE], SESSION) as said:
            said.send(TWO, share(b"share"), heard=True)
            assert await said.flush(0.0) == {TWO}
            assert await said.flush(5.0) == frozenset()


async def test_a_message_for_a_session_that_has_not_begun_here_waits() -> None:
    async with pools([ONE, TWO], MemoryNetwork()) as made:
        shared = await made.open()
        shared[ONE].mesh.send(TWO, digest(b"early"))
        shared[ONE].mesh.send(TWO, digest(b"of another", OTHER))
        await asyncio.sleep(0.02)
        with Channel(shared[TWO], SESSION) as heard:
            assert await heard_on(heard) == (ONE, digest(b"early"))
        with Channel(shared[TWO], OTHER) as heard:
            assert await heard_on(heard) == (ONE, digest(b"of another", OTHER))


async def test_what_negotiates_a_session_is_handed_on_with_the_key_that_the_channel_proved() -> None:
    async with pools([ONE, TWO], MemoryNetwork()) as made:
        shared = await made.open()
        cancel = SessionCancel(session_id=OTHER, code="refused", reason="no")
        shared[ONE].mesh.send(TWO, cancel)
        await until(lambda: bool(made[TWO].negotiated))
        assert made[TWO].negotiated == [(ONE, key_of(ONE)[0], cancel)]


async def test_an_abort_of_one_session_leaves_the_mesh_to_the_others() -> None:
    async with pools([ONE, TWO], MemoryNetwork()) as made:
        shared = await made.open()
        first, second = Channel(shared[TWO], SESSION), Channel(shared[TWO], OTHER)
        abort = Abort(SESSION, "refused", "no")
        with first, second:
            shared[ONE].mesh.send(TWO, abort)
            assert await heard_on(first) == (ONE, abort)
            shared[ONE].mesh.send(TWO, digest(b"goes on", OTHER))
            assert await heard_on(second) == (ONE, digest(b"goes on", OTHER))


async def test_links_are_reported_to_the_opener_first_and_then_to_every_session() -> None:
    network = MemoryNetwork()
    opener: list[LinkChange] = []
    session: list[LinkChange] = []
    async with pools([ONE, TWO], network) as made:
        opening = asyncio.create_task(made[ONE].pool.open(SESSION, made.roster, on_link=opener.append))
        await made[TWO].pool.open(SESSION, made.roster)
        shared = await opening
        states = [change.state for change in opener]
        assert states == [LinkState.CONNECTING, LinkState.OPEN, LinkState.VERIFIED, LinkState.READY]
        with Channel(shared, SESSION, session.append):
            network.cut(ONE, TWO)
            await until(lambda: len(session) >= 3)
        assert [change.state for change in session][:3] == [LinkState.LOST, LinkState.OPEN, LinkState.VERIFIED]
        assert [change.state for change in opener] == states
        network.cut(ONE, TWO)
        await asyncio.sleep(0.05)
        assert len(session) == 3, "the session has left"


# Meshes that are kept, or not.


async def test_a_mesh_of_exactly_these_nodes_is_found_again() -> None:
    async with pools([ONE, TWO, THREE], MemoryNetwork()) as made:
        everybody, two = await made.open(), await made.open(OTHER, [ONE, TWO])
        pool = made[ONE].pool
        assert pool.warm(made.roster) is everybody[ONE]
        assert pool.warm({name: made.roster[name] for name in (ONE, TWO)}) is two[ONE]
        assert pool.warm({name: made.roster[name] for name in (ONE, THREE)}) is None
        assert pool.get(OTHER) is two[ONE]
        assert pool.get(THIRD) is None


async def test_the_newest_mesh_comes_first() -> None:
    """An older one of the same nodes may be dead without this node's knowledge."""
    async with pools([ONE, TWO], MemoryNetwork()) as made:
        await made.open()
        newest = await made.open(OTHER)
        pool = made[ONE].pool
        assert pool.warm(made.roster) is pool.link_to(TWO, made.roster[TWO]) is newest[ONE]
        assert pool.offered(TWO) == (OTHER, SESSION)


async def test_a_link_to_the_same_name_with_another_key_is_not_that_link() -> None:
    async with pools([ONE, TWO], MemoryNetwork()) as made:
        await made.open()
        pool, stranger = made[ONE].pool, IdentityKey(bytes(32))
        assert pool.link_to(TWO, made.roster[TWO]) is not None
        assert pool.link_to(TWO, stranger) is None
        assert pool.warm({**made.roster, TWO: stranger}) is None
        assert pool.link_to(THREE, key_of(THREE)[0]) is None


async def test_a_mesh_with_a_broken_link_begins_no_session_and_still_reaches_others() -> None:
    network = MemoryNetwork()
    async with pools([ONE, TWO, THREE], network, timeouts=PATIENT) as made:
        shared = await made.open()
        network.refuse(ONE, TWO)
        network.cut(ONE, TWO)
        await until(lambda: not shared[ONE].whole)
        pool = made[ONE].pool
        assert shared[ONE].usable
        assert pool.warm(made.roster) is None
        assert pool.offered(THREE) == ()
        assert pool.link_to(TWO, made.roster[TWO]) is None
        assert pool.link_to(THREE, made.roster[THREE]) is shared[ONE]


async def test_an_idle_mesh_is_closed_and_the_others_are_told() -> None:
    network = MemoryNetwork()
    async with pools([ONE, TWO], network, idle=0.2) as made:
        shared = await made.open()
        with Channel(shared[TWO], SESSION):
            await asyncio.sleep(0.05)
        await until(lambda: not network.links)
        for seat in made.seats.values():
            assert seat.pool.get(SESSION) is None
            assert seat.lost in ([], [(ONE,)], [(TWO,)])
        assert not shared[ONE].usable
        await made.open(OTHER)


async def test_a_mesh_in_use_is_not_idle() -> None:
    async with pools([ONE, TWO], MemoryNetwork(), idle=0.1) as made:
        shared = await made.open()
        with Channel(shared[ONE], SESSION) as said, Channel(shared[TWO], SESSION) as heard:
            await asyncio.sleep(0.4)
            said.send(TWO, digest(b"still here"))
            assert await heard_on(heard) == (ONE, digest(b"still here"))


async def test_a_mesh_that_was_offered_is_kept_for_a_while() -> None:
    async with pools([ONE, TWO], MemoryNetwork(), idle=0.3) as made:
        await made.open()
        for _ in range(5):
            await asyncio.sleep(0.1)
            for seat, other in ((made[ONE], TWO), (made[TWO], ONE)):
                assert seat.pool.offered(other) == (SESSION,)


async def test_a_pool_offers_what_fits_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "MAX_OFFERED", 2)
    assert MAX_OFFERED == 64
    async with pools([ONE, TWO], MemoryNetwork()) as made:
        for mesh_id in (SESSION, OTHER, THIRD):
            await made.open(mesh_id)
        assert made[ONE].pool.offered(TWO) == (THIRD, OTHER)


async def test_a_mesh_that_is_not_kept_is_closed_when_its_last_words_were_heard() -> None:
    network = MemoryNetwork(delay=0.05)
    async with pools([ONE, TWO], network, idle=0, timeouts=replace(FAST, linger=0.0)) as made:
        shared = await made.open()
        with Channel(shared[ONE], SESSION) as said:
            said.send(TWO, share(b"last words"), heard=True)
        with Channel(shared[TWO], SESSION) as heard:
            await made[ONE].pool.released(shared[ONE], deadline=5.0)
            assert made[ONE].pool.get(SESSION) is None
            assert await heard_on(heard) == (ONE, share(b"last words"))
        await made[TWO].pool.released(shared[TWO], deadline=5.0)
        assert network.links == {}
        assert made[ONE].pool.offered(TWO) == made[TWO].pool.offered(ONE) == ()


async def test_a_mesh_that_is_not_kept_stays_while_another_session_is_on_it() -> None:
    async with pools([ONE, TWO], MemoryNetwork(), idle=0) as made:
        shared = await made.open()
        with Channel(shared[ONE], OTHER):
            with Channel(shared[ONE], SESSION):
                pass
            await made[ONE].pool.released(shared[ONE], deadline=5.0)
            assert shared[ONE].usable
        await made[ONE].pool.released(shared[ONE], deadline=5.0)
        assert not shared[ONE].usable


async def test_a_mesh_that_is_kept_is_not_closed_after_a_session() -> None:
    async with pools([ONE, TWO], MemoryNetwork()) as made:
        shared = await made.open()
        with Channel(shared[ONE], SESSION):
            pass
        await made[ONE].pool.released(shared[ONE], deadline=5.0)
        assert shared[ONE].whole


async def test_who_never_came_is_not_waited_for_where_no_mesh_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "UNUSED", 0.1)
    network = MemoryNetwork()
    async with pools([ONE, TWO], network, idle=0) as made:
        await made.open()
        await until(lambda: not network.links)


# Nodes that leave.


async def test_a_session_that_has_all_it_needs_ends_well_although_a_node_closed_the_mesh() -> None:
    """One of three is done first and goes; the last message between the other two is still under way."""
    async with pools([ONE, TWO, THREE], MemoryNetwork(), idle=0) as made:
        shared = await made.open()
        with Channel(shared[TWO], SESSION) as heard, Channel(shared[THREE], SESSION) as said:
            await made[ONE].pool.released(shared[ONE], deadline=1.0)
            await until(lambda: bool(shared[TWO].left))
            said.send(TWO, digest(b"the last one"))
            assert await heard_on(heard) == (THREE, digest(b"the last one"))
            assert not shared[TWO].usable
            assert made[TWO].pool.link_to(THREE, made.roster[THREE]) is None


async def test_a_session_that_waits_on_after_a_node_closed_the_mesh_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "GRACE", 0.2)
    async with pools([ONE, TWO, THREE], MemoryNetwork()) as made:
        shared = await made.open()
        with Channel(shared[TWO], SESSION) as heard:
            await made[ONE].pool.close()
            with pytest.raises(LinkFailed, match="node01 closed the mesh"):
                await heard_on(heard)
        assert made[TWO].lost == [(ONE,)]


async def test_a_mesh_that_a_node_closed_and_nobody_uses_is_closed() -> None:
    network = MemoryNetwork()
    async with pools([ONE, TWO, THREE], network) as made:
        await made.open()
        await made[ONE].pool.close()
        await until(lambda: not network.links)


async def test_a_node_that_falls_silent_is_named_to_every_session_and_to_the_node() -> None:
    network = MemoryNetwork()
    async with pools([ONE, TWO], network, timeouts=replace(FAST, attempt=60.0)) as made:
        shared = await made.open()
        first, second = Channel(shared[ONE], SESSION), Channel(shared[ONE], OTHER)
        with first, second:
            network.silence(TWO, [ONE])
            for channel in (first, second):
                with pytest.raises(ParticipantSilent) as caught:
                    await heard_on(channel)
                assert blamed(caught.value) == ((), {TWO})
        assert made[ONE].lost == [(TWO,)]
        await until(lambda: made[ONE].pool.get(SESSION) is None)
        with Channel(shared[ONE], THIRD) as late, pytest.raises(ParticipantSilent):
            await heard_on(late)


async def test_a_restarted_node_opens_another_mesh_beside_the_one_that_its_peer_holds_for_good() -> None:
    network = MemoryNetwork()
    async with pools([ONE, TWO], network, timeouts=PATIENT) as made:
        before = await made.open()
        network.silence(TWO, [ONE])
        network.heal(ONE, TWO)
        after = await made.open(OTHER)
        assert before[ONE].whole, "it does not know better"
        assert made[ONE].pool.warm(made.roster) is after[ONE]


# Making and closing.


async def test_signals_that_came_before_the_mesh_was_opened_are_taken() -> None:
    async with pools([ONE, TWO], MemoryNetwork()) as made:
        opening = asyncio.create_task(made[ONE].pool.open(SESSION, made.roster))
        await until(lambda: bool(made[TWO].early))
        early, made[TWO].early = made[TWO].early, []
        assert [type(signal) for _, signal in early] == [Offer]
        await made[TWO].pool.open(SESSION, made.roster, early=early)
        await opening
        assert (await opening).mesh._links[TWO].attempt == 1


async def test_a_signal_reaches_no_mesh_of_another_roster() -> None:
    async with pools([ONE, TWO], MemoryNetwork()) as made:
        opening = asyncio.create_task(made[TWO].pool.open(SESSION, made.roster))
        await asyncio.sleep(0)
        pool, taken = made[TWO].pool, Offer("rubbish", 1)
        assert not pool.handle_signal(OTHER, ONE, made.roster[ONE], taken)
        assert pool.handle_signal(SESSION, ONE, IdentityKey(bytes(32)), taken)
        assert pool.handle_signal(SESSION, THREE, key_of(THREE)[0], taken)
        await made[ONE].pool.open(SESSION, made.roster)
        await opening


async def test_a_mesh_of_an_id_that_is_taken_is_not_made_and_harms_nothing() -> None:
    async with pools([ONE, TWO], MemoryNetwork()) as made:
        shared = await made.open()
        with pytest.raises(LinkFailed, match="there is a mesh"):
            await made[ONE].pool.open(SESSION, made.roster)
        assert made[ONE].pool.get(SESSION) is shared[ONE]
        assert shared[ONE].whole
        opening = asyncio.create_task(made[ONE].pool.open(OTHER, made.roster))
        await asyncio.sleep(0)
        with pytest.raises(LinkFailed, match="there is a mesh"):
            await made[ONE].pool.open(OTHER, made.roster)
        await made[TWO].pool.open(OTHER, made.roster)
        await opening


async def test_a_mesh_that_does_not_open_is_not_kept() -> None:
    network = MemoryNetwork()
    network.refuse(ONE, TWO)
    async with pools([ONE, TWO], network) as made:
        opening = (seat.pool.open(SESSION, made.roster) for seat in made.seats.values())
        results = await asyncio.gather(*opening, return_exceptions=True)
        assert all(isinstance(result, MpcError) for result in results)
        assert made[ONE].pool.get(SESSION) is None
        network.heal(ONE, TWO)
        await made.open()


async def test_an_unused_mesh_of_the_same_nodes_makes_room_for_the_next() -> None:
    network = MemoryNetwork()
    async with pools([ONE, TWO], network) as made:
        first = await made.open()
        second = await made.open(OTHER)
        await asyncio.sleep(0.05)
        assert first[ONE].usable, "it may just have been offered"
        for shared in first.values():
            shared.idle_since -= pool_module.UNUSED + 1
        third = await made.open(THIRD)
        await until(lambda: len(network.links) == 4)
        assert not first[ONE].usable
        assert second[ONE].whole
        assert third[ONE].whole


async def test_of_too_many_meshes_the_one_that_was_idle_longest_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "MAX_KEPT", 2)
    async with pools([ONE, TWO, THREE], MemoryNetwork()) as made:
        first = await made.open(SESSION, [ONE, TWO])
        second = await made.open(OTHER, [ONE, THREE])
        with Channel(first[ONE], SESSION):
            await made.open(THIRD)
            await until(lambda: not second[ONE].usable)
            assert first[ONE].whole


async def test_a_mesh_closed_before_its_keeper_ran_leaves_nothing() -> None:
    network = MemoryNetwork()
    async with pools([ONE, TWO], network) as made:

        async def open_and_close() -> SharedMesh:
            shared = await made[ONE].pool.open(SESSION, made.roster)
            await made[ONE].pool.close()
            return shared

        opening = asyncio.create_task(made[TWO].pool.open(SESSION, made.roster))
        shared = await open_and_close()
        await asyncio.gather(opening, return_exceptions=True)
        assert made[ONE].pool.get(SESSION) is None
        with Channel(shared, SESSION) as late, pytest.raises(LinkFailed):
            await heard_on(late)


@pytest.mark.parametrize("turns", range(0, 60, 4))
async def test_pools_that_close_at_any_moment_leave_nothing(turns: int) -> None:
    """What ``pools`` checks at its end: no link, no task."""
    async with pools([ONE, TWO, THREE], MemoryNetwork()) as made:
        opening = [asyncio.create_task(seat.pool.open(SESSION, made.roster)) for seat in made.seats.values()]
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)


async def test_no_session_begins_on_a_mesh_while_it_says_its_last_words() -> None:
    network = MemoryNetwork(delay=0.05)
    async with pools([ONE, TWO], network) as made:
        shared = await made.open()
        closing = asyncio.create_task(made[ONE].pool.close())
        await asyncio.sleep(0.01)
        assert network.links
        assert not closing.done()
        assert not shared[ONE].usable
        await closing


async def test_a_defect_of_ours_reaches_the_sessions() -> None:
    async with pools([ONE, TWO], MemoryNetwork()) as made:
        shared = await made.open()
        with Channel(shared[ONE], SESSION) as channel:

            async def defect() -> None:
                raise ZeroDivisionError

            shared[ONE].mesh.spawn(defect(), "defect")
            with pytest.raises(ZeroDivisionError):
                await heard_on(channel)
        with pytest.raises(ZeroDivisionError):
            await made[ONE].pool._keepers[SESSION]


# Floods by a node of the mesh.


def channel_of(shared: SharedMesh | None = None) -> Channel:
    return Channel(shared or SharedMesh(id=OTHER, roster={}), SESSION)


async def test_a_node_that_says_more_than_any_session_has_is_a_cheat_once_the_rest_is_heard() -> None:
    channel = channel_of()
    for _ in range(MAX_WAITING + 3):
        channel.take(TWO, digest(b""))
    channel.take(THREE, digest(b""))
    heard = [(await channel.receive())[0] for _ in range(MAX_WAITING + 1)]
    assert heard == [TWO] * MAX_WAITING + [THREE]
    with pytest.raises(ParticipantCheated) as caught:
        await channel.receive()
    assert caught.value.culprits == (TWO,)


async def test_a_node_that_says_longer_things_than_any_session_has_is_a_cheat() -> None:
    channel = channel_of()
    channel._inbox = Inbox(messages=MAX_WAITING, bytes_=100_000)
    for _ in range(3):
        channel.take(TWO, digest(bytes(40_000)))
    channel.take(THREE, digest(bytes(40_000)))
    assert [(await channel.receive())[0] for _ in range(3)] == [TWO, TWO, THREE]
    with pytest.raises(ParticipantCheated) as caught:
        await channel.receive()
    assert caught.value.culprits == (TWO,)


def kept(early: Early, sender: PeerId) -> Sequence[RoundMessage]:
    return [message for one, message in early.take() if one == sender and isinstance(message, RoundMessage)]


@pytest.mark.parametrize(("length", "most"), [(1, MAX_EARLY), (1_000_000, 8)])
def test_a_flood_for_no_session_pushes_out_nobody_else_s_messages(length: int, most: int) -> None:
    early = Early()
    early.put(ONE, digest(b"patience"))
    for number in range(MAX_EARLY * 5):
        early.put(TWO, digest(bytes([number % 256]) * length))
    for sender, count in ((ONE, 1), (TWO, most)):
        again = Early()
        for one, message in (taken := early.take()):
            again.put(one, message)
            early.put(one, message)
        assert len(taken) == 1 + most
        assert len(kept(again, sender)) == count
    newest = kept(early, TWO)[-1]
    assert newest.data[0] == (MAX_EARLY * 5 - 1) % 256
    assert early.take() == []


async def test_the_end_of_the_mesh_is_no_message_of_a_session() -> None:
    async with pools([ONE, TWO], MemoryNetwork()) as made:
        shared = await made.open()
        with Channel(shared[TWO], SESSION) as heard:
            shared[ONE].mesh.broadcast(Idle(SESSION))
            shared[ONE].mesh.send(TWO, digest(b"behind it"))
            assert await heard_on(heard) == (ONE, digest(b"behind it"))
