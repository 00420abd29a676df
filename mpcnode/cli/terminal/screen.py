"""What writes to a terminal, a pipe or a file without ever making the node wait for it.

A terminal that is stopped (Ctrl-S), or a pipe that nobody reads, takes nothing more once its buffer is full, and a
write then waits for ever. So a thread writes. What waits for it is bounded: of frames there is only the newest, older
ones are dropped and counted; lines beyond the bound are dropped, and a line says how many were.
"""

import asyncio
import errno
import os
import select
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

MAX_WAITING: Final = 1024 * 1024
"""Bytes of lines that wait for a reader; far more than anybody reads later."""
FULL: Final = 0.25
"""Seconds after which a disk that was full is tried again."""
_AT_ONCE: Final = 4096
_CLEAR: Final = "\x1b[J"


class Painter:
    """Keeps a frame at the foot of a terminal and puts lines above it; says which bytes do that."""

    def __init__(self) -> None:
        self._drawn: list[str] = []

    def paint(self, lines: bytes, frame: Sequence[str] | None, columns: int) -> bytes:
        """Give the bytes that put ``lines`` above the frame and then draw ``frame``.

        Args:
            lines: whole lines, or a prompt that stays open where there is no frame.
            frame: its rows; empty for none; None for the one that is there.
            columns: of the terminal now: where it became narrower, what is drawn takes more rows.
        """
        keep = self._drawn if frame is None else list(frame)
        if not lines and keep == self._drawn:
            return b""
        rows = sum(max(-(-len(row) // max(columns, 1)), 1) for row in self._drawn)
        erase = f"\r\x1b[{rows}A{_CLEAR}" if rows else ""
        self._drawn = keep
        return erase.encode() + lines + "".join(f"{row}\n" for row in keep).encode("utf-8", "replace")


class Writer:
    """Writes to a descriptor from a thread of its own: nothing here waits, but ``close``, and that for a while.

    Args:
        fd: where to; it stays open, and its flags as they are: other processes may share it.
        lost: makes the line that says how many lines were dropped.
        broken: told once, in the thread, that its reader has left.
        columns: gives the width of the terminal.
    """

    def __init__(
        self,
        fd: int,
        *,
        lost: Callable[[int], bytes],
        broken: Callable[[], None] = lambda: None,
        columns: Callable[[], int] = lambda: 80,
    ) -> None:
        self._fd = fd
        self._lost = lost
        self._broken = broken
        self._columns = columns
        self._painter = Painter()
        self._state = threading.Condition()
        self._lines: deque[bytes] = deque()
        self._waiting = 0
        """Bytes of lines that are not written, those included that the thread has."""
        self._frame: list[str] | None = None
        self._dropped = 0
        self._torn = b""
        """The rest of a line that a full disk broke off: nothing is written before it, or two lines became one."""
        self._writing = False
        self._closed = False
        self._dead = False
        self._told: list[Callable[[], None]] = []
        self.dropped_frames = 0
        """Frames that were never drawn, because a newer one came before the terminal took them."""
        self.failed = False
        """Whether anything could not be written although its reader is there."""
        self._thread = threading.Thread(target=self._run, name="terminal", daemon=True)
        self._thread.start()

    def lines(self, data: bytes) -> None:
        """Write whole lines, above the frame where there is one."""
        with self._state:
            if self._dead or self._closed:
                return
            if self._waiting + len(data) > MAX_WAITING and self._waiting:
                self._dropped += data.count(b"\n") or 1
                return
            self._lines.append(data)
            self._waiting += len(data)
            self._state.notify_all()

    def frame(self, rows: Sequence[str]) -> None:
        """Draw ``rows`` at the foot, in place of the frame that is there; none of them for none."""
        with self._state:
            if self._dead or self._closed:
                return
            if self._frame is not None:
                self.dropped_frames += 1
            self._frame = list(rows)
            self._state.notify_all()

    async def written(self) -> None:
        """Wait until everything is written, or can never be."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(done.set)

        with self._state:
            if self._dead or not self._has_work():
                return
            self._told.append(tell)
        await done.wait()

    def close(self, patience: float) -> bool:
        """Write what is left, for so many seconds at most; say whether everything that was said is written."""
        with self._state:
            self._closed = True
            self._state.notify_all()
        return self.left(patience) is not None and not self.failed

    def left(self, patience: float | None) -> bytes | None:
        """Give the end of the line that is written by half, for whatever is written after this one was closed.

        Args:
            patience: seconds to wait until nothing is being written any more; None for as long as it takes.

        Returns:
            bytes to write first; None while something is still being written.
        """
        self._thread.join(patience)
        return None if self._thread.is_alive() else self._torn

    # The thread

    def _has_work(self) -> bool:
        return bool(self._lines or self._dropped or self._torn or self._frame is not None or self._writing)

    def _run(self) -> None:
        while (work := self._next()) is not None:
            lines, frame, dropped = work
            said = self._lost(dropped) if dropped else b""
            data = self._torn + self._painter.paint(lines + said, frame, self._columns())
            torn = bool(self._torn)
            if (failed := self._write(data)) is not None:
                error, kept = failed[0], failed[1] - torn
                count = lines.count(b"\n")
                # The line that says how many were dropped comes after them.
                if not self._goes_on(error, max(count - kept, 0) + (dropped if kept <= count else 0)):
                    return

    def _next(self) -> tuple[bytes, list[str] | None, int] | None:
        """Wait for what there is to write: lines, a frame, and how many lines were dropped; None at the end."""
        with self._state:
            self._waiting, self._writing = sum(map(len, self._lines)), False
            if not self._has_work():
                self._tell()
            while not self._has_work():
                if self._closed:
                    return None
                self._state.wait()
            lines = b"".join(self._lines)
            self._lines.clear()
            dropped, self._dropped = self._dropped, 0
            self.failed = self.failed or bool(dropped)
            frame, self._frame = self._frame, None
            self._writing = True
            return lines, frame, dropped

    def _write(self, data: bytes) -> tuple[OSError, int] | None:
        """Write ``data``, or as much of it as is taken; what is left of a line that was begun stays to be written.

        Returns:
            why not all of it was taken, and how many lines were, the one that was begun among them.
        """
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest[:_AT_ONCE]) :]
            except BlockingIOError:  # another process made it so, and it is full
                select.select([], [self._fd], [])
            except OSError as error:
                done = len(data) - len(rest)
                # Before the first byte that is new, the line that was torn is torn still.
                begun = data[done - 1 : done] not in {b"", b"\n"} or (done == 0 and bool(self._torn))
                self._torn = data[done : data.find(b"\n", done) + 1] if begun else b""
                return error, data[:done].count(b"\n") + bool(self._torn)
        self._torn = b""
        return None

    def _goes_on(self, error: OSError, lost: int) -> bool:
        """Whether to go on: a full disk may have room later, a reader that left does not come back."""
        with self._state:
            self.failed = self.failed or not isinstance(error, BrokenPipeError)
            if error.errno in {errno.ENOSPC, errno.EDQUOT} and not self._closed:
                self._dropped += lost
                self._state.wait(FULL)
                return True
            self._dead = True
            self._lines.clear()
            self._waiting, self._frame, self._dropped, self._writing = 0, None, 0, False
            self._tell()
        if isinstance(error, BrokenPipeError):
            self._broken()
        return False

    def _tell(self) -> None:
        told, self._told = self._told, []
        for tell in told:
            tell()
