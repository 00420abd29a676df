"""A process that has loaded all of mpcnode and forks the commands of a test: real processes, without the half second
that each would spend on imports. ``Processes`` in ``tests.helpers.processes`` talks to it.
"""

import contextlib
import importlib
import json
import os
import select
import signal
import sys
from typing import Any, NoReturn

TICK = 0.01
STOPPING = (signal.SIGINT, signal.SIGTERM)
LOADED = (
    "cli.actions.create_wallet",
    "cli.actions.register",
    "cli.actions.serve",
    "cli.actions.sign",
    "faults.__main__",
    "faults.cheats",
    "faults.deaths",
    "mesh.webrtc",
)
"""Everything that is heavy comes with these."""


def be_a_command(request: dict[str, Any]) -> NoReturn:
    """Carry one command out in this process, from its own file descriptors to its own end."""
    os.setpgid(0, 0)
    for target, path, flags in (
        (0, request["stdin"], os.O_RDONLY),
        (1, request["stdout"], os.O_WRONLY | os.O_CREAT | os.O_APPEND),
        (2, request["stderr"], os.O_WRONLY | os.O_CREAT | os.O_APPEND),
    ):
        os.dup2(os.open(path, flags, 0o600), target)
    os.umask(request["umask"])
    os.environ.update(request["environment"])
    # As Python's own: the command puts others in their place, and the descriptors stay.
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(0, closefd=False),
        os.fdopen(1, "w", closefd=False),
        os.fdopen(2, "w", closefd=False),
    )
    sys.argv = ["mpcnode", *request["arguments"]]
    code = 70
    try:
        from mpcnode import __main__ as command
        from mpcnode.cli import signals
        from mpcnode.faults import __main__ as faulty

        signals.catch()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)  # one that came since the fork is answered here
        (faulty if request["faulty"] else command).main()
    except KeyboardInterrupt:
        code = 130
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 71
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


class Nursery:
    def __init__(self) -> None:
        self._children: set[int] = set()
        self._buffer = b""

    def run(self) -> None:
        try:
            while self._serve():
                self._reap()
        finally:
            for pid in self._children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _serve(self) -> bool:
        ready, _, _ = select.select([0], [], [], TICK)
        if not ready:
            return True
        data = os.read(0, 1 << 16)
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
            pid = os.fork()
            if not pid:
                be_a_command(json.loads(line))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
            self._children.add(pid)
            self._say(started=pid)
        return bool(data)

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            self._children.discard(pid)
            self._say(ended=pid, code=os.waitstatus_to_exitcode(status))

    def _say(self, **message: int) -> None:
        os.write(1, json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    for module in LOADED:
        importlib.import_module(f"mpcnode.{module}")
    os.write(1, b'{"ready": 1}\n')
    Nursery().run()
