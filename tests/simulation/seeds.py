"""Runs of many seeds in a process of their own, whose sets have the same order each time."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent.parent


@dataclass(frozen=True, slots=True)
class Row:
    """One run: its seed, what it was, which properties did not hold, and who was not asked again.

    Args:
        seed: which.
        setting: in words.
        failures: kind and words of each.
        honest_excluded: how many honest participants were not asked again.
        liars_excluded: how many liars.
    """

    seed: int
    setting: str
    failures: tuple[tuple[str, str], ...]
    honest_excluded: int
    liars_excluded: int


def rows(kind: str, seeds: range) -> list[Row]:
    """Run these seeds, some on each processor."""
    workers = min(os.cpu_count() or 1, 8, 1 + len(seeds) // 100)
    bounds = [seeds.start + len(seeds) * i // workers for i in range(workers + 1)]
    running = [_start(kind, range(first, last)) for first, last in pairwise(bounds)]
    made: list[Row] = []
    for process in running:
        out, said = process.communicate()
        assert process.returncode in {0, 1}, said
        made += map(_row, out.splitlines())
    assert [row.seed for row in made] == list(seeds)
    return made


def _start(kind: str, seeds: range) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.simulation", kind, str(seeds.start), str(seeds.stop), "--json"]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True)


def _row(line: str) -> Row:
    seed, setting, _, failures, _, _, liars, excluded = json.loads(line)
    honest = [name for name in excluded if name not in liars]
    failed = tuple((what, words) for what, words in failures)
    return Row(seed, setting, failed, len(honest), len(excluded) - len(honest))


def told(kind: str, failed: list[Row]) -> str:
    """Say what failed, and how to run each seed alone with everything that was delivered."""
    lines = [f"{len(failed)} seeds failed"]
    for row in failed[:10]:
        lines.append(f"seed {row.seed}: {row.setting}")
        lines += [f"    {what}: {words}" for what, words in row.failures[:4]]
        lines.append(f"    {Path(sys.executable).name} -m tests.simulation {kind} {row.seed} --trace")
    return "\n".join(lines)


def hold(kind: str, seeds: range) -> list[Row]:
    """Run these seeds, and have every property hold in each."""
    made = rows(kind, seeds)
    failed = [row for row in made if row.failures]
    assert not failed, told(kind, failed)
    return made
