"""Commands under one home, with a node running there and without."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.terminal import clean_environment, mpcnode

pytestmark = [pytest.mark.process]


def lines(output: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines()]


class Registered:
    """A node that runs, with its output."""

    def __init__(self, home: Path, *options: str) -> None:
        self.home = home
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mpcnode", "register", "--json", "--home", str(home), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(),
        )

    def until(self, event: str) -> dict[str, object]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            found: dict[str, object] = json.loads(line)
            if found["event"] == event:
                return found
        raise AssertionError(f"it ended without {event}: {self.process.communicate()[1]}")

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=30)
        return self.process.returncode


@pytest.fixture
def common(server: str, passphrase: Path, tmp_path: Path) -> tuple[str, ...]:
    """Options for nodes of a room of their own."""
    loose = ("--kdf", "interactive", "--loopback", "--yes")
    return ("--server", server, "--room", tmp_path.name, "--passphrase-file", str(passphrase), *loose)


@pytest.fixture
def node(common: tuple[str, ...], tmp_path: Path) -> Iterator[Registered]:
    """A running node, ben."""
    registered = Registered(tmp_path / "ben", "--peer-id", "ben", "--accept", "auto", *common)
    registered.until("registered")
    yield registered
    registered.stop()


def test_a_command_under_a_running_nodes_home_is_carried_out_by_it(node: Registered) -> None:
    run = mpcnode("peers", "--home", str(node.home), "--json")  # no passphrase: the node has it
    assert run.returncode == 0, run.stderr
    assert [(peer["peer_id"], peer["trust"]) for peer in lines(run.stdout)] == [("ben", "self")]


def test_a_second_node_under_one_home_is_refused(node: Registered, common: tuple[str, ...]) -> None:
    second = mpcnode("register", "--home", str(node.home), "--accept", "none", *common)
    assert second.returncode == 3
    assert str(node.process.pid) in second.stderr


@pytest.mark.webrtc
def test_a_wallet_made_by_a_node_of_its_own_is_listed_at_both_ends(
    node: Registered, common: tuple[str, ...], tmp_path: Path
) -> None:
    ana = str(tmp_path / "ana")
    made = mpcnode("create-wallet", "-t", "2", "-n", "2", "--home", ana, "--peer-id", "ana", "--json", *common)
    assert made.returncode == 0, made.stderr
    *events, result = lines(made.stdout)
    assert {"registered", "proposal", "progress", "safety_words", "wallet", "session_ended"} <= {
        event["event"] for event in events
    }
    assert result["event"] == "result"
    node.until("session_ended")

    for home in (ana, str(node.home)):
        (wallet,) = lines(mpcnode("wallets", "list", "--home", home, "--json").stdout)
        assert wallet["state"] == "active"
        assert wallet["certificate_valid"]
        assert wallet["group_public_keys"] == result["wallet"]["group_public_keys"]  # type: ignore[index]
    shown = mpcnode("wallets", "show", "wallet", "--home", ana)
    assert "certificate   valid, signed by all 2" in shown.stdout
    assert "safety words  nobody at this node compared them" in shown.stdout
    assert mpcnode("wallets", "show", "walle", "--home", ana).returncode == 3

    (path,) = (tmp_path / "ana" / "wallets").glob("*/*.json")
    os.truncate(path, 100)
    broken = mpcnode("wallets", "list", "--home", ana)
    assert broken.returncode == 3
    assert broken.stdout == ""
    assert "error: " in broken.stderr


def test_a_node_whose_reader_left_stops(common: tuple[str, ...], tmp_path: Path) -> None:
    registered = Registered(tmp_path / "ben", "--peer-id", "ben", "--accept", "none", *common)
    assert registered.process.stdout is not None
    registered.process.stdout.close()
    assert registered.process.wait(30) == 130
    assert registered.process.stderr is not None
    assert "bug" not in registered.process.stderr.read()
    registered.process.stderr.close()
    assert registered.process.stdin is not None
    registered.process.stdin.close()


def test_wallets_of_a_home_that_is_not_there_are_an_error_and_make_none(tmp_path: Path) -> None:
    run = mpcnode("wallets", "list", "--home", str(tmp_path / "absent"))
    assert run.returncode == 3
    assert not (tmp_path / "absent").exists()
