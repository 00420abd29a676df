"""A hub on a desk: calls in, what it said to whom out; no socket, and a clock that moves when told to."""

import itertools
import json
from typing import Any

from nacl.signing import SigningKey

from mpcnode.crypto import tags
from mpcnode.crypto.transcript import tagged_hash
from mpcnode.server.actions import Close
from mpcnode.server.admission import Admission
from mpcnode.server.limits import Limits
from mpcnode.server.relay.hub import Action, Hub, SendAll
from mpcnode.wire.signaling import register_fields

ORIGIN = "ws://127.0.0.1:9000"


class Desk:
    """A hub and what it said to whom; ``now`` moves only when told to."""

    def __init__(self, **limits: Any) -> None:
        challenges = itertools.count(1)
        self.admission = Admission(Limits(**limits))
        self.hub = Hub(self.admission, version="1.2.3", rng=lambda n: next(challenges).to_bytes(n, "big"))
        self.now = 1000.0
        self.said: dict[int, list[dict[str, Any]]] = {}
        self.closed: dict[int, int] = {}
        self._next = itertools.count(1)

    def connect(self, *, extended: bool = False, address: str = "192.0.2.1", wait: float = 0.0) -> int:
        number = next(self._next)
        self.do(self.hub.connect(number, address=address, extended=extended, origins=[ORIGIN], now=self.now, wait=wait))
        return number

    def send(self, number: int, **message: Any) -> None:
        self.send_raw(number, json.dumps(message).encode())

    def send_raw(self, number: int, frame: bytes) -> None:
        self.do(self.hub.receive(number, frame, self.now))

    def do(self, actions: list[Action]) -> None:
        for action in actions:
            assert action.connection not in self.closed, "nothing may follow a close"
            frames = action.frames if isinstance(action, SendAll) else (action.frame,)
            self.said.setdefault(action.connection, []).extend(map(json.loads, frames))
            if isinstance(action, Close):
                self.closed[action.connection] = action.code

    def tell(self) -> None:
        """Have the hub tell its watchers what is due."""
        while (due := self.hub.due) is not None and due <= self.now:
            self.do(self.hub.announce(self.now))

    def heard(self, number: int) -> list[dict[str, Any]]:
        return self.said.pop(number, [])

    def errors(self, number: int) -> list[str]:
        return [message["code"] for message in self.heard(number) if message["type"] == "error"]

    def registered(self, name: str, *, extended: bool = False, watch: bool = False, address: str = "192.0.2.1") -> int:
        number = self.connect(extended=extended, address=address)
        self.send(number, type="register", peer_id=name)
        if watch:
            self.send(number, type="list_peers", watch=True)
        self.heard(number)
        return number

    def register_with(self, key: SigningKey, name: str, *, room: str = "public", **changes: Any) -> int:
        number = self.connect(extended=True)
        challenge = bytes.fromhex(self.heard(number)[0]["challenge"])
        parts = {"origin": ORIGIN, "challenge": challenge, "room": room, "peer_id": name, **changes}
        signature = key.sign(tagged_hash(tags.REGISTER, *register_fields(**parts))).signature
        self.send(
            number,
            type="register",
            peer_id=name,
            room=room,
            public_key=key.verify_key.encode().hex(),
            signature=signature.hex(),
        )
        return number
