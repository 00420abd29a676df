"""What a stranger, a lying server or a clock makes a node do for nothing, and what its honest peers notice of it."""

import json

import pytest

from mpcnode.identity.contacts import Contacts
from mpcnode.peers.conversation import MAX_CONVERSATIONS, Doubted, Introduced
from mpcnode.peers.hello import CLOCK_SKEW
from mpcnode.signaling.outbox import Standing
from mpcnode.types import PeerId, SessionId
from mpcnode.wire.relay import RelayMessage, Sealed, SessionCancel, SessionResponse, encode
from tests.helpers.relays import ANA, BEN, CLEO, EVE, Letter, Post, key_of

MALLORY = PeerId("mallory")
MINUTE = 60_000
HOUR = 60 * MINUTE


def session(number: int) -> SessionId:
    return SessionId(number.to_bytes(16, "big"))


def word(number: int) -> RelayMessage:
    """Something of a session that goes on."""
    return SessionCancel(session_id=session(number), code="internal", reason=f"number {number}")


def refusal(number: int) -> RelayMessage:
    return SessionResponse(session_id=session(number), proposal=bytes(32), accepted=False, reason="not supported")


def garbage() -> bytes:
    return encode(Sealed(bytes(80)))


def told(post: Post, name: PeerId) -> list[RelayMessage]:
    return [opened.message for opened in post.opened(name)]


def met(*names: PeerId) -> Post:
    """Nodes that pinned each other, and are in conversation."""
    post = Post()
    post.start(*names)
    pinned = Contacts()
    for name in names:
        pinned = pinned.pin(name, key_of(name), how="words", now=0)
    for name in names:
        post.contacts[name] = pinned.remove(name)
        for other in set(names) - {name}:
            post.relays[name].introduce(other)
    post.carry()
    post.tick(60)
    post.carry()
    post.carried.clear()
    for name in names:
        post.got[name].clear()
    return post


def said_by(post: Post, name: PeerId) -> list[Letter]:
    return [letter for letter in (*post.carried, *post.waiting) if letter.sender == name]


# --- strangers ---


def test_a_stranger_that_was_refused_64_times_and_comes_back_30_times_is_not_told_it_again() -> None:
    post = met(ANA, BEN)
    post.start(MALLORY)
    post.relays[MALLORY].introduce(BEN)
    post.carry()
    for number in range(64):
        post.relays[BEN].send(MALLORY, refusal(number), key=key_of(MALLORY), expires=post.now + MINUTE)
    post.carry()
    assert len(told(post, MALLORY)) == 64
    post.carried.clear()
    for life in range(30):
        post.relays[BEN].rejoined(MALLORY)
        if life % 2:
            post.start(MALLORY)
        post.relays[MALLORY]._greet(BEN)
        post.carry()
        post.now += 100
    said = said_by(post, BEN)
    assert all(letter.is_hello for letter in said)
    assert len(said) < 100
    assert set(post.standings[-len(said) :]) <= {Standing.STRANGER, Standing.KNOWN}


def test_garbage_in_the_name_of_a_node_that_is_away_costs_that_node_nothing() -> None:
    post = met(ANA, BEN)
    del post.relays[ANA]
    for _ in range(100):
        post.deliver(Letter(ANA, BEN, garbage()))
    assert len(post.waiting) <= 4
    post.waiting.clear()
    post.start(ANA)
    post.say(ANA, BEN, word(1))
    post.carry()
    assert told(post, BEN) == [word(1)]
    post.say(BEN, ANA, word(2))
    post.carry()
    assert told(post, ANA) == [word(2)]


def test_strangers_without_end_use_up_what_strangers_share_and_nothing_of_a_contact() -> None:
    post = met(ANA, BEN)
    for number in range(400):
        stranger = PeerId(f"stranger{number}")
        post.start(stranger)
        post.relays[stranger].introduce(BEN)
        post.deliver(post.waiting.popleft())
        post.deliver(Letter(PeerId(f"nobody{number}"), BEN, garbage()))
        del post.relays[stranger]
    assert 100 < len(post.waiting) < 200
    post.waiting.clear()
    post.start(ANA)
    post.say(ANA, BEN, word(1))
    post.carry()
    assert told(post, BEN) == [word(1)]


def test_garbage_from_everywhere_takes_no_hello_that_this_node_or_a_contact_needs() -> None:
    post = met(ANA, BEN)
    for number in range(400):
        post.deliver(Letter(PeerId(f"nobody{number}"), BEN, garbage()))
    assert len(post.waiting) < 100
    post.waiting.clear()
    post.start(EVE)
    post.say(BEN, EVE, word(1))  # the first thing that ben says to her
    post.carry()
    assert told(post, EVE) == [word(1)]
    post.start(BEN)
    post.say(ANA, BEN, word(2))  # sealed for ben's earlier life
    post.carry()
    assert told(post, BEN) == [word(2)]


def test_a_hello_that_was_put_off_for_garbage_is_said_when_there_is_room_for_it() -> None:
    post = met(ANA, BEN)
    post.start(BEN)
    for _ in range(20):
        post.deliver(Letter(ANA, BEN, garbage()))
    post.waiting.clear()
    post.say(ANA, BEN, word(1))  # sealed for ben's earlier life, and the hello that would say so is put off
    post.carry()
    assert told(post, BEN) == []
    for _ in range(4):
        post.tick()
        post.carry()
    assert told(post, BEN) == [word(1)]


def test_what_goes_to_strangers_is_not_urgent_and_what_goes_to_a_session_is() -> None:
    post = met(ANA, BEN)
    post.standings.clear()
    post.start(EVE)
    post.relays[EVE].introduce(BEN)
    post.deliver(post.waiting.popleft())
    assert post.standings == [Standing.KNOWN, Standing.STRANGER]  # what eve wants herself, and what ben is asked for
    post.waiting.clear()
    post.standings.clear()
    post.relays[ANA].rejoined(BEN)
    post.say(ANA, BEN, refusal(1))
    post.say(ANA, BEN, word(1))
    assert post.standings == [Standing.KNOWN, Standing.LIVE]


def test_a_peer_that_this_node_has_something_to_say_to_makes_no_room_for_strangers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert MAX_CONVERSATIONS == 4096
    monkeypatch.setattr("mpcnode.peers.conversation.MAX_CONVERSATIONS", 16)
    post = Post()
    post.start(BEN)
    post.say(BEN, ANA, word(1))
    for number in range(20):
        stranger = PeerId(f"stranger{number}")
        post.start(stranger)
        post.relays[stranger].introduce(BEN)
        post.carry()  # each proves a key
    post.start(ANA)
    post.tick()
    post.carry()
    assert told(post, ANA) == [word(1)]


# --- lives ---


def test_fifty_cold_lives_of_one_home_in_ten_seconds_are_all_heard_and_answered_at_once() -> None:
    post = met(ANA, BEN, CLEO)
    for number in range(50):
        post.start(ANA)
        for other in (BEN, CLEO):
            post.relays[other].rejoined(ANA)
            post.say(ANA, other, word(number))
        post.carry()
        for other in (BEN, CLEO):
            assert told(post, other)[-1:] == [word(number)], number
            post.say(other, ANA, word(number))
        post.carry()
        assert told(post, ANA) == [word(number), word(number)], number
        post.now += 200


def test_cold_lives_are_heard_after_the_clock_was_set_back_by_an_hour() -> None:
    post = met(ANA, BEN)
    for number in range(40):
        if number == 3:
            post.errors_of_clocks = {ANA: -HOUR, BEN: -HOUR}
        post.start(ANA)
        post.relays[BEN].rejoined(ANA)
        post.say(ANA, BEN, word(number))
        post.carry()
        assert told(post, BEN)[-1:] == [word(number)], number
        post.say(BEN, ANA, word(number))
        post.carry()
        assert told(post, ANA) == [word(number)], number
        post.now += 5000


@pytest.mark.parametrize("lost_for", [3, 20])
def test_hello_is_said_again_for_as_long_as_a_message_waits(lost_for: int) -> None:
    post = Post()
    post.start(ANA, BEN)
    post.say(ANA, BEN, word(1))
    for _ in range(lost_for // 2):
        post.waiting.clear()
        post.tick()
        assert len(post.waiting) == 1
    post.carry()
    assert told(post, BEN) == [word(1)]
    post.tick()
    assert not post.waiting  # nothing waits any more


def test_hello_is_not_said_again_for_what_has_expired_or_to_one_that_is_not_here() -> None:
    post = Post()
    post.start(ANA)
    post.say(ANA, BEN, word(1))
    post.waiting.clear()
    post.tick()
    assert not post.waiting
    post.start(BEN)
    post.tick(61)
    assert not post.waiting


# --- a server that lies ---


def test_a_server_that_says_after_each_message_that_both_came_back_starts_no_talk_without_end() -> None:
    post = met(ANA, BEN)
    for number in range(10):
        post.say(ANA, BEN, word(number))
        post.say(BEN, ANA, word(100 + number))
    for _ in range(2000):
        if not post.waiting:
            break
        letter = post.waiting.popleft()
        post.deliver(letter)
        post.relays[ANA].rejoined(BEN)
        post.relays[BEN].rejoined(ANA)
    assert not post.waiting
    assert len(post.carried) < 150
    for _ in range(5):  # the same for ten seconds more
        post.tick()
        for _ in range(100):
            post.relays[ANA].rejoined(BEN)
            post.relays[BEN].rejoined(ANA)
        post.carry()
    assert len(post.carried) < 400
    post.say(ANA, BEN, word(50))
    assert len(post.waiting) == 1
    post.carry()
    assert told(post, BEN)[-1] == word(50)
    assert len(told(post, BEN)) == 11


def test_what_was_put_off_is_done_when_there_is_room_for_it() -> None:
    post = met(ANA, BEN)
    for _ in range(10):
        post.relays[ANA].send(BEN, word(0), key=key_of(BEN), expires=post.now + MINUTE)
        post.relays[ANA].rejoined(BEN)
        post.carry()
    post.say(ANA, BEN, word(1))
    post.waiting.clear()  # lost, and the server says that ben is back at a moment when greetings are used up
    post.relays[ANA].rejoined(BEN)
    assert not post.waiting
    for _ in range(4):
        post.tick()
        post.carry()
    assert told(post, BEN)[-1] == word(1)


def test_hellos_of_a_living_peer_that_are_repeated_without_end_are_answered_a_few_times() -> None:
    post = met(ANA, BEN)
    for number in range(20):
        post.say(BEN, ANA, word(number))
    post.relays[ANA]._greet(BEN)
    greeting = next(letter for letter in post.waiting if letter.is_hello)
    post.carry()
    post.carried.clear()
    for _ in range(500):
        post.deliver(greeting)
    assert len([letter for letter in post.waiting if letter.is_hello]) <= 32
    assert len([letter for letter in post.waiting if not letter.is_hello]) <= 2 * 20


def test_a_bad_hello_before_the_good_one_does_no_harm() -> None:
    post = Post()
    post.start(ANA, BEN)
    post.say(BEN, ANA, word(1))
    (greeting,) = post.waiting
    forged = json.loads(greeting.data) | {"nonce": "00" * 32}
    taken = post.deliver(Letter(BEN, ANA, json.dumps(forged).encode()))
    assert isinstance(taken, Doubted)
    assert (taken.error.culprits, taken.error.suspects) == ((), frozenset())
    post.carry()
    assert told(post, ANA) == [word(1)]


# --- clocks ---


@pytest.mark.parametrize("ahead", [6 * MINUTE, -6 * MINUTE, 26 * HOUR])
def test_clocks_that_differ_are_told_to_both_at_their_introduction_and_by_how_much(ahead: int) -> None:
    post = Post(errors_of_clocks={BEN: ahead})
    post.start(ANA, BEN)
    post.relays[ANA].introduce(BEN)
    post.carry()
    assert post.got[ANA] == [Introduced(BEN, key_of(BEN), (), ahead)]
    assert post.got[BEN] == [Introduced(ANA, key_of(ANA), (), -ahead)]


@pytest.mark.parametrize("ahead", [CLOCK_SKEW, -CLOCK_SKEW])
def test_clocks_that_differ_by_what_is_tolerated_are_no_matter(ahead: int) -> None:
    post = Post(errors_of_clocks={BEN: ahead})
    post.start(ANA, BEN)
    post.relays[ANA].introduce(BEN)
    post.carry()
    assert [taken.apart for name in (ANA, BEN) for taken in post.got[name] if isinstance(taken, Introduced)] == [0, 0]


def test_a_hello_that_the_server_kept_back_does_not_look_like_a_wrong_clock() -> None:
    post = Post()
    post.start(ANA, BEN)
    post.relays[ANA].introduce(BEN)
    post.deliver(post.waiting.popleft())
    post.now += HOUR
    post.carry()
    assert [taken.apart for name in (ANA, BEN) for taken in post.got[name] if isinstance(taken, Introduced)] == [0, 0]


def test_a_clock_that_goes_wrong_in_the_middle_is_found_out_by_what_expired_and_told_to_both() -> None:
    post = met(ANA, BEN)
    post.errors_of_clocks = {ANA: -10 * MINUTE}
    post.say(ANA, BEN, word(1))
    post.carry()
    assert told(post, BEN) == []
    assert set(post.complaints[BEN]) == {"ana: a message from ana came after its time and is dropped"}
    assert len(post.complaints[BEN]) < 5
    for name, other, apart in ((ANA, BEN, 10 * MINUTE), (BEN, ANA, -10 * MINUTE)):
        assert post.got[name] == [Introduced(other, key_of(other), (), apart)]
    for _ in range(5):
        post.tick()
    assert len(post.waiting) < 5  # no talk about it without end


def test_a_message_that_came_too_late_does_not_show_a_wrong_clock() -> None:
    post = met(ANA, BEN)
    post.say(ANA, BEN, word(1))
    (letter,) = post.waiting
    post.now += 10 * MINUTE
    post.waiting.clear()
    post.deliver(letter)
    post.carry()
    assert told(post, BEN) == []
    assert [taken.apart for name in (ANA, BEN) for taken in post.got[name] if isinstance(taken, Introduced)] == [0, 0]
