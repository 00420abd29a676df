"""What the ``mpcnode audit`` commands do."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from mpcnode.cli.options import home_or_default
from mpcnode.cli.terminal.describe import digest_rows
from mpcnode.cli.terminal.output import log_to_stderr, print_data, print_json, say, width_of_data
from mpcnode.cli.terminal.text import INDENT, as_typed, counted, listed, wrapped
from mpcnode.errors import KeystoreAbsent, KeystoreUnreadable, UsageError
from mpcnode.keystore.audit import AUDIT_LOG, Unended, raise_broken, read_log
from mpcnode.keystore.audit_chain import GENESIS, Entry, Line, Verdict
from mpcnode.keystore.store import Home

TRIES: Final = 3
PAUSE: Final = 0.1
"""Seconds before a half-written last line is looked at again: a running node may be writing it just now."""

NO_END: Final = "no end: it runs, or the node was killed"

_HEAD: Final = re.compile(r"[0-9a-f]{64}")


class Holds(msgspec.Struct, frozen=True):
    """The answer of ``audit verify --json``; a chain that does not hold is an error."""

    lines: int
    head: str
    unended: int
    """Sessions that were accepted and have no end: they run, or the node was killed in them."""


def verify_audit(home: Path, *, head: str | None, json: bool, verbose: bool) -> None:
    """Print that the chain of a home's log holds, or fail.

    Raises:
        KeystoreAbsent: there is no home, or no log in it.
        KeystoreUnreadable: the chain breaks, or does not hold ``head``.
    """
    log_to_stderr(verbose=verbose)
    if head is not None and not _HEAD.fullmatch(head):
        raise UsageError(
            f"{head[:80]!a} is not a head", hint="--head is 64 hexadecimal digits, as 'audit verify' prints"
        )
    seen, unended = {GENESIS}, Unended()

    def look(line: Line) -> None:
        unended.take(line)
        if line.hash == head:
            seen.add(line.hash)

    verdict = _read(home, look)
    if verdict.problem is not None:
        raise_broken(home / AUDIT_LOG, verdict)
    if head is not None and head not in seen:
        raise KeystoreUnreadable(
            f"{home / AUDIT_LOG} does not hold the head {head}: lines are missing at its end, or it was written anew",
            hint="compare it with a copy",
        )
    left = len(unended.lines)
    if json:
        print_json(Holds(verdict.lines, verdict.head, left))
        return
    print_data(f"chain  holds, {counted(verdict.lines, 'line')}", f"head   {verdict.head}")
    if left:
        print_data(f"open   {counted(left, 'session')} accepted, {NO_END}")


def show_audit(home: Path | None, *, json: bool, verbose: bool) -> None:
    """Print every entry of a home's log.

    Args:
        home: None for the usual one, which may not be there yet; one that is named is.
        json, verbose: as everywhere.

    Raises:
        KeystoreAbsent: there is no such home, or no log in it.
        KeystoreUnreadable: the chain breaks; what is before was printed.
    """
    log_to_stderr(verbose=verbose)
    path = home_or_default(home)
    if home is None and not path.exists():
        say(f"no sessions yet in {as_typed(str(path))}")
        return
    shown: list[Line] = []
    unended = Unended()

    def take(line: Line) -> None:
        shown.append(line)
        unended.take(line)

    verdict = _read(path, take)
    if json:
        for line in shown:
            print_json(line)
    elif not shown and verdict.problem is None:
        say("no sessions yet")
    else:
        # The line of a session's end says that it was accepted; without an end, the acceptance is shown.
        left = unended.lines
        width = width_of_data()
        for line in shown:
            if line.entry.outcome != "accepted" or line.number in left:
                print_data(*_rows(line.entry, width))
    if verdict.problem is not None:
        raise_broken(path / AUDIT_LOG, verdict)


def _read(home: Path, on_line: Callable[[Line], None]) -> Verdict:
    """Read a home's log; each line that holds goes to ``on_line`` once.

    Raises:
        KeystoreAbsent: there is no home, or no log in it.
        KeystoreUnreadable: mpcnode did not write the file.
    """
    Home.open(home, create=False)
    taken = 0

    def take(line: Line) -> None:
        nonlocal taken
        if line.number > taken:
            taken = line.number
            on_line(line)

    for _ in range(TRIES - 1):
        verdict = _read_once(home, take)
        if not verdict.torn:
            return verdict
        time.sleep(PAUSE)
    return _read_once(home, take)


def _read_once(home: Path, on_line: Callable[[Line], None]) -> Verdict:
    try:
        return read_log(home, on_line=on_line)
    except KeystoreAbsent:
        raise KeystoreAbsent(
            f"there is no audit log at {home / AUDIT_LOG}",
            hint="a node makes it when it first runs; if one has run here, somebody took it away",
        ) from None


def _rows(entry: Entry, width: int) -> list[str]:
    """One session: when, what and how it ended in a row, and under it who took part and what was signed."""
    when = datetime.fromtimestamp(entry.time / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    ended = entry.outcome if entry.error is None else f"{entry.outcome} ({entry.error})"
    if entry.outcome == "accepted":
        ended = f"accepted, {NO_END}"
    if named := (*entry.culprits, *entry.suspects):
        ended += f", by {listed(named)}" if entry.culprits else f", perhaps by {listed(named)}"
    others = f"signed by {listed(entry.signers)}" if entry.signers else f"among {listed(entry.participants)}"
    return [
        *wrapped(f"{when}  {entry.kind}  {entry.wallet_name}  {ended}", width),
        *wrapped(f"{INDENT}proposed by {entry.proposer}, {others}", width),
        *_messages(entry, width),
    ]


def _messages(entry: Entry, width: int) -> list[str]:
    if not entry.messages:
        return []
    inside = len(INDENT) - 2  # the rows of a hash begin with two spaces
    rows = [" " * inside + row for row in digest_rows(entry.reading or "message", entry.messages[0], width - inside)]
    if more := len(entry.messages) - 1:
        rows.append(f"{INDENT}and {more} more, which --json shows")
    return rows
