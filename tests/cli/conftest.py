"""A signaling server and homes for tests that run real commands."""

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
