"""Who comes and goes in a large room: told to all, in order, once, soon, and for a price that has a bound."""

import json
import random

import pytest

from mpcnode.server.relay.hub import ANNOUNCED_AT_ONCE, SendAll
from tests.helpers.desk import Desk

WATCHERS = 1000


@pytest.fixture(scope="module")
def watched() -> tuple[Desk, list[int]]:
    """A room that a thousand watch; what was said about their own coming is forgotten."""
    return crowd()


def crowd(count: int = WATCHERS) -> tuple[Desk, list[int]]:
    desk = Desk()
    numbers = list(range(100_000, 100_000 + count))
    for index, number in enumerate(numbers):
        # Not by the desk, which would read all that is said of it.
        address = f"10.0.{index % 250}.{index // 250}"
        desk.hub.connect(number, address=address, extended=True, origins=[], now=desk.now)
        desk.hub.receive(number, b'{"type":"register","peer_id":"w%d"}' % index, desk.now)
        desk.hub.receive(number, b'{"type":"list_peers","watch":true}', desk.now)
    desk.now += 10
    while (due := desk.hub.due) is not None and due <= desk.now:
        desk.hub.announce(desk.now)
        desk.now += 0.1
    return desk, numbers


def come_and_go(desk: Desk, name: str, address: str) -> None:
    """Do it as the server does: ask whether the address may come, and only then connect and register."""
    if desk.admission.admit(address, desk.now) == 0.0:
        number = desk.connect(address=address)
        desk.send(number, type="register", peer_id=name)
        desk.do(desk.hub.disconnect(number))
        desk.said.pop(number, None)


def test_a_join_in_a_quiet_room_is_told_at_once_and_in_parts(watched: tuple[Desk, list[int]]) -> None:
    desk, numbers = watched
    desk.registered("late")
    parts = 0
    while (due := desk.hub.due) is not None and due <= desk.now:
        actions = desk.hub.announce(desk.now)
        assert 0 < len(actions) <= ANNOUNCED_AT_ONCE
        desk.do(actions)
        parts += 1
    assert parts == WATCHERS / ANNOUNCED_AT_ONCE
    for number in numbers:
        assert desk.heard(number) == [{"type": "peer_joined", "peer_id": "late"}]


def test_joins_and_leaves_without_end_cost_no_more_than_their_share() -> None:
    """A hundred addresses do what each of them may; what is said to the watchers has a bound all the same."""
    desk, _ = crowd()
    told = steps = 0
    for step in range(1000):
        come_and_go(desk, f"v{step % 50}", f"192.0.2.{step % 100}")
        desk.now += 0.001
        while (due := desk.hub.due) is not None and due <= desk.now:
            actions = desk.hub.announce(desk.now)
            told += sum(isinstance(action, SendAll) for action in actions)
        steps += 1
    # A telling every 50 ms for a thousand watchers: each takes 2 to 4 us of the server's time.
    assert told <= WATCHERS * (steps * 0.001 / 0.05 + 2)
    assert told >= WATCHERS * 15


def test_one_address_joins_and_leaves_no_more_often_than_it_may() -> None:
    desk, numbers = crowd()
    said: list[bytes] = []
    for step in range(10_000):
        come_and_go(desk, f"v{step}", "192.0.2.1")
        desk.now += 0.001
        for action in desk.hub.announce(desk.now):
            if isinstance(action, SendAll) and action.connection == numbers[0]:
                said += action.frames
    heard = [json.loads(frame) for frame in said]
    joins = [message for message in heard if message["type"] == "peer_joined"]
    assert 0 < len(joins) <= 64 + 10 * 10 + 1
    assert len(heard) - len(joins) == len(joins)


def test_a_join_amid_a_flood_of_others_is_told_soon() -> None:
    desk, numbers = crowd()
    for step in range(500):
        come_and_go(desk, f"v{step}", f"192.0.2.{step % 100}")
        desk.now += 0.001
        desk.hub.announce(desk.now)
    desk.registered("late")
    waiting = set(numbers)
    for _ in range(80):
        for action in desk.hub.announce(desk.now):
            if isinstance(action, SendAll) and b'"late"' in b"".join(action.frames):
                waiting.remove(action.connection)
        desk.now += 0.001
    assert waiting == set()


def test_a_watcher_hears_of_a_peer_before_it_hears_from_it() -> None:
    desk, numbers = crowd(count=200)
    desk.registered("first")  # its telling begins now, so that the next one has to wait
    desk.tell()
    desk.said.clear()
    late = desk.registered("late")
    desk.tell()
    desk.send(late, type="relay", to="w7", data={})
    assert desk.heard(numbers[7]) == [
        {"type": "peer_joined", "peer_id": "late"},
        {"type": "relay", "from": "late", "data": {}},
    ]
    assert desk.heard(numbers[8]) == []
    desk.now += 1
    desk.tell()
    assert desk.heard(numbers[7]) == []
    assert desk.heard(numbers[8]) == [{"type": "peer_joined", "peer_id": "late"}]


class Crowd:
    """Clients that come, go and watch in any order, and what each of them makes of what it is told."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.desk = Desk(connections_per_address=10_000, burst=1_000_000)
        self.here: dict[int, str] = {}
        self.views: dict[int, list[str]] = {}

    def step(self) -> None:
        steps = [self.come, self.go, self.watch, self.unwatch, self.part, self.wait]
        self.rng.choices(steps, (30, 6, 25, 2, 20, 2))[0]()
        self.listen()

    def come(self) -> None:
        number = self.desk.connect(extended=True)
        self.here[number] = f"n{number}"
        self.desk.send(number, type="register", peer_id=self.here[number])

    def go(self) -> None:
        if self.here:
            number = self.rng.choice(list(self.here))
            del self.here[number]
            self.views.pop(number, None)
            self.desk.do(self.desk.hub.disconnect(number))

    def watch(self) -> None:
        """Begin to watch, or ask again."""
        if self.here:
            number = self.rng.choice(list(self.here))
            self.views.setdefault(number, [])
            self.desk.send(number, type="list_peers", watch=True)

    def unwatch(self) -> None:
        if self.views:
            number = self.rng.choice(list(self.views))
            self.desk.send(number, type="list_peers", watch=False)
            self.listen()
            del self.views[number]

    def part(self) -> None:
        self.desk.do(self.desk.hub.announce(self.desk.now))

    def wait(self) -> None:
        self.desk.now += self.rng.random() / 50

    def listen(self) -> None:
        for number, messages in self.desk.said.items():
            if (view := self.views.get(number)) is None:
                continue
            for message in messages:
                if message["type"] == "peers":
                    assert sorted(message["peers"]) == sorted(self.here.values())
                    view[:] = message["peers"]
                elif message["type"] == "peer_joined":
                    assert message["peer_id"] not in view
                    view.append(message["peer_id"])
                else:
                    view.remove(message["peer_id"])
        self.desk.said.clear()


@pytest.mark.parametrize("seed", range(20))
def test_every_watcher_can_tell_who_is_here_and_is_told_nothing_twice(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In any order of coming, going, watching, and telling by parts: what was heard adds up to who is there."""
    monkeypatch.setattr("mpcnode.server.relay.hub.ANNOUNCED_AT_ONCE", 20)
    crowd = Crowd(seed)
    for _ in range(1000):
        crowd.step()
    desk = crowd.desk
    assert max(len(room.watchers) for room in desk.hub._rooms.values()) > 40
    for _ in range(10):
        desk.now += 1
        desk.tell()
    crowd.listen()
    assert {tuple(sorted(view)) for view in crowd.views.values()} == {tuple(sorted(crowd.here.values()))}
    assert desk.hub.due is None
