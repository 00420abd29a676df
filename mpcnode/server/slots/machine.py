"""Slots without any I/O: which numbers are given out, and which two connections meet under each.

A machine of a room: calls in, actions out. A connection asks once, for a slot or to come to one; the first error is the
end of the connection and of its slot, for both. What the two say is passed on and never looked into, and a code's
password is nowhere here.
"""

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, TypeVar

from mpcnode.errors import DecodeError
from mpcnode.server.actions import NORMAL, Close, Send, said_wait
from mpcnode.server.admission import Admission
from mpcnode.server.buckets import AddressBuckets, Bucket
from mpcnode.server.slots.reasons import ERRORS
from mpcnode.wire.slots import (
    MESSAGES,
    Allocate,
    Allocated,
    Claim,
    Claimed,
    ClientMessage,
    Error,
    Message,
    Release,
    Released,
    SlotErrorCode,
    decode_from_client,
    encode,
)

Action = Send | Close
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How many slots there are, and how long they live.

    Args:
        slots_per_address: given out to one address and not free again. Each is a connection of it, or was just now.
        slots: in all; with these, numbers have up to six digits.
        claims: of one address, at once. Each ends at most one code of somebody else.
        claims_per_second: of one address, lasting.
        open_seconds: a slot waits for its other end.
        pair_seconds: the two that met have for what they say.
        rest_seconds: a number is not given out again, so that a code that comes late leads to nobody else.
    """

    slots_per_address: int = 64
    slots: int = 100_000
    claims: int = 64
    claims_per_second: float = 1
    open_seconds: float = 3600
    pair_seconds: float = 60
    rest_seconds: float = 60


USUAL: Final = Rules()
"""What PROTOCOL says."""


@dataclass(slots=True, eq=False)
class _Slot:
    """A number that is given out; ``guest`` is there once somebody claimed it."""

    number: int
    address: str
    holder: "_End"
    guest: "_End | None" = None

    def ends(self) -> "list[_End]":
        """Give the one or two ends."""
        return [self.holder] if self.guest is None else [self.holder, self.guest]


@dataclass(slots=True, eq=False)
class _End:
    """A connection: what it may say, its slot once it has one, and how much it said there."""

    connection: int
    address: str
    bucket: Bucket
    slot: _Slot | None = None
    said: int = 0


class State(Enum):
    """How far a connection is."""

    ASKING = auto()
    ALONE = auto()
    PAIRED = auto()


class Step(Enum):
    """What is done with a message."""

    ALLOCATE = auto()
    CLAIM = auto()
    PASS_ON = auto()
    RELEASE = auto()


STEPS: Final[Mapping[tuple[State, type[ClientMessage]], Step]] = {
    (State.ASKING, Allocate): Step.ALLOCATE,
    (State.ASKING, Claim): Step.CLAIM,
    (State.ALONE, Release): Step.RELEASE,
    (State.PAIRED, Message): Step.PASS_ON,
    (State.PAIRED, Release): Step.RELEASE,
}
"""What is done with a message, by how far its connection is; any other one is ``out_of_order``."""


class Slots:
    """The slots of a server as a pure machine.

    Args:
        admission: what addresses use, in this room and all others.
        rules: how many slots there are, and how long they live.
    """

    def __init__(self, admission: Admission, rules: Rules = USUAL) -> None:
        self._admission = admission
        self._rules = rules
        self._ends: dict[int, _End] = {}
        self._slots: dict[int, _Slot] = {}
        # Numbers that were given out and are free again, and the first that never was: the smallest is in one of them.
        self._free: list[int] = []
        self._next = 1
        self._resting: dict[int, tuple[float, str]] = {}
        """Until when, and whose they are; in this order."""
        self._held: dict[str, int] = {}
        """How many numbers each address has, those that rest included."""
        self._claims = AddressBuckets(rate=rules.claims_per_second, size=rules.claims)
        # Each in the order of its deadlines, because all of one kind have the same time.
        self._asking: dict[_End, float] = {}
        self._open: dict[_Slot, float] = {}
        self._paired: dict[_Slot, float] = {}
        self._now = 0.0
        self._steps: Mapping[Step, Callable[[_End, ClientMessage], list[Action]]] = {
            Step.ALLOCATE: self._allocate,
            Step.CLAIM: self._claim,
            Step.PASS_ON: self._pass_on,
            Step.RELEASE: self._release,
        }

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._ends)

    def connect(self, connection: int, *, address: str, now: float, wait: float = 0.0) -> list[Action]:
        """Take a new connection.

        Args:
            connection: a number that was never used before.
            address: what is counted as one address, where the client is.
            now: the time.
            wait: how many seconds too early it comes; it is told so and closed.
        """
        self._now = now
        bucket = None if wait else self._admission.enter(address, now)
        if bucket is None:
            return [_last_words(connection, "too_many_connections", wait)]
        self._ends[connection] = end = _End(connection, address, bucket)
        self._asking[end] = now + self._admission.limits.register_seconds
        return []

    def receive(self, connection: int, frame: bytes, now: float) -> list[Action]:
        """Take a text frame; whatever is in it, the answer is actions and never an exception."""
        self._now = now
        end = self._ends.get(connection)
        if end is None:
            return []
        if not end.bucket.spend(now):
            return self._refuse(end, "rate_limited", end.bucket.seconds())
        try:
            message = decode_from_client(frame)
        except DecodeError:
            return self._refuse(end, "invalid_message")
        step = STEPS.get((_state(end), type(message)))
        if step is None:
            return self._refuse(end, "out_of_order")
        return self._steps[step](end, message)

    def receive_binary(self, connection: int, now: float) -> list[Action]:
        """Take a binary frame, which is never a message."""
        return self.receive(connection, b"", now)

    def receive_control(self, connection: int, now: float) -> list[Action]:
        """Take a ping, a pong or a fragment: free of meaning here, not free of cost."""
        self._now = now
        end = self._ends.get(connection)
        if end is None or end.bucket.spend(now):
            return []
        return self._refuse(end, "rate_limited", end.bucket.seconds())

    def too_big(self, connection: int) -> list[Action]:
        """Close on a frame above the limit, which was not read to its end."""
        end = self._ends.get(connection)
        return [] if end is None else self._refuse(end, "message_too_big")

    def overflow(self, connection: int) -> list[Action]:
        """Close a connection whose outbox is full."""
        end = self._ends.get(connection)
        return [] if end is None else self._refuse(end, "slow_reader")

    def disconnect(self, connection: int) -> list[Action]:
        """Forget a connection that is gone; nothing where it was forgotten before."""
        end = self._ends.get(connection)
        if end is None:
            return []
        self._forget(end)
        return self._end_slot(end.slot, "peer_gone")

    def tick(self, now: float) -> list[Action]:
        """End what has no time left; call it about once a second."""
        self._now = now
        actions: list[Action] = []
        for end in _due(self._asking, now):
            actions += self._refuse(end, "request_timeout")
        for slots in (self._open, self._paired):
            for slot in _due(slots, now):
                actions += self._end_slot(slot, "expired")
        self._wake()
        self._claims.forget_full(now)
        return actions

    def shutdown(self) -> list[Action]:
        """Tell every client that the server goes, and forget them all."""
        actions: list[Action] = [_last_words(connection, "server_shutdown") for connection in self._ends]
        for end in self._ends.values():
            self._admission.leave(end.address, end.bucket)
        for state in (self._ends, self._slots, self._held, self._resting, self._asking, self._open, self._paired):
            state.clear()
        return actions

    # The steps.

    def _allocate(self, end: _End, _message: ClientMessage) -> list[Action]:
        self._wake()
        rules = self._rules
        if self._held.get(end.address, 0) >= rules.slots_per_address:
            return self._refuse(end, "too_many_slots", rules.rest_seconds)
        if len(self._slots) + len(self._resting) >= rules.slots:
            return self._refuse(end, "slots_full", rules.rest_seconds)
        number = heapq.heappop(self._free) if self._free else self._next
        self._next = max(self._next, number + 1)
        self._held[end.address] = self._held.get(end.address, 0) + 1
        end.slot = self._slots[number] = slot = _Slot(number, end.address, end)
        del self._asking[end]
        self._open[slot] = self._now + rules.open_seconds
        return [Send(end.connection, encode(Allocated(number, round(rules.open_seconds * 1000))))]

    def _claim(self, end: _End, message: ClientMessage) -> list[Action]:
        assert isinstance(message, Claim)
        if not self._claims.spend(end.address, self._now):
            return self._refuse(end, "rate_limited", self._claims.seconds(end.address))
        slot = self._slots.get(message.slot)
        if slot is None:
            self._wake()
            return self._refuse(end, "slot_over" if message.slot in self._resting else "unknown_slot")
        if slot.guest is not None:
            return [*self._refuse(end, "crowded"), *self._end_slot(slot, "crowded")]
        end.slot, slot.guest = slot, end
        del self._asking[end], self._open[slot]
        self._paired[slot] = self._now + self._rules.pair_seconds
        frame = encode(Claimed(round(self._rules.pair_seconds * 1000)))
        return [Send(one.connection, frame) for one in slot.ends()]

    def _pass_on(self, end: _End, message: ClientMessage) -> list[Action]:
        assert isinstance(message, Message)
        assert end.slot is not None
        end.said += 1
        if end.said > MESSAGES:
            return self._refuse(end, "out_of_order")
        return [Send(one.connection, encode(message)) for one in end.slot.ends() if one is not end]

    def _release(self, end: _End, _message: ClientMessage) -> list[Action]:
        return self._end_slot(end.slot, None)

    # The ends.

    def _refuse(self, end: _End, code: SlotErrorCode, wait: float = 0.0) -> list[Action]:
        """Say why, close, and end the slot for the other one."""
        self._forget(end)
        return [_last_words(end.connection, code, wait), *self._end_slot(end.slot, "peer_gone")]

    def _end_slot(self, slot: _Slot | None, code: SlotErrorCode | None) -> list[Action]:
        """End a slot where there is one; say so to the ends that are still here. Its number rests."""
        if slot is None or self._slots.get(slot.number) is not slot:
            return []
        del self._slots[slot.number]
        self._open.pop(slot, None)
        self._paired.pop(slot, None)
        self._resting[slot.number] = self._now + self._rules.rest_seconds, slot.address
        here = [end for end in slot.ends() if end.connection in self._ends]
        for end in here:
            self._forget(end)
        return [
            Close(end.connection, NORMAL, "released", encode(Released()))
            if code is None
            else _last_words(end.connection, code)
            for end in here
        ]

    def _forget(self, end: _End) -> None:
        del self._ends[end.connection]
        self._asking.pop(end, None)
        self._admission.leave(end.address, end.bucket)

    def _wake(self) -> None:
        """Free the numbers whose rest is over."""
        while self._resting:
            number, (until, address) = next(iter(self._resting.items()))
            if until > self._now:
                break
            del self._resting[number]
            heapq.heappush(self._free, number)
            self._held[address] -= 1
            if not self._held[address]:
                del self._held[address]


def _state(end: _End) -> State:
    if end.slot is None:
        return State.ASKING
    return State.ALONE if end.slot.guest is None else State.PAIRED


def _due(deadlines: Mapping[T, float], now: float) -> list[T]:
    """Give those whose time is up, of deadlines in their order."""
    due: list[T] = []
    for one, deadline in deadlines.items():
        if deadline > now:
            break
        due.append(one)
    return due


def _last_words(connection: int, code: SlotErrorCode, wait: float = 0.0) -> Close:
    text, close_code = ERRORS[code]
    if not wait:
        return Close(connection, close_code, text, encode(Error(text, code)))
    wait_ms = said_wait(wait)
    frame = encode(Error(f"{text}: try again in {wait_ms / 1000:g} s", code, wait_ms))
    return Close(connection, close_code, text, frame)
