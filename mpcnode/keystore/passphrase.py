"""Where a passphrase comes from when nobody types it: a file or a file descriptor, never the command line."""

import os
from pathlib import Path
from typing import Final

from mpcnode.errors import ConfigurationError

MAX_PASSPHRASE: Final = 4096


def read_passphrase_file(path: Path) -> bytearray:
    """Read a passphrase from a file; symbolic links and pipes are fine, secret mounts and shells use them.

    Returns:
        The bytes of the file without one newline at the end, for ``Keyring`` to own.

    Raises:
        ConfigurationError: no such file, not readable, empty, or longer than ``MAX_PASSPHRASE`` bytes.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(f"passphrase file {path}", "--passphrase-file", error) from error
    try:
        return _read(fd, f"passphrase file {path}", "--passphrase-file")
    finally:
        os.close(fd)


def read_passphrase_fd(fd: int) -> bytearray:
    """Read a passphrase from an open file descriptor to its end; the caller closes it.

    Returns:
        As ``read_passphrase_file``.

    Raises:
        ConfigurationError: as ``read_passphrase_file``.
    """
    return _read(fd, f"passphrase from file descriptor {fd}", "--passphrase-fd")


def _read(fd: int, name: str, option: str) -> bytearray:
    # Read into a buffer we own: a bytes object on the way could not be wiped.
    buffer = bytearray(MAX_PASSPHRASE + 3)
    filled = 0
    try:
        while filled < len(buffer) and (count := os.readv(fd, [memoryview(buffer)[filled:]])):
            filled += count
    except OSError as error:
        raise _unreadable(name, option, error) from error
    # Exactly one newline is taken off, the one an editor or echo put there; more belong to the passphrase.
    end = filled
    if end and buffer[end - 1] == 0x0A:
        end -= 2 if end > 1 and buffer[end - 2] == 0x0D else 1
    passphrase = buffer[:end]
    buffer[:] = bytes(len(buffer))
    if not passphrase:
        raise ConfigurationError(f"the {name} is empty", hint="put the passphrase on its first line")
    if len(passphrase) > MAX_PASSPHRASE:
        passphrase[:] = bytes(len(passphrase))
        raise ConfigurationError(
            f"the {name} is longer than {MAX_PASSPHRASE} bytes", hint=f"see that {option} names a passphrase alone"
        )
    return passphrase


def _unreadable(name: str, option: str, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"cannot read the {name}: {error.strerror or type(error).__name__}", hint=f"check {option}"
    )
