"""Codes: any words are taken, slips are not, and nothing shows a password by accident."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpcnode.wire import slots
from mpcnode.wire.code import MAX_SLOT, MAX_WORDS, Code, complete, draw_words, parse_code


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "begins with the number"),
        ("swirl-motor", "begins with the number"),
        ("0-swirl-motor", "begins with the number"),
        ("012-swirl-motor", "begins with the number"),
        ("1000000-swirl-motor", "begins with the number"),
        ("\uff11\uff12-swirl-motor", "begins with the number"),
        ("12", "not all of a code"),
        ("12-", "not all of a code"),
        ("12-swirl", "not all of a code"),
        ("12-swirl-motor-", "not all of a code"),
        ("12" + "-a" * (MAX_WORDS + 1), "not all of a code"),
        ("12-swirl-m0tor", "word 2 of the code has other letters"),
        ("12-swirl-moto\x1br", "word 2 of the code has other letters"),
        ("12-grün-motor", "word 1 of the code has other letters"),
        ("12-swirl-" + "a" * 41, "word 2 of the code has other letters"),
        ("12-adviser-aardvark", "another order"),
        ("12-aardvrk-adviser", "is it 'aardvark'"),
        ("12-aardvark-advisor", "is it 'adviser'"),
    ],
)
def test_a_code_that_cannot_be_right_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as refused:
        parse_code(text)
    assert "\x1b" not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["12-swirl-motor", " 12 swirl motor ", "12 Swirl-MOTOR", "12--swirl - motor", "12\tswirl\u00a0motor\n"]
)
def test_a_code_is_taken_in_any_case_and_with_spaces_for_dashes(text: str) -> None:
    assert parse_code(text) == Code(12, ("swirl", "motor"))


@pytest.mark.parametrize("text", ["7-swirl-adviser", "7-one-two-three", "999999-aardvark-adviser-absurd"])
def test_any_words_are_taken(text: str) -> None:
    assert str(parse_code(text)) == text


@given(slot=st.integers(1, MAX_SLOT), drawn=st.binary(min_size=2, max_size=MAX_WORDS))
def test_every_code_that_is_made_is_read_again(slot: int, drawn: bytes) -> None:
    code = Code(slot, draw_words(len(drawn), lambda _: drawn))
    assert parse_code(str(code)) == code
    assert parse_code(str(code).upper().replace("-", "  ")) == code


@given(st.text(max_size=60))
def test_whatever_is_typed_gives_a_code_or_a_sentence(text: str) -> None:
    said = ""
    try:
        code = parse_code(text)
    except ValueError as error:
        said = str(error)
    assert said.isprintable()
    assert said or parse_code(str(code)) == code


def test_two_words_are_sixteen_bits_of_the_two_lists_of_pgp() -> None:
    assert draw_words(2, lambda _: b"\x00\x00") == ("aardvark", "adroitness")
    # The fingerprint by which the list is known: E582 94F2.
    assert draw_words(4, lambda _: bytes.fromhex("e58294f2")) == ("topmost", "istanbul", "pluto", "vagabond")
    assert len({draw_words(2, at.to_bytes(2, "big").ljust) for at in range(0, 65536, 7)}) == 9363


@pytest.mark.parametrize("count", [0, 1, MAX_WORDS + 1])
def test_a_code_has_neither_less_nor_more_words(count: int) -> None:
    with pytest.raises(ValueError, match="2 to 8 words"):
        draw_words(count, random.Random(1).randbytes)


def test_a_code_shows_its_words_to_nobody_who_does_not_ask() -> None:
    code = Code(12, ("swirl", "motor"))
    assert "swirl" not in repr(code)
    assert "swirl" not in f"{[code]}"
    assert code.password == b"swirl-motor"


def test_a_word_is_completed_in_its_place() -> None:
    assert complete("12-aa") == ["12-aardvark"]
    assert complete("12-aardvark-ad") == ["12-aardvark-adroitness", "12-aardvark-adviser"]
    assert complete("12-Swirl-VA") == ["12-swirl-vacancy", "12-swirl-vagabond"]
    assert len(complete("12-")) == 256


@pytest.mark.parametrize("text", ["", "1", "12", "x-a", "12--a", "0-a", "12-aardvark-zzz", "12" + "-a" * 9])
def test_where_no_word_can_stand_nothing_is_offered(text: str) -> None:
    assert complete(text) == []


def test_a_server_has_the_slots_that_a_code_may_name() -> None:
    assert slots.MAX_SLOT == MAX_SLOT
