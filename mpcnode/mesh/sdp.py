"""The one session description a link needs, written and read strictly (PROTOCOL, Link; RFC 8866, 8839, 8841, 8842).

A description comes from a peer. One that is not of a data channel in the form below is refused here, so that the
library never sees a byte of it: one ``application`` section, one SHA-256 fingerprint, bounded sizes and candidates.
Attributes that say nothing about a data channel are passed over, because browsers add many.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from mpcnode.errors import DecodeError
from mpcnode.wire.framing import FRAME_SIZE

MAX_SDP: Final = 16_384
MAX_LINE: Final = 1024
MAX_CANDIDATES: Final = 32
"""How many candidates are used; of a machine with more, those that it prefers itself."""
SCTP_PORT: Final = 5000

_M_LINE: Final = re.compile(r"application [0-9]{1,5} UDP/DTLS/SCTP webrtc-datachannel")
_UFRAG: Final = re.compile(r"[A-Za-z0-9+/]{4,256}")
_PASSWORD: Final = re.compile(r"[A-Za-z0-9+/]{22,256}")
_MID: Final = re.compile(r"[A-Za-z0-9_-]{1,16}")
_SHA256: Final = re.compile(r"(?i:sha-256) ([0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){31})")
_CANDIDATE: Final = re.compile(
    r"(?P<foundation>[A-Za-z0-9+/]{1,32}) (?P<component>[0-9]{1,5}) (?P<transport>[A-Za-z]{1,8}) "
    r"(?P<priority>[0-9]{1,10}) (?P<host>[A-Za-z0-9.:-]{1,255}) (?P<port>[0-9]{1,5}) typ (?P<kind>[a-z]{1,8})"
    r"(?P<rest>(?: [!-~]{1,64} [!-~]{1,256}){0,12})"
)
_ONCE: Final = ("ice-ufrag", "ice-pwd", "setup", "mid")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One address a node can be reached at; always UDP, always an address and never a name."""

    foundation: str
    priority: int
    host: str
    port: int
    kind: str


@dataclass(frozen=True, slots=True)
class Description:
    """What one side says about itself.

    Args:
        fingerprint: SHA-256 of the DTLS certificate, 32 bytes.
        setup: ``actpass`` in an offer, ``active`` in an answer.
        candidates: where the side can be reached, without copies.
        complete: whether these are all the ways to reach it: it has no others, and none was left out in reading.
    """

    ufrag: str
    password: str
    fingerprint: bytes
    setup: str
    candidates: tuple[Candidate, ...]
    complete: bool = True
    mid: str = "0"
    sctp_port: int = SCTP_PORT
    max_message_size: int = FRAME_SIZE


def write(description: Description) -> str:
    """Write ``description`` as SDP."""
    port = description.candidates[0].port if description.candidates else 9
    lines = [
        "v=0",
        "o=- 0 0 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        f"a=group:BUNDLE {description.mid}",
        f"m=application {port} UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{description.mid}",
        f"a=sctp-port:{description.sctp_port}",
        f"a=max-message-size:{description.max_message_size}",
        *(f"a=candidate:{_write_candidate(candidate)}" for candidate in description.candidates),
        *(["a=end-of-candidates"] if description.complete else []),
        f"a=ice-ufrag:{description.ufrag}",
        f"a=ice-pwd:{description.password}",
        f"a=fingerprint:sha-256 {description.fingerprint.hex(':').upper()}",
        f"a=setup:{description.setup}",
    ]
    return "\r\n".join(lines) + "\r\n"


def read(text: str, *, setup: str) -> Description:
    """Read a peer's description.

    Args:
        text: SDP.
        setup: what its ``setup`` must be: ``actpass`` for an offer, ``active`` for an answer.

    Raises:
        DecodeError: it is not the description of one data channel in the form we take.
    """
    attributes = _attributes(text)
    for name in _ONCE:
        if len(attributes.get(name, [])) != 1:
            raise DecodeError(f"a description needs exactly one {name}")
    if attributes["setup"] != [setup]:
        raise DecodeError("a description with the wrong setup role")
    if "ice-lite" in attributes:
        raise DecodeError("a description of half an ICE agent")
    candidates, all_used = _candidates(attributes.get("candidate", []))
    return Description(
        ufrag=_matched(_UFRAG, attributes["ice-ufrag"][0], "ice-ufrag"),
        password=_matched(_PASSWORD, attributes["ice-pwd"][0], "ice-pwd"),
        fingerprint=_fingerprint(attributes.get("fingerprint", [])),
        setup=setup,
        candidates=candidates,
        complete="end-of-candidates" in attributes and all_used and bool(candidates),
        mid=_matched(_MID, attributes["mid"][0], "mid"),
        sctp_port=_number(attributes.get("sctp-port", []), SCTP_PORT, 1, 65_535),
        max_message_size=_number(attributes.get("max-message-size", []), 65_536, 0, 2**53),
    )


def _candidates(written: list[str]) -> tuple[tuple[Candidate, ...], bool]:
    """Give the candidates to use, best first where there are too many, and whether that is all of them.

    A browser that hides its addresses has no candidate that we use and reaches us all the same, so ICE must not end
    where one was left out (RFC 8863).
    """
    read = [read_candidate(candidate) for candidate in written]
    used = list(dict.fromkeys(candidate for candidate in read if candidate is not None))
    if len(used) <= MAX_CANDIDATES:
        return tuple(used), None not in read
    return tuple(sorted(used, key=lambda candidate: -candidate.priority)[:MAX_CANDIDATES]), False


def read_candidate(text: str) -> Candidate | None:
    """Read a peer's candidate, with or without ``candidate:`` in front.

    Returns:
        None for one we do not use: not UDP, of another component, or a name where an address should be (a name would
        make this node ask the network for whatever a peer wrote).

    Raises:
        DecodeError: it is not a candidate.
    """
    match = _CANDIDATE.fullmatch(text.removeprefix("candidate:").strip())
    if match is None or len(text) > MAX_LINE:
        raise DecodeError("not an ICE candidate")
    port, priority = int(match["port"]), int(match["priority"])
    if not 0 < port < 65_536 or not 0 < priority < 2**32:
        raise DecodeError("an ICE candidate with numbers out of range")
    if match["transport"].lower() != "udp" or match["component"] != "1":
        return None
    if match["kind"] not in {"host", "srflx", "relay"}:
        return None
    try:
        address = ipaddress.ip_address(match["host"])
    except ValueError:
        return None
    if address.is_multicast or address.is_unspecified:
        return None
    return Candidate(match["foundation"], priority, str(address), port, match["kind"])


def _write_candidate(candidate: Candidate) -> str:
    where = f"{candidate.priority} {candidate.host} {candidate.port} typ {candidate.kind}"
    # The address behind it is not told; the grammar wants a related address all the same (RFC 9429, section 5.2).
    related = "" if candidate.kind == "host" else " raddr 0.0.0.0 rport 9"
    return f"{candidate.foundation} 1 udp {where}{related}"


def _attributes(text: str) -> dict[str, list[str]]:
    """Give every attribute's values, after the frame around them was checked."""
    if len(text) > MAX_SDP or not text.isascii():
        raise DecodeError("a description that is too long, or not ASCII")
    lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    if lines[0] != "v=0" or any(len(line) > MAX_LINE or line[1:2] != "=" for line in lines):
        raise DecodeError("a description that is not SDP")
    sections = [line[2:] for line in lines if line.startswith("m=")]
    if len(sections) != 1 or not _M_LINE.fullmatch(sections[0]):
        raise DecodeError("a description that is not of one data channel")
    attributes: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith("a="):
            name, _, value = line[2:].partition(":")
            attributes.setdefault(name, []).append(value)
    return attributes


def _fingerprint(values: list[str]) -> bytes:
    """Give the one SHA-256 fingerprint; others say the same of the same certificate and are passed over."""
    matches = [match for value in values if (match := _SHA256.fullmatch(value))]
    if len(matches) != 1 or sum(value.lower().startswith("sha-256") for value in values) != 1:
        raise DecodeError("a description needs exactly one sha-256 fingerprint")
    return bytes.fromhex(matches[0][1].replace(":", ""))


def _matched(form: re.Pattern[str], value: str, name: str) -> str:
    if not form.fullmatch(value):
        raise DecodeError(f"a description with a malformed {name}")
    return value


def _number(values: list[str], default: int, low: int, high: int) -> int:
    if not values:
        return default
    if len(values) != 1 or not re.fullmatch(r"[0-9]{1,16}", values[0]) or not low <= int(values[0]) <= high:
        raise DecodeError("a description with a number out of range")
    return int(values[0])
