"""One text, one message: what two programs could read differently is refused wherever it stands."""

import contextlib
import json as stdlib
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.errors import DecodeError
from mpcnode.wire import json
from mpcnode.wire.fields import MAX_DATA_BYTES, Hex16, HexData, from_hex


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    number: int = 0
    data: HexData | None = None


class Whole(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    id: Hex16
    parts: tuple[Part, ...] = ()
    sure: bool = False
    text: str | None = None


DECODER = json.Decoder(Whole, "a whole")
ID = b"\x1f" * 16
HEX = ID.hex()


def decode(text: str) -> Whole:
    return DECODER.decode(text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize(
    "whole",
    [
        Whole(ID),
        Whole(ID, (Part(1, b"\x00\xff"), Part(2**53 - 1), Part(0, b"")), sure=True, text='\u00e9\U0001f600 "\\\n'),
        Whole(ID, tuple(Part(number) for number in range(200))),
    ],
)
def test_a_message_comes_out_as_it_went_in(whole: Whole) -> None:
    assert DECODER.decode(json.encode(whole)) == whole


def test_byte_strings_are_lower_case_hexadecimal_and_what_is_absent_is_left_out() -> None:
    assert (
        json.encode(Whole(ID, (Part(3, b"\xab"),)))
        == b'{"id":"' + HEX.encode() + b'","parts":[{"number":3,"data":"ab"}]}'
    )
    assert json.to_json(Whole(ID, text="a")) == {"id": HEX, "text": "a"}


def test_any_byte_string_is_encoded_not_bytes_alone() -> None:
    """A plain msgspec encoder would write a bytearray in base64, which nobody would notice on this side."""
    for data in (bytearray(b"\xab"), memoryview(b"\xab")):
        assert json.to_json(Part(1, data)) == {"number": 1, "data": "ab"}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "7",
        '"x"',
        "{}",
        f'{{"id":"{HEX}"}} x',
        f'\ufeff{{"id":"{HEX}"}}',
        f'{{"id":"{HEX}","id":"{HEX}"}}',
        f'{{"id":"{HEX}","\\u0069d":"{HEX}"}}',
        f'{{"id":"{HEX}","parts":[{{"number":1,"number":1}}]}}',
        f'{{"id":"{HEX}","parts":[{{}},{{"data":"00","number":1,"data":"00"}}]}}',
        f'{{"id":"{HEX}","text":null}}',
        f'{{"id":"{HEX}","parts":[{{"data":null}}]}}',
        f'{{"id":"{HEX}","parts":[null]}}',
        f'{{"id":"{HEX}","parts":null}}',
        f'{{"id":"{HEX}","parts":{{}}}}',
        f'{{"id":"{HEX}","more":1}}',
        f'{{"id":"{HEX}","sure":1}}',
        f'{{"id":"{HEX}","sure":"true"}}',
        f'{{"id":"{HEX}","text":"\\ud800"}}',
        f'{{"id":"{HEX}","text":"\ud800"}}',
        f'{{"id":"{HEX}","text":"\n"}}',
        f"{{'id':'{HEX}'}}",
        f'{{"id":"{HEX}",}}',
        f'{{"id":"{HEX}"/**/}}',
    ],
)
def test_what_two_programs_could_read_differently_is_refused(text: str) -> None:
    with pytest.raises(DecodeError):
        decode(text)


@pytest.mark.parametrize(
    "number",
    ["1.0", "1e2", "1E2", "0.5", "-1", "-0", "01", "+1", "NaN", "Infinity", "-Infinity", '"1"', "true", str(2**53),
     "9" * 17, "9" * 400, "1" + "0" * 16 + ".0"],
)  # fmt: skip
def test_a_number_is_whole_and_between_0_and_2_to_the_53_minus_1(number: str) -> None:
    with pytest.raises(DecodeError):
        decode(f'{{"id":"{HEX}","parts":[{{"number":{number}}}]}}')


@pytest.mark.parametrize("number", [0, 1, 2**53 - 1])
def test_a_number_in_range_is_taken(number: int) -> None:
    assert decode(f'{{"id":"{HEX}","parts":[{{"number":{number}}}]}}').parts == (Part(number),)


@pytest.mark.parametrize(
    "value",
    [HEX.upper(), HEX[:-1], HEX[:-2], HEX + "00", "", " " + HEX[1:], HEX[:-2] + "zz", "0x" + HEX[2:],
     HEX[:-1] + "\u0661", 7, True, [HEX], {"a": HEX}, HEX[:14] + " " * 2 + HEX[16:]],
)  # fmt: skip
def test_a_byte_string_is_lower_case_hexadecimal_of_its_length(value: object) -> None:
    with pytest.raises(DecodeError):
        decode(stdlib.dumps({"id": value}))


def test_a_form_says_by_length_what_fits_it() -> None:
    assert isinstance(b"x" * 16, Hex16)
    for other in (b"x" * 15, b"x" * 17, "x" * 16, bytearray(16)):
        assert not isinstance(other, Hex16)


def test_the_longest_data_is_taken_and_one_byte_more_is_not() -> None:
    assert len(from_hex(HexData, "ab" * MAX_DATA_BYTES)) == MAX_DATA_BYTES
    with pytest.raises(ValueError, match=f"0 to {MAX_DATA_BYTES} bytes"):
        from_hex(HexData, "ab" * (MAX_DATA_BYTES + 1))


def test_deep_nesting_is_refused_and_brackets_in_strings_are_not_nesting() -> None:
    def nested(depth: int) -> bytes:
        return b'{"a":' * depth + b'"' + b"[{" * 100 + b'\\""' + b"}" * depth

    json.check(nested(json.MAX_DEPTH))
    with pytest.raises(DecodeError, match="too deep"):
        json.check(nested(json.MAX_DEPTH + 1))
    for data in (b"[" * 200_000, b"[" * 200_000 + b"]" * 200_000, b'{"a":' * 200_000):
        with pytest.raises(DecodeError):
            json.check(data)
        with pytest.raises(DecodeError):
            DECODER.decode(data)


def test_wide_is_not_deep() -> None:
    json.check(b"[" + b",".join([b"[[[]]]"] * 1000) + b"]")


@pytest.mark.parametrize("data", [b'{"a":1,"a":1}', b'{"a":1,"\\u0061":1}', b"{", b"\xff"])
def test_an_envelope_that_says_a_key_twice_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        json.check_keys(data)


def test_what_is_inside_an_envelope_is_not_looked_into() -> None:
    json.check_keys(b'{"a":{"b":1.5,"b":null},"c":-1e400,"d":' + b"9" * 5000 + b"}")


def test_an_error_shows_nothing_of_the_text_as_it_is() -> None:
    with pytest.raises(DecodeError) as raised:
        decode(f'{{"id":"{HEX}","\\u001b[31m":1}}')
    assert "\x1b" not in str(raised.value)
    assert str(raised.value).startswith("not a whole: ")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_only_decode_errors_escape_whatever_comes(data: bytes) -> None:
    for read in (DECODER.decode, json.check):
        with contextlib.suppress(DecodeError):
            read(data)


values = st.recursive(
    st.booleans() | st.integers(0, 2**53 - 1) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(
    value=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), values, max_size=4), spaced=st.booleans()
)
def test_whatever_everybody_reads_alike_is_accepted(*, value: dict[str, Any], spaced: bool) -> None:
    json.check(stdlib.dumps(value, indent=1 if spaced else None, ensure_ascii=spaced).encode())


@settings(max_examples=200, deadline=None)
@given(
    value=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), values, min_size=1, max_size=4),
    data=st.data(),
)
def test_one_null_or_one_float_anywhere_is_enough(value: dict[str, Any], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(value)))
    bad = data.draw(st.sampled_from([None, 0.5, -1, 2**53]))
    for broken in ({**value, key: bad}, {**value, key: {"x": [{"y": bad}]}}):
        with pytest.raises(DecodeError):
            json.check(stdlib.dumps(broken).encode())
