"""Where the control socket is, and whose."""

import socket
import stat
from pathlib import Path

import pytest

from mpcnode.control import place
from mpcnode.control.client import ControlClient
from mpcnode.errors import ConfigurationError
from tests.helpers.control import connected, running


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    made.mkdir(mode=0o700)
    return made


async def test_the_socket_is_its_owners_alone_and_goes_with_the_node(home: Path) -> None:
    path = home / "control.sock"
    async with running(home):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


async def test_what_a_dead_node_left_is_replaced(home: Path) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(home / "control.sock"))
    dead.close()
    assert await ControlClient.connect(home) is None
    async with running(home), await connected(home) as client:
        assert await client.peers()


async def test_a_home_with_a_very_long_path_has_a_socket_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    home = tmp_path / ("x" * 120)
    home.mkdir(mode=0o700)
    async with running(home):
        real = (home / "control.sock").readlink()
        assert stat.S_IMODE(real.parent.stat().st_mode) == 0o700
        async with await connected(home) as client:
            assert await client.peers()
    assert not real.parent.exists()
    assert not (home / "control.sock").is_symlink()


async def test_a_dead_nodes_directory_elsewhere_is_cleaned_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    home = tmp_path / ("x" * 120)
    home.mkdir(mode=0o700)
    listener, path = place.open_socket(home)
    listener.close()  # and dies
    async with running(home):
        assert not path.exists()


def test_a_link_that_we_would_not_have_made_is_not_followed_to_be_removed(home: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("x")
    (home / "control.sock").symlink_to(precious)
    place.remove_socket(home)
    assert precious.exists()
    assert not (home / "control.sock").is_symlink()


def test_a_socket_that_cannot_be_made_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="control socket"):
        place.open_socket(tmp_path / "absent")


def test_a_home_without_a_node_gives_no_connection(home: Path) -> None:
    assert place.connect(home) is None
    assert place.connect(home / "nowhere") is None


def test_a_node_that_listens_is_connected_to_before_it_accepts(home: Path) -> None:
    listener, _ = place.open_socket(home)
    with listener:
        connection = place.connect(home)
        assert connection is not None
        connection.close()


def test_what_another_user_listens_with_is_not_spoken_to(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[socket.socket] = []

    def another(connected: socket.socket) -> bool:
        made.append(connected)
        return False

    monkeypatch.setattr(place, "is_same_user", another)
    listener, _ = place.open_socket(home)
    with listener:
        assert place.connect(home) is None
    assert [connection.fileno() for connection in made] == [-1]
