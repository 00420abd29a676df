"""The passphrase of a home: where it comes from, and how often it is asked for."""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from mpcnode.cli.options import expanded
from mpcnode.cli.terminal.output import say
from mpcnode.cli.terminal.prompts import passphrase
from mpcnode.cli.terminal.text import as_typed
from mpcnode.errors import WrongPassphrase

T = TypeVar("T")
TRIES: Final = 3


def with_passphrase(
    home: Path,
    file: Path | None,
    fd: int | None,
    use: Callable[[bytearray], T],
    *,
    again: Callable[[], bool] = lambda: True,
) -> T:
    """Do something with the passphrase of a home; one that is typed wrong is asked for again.

    Args:
        home: which.
        file, fd: where it comes from; None for the terminal.
        use: takes it, for its own to wipe.
        again: whether what ``use`` began can be begun once more.

    Raises:
        WrongPassphrase: of a file, or typed wrong as often as it is asked for.
    """
    if file is not None:
        _warn_of(expanded(file))
    left = TRIES - 1 if file is None and fd is None else 0
    while True:
        try:
            return use(passphrase(home, file=file, fd=fd))
        except WrongPassphrase:
            if not left or not again():
                raise
            say(f"wrong passphrase; {left} more {'try' if left == 1 else 'tries'}")
            left -= 1


def _warn_of(file: Path) -> None:
    """Say where others can read a passphrase; a mounted secret may have to be so, hence no refusal."""
    try:
        mode = file.stat().st_mode
    except OSError:
        return  # reading it says what is wrong
    if stat.S_ISREG(mode) and mode & 0o077:
        name = as_typed(str(file))
        say(f"warning: other users of this machine may read {name}; hint: chmod 600 {name}")
