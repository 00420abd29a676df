"""Reading what may have been tampered with, and writing what must survive.

A file is written beside its target, made durable, read back and opened, and only then renamed over the target; then
the directory is made durable and the file is read once more. At every moment the target is the whole old file or the
whole new one. If anything fails on the way, the old one stays.
"""

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NoReturn

from mpcnode.errors import KeystoreAbsent, KeystoreError, KeystoreUnreadable, KeystoreUnwritable
from mpcnode.keystore.filesystem import FileSystem
from mpcnode.keystore.format import MAX_FILE_SIZE

_LEFTOVER: Final = re.compile(r"\..*\.[0-9a-f]{16}\.tmp")
_CHUNK: Final = 1 << 20
_OTHERS_MAY_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


def read_file(fs: FileSystem, path: Path) -> bytes:
    """Read a whole file of ours.

    Raises:
        KeystoreAbsent: there is none.
        KeystoreUnreadable: it is a symbolic link, not a plain file, somebody else's, writable by others, longer than
            ``MAX_FILE_SIZE``, or the disk failed.
    """
    try:
        # Non-blocking: a pipe put in the file's place must not hang us.
        with opened(fs, path, os.O_RDONLY | os.O_NONBLOCK) as fd:
            check_file(fs.fstat(fd), path)
            chunks: list[bytes] = []
            size = 0
            while size <= MAX_FILE_SIZE and (chunk := fs.read(fd, _CHUNK)):
                chunks.append(chunk)
                size += len(chunk)
    except OSError as error:
        raise_unreadable(path, error)
    if size > MAX_FILE_SIZE:
        raise KeystoreUnreadable(f"{path} is longer than any file of mpcnode")
    return b"".join(chunks)


def write_file(
    fs: FileSystem, path: Path, data: bytes, *, verify: Callable[[bytes], None], rng: Callable[[int], bytes]
) -> None:
    """Make ``data`` the durable content of ``path``; the caller holds the home's lock.

    Args:
        fs: where.
        path: what; its directory exists.
        data: the whole new content.
        verify: opens what was read back as its later reader will; raises ``KeystoreError`` where it does not open.
        rng: names the temporary file.

    Raises:
        KeystoreUnwritable: no room, read-only, no permission, the disk failed, or what came back is not what was
            written. What was there before is there still.
        KeystoreUnreadable: what is there now must not be replaced by us.
    """
    previous = _previous(fs, path)
    temporary = path.with_name(f".{path.name}.{rng(8).hex()}.tmp")
    in_place = False
    try:
        _write_new(fs, temporary, data)
        _read_back(fs, temporary, data, verify)
        fs.rename(temporary, path)
        in_place = True
        sync_directory(fs, path.parent)
        _read_back(fs, path, data, verify)
    except (OSError, KeystoreError) as error:
        if in_place:
            _restore(fs, path, temporary, previous)
        else:
            _discard(fs, temporary)
        raise_unwritable(path, error)


def check_directory(fs: FileSystem, path: Path) -> None:
    """Make sure that a directory is ours alone.

    Permissions that let others look are taken away. Where others may *write* and something is in it already, they may
    have put it there: a person must look at it first.

    Raises:
        KeystoreAbsent: there is none.
        KeystoreUnreadable: it is a symbolic link, not a directory, somebody else's, or others could have written to it.
    """
    try:
        with opened(fs, path, os.O_RDONLY | os.O_DIRECTORY) as fd:
            found = fs.fstat(fd)
            if found.st_uid != os.geteuid():
                raise KeystoreUnreadable(f"{path} belongs to another user")
            if found.st_mode & _OTHERS_MAY_WRITE and fs.listdir(path):
                raise KeystoreUnreadable(
                    f"other users may write to {path}", hint=f"look at what is in it, then: chmod 700 {path}"
                )
            if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                fs.fchmod(fd, found.st_mode & stat.S_IRWXU)  # never more than it was: read-only may be meant
    except OSError as error:
        raise_unreadable(path, error)


def make_directory(fs: FileSystem, path: Path) -> None:
    """Make sure that a directory is there, durably, and ours alone.

    Raises:
        KeystoreUnreadable: as ``check_directory``.
        KeystoreUnwritable: it could not be made.
    """
    try:
        with suppress(FileExistsError):
            fs.mkdir(path)
        # Also when it was there already: the process that made it may have died before it was durable.
        sync_directory(fs, path.parent)
    except OSError as error:
        raise_unwritable(path, error)
    check_directory(fs, path)


def sweep(fs: FileSystem, directory: Path) -> None:
    """Remove the temporary files of writers that died; the caller holds the home's lock.

    Raises:
        KeystoreUnwritable: one of them could not be removed.
    """
    try:
        if not stat.S_ISDIR(fs.lstat(directory).st_mode):
            return  # never through a symbolic link: what is behind it is not ours to clean
        for name in fs.listdir(directory):
            if _LEFTOVER.fullmatch(name):
                fs.unlink(directory / name)
    except FileNotFoundError:
        return
    except OSError as error:
        raise_unwritable(directory, error)


def sync_directory(fs: FileSystem, path: Path) -> None:
    """Make the names in a directory durable.

    Raises:
        OSError: the disk failed.
    """
    with opened(fs, path, os.O_RDONLY | os.O_DIRECTORY) as fd:
        fs.fsync(fd)


def raise_unwritable(path: Path, error: Exception) -> NoReturn:
    """Say why ``path`` could not be written.

    Raises:
        KeystoreUnwritable: always.
    """
    hints = {
        errno.ENOSPC: "make room on the disk, then try again",
        errno.EDQUOT: "make room within the quota, then try again",
        errno.EROFS: "choose a home on a writable disk with --home",
        errno.EACCES: "check who owns the home, or choose another with --home",
    }
    hint = hints.get(error.errno or 0) if isinstance(error, OSError) else None
    message = f"cannot write {path}: {_reason(error)}"
    raise KeystoreUnwritable(message, hint=hint, saved="what was stored before is untouched")


def _reason(error: Exception) -> str:
    return (error.strerror or type(error).__name__).lower() if isinstance(error, OSError) else str(error)


@contextmanager
def opened(fs: FileSystem, path: Path, flags: int) -> Iterator[int]:
    """Open and close; ``OSError`` of either is the caller's."""
    fd = fs.open(path, flags)
    try:
        yield fd
    finally:
        fs.close(fd)


def check_file(found: os.stat_result, path: Path) -> None:
    """Make sure that what was opened is a file of ours.

    Raises:
        KeystoreUnreadable: it is not a plain file, or is somebody else's, or writable by others.
    """
    if not stat.S_ISREG(found.st_mode):
        raise KeystoreUnreadable(f"{path} is not a plain file")
    if found.st_uid != os.geteuid():
        raise KeystoreUnreadable(f"{path} belongs to another user")
    if found.st_mode & _OTHERS_MAY_WRITE:
        raise KeystoreUnreadable(
            f"other users may write to {path}", hint=f"make sure that it is yours, then: chmod 600 {path}"
        )


def _previous(fs: FileSystem, path: Path) -> bytes | None:
    try:
        return read_file(fs, path)
    except KeystoreAbsent:
        return None


def _write_new(fs: FileSystem, path: Path, data: bytes) -> None:
    with opened(fs, path, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as fd:
        fs.fchmod(fd, stat.S_IRUSR | stat.S_IWUSR)
        rest = data
        while rest:
            rest = rest[fs.write(fd, rest) :]
        # Before the rename: else a power cut can leave the new name on an empty file.
        fs.fsync(fd)


def _read_back(fs: FileSystem, path: Path, data: bytes, verify: Callable[[bytes], None]) -> None:
    if read_file(fs, path) != data:
        raise KeystoreUnreadable(f"{path} does not hold what was written to it")
    verify(data)


def _restore(fs: FileSystem, path: Path, temporary: Path, previous: bytes | None) -> None:
    """Put the old file back after the disk failed to confirm the new one.

    Raises:
        KeystoreUnwritable: that failed too. The new file, which was durable and whole before it was renamed, stays.
    """
    try:
        if previous is None:
            fs.unlink(path)
        else:
            _write_new(fs, temporary, previous)
            fs.rename(temporary, path)
        sync_directory(fs, path.parent)
    except OSError as error:
        raise KeystoreUnwritable(
            f"cannot write {path}: the disk failed at the last step and again when the old file was put back",
            hint="copy the home to another disk",
            saved=f"{path} is either the whole old file or the whole new one",
        ) from error


def _discard(fs: FileSystem, temporary: Path) -> None:
    # A disk that refuses the file may refuse this as well; what stays is sealed, and swept under the next lock.
    with suppress(OSError):
        fs.unlink(temporary)


_LONG: Final = 300
_READING: Final = {
    errno.ENOTDIR: "name another place with --home or MPCNODE_HOME",
    errno.ENAMETOOLONG: "name another place with --home or MPCNODE_HOME",
    errno.EMFILE: "allow this process more open files: ulimit -n 1024",
}
"""What to do where nothing is wrong with the file."""


def raise_unreadable(path: Path, error: OSError) -> NoReturn:
    """Say why ``path`` could not be read.

    Raises:
        KeystoreAbsent: there is none.
        KeystoreUnreadable: otherwise.
    """
    if isinstance(error, FileNotFoundError):
        raise KeystoreAbsent(f"there is no {path}") from None
    if error.errno == errno.ELOOP or (error.errno == errno.ENOTDIR and path.is_symlink()):
        raise KeystoreUnreadable(f"{path} is a symbolic link", hint="mpcnode follows none; name its target") from None
    hint = _READING.get(error.errno or 0)
    shown = str(path) if len(str(path)) <= _LONG else f"{str(path)[:_LONG]}..."  # or the reason is cut off
    raise KeystoreUnreadable(f"cannot read {shown}: {_reason(error)}", hint=hint) from error
