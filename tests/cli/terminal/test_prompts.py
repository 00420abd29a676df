"""Questions on a real terminal, and the errors where there is none."""

import select
import textwrap
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from mpcnode.cli.terminal.prompts import parse_choice, passphrase
from mpcnode.errors import KeystoreAbsent
from tests.helpers.terminal import Terminal, mpcnode, terminal

THROW_AWAY = ("--kdf", "interactive", "--loopback")
NOWHERE = ("--server", "ws://127.0.0.1:9")


NAMES = ("ana", "ben", "cleo")


@pytest.mark.parametrize(
    ("line", "chosen"),
    [
        ("1 2\n", ("ana", "ben")),
        ("3,2", ("ben", "cleo")),
        ("cleo ana", ("ana", "cleo")),
        ("ana 3", ("ana", "cleo")),
    ],
)
def test_a_choice_is_names_or_numbers(line: str, chosen: tuple[str, ...]) -> None:
    assert parse_choice(line, NAMES, 2) == chosen


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("", "choose 2, and not 0"),
        ("1", "choose 2, and not 1"),
        ("1 1", "ana is named twice"),
        ("ana 1", "ana is named twice"),
        ("0 1", '"0" is neither a name nor a number from 1 to 3'),
        ("4 1", '"4" is neither'),
        ("x\x1b[2J 1", '"x\\x1b[2J" is neither'),
        ("² 1", '"\\xb2" is neither'),
    ],
)
def test_what_is_no_choice_is_answered_with_the_reason(line: str, why: str) -> None:
    said = parse_choice(line, NAMES, 2)
    assert isinstance(said, str)
    assert said.startswith(why)


def test_a_peer_called_by_a_number_is_never_taken_for_another() -> None:
    assert parse_choice("2", ("2", "x"), 1) == "2 is the name of one peer and the number of another: name it otherwise"
    assert parse_choice("x", ("2", "x"), 1) == ("x",)
    assert parse_choice("1", ("2", "x"), 1) == ("2",)
    assert parse_choice("7", ("7", "x"), 1) == ("7",)


# ---- questions on a terminal ----

CHILD = """
import asyncio, sys
from mpcnode.cli import streams
from mpcnode import status
from mpcnode.cli.terminal.output import open_output
from mpcnode.cli.terminal.prompts import TerminalUser
from tests.helpers.statuses import SESSION, peers, proposed

WORDS = ("answer", "rate", "famous", "ivory", "visit", "wire")

async def main(output, user):
{body}

async def run():
    with open_output(json={json}) as output:
        result = await main(output, TerminalUser(output))
        if {json}:
            output.say(f"the result is {result}")
    if not {json}:
        print(result)

streams.open_here()
asyncio.run(run())
"""


def asking(body: str, size: tuple[int, int] = (80, 24), *, json: bool = False) -> AbstractContextManager[Terminal]:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return terminal(size=size, program=("-c", CHILD.replace("{json}", str(json)).replace("{body}", lines)))


APPROVE = """
proposal = proposed("cli1", "cli2", "cli3")
output.event(proposal)
return await user.approve(proposal)
"""
COMPARE = """
output.event(proposed("alice", "bob", "carol"))
output.event(status.Progress(SESSION, "confirming", ("alice",)))
words = status.SafetyWords(SESSION, WORDS)
output.event(words)
return await user.confirm_words(words)
"""


@pytest.mark.process
@pytest.mark.parametrize("answer", ["", "x", "yess", "ja", " "])
@pytest.mark.parametrize("question", [APPROVE, COMPARE], ids=["approve", "words"])
def test_any_answer_but_yes_or_no_is_asked_again(answer: str, question: str) -> None:
    with asking(question) as screen:
        screen.expect("[y]")
        screen.expect("> ")
        screen.type(f"{answer}\n")
        screen.expect("please answer y or n")
        screen.expect("> ")
        screen.type(" Yes\n")
        assert screen.end() == (0, "True\n")


@pytest.mark.process
@pytest.mark.parametrize("question", [APPROVE, COMPARE], ids=["approve", "words"])
def test_a_question_can_be_explained_and_answered_with_no(question: str) -> None:
    with asking(question) as screen:
        screen.expect("> ")
        screen.type("?\n")
        screen.expect("If ")
        screen.expect("> ")
        screen.type("n\n")
        assert screen.end() == (0, "False\n")


@pytest.mark.process
@pytest.mark.parametrize("columns", [80, 60])
def test_the_words_and_with_whom_to_compare_them_are_seen(columns: int) -> None:
    with asking(COMPARE, (columns, 24)) as screen:
        screen.expect("> ")
        seen = screen.seen()
        text = " ".join(" ".join(seen).split())
        assert "answer rate famous ivory visit wire" in text
        assert "Ask bob and carol by voice or in person." in text
        for number, name in enumerate(("alice", "bob", "carol")):
            assert name in text
            assert " ".join([f"{number:02x}" * 8]) in text  # its fingerprint
        assert seen[[row.startswith(">") for row in seen].index(True) - 1].startswith("[y] the same   [n] different")
        screen.type("y\n")
        assert screen.end() == (0, "True\n")


@pytest.mark.process
def test_a_question_that_nobody_answers_ends_its_line() -> None:
    body = """
    output.event(proposed("cli1", "cli2"))
    try:
        async with asyncio.timeout(2):
            await user.approve(proposed("cli1", "cli2"))
    except TimeoutError:
        output.event(status.Warned("what comes next"))
    """
    with asking(textwrap.dedent(body)) as screen:
        screen.expect("what comes next")
        rows = [row.rstrip() for row in screen.seen()]
        assert "warning: what comes next" in rows
        assert "this question is over; no answer is needed any more" in rows
        assert screen.end()[0] == 0


@pytest.mark.process
def test_a_choice_of_peers_is_asked_again_until_it_is_one() -> None:
    with asking('return await user.choose_peers(peers("ana", "ben", "cleo"), 2)') as screen:
        for answer, why in [("", "choose 2, and not 0"), ("9 1", '"9" is neither'), ("x", ""), ("1 1", "twice")]:
            screen.expect("> ")
            screen.type(f"{answer}\n")
            screen.expect(why)
        screen.expect("> ")
        screen.type("cleo 1\n")
        assert screen.end() == (0, "('ana', 'cleo')\n")


@pytest.mark.process
@pytest.mark.parametrize("columns", [80, 60])
def test_a_live_view_leaves_the_last_state_and_every_sentence_once(columns: int) -> None:
    body = """
    from tests.helpers.statuses import ended
    output.event(status.Warned("first"))
    output.event(proposed("alice", "bob", "carol"))
    for phase in ("negotiating", "connecting", "sharing", "storing"):
        for waiting in (("bob", "carol"), ("carol",)):
            output.event(status.Progress(SESSION, phase, waiting))
            await asyncio.sleep(0.02)
    output.event(status.Answered(SESSION, "carol", accepted=False, reason="no" + " " * 90 + "error: none"))
    output.event(ended())
    output.event(status.Warned("last"))
    """
    with asking(textwrap.dedent(body), (columns, 24)) as screen:
        assert screen.end()[0] == 0
        rows = screen.emulator.all_rows()
        assert rows[0] == "warning: first"
        assert rows[-1] == "warning: last"
        assert [sum(name in row and "done" in row for row in rows) for name in ("alice", "bob")] == [1, 1]
        assert not any("waiting for" in row for row in rows)  # no frame was left behind
        assert sum(row.startswith(("error", "hint")) for row in rows) == 0
        assert any("90 spaces" in row for row in rows)


@pytest.mark.process
def test_a_long_message_is_shown_in_pages_and_what_is_not_shown_is_counted() -> None:
    body = """
    import hashlib, msgspec
    text = "\\n".join(f"line {number}" for number in range(100)).encode()
    sign = status.SignView("ab" * 16, 0, "text", (text.hex(),), (hashlib.sha256(text).hexdigest(),), ("ef" * 32,))
    proposal = msgspec.structs.replace(proposed("cli1", "cli2", "cli3"), kind="sign", proposer="cli3", sign=sign)
    output.event(proposal)
    return await user.approve(proposal)
    """
    with asking(textwrap.dedent(body)) as screen:
        screen.expect("> ")
        pages = 0
        while not any("| line 99" in row for row in screen.seen()):
            seen = screen.seen()
            assert "sign this text with treasury for cli3?" in seen
            assert any(row.startswith("-- ") and "more row" in row for row in seen)
            screen.type("m\n")
            screen.expect("> ")
            pages += 1
        assert pages > 4
        screen.type("y\n")
        assert screen.end() == (0, "True\n")


FLOOD = """
loop, slowest = asyncio.get_running_loop(), 0.0
output.event(status.Warned("ready"))
await asyncio.to_thread(sys.stdin.readline)
output.event(proposed("cli1", "cli2"))
for number in range(5000):
    before = loop.time()
    output.event(status.Progress(SESSION, "sharing", ("cli2",) if number % 2 else ()))
    output.event(status.Warned("x" * 100))
    await asyncio.sleep(0)
    slowest = max(slowest, loop.time() - before)
return slowest < 5
"""


@pytest.mark.process
def test_a_terminal_that_is_stopped_stops_nothing_else() -> None:
    with asking(FLOOD) as screen:
        screen.expect("ready")
        screen.type("\x13")  # Ctrl-S
        screen.type("go\n")
        assert screen.process.stdout is not None
        assert select.select([screen.process.stdout], [], [], 30)[0]  # it came to its end, stopped terminal or not
        screen.type("\x11")  # Ctrl-Q
        assert screen.end() == (0, "True\n")


@pytest.mark.process
def test_a_program_that_reads_no_json_stops_nothing_either() -> None:
    with asking(FLOOD, json=True) as screen:
        assert screen.process.stdout is not None
        assert b"ready" in screen.process.stdout.readline()
        screen.type("go\n")
        screen.expect("the result is True")  # nothing of 1 MB was read
        code, data = screen.end()
        assert code == 0
        assert '"event":"warning"' in data


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
    with terminal(
        "register", "--accept", "none", "--home", str(tmp_path / "home"), *NOWHERE, "--kdf", "interactive"
    ) as screen:
        screen.expect("new passphrase for ")
        screen.type("correct horse\n")
        screen.expect("the same again: ")
        screen.type("correct horse\n")
        code, _ = screen.end()
        assert code == 5  # there is no server, and that is another matter
        assert "horse" not in screen.shown
    with terminal("register", "--accept", "none", "--home", str(tmp_path / "home"), *NOWHERE) as screen:
        for _ in range(3):
            screen.expect("passphrase for ")
            screen.type("wrong horse\n")
        code, _ = screen.end()
        assert code == 4
        assert "the same again" not in screen.shown


@pytest.mark.process
def test_two_different_passphrases_make_no_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with terminal("register", "--accept", "none", "--home", str(home), *NOWHERE) as screen:
        screen.expect("new passphrase")
        screen.type("one\n")
        screen.expect("again")
        screen.type("two\n")
        code, _ = screen.end()
    assert code == 2
    assert not home.exists()


@pytest.mark.process
def test_an_empty_passphrase_is_asked_for_again_and_ctrl_c_is_130(tmp_path: Path) -> None:
    with terminal("register", "--accept", "none", "--home", str(tmp_path / "home"), *NOWHERE) as screen:
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
        bens.expect("ana asks you to make the wallet wallet together, 2 of 2. Take part?")
        bens.expect("> ")
        bens.type("y\n")
        for screen in (anas, bens):
            screen.expect("[y] the same   [n] different")
            screen.expect("> ")
            screen.type("yes\n")
        code, data = anas.end()
        assert code == 0
        assert "state         active" in data
        assert "safety words  compared by this node's user\n" in data
        bens.expect("done in")
        bens.type("\x03")
        # Not its controlling terminal, so the key alone does nothing: the signal does.
        bens.process.send_signal(2)
        assert bens.end()[0] == 130
    words = [screen.shown.split("Are these six words")[0].split("\r\n")[-3].strip() for screen in (anas, bens)]
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
            cleos.expect("> ")
            cleos.type("\n")  # a stray key is no answer
            cleos.expect("please answer y or n")
            cleos.expect("> ")
            cleos.type("n\n")
            cleos.expect("this node does not take part: ")
            code, _ = doras.end()
            assert code == 6
            assert "cleo" in doras.shown.split("error: ")[1]
        with terminal(*dora) as doras:
            cleos.expect("Take part?")
            cleos.expect("> ")
            cleos.type("y\n")
            doras.expect("[n] different")
            doras.expect("> ")
            doras.type("n\n")
            code, data = doras.end()
            assert code == 4
            assert data == ""
        cleos.process.send_signal(15)
        assert cleos.end()[0] == 130
