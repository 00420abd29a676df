"""``mpcnode help``: topics and the man page say what the commands are."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from mpcnode.cli import app as cli
from mpcnode.cli.actions.help import EXIT_CODES, commands_of, man_page, options_of
from mpcnode.cli.terminal.output import print_data
from mpcnode.errors import MpcError
from tests.helpers.sign_command import run_command

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MPCNODE_")]:
        monkeypatch.delenv(name)


def root() -> Any:
    return typer.main.get_command(cli.app)


def _codes(kind: type[MpcError] = MpcError) -> set[int]:
    return {kind.exit_code}.union(*(_codes(child) for child in kind.__subclasses__()))


def test_every_exit_code_is_explained(capfd: pytest.CaptureFixture[str]) -> None:
    ended = run_command(capfd, "help", "exit-codes")
    assert ended.code == 0
    assert {int(line.split()[0]) for line in ended.out.splitlines()} == _codes() | {0}
    assert len(EXIT_CODES) == len(_codes()) + 1


def test_every_variable_that_an_option_reads_is_listed(capfd: pytest.CaptureFixture[str]) -> None:
    ended = run_command(capfd, "help", "environment")
    read = {one.envvar for _, command in commands_of(root()) for _, one in options_of(command) if one.envvar}
    assert len(read) > 20
    assert read <= {line.split()[0] for line in ended.out.splitlines() if line}
    assert re.search(r"MPCNODE_ACCEPT +--accept of register", ended.out)


@pytest.mark.parametrize("topic", ["trust", "environment", "exit-codes", "man"])
def test_every_topic_is_explained(topic: str, capfd: pytest.CaptureFixture[str]) -> None:
    ended = run_command(capfd, "help", topic)
    assert (ended.code, ended.talk) == (0, "")
    assert len(ended.out.splitlines()) > 5


def test_help_of_a_command_is_its_help_page(capfd: pytest.CaptureFixture[str]) -> None:
    for path in (["sign"], ["wallets", "show"], ["contacts"]):
        asked = run_command(capfd, "help", *path)
        assert asked.code == 0
        assert asked.out.split() == run_command(capfd, *path, "--help").out.split()


def test_help_about_nothing_says_what_there_is(capfd: pytest.CaptureFixture[str]) -> None:
    ended = run_command(capfd, "help", "weather")
    assert ended.code == 2
    assert "environment" in ended.talk
    assert "sign" in ended.talk


def test_the_man_page_that_is_committed_is_the_one_of_these_commands() -> None:
    assert (ROOT / "docs" / "mpcnode.1").read_text() == man_page(root()) + "\n", "run make man"


def test_the_man_page_has_every_command_and_no_line_that_roff_would_obey() -> None:
    page = man_page(root())
    for path, _ in commands_of(root()):
        assert f".SS {path.replace('-', chr(92) + '-')}" in page
    requests = {line.split()[0] for line in page.splitlines() if line.startswith((".", "'"))}
    assert requests == {".TH", ".SH", ".SS", ".PP", ".TP", ".B", ".I", ".nf", ".fi"}


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not on this machine")
def test_groff_has_nothing_to_complain_about() -> None:
    done = subprocess.run(
        ["groff", "-man", "-Tascii", "-ww", str(ROOT / "docs" / "mpcnode.1")],
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == b""


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_the_version_has_a_short_flag(flag: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(capfd, flag).out.startswith("mpcnode ")


# --- completion ---


def completed(words: str, home: Path | None = None) -> list[str]:
    """Ask as bash does at the end of ``words``."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MPCNODE_")}
    environment |= {
        "_MPCNODE_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    if home is not None:
        environment["MPCNODE_HOME"] = str(home)
    program = "from mpcnode.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_a_shell_completes_commands_options_and_choices() -> None:
    assert completed("mpcnode cre") == ["create-wallet"]
    assert completed("mpcnode wallets s") == ["show"]
    assert "--wallet" in completed("mpcnode sign --wal")
    assert completed("mpcnode register --accept a") == ["ask", "auto"]
    assert completed("mpcnode help exit") == ["exit-codes"]


@pytest.mark.parametrize("columns", [80, 60])
@pytest.mark.parametrize("topic", ["trust", "exit-codes", "wallets list", "verify"])
def test_a_help_page_on_a_terminal_has_the_rows_of_the_page(
    columns: int, topic: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A page is many rows: where one of them is too wide it is broken, and the next one is where it was."""
    assert cli._run(["help", *topic.split()]) == 0
    page = capsys.readouterr().out.splitlines()
    monkeypatch.setattr("mpcnode.cli.terminal.output._terminal_width", lambda: columns - 1)
    assert cli._run(["help", *topic.split()]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert max(map(len, shown)) < columns
    for row in page:
        if len(row) < columns - 1:
            assert row in shown
    assert " ".join(" ".join(shown).split()) == " ".join(" ".join(page).split())


def test_a_pem_file_on_a_narrow_terminal_can_be_copied(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mpcnode.cli.terminal.output._terminal_width", lambda: 39)
    key = "MCowBQYDK2VwAyEA9B5CuC1ocOnXOG5mEv0IU+E/GIgik46KS5Vh3WC46f8="
    pem = f"-----BEGIN PUBLIC KEY-----\n{key}\n-----END PUBLIC KEY-----"
    print_data(pem)
    assert capsys.readouterr().out == f"{pem}\n"
