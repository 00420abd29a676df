"""The relay's room alone: what it does with the hub's time, with connections that only listen."""

import asyncio
from typing import cast

import pytest

from mpcnode.server.admission import Admission
from mpcnode.server.config import ServerConfig
from mpcnode.server.limits import Limits
from mpcnode.server.relay.room import RelayRoom
from mpcnode.server.room import Ground
from mpcnode.server.turns import Turns
from mpcnode.server.websocket import Connection
from tests.helpers.server import DEADLINE


class Listening:
    """A connection that keeps what it is told."""

    def __init__(self) -> None:
        self.heard = b""

    def send(self, frame: bytes) -> None:
        self.heard += frame

    send_all = send


async def test_a_join_is_told_at_once_although_a_leave_was_to_be_told_much_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mpcnode.server.relay.hub.LATE_SECONDS", 1000.0)
    limits = Limits(connections_per_address=500)
    room = RelayRoom(Ground(ServerConfig(limits=limits), Admission(limits), Turns()))
    hub, now = room._machine, asyncio.get_running_loop().time()
    watchers = [Listening() for _ in range(150)]
    for number, watcher in enumerate(watchers):
        room._connections[number] = cast("Connection", watcher)
        address = f"192.0.2.{number}"
        room.act(hub.connect(number, address=address, extended=True, origins=[], now=now))
        room.act(hub.receive(number, b'{"type":"register","peer_id":"w%d"}' % number, now))
        room.act(hub.receive(number, b'{"type":"list_peers","watch":true}', now))
    async with asyncio.timeout(DEADLINE):
        while b'"w149"' not in watchers[0].heard:
            await asyncio.sleep(0.01)
    room.act(hub.disconnect(149))
    await asyncio.sleep(0.01)
    assert b'"peer_left"' not in watchers[0].heard
    hub.connect(1000, address="198.51.100.1", extended=False, origins=[], now=now)
    room.act(hub.receive(1000, b'{"type":"register","peer_id":"late"}', asyncio.get_running_loop().time()))
    async with asyncio.timeout(DEADLINE):
        while not all(b'{"type":"peer_joined","peer_id":"late"}' in watcher.heard for watcher in watchers[:149]):
            await asyncio.sleep(0.01)
    assert watchers[0].heard.index(b'"peer_left"') < watchers[0].heard.index(b'"late"')
