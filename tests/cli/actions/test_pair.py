"""``mpcnode pair``: two people, two terminals, one code; and everything that can go wrong between them."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.store import Home
from mpcnode.signaling.slots import Slot, SlotOver
from mpcnode.wire.code import parse_code
from tests.cli.actions.test_help import completed
from tests.helpers.sign_command import run_command
from tests.helpers.terminal import Terminal, clean_environment, mpcnode, terminal

DEADLINE = 60.0


class Person:
    """A home and how its owner begins every command."""

    def __init__(self, name: str, tmp_path: Path, passphrase: Path, server: str) -> None:
        self.name = name
        self.home = tmp_path / name
        self.server = server
        self.options = (
            *("--home", str(self.home), "--peer-id", name, "--server", server),
            *("--kdf", "interactive", "--passphrase-file", str(passphrase)),
        )

    def pair(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return mpcnode("pair", *arguments, *self.options)

    @contextmanager
    def inviting(self, *arguments: str) -> "Iterator[tuple[subprocess.Popen[str], str]]":
        """A command that has made a code; gives it and the code."""
        command = [sys.executable, "-m", "mpcnode", "pair", "--json", *arguments, *self.options]
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(),
        ) as process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                assert line, process.stderr.read() if process.stderr else ""
                shown = json.loads(line)
                assert shown["event"] == "pairing_code"
                yield process, shown["code"]
            finally:
                process.kill()

    @property
    def contacts(self) -> dict[str, str]:
        return {one.peer_id: one.how for one in Home.open(self.home, create=False).load_contacts()}


@pytest.fixture
def alice(tmp_path: Path, passphrase: Path, server: str) -> Person:
    return Person("alice", tmp_path, passphrase, server)


@pytest.fixture
def bob(tmp_path: Path, passphrase: Path, server: str) -> Person:
    return Person("bob", tmp_path, passphrase, server)


def last(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """The last line of a command that ends."""
    out, _ = process.communicate(timeout=DEADLINE)
    said: dict[str, Any] = json.loads(out.splitlines()[-1])
    return said


def wrong(code: str) -> str:
    """The code with other words, of which none is nearly one of the list."""
    return f"{code.partition('-')[0]}-swirl-motor"


def slot_of(server: str, code: str) -> str:
    """What is said of the slot of a code now."""

    async def claim() -> str:
        async with asyncio.timeout(10), Slot.open(server) as slot:
            await slot.claim(parse_code(code).slot)
            try:
                await slot.claimed()
            except SlotOver as over:
                return over.code
            return "claimed"

    return asyncio.run(claim())


# --- what is wrong is refused before anything is asked, made or dialled ---


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["12"], "this is not all of a code"),
        (["swirl-motor"], "a code begins with the number of its slot"),
        (["12-aardvrk-adviser"], "is it 'aardvark'?"),
        (["12", "adviser", "aardvark"], "another order than any code has"),
        (["12-swirl-motor", "--words", "3"], "--words is for a code that is made here"),
        (["--words", "1"], "--words"),
        (["--as", "b ob"], "'b ob' is not a peer id"),
        (["--server", "http://mpc.example"], "is a web page's URL"),
    ],
)
@pytest.mark.usefixtures("alone")
def test_what_cannot_be_right_is_refused_before_anything_is_made(
    arguments: list[str], said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ended = run_command(capfd, "pair", *arguments, "--home", str(tmp_path / "home"))
    assert ended.code == 2
    assert said in ended.talk
    assert "hint: " in ended.talk
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("mpcnode pair 12-aa", ["12-aardvark"]),
        ("mpcnode pair 12-aardvark-ad", ["12-aardvark-adroitness", "12-aardvark-adviser"]),
        ("mpcnode pair 12 aa", ["aardvark"]),
        ("mpcnode pair 12 Swirl VA", ["VAcancy", "VAgabond"]),
        ("mpcnode pair 1", []),
    ],
)
@pytest.mark.process
def test_a_shell_completes_the_words(words: str, offered: list[str]) -> None:
    assert completed(words) == offered


# --- two people ---


@pytest.mark.process
def test_two_that_know_nothing_but_a_server_are_contacts_after_one_code(alice: Person, bob: Person) -> None:
    with alice.inviting() as (process, code):
        joined = bob.pair(code.upper().replace("-", " "), "--as", "al")
        assert joined.returncode == 0, joined.stderr
        said = last(process)
    name, fingerprint = joined.stdout.splitlines()
    assert name == "al is a contact, verified by the code"
    assert "it calls itself alice" in joined.stderr
    assert process.returncode == 0
    contact = said["contact"]
    assert (contact["peer_id"], contact["verified"], contact["how"]) == ("bob", True, "code")
    assert alice.contacts == {"bob": "code"}
    assert bob.contacts == {"al": "code"}
    home = Home.open(alice.home, create=False)
    assert fingerprint.removeprefix("fingerprint ") in mpcnode("contacts", "show", "al", "--home", str(bob.home)).stdout
    with Keyring(bytearray(b"correct horse")) as keyring:
        (known,) = home.load_contacts()
        assert len(home.load_pair_key(known.public_key, keyring)) == 32


@pytest.mark.process
def test_a_wrong_word_is_4_for_both_and_the_code_is_used_up(alice: Person, bob: Person) -> None:
    with alice.inviting() as (process, code):
        joined = bob.pair(wrong(code))
        said = last(process)
    assert joined.returncode == process.returncode == 4
    assert "it may have been a typing error or an attack" in joined.stderr
    assert said["error"]["code"] == "wrong_code"
    assert said["error"]["message"].startswith("the code was used with a wrong password: it may have been")
    assert alice.contacts == bob.contacts == {}
    again = bob.pair(code)
    assert again.returncode == 5
    assert "used up" in again.stderr


@pytest.mark.process
def test_where_no_server_is_it_is_5(tmp_path: Path, passphrase: Path) -> None:
    ended = Person("alice", tmp_path, passphrase, "ws://127.0.0.1:1").pair()
    assert ended.returncode == 5
    assert "no server with slots at ws://127.0.0.1:1" in ended.stderr


@pytest.mark.process
def test_a_home_that_pairs_already_is_in_use(alice: Person) -> None:
    with alice.inviting():
        second = alice.pair()
    assert second.returncode == 3
    assert "hint: " in second.stderr


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_no_slot_open(alice: Person, number: signal.Signals) -> None:
    with alice.inviting() as (process, code):
        process.send_signal(number)
        assert last(process)["error"]["code"] == "interrupted"
        assert process.returncode == 130
        assert slot_of(alice.server, code) in {"slot_over", "unknown_slot"}
    assert alice.contacts == {}


# --- at a terminal ---


@contextmanager
def at_a_terminal(person: Person) -> Iterator[Terminal]:
    with terminal("pair", *person.options) as shown:
        yield shown


def next_code(shown: Terminal) -> str:
    shown.expect("there: mpcnode pair ")
    shown.expect(" --server")
    return shown.shown.rpartition("there: mpcnode pair ")[2].split()[0]


@pytest.mark.process
def test_after_a_wrong_word_a_new_code_is_offered_and_works(alice: Person, bob: Person) -> None:
    with at_a_terminal(alice) as shown:
        first = next_code(shown)
        assert bob.pair(wrong(first)).returncode == 4
        shown.expect("the code was used with a wrong password")
        shown.expect("Make a new code?")
        shown.expect("> ")
        shown.type("?\n")
        shown.expect("A code works once")
        shown.expect("> ")
        shown.type("y\n")
        second = next_code(shown)
        assert second != first
        assert bob.pair(second).returncode == 0
        code, out = shown.end()
    assert code == 0
    assert out.splitlines()[:3] == [first, second, "bob is a contact, verified by the code"]
    assert alice.contacts == {"bob": "code"}


@pytest.mark.process
def test_who_wants_no_new_code_ends_with_the_error(alice: Person, bob: Person) -> None:
    with at_a_terminal(alice) as shown:
        assert bob.pair(wrong(next_code(shown))).returncode == 4
        shown.expect("> ")
        shown.type("n\n")
        assert shown.end()[0] == 4


@pytest.mark.process
def test_ctrl_c_at_the_question_is_130(alice: Person, bob: Person) -> None:
    with at_a_terminal(alice) as shown:
        assert bob.pair(wrong(next_code(shown))).returncode == 4
        shown.expect("> ")
        shown.process.send_signal(signal.SIGINT)
        assert shown.end()[0] == 130


# --- while a node runs under the home ---


@pytest.fixture
def running(alice: Person) -> Iterator["subprocess.Popen[str]"]:
    """Alice's node runs."""
    command = [sys.executable, "-m", "mpcnode", "register", "--json", "--accept", "none", "--stop-with-stdin"]
    with subprocess.Popen(
        [*command, *alice.options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=clean_environment(),
    ) as process:
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["event"] == "registered"
            yield process
        finally:
            process.kill()


@pytest.mark.process
def test_a_running_node_pairs_for_its_command(alice: Person, bob: Person, running: "subprocess.Popen[str]") -> None:
    with alice.inviting() as (process, code):
        assert bob.pair(code).returncode == 0
        assert last(process)["contact"]["peer_id"] == "bob"
        assert process.returncode == 0
    with bob.inviting() as (process, code):
        assert alice.pair(code).returncode == 0
        assert last(process)["contact"]["peer_id"] == "alice"
    assert alice.contacts == {"bob": "code"}
    out, _ = running.communicate(timeout=DEADLINE)
    assert "pairing_code" not in out


@pytest.mark.process
def test_ctrl_c_of_its_command_leaves_no_slot_and_the_node_runs_on(
    alice: Person, running: "subprocess.Popen[str]"
) -> None:
    with alice.inviting() as (process, code):
        process.send_signal(signal.SIGINT)
        said = last(process)["error"]
        assert said["hint"] == "the command was stopped; the node under this home runs on"
        assert process.returncode == 130
    for _ in range(50):  # the node hears of it a moment later
        if (found := slot_of(alice.server, code)) != "claimed":
            break
    assert found in {"slot_over", "unknown_slot", "crowded"}
    assert running.poll() is None


@pytest.mark.process
@pytest.mark.usefixtures("running")
def test_a_wrong_word_at_a_running_node_is_4_and_it_runs_on(alice: Person, bob: Person) -> None:
    with alice.inviting() as (process, code):
        assert bob.pair(wrong(code)).returncode == 4
        assert last(process)["error"]["code"] == "wrong_code"
    with alice.inviting() as (process, code):
        assert bob.pair(code).returncode == 0
        assert process.wait(DEADLINE) == 0


@pytest.mark.process
@pytest.mark.usefixtures("running")
def test_an_option_that_the_running_node_cannot_honour_is_2(alice: Person) -> None:
    ended = mpcnode("pair", "--home", str(alice.home), "--server", "ws://127.0.0.1:2")
    assert ended.returncode == 2
    assert "was started with another --server" in ended.stderr
