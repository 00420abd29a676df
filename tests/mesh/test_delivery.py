import random
from collections import deque
from itertools import islice
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.errors import DecodeError
from mpcnode.mesh import delivery
from mpcnode.mesh.delivery import Delivery, Taken
from mpcnode.types import PeerId, SessionId, SuiteId
from mpcnode.wire import framing
from mpcnode.wire import peer as wire
from mpcnode.wire.fields import MAX_DATA_BYTES
from mpcnode.wire.framing import FRAME_SIZE, MAX_MESSAGE, split
from mpcnode.wire.peer import Abort, Ack, PeerMessage, Ping, RoundMessage
from mpcnode.wire.relay import SessionCancel
from tests.helpers.meshes import OTHER, SESSION, digest

LENGTH = 20_000
"""Bytes of round data that need three frames."""


def short(number: int, session_id: SessionId = SESSION) -> RoundMessage:
    return digest(number.to_bytes(4, "big"), session_id)


def long(number: int, session_id: SessionId = SESSION) -> RoundMessage:
    return digest(number.to_bytes(4, "big") * (LENGTH // 4), session_id)


def say(one: Delivery, message: PeerMessage, *, heard: bool = False, now: float = 0.0) -> list[bytes]:
    """Send ``message``, and give all frames there are, as over a link with room for everything."""
    one.outgoing.send(message, now, heard=heard)
    return frames(one, now)


def frames(one: Delivery, now: float = 0.0) -> list[bytes]:
    """Give all frames there are, as if all pieces had been reported."""
    with patch.object(framing, "WINDOW", 1_000_000):
        return list(one.outgoing.frames(now))


def short_ones(one: Delivery) -> list[bytes]:
    """Give the frames that do not wait for a report."""
    with patch.object(framing, "WINDOW", 0):
        return list(one.outgoing.frames(0.0))


def hear(other: Delivery, said: list[bytes], now: float = 0.0) -> list[PeerMessage]:
    taken = [other.receive(frame, now) for frame in said]
    return [one.message for one in taken if one.message is not None]


def unheard(one: Delivery) -> tuple[bool, bool]:
    return one.outgoing.unacked, one.outgoing.owes


def of(session_id: SessionId, heard: list[PeerMessage]) -> list[PeerMessage]:
    return [message for message in heard if isinstance(message, RoundMessage) and message.session_id == session_id]


def numbers(said: list[bytes]) -> list[int | None]:
    return [wire.decode(frame)[1] for frame in said]


def test_a_message_is_passed_on_and_only_a_ping_is_acknowledged() -> None:
    one, other = Delivery(), Delivery()
    assert hear(other, say(one, short(1))) == [short(1)]
    assert hear(other, say(one, short(2), heard=True)) == [short(2)]
    assert frames(other) == []
    assert hear(other, say(one, Ping())) == []
    assert frames(other) == [wire.encode(Ack(3))]


def test_an_acknowledgement_covers_what_went_before() -> None:
    one, other = Delivery(), Delivery()
    said = [*say(one, short(1)), *say(one, short(2), heard=True), *say(one, Ping(), now=1.0)]
    later = say(one, short(4))
    hear(other, said)
    assert unheard(one) == (True, True)
    assert [one.receive(frame, 1.25) for frame in frames(other)] == [Taken(acknowledged=True)]
    assert one.outgoing.round_trip == 0.25
    assert unheard(one) == (True, False)
    hear(other, [*later, *say(one, Ping())])
    hear(one, frames(other))
    assert unheard(one) == (False, False)


def test_what_must_be_heard_asks_for_one_ping() -> None:
    one = Delivery()
    say(one, short(1))
    asked = [one.outgoing.ask]
    say(one, short(2), heard=True)
    say(one, short(3), heard=True)
    asked.append(one.outgoing.ask)
    say(one, Ping())
    assert [*asked, one.outgoing.ask] == [False, True, False]


def test_a_ping_is_not_what_a_node_waits_for_before_it_leaves() -> None:
    one = Delivery()
    say(one, Ping())
    assert unheard(one) == (True, False)


def test_a_ping_said_again_measures_nothing() -> None:
    one, other = Delivery(), Delivery()
    say(one, Ping())
    one.new_channel()
    other.new_channel()
    hear(other, frames(one), 5.0)
    (reply,) = frames(other)
    assert one.receive(reply, 5.0) == Taken(acknowledged=True)
    assert one.outgoing.round_trip is None


def test_a_new_channel_says_again_what_was_not_acknowledged_and_no_more() -> None:
    one, other = Delivery(), Delivery()
    hear(other, [*say(one, short(1)), *say(one, Ping())])
    hear(one, frames(other))
    hear(other, say(one, short(3), heard=True))
    lost = say(one, short(4))
    one.new_channel()
    other.new_channel()
    assert one.outgoing.ask
    again = frames(one)
    assert again[1:] == lost
    assert numbers(again) == [3, 4]
    assert hear(other, again) == [short(4)]


def test_a_ping_that_is_said_again_is_acknowledged_again() -> None:
    one, other = Delivery(), Delivery()
    hear(other, say(one, Ping()))
    frames(other)  # the acknowledgement dies with the channel
    one.new_channel()
    other.new_channel()
    hear(other, frames(one))
    hear(one, frames(other))
    assert unheard(one) == (False, False)


# Long messages.


def test_a_long_message_waits_for_room_and_a_short_one_does_not_wait_for_it() -> None:
    one, other = Delivery(), Delivery()
    one.outgoing.send(long(1), 0.0)
    first = list(islice(one.outgoing.frames(0.0), 1))
    one.outgoing.send(short(2, OTHER), 0.0)
    one.outgoing.send(Ping(), 0.0)
    between = short_ones(one)
    assert numbers(between) == [2, 3]
    assert hear(other, [*first, *between]) == [short(2, OTHER)]
    assert frames(other) == [wire.encode(Ack(3))]
    rest = frames(one)
    assert hear(other, rest) == [long(1)]


def test_without_room_nothing_long_begins() -> None:
    one = Delivery()
    one.outgoing.send(long(1), 0.0)
    assert short_ones(one) == []
    one.outgoing.send(short(2, OTHER), 0.0)
    assert numbers(short_ones(one)) == [1]
    assert len(frames(one)) == 3


def test_a_short_message_waits_for_the_long_ones_of_its_own_session_alone() -> None:
    one, other = Delivery(), Delivery()
    for message in (long(1), short(2), short(3, OTHER), long(4), short(5), long(6, OTHER), short(7, OTHER)):
        one.outgoing.send(message, 0.0)
    heard = hear(other, frames(one))
    assert heard[0] == short(3, OTHER)
    assert of(SESSION, heard) == [long(1), short(2), long(4), short(5)]
    assert of(OTHER, heard) == [short(3, OTHER), long(6, OTHER), short(7, OTHER)]


@pytest.mark.parametrize(
    "message", [Abort(SESSION, "refused", "no"), Ping(), SessionCancel(session_id=OTHER, code="x", reason="y")]
)
def test_nobody_waits_long_to_hear_that_a_session_ends(message: PeerMessage) -> None:
    one, other = Delivery(), Delivery()
    one.outgoing.send(long(1), 0.0)
    started = [next(one.outgoing.frames(0.0))]
    one.outgoing.send(message, 0.0)
    (after,) = short_ones(one)
    hear(other, started)
    assert wire.decode(after) == (message, 2)
    assert hear(other, [after]) == ([] if isinstance(message, Ping) else [message])
    assert hear(other, frames(one)) == [long(1)]


def test_an_acknowledgement_does_not_cover_a_long_message_under_way() -> None:
    one, other = Delivery(), Delivery()
    one.outgoing.send(long(1), 0.0, heard=True)
    first = next(one.outgoing.frames(0.0))
    one.outgoing.send(Ping(), 0.0)
    (ping,) = short_ones(one)
    hear(other, [first, ping])
    hear(one, frames(other))
    assert unheard(one) == (True, True)
    asked = [one.outgoing.ask]
    hear(other, frames(one))
    assert [*asked, one.outgoing.ask] == [False, True]
    hear(other, say(one, Ping()))
    hear(one, frames(other))
    assert unheard(one) == (False, False)


def test_a_long_message_that_a_channel_took_down_begins_again_from_its_first_piece() -> None:
    one, other = Delivery(), Delivery()
    one.outgoing.send(long(1), 0.0)
    first = next(one.outgoing.frames(0.0))
    one.outgoing.send(short(2, OTHER), 0.0)
    (between,) = short_ones(one)
    assert hear(other, [first, between]) == [short(2, OTHER)]
    one.new_channel()
    other.new_channel()
    again = frames(one)
    assert hear(other, again) == [long(1)]
    assert hear(other, say(one, short(3))) == [short(3)]


def test_a_long_message_that_was_taken_and_not_acknowledged_is_dropped_when_it_comes_again() -> None:
    one, other = Delivery(), Delivery()
    assert hear(other, say(one, long(1))) == [long(1)]
    one.new_channel()
    other.new_channel()
    assert hear(other, [*frames(one), *say(one, short(2))]) == [short(2)]


def test_so_many_pieces_are_on_their_way_and_a_report_lets_the_next_go() -> None:
    one, other = Delivery(), Delivery()
    message = digest(bytes(100_000))
    one.outgoing.send(message, 0.0)
    said = list(one.outgoing.frames(0.0))
    assert len(said) == framing.WINDOW
    assert hear(other, said[: framing.REPORT_AFTER - 1]) == []
    assert list(other.outgoing.frames(0.0)) == []
    hear(other, said[framing.REPORT_AFTER - 1 :])
    reports = list(other.outgoing.frames(0.0))
    assert reports == [framing.report(3), framing.report(6)]
    one.receive(reports[0], 0.0)
    more = list(one.outgoing.frames(0.0))
    assert len(more) == framing.REPORT_AFTER
    one.receive(reports[1], 0.0)
    more += one.outgoing.frames(0.0)
    heard = hear(other, more)
    assert [*heard, *hear(other, rest(one, other))] == [message]


def rest(one: Delivery, other: Delivery) -> list[bytes]:
    """Have what is reported, once, let the rest go."""
    for report in other.outgoing.frames(0.0):
        one.receive(report, 0.0)
    return list(one.outgoing.frames(0.0))


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_pieces_too_few_for_a_report_leave_room_for_the_next_message(count: int) -> None:
    one, other = Delivery(), Delivery()
    heard: list[PeerMessage] = []
    for number in range(10):
        one.outgoing.send(digest(bytes([number]) * (8_000 * count + 500)), 0.0)
    while said := list(one.outgoing.frames(0.0)):
        heard += hear(other, said)
        hear(one, list(other.outgoing.frames(0.0)))
    assert len(heard) == 10


def test_a_new_channel_begins_with_nothing_on_its_way() -> None:
    one, other = Delivery(), Delivery()
    one.outgoing.send(digest(bytes(100_000)), 0.0)
    hear(other, list(one.outgoing.frames(0.0)))
    list(other.outgoing.frames(0.0))
    one.new_channel()
    other.new_channel()
    said = list(one.outgoing.frames(0.0))
    assert len(said) == framing.WINDOW
    hear(other, said)
    assert list(other.outgoing.frames(0.0)) == [framing.report(3), framing.report(6)]


@pytest.mark.parametrize("reported", [[7], [3, 2], [2**32 - 1]])
def test_a_report_of_what_was_not_sent_is_refused(reported: list[int]) -> None:
    one = Delivery()
    one.outgoing.send(digest(bytes(100_000)), 0.0)
    list(one.outgoing.frames(0.0))
    refused(one, *(framing.report(pieces) for pieces in reported))


def test_a_report_of_another_length_is_refused() -> None:
    one = Delivery()
    one.outgoing.send(digest(bytes(100_000)), 0.0)
    list(one.outgoing.frames(0.0))
    for frame in (framing.report(3)[:-1], framing.report(3) + b"x"):
        refused(one, frame)


def test_two_long_messages_never_mix() -> None:
    one, other = Delivery(), Delivery()
    one.outgoing.send(long(1), 0.0)
    one.outgoing.send(long(2, OTHER), 0.0)
    said = frames(one)
    assert said[:3] == split(wire.encode(long(1), 1))
    assert said[3:] == split(wire.encode(long(2, OTHER), 2))
    one.new_channel()
    other.new_channel()
    assert frames(one) == said
    assert hear(other, said) == [long(1), long(2, OTHER)]


def test_the_longest_message_fits_and_a_longer_one_is_the_callers_mistake() -> None:
    one, other = Delivery(), Delivery()
    longest = digest(bytes(MAX_DATA_BYTES))
    assert hear(other, say(one, longest)) == [longest]
    with pytest.raises(ValueError, match=f"at most {MAX_MESSAGE}"):
        say(one, digest(bytes(MAX_DATA_BYTES + 8192)))


def test_the_longest_message_has_room_for_all_that_stands_around_its_data() -> None:
    fullest = RoundMessage(
        session_id=SESSION,
        round="r" * 40,
        lane=SuiteId("S" * 64),
        data=bytes(MAX_DATA_BYTES),
        echo=bytes(32),
    )
    assert len(wire.encode(fullest, 2**53 - 1)) <= MAX_MESSAGE
    accused = tuple(PeerId("n" * 62 + f"{number:02}") for number in range(64))
    abort = Abort(SESSION, "a" * 40, "é" * 500, accused, bytes(MAX_DATA_BYTES))
    assert len(wire.encode(abort, 2**53 - 1)) <= MAX_MESSAGE


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_whatever_channels_break_everything_comes_once_and_in_the_order_of_its_session(seed: int) -> None:
    order = random.Random(seed)
    one, other = Delivery(), Delivery()
    sent: list[PeerMessage] = []
    received: list[PeerMessage] = []
    forth, back = deque[bytes](), deque[bytes]()
    steps = 0
    while len(sent) < 12 or len(received) < len(sent) or one.outgoing.unacked:
        steps += 1
        assert steps < 20_000
        match order.choice(["send", "break", "forth", "forth", "forth", "forth", "back", "back", "frames", "frames"]):
            case "send" if len(sent) < 12:
                make = long if order.random() < 0.4 else short
                sent.append(make(len(sent), order.choice([SESSION, OTHER])))
                one.outgoing.send(sent[-1], 0.0, heard=order.random() < 0.5)
            case "break" if steps < 200 and order.random() < 0.3:
                one.new_channel()
                other.new_channel()
                forth.clear()
                back.clear()
            case "frames":
                # One frame, then the short ones, so that everything comes between everything.
                forth.extend(islice(one.outgoing.frames(0.0), 1))
                forth.extend(short_ones(one))
                back.extend(other.outgoing.frames(0.0))
            case "forth" if forth:
                taken = other.receive(forth.popleft(), 0.0)
                received += [taken.message] if taken.message else []
            case "back" if back:
                one.receive(back.popleft(), 0.0)
            case _:
                if len(sent) >= 12 and order.random() < 0.05:
                    one.outgoing.send(Ping(), 0.0)
    for session_id in (SESSION, OTHER):
        assert of(session_id, received) == of(session_id, sent)


# What no honest node says.


def refused(receiver: Delivery, *said: bytes) -> None:
    hear(receiver, list(said[:-1]))
    with pytest.raises(DecodeError):
        receiver.receive(said[-1], 0.0)


def test_a_duplicate_on_one_channel_is_refused() -> None:
    one, other = Delivery(), Delivery()
    (data,) = say(one, short(1))
    refused(other, data, data)


def test_a_long_duplicate_on_one_channel_is_refused() -> None:
    one, other = Delivery(), Delivery()
    said = say(one, long(1))
    refused(other, *said, *said)


def test_a_gap_is_refused() -> None:
    one, other = Delivery(), Delivery()
    say(one, short(1))
    refused(other, *say(one, short(2)))


def test_a_gap_after_repetitions_is_refused() -> None:
    one, other = Delivery(), Delivery()
    said = [frame for number in range(4) for frame in say(one, short(number))]
    hear(other, said[:2])
    other.new_channel()
    refused(other, said[0], said[3])


def test_repetitions_out_of_order_are_refused() -> None:
    one, other = Delivery(), Delivery()
    said = [frame for number in range(3) for frame in say(one, short(number))]
    hear(other, said)
    other.new_channel()
    refused(other, said[1], said[0])


def test_a_short_message_overtakes_one_message_and_not_two() -> None:
    pieces = split(wire.encode(long(1), 1))
    refused(Delivery(), pieces[0], wire.encode(short(2), 3))


def test_a_number_that_was_left_out_is_that_of_the_long_message_under_way() -> None:
    for number in (3, 4):
        pieces = split(wire.encode(long(1), number))
        refused(Delivery(), pieces[0], wire.encode(short(2), 2), *pieces[1:])


def test_what_was_overtaken_must_come() -> None:
    one, other = Delivery(), Delivery()
    pieces = split(wire.encode(long(1), 1))
    hear(other, [*say(one, short(0)), *say(one, short(0))])
    other.new_channel()
    # A repetition of message 1 is under way, so that message 4 seems to overtake message 3; nothing has that number.
    refused(other, pieces[0], wire.encode(short(4), 4), *pieces[1:], wire.encode(short(5), 5))


def test_a_long_message_that_says_an_older_number_than_what_came_before_it_is_refused() -> None:
    one, other = Delivery(), Delivery()
    said = [*say(one, short(1)), *say(one, short(2))]
    refused(other, *said, *split(wire.encode(long(1), 2)))


@pytest.mark.parametrize(
    "number", [b"", b',"msg_id":0', b',"msg_id":"1"', b',"msg_id":-1', b',"msg_id":9007199254740992', b',"msg_id":1.0']
)
def test_a_number_of_another_form_is_refused(number: bytes) -> None:
    refused(Delivery(), wire.encode(short(1))[:-1] + number + b"}")


@pytest.mark.parametrize("number", [1, 7])
def test_an_acknowledgement_of_what_was_never_sent_is_refused(number: int) -> None:
    refused(Delivery(), wire.encode(Ack(number)))


def test_an_acknowledgement_of_what_is_not_wholly_sent_is_refused() -> None:
    one = Delivery()
    one.outgoing.send(long(1), 0.0)
    next(one.outgoing.frames(0.0))
    refused(one, wire.encode(Ack(1)))


def test_an_acknowledgement_that_comes_twice_changes_nothing() -> None:
    one = Delivery()
    say(one, Ping())
    assert one.receive(wire.encode(Ack(1)), 0.0) == one.receive(wire.encode(Ack(1)), 0.0) == Taken(acknowledged=True)


def test_an_acknowledgement_has_no_number() -> None:
    one = Delivery()
    say(one, Ping())
    refused(one, wire.encode(Ack(1), 1))


def test_a_peer_that_acknowledges_nothing_is_not_kept_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "MAX_UNACKED", 50_000)
    one = Delivery()
    one.outgoing.send(long(0), 0.0)
    with pytest.raises(BufferError):
        one.outgoing.send(long(1), 0.0)
    fits = (50_000 - len(wire.encode(long(0), 1))) // len(wire.encode(short(0), 100))
    for number in range(fits):
        one.outgoing.send(short(number), 0.0)
    with pytest.raises(BufferError):
        one.outgoing.send(digest(bytes(200)), 0.0)
    one.new_channel()
    said = frames(one)
    assert sum(map(len, said)) <= 50_000 + 10


def test_what_is_acknowledged_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "MAX_UNACKED", 50_000)
    one, other = Delivery(), Delivery()
    for number in range(5):
        assert hear(other, [*say(one, long(number)), *say(one, Ping())]) == [long(number)]
        hear(one, frames(other))
    assert one.outgoing._bytes == 0


def test_a_frame_is_what_a_short_message_fits() -> None:
    """At the border between short and long, whatever the number."""
    one, other = Delivery(), Delivery()
    edge = (FRAME_SIZE - len(wire.encode(digest(b""), 1))) // 2
    for length in range(edge - 12, edge + 4):
        message = digest(bytes(length))
        assert hear(other, say(one, message)) == [message]
