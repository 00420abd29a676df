"""The audit log: what every session of this node was about and how it ended, one line each.

``HOME/audit.log`` is JSON, one object a line, in the order it happened::

    {"version":1,"number":2,"previous":"<hash of line 1>","entry":{...},"hash":"..."}

``hash`` is the tagged hash of everything before it, and ``previous`` the hash of the line before: a line that is
altered, taken out, put in or moved breaks the chain from there on. A chain without a key cannot show that its *last*
lines are missing, or that all of it was written anew: for that, keep its head, which ``mpcnode audit verify`` prints,
elsewhere and compare.

A session in which this node's share signs has two: ``accepted``, durable before anything made with the share can leave
this node, and its end. The first without the second is a session that still runs, or in which the node was killed.

A line is written in one piece and made durable before ``append`` returns. What a death left half-written is the last
line alone; the next to open the log moves it aside and says so.

Never a secret, and no message: the SHA-256 of what was to be signed, and how it was read.
"""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, NoReturn, Self

from mpcnode.errors import HomeInUse, KeystoreNewer, KeystoreUnreadable, KeystoreUnwritable
from mpcnode.keystore.audit_chain import Chain, Entry, Line, Verdict, encode_line
from mpcnode.keystore.files import check_file, opened, raise_unreadable, raise_unwritable, sync_directory
from mpcnode.keystore.filesystem import FileSystem

AUDIT_LOG: Final = "audit.log"
MAX_TORN: Final = 9999

_CHUNK: Final = 1 << 16


def read_log(home: Path, *, on_line: Callable[[Line], None] | None = None, files: FileSystem | None = None) -> Verdict:
    """Verify a home's log as it stands; a node may be running and adding to it.

    Args:
        home: the home's directory.
        on_line: takes each line that holds, in order.
        files: the file system.

    Raises:
        KeystoreAbsent: there is no log.
        KeystoreUnreadable: it is a symbolic link, not a plain file, somebody else's, writable by others, or the disk
            failed.
    """
    fs = files or FileSystem()
    path = home / AUDIT_LOG
    chain = Chain(on_line or (lambda _: None))
    try:
        with opened(fs, path, os.O_RDONLY | os.O_NONBLOCK) as fd:
            check_file(fs.fstat(fd), path)
            _read_into(chain, fs, fd)
    except OSError as error:
        raise_unreadable(path, error)
    return chain.verdict()


def raise_broken(path: Path, verdict: Verdict) -> NoReturn:
    """Say where the chain in ``path`` breaks.

    Raises:
        KeystoreNewer: at a line of a newer mpcnode.
        KeystoreUnreadable: otherwise.
    """
    message = f"{path}, line {verdict.lines + 1}: {verdict.problem}"
    if verdict.newer:
        raise KeystoreNewer(message, hint="use the newer mpcnode")
    if verdict.torn:
        raise KeystoreUnreadable(message, hint="the next start of the node moves it aside and keeps it")
    raise KeystoreUnreadable(message, hint="keep a copy to look into, then move the file aside")


class Unended:
    """Which sessions were accepted and have no end, from the lines of a log in their order."""

    def __init__(self) -> None:
        self._lines: dict[tuple[object, ...], list[int]] = {}

    @property
    def lines(self) -> frozenset[int]:
        """The numbers of the lines that say they were accepted."""
        return frozenset(number for numbers in self._lines.values() for number in numbers)

    def take(self, line: Line) -> int | None:
        """Take the next line; give the number of the one that accepted the session it ends, if there is one.

        The id alone ends nothing: a proposer may use one again, for something else or to be refused.
        """
        entry = line.entry
        session = (entry.session_id, entry.kind, entry.wallet_id, entry.proposer, entry.messages)
        if entry.outcome == "accepted":
            self._lines.setdefault(session, []).append(line.number)
        elif entry.approved_by is not None and entry.outcome != "unneeded" and session in self._lines:
            number = self._lines[session].pop()
            if not self._lines[session]:
                del self._lines[session]
            return number
        return None


class AuditLog:
    """A home's log, open for adding; a context manager.

    The file is locked for as long as it is open: two writers would fork the chain. ``append`` may be called from
    several threads and waits for the disk.

    Args:
        files, path, fd: the file, open and locked; use ``AuditLog.open``.
        verdict: what holds in it, which is everything.
        torn: where a half-written last line was moved, if there was one.
    """

    def __init__(self, files: FileSystem, path: Path, fd: int, verdict: Verdict, torn: Path | None) -> None:
        self.path = path
        self.torn = torn
        self._fs = files
        self._fd = fd
        self._lines = verdict.lines
        self._size = verdict.size
        self._head = verdict.head
        self._spoilt = False
        self._writing = threading.Lock()

    @classmethod
    def open(
        cls, home: Path, *, on_line: Callable[[Line], None] | None = None, files: FileSystem | None = None
    ) -> "AuditLog":
        """Open a home's log, made where there is none; verified from its first line.

        ``torn`` of the result says whether a half-written line was found, and where it is now: tell the user.

        Args:
            home: the home's directory, its lock held.
            on_line: takes each line that is there already, in order. Without it the hashes alone are looked at,
                ten times as fast: a log of a million lines opens in seconds.
            files: the file system.

        Raises:
            HomeInUse: another process, or another ``AuditLog``, has it open.
            KeystoreUnreadable: it is not a file of ours alone, or its chain is broken; nothing is added to what cannot
                be trusted, and nothing of it is changed.
            KeystoreNewer: a newer mpcnode wrote to it.
            KeystoreUnwritable: it cannot be made, or a half-written line not moved aside.
        """
        fs = files or FileSystem()
        path = home / AUDIT_LOG
        try:
            fd = fs.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK)
        except OSError as error:
            raise_unwritable(path, error)
        try:
            _claim(fs, path, fd)
            chain = Chain(on_line)
            try:
                _read_into(chain, fs, fd)
            except OSError as error:
                raise_unreadable(path, error)
            verdict = chain.verdict()
            if verdict.problem is not None and not verdict.torn:
                raise_broken(path, verdict)
            torn = _move_aside(fs, path, fd, chain.rest, verdict.size) if verdict.torn else None
        except BaseException:
            with suppress(OSError):
                fs.close(fd)
            raise
        return cls(fs, path, fd, verdict, torn)

    @property
    def head(self) -> str:
        """The hash of the last line; kept elsewhere, it shows later whether the log was cut short."""
        return self._head

    def append(self, entry: Entry) -> None:
        """Add a line; it is on the disk when this returns.

        Raises:
            KeystoreUnwritable: it is not there; the log is as it was, or no longer used by this process.
            KeystoreUnreadable: somebody else moved, cut or added to the file while it was open.
            ValueError: the entry cannot be written, or the log was closed; a mistake of the caller.
        """
        with self._writing:
            if self._fd < 0:
                raise ValueError("this audit log was closed")
            line, digest = encode_line(self._lines + 1, self._head, entry)
            self._check_untouched()
            try:
                rest = line
                while rest:
                    rest = rest[self._fs.write(self._fd, rest) :]
                self._fs.fsync(self._fd)
            except OSError as error:
                self._take_back()
                raise_unwritable(self.path, error)
            self._lines += 1
            self._size += len(line)
            self._head = digest

    def close(self) -> None:
        """Give the file back; to be called again does no harm."""
        with self._writing:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                with suppress(OSError):  # every line was made durable as it was written
                    self._fs.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_untouched(self) -> None:
        if self._spoilt:
            raise KeystoreUnwritable(
                f"the disk failed under {self.path}, and what is in it is not known", hint="start the node again"
            )
        try:
            ours, named = self._fs.fstat(self._fd), self._fs.lstat(self.path)
        except OSError as error:
            raise_unreadable(self.path, error)
        if (ours.st_dev, ours.st_ino) != (named.st_dev, named.st_ino):
            raise KeystoreUnreadable(f"{self.path} was replaced while this node runs", hint="start the node again")
        if ours.st_size != self._size:
            raise KeystoreUnreadable(f"{self.path} was changed while this node runs", hint="mpcnode audit verify")

    def _take_back(self) -> None:
        try:
            self._fs.truncate(self._fd, self._size)
            self._fs.fsync(self._fd)
        except OSError:
            # Whether the line is there is only known once the file was read again.
            self._spoilt = True


def _claim(fs: FileSystem, path: Path, fd: int) -> None:
    """Make sure that the open file is ours, and nobody else's for as long as it is open."""
    try:
        check_file(fs.fstat(fd), path)
        fs.lock(fd)
        fs.fchmod(fd, 0o600)
        sync_directory(fs, path.parent)  # it may have been made just now, or by somebody who died before it was durable
    except BlockingIOError:
        raise HomeInUse(f"{path} is open in another process", hint="one home, one node") from None
    except OSError as error:
        raise_unwritable(path, error)


def _read_into(chain: Chain, fs: FileSystem, fd: int) -> None:
    while chunk := fs.read(fd, _CHUNK):
        chain.feed(chunk)


def _move_aside(fs: FileSystem, path: Path, fd: int, torn: bytes, size: int) -> Path:
    """Copy a half-written last line to a file of its own, and only then cut it off.

    A death between the two leaves both: the next start makes one more copy.
    """
    try:
        aside, copy = _new_torn_file(fs, path)
        try:
            fs.fchmod(copy, 0o600)
            rest = torn
            while rest:
                rest = rest[fs.write(copy, rest) :]
            fs.fsync(copy)
        finally:
            fs.close(copy)
        sync_directory(fs, path.parent)
        fs.truncate(fd, size)
        fs.fsync(fd)
    except OSError as error:
        raise_unwritable(path, error)
    return aside


def _new_torn_file(fs: FileSystem, path: Path) -> tuple[Path, int]:
    for number in range(1, MAX_TORN + 1):
        aside = path.with_name(f"{path.name}.torn-{number}")
        try:
            return aside, fs.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            continue
    raise KeystoreUnwritable(f"there are {MAX_TORN} files {path.name}.torn-* already", hint="move them elsewhere")
