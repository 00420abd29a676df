from hashlib import sha256
from importlib.resources import files

import pytest
from btclib_secp256k1.hashes import tagged_sha256
from hypothesis import given
from hypothesis import strategies as st

from mpcnode.crypto.transcript import MAX_INTEGER, listed, safety_words, tagged_hash, u64

PARTS = st.lists(st.binary(max_size=12), max_size=4)


@given(PARTS, PARTS)
def test_different_parts_never_give_the_same_hash(a: list[bytes], b: list[bytes]) -> None:
    assert (tagged_hash("t", *a) == tagged_hash("t", *b)) == (a == b)


def test_different_tags_give_different_hashes() -> None:
    assert tagged_hash("a", b"x") != tagged_hash("b", b"x")


def test_the_hash_is_bip_340s_over_length_prefixed_parts() -> None:
    framed = (2).to_bytes(8, "big") + b"ab" + (0).to_bytes(8, "big")
    assert tagged_hash("mpcnode/test/v1", b"ab", b"") == tagged_sha256(b"mpcnode/test/v1", framed)


def test_a_field_may_be_a_buffer_that_can_be_wiped() -> None:
    assert tagged_hash("t", bytearray(b"ab")) == tagged_hash("t", b"ab")


def test_numbers_are_eight_bytes_and_bounded_as_every_language_bounds_them() -> None:
    assert u64(0) == bytes(8)
    assert u64(258) == bytes(6) + b"\x01\x02"
    assert u64(MAX_INTEGER) == b"\x00\x1f" + b"\xff" * 6
    assert MAX_INTEGER == 2**53 - 1
    for wrong in (-1, MAX_INTEGER + 1, 2**64):
        with pytest.raises(ValueError, match="0 to 9007199254740991"):
            u64(wrong)


@given(PARTS, PARTS, PARTS, PARTS)
def test_lists_side_by_side_are_never_confused(a: list[bytes], b: list[bytes], c: list[bytes], d: list[bytes]) -> None:
    assert listed(a) == [u64(len(a)), *a]
    same = (a, b) == (c, d)
    assert (tagged_hash("t", *listed(a), *listed(b)) == tagged_hash("t", *listed(c), *listed(d))) == same


def test_the_word_list_is_the_published_one() -> None:
    data = files("mpcnode.crypto").joinpath("english.txt").read_bytes()
    assert sha256(data).hexdigest() == "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda"


def test_the_words_are_the_first_66_bits_eleven_a_word() -> None:
    assert safety_words(bytes(32)) == ("abandon",) * 6
    assert safety_words(b"\xff" * 32) == ("zoo",) * 6
    # 0x8000... sets the first bit alone, which is word 1024; 0x0020 sets bit 11, the lowest of the first word.
    assert safety_words(b"\x80" + bytes(31)) == ("length", *("abandon",) * 5)
    assert safety_words(b"\x00\x20" + bytes(30)) == ("ability", *("abandon",) * 5)


def test_bits_after_the_sixth_word_do_not_matter() -> None:
    assert safety_words(bytes(8) + b"\x3f" + bytes(23)) == ("abandon",) * 6
    assert safety_words(bytes(8) + b"\x40" + bytes(23)) == (*("abandon",) * 5, "ability")


def test_too_short_a_digest_is_refused() -> None:
    with pytest.raises(ValueError, match="66 bits"):
        safety_words(bytes(8))
