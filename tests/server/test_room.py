"""What every room does, whatever its machine: here, asking many clients whether they live."""

import asyncio
from typing import cast

import pytest

from mpcnode.server.admission import Admission
from mpcnode.server.config import ServerConfig
from mpcnode.server.limits import Limits
from mpcnode.server.room import Ground
from mpcnode.server.slots.room import SlotsRoom
from mpcnode.server.turns import Turns
from mpcnode.server.websocket import Connection
from tests.helpers.server import DEADLINE


class Silent:
    """A connection that is asked whether it lives."""

    asked = 0

    def keep_alive(self, _now: float) -> None:
        self.asked += 1


async def test_many_clients_are_asked_whether_they_live_a_few_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mpcnode.server.turns.TURN_SECONDS", 0.0)
    limits = Limits()
    room = SlotsRoom(Ground(ServerConfig(limits=limits), Admission(limits), Turns()))
    clients = [Silent() for _ in range(2000)]
    room._connections.update((number, cast("Connection", client)) for number, client in enumerate(clients, 1))
    most = done = 0
    room.tick()
    room.tick()  # while the first round is under way, there is no second
    async with asyncio.timeout(DEADLINE):
        while done < len(clients):
            await asyncio.sleep(0)
            asked = sum(client.asked for client in clients)
            most, done = max(most, asked - done), asked
    assert most < 100
    assert {client.asked for client in clients} == {1}
    room.tick()
    async with asyncio.timeout(DEADLINE):
        while not all(client.asked == 2 for client in clients):
            await asyncio.sleep(0)
