import contextlib
import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.errors import DecodeError
from mpcnode.wire import peer, relay
from mpcnode.wire.peer import PeerMessage

SESSION = "5e" * 16
SUITE = "FROST-ED25519-SHA512-v1"

EVERY: dict[str, PeerMessage] = {
    "channel_open": peer.ChannelOpen("cli2", SESSION, "00" * 32, "11" * 64),
    "mesh_ready": peer.MeshReady(SESSION),
    "commitment_digest": peer.CommitmentDigest(SESSION, SUITE, "aabb"),
    "commitment": peer.Commitment(SESSION, SUITE, "aabb", "22" * 32),
    "share": peer.Share(SESSION, SUITE, "aabb"),
    "ready": peer.Ready(SESSION, "33" * 32, "44" * 64),
    "wallet_created": peer.WalletCreated(SESSION, "aa", {SUITE: "aa"}),
    "signing_commitments": peer.SigningCommitments(SESSION, SUITE, "aabb"),
    "commitment_list": peer.CommitmentList(SESSION, SUITE, "aabb"),
    "signature_share": peer.SignatureShare(SESSION, SUITE, "aabb"),
    "ack": peer.Ack("17"),
    "ping": peer.Ping(),
    "abort": peer.Abort(SESSION, "participant_cheated", "a share does not fit", ("cli3",), "beef"),
}

# What ``tests/wire/test_relay.py`` probes field by field, here only as a passenger.
NEGOTIATION: dict[str, PeerMessage] = {
    "session_proposal": relay.SessionProposal(
        session_id=SESSION,
        salt="99" * 16,
        kind="keygen",
        total=2,
        threshold=2,
        participants=("cli1", "cli2"),
        public_keys=("00" * 32, "11" * 32),
        suites=(SUITE,),
        wallet_name="treasury",
        expires=1,
        answer_within=60,
    ),
    "session_response": relay.SessionResponse(session_id=SESSION, accepted=False, proposal="00" * 32, reason="no"),
    "session_start": relay.SessionStart(session_id=SESSION, signers=("cli1", "cli2"), fresh={}, mesh=SESSION),
    "session_cancel": relay.SessionCancel(SESSION, "interrupted", "stopped"),
}


def test_every_message_is_covered_here() -> None:
    assert {**EVERY, **NEGOTIATION}.keys() == peer._TYPES.keys()


@pytest.mark.parametrize(("name", "message"), [*EVERY.items(), *NEGOTIATION.items()])
def test_a_message_comes_out_as_it_went_in(name: str, message: PeerMessage) -> None:
    for msg_id in (None, "1"):
        data = peer.encode(message, msg_id)
        assert peer.decode(data) == (message, msg_id)
        assert json.loads(data)["type"] == name
        assert peer.type_name(message) == name


@pytest.mark.parametrize("name", EVERY)
def test_an_unknown_field_is_refused(name: str) -> None:
    whole = json.loads(peer.encode(EVERY[name]))
    for broken in ({**whole, "from": "cli1"}, {**whole, "payload": {**whole["payload"], "from": "cli1"}}):
        with pytest.raises(DecodeError):
            peer.decode(json.dumps(broken).encode())


def fields() -> list[tuple[str, str]]:
    return [(name, field) for name, message in EVERY.items() for field in msgspec.to_builtins(message)]


@pytest.mark.parametrize(("name", "field"), fields())
@pytest.mark.parametrize("value", [None, 7, "not HEX, no name\n", ["x y"], {"a": 1}, "", "0" * 70_000])
def test_a_field_of_another_form_is_refused(name: str, field: str, value: object) -> None:
    whole = json.loads(peer.encode(EVERY[name]))
    whole["payload"][field] = value
    data = json.dumps(whole).encode()
    optional = value is None and (name, field) in {("channel_open", "signature"), ("abort", "evidence")}
    free = field == "reason" and value in ("", "not HEX, no name\n")
    empty = value == "" and field in {"data", "pubkey", "evidence"}
    if optional or free or empty:
        peer.decode(data)
    else:
        with pytest.raises(DecodeError):
            peer.decode(data)


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
        b'{"type":"ping","payload":{},"msg_id":""}',
        b'{"type":"ping","payload":{},"msg_id":"a b"}',
        b'{"type":"ping","payload":{}} ' + b"x",
        b'{"type":"abort","payload":{"session_id":"' + SESSION.encode() + b'","code":"x","reason":"\\ud800"}}',
        b"[" * 100_000,
        b'{"type":"ping","payload":' + b"[" * 100_000,
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        peer.decode(data)


def test_an_unknown_type_is_not_shown_as_it_is() -> None:
    with pytest.raises(DecodeError) as caught:
        peer.decode(b'{"type":"\\u001b[31m","payload":{}}')
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("name", EVERY)
def test_a_truncated_message_is_refused(name: str) -> None:
    data = peer.encode(EVERY[name], "1")
    for length in range(len(data)):
        with pytest.raises(DecodeError):
            peer.decode(data[:length])


@settings(max_examples=200, deadline=None)
@given(st.binary() | st.text().map(str.encode))
def test_only_decode_errors_escape_whatever_comes(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        peer.decode(data)
