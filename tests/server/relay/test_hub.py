"""The hub alone: calls in, actions out, no socket and no clock."""

import json
from typing import Any

import pytest
from nacl.signing import SigningKey

from mpcnode.crypto import tags
from mpcnode.crypto.transcript import tagged_hash
from mpcnode.server.actions import Send
from mpcnode.server.admission import Admission
from mpcnode.server.limits import Limits
from mpcnode.server.relay.hub import Hub, Pass
from mpcnode.wire.signaling import IceServer, register_fields
from tests.helpers.desk import ORIGIN, Desk


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_plain_client_sees_the_source_document_and_nothing_else(desk: Desk) -> None:
    one = desk.connect()
    assert desk.heard(one) == []
    desk.send(one, type="register", peer_id="cli1")
    assert desk.heard(one) == [{"type": "peers", "peers": ["cli1"]}]
    two = desk.registered("cli2")
    assert desk.heard(one) == []
    desk.send(one, type="list_peers")
    assert desk.heard(one) == [{"type": "peers", "peers": ["cli1", "cli2"]}]
    desk.do(desk.hub.disconnect(two))
    assert desk.heard(one) == []
    desk.send(one, type="list_peers")
    assert desk.heard(one) == [{"type": "peers", "peers": ["cli1"]}]


def test_relayed_data_is_untouched(desk: Desk) -> None:
    one, two = desk.registered("cli1"), desk.registered("cli2")
    data = b'{ "n" : 1.00, "big":' + b"9" * 400 + b',"s":"\\u00e9" }'
    actions = desk.hub.receive(one, b'{"type":"relay","to":"cli2","data":' + data + b"}", desk.now)
    assert actions == [Pass(two, b'{"type":"relay","from":"cli1","data":' + data + b"}", one, "192.0.2.1")]


def test_a_peer_may_relay_to_itself(desk: Desk) -> None:
    one = desk.registered("cli1")
    desk.send(one, type="relay", to="cli1", data={})
    assert desk.heard(one) == [{"type": "relay", "from": "cli1", "data": {}}]


@pytest.mark.parametrize("message", [{"type": "list_peers"}, {"type": "relay", "to": "cli2", "data": {}}])
def test_nothing_is_done_for_who_is_not_registered(desk: Desk, message: dict[str, Any]) -> None:
    two = desk.registered("cli2")
    one = desk.connect()
    desk.send(one, **message)
    assert desk.heard(one) == [{"type": "error", "error": "not registered", "code": "not_registered"}]
    assert desk.heard(two) == []
    assert desk.closed == {}


def test_an_unknown_peer_is_named(desk: Desk) -> None:
    one, extended = desk.registered("cli1"), desk.registered("cli2", extended=True)
    desk.send(one, type="relay", to="cli9", data={})
    assert desk.heard(one) == [{"type": "error", "error": "unknown peer: cli9", "code": "unknown_peer"}]
    desk.send(extended, type="relay", to="cli9", data={})
    assert desk.heard(extended)[0]["peer"] == "cli9"


@pytest.mark.parametrize("name", ["x" * 60_000, "\x1b[31mred", "\u202egpj", "a\nb", "", "\U0001f600" * 5000])
def test_an_unknown_peers_name_is_cut_and_escaped(desk: Desk, name: str) -> None:
    one = desk.registered("cli1", extended=True)
    desk.send(one, type="relay", to=name, data={})
    (error,) = desk.heard(one)
    assert error["code"] == "unknown_peer"
    assert error["error"].isascii()
    assert error["error"].isprintable()
    assert len(error["error"]) < 700


def test_an_invalid_message_is_answered_and_the_client_stays(desk: Desk) -> None:
    one = desk.registered("cli1")
    for frame in (b"{", b'{"type":"dance"}', b'{"type":"register","peer_id":7}', b"[" * 200_000):
        desk.send_raw(one, frame)
        assert desk.heard(one) == [{"type": "error", "error": "invalid message", "code": "invalid_message"}]
    desk.do(desk.hub.receive_binary(one, desk.now))
    assert desk.errors(one) == ["invalid_message"]
    assert desk.closed == {}


@pytest.mark.parametrize("name", ["", "a b", "a/b", "é", "a" * 65, "a\n"])
def test_a_name_has_a_form(desk: Desk, name: str) -> None:
    one = desk.connect()
    desk.send(one, type="register", peer_id=name)
    assert desk.errors(one) == ["invalid_peer_id"]
    extended = desk.connect(extended=True)
    desk.heard(extended)
    desk.send(extended, type="register", peer_id="a", room=name)
    assert desk.errors(extended) == ["invalid_room"]


def test_a_taken_name_is_refused_and_the_connection_closed_after_saying_so(desk: Desk) -> None:
    desk.registered("cli1")
    other = desk.connect()
    desk.send(other, type="register", peer_id="cli1")
    assert desk.heard(other) == [{"type": "error", "error": "peer_id already registered", "code": "already_registered"}]
    assert desk.closed == {other: 1008}
    again = desk.registered("cli3")
    desk.send(again, type="register", peer_id="cli4")
    assert desk.errors(again) == ["already_registered"]
    assert again in desk.closed


def test_a_name_is_free_again_when_its_holder_is_gone(desk: Desk) -> None:
    desk.do(desk.hub.disconnect(desk.registered("cli1")))
    desk.registered("cli1")
    assert desk.closed == {}


def test_welcome_comes_first_and_only_with_the_subprotocol() -> None:
    ice = IceServer(("turn:turn.example",), "u", "c")
    hub = Hub(Admission(Limits()), version="1.2.3", rng=lambda n: b"\x07" * n, ice_servers=(ice,))
    (action,) = hub.connect(1, address="::1", extended=True, origins=[], now=0)
    assert isinstance(action, Send)
    assert json.loads(action.frame) == {
        "type": "welcome",
        "version": "1.2.3",
        "challenge": "07" * 32,
        "limits": {"message_bytes": 65_536, "messages_per_second": 50.0, "burst": 1000},
        "ice_servers": [{"urls": ["turn:turn.example"], "username": "u", "credential": "c"}],
    }
    assert hub.connect(2, address="::1", extended=False, origins=[], now=0) == []


def test_a_key_protects_its_name(desk: Desk) -> None:
    ana, mallory = SigningKey(b"\x01" * 32), SigningKey(b"\x02" * 32)
    holder = desk.register_with(ana, "ana")
    assert desk.heard(holder) == [{"type": "peers", "peers": ["ana"]}]
    for thief in (desk.register_with(mallory, "ana"), desk.connect()):
        if thief not in desk.closed:
            desk.send(thief, type="register", peer_id="ana")
        assert desk.errors(thief) == ["already_registered"]
        assert desk.closed[thief] == 1008
    assert holder not in desk.closed


def test_a_key_does_not_take_a_name_from_who_has_none(desk: Desk) -> None:
    holder = desk.registered("ana")
    late = desk.register_with(SigningKey(b"\x01" * 32), "ana")
    assert desk.errors(late) == ["already_registered"]
    assert holder not in desk.closed


def test_the_same_key_takes_its_name_over_and_the_room_sees_it(desk: Desk) -> None:
    ana = SigningKey(b"\x01" * 32)
    watcher = desk.registered("ben", extended=True, watch=True)
    old = desk.register_with(ana, "ana")
    desk.heard(old)
    desk.heard(watcher)
    new = desk.register_with(ana, "ana")
    assert desk.errors(old) == ["replaced"]
    assert desk.closed == {old: 1008}
    assert desk.heard(watcher) == [
        {"type": "peer_left", "peer_id": "ana"},
        {"type": "peer_joined", "peer_id": "ana"},
    ]
    desk.heard(new)
    desk.send(watcher, type="relay", to="ana", data={})
    assert desk.heard(new) == [{"type": "relay", "from": "ben", "data": {}}]
    assert desk.hub.disconnect(old) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"origin": "ws://other.example"},
        {"challenge": b"\x00" * 32},
        {"peer_id": "ben"},
        {"room": "elsewhere"},
    ],
)
def test_a_registration_signed_for_something_else_is_refused(desk: Desk, changes: dict[str, Any]) -> None:
    # `room` and `peer_id` of the statement change; those of the message stay.
    key = SigningKey(b"\x01" * 32)
    number = desk.connect(extended=True)
    parts = {
        "origin": ORIGIN,
        "challenge": bytes.fromhex(desk.heard(number)[0]["challenge"]),
        "room": "public",
        "peer_id": "ana",
    }
    signature = key.sign(tagged_hash(tags.REGISTER, *register_fields(**{**parts, **changes}))).signature
    public_key = key.verify_key.encode().hex()
    desk.send(number, type="register", peer_id="ana", public_key=public_key, signature=signature.hex())
    assert desk.errors(number) == ["invalid_signature"]
    assert desk.closed == {number: 1008}


def test_rooms_do_not_see_each_other(desk: Desk) -> None:
    def enter(name: str, room: str) -> int:
        number = desk.connect(extended=True)
        desk.heard(number)
        desk.send(number, type="register", peer_id=name, room=room)
        desk.send(number, type="list_peers", watch=True)
        return number

    red, blue = enter("ana", "red"), enter("ana", "blue")
    enter("ben", "blue")
    assert [message.get("peers") for message in desk.heard(red)] == [["ana"], ["ana"]]
    assert {"type": "peer_joined", "peer_id": "ben"} in desk.heard(blue)
    desk.send(red, type="relay", to="ben", data={})
    assert desk.errors(red) == ["unknown_peer"]


def test_nobody_speaks_to_a_watcher_that_left(desk: Desk) -> None:
    watcher, stayer = (desk.registered(name, extended=True, watch=True) for name in ("ana", "ben"))
    desk.do(desk.hub.disconnect(watcher))
    desk.heard(watcher)
    desk.heard(stayer)
    desk.do(desk.hub.disconnect(desk.registered("eve")))
    assert desk.heard(watcher) == []
    assert len(desk.heard(stayer)) == 2


def test_watching_ends_when_told_to(desk: Desk) -> None:
    watcher = desk.registered("ana", extended=True, watch=True)
    ben = desk.registered("ben")
    assert desk.heard(watcher) == [{"type": "peer_joined", "peer_id": "ben"}]
    desk.send(watcher, type="list_peers")
    desk.heard(watcher)
    desk.do(desk.hub.disconnect(ben))
    assert desk.heard(watcher) == [{"type": "peer_left", "peer_id": "ben"}]
    desk.send(watcher, type="list_peers", watch=False)
    desk.heard(watcher)
    desk.registered("eve")
    assert desk.heard(watcher) == []
