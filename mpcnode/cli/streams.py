"""Standard input, output and error as a command can rely on them: what it says may fail to be written, and it goes on.

A disk fills up, a terminal is stopped by Ctrl-S, a supervisor reads no pipe, a shell closes a descriptor. Talk never
fails and is not waited for while a node runs; what a command was asked for is waited for, and goes to standard error
where standard output does not take it. The exit code says at the end that something was not written.
"""

import errno
import io
import os
import select
import sys
from collections.abc import Callable
from typing import Final, NoReturn

from mpcnode.errors import OutputUnwritable

RUNNING: Final = 1.0
"""Seconds that a node which runs waits for somebody to read its talk, before it goes on without."""
LAST_WORDS: Final = 3.0
"""Seconds that a node which has ended waits for it."""
_AT_ONCE: Final = 512
"""Bytes that whatever can be written to takes without making its writer wait (POSIX)."""


Left = Callable[[float | None], bytes | None]
"""Waits, for so many seconds or as long as it takes, until whatever else writes there has ended; gives the end of the
line that it left half-written, or None where it writes still."""


class _Standard(io.RawIOBase):
    """Standard output or error.

    Args:
        fd: where to.
    """

    patience: float | None = None
    """Seconds to wait for a reader; None for as long as it takes."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self.lost = False
        """Whether anything was not written that somebody could have read."""
        self.left: Left | None = None
        """What wrote there before and had not ended when it was left to itself."""
        self.given_up = False
        """Whether nobody read it in the end: one with patience is not waited for again, until something is read."""

    def fileno(self) -> int:
        """Give the descriptor."""
        return self._fd

    def isatty(self) -> bool:
        """Whether somebody may be looking."""
        return os.isatty(self._fd)

    def writable(self) -> bool:
        """Whether it may be written to: always."""
        return True

    @property
    def _wait(self) -> float | None:
        return 0 if self.given_up and self.patience is not None else self.patience

    def _behind_what_was_left(self, data: "bytes | bytearray | memoryview") -> memoryview:
        """Give what to write so that ``data`` begins a line of its own; nothing where that cannot be waited for."""
        rest = b"" if self.left is None else self.left(self._wait)
        if rest is None:
            self.lost = self.given_up = True
            return memoryview(b"")
        self.left = None
        return memoryview(rest + bytes(data))

    def _is_taken(self) -> bool:
        """Wait until it can be written to."""
        if select.select([], [self._fd], [], self._wait)[1]:
            self.given_up = False
            return True
        self.lost = self.given_up = True
        return False


class Talk(_Standard):
    """Standard error: sentences, logs and questions. Writing to it never fails.

    Its patience has no end, which is right until a node runs.
    """

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]  # typeshed's Buffer
        """Take all of ``data``, and write what can be written."""
        left = self._behind_what_was_left(data)
        while left:
            try:
                if not self._is_taken():
                    break
                left = left[os.write(self._fd, left[:_AT_ONCE]) :]
            except BlockingIOError:  # another process made it so, and took the room meanwhile
                continue
            except OSError as error:
                self.lost = self.lost or not isinstance(error, BrokenPipeError)
                break
        return len(data)


class Data(_Standard):
    """Standard output: what a command was asked for, however long its reader takes.

    Args:
        fd: where to.
        talk: takes what this one does not.
    """

    def __init__(self, fd: int, talk: Talk) -> None:
        super().__init__(fd)
        self._talk = talk
        self._failed = False

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]  # typeshed's Buffer
        """Write all of ``data``.

        Raises:
            OutputUnwritable: it cannot be written; what is left of it is on standard error now.
            BrokenPipeError: its reader has left.
        """
        if self._failed:  # it is said once
            return len(data)
        left = self._behind_what_was_left(data)
        while left:
            try:
                if not self._is_taken():
                    break
                left = left[os.write(self._fd, left[:_AT_ONCE]) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                self._failed = True
                raise
            except OSError as error:
                self._fail(error, bytes(left))
        return len(data)

    def _fail(self, error: OSError, left: bytes) -> NoReturn:
        self._failed = True
        self._talk.write(left)
        reason = "it is closed" if error.errno == errno.EBADF else (error.strerror or "it fails").lower()
        raise OutputUnwritable(
            f"cannot write to standard output: {reason}",
            hint="have it written somewhere else next time",
            saved="nothing that was made is lost: what standard output did not take stands above, on standard error",
        ) from error


def open_here() -> None:
    """Make this process's standard streams ones that it can rely on; call it before anything opens a file.

    A descriptor that is closed is taken, so that no file or socket of the node's gets its number: talk would go there.
    """
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)  # the lowest number that is free, so this one; writing to it fails
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115 -- as Python does
    talk = Talk(2)
    data = Data(1, talk)
    sys.stdout = _text(data, getattr(sys.stdout, "encoding", None), by_line=data.isatty())
    sys.stderr = _text(talk, getattr(sys.stderr, "encoding", None), by_line=True)


def be_brief(seconds: float) -> None:
    """Wait no longer than this for somebody to read talk, from now on: others wait for this node."""
    talk = getattr(sys.stderr, "buffer", None)
    if isinstance(talk, Talk):
        talk.patience = seconds


def fail_soon() -> None:
    """Wait no longer than for last words on standard output too: the command was stopped, and has no result."""
    data = getattr(sys.stdout, "buffer", None)
    if isinstance(data, Data):
        data.patience = LAST_WORDS


def lost(stream: io.TextIOBase, left: Left) -> None:
    """Note that something for ``stream``, which went there by another way, was not written.

    Args:
        stream: standard output or error.
        left: what is written there from now on comes after this.
    """
    raw = getattr(stream, "buffer", None)
    if isinstance(raw, _Standard):
        raw.lost = raw.given_up = True
        raw.left = left


def close_here(code: int) -> int:
    """Write what was said last; give the exit code, which says so where something was not written.

    Args:
        code: how the command ended.
    """
    data, talk = getattr(sys.stdout, "buffer", None), getattr(sys.stderr, "buffer", None)
    if not isinstance(data, Data) or not isinstance(talk, Talk):
        return code
    failed = False
    try:
        sys.stdout.flush()
    except OutputUnwritable as error:
        failed = True
        talk.write(f"error: {error.message}\n".encode())
    except BrokenPipeError:
        pass
    if data.lost:
        talk.write(b"warning: not every event could be written to standard output\n")
    sys.stderr.flush()
    return OutputUnwritable.exit_code if code == 0 and (failed or data.lost or talk.lost) else code


def _text(raw: io.RawIOBase, encoding: str | None, *, by_line: bool) -> io.TextIOWrapper:
    # What the encoding lacks is spelled out: a message that cannot be printed as it is must not look like a defect.
    return io.TextIOWrapper(
        raw,  # type: ignore[arg-type]  # it takes whole pieces, as a buffer does
        encoding=encoding or "utf-8",
        errors="backslashreplace",
        newline="\n",
        line_buffering=by_line,
    )
