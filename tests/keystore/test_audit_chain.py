"""The chain of the audit log: what is altered is found, and where; what is half-written is told from it."""

import hashlib
import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.errors import KeystoreNewer, KeystoreUnreadable
from mpcnode.keystore import audit_chain
from mpcnode.keystore.audit import raise_broken
from mpcnode.keystore.audit_chain import GENESIS, MAX_LINE, Chain, Entry, Line, Verdict, encode_line, verify
from tests.helpers.audit import HEAD, LINES, WHOLE, chained, entry


def hash_of(start: bytes) -> str:
    """The tagged hash of one field, from its parts (PROTOCOL, Hashes)."""
    prefix = hashlib.sha256(b"mpcnode/audit/v1").digest()
    return hashlib.sha256(prefix + prefix + len(start).to_bytes(8, "big") + start).hexdigest()


def both(data: bytes) -> Verdict:
    """What a chain is worth, read with its entries and by its hashes alone: the same."""
    quick = Chain()
    for start in range(0, len(data), 7):
        quick.feed(data[start : start + 7])
    assert quick.verdict() == verify(data)
    return verify(data)


def test_a_whole_chain_holds() -> None:
    assert both(WHOLE) == Verdict(5, len(WHOLE), HEAD)
    assert both(b"") == Verdict(0, 0, GENESIS)


@pytest.mark.parametrize(
    ("lines", "held"),
    [
        ([LINES[0], LINES[2], LINES[3]], 1),  # taken out
        (LINES[1:], 0),  # the first ones taken out
        ([LINES[0], LINES[0], LINES[1]], 1),  # twice
        ([LINES[0], LINES[2], LINES[1]], 1),  # moved
        ([LINES[0], b"\n", LINES[1]], 1),  # an empty line between
        ([LINES[0], chained(entry(7), entry(8))[1], LINES[2]], 1),  # another chain's, at its own number
        ([*LINES, b"{}\n"], 5),
        ([LINES[0], LINES[1][:-1] + b"\r\n", LINES[2]], 1),
        ([b"\xef\xbb\xbf" + LINES[0], LINES[1]], 0),
        ([LINES[0].replace(b'":', b'": ', 1), LINES[1]], 0),
    ],
)
def test_a_chain_breaks_at_the_first_line_that_does_not_fit(lines: list[bytes], held: int) -> None:
    verdict = both(b"".join(lines))
    assert (verdict.lines, verdict.torn) == (held, False)
    assert verdict.problem is not None
    with pytest.raises(KeystoreUnreadable, match=f"line {held + 1}: "):
        raise_broken(Path("audit.log"), verdict)


def test_every_altered_byte_breaks_the_chain_at_its_line() -> None:
    ends = [len(b"".join(LINES[: n + 1])) for n in range(len(LINES))]
    for position in range(0, len(WHOLE), 3):
        altered = bytearray(WHOLE)
        altered[position] ^= 1 + position % 7
        verdict = both(bytes(altered))
        held = sum(end <= position for end in ends)
        assert verdict.problem is not None
        assert verdict.lines == held


def test_a_line_written_anew_with_a_hash_that_fits_breaks_the_chain_after_it() -> None:
    forged, _ = encode_line(2, json.loads(LINES[0])["hash"], entry(2, outcome="failed"))
    verdict = both(LINES[0] + forged + b"".join(LINES[2:]))
    assert verdict.lines == 2
    assert verdict.problem == "it does not follow the line before it"


def test_a_line_under_another_number_breaks_the_chain() -> None:
    forged, _ = encode_line(7, json.loads(LINES[0])["hash"], entry(2))
    assert both(LINES[0] + forged) == Verdict(
        1,
        len(LINES[0]),
        json.loads(LINES[0])["hash"],
        "it says that it is line 7: lines were taken out, put in or moved",
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"reading":"text"', b'"reading": "text"'),
        (b'"reading":"text"', b'"reading":"hex","reading":"text"'),
        (b'"reading":"text"', b'"reading":"\\u0074ext"'),
        (b'"reading":"text"', b'"reading":"text","note":""'),
        (b'"proposer":"cli1"', b'"proposer":"\\u202e"'),
        (b'"outcome":"done"', b'"outcome":"done","error":null'),
        (b'"outcome":"done"', b'"outcome":"done","culprits":[]'),
    ],
)
def test_a_line_forged_in_another_spelling_is_no_line_though_its_hash_fits(old: bytes, new: bytes) -> None:
    body = LINES[0][: -len(b',"hash":""}\n') - 64].replace(old, new)
    digest = hash_of(body)
    verdict = verify(body + b',"hash":"' + digest.encode() + b'"}\n')
    assert verdict.lines == 0
    assert verdict.problem is not None


@pytest.mark.parametrize("size", range(1, len(LINES[-1]), 29))
def test_a_cut_in_the_last_line_is_a_torn_line_and_no_change(size: int) -> None:
    verdict = both(b"".join(LINES[:-1]) + LINES[-1][:size])
    assert (verdict.lines, verdict.torn) == (4, True)


def test_a_last_line_of_zeros_is_torn_and_one_before_the_last_is_not() -> None:
    zeros = bytes(100) + LINES[-1][100:]
    assert both(b"".join(LINES[:-1]) + zeros).torn
    assert both(b"".join(LINES[:-1]) + bytes(500)).torn
    verdict = both(LINES[0] + bytes(100) + LINES[1][100:] + LINES[2])
    assert (verdict.lines, verdict.torn) == (1, False)


def test_a_last_line_that_is_whole_and_wrong_is_not_torn() -> None:
    altered = LINES[-1].replace(b"cli2", b"cli3")
    verdict = both(b"".join(LINES[:-1]) + altered)
    assert (verdict.lines, verdict.torn) == (4, False)


def test_a_line_without_end_is_not_kept_in_memory() -> None:
    verdict = both(LINES[0] + b"x" * (MAX_LINE + 1))
    assert (verdict.lines, verdict.torn) == (1, False)


def test_a_line_of_a_newer_version_is_said_to_be_one() -> None:
    newer = LINES[1].replace(b'{"version":1,', b'{"version":2,"more":[],')
    verdict = both(LINES[0] + newer)
    assert verdict.newer
    with pytest.raises(KeystoreNewer, match="line 2"):
        raise_broken(Path("audit.log"), verdict)


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 50_000,
        b'{"version":2,"x":' + b"[" * 50_000,
        b"{" * 50_000,
        b"9" * 5000,
        b'{"version":1e400}',
        b'{"version":NaN}',
        b'"\\ud800"',
        b"\xff\xfe",
        b"null",
    ],
)
def test_what_is_no_line_is_a_verdict_and_no_exception(line: bytes) -> None:
    assert both(LINES[0] + line + b"\n").lines == 1


@settings(max_examples=200)
@given(st.binary(max_size=300), st.integers(0, len(WHOLE)))
def test_any_bytes_are_a_verdict(data: bytes, cut: int) -> None:
    verdict = both(WHOLE[:cut] + data)
    assert verdict.lines <= 5
    assert WHOLE.startswith((WHOLE[:cut] + data)[: verdict.size])


names = st.text("abcXYZ019._-", min_size=1, max_size=64)
hashes = st.binary(min_size=32, max_size=32).map(bytes.hex)
entries = st.builds(
    Entry,
    time=st.integers(0, audit_chain.MAX_TIME),
    session_id=hashes.map(lambda text: text[:32]),
    kind=st.sampled_from(["sign", "keygen", "x" * 40]),
    wallet_id=st.none() | st.just("ab" * 16),
    wallet_name=st.sampled_from(["treasury", "_", "a.b-c"]),
    proposer=names,
    participants=st.lists(names, max_size=3).map(tuple),
    signers=st.lists(names, max_size=3).map(tuple),
    reading=st.sampled_from([None, "text", "hex", "file"]),
    messages=st.lists(hashes, max_size=3).map(tuple),
    approved_by=st.sampled_from([None, "user", "policy"]),
    outcome=st.sampled_from(["done", "unneeded", "refused", "failed"]),
    error=st.sampled_from([None, "participant_silent"]),
    culprits=st.lists(names, max_size=2).map(tuple),
)


@settings(max_examples=50)
@given(st.lists(entries, max_size=4))
def test_entries_come_back_as_they_were_written(written: list[Entry]) -> None:
    read: list[Line] = []
    chain = Chain(read.append)
    chain.feed(b"".join(chained(*written)))
    assert [line.entry for line in read] == written
    assert [line.number for line in read] == list(range(1, len(written) + 1))


def test_the_longest_entry_fits_a_line() -> None:
    everybody = tuple(f"{number:064d}" for number in range(64))
    longest = entry(
        participants=everybody,
        signers=everybody,
        culprits=everybody,
        messages=("ab" * 32,) * 1000,
        suites=("x" * 64,) * 8,
        time=audit_chain.MAX_TIME,
        error="x" * 40,
        kind="x" * 40,
        wallet_name="x" * 64,
        proposer="x" * 64,
    )
    assert both(b"".join(chained(longest))).lines == 1


def test_the_format_is_what_it_was() -> None:
    """A change here is a new version: old logs must verify for ever."""
    body = (
        b'{"version":1,"number":1,"previous":"' + b"0" * 64 + b'","entry":{"time":1800000000001,"session_id":"'
        b'00000000000000000000000000000001","kind":"sign","wallet_id":"abababababababababababababababab",'
        b'"wallet_name":"treasury","proposer":"cli1","participants":["cli1","cli2","cli3"],"signers":["cli1","cli2"],'
        b'"suites":["FROST-ED25519-SHA512-v1"],"reading":"text","messages":["' + b"0" * 63 + b'1"],'
        b'"approved_by":"user","outcome":"done"}'
    )
    digest = hash_of(body)
    assert LINES[0] == body + b',"hash":"' + digest.encode() + b'"}\n'


def test_nothing_of_a_message_stands_in_the_log() -> None:
    """There is no field that could hold one."""
    texts = {
        field.name
        for field in msgspec.structs.fields(Entry)
        if not any(word in str(field.type) for word in ("pattern", "Literal", "int"))
    }
    assert texts == set()
