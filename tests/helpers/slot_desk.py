"""Slots on a desk: calls in, what they said to whom out; no socket, and a clock that moves when told to."""

import itertools
import json
from typing import Any

from mpcnode.server.actions import Close
from mpcnode.server.admission import Admission
from mpcnode.server.limits import Limits
from mpcnode.server.slots.machine import USUAL, Action, Rules, Slots


class SlotDesk:
    """Slots and what they said to whom; ``now`` moves only when told to."""

    def __init__(self, rules: Rules = USUAL, **limits: Any) -> None:
        self.admission = Admission(Limits(**limits))
        self.slots = Slots(self.admission, rules)
        self.now = 1000.0
        self.said: dict[int, list[dict[str, Any]]] = {}
        self.closed: dict[int, int] = {}
        self._next = itertools.count(1)

    def connect(self, address: str = "192.0.2.1", *, wait: float = 0.0) -> int:
        number = next(self._next)
        self.do(self.slots.connect(number, address=address, now=self.now, wait=wait))
        return number

    def send(self, number: int, **message: Any) -> list[dict[str, Any]]:
        """Send a message; give what its sender heard of it."""
        return self.send_raw(number, json.dumps(message).encode())

    def send_raw(self, number: int, frame: bytes) -> list[dict[str, Any]]:
        self.do(self.slots.receive(number, frame, self.now))
        return self.said.get(number, [])[-1:]

    def do(self, actions: list[Action]) -> None:
        for action in actions:
            assert action.connection not in self.closed, "nothing may follow a close"
            said = json.loads(action.frame)
            self.said.setdefault(action.connection, []).append(said)
            assert isinstance(action, Close) == (said["type"] in {"error", "released"})
            if isinstance(action, Close):
                self.closed[action.connection] = action.code

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.do(self.slots.tick(self.now))

    def heard(self, number: int) -> list[dict[str, Any]]:
        return self.said.pop(number, [])

    def words(self, number: int) -> list[str]:
        """Give the codes of what was heard, or the types of what is no error."""
        return [message.get("code", message["type"]) for message in self.heard(number)]

    def allocated(self, address: str = "192.0.2.1") -> tuple[int, int]:
        """Connect and get a slot; give the connection and the slot."""
        number = self.connect(address)
        self.send(number, type="allocate")
        (answer,) = self.heard(number)
        return number, answer["slot"]

    def claimed(self, slot: int, address: str = "192.0.2.2") -> int:
        """Connect and come to a slot; give the connection."""
        number = self.connect(address)
        self.send(number, type="claim", slot=slot)
        return number

    def paired(self) -> tuple[int, int]:
        """Give the connections of two that met, and heard so."""
        holder, slot = self.allocated()
        guest = self.claimed(slot)
        assert self.words(holder) == self.words(guest) == ["claimed"]
        return holder, guest
