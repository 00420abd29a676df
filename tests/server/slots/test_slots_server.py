"""Slots of a real server, and strangers who know a few JSON messages and nothing else."""

import asyncio
import contextlib
import json
import random
import resource
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from mpcnode.server.config import ServerConfig
from mpcnode.server.limits import Limits
from mpcnode.server.rooms import ROOMS, Rooms
from mpcnode.server.slots.machine import Rules
from mpcnode.server.slots.room import SlotsRoom
from tests.bench import slots
from tests.bench.clients import SlotClient, SlotGuest
from tests.helpers.server import DEADLINE, PlainClient, RunningServer, running_server


@pytest.fixture
async def server() -> AsyncIterator[RunningServer]:
    async with running_server() as running:
        yield running


def with_rules(**rules: Any) -> Rooms:
    return {**ROOMS, "/slots": partial(SlotsRoom, rules=Rules(**rules))}


def visitor(server: RunningServer, **options: Any) -> contextlib.AbstractAsyncContextManager[PlainClient]:
    return PlainClient.connected(server.url + "/slots", **options)


async def allocate(client: PlainClient) -> int:
    await client.send(type="allocate")
    answer = await client.receive()
    assert answer["type"] == "allocated", answer
    return int(answer["slot"])


async def claim(client: PlainClient, slot: int) -> str:
    await client.send(type="claim", slot=slot)
    return await word(client)


async def word(client: PlainClient) -> str:
    """Give the code of the next message, or its type where it is no error."""
    message = await client.receive()
    return str(message.get("code", message["type"]))


@contextlib.asynccontextmanager
async def meeting(server: RunningServer) -> AsyncIterator[tuple[PlainClient, PlainClient, int]]:
    """Two that met, and heard so, and their slot."""
    async with visitor(server) as holder, visitor(server) as guest:
        slot = await allocate(holder)
        assert await claim(guest, slot) == await word(holder) == "claimed"
        yield holder, guest, slot


async def test_two_strangers_meet_and_the_server_passes_on_what_they_say(server: RunningServer) -> None:
    async with visitor(server) as holder, visitor(server) as guest:
        await holder.send(type="allocate")
        assert await holder.receive() == {"type": "allocated", "slot": 1, "expires_in": 3_600_000}
        # The guest need not wait for an answer.
        await guest.send(type="claim", slot=1)
        await guest.send(type="message", body="53ab")
        assert await holder.receive() == {"type": "claimed", "expires_in": 60_000}
        assert await holder.receive() == {"type": "message", "body": "53ab"}
        await holder.send(type="message", body="ff" * 4096)
        assert await word(guest) == "claimed"
        assert await guest.receive() == {"type": "message", "body": "ff" * 4096}
        await guest.send(type="message", body="00")
        await guest.send(type="release")
        assert await holder.receive() == {"type": "message", "body": "00"}
        for one in (holder, guest):
            assert await one.receive() == {"type": "released"}
            assert await one.closed() == 1000


async def test_a_third_connection_kills_the_code(server: RunningServer) -> None:
    async with meeting(server) as (holder, guest, slot), visitor(server) as third, visitor(server) as fourth:
        assert await claim(third, slot) == "crowded"
        for one in (holder, guest):
            assert await word(one) == "crowded"
        for one in (holder, guest, third):
            assert await one.closed() == 1008
        assert await claim(fourth, slot) == "slot_over"


@pytest.mark.parametrize("index", [0, 1], ids=["the holder", "the guest"])
@pytest.mark.parametrize("abruptly", [False, True])
async def test_an_end_that_goes_is_told_to_the_other_after_what_it_said(
    server: RunningServer, index: int, *, abruptly: bool
) -> None:
    async with meeting(server) as (*ends, _slot):
        leaving, staying = ends[index], ends[1 - index]
        await leaving.send(type="message", body="53")
        assert await word(staying) == "message"
        if abruptly:
            leaving.socket.transport.abort()
        else:
            await leaving.socket.close()
        assert await word(staying) == "peer_gone"
        assert await staying.closed() == 1008


async def test_a_slot_whose_holder_is_gone_leads_to_nobody(server: RunningServer) -> None:
    async with visitor(server) as holder:
        slot = await allocate(holder)
    async with visitor(server) as guest, visitor(server) as other:
        assert await claim(guest, slot) == "slot_over"
        assert await allocate(other) == slot + 1


async def test_what_waits_too_long_expires() -> None:
    rooms = with_rules(open_seconds=0.1, pair_seconds=0.1, rest_seconds=0.1)
    async with running_server(rooms=rooms) as server:
        async with visitor(server) as lonely:
            slot = await allocate(lonely)
            assert await word(lonely) == "expired"
            assert await lonely.closed() == 1008
        async with visitor(server) as guest:
            assert await claim(guest, slot) in {"slot_over", "unknown_slot"}
    async with (
        running_server(rooms=with_rules(pair_seconds=0.1)) as server,
        visitor(server) as holder,
        visitor(server) as guest,
    ):
        await claim(guest, await allocate(holder))
        assert [await word(holder), await word(holder), await word(guest)] == ["claimed", "expired", "expired"]


async def test_one_that_asks_for_nothing_is_closed() -> None:
    config = ServerConfig(port=0, limits=Limits(register_seconds=0.1))
    async with running_server(config) as server, visitor(server) as silent:
        assert await word(silent) == "request_timeout"
        assert await silent.closed() == 1008


async def test_a_server_that_ends_tells_everybody_and_its_successor_knows_no_slot() -> None:
    async with running_server() as server, meeting(server) as (holder, guest, slot), visitor(server) as lonely:
        await allocate(lonely)
        server.stop.set()
        for one in (holder, guest, lonely):
            assert await word(one) == "server_shutdown"
            assert await one.closed() == 1012
    async with running_server(ServerConfig(port=server.port)) as again, visitor(again) as late, visitor(again) as new:
        assert await claim(late, slot) == "unknown_slot"
        assert await allocate(new) == 1


async def test_a_quota_that_is_used_up_says_so_and_the_relay_goes_on() -> None:
    async with (
        running_server(rooms=with_rules(slots_per_address=2)) as server,
        PlainClient.registered(server.url, "cli1") as relayed,
        visitor(server) as one,
        visitor(server) as two,
        visitor(server) as three,
    ):
        assert [await allocate(one), await allocate(two)] == [1, 2]
        await three.send(type="allocate")
        error = await three.receive()
        assert (error["code"], error["retry_after"]) == ("too_many_slots", 60_000)
        assert await three.closed() == 1013
        await relayed.send(type="list_peers")
        assert (await relayed.receive())["peers"] == ["cli1"]


async def test_a_quota_is_of_an_address_and_of_an_ipv6_customer_as_a_whole() -> None:
    """Whatever else anybody says of themselves."""
    config = ServerConfig(port=0, trusted_proxies=("127.0.0.0/8",))
    async with running_server(config, with_rules(slots_per_address=1)) as server:

        def seen_from(address: str) -> contextlib.AbstractAsyncContextManager[PlainClient]:
            return visitor(server, additional_headers={"X-Forwarded-For": address})

        async with (
            seen_from("2001:db8::1") as one,
            seen_from("2001:db8::2") as same,
            seen_from("2001:db8:0:1::2") as other,
        ):
            await allocate(one)
            await same.send(type="allocate")
            assert await word(same) == "too_many_slots"
            await allocate(other)


async def test_connections_are_counted_for_both_paths_together() -> None:
    config = ServerConfig(port=0, limits=Limits(connections_per_address=2))
    async with (
        running_server(config) as server,
        PlainClient.registered(server.url, "cli1") as one,
        visitor(server) as two,
        visitor(server) as slots,
        PlainClient.connected(server.url) as relay,
    ):
        for refused in (slots, relay):
            assert await word(refused) == "too_many_connections"
            assert await refused.closed() == 1013
        await allocate(two)
        await one.send(type="list_peers")
        assert (await one.receive())["type"] == "peers"


@pytest.mark.parametrize(
    "frame", ["", "claim 12", '{"type":"register","peer_id":"cli1"}', '{"type":"claim","slot":"12"}', b"\x00"]
)
async def test_rubbish_ends_its_connection_and_nothing_else(server: RunningServer, frame: str | bytes) -> None:
    async with meeting(server) as (holder, guest, _), visitor(server) as fool:
        await fool.socket.send(frame)
        assert await word(fool) == "invalid_message"
        assert await fool.closed() == 1008
        await holder.send(type="message", body="53")
        assert await word(guest) == "message"


async def test_a_frame_above_the_limit_is_named_and_the_other_end_told(server: RunningServer) -> None:
    async with meeting(server) as (holder, guest, _):
        await holder.send_text("[" * 100_000)
        assert await word(holder) == "message_too_big"
        assert await holder.closed() == 1009
        assert await word(guest) == "peer_gone"


async def test_no_subprotocol_is_chosen_and_other_paths_are_not_there(server: RunningServer) -> None:
    async with visitor(server, subprotocols=["mpcnode.v1"]) as client:
        assert client.socket.subprotocol is None
        await allocate(client)
    async with visitor(server) as client:
        assert client.socket.subprotocol is None
    async with PlainClient.connected(server.url + "/slots?why=not"):
        pass
    for path in ("/slots/", "/slots/12", "/slot"):
        with pytest.raises(InvalidStatus):
            async with PlainClient.connected(server.url + path):
                pass


async def test_a_thousand_guesses_at_open_slots_burn_at_most_as_many_codes() -> None:
    """Over real sockets, from many addresses."""
    limits = Limits(connections_per_address=2000, connections=4000, arrivals=10_000)
    rooms = with_rules(slots_per_address=2000, claims=10_000, rest_seconds=0.2)
    rng, guesses, codes = random.Random(11), 1000, 60
    holders: list[SlotClient] = []
    heard: list[str] = []
    made = gone = 0

    async def guess(port: int, number: int) -> None:
        with contextlib.suppress(ConnectionError):
            attacker = await SlotGuest.connected("plain", port, str(rng.randint(1, 200)), number)
            attacker.transport.close()

    async with running_server(ServerConfig(port=0, limits=limits), rooms) as server:
        async with asyncio.timeout(12 * DEADLINE):
            for number in range(0, guesses, 20):
                gone += sum(holder.lost for holder in holders)
                holders = [holder for holder in holders if not holder.lost]
                # What they hear last is why their code is over.
                assert gone <= number
                while len(holders) < codes:
                    holder = await SlotClient.connected("plain", server.port, "", made)
                    assert isinstance(holder, SlotClient)
                    holder.on_frame = lambda payload: heard.append(json.loads(payload).get("code", "claimed"))
                    holders.append(holder)
                    made += 1
                await asyncio.gather(*(guess(server.port, number + one) for one in range(20)))
                await asyncio.sleep(0.01)
        for holder in holders:
            holder.transport.abort()
    over = [word for word in heard if word != "claimed"]
    assert 0 < len(over) <= guesses
    assert set(over) <= {"peer_gone", "crowded"}
    assert len(over) >= made - codes


@pytest.mark.slow
async def test_ten_thousand_slots_are_open_at_once() -> None:
    """A server of its own, at its usual limits per address; ``tests.bench slots`` has the targets."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < 11_000:
        pytest.skip(f"10,000 sockets are needed in one process, and {most} files are allowed")
    seen = await slots.measured(10_000, claims=500, rate=50)
    assert seen.slots == list(range(1, 10_001))
    assert seen.memory < 300 * 1024**2
    assert seen.p99 < DEADLINE
