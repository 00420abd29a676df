"""What a peer wrote reaches a terminal only as harmless text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpcnode.cli.terminal.text import columns, counted, error_lines, escape, listed
from mpcnode.errors import KeystoreUnwritable, Refused


@given(st.text())
def test_whatever_is_escaped_is_printable_and_on_one_line(text: str) -> None:
    assert escape(text).isprintable()


@given(st.text(alphabet=st.characters(categories=["L", "N", "P"]), max_size=200))
def test_ordinary_text_is_left_as_it_is(text: str) -> None:
    assert escape(text) == text


@pytest.mark.parametrize("attack", ["\x1b[2J", "a\rb", "\u202egnp.exe", "\x9b31m", "one\ntwo", "\x07", "\u200b"])
def test_control_and_direction_characters_are_spelled_out(attack: str) -> None:
    assert "\\" in escape(attack)
    assert escape(attack).isprintable()


def test_a_flood_of_text_is_cut() -> None:
    assert len(escape("x" * 100_000)) < 300


def test_columns_line_up_and_are_escaped() -> None:
    assert columns([("cli1", "this node"), ("x\x1b", "verified")]) == ["cli1   this node", "x\\x1b  verified"]


def test_no_rows_are_no_lines() -> None:
    assert columns([]) == []


def test_numbers_and_names_read_as_sentences() -> None:
    assert counted(1, "peer") == "1 peer"
    assert counted(2, "peer") == "2 peers"
    assert listed(["a", "b\n"]) == "a, b\\n"
    assert listed([]) == "nobody"


def test_an_error_says_what_happened_what_is_saved_and_what_to_do() -> None:
    error = KeystoreUnwritable("disk full", hint="make room", saved="the old wallet is untouched")
    assert error_lines(error) == ["error: disk full", "saved: the old wallet is untouched", "hint: make room"]
    assert error_lines(Refused("no\x1b[0m")) == ["error: no\\x1b[0m"]
