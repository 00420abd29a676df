"""The one way out: exit codes, ``error:`` then ``hint:``, JSON, and defects."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

import mpcnode
from mpcnode import errors
from mpcnode.cli import app as cli
from mpcnode.errors import MpcError, Refused
from mpcnode.types import PeerId
from tests.helpers.terminal import terminal


def run(monkeypatch: pytest.MonkeyPatch, action: Callable[[], object], *arguments: str) -> int:
    """The exit code of a command that does ``action``."""
    monkeypatch.setattr(cli, "app", lambda *_args, **_options: action())
    return cli._run(list(arguments))


def failing(error: BaseException) -> Callable[[], object]:
    def fail() -> object:
        raise error

    return fail


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MPCNODE_JSON", "MPCNODE_VERBOSE"):
        monkeypatch.delenv(name, raising=False)


def _leaves(kind: type[MpcError] = MpcError) -> list[type[MpcError]]:
    children = [child for child in kind.__subclasses__() if child.__module__ == errors.__name__]
    return [leaf for child in children for leaf in _leaves(child)] or [kind]


@pytest.mark.parametrize("kind", _leaves())
def test_every_error_has_its_exit_code(
    kind: type[MpcError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error: MpcError
    if issubclass(kind, errors.PeerError):
        error = kind("what happened", culprits=[PeerId("cli3")], hint="what to do")
    elif issubclass(kind, errors.ServerRefused):
        error = kind("what happened", server_code="x", hint="what to do")
    else:
        error = kind("what happened", hint="what to do")
    assert run(monkeypatch, failing(error)) == kind.exit_code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "error: what happened\nhint: what to do\n"


def test_json_ends_with_the_error_on_stdout(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, failing(Refused("no", hint="ask again")), "--json") == 8
    captured = capsys.readouterr()
    line = json.loads(captured.out)
    assert line["event"] == "error"
    assert line["error"] == {"code": "refused", "message": "no", "exit_code": 8, "fault": "us", "hint": "ask again"}
    assert captured.err.startswith("error: no\n")


def test_a_defect_is_exit_1_and_shows_its_insides_only_on_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, failing(RuntimeError("the passphrase is hunter2"))) == 1
    captured = capsys.readouterr()
    assert "bug in mpcnode (RuntimeError)" in captured.err
    assert "hunter2" not in captured.err
    assert run(monkeypatch, failing(RuntimeError("inside")), "-v") == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), typer.Abort()])
def test_an_interruption_is_130(interruption: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, failing(interruption)) == 130


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), typer.Abort()])
def test_an_interruption_is_said_also_where_the_library_of_options_catches_it(
    interruption: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mpcnode.cli.actions.version.show_version", lambda **_: failing(interruption)())
    assert cli._run(["--version"]) == 130
    assert capsys.readouterr().err == "error: interrupted\n"


@pytest.mark.process
def test_an_error_is_set_in_rows_that_fit_the_terminal() -> None:
    """A terminal breaks a line in the middle of a word, and begins the next row with what somebody else wrote."""
    arguments = ("verify", "--pubkey", "x" * 90, "--signature", "00", "--message", "hello")
    with terminal(*arguments, size=(60, 24)) as shown:
        shown.end()
        rows = [row for row in shown.seen() if row]
    assert rows[0].startswith("error:")
    assert all(row.startswith(("error:", "hint: ", "    ")) for row in rows)
    assert max(map(len, rows)) < 60


@pytest.mark.parametrize("how", ["option", "joined", "variable", "expanded"])
def test_a_path_is_named_as_its_user_wrote_it(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "J\u00fcrgen" / "Z\u00fcrich"
    monkeypatch.setenv("HOME", str(home.parent))
    monkeypatch.delenv("MPCNODE_HOME", raising=False)
    arguments = {
        "option": ["--home", str(home)],
        "joined": [f"--home={home}"],
        "variable": [],
        "expanded": ["--home", "~/Z\u00fcrich"],
    }[how]
    if how == "variable":
        monkeypatch.setenv("MPCNODE_HOME", str(home))
    assert cli._run(["wallets", "list", *arguments]) == 3
    assert str(home) in capsys.readouterr().err


def test_a_command_may_choose_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, lambda: 7) == 7
    assert run(monkeypatch, lambda: None) == 0


def test_the_verbose_variable_counts_as_the_option(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MPCNODE_VERBOSE", "1")
    run(monkeypatch, failing(Refused("no")))
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("MPCNODE_VERBOSE", "0")
    run(monkeypatch, failing(Refused("no")))
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dance"], "error: no such command 'dance'"),
        (["create-walet"], "did you mean"),
        (["register", "--pear-id", "x"], "error: no such option: --pear-id"),
        (["create-wallet", "--total", "3"], "error: missing option '--threshold'"),
        (["create-wallet", "-t", "two", "-n", "3"], "error: invalid value for '--threshold'"),
        (["create-wallet", "-t", "3", "-n", "2"], "error: threshold and total must satisfy"),
        (["create-wallet", "-t", "2", "-n", "2", "--name", "../x", "--yes"], "error: '../x' is not a wallet name"),
        (["create-wallet", "-t", "2", "-n", "2", "--with", "a b", "--yes"], "error: 'a b' is not a peer id"),
        (["wallets", "dance"], "error: no such command 'dance'"),
    ],
)
def test_a_command_that_cannot_be_meant_is_exit_2_with_a_hint(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli._run(arguments) == 2
    captured = capsys.readouterr()
    assert message.lower() in captured.err.lower()
    assert "hint: " in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("command", ["serve", "register", "peers", "create-wallet", "wallets", "sign", "verify", "run"])
def test_every_help_page_has_examples_and_the_common_options(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli._run([command, "--help"]) == 0
    page = capsys.readouterr().out
    assert "Examples:" in page
    for option in ("--json", "--verbose", "-v"):
        assert option in page


def test_no_arguments_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli._run([]) == 0
    page = capsys.readouterr().out
    assert "create-wallet" in page
    assert "..." not in page.split("Commands:")[1].split("Three terminals")[0]


def test_the_version_is_printed_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli._run(["--version"]) == 0
    assert capsys.readouterr().out == f"mpcnode {mpcnode.__version__}\n"


def test_a_reader_that_leaves_early_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "mpcnode", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.close()
        assert run.stderr.read() == b""
    assert run.returncode == 0
