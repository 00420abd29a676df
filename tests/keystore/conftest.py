from collections.abc import Iterator
from pathlib import Path

import pytest

from mpcnode.keystore.format import KdfPolicy
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.store import Home
from tests.helpers.filesystem import QuickFileSystem

QUICK = KdfPolicy(8 << 20, 1)
"""The least that a file may say: tests derive keys often."""


@pytest.fixture
def keyring() -> Iterator[Keyring]:
    with Keyring(bytearray(b"correct horse")) as keyring:
        yield keyring


@pytest.fixture
def home(tmp_path: Path, keyring: Keyring) -> Home:
    """A home with an identity and no wallet."""
    home = Home.open(tmp_path / "home", create=True, files=QuickFileSystem())
    home.create_identity(keyring, QUICK)
    return home
