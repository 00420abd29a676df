"""``README.md`` beside this file names a test for each clause of issue 3's "How it must fail"; they exist and run."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
README: Final = Path(__file__).with_name("README.md")
ROW: Final = re.compile(r"\| ([^|]+) \| (`[^|]+`) \|")
NAMED: Final = re.compile(r"`(tests/[a-z0-9_/]+\.py)::(test_[a-z0-9_]+)(?:\[([a-z0-9-]+)\])?`")

CLAUSES: Final = (
    "not JSON",
    "unknown type",
    "wrong field types",
    "a 10 MB frame",
    "a binary frame",
    "200,000-deep JSON",
    "a lone surrogate",
    "a client that never registers",
    "a client that never reads while others send",
    "3,000 connections",
    "`kill -9` in the middle of a session",
    "t+1 commitments",
    "t-1 commitments",
    "an identity point",
    "a wrong proof of knowledge",
    "another peer's package",
    "a digest that does not match",
    "a bad share to one victim",
    "different commitments to different peers",
    "a wrong transcript signature",
    "messages twice",
    "messages early",
    "messages for another session",
    "messages from a stranger",
    "messages 900 kB long",
    "swaps fingerprints",
    "strips fingerprints",
    "replays",
    "reorders",
    "drops",
    "shows different rosters",
    "exit 4 naming the peer",
    "`kill -9` at each step of finalisation",
    "in every combination for n = 3",
    "disk full",
    "read-only home",
    "unreadable wallet file",
    "truncated wallet file",
    "bit-flipped wallet file",
    "hostile KDF parameters",
    "two processes on one home",
    "symlinked files",
    "umask 000",
    "no terminal and a question: exit 2 naming the option",
    "Ctrl-C at any moment: exit 130",
    "nothing half-written",
)


def table() -> dict[str, list[tuple[str, str, str]]]:
    """The tests of each clause: file, function, and the scenario where there is one."""
    rows = [match.groups() for line in README.read_text().splitlines() if (match := ROW.fullmatch(line))]
    return {clause: [_named(test) for test in tests.split("<br>")] for clause, tests in rows}


def _named(test: str) -> tuple[str, str, str]:
    match = NAMED.fullmatch(test)
    assert match, f"{test} names no test"
    return match[1], match[2], match[3] or ""


@cache
def functions_of(file: str) -> dict[str, str]:
    """The test functions of a file, with what decorates each; nothing is imported or run."""
    return {
        node.name: " ".join(map(ast.unparse, node.decorator_list))
        for node in ast.parse((ROOT / file).read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_clause_has_a_row_and_every_row_is_a_clause() -> None:
    assert tuple(table()) == CLAUSES
    lines = [line for line in README.read_text().splitlines() if "`tests/" in line]
    assert len(lines) == len(CLAUSES), "a row that is not read as one, or a clause twice"


@pytest.mark.parametrize("clause", CLAUSES)
def test_the_tests_of_a_clause_exist_and_are_meant_to_pass(clause: str) -> None:
    for file, name, scenario in table()[clause]:
        assert name in functions_of(file), f"{file} has no {name}"
        assert not re.search(r"\b(skip|xfail)\b", functions_of(file)[name]), f"{name} does not hold anything"
        assert not scenario or (ROOT / "sessions" / "faults" / f"{scenario}.yaml").is_file(), scenario
