import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.errors import DecodeError
from mpcnode.types import IdentityKey, PeerId, SessionId, SuiteId
from mpcnode.wire import framing, peer, relay
from mpcnode.wire.fields import MAX_DATA_BYTES
from mpcnode.wire.peer import NAMED_ROUNDS, PeerMessage, RoundMessage
from tests.wire.test_relay import EVERY as RELAYED

SESSION = SessionId(b"\x5e" * 16)
MESH = b"\x77" * 16
SUITE = SuiteId("FROST-ED25519-SHA512-v1")


def said(name: str, **fields: Any) -> RoundMessage:
    return RoundMessage(session_id=SESSION, round=name, **{"data": b"\xaa\xbb", **fields})


EVERY: dict[str, PeerMessage] = {
    "channel_open": peer.ChannelOpen(PeerId("cli2"), MESH, IdentityKey(bytes(32)), b"\x11" * 64),
    "mesh_ready": peer.MeshReady(MESH),
    "commitment": said("commitment", lane=SUITE, echo=b"\x22" * 32),
    "share": said("share", lane=SUITE),
    "ready": said("ready"),
    "wallet_created": said("wallet_created", data=b""),
    "round": said("nonce_list", lane=SUITE, echo=b"\x33" * 32),
    "ack": peer.Ack(17),
    "ping": peer.Ping(),
    "abort": peer.Abort(SESSION, "participant_cheated", "a share does not fit", (PeerId("cli3"),), b"\xbe\xef"),
    "idle": peer.Idle(MESH),
}

# What ``test_relay`` probes field by field, here only as a passenger.
NEGOTIATION: dict[str, PeerMessage] = {
    "session_proposal": RELAYED["proposal"],  # type: ignore[dict-item]
    "session_response": RELAYED["refusal"],  # type: ignore[dict-item]
    "session_start": RELAYED["start"],  # type: ignore[dict-item]
    "session_cancel": RELAYED["cancel"],  # type: ignore[dict-item]
}
ALL = {**EVERY, **NEGOTIATION}


def test_every_message_is_covered_here() -> None:
    assert ALL.keys() == peer._TYPES.keys()


@pytest.mark.parametrize("name", ALL)
def test_a_message_comes_out_as_it_went_in(name: str) -> None:
    for msg_id in (None, 1, 2**53 - 1):
        data = peer.encode(ALL[name], msg_id)
        assert peer.decode(data) == (ALL[name], msg_id)
        assert json.loads(data)["type"] == name
        assert json.loads(data).get("msg_id") == msg_id
        assert peer.type_name(ALL[name]) == name


@pytest.mark.parametrize("name", ALL)
def test_the_type_stands_once(name: str) -> None:
    whole = json.loads(peer.encode(ALL[name]))
    assert "type" not in whole["payload"]
    whole["payload"]["type"] = name
    with pytest.raises(DecodeError):
        peer.decode(json.dumps(whole).encode())


def test_a_round_is_spelled_as_the_protocol_says() -> None:
    assert json.loads(peer.encode(EVERY["round"], 4)) == {
        "type": "round",
        "payload": {
            "session_id": "5e" * 16,
            "round": "nonce_list",
            "lane": SUITE,
            "data": "aabb",
            "echo": "33" * 32,
        },
        "msg_id": 4,
    }
    assert json.loads(peer.encode(said("share"))) == {
        "type": "share",
        "payload": {"session_id": "5e" * 16, "data": "aabb"},
    }


@pytest.mark.parametrize("name", NAMED_ROUNDS)
def test_a_round_that_has_a_type_of_its_own_has_one_spelling(name: str) -> None:
    data = json.dumps({"type": "round", "payload": {"session_id": "5e" * 16, "round": name, "data": ""}}).encode()
    with pytest.raises(DecodeError, match="has that type"):
        peer.decode(data)
    whole = json.loads(peer.encode(EVERY[name]))
    whole["payload"]["round"] = name
    with pytest.raises(DecodeError):
        peer.decode(json.dumps(whole).encode())


@pytest.mark.parametrize("name", ALL)
def test_an_unknown_field_is_refused(name: str) -> None:
    whole = json.loads(peer.encode(ALL[name]))
    for broken in ({**whole, "from": "cli1"}, {**whole, "payload": {**whole["payload"], "from": "cli1"}}):
        with pytest.raises(DecodeError):
            peer.decode(json.dumps(broken).encode())


@pytest.mark.parametrize("name", ALL)
def test_a_key_that_stands_twice_is_refused(name: str) -> None:
    data = peer.encode(ALL[name], 1)
    for field, value in json.loads(data)["payload"].items():
        again = json.dumps({field: value}, separators=(",", ":"))[1:-1].encode()
        with pytest.raises(DecodeError):
            peer.decode(data.replace(b'"payload":{', b'"payload":{' + again + b",", 1))
    for part in (b'"msg_id":1,', b'"type":"' + name.encode() + b'",'):
        with pytest.raises(DecodeError):
            peer.decode(b"{" + part + data[1:])


OPTIONAL = {("channel_open", "signature"), ("abort", "culprits"), ("abort", "evidence")}
OPTIONAL |= {(name, field) for name in (*NAMED_ROUNDS, "round") for field in ("lane", "echo")}


@pytest.mark.parametrize("name", EVERY)
def test_a_message_lacks_nothing_that_is_not_optional(name: str) -> None:
    for field in json.loads(peer.encode(EVERY[name]))["payload"]:
        whole = json.loads(peer.encode(EVERY[name]))
        del whole["payload"][field]
        if (name, field) in OPTIONAL:
            peer.decode(json.dumps(whole).encode())
        else:
            with pytest.raises(DecodeError):
                peer.decode(json.dumps(whole).encode())


def fields() -> list[tuple[str, str]]:
    return [(name, field) for name, one in EVERY.items() for field in json.loads(peer.encode(one))["payload"]]


@pytest.mark.parametrize(("name", "field"), fields())
@pytest.mark.parametrize(
    "value",
    [None, 7, 0, -1, 1.5, True, 2**53, "not HEX, no name\n", "AB", "abc", ["x y"], [None], {"a": 1}, "", "0" * 70_001],
)
def test_a_field_of_another_form_is_refused(name: str, field: str, value: object) -> None:
    whole = json.loads(peer.encode(EVERY[name]))
    whole["payload"][field] = value
    data = json.dumps(whole).encode()
    fits = (
        (field == "reason" and isinstance(value, str) and len(value) < 100)
        or (field in {"data", "evidence"} and value == "")
        or (field in {"peer_id", "lane"} and isinstance(value, str) and value in {"AB", "abc"})
        or (field in {"round", "code"} and value == "abc")
        or (field == "msg_id" and value == 7)
    )
    if fits:
        peer.decode(data)
    else:
        with pytest.raises(DecodeError):
            peer.decode(data)


@pytest.mark.parametrize("msg_id", [0, -1, 1.0, 2**53, "1", None, True, [], 10**400])
def test_a_message_number_is_a_whole_one_from_1(msg_id: object) -> None:
    for whole in ({"type": "ping", "payload": {}, "msg_id": msg_id}, {"type": "ack", "payload": {"msg_id": msg_id}}):
        with pytest.raises(DecodeError):
            peer.decode(json.dumps(whole).encode())


def test_the_longest_data_fits_a_message_and_one_byte_more_does_not() -> None:
    longest = RoundMessage(
        session_id=SESSION,
        round="r" * 40,
        lane=SuiteId("s" * 64),
        data=b"\xab" * MAX_DATA_BYTES,
        echo=b"\xff" * 32,
    )
    data = peer.encode(longest, 2**53 - 1)
    assert len(data) <= framing.MAX_MESSAGE
    assert peer.decode(data) == (longest, 2**53 - 1)
    with pytest.raises(DecodeError):
        peer.decode(data.replace(b'"data":"', b'"data":"ab'))


def test_the_longest_abort_fits_a_message() -> None:
    abort = peer.Abort(SESSION, "c" * 40, "\x00" * 500, (PeerId("p" * 64),) * 64, b"\xab" * MAX_DATA_BYTES)
    data = peer.encode(abort, 2**53 - 1)
    assert len(data) <= framing.MAX_MESSAGE
    assert peer.decode(data) == (abort, 2**53 - 1)


def test_words_and_names_are_bounded() -> None:
    def change(name: str, **fields: object) -> bytes:
        whole = json.loads(peer.encode(EVERY[name]))
        whole["payload"].update(fields)
        return json.dumps(whole).encode()

    for name, field, right, wrong in [
        ("round", "round", "r" * 40, "r" * 41),
        ("round", "round", "a_b", "a-b"),
        ("round", "lane", "s" * 64, "s" * 65),
        ("abort", "code", "c" * 40, "c" * 41),
        ("abort", "reason", "r" * 500, "r" * 501),
        ("abort", "culprits", ["p"] * 64, ["p"] * 65),
        ("abort", "culprits", ["p" * 64], ["p" * 65]),
        ("channel_open", "peer_id", "p" * 64, "p" * 65),
    ]:
        peer.decode(change(name, **{field: right}))
        with pytest.raises(DecodeError):
            peer.decode(change(name, **{field: wrong}))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"{}",
        b"\xff\xfe",
        b'{"type":"ping"}',
        b'{"type":"launch","payload":{}}',
        b'{"type":"ping","payload":[]}',
        b'{"type":"ping","payload":null}',
        b'{"type":"ping","payload":{},"msg_id":""}',
        b'{"type":"ping","payload":{},"msg_id":"a b"}',
        b'{"type":"ping","payload":{}} ' + b"x",
        b'{"type":"abort","payload":{"session_id":"' + SESSION.hex().encode() + b'","code":"x","reason":"\\ud800"}}',
        b"[" * 100_000,
        b'{"type":"ping","payload":' + b"[" * 100_000,
        # What the relay carries and a mesh does not.
        b'{"type":"certificate_request","payload":{"wallet":"' + b"00" * 16 + b'","epoch":"' + b"00" * 32 + b'"}}',
        b'{"type":"offer","payload":{"mesh":"' + b"00" * 16 + b'","attempt":1,"sdp":""}}',
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        peer.decode(data)


def test_an_unknown_type_is_not_shown_as_it_is() -> None:
    with pytest.raises(DecodeError) as caught:
        peer.decode(b'{"type":"\\u001b[31m","payload":{}}')
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("name", ALL)
def test_a_truncated_message_is_refused(name: str) -> None:
    data = peer.encode(ALL[name], 1)
    for length in range(len(data)):
        with pytest.raises(DecodeError):
            peer.decode(data[:length])


@settings(max_examples=200, deadline=None)
@given(st.binary() | st.text().map(str.encode))
def test_only_decode_errors_escape_whatever_comes(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        peer.decode(data)


def test_every_negotiation_message_goes_over_a_mesh_as_through_the_relay() -> None:
    for name, message in NEGOTIATION.items():
        over_mesh = json.loads(peer.encode(message))["payload"]
        relayed = json.loads(relay.encode_message(message))  # type: ignore[arg-type]
        assert {"type": name, **over_mesh} == relayed
        assert isinstance(message, msgspec.Struct)
