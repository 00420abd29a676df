"""Text for people: what a peer wrote made harmless, columns, and the voice of an error."""

from collections.abc import Iterable, Sequence
from typing import Final

from mpcnode.errors import MpcError

MAX_SHOWN: Final = 240


def escape(text: str, limit: int = MAX_SHOWN) -> str:
    """Make ``text`` harmless to a terminal.

    Everything that is not a printable character is spelled out: control characters, escape sequences, newlines, and
    the invisible ones that turn the writing direction around.

    Args:
        text: what a peer, a server or a file wrote.
        limit: characters shown before the rest is cut off.
    """
    spelled = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:limit])
    return spelled if len(text) <= limit else f"{spelled}..."


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


def error_lines(error: MpcError) -> list[str]:
    """Say an error: ``error:``, then what is saved, then ``hint:``, each on one line."""
    lines = [f"error: {escape(error.message, 1000)}"]
    if error.saved:
        lines.append(f"saved: {escape(error.saved, 1000)}")
    if error.hint:
        lines.append(f"hint: {escape(error.hint, 1000)}")
    return lines
