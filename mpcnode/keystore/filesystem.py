"""The file-system calls the keystore makes, one method each.

They stand in one object so that tests can make each of them fail, and stop the world before each of them. Nothing is
decided here.
"""

import fcntl
import os
from pathlib import Path


class FileSystem:
    """The real file system; every method may raise ``OSError`` and nothing else."""

    def open(self, path: Path, flags: int, mode: int = 0o600) -> int:
        """Open ``path``; never through a symbolic link, never to be inherited by a child."""
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode)

    def close(self, fd: int) -> None:
        """Close ``fd``; on a network file system this is where a full disk shows."""
        os.close(fd)

    def read(self, fd: int, size: int) -> bytes:
        """Read up to ``size`` bytes."""
        return os.read(fd, size)

    def write(self, fd: int, data: bytes) -> int:
        """Write some of ``data`` and say how much."""
        return os.write(fd, data)

    def truncate(self, fd: int, size: int = 0) -> None:
        """Cut the file off after ``size`` bytes."""
        os.ftruncate(fd, size)

    def fsync(self, fd: int) -> None:
        """Wait until a file or directory is on the disk itself."""
        # macOS's fsync stops at the drive's cache; this goes through it.
        full = getattr(fcntl, "F_FULLFSYNC", None)
        if full is None:
            os.fsync(fd)
        else:
            fcntl.fcntl(fd, full)

    def fstat(self, fd: int) -> os.stat_result:
        """Say what was opened."""
        return os.fstat(fd)

    def lstat(self, path: Path) -> os.stat_result:
        """Say what is at ``path``, symbolic links not followed."""
        return path.lstat()

    def fchmod(self, fd: int, mode: int) -> None:
        """Set the permission bits; the umask does not change them."""
        os.fchmod(fd, mode)

    def mkdir(self, path: Path) -> None:
        """Make a directory that only its owner can use; the umask does not change that."""
        path.mkdir(0o700)
        path.chmod(0o700)  # a umask can take away even what its owner needs

    def listdir(self, path: Path) -> list[str]:
        """List the names in a directory."""
        return [entry.name for entry in path.iterdir()]

    def rename(self, source: Path, target: Path) -> None:
        """Put ``source`` in the place of ``target``, at one stroke."""
        source.replace(target)

    def unlink(self, path: Path) -> None:
        """Remove a file."""
        path.unlink()

    def lock(self, fd: int) -> None:
        """Lock the open file for this process alone; ``BlockingIOError`` where another has it. Closing unlocks."""
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
