"""The slots alone: calls in, actions out, no socket and no clock."""

import itertools
from typing import Any

import pytest

from mpcnode.server.slots.machine import STEPS, USUAL, Rules, State, Step
from mpcnode.server.slots.reasons import ERRORS
from mpcnode.wire.slots import MESSAGES, Allocate, Claim, Message, Release
from tests.helpers.slot_desk import SlotDesk

SAID: dict[type, dict[str, Any]] = {
    Allocate: {"type": "allocate"},
    Claim: {"type": "claim", "slot": 1},
    Message: {"type": "message", "body": "53"},
    Release: {"type": "release"},
}


@pytest.fixture
def desk() -> SlotDesk:
    return SlotDesk()


def in_state(desk: SlotDesk, state: State) -> int:
    if state is State.ASKING:
        desk.allocated("192.0.2.9")
        return desk.connect()
    return desk.allocated()[0] if state is State.ALONE else desk.paired()[0]


@pytest.mark.parametrize("message", SAID)
@pytest.mark.parametrize("state", State)
def test_what_the_table_does_not_name_is_out_of_order_and_ends_the_slot(
    desk: SlotDesk, state: State, message: type
) -> None:
    one = in_state(desk, state)
    desk.send(one, **SAID[message])
    step = STEPS.get((state, message))
    ended = step is None or step is Step.RELEASE
    assert desk.closed.get(one) == (None if not ended else 1008 if step is None else 1000)
    assert (desk.words(one)[:1] == ["out_of_order"]) == (step is None)
    if ended and state is not State.ASKING:
        late = desk.claimed(1, "192.0.2.3")
        assert desk.words(late) == ["slot_over"]


def test_every_error_has_a_text_for_people_that_stands_alone() -> None:
    for text, close in ERRORS.values():
        assert text[0].islower()
        assert close in {1008, 1009, 1012, 1013}


def test_two_meet_and_what_they_say_is_passed_on_in_order(desk: SlotDesk) -> None:
    holder, slot = desk.allocated()
    assert slot == 1
    assert desk.heard(holder) == []
    guest = desk.claimed(slot)
    assert desk.heard(holder) == desk.heard(guest) == [{"type": "claimed", "expires_in": 60_000}]
    for number in range(MESSAGES):
        desk.send(holder, type="message", body=f"{number:02x}")
        desk.send(guest, type="message", body=f"{number:02x}ff")
    assert [said["body"] for said in desk.heard(guest)] == [f"{number:02x}" for number in range(MESSAGES)]
    assert [said["body"] for said in desk.heard(holder)] == [f"{number:02x}ff" for number in range(MESSAGES)]
    desk.send(guest, type="release")
    assert desk.words(holder) == desk.words(guest) == ["released"]
    assert desk.closed == {holder: 1000, guest: 1000}


def test_an_end_says_so_many_messages_and_no_more(desk: SlotDesk) -> None:
    holder, guest = desk.paired()
    for _ in range(MESSAGES + 1):
        desk.send(holder, type="message", body="00")
    assert desk.words(guest) == [*["message"] * MESSAGES, "peer_gone"]
    assert desk.words(holder) == ["out_of_order"]


def test_slots_are_the_smallest_numbers_that_are_free(desk: SlotDesk) -> None:
    holders = [desk.allocated() for _ in range(5)]
    assert [slot for _, slot in holders] == [1, 2, 3, 4, 5]
    for holder, _ in (holders[3], holders[1]):
        desk.send(holder, type="release")
    assert desk.allocated()[1] == 6
    desk.later(USUAL.rest_seconds)
    assert [desk.allocated()[1] for _ in range(3)] == [2, 4, 7]


@pytest.mark.parametrize("how", ["release", "disconnect", "expire", "crowd"])
def test_a_number_rests_however_its_slot_ended(desk: SlotDesk, how: str) -> None:
    """The code may still be on its way to somebody, and must not lead to a stranger's slot."""
    holder, slot = desk.allocated()
    if how == "release":
        desk.send(holder, type="release")
    elif how == "disconnect":
        desk.do(desk.slots.disconnect(holder))
    elif how == "expire":
        desk.later(USUAL.open_seconds)
    else:
        desk.claimed(slot)
        desk.claimed(slot)
    assert desk.allocated()[1] == slot + 1
    assert desk.words(desk.claimed(slot)) == ["slot_over"]
    desk.later(USUAL.rest_seconds - 1)
    assert desk.words(desk.claimed(slot)) == ["slot_over"]
    desk.later(1)
    assert desk.words(desk.claimed(slot)) == ["unknown_slot"]
    assert desk.allocated()[1] == slot


def test_a_third_connection_kills_the_code_and_all_three_hear_of_it(desk: SlotDesk) -> None:
    holder, slot = desk.allocated()
    guest = desk.claimed(slot, "192.0.2.2")
    desk.send(guest, type="message", body="53")
    third = desk.claimed(slot, "192.0.2.3")
    assert desk.words(holder) == ["claimed", "message", "crowded"]
    assert desk.words(guest) == ["claimed", "crowded"]
    assert desk.words(third) == ["crowded"]
    assert desk.closed == dict.fromkeys((holder, guest, third), 1008)
    assert desk.words(desk.claimed(slot, "192.0.2.4")) == ["slot_over"]


def test_an_end_that_is_gone_is_told_to_the_other(desk: SlotDesk) -> None:
    for index in (0, 1):
        ends = desk.paired()
        desk.do(desk.slots.disconnect(ends[index]))
        assert desk.words(ends[1 - index]) == ["peer_gone"]
        assert desk.heard(ends[index]) == []


def test_time_ends_what_waits_and_what_talks_too_long(desk: SlotDesk) -> None:
    silent = desk.connect()
    alone, slot = desk.allocated()
    desk.later(9.9)
    assert desk.closed == {}
    desk.later(0.1)
    assert desk.words(silent) == ["request_timeout"]
    desk.later(USUAL.open_seconds - 11)
    guest = desk.claimed(slot)
    desk.heard(alone)
    desk.later(USUAL.pair_seconds - 0.1)
    assert alone not in desk.closed
    desk.later(0.1)
    assert desk.words(alone) == ["expired"]
    assert desk.words(guest) == ["claimed", "expired"]
    lonely, _ = desk.allocated()
    desk.later(USUAL.open_seconds)
    assert desk.words(lonely) == ["expired"]
    assert desk.slots.connections == desk.admission.connections == 0


def test_a_quota_that_is_used_up_says_so_and_is_the_addresss_own() -> None:
    desk = SlotDesk(Rules(slots_per_address=3), connections_per_address=100)
    holders = [desk.allocated()[0] for _ in range(3)]
    refused = desk.connect()
    desk.send(refused, type="allocate")
    assert desk.heard(refused) == [
        {
            "type": "error",
            "error": "your address has too many slots: try again in 60 s",
            "code": "too_many_slots",
            "retry_after": 60_000,
        }
    ]
    assert desk.closed == {refused: 1013}
    # Neither do claims use up the holder's quota, nor does giving a slot up give it back before its number is free.
    desk.claimed(1)
    assert desk.allocated("192.0.2.7")[1] == 4
    desk.send(holders[2], type="release")
    again = desk.connect()
    desk.send(again, type="allocate")
    assert desk.words(again) == ["too_many_slots"]
    desk.later(USUAL.rest_seconds)
    assert desk.allocated()[1] == 3


def test_all_addresses_together_have_a_limit() -> None:
    desk = SlotDesk(Rules(slots=3))
    for host in range(3):
        desk.allocated(f"192.0.2.{host}")
    late = desk.connect("192.0.2.9")
    desk.send(late, type="allocate")
    assert desk.words(late) == ["slots_full"]
    assert desk.closed == {late: 1013}


def test_a_thousand_guesses_burn_at_most_as_many_codes() -> None:
    """Each guess is a connection and ends one code at most; of the two it was for, one always hears of it."""
    desk = SlotDesk(Rules(slots_per_address=2000, claims=10_000), connections_per_address=5000, connections=5000)
    holders = dict(desk.allocated()[::-1] for _ in range(1200))
    desk.heard(0)
    for guess, slot in enumerate(itertools.islice(itertools.cycle([*range(1, 1200, 3), 7, 7]), 1000), 1):
        attacker = desk.claimed(slot, f"203.0.113.{guess % 200}")
        desk.send(attacker, type="message", body="53" * 33)
        desk.do(desk.slots.disconnect(attacker))
        burnt = [holder for holder in holders.values() if holder in desk.closed]
        assert len(burnt) <= guess
        assert all(desk.said[holder][-1]["code"] in {"peer_gone", "crowded"} for holder in burnt[-2:])
        assert sum("claimed" in said["type"] for said in desk.said.get(holders[slot], [])) <= 1
    assert desk.slots.connections == 1200 - len(burnt) > 500


def test_an_address_does_not_guess_without_end() -> None:
    desk = SlotDesk(Rules(claims=5, claims_per_second=1))
    for _ in range(5):
        assert desk.words(desk.claimed(7)) == ["unknown_slot"]
    refused = desk.claimed(7)
    (error,) = desk.heard(refused)
    assert (error["code"], error["retry_after"]) == ("rate_limited", 1000)
    assert desk.closed[refused] == 1008
    assert desk.words(desk.claimed(7, "192.0.2.99")) == ["unknown_slot"]
    desk.later(1)
    assert desk.words(desk.claimed(7)) == ["unknown_slot"]
    assert len(desk.slots._claims._buckets) == 1
    desk.later(10)
    assert len(desk.slots._claims._buckets) == 0


def test_one_that_comes_too_early_or_that_has_no_place_is_told_so() -> None:
    desk = SlotDesk(connections_per_address=1)
    early = desk.connect(wait=0.123)
    assert desk.heard(early) == [
        {
            "type": "error",
            "error": "too many connections: try again in 0.13 s",
            "code": "too_many_connections",
            "retry_after": 130,
        }
    ]
    first = desk.connect()
    second = desk.connect()
    assert desk.heard(second) == [{"type": "error", "error": "too many connections", "code": "too_many_connections"}]
    assert desk.closed == {early: 1013, second: 1013}
    desk.do(desk.slots.disconnect(first))
    assert desk.connect() not in desk.closed


def test_one_that_says_too_much_is_closed_and_its_slot_with_it() -> None:
    desk = SlotDesk(burst=3, messages_per_second=1)
    holder, slot = desk.allocated()
    guest = desk.claimed(slot)
    for _ in range(4):
        desk.do(desk.slots.receive_control(holder, desk.now))
    assert desk.words(holder) == ["claimed", "rate_limited"]
    assert desk.words(guest) == ["claimed", "peer_gone"]
    talker, slot = desk.allocated("192.0.2.7")
    desk.claimed(slot)
    for _ in range(3):
        desk.send(talker, type="message", body="00")
    assert desk.words(talker) == ["claimed", "rate_limited"]


def test_shutdown_tells_everybody(desk: SlotDesk) -> None:
    everybody = {*desk.paired(), desk.allocated()[0], desk.connect()}
    desk.do(desk.slots.shutdown())
    assert desk.closed == dict.fromkeys(everybody, 1012)
    for number in everybody:
        assert desk.words(number) == ["server_shutdown"]
        assert desk.slots.disconnect(number) == []
    assert desk.slots.connections == desk.admission.connections == 0


def test_a_binary_frame_is_no_message(desk: SlotDesk) -> None:
    one = desk.connect()
    desk.do(desk.slots.receive_binary(one, desk.now))
    assert desk.words(one) == ["invalid_message"]
