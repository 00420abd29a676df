"""The signaling wire: what is taken, what is refused, and that nothing else ever comes out of a decoder."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.errors import DecodeError
from mpcnode.types import IdentityKey, PeerId
from mpcnode.wire import signaling as wire

REGISTER = wire.Register(PeerId("cli1"), "room", IdentityKey(bytes(32)), b"\x11" * 64)


def from_client(frame: bytes | str | dict[str, Any], *, extended: bool = True) -> wire.ClientMessage:
    if isinstance(frame, dict):
        frame = json.dumps(frame)
    return wire.decode_from_client(frame.encode() if isinstance(frame, str) else frame, extended=extended)


@pytest.mark.parametrize("extended", [False, True])
def test_the_messages_of_the_source_document_are_taken(*, extended: bool) -> None:
    assert from_client('{ "type": "register", "peer_id": "cli1" }', extended=extended) == wire.Register("cli1")
    assert from_client('{ "type": "list_peers" }', extended=extended) == wire.ListPeers()
    message = from_client('{ "type": "relay", "to": "cli2", "data": { "a": 1 } }', extended=extended)
    assert isinstance(message, wire.Relay)
    assert (message.to, bytes(message.data)) == ("cli2", b'{ "a": 1 }')


def test_the_answers_are_the_source_documents() -> None:
    assert wire.encode(wire.Peers((PeerId("cli1"), PeerId("cli2")))) == b'{"type":"peers","peers":["cli1","cli2"]}'
    assert wire.encode(wire.Error("unknown peer: x", "unknown_peer")) == (
        b'{"type":"error","error":"unknown peer: x","code":"unknown_peer"}'
    )
    assert wire.relayed_prefix(PeerId("cli1")) + b'{"x":1}}' == b'{"type":"relay","from":"cli1","data":{"x":1}}'
    assert wire.relay_frame(PeerId("cli2"), b'{"x":1}') == b'{"type":"relay","to":"cli2","data":{"x":1}}'


@pytest.mark.parametrize(
    "data",
    [
        b'{"n":1.0,"m":1e400,"k":-0}',
        b'{"n":' + b"9" * 5000 + b"}",
        b'{ "a" :\t[1 ,2],\n"b":"\\u00e9\\ud83d\\ude00" }',
        '{"é":"\U0001f600"}'.encode(),
        b'{"a":1,"a":2}',
        b'{"a":"[[[[' + b"[" * 500 + b'"}',
    ],
)
def test_data_passes_byte_for_byte(data: bytes) -> None:
    message = from_client(b'{"type":"relay","to":"a","data":' + data + b"}")
    assert isinstance(message, wire.Relay)
    assert bytes(message.data) == data
    relayed = wire.decode_from_server(wire.relayed_prefix(PeerId("b")) + data + b"}")
    assert isinstance(relayed, wire.Relayed)
    assert bytes(relayed.data) == data


RELAY = b'{"type":"relay","to":"a","data":'


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"hello", id="not JSON"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="an array"),
        pytest.param(b'"register"', id="a string"),
        pytest.param(b"\xff\xfe", id="not UTF-8"),
        pytest.param(b'\xef\xbb\xbf{"type":"list_peers"}', id="a byte order mark"),
        pytest.param(b'{"type":"list_peers"}{}', id="something after"),
        pytest.param(b'{"type":"dance"}', id="an unknown type"),
        pytest.param(b'{"type":1}', id="a type that is a number"),
        pytest.param(b"{}", id="no type"),
        pytest.param(b'{"type":"register"}', id="no name"),
        pytest.param(b'{"type":"register","peer_id":7}', id="a name that is a number"),
        pytest.param(b'{"type":"register","peer_id":"\\ud800"}', id="a lone surrogate"),
        pytest.param(b'{"type":"register","peer_id":"a","x":1}', id="an unknown field"),
        pytest.param(b'{"type":"register","peer_id":"a","peer_id":"b"}', id="a name given twice"),
        pytest.param(b'{"type":"list_peers","type":"list_peers"}', id="a type given twice"),
        pytest.param(b'{"type":"list_peers","watch":1}', id="watch is a number"),
        pytest.param(b'{"type":"list_peers","watch":null}', id="watch is null"),
        pytest.param(wire.encode(REGISTER).replace(b"11" * 64, b"1A" * 64), id="a signature in capitals"),
        pytest.param(wire.encode(REGISTER).replace(b"00" * 32, b"00" * 31), id="a short key"),
        pytest.param(b'{"type":"register","peer_id":"a","public_key":"' + b"0" * 64 + b'"}', id="a key alone"),
        pytest.param(b'{"type":"register","peer_id":"a","signature":"' + b"0" * 128 + b'"}', id="a signature alone"),
        pytest.param(RELAY[:-1], id="truncated"),
        pytest.param(b'{"type":"relay","to":"a"}', id="no data"),
        pytest.param(b'{"type":"relay","data":{}}', id="no receiver"),
        pytest.param(b'{"type":"relay","to":["a"],"data":{}}', id="a list of receivers"),
        pytest.param(b'{"type":"relay","to":"a","to":"b","data":{}}', id="two receivers"),
        pytest.param(b'{"to":"a","type":"relay","data":{},"data":{"x":1}}', id="data given twice"),
        pytest.param(b'{"type":"relay","to":"a","from":"b","data":{}}', id="a sender of its own choice"),
        pytest.param(RELAY + b"1}", id="data is a number"),
        pytest.param(RELAY + b"null}", id="data is null"),
        pytest.param(RELAY + b"[]}", id="data is an array"),
        pytest.param(RELAY + b'"{}"}', id="data is a string"),
        pytest.param(RELAY + b'{"a":NaN}}', id="NaN"),
        pytest.param(RELAY + b'{"a":Infinity}}', id="Infinity"),
        pytest.param(RELAY + b'{"a":"\\ud800"}}', id="a lone high surrogate in data"),
        pytest.param(RELAY + b'{"a":"\\udc00"}}', id="a lone low surrogate in data"),
        pytest.param(RELAY + b'{"a":"\xff"}}', id="bytes that are no UTF-8 in data"),
        pytest.param(RELAY + b'{"a":"\xed\xa0\x80"}}', id="an encoded surrogate in data"),
        pytest.param(RELAY + b'{"a":"\n"}}', id="a bare control character"),
        pytest.param(RELAY + b"[" * 200_000 + b"]" * 200_000 + b"}", id="200,000 deep"),
        pytest.param(b'{"a":' * 200_000, id="200,000 deep and open"),
        pytest.param(RELAY + b'{"a":' * 65 + b"1" + b"}" * 66, id="65 deep"),
        pytest.param(RELAY + b'{"a":' + b"[" * 64 + b"]" * 64 + b"}}", id="65 deep in arrays"),
    ],
)
def test_what_is_no_message_is_refused(frame: bytes) -> None:
    with pytest.raises(DecodeError):
        from_client(frame)


def test_data_may_be_as_deep_as_the_limit() -> None:
    data = b'{"a":' * 64 + b'"' + b"{" * 70 + b'\\""' + b"}" * 64
    message = from_client(RELAY + data + b"}")
    assert isinstance(message, wire.Relay)
    assert bytes(message.data) == data


@pytest.mark.parametrize(
    "message",
    [
        {"type": "list_peers", "watch": True},
        {"type": "register", "peer_id": "a", "room": "r"},
        {"type": "register", "peer_id": "a", "public_key": "0" * 64, "signature": "0" * 128},
    ],
)
def test_the_extension_is_refused_without_the_subprotocol(message: dict[str, Any]) -> None:
    from_client(message, extended=True)
    with pytest.raises(DecodeError, match="subprotocol"):
        from_client(message, extended=False)


@settings(max_examples=200, deadline=None)
@given(frame=st.binary(max_size=300), extended=st.booleans())
def test_any_bytes_are_a_message_or_a_decode_error(*, frame: bytes, extended: bool) -> None:
    for decode in (lambda: wire.decode_from_client(frame, extended=extended), lambda: wire.decode_from_server(frame)):
        try:
            decode()
        except DecodeError:
            continue


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
words = st.sampled_from(
    ["type", "register", "list_peers", "relay", "peer_id", "to", "data", "room", "watch", "peers", "from", "error"]
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(words, words | json_values, max_size=5))
def test_any_json_is_a_message_or_a_decode_error(value: dict[str, Any]) -> None:
    frame = json.dumps(value).encode()
    for decode in (lambda: wire.decode_from_client(frame, extended=True), lambda: wire.decode_from_server(frame)):
        try:
            message = decode()
        except DecodeError:
            continue
        assert json.loads(wire.encode(message)).items() <= value.items()


peer_names = st.from_regex(r"\A[A-Za-z0-9._-]{1,64}\Z")


@settings(max_examples=100, deadline=None)
@given(peer_names, st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=20), max_size=4))
def test_a_relayed_object_arrives_as_it_was_sent(name: str, data: dict[str, Any]) -> None:
    raw = json.dumps(data, ensure_ascii=False).encode("utf-8", "surrogatepass")
    try:
        sent = wire.relay_frame(PeerId(name), raw)
    except DecodeError:
        with pytest.raises(UnicodeDecodeError):
            raw.decode()
        return
    message = wire.decode_from_client(sent, extended=False)
    assert isinstance(message, wire.Relay)
    assert (message.to, bytes(message.data)) == (name, raw)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 400), st.integers(0, 255))
def test_a_changed_byte_changes_the_message_or_is_refused(position: int, byte: int) -> None:
    frame = bytearray(wire.encode(REGISTER))
    changed = frame[position % len(frame)] != byte
    frame[position % len(frame)] = byte
    try:
        message = wire.decode_from_client(bytes(frame), extended=True)
    except DecodeError:
        return
    assert (message != REGISTER) == changed


WELCOME = wire.encode(wire.Welcome("1.2.3", bytes(32), wire.OfferedLimits(65_536, 50, 1000)))


def test_a_welcome_comes_out_as_it_went_in() -> None:
    assert wire.decode_from_server(WELCOME) == wire.Welcome("1.2.3", bytes(32), wire.OfferedLimits(65_536, 50, 1000))
    assert json.loads(WELCOME)["challenge"] == "00" * 32


@pytest.mark.parametrize(
    "frame",
    [
        b'{"type":"peers","peers":["a b"]}',
        b'{"type":"peers","peers":["' + b"a" * 65 + b'"]}',
        b'{"type":"peer_joined","peer_id":"\\u001b[31m"}',
        b'{"type":"relay","from":"../x","data":{}}',
        b'{"type":"error","error":"' + b"x" * 513 + b'"}',
        b'{"type":"error","error":"x","code":"Not A Word"}',
        b'{"type":"welcome","version":"1\\n","challenge":"' + b"0" * 64 + b'","limits":{}}',
        b'{"type":"peers","peers":[],"peers":["a"]}',
        b'{"type":"relay","from":"a","from":"b","data":{}}',
        b'{"type":"relay","from":"a","data":{},"data":{"x":1}}',
        b'{"type":"error","error":"x","code":null}',
        WELCOME.replace(b"50", b"50.0"),
        WELCOME.replace(b"50", b"0"),
        WELCOME.replace(b"50", b"1e1"),
        WELCOME.replace(b"00000000", b"0000000"),
        WELCOME.replace(b"00000000", b"0000000A"),
        WELCOME.replace(b'"limits":{', b'"limits":{"burst":2,'),
    ],
)
def test_what_no_honest_server_sends_is_refused(frame: bytes) -> None:
    with pytest.raises(DecodeError):
        wire.decode_from_server(frame)


def test_an_error_of_a_plain_server_needs_no_code() -> None:
    assert wire.decode_from_server(b'{"type":"error","error":"no"}') == wire.Error("no")


def test_what_cannot_be_relayed_is_refused_before_it_is_sent() -> None:
    for data in (b"", b"[]", b"{}}", b'{"a":1},"x":{"b":2}', b'{"a":"\xff"}', b"1"):
        with pytest.raises(DecodeError):
            wire.relay_frame(PeerId("a"), data)


def test_a_turn_credential_is_not_shown() -> None:
    server = wire.IceServer(("turn:turn.example",), "ana", "swordfish")
    assert "swordfish" not in repr(server) + str(server.__rich_repr__())
    assert b"swordfish" in msgspec.json.encode(server)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("ws://127.0.0.1:9000", "ws://127.0.0.1:9000"),
        ("ws://Example.ORG/", "ws://example.org"),
        ("ws://example.org:80", "ws://example.org"),
        ("wss://example.org:443/x?y", "wss://example.org"),
        ("wss://example.org:80", "wss://example.org:80"),
        ("ws://[::1]:9000", "ws://[::1]:9000"),
        ("ws://user:secret@example.org:1", "ws://example.org:1"),
        ("ws://münchen.example", "ws://xn--mnchen-3ya.example"),
    ],
)
def test_an_origin_is_the_same_however_it_is_written(url: str, origin: str) -> None:
    assert wire.origin_of(url) == origin


@pytest.mark.parametrize(
    "url", ["", "example.org", "http://example.org", "ws://", "ws://a:b", "ws://a:99999", "ws://["]
)
def test_what_is_no_server_has_no_origin(url: str) -> None:
    with pytest.raises(ValueError):
        wire.origin_of(url)


def test_every_part_of_a_registration_is_signed() -> None:
    parts = {"origin": "ws://a", "challenge": b"\x00" * 32, "room": "r", "peer_id": "p"}
    others = {"origin": "ws://ab", "challenge": b"\x01" * 32, "room": "rp", "peer_id": ""}
    statements = {wire.register_fields(**parts)}  # type: ignore[arg-type]
    statements |= {wire.register_fields(**{**parts, name: other}) for name, other in others.items()}  # type: ignore[arg-type]
    statements.add(wire.register_fields(origin="ws://a", challenge=b"\x00" * 32, room="rp", peer_id=""))
    assert len(statements) == 6
