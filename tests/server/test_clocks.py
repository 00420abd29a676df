"""The server measures with clocks that nobody sets: a wall clock that jumps changes no limit and no deadline."""

import ast
from pathlib import Path

import pytest

import mpcnode.server

WALL = {"time.time", "time.time_ns", "time.ctime", "time.gmtime", "time.localtime", "datetime.now", "datetime.utcnow"}


def wall_clocks(source: str) -> set[str]:
    """Give the wall clocks that a module reads, by whatever way it imports them."""
    tree = ast.parse(source)
    imported = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    named = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    used = named | {imported.get(node.id, "") for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return {one for one in used if one in WALL or one.removeprefix("datetime.") in WALL}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import time\nx = time.time()", {"time.time"}),
        ("from time import time\nx = time()", {"time.time"}),
        ("import datetime\nx = datetime.datetime.now()", {"datetime.datetime.now"}),
        ("from datetime import datetime\nx = datetime.now()", {"datetime.now"}),
        ("import time\nx = time.monotonic() + time.perf_counter() + time.thread_time()", set()),
    ],
)
def test_a_wall_clock_is_found(source: str, found: set[str]) -> None:
    assert wall_clocks(source) == found


def test_no_duration_of_the_server_is_measured_by_a_wall_clock() -> None:
    package = Path(mpcnode.server.__file__).parent
    uses = {str(path): wall_clocks(path.read_text()) for path in package.rglob("*.py")}
    assert {path: found for path, found in uses.items() if found} == {}
    assert len(uses) > 8
