import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.errors import DecodeError
from mpcnode.mesh import sdp
from mpcnode.mesh.sdp import Candidate, Description

HERE = Candidate("a1", 2_130_706_431, "192.0.2.7", 50_000, "host")
RELAYED = Candidate("b2", 16_777_215, "2001:db8::7", 50_001, "relay")
OFFER = Description(
    ufrag="ufrg",
    password="p" * 22,
    fingerprint=bytes(range(32)),
    setup="actpass",
    candidates=(HERE, RELAYED),
)
TEXT = sdp.write(OFFER)

CHROME = (
    "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
    "a=extmap-allow-mixed\r\na=msid-semantic: WMS\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"
    "c=IN IP4 0.0.0.0\r\na=ice-ufrag:vFHa\r\na=ice-pwd:Lg3Qz0Wf8H5yQ6nq1yqTz7nE\r\na=ice-options:trickle\r\n"
    "a=fingerprint:sha-256 " + ":".join(["AB"] * 32) + "\r\na=setup:actpass\r\na=mid:0\r\na=sctp-port:5000\r\n"
    "a=max-message-size:262144\r\n"
    "a=candidate:1 1 udp 2113937151 5b2a3c1e-aaaa-4b4b-8c8c-0123456789ab.local 53000 typ host generation 0\r\n"
    "a=candidate:2 1 tcp 1518280447 192.0.2.9 9 typ host tcptype active generation 0\r\n"
    "a=candidate:3 1 udp 1677729535 192.0.2.9 53001 typ srflx raddr 0.0.0.0 rport 0 generation 0\r\n"
)


def test_a_description_comes_out_as_it_went_in() -> None:
    assert sdp.read(TEXT, setup="actpass") == OFFER
    unfinished = replace(OFFER, setup="active", candidates=(), complete=False, mid="data")
    assert sdp.read(sdp.write(unfinished), setup="active") == unfinished


def test_a_browsers_description_is_taken_and_names_are_passed_over() -> None:
    read = sdp.read(CHROME, setup="actpass")
    assert read.candidates == (Candidate("3", 1_677_729_535, "192.0.2.9", 53_001, "srflx"),)
    assert not read.complete
    assert read.fingerprint == b"\xab" * 32


def test_other_hashes_beside_the_one_are_passed_over() -> None:
    more = TEXT + "a=fingerprint:sha-384 " + ":".join(["00"] * 48) + "\r\n"
    assert sdp.read(more, setup="actpass") == OFFER


def lines_of(count: int) -> str:
    return "".join(f"a=candidate:a1 1 udp {number} 192.0.2.7 {number} typ host\r\n" for number in range(1, count + 1))


def test_of_a_machine_with_many_addresses_the_best_are_used_and_nobody_is_accused() -> None:
    read = sdp.read(TEXT + lines_of(40), setup="actpass")
    assert len(read.candidates) == sdp.MAX_CANDIDATES
    assert read.candidates[:3] == (HERE, RELAYED, Candidate("a1", 40, "192.0.2.7", 40, "host"))
    assert not read.complete, "some were left out"
    assert sdp.read(TEXT + lines_of(30), setup="actpass").complete


def test_copies_of_a_candidate_count_once() -> None:
    copied = TEXT + lines_of(1) * 40
    assert sdp.read(copied, setup="actpass") == replace(
        OFFER, candidates=(HERE, RELAYED, Candidate("a1", 1, "192.0.2.7", 1, "host"))
    )


END = "a=end-of-candidates\r\n"
FIREFOX = CHROME + END
"""A browser that hides its addresses and says that these were all."""


@pytest.mark.parametrize(
    "text",
    [
        FIREFOX,
        re.sub(r"a=candidate:3[^\n]*\n", "", FIREFOX),
        re.sub(r"a=candidate[^\n]*\n", "", TEXT),
        TEXT + "a=candidate:9 1 udp 5 5b2a3c1e.local 9 typ host\r\n",
    ],
    ids=["names and an address", "names alone", "nothing at all", "one name more"],
)
def test_where_a_candidate_was_left_out_or_none_is_left_ice_must_not_end(text: str) -> None:
    assert END in text
    assert not sdp.read(text, setup="actpass").complete


def without(name: str) -> str:
    return re.sub(rf"a={name}[^\n]*\n", "", TEXT)


FINGERPRINT = next(line for line in TEXT.splitlines() if "fingerprint" in line) + "\r\n"


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "v=0",
        "hello",
        TEXT + "x" * sdp.MAX_LINE + "\r\n",
        TEXT + "a=" + "x" * sdp.MAX_LINE + "\r\n",
        TEXT + "a=x\r\n" * 4000,
        TEXT + "a=é\r\n",
        TEXT.replace("v=0", "v=1"),
        without("fingerprint"),
        TEXT + FINGERPRINT,
        TEXT + FINGERPRINT.replace("00", "11"),
        TEXT + "a=fingerprint:sha-256 00\r\n",
        TEXT.replace("sha-256", "sha-1"),
        TEXT.replace("sha-256 00:", "sha-256 "),
        without("setup"),
        TEXT + "a=setup:active\r\n",
        TEXT.replace("actpass", "active"),
        TEXT.replace("actpass", "passive"),
        without("ice-ufrag"),
        without("ice-pwd"),
        without("mid"),
        TEXT + "a=ice-ufrag:other\r\n",
        TEXT.replace("ufrg", "u!rg"),
        TEXT.replace("p" * 22, "p" * 21),
        TEXT.replace("mid:0", "mid:\x1b"),
        TEXT + "a=ice-lite\r\n",
        TEXT + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n",
        TEXT + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n",
        TEXT.replace("UDP/DTLS/SCTP webrtc-datachannel", "DTLS/SCTP 5000"),
        TEXT.replace("sctp-port:5000", "sctp-port:0"),
        TEXT.replace("sctp-port:5000", "sctp-port:99999"),
        TEXT + "a=sctp-port:5000\r\n",
        TEXT.replace("max-message-size:", "max-message-size:-"),
        TEXT + "a=candidate:rubbish\r\n",
        TEXT + "a=candidate:a1 1 udp 1 192.0.2.7 70000 typ host\r\n",
        TEXT + "a=candidate:a1 1 udp 99999999999 192.0.2.7 5 typ host\r\n",
        TEXT + "a=candidate:a1 1 udp 1 192.0.2.7 5 typ host" + " x y" * 13 + "\r\n",
    ],
)
def test_what_is_not_of_one_data_channel_in_our_form_is_refused(bad: str) -> None:
    with pytest.raises(DecodeError):
        sdp.read(bad, setup="actpass")


@pytest.mark.parametrize(
    "candidate",
    [
        "a1 1 tcp 1 192.0.2.7 9 typ host tcptype active",
        "a1 2 udp 1 192.0.2.7 9 typ host",
        "a1 1 udp 1 intranet.example 9 typ host",
        "a1 1 udp 1 224.0.0.1 9 typ host",
        "a1 1 udp 1 0.0.0.0 9 typ host",
        "a1 1 udp 1 192.0.2.7 9 typ prflx",
    ],
)
def test_a_candidate_we_do_not_use_is_passed_over(candidate: str) -> None:
    assert sdp.read_candidate("candidate:" + candidate) is None


def test_where_an_address_was_reflected_from_is_not_told() -> None:
    assert "raddr 0.0.0.0" in TEXT
    assert sdp.read_candidate("b2 1 udp 5 192.0.2.7 9 typ srflx raddr 10.0.0.1 rport 7") is not None


@settings(max_examples=200, deadline=None)
@given(st.text() | st.lists(st.sampled_from(TEXT.splitlines() + CHROME.splitlines())).map("\r\n".join))
def test_only_decode_errors_escape_whatever_comes(text: str) -> None:
    for read in (lambda: sdp.read(text, setup="actpass"), lambda: sdp.read_candidate(text)):
        try:
            read()
        except DecodeError:
            continue
