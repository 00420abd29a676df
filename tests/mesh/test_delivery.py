import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.errors import DecodeError
from mpcnode.mesh import delivery
from mpcnode.mesh.delivery import Delivery
from mpcnode.wire import peer as wire
from mpcnode.wire.peer import Ack, CommitmentDigest, PeerMessage, Ping, Share
from tests.helpers.meshes import SESSION

SUITE = "FROST-ED25519-SHA512-v1"


def digest(number: int) -> CommitmentDigest:
    return CommitmentDigest(SESSION, SUITE, number.to_bytes(4, "big").hex())


def share(number: int) -> Share:
    return Share(SESSION, SUITE, number.to_bytes(4, "big").hex())


def unheard(one: Delivery) -> tuple[bool, bool]:
    return one.unacked, one.last_words_unacked


def test_a_message_is_passed_on_and_acknowledged_where_it_asks_for_it() -> None:
    one, other = Delivery(), Delivery()
    taken = other.receive(one.send(digest(1), 0.0), 0.0)
    assert (taken.message, taken.reply) == (digest(1), None)
    taken = other.receive(one.send(share(2), 0.0), 0.0)
    assert taken.message == share(2)
    assert taken.reply == wire.encode(Ack("2"))


def test_an_acknowledgement_covers_what_went_before() -> None:
    one, other = Delivery(), Delivery()
    frames = [one.send(message, 0.0) for message in (digest(1), share(2), digest(3))]
    assert unheard(one) == (True, True)
    replies = [reply for frame in frames if (reply := other.receive(frame, 0.0).reply)]
    for reply in replies:
        assert one.receive(reply, 0.0).message is None
    assert unheard(one) == (True, False)
    reply = other.receive(one.send(Ping(), 1.0), 1.0).reply
    assert reply is not None
    assert one.receive(reply, 1.25).round_trip == 0.25
    assert unheard(one) == (False, False)


def test_a_ping_is_no_last_word() -> None:
    one = Delivery()
    one.send(Ping(), 0.0)
    assert one.unacked
    assert not one.last_words_unacked


def test_a_ping_said_again_measures_nothing() -> None:
    one, other = Delivery(), Delivery()
    one.send(Ping(), 0.0)
    other.new_channel()
    (again,) = one.new_channel()
    reply = other.receive(again, 5.0).reply
    assert reply is not None
    assert one.receive(reply, 5.0).round_trip is None


def test_a_new_channel_says_again_what_was_not_acknowledged_and_no_more() -> None:
    one, other = Delivery(), Delivery()
    first, second, third = (one.send(share(number), 0.0) for number in (1, 2, 3))
    reply = other.receive(first, 0.0).reply
    assert reply is not None
    one.receive(reply, 0.0)
    other.receive(second, 0.0)
    other.new_channel()
    again = one.new_channel()
    assert again == [second, third]
    repeated, fresh = (other.receive(frame, 0.0) for frame in again)
    assert (repeated.message, repeated.reply) == (None, wire.encode(Ack("2")))
    assert fresh.message == share(3)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_whatever_channels_break_everything_comes_once_and_in_order(seed: int) -> None:
    order = random.Random(seed)
    one, other = Delivery(), Delivery()
    sent: list[PeerMessage] = []
    received: list[PeerMessage] = []
    wires: tuple[list[bytes], list[bytes]] = ([], [])
    while len(sent) < 12 or one.unacked:
        match order.choice(["send", "break", "forth", "forth", "back"]):
            case "send" if len(sent) < 12:
                sent.append(digest(len(sent)) if order.random() < 0.5 else share(len(sent)))
                wires[0].append(one.send(sent[-1], 0.0))
            case "break" if len(received) < 12:
                wires[0][:] = one.new_channel()
                wires[1][:] = other.new_channel()
            case "forth" if wires[0]:
                taken = other.receive(wires[0].pop(0), 0.0)
                received += [taken.message] if taken.message else []
                wires[1].extend([taken.reply] if taken.reply else [])
            case "back" if wires[1]:
                one.receive(wires[1].pop(0), 0.0)
            case _:
                if len(sent) >= 12 and not wires[0] and not wires[1]:
                    sent.append(share(len(sent)))
                    wires[0].append(one.send(sent[-1], 0.0))
    assert received == sent


def refused(receiver: Delivery, data: bytes) -> None:
    with pytest.raises(DecodeError):
        receiver.receive(data, 0.0)


def test_a_duplicate_on_one_channel_is_refused() -> None:
    one, other = Delivery(), Delivery()
    data = one.send(digest(1), 0.0)
    other.receive(data, 0.0)
    refused(other, data)


def test_a_gap_is_refused() -> None:
    one, other = Delivery(), Delivery()
    one.send(digest(1), 0.0)
    refused(other, one.send(digest(2), 0.0))


def test_a_gap_among_repetitions_is_refused() -> None:
    one, other = Delivery(), Delivery()
    frames = [one.send(digest(number), 0.0) for number in range(3)]
    for frame in frames:
        other.receive(frame, 0.0)
    other.new_channel()
    other.receive(frames[0], 0.0)
    refused(other, frames[2])


@pytest.mark.parametrize("msg_id", [None, "0", "01", "-1", "x", "9" * 17, "1-1"])
def test_a_number_of_another_form_is_refused(msg_id: str | None) -> None:
    refused(Delivery(), wire.encode(digest(1), msg_id))


@pytest.mark.parametrize("number", ["1", "0", "x", "-1"])
def test_an_acknowledgement_of_what_was_never_sent_is_refused(number: str) -> None:
    refused(Delivery(), wire.encode(Ack(number)))


def test_an_acknowledgement_has_no_number() -> None:
    one = Delivery()
    one.send(share(1), 0.0)
    refused(one, wire.encode(Ack("1"), "1"))


def test_a_peer_that_acknowledges_nothing_is_not_kept_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "MAX_UNACKED", 1000)
    one = Delivery()
    fits = 1000 // len(wire.encode(digest(0), "1"))
    for number in range(fits):
        one.send(digest(number), 0.0)
    with pytest.raises(BufferError):
        one.send(digest(fits), 0.0)
    assert sum(map(len, one.new_channel())) <= 1000
