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
    assert ben.startswith("ben   by words ")
    assert "not verified" in cleo
    assert ben.endswith(fingerprint(identity("ben").public_key))


def test_one_contact_is_shown(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ended = run_command(capfd, "contacts", "show", "cleo", "--home", str(home))
    assert identity("cleo").public_key.hex() in ended.out
    assert "1970-01-01" in ended.out
    (shown,) = run_command(capfd, "contacts", "show", "ben", "--json", "--home", str(home)).lines
    assert (shown["peer_id"], shown["verified"], shown["how"]) == ("ben", True, "words")


LONG = PeerId("a-name-that-somebody-gave-to-a-machine-in-a-rack-of-a-datacentre")


@pytest.mark.parametrize("columns", [80, 60])
@pytest.mark.parametrize("name", ["carol", "twelve-chars", "a-rather-long-name", LONG])
def test_the_list_fits_a_terminal_and_no_name_or_fingerprint_is_broken(
    columns: int, name: str, home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mpcnode.cli.actions.contacts.width_of_data", lambda: columns - 1)
    opened = Home.open(home, create=False)
    opened.save_contacts(
        opened.load_contacts().pin(PeerId(name), identity("dora").public_key, how="fingerprint", now=0)
    )
    ended = run_command(capfd, "contacts", "--home", str(home))
    rows = ended.out.splitlines()
    assert max(map(len, rows)) < columns or (name == LONG and columns == 60)
    assert fingerprint(identity("dora").public_key) in ended.out
    assert any(row.startswith(name) for row in rows)
    assert "by fingerprint" in ended.out
    assert len(rows) in {3, 6, 9}


def called(way: str) -> str:
    digits = fingerprint(identity("ben").public_key)
    ways = {"2 groups": digits[:9], "8 digits": digits.replace(" ", "")[:8], "ALL": digits.upper()}
    return ways.get(way, way)


@pytest.mark.parametrize("way", ["ben", "2 groups", "8 digits", "ALL", "bennie"])
@pytest.mark.parametrize("verb", ["show", "remove", "verify", "rename"])
def test_a_contact_is_named_by_its_name_its_fingerprint_or_what_it_calls_itself(
    verb: str, way: str, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    opened = Home.open(home, create=False)
    moniker = PeerId("bennie")
    opened.save_contacts(
        opened.load_contacts().pin(BEN, identity("ben").public_key, how="words", now=0, moniker=moniker)
    )
    rest = {"verify": ["--fingerprint", fingerprint(identity("ben").public_key)], "rename": ["benno"]}.get(verb, [])
    ended = run_command(capfd, "contacts", verb, called(way), *rest, "--json", "--home", str(home))
    assert ended.code == 0, ended.talk
    assert ended.lines[0]["fingerprint"] == fingerprint(identity("ben").public_key)
    assert ended.lines[0]["moniker"] == "bennie"


@pytest.mark.parametrize("wanted", ["bbbb bbb", "bennie", "zz zz", "7"])
def test_fewer_than_eight_digits_and_unknown_names_mean_nobody(
    wanted: str, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ended = run_command(capfd, "contacts", "show", wanted, "--home", str(home))
    assert (ended.code, ended.out) == (2 if wanted == "zz zz" else 3, "")


def test_a_contact_that_could_be_one_of_several_is_an_error_that_lists_them(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    opened = Home.open(home, create=False)
    digits = fingerprint(identity("cleo").public_key).replace(" ", "")[:8]
    contacts = opened.load_contacts()
    for name in ("ben", "cleo"):
        contacts = contacts.pin(
            PeerId(name), identity(name).public_key, how="words", now=0, moniker=PeerId("their-laptop")
        )
    contacts = contacts.pin(PeerId(digits), identity("dora").public_key, how="words", now=0)
    opened.save_contacts(contacts.pin(PeerId("their"), identity("eve").public_key, how="words", now=0, moniker=BEN))
    for wanted, names in (("their-laptop", ("ben", "cleo")), (digits, (digits, "cleo"))):
        for verb in (["show"], ["remove"], ["verify"]):
            ended = run_command(capfd, "contacts", *verb, wanted, "--home", str(home))
            assert ended.code == 2
            assert "means 2 contacts" in ended.talk
            assert all(name in ended.talk for name in names)
    assert run_command(capfd, "contacts", "show", "ben", "--home", str(home)).code == 0  # a label goes first
    assert Home.open(home, create=False).load_contacts() == opened.load_contacts()


# --- rename ---


def test_a_contact_that_is_renamed_keeps_its_key_and_its_history(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = Home.open(home, create=False).load_contacts().get(CLEO)
    assert before is not None
    ended = run_command(capfd, "contacts", "rename", "cleo", "cleopatra", "--home", str(home))
    assert ended.code == 0
    assert "cleo is called cleopatra here" in ended.talk
    after = Home.open(home, create=False).load_contacts()
    assert after.get(CLEO) is None
    assert after.get(PeerId("cleopatra")) == replace(before, peer_id=PeerId("cleopatra"), moniker=CLEO)
    (shown,) = run_command(capfd, "contacts", "show", "cleo", "--json", "--home", str(home)).lines
    assert (shown["peer_id"], shown["moniker"]) == ("cleopatra", "cleo")
    assert "calls itself cleo" in run_command(capfd, "contacts", "show", "cleopatra", "--home", str(home)).out


@pytest.mark.parametrize(
    ("new", "code", "said"),
    [
        ("ben", 2, "there is a contact ben already"),
        ("a b", 2, "is not a peer id"),
        ("me", 8, "me is what this node calls itself"),
        ("ana", 8, "ana is somebody else in wallet treasury, and could not sign while this contact had the name"),
    ],
)
def test_a_name_that_is_somebody_else_s_is_not_given_to_a_contact(
    new: str, code: int, said: str, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    opened = Home.open(home, create=False)
    opened.save_settings(Settings(peer_id=PeerId("me")))
    before = opened.load_contacts()
    ended = run_command(capfd, "contacts", "rename", "cleo", new, "--home", str(home))
    assert ended.code == code
    assert said in ended.talk
    assert opened.load_contacts() == before


# --- verify ---


def test_a_fingerprint_given_in_full_verifies_a_contact(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    digits = fingerprint(identity("cleo").public_key).replace(" ", "").upper()
    ended = run_command(capfd, "contacts", "verify", "cleo", "--fingerprint", digits, "--home", str(home))
    assert ended.code == 0
    assert "cleo is a verified contact now" in ended.talk
    cleo = Home.open(home, create=False).load_contacts().get(CLEO)
    assert cleo is not None
    assert (cleo.how, cleo.first_seen, cleo.verified) == ("fingerprint", 0, True)
    digits = fingerprint(identity("ben").public_key)
    again = run_command(capfd, "contacts", "verify", "ben", "--fingerprint", digits, "--home", str(home))
    assert "it was verified by safety words before" in again.talk
    ben = Home.open(home, create=False).load_contacts().get(BEN)
    assert ben is not None
    assert ben.how == "words"  # nothing is lowered


def test_another_fingerprint_says_that_somebody_may_stand_between(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = Home.open(home, create=False).load_contacts()
    other = fingerprint(identity("eve").public_key)
    ended = run_command(capfd, "contacts", "verify", "cleo", "--fingerprint", other, "--home", str(home))
    assert ended.code == 4
    assert "somebody may stand between you" in ended.talk
    assert "`mpcnode contacts remove cleo`, then pair anew: `mpcnode pair`" in ended.talk
    assert Home.open(home, create=False).load_contacts() == before


@pytest.mark.parametrize("digits", ["", "abcd", "zz" * 20, fingerprint(identity("cleo").public_key)[:-1], "ab" * 21])
def test_a_part_of_a_fingerprint_verifies_nobody(digits: str, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ended = run_command(capfd, "contacts", "verify", "cleo", "--fingerprint", digits, "--home", str(home))
    assert ended.code == 2
    assert "all 40 digits" in ended.talk


def test_without_a_terminal_a_contact_is_verified_by_its_fingerprint_alone(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ended = run_command(capfd, "contacts", "verify", "cleo", "--home", str(home))
    assert ended.code == 2
    assert "--fingerprint" in ended.talk


@pytest.mark.process
@pytest.mark.parametrize(("answer", "code", "verified"), [("yes", 0, True), ("no", 4, False), ("\x04", 130, False)])
def test_a_person_compares_both_fingerprints_and_types_what_they_see(
    answer: str, code: int, home: Path, *, verified: bool
) -> None:
    opened = Home.open(home, create=False)
    with terminal("contacts", "verify", "cleo", "--home", str(home), size=(80, 24)) as screen:
        screen.expect("type yes or no: ")
        rows = screen.seen()
        assert f"this node  {fingerprint(opened.identity_public_key())}" in rows
        assert f"cleo       {fingerprint(identity('cleo').public_key)}" in rows
        screen.type("y\n")
        screen.expect("as a whole word")
        screen.expect("type yes or no: ")
        screen.type(answer if answer == "\x04" else f"{answer}\n")
        assert screen.end()[0] == code
        assert ("somebody may stand between you" in " ".join(screen.shown.split())) == (code == 4)
    cleo = opened.load_contacts().get(CLEO)
    assert cleo is not None
    assert cleo.verified is verified


def test_a_contact_that_is_removed_is_gone_and_the_others_stay(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ended = run_command(capfd, "contacts", "remove", "ben", "--home", str(home))
    assert ended.code == 0
    assert "removed ben" in ended.talk
    assert [one.peer_id for one in Home.open(home, create=False).load_contacts()] == ["cleo"]


@pytest.mark.parametrize("verb", [["show", "dora"], ["remove", "dora"], ["rename", "dora", "d"], ["verify", "dora"]])
def test_a_contact_that_is_not_there_is_3(verb: list[str], home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ended = run_command(capfd, "contacts", *verb, "--home", str(home))
    assert ended.code == 3
    assert "hint: see `mpcnode contacts list`" in ended.talk


@pytest.mark.parametrize("verb", [["remove", "ben"], ["rename", "ben", "b"], ["verify", "ben"]])
def test_a_contact_is_not_changed_under_a_node_that_would_write_it_back(verb: list[str], home: Path) -> None:
    with Home.open(home, create=False).lock():
        ended = mpcnode("contacts", *verb, "--home", str(home))
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


def test_settings_are_shown_set_and_forgotten(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for key, value in (("server", "wss://mpc.example"), ("room", "vault-7"), ("moniker", "ana")):
        ended = run_command(capfd, "settings", key, value, "--home", str(home))
        assert ended.code == 0, ended.talk
        assert run_command(capfd, "settings", key, "--home", str(home)).out == f"{value}\n"
    assert Home.open(home, create=False).load_settings() == Settings(PeerId("ana"), "vault-7", "wss://mpc.example")
    (shown,) = run_command(capfd, "settings", "--json", "--home", str(home)).lines
    assert shown == {"home": str(home), "moniker": "ana", "server": "wss://mpc.example", "room": "vault-7"}
    (shown,) = run_command(capfd, "settings", "room", "--forget", "--json", "--home", str(home)).lines
    assert "room" not in shown
    assert shown["server"] == "wss://mpc.example"
    ended = run_command(capfd, "settings", "room", "--home", str(home))
    assert (ended.code, ended.out) == (0, "")
    assert "public (the default)" in ended.talk


def test_ice_servers_are_remembered_as_urls_and_files_whose_credentials_stay_where_they_are(
    home: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mpcnode.cli.actions.node import _config

    (tmp_path / "turn.json").write_text('[{"urls": ["turn:b.example"], "username": "ana", "credential": "hush"}]')
    monkeypatch.chdir(tmp_path)
    ended = run_command(capfd, "settings", "ice-servers", "stun:a.example:3478", "@turn.json", "--home", str(home))
    assert ended.code == 0
    assert "hush" not in ended.out + ended.talk + (home / "settings.yaml").read_text()
    kept = Home.open(home, create=False).load_settings()
    assert kept.ice_servers == ("stun:a.example:3478", f"@{tmp_path / 'turn.json'}")
    used = _config(NodeOptions(home=home), home, "none").ice_servers
    assert [one.urls for one in used] == [("stun:a.example:3478",), ("turn:b.example",)]
    used = _config(NodeOptions(home=home, ice_server=["stun:c.example"]), home, "none").ice_servers
    assert [one.urls for one in used] == [("stun:c.example",)]  # an option goes first
    assert run_command(capfd, "settings", "ice-servers", "--forget", "--home", str(home)).code == 0
    assert Home.open(home, create=False).load_settings() == Settings()


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("server", "http://mpc.example"), "ws://mpc.example"),
        (("room", "a b"), "--room is"),
        (("room", "a", "--forget"), "leave one of them out"),
        (("room", "a", "b"), "quotation marks"),
        (("--forget",), "name one of"),
        (("ice-servers", "http://a"), "--ice-server is like"),
        (("ice-servers", *(["stun:a"] * 17)), "put several in one file"),
        (("moniker", "bob"), "use another --home"),
        (("zoom", "a"), "ice-servers"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(
    arguments: tuple[str, ...], hint: str, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ended = run_command(capfd, "settings", *arguments, "--home", str(home))
    assert ended.code == 2
    assert hint in ended.talk
    assert Home.open(home, create=False).load_settings() == Settings()


@pytest.mark.process
def test_what_a_node_was_given_when_it_first_reached_its_server_is_remembered(
    server: str, passphrase: Path, tmp_path: Path
) -> None:
    place = tmp_path / "new"
    given = ("--home", str(place), "--kdf", "interactive", "--passphrase-file", str(passphrase), "--loopback")
    gone = mpcnode("register", "--server", "ws://127.0.0.1:1", "--peer-id", "dora", "--accept", "none", *given)
    assert gone.returncode == 5
    assert Home.open(place, create=False).load_settings().server is None  # that was no success
    for room in ("first", "second"):
        assert mpcnode("peers", "--server", server, "--room", room, *given[:2], *given[4:6]).returncode == 0
        assert Home.open(place, create=False).load_settings() == Settings(PeerId("dora"), "first", server)
    alone = ("-t", "2", "-n", "2", "--wait", "1", "--yes", "--ice-server", "stun:127.0.0.1:9")
    assert mpcnode("create-wallet", *alone, *given).returncode == 6  # at the server that is remembered
    kept = Home.open(place, create=False).load_settings()
    assert kept == Settings(PeerId("dora"), "first", server, ("stun:127.0.0.1:9",))


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
