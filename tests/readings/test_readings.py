"""What is signed is determined by how it was read, and nothing but ``hex`` signs bytes as they are."""

from hashlib import sha256
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpcnode import types
from mpcnode.errors import DecodeError
from mpcnode.readings.registry import READINGS, check, signed_bytes


def tagged(tag: bytes, content: bytes) -> bytes:
    """The tagged hash of one field, from its parts (BIP-340, and PROTOCOL, Hashes)."""
    prefix = sha256(tag).digest()
    return sha256(prefix + prefix + len(content).to_bytes(8, "big") + content).digest()


@pytest.mark.parametrize("content", [b"\xff", b"\xc3", b"caf\xe9", b"\xed\xa0\x80", b"\xc0\x80"])
def test_what_is_not_utf_8_is_not_a_text(content: bytes) -> None:
    with pytest.raises(DecodeError, match="UTF-8"):
        check("text", content)
    with pytest.raises(DecodeError, match="UTF-8"):
        signed_bytes("text", content)


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_what_is_not_32_bytes_is_not_the_hash_of_a_file(size: int) -> None:
    with pytest.raises(DecodeError, match="32 bytes"):
        check("file", bytes(size))
    with pytest.raises(DecodeError, match="32 bytes"):
        signed_bytes("file", bytes(size))


@pytest.mark.parametrize("reading", ["", "Text", "psbt", "text ", "\x1b[2J"])
def test_an_unknown_reading_signs_nothing(reading: str) -> None:
    for act in (check, signed_bytes):
        with pytest.raises(DecodeError, match="no reading") as raised:
            act(reading, b"hello")
        assert str(raised.value).isprintable()


@pytest.mark.parametrize("content", [b"", b"hello", "naïve ☃".encode()])
def test_a_text_is_signed_as_a_hash_under_its_own_tag(content: bytes) -> None:
    check("text", content)
    assert signed_bytes("text", content) == tagged(b"mpcnode/text/v1", content)


def test_a_file_is_signed_as_a_hash_of_its_hash_under_its_own_tag() -> None:
    digest = sha256(b"the file").digest()
    check("file", digest)
    assert signed_bytes("file", digest) == tagged(b"mpcnode/file/v1", digest)


@given(st.binary(max_size=100))
def test_hex_signs_any_bytes_as_they_are(content: bytes) -> None:
    check("hex", content)
    assert signed_bytes("hex", content) == content


@given(st.text(max_size=40).map(str.encode) | st.binary(min_size=32, max_size=32))
def test_no_text_and_no_file_is_signed_as_the_bytes_it_is(content: bytes) -> None:
    for reading in ("text", "file"):
        try:
            signed = signed_bytes(reading, content)
        except DecodeError:
            continue
        assert signed != content


def test_the_same_content_is_signed_differently_by_every_reading() -> None:
    content = b"thirty-two bytes of a plain text"
    assert len(content) == 32
    assert len({signed_bytes(reading, content) for reading in READINGS}) == len(READINGS)


def test_there_is_a_reading_for_every_word_the_wire_knows() -> None:
    assert set(READINGS) == set(get_args(types.Reading))
    assert all(reading.name == name for name, reading in READINGS.items())
