"""Published test vectors, read from where they are kept and never copied."""

import json
import os
from pathlib import Path
from typing import Any, Final

import pytest

VECTORS: Final = Path(os.environ.get("MPCNODE_VECTORS", Path(__file__).resolve().parents[3] / "shared" / "vectors"))
"""Where they are: as the environment says, else in ``shared/vectors`` beside the project."""


def load_vectors(name: str) -> Any:
    """Read a JSON file of vectors; skip the test where it is not on this machine.

    Args:
        name: such as ``rfc9591/frost-ed25519-sha512.json``.
    """
    path = VECTORS / name
    if not path.is_file():
        pytest.skip(f"the published vectors are not on this machine: set MPCNODE_VECTORS to where {name} is")
    return json.loads(path.read_text("utf-8"))
