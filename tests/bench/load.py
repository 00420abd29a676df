"""The load generator, a process of its own: ``python -m tests.bench.load WHAT DIALECT PORT [NUMBERS...]``.

It prints one JSON object and ends; every loop in it is bounded in count and time. ``idle`` and ``stalled`` say first
when they have begun, and go on until a line comes on standard input.
"""

import asyncio
import gc
import json
import socket
import sys
import time
from typing import Any

import uvloop

from tests.bench.clients import (
    BODY,
    PER_ADDRESS,
    Client,
    Dialect,
    SlotClient,
    SlotGuest,
    many,
    stamp_of,
    stamped_body,
    text_frame,
)
from tests.bench.report import median, percentile

WINDOW = 8
"""Messages under way from one sender, when as many as possible are to pass."""
FLOOD_BODY = 8192
FLOOD_RATE = 40
TINY = {"plain": b'{"type":"list_peers"}', "peerjs": b'{"type":"HEARTBEAT"}'}
"""The shortest message of each dialect that makes sense: a frame of 26 or 27 bytes."""
VISITORS = 8


def say(**result: Any) -> None:
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()


async def pairs(dialect: Dialect, port: int, count: int) -> list[tuple[Client, Client]]:
    """Connect senders and their receivers."""
    clients = await many([Client.connected(dialect, port, f"c{i:05}", i) for i in range(2 * count)])
    return list(zip(clients[:count], clients[count:], strict=True))


async def throughput(dialect: Dialect, port: int, count: int, each: int) -> None:
    """Relay ``each`` messages from each of ``count`` senders, a few of each under way at any time."""
    connected = await pairs(dialect, port, count)
    left = count * each
    done = asyncio.Event()
    body = stamped_body(0.0)

    def begin(sender: Client, receiver: Client) -> None:
        frame = sender.frame_to(receiver.name, body)
        unsent = each - WINDOW

        def received(_payload: bytes) -> None:
            nonlocal left, unsent
            left -= 1
            if unsent:
                unsent -= 1
                sender.transport.write(frame)
            elif not left:
                done.set()

        receiver.on_frame = received
        sender.transport.write(frame * WINDOW)

    began, cpu = time.perf_counter(), time.process_time()
    for sender, receiver in connected:
        begin(sender, receiver)
    async with asyncio.timeout(60):
        await done.wait()
    seconds = time.perf_counter() - began
    say(messages=count * each, seconds=seconds, generator=(time.process_time() - cpu) / seconds)


async def paced(connected: list[tuple[Client, Client]], rate: float, seconds: float) -> list[float]:
    """Send ``rate`` messages a second, spread evenly; give each one's latency from when it was due."""
    latencies: list[float] = []
    for _, receiver in connected:
        receiver.on_frame = lambda payload: latencies.append(time.monotonic() - stamp_of(payload))
    gc.disable()  # the generator's own pauses are not the server's
    began, sent, total = time.monotonic(), 0, int(rate * seconds)
    while sent < total:
        due = min(total, int((time.monotonic() - began) * rate) + 1)
        for number in range(sent, due):
            sender, receiver = connected[number % len(connected)]
            sender.send_to(receiver.name, stamped_body(began + number / rate))
        sent = due
        await asyncio.sleep(max(0.0, began + sent / rate - time.monotonic()))
    for _ in range(100):
        if len(latencies) == total:
            break
        await asyncio.sleep(0.05)
    gc.enable()
    return latencies


async def latency(dialect: Dialect, port: int, count: int, rate: int, seconds: int) -> None:
    """Measure latency at a steady rate."""
    connected = await pairs(dialect, port, count)
    await paced(connected, rate, 1)
    latencies = await paced(connected, rate, seconds)
    say(sent=rate * seconds, came=len(latencies), p50=median(latencies), p99=percentile(latencies, 99))


async def connections(dialect: Dialect, port: int, count: int) -> None:
    """Connect and register ``count`` clients; then hold them, idle, until told to end."""
    began = time.perf_counter()
    clients = await many([Client.connected(dialect, port, f"i{i:05}", i) for i in range(count)])
    say(connections=count, seconds=time.perf_counter() - began)
    await asyncio.to_thread(sys.stdin.readline)
    say(lost=sum(client.lost for client in clients))


async def stalled(dialect: Dialect, port: int, count: int, rate: int, seconds: int) -> None:
    """The same steady rate, while others flood a client that does not read."""
    connected = await pairs(dialect, port, count)
    victim = await Client.connected(dialect, port, "victim", 2 * count)
    flooders = await many([Client.connected(dialect, port, f"f{i:02}", 2 * count + 1 + i) for i in range(10)])
    victim.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    victim.transport.pause_reading()
    body = f'"pad":"{"x" * FLOOD_BODY}"'
    stop = False

    async def flood(client: Client) -> None:
        for _ in range(FLOOD_RATE * seconds):
            if stop or client.lost:
                return
            client.send_to("victim", body)
            await asyncio.sleep(1 / FLOOD_RATE)

    async with asyncio.TaskGroup() as group:
        for client in flooders:
            group.create_task(flood(client))
        latencies = await paced(connected, rate, seconds)
        stop = True
    flooded = FLOOD_RATE * seconds * len(flooders) * FLOOD_BODY
    say(sent=rate * seconds, came=len(latencies), p50=median(latencies), p99=percentile(latencies, 99), flooded=flooded)


async def tiny(dialect: Dialect, port: int, count: int, seconds: int) -> None:
    """Send the tiniest messages as fast as ``count`` sockets take them, each from an address of its own; reconnect."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    block = text_frame(TINY[dialect]) * 10_000
    made = refused = 0

    async def flood(number: int) -> None:
        nonlocal made, refused
        source = f"127.0.200.{1 + number}"
        while loop.time() < end:
            try:
                client = await Client.connected(dialect, port, f"t{number}-{made}", 0, source=source)
            except (OSError, TimeoutError):
                refused += 1
                await asyncio.sleep(0)
                continue
            made += 1
            while not client.lost and loop.time() < end:
                if client.transport.get_write_buffer_size() < len(block):
                    client.transport.write(block)
                await asyncio.sleep(0.001)
            client.transport.abort()

    await asyncio.gather(*(flood(number) for number in range(count)))
    say(made=made, refused=refused)


async def watchers(dialect: Dialect, port: int, count: int) -> None:
    """Watch a room with ``count`` clients until told to end; say how many messages came of it."""
    said = 0

    def heard(_payload: bytes) -> None:
        nonlocal said
        said += 1

    first = 100 * PER_ADDRESS  # other addresses than the innocents'
    clients = await many([Client.connected(dialect, port, f"w{i:05}", first + i, room="hall") for i in range(count)])
    await asyncio.sleep(0.5)
    for client in clients:
        client.on_frame = heard
        if dialect == "plain":
            # Only now, or the coming of all of them would be told to each.
            client.transport.write(text_frame(b'{"type":"list_peers","watch":true}'))
    await asyncio.sleep(2)
    say(watching=count)
    await asyncio.to_thread(sys.stdin.readline)
    say(said=said, lost=sum(client.lost for client in clients))


async def visitors(dialect: Dialect, port: int, seconds: int) -> None:
    """Come into the room and leave it, as often as one address may, on a few sockets at once."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    joined = refused = 0

    async def visit(number: int) -> None:
        nonlocal joined, refused
        while loop.time() < end:
            try:
                name = f"v{number}-{joined}-{refused}"
                client = await Client.connected(dialect, port, name, 0, source="127.0.201.1", room="hall")
            except (OSError, TimeoutError):
                refused += 1
                await asyncio.sleep(0)
            else:
                joined += 1
                client.transport.close()

    await asyncio.gather(*(visit(number) for number in range(VISITORS)))
    say(joined=joined, refused=refused)


async def slots(dialect: Dialect, port: int, count: int, claims: int, rate: int) -> None:
    """Open ``count`` slots and say so; when told to, claim some of them, ``rate`` a second, and end those."""
    holders = await many([SlotClient.connected(dialect, port, "", i // 12) for i in range(count)])
    say(slots=sorted(client.slot for client in holders))  # type: ignore[attr-defined] # they are what was made
    await asyncio.to_thread(sys.stdin.readline)
    gc.disable()  # the generator's own pauses are not the server's
    seconds: list[float] = []

    async def visit(number: int, slot: int) -> None:
        guest = await SlotGuest.connected(dialect, port, str(slot), (count + number) // 12)
        seconds.append(guest.seconds)  # type: ignore[attr-defined] # it is what was made
        guest.transport.write(text_frame(b'{"type":"release"}'))
        guest.transport.close()

    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(claims):
            group.create_task(visit(number, 1 + number * count // claims))
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
    lost = sum(client.lost for client in holders)
    say(claims=len(seconds), p50=median(seconds), p99=percentile(seconds, 99), lost=lost)


WHAT = {"throughput": throughput, "latency": latency, "connections": connections, "stalled": stalled}
WHAT |= {"tiny": tiny, "watchers": watchers, "visitors": visitors, "slots": slots}


def main() -> None:
    what, dialect, *numbers = sys.argv[1:]
    assert len(stamped_body(0.0)) + 2 <= BODY
    uvloop.run(WHAT[what](dialect, *map(int, numbers)))  # type: ignore[operator] # each takes its own numbers


if __name__ == "__main__":
    main()
