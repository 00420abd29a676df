"""Where events go: JSON to stdout, or talk to stderr; neither makes a node wait for a reader."""

import logging
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TextIO

import msgspec

from mpcnode import status
from mpcnode.cli import streams
from mpcnode.cli.terminal.describe import clock, message_rows
from mpcnode.cli.terminal.frame import Size, session_rows
from mpcnode.cli.terminal.sentences import Narrator
from mpcnode.cli.terminal.text import NARROWEST, counted, escape, wrapped
from mpcnode.cli.terminal.view import Board, SessionView
from mpcnode.control.lines import Line, encode_line

if TYPE_CHECKING:  # it loads asyncio, which a passphrase is asked for without
    from mpcnode.cli.terminal.screen import Writer

SHOWN_UNASKED: Final = 12
"""Rows shown of what is signed where nobody is asked; the audit log has the hash of each message."""
MAX_LOGGED: Final = 10_000
_VALUE: Final = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_IN_FRAME: Final = (status.Progress, status.Link, status.Answered, status.SafetyWords)


class Output:
    """Shows a command's progress as sentences on stderr, and leaves the terminal to a question for a while.

    Args:
        talk: takes what is said.
    """

    _names = True
    """Whether a sentence about a proposal names everybody."""

    def __init__(self, talk: "Writer") -> None:
        self._talk = talk
        self._narrator = Narrator(names=self._names)
        self._board = Board()
        self._seen: set[str] = set()
        """Sessions whose messages were shown."""
        self._held: list[status.Event] = []
        self._pauses = 0

    def event(self, event: status.Event) -> None:
        """Show ``event``; never waits for the terminal, never raises on what a peer wrote."""
        if self._pauses:
            self._held.append(event)
        else:
            self._show(event, self._board.take(event))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the terminal to a question; what happens meanwhile is shown after it."""
        self._pauses += 1
        self._talk.frame([])
        try:
            yield
        finally:
            self._pauses -= 1
            if not self._pauses:
                held, self._held = self._held, []
                for event in held:
                    self.event(event)

    def session(self, session_id: str) -> SessionView | None:
        """A session that runs, as it is by now."""
        return self._board.of(session_id)

    def asked(self, session_id: str) -> None:
        """Note that the user is shown what is to be signed in a session."""
        self._seen.add(session_id)

    def say(self, *rows: str) -> None:
        """Say rows that fit already."""
        self._talk.lines(_lines(rows))

    def prompt(self, text: str) -> None:
        """Say what an answer is typed behind."""
        self._talk.lines(text.encode())

    async def shown(self) -> None:
        """Wait until the terminal has all that was said."""
        await self._talk.written()

    def size(self) -> Size:
        """The terminal as it is now."""
        return size_of(sys.stderr.fileno())

    def _show(self, event: status.Event, view: SessionView | None) -> None:
        say(*self._narrator.lines(event))
        self._unasked(event, view)

    def _unasked(self, event: status.Event, view: SessionView | None) -> None:
        """Show what is to be signed where nobody here is asked about it."""
        if view is None or view.proposal.sign is None:
            return
        proposal = view.proposal
        own = any(peer.trust == "self" and peer.peer_id == proposal.proposer for peer in proposal.participants)
        if proposal.session_id not in self._seen and (own or isinstance(event, status.Progress)):
            self._seen.add(proposal.session_id)
            if not own:
                say(f"{clock(time.time_ns() // 1_000_000)} this node takes part without asking:")
            self.say(*_in_short(proposal, self.size()))
        if view.ended is not None:
            self._seen.discard(proposal.session_id)


class Live(Output):
    """Keeps one frame at the foot of the terminal and puts sentences above it."""

    _names = False  # the frame and the question do

    def _show(self, event: status.Event, view: SessionView | None) -> None:
        refusal = isinstance(event, status.Answered) and not event.accepted  # its reason has no place in the frame
        if view is None or refusal or not isinstance(event, _IN_FRAME):
            if view is not None and view.ended is not None and view.phase is not None:
                self._talk.frame([])
                self.say(*session_rows(view, self.size()))
            super()._show(event, view)
        else:
            self._unasked(event, view)
        self._draw()

    def redraw(self) -> None:
        """Draw the frame for the terminal as it is now."""
        if not self._pauses:
            self._draw()

    def _draw(self) -> None:
        running = list(self._board.views.values())
        frame = session_rows(running[0], self.size(), others=running[1:]) if running else []
        self._talk.frame(["", *frame] if frame else [])


class Json(Output):
    """One object a line on stdout; questions and talk go to stderr.

    Args:
        talk: takes questions.
        data: takes the lines.
    """

    def __init__(self, talk: "Writer", data: "Writer") -> None:
        super().__init__(talk)
        self._data = data

    def event(self, event: status.Event) -> None:
        """Print ``event``, also while a question is open."""
        self._board.take(event)
        self._data.lines(encode_line(event))


_open_talk: "Writer | None" = None
"""What takes what is said while a node runs here: it alone knows what stands at the foot of the terminal."""


@contextmanager
def open_output(*, json: bool) -> Iterator[Output]:
    """The output for a command: JSON where it is asked for, a live view on a terminal, else sentences."""
    live = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    with _talking() as talk:
        if not json:
            output = Live(talk) if live else Output(talk)
            with _redrawn(output):
                yield output
            return
        with _writing(sys.stdout, lost=_events_lost, broken=_nobody_reads) as data:
            yield Json(talk, data)


@contextmanager
def _redrawn(output: Output) -> Iterator[None]:
    """Draw a live view anew whenever the terminal changes its size."""
    if not isinstance(output, Live):
        yield
        return
    import asyncio  # noqa: PLC0415 -- as above

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGWINCH, output.redraw)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)


@contextmanager
def _talking() -> "Iterator[Writer]":
    global _open_talk  # noqa: PLW0603 -- there is one stderr in a process, and logs come from everywhere
    before = _open_talk
    with _writing(sys.stderr, lost=_talk_lost) as talk:
        _open_talk = talk
        try:
            yield talk
        finally:
            talk.frame([])
            _open_talk = before


@contextmanager
def _writing(
    stream: TextIO, *, lost: Callable[[int], bytes], broken: Callable[[], None] = lambda: None
) -> "Iterator[Writer]":
    from mpcnode.cli.terminal.screen import Writer  # noqa: PLC0415 -- as above

    stream.flush()
    fd = stream.fileno()
    writer = Writer(fd, lost=lost, broken=broken, columns=lambda: size_of(fd).columns)
    try:
        yield writer
    finally:
        if not writer.close(streams.LAST_WORDS):
            streams.lost(stream, writer.left)  # type: ignore[arg-type]  # typeshed's TextIO is no TextIOBase


def _talk_lost(count: int) -> bytes:
    return f"warning: {counted(count, 'line')} could not be shown here\n".encode()


def _events_lost(count: int) -> bytes:
    return encode_line(status.Warned(f"{counted(count, 'event')} could not be written here"))


def _nobody_reads() -> None:
    # An exception where the event came from would look like a defect there.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    os.kill(os.getpid(), signal.SIGTERM)


def _lines(rows: Iterable[str]) -> bytes:
    return "".join(f"{row}\n" for row in rows).encode(sys.stderr.encoding or "utf-8", "backslashreplace")


def size_of(fd: int) -> Size:
    """How large the terminal behind ``fd`` is; where that cannot be known, as large as every terminal begins."""
    try:
        columns, rows = os.get_terminal_size(fd)
    except OSError:
        columns = rows = 0
    ascii_only = not (sys.stderr.encoding or "").lower().startswith("utf")
    return Size(max(columns, NARROWEST) if columns else 80, rows or 24, ascii_only)


def say(*lines: str) -> None:
    """Talk: lines on stderr, in rows that fit where it is a terminal."""
    width = size_of(sys.stderr.fileno()).columns - 1 if sys.stderr.isatty() else 0
    rows = [row for line in lines for row in (wrapped(line, width) if width else [line])]
    if _open_talk is not None:
        _open_talk.lines(_lines(rows))
        return
    for row in rows:
        print(row, file=sys.stderr, flush=True)  # noqa: T201 -- stderr is where talk goes


def draw(*rows: str) -> None:
    """Talk: rows on stderr that are drawn for the terminal as it is."""
    if _open_talk is not None:
        _open_talk.lines(_lines(rows))


def width_of_data() -> int:
    """How wide a row on stdout may be: as the terminal, or where it goes elsewhere, as a terminal begins."""
    return _terminal_width() or 79


def _terminal_width() -> int:
    """How wide a row on stdout may be where it is a terminal; else 0, and nothing has to be broken."""
    return size_of(sys.stdout.fileno()).columns - 1 if sys.stdout.isatty() else 0


def print_data(*lines: str) -> None:
    """Data: lines or pages on stdout; on a terminal in rows that fit, but for what somebody may want to copy."""
    width = _terminal_width()
    for line in (line for page in lines for line in page.split("\n")):
        for row in wrapped(line, width) if width and not _is_value(line) else [line]:
            print(row)  # noqa: T201 -- stdout is where data goes
    sys.stdout.flush()


def _is_value(line: str) -> bool:
    """Whether a line is a link, a signature or a key behind its label at most, or base 64 as in a PEM file."""
    *label, value = line.split() or [""]
    return value.startswith("mpcnode:") or (len(label) <= 2 and _VALUE.fullmatch(value) is not None)  # "public key"


def print_json(value: msgspec.Struct) -> None:
    """Data as one JSON object on a line of stdout."""
    print_json_line(msgspec.json.encode(value) + b"\n")


def print_line(line: Line) -> None:
    """Print any line of the JSON output, where no node runs any more."""
    print_json_line(encode_line(line))


def print_json_line(line: bytes) -> None:
    """Write a line to stdout, however long its reader takes."""
    sys.stdout.flush()
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


class _Log(logging.Handler):
    """Says each record as lines that hold nothing a terminal obeys."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say ``record``."""
        say(*(escape(line, MAX_LOGGED) for line in self.format(record).splitlines()))


def log_to_stderr(*, verbose: bool) -> None:
    """Send mpcnode's log to stderr, and other libraries' warnings; without ``verbose`` nothing is logged."""
    if not verbose:
        logging.disable(logging.CRITICAL)
        return
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING, handlers=[_Log()]
    )
    logging.getLogger("mpcnode").setLevel(logging.DEBUG)


def _in_short(proposal: status.Proposed, size: Size) -> list[str]:
    assert proposal.sign is not None
    rows = message_rows(proposal.sign, size.columns - 1)
    if len(rows) <= SHOWN_UNASKED:
        return rows
    return [*rows[:SHOWN_UNASKED], f"  -- {counted(len(rows) - SHOWN_UNASKED, 'more row')} not shown here --"]
