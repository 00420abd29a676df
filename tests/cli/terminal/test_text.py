"""What a peer wrote reaches a terminal only as harmless text, and never as a row that could be ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpcnode.cli.terminal.text import (
    INDENT,
    MARGIN,
    as_typed,
    columns,
    counted,
    error_lines,
    escape,
    hex_rows,
    is_one_script,
    listed,
    quoted,
    shortened,
    untrusted,
    wrapped,
)
from mpcnode.errors import KeystoreUnwritable, Refused
from tests.helpers.emulator import Emulator

TRICKS = (
    "\u3164\u115f\u1160\uffa0\u2800\u034f\ufe00\ufe0f\U000e0100\u180b\u17b4"  # fillers and what is ignored
    "\u0338\u0301\u20dd"  # combining
    "\u05d0\u0627\u202e\u2066\u200f"  # right to left
    "\u0430\u0440\uff41\U0001d41a"  # like ASCII letters
    "\x1b\x9b\r\n\t\x08\x00\x7f\u2028\u200b\ufeff\u00ad\ud800"
)
TEXTS = st.text(
    st.one_of(st.characters(), st.sampled_from(TRICKS), st.sampled_from(" \\\n|[]?:\"'abcsy")), max_size=300
)


@given(TEXTS)
def test_whatever_is_escaped_is_printable_ascii_and_on_one_line(text: str) -> None:
    assert escape(text).isascii()
    assert escape(text).isprintable()
    assert "  " not in escape(text)


@given(st.lists(st.text("abcXYZ019.,:;!?-_/()", min_size=1), max_size=20))
def test_ordinary_text_is_left_as_it_is(words: list[str]) -> None:
    text = " ".join(words)[:200]
    assert escape(text) == text


@pytest.mark.parametrize(
    "attack",
    ["\x1b[2J", "a\rb", "\u202egnp.exe", "\x9b31m", "one\ntwo", "\x07", "\u200b", *TRICKS],
    ids=ascii,
)
def test_control_direction_combining_and_invisible_characters_are_spelled_out(attack: str) -> None:
    assert "\\" in escape(attack)
    rows = untrusted(f"a{attack}b", 80)
    assert all(row.isascii() and row.isprintable() for row in rows)


def test_a_flood_of_text_is_cut() -> None:
    assert len(escape("x" * 100_000)) < 300


def test_runs_of_spaces_are_counted() -> None:
    assert escape("pay" + " " * 77 + "error: no") == "pay\\{77 spaces}error: no"
    assert untrusted("pay" + " " * 77 + "me ", 80) == [f"{MARGIN}pay\\{{77 spaces}}me\\{{1 space}}"]
    assert untrusted(r"\{77 spaces}", 80) == [MARGIN + r"\\{77 spaces}"]


def test_a_quoted_text_cannot_end_its_quotation() -> None:
    assert quoted('no", and hint: "do') == '"no\\", and hint: \\"do"'


# ---- texts of many rows ----


@given(TEXTS, st.integers(24, 120))
def test_every_row_of_a_text_stands_behind_the_margin_and_fits(text: str, width: int) -> None:
    emulator = Emulator(width, 40)
    rows = untrusted(text, width)
    emulator.show(rows)
    seen = emulator.all_rows()
    assert len(seen) == len(rows)  # no row was broken by the terminal
    for row in seen:
        assert (row + " ").startswith(MARGIN.rstrip()) or row == "  the same, spelled out:"


@given(TEXTS, TEXTS, st.integers(24, 120))
def test_two_texts_never_look_the_same(one: str, other: str, width: int) -> None:
    screens = []
    for text in (one, other):
        emulator = Emulator(width, 40)
        emulator.show(untrusted(text, width))
        screens.append(emulator.all_rows())
    assert (screens[0] == screens[1]) == (one == other)


@given(st.text("ab \n\\", max_size=120), st.text("ab \n\\", max_size=120))
def test_no_space_or_line_end_is_lost_where_a_row_ends(one: str, other: str) -> None:
    assert ([row.rstrip() for row in untrusted(one, 24)] == [row.rstrip() for row in untrusted(other, 24)]) == (
        one == other
    )


@pytest.mark.parametrize("text", ["Zürich, 5 €", "Привет, мир", "γειά", "日本語テスト", "한국어"])
def test_a_text_of_one_script_is_shown_in_its_letters_and_spelled_out(text: str) -> None:
    rows = untrusted(text, 80)
    assert rows[0] == MARGIN + text
    assert rows[1] == "  the same, spelled out:"
    assert "".join(row.removeprefix(MARGIN) for row in rows[2:]).replace("\\\\u", "\\u") == escape(text)


@pytest.mark.parametrize(
    "text",
    [
        "p\u0430y",  # a Cyrillic letter among Latin ones
        "1.00 \u05d0 9.00",  # digits that a Hebrew letter reorders
        "\u0627\u0644",  # right to left altogether
        "e\u0301",  # composed of two
        "\ufb01ne",  # a ligature
        "\uff50\uff41\uff59",  # full width
        "\u3164",  # a letter that nobody sees
    ],
    ids=ascii,
)
def test_a_mixed_or_hidden_text_is_spelled_out_alone(text: str) -> None:
    assert not is_one_script(text)
    rows = untrusted(text, 80)
    assert len(rows) == 1
    assert rows[0].isascii()


def test_bytes_stand_behind_the_margin_in_whole_bytes() -> None:
    rows = hex_rows("ab" * 100, 60)
    assert all(row.startswith(MARGIN) and len(row) <= 60 for row in rows)
    assert "".join(row.removeprefix(MARGIN) for row in rows) == "ab" * 100


# ---- sentences ----


@given(st.text("ab :", max_size=300), st.integers(24, 100))
def test_what_is_left_of_a_sentence_stands_behind_an_indent(text: str, width: int) -> None:
    line = f"cleo refused: {escape(text)}"
    rows = wrapped(line, width)
    assert all(len(row) <= width for row in rows)
    assert all(row.startswith(INDENT) for row in rows[1:])
    assert "".join(rows).replace(" ", "") == line.replace(" ", "")


def test_columns_line_up_and_are_escaped() -> None:
    assert columns([("cli1", "this node"), ("x\x1b", "verified")]) == ["cli1   this node", "x\\x1b  verified"]


def test_no_rows_are_no_lines() -> None:
    assert columns([]) == []


def test_numbers_and_names_read_as_sentences() -> None:
    assert counted(1, "peer") == "1 peer"
    assert counted(2, "peer") == "2 peers"
    assert listed(["a", "b\n"]) == "a, b\\n"
    assert listed([]) == "nobody"


def test_a_long_name_keeps_both_its_ends() -> None:
    assert shortened("treasury-signer-number-1", 12) == "treas..ber-1"
    assert shortened("ana", 12) == "ana"


def test_an_error_says_what_happened_what_is_saved_and_what_to_do() -> None:
    error = KeystoreUnwritable("disk full", hint="make room", saved="the old wallet is untouched")
    assert error_lines(error) == ["error: disk full", "saved: the old wallet is untouched", "hint: make room"]
    assert error_lines(Refused("no\x1b[0m")) == ["error: no\\x1b[0m"]


@pytest.mark.parametrize("word", ["Z\u00fcrich", "\u043a\u043e\u0448\u0435\u043b\u0451\u043a-2", "a  b\u00e9"])
def test_what_a_user_typed_is_shown_to_this_user_as_it_was_typed(word: str) -> None:
    assert as_typed(word.replace("  ", " ")) == word.replace("  ", " ")
    for written in (word, ascii(word)[1:-1]):
        shown = error_lines(Refused(f"cannot read '/tmp/{written}/x'", hint=f"look at {written}"), typed=[word])
        assert shown == [f"error: cannot read '/tmp/{as_typed(word)}/x'", f"hint: look at {as_typed(word)}"]
    assert error_lines(Refused(f"no {word}")) != [f"error: no {word}"]


@pytest.mark.parametrize("word", ["a\x1b[2Jb", "a\u202eb", "a\u0338b", "\u05d0", "a\u3164b", "x\udcff", "a\nb"])
def test_what_a_terminal_obeys_or_hides_is_spelled_out_also_where_the_user_typed_it(word: str) -> None:
    assert as_typed(word).isascii()
    assert error_lines(Refused(f"cannot read {word}"), typed=[word]) == [f"error: cannot read {escape(word)}"]
