"""What is signed is determined by how it was read, and nothing but ``hex`` signs bytes as they are."""

from hashlib import sha256
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpcnode import types
from mpcnode.errors import DecodeError
from mpcnode.readings.file import FileContent
from mpcnode.readings.registry import READINGS, check, digest, signed_bytes


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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not 0 bytes"),
        (bytes(32), "not 32 bytes"),
        (bytes(39), "not 39 bytes"),
        (bytes(40 + 256), "at most 255 bytes, not 256"),
        (bytes(32) + (2**53).to_bytes(8, "big"), "less than 2^53"),
        (bytes(40) + b"\xff", "UTF-8"),
    ],
)
def test_what_is_not_a_hash_a_size_and_a_name_is_not_a_file(content: bytes, message: str) -> None:
    for act in (check, signed_bytes):
        with pytest.raises(DecodeError) as raised:
            act("file", content)
        assert message in str(raised.value)


@given(st.binary(min_size=32, max_size=32), st.integers(0, 2**53 - 1), st.text(max_size=63))
def test_a_file_comes_back_as_it_was_and_its_own_hash_is_what_people_compare(sha: bytes, size: int, name: str) -> None:
    content = FileContent(sha, size, name).encode()
    assert FileContent.decode(content) == FileContent(sha, size, name)
    assert digest("file", content) == sha
    for reading in ("text", "hex"):
        assert digest(reading, b"hello") == sha256(b"hello").digest()


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
    sha = sha256(b"the file").digest()
    for content in (FileContent(sha, 8, "a"), FileContent(sha, 9, "b")):  # its name and its size are not signed
        assert signed_bytes("file", content.encode()) == tagged(b"mpcnode/file/v1", sha)


@given(st.binary(max_size=100))
def test_hex_signs_any_bytes_as_they_are(content: bytes) -> None:
    check("hex", content)
    assert signed_bytes("hex", content) == content


@given(st.text(max_size=40).map(str.encode) | st.binary(min_size=40, max_size=40))
def test_no_text_and_no_file_is_signed_as_the_bytes_it_is(content: bytes) -> None:
    for reading in ("text", "file"):
        try:
            signed = signed_bytes(reading, content)
        except DecodeError:
            continue
        assert signed != content


def test_the_same_content_is_signed_differently_by_every_reading() -> None:
    content = b"thirty-two bytes of a plain text" + bytes(8) + b"a name"
    assert len({signed_bytes(reading, content) for reading in READINGS}) == len(READINGS)


def test_there_is_a_reading_for_every_word_the_wire_knows() -> None:
    assert set(READINGS) == set(get_args(types.Reading))
    assert all(reading.name == name for name, reading in READINGS.items())
