"""The slots against a model of a few lines, through any order of anything clients can do."""

from dataclasses import dataclass

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from mpcnode.server.slots.machine import Rules
from mpcnode.wire.slots import MESSAGES
from tests.helpers.slot_desk import SlotDesk

RULES = Rules(
    slots_per_address=3, slots=5, claims=6, claims_per_second=1, open_seconds=20, pair_seconds=8, rest_seconds=5
)
REGISTER_SECONDS = 4


@dataclass(eq=False)
class Model:
    """A slot: its number, whose, its two ends, until when."""

    number: int
    address: str
    holder: int
    guest: int | None
    until: float

    def other(self, one: int) -> int | None:
        return self.guest if one == self.holder else self.holder


class SlotsMachine(RuleBasedStateMachine):
    """Who has which slot is a dictionary; everything else follows from it."""

    connections = Bundle("connections")

    def __init__(self) -> None:
        super().__init__()
        self.desk = SlotDesk(RULES, connections_per_address=5, burst=40, register_seconds=REGISTER_SECONDS)
        self.open: dict[int, str] = {}
        self.born: dict[int, float] = {}
        self.slots: dict[int, Model] = {}
        self.resting: dict[int, tuple[float, str]] = {}
        self.said: dict[int, int] = {}
        self.claims: dict[str, list[float]] = {}

    def slot_of(self, number: int) -> Model | None:
        return next((slot for slot in self.slots.values() if number in {slot.holder, slot.guest}), None)

    def ended(self, slot: Model | None, *others: int) -> None:
        """A slot is over, if there is one, and so are its connections and others."""
        gone = set(others)
        if slot is not None:
            del self.slots[slot.number]
            self.resting[slot.number] = (self.desk.now + RULES.rest_seconds, slot.address)
            gone |= {slot.holder} | ({slot.guest} if slot.guest is not None else set())
        for number in gone:
            self.open.pop(number, None)

    def woken(self) -> None:
        self.resting = {number: rest for number, rest in self.resting.items() if rest[0] > self.desk.now}

    def held(self, address: str) -> int:
        self.woken()
        return sum(slot.address == address for slot in self.slots.values()) + sum(
            whose == address for _, whose in self.resting.values()
        )

    def heard(self) -> dict[int, list[str]]:
        """Take what was said since."""
        return {number: self.desk.words(number) for number in list(self.desk.said)}

    def refused(self, number: int, code: str) -> None:
        """Check that a connection was refused, and its slot ended, and that nobody else heard anything."""
        slot = self.slot_of(number)
        other = slot.other(number) if slot is not None else None
        assert self.heard() == {number: [code]} | ({} if other is None else {other: ["peer_gone"]})
        self.ended(slot, number)

    @rule(target=connections, host=st.integers(1, 3))
    def connect(self, host: int) -> object:
        address = f"192.0.2.{host}"
        full = list(self.open.values()).count(address) == 5
        number = self.desk.connect(address)
        if full:
            assert self.heard() == {number: ["too_many_connections"]}
            return multiple()
        assert self.heard() == {}
        self.open[number], self.born[number], self.said[number] = address, self.desk.now, 0
        return number

    @rule(number=connections)
    def allocate(self, number: int) -> None:
        if number not in self.open:
            return
        answer = self.desk.send(number, type="allocate")
        if self.slot_of(number) is not None:
            self.refused(number, "out_of_order")
        elif self.held(self.open[number]) >= RULES.slots_per_address:
            self.refused(number, "too_many_slots")
        elif len(self.slots) + len(self.resting) >= RULES.slots:
            self.refused(number, "slots_full")
        else:
            slot = next(n for n in range(1, 100) if n not in self.slots and n not in self.resting)
            assert answer == [{"type": "allocated", "slot": slot, "expires_in": 20_000}]
            assert self.heard() == {number: ["allocated"]}
            until = self.desk.now + RULES.open_seconds
            self.slots[slot] = Model(slot, self.open[number], number, None, until)

    @rule(number=connections, wanted=st.integers(1, 7))
    def claim(self, number: int, wanted: int) -> None:
        if number not in self.open:
            return
        self.desk.send(number, type="claim", slot=wanted)
        if self.slot_of(number) is not None:
            self.refused(number, "out_of_order")
            return
        address, slot = self.open[number], self.slots.get(wanted)
        heard = self.heard()
        if heard.get(number) == ["rate_limited"]:
            # More than once a second, lasting, and more than six at once.
            earlier = self.claims.get(address, [])
            assert len([at for at in earlier if at >= self.desk.now - 10]) >= RULES.claims
            self.ended(None, number)
            assert list(heard) == [number]
            return
        self.claims.setdefault(address, []).append(self.desk.now)
        self.woken()
        if slot is None:
            assert heard == {number: ["slot_over" if wanted in self.resting else "unknown_slot"]}
            self.ended(None, number)
        elif slot.guest is not None:
            assert heard == {key: ["crowded"] for key in (number, slot.holder, slot.guest)}
            self.ended(slot, number)
        else:
            assert heard == {number: ["claimed"], slot.holder: ["claimed"]}
            slot.guest, slot.until = number, self.desk.now + RULES.pair_seconds

    @rule(number=connections, body=st.binary(min_size=1, max_size=40), times=st.sampled_from([1, 1, MESSAGES + 1]))
    def speak(self, number: int, body: bytes, times: int) -> None:
        for _ in range(times):
            if number not in self.open:
                return
            slot = self.slot_of(number)
            self.desk.send(number, type="message", body=body.hex())
            words = {one: [said.get("code") for said in messages] for one, messages in self.desk.said.items()}
            if words.get(number) == ["rate_limited"]:
                self.refused(number, "rate_limited")
            elif slot is None or slot.guest is None or self.said[number] == MESSAGES:
                self.refused(number, "out_of_order")
            else:
                other = slot.other(number)
                assert other is not None
                assert self.desk.said == {other: [{"type": "message", "body": body.hex()}]}
                self.desk.heard(other)
                self.said[number] += 1

    @rule(number=connections)
    def release(self, number: int) -> None:
        if number not in self.open:
            return
        slot = self.slot_of(number)
        self.desk.send(number, type="release")
        if slot is None:
            self.refused(number, "out_of_order")
            return
        ends = {slot.holder, slot.guest} - {None}
        assert self.heard() == {key: ["released"] for key in ends}
        assert all(self.desk.closed[end] == 1000 for end in ends if end is not None)
        self.ended(slot)

    @rule(number=connections, frame=st.sampled_from([b"", b"[]", b"\xff", b'{"type":"claim"}', b"[" * 5000]))
    def send_rubbish(self, number: int, frame: bytes) -> None:
        if number in self.open:
            self.desk.send_raw(number, frame)
            self.refused(number, "invalid_message")

    @rule(number=connections, how=st.sampled_from(["overflow", "too_big"]))
    def strain(self, number: int, how: str) -> None:
        if number in self.open:
            self.desk.do(getattr(self.desk.slots, how)(number))
            self.refused(number, {"overflow": "slow_reader", "too_big": "message_too_big"}[how])

    @rule(number=connections)
    def leave(self, number: int) -> None:
        slot = self.slot_of(number)
        other = slot.other(number) if slot is not None else None
        self.desk.do(self.desk.slots.disconnect(number))
        assert self.heard() == ({} if other is None else {other: ["peer_gone"]})
        self.ended(slot, number)

    @rule(seconds=st.floats(0, 12))
    def wait(self, seconds: float) -> None:
        expected: dict[int, list[str]] = {}
        self.desk.later(seconds)
        for number in list(self.open):
            if self.slot_of(number) is None and self.born[number] + REGISTER_SECONDS <= self.desk.now:
                expected[number] = ["request_timeout"]
                self.ended(None, number)
        for slot in list(self.slots.values()):
            if slot.until <= self.desk.now:
                expected |= {end: ["expired"] for end in (slot.holder, slot.guest) if end is not None}
                self.ended(slot)
        assert self.heard() == expected

    @invariant()
    def the_slots_hold_who_is_here_and_nothing_else(self) -> None:
        slots = self.desk.slots
        assert set(slots._ends) == set(self.open)
        assert slots.connections == self.desk.admission.connections == len(self.open)
        assert set(slots._slots) == set(self.slots)
        assert set(slots._open) | set(slots._paired) == set(slots._slots.values())
        assert {end.connection for end in slots._asking} == {one for one in self.open if self.slot_of(one) is None}
        assert set(self.desk.closed).isdisjoint(self.open)
        assert sum(slots._held.values()) == len(slots._slots) + len(slots._resting)
        assert sorted([*slots._slots, *slots._resting, *slots._free]) == list(range(1, slots._next))


SlotsMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
TestSlotsMachine = SlotsMachine.TestCase
