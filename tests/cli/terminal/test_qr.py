"""QR codes: another library reads them off the screen, on dark terminals and on light ones."""

import struct
import zlib

import pytest
import zxingcpp

from mpcnode.cli.terminal.frame import Size
from mpcnode.cli.terminal.qr import QUIET, qr_picture, qr_rows
from mpcnode.types import IdentityKey
from mpcnode.wire import invitation
from mpcnode.wire.invitation import Invitation
from tests.helpers.emulator import Emulator

PIXELS = 4


def link(server: str = "wss://mpc.example:9000") -> str:
    return invitation.encode(
        Invitation(
            server=server,
            room=bytes(range(16)),
            key=IdentityKey(b"\xa5" * 32),
            secret=bytes(range(16, 32)),
            expires=1_800_000_000_000,
        )
    )


def photograph(rows: list[str], size: Size, *, dark: bool) -> memoryview:
    """What a camera sees of a terminal whose letters are white on black, or black on white."""
    emulator = Emulator(size.columns, size.rows)
    emulator.show(rows)
    assert not emulator.screen.history.top, "nothing has scrolled off"
    shades = {"default": None, "000000": 0, "ffffff": 255}
    picture = []
    for y in range(size.rows):
        halves: tuple[list[int], list[int]] = ([], [])
        for x in range(size.columns):
            cell = emulator.screen.buffer[y][x]
            ink, paper = shades[cell.fg], shades[cell.bg]
            ink = ink if ink is not None else (255 if dark else 0)
            paper = paper if paper is not None else (0 if dark else 255)
            assert cell.data in " ▄▀█"
            halves[0].extend([ink if cell.data in "▀█" else paper] * PIXELS)
            halves[1].extend([ink if cell.data in "▄█" else paper] * PIXELS)
        for half in halves:
            picture += [bytes(half)] * PIXELS
    return memoryview(b"".join(picture)).cast("B", (len(picture), size.columns * PIXELS))


def read(picture: object) -> list[str]:
    return [found.text for found in zxingcpp.read_barcodes(picture)]


@pytest.mark.parametrize("colour", [True, False])
@pytest.mark.parametrize("dark", [True, False])
@pytest.mark.parametrize("size", [Size(80, 24), Size(80, 25), Size(120, 50)])
def test_an_invitation_is_read_off_any_terminal(size: Size, *, dark: bool, colour: bool) -> None:
    rows = qr_rows(link(), size, colour=colour)
    assert rows is not None
    assert len(rows) <= size.rows - 1
    assert read(photograph(rows, size, dark=dark)) == [link()]


def test_the_link_of_a_usual_server_fits_the_terminal_that_every_terminal_is() -> None:
    for server in ("ws://127.0.0.1:9000", "wss://signaling.example.org", "wss://[2001:db8::1]"):
        assert qr_rows(link(server), Size(80, 24), colour=True) is not None


def test_there_is_as_much_room_around_a_code_as_fits() -> None:
    small, large = (qr_rows(link(), size, colour=False) for size in (Size(80, 24), Size(80, 50)))
    assert small is not None
    assert large is not None
    assert len(large[0]) - len(small[0]) == 2 * (QUIET[0] - QUIET[-1])


@pytest.mark.parametrize("size", [Size(80, 20), Size(44, 50), Size(10, 3), Size(80, 24, ascii_only=True)])
def test_where_a_code_does_not_fit_there_is_none(size: Size) -> None:
    assert qr_rows(link(), size, colour=True) is None


def test_a_longer_link_needs_a_larger_terminal() -> None:
    long = link("wss://" + "a" * 60 + "." + "b" * 60)
    assert qr_rows(long, Size(80, 24), colour=True) is None
    rows = qr_rows(long, Size(100, 60), colour=True)
    assert rows is not None
    assert read(photograph(rows, Size(100, 60), dark=True)) == [long]


@pytest.mark.parametrize("text", ["ABC123", "mpcnode:join?", "x" * 300])
def test_any_text_has_a_code(text: str) -> None:
    rows = qr_rows(text, Size(200, 100), colour=True)
    assert rows is not None
    assert read(photograph(rows, Size(200, 100), dark=False)) == [text]


def test_a_picture_is_read_too() -> None:
    data = qr_picture(link())
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert read(_grey(data)) == [link()]


def _grey(png: bytes) -> memoryview:
    """The pixels of a PNG of one bit a pixel, as segno writes it."""
    width, height, depth = struct.unpack(">IIB", png[16:25])
    assert depth == 1
    at, packed = 8, b""
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        packed += png[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        at += 12 + length
    lines = zlib.decompress(packed)
    stride = (width + 7) // 8 + 1
    pixels, before = b"", bytes(stride - 1)
    for y in range(height):
        how, line = lines[y * stride], lines[y * stride + 1 : (y + 1) * stride]
        assert how in {0, 2}, "as it is, or as its difference from the line above"
        before = line = bytes((one + above * (how == 2)) % 256 for one, above in zip(line, before, strict=True))
        pixels += bytes(255 * (line[x // 8] >> (7 - x % 8) & 1) for x in range(width))
    return memoryview(pixels).cast("B", (height, width))
