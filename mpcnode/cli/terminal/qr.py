"""A link as a QR code: in half blocks for a terminal, two modules a row, and as a picture. Pure.

A link that ends in capitals and digits, as that of an invitation does, takes two thirds of the room: the code packs
such a run closer than other text.
"""

import io
import re
from typing import TYPE_CHECKING, Final

from mpcnode.cli.terminal.frame import Size

if TYPE_CHECKING:  # it takes longer to load than a command that shows none
    from segno import QRCode

QUIET: Final = (4, 3, 2)
"""Empty modules around a code, the best first: four are prescribed (ISO/IEC 18004), two are read by every reader."""

_BLOCKS: Final = " ▄▀█"
_BLACK_ON_WHITE: Final = "\x1b[38;5;16;48;5;231m"
"""Of the 256 colours, which no theme changes: a code is read on dark terminals and on light ones."""
_AS_BEFORE: Final = "\x1b[0m"
_PACKED: Final = re.compile(r"[0-9A-Z]*\Z", re.ASCII)
_PIXELS: Final = 8


def qr_rows(link: str, size: Size, *, colour: bool) -> list[str] | None:
    """Draw a link's code for a terminal; None where it does not fit, or the terminal shows nothing but ASCII.

    Args:
        link: any text in ASCII.
        size: of the terminal; one of its rows is left for what is typed.
        colour: whether the terminal has colours. Without them the light modules are drawn, so that a code is black on
            white where letters are white on black, and readers turn it round where they are not.
    """
    if size.ascii_only:
        return None
    modules = [[bool(module) for module in row] for row in _code(link).matrix]
    for quiet in QUIET:
        side = len(modules) + 2 * quiet
        if side <= size.columns - 1 and (side + 1) // 2 <= size.rows - 1:
            return [_row(top, bottom, colour=colour) for top, bottom in _pairs(modules, quiet)]
    return None


def qr_picture(link: str) -> bytes:
    """Give a link's code as a PNG file."""
    picture = io.BytesIO()
    _code(link).save(picture, kind="png", scale=_PIXELS, border=QUIET[0])
    return picture.getvalue()


def _code(link: str) -> "QRCode":
    """Encode a link with the least correction: a screen has no dirt, and a smaller code is read from further away."""
    import segno  # noqa: PLC0415 -- as above
    from segno.consts import MODE_ALPHANUMERIC, MODE_BYTE  # noqa: PLC0415 -- same

    packed = _PACKED.search(link)
    assert packed is not None
    parts = [(link[: packed.start()], MODE_BYTE), (packed.group(), MODE_ALPHANUMERIC)]
    # segno takes a list of parts, and says so everywhere but in its types.
    return segno.make([part for part in parts if part[0]], error="l", boost_error=False, micro=False)  # type: ignore[arg-type]


def _pairs(modules: list[list[bool]], quiet: int) -> list[tuple[list[bool], list[bool]]]:
    side = len(modules) + 2 * quiet
    blank = [False] * side
    rows = [blank] * quiet + [[False] * quiet + row + [False] * quiet for row in modules] + [blank] * (quiet + side % 2)
    return list(zip(rows[::2], rows[1::2], strict=True))


def _row(top: list[bool], bottom: list[bool], *, colour: bool) -> str:
    drawn = "".join(_BLOCKS[2 * (a == colour) + (b == colour)] for a, b in zip(top, bottom, strict=True))
    return f"{_BLACK_ON_WHITE}{drawn}{_AS_BEFORE}" if colour else drawn
