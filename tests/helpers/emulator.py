"""A terminal emulator: what a person sees of the bytes that were written."""

import os
from pathlib import Path

import pyte

SCREENS = Path(__file__).parents[1] / "cli" / "terminal" / "screens"
"""Screenshots as text; ``MPCNODE_NEW_SCREENS=1`` writes them anew, for a person to look at before they are kept."""


class Emulator:
    """A terminal of some size; what scrolled off its top is kept."""

    def __init__(self, columns: int, rows: int) -> None:
        self.screen = pyte.HistoryScreen(columns, rows, history=100_000, ratio=0.5)
        self._stream = pyte.ByteStream(self.screen)
        self.columns, self.rows = columns, rows

    def feed(self, data: bytes) -> None:
        """Show bytes as a terminal does that a program writes to."""
        self._stream.feed(data.replace(b"\n", b"\r\n"))

    def show(self, rows: list[str]) -> None:
        """Show whole rows."""
        self.feed("".join(f"{row}\n" for row in rows).encode("utf-8", "surrogatepass"))

    def seen(self) -> list[str]:
        """The rows that can be seen now, without what is blank at their end."""
        return [row.rstrip() for row in self.screen.display]

    def all_rows(self) -> list[str]:
        """Every row there ever was, what scrolled off first; blank rows at the end are left out."""
        rows = ["".join(line[x].data for x in range(self.columns)).rstrip() for line in self.screen.history.top]
        rows += self.seen()
        while rows and not rows[-1]:
            rows.pop()
        return rows


def check_screen(name: str, rows: list[str]) -> None:
    """Compare what is seen with the screenshot kept under ``name``."""
    path = SCREENS / f"{name}.txt"
    text = "".join(f"{row}\n" for row in rows).rstrip("\n") + "\n"
    if os.environ.get("MPCNODE_NEW_SCREENS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()
