"""Vectors of PROTOCOL, Messages on a link."""

from contextlib import suppress
from hashlib import sha256

from mpcnode.crypto.suites import DEFAULT_SUITES
from mpcnode.errors import DecodeError
from mpcnode.mesh.delivery import Delivery
from mpcnode.types import PeerId, SessionId
from mpcnode.wire import framing
from mpcnode.wire import peer as wire
from mpcnode.wire.relay import SessionCancel
from tests.vectors import agreement
from tests.vectors.made import Drawn, Json, people


def make() -> Json:
    rng = Drawn("messages")
    session, mesh = SessionId(rng(16)), SessionId(rng(16))
    alice, bob, _ = people(3)
    made = agreement.agree(
        agreement.propose(alice, [alice, bob], rng, kind="keygen", threshold=2), alice, [alice, bob], rng
    )
    suite = DEFAULT_SUITES[0]
    said: list[tuple[wire.PeerMessage, int | None]] = [
        (wire.ChannelOpen(bob.name, mesh, alice.key, rng(64)), None),
        (wire.ChannelOpen(bob.name, mesh, alice.key), 1),
        (wire.MeshReady(mesh), 2),
        (wire.RoundMessage(session_id=session, round="digest", data=b"\x01\x02"), 3),
        (wire.RoundMessage(session_id=session, round="commitment", lane=suite, data=b"\x03", echo=rng(32)), 4),
        (wire.RoundMessage(session_id=session, round="commitment", data=b"", echo=rng(32)), 5),
        (wire.RoundMessage(session_id=session, round="share", lane=suite, data=b"\x04"), 6),
        (wire.RoundMessage(session_id=session, round="ready", data=b"\x05"), 7),
        (wire.RoundMessage(session_id=session, round="wallet_created", data=b"\x06"), 8),
        (wire.RoundMessage(session_id=session, round="nonce_list", data=b"\x07"), 2**53 - 1),
        (made.proposal, 9),
        (made.responses[bob.name], 10),
        (made.start, 11),
        (SessionCancel(session, "not_needed", "others take part"), 12),
        (wire.Ping(), 13),
        (wire.Ack(13), None),
        (wire.Abort(session, "participant_silent", "no share from bob", (PeerId("bob"),)), 14),
        (wire.Abort(session, "inconsistent_broadcast", "two stories", (), b"\x08\x09"), 15),
        (wire.Idle(mesh), 16),
    ]
    good = '{"type":"ping","payload":{},"msg_id":1}'
    assert _decodes(good)
    refused = [
        ("an unknown type", '{"type":"pong","payload":{},"msg_id":1}'),
        ("a field more around it", '{"type":"ping","payload":{},"msg_id":1,"from":"bob"}'),
        ("a field more in it", '{"type":"ping","payload":{"x":1},"msg_id":1}'),
        ("a number of 0", '{"type":"ping","payload":{},"msg_id":0}'),
        ("a number that is text", '{"type":"ping","payload":{},"msg_id":"1"}'),
        ("a number of 2^53", '{"type":"ping","payload":{},"msg_id":9007199254740992}'),
        ("a key twice", '{"type":"ping","payload":{},"msg_id":1,"msg_id":1}'),
        ("no payload", '{"type":"ping","msg_id":1}'),
        (
            "a named round as round",
            f'{{"type":"round","payload":{{"session_id":"{session.hex()}","round":"share","data":""}},"msg_id":1}}',
        ),
        (
            "a named round that says its name twice",
            f'{{"type":"share","payload":{{"session_id":"{session.hex()}","round":"share","data":""}},"msg_id":1}}',
        ),
        (
            "a payload that repeats its type",
            '{"type":"session_cancel","payload":{"type":"session_cancel","session_id":"'
            + session.hex()
            + '","code":"x","reason":""},"msg_id":1}',
        ),
        (
            "lane null",
            f'{{"type":"ready","payload":{{"session_id":"{session.hex()}","lane":null,"data":""}},"msg_id":1}}',
        ),
    ]
    for what, text in refused:
        assert not _decodes(text), what
    return {
        "messages": [{"text": wire.encode(message, number).decode()} for message, number in said],
        "refused": [{"why": why, "text": text} for why, text in refused],
        "framing": {
            "frame_size": framing.FRAME_SIZE,
            "max_message": framing.MAX_MESSAGE,
            "split": [_split(size) for size in (2, 16_384, 16_385, 32_762, 32_763, 262_144, framing.MAX_MESSAGE)],
            "refused": _wrong_frames(),
        },
        "reports": _reports(),
        "delivery": _trace(session),
        "received": _received(session),
    }


def _decodes(text: str) -> bool:
    with suppress(DecodeError):
        wire.decode(text.encode())
        return True
    return False


def message_of(size: int) -> bytes:
    """Give a JSON object of that many bytes: spaces between its brackets."""
    return b"{" + b" " * (size - 2) + b"}"


def _split(size: int) -> Json:
    frames = framing.split(message_of(size))
    return {
        "size": size,
        "frames": [len(frame) for frame in frames],
        "first_bytes": [frame[:5] for frame in frames[:2]],
        "sha256": sha256(b"".join(frames)).hexdigest(),
    }


def _wrong_frames() -> list[Json]:
    """Give sequences of frames, each as how it begins and how long it is, of which the last one is refused."""
    first, *_ = framing.split(message_of(40_000))
    cases: list[tuple[str, list[bytes]]] = [
        ("empty", [b""]),
        ("too long", [message_of(16_385)]),
        ("an unknown kind", [b"\x03abc"]),
        ("a next piece without a first", [b"\x02abc"]),
        ("a first piece that is short", [first[:-1]]),
        ("a first piece of a message that fits one frame", [b"\x01" + (16_384).to_bytes(4, "big") + first[5:]]),
        ("a message that is too long", [b"\x01" + (framing.MAX_MESSAGE + 1).to_bytes(4, "big") + first[5:]]),
        ("a message that is not an object", [first[:5] + b"[" + first[6:]]),
        ("a first piece inside another message", [first, first]),
        ("a next piece that is short", [first, b"\x02" + b" " * 100]),
        ("a last piece that is long", [first, b"\x02" + b" " * 16_383, b"\x02" + b" " * 10_000]),
    ]
    shown = []
    for why, frames in cases:
        joiner = framing.Joiner()
        for frame in frames[:-1]:
            joiner.feed(frame)
        try:
            joiner.feed(frames[-1])
        except DecodeError:
            shown.append({"why": why, "frames": [{"starts": frame[:8], "size": len(frame)} for frame in frames]})
        else:
            raise AssertionError(why)
    return shown


def _reports() -> list[Json]:
    """Say when a receiver reports, and what it reports, while a message comes."""
    there = Delivery()
    there.new_channel()
    message = b'{"type":"ping","payload":{},"msg_id":1' + b" " * 130_000 + b"}"
    shown = []
    for place, frame in enumerate(framing.split(message), 1):
        there.receive(frame, 0.0)
        said = [reply for reply in there.outgoing.frames(0.0) if not reply.startswith(b"{")]
        shown.append({"pieces": place, "says": said})
    return shown


def _received(session: SessionId) -> list[Json]:
    """Judge what comes, by its numbers; a long message begins and, later, ends."""
    cases: list[tuple[str, list[str]]] = [
        ("in order", ["short 1", "short 2", "short 3"]),
        ("a gap", ["short 1", "short 3"]),
        ("the same number twice on one channel", ["short 1", "short 1"]),
        ("said again on a new channel", ["short 1", "short 2", "channel", "short 2", "short 3"]),
        ("a new channel that begins too late", ["short 1", "channel", "short 3"]),
        ("overtaken by two short ones", ["short 1", "begin 2", "short 3", "short 4", "end 2", "short 5"]),
        ("a second number missing", ["short 1", "begin 2", "short 3", "short 5"]),
        (
            "lost with its channel",
            ["short 1", "begin 2", "short 3", "channel", "begin 2", "short 3", "end 2", "short 4"],
        ),
        ("a long one that comes too late", ["short 1", "short 2", "begin 1", "end 1"]),
        ("a long one taken before", ["begin 1", "end 1", "channel", "begin 1", "end 1", "short 2"]),
    ]
    return [{"what": what, "steps": _judged(session, steps)} for what, steps in cases]


def _judged(session: SessionId, steps: list[str]) -> list[Json]:
    here = Delivery()
    here.new_channel()
    pieces: list[bytes] = []
    shown: list[Json] = []
    for step in steps:
        what, _, number = step.partition(" ")
        if what == "channel":
            here.new_channel()
            shown.append({"step": step})
            continue
        data = bytes(20_000 if what in {"begin", "end"} else 1)
        message = wire.RoundMessage(session_id=session, round="ready", data=data)
        frames = framing.split(wire.encode(message, int(number)))
        if what == "begin":
            *begun, last = frames
            pieces = [last]
            for frame in begun:
                here.receive(frame, 0.0)
            shown.append({"step": step})
            continue
        try:
            taken = here.receive(pieces.pop() if what == "end" else frames[0], 0.0)
        except DecodeError:
            shown.append({"step": step, "verdict": "refused"})
            break
        shown.append({"step": step, "verdict": "taken" if taken.message else "a copy"})
    return shown


def _trace(session: SessionId) -> list[Json]:
    """Record what one end says over two channels of a link, the first of which is lost."""
    here = Delivery()
    trace: list[Json] = []

    def say(message: wire.PeerMessage) -> None:
        here.outgoing.send(message, 0.0)
        drain(f"says {wire.type_name(message)}")

    def drain(what: str) -> None:
        frames = list(here.outgoing.frames(0.0))
        trace.append({"what": what, "frames": [frame.decode() for frame in frames]})

    def hear(message: wire.PeerMessage, number: int | None) -> None:
        here.receive(wire.encode(message, number), 0.0)
        drain(f"hears {wire.encode(message, number).decode()}")

    def ready(word: bytes) -> wire.RoundMessage:
        return wire.RoundMessage(session_id=session, round="ready", data=word)

    here.new_channel()
    say(ready(b"a"))
    say(ready(b"b"))
    hear(wire.Ping(), 1)
    say(wire.Ping())
    hear(wire.Ack(2), None)
    say(ready(b"c"))
    here.new_channel()
    drain("has a new channel")
    hear(wire.Ping(), 1)
    hear(wire.Ack(4), None)
    here.new_channel()
    drain("has another channel")
    return trace
