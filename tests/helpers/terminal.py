"""A command on a terminal of its own: what it shows can be waited for, seen and answered."""

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.helpers.emulator import Emulator

DEADLINE = 60.0


class Terminal:
    """``mpcnode`` with a pseudo-terminal for stdin and stderr, and a pipe for stdout.

    Args:
        arguments: of the command.
        environment: what is added to the environment; ``TERM`` is ``dumb`` where there is no ``size``.
        size: columns and rows of a terminal that is looked at with ``seen``; otherwise it says that it has none.
        program: what is run in place of ``-m mpcnode``.
    """

    def __init__(
        self,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        size: tuple[int, int] | None = None,
        program: tuple[str, ...] = ("-m", "mpcnode"),
    ) -> None:
        self._ours, theirs = pty.openpty()
        self.shown = ""
        self.emulator = Emulator(*(size or (80, 24)))
        if size is not None:
            termios.tcsetwinsize(theirs, (size[1], size[0]))
        self._read = 0
        self.process = subprocess.Popen(
            [sys.executable, *program, *arguments],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=theirs,
            env=clean_environment() | {"TERM": "xterm" if size else "dumb"} | dict(environment or {}),
            start_new_session=True,
        )
        os.close(theirs)

    def expect(self, text: str) -> None:
        """Wait until ``text`` is shown, after what was expected before."""
        end = time.monotonic() + DEADLINE
        while (at := self.shown.find(text, self._read)) < 0:
            if not self._more(end - time.monotonic()):
                raise AssertionError(f"{text!r} was not shown; what was: {self.shown!r}")
        self._read = at + len(text)

    def seen(self) -> list[str]:
        """What a person sees now."""
        while self._more(0.2):
            pass
        return self.emulator.seen()

    def type(self, text: str) -> None:
        """Type ``text``."""
        os.write(self._ours, text.encode())

    def end(self) -> tuple[int, str]:
        """Wait for the end; the exit code and what came on stdout."""
        assert self.process.stdout is not None
        end = time.monotonic() + DEADLINE
        while self._more(end - time.monotonic()):
            pass
        data = self.process.stdout.read()
        return self.process.wait(DEADLINE), data.decode()

    def close(self) -> None:
        """Whatever happened, leave no process and no descriptor behind."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        os.close(self._ours)

    def _more(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], max(seconds, 0))
        if not ready:
            return False
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # the other side is closed: the process ended
            return False
        self.shown += data.decode(errors="replace")
        self.emulator.feed(data.replace(b"\r\n", b"\n"))
        return bool(data)


@contextmanager
def terminal(
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    size: tuple[int, int] | None = None,
    program: tuple[str, ...] = ("-m", "mpcnode"),
) -> Iterator[Terminal]:
    """A command on a terminal, gone at the end."""
    opened = Terminal(*arguments, environment=environment, size=size, program=program)
    try:
        yield opened
    finally:
        opened.close()


def clean_environment() -> dict[str, str]:
    """The environment without what the developer's own node is told."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MPCNODE_")}


def mpcnode(*arguments: str, deadline: float = DEADLINE) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "mpcnode", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=deadline,
        env=clean_environment(),
        check=False,
    )
