"""Questions on a real terminal, and the errors where there is none."""

from pathlib import Path

import pytest

from mpcnode.cli.terminal.prompts import _parse_choice, passphrase
from mpcnode.errors import KeystoreAbsent
from tests.helpers.terminal import mpcnode, terminal

THROW_AWAY = ("--kdf", "interactive", "--loopback")
NOWHERE = ("--server", "ws://127.0.0.1:9")


@pytest.mark.parametrize(
    ("line", "chosen"),
    [
        ("1 2\n", {1, 2}),
        ("2,3", {2, 3}),
        ("", set()),
        ("1 1", None),
        ("0", None),
        ("4", None),
        ("x", None),
        ("²", None),
    ],
)
def test_a_choice_is_numbers_each_once(line: str, chosen: set[int] | None) -> None:
    assert _parse_choice(line, 3) == chosen


def test_a_home_that_lost_its_identity_is_not_asked_for_a_new_passphrase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "wallets" / ("ab" * 16)).mkdir(parents=True, mode=0o700)
    (tmp_path / "wallets" / ("ab" * 16) / "ana.json").touch(mode=0o600)
    monkeypatch.setattr("mpcnode.cli.terminal.prompts.has_terminal", lambda: True)
    with pytest.raises(KeystoreAbsent, match="identity"):
        passphrase(tmp_path, file=None, fd=None)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (("register",), "--accept"),
        (("register", "--accept", "auto"), "--yes"),
        (("register", "--accept", "none"), "--passphrase-file"),
        (("create-wallet", "-t", "2", "-n", "2"), "--yes"),
        (("create-wallet", "-t", "2", "-n", "2", "--yes"), "--passphrase-file"),
        (("peers",), "--passphrase-file"),
    ],
)
def test_a_question_without_a_terminal_is_exit_2_naming_the_option(
    arguments: tuple[str, ...], option: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    run = mpcnode(*arguments, "--home", str(home))
    assert run.returncode == 2
    assert f"hint: add {option}" in run.stderr
    assert not home.exists()


@pytest.mark.process
def test_a_new_homes_passphrase_is_asked_twice_and_never_shown(tmp_path: Path) -> None:
    with terminal("peers", "--home", str(tmp_path / "home"), *NOWHERE, "--kdf", "interactive") as screen:
        screen.expect("new passphrase for ")
        screen.type("correct horse\n")
        screen.expect("the same again: ")
        screen.type("correct horse\n")
        code, _ = screen.end()
        assert code == 5  # there is no server, and that is another matter
        assert "horse" not in screen.shown
    with terminal("peers", "--home", str(tmp_path / "home"), *NOWHERE) as screen:
        screen.expect("passphrase for ")
        screen.type("wrong horse\n")
        code, _ = screen.end()
        assert code == 4
        assert "the same again" not in screen.shown


@pytest.mark.process
def test_two_different_passphrases_make_no_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with terminal("peers", "--home", str(home), *NOWHERE) as screen:
        screen.expect("new passphrase")
        screen.type("one\n")
        screen.expect("again")
        screen.type("two\n")
        code, _ = screen.end()
    assert code == 2
    assert not home.exists()


@pytest.mark.process
def test_an_empty_passphrase_is_asked_for_again_and_ctrl_c_is_130(tmp_path: Path) -> None:
    with terminal("peers", "--home", str(tmp_path / "home"), *NOWHERE) as screen:
        screen.expect("new passphrase")
        screen.type("\n")
        screen.expect("cannot be empty")
        screen.expect("new passphrase")
        screen.type("\x04")  # end of file
        code, _ = screen.end()
    assert code == 130


@pytest.mark.process
@pytest.mark.webrtc
def test_two_people_make_a_wallet_and_compare_its_words(tmp_path: Path, server: str, passphrase: Path) -> None:
    common = ("--server", server, "--passphrase-file", str(passphrase), *THROW_AWAY)
    ben = terminal("register", "--home", str(tmp_path / "ben"), "--peer-id", "ben", *common)
    ana = terminal("create-wallet", "-t", "2", "-n", "2", "--home", str(tmp_path / "ana"), "--peer-id", "ana", *common)
    with ben as bens, ana as anas:
        bens.type("n\n")  # typed before anything was asked: no answer
        bens.expect("ana asks you to make the wallet wallet together, 2 of 2")
        bens.expect("take part? [y/N] ")
        bens.type("y\n")
        for screen in (anas, bens):
            screen.expect("are they the same? [y/N] ")
            screen.type("yes\n")
        code, data = anas.end()
        assert code == 0
        assert "state         active" in data
        assert "verified      by safety words that a user compared\n" in data
        bens.expect("done in")
        bens.type("\x03")
        # Not its controlling terminal, so the key alone does nothing: the signal does.
        bens.process.send_signal(2)
        assert bens.end()[0] == 130
    words = [screen.shown.split("safety words: ")[1].splitlines()[0] for screen in (anas, bens)]
    assert words[0] == words[1]
    assert len(words[0].split()) == 6


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.webrtc
def test_words_that_differ_end_it_and_somebody_who_says_no_is_named(
    tmp_path: Path, server: str, passphrase: Path
) -> None:
    room = ("--room", "other")
    common = ("--server", server, "--passphrase-file", str(passphrase), *THROW_AWAY, *room)
    cleo = terminal("register", "--home", str(tmp_path / "cleo"), "--peer-id", "cleo", *common)
    dora = ("create-wallet", "-t", "2", "-n", "2", "--home", str(tmp_path / "dora"), "--peer-id", "dora", *common)
    with cleo as cleos:
        with terminal(*dora) as doras:
            cleos.expect("take part? [y/N] ")
            cleos.type("\n")
            code, _ = doras.end()
            assert code == 6
            assert "cleo" in doras.shown.split("error: ")[1]
        with terminal(*dora) as doras:
            cleos.expect("take part? [y/N] ")
            cleos.type("y\n")
            doras.expect("are they the same? [y/N] ")
            doras.type("n\n")
            code, data = doras.end()
            assert code == 8
            assert data == ""
        cleos.process.send_signal(15)
        assert cleos.end()[0] == 130
