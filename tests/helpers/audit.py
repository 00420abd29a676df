"""Lines of an audit log."""

import json
import os
from typing import Any

from mpcnode.keystore.audit_chain import GENESIS, Entry, encode_line
from tests.helpers.filesystem import PowerCut, Step, WatchedFileSystem


def entry(number: int = 1, **changes: Any) -> Entry:
    fields: dict[str, Any] = {
        "time": 1_800_000_000_000 + number,
        "session_id": f"{number:032x}",
        "kind": "sign",
        "wallet_id": "ab" * 16,
        "wallet_name": "treasury",
        "proposer": "cli1",
        "participants": ("cli1", "cli2", "cli3"),
        "signers": ("cli1", "cli2"),
        "suites": ("FROST-ED25519-SHA512-v1",),
        "reading": "text",
        "messages": (f"{number:064x}",),
        "approved_by": "user",
        "outcome": "done",
    }
    return Entry(**(fields | changes))


def chained(*entries: Entry) -> list[bytes]:
    lines, head = [], GENESIS
    for number, one in enumerate(entries, 1):
        line, head = encode_line(number, head, one)
        lines.append(line)
    return lines


LINES = chained(*(entry(number) for number in range(1, 6)))
WHOLE = b"".join(LINES)
HEAD = json.loads(LINES[-1])["hash"]


class Dying(WatchedFileSystem):
    """Is gone before the call number ``last``; of a write, half reached the disk."""

    def __init__(self, last: int) -> None:
        super().__init__(self._die)
        self.last = last

    def _die(self, step: Step) -> None:
        if step.number >= self.last:
            if step.operation == "write" and step.number == self.last:
                os.write(step.args[0], step.args[1][: len(step.args[1]) // 2])
            raise PowerCut

    def bury(self) -> None:
        """What the kernel does for a process that is gone."""
        for fd in list(self._paths):
            os.close(fd)
