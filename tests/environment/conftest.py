"""Two homes that share a wallet, a server and one running node, for commands in every kind of surroundings."""

from collections.abc import Iterator

import pytest

from tests.helpers.surroundings import Surroundings, surroundings


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surroundings]:
    with surroundings(tmp_path_factory.mktemp("surroundings")) as made:
        yield made
