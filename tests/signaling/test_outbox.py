"""Whose turn it is at the server, and who pays where there is no place."""

import pytest

from mpcnode.signaling import outbox as outbox_module
from mpcnode.signaling.outbox import MAX_SENT, RETRIES, Outbox, Standing
from mpcnode.types import PeerId

LIVE, KNOWN, STRANGER = Standing
ANA, BEN, CLEO, EVE = (PeerId(name) for name in ("ana", "ben", "cleo", "eve"))


def emptied(outbox: Outbox) -> list[bytes]:
    """Everything in the order in which it goes."""
    frames = []
    while (frame := outbox.next(strangers=True)) is not None:
        frames.append(frame)
        outbox.sent(frame)
    assert not outbox.waits(strangers=True)
    return frames


def fill(outbox: Outbox, to: PeerId, standing: Standing, count: int) -> list[PeerId | None]:
    return [outbox.put(to, f"{to}{number}".encode(), standing) for number in range(count)]


def test_peers_take_turns_and_each_is_told_in_order() -> None:
    outbox = Outbox()
    fill(outbox, ANA, KNOWN, 3)
    fill(outbox, BEN, KNOWN, 1)
    fill(outbox, CLEO, KNOWN, 2)
    assert emptied(outbox) == [b"ana0", b"ben0", b"cleo0", b"ana1", b"cleo1", b"ana2"]


def test_sessions_that_go_on_come_first_and_strangers_last() -> None:
    outbox = Outbox()
    fill(outbox, EVE, STRANGER, 2)
    fill(outbox, ANA, KNOWN, 1)
    fill(outbox, BEN, LIVE, 2)
    assert emptied(outbox) == [b"ben0", b"ben1", b"ana0", b"eve0", b"eve1"]


def test_a_peer_that_comes_into_a_session_is_told_all_of_it_first_and_in_order() -> None:
    outbox = Outbox()
    fill(outbox, CLEO, KNOWN, 1)
    fill(outbox, ANA, STRANGER, 1)
    outbox.put(ANA, b"live", LIVE)
    assert emptied(outbox) == [b"ana0", b"live", b"cleo0"]


def test_one_that_has_always_more_to_be_told_keeps_its_turn_and_no_more() -> None:
    outbox = Outbox()
    fill(outbox, ANA, KNOWN, 1)
    fill(outbox, BEN, KNOWN, 4)
    order = []
    for number in range(4):
        frame = outbox.next(strangers=True)
        assert frame is not None
        outbox.sent(frame)
        outbox.put(ANA, b"ana more %d" % number, KNOWN)
        order.append(frame[:3])
    assert order == [b"ana", b"ben", b"ana", b"ben"]


def test_strangers_wait_while_what_may_go_is_kept_for_others() -> None:
    outbox = Outbox()
    fill(outbox, EVE, STRANGER, 1)
    assert outbox.next(strangers=False) is None
    assert outbox.waits(strangers=True)
    assert not outbox.waits(strangers=False)
    fill(outbox, ANA, KNOWN, 1)
    assert outbox.next(strangers=False) == b"ana0"


def test_strangers_have_a_place_of_their_own_and_lose_their_own_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "MAX_STRANGERS_BYTES", 40)
    outbox = Outbox()
    fill(outbox, ANA, LIVE, 10)
    assert set(fill(outbox, EVE, STRANGER, 100)) == {None, EVE}
    assert fill(outbox, BEN, STRANGER, 1) == [EVE]  # who has most of the place makes room
    assert fill(outbox, ANA, LIVE, 10) == [None] * 10
    assert b"ben0" in emptied(outbox)


def test_of_those_that_are_known_the_one_with_most_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "MAX_BYTES", 100)
    outbox = Outbox()
    assert set(fill(outbox, ANA, LIVE, 50)) == {None, ANA}
    assert set(fill(outbox, BEN, KNOWN, 9)) == {None, ANA}
    left = emptied(outbox)
    assert [frame for frame in left if frame.startswith(b"ben")] == [b"ben%d" % number for number in range(9)]
    assert left[0] == b"ana0"  # the newest are lost


def test_what_is_on_its_way_when_it_is_dropped_takes_nothing_else_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    outbox = Outbox()
    outbox.put(EVE, b"eve, long", STRANGER)
    frame = outbox.next(strangers=True)
    assert frame is not None
    monkeypatch.setattr(outbox_module, "MAX_STRANGERS_BYTES", 5)
    assert outbox.put(BEN, b"ben", STRANGER) == EVE
    monkeypatch.setattr(outbox_module, "MAX_STRANGERS_BYTES", 500)
    outbox.put(EVE, b"eve, later", STRANGER)
    outbox.sent(frame)
    assert emptied(outbox) == [b"ben", b"eve, later"]


def test_what_was_refused_goes_again_and_comes_no_ninth_time() -> None:
    outbox = Outbox()
    fill(outbox, ANA, LIVE, 2)
    fill(outbox, BEN, KNOWN, 1)
    assert emptied(outbox) == [b"ana0", b"ana1", b"ben0"]
    for tries in range(1, RETRIES + 1):
        assert outbox.take_back(ANA) == tries
        assert not outbox.waits(strangers=True)
        outbox.again(ANA)
        assert emptied(outbox) == [b"ana0", b"ana1"]
    assert outbox.take_back(ANA) == 0
    assert outbox.take_back(CLEO) == 0


def test_only_the_latest_of_what_was_sent_can_be_taken_back() -> None:
    outbox = Outbox()
    fill(outbox, ANA, LIVE, 2 * MAX_SENT)
    assert len(emptied(outbox)) == 2 * MAX_SENT
    assert outbox.take_back(ANA) == 1
    outbox.again(ANA)
    assert emptied(outbox) == [b"ana%d" % number for number in range(MAX_SENT, 2 * MAX_SENT)]
