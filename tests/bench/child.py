"""A process of a benchmark: started, heard line by line as JSON, looked at from outside, and gone at the end."""

import asyncio
import json
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

Line = dict[str, Any]

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
DEADLINE: Final = 60.0
"""Seconds any line is waited for at most."""


class Child:
    """A child process; an async context manager that leaves nothing running.

    Args:
        command: what to run.
    """

    def __init__(self, *command: str) -> None:
        self._command = command
        self.lines: list[Line] = []
        self.talk: deque[str] = deque(maxlen=10)
        self._news = asyncio.Event()
        self._ended = False
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None

    @classmethod
    def python(cls, module: str, *arguments: str) -> "Child":
        """Make a child that runs a module of ours."""
        return cls(sys.executable, "-m", module, *arguments)

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=16 * 1024 * 1024,
            env={name: value for name, value in os.environ.items() if not name.startswith("MPCNODE_")},
            process_group=0,
        )
        self._listening = asyncio.create_task(self._listen())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process, listening = self._running
        try:
            self.signal(signal.SIGTERM)
            async with asyncio.timeout(15):
                await process.wait()
        except TimeoutError:
            self.signal(signal.SIGKILL)
        await listening
        await process.wait()

    @property
    def pid(self) -> int:
        return self._running[0].pid

    def signal(self, number: signal.Signals) -> None:
        process, _ = self._running
        if process.returncode is None:
            os.killpg(process.pid, number)

    def say(self, line: str) -> None:
        """Write a line to its standard input."""
        stdin = self._running[0].stdin
        assert stdin is not None
        stdin.write(line.encode() + b"\n")

    async def wait_for(self, wanted: Callable[[Line], bool], *, start: int = 0, deadline: float = DEADLINE) -> Line:
        """Give the first line from number ``start`` on that is ``wanted``."""
        read = start
        async with asyncio.timeout(deadline):
            while True:
                for line in self.lines[read:]:
                    if wanted(line):
                        return line
                read = max(read, len(self.lines))
                if self._ended:
                    raise RuntimeError(f"{self._command} ended; it said {self.talk}")
                self._news.clear()
                await self._news.wait()

    async def wait(self, *, deadline: float = DEADLINE) -> int:
        """Wait for its end; give its exit code."""
        process, listening = self._running
        async with asyncio.timeout(deadline):
            await asyncio.shield(listening)
            return await process.wait()

    async def probe(self) -> Line:
        """Ask a process of ``tests.bench.stamped`` what it holds."""
        start = len(self.lines)
        self.signal(signal.SIGUSR1)
        return await self.wait_for(lambda line: "probe" in line, start=start)

    @property
    def rss(self) -> int:
        """Its resident memory now, in bytes."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE

    @property
    def cpu(self) -> float:
        """Seconds of processor time it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    @property
    def _running(self) -> tuple[asyncio.subprocess.Process, asyncio.Task[None]]:
        if self._process is None or self._listening is None:
            raise RuntimeError("not started")
        return self._process, self._listening

    async def _listen(self) -> None:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        while data := await process.stdout.readline():
            if data.startswith(b"{"):
                self.lines.append(json.loads(data))
                self._news.set()
            else:
                self.talk.append(data.decode(errors="replace").rstrip())
        self._ended = True
        self._news.set()


async def run_once(module: str, *arguments: str, deadline: float) -> Line:
    """Run a module of ours to its end; give the last line it printed."""
    async with Child.python(module, *arguments) as child:
        if await child.wait(deadline=deadline) != 0 or not child.lines:
            raise RuntimeError(f"{module} {arguments} failed; it said {child.talk}")
        return child.lines[-1]


def free_names(prefix: str, count: int) -> Sequence[str]:
    return [f"{prefix}{number:02}" for number in range(1, count + 1)]
