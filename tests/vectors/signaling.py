"""Vectors of PROTOCOL, Signaling."""

from contextlib import suppress

from mpcnode.crypto import tags
from mpcnode.crypto.transcript import tagged_hash
from mpcnode.server.actions import Close, Send
from mpcnode.server.admission import Admission
from mpcnode.server.limits import Limits
from mpcnode.server.relay.hub import Action, Hub, Pass
from mpcnode.types import PeerId
from mpcnode.wire import signaling as wire
from tests.vectors.made import Drawn, Json, Person, people

ORIGINS = (
    "ws://127.0.0.1:9000",
    "ws://localhost",
    "ws://localhost:80/",
    "ws://localhost:443",
    "WSS://MPC.Example/path?x=1",
    "wss://mpc.example:443",
    "wss://mpc.example:8443",
    "ws://[::1]:9000",
    "ws://[2001:DB8::1]/",
    "wss://bücher.example",
    "http://mpc.example",
    "ws://",
)
REFUSED = (
    (False, "nonsense"),
    (False, "[]"),
    (False, '{"type":"hello"}'),
    (False, '{"type":"list_peers"}'),
    (False, '{"type":"list_peers","watch":true}'),
    (False, '{"type":"register","peer_id":"a b"}'),
    (False, '{"type":"register","peer_id":"zoe","room":"tea"}'),
    (False, '{"type":"register","peer_id":"zoe","note":1}'),
    (False, '{"type":"register","peer_id":"zoe","peer_id":"eve"}'),
    (False, '{"type":"relay","to":"alice","data":{}}'),
    (True, '{"type":"register","peer_id":"zoe","room":"a b"}'),
    (True, '{"type":"register","peer_id":"zoe","public_key":"00"}'),
    (True, '{"type":"register","peer_id":"zoe","public_key":"' + "00" * 32 + '","signature":"' + "00" * 64 + '"}'),
    (True, '{"type":"register","peer_id":"alice"}'),
)
REFUSED_ONCE_REGISTERED = (
    '{"type":"register","peer_id":"bob2"}',
    '{"type":"relay","to":"nobody","data":{}}',
    '{"type":"relay","to":"alice","data":[]}',
    '{"type":"relay","to":"alice","data":{"a":' + "[" * 64 + "]" * 64 + "}}",
    '{"type":"relay","to":"alice","to":"bob","data":{}}',
    '{"type":"relay","to":"alice"}',
)


def make() -> Json:
    alice, bob, _ = people(3)
    rng = Drawn("signaling")
    hub = Hub(Admission(Limits()), version="1.2.3", rng=rng, ice_servers=(wire.IceServer(("stun:192.0.2.1:3478",)),))
    talk: list[Json] = []
    for number, one, extended in ((1, alice, True), (2, bob, True), (3, PeerId("plain"), False)):
        _connect(hub, talk, number, one, extended=extended)
    for number, frame in (
        (1, '{"type":"list_peers","watch":true}'),
        (2, '{"type":"list_peers"}'),
        (3, '{"type":"relay","to":"alice","data":{"n": 1.50,"n":2}}'),
        (2, '{"type":"relay","to":"nobody","data":{}}'),
        (1, '{"type":"list_peers","watch":false}'),
    ):
        _say(hub, talk, number, frame)
    return {
        "people": [alice.show(), bob.show()],
        "origins": [{"url": url, "origin": _origin(url)} for url in ORIGINS],
        "registrations": [
            _registration(alice, origin, room, rng)
            for origin in ("ws://127.0.0.1:9000", "wss://mpc.example", "ws://[::1]:9000", "wss://xn--bcher-kva.example")
            for room in ("public", "tea")
        ],
        "talk": talk,
        "refused": [
            {
                "extended": extended,
                "registered": False,
                "frame": frame,
                "code": _code(hub, rng, frame, extended=extended),
            }
            for extended, frame in REFUSED
        ]
        + [
            {"extended": True, "registered": True, "frame": frame, "code": _code(hub, rng, frame, name="zoe")}
            for frame in REFUSED_ONCE_REGISTERED
        ],
    }


def _registration(one: Person, origin: str, room: str, rng: Drawn) -> Json:
    challenge = rng(32)
    fields = wire.register_fields(origin=origin, challenge=challenge, room=room, peer_id=one.name)
    signature = one.identity.sign(tags.REGISTER, *fields)
    return {
        "origin": origin,
        "challenge": challenge,
        "room": room,
        "peer_id": one.name,
        "hash": tagged_hash(tags.REGISTER, *fields),
        "signature": signature,
        "frame": wire.encode(wire.Register(one.name, room=room, public_key=one.key, signature=signature)).decode(),
    }


def _origin(url: str) -> str:
    with suppress(ValueError):
        return wire.origin_of(url)
    return "refused"


def _connect(hub: Hub, talk: list[Json], number: int, one: Person | PeerId, *, extended: bool) -> None:
    origin = "ws://127.0.0.1:9000"
    actions = hub.connect(number, address="192.0.2.9", extended=extended, origins=[origin], now=0.0)
    _note(talk, f"{number} connects" + (", with the subprotocol" if extended else ""), actions)
    if isinstance(one, Person):
        welcome = wire.decode_from_server(_frame(actions[0]))
        assert isinstance(welcome, wire.Welcome)
        fields = wire.register_fields(
            origin=origin, challenge=welcome.challenge, room=wire.DEFAULT_ROOM, peer_id=one.name
        )
        signature = one.identity.sign(tags.REGISTER, *fields)
        frame = wire.encode(wire.Register(one.name, public_key=one.key, signature=signature)).decode()
    else:
        frame = wire.encode(wire.Register(one)).decode()
    _say(hub, talk, number, frame)


def _say(hub: Hub, talk: list[Json], number: int, frame: str) -> None:
    _note(talk, f"{number} says {frame}", hub.receive(number, frame.encode(), 0.0))


def _note(talk: list[Json], what: str, actions: list[Action]) -> None:
    heard = [{"connection": action.connection, "frame": _frame(action).decode()} for action in actions]
    talk.append({"what": what, "heard": heard})


def _frame(action: Action) -> bytes:
    assert isinstance(action, Send | Pass | Close)
    return bytes(action.frame)


def _code(hub: Hub, rng: Drawn, frame: str, *, extended: bool = True, name: str | None = None) -> str:
    number = 100 + rng(1)[0]
    hub.connect(number, address="192.0.2.10", extended=extended, origins=["ws://x"], now=0.0)
    if name is not None:
        hub.receive(number, wire.encode(wire.Register(name)), 0.0)
    actions = hub.receive(number, frame.encode(), 0.0)
    hub.disconnect(number)
    error = wire.decode_from_server(_frame(actions[0]))
    assert isinstance(error, wire.Error)
    assert error.code is not None
    return f"{error.code}, closed {actions[0].code}" if isinstance(actions[0], Close) else error.code
