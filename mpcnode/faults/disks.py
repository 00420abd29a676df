"""Disks on which nothing fits any more, or which were mounted read-only."""

import errno
import os
from pathlib import Path
from typing import Final, NoReturn

from mpcnode.faults.model import Disk
from mpcnode.faults.stand_in import put_in_place_of
from mpcnode.keystore.filesystem import FileSystem

_WALLETS: Final = "wallets"


def install(disk: Disk) -> None:
    """Have this process keep its home on such a disk; before anything of a node is made."""
    put_in_place_of(FileSystem, {"full": _FullDisk, "read-only": _ReadOnlyDisk}[disk])


class _FullDisk(FileSystem):
    """The real file system, with room for half a wallet."""

    def __init__(self) -> None:
        self._wallets: dict[int, int] = {}
        """Bytes written to the wallets' files that are open."""

    def open(self, path: Path, flags: int, mode: int = 0o600) -> int:
        """Open; on a full disk there is room for an empty file."""
        fd = super().open(path, flags, mode)
        if flags & os.O_EXCL and path.parent.parent.name == _WALLETS:
            self._wallets[fd] = 0
        return fd

    def write(self, fd: int, data: bytes) -> int:
        """Write half of it, and then nothing."""
        if fd not in self._wallets:
            return super().write(fd, data)
        if self._wallets[fd]:
            _fail(errno.ENOSPC)
        self._wallets[fd] = super().write(fd, data[: max(1, len(data) // 2)])
        return self._wallets[fd]

    def close(self, fd: int) -> None:
        """Close; the number may be another file's next."""
        self._wallets.pop(fd, None)
        super().close(fd)


class _ReadOnlyDisk(FileSystem):
    """The real file system, of which nothing can be changed: not even root may write to a disk mounted so."""

    def open(self, path: Path, flags: int, mode: int = 0o600) -> int:
        """Open for reading."""
        if flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR):
            _fail(errno.EROFS)
        return super().open(path, flags, mode)

    def fchmod(self, _fd: int, _mode: int) -> None:
        """Refuse."""
        _fail(errno.EROFS)

    def mkdir(self, _path: Path) -> None:
        """Refuse."""
        _fail(errno.EROFS)

    def rename(self, _source: Path, _target: Path) -> None:
        """Refuse."""
        _fail(errno.EROFS)

    def unlink(self, _path: Path) -> None:
        """Refuse."""
        _fail(errno.EROFS)


def _fail(code: int) -> NoReturn:
    raise OSError(code, os.strerror(code))
