"""The rooms of a server, by their paths."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from mpcnode.server.relay.room import RelayRoom
from mpcnode.server.room import Ground, Room
from mpcnode.server.slots.room import SlotsRoom
from mpcnode.wire import slots

Rooms = Mapping[str, Callable[[Ground], Room[Any]]]

ROOMS: Final[Rooms] = {"/": RelayRoom, slots.PATH: SlotsRoom}
