"""What is to be signed or verified: the one of ``--message``, ``--hex``, ``--file`` and ``--batch`` that was given."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mpcnode.commands import MAX_CONTENT_BYTES
from mpcnode.errors import ConfigurationError, DecodeError, UsageError
from mpcnode.readings import registry as readings
from mpcnode.readings.file import MAX_NAME_SIZE, FileContent
from mpcnode.types import Reading

MAX_BATCH_FILE: Final = 4 * 1024 * 1024


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
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").digest()
            size = stream.tell()
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}", hint="check the path") from error
    name = path.name.encode(errors="replace")[:MAX_NAME_SIZE].decode(errors="ignore")
    return FileContent(digest, size, name).encode()


def _lines(path: Path) -> tuple[bytes, ...]:
    """The messages of a batch: the lines of a text file, each of which can be shown to a person."""
    data = _read(path, limit=MAX_BATCH_FILE)
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


def _read(path: Path, *, limit: int) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}", hint="check the path") from error
    if len(data) > limit:
        raise UsageError(f"{path} is longer than {limit} bytes", hint="sign it in parts")
    return data
