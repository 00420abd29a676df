import base64
import contextlib
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl import bindings as sodium

from mpcnode.crypto.signature import signing_input, verify
from mpcnode.errors import ContactChanged, DecodeError, IdentityCheckFailed, PeerIncompatible, ServerUnreachable
from mpcnode.identity.contacts import Contacts
from mpcnode.session import sealed_relay
from mpcnode.session.sealed_relay import CLOCK_SKEW, HELLO, HELLO_WINDOW, HELLOS_A_PEER, REORDER_WINDOW, Introduced
from mpcnode.types import IdentityKey, PeerId
from mpcnode.wire.relay import CertificateRequest, Hello, RelayMessage, SessionCancel, encode
from tests.helpers.relays import ANA, BEN, CLEO, EVE, NOW, Letter, Post, identity, key_of

SESSION = "5e" * 16
LATER = NOW + 60


def message(number: int = 0) -> RelayMessage:
    return SessionCancel(SESSION, "refused", f"number {number}")


def told(post: Post, name: PeerId) -> list[RelayMessage]:
    return [opened.message for opened in post.opened(name)]


@pytest.fixture
def post() -> Post:
    post = Post()
    post.start(ANA, BEN)
    return post


@pytest.fixture
def introduced(post: Post) -> Post:
    post.relays[ANA].introduce(BEN)
    post.carry()
    post.carried.clear()
    return post


def altered(letter: Letter, **changes: Any) -> Letter:
    return Letter(letter.sender, letter.to, json.dumps({**json.loads(letter.data), **changes}).encode())


def test_a_message_waits_for_the_introductions(post: Post) -> None:
    post.relays[ANA].send(BEN, message(), expires=LATER)
    post.carry()
    assert told(post, BEN) == [message()]
    assert post.opened(BEN)[0].sender == ANA
    assert post.opened(BEN)[0].public_key == key_of(ANA) == post.relays[BEN].key_of(ANA)
    assert post.relays[ANA].key_of(BEN) == key_of(BEN)


def test_both_may_begin_at_the_same_moment(post: Post) -> None:
    post.relays[ANA].send(BEN, message(1), expires=LATER)
    post.relays[BEN].send(ANA, message(2), expires=LATER)
    post.carry()
    assert message(1) in told(post, BEN)
    assert message(2) in told(post, ANA)


def test_the_server_reads_nothing_of_what_is_sealed(introduced: Post) -> None:
    introduced.relays[ANA].send(BEN, SessionCancel(SESSION, "refused", "a secret reason"), expires=LATER)
    introduced.carry()
    (letter,) = introduced.carried
    body = base64.b64decode(json.loads(letter.data)["body"])
    for part in (b"secret", SESSION.encode(), b"refused"):
        assert part not in letter.data
        assert part not in body


# --- what the server may do to a seal ---


def test_a_replayed_seal_says_nothing(introduced: Post) -> None:
    introduced.relays[ANA].send(BEN, message(), expires=LATER)
    introduced.carry()
    (letter,) = introduced.seals()
    assert introduced.deliver(letter) is None
    assert told(introduced, BEN) == [message()]
    assert introduced.errors[BEN] == []


def test_a_seal_is_not_taken_again_because_its_hello_is_replayed_too(post: Post) -> None:
    post.relays[ANA].send(BEN, message(1), expires=LATER)
    post.carry()
    first_life = list(post.carried)
    post.start(ANA)
    post.relays[ANA].send(BEN, message(2), expires=LATER)
    post.carry()
    for letter in first_life:
        post.deliver(letter)
    assert told(post, BEN) == [message(1), message(2)]
    post.carry()  # ana, who is alive, is still understood afterwards
    post.relays[ANA].send(BEN, message(3), expires=LATER)
    post.carry()
    assert message(3) in told(post, BEN)
    assert told(post, BEN).count(message(1)) == 1


@pytest.mark.parametrize("keys", [1, 40])
def test_a_seal_is_not_taken_again_because_others_said_hello_in_between(introduced: Post, keys: int) -> None:
    introduced.relays[ANA].send(BEN, message(1), expires=LATER)
    introduced.carry()
    seal = introduced.seals()[0]
    introduced.relays[ANA]._say_hello(BEN, answering=None)
    anew = introduced.waiting.popleft()
    for number in range(keys):
        eve = Post()
        eve.start(ANA, identity_of=f"eve{number}")
        introduced.deliver(hello_of(eve, ANA, BEN))
    introduced.deliver(anew)
    introduced.deliver(seal)
    assert told(introduced, BEN) == [message(1)]
    assert len(introduced.relays[BEN]._conversations[ANA].windows) <= sealed_relay.PAIRS_A_NONCE
    introduced.now += HELLO_WINDOW + 1  # as many hellos as that were not all answered
    introduced.carry()
    introduced.relays[ANA].send(BEN, message(2), expires=LATER + 60)
    introduced.carry()
    assert message(2) in told(introduced, BEN)
    assert told(introduced, BEN).count(message(1)) <= 2  # sealed anew for a new nonce, by ana herself


@settings(max_examples=25, deadline=None)
@given(order=st.permutations(range(8)), again=st.lists(st.integers(0, 7), max_size=6))
def test_in_whatever_order_seals_come_each_is_taken_once(order: list[int], again: list[int]) -> None:
    post = Post()
    post.start(ANA, BEN)
    post.relays[ANA].introduce(BEN)
    post.carry()
    for number in range(8):
        post.relays[ANA].send(BEN, message(number), expires=LATER)
    letters = list(post.waiting)
    post.waiting.clear()
    for number in [*order, *again]:
        post.deliver(letters[number])
    assert told(post, BEN) == [message(number) for number in order]


def test_what_is_too_far_behind_is_dropped_and_not_taken_twice(
    introduced: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed_relay, "REORDER_WINDOW", 4)
    for number in range(6):
        introduced.relays[ANA].send(BEN, message(number), expires=LATER)
    letters = list(introduced.waiting)
    introduced.waiting.clear()
    for letter in [letters[5], letters[2], letters[0], letters[1], letters[2]]:
        introduced.deliver(letter)
    assert told(introduced, BEN) == [message(5), message(2)]
    assert REORDER_WINDOW > 4


@pytest.mark.parametrize("at", [0, 31, 32, 60, -17, -1])
def test_a_tampered_seal_says_nothing_and_both_introduce_themselves_anew(introduced: Post, at: int) -> None:
    introduced.relays[ANA].send(BEN, message(), expires=LATER)
    letter = introduced.waiting.popleft()
    body = bytearray(base64.b64decode(json.loads(letter.data)["body"]))
    body[at] ^= 1
    assert introduced.deliver(altered(letter, body=base64.b64encode(body).decode())) is None
    assert introduced.waiting[0].is_hello
    introduced.carry()
    assert introduced.errors == {ANA: [], BEN: []}
    assert introduced.deliver(letter).message == message()  # type: ignore[union-attr]


def test_a_seal_is_for_one_recipient_from_one_sender(introduced: Post) -> None:
    introduced.start(CLEO)
    for one, other in ((ANA, CLEO), (CLEO, BEN)):
        introduced.relays[one].introduce(other)
    introduced.carry()
    introduced.relays[ANA].send(BEN, message(), expires=LATER)
    letter = introduced.waiting.popleft()
    assert introduced.deliver(Letter(ANA, CLEO, letter.data)) is None
    assert introduced.deliver(Letter(CLEO, BEN, letter.data)) is None
    assert introduced.deliver(Letter(BEN, ANA, letter.data)) is None  # reflected to its sender


def test_what_has_expired_is_dropped_and_clocks_may_differ_by_minutes(introduced: Post) -> None:
    introduced.relays[ANA].send(BEN, message(1), expires=NOW - CLOCK_SKEW + 1)
    introduced.relays[ANA].send(BEN, message(2), expires=NOW - CLOCK_SKEW - 1)
    introduced.carry()
    assert told(introduced, BEN) == [message(1)]


def test_a_delayed_seal_is_dropped_once_it_has_expired(introduced: Post) -> None:
    introduced.relays[ANA].send(BEN, message(), expires=LATER)
    introduced.now = LATER + CLOCK_SKEW + 1
    introduced.carry()
    assert told(introduced, BEN) == []


# --- restarts ---


def test_a_recipient_that_restarts_is_told_again_what_has_not_expired(introduced: Post) -> None:
    introduced.relays[ANA].send(BEN, message(1), expires=NOW + 10)
    introduced.relays[ANA].send(BEN, message(2), expires=NOW + 100)
    introduced.carry()
    introduced.start(BEN)
    introduced.now += 50
    introduced.relays[BEN].introduce(ANA)
    introduced.carry()
    assert told(introduced, BEN) == [message(2)]


def test_a_recipient_that_restarts_and_says_nothing_is_found_out_by_the_next_seal(introduced: Post) -> None:
    introduced.start(BEN)
    introduced.relays[ANA].send(BEN, message(), expires=LATER)
    introduced.carry()
    assert told(introduced, BEN) == [message()]


def test_a_sender_that_restarts_is_understood_at_once(introduced: Post) -> None:
    introduced.start(ANA)
    introduced.relays[ANA].send(BEN, message(7), expires=LATER)
    introduced.carry()
    assert told(introduced, BEN) == [message(7)]


def test_a_recipient_that_restarts_is_not_told_again_of_a_session_that_it_had_begun(introduced: Post) -> None:
    ana, ben = introduced.relays[ANA], introduced.relays[BEN]
    begun, other = message(1), SessionCancel("0f" * 16, "internal", "of another session")
    wallet = CertificateRequest(begun.session_id)
    for one in (begun, other, wallet):
        ana.send(BEN, one, expires=LATER)
    introduced.carry()
    ben.send(ANA, message(2), expires=LATER)
    introduced.carry()
    ana.rejoined(BEN)
    introduced.carry()
    assert told(introduced, BEN).count(begun) == 2  # the same life may have lost it
    introduced.start(BEN)
    introduced.relays[BEN].introduce(ANA)
    introduced.carry()
    assert told(introduced, BEN) == [other, wallet]


def test_a_peer_that_is_back_is_told_again_what_was_lost_on_the_way(introduced: Post) -> None:
    introduced.relays[ANA].send(BEN, message(), expires=LATER)
    introduced.waiting.clear()
    introduced.relays[ANA].rejoined(BEN)
    introduced.carry()
    assert told(introduced, BEN) == [message()]


def test_a_peer_that_was_never_there_is_greeted_again_when_it_comes(post: Post) -> None:
    post.relays[ANA].send(BEN, message(), expires=LATER)
    post.waiting.clear()  # the server: unknown peer
    post.relays[ANA].rejoined(BEN)
    post.carry()
    assert told(post, BEN) == [message()]


def test_nobody_is_greeted_to_whom_there_is_nothing_to_say(post: Post) -> None:
    post.relays[ANA].rejoined(BEN)
    post.relays[ANA].send(BEN, message(), expires=LATER)
    post.waiting.clear()
    post.now = LATER + 1
    post.relays[ANA].rejoined(BEN)
    assert not post.waiting


# --- who is at the other end ---


def hello_of(post: Post, sender: PeerId, to: PeerId) -> Letter:
    post.relays[sender].introduce(to)
    return post.waiting.popleft()


def test_a_pinned_contact_with_another_key_is_an_error_that_names_it(post: Post) -> None:
    post.contacts[BEN] = Contacts().pin(ANA, key_of(ANA), verified=False, now=0)
    post.start(ANA, identity_of=EVE)
    assert post.deliver(hello_of(post, ANA, BEN)) is None
    (error,) = post.errors[BEN]
    assert isinstance(error, ContactChanged)
    assert error.culprits == (ANA,)
    assert error.exit_code == 4
    assert post.relays[BEN].key_of(ANA) is None
    assert not post.waiting  # nothing is said to the wrong key, not even hello


def test_a_contact_that_changes_in_the_middle_leaves_the_conversation_as_it_was(introduced: Post) -> None:
    introduced.contacts[BEN] = Contacts().pin(ANA, key_of(ANA), verified=True, now=0)
    eve = Post()
    eve.start(ANA, identity_of=EVE)
    introduced.deliver(hello_of(eve, ANA, BEN))
    assert isinstance(introduced.errors[BEN][0], ContactChanged)
    introduced.relays[BEN].send(ANA, message(), expires=LATER)
    introduced.carry()
    assert told(introduced, ANA) == [message()]


def test_what_is_meant_for_one_key_waits_for_that_key_and_is_told_to_no_other(post: Post) -> None:
    """The name of a participant whose key is known, and an impostor who is the first to answer to it."""
    post.relays[ANA].send(BEN, message(1), expires=LATER, key=key_of(EVE))
    post.relays[ANA].send(BEN, message(2), expires=LATER, key=key_of(BEN))
    post.carry()
    post.relays[ANA].send(BEN, message(3), expires=LATER, key=key_of(EVE))
    post.carry()
    assert told(post, BEN) == [message(2)]


def test_what_was_said_to_one_key_is_never_said_to_another(introduced: Post) -> None:
    introduced.relays[BEN].send(ANA, message(1), expires=LATER)
    introduced.carry()
    introduced.start(ANA, identity_of=EVE)  # the name is the same, and nobody pinned it
    introduced.relays[ANA].introduce(BEN)
    introduced.carry()
    assert introduced.relays[BEN].key_of(ANA) == key_of(EVE)
    assert told(introduced, ANA) == []
    introduced.relays[BEN].send(ANA, message(2), expires=LATER)
    introduced.carry()
    assert told(introduced, ANA) == [message(2)]


@pytest.mark.parametrize(
    "changes",
    [
        {"public_key": key_of(EVE).hex()},
        {"nonce": "00" * 32},
        {"answering": "00" * 32},
        {"signature": "00" * 64},
        {"public_key": "00" * 32},
        {"public_key": "01" + "00" * 31},  # the identity of the group
        {"public_key": "ff" * 32},
    ],
)
def test_a_hello_that_its_own_key_did_not_sign_introduces_nobody(post: Post, changes: dict[str, str]) -> None:
    letter = hello_of(post, ANA, BEN)
    assert post.deliver(altered(letter, **changes)) is None
    (error,) = post.errors[BEN]
    assert isinstance(error, IdentityCheckFailed)
    assert error.culprits == (ANA,)
    assert post.relays[BEN].key_of(ANA) is None
    assert not post.waiting


def test_a_hello_is_for_one_recipient_from_one_sender(post: Post) -> None:
    post.start(CLEO)
    letter = hello_of(post, ANA, BEN)
    post.deliver(Letter(ANA, CLEO, letter.data))
    post.deliver(Letter(CLEO, BEN, letter.data))
    post.deliver(Letter(BEN, ANA, letter.data))
    for name in (CLEO, BEN, ANA):
        assert [type(error) for error in post.errors[name]] == [IdentityCheckFailed]


def test_an_answer_to_a_hello_of_an_earlier_life_proves_nothing(post: Post) -> None:
    post.relays[ANA].introduce(BEN)
    post.deliver(post.waiting.popleft())
    answer = post.waiting.popleft()
    post.start(ANA)
    post.relays[ANA].introduce(BEN)
    assert post.deliver(answer) is None
    assert post.relays[ANA].key_of(BEN) is None


def test_a_hello_of_another_version_is_incompatible_and_not_an_imposture(post: Post) -> None:
    post.deliver(altered(hello_of(post, ANA, BEN), version=2))
    (error,) = post.errors[BEN]
    assert isinstance(error, PeerIncompatible)


def mixed_order_hello() -> Letter:
    """A hello that verifies under a key that nothing can be sealed to: a point outside the prime-order subgroup."""
    torsion = bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")  # order 2
    rng = random.Random(0)
    for _ in range(64):
        a, r = (sodium.crypto_core_ed25519_scalar_reduce(rng.randbytes(64)) for _ in range(2))
        key = sodium.crypto_core_ed25519_add(sodium.crypto_scalarmult_ed25519_base_noclamp(a), torsion)
        nonce = rng.randbytes(32).hex()
        signed = signing_input(HELLO, sealed_relay._hello_input(EVE, BEN, nonce, None, 1))
        commitment = sodium.crypto_scalarmult_ed25519_base_noclamp(r)
        challenge = sodium.crypto_core_ed25519_scalar_reduce(sodium.crypto_hash_sha512(commitment + key + signed))
        answer = sodium.crypto_core_ed25519_scalar_add(r, sodium.crypto_core_ed25519_scalar_mul(challenge, a))
        hello = Hello(public_key=key.hex(), nonce=nonce, signature=(commitment + answer).hex())
        if verify(IdentityKey(key), HELLO, signed[len("mpcnode/relay hello/v1\x00") :], commitment + answer):
            return Letter(EVE, BEN, encode(hello))
    raise AssertionError("half of them verify")


def test_a_key_that_nothing_can_be_sealed_to_introduces_nobody(post: Post) -> None:
    assert post.deliver(mixed_order_hello()) is None
    (error,) = post.errors[BEN]
    assert isinstance(error, IdentityCheckFailed)
    assert error.culprits == (EVE,)
    post.relays[BEN].send(EVE, message(), expires=LATER)  # and is no reason to stumble later


# --- floods ---


def test_two_that_never_understand_each_other_do_not_talk_for_ever(introduced: Post) -> None:
    for number in range(50):
        introduced.deliver(Letter(ANA, BEN, encode_seal(bytes([number]) * 80)))
        introduced.deliver(Letter(BEN, ANA, encode_seal(bytes([number]) * 80)))
        introduced.carry()
    assert len(introduced.hellos(ANA)) <= HELLOS_A_PEER
    assert len(introduced.hellos(BEN)) <= HELLOS_A_PEER


def test_hellos_without_end_are_answered_a_few_times_and_later_again(post: Post) -> None:
    letter = hello_of(post, ANA, BEN)
    for _ in range(30):
        post.deliver(letter)
    assert len(post.waiting) == HELLOS_A_PEER
    post.waiting.clear()
    post.now += HELLO_WINDOW + 1
    post.deliver(letter)
    assert len(post.waiting) == 1


def test_peers_that_the_server_invents_take_a_bounded_place(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed_relay, "MAX_CONVERSATIONS", 16)
    for number in range(100):
        post.deliver(Letter(PeerId(f"nobody{number}"), BEN, encode_seal(bytes(80))))
    assert len(post.relays[BEN]._conversations) == 16
    post.relays[ANA].send(BEN, message(), expires=LATER)
    post.carry()
    assert told(post, BEN) == [message()]


def test_what_is_kept_for_a_restarted_peer_is_bounded(introduced: Post) -> None:
    for number in range(200):
        introduced.relays[ANA].send(BEN, message(number), expires=LATER)
    introduced.waiting.clear()
    introduced.start(BEN)
    introduced.relays[BEN].introduce(ANA)
    introduced.carry()
    assert told(introduced, BEN) == [message(number) for number in range(136, 200)]


@pytest.mark.parametrize("error", [ServerUnreachable("too much waits"), ValueError("at most 1024 bytes")])
def test_a_server_that_takes_nothing_loses_messages_and_ends_nobody(post: Post, error: Exception) -> None:
    letter = hello_of(post, BEN, ANA)
    relay = post.relays[ANA]
    send = relay._send

    def full(_to: PeerId, _data: bytes) -> None:
        raise error

    relay._send = full
    assert relay.receive(BEN, letter.data) == Introduced(BEN, key_of(BEN))
    relay.send(BEN, message(1), expires=LATER)
    relay._send = send
    relay.send(BEN, message(2), expires=LATER)
    post.carry()
    assert message(2) in told(post, BEN)


# --- nonsense ---


def encode_seal(body: bytes) -> bytes:
    return json.dumps({"type": "sealed", "body": base64.b64encode(body).decode()}).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"{}",
        b'{"type":"session_proposal"}',
        b'{"type":"sealed"}',
        b'{"type":"sealed","body":"%"}',
        b'{"type":"sealed","body":"AAAA","more":1}',
        b'{"type":"sealed","body":"' + b"A" * 60_004 + b'"}',
        b'{"type":"hello","public_key":"00"}',
    ],
)
def test_neither_a_hello_nor_a_seal_is_no_message(introduced: Post, data: bytes) -> None:
    assert introduced.deliver(Letter(ANA, BEN, data)) is None
    assert [type(error) for error in introduced.errors[BEN]] == [DecodeError]


def test_base64_that_is_none_is_a_seal_that_does_not_open(introduced: Post) -> None:
    assert introduced.deliver(Letter(ANA, BEN, b'{"type":"sealed","body":"AAAAA"}')) is None
    assert introduced.errors[BEN] == []


@pytest.mark.parametrize("inside", [b"", b"nonsense", b'{"session_id":"' + b"0" * 32 + b'"}'])
def test_a_seal_around_nonsense_is_no_message(introduced: Post, inside: bytes) -> None:
    conversation = introduced.relays[ANA]._conversations[BEN]
    assert conversation.their_nonce is not None
    aad = sealed_relay._seal_aad(ANA, BEN, conversation.nonce, conversation.their_nonce)
    body = identity(ANA).seal(key_of(BEN), inside, aad, random.Random(0).randbytes)
    assert introduced.deliver(Letter(ANA, BEN, encode_seal(body))) is None
    assert [type(error) for error in introduced.errors[BEN]] == [DecodeError]


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=200) | st.binary(max_size=120).map(encode_seal))
def test_whatever_bytes_the_server_relays_only_documented_errors_come_out(data: bytes) -> None:
    post = Post()
    post.start(ANA, BEN)
    post.relays[ANA].introduce(BEN)
    post.carry()
    with contextlib.suppress(DecodeError):
        assert post.relays[BEN].receive(ANA, data) is None


def test_a_peer_says_who_it_is_only_once_it_was_heard(post: Post) -> None:
    assert post.relays[ANA].key_of(BEN) is None
    post.relays[ANA].introduce(BEN)
    assert post.deliver(post.waiting.popleft()) == Introduced(ANA, key_of(ANA))
    assert post.relays[ANA].key_of(BEN) is None
    assert post.deliver(post.waiting.popleft()) == Introduced(BEN, key_of(BEN))
    post.relays[ANA].introduce(BEN)
    assert not post.waiting  # known already
    assert CertificateRequest(SESSION).session_id == SESSION
