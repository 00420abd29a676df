"""The wire of slots: what is taken, what is refused, and that nothing else ever comes out of a decoder."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpcnode.errors import DecodeError
from mpcnode.wire import slots as wire

CLIENT = [
    ({"type": "allocate"}, wire.Allocate()),
    ({"type": "claim", "slot": 1}, wire.Claim(1)),
    ({"type": "claim", "slot": 999_999}, wire.Claim(999_999)),
    ({"type": "message", "body": "00"}, wire.Message(b"\x00")),
    ({"type": "message", "body": "ab" * 4096}, wire.Message(b"\xab" * 4096)),
    ({"type": "release"}, wire.Release()),
]
SERVER = [
    ({"type": "allocated", "slot": 12, "expires_in": 3_600_000}, wire.Allocated(12, 3_600_000)),
    ({"type": "claimed", "expires_in": 60_000}, wire.Claimed(60_000)),
    ({"type": "message", "body": "53ab"}, wire.Message(b"\x53\xab")),
    ({"type": "released"}, wire.Released()),
    ({"type": "error", "error": "crowded", "code": "crowded"}, wire.Error("crowded", "crowded")),
    ({"type": "error", "error": "x", "code": "rate_limited", "retry_after": 10}, wire.Error("x", "rate_limited", 10)),
    ({"type": "error", "error": "x", "code": "a_newer_word"}, wire.Error("x", "a_newer_word")),
]


@pytest.mark.parametrize(("text", "message"), CLIENT)
def test_a_clients_messages_are_as_the_protocol_says(text: dict[str, Any], message: wire.ClientMessage) -> None:
    assert wire.decode_from_client(json.dumps(text).encode()) == message
    assert json.loads(wire.encode(message)) == text


@pytest.mark.parametrize(("text", "message"), SERVER)
def test_a_servers_messages_are_as_the_protocol_says(text: dict[str, Any], message: wire.ServerMessage) -> None:
    assert wire.decode_from_server(json.dumps(text).encode()) == message
    assert json.loads(wire.encode(message)) == text


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "null",
        "[]",
        '"allocate"',
        "{}",
        '{"type":"dance"}',
        '{"type":"allocated","slot":1,"expires_in":1}',
        '{"type":"allocate","slot":1}',
        '{"type":"allocate","password":"swirl-motor"}',
        '{"type":"allocate","type":"allocate"}',
        '{"type":"claim"}',
        '{"type":"claim","slot":0}',
        '{"type":"claim","slot":-1}',
        '{"type":"claim","slot":1000000}',
        '{"type":"claim","slot":1.0}',
        '{"type":"claim","slot":1e1}',
        '{"type":"claim","slot":"12"}',
        '{"type":"claim","slot":true}',
        '{"type":"claim","slot":null}',
        '{"type":"claim","slot":1,"slot":1}',
        '{"type":"message"}',
        '{"type":"message","body":""}',
        '{"type":"message","body":"0"}',
        '{"type":"message","body":"AB"}',
        '{"type":"message","body":"0g"}',
        '{"type":"message","body":"00 00"}',
        '{"type":"message","body":["00"]}',
        '{"type":"message","body":"' + "00" * 4097 + '"}',
        '{"type":"release","why":"done"}',
        '{"type":"release"} {}',
    ],
)
def test_anything_else_of_a_client_is_refused(frame: str) -> None:
    with pytest.raises(DecodeError):
        wire.decode_from_client(frame.encode())


@pytest.mark.parametrize(
    "frame",
    [
        '{"type":"allocate"}',
        '{"type":"allocated","slot":0,"expires_in":1}',
        '{"type":"allocated","slot":12}',
        '{"type":"allocated","slot":12,"expires_in":0}',
        '{"type":"allocated","slot":12,"expires_in":604800001}',
        '{"type":"claimed"}',
        '{"type":"claimed","expires_in":1,"slot":12}',
        '{"type":"released","by":1}',
        '{"type":"error","error":"x"}',
        '{"type":"error","error":"x","code":null}',
        '{"type":"error","error":"x","code":"Crowded"}',
        '{"type":"error","error":"' + "x" * 513 + '","code":"crowded"}',
        '{"type":"error","error":"x","code":"crowded","retry_after":0}',
        '{"type":"error","error":"x","code":"crowded","peer":"alice"}',
    ],
)
def test_anything_else_of_a_server_is_refused(frame: str) -> None:
    with pytest.raises(DecodeError):
        wire.decode_from_server(frame.encode())


@given(
    st.binary()
    | st.text().map(str.encode)
    | st.builds(lambda m, i: wire.encode(m[1])[:i], st.sampled_from(CLIENT), st.integers(0, 40))
)
def test_whatever_comes_is_a_message_or_refused(frame: bytes) -> None:
    for decode in (wire.decode_from_client, wire.decode_from_server):
        try:
            message = decode(frame)
        except DecodeError:
            continue
        assert decode(wire.encode(message)) == message
