"""The README's command lines, run as they are written."""

import asyncio
import os
import re
import shlex
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, get_args

import pytest
import typer

from mpcnode.cli import app as cli
from mpcnode.cli.actions.help import commands_of
from mpcnode.consent.policy import WalletPolicy, decode_policy
from mpcnode.crypto.adjustment import Adjustment, TaprootTweak
from mpcnode.types import PeerId
from tests.helpers.nodes import PASSPHRASE, Nodes, nodes, soon
from tests.helpers.server import running_server
from tests.helpers.terminal import clean_environment
from tests.helpers.treasury import treasury

ROOT: Final = Path(__file__).parents[2]
README: Final = (ROOT / "README.md").read_text()
_FOREIGN: Final = ("bash", "jq", "xxd", "openssl")


def block_with(line: str) -> str:
    """The one code block that has a line which begins so."""
    (block,) = [one for one in re.findall(r"```\n(.*?)```", README, re.DOTALL) if f"\n{line}" in f"\n{one}"]
    return str(block)


PAGES: Final = ("README.md", "SECURITY.md", "CONTRIBUTING.md", "sessions/README.md")
SEVERAL: Final = re.compile(r"\||[A-Z]{3}|\.\.\.")
"""In what stands for several command lines, or has a place for something."""


def written() -> list[str]:
    """Every command line that a page or a help page shows, in code blocks and within sentences."""
    lines: list[str] = []
    for page in PAGES:
        text = (ROOT / page).read_text()
        lines += [line for block in re.findall(r"```\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
        lines += [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", re.sub(r"(?s)```.*?```", "", text))]
    root = typer.main.get_command(cli.app)
    lines += [line for _, one in commands_of(root) for line in (one.epilog or "").splitlines()]
    found = [match[1] for line in lines if (match := re.search(r"(?:^|[ /$])mpcnode ([a-z-].*)", line.strip()))]
    # What installs something does it while options are read.
    return sorted({re.split(r" [|>] |\s+# ", line)[0].strip() for line in found} - {"--install-completion"})


def test_the_pages_show_commands() -> None:
    assert sum(not SEVERAL.search(line) for line in written()) > 40


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("line", [line for line in written() if not SEVERAL.search(line)])
def test_a_command_is_taken_as_a_page_shows_it(line: str) -> None:
    """Options that exist, with values that they take, and none that is missing."""
    words: list[str] = shlex.split(line)
    command: Any = typer.main.get_command(cli.app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    wrong = ""
    try:
        command.make_context("mpcnode", words)
    except typer.Exit:  # --help and --version are read at once, and that is all
        pass
    except typer.TyperException as error:
        wrong = error.format_message()
    # Within a sentence a command may be named alone, without what it needs.
    assert not wrong or (not words and wrong.startswith("Missing")), wrong


def test_the_policy_that_is_shown_is_one_and_has_every_field() -> None:
    """A field that the page leaves out is one that nobody knows of."""
    (text,) = [one for one in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL) if "rate-per-hour" in one]
    policy = decode_policy(text.encode(), [PeerId("cli2"), PeerId("cli3")])
    assert set(policy.propose or ()) == {PeerId("cli2"), PeerId("cli3")}
    named = {line.split(":")[0] for line in text.splitlines()}
    assert named == {field.replace("_", "-") for field in WalletPolicy.__dataclass_fields__}


def test_every_page_says_that_signing_has_no_derivation_paths_yet() -> None:
    """A user who writes a policy has to know that there is nothing to limit; with paths, a field has to come."""
    assert get_args(Adjustment) in {(), (TaprootTweak,)}
    for page in ("README.md", "PROTOCOL.md", "SECURITY.md"):
        assert "derivation path" in " ".join((ROOT / page).read_text().split()), page


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Nodes]:
    async with running_server() as server, nodes(tmp_path, server.url) as made:
        yield made


@pytest.mark.process
@pytest.mark.skipif(not all(map(shutil.which, _FOREIGN)), reason="bash, jq, xxd or openssl is not on this machine")
async def test_openssl_checks_the_signature_of_a_text_by_the_commands_that_are_written(
    place: Nodes, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "mpcnode").write_text(f'#!/bin/sh\nexec {sys.executable} -m mpcnode "$@"\n')
    (tmp_path / "bin" / "mpcnode").chmod(0o755)
    (tmp_path / "words").write_bytes(PASSPHRASE)
    (tmp_path / "words").chmod(0o600)
    async with treasury(place) as (ana, _):
        environment = clean_environment() | {
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "MPCNODE_HOME": str(ana.config.home),
            "MPCNODE_PASSPHRASE_FILE": str(tmp_path / "words"),
        }
        process = await asyncio.create_subprocess_exec(
            "bash", "-euo", "pipefail", "-c", block_with("openssl pkeyutl"),
            cwd=tmp_path, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await soon(process.communicate())
    assert process.returncode == 0, said.decode()
    assert "Signature Verified Successfully" in said.decode()
