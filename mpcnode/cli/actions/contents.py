"""What is to be signed or verified: the one of ``--message``, ``--hex``, ``--file`` and ``--batch`` that was given.

``-`` in place of a text or a path is standard input, byte for byte.
"""

import hashlib
import io
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mpcnode.cli.options import expanded
from mpcnode.commands import MAX_CONTENT_BYTES
from mpcnode.errors import ConfigurationError, DecodeError, UsageError
from mpcnode.readings import registry as readings
from mpcnode.readings.file import MAX_NAME_SIZE, FileContent
from mpcnode.types import Reading

MAX_BATCH_FILE: Final = 4 * 1024 * 1024
STDIN: Final = Path("-")
_PART: Final = 1024 * 1024


def contents(given: Mapping[str, str | Path | None], *, to: str) -> tuple[Reading, tuple[bytes, ...]]:
    """Read what the command is about.

    Args:
        given: the options that can say it -> what was given.
        to: what the command does with it, for the error.

    Raises:
        UsageError: there is not exactly one, or it is not of its form.
        ConfigurationError: a file cannot be read.
    """
    said = {option: value for option, value in given.items() if value is not None}
    if len(said) != 1:
        raise UsageError(f"{' and '.join(said) or 'nothing'} given to {to}", hint=f"give one of {', '.join(given)}")
    match next(iter(said.items())):
        case "--message", "-":
            return "text", (read_path(STDIN, limit=MAX_CONTENT_BYTES),)
        case "--message", str(text):
            return "text", (text.encode("utf-8", errors="surrogateescape"),)  # an argument's own bytes, as they are
        case "--hex", str(text):
            return "hex", (from_hex(text, "--hex"),)
        case "--file", Path() as path:
            return "file", (file_content(path),)
        case "--batch", Path() as path:
            return "text", _lines(path)
        case option, _:
            raise AssertionError(option)


def from_hex(text: str, option: str) -> bytes:
    """Take an option's value as bytes.

    Raises:
        UsageError: it is not hexadecimal.
    """
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise UsageError(f"{option} is not hexadecimal", hint="two digits a byte, such as 68656c6c6f") from error


def file_content(path: Path) -> bytes:
    """Give the SHA-256, the size and the name of a file, for people to compare.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        with _open(path) as stream:
            digest, size = hashlib.sha256(), 0
            while part := stream.read(_PART):
                digest.update(part)
                size += len(part)
    except OSError as error:
        raise _unreadable(path, error) from error
    name = (
        "standard input"
        if path == STDIN
        else path.name.encode(errors="replace")[:MAX_NAME_SIZE].decode(errors="ignore")
    )
    return FileContent(digest.digest(), size, name).encode()


def _lines(path: Path) -> tuple[bytes, ...]:
    """The messages of a batch: the lines of a text file, each of which can be shown to a person."""
    data = read_path(path, limit=MAX_BATCH_FILE)
    # Lines end at line feeds alone: a carriage return inside a line, or another mark of a line's end, is signed.
    lines = tuple(line.removesuffix(b"\r") for line in data.removesuffix(b"\n").split(b"\n"))
    if not data:
        raise UsageError(f"there is no line in {path}", hint="one message a line")
    for number, line in enumerate(lines, 1):
        if not line:
            raise UsageError(f"line {number} of {path} is empty", hint="take it out; an empty text has --message ''")
        if len(line) > MAX_CONTENT_BYTES:
            raise UsageError(
                f"line {number} of {path} has {len(line)} bytes; a message is at most {MAX_CONTENT_BYTES} bytes",
                hint="sign the hash of a file with --file",
            )
        try:
            readings.check("text", line)
        except DecodeError:
            raise UsageError(
                f"line {number} of {path} is not UTF-8", hint="sign bytes that are not text with --hex"
            ) from None
    return lines


def read_path(path: Path, *, limit: int) -> bytes:
    """Read a file, or standard input for ``-``.

    Raises:
        ConfigurationError: it cannot be read.
        UsageError: it is longer than ``limit`` bytes.
    """
    try:
        with _open(path) as stream:
            data = stream.read(limit + 1)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if len(data) > limit:
        raise UsageError(f"{_named(path)} is longer than {limit} bytes", hint="give it in parts, or as --file")
    return data


def _open(path: Path) -> io.BufferedIOBase:
    if path != STDIN:
        return expanded(path).open("rb")
    if sys.stdin.isatty():
        raise UsageError("standard input is a terminal", hint="give it with < FILE or a pipe")
    return open(sys.stdin.fileno(), "rb", closefd=False)


def _unreadable(path: Path, error: Exception) -> ConfigurationError:
    reason = error.strerror if isinstance(error, OSError) else "not a path"
    return ConfigurationError(f"cannot read {_named(path)}: {reason}", hint="check the path")


def _named(path: Path) -> str:
    return "standard input" if path == STDIN else repr(str(path))
