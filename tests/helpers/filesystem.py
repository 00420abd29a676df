"""A file system for the keystore that fails where a test wants it to, stops there, or forgets what was not durable.

Permission bits do not stop root, under which tests may run: a read-only home is a file system that says so.
"""

import errno
import os
import shutil
import signal
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mpcnode.keystore.filesystem import FileSystem

OPERATIONS = (
    "open", "close", "read", "write", "truncate", "fsync", "fstat", "lstat", "fchmod", "mkdir", "listdir", "rename",
    "unlink", "lock",
)  # fmt: skip
CHANGES = frozenset({"write", "truncate", "fchmod", "mkdir", "rename", "unlink"})


@dataclass(frozen=True, slots=True)
class Step:
    """One call: the how-many-th, what, and on which path."""

    number: int
    operation: str
    path: Path
    args: tuple[Any, ...]

    @property
    def changes(self) -> bool:
        creates = self.operation == "open" and self.args[1] & (os.O_CREAT | os.O_WRONLY | os.O_RDWR)
        return bool(creates) or self.operation in CHANGES


class QuickFileSystem(FileSystem):
    """Does not wait for the disk: what a test looks at afterwards is in the kernel's cache anyway."""

    def fsync(self, fd: int) -> None:
        os.fstat(fd)


class WatchedFileSystem(QuickFileSystem):
    """Counts every call, and asks ``before`` about it first; what ``before`` raises is what the call raises."""

    def __init__(self, before: Callable[[Step], None] = lambda _: None) -> None:
        self.steps: list[Step] = []
        self.before = before
        self._paths: dict[int, Path] = {}

    def path_of(self, fd: int) -> Path:
        return self._paths[fd]

    def _call(self, operation: str, *args: Any) -> Any:
        path = args[0] if isinstance(args[0], Path) else self._paths[args[0]]
        step = Step(len(self.steps), operation, path, args)
        self.steps.append(step)
        try:
            self.before(step)
        except OSError:
            if operation == "close":
                os.close(args[0])  # as the kernel does: a close that fails has closed
                del self._paths[args[0]]
            raise
        result = getattr(super(), operation)(*args)
        if operation == "open":
            self._paths[result] = path
        elif operation == "close":
            del self._paths[args[0]]
        self.after(step, result)
        return result

    def after(self, step: Step, result: Any) -> None:
        """Hook for subclasses: the call was made."""


for _operation in OPERATIONS:
    setattr(WatchedFileSystem, _operation, lambda self, *args, _operation=_operation: self._call(_operation, *args))


def failing(code: int, when: Callable[[Step], bool]) -> WatchedFileSystem:
    """Raise ``OSError(code)`` wherever ``when`` says so."""

    def before(step: Step) -> None:
        if when(step):
            raise OSError(code, os.strerror(code), str(step.path))

    return WatchedFileSystem(before)


def read_only(code: int = errno.EROFS) -> WatchedFileSystem:
    """Refuse every change, as a disk mounted read-only does; with ``EACCES``, as somebody else's directory."""
    return failing(code, lambda step: step.changes)


def full_disk(after_bytes: int = 0) -> WatchedFileSystem:
    """Have room for so many bytes more; a write that does not fit is cut short first, as real ones are."""
    return _FullDisk(after_bytes)


class _FullDisk(WatchedFileSystem):
    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def write(self, fd: int, data: bytes) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = super().write(fd, data[: self.room])
        self.room -= written
        return written


def foreign(paths: Callable[[Path], bool]) -> WatchedFileSystem:
    """Say of these paths that they belong to another user."""
    return _Foreign(paths)


class _Foreign(WatchedFileSystem):
    def __init__(self, paths: Callable[[Path], bool]) -> None:
        super().__init__()
        self.foreign = paths

    def fstat(self, fd: int) -> os.stat_result:
        found = list(super().fstat(fd))
        if self.foreign(self.path_of(fd)):
            found[stat.ST_UID] += 1
        return os.stat_result(found)


class PowerCut(BaseException):
    """The process is gone; no ``except Exception`` may live on after it."""


class PoweredFileSystem(WatchedFileSystem):
    """Cuts the power before the call number ``cut_at``, and then can lose what was not made durable.

    A file is durable once it was fsynced after its last change; a name is durable once its directory was.
    """

    def __init__(self, cut_at: int | None) -> None:
        super().__init__(self._before)
        self.cut_at = cut_at
        self._content_at_risk: set[Path] = set()
        self._undo: dict[Path, list[Callable[[], None]]] = {}

    def _before(self, step: Step) -> None:
        if self.cut_at is not None and step.number >= self.cut_at:
            raise PowerCut
        if step.operation == "open" and step.args[1] & os.O_CREAT and not step.path.exists():
            self._at_risk(step.path, partial(step.path.unlink, missing_ok=True))
        elif step.operation == "mkdir" and not step.path.exists():
            self._at_risk(step.path, partial(shutil.rmtree, step.path, ignore_errors=True))
        elif step.operation == "rename":
            self._remember_rename(step.path, step.args[1])
        elif step.operation == "unlink" and step.path.exists():
            self._at_risk(step.path, partial(step.path.write_bytes, step.path.read_bytes()))

    def _at_risk(self, path: Path, undo: Callable[[], object]) -> None:
        self._undo.setdefault(path.parent, []).append(lambda: void(undo()))

    def _remember_rename(self, source: Path, target: Path) -> None:
        previous = target.read_bytes() if target.exists() else None

        def undo() -> None:
            target.rename(source)
            if previous is not None:
                target.write_bytes(previous)
                target.chmod(0o600)

        self._at_risk(target, undo)

    def after(self, step: Step, result: Any) -> None:
        del result
        if step.operation in {"write", "truncate"}:
            self._content_at_risk.add(step.path)
        elif step.operation == "fsync":
            self._content_at_risk.discard(step.path)
            self._undo.pop(step.path, None)
        elif step.operation == "rename" and step.path in self._content_at_risk:
            self._content_at_risk.remove(step.path)
            self._content_at_risk.add(step.args[1])

    def restart(self, *, lose_content: bool, lose_names: bool) -> None:
        """Come back after the cut with what the disk may then hold; one of four outcomes, all of them possible."""
        for fd in list(self._paths):
            os.close(fd)
        if lose_content:
            for path in self._content_at_risk:
                if path.exists():
                    os.truncate(path, path.stat().st_size // 2)
        if lose_names:
            for undos in self._undo.values():
                for undo in reversed(undos):
                    # The directory it was in may be lost by now, and everything in it.
                    with suppress(FileNotFoundError):
                        undo()


def void(_: object) -> None:
    """Take a value and give none."""


def killing(kill_at: int) -> WatchedFileSystem:
    """Kill this very process, as ``kill -9`` does, before the call number ``kill_at``."""

    def before(step: Step) -> None:
        if step.number >= kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    return WatchedFileSystem(before)
