"""Session descriptions in the forms that browsers and libraries give them, and some that are refused."""

from typing import Final

_FINGERPRINT: Final = ":".join(f"{byte:02X}" for byte in range(32))


def _described(*lines: str) -> str:
    return "\r\n".join(lines) + "\r\n"


def _session(*attributes: str, section: str = "application 9 UDP/DTLS/SCTP webrtc-datachannel") -> str:
    return _described(
        "v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", f"m={section}", "c=IN IP4 0.0.0.0", *attributes
    )


_BASE: Final = (
    "a=mid:0",
    "a=ice-ufrag:abcd",
    "a=ice-pwd:0123456789012345678901",
    f"a=fingerprint:sha-256 {_FINGERPRINT}",
)
_HOST: Final = "a=candidate:1 1 udp 2130706431 192.0.2.7 50000 typ host"
_NAME: Final = "a=candidate:1 1 udp 2113937151 a1b2c3d4-0000-4000-8000-000000000000.local 50000 typ host generation 0"

CHROMIUM: Final = _described(
    "v=0",
    "o=- 4611731400430051336 2 IN IP4 127.0.0.1",
    "s=-",
    "t=0 0",
    "a=group:BUNDLE 0",
    "a=extmap-allow-mixed",
    "a=msid-semantic: WMS",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    "c=IN IP4 0.0.0.0",
    _NAME,
    "a=ice-ufrag:abcd",
    "a=ice-pwd:0123456789012345678901+/",
    "a=ice-options:trickle",
    f"a=fingerprint:sha-256 {_FINGERPRINT}",
    "a=setup:actpass",
    "a=mid:0",
    "a=sctp-port:5000",
    "a=max-message-size:262144",
)
FIREFOX: Final = _described(
    "v=0",
    "o=mozilla...THIS_IS_SDPARTA-99.0 1 0 IN IP4 0.0.0.0",
    "s=-",
    "t=0 0",
    f"a=fingerprint:sha-256 {_FINGERPRINT}",
    "a=group:BUNDLE 0",
    "a=ice-options:trickle",
    "a=msid-semantic:WMS *",
    "m=application 50000 UDP/DTLS/SCTP webrtc-datachannel",
    "c=IN IP4 0.0.0.0",
    "a=candidate:0 1 UDP 2122252543 a1b2c3d4-0000-4000-8000-000000000000.local 50000 typ host",
    "a=candidate:1 1 TCP 2105524479 a1b2c3d4-0000-4000-8000-000000000000.local 9 typ host tcptype active",
    "a=sendrecv",
    "a=end-of-candidates",
    "a=ice-pwd:0123456789012345678901234567890a",
    "a=ice-ufrag:0123abcd",
    "a=mid:0",
    "a=setup:active",
    "a=sctp-port:5000",
    "a=max-message-size:1073741823",
)
AIORTC: Final = _described(
    "v=0",
    "o=- 3900000000 3900000000 IN IP4 0.0.0.0",
    "s=-",
    "t=0 0",
    "a=group:BUNDLE 0",
    "a=msid-semantic:WMS *",
    "m=application 50000 UDP/DTLS/SCTP webrtc-datachannel",
    "c=IN IP4 192.0.2.7",
    "a=mid:0",
    "a=sctp-port:5000",
    "a=max-message-size:65536",
    _HOST,
    "a=end-of-candidates",
    "a=ice-ufrag:abcd",
    "a=ice-pwd:0123456789012345678901",
    f"a=fingerprint:sha-256 {_FINGERPRINT}",
    f"a=fingerprint:sha-384 {_FINGERPRINT}:20",
    "a=setup:actpass",
)

_MANY: Final = tuple(
    f"a=candidate:{number} 1 udp {2130706431 - number} 192.0.2.{number} 50000 typ host" for number in range(1, 37)
)

DESCRIPTIONS: Final = (
    ("as Chromium offers: hidden addresses", "actpass", CHROMIUM),
    ("as Firefox answers: hidden addresses, and no more to come", "active", FIREFOX),
    ("as aiortc offers", "actpass", AIORTC),
    ("lines end with a line feed alone", "active", _session(*_BASE, "a=setup:active", _HOST).replace("\r\n", "\n")),
    ("36 candidates: the 32 of highest priority are used", "actpass", _session(*_BASE, "a=setup:actpass", *_MANY)),
    ("complete without a candidate: it is not", "active", _session(*_BASE, "a=setup:active", "a=end-of-candidates")),
    ("the same candidate twice", "active", _session(*_BASE, "a=setup:active", _HOST, _HOST, "a=end-of-candidates")),
    ("passive", "active", _session(*_BASE, "a=setup:passive")),
    ("an answer that says actpass", "active", _session(*_BASE, "a=setup:actpass")),
    ("two ice-ufrag", "actpass", _session(*_BASE, "a=setup:actpass", "a=ice-ufrag:efgh")),
    ("two sha-256 fingerprints", "actpass", _session(*_BASE, "a=setup:actpass", _BASE[-1])),
    ("no sha-256 fingerprint", "actpass", _session(*_BASE[:-1], "a=setup:actpass", "a=fingerprint:sha-1 00:01")),
    ("half an ICE agent", "actpass", _session(*_BASE, "a=setup:actpass", "a=ice-lite")),
    ("a section of audio", "actpass", _session(*_BASE, "a=setup:actpass", section="audio 9 UDP/TLS/RTP/SAVPF 111")),
    ("two sections", "actpass", _session(*_BASE, "a=setup:actpass", "m=audio 9 UDP/TLS/RTP/SAVPF 111")),
    ("a line without =", "actpass", _session(*_BASE, "a=setup:actpass", "nonsense")),
    ("a line of 1025 characters", "actpass", _session(*_BASE, "a=setup:actpass", "a=" + "x" * 1023)),
    (
        "an ICE password that is too short",
        "actpass",
        _session(*_BASE[:2], "a=ice-pwd:short", _BASE[-1], "a=setup:actpass"),
    ),
)
