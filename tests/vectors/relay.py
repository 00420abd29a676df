"""Vectors of PROTOCOL, Sealed relay: two nodes from the first hello to the third message, and what does not open."""

from collections import deque
from dataclasses import dataclass, field

import msgspec

from mpcnode.crypto import tags
from mpcnode.crypto.transcript import tagged_hash
from mpcnode.identity.contacts import Contacts
from mpcnode.peers.conversation import Conversations, Introduced, Opened, Window
from mpcnode.peers.hello import apart
from mpcnode.types import PeerId
from mpcnode.wire import relay as wire
from mpcnode.wire.introduction import hello_fields
from tests.vectors import agreement
from tests.vectors.agreement import show_message
from tests.vectors.made import NOW, Drawn, Json, Person, people


@dataclass
class _Node:
    """One end."""

    person: Person
    rng: Drawn
    now: int = NOW
    out: deque[tuple[PeerId, bytes]] = field(default_factory=deque)
    relay: Conversations = field(init=False)

    def __post_init__(self) -> None:
        self.relay = Conversations(
            identity=self.person.identity,
            peer_id=self.person.name,
            contacts=Contacts,
            send=lambda to, data, _standing: self.out.append((to, data)),
            complain=lambda _peer, _line: None,
            now=lambda: self.now,
            clock=lambda: self.now / 1000,
            rng=self.rng,
        )


def make() -> Json:
    alice, bob, carol = people(3)
    rng = Drawn("relay")
    ends = {one.name: _Node(one, Drawn(f"relay, {one.name}")) for one in (alice, bob)}
    talk: list[Json] = []
    proposal = agreement.propose(alice, [alice, bob, carol], rng, kind="keygen", threshold=2)
    made = agreement.agree(proposal, alice, [alice, bob, carol], rng)
    here, there = ends[alice.name], ends[bob.name]

    here.relay.send(bob.name, proposal, key=bob.key, expires=NOW + 120_000)
    _carry(ends, talk)
    there.relay.send(alice.name, made.responses[bob.name], key=alice.key, expires=NOW + 120_000)
    _carry(ends, talk)
    here.relay.send(bob.name, made.start, key=bob.key, expires=NOW + 120_000)
    _carry(ends, talk)

    seals = [step["data"] for step in talk if '"sealed"' in step["data"]]
    hellos = [step["data"] for step in talk if '"hello"' in step["data"]]
    late = [
        ("the proposal again, as it was", bob, 0, seals[0]),
        ("a seal brought to the one who made it", alice, 0, seals[0]),
        ("the first hello again", bob, 0, hellos[0]),
        ("the answer to it again", alice, 0, hellos[1]),
        ("not a hello and not a seal", bob, 0, '{"type":"hi"}'),
        ("a hello of version 2 with a field more", bob, 0, _foreign(hellos[0])),
        ("a hello with one field more", bob, 0, hellos[0][:-1] + ',"x":1}'),
        ("a hello that is not signed by its key", bob, 0, hellos[0].replace(alice.key.hex(), carol.key.hex())),
    ]
    after = []
    for what, at, waited, data in late:
        node = ends[at.name]
        node.now = NOW + waited
        after.append({"what": what, "at": at.name, "data": data, **_verdict(node, ends, at, data)})
    return {
        "people": [alice.show(), bob.show()],
        "talk": talk,
        "after": after,
        "expired": _expired(alice, bob, proposal),
        "sequences": [_sequences(numbers) for numbers in ((1, 2, 2, 3), (5, 1, 5, 1, 3), (2000, 976, 977, 977, 1999))],
        "unsupported": _unsupported(alice, bob),
        "clocks": [
            {"ahead": ahead, "since": since, "apart": apart(ahead, since)}
            for ahead, since in (
                (300_000, 0),
                (300_001, 0),
                (300_001, 9_000),
                (-300_000, 0),
                (-300_001, 0),
                (-309_000, 9_000),
                (-309_001, 9_000),
                (-5_000, 9_000),
            )
        ],
    }


def _carry(ends: dict[PeerId, _Node], talk: list[Json]) -> None:
    """Have everything delivered, in order."""
    while any(end.out for end in ends.values()):
        for end in ends.values():
            if not end.out:
                continue
            to, data = end.out.popleft()
            step: Json = {"from": end.person.name, "to": to, "data": data.decode(), **_inside(end, data)}
            taken = ends[to].relay.receive(end.person.name, data)
            talk.append({**step, "gives": _gives(taken)})


def _inside(end: _Node, data: bytes) -> Json:
    message = wire.decode(data)
    if isinstance(message, wire.Hello):
        other = PeerId("bob" if end.person.name == "alice" else "alice")
        return {"signs": tagged_hash(tags.HELLO, *hello_fields(message, end.person.name, other))}
    assert isinstance(message, wire.Sealed)
    return {"ephemeral": end.person.identity.ephemerals[message.body]}


def _gives(taken: object) -> str:
    match taken:
        case Introduced():
            return "introduced"
        case Opened():
            return show_message(taken.message)
        case _:
            return "nothing"


def _verdict(node: _Node, ends: dict[PeerId, _Node], at: Person, data: str) -> Json:
    other = next(name for name in ends if name != at.name)
    try:
        gives = _gives(node.relay.receive(other, data.encode()))
    except ValueError:
        gives = "refused"
    said = [one.decode() for _, one in node.out]
    node.out.clear()
    return {"gives": gives, "says": ["hello" if '"hello"' in one else "sealed" for one in said]}


def _foreign(hello: str) -> str:
    tree = msgspec.json.decode(hello)
    return msgspec.json.encode({**tree, "version": 2, "ext": {"a": [1, 2]}}).decode()


def _expired(alice: Person, bob: Person, proposal: wire.SessionProposal) -> list[Json]:
    """Judge by the clock of the one that hears it."""
    shown = []
    for late in (299_000, 300_000, 300_001):
        ends = {one.name: _Node(one, Drawn(f"expired {late}, {one.name}")) for one in (alice, bob)}
        here, there = ends[alice.name], ends[bob.name]
        here.relay.introduce(bob.name)
        _carry(ends, [])
        here.relay.send(bob.name, proposal, key=bob.key, expires=NOW)
        there.now = NOW + late
        _, data = here.out.popleft()
        gives = "nothing" if there.relay.receive(alice.name, data) is None else "opened"
        shown.append({"milliseconds_late": late, "gives": gives})
    return shown


def _sequences(numbers: tuple[int, ...]) -> list[Json]:
    """Say which sequence numbers over one pair are new."""
    window = Window()
    return [{"sequence": number, "new": window.is_new(number)} for number in numbers]


def _unsupported(alice: Person, bob: Person) -> Json:
    """Answer a message of a kind that is not known."""
    ends = {one.name: _Node(one, Drawn(f"unsupported, {one.name}")) for one in (alice, bob)}
    here, there = ends[alice.name], ends[bob.name]
    here.relay.introduce(bob.name)
    _carry(ends, [])
    topic = bytes(range(16))
    pair = here.relay._conversations[bob.name].lives.pair
    assert pair is not None
    place = tagged_hash(tags.RELAY, b"alice", b"bob", pair.ours, pair.theirs)
    plaintext = (
        b'{"topic":"'
        + topic.hex().encode()
        + b'","expires":%d,"sequence":1,' % (NOW + 1)
        + b'"message":{"type":"session_dance","session_id":"'
        + topic.hex().encode()
        + b'"}}'
    )
    body = alice.identity.seal(bob.key, plaintext, purpose="relay", topic=place, aad=b"", rng=here.rng)
    with_error = ""
    try:
        there.relay.receive(alice.name, wire.encode(wire.Sealed(body)))
    except ValueError:
        with_error = "refused"
    assert with_error == "refused"
    _, answer = there.out.popleft()
    opened = here.relay.receive(bob.name, answer)
    assert isinstance(opened, Opened)
    return {
        "nonces": {"alice": pair.ours, "bob": pair.theirs},
        "plaintext": plaintext.decode(),
        "ephemeral": alice.identity.ephemerals[body],
        "sealed": body,
        "answer": show_message(opened.message),
    }
