"""What this machine knows is checked before a passphrase is asked for, a home made or a server dialled."""

from pathlib import Path

import pytest

from mpcnode.keystore.settings import Settings
from mpcnode.keystore.store import Home
from mpcnode.types import PeerId
from tests.helpers.sign_command import Ended, run_command
from tests.helpers.terminal import mpcnode, terminal
from tests.helpers.wallets import home_with_a_wallet, make_wallet

pytestmark = pytest.mark.usefixtures("alone")

NOWHERE = ("--server", "ws://127.0.0.1:9")
QUICK = ("--kdf", "interactive", "--loopback")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home of ana with the active wallet ``treasury`` of ana, ben and cleo."""
    home = home_with_a_wallet(tmp_path / "home")
    home.save_settings(Settings(peer_id=PeerId("ana")))
    return home.path


def run(capfd: pytest.CaptureFixture[str], *arguments: str) -> Ended:
    return run_command(capfd, *arguments)


MADE = ("create-wallet", "-t", "2", "-n", "3", "--yes")
SIGNED = ("sign", "--wallet", "treasury", "-m", "hi")


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        ((*MADE, "--with", "ben,ana"), "--with names ana, which is this node itself", "the others"),
        ((*MADE, "--name", "treasury"), "there is a wallet named treasury already", "--name"),
        ((*MADE, "--room", "my room"), "'my room' is not a room's name", "--room is 1 to 64"),
        ((*MADE, "--server", "http://127.0.0.1:9000/x"), "is a web page's URL", "try --server ws://127.0.0.1:9000/x"),
        ((*MADE, "--server", "https://mpc.example"), "is a web page's URL", "try --server wss://mpc.example"),
        ((*MADE, "--server", "mpc.example:9000"), "is not a signaling server's URL", "--server is like ws://"),
        ((*MADE, "--server", "ws://"), "is not a signaling server's URL", "--server is like ws://"),
        ((*MADE, "--peer-id", "a b"), "is not a peer id", "--peer-id"),
        ((*MADE, "--ice-server", "turn"), "is not a STUN or TURN server", "--ice-server"),
        ((*SIGNED, "--with", "cli9"), "cli9 is not a participant of wallet treasury", "ana, ben, cleo"),
        ((*SIGNED, "--with", "ana"), "--with names ana, which is this node itself", "the others"),
        ((*SIGNED, "--suite", "secp256k1"), "has no key of 'secp256k1'", "FROST-ED25519"),
        ((*SIGNED, "--peer-id", "ana2"), "holds wallet treasury as ana, and cannot use it as ana2", "--peer-id ana"),
        (("refresh", "treasury", "--peer-id", "ana2"), "holds wallet treasury as ana", "--peer-id ana"),
        (("refresh", "treasury", "--room", "a/b"), "is not a room's name", "--room"),
        (("peers", "--room", "a b"), "is not a room's name", "--room"),
        (("register", "--accept", "none", "--room", "a b"), "is not a room's name", "--room"),
    ],
)
def test_a_local_fact_is_said_first(
    arguments: tuple[str, ...], message: str, hint: str, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ended = run(capfd, *arguments, "--home", str(home))
    assert ended.code == 2
    assert message in ended.talk
    assert hint in ended.talk.partition("hint: ")[2]
    assert "passphrase" not in ended.talk


def test_a_ca_file_that_is_not_there_is_said_first(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ended = run(capfd, "peers", "--home", str(home), "--ca-file", "/nowhere/ca.pem")
    assert ended.code == 3
    assert "--ca-file" in ended.talk


def test_a_name_that_cannot_use_the_wallets_of_the_home_is_warned_of(home: Path, tmp_path: Path) -> None:
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse\n")
    secret.chmod(0o600)
    ended = mpcnode(
        *("register", "--accept", "none", "--home", str(home), "--peer-id", "ana2", *NOWHERE),
        *("--passphrase-file", str(secret)),
    )
    assert ended.returncode == 5
    assert "warning: this home holds wallet treasury as ana, and cannot use it as ana2" in ended.stderr
    assert "the name ana2 is for this run alone" in ended.stderr
    # One run under another name must not keep the home from its wallets (newcomer D8).
    assert Home.open(home, create=False).load_settings().peer_id == "ana"


@pytest.mark.process
def test_a_command_that_only_looks_makes_no_home(server: str, passphrase: Path, tmp_path: Path) -> None:
    place = tmp_path / "nothing yet"
    ended = mpcnode("peers", "--home", str(place), "--server", server, "--passphrase-file", str(passphrase))
    assert ended.returncode == 3
    assert f"error: there is no node at {place} yet" in ended.stderr
    assert "`mpcnode register` makes one" in ended.stderr
    assert not place.exists()
    place.mkdir(mode=0o700)
    ended = mpcnode("peers", "--home", str(place), "--server", server, "--passphrase-file", str(passphrase))
    assert ended.returncode == 3
    assert not list(place.iterdir())


@pytest.mark.process
def test_a_passphrase_typed_wrong_is_asked_for_three_times(home: Path) -> None:
    with terminal("peers", "--home", str(home), *NOWHERE) as opened:
        opened.expect("passphrase for")
        opened.type("wrong\n")
        opened.expect("wrong passphrase")
        opened.expect("2 more tries")
        opened.expect("passphrase for")
        opened.type("wrong as well\n")
        opened.expect("1 more try")
        opened.expect("passphrase for")
        opened.type("still wrong\n")
        code, _ = opened.end()
    assert code == 4
    assert "hint: " in opened.shown


@pytest.mark.process
def test_a_passphrase_typed_right_the_second_time_goes_on(home: Path) -> None:
    with terminal("peers", "--home", str(home), *NOWHERE) as opened:
        opened.expect("passphrase for")
        opened.type("wrong\n")
        opened.expect("2 more tries")
        opened.expect("passphrase for")
        opened.type("correct horse\n")
        code, _ = opened.end()
    assert code == 5, opened.shown  # the home is open; there is no server


@pytest.mark.process
def test_wallets_show_asks_again_too(home: Path) -> None:
    with terminal("wallets", "show", "treasury", "--home", str(home)) as opened:
        opened.expect("passphrase for")
        opened.type("wrong\n")
        opened.expect("2 more tries")
        opened.expect("passphrase for")
        opened.type("correct horse\n")
        code, out = opened.end()
    assert code == 0
    assert "address" in out


def test_a_wrong_passphrase_of_a_file_is_not_asked_for_again(home: Path, tmp_path: Path) -> None:
    secret = tmp_path / "passphrase"
    secret.write_text("wrong\n")
    ended = mpcnode("peers", "--home", str(home), *NOWHERE, "--passphrase-file", str(secret))
    assert ended.returncode == 4
    assert "more tries" not in ended.stderr


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)])
def test_a_passphrase_file_that_others_can_read_is_warned_of(
    mode: int, *, warned: bool, home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse\n")
    secret.chmod(mode)
    ended = run(capfd, "wallets", "show", "treasury", "--home", str(home), "--passphrase-file", str(secret))
    assert ended.code == 0
    assert ("other users of this machine may read" in ended.talk) == warned
    assert ("chmod 600" in ended.talk) == warned


@pytest.mark.process
def test_a_home_that_is_made_is_said_with_the_name_of_the_node(server: str, passphrase: Path, tmp_path: Path) -> None:
    common = ("--server", server, "--room", tmp_path.name, "--passphrase-file", str(passphrase), "--kdf", "interactive")
    stay = mpcnode(
        "create-wallet", "-t", "2", "-n", "2", "--wait", "0", "--yes", "--home", str(tmp_path / "ben"), *common
    )
    assert stay.returncode == 6
    assert f"made a new home for this node: {tmp_path / 'ben'}" in stay.stderr
    assert "--peer-id gives it another" in stay.stderr
    assert "without either of them nobody can restore" in stay.stderr
    again = mpcnode(
        "create-wallet", "-t", "2", "-n", "2", "--wait", "0", "--yes", "--home", str(tmp_path / "ben"), *common
    )
    assert "made a new home" not in again.stderr
    quiet = mpcnode(
        "create-wallet", "-t", "2", "-n", "2", "--wait", "0", "--yes", "-q", "--home", str(tmp_path / "cleo"), *common
    )
    assert "made a new home" not in quiet.stderr
    assert "registered" not in quiet.stderr


def test_the_names_are_a_peers() -> None:
    assert make_wallet().active.peer_id == PeerId("ana")
