"""Where events go: JSON to stdout, or talk to stderr."""

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import msgspec

from mpcnode import status
from mpcnode.cli.terminal.sentences import Narrator
from mpcnode.control.lines import Line, encode_line


class Output(Protocol):
    """What shows a command's progress."""

    def event(self, event: status.Event) -> None:
        """Show ``event``; never blocks for long, never raises on what a peer wrote."""

    def paused(self) -> AbstractContextManager[None]:
        """Leave the terminal to a question for a while."""


class Plain:
    """Sentences on stderr."""

    def __init__(self) -> None:
        self._narrator = Narrator()

    def event(self, event: status.Event) -> None:
        """Say ``event``."""
        say(*self._narrator.lines(event))

    def paused(self) -> AbstractContextManager[None]:
        """Nothing is in the way of a question."""
        return contextlib.nullcontext()


class Json:
    """One object a line on stdout, each line flushed."""

    def event(self, event: status.Event) -> None:
        """Print ``event``."""
        self.line(event)

    def line(self, line: Line) -> None:
        """Print any line of the JSON output."""
        print_json_line(encode_line(line))

    def paused(self) -> AbstractContextManager[None]:
        """Nothing is in the way of a question."""
        return contextlib.nullcontext()


@contextmanager
def open_output(*, json: bool) -> Iterator[Output]:
    """The output for a command: JSON where it is asked for, a live table on a terminal, else sentences."""
    if json:
        yield Json()
    elif sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        from mpcnode.cli.terminal.render import Live  # noqa: PLC0415 -- rich is loaded for a terminal only

        with Live() as live:
            yield live
    else:
        yield Plain()


def say(*lines: str) -> None:
    """Talk: lines on stderr."""
    for line in lines:
        print(line, file=sys.stderr, flush=True)  # noqa: T201 -- stderr is where talk goes


def print_data(*lines: str) -> None:
    """Data: lines on stdout."""
    for line in lines:
        print(line)  # noqa: T201 -- stdout is where data goes
    sys.stdout.flush()


def print_json(value: msgspec.Struct) -> None:
    """Data as one JSON object on a line of stdout."""
    print_json_line(msgspec.json.encode(value) + b"\n")


def print_json_line(line: bytes) -> None:
    """Write a line to stdout at once; where the reader is gone, stop as if told to."""
    try:
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # The events of a node come from everywhere in it: an exception here would look like a defect there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        signal.raise_signal(signal.SIGTERM)


def log_to_stderr(*, verbose: bool) -> None:
    """Send mpcnode's log to stderr, and other libraries' warnings; without ``verbose`` nothing is logged."""
    if not verbose:
        logging.disable(logging.CRITICAL)
        return
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    logging.getLogger("mpcnode").setLevel(logging.DEBUG)
