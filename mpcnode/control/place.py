"""Where a home's control socket is, and which users may connect to it."""

import contextlib
import os
import socket
import struct
import tempfile
from pathlib import Path
from typing import Final

from mpcnode.errors import ConfigurationError

NAME: Final = "control.sock"
_MAX_PATH: Final = 100  # sun_path holds as few as 104 bytes, with the NUL


def open_socket(home: Path) -> tuple[socket.socket, Path]:
    """Listen on the home's control socket; the caller holds the home's lock.

    A path too long for a Unix socket is led around: the socket is in a new directory of its own and ``control.sock``
    in the home is a symbolic link to it.

    Returns:
        The listening socket and its real path.

    Raises:
        ConfigurationError: no socket could be made.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        remove_socket(home)
        path = home / NAME
        if not _fits(path):
            path = _short_directory() / NAME
            (home / NAME).symlink_to(path)
        listener.bind(os.fspath(path))
        # Both directories are 0700 already, so there is no moment at which somebody else could have come in.
        path.chmod(0o600)
        listener.listen()
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"cannot open the control socket of {str(home)!a}: {error.strerror or error}",
            hint="choose a home on a local file system with --home",
        ) from error
    return listener, path


def remove_socket(home: Path) -> None:
    """Remove the home's control socket, its own or a dead node's, and the directory it was led around to."""
    path = home / NAME
    with contextlib.suppress(OSError):
        target = path.readlink()
        # Only a directory such as this module makes is removed.
        if target.name == NAME and target.parent.name.startswith("mpcnode-"):
            target.unlink()
            target.parent.rmdir()
    path.unlink(missing_ok=True)


def find_socket(home: Path) -> Path:
    """Where a node under ``home`` would listen."""
    path = home / NAME
    try:
        return path.readlink()
    except OSError:
        return path


def connect(home: Path) -> socket.socket | None:
    """Connect to what listens under ``home``, if it is a node of this user; None where no such node runs.

    This needs no event loop: a command whose home is free begins to unlock it before it loads one.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.setblocking(False)  # a socket whose queue is full is refused at once
    try:
        connection.connect(str(find_socket(home)))
        if is_same_user(connection):
            return connection
    except OSError:  # there is no socket, or it is a dead node's
        pass
    connection.close()
    return None


def is_same_user(connected: socket.socket) -> bool:
    """Whether the process at the other end runs as this user.

    Where the system does not say, the mode of the directory is enough: no other user can reach into it.
    """
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    data = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, uid, _gid = struct.unpack("3i", data)
    return bool(uid == os.getuid())


def _fits(path: Path) -> bool:
    return len(os.fsencode(path)) <= _MAX_PATH


def _short_directory() -> Path:
    for base in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):  # noqa: S108 -- mkdtemp below
        if base and _fits(Path(base) / "mpcnode-12345678" / NAME) and os.access(base, os.W_OK | os.X_OK):
            return Path(tempfile.mkdtemp(prefix="mpcnode-", dir=base))
    raise OSError("every path is too long for a Unix socket")
