"""``mpcnode`` itself, each line of its JSON stamped with the system's monotonic clock, which all processes share.

``python -m tests.bench.stamped ARGUMENTS...`` is ``mpcnode ARGUMENTS...``. Beside its own lines it prints marks, for
what has no event (``{"at": ..., "mark": "argon2id began"}``), and on SIGUSR1 a probe of what it holds: tasks, open
files, Python objects, resident memory.
"""

import asyncio
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, Final

BORN: Final = time.monotonic()


def say(**line: Any) -> None:
    sys.stdout.buffer.write(json.dumps({"at": time.monotonic(), **line}).encode() + b"\n")
    sys.stdout.buffer.flush()


class Marking(MetaPathFinder):
    """Marks functions of a module when that module is loaded: loading it here would change what is measured."""

    def __init__(self, marks: Mapping[str, Callable[[ModuleType], None]]) -> None:
        self.marks = dict(marks)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        marks = self.marks.pop(fullname, None)
        spec = PathFinder.find_spec(fullname, path, target) if marks is not None else None
        if marks is None or spec is None or spec.loader is None:
            return None
        stock = spec.loader.exec_module

        def load(module: ModuleType) -> None:
            stock(module)
            marks(module)

        spec.loader.exec_module = load  # type: ignore[method-assign] # the clock is what this module is for
        return spec


def mark(name: str, owner: Any, function: str) -> None:
    """Print when a function is entered and when it is left."""
    stock: Callable[..., Any] = getattr(owner, function)

    def marked(*arguments: Any, **options: Any) -> Any:
        say(mark=f"{name} began")
        try:
            return stock(*arguments, **options)
        finally:
            say(mark=f"{name} ended")

    setattr(owner, function, marked)


def mark_mesh(pool: Any) -> None:
    """Print how long each mesh took to open, from "all accepted" to "all ``mesh_ready``"."""
    stock = pool.Pool.open

    async def opened(self: Any, mesh_id: bytes, *arguments: Any, **options: Any) -> Any:
        began, cpu = time.monotonic(), time.process_time()
        shared = await stock(self, mesh_id, *arguments, **options)
        say(mark="mesh", session_id=mesh_id.hex(), began=began, spent=time.process_time() - cpu)
        return shared

    pool.Pool.open = opened


def mark_echoes(delivery: Any) -> None:
    """Print each round trip that a link measures."""
    stock = delivery.Delivery.receive

    def receive(self: Any, frame: bytes, now: float) -> Any:
        before, self.outgoing.round_trip = self.outgoing.round_trip, None
        taken = stock(self, frame, now)
        if self.outgoing.round_trip is None:
            self.outgoing.round_trip = before
        else:
            say(mark="echo", seconds=self.outgoing.round_trip)
        return taken

    delivery.Delivery.receive = receive


MARKS: Final[Mapping[str, Callable[[Any], None]]] = {
    "mpcnode.keystore.keyring": lambda keyring: mark("argon2id", keyring, "_argon2id"),
    "mpcnode.node": lambda node: mark("aiortc", node, "_connector"),
    "mpcnode.mesh.pool": mark_mesh,
    "mpcnode.mesh.delivery": mark_echoes,
}


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

    # Every line of the JSON output is encoded there, those of a running node and those of a command.
    names = vars(output)
    stock = names["encode_line"]
    names["encode_line"] = lambda line: b'{"at":%.6f,' % time.monotonic() + stock(line)[1:]
    if arguments[0] != "serve":
        say(mark="python runs", born=BORN)
        sys.meta_path.insert(0, Marking(MARKS))
    from mpcnode.__main__ import main as mpcnode

    sys.argv = ["mpcnode", *arguments]
    mpcnode()


if __name__ == "__main__":
    main()
