import hashlib
import json
import resource
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.errors import DecodeError, KeystoreNewer
from mpcnode.keystore import format as module
from mpcnode.keystore.format import (
    MAX_FILE_SIZE,
    MAX_INTEGER,
    MAX_MEMORY,
    MIN_MEMORY,
    Kdf,
    KdfPolicy,
    Preamble,
    SealedFile,
    canonical,
    parse_json,
)

QUICK = KdfPolicy(MIN_MEMORY, 1)
FILE = SealedFile(
    Preamble("mpcnode-wallet", Kdf(QUICK, bytes(range(16))), bytes(range(16, 32)), {"name": "treasury", "epoch": 0}),
    bytes(24),
    bytes(range(48)),
)
DATA = FILE.encode()

json_values = st.recursive(
    st.booleans() | st.integers(0, MAX_INTEGER) | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=8,
)


def forged(**changes: Any) -> bytes:
    """What somebody writes who knows the format: changed fields, and a checksum that fits."""
    fields = json.loads(DATA) | changes
    del fields["checksum"]
    return canonical(fields | {"checksum": hashlib.sha256(canonical(fields)).hexdigest()})


def forged_kdf(**changes: Any) -> bytes:
    return forged(kdf=json.loads(DATA)["kdf"] | changes)


def test_the_file_is_this_and_no_other() -> None:
    """A change of the format shows here, and needs another version."""
    assert DATA.decode() == (
        "{\n"
        '  "check": "101112131415161718191a1b1c1d1e1f",\n'
        '  "checksum": "ac8d9ebb53b84a989dcd530ce3ff26d2ef79b7ab05545f045c4a85571128e0f5",\n'
        '  "format": "mpcnode-wallet",\n'
        '  "header": {\n'
        '    "epoch": 0,\n'
        '    "name": "treasury"\n'
        "  },\n"
        '  "kdf": {\n'
        '    "memory_bytes": 8388608,\n'
        '    "name": "argon2id",\n'
        '    "passes": 1,\n'
        '    "salt": "000102030405060708090a0b0c0d0e0f"\n'
        "  },\n"
        '  "nonce": "000000000000000000000000000000000000000000000000",\n'
        f'  "sealed": "{bytes(range(48)).hex()}",\n'
        '  "version": 1\n'
        "}\n"
    )


@given(header=st.dictionaries(st.text(max_size=8), json_values, max_size=4), sealed=st.binary(min_size=16, max_size=99))
@settings(max_examples=50)
def test_a_file_survives_its_bytes(header: dict[str, Any], sealed: bytes) -> None:
    file = SealedFile(Preamble("mpcnode-identity", Kdf(QUICK, bytes(16)), bytes(16), header), bytes(24), sealed)
    assert SealedFile.decode(file.encode(), "mpcnode-identity") == file


def test_everything_but_nonce_sealed_part_and_checksum_is_associated_data() -> None:
    bound = json.loads(FILE.preamble.associated_data())
    assert set(json.loads(DATA)) - set(bound) == {"nonce", "sealed", "checksum"}


def test_a_file_is_refused_at_every_length_but_its_own() -> None:
    for size in range(len(DATA)):
        with pytest.raises(DecodeError):
            SealedFile.decode(DATA[:size], "mpcnode-wallet")
    with pytest.raises(DecodeError):
        SealedFile.decode(DATA + b"\n", "mpcnode-wallet")


def test_every_flipped_bit_is_found_without_a_passphrase() -> None:
    newer = 0
    for bit in range(len(DATA) * 8):
        damaged = bytearray(DATA)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            SealedFile.decode(bytes(damaged), "mpcnode-wallet")
        except DecodeError:
            continue
        except KeystoreNewer:
            newer += 1
            continue
        pytest.fail(f"bit {bit} may be flipped")
    # The one digit of the version cannot be told from another version's.
    assert newer == 3


def test_damage_is_called_damage_whatever_it_hit() -> None:
    for old, new in ((b"treasury", b"treasurz"), (b"8388608", b"9999999999999"), (b'"passes": 1', b'"passes": 99')):
        with pytest.raises(DecodeError, match="damaged"):
            SealedFile.decode(DATA.replace(old, new), "mpcnode-wallet")


@pytest.mark.parametrize(
    "changes",
    [
        {"memory_bytes": MAX_MEMORY + 1024},
        {"memory_bytes": 1 << 62},
        {"memory_bytes": 10**400},
        {"memory_bytes": MIN_MEMORY - 1024},
        {"memory_bytes": MIN_MEMORY + 1},
        {"memory_bytes": 0},
        {"memory_bytes": -MIN_MEMORY},
        {"memory_bytes": True},
        {"memory_bytes": "8388608"},
        {"passes": 0},
        {"passes": 11},
        {"passes": 2**32 + 1},
        {"passes": True},
        {"passes": None},
        {"name": "argon2i"},
        {"salt": ""},
        {"salt": "00" * 17},
        {"salt": "0g" * 16},
        {"salt": 5},
        {"lanes": 4},
    ],
    ids=str,
)
def test_hostile_key_derivation_parameters_are_refused(changes: dict[str, Any]) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DecodeError):
        SealedFile.decode(forged_kdf(**changes), "mpcnode-wallet")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MIN_MEMORY // 1024


def test_a_float_is_no_number_of_bytes() -> None:
    data = DATA.replace(b"8388608", b"8388608.0")
    with pytest.raises(DecodeError):
        SealedFile.decode(data, "mpcnode-wallet")


@pytest.mark.parametrize(
    "data",
    [
        forged(format="mpcnode-identity"),
        forged(format=None),
        forged(version=0),
        forged(version="1"),
        forged(version=True),
        forged(version=None),
        forged(header=[]),
        forged(header=None),
        forged(kdf=None),
        forged(kdf=[]),
        forged(check="00"),
        forged(nonce="00" * 23),
        forged(sealed="00" * 15),
        forged(sealed=None),
        forged(sealed="AA" * 48),
        forged(sealed="00 " * 48),
        forged(note="hello"),
    ],
)
def test_a_forged_file_with_a_fitting_checksum_is_refused_for_its_form(data: bytes) -> None:
    with pytest.raises(DecodeError):
        SealedFile.decode(data, "mpcnode-wallet")


@pytest.mark.parametrize(
    "data",
    [
        DATA.replace(b'"epoch": 0', b'"epoch": 0, "epoch": 0'),
        DATA.replace(b'"epoch": 0', b'"epoch": -0'),
        DATA.replace(b'"epoch": 0', b'"epoch":0'),
        DATA.replace(b"treasury", b"\\u0074reasury"),
        DATA.replace(b"treasury", "tréasury".encode()),
        DATA.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + DATA,
    ],
)
def test_other_spellings_of_the_same_file_are_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        SealedFile.decode(data, "mpcnode-wallet")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"5",
        b"[]",
        b"null",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1.5}',
        b'{"a": 1e3}',
        b'{"a": 9007199254740992}',
        b'{"a": -1}',
        b'{"a": null}',
        b'{"a": [null]}',
        b'{"a": 1, "a": 1}',
        b'{"a": {"b": 1, "b": 2}}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": ' + b"[" * 20 + b"]" * 20 + b"}",
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b"\xff",
        b'{"a": "\xc3\xa9"}',
    ],
    ids=lambda data: data[:16].decode("latin-1"),
)
def test_json_that_mpcnode_does_not_write_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        parse_json(data)


def test_a_file_longer_than_its_bound_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(DecodeError, match=f"longer than {MAX_FILE_SIZE} bytes"):
        parse_json(bytes(MAX_FILE_SIZE + 1))


def test_a_file_has_room_for_megabytes_of_shares() -> None:
    file = replace(FILE, sealed=bytes(3 << 20))
    assert SealedFile.decode(file.encode(), "mpcnode-wallet") == file
    assert MAX_FILE_SIZE == 2 * (16 << 20) + (8 << 20)


def test_a_newer_file_is_told_from_a_damaged_one() -> None:
    newer = canonical({"format": "mpcnode-wallet", "version": 2, "of": "a form unheard of"})
    with pytest.raises(KeystoreNewer, match="version 2"):
        SealedFile.decode(newer, "mpcnode-wallet")


def test_a_newer_file_of_another_format_is_not_ours_to_judge() -> None:
    with pytest.raises(DecodeError):
        SealedFile.decode(canonical({"format": "something-else", "version": 2}), "mpcnode-wallet")


@pytest.mark.parametrize(
    "header",
    [
        {"a": 1.5},
        {"a": MAX_INTEGER + 1},
        {"a": -1},
        {"a": None},
        {"a": b""},
        {"a": (1,)},
        {1: "a"},
        {"a": float("nan")},
    ],
    ids=str,
)
def test_a_header_that_would_not_come_back_the_same_cannot_be_written(header: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"value of type|0 to|not a string"):
        SealedFile(Preamble("mpcnode-wallet", FILE.preamble.kdf, bytes(16), header), bytes(24), bytes(16)).encode()


def test_a_header_too_deep_or_a_file_too_long_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FILE_SIZE", 1 << 16)
    deep: Any = 0
    for _ in range(20):
        deep = [deep]
    for header, sealed in (({"a": deep}, bytes(16)), ({}, bytes(1 << 15))):
        with pytest.raises(ValueError, match=r"nested deeper|at most"):
            SealedFile(Preamble("mpcnode-wallet", FILE.preamble.kdf, bytes(16), header), bytes(24), sealed).encode()


@given(st.binary(max_size=100) | st.text(max_size=100).map(str.encode))
@settings(max_examples=100)
def test_only_documented_errors_escape_from_arbitrary_bytes(data: bytes) -> None:
    with pytest.raises((DecodeError, KeystoreNewer)):
        SealedFile.decode(data, "mpcnode-wallet")


@given(st.dictionaries(st.sampled_from(sorted(json.loads(DATA))), json_values, max_size=3))
@settings(max_examples=100)
def test_only_documented_errors_escape_from_forged_fields(changes: dict[str, Any]) -> None:
    try:
        decoded = SealedFile.decode(forged(**changes), "mpcnode-wallet")
    except (DecodeError, KeystoreNewer):
        return
    assert decoded.encode() == forged(**changes)


def test_the_policies_are_what_the_design_says() -> None:
    assert KdfPolicy(256 << 20, 3) == KdfPolicy.DEFAULT
    assert KdfPolicy(64 << 20, 2) == KdfPolicy.INTERACTIVE
    assert [policy.label for policy in (KdfPolicy.DEFAULT, KdfPolicy.INTERACTIVE, QUICK)] == [
        "default",
        "interactive",
        "custom",
    ]


@pytest.mark.parametrize("bounds", [(MIN_MEMORY - 1024, 1), (MAX_MEMORY + 1024, 1), (MIN_MEMORY, 0), (MIN_MEMORY, 11)])
def test_a_policy_out_of_bounds_cannot_be_made(bounds: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="kdf"):
        KdfPolicy(*bounds)


@settings(max_examples=200)
@given(st.dictionaries(st.text(max_size=5), json_values, max_size=4))
def test_canonical_bytes_are_those_of_pythons_own_indentation(fields: dict[str, Any]) -> None:
    assert canonical(fields) == json.dumps(fields, sort_keys=True, indent=2).encode("ascii") + b"\n"


@pytest.mark.parametrize("header", [{"name": "\ud800"}, {"\udfff": 1}, {"names": ["a", ["\ud83d"]]}])
def test_half_of_a_surrogate_pair_is_no_text(header: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        SealedFile(Preamble("mpcnode-wallet", FILE.preamble.kdf, bytes(16), header), bytes(24), bytes(16)).encode()
    text = json.dumps({"header": header}).encode()
    with pytest.raises(DecodeError):
        parse_json(text)
