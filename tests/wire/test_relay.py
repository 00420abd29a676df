import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.errors import DecodeError
from mpcnode.wire import relay
from mpcnode.wire.relay import Envelope, RelayMessage

SESSION = "5e" * 16

EVERY: list[RelayMessage] = [
    relay.SessionProposal(
        session_id=SESSION,
        salt="99" * 16,
        kind="keygen",
        total=2,
        threshold=2,
        participants=("cli1", "cli2"),
        public_keys=("00" * 32, "11" * 32),
        suites=("FROST-ED25519-SHA512-v1",),
        wallet_name="treasury",
        expires=1_900_000_000,
        answer_within=60,
    ),
    relay.SessionResponse(session_id=SESSION, accepted=True, proposal="22" * 32, fresh="33" * 32),
    relay.SessionResponse(
        session_id=SESSION, accepted=True, proposal="22" * 32, fresh="33" * 32, meshes=("44" * 16, "55" * 16)
    ),
    relay.SessionCancel(SESSION, "refused", "changed my mind", ("cli2",)),
    relay.Offer(SESSION, 1, "v=0"),
    relay.Answer(SESSION, 1, "v=0"),
    relay.IceCandidate(SESSION, 1, "candidate:1 1 udp 1 192.0.2.1 9 typ host", "0", 0),
    relay.CertificateRequest(SESSION),
    relay.CertificateReply(SESSION, "44" * 32, {"cli1": "55" * 64}),
    relay.SessionStart(session_id=SESSION, signers=("cli1", "cli2"), fresh={"cli1": "66" * 32}, mesh="77" * 16),
    relay.SessionProposal(
        session_id=SESSION,
        salt="99" * 16,
        kind="sign",
        total=2,
        threshold=2,
        participants=("cli1", "cli2"),
        public_keys=("00" * 32, "11" * 32),
        suites=("FROST-ED25519-SHA512-v1",),
        wallet_name="treasury",
        expires=1_900_000_000,
        answer_within=60,
        sign=relay.SignRequest("88" * 16, 0, "text", ("68656c6c6f",)),
    ),
]
IDS = [type(message).__name__ for message in EVERY]


def sealed(message: RelayMessage) -> bytes:
    return relay.encode(Envelope(SESSION, 1_900_000_000, 0, message))


@pytest.mark.parametrize("message", EVERY, ids=IDS)
def test_a_sealed_message_comes_out_as_it_went_in(message: RelayMessage) -> None:
    assert relay.decode_envelope(sealed(message)) == Envelope(SESSION, 1_900_000_000, 0, message)


def test_a_candidate_is_spelled_as_browsers_spell_it() -> None:
    assert json.loads(sealed(EVERY[6]))["message"] == {
        "type": "ice-candidate",
        "session_id": SESSION,
        "attempt": 1,
        "candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host",
        "sdpMid": "0",
        "sdpMLineIndex": 0,
    }


@pytest.mark.parametrize("message", EVERY, ids=IDS)
def test_an_unknown_field_is_refused(message: RelayMessage) -> None:
    whole = json.loads(sealed(message))
    for broken in ({**whole, "from": "cli1"}, {**whole, "message": {**whole["message"], "from": "cli1"}}):
        with pytest.raises(DecodeError):
            relay.decode_envelope(json.dumps(broken).encode())


@pytest.mark.parametrize("message", EVERY, ids=IDS)
def test_a_message_of_another_session_than_its_envelope_is_refused(message: RelayMessage) -> None:
    whole = json.loads(sealed(message))
    whole["session_id"] = "6f" * 16
    with pytest.raises(DecodeError, match="another session"):
        relay.decode_envelope(json.dumps(whole).encode())


@pytest.mark.parametrize("message", EVERY, ids=IDS)
def test_a_truncated_message_is_refused(message: RelayMessage) -> None:
    data = sealed(message)
    for length in range(len(data)):
        with pytest.raises(DecodeError):
            relay.decode_envelope(data[:length])


HELLO = relay.Hello("00" * 32, "11" * 32, "22" * 64)


@pytest.mark.parametrize("message", [HELLO, relay.Sealed("AAAA")])
def test_what_goes_in_the_open_comes_out_as_it_went_in(message: relay.Hello | relay.Sealed) -> None:
    assert relay.decode(relay.encode(message)) == message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"type":"hi"}',
        b'{"type":"sealed","body":"not base64!"}',
        b'{"type":"sealed","body":"AAAA","to":"cli2"}',
        b'{"type":"sealed","body":"' + b"A" * 60_001 + b'"}',
        b'{"type":"hello","public_key":"00"}',
    ],
)
def test_what_is_neither_hello_nor_seal_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        relay.decode(data)


@pytest.mark.parametrize("sdp", ["v" * 16_385, 7, None])
def test_a_description_too_long_to_be_one_is_refused(sdp: object) -> None:
    whole = json.loads(sealed(EVERY[3]))
    whole["message"]["sdp"] = sdp
    with pytest.raises(DecodeError):
        relay.decode_envelope(json.dumps(whole).encode())


@settings(max_examples=200, deadline=None)
@given(st.binary() | st.text().map(str.encode))
def test_only_decode_errors_escape_whatever_comes(data: bytes) -> None:
    for decode in (relay.decode, relay.decode_envelope):
        with contextlib.suppress(DecodeError):
            decode(data)


@pytest.mark.parametrize("seconds", ["0", "-1", "86401", "1e9", '"60"', "null"])
def test_answers_are_waited_for_a_while_and_at_most_a_day(seconds: str) -> None:
    data = sealed(EVERY[0]).replace(b'"answer_within":60', f'"answer_within":{seconds}'.encode())
    with pytest.raises(DecodeError):
        relay.decode_envelope(data)
