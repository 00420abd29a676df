"""One home, one process: a lock on a file that is never renamed and never removed."""

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from mpcnode.errors import HomeInUse
from mpcnode.keystore.files import raise_unwritable
from mpcnode.keystore.filesystem import FileSystem

_PID: Final = re.compile(rb"[1-9][0-9]{0,9}")


class HomeLock:
    """Holds a home for this process.

    The kernel gives the lock back when the process ends, however it ends, so there is no stale lock to break.

    Args:
        fs: the file system.
        path: the lock file; made where it is not there.
        on_taken: called each time the lock was taken from nobody, while no other process can.
    """

    def __init__(self, fs: FileSystem, path: Path, *, on_taken: Callable[[], None]) -> None:
        self._fs = fs
        self._path = path
        self._on_taken = on_taken
        self._counting = threading.Lock()
        self._writing = threading.Lock()
        self._holders = 0
        self._fd = -1

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold the lock against other processes; again and from any thread, the last to leave gives it back.

        Raises:
            HomeInUse: another process has it.
            KeystoreUnwritable: the lock file cannot be opened or locked.
            KeystoreError: as ``on_taken`` raises it.
        """
        with self._counting:
            if not self._holders:
                self._take()
            self._holders += 1
        try:
            yield
        finally:
            with self._counting:
                self._holders -= 1
                if not self._holders:
                    self._close(self._fd)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the lock against this process's other threads as well, for the length of one write; not to be nested.

        Raises:
            HomeInUse, KeystoreUnwritable: as ``shared``.
        """
        with self.shared(), self._writing:
            yield

    def _take(self) -> None:
        try:
            fd = self._fs.open(self._path, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise_unwritable(self._path, error)
        try:
            self._lock(fd)
            self._on_taken()
        except BaseException:
            self._close(fd)
            raise
        self._fd = fd

    def _close(self, fd: int) -> None:
        # Closing gives the lock back even where it fails, and nothing of value is in this file.
        with suppress(OSError):
            self._fs.close(fd)

    def _lock(self, fd: int) -> None:
        try:
            self._fs.lock(fd)
        except BlockingIOError:
            raise HomeInUse(
                f"{self._path.parent} is in use by {self._holder(fd)}",
                hint="one home, one node: stop that one, or use another --home",
            ) from None
        except OSError as error:
            raise_unwritable(self._path, error)
        # The number is for people; the lock holds without it, also on a full disk.
        with suppress(OSError):
            self._fs.fchmod(fd, 0o600)
            self._fs.truncate(fd)
            self._fs.write(fd, b"%d\n" % os.getpid())

    def _holder(self, fd: int) -> str:
        try:
            pid = _PID.match(self._fs.read(fd, 16))
        except OSError as error:
            raise_unwritable(self._path, error)
        return f"process {pid.group().decode('ascii')}" if pid else "another process"
