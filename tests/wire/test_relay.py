import contextlib
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.commands import MAX_CONTENT_BYTES
from mpcnode.errors import DecodeError
from mpcnode.session.kinds.sign import MAX_BATCH, MAX_CONTENTS_SIZE
from mpcnode.types import EpochId, Identifier, IdentityKey, PeerId, SessionId, SuiteId, WalletId
from mpcnode.wire import relay
from mpcnode.wire.fields import MAX_BODY_BYTES, MAX_TERMS_BYTES
from mpcnode.wire.relay import (
    MAX_ACCEPTANCE_TERMS,
    MAX_ACCEPTANCE_TERMS_BYTES,
    MAX_ANSWER_MS,
    MAX_MESSAGE_TEXT,
    MAX_SIGNATURES,
    MAX_TERMS,
    RelayMessage,
)
from mpcnode.wire.signaling import MESSAGE_BYTES, relay_frame, relayed_prefix

SESSION = SessionId(b"\x5e" * 16)
SUITE = SuiteId("FROST-ED25519-SHA512-v1")
LONGEST_NAME = "n" * 64


def key(number: int) -> IdentityKey:
    return IdentityKey(number.to_bytes(32, "big"))


def participants(total: int = 2) -> tuple[relay.Participant, ...]:
    return tuple(relay.Participant(Identifier(i), PeerId(f"cli{i}"), key(i)) for i in range(1, total + 1))


PROPOSAL = relay.SessionProposal(
    session_id=SESSION,
    salt=b"\x99" * 16,
    kind="keygen",
    wallet_name="treasury",
    threshold=2,
    suites=(SUITE,),
    participants=participants(),
    expires=1_900_000_000_000,
    answer_within=60_000,
    terms=(b"", b"hello"),
)
ACCEPTANCE = relay.Acceptance(identifier=Identifier(1), nonce=b"\x21" * 16, terms=(b"t",), signature=b"\x22" * 64)

EVERY: dict[str, RelayMessage] = {
    "proposal": PROPOSAL,
    "acceptance": relay.SessionResponse(
        session_id=SESSION,
        proposal=b"\x22" * 32,
        accepted=True,
        nonce=b"\x33" * 16,
        terms=(b"t",),
        meshes=(b"\x44" * 16, b"\x55" * 16),
        signature=b"\x66" * 64,
    ),
    "refusal": relay.SessionResponse(session_id=SESSION, proposal=b"\x22" * 32, accepted=False, reason="no"),
    "start": relay.SessionStart(
        session_id=SESSION,
        proposal=b"\x22" * 32,
        mesh=b"\x77" * 16,
        chosen=(ACCEPTANCE, msgspec.structs.replace(ACCEPTANCE, identifier=Identifier(3))),
        signature=b"\x88" * 64,
    ),
    "cancel": relay.SessionCancel(
        session_id=SESSION, code="refused", reason="changed my mind", culprits=(PeerId("cli2"),)
    ),
    "offer": relay.Offer(mesh=b"\x77" * 16, attempt=1, sdp="v=0"),
    "answer": relay.Answer(mesh=b"\x77" * 16, attempt=1000, sdp="v=0"),
    "candidate": relay.IceCandidate(
        mesh=b"\x77" * 16,
        attempt=1,
        candidate="candidate:1 1 udp 1 192.0.2.1 9 typ host",
        sdp_mid="0",
        sdp_mline_index=0,
    ),
    "certificate_request": relay.CertificateRequest(wallet=WalletId(b"\x0a" * 16), epoch=EpochId(b"\xee" * 32)),
    "certificate": relay.CertificateReply(
        wallet=WalletId(b"\x0a" * 16),
        epoch=EpochId(b"\xee" * 32),
        signatures=(relay.EpochSignature(key(1), b"\x01" * 64), relay.EpochSignature(key(2), b"\x02" * 64)),
    ),
    "join": relay.Join(invitation=b"\x0b" * 16, secret=b"\x0c" * 16),
    "join_yes": relay.JoinAnswer(invitation=b"\x0b" * 16),
    "join_no": relay.JoinAnswer(invitation=b"\x0b" * 16, refused="used_up"),
}
BYTES = {
    *("session_id", "salt", "proposal", "nonce", "signature", "mesh", "wallet", "epoch"),
    *("invitation", "secret"),
}


def sealed(message: RelayMessage) -> bytes:
    return relay.encode_envelope(relay.topic_of(message), 1_900_000_000_000, 7, relay.encode_message(message))


def open_(data: bytes) -> tuple[relay.Envelope, RelayMessage]:
    envelope = relay.decode_envelope(data)
    return envelope, relay.decode_message(envelope)


def tree(name: str) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(sealed(EVERY[name]))
    return whole


def refused(whole: dict[str, Any]) -> None:
    with pytest.raises(DecodeError):
        open_(json.dumps(whole).encode())


@pytest.mark.parametrize("name", EVERY)
def test_a_sealed_message_comes_out_as_it_went_in(name: str) -> None:
    envelope, message = open_(sealed(EVERY[name]))
    assert message == EVERY[name]
    assert (envelope.topic, envelope.expires, envelope.sequence) == (relay.topic_of(message), 1_900_000_000_000, 7)


@pytest.mark.parametrize("name", EVERY)
def test_a_byte_string_is_bytes_inside_and_hexadecimal_on_the_wire(name: str) -> None:
    _, message = open_(sealed(EVERY[name]))
    for field in message.__struct_fields__:
        value = getattr(message, field)
        assert isinstance(value, bytes) == (field in BYTES and value is not None)
    assert tree(name)["topic"] == relay.topic_of(message).hex()


def test_a_proposal_is_spelled_as_the_protocol_says() -> None:
    assert tree("proposal")["message"] == {
        "type": "session_proposal",
        "session_id": "5e" * 16,
        "salt": "99" * 16,
        "kind": "keygen",
        "wallet_name": "treasury",
        "threshold": 2,
        "suites": [SUITE],
        "participants": [
            {"identifier": 1, "peer_id": "cli1", "public_key": key(1).hex()},
            {"identifier": 2, "peer_id": "cli2", "public_key": key(2).hex()},
        ],
        "expires": 1_900_000_000_000,
        "answer_within": 60_000,
        "terms": ["", "68656c6c6f"],
    }


def test_what_is_absent_is_left_out_and_never_null() -> None:
    assert tree("refusal")["message"].keys() == {"type", "session_id", "proposal", "accepted", "reason"}
    for message in EVERY.values():
        assert b"null" not in sealed(message)


def test_a_candidate_is_spelled_as_browsers_spell_it() -> None:
    assert tree("candidate")["message"] == {
        "type": "ice-candidate",
        "mesh": "77" * 16,
        "attempt": 1,
        "candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host",
        "sdpMid": "0",
        "sdpMLineIndex": 0,
    }


@pytest.mark.parametrize("name", EVERY)
def test_an_unknown_field_is_refused(name: str) -> None:
    whole = tree(name)
    refused({**whole, "from": "cli1"})
    refused({**whole, "message": {**whole["message"], "from": "cli1"}})
    for field, value in whole["message"].items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            refused({**whole, "message": {**whole["message"], field: [{**value[0], "from": "cli1"}, *value[1:]]}})


@pytest.mark.parametrize("name", EVERY)
def test_a_key_that_stands_twice_is_refused(name: str) -> None:
    data = sealed(EVERY[name])
    for field in tree(name)["message"]:
        at = data.index(b'"message":{') + len(b'"message":{')
        value = json.dumps(tree(name)["message"][field]).encode()
        with pytest.raises(DecodeError):
            open_(data[:at] + b'"' + field.encode() + b'":' + value + b"," + data[at:])


@pytest.mark.parametrize("name", EVERY)
def test_a_message_of_another_topic_than_its_envelope_is_refused(name: str) -> None:
    with pytest.raises(DecodeError, match="another topic"):
        open_(json.dumps({**tree(name), "topic": "6f" * 16}).encode())


@pytest.mark.parametrize("name", EVERY)
def test_a_truncated_message_is_refused(name: str) -> None:
    data = sealed(EVERY[name])
    for length in range(len(data)):
        with pytest.raises(DecodeError):
            open_(data[:length])


@pytest.mark.parametrize("field", ["topic", "expires", "sequence", "message"])
@pytest.mark.parametrize("value", [None, -1, 1.5, 2**53, "x", "6f" * 17, [], {}, True])
def test_an_envelope_field_of_another_form_is_refused(field: str, value: object) -> None:
    refused({**tree("offer"), field: value})


@pytest.mark.parametrize("field", ["topic", "expires", "sequence", "message"])
def test_an_envelope_lacks_nothing(field: str) -> None:
    whole = tree("offer")
    del whole[field]
    refused(whole)


OPTIONAL = {
    "proposal": {"terms"},
    "acceptance": {"terms", "meshes"},
    "refusal": {"reason"},
    "start": set(),
    "cancel": {"culprits"},
    "candidate": {"sdpMid", "sdpMLineIndex"},
    "join_no": {"refused"},
}


@pytest.mark.parametrize("name", EVERY)
def test_a_message_lacks_nothing_that_is_not_optional(name: str) -> None:
    for field in tree(name)["message"]:
        whole = tree(name)
        del whole["message"][field]
        if field in OPTIONAL.get(name, set()):
            open_(json.dumps(whole).encode())
        else:
            refused(whole)


CAPITALS = "AB" * 32
"""Of a key's length, and no lower-case hexadecimal."""
TEXTS: frozenset[object] = frozenset({"", "x", "not HEX, no name\n"})
FITTING: dict[str, frozenset[object]] = {
    "kind": frozenset({"x"}),
    "code": frozenset({"x"}),
    "refused": frozenset({"x"}),
    "wallet_name": frozenset({"x", CAPITALS}),
    "peer_id": frozenset({CAPITALS}),
    "expires": frozenset({0, 2**53 - 1}),
    "sdpMLineIndex": frozenset({0, 2**53 - 1}),
    "sdpMid": TEXTS,
    "reason": TEXTS | {CAPITALS},
    "sdp": TEXTS | {CAPITALS},
    "candidate": TEXTS | {CAPITALS},
    "accepted": frozenset({True}),
}


def fits(name: str, field: str, value: object) -> bool:
    if (name, field) in {("acceptance", "reason"), ("refusal", "accepted")} or isinstance(value, dict | list):
        return False
    return any(value == one and type(value) is type(one) for one in FITTING.get(field, ()))


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(
    "value",
    [None, -1, 0, 1.5, 2**53 - 1, 2**53, True, "", "x", "not HEX, no name\n", CAPITALS, "0" * 40_000, {"a": 1}, ["x y"],
     [None], [7], [[]]],
    ids=repr,
)  # fmt: skip
def test_a_field_of_another_form_is_refused(name: str, value: Any) -> None:
    for field in tree(name)["message"]:
        whole = tree(name)
        whole["message"][field] = value
        if fits(name, field, value):
            open_(json.dumps(whole).encode())
        else:
            refused(whole)


@pytest.mark.parametrize(
    ("name", "path"),
    [("proposal", ("participants", 0)), ("start", ("chosen", 0)), ("certificate", ("signatures", 0))],
)
@pytest.mark.parametrize("value", [None, -1, 0, 65, 1.5, "", "x y", CAPITALS, "00" * 33, "0" * 300, {}, ["x y"], [7]])
def test_a_field_of_a_part_of_another_form_is_refused(name: str, path: tuple[str, int], value: Any) -> None:
    for field in tree(name)["message"][path[0]][path[1]]:
        whole = tree(name)
        whole["message"][path[0]][path[1]][field] = value
        if not fits(name, field, value):
            refused(whole)
        del whole["message"][path[0]][path[1]][field]
        if field != "terms":
            refused(whole)


def change(name: str, **fields: Any) -> dict[str, Any]:
    whole = tree(name)
    whole["message"].update(fields)
    return whole


@pytest.mark.parametrize(("threshold", "right"), [(1, False), (2, True), (64, True), (65, False)])
def test_a_threshold_is_2_to_64(threshold: int, right: bool) -> None:  # noqa: FBT001
    with contextlib.nullcontext() if right else pytest.raises(DecodeError):
        open_(json.dumps(change("proposal", threshold=threshold)).encode())


@pytest.mark.parametrize(("span", "right"), [(0, False), (1, True), (MAX_ANSWER_MS, True), (MAX_ANSWER_MS + 1, False)])
def test_answers_are_waited_for_a_while_and_at_most_a_day(span: int, right: bool) -> None:  # noqa: FBT001
    assert MAX_ANSWER_MS == 86_400_000
    with contextlib.nullcontext() if right else pytest.raises(DecodeError):
        open_(json.dumps(change("proposal", answer_within=span)).encode())


@pytest.mark.parametrize(("attempt", "right"), [(0, False), (1, True), (1000, True), (1001, False)])
def test_a_link_is_tried_1_to_1000_times(attempt: int, right: bool) -> None:  # noqa: FBT001
    for name in ("offer", "answer", "candidate"):
        with contextlib.nullcontext() if right else pytest.raises(DecodeError):
            open_(json.dumps(change(name, attempt=attempt)).encode())


@pytest.mark.parametrize("suites", [[], [SUITE] * 5, ["a b"], [""]])
def test_a_wallet_has_1_to_4_suites(suites: list[str]) -> None:
    refused(change("proposal", suites=suites))
    open_(json.dumps(change("proposal", suites=[SUITE] * 4)).encode())


@pytest.mark.parametrize(
    ("name", "field", "least"),
    [("proposal", "participants", 2), ("start", "chosen", 2), ("certificate", "signatures", 0)],
)
def test_parts_are_in_their_order_and_none_stands_twice(name: str, field: str, least: int) -> None:
    one, two = tree(name)["message"][field]
    refused(change(name, **{field: [two, one]}))
    refused(change(name, **{field: [one, one]}))
    for few in ([], [one]):
        if len(few) < least:
            refused(change(name, **{field: few}))
        else:
            open_(json.dumps(change(name, **{field: few})).encode())


def test_a_roster_has_at_most_64() -> None:
    row = {"identifier": 1, "peer_id": "a", "public_key": "00" * 32}
    open_(json.dumps(change("proposal", participants=[{**row, "identifier": i} for i in range(1, 65)])).encode())
    refused(change("proposal", participants=[{**row, "identifier": i} for i in range(1, 66)]))


def test_signatures_are_bounded() -> None:
    def rows(count: int) -> list[dict[str, str]]:
        return [{"public_key": key(i).hex(), "signature": "00" * 64} for i in range(count)]

    open_(json.dumps(change("certificate", signatures=rows(MAX_SIGNATURES))).encode())
    refused(change("certificate", signatures=rows(MAX_SIGNATURES + 1)))


def test_meshes_and_culprits_are_bounded() -> None:
    for name, field, one in (("acceptance", "meshes", "00" * 16), ("cancel", "culprits", "a")):
        open_(json.dumps(change(name, **{field: [one] * 64})).encode())
        refused(change(name, **{field: [one] * 65}))


def test_terms_are_bounded_in_number_and_together() -> None:
    open_(json.dumps(change("proposal", terms=[""] * MAX_TERMS)).encode())
    refused(change("proposal", terms=[""] * (MAX_TERMS + 1)))
    open_(json.dumps(change("proposal", terms=["00" * MAX_TERMS_BYTES])).encode())
    refused(change("proposal", terms=["00" * MAX_TERMS_BYTES, "00"]))
    start = tree("start")["message"]["chosen"]
    changes: list[Callable[[list[str]], dict[str, Any]]] = [
        lambda terms: change("acceptance", terms=terms),
        lambda terms: change("start", chosen=[{**start[0], "terms": terms}, start[1]]),
    ]
    for change_to in changes:
        open_(json.dumps(change_to([""] * MAX_ACCEPTANCE_TERMS)).encode())
        refused(change_to([""] * (MAX_ACCEPTANCE_TERMS + 1)))
        open_(json.dumps(change_to(["00" * MAX_ACCEPTANCE_TERMS_BYTES])).encode())
        refused(change_to(["00" * MAX_ACCEPTANCE_TERMS_BYTES, "00"]))


@pytest.mark.parametrize(
    "changes",
    [
        {"accepted": False},
        {"reason": "but why"},
        {"nonce": None},
        {"signature": None},
    ],
)
def test_an_acceptance_is_signed_and_gives_no_reason(changes: dict[str, Any]) -> None:
    whole = change("acceptance", **changes)
    whole["message"] = {field: value for field, value in whole["message"].items() if value is not None}
    refused(whole)


@pytest.mark.parametrize(
    "changes",
    [
        {"accepted": True},
        {"nonce": "00" * 16},
        {"signature": "00" * 64},
        {"terms": [""]},
        {"meshes": ["00" * 16]},
    ],
)
def test_a_refusal_has_nothing_but_a_reason(changes: dict[str, Any]) -> None:
    refused(change("refusal", **changes))


# --- how long what is said may be ---


def fits_a_frame(message: RelayMessage) -> None:
    text = relay.encode_message(message)
    body = relay.encode(relay.Sealed(b"\xff" * (len(sealed(message)) + 48)))
    name = PeerId(LONGEST_NAME)
    assert len(text) <= MAX_MESSAGE_TEXT
    assert len(relay_frame(name, body)) <= MESSAGE_BYTES
    assert isinstance(relay.decode(body), relay.Sealed)


def test_the_longest_seal_fits_a_frame_with_the_longest_names_and_a_whole_envelope() -> None:
    body = relay.encode(relay.Sealed(b"\xff" * MAX_BODY_BYTES))
    name = PeerId(LONGEST_NAME)
    assert len(relay_frame(name, body)) <= MESSAGE_BYTES
    assert len(relayed_prefix(name) + body + b"}") <= MESSAGE_BYTES
    envelope = relay.encode_envelope(b"\xff" * 16, 2**53 - 1, 2**53 - 1, b'"' + b"x" * (MAX_MESSAGE_TEXT - 2) + b'"')
    assert len(envelope) + 48 <= MAX_BODY_BYTES


def test_every_proposal_that_decodes_fits_a_frame() -> None:
    roster = tuple(
        relay.Participant(Identifier(i), PeerId(f"{i:02}" + "n" * 62), IdentityKey(b"\xff" * 32)) for i in range(1, 65)
    )
    longest = msgspec.structs.replace(
        PROPOSAL,
        kind="k" * 20,
        wallet_name="w" * 64,
        threshold=64,
        suites=(SuiteId("s" * 64),) * 4,
        participants=roster,
        expires=2**53 - 1,
        answer_within=MAX_ANSWER_MS,
        terms=(b"\xff" * (MAX_TERMS_BYTES - MAX_TERMS + 1), *[b"\xff"] * (MAX_TERMS - 1)),
    )
    assert open_(sealed(longest))[1] == longest
    fits_a_frame(longest)


def test_a_batch_and_a_long_message_are_terms_of_a_proposal_with_room_for_the_others() -> None:
    assert MAX_CONTENT_BYTES <= MAX_CONTENTS_SIZE < MAX_TERMS_BYTES - 500
    assert MAX_BATCH <= MAX_TERMS - 40


def test_every_start_that_decodes_fits_a_frame() -> None:
    terms = (b"\xff" * (MAX_ACCEPTANCE_TERMS_BYTES - MAX_ACCEPTANCE_TERMS + 1), *[b"\xff"] * (MAX_ACCEPTANCE_TERMS - 1))
    start = EVERY["start"]
    assert isinstance(start, relay.SessionStart)
    chosen = tuple(
        relay.Acceptance(identifier=Identifier(i), nonce=b"\xff" * 16, terms=terms, signature=b"\xff" * 64)
        for i in range(1, 65)
    )
    longest = msgspec.structs.replace(start, chosen=chosen)
    assert open_(sealed(longest))[1] == longest
    fits_a_frame(longest)


def test_every_certificate_that_decodes_fits_a_frame() -> None:
    reply = EVERY["certificate"]
    assert isinstance(reply, relay.CertificateReply)
    signatures = tuple(relay.EpochSignature(key(i), b"\xff" * 64) for i in range(MAX_SIGNATURES))
    fits_a_frame(msgspec.structs.replace(reply, signatures=signatures))


def test_what_fits_no_seal_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="fit into a seal"):
        relay.encode_message(relay.Offer(mesh=bytes(16), attempt=1, sdp="\x00" * 16_384))


@pytest.mark.parametrize("sdp", ["v" * 16_385, 7, None])
def test_a_description_too_long_to_be_one_is_refused(sdp: object) -> None:
    open_(json.dumps(change("offer", sdp="v" * 16_384)).encode())
    refused(change("offer", sdp=sdp))
    refused(change("answer", sdp=sdp))


# --- in the open ---

HELLO = relay.Hello(
    version=1,
    public_key=key(1),
    nonce=b"\x11" * 32,
    answering=b"\x12" * 32,
    time=1_800_000_000_000,
    capabilities=("later", "more.2"),
    signature=b"\x22" * 64,
)
FIRST = relay.Hello(version=1, public_key=key(1), nonce=b"\x11" * 32, time=7, signature=b"\x22" * 64)


@pytest.mark.parametrize("message", [HELLO, FIRST, relay.Sealed(b"\xab" * 48)])
def test_what_goes_in_the_open_comes_out_as_it_went_in(message: relay.Hello | relay.Sealed) -> None:
    assert relay.decode(relay.encode(message)) == message


def test_a_first_hello_is_spelled_as_the_protocol_says() -> None:
    assert json.loads(relay.encode(FIRST)) == {
        "type": "hello",
        "version": 1,
        "public_key": key(1).hex(),
        "nonce": "11" * 32,
        "time": 7,
        "signature": "22" * 64,
    }


@pytest.mark.parametrize("field", ["version", "public_key", "nonce", "answering", "time", "capabilities", "signature"])
@pytest.mark.parametrize(
    "value",
    [None, 1.0, -1, True, "", "AB" * 32, "00" * 31, "00" * 33, "00" * 65, {}, ["A"], ["x" * 41], [""], ["a"] * 33],
)
def test_a_hello_field_of_another_form_is_refused(field: str, value: object) -> None:
    whole = json.loads(relay.encode(HELLO))
    with pytest.raises(DecodeError):
        relay.decode(json.dumps({**whole, field: value}).encode())


def test_a_hello_lacks_nothing_but_what_it_answers_and_capabilities() -> None:
    whole = json.loads(relay.encode(HELLO))
    for field in whole:
        data = json.dumps({name: value for name, value in whole.items() if name != field}).encode()
        if field in {"answering", "capabilities"}:
            assert isinstance(relay.decode(data), relay.Hello)
        else:
            with pytest.raises(DecodeError):
                relay.decode(data)


def test_a_hello_of_another_version_may_have_any_fields_and_is_read_no_further() -> None:
    for version in (0, 2, 2**53 - 1):
        data = json.dumps({"type": "hello", "version": version, "key": [{"x": "y"}], "nonce": "11" * 32}).encode()
        assert relay.decode(data) == relay.ForeignHello(version=version, nonce=b"\x11" * 32, answers=False)
    data = b'{"type":"hello","version":2,"answering":{},"nonce":"AA"}'
    assert relay.decode(data) == relay.ForeignHello(version=2, nonce=None, answers=True)


@pytest.mark.parametrize(
    "data",
    [
        b'{"type":"hello","version":2,"version":2}',
        b'{"type":"hello","version":2,"x":null}',
        b'{"type":"hello","version":9007199254740992}',
        b'{"type":"hello","version":' + b"9" * 400 + b"}",
        b'{"type":"hello","version":-2}',
        b'{"type":"hello","version":2.0}',
        b'{"type":"hello","version":"2"}',
        b'{"type":"hello","version":2,"x":' + b"[" * 70 + b"]" * 70 + b"}",
    ],
)
def test_a_hello_of_another_version_is_strict_json_all_the_same(data: bytes) -> None:
    with pytest.raises(DecodeError):
        relay.decode(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"type":"hi"}',
        b'{"type":"hi","version":2}',
        b'{"version":2}',
        b'{"type":"sealed","body":"not hex!"}',
        b'{"type":"sealed","body":"' + b"ab" * 47 + b'"}',
        b'{"type":"sealed","body":"' + b"ab" * 48 + b'a"}',
        b'{"type":"sealed","body":"' + b"AB" * 48 + b'"}',
        b'{"type":"sealed","body":"' + b"ab" * 48 + b'","to":"cli2"}',
        b'{"type":"sealed","body":"' + b"ab" * (MAX_BODY_BYTES + 1) + b'"}',
        b'{"type":"sealed","body":"' + b"ab" * 48 + b'","body":"' + b"ab" * 48 + b'"}',
        b'{"type":"hello","public_key":"00"}',
    ],
)
def test_what_is_neither_hello_nor_seal_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        relay.decode(data)


@settings(max_examples=200, deadline=None)
@given(st.binary() | st.text().map(str.encode))
def test_only_decode_errors_escape_whatever_comes(data: bytes) -> None:
    for decode in (relay.decode, relay.decode_envelope, open_):
        with contextlib.suppress(DecodeError):
            decode(data)


# --- what is not understood ---


def envelope_of(message: object) -> relay.Envelope:
    whole = {"topic": SESSION.hex(), "expires": 1, "sequence": 1, "message": message}
    return relay.decode_envelope(json.dumps(whole).encode())


@pytest.mark.parametrize("message", [{"type": "session_vote"}, {}, 7, "x", [], {"type": "offer", "novel": 1}])
def test_an_envelope_is_read_whatever_its_message_is(message: object) -> None:
    envelope = envelope_of(message)
    assert envelope.topic == SESSION
    assert not relay.is_cancel(envelope)
    with pytest.raises(DecodeError):
        relay.decode_message(envelope)


def test_a_cancel_is_known_even_where_it_is_not_understood() -> None:
    assert relay.is_cancel(envelope_of({"type": "session_cancel", "novel": {"a": []}}))
    assert relay.is_cancel(relay.decode_envelope(sealed(EVERY["cancel"])))
