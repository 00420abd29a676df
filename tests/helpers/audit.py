"""Lines of an audit log."""

import json
from typing import Any

from mpcnode.keystore.audit_chain import GENESIS, Entry, encode_line


def entry(number: int = 1, **changes: Any) -> Entry:
    fields: dict[str, Any] = {
        "time": 1_800_000_000 + number,
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
