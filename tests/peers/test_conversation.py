import contextlib
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl import bindings as sodium
from nacl.signing import VerifyKey

from mpcnode.crypto import tags
from mpcnode.crypto.signature import verify
from mpcnode.crypto.transcript import tagged_hash
from mpcnode.errors import (
    AuthenticationError,
    ContactChanged,
    DecodeError,
    IdentityCheckFailed,
    PeerIncompatible,
    ServerUnreachable,
)
from mpcnode.identity.contacts import Contacts
from mpcnode.peers import conversation, hello
from mpcnode.peers.conversation import (
    ANSWERS,
    GREETINGS,
    REORDER_WINDOW,
    RESENDINGS,
    UNSUPPORTED_ANSWERS,
    Doubted,
    Introduced,
)
from mpcnode.peers.hello import CLOCK_SKEW
from mpcnode.peers.kept import UNSUPPORTED
from mpcnode.signaling.outbox import Standing
from mpcnode.types import EpochId, IdentityKey, PeerId, SessionId, WalletId
from mpcnode.wire import relay as wire
from mpcnode.wire.introduction import hello_fields
from mpcnode.wire.relay import (
    CertificateRequest,
    Hello,
    Participant,
    RelayMessage,
    Sealed,
    SessionCancel,
    SessionProposal,
    encode,
    encode_envelope,
    encode_message,
)
from tests.helpers.relays import ANA, BEN, CLEO, EVE, NOW, Letter, Post, identity, key_of

SESSION = SessionId(b"\x5e" * 16)
SECOND = 1000


def message(number: int | str = 0) -> RelayMessage:
    return SessionCancel(session_id=SESSION, code="refused", reason=f"number {number}")


def proposal(salt: bytes = b"\x99" * 16) -> SessionProposal:
    return SessionProposal(
        session_id=SESSION,
        salt=salt,
        kind="keygen",
        wallet_name="treasury",
        threshold=2,
        suites=("FROST-ED25519-SHA512-v1",),  # type: ignore[arg-type]
        participants=tuple(
            Participant(number, name, key_of(name))  # type: ignore[arg-type]
            for number, name in enumerate((ANA, BEN), start=1)
        ),
        expires=NOW + 60 * SECOND,
        answer_within=60 * SECOND,
    )


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
    for got in post.got.values():
        got.clear()
    return post


def altered(letter: Letter, **changes: Any) -> Letter:
    return Letter(letter.sender, letter.to, json.dumps({**json.loads(letter.data), **changes}).encode())


def body_of(letter: Letter) -> bytes:
    return bytes.fromhex(json.loads(letter.data)["body"])


def encode_seal(body: bytes) -> bytes:
    return encode(Sealed(body))


def pair_of(post: Post, name: PeerId, peer: PeerId) -> tuple[bytes, bytes]:
    pair = post.relays[name]._conversations[peer].lives.pair
    assert pair is not None
    return pair.ours, pair.theirs


def seal_of(post: Post, inside: bytes, *, sender: PeerId = ANA, to: PeerId = BEN) -> Letter:
    """A seal that ``sender`` made around anything at all."""
    pair = post.relays[sender]._conversations[to].lives.pair
    assert pair is not None
    topic = tagged_hash("mpcnode/relay/v1", sender.encode(), to.encode(), pair.ours, pair.theirs)
    rng = random.Random(0).randbytes
    body = identity(sender).seal(key_of(to), inside, purpose="relay", topic=topic, aad=b"", rng=rng)
    return Letter(sender, to, encode_seal(body))


def hello_of(post: Post, sender: PeerId, to: PeerId) -> Letter:
    post.relays[sender].introduce(to)
    return post.waiting.popleft()


# --- how it goes ---


def test_a_message_waits_for_the_introductions(post: Post) -> None:
    post.say(ANA, BEN, message())
    post.carry()
    assert told(post, BEN) == [message()]
    assert post.opened(BEN)[0].sender == ANA
    assert post.opened(BEN)[0].public_key == key_of(ANA) == post.relays[BEN].key_of(ANA)
    assert post.relays[ANA].key_of(BEN) == key_of(BEN)
    assert not post.opened(BEN)[0].by_mesh


def test_three_hellos_introduce_two_nodes_and_each_but_the_first_answers_the_one_before(post: Post) -> None:
    post.relays[ANA].introduce(BEN)
    post.carry()
    hellos = [(letter.sender, json.loads(letter.data)) for letter in post.carried]
    assert [sender for sender, _ in hellos] == [ANA, BEN, ANA]
    nonces = [hello["nonce"] for _, hello in hellos]
    assert [hello.get("answering") for _, hello in hellos] == [None, nonces[0], nonces[1]]
    assert nonces[0] == nonces[2]
    assert post.got == {ANA: [Introduced(BEN, key_of(BEN))], BEN: [Introduced(ANA, key_of(ANA))]}


def test_both_may_begin_at_the_same_moment(post: Post) -> None:
    post.say(ANA, BEN, message(1))
    post.say(BEN, ANA, message(2))
    post.carry()
    assert told(post, BEN) == [message(1)]
    assert told(post, ANA) == [message(2)]
    assert len(post.hellos(ANA)) == len(post.hellos(BEN)) == 2


def test_a_hello_signs_both_names_both_nonces_version_time_and_capabilities(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hello, "CAPABILITIES", ("later", "more"))
    post.deliver(hello_of(post, ANA, BEN))
    said = json.loads(post.waiting.popleft().data)
    assert said["capabilities"] == ["later", "more"]
    assert (said["version"], said["time"]) == (1, NOW)
    number = [count.to_bytes(8, "big") for count in (NOW, 1, 2)]
    fields = [b"ben", b"ana", bytes.fromhex(said["nonce"]), bytes.fromhex(said["answering"]), number[1], number[0]]
    signed = tagged_hash("mpcnode/hello/v1", *fields, number[2], b"later", b"more")
    VerifyKey(key_of(BEN)).verify(signed, bytes.fromhex(said["signature"]))


def test_each_introduction_says_what_its_node_understands(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hello, "CAPABILITIES", ("later",))
    post.relays[ANA].introduce(BEN)
    post.carry()
    assert post.got[BEN] == [Introduced(ANA, key_of(ANA), ("later",))]


def test_a_seal_is_hpke_for_the_relay_bound_to_both_names_and_nonces(introduced: Post) -> None:
    introduced.say(ANA, BEN, message())
    letter = introduced.waiting.popleft()
    pair = introduced.relays[BEN]._conversations[ANA].lives.pair
    assert pair is not None
    topic = tagged_hash("mpcnode/relay/v1", b"ana", b"ben", pair.theirs, pair.ours)
    inside = identity(BEN).open(key_of(ANA), body_of(letter), purpose="relay", topic=topic, aad=b"")
    assert json.loads(inside) == {
        "topic": SESSION.hex(),
        "expires": NOW + 60 * SECOND,
        "sequence": 1,
        "message": {"type": "session_cancel", "session_id": SESSION.hex(), "code": "refused", "reason": "number 0"},
    }


def test_the_server_reads_nothing_of_what_is_sealed(introduced: Post) -> None:
    introduced.say(ANA, BEN, SessionCancel(session_id=SESSION, code="refused", reason="a secret reason"))
    introduced.carry()
    (letter,) = introduced.carried
    for part in (b"secret", SESSION.hex().encode(), SESSION, b"refused"):
        assert part not in letter.data
        assert part not in body_of(letter)


def test_what_fits_no_seal_is_the_callers_mistake_and_is_not_kept(introduced: Post) -> None:
    long = wire.Offer(mesh=bytes(16), attempt=1, sdp="\x00" * 16_384)
    with pytest.raises(ValueError, match="fit into a seal"):
        introduced.say(ANA, BEN, long)
    introduced.relays[ANA].rejoined(BEN)
    assert not introduced.waiting


# --- what the server may do to a seal ---


def test_a_replayed_seal_says_nothing(introduced: Post) -> None:
    introduced.say(ANA, BEN, message())
    introduced.carry()
    (letter,) = introduced.seals()
    assert introduced.deliver(letter) is None
    assert told(introduced, BEN) == [message()]
    assert introduced.errors[BEN] == []


def test_a_seal_is_not_taken_again_because_its_hello_is_replayed_too(post: Post) -> None:
    post.say(ANA, BEN, message(1))
    post.carry()
    first_life = list(post.carried)
    post.start(ANA)
    post.say(ANA, BEN, message(2))
    post.carry()
    for letter in first_life:
        post.deliver(letter)
    assert told(post, BEN) == [message(1), message(2)]
    post.carry()  # ana, who is alive, is still understood afterwards
    post.say(ANA, BEN, message(3))
    post.carry()
    assert told(post, BEN) == [message(1), message(2), message(3)]


@settings(max_examples=40, deadline=None)
@given(order=st.permutations(range(6)))
def test_what_the_server_kept_back_of_an_earlier_life_never_opens(order: list[int]) -> None:
    """Ana accepted, died, and accepted anew; the server has her first yes, with every hello of that life."""
    post = Post()
    post.start(ANA, BEN)
    post.relays[BEN].introduce(ANA)
    post.carry()
    post.say(ANA, BEN, message("of the first life"))
    kept = [*post.carried, post.waiting.pop()]
    post.start(ANA)
    kept.append(hello_of(post, ANA, BEN))
    post.deliver(kept[-1])
    post.carry()
    post.say(ANA, BEN, message("of the second life"))
    post.carry()
    for number in order:
        if number < len(kept) and kept[number].to == BEN:
            post.deliver(kept[number])
    post.carry()
    assert told(post, BEN) == [message("of the second life")]
    assert post.errors == {ANA: [], BEN: []}


def test_each_life_of_a_peer_is_shown_a_nonce_of_its_own(post: Post) -> None:
    shown = set()
    for _ in range(4):
        post.relays[ANA].introduce(BEN)
        post.carry()
        shown |= {json.loads(letter.data)["nonce"] for letter in post.hellos(BEN)}
        post.start(ANA)
    assert len(shown) == 4


def test_a_hello_that_answers_nothing_is_answered_and_that_is_all(introduced: Post) -> None:
    before = introduced.relays[BEN]._conversations[ANA].lives.pair
    introduced.start(ANA)
    assert introduced.deliver(hello_of(introduced, ANA, BEN)) is None
    assert introduced.relays[BEN]._conversations[ANA].lives.pair is before
    (answer,) = introduced.waiting
    assert answer.is_hello
    assert introduced.got[BEN] == []


def test_a_hello_proves_no_key_before_it_answers_this_nodes_own(post: Post) -> None:
    assert post.deliver(hello_of(post, ANA, BEN)) is None
    assert post.relays[BEN].key_of(ANA) is None
    assert post.deliver(post.waiting.popleft()) == Introduced(BEN, key_of(BEN))
    assert post.relays[ANA].key_of(BEN) == key_of(BEN)
    assert post.deliver(post.waiting.popleft()) == Introduced(ANA, key_of(ANA))
    assert post.relays[BEN].key_of(ANA) == key_of(ANA)
    post.relays[ANA].introduce(BEN)
    assert not post.waiting  # known already


def test_an_answer_that_a_dead_life_left_behind_does_not_keep_the_living_one_out(post: Post) -> None:
    """The server delivers the answer of ben's first life only when his second one was answered with the same nonce."""
    post.relays[ANA].introduce(BEN)
    post.deliver(post.waiting.popleft())
    left_behind = post.waiting.popleft()
    post.start(BEN)
    post.deliver(hello_of(post, BEN, ANA))
    post.deliver(post.waiting.popleft())
    assert post.relays[BEN].key_of(ANA) == key_of(ANA)
    post.deliver(left_behind)
    post.carry()
    post.say(BEN, ANA, message(1))
    post.say(ANA, BEN, message(2))
    post.carry()
    assert (told(post, ANA), told(post, BEN)) == ([message(1)], [message(2)])


def test_a_nonce_that_somebody_copied_is_not_the_life_that_drew_it(introduced: Post) -> None:
    introduced.say(BEN, ANA, message())
    introduced.carry()
    unsigned = Hello(
        version=1, public_key=key_of(EVE), nonce=pair_of(introduced, ANA, BEN)[0], time=NOW, signature=bytes(64)
    )
    signature = identity(EVE).sign(tags.HELLO, *hello_fields(unsigned, ANA, BEN))
    hello = Hello(version=1, public_key=key_of(EVE), nonce=unsigned.nonce, time=NOW, signature=signature)
    introduced.deliver(Letter(ANA, BEN, encode(hello)))
    (answer,) = introduced.waiting
    assert bytes.fromhex(json.loads(answer.data)["nonce"]) != pair_of(introduced, BEN, ANA)[0]


def test_an_answer_is_good_once(introduced: Post) -> None:
    introduced.start(ANA)
    introduced.relays[ANA].introduce(BEN)
    introduced.carry()
    pair = introduced.relays[BEN]._conversations[ANA].lives.pair
    for letter in introduced.hellos(ANA):
        assert introduced.deliver(letter) is None
    assert introduced.relays[BEN]._conversations[ANA].lives.pair is pair


@pytest.mark.parametrize("keys", [1, 40])
def test_a_seal_is_not_taken_again_because_others_said_hello_in_between(introduced: Post, keys: int) -> None:
    introduced.say(ANA, BEN, message(1))
    introduced.carry()
    seal = introduced.seals()[0]
    introduced.relays[ANA]._greet(BEN)
    anew = introduced.waiting.popleft()
    for number in range(keys):
        eve = Post()
        eve.start(ANA, identity_of=f"eve{number}")
        introduced.deliver(hello_of(eve, ANA, BEN))
    introduced.deliver(anew)
    introduced.deliver(seal)
    assert told(introduced, BEN) == [message(1)]
    introduced.carry()
    introduced.say(ANA, BEN, message(2))
    introduced.carry()
    assert told(introduced, BEN) == [message(1), message(2)]


@settings(max_examples=25, deadline=None)
@given(order=st.permutations(range(8)), again=st.lists(st.integers(0, 7), max_size=6))
def test_in_whatever_order_seals_come_each_is_taken_once(order: list[int], again: list[int]) -> None:
    post = Post()
    post.start(ANA, BEN)
    post.relays[ANA].introduce(BEN)
    post.carry()
    for number in range(8):
        post.say(ANA, BEN, message(number))
    letters = list(post.waiting)
    post.waiting.clear()
    for number in [*order, *again]:
        post.deliver(letters[number])
    assert told(post, BEN) == [message(number) for number in order]


def test_what_is_too_far_behind_is_dropped_and_not_taken_twice(
    introduced: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "REORDER_WINDOW", 4)
    for number in range(6):
        introduced.say(ANA, BEN, message(number))
    letters = list(introduced.waiting)
    introduced.waiting.clear()
    for letter in [letters[5], letters[2], letters[0], letters[1], letters[2]]:
        introduced.deliver(letter)
    assert told(introduced, BEN) == [message(5), message(2)]
    assert len(introduced.relays[BEN]._conversations[ANA].window.seen) <= 4
    assert REORDER_WINDOW > 4


@pytest.mark.parametrize("at", [0, 31, 32, 60, -17, -1])
def test_a_tampered_seal_says_nothing_and_both_introduce_themselves_anew(introduced: Post, at: int) -> None:
    introduced.say(ANA, BEN, message())
    letter = introduced.waiting.popleft()
    pairs = [pair_of(introduced, ANA, BEN), pair_of(introduced, BEN, ANA)]
    body = bytearray(body_of(letter))
    body[at] ^= 1
    assert introduced.deliver(altered(letter, body=body.hex())) is None
    assert introduced.waiting[0].is_hello
    introduced.carry()
    assert introduced.errors == {ANA: [], BEN: []}
    assert told(introduced, BEN) == [message()]  # sealed again after the hello
    assert introduced.deliver(letter) is None  # and so this one is a copy
    assert [pair_of(introduced, ANA, BEN), pair_of(introduced, BEN, ANA)] == pairs  # the server changes no nonces


def test_a_seal_is_for_one_recipient_from_one_sender(introduced: Post) -> None:
    introduced.start(CLEO)
    for one, other in ((ANA, CLEO), (CLEO, BEN)):
        introduced.relays[one].introduce(other)
    introduced.carry()
    introduced.say(ANA, BEN, message())
    letter = introduced.waiting.popleft()
    assert introduced.deliver(Letter(ANA, CLEO, letter.data)) is None
    assert introduced.deliver(Letter(CLEO, BEN, letter.data)) is None
    assert introduced.deliver(Letter(BEN, ANA, letter.data)) is None  # reflected to its sender
    assert [introduced.opened(name) for name in (ANA, BEN, CLEO)] == [[], [], []]


def test_what_has_expired_is_dropped_and_clocks_may_differ_by_minutes(introduced: Post) -> None:
    introduced.say(ANA, BEN, message(1), lasts=1 - CLOCK_SKEW)
    introduced.say(ANA, BEN, message(2), lasts=-CLOCK_SKEW - 1)
    introduced.carry()
    assert told(introduced, BEN) == [message(1)]


def test_a_delayed_seal_is_dropped_once_it_has_expired(introduced: Post) -> None:
    introduced.say(ANA, BEN, message())
    introduced.now += 60 * SECOND + CLOCK_SKEW + 1
    introduced.carry()
    assert told(introduced, BEN) == []


# --- copies ---


def test_a_peer_that_is_said_to_be_back_again_and_again_is_told_nothing_twice(introduced: Post) -> None:
    """The server can say so as often as it likes; once, a count of such copies convicted an honest node."""
    introduced.say(ANA, BEN, message(1))
    introduced.say(ANA, BEN, wire.Offer(mesh=SESSION, attempt=1, sdp="v=0"))
    for _ in range(75):
        introduced.relays[ANA].rejoined(BEN)
    assert len(introduced.waiting) <= 2 + GREETINGS[0]
    introduced.carry()
    assert len(introduced.seals()) <= 2 + 2 * RESENDINGS[0]
    assert told(introduced, BEN) == [message(1), wire.Offer(mesh=SESSION, attempt=1, sdp="v=0")]


def meet_anew(post: Post) -> None:
    """Have ana forget whom she talks with, so that the same two lives agree on another pair of nonces."""
    post.relays[ANA]._conversations[BEN].lives.pair = None
    post.relays[ANA].introduce(BEN)
    post.carry()


def test_what_came_before_is_not_taken_twice_even_for_another_pair(introduced: Post) -> None:
    introduced.say(ANA, BEN, proposal())
    introduced.say(ANA, BEN, message())
    introduced.carry()
    before = introduced.relays[BEN]._conversations[ANA].lives.pair
    meet_anew(introduced)
    assert introduced.relays[BEN]._conversations[ANA].lives.pair is not before
    assert len(introduced.seals()) == 4  # both were sealed again
    assert told(introduced, BEN) == [proposal(), message()]
    meet_anew(introduced)
    assert told(introduced, BEN) == [proposal(), message()]


def test_what_is_said_again_is_taken_again(introduced: Post) -> None:
    introduced.say(ANA, BEN, message())
    introduced.carry()
    meet_anew(introduced)
    introduced.now += 1
    introduced.say(ANA, BEN, message())
    introduced.carry()
    assert told(introduced, BEN) == [message(), message()]


def test_what_was_taken_from_one_key_says_nothing_of_another(introduced: Post) -> None:
    introduced.say(ANA, BEN, message())
    introduced.carry()
    introduced.start(ANA, identity_of=EVE)
    introduced.say(ANA, BEN, message())
    introduced.carry()
    assert [opened.public_key for opened in introduced.opened(BEN)] == [key_of(ANA), key_of(EVE)]


def test_another_proposal_of_the_same_session_is_handed_on_because_it_may_convict(introduced: Post) -> None:
    for salt in (b"a" * 16, b"b" * 16):
        introduced.say(ANA, BEN, proposal(salt))
    introduced.carry()
    assert told(introduced, BEN) == [proposal(b"a" * 16), proposal(b"b" * 16)]


def test_a_recipient_that_restarts_is_told_a_proposal_that_it_had_not_answered(introduced: Post) -> None:
    introduced.say(ANA, BEN, proposal())
    introduced.carry()
    introduced.start(BEN)
    introduced.relays[BEN].introduce(ANA)
    introduced.carry()
    assert told(introduced, BEN) == [proposal()]


# --- restarts ---


def test_a_recipient_that_restarts_is_told_again_what_has_not_expired(introduced: Post) -> None:
    introduced.say(ANA, BEN, message(1), lasts=10 * SECOND)
    introduced.say(ANA, BEN, message(2), lasts=100 * SECOND)
    introduced.carry()
    introduced.start(BEN)
    introduced.now += 50 * SECOND
    introduced.relays[BEN].introduce(ANA)
    introduced.carry()
    assert told(introduced, BEN) == [message(2)]


def test_a_recipient_that_restarts_and_says_nothing_is_found_out_by_the_next_seal(introduced: Post) -> None:
    introduced.start(BEN)
    introduced.say(ANA, BEN, message())
    introduced.carry()
    assert told(introduced, BEN) == [message()]


def test_a_sender_that_restarts_is_understood_at_once(introduced: Post) -> None:
    introduced.start(ANA)
    introduced.say(ANA, BEN, message(7))
    introduced.carry()
    assert told(introduced, BEN) == [message(7)]


def test_a_recipient_that_restarts_is_not_told_again_of_a_session_that_it_had_begun(introduced: Post) -> None:
    begun, other = message(1), SessionCancel(session_id=SessionId(b"\x0f" * 16), code="internal", reason="another")
    wallet = CertificateRequest(wallet=WalletId(SESSION), epoch=EpochId(b"e" * 32))
    for one in (begun, other, wallet):
        introduced.say(ANA, BEN, one)
    introduced.carry()
    introduced.say(BEN, ANA, message(2))
    introduced.carry()
    introduced.start(BEN)
    introduced.relays[BEN].introduce(ANA)
    introduced.carry()
    assert told(introduced, BEN) == [other]  # and what is about a wallet is asked again by itself


def test_what_is_said_to_a_life_that_has_said_nothing_is_told_to_the_next_one_too(introduced: Post) -> None:
    introduced.say(ANA, BEN, message(1))
    introduced.carry()
    introduced.say(BEN, ANA, message(2))
    introduced.carry()
    introduced.start(BEN)
    introduced.relays[BEN].introduce(ANA)
    introduced.carry()
    introduced.say(ANA, BEN, message(3))
    introduced.carry()
    assert told(introduced, BEN) == [message(3)]
    introduced.start(BEN)
    introduced.relays[BEN].introduce(ANA)
    introduced.carry()
    assert told(introduced, BEN) == [message(3)]


def test_a_peer_that_is_back_is_told_again_what_was_lost_on_the_way(introduced: Post) -> None:
    introduced.say(ANA, BEN, message())
    introduced.waiting.clear()
    introduced.relays[ANA].rejoined(BEN)
    introduced.carry()
    assert told(introduced, BEN) == [message()]


def test_a_session_that_goes_on_in_the_same_life_is_told_again_of_what_was_lost(introduced: Post) -> None:
    introduced.say(BEN, ANA, message(1))
    introduced.carry()
    introduced.say(ANA, BEN, message(2))
    introduced.waiting.clear()
    introduced.relays[ANA].rejoined(BEN)
    introduced.carry()
    assert told(introduced, BEN) == [message(2)]


def test_a_peer_that_was_never_there_is_greeted_again_when_it_comes(post: Post) -> None:
    post.say(ANA, BEN, message())
    post.waiting.clear()  # the server: unknown peer
    post.relays[ANA].rejoined(BEN)
    post.carry()
    assert told(post, BEN) == [message()]


def test_nobody_is_greeted_to_whom_there_is_nothing_to_say(post: Post) -> None:
    post.relays[ANA].rejoined(BEN)
    post.say(ANA, BEN, message())
    post.waiting.clear()
    post.now += 60 * SECOND + 1
    post.relays[ANA].rejoined(BEN)
    assert not post.waiting


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_hello_that_is_lost_is_made_up_for_by_the_next(post: Post, lost: int) -> None:
    post.say(ANA, BEN, message(1))
    for number in range(3):
        letter = post.waiting.popleft()
        if number == lost:
            break
        post.deliver(letter)
    post.carry()
    post.relays[ANA].introduce(BEN)  # as a room does after a while without an answer
    post.relays[BEN].introduce(ANA)
    post.carry()
    assert told(post, BEN) == [message(1)]
    post.say(BEN, ANA, message(2))
    post.carry()
    assert told(post, ANA) == [message(2)]


class Chaos:
    """Two nodes and a server that does what it likes; what is said has the life it was said in, and a number."""

    def __init__(self) -> None:
        self.post = Post()
        self.post.start(ANA, BEN)
        self.history: list[Letter] = []
        self.lives = {ANA: 0, BEN: 0}
        self.said = 0

    def say(self, sender: PeerId, to: PeerId) -> RelayMessage:
        self.said += 1
        session = SessionId(self.said.to_bytes(16, "big"))
        text = json.dumps([self.lives[sender], self.said])
        some = SessionCancel(session_id=session, code="internal", reason=text)
        self.post.say(sender, to, some, lasts=3_600 * SECOND)
        self.post.say(sender, to, proposal(session), lasts=3_600 * SECOND)
        return some

    def restart(self, name: PeerId, _other: PeerId) -> None:
        self.lives[name] += 1
        self.post.start(name)

    def greet(self, name: PeerId, other: PeerId) -> None:
        self.post.relays[name]._greet(other)

    def rejoined(self, name: PeerId, other: PeerId) -> None:
        self.post.relays[name].rejoined(other)

    def deliver(self, number: int) -> None:
        if self.post.waiting:
            self.post.waiting.rotate(-number)
            self.history.append(self.post.waiting.popleft())
            self.post.deliver(self.history[-1])

    def replay(self, number: int) -> None:
        if self.history:
            self.post.deliver(self.history[number % len(self.history)])

    def drop(self, _number: int) -> None:
        if self.post.waiting:
            self.history.append(self.post.waiting.popleft())

    def tick(self, number: int) -> None:
        self.post.now += number * SECOND

    def check(self) -> None:
        for name in (ANA, BEN):
            heard = [one.message for one in self.post.opened(name)]
            lives = [json.loads(one.reason)[0] for one in heard if isinstance(one, SessionCancel)]
            assert lives == sorted(lives), "a life was heard after the next one"
            assert len(heard) == len(set(heard)), "something was heard twice"
        assert self.post.errors == {ANA: [], BEN: []}


NODES = ("say", "restart", "greet", "rejoined")
SERVER = ("deliver", "replay", "drop", "tick")
steps = st.tuples(st.sampled_from(NODES), st.booleans()) | st.tuples(st.sampled_from(SERVER), st.integers(0, 60))


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(steps, max_size=100))
def test_whatever_the_server_does_lives_are_heard_in_their_order_and_both_are_heard_in_the_end(
    steps: list[tuple[str, int]],
) -> None:
    chaos = Chaos()
    for step, argument in steps:
        if step in NODES:
            getattr(chaos, step)(*((ANA, BEN) if argument else (BEN, ANA)))
        else:
            getattr(chaos, step)(argument)
        chaos.check()
    chaos.post.waiting.clear()
    last = {ANA: chaos.say(BEN, ANA), BEN: chaos.say(ANA, BEN)}
    for _ in range(4):
        chaos.post.tick(10)
        chaos.post.carry(most=2000)
        chaos.rejoined(ANA, BEN)
        chaos.rejoined(BEN, ANA)
    chaos.post.carry(most=2000)
    chaos.check()
    for name, some in last.items():
        assert some in told(chaos.post, name)


# --- who is at the other end ---


def test_a_pinned_contact_with_another_key_is_an_error_that_names_it(post: Post) -> None:
    post.contacts[BEN] = Contacts().pin(ANA, key_of(ANA), how="introduced", now=0)
    post.start(ANA, identity_of=EVE)
    assert isinstance(post.deliver(hello_of(post, ANA, BEN)), Doubted)
    (error,) = post.doubts(BEN)
    assert isinstance(error, ContactChanged)
    assert (error.culprits, error.suspects) == ((), frozenset())
    assert str(error).startswith("ana ")
    assert error.exit_code == 4
    assert post.relays[BEN].key_of(ANA) is None
    assert not post.waiting  # nothing is said to the wrong key, not even hello


def test_what_is_meant_for_one_key_waits_for_that_key_and_is_told_to_no_other(post: Post) -> None:
    """The name of a participant whose key is known, and an impostor that is the first to answer to it."""
    ana = post.relays[ANA]
    ana.send(BEN, message(1), key=key_of(EVE), expires=NOW + SECOND)
    ana.send(BEN, message(2), key=key_of(BEN), expires=NOW + SECOND)
    post.carry()
    ana.send(BEN, message(3), key=key_of(EVE), expires=NOW + SECOND)
    post.carry()
    assert told(post, BEN) == [message(2)]
    post.start(BEN, identity_of=EVE)
    post.relays[BEN].introduce(ANA)
    post.carry()
    assert told(post, BEN) == [message(1), message(3)]


def test_an_impostor_that_comes_and_goes_costs_the_right_key_nothing(introduced: Post) -> None:
    introduced.say(BEN, ANA, message(1))
    introduced.waiting.clear()
    introduced.start(ANA, identity_of=EVE)  # the name is the same, and nobody pinned it
    introduced.relays[ANA].introduce(BEN)
    introduced.carry()
    assert introduced.relays[BEN].key_of(ANA) == key_of(EVE)
    assert told(introduced, ANA) == []
    introduced.relays[BEN].send(ANA, message(2), key=key_of(EVE), expires=NOW + SECOND)
    introduced.carry()
    assert told(introduced, ANA) == [message(2)]
    introduced.start(ANA)
    introduced.relays[ANA].introduce(BEN)
    introduced.carry()
    assert told(introduced, ANA) == [message(1)]


BAD: list[dict[str, object]] = [
    {"public_key": key_of(EVE).hex()},
    {"nonce": "00" * 32},
    {"answering": "00" * 32},
    {"capabilities": ["all"]},
    {"signature": "00" * 64},
    {"public_key": "00" * 32},
    {"public_key": "01" + "00" * 31},  # the identity of the group
    {"public_key": "ff" * 32},
]


@pytest.mark.parametrize("changes", BAD, ids=str)
def test_a_hello_that_its_own_key_did_not_sign_introduces_nobody(post: Post, changes: dict[str, object]) -> None:
    letter = hello_of(post, ANA, BEN)
    assert isinstance(post.deliver(altered(letter, **changes)), Doubted)
    (error,) = post.doubts(BEN)
    assert isinstance(error, IdentityCheckFailed)
    assert "the hello of peer ana" in error.message
    assert (error.culprits, error.suspects) == ((), frozenset())
    assert post.relays[BEN].key_of(ANA) is None
    assert not post.waiting


def with_another_key(post: Post) -> Letter:
    post.contacts[BEN] = Contacts().pin(ANA, key_of(ANA), how="words", now=0)
    eve = Post()
    eve.start(ANA, identity_of=EVE)
    return hello_of(eve, ANA, BEN)


def not_signed(changes: dict[str, object]) -> Callable[[Post], Letter]:
    def make(post: Post) -> Letter:
        post.relays[ANA]._greet(BEN)
        return altered(post.waiting.pop(), **changes)

    return make


@pytest.mark.parametrize(
    "forged",
    [
        with_another_key,
        not_signed({"version": 2}),
        *(not_signed(changes) for changes in BAD),
        lambda _post: Letter(ANA, BEN, mixed_order_hello().data),
    ],
)
def test_a_bad_hello_in_the_name_of_a_peer_that_proved_its_key_has_no_effect_and_is_told(
    introduced: Post, forged: Callable[[Post], Letter]
) -> None:
    """The server needs no key for it; it once ended sessions and named an honest node."""
    letter = forged(introduced)
    doubted = introduced.deliver(letter)
    assert isinstance(doubted, Doubted)
    assert doubted.peer_id == ANA
    assert introduced.errors[BEN] == []
    assert introduced.relays[BEN].key_of(ANA) == key_of(ANA)
    introduced.waiting.clear()
    introduced.say(BEN, ANA, message(1))
    introduced.say(ANA, BEN, message(2))
    introduced.carry()
    assert (told(introduced, ANA), told(introduced, BEN)) == ([message(1)], [message(2)])


def test_a_hello_is_for_one_recipient_from_one_sender(post: Post) -> None:
    post.start(CLEO)
    letter = hello_of(post, ANA, BEN)
    post.deliver(Letter(ANA, CLEO, letter.data))
    post.deliver(Letter(CLEO, BEN, letter.data))
    post.deliver(Letter(BEN, ANA, letter.data))
    for name in (CLEO, BEN, ANA):
        assert [type(error) for error in post.doubts(name)] == [IdentityCheckFailed]


def test_an_answer_to_a_hello_of_an_earlier_life_proves_nothing(post: Post) -> None:
    post.relays[ANA].introduce(BEN)
    post.deliver(post.waiting.popleft())
    answer = post.waiting.popleft()
    post.start(ANA)
    post.relays[ANA].introduce(BEN)
    assert post.deliver(answer) is None
    assert post.relays[ANA].key_of(BEN) is None


# --- versions ---


def foreign(**fields: object) -> bytes:
    return json.dumps({"type": "hello", "version": 7, **fields}).encode()


@pytest.mark.parametrize(
    "data",
    [foreign(), foreign(nonce="00" * 32), foreign(nonce=[1], public_key="x"), foreign(more={"a": ["b"]})],
)
def test_a_hello_of_another_version_is_incompatible_and_answered_so_that_its_sender_learns_ours(
    post: Post, data: bytes
) -> None:
    assert isinstance(post.deliver(Letter(ANA, BEN, data)), Doubted)
    (error,) = post.doubts(BEN)
    assert isinstance(error, PeerIncompatible)
    assert not isinstance(error, AuthenticationError)
    assert "version 7" in str(error)
    assert "version 1" in str(error)
    assert error.culprits == ()
    (answer,) = post.waiting
    hello = json.loads(answer.data)
    assert (hello["type"], hello["version"]) == ("hello", 1)
    assert hello.get("answering") == ("00" * 32 if b"0000" in data else None)


def test_an_answer_of_another_version_is_not_answered(post: Post) -> None:
    post.deliver(Letter(ANA, BEN, foreign(answering="00" * 32)))
    assert [type(error) for error in post.doubts(BEN)] == [PeerIncompatible]
    assert not post.waiting


def test_hellos_of_another_version_are_answered_a_few_times(post: Post) -> None:
    for _ in range(30):
        post.deliver(Letter(ANA, BEN, foreign()))
    assert len(post.waiting) == UNSUPPORTED_ANSWERS[0]
    post.waiting.clear()
    post.say(BEN, ANA, message())  # and what is asked for that way is not taken from what this node needs
    assert len(post.waiting) == 1


@pytest.mark.parametrize("version", [1.5, -1, 2**53, "2", None, True, [2]])
def test_a_hello_whose_version_is_not_a_number_is_refused(post: Post, version: object) -> None:
    post.deliver(Letter(ANA, BEN, foreign(version=version)))
    assert [type(error) for error in post.errors[BEN]] == [DecodeError]
    assert not post.waiting


def mixed_order_hello() -> Letter:
    """A hello that verifies under a key that nothing can be sealed to: a point outside the prime-order subgroup."""
    torsion = bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")  # order 2
    rng = random.Random(0)
    for _ in range(64):
        a, r = (sodium.crypto_core_ed25519_scalar_reduce(rng.randbytes(64)) for _ in range(2))
        key = IdentityKey(sodium.crypto_core_ed25519_add(sodium.crypto_scalarmult_ed25519_base_noclamp(a), torsion))
        unsigned = Hello(version=1, public_key=key, nonce=rng.randbytes(32), time=NOW, signature=b"")
        fields = hello_fields(unsigned, ANA, BEN)
        commitment = sodium.crypto_scalarmult_ed25519_base_noclamp(r)
        challenge = sodium.crypto_core_ed25519_scalar_reduce(
            sodium.crypto_hash_sha512(commitment + key + tagged_hash(tags.HELLO, *fields))
        )
        answer = sodium.crypto_core_ed25519_scalar_add(r, sodium.crypto_core_ed25519_scalar_mul(challenge, a))
        if verify(key, commitment + answer, tags.HELLO, *fields):
            signed = Hello(version=1, public_key=key, nonce=unsigned.nonce, time=NOW, signature=commitment + answer)
            return Letter(ANA, BEN, encode(signed))
    raise AssertionError("half of them verify")


def test_a_key_that_nothing_can_be_sealed_to_introduces_nobody(post: Post) -> None:
    assert isinstance(post.deliver(mixed_order_hello()), Doubted)
    (error,) = post.doubts(BEN)
    assert isinstance(error, IdentityCheckFailed)
    assert "ana" in error.message
    post.say(BEN, ANA, message())  # and is no reason to stumble later


# --- floods ---


def test_two_that_never_understand_each_other_do_not_talk_for_ever(introduced: Post) -> None:
    for number in range(50):
        introduced.deliver(Letter(ANA, BEN, encode_seal(bytes([number]) * 80)))
        introduced.deliver(Letter(BEN, ANA, encode_seal(bytes([number]) * 80)))
        introduced.carry()
    assert len(introduced.hellos(ANA)) <= ANSWERS[0] + GREETINGS[0]
    assert len(introduced.hellos(BEN)) <= ANSWERS[0] + GREETINGS[0]


def test_however_much_a_new_life_cannot_open_its_hello_is_answered_and_both_hear_each_other(introduced: Post) -> None:
    """Greetings for what did not open once took the place of the one answer that the peer waited for, for good."""
    introduced.start(BEN)
    for number in range(3 * GREETINGS[0]):
        introduced.say(ANA, BEN, message(number))
    introduced.carry()
    introduced.say(ANA, BEN, message(100))
    introduced.say(BEN, ANA, message(101))
    introduced.carry()
    assert message(100) in told(introduced, BEN)
    assert told(introduced, ANA)[-1] == message(101)


def test_an_answer_that_was_lost_is_given_again_when_the_peer_is_greeted(introduced: Post) -> None:
    introduced.start(BEN)
    introduced.relays[BEN].introduce(ANA)
    introduced.deliver(introduced.waiting.popleft())  # ana answers
    introduced.deliver(introduced.waiting.popleft())  # ben adopts the pair
    introduced.waiting.clear()  # and its answer is lost
    introduced.say(ANA, BEN, message(1))  # sealed for the life that ana knows
    introduced.carry()
    assert told(introduced, BEN) == [message(1)]
    introduced.say(BEN, ANA, message(2))
    introduced.carry()
    assert told(introduced, ANA)[-1] == message(2)


def test_hellos_without_end_are_answered_a_few_times_and_later_again(post: Post) -> None:
    letter = hello_of(post, ANA, BEN)
    for _ in range(3 * ANSWERS[0]):
        post.deliver(letter)
    assert len(post.waiting) == ANSWERS[0]
    post.waiting.clear()
    post.now += SECOND
    post.deliver(letter)
    assert len(post.waiting) == 1


def test_peers_that_the_server_invents_take_a_bounded_place(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "MAX_CONVERSATIONS", 16)
    for number in range(100):
        post.deliver(Letter(PeerId(f"nobody{number}"), BEN, encode_seal(bytes(80))))
    assert len(post.relays[BEN]._conversations) == 16
    post.say(ANA, BEN, message())
    post.carry()
    assert told(post, BEN) == [message()]


def test_peers_that_the_server_invents_take_no_place_of_one_that_proved_its_key(
    introduced: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "MAX_CONVERSATIONS", 16)
    for number in range(100):
        introduced.deliver(Letter(PeerId(f"nobody{number}"), BEN, encode_seal(bytes(80))))
    assert introduced.relays[BEN].key_of(ANA) == key_of(ANA)


def test_what_is_kept_for_a_restarted_peer_is_bounded(introduced: Post) -> None:
    for number in range(200):
        introduced.say(ANA, BEN, message(number))
    introduced.waiting.clear()
    introduced.start(BEN)
    introduced.relays[BEN].introduce(ANA)
    introduced.carry()
    assert told(introduced, BEN) == [message(number) for number in range(136, 200)]


@pytest.mark.parametrize("error", [ServerUnreachable("too much waits"), ValueError("at most 1024 bytes")])
def test_a_server_that_takes_nothing_loses_messages_and_ends_nobody(post: Post, error: Exception) -> None:
    post.relays[BEN].introduce(ANA)
    ana = post.relays[ANA]
    send = ana._send

    def full(_to: PeerId, _data: bytes, _standing: Standing) -> None:
        raise error

    ana._send = full
    assert post.deliver(post.waiting.popleft()) is None
    post.say(ANA, BEN, message(1))
    ana._send = send
    post.say(ANA, BEN, message(2))
    post.carry()
    assert message(2) in told(post, BEN)
    assert post.errors == {ANA: [], BEN: []}


# --- nonsense ---


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"{}",
        b'{"type":"session_proposal"}',
        b'{"type":"sealed"}',
        b'{"type":"sealed","body":"%"}',
        b'{"type":"sealed","body":"' + b"00" * 47 + b'"}',
        b'{"type":"sealed","body":"' + b"00" * 48 + b'","more":1}',
        b'{"type":"sealed","body":"' + b"00" * 48 + b'","body":"' + b"00" * 48 + b'"}',
        b'{"type":"sealed","body":"' + b"0A" * 48 + b'"}',
        b'{"type":"sealed","body":"' + b"00" * 32_601 + b'"}',
        b'{"type":"hello","public_key":"00"}',
    ],
)
def test_what_is_neither_a_hello_nor_a_seal_is_refused(introduced: Post, data: bytes) -> None:
    assert introduced.deliver(Letter(ANA, BEN, data)) is None
    assert [type(error) for error in introduced.errors[BEN]] == [DecodeError]
    assert not introduced.waiting


@pytest.mark.parametrize("inside", [b"", b"nonsense", b'{"topic":"' + b"0" * 32 + b'"}'])
def test_a_seal_around_nonsense_is_refused(introduced: Post, inside: bytes) -> None:
    assert introduced.deliver(seal_of(introduced, inside)) is None
    assert [type(error) for error in introduced.errors[BEN]] == [DecodeError]
    assert not introduced.waiting


def inside(sequence: int, **message: object) -> bytes:
    topic, expires = SESSION.hex(), NOW + SECOND
    return json.dumps({"topic": topic, "expires": expires, "sequence": sequence, "message": message}).encode()


NOT_UNDERSTOOD: list[dict[str, object]] = [
    {"type": "session_vote", "session_id": SESSION.hex()},
    {"type": "certificate_request", "wallet": SESSION.hex(), "epoch": "ee" * 32, "more": 1},
    {"type": "certificate_request", "wallet": "00" * 16, "epoch": "ee" * 32},
    {"no": "type"},
    {"type": 7},
]


@pytest.mark.parametrize("unknown", NOT_UNDERSTOOD, ids=str)
def test_what_cannot_be_understood_is_answered_so_that_its_sender_does_not_wait(
    introduced: Post, unknown: dict[str, object]
) -> None:
    assert introduced.deliver(seal_of(introduced, inside(1, **unknown))) is None
    assert [type(error) for error in introduced.errors[BEN]] == [DecodeError]
    introduced.carry()
    (answer,) = told(introduced, ANA)
    assert isinstance(answer, SessionCancel)
    assert (answer.session_id, answer.code, answer.culprits) == (SESSION, UNSUPPORTED, ())
    introduced.deliver(seal_of(introduced, inside(1, **unknown)))  # a copy
    assert not introduced.waiting


def test_a_cancel_is_never_answered_however_little_is_understood_of_it(introduced: Post) -> None:
    introduced.deliver(seal_of(introduced, inside(1, type="session_cancel", session_id=SESSION.hex(), novel=True)))
    assert [type(error) for error in introduced.errors[BEN]] == [DecodeError]
    assert not introduced.waiting


def test_what_cannot_be_understood_is_answered_a_few_times_and_later_again(introduced: Post) -> None:
    for sequence in range(1, 30):
        introduced.deliver(seal_of(introduced, inside(sequence, **NOT_UNDERSTOOD[0])))
    assert len(introduced.waiting) == UNSUPPORTED_ANSWERS[0]
    introduced.waiting.clear()
    introduced.now += 2 * SECOND
    introduced.deliver(seal_of(introduced, inside(30, **NOT_UNDERSTOOD[0])))
    assert len(introduced.waiting) == 1


def test_what_has_expired_or_was_seen_is_not_answered(introduced: Post) -> None:
    expired = json.loads(inside(1, **NOT_UNDERSTOOD[0])) | {"expires": 5}
    introduced.deliver(seal_of(introduced, json.dumps(expired).encode()))
    assert introduced.errors[BEN] == []
    assert all(letter.is_hello for letter in introduced.waiting)  # which finds out whether the clocks differ


def test_a_message_of_another_topic_than_its_envelope_is_not_taken(introduced: Post) -> None:
    other = encode_envelope(b"\x6f" * 16, NOW + SECOND, 1, encode_message(message()))
    introduced.deliver(seal_of(introduced, other))
    assert [type(error) for error in introduced.errors[BEN]] == [DecodeError]
    assert told(introduced, BEN) == []


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=200) | st.binary(min_size=48, max_size=120).map(encode_seal))
def test_whatever_bytes_the_server_relays_only_documented_errors_come_out(data: bytes) -> None:
    post = Post()
    post.start(ANA, BEN)
    post.relays[ANA].introduce(BEN)
    post.carry()
    with contextlib.suppress(DecodeError):
        assert post.relays[BEN].receive(ANA, data) is None


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=200) | st.text(max_size=60).map(str.encode))
def test_whatever_a_peer_seals_only_documented_errors_come_out(data: bytes) -> None:
    post = Post()
    post.start(ANA, BEN)
    post.relays[ANA].introduce(BEN)
    post.carry()
    with contextlib.suppress(DecodeError):
        assert post.relays[BEN].receive(ANA, seal_of(post, data).data) is None
