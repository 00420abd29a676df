"""A signaling server and homes for tests that run real commands."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.actions.test_serve import start


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of a signaling server in a process of its own."""
    process, port = start("--stop-with-stdin")
    with process:
        yield f"ws://127.0.0.1:{port}"
        process.communicate(timeout=30)


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    """A file with a passphrase."""
    path = tmp_path / "passphrase"
    path.write_text("correct horse\n")
    return path


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of this machine's user reaches a command, and there is no terminal to ask on."""
    for name in [name for name in os.environ if name.startswith("MPCNODE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr("mpcnode.cli.terminal.prompts.has_terminal", lambda: False)
