"""The adapter of the slots: connections on one side, the machine on the other."""

from collections.abc import Sequence

from mpcnode.server.room import Action, Caller, Ground, Room
from mpcnode.server.slots.machine import USUAL, Rules, Slots
from mpcnode.server.websocket import Connection


class SlotsRoom(Room[Slots]):
    """Where two connections meet under a number (PROTOCOL section Slots).

    Args:
        ground: what the room stands on.
        rules: how many slots there are, and how long they live.
    """

    def __init__(self, ground: Ground, rules: Rules = USUAL) -> None:
        super().__init__(Slots(ground.admission, rules), ground.turns)

    def connect(self, connection: Connection, caller: Caller) -> Sequence[Action]:
        """Have the machine take a new connection."""
        return self._machine.connect(connection.number, address=caller.address, now=self._time(), wait=caller.wait)
