"""Plain values are read without pydantic and as typer reads them; tests fail when a release of typer changes that."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import pytest
import typer
from typer import core

from mpcnode.cli import plain_values

seen: list[object] = []


def command(
    *,
    text: Annotated[str, typer.Option()] = "",
    maybe: Annotated[str | None, typer.Option()] = None,
    count: Annotated[int, typer.Option(envvar="T_COUNT")] = 3,
    port: Annotated[int, typer.Option(min=0, max=65535)] = 9000,
    clamped: Annotated[int, typer.Option(min=0, max=9, clamp=True)] = 1,
    seconds: Annotated[float, typer.Option(min=1, max=3600)] = 120,
    home: Annotated[Path | None, typer.Option()] = None,
    there: Annotated[Path | None, typer.Option(exists=True)] = None,
    accept: Annotated[Literal["ask", "auto"], typer.Option()] = "ask",
    names: Annotated[list[str] | None, typer.Option("--name")] = None,
    numbers: Annotated[list[int] | None, typer.Option("--number")] = None,
    parsed: Annotated[int | None, typer.Option(parser=len)] = None,
    flag: Annotated[bool, typer.Option(envvar="T_FLAG")] = False,
    words: Annotated[list[Path] | None, typer.Argument()] = None,
) -> None:
    seen.append(dict(locals()))


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = core.__dict__["build_runtime_param"]
    yield
    vars(core)["build_runtime_param"] = before


def read(arguments: list[str]) -> str:
    """Give what the command got, or what typer says is wrong."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(command)
    seen.clear()
    try:
        app(arguments, standalone_mode=False)
    except typer.TyperException as error:
        return error.format_message()
    return repr(seen)


TEXTS = [
    "",
    "hello",
    "--",
    "héllo",
    "0",
    "-1",
    "1",
    "65535",
    "65536",
    "007",
    "1.5",
    "1e3",
    "1_000",
    " 5",
    "+5",
    "nan",
    "inf",
]
TEXTS += [
    "3600",
    "3600.0001",
    "0.999999",
    "ask",
    "ASK",
    "askk",
    "auto",
    "/",
    "/nowhere/at/all",
    ".",
    "~",
    "\udcff",
    "٣",
    "a\0b",
]
TEXTS += ["9" * 14, "9" * 40, "true", "None"]
OPTIONS = [
    "text",
    "maybe",
    "count",
    "port",
    "clamped",
    "seconds",
    "home",
    "there",
    "accept",
    "name",
    "number",
    "parsed",
]


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_a_value_is_read_as_typer_reads_it(option: str, text: str) -> None:
    arguments = [f"--{option}={text}"]
    vars(core)["build_runtime_param"] = plain_values._STOCK
    stock = read(arguments)
    assert plain_values.read_here()
    assert read(arguments) == stock


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--flag"],
        ["--name", "a", "--name", "b", "--number", "1", "--number", "2"],
        ["--number", "1", "--number", "two"],
        ["one", "two", ""],
        ["--port", "-1"],
        ["--nothing"],
    ],
)
def test_a_command_line_is_read_as_typer_reads_it(arguments: list[str]) -> None:
    vars(core)["build_runtime_param"] = plain_values._STOCK
    stock = read(arguments)
    assert plain_values.read_here()
    assert read(arguments) == stock


@pytest.mark.parametrize("value", ["1", "0", "", "yes", "maybe", "12", "1.5"])
@pytest.mark.parametrize("name", ["T_COUNT", "T_FLAG"])
def test_a_variable_is_read_as_typer_reads_it(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    vars(core)["build_runtime_param"] = plain_values._STOCK
    stock = read([])
    assert plain_values.read_here()
    assert read([]) == stock


def test_a_file_that_cannot_be_read_is_typers_to_refuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_arguments: False)
    assert plain_values.read_here()
    assert "is not readable" in read([f"--home={tmp_path}"])


def test_another_typer_keeps_its_own_conversion(monkeypatch: pytest.MonkeyPatch) -> None:
    before = core.__dict__["build_runtime_param"]
    for other in (None, lambda: None, lambda _another, _form: None):
        monkeypatch.setattr(plain_values, "_STOCK", other)
        assert not plain_values.read_here()
        assert core.__dict__["build_runtime_param"] is before


@pytest.mark.parametrize(
    "arguments",
    [
        ["create-wallet", "-t", "2", "-n", "3", "--with", "b,c", "--wait", "3", "--home", "/nowhere"],
        ["sign", "--wallet", "w", "--file", "/nowhere", "--home", "/nowhere", "--json"],
        ["register", "--home", "/nowhere", "--peer-id", "a", "--accept", "none", "--kdf", "interactive"],
        ["serve", "--port", "70000000"],
    ],
)
def test_a_command_line_without_a_mistake_loads_no_pydantic(arguments: list[str]) -> None:
    program = f"""
import sys
from mpcnode.cli.app import main
try:
    main({arguments!r})
finally:
    print("LOADED", "pydantic" in sys.modules, file=sys.stderr)
"""
    run = subprocess.run(
        [sys.executable, "-c", program], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
    )
    wrong = arguments[-1] == "70000000"  # typer says so, with pydantic
    assert f"LOADED {wrong}".encode() in run.stderr, run.stderr
