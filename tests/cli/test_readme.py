"""The README's command lines, run as they are written."""

import asyncio
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

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
