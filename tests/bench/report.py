"""What a benchmark says at its end: tables with their conditions, and whether each target was met."""

import os
import platform
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Final

MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Target:
    """Something a measured ratio must not exceed."""

    text: str
    measured: float
    limit: float

    @property
    def met(self) -> bool:
        return self.measured <= self.limit

    def __str__(self) -> str:
        return f"{'met' if self.met else 'MISSED'}: {self.text}: {self.measured:.2f} (at most {self.limit:g})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table; ``conditions`` say what was run how often."""

    title: str
    conditions: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    targets: Sequence[Target] = ()
    load: Sequence[float] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """The table in Markdown."""
        yield f"### {self.title}"
        yield ""
        load = f" Load average {self.load[0]:.1f} before, {self.load[1]:.1f} after." if self.load else ""
        yield self.conditions + load
        yield ""
        yield "| " + " | ".join(self.columns) + " |"
        yield "|" + "|".join([" --- ", *[" ---: "] * (len(self.columns) - 1)]) + "|"
        for row in self.rows:
            yield "| " + " | ".join(row) + " |"
        yield ""
        for target in self.targets:
            yield f"- {target}"
        if self.targets:
            yield ""


@contextmanager
def watched_load() -> Iterator[list[float]]:
    """Give a list that holds the load average of the machine before and, at the end, after."""
    seen = [os.getloadavg()[0]]
    try:
        yield seen
    finally:
        seen.append(os.getloadavg()[0])


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def percentile(values: Iterable[float], hundredths: int) -> float:
    """Give the value that ``hundredths`` per cent of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * hundredths // 100)]


def ms(seconds: float) -> str:
    value = seconds * 1000
    return f"{value:.2f} ms" if value < 10 else f"{value:.0f} ms"


def times(ratio: float) -> str:
    return f"{ratio:.2f}x"


def conditions() -> str:
    """This machine and what runs on it, in one line."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    packages = ", ".join(f"{name} {version(name)}" for name in ("aiortc", "aioice", "websockets", "uvicorn", "pynacl"))
    return (
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores of {model}, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, {packages}."
    )
