"""How others are invited to a wallet, as the options of ``mpcnode create-wallet`` say it."""

from dataclasses import dataclass
from pathlib import Path

from mpcnode.commands import DEFAULT_WORDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Invited:
    """How others are invited, and how that is shown.

    Args:
        codes: whether there is a code for each.
        words: how many words a code has.
        qr: draw the link as a QR code, on a terminal.
        picture: a file to draw it into.
        stop_with_stdin: stop when standard input ends.
    """

    codes: bool = True
    words: int = DEFAULT_WORDS
    qr: bool = True
    picture: Path | None = None
    stop_with_stdin: bool = False
