"""The hub against a model of a few lines, through any order of anything clients can do."""

import json
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from tests.helpers.desk import Desk

NAMES = st.sampled_from(["ana", "ben", "eve"])
ROOMS = st.sampled_from(["public", "other"])


class HubMachine(RuleBasedStateMachine):
    """Who is registered where is a dictionary; everything else follows from it."""

    connections = Bundle("connections")

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(connections_per_address=4, burst=30, excess=5)
        self.open: dict[int, bool] = {}
        self.names: dict[int, tuple[str, str]] = {}
        self.watching: set[int] = set()

    def settle(self) -> dict[int, list[dict[str, Any]]]:
        """Take what was said since; forget who was closed."""
        said, self.desk.said = self.desk.said, {}
        for number in self.desk.closed:
            self.gone(number)
        return said

    def gone(self, number: int) -> None:
        self.open.pop(number, None)
        self.names.pop(number, None)
        self.watching.discard(number)

    def members(self, room: str) -> list[str]:
        return [name for place, name in self.names.values() if place == room]

    @rule(target=connections, extended=st.booleans(), host=st.integers(1, 2))
    def connect(self, *, extended: bool, host: int) -> Any:
        number = self.desk.connect(extended=extended, address=f"192.0.2.{host}")
        if number in self.desk.closed:
            assert self.settle()[number][0]["code"] == "too_many_connections"
            return multiple()
        self.open[number] = extended
        said = self.settle()
        assert bool(said.get(number)) == extended
        return number

    @rule(number=connections, name=NAMES, room=ROOMS)
    def register(self, number: int, name: str, room: str) -> None:
        if number not in self.open:
            return
        room = room if self.open[number] else "public"
        message = {"type": "register", "peer_id": name} | ({"room": room} if self.open[number] else {})
        taken = number in self.names or name in self.members(room)
        watchers = {other for other in self.watching if self.names[other][0] == room}
        self.desk.send(number, **message)
        said = self.settle()
        answer = said[number][0]
        if answer["type"] == "error" and answer["code"] == "rate_limited":
            return
        if taken:
            assert answer["code"] == "already_registered"
            assert number not in self.open
            return
        self.names[number] = (room, name)
        assert answer == {"type": "peers", "peers": self.members(room)}
        for watcher in watchers:
            assert said[watcher] == [{"type": "peer_joined", "peer_id": name}]

    @rule(number=connections, watch=st.sampled_from([None, True, False]))
    def list_peers(self, *, number: int, watch: bool | None) -> None:
        if number not in self.open:
            return
        watch = watch if self.open[number] else None
        self.desk.send(number, type="list_peers", **({} if watch is None else {"watch": watch}))
        (answer,) = self.settle()[number]
        if answer["type"] == "error":
            assert answer["code"] == "rate_limited" or number not in self.names
            return
        assert answer["peers"] == self.members(self.names[number][0])
        if watch is True:
            self.watching.add(number)
        elif watch is False:
            self.watching.discard(number)

    @rule(number=connections, name=NAMES, value=st.integers())
    def relay(self, number: int, name: str, value: int) -> None:
        if number not in self.open:
            return
        self.desk.send(number, type="relay", to=name, data={"value": value})
        said = self.settle()
        if number in self.names and any(
            message["type"] == "relay" for messages in said.values() for message in messages
        ):
            room, sender = self.names[number]
            (target,) = said
            assert self.names[target] == (room, name)
            assert said[target] == [{"type": "relay", "from": sender, "data": {"value": value}}]
            return
        (answer,) = said[number][:1]
        if number not in self.names:
            assert answer["code"] in {"not_registered", "rate_limited"}
        else:
            assert answer["code"] == "rate_limited" or name not in self.members(self.names[number][0])

    @rule(number=connections, frame=st.sampled_from([b"", b"[]", b"\xff", b'{"type":"relay"}', b"[" * 5000]))
    def send_rubbish(self, number: int, frame: bytes) -> None:
        self.desk.send_raw(number, frame)
        said = self.settle()
        assert {message["code"] for message in said.get(number, [])} <= {"invalid_message", "rate_limited"}

    @rule(number=connections, how=st.sampled_from(["disconnect", "overflow", "too_big"]))
    def leave(self, number: int, how: str) -> None:
        room, name = self.names.get(number, ("", ""))
        watchers = {other for other in self.watching - {number} if self.names[other][0] == room}
        was_open = number in self.open
        self.desk.do(getattr(self.desk.hub, how)(number))
        self.gone(number)
        said = self.settle()
        assert {other for other in said if other != number} == (watchers if name else set())
        for watcher in watchers if name else ():
            assert said[watcher] == [{"type": "peer_left", "peer_id": name}]
        assert (number in said) == (was_open and how != "disconnect")

    @rule(seconds=st.floats(0, 12))
    def wait(self, seconds: float) -> None:
        self.desk.now += seconds
        before = set(self.open)
        self.desk.do(self.desk.hub.tick(self.desk.now))
        self.settle()
        assert {number for number in before - set(self.open) if number in self.names} == set()

    @invariant()
    def the_hub_holds_who_is_here_and_nobody_else(self) -> None:
        hub = self.desk.hub
        assert hub.connections == len(self.open)
        addresses = self.desk.admission._addresses.values()
        assert sum(address.connections for address in addresses) == self.desk.admission.connections == len(self.open)
        assert set(hub._unregistered) == set(self.open) - set(self.names)
        rooms = {room: list(state.members) for room, state in hub._rooms.items()}
        assert rooms == {room: self.members(room) for room, _ in self.names.values()}
        for state in hub._rooms.values():
            assert set(state.watchers) <= set(state.members.values())
            assert state.frame_bytes >= len(
                json.dumps({"type": "peers", "peers": list(state.members)}, separators=(",", ":"))
            )


HubMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestHubMachine = HubMachine.TestCase
