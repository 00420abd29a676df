"""Every hint names commands that exist, with options that they have."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer

from mpcnode.cli import app as cli
from mpcnode.cli.actions.help import commands_of
from mpcnode.errors import Interrupted, MpcError, ServerRefused
from tests.cli import test_app

ROOT = Path(__file__).parents[2]
_QUOTED: Final = re.compile(r"[`'](?:mpcnode )([a-z][^`']*)[`']")
_OPTION: Final = re.compile(r"(?<![\w-])--[a-z][a-z-]+")


@functools.cache
def tree() -> dict[str, Any]:
    """Every command by its words; nobody changes them."""
    root = typer.main.get_command(cli.app)
    return {"": root} | {path.removeprefix("mpcnode "): command for path, command in commands_of(root)}


def options(command: Any) -> set[str]:
    return {"--help"}.union(*({*one.opts, *one.secondary_opts} for one in command.params))


def text_of(node: ast.expr) -> str:
    """A text as it is written, with X where something is put in."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) if isinstance(part, ast.Constant) else "X" for part in node.values)
    return " ".join(text_of(child) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr))


def hints() -> Iterator[tuple[str, str]]:
    """Every text given as ``hint`` in the package, and every text that is an argument of ``Ending``."""
    for path in sorted((ROOT / "mpcnode").rglob("*.py")):
        source = path.read_text()
        if "hint" not in source and "Ending" not in source:
            continue  # every worker reads the package before its first test
        for node in ast.walk(ast.parse(source)):
            if not isinstance(node, ast.Call):
                continue
            given = [keyword.value for keyword in node.keywords if keyword.arg == "hint"]
            if isinstance(node.func, ast.Name) and node.func.id == "Ending":
                given += node.args
            for value in given:
                if text := text_of(value).strip():
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", text


HINTS: Final = sorted([*hints(), *(("mpcnode/cli/app.py", text) for text in cli._HINTS.values())])


def problems(text: str, commands: dict[str, Any]) -> list[str]:
    """What a text says about commands that is not so."""
    found = []
    every = set[str]().union(*map(options, commands.values()))
    for quoted in _QUOTED.findall(text):
        words = quoted.split()
        names = [" ".join(words[:count]) for count in (2, 1) if " ".join(words[:count]) in commands]
        if not names:
            found.append(f"there is no command {quoted!r}")
        else:
            found += [
                f"{names[0]} has no {one}" for one in _OPTION.findall(quoted) if one not in options(commands[names[0]])
            ]
    rest = _QUOTED.sub("", text)
    return found + [f"no command has {one}" for one in _OPTION.findall(rest) if one not in every]


def test_there_are_hints_to_look_at() -> None:
    assert len(HINTS) > 100


@pytest.mark.parametrize(("where", "text"), HINTS, ids=[where for where, _ in HINTS])
def test_a_hint_names_what_exists(where: str, text: str) -> None:
    assert problems(text, tree()) == [], f"{where}: {text}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("run `mpcnode meet CODE`", "there is no command 'meet CODE'"),
        ("see 'mpcnode wallets rename x'", ""),
        ("see `mpcnode sign --kdf x`", "sign has no --kdf"),
        ("add --colour", "no command has --colour"),
        ("see `mpcnode wallets list`; add --with", ""),
    ],
)
def test_what_does_not_exist_is_found(text: str, problem: str) -> None:
    assert problems(text, tree()) == ([problem] if problem else [])


def readme_commands() -> list[str]:
    """Every command line of the README's code blocks, and of the examples on help pages."""
    blocks = re.findall(r"```\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    pages = [command.epilog or "" for command in tree().values()]
    lines = [line.split("#")[0].strip() for text in (*blocks, *pages) for line in text.splitlines()]
    return [line.split("mpcnode ", 1)[1].split("|")[0] for line in lines if "mpcnode " in line and "jq -r" not in line]


@pytest.mark.parametrize("line", readme_commands())
def test_a_command_that_a_page_shows_exists(line: str) -> None:
    assert problems(f"`mpcnode {line}`", tree()) == []


@pytest.mark.parametrize("kind", test_app._leaves())
def test_no_error_leaves_its_user_without_a_next_step(
    kind: type[MpcError], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    error = kind("x", server_code="y") if issubclass(kind, ServerRefused) else kind("x")
    test_app.run(monkeypatch, test_app.failing(error))
    assert ("hint: " in capfd.readouterr().err) == (kind is not Interrupted)
