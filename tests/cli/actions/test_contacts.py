"""``mpcnode contacts``, ``settings`` and ``wallets delete``: what a home knows, and what a person takes out of it."""

import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from mpcnode.cli.options import NodeOptions
from mpcnode.identity.contacts import Contacts
from mpcnode.keystore.format import KdfPolicy
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.settings import Settings
from mpcnode.keystore.store import Home
from mpcnode.peers.trust import fingerprint
from mpcnode.types import PeerId, WalletId
from tests.cli.actions.test_help import completed
from tests.helpers.filesystem import QuickFileSystem
from tests.helpers.identities import identity
from tests.helpers.sign_command import run_command
from tests.helpers.terminal import mpcnode, terminal
from tests.helpers.wallets import make_wallet

pytestmark = pytest.mark.usefixtures("alone")

BEN, CLEO = PeerId("ben"), PeerId("cleo")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the contacts ben, verified, and cleo; its wallet ``treasury`` is active and ``draft`` pending."""
    home = Home.open(tmp_path / "home", create=True, files=QuickFileSystem())
    contacts = Contacts().pin(BEN, identity("ben").public_key, how="words", now=0)
    home.save_contacts(contacts.pin(CLEO, identity("cleo").public_key, how="introduced", now=0))
    made, other = make_wallet(), make_wallet(wallet_id=WalletId(b"\xef" * 16))
    draft = replace(other.wallet, name="draft")
    with Keyring(bytearray(b"correct horse")) as keyring:
        home.create_identity(keyring, KdfPolicy(8 << 20, 1))
        for wallet, secret in ((made.active, made.secret), (draft, other.secret)):
            home.save_wallet(wallet.wallet_id, wallet.peer_id, wallet.to_header(), secret.encode(), keyring)
    return home.path


# --- contacts ---


@pytest.mark.parametrize("verb", [[], ["list"]])
def test_contacts_are_listed_with_how_they_are_known(
    verb: list[str], home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ended = run_command(capfd, "contacts", *verb, "--home", str(home))
    assert ended.code == 0
    ben, cleo = ended.out.splitlines()
    assert ben.startswith("ben   verified by safety words")
    assert "not verified" in cleo
    assert ben.endswith(fingerprint(identity("ben").public_key))


def test_one_contact_is_shown(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ended = run_command(capfd, "contacts", "show", "cleo", "--home", str(home))
    assert identity("cleo").public_key.hex() in ended.out
    assert "1970-01-01" in ended.out
    (shown,) = run_command(capfd, "contacts", "show", "ben", "--json", "--home", str(home)).lines
    assert (shown["peer_id"], shown["verified"], shown["how"]) == ("ben", True, "words")


def test_a_contact_that_is_removed_is_gone_and_the_others_stay(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ended = run_command(capfd, "contacts", "remove", "ben", "--home", str(home))
    assert ended.code == 0
    assert "removed ben" in ended.talk
    assert [one.peer_id for one in Home.open(home, create=False).load_contacts()] == ["cleo"]


@pytest.mark.parametrize("verb", ["show", "remove"])
def test_a_contact_that_is_not_there_is_3(verb: str, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ended = run_command(capfd, "contacts", verb, "dora", "--home", str(home))
    assert ended.code == 3
    assert "hint: see `mpcnode contacts list`" in ended.talk


def test_a_contact_is_not_removed_under_a_node_that_would_write_it_back(home: Path) -> None:
    with Home.open(home, create=False).lock():
        ended = mpcnode("contacts", "remove", "ben", "--home", str(home))
    assert ended.returncode == 3
    assert len(Home.open(home, create=False).load_contacts()) == 2


def test_an_empty_account_has_no_contacts_and_no_wallets_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    for verb, said in (("contacts", "no contacts yet"), ("wallets", "no wallets yet")):
        ended = run_command(capfd, verb)
        assert (ended.code, ended.out) == (0, "")
        assert said in ended.talk
    assert list(tmp_path.iterdir()) == []
    assert run_command(capfd, "wallets", "--home", str(tmp_path / "typo")).code == 3
    assert run_command(capfd, "contacts", "--home", str(tmp_path / "typo")).code == 3


# --- settings ---


def test_settings_are_remembered_and_forgotten(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given = ("--server", "wss://mpc.example", "--room", "treasury")
    (shown,) = run_command(capfd, "settings", *given, "--json", "--home", str(home)).lines
    assert (shown["server"], shown["room"]) == ("wss://mpc.example", "treasury")
    assert Home.open(home, create=False).load_settings() == Settings(room="treasury", server="wss://mpc.example")
    (shown,) = run_command(capfd, "settings", "--forget", "room", "--json", "--home", str(home)).lines
    assert "room" not in shown
    assert shown["server"] == "wss://mpc.example"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("--server", "http://mpc.example"), "ws://mpc.example"),
        (("--room", "a b"), "--room is"),
        (("--room", "a", "--forget", "room"), "leave one of them out"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(
    arguments: tuple[str, ...], hint: str, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ended = run_command(capfd, "settings", *arguments, "--home", str(home))
    assert ended.code == 2
    assert hint in ended.talk
    assert Home.open(home, create=False).load_settings() == Settings()


def test_a_node_takes_what_is_remembered_and_options_go_first(home: Path) -> None:
    from mpcnode.cli.actions.node import _config

    Home.open(home, create=False).save_settings(Settings(room="treasury", server="wss://mpc.example"))
    config = _config(NodeOptions(home=home), home, "none")
    assert (config.server, config.room) == ("wss://mpc.example", "treasury")
    config = _config(NodeOptions(home=home, server="ws://here", room="r"), home, "none")
    assert (config.server, config.room) == ("ws://here", "r")
    config = _config(NodeOptions(), home.parent / "new", "none")
    assert (config.server, config.room) == ("ws://127.0.0.1:9000", "public")


# --- deleting a pending wallet ---


def test_what_is_pending_stands_under_its_wallet_in_the_list(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ended = run_command(capfd, "wallets", "--home", str(home))
    treasury, draft, note = ended.out.splitlines()
    assert (treasury.split()[:2], draft.split()[:2]) == (["treasury", "active"], ["draft", "pending"])
    assert note == "    epoch 0 is pending: no word yet from ana, ben, cleo"
    assert max(len(treasury), len(draft)) <= 79


@pytest.mark.process
def test_a_pending_wallet_goes_to_the_trash_when_its_name_is_typed(home: Path) -> None:
    with terminal("wallets", "delete", "draft", "--home", str(home)) as opened:
        opened.expect("no word came from: ")
        opened.expect("Ask them before you go on.")
        opened.expect("type draft to move")
        opened.type("draft\n")
        code, _ = opened.end()
    assert code == 0
    assert "moved to" in opened.shown
    assert [one.wallet_id for one in Home.open(home, create=False).list_wallets()] == [b"\xab" * 16]
    (kept,) = (home / "trash").iterdir()
    kept.rename(home / "wallets" / ("ef" * 16))
    assert len(Home.open(home, create=False).list_wallets()) == 2


@pytest.mark.process
@pytest.mark.parametrize("typed", ["", "y", "treasury"])
def test_any_other_answer_deletes_nothing(typed: str, home: Path) -> None:
    with terminal("wallets", "delete", "draft", "--home", str(home)) as opened:
        opened.expect("type draft to move")
        opened.type(f"{typed}\n")
        code, _ = opened.end()
    assert code == 8
    assert "hint: run it again and type the name as it is shown" in opened.shown
    assert "--accept" not in opened.shown  # that is about what others propose
    assert len(Home.open(home, create=False).list_wallets()) == 2


@pytest.mark.process
@pytest.mark.parametrize("said", ["error: interrupted", "error: the terminal ended"])
def test_what_is_said_of_an_end_does_not_stand_in_the_row_of_the_question(said: str, home: Path) -> None:
    with terminal("wallets", "delete", "draft", "--home", str(home), size=(80, 24)) as opened:
        opened.expect("to the trash: ")
        if said == "error: interrupted":
            opened.process.send_signal(signal.SIGINT)
        else:
            opened.type("\x04")
        assert opened.end()[0] == 130
        assert any(row.startswith(said) for row in opened.seen())
    assert len(Home.open(home, create=False).list_wallets()) == 2


def test_an_active_wallet_is_not_deleted(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ended = run_command(capfd, "wallets", "delete", "treasury", "--home", str(home))
    assert ended.code == 8
    assert "is active" in ended.talk
    assert "saved: this node's share is where it was" in ended.talk
    assert "--accept" not in ended.talk
    assert "hint: keep it: the others may need this share to sign" in ended.talk


def test_nobody_but_a_person_deletes_a_share(home: Path) -> None:
    ended = mpcnode("wallets", "delete", "draft", "--home", str(home))
    assert ended.returncode == 2
    assert len(Home.open(home, create=False).list_wallets()) == 2


# --- completion of names ---


def test_a_shell_completes_names_without_a_passphrase(home: Path) -> None:
    assert completed("mpcnode sign --wallet tr", home) == ["treasury"]
    assert completed("mpcnode wallets show ", home) == ["draft", "treasury"]
    assert completed("mpcnode contacts remove c", home) == ["cleo"]
    assert completed("mpcnode create-wallet --with ben,", home) == ["ben,cleo"]
    assert completed("mpcnode sign --wallet tr", home.parent / "nothing") == []
    assert completed(f"mpcnode wallets show --home {home} d") == ["draft"]


def test_json_is_one_object_a_line(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ended = run_command(capfd, "contacts", "--json", "--home", str(home))
    assert [json.loads(line)["peer_id"] for line in ended.out.splitlines()] == ["ben", "cleo"]
