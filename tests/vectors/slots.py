"""Vectors of PROTOCOL, Slots."""

from mpcnode.server.actions import Close
from mpcnode.server.admission import Admission
from mpcnode.server.limits import Limits
from mpcnode.server.slots.machine import Action, Slots
from mpcnode.wire import slots as wire
from tests.vectors.made import Json

REFUSED = (
    "",
    "[]",
    "allocate",
    '{"type":"register","peer_id":"alice"}',
    '{"type":"allocate","slot":12}',
    '{"type":"allocate","type":"allocate"}',
    '{"type":"claim"}',
    '{"type":"claim","slot":0}',
    '{"type":"claim","slot":1000000}',
    '{"type":"claim","slot":"1"}',
    '{"type":"claim","slot":1.0}',
    '{"type":"claim","slot":1,"password":"swirl-motor"}',
    '{"type":"message","body":""}',
    '{"type":"message","body":"5"}',
    '{"type":"message","body":"AB"}',
    '{"type":"message","body":null}',
    '{"type":"message","body":"' + "00" * 4097 + '"}',
    '{"type":"message","body":"53"}',
    '{"type":"release"}',
    '{"type":"claim","slot":7}',
)
"""What a connection says first, and is not let in for."""


class Talk:
    """A server and what is said to it and by it."""

    def __init__(self) -> None:
        self.lines: list[Json] = []
        self.now = 0.0
        self.slots = Slots(Admission(Limits()))

    def connects(self, *numbers: int) -> None:
        for number in numbers:
            self._note(f"{number} connects", self.slots.connect(number, address="192.0.2.9", now=self.now))

    def says(self, number: int, message: wire.ClientMessage) -> None:
        frame = wire.encode(message)
        self._note(f"{number} says {frame.decode()}", self.slots.receive(number, frame, self.now))

    def goes(self, number: int) -> None:
        self._note(f"{number} is gone", self.slots.disconnect(number))

    def waits(self, seconds: float) -> None:
        self.now += seconds
        self._note(f"{seconds:g} s later", self.slots.tick(self.now))

    def ends(self) -> None:
        self._note("the server ends", self.slots.shutdown())

    def _note(self, what: str, actions: list[Action]) -> None:
        heard: list[Json] = []
        for action in actions:
            closed = {"closed": action.code} if isinstance(action, Close) else {}
            heard.append({"connection": action.connection, "frame": action.frame.decode(), **closed})
        self.lines.append({"what": what, "heard": heard})


def make() -> Json:
    return {
        "meeting": _meeting(),
        "third": _third(),
        "gone": _gone(),
        "late": _late(),
        "refused": [{"frame": frame, "heard": _refusal(frame)} for frame in REFUSED],
    }


def _meeting() -> list[Json]:
    talk = Talk()
    talk.connects(1, 2)
    talk.says(1, wire.Allocate())
    talk.says(2, wire.Claim(1))
    talk.says(2, wire.Message(b"\x53" + bytes(range(32))))
    talk.says(1, wire.Message(b"\x53" + bytes(32)))
    talk.says(2, wire.Release())
    talk.connects(3, 4)
    talk.says(3, wire.Claim(1))
    talk.says(4, wire.Allocate())
    return talk.lines


def _third() -> list[Json]:
    talk = Talk()
    talk.connects(1, 2, 3)
    talk.says(1, wire.Allocate())
    talk.says(2, wire.Claim(1))
    talk.says(3, wire.Claim(1))
    return talk.lines


def _gone() -> list[Json]:
    talk = Talk()
    talk.connects(1, 2, 3)
    talk.says(1, wire.Allocate())
    talk.says(2, wire.Claim(1))
    talk.goes(1)
    talk.says(3, wire.Allocate())
    talk.ends()
    return talk.lines


def _late() -> list[Json]:
    talk = Talk()
    talk.connects(1, 2)
    talk.says(1, wire.Allocate())
    talk.waits(10)
    talk.waits(3589)
    talk.connects(3)
    talk.says(3, wire.Claim(1))
    talk.says(3, wire.Claim(1))
    talk.waits(60)
    talk.connects(4)
    talk.says(4, wire.Allocate())
    talk.waits(3600)
    return talk.lines


def _refusal(frame: str) -> str:
    slots = Slots(Admission(Limits()))
    slots.connect(1, address="192.0.2.9", now=0.0)
    (action,) = slots.receive(1, frame.encode(), 0.0)
    return action.frame.decode()
