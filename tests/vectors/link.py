"""Vectors of PROTOCOL, Link."""

from contextlib import suppress

from mpcnode.errors import DecodeError
from mpcnode.mesh import channel, sdp
from mpcnode.mesh.channel import Ends
from mpcnode.mesh.transport import Answer, Fingerprints, IceCandidate, Offer, to_relay
from mpcnode.types import SessionId
from mpcnode.wire import peer as wire
from tests.vectors.agreement import show_message
from tests.vectors.descriptions import DESCRIPTIONS
from tests.vectors.made import Drawn, Json, people


def make() -> Json:
    alice, bob, _ = people(3)
    rng = Drawn("link")
    mesh, at_alice, at_bob = SessionId(rng(16)), rng(32), rng(32)
    ends = {
        "alice": Ends(mesh, alice.name, alice.key, bob.name, bob.key),
        "bob": Ends(mesh, bob.name, bob.key, alice.name, alice.key),
    }
    seen = {"alice": Fingerprints(at_alice, at_bob), "bob": Fingerprints(at_bob, at_alice)}
    opens = {one.name: channel.introduce(ends[one.name], seen[one.name], one.identity.sign) for one in (alice, bob)}
    assert channel.check_introduction(ends["bob"], seen["bob"], opens[alice.name]) is None
    assert channel.check_introduction(ends["alice"], seen["alice"], opens[bob.name]) is None
    between = Fingerprints(at_bob, rng(32))
    refused = [
        ("the other end's own statement, reflected", opens[bob.name], seen["bob"]),
        ("a go-between's certificate", opens[alice.name], between),
        ("without a signature", channel.announce(ends["alice"], bob.name), seen["bob"]),
    ]
    for _, message, fingerprints in refused:
        assert channel.check_introduction(ends["bob"], fingerprints, message) is not None
    description = sdp.Description(
        ufrag="abcd",
        password="a" * 22,
        fingerprint=at_alice,
        setup="actpass",
        candidates=(
            sdp.Candidate("1", 2130706431, "192.0.2.7", 50000, "host"),
            sdp.Candidate("2", 1694498815, "2001:db8::1", 50001, "srflx"),
        ),
    )
    signals = (
        Offer("v=0", 1),
        Answer("v=0", 1),
        IceCandidate("candidate:x", "0", 0, 1),
        IceCandidate("", None, None, 2),
    )
    return {
        "people": [alice.show(), bob.show()],
        "mesh": mesh,
        "fingerprints": {"alice": at_alice, "bob": at_bob},
        "channel_open": {
            name: {"text": wire.encode(message).decode(), "signature": message.signature}
            for name, message in opens.items()
        },
        "refused_by_bob": [
            {
                "why": why,
                "text": wire.encode(message).decode(),
                "fingerprints": {"bob": fingerprints.local, "alice": fingerprints.remote},
            }
            for why, message, fingerprints in refused
        ],
        "announcement": wire.encode(channel.announce(ends["alice"], bob.name)).decode(),
        "written": {"description": _fields(description), "sdp": sdp.write(description)},
        "read": [
            {"what": what, "setup": setup, "sdp": text, "description": _read(text, setup)}
            for what, setup, text in DESCRIPTIONS
        ],
        "candidates": [
            {"candidate": text, "used": _candidate(text)}
            for text in (
                "candidate:1 1 udp 2130706431 192.0.2.7 50000 typ host",
                "candidate:1 1 UDP 2130706431 2001:db8::1 50000 typ host generation 0",
                "candidate:2 1 udp 1694498815 198.51.100.9 50001 typ srflx raddr 0.0.0.0 rport 9",
                "candidate:1 2 udp 2130706431 192.0.2.7 50000 typ host",
                "candidate:1 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active",
                "candidate:1 1 udp 2113937151 a1b2c3d4-0000-4000-8000-000000000000.local 50000 typ host",
                "candidate:1 1 udp 2130706431 224.0.0.1 50000 typ host",
                "candidate:1 1 udp 2130706431 192.0.2.7 0 typ host",
                "candidate:1 1 udp 2130706431 192.0.2.7 50000",
            )
        ],
        "signals": [show_message(to_relay(mesh, signal)) for signal in signals],
    }


def _fields(description: sdp.Description) -> Json:
    return {
        "ufrag": description.ufrag,
        "password": description.password,
        "fingerprint": description.fingerprint,
        "setup": description.setup,
        "mid": description.mid,
        "sctp_port": description.sctp_port,
        "max_message_size": description.max_message_size,
        "complete": description.complete,
        "candidates": [_shown(candidate) for candidate in description.candidates],
    }


def _shown(candidate: sdp.Candidate) -> Json:
    return {
        "foundation": candidate.foundation,
        "priority": candidate.priority,
        "host": candidate.host,
        "port": candidate.port,
        "kind": candidate.kind,
    }


def _read(text: str, setup: str) -> Json | str:
    with suppress(DecodeError):
        return _fields(sdp.read(text, setup=setup))
    return "refused"


def _candidate(text: str) -> Json | str:
    try:
        candidate = sdp.read_candidate(text)
    except DecodeError:
        return "refused"
    return "not used" if candidate is None else _shown(candidate)
