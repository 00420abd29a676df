r"""Text for people, and the one renderer of what others wrote: harmless, bounded, and never mistaken for our own rows.

Peers, servers and files choose what stands in names, reasons, errors and messages. Three things hold for all of it:

- Only printable ASCII reaches a terminal as it is. Everything else is spelled out (``\u0441``), control characters,
  combining marks, fillers, and letters of right-to-left scripts included. A message in one script alone is also shown
  in its own letters, beside its spelling; and what this machine's user typed is shown to that user as it was typed.
- Two spaces or more are counted (``\{40 spaces}``): nothing is pushed to the next row, or off the screen.
- A text of many rows stands behind ``MARGIN``, which begins no row of ours, and its length is said before it.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from mpcnode.errors import MpcError

MAX_SHOWN: Final = 240
MARGIN: Final = "  | "
"""Begins every row of what somebody else wrote, and no other row."""
INDENT: Final = "    "
"""Begins what is left of a sentence of ours that does not fit a row; a text in it cannot begin a row of its own."""
NARROWEST: Final = 20
"""Below this many columns rows are not made narrower: there would be none to read."""

_SCRIPTS: Final = {
    "LATIN": "latin",
    "GREEK": "greek",
    "CYRILLIC": "cyrillic",
    "ARMENIAN": "armenian",
    "GEORGIAN": "georgian",
    "HANGUL": "korean",
    "CJK": "japanese",  # a Japanese text mixes all three; a Chinese one is the first alone
    "HIRAGANA": "japanese",
    "KATAKANA": "japanese",
}
"""Scripts that are written from left to right without combining marks, by the first word of a letter's name."""
_COMMON: Final = frozenset("£¥§°¿¡«»€、。「」ー\u2013\u2014\u2018\u2019\u201c\u201d\u201e\u2026")
"""What stands in texts of any script beside ASCII."""


# ---- sentences: one row, or several behind an indent ----


def escape(text: str, limit: int = MAX_SHOWN) -> str:
    """Spell ``text`` out in printable ASCII on one line, for a sentence of ours that holds it.

    Args:
        text: what a peer, a server or a file wrote.
        limit: characters shown before the rest is cut off.
    """
    spelled = "".join(unit for unit, _ in _units(text[:limit], double=False))
    return spelled if len(text) <= limit else f"{spelled}..."


def as_typed(text: str) -> str:
    """Show what this user wrote, such as a path: letters as they are; what a terminal obeys or hides is spelled out."""
    parts = groupby(text, key=lambda character: not character.isascii() and _script(character) is not None)
    return "".join("".join(part) if is_letter else escape("".join(part), len(text)) for is_letter, part in parts)


def quoted(text: str, limit: int = MAX_SHOWN) -> str:
    """Spell ``text`` out between quotation marks, so that it cannot continue the sentence it stands in."""
    return '"' + escape(text, limit).replace('"', '\\"') + '"'


def wrapped(line: str, width: int) -> list[str]:
    """Cut a line of ours into rows of at most ``width`` columns, all but the first behind an indent.

    A terminal that breaks a line by itself begins the next row with whatever a peer put there.
    """
    width = max(width, NARROWEST)
    if len(line) <= width:
        return [line]
    own = line[: len(line) - len(line.lstrip(" "))]
    if len(own) > len(INDENT):
        own = INDENT
    rows = [own]
    for word in _words(line.lstrip(" ")):
        if len(rows[-1]) + len(word.rstrip(" ")) > width and rows[-1].strip():
            rows.append(own + INDENT)
        rest = word
        while len(rows[-1]) + len(rest.rstrip(" ")) > width:
            room = width - len(rows[-1])
            rows[-1] += rest[:room]
            rows.append(own + INDENT)
            rest = rest[room:]
        rows[-1] += rest
    return [row.rstrip(" ") for row in rows]


def _words(line: str) -> Iterator[str]:
    """The words of a line, each with the spaces behind it."""
    start = 0
    for end in range(1, len(line)):
        if line[end - 1] == " " and line[end] != " ":
            yield line[start:end]
            start = end
    yield line[start:]


def columns(rows: Iterable[Sequence[str]]) -> list[str]:
    """Set rows of one length as left-aligned columns; every cell is escaped."""
    cells = [[escape(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def counted(number: int, noun: str) -> str:
    """``1 peer``, ``2 peers``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(names: Iterable[str], empty: str = "nobody") -> str:
    """Names with commas between them, or ``empty``."""
    return ", ".join(map(escape, names)) or empty


def shortened(name: str, width: int) -> str:
    """A name in at most ``width`` characters: its beginning and its end, where it is longer."""
    spelled = escape(name)
    if len(spelled) <= width:
        return spelled
    tail = (width - 2) // 2
    return f"{spelled[: width - 2 - tail]}..{spelled[len(spelled) - tail :]}"


def error_lines(error: MpcError, typed: Iterable[str] = ()) -> list[str]:
    """Say an error: ``error:``, then what is saved, then ``hint:``, each on one line.

    Args:
        error: which.
        typed: words that this user wrote, and will look for as they were written.
    """
    said = {"error": error.message, "saved": error.saved or "", "hint": error.hint or ""}
    lines = [f"{label}: {escape(text, 1000)}" for label, text in said.items() if text or label == "error"]
    for word in sorted({word for word in typed if not word.isascii()}, key=len, reverse=True):
        lines = [line.replace(escape(word, len(word)), as_typed(word)) for line in lines]
    return lines


# ---- a text of many rows ----


def untrusted(text: str, width: int) -> list[str]:
    r"""Show a whole text that somebody else wrote: every row behind ``MARGIN``, no two texts the same.

    A backslash of the text is doubled. A row that ends in one backslash goes on in the middle of a word, one that ends
    in ``\n`` at a line's end of the text, any other at a space. A text of one script is shown in its own letters and
    then spelled out.

    Args:
        text: what they wrote.
        width: columns of the terminal.
    """
    spelled = _rows(_units(text, double=True), width)
    if text.isascii() or not is_one_script(text):
        return spelled
    return [*_rows(_units(text, double=True, raw=True), width), "  the same, spelled out:", *spelled]


def is_one_script(text: str) -> bool:
    """Whether all letters of ``text`` are of one script that can be shown as it is; ASCII letters are Latin."""
    scripts = {_script(character) for character in text}
    return None not in scripts and len(scripts - {""}) <= 1


def hex_rows(digits: str, width: int) -> list[str]:
    """Show bytes in hexadecimal, as many to a row as fit, behind ``MARGIN``."""
    room = max((max(width, NARROWEST) - len(MARGIN)) // 2 * 2, 2)
    return [MARGIN + digits[at : at + room] for at in range(0, len(digits), room)]


def _script(character: str) -> str | None:
    """The script of a letter; nothing for what stands in every script; None for what is never shown as it is."""
    if character.isascii():
        return "latin" if character.isalpha() else ""
    if character in _COMMON:
        return ""
    if unicodedata.category(character) not in {"Lu", "Ll", "Lo"}:
        return None
    if unicodedata.normalize("NFKC", character) != character:
        return None
    name = unicodedata.name(character, "")
    if "FILLER" in name or (name.startswith("HANGUL") and not name.startswith("HANGUL SYLLABLE")):
        return None
    return _SCRIPTS.get(name.split(" ", 1)[0])


def _units(text: str, *, double: bool, raw: bool = False) -> Iterator[tuple[str, int]]:
    """What is shown for each part of a text, and how many columns it may take; no unit is ever broken.

    Args:
        text: what somebody wrote.
        double: whether a backslash of its own is doubled, and a space at a line's end named: then it can be read back.
        raw: whether what is not ASCII is shown as it is; it was checked.
    """
    at = 0
    while at < len(text):
        character = text[at]
        if character == " ":
            end = at
            while end < len(text) and text[end] == " ":
                end += 1
            count = end - at
            edge = double and (at == 0 or end == len(text) or text[at - 1] == "\n" or text[end] == "\n")
            yield (" " if count == 1 and not edge else f"\\{{{counted(count, 'space')}}}"), 0
            at = end
            continue
        if character == "\\" and double:
            yield "\\\\", 0
        elif " " < character <= "~":
            yield character, 0
        elif raw and character.isprintable():
            yield character, 2  # some terminals give it two columns, and no other ones are told apart here
        else:
            yield ascii(character)[1:-1], 0
        at += 1


def _rows(units: Iterator[tuple[str, int]], width: int) -> list[str]:
    """Set units in rows: broken at spaces where that can be, else in the middle of a word, which is marked."""
    room = max(width, NARROWEST) - len(MARGIN)
    rows: list[str] = []
    row: list[tuple[str, int]] = []  # what stands in the row so far
    used = 0

    def end(count: int, mark: str = "") -> None:
        nonlocal row, used
        rows.append(MARGIN + "".join(unit for unit, _ in row[:count]) + mark)
        row = row[count:]
        used = sum(cells for _, cells in row)

    for unit, wide in units:
        cells = wide or len(unit)
        # One column is left for the mark.
        if used + cells > room - 1 and unit != " ":
            spaces = [place for place, (earlier, _) in enumerate(row) if earlier == " "]
            if spaces:
                end(spaces[-1] + 1)
            if used + cells > room - 1:
                end(len(row), "\\")
        row.append((unit, cells))
        used += cells
        if unit == "\\n":
            end(len(row))
    if row or not rows:
        end(len(row))
    return rows
