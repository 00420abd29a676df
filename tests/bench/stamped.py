"""``mpcnode`` itself, each line of its JSON stamped with the system's monotonic clock, which all processes share.

``python -m tests.bench.stamped ARGUMENTS...`` is ``mpcnode ARGUMENTS...``. Beside its own lines it prints marks, for
what has no event (``{"at": ..., "mark": "argon2id began"}``), and on SIGUSR1 a probe of what it holds: tasks, open
files, Python objects, resident memory.
"""

import asyncio
import gc
import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

BORN: Final = time.monotonic()

MARKED: Final = {
    "argon2id": ("mpcnode.keystore.keyring", "_argon2id"),
    "aiortc": ("mpcnode.node", "_connector"),
}


def say(**line: Any) -> None:
    sys.stdout.buffer.write(json.dumps({"at": time.monotonic(), **line}).encode() + b"\n")
    sys.stdout.buffer.flush()


def mark(name: str, module: str, function: str) -> None:
    """Print when a function is entered and when it is left."""
    owner = importlib.import_module(module)
    stock: Callable[..., Any] = getattr(owner, function)

    def marked(*arguments: Any, **options: Any) -> Any:
        say(mark=f"{name} began")
        try:
            return stock(*arguments, **options)
        finally:
            say(mark=f"{name} ended")

    setattr(owner, function, marked)


def mark_mesh() -> None:
    """Print how long each mesh took to open, from "all accepted" to "all ``mesh_ready``"."""
    from mpcnode.mesh.pool import Pool, SharedMesh

    stock = Pool.open

    async def opened(self: Pool, mesh_id: bytes, *arguments: Any, **options: Any) -> SharedMesh:
        began, cpu = time.monotonic(), time.process_time()
        shared = await stock(self, mesh_id, *arguments, **options)  # type: ignore[arg-type] # a session id is bytes
        say(mark="mesh", session_id=mesh_id.hex(), began=began, spent=time.process_time() - cpu)
        return shared

    Pool.open = opened  # type: ignore[method-assign] # the clock is what this module is for


def mark_echoes() -> None:
    """Print each round trip that a link measures."""
    from mpcnode.mesh.delivery import Delivery, Taken

    stock = Delivery.receive

    def receive(self: Delivery, frame: bytes, now: float) -> Taken:
        before: float | None = self.outgoing.round_trip
        self.outgoing.round_trip = None
        taken = stock(self, frame, now)
        measured = getattr(self.outgoing, "round_trip")  # noqa: B009 -- mypy takes it to be None still
        if measured is not None:
            say(mark="echo", seconds=measured)
        self.outgoing.round_trip = before if measured is None else measured
        return taken

    Delivery.receive = receive  # type: ignore[method-assign] # as above


def probe(_number: int, _frame: object) -> None:
    """Print what this process holds; sent when nothing is under way."""
    gc.collect()
    try:
        tasks = len(asyncio.all_tasks())
    except RuntimeError:
        tasks = 0
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    files = len(list(Path("/proc/self/fd").iterdir()))
    say(probe=True, tasks=tasks, files=files, objects=len(gc.get_objects()), resident=resident)


def main() -> None:
    arguments = sys.argv[1:]
    signal.signal(signal.SIGUSR1, probe)
    from mpcnode.cli.terminal import output

    stock = output.print_json_line
    output.print_json_line = lambda line: stock(b'{"at":%.6f,' % time.monotonic() + line[1:])
    if arguments[0] != "serve":
        say(mark="python runs", born=BORN)
        for name, (module, function) in MARKED.items():
            mark(name, module, function)
        mark_mesh()
        mark_echoes()
        say(mark="modules loaded")
    from mpcnode.cli.app import main as mpcnode

    mpcnode(arguments)


if __name__ == "__main__":
    main()
