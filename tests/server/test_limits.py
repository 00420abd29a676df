"""What one client may cost, at the hub: rate, time, places, frame sizes."""

from typing import Any

import pytest
from nacl.signing import SigningKey

from mpcnode.errors import ConfigurationError
from mpcnode.server.actions import Send
from mpcnode.server.limits import Limits, address_group
from tests.helpers.desk import Desk


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_too_many_messages_are_refused_and_time_brings_more() -> None:
    desk = Desk(burst=5, messages_per_second=2)
    one = desk.registered("cli1")
    for _ in range(4):
        desk.send(one, type="list_peers")
    assert desk.errors(one) == []
    desk.send(one, type="list_peers")
    assert desk.heard(one) == [{"type": "error", "error": "rate limited: try again in 0.5 s", "code": "rate_limited"}]
    desk.now += 1
    for _ in range(3):
        desk.send(one, type="list_peers")
    assert desk.errors(one) == ["rate_limited"]
    desk.now += 1e6
    for _ in range(6):
        desk.send(one, type="list_peers")
    assert desk.errors(one) == ["rate_limited"]


def test_who_does_not_stop_is_closed() -> None:
    desk = Desk(burst=5, excess=3)
    one = desk.registered("cli1")
    for _ in range(8):
        desk.send(one, type="list_peers")
    assert desk.errors(one) == ["rate_limited"] * 4
    assert desk.closed == {one: 1008}
    desk.send(one, type="list_peers")
    assert desk.heard(one) == []


def test_pings_and_fragments_are_not_free() -> None:
    desk = Desk(burst=5, excess=3)
    one = desk.connect()
    for _ in range(9):
        desk.do(desk.hub.receive_control(one, desk.now))
    assert desk.closed == {one: 1008}


def test_who_does_not_register_in_time_is_closed(desk: Desk) -> None:
    registered, late = desk.registered("cli1"), desk.connect()
    desk.now += 5
    later = desk.connect()
    desk.now += 5
    desk.do(desk.hub.tick(desk.now))
    assert desk.errors(late) == ["register_timeout"]
    assert desk.closed == {late: 1008}
    desk.now += 5
    desk.do(desk.hub.tick(desk.now))
    assert set(desk.closed) == {late, later}
    assert registered not in desk.closed


def test_an_address_has_a_limit_and_gets_its_places_back() -> None:
    desk = Desk(connections_per_address=2)
    first, _ = desk.connect(), desk.connect()
    refused = desk.connect()
    assert desk.errors(refused) == ["too_many_connections"]
    assert desk.closed == {refused: 1013}
    desk.send(refused, type="register", peer_id="cli1")
    assert desk.heard(refused) == []
    desk.connect(address="192.0.2.2")
    desk.do(desk.hub.disconnect(first))
    desk.connect()
    assert desk.closed == {refused: 1013}


def test_all_addresses_together_have_a_limit() -> None:
    desk = Desk(connections=3)
    for host in range(4):
        desk.connect(address=f"192.0.2.{host}")
    assert desk.closed == {4: 1013}


def test_a_room_is_full_when_its_list_would_not_fit_a_frame() -> None:
    desk = Desk(message_bytes=1024, connections_per_address=100)
    numbers = [desk.connect() for _ in range(20)]
    for index, number in enumerate(numbers):
        desk.send(number, type="register", peer_id=f"{index:064}")
    refused = [number for number in numbers if "room_full" in desk.errors(number)]
    assert refused == numbers[len(numbers) - len(refused) :] != []
    actions = desk.hub.receive(numbers[0], b'{"type":"list_peers"}', desk.now)
    assert isinstance(actions[0], Send)
    assert 1024 - 67 < len(actions[0].frame) <= 1024
    desk.do(desk.hub.disconnect(numbers[0]))
    desk.send(refused[0], type="register", peer_id="z")
    assert desk.heard(refused[0])[0]["type"] == "peers"


def test_no_frame_that_goes_out_is_above_the_limit_of_one_that_comes_in() -> None:
    desk = Desk(message_bytes=1024)
    long, short = desk.registered("x" * 64, extended=True), desk.registered("y")
    frame = b'{"type":"relay","to":"y","data":{"a":"' + b"a" * (1024 - 41) + b'"}}'
    assert len(frame) == 1024
    desk.send_raw(long, frame)
    (error,) = desk.heard(long)
    assert (error["code"], error["peer"]) == ("message_too_big", "y")
    assert desk.heard(short) == []
    assert desk.closed == {}


def test_who_does_not_read_is_closed_and_the_room_told(desk: Desk) -> None:
    watcher, slow = desk.registered("ana", extended=True, watch=True), desk.registered("ben")
    desk.heard(watcher)
    desk.do(desk.hub.overflow(slow))
    assert desk.errors(slow) == ["slow_reader"]
    assert desk.closed == {slow: 1008}
    assert desk.heard(watcher) == [{"type": "peer_left", "peer_id": "ben"}]
    assert desk.hub.overflow(slow) == []


def test_the_sender_is_refused_for_what_its_receiver_has_not_read_and_the_receiver_stays(desk: Desk) -> None:
    plain, ours, slow = desk.registered("eve"), desk.registered("ana", extended=True), desk.registered("ben")
    desk.do(desk.hub.busy(plain, slow))
    desk.do(desk.hub.busy(ours, slow))
    (to_plain,), (to_ours,) = desk.heard(plain), desk.heard(ours)
    assert to_plain == {"type": "error", "error": to_ours["error"], "code": "recipient_busy"}
    assert (to_ours["code"], to_ours["peer"], to_ours["retry_after"]) == ("recipient_busy", "ben", 500)
    assert desk.heard(slow) == []
    assert desk.closed == {}
    desk.do(desk.hub.disconnect(slow))
    assert desk.hub.busy(ours, slow) == []


def test_a_frame_that_is_too_big_closes(desk: Desk) -> None:
    one = desk.registered("cli1")
    desk.do(desk.hub.too_big(one))
    assert desk.errors(one) == ["message_too_big"]
    assert desk.closed == {one: 1009}


def test_shutdown_tells_everybody(desk: Desk) -> None:
    numbers = {desk.registered("cli1"), desk.connect(), desk.registered("cli2", extended=True, watch=True)}
    desk.do(desk.hub.shutdown())
    assert desk.closed == dict.fromkeys(numbers, 1012)
    for number in numbers:
        assert desk.errors(number) == ["server_shutdown"]
        assert desk.hub.disconnect(number) == []
    assert desk.hub.connections == 0


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:0:1:aaaa::1", "2001:db8:0:1::/64"),
        ("2001:db8:0:1:bbbb::2", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("not an address", "not an address"),
    ],
)
def test_an_ipv6_customer_counts_as_one_address(address: str, group: str) -> None:
    assert address_group(address) == group


@pytest.mark.parametrize(
    "limits",
    [
        {"burst": 0},
        {"register_seconds": -1.0},
        {"messages_per_second": float("nan")},
        {"message_bytes": 1023},
        {"message_bytes": 1 << 25, "outbox_bytes": 1 << 26},
        {"outbox_bytes": 65_535},
    ],
)
def test_limits_that_make_no_sense_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Limits(**limits)


def test_an_address_that_comes_too_often_is_told_when_to_come_again() -> None:
    desk = Desk(arrivals=5, arrivals_per_second=2)
    assert [desk.admission.admit("192.0.2.1", desk.now) for _ in range(5)] == [0.0] * 5
    wait = desk.admission.admit("192.0.2.1", desk.now)
    assert wait is not None
    assert wait == pytest.approx(0.5)
    assert desk.admission.admit("192.0.2.2", desk.now) == 0.0
    refused = desk.connect(wait=wait)
    assert desk.heard(refused) == [
        {"type": "error", "error": "too many connections: try again in 0.5 s", "code": "too_many_connections"}
    ]
    assert desk.closed == {refused: 1013}
    extended = desk.connect(extended=True, wait=wait)
    assert desk.heard(extended)[0]["retry_after"] == 500
    desk.now += 0.5
    assert desk.admission.admit("192.0.2.1", desk.now) == 0.0


def test_an_address_that_never_stops_is_no_longer_told() -> None:
    desk = Desk(arrivals=5, arrivals_per_second=2)
    answers = [desk.admission.admit("192.0.2.1", desk.now) for _ in range(1000)]
    told = sum(1 for wait in answers if wait)
    assert 0 < told <= 20
    assert answers[-1] is None
    desk.now += 1
    assert desk.admission.admit("192.0.2.1", desk.now) == 0.0


def test_connecting_again_does_not_bring_a_new_burst() -> None:
    """What an address sends in a second is bounded, however many connections it makes for it."""
    desk = Desk(arrivals=1_000_000, arrivals_per_second=1_000_000, connections_per_address=3, burst=100, excess=5)
    taken = 0
    for _ in range(200):
        one = desk.registered("cli1", extended=True)
        while one not in desk.closed:
            desk.send(one, type="list_peers")
        taken += sum(message["type"] == "peers" for message in desk.heard(one))
    assert taken < 16 * 100 + 200 * 50
    assert desk.hub.connections == 0
    few = desk.connect(extended=True)
    assert desk.heard(few)[0]["limits"]["burst"] == 50
    other = desk.connect(extended=True, address="192.0.2.2")
    assert desk.heard(other)[0]["limits"]["burst"] == 100


def test_what_a_connection_did_not_use_is_its_addresss_again() -> None:
    desk = Desk(arrivals=1_000_000)
    for _ in range(1000):
        one = desk.registered("cli1", extended=True)
        desk.do(desk.hub.disconnect(one))
    assert desk.heard(desk.connect(extended=True))[0]["limits"]["burst"] == 1000


def test_an_address_is_forgotten_when_it_has_everything_back() -> None:
    desk = Desk()
    for host in range(100):
        address = f"192.0.2.{host}"
        desk.admission.admit(address, desk.now)
        one = desk.connect(address=address)
        for _ in range(40):
            desk.send(one, type="list_peers")
        desk.do(desk.hub.disconnect(one))
    assert len(desk.admission._addresses) == 100
    desk.now += 60
    desk.do(desk.hub.tick(desk.now))
    desk.admission.tick(desk.now)
    assert len(desk.admission._addresses) == 0


def test_a_long_answer_and_a_long_message_cost_as_much_as_many_short_ones() -> None:
    desk = Desk(burst=100, connections_per_address=2000, arrivals=10_000)
    names = [desk.registered(f"{number:060}") for number in range(800)]
    desk.now += 100
    one = desk.registered("cli1", address="192.0.2.2")
    answers = 0
    while True:
        desk.send(one, type="list_peers")
        (answer,) = desk.heard(one)
        if answer["type"] == "error":
            break
        answers += 1
    assert answers <= 100 / 4
    desk.now += 100
    relayed = 0
    while True:
        desk.send(one, type="relay", to=f"{0:060}", data={"a": "a" * 60_000})
        if desk.errors(one):
            break
        relayed += 1
    assert relayed <= 100 / 4
    assert len(names) == 800


def test_a_refusal_says_when_to_try_again() -> None:
    desk = Desk(burst=1, messages_per_second=2)
    plain, extended = desk.connect(), desk.connect(extended=True)
    for number in (plain, extended):
        desk.heard(number)
        desk.send(number, type="list_peers")
        desk.heard(number)
        desk.send(number, type="list_peers")
    assert desk.heard(plain) == [{"type": "error", "error": "rate limited: try again in 0.5 s", "code": "rate_limited"}]
    assert desk.heard(extended)[0]["retry_after"] == 500


def test_no_signature_is_checked_for_a_room_that_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(message_bytes=1024, connections_per_address=100)
    for index in range(15):
        desk.send(desk.connect(), type="register", peer_id=f"{index:064}")

    def verify(*_: object) -> bool:
        raise AssertionError("a signature was checked in vain")

    monkeypatch.setattr("mpcnode.server.relay.hub.verify", verify)
    number = desk.register_with(SigningKey(b"\x01" * 32), "l" * 64)
    assert desk.errors(number) == ["room_full"]


def test_a_flood_that_is_read_slowly_ends_all_the_same() -> None:
    """Some messages of it are allowed again and again; most are refused."""
    desk = Desk(burst=5, messages_per_second=50, excess=20)
    one, steady = desk.registered("cli1"), desk.registered("cli2")
    for step in range(1000):
        desk.now += 0.002
        if one not in desk.closed:
            desk.send(one, type="list_peers")
        if step % 7 == 0:  # seventy a second: a fifth of it too much
            desk.send(steady, type="list_peers")
    assert desk.closed == {one: 1008}
    assert "rate_limited" in desk.errors(steady)
