"""The chain of an audit log: what a line is, and whether each follows the one before. Pure.

See ``audit.py`` for what a log is and where it stands.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec

from mpcnode.crypto import tags
from mpcnode.crypto.transcript import MAX_INTEGER, tagged_hash
from mpcnode.types import MAX_PARTICIPANTS, Reading
from mpcnode.wire.fields import Name, SuiteName

VERSION: Final = 1
GENESIS: Final = "0" * 64
"""What the first line names as the hash of the line before it."""
MAX_LINE: Final = 128 * 1024
"""Bytes of a line; a thousand messages and 64 participants take about 75 KB."""

MAX_TIME: Final = 253_402_300_799_999
"""The last millisecond of the year 9999, the last that calendars can show."""

_END_SIZE: Final = len(f',"hash":"{GENESIS}"}}\n')

Hex16 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
Hex32 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
_WalletName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\Z")]
_Word = Annotated[str, msgspec.Meta(pattern=r"^[a-z_]{1,40}\Z")]
_Names = Annotated[tuple[Name, ...], msgspec.Meta(max_length=MAX_PARTICIPANTS)]

Outcome = Literal["accepted", "done", "unneeded", "refused", "failed"]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One session as this node saw it; everything in it is public. What is empty or None is left out of the line.

    Args:
        time: when it ended, or was accepted, Unix milliseconds.
        session_id: the session's, in hexadecimal.
        kind: ``keygen``, ``sign``, ...
        wallet_id: the wallet's, in hexadecimal; None where a key generation did not make one.
        wallet_name: what the wallet is called.
        proposer: the peer that proposed the session.
        participants: the peers that were asked; where nobody at this node approved, at most a few of each list.
        signers: the peers that signed, or were chosen to.
        suites: in which ciphersuites.
        reading: how people were shown what was to be signed; None where nothing was.
        messages: the SHA-256 of each message that was to be signed.
        approved_by: what said yes at this node: its user, or a policy without asking; None where neither did.
        outcome: ``accepted``, before this node's share is used, and the same session's end is another line; ``done``;
            ``unneeded``, where this node said yes and others were chosen; ``refused`` by this node; ``failed`` for any
            other reason.
        error: the error's code, where there was one.
        culprits: the peers it convicts.
        suspects: the peers of which one may be at fault.
    """

    time: Annotated[int, msgspec.Meta(ge=0, le=MAX_TIME)]
    session_id: Hex16
    kind: _Word
    wallet_id: Hex16 | None = None
    wallet_name: _WalletName
    proposer: Name
    participants: _Names
    signers: _Names = ()
    suites: Annotated[tuple[SuiteName, ...], msgspec.Meta(max_length=8)] = ()
    reading: Reading | None = None
    messages: Annotated[tuple[Hex32, ...], msgspec.Meta(max_length=1000)] = ()
    approved_by: Literal["user", "policy"] | None = None
    outcome: Outcome
    error: _Word | None = None
    culprits: _Names = ()
    suspects: _Names = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a chain is worth.

    Args:
        lines: how many hold, counted from the first; what is wrong is at line ``lines + 1``.
        size: how many bytes they take.
        head: the hash of the last that holds, or ``GENESIS``.
        problem: what is wrong with the next line; None where there is nothing more.
        torn: that line is the last, and half-written: a death or a power cut, not a change.
        newer: that line was written by a newer mpcnode.
    """

    lines: int
    size: int
    head: str
    problem: str | None = None
    torn: bool = False
    newer: bool = False


def verify(data: bytes) -> Verdict:
    """Verify a chain from its first line.

    Args:
        data: the log, any bytes.
    """
    chain = Chain(lambda _: None)
    chain.feed(data)
    return chain.verdict()


class Chain:
    """Verifies lines as they come, in pieces of any size.

    Args:
        on_line: takes each line; without it, the entry of a line whose hash fits is not read.
    """

    def __init__(self, on_line: "Callable[[Line], None] | None" = None) -> None:
        self._on_line = on_line
        self._lines = 0
        self._size = 0
        self._head = GENESIS
        self._rest = b""
        self._problem: str | None = None
        self._newer = False
        self._broken = b""
        self._more = False

    @property
    def rest(self) -> bytes:
        """The line that does not hold, where it is torn."""
        return self._broken or self._rest

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        if self._problem is not None:
            self._more = self._more or bool(data)
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for number, line in enumerate(lines):
            if not self._take(line + b"\n"):
                self._more = number + 1 < len(lines) or bool(self._rest)
                return
        if len(self._rest) > MAX_LINE:
            self._problem, self._more = f"longer than {MAX_LINE} bytes", True

    def verdict(self) -> Verdict:
        """Say what all that came is worth."""
        if self._problem is None and self._rest:
            return Verdict(self._lines, self._size, self._head, "half-written: it has no end", torn=True)
        # No line of ours has a NUL: a disk that lost power wrote the file's length before its content.
        torn = not self._more and b"\0" in self._broken
        return Verdict(self._lines, self._size, self._head, self._problem, torn=torn, newer=self._newer)

    def _take(self, line: bytes) -> bool:
        """Take the next line; False where it does not hold."""
        digest = _follows(line, self._lines + 1, self._head)
        if digest is None or self._on_line is not None:
            try:
                found = decode_line(line)
            except msgspec.MsgspecError as error:
                self._problem, self._broken = f"not a line of an audit log: {str(error)[:200]!a}", line
                self._newer = _is_newer(line)
                return False
            if found.number != self._lines + 1:
                self._problem = f"it says that it is line {found.number}: lines were taken out, put in or moved"
                return False
            if found.previous != self._head:
                self._problem = "it does not follow the line before it"
                return False
            digest = found.hash
            if self._on_line is not None:
                self._on_line(found)
        self._lines += 1
        self._size += len(line)
        self._head = digest
        return True


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: Literal[1]
    number: Annotated[int, msgspec.Meta(ge=1, le=MAX_INTEGER)]
    previous: Hex32
    entry: Entry


class Line(_Body, frozen=True, forbid_unknown_fields=True):
    """A line as it stands in the log; ``hash`` is over everything before it."""

    hash: Hex32


_lines: Final[msgspec.json.Decoder[Line]] = msgspec.json.Decoder(Line)


def encode_line(number: int, previous: str, entry: Entry) -> tuple[bytes, str]:
    """Give a line and its hash.

    Raises:
        ValueError: the entry could not be read back.
    """
    digest = _hash(msgspec.json.encode(_Body(1, number, previous, entry))[:-1])
    line = msgspec.json.encode(Line(1, number, previous, entry, digest)) + b"\n"
    try:
        decode_line(line)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not an entry of an audit log: {str(error)!a}") from None
    return line, digest


def decode_line(line: bytes) -> Line:
    """Read a line on its own; not how it follows the one before.

    Raises:
        msgspec.MsgspecError: too long, not of the form, not its canonical spelling, or its hash is another's.
    """
    if len(line) > MAX_LINE:
        raise msgspec.DecodeError(f"longer than {MAX_LINE} bytes")
    found = _lines.decode(line)
    if msgspec.json.encode(found) + b"\n" != line:
        raise msgspec.DecodeError("not the canonical form")
    if not _follows(line, found.number, found.previous):
        raise msgspec.DecodeError("its hash does not fit: it was altered")
    return found


def _follows(line: bytes, number: int, previous: str) -> str | None:
    """Give the hash of a line that fits ``number`` and ``previous`` by its bytes alone; its entry is not read."""
    start = b'{"version":%d,"number":%d,"previous":"%s","entry":{' % (VERSION, number, previous.encode())
    said = line[-_END_SIZE:]
    digest = _hash(line[:-_END_SIZE])
    fits = line.startswith(start) and len(line) <= MAX_LINE and said == b',"hash":"%s"}\n' % digest.encode()
    return digest if fits else None


def _hash(start: bytes) -> str:
    """Hash the bytes of a line up to the comma before its hash; the hash of the line before is among them."""
    return tagged_hash(tags.AUDIT, start).hex()


class _AnyVersion(msgspec.Struct):
    version: int


def _is_newer(line: bytes) -> bool:
    try:
        return msgspec.json.decode(line, type=_AnyVersion).version > VERSION
    except (msgspec.MsgspecError, RecursionError):
        return False
