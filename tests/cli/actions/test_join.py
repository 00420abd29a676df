"""``mpcnode create-wallet --invite`` and ``mpcnode join``: what is refused at once, and real processes."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mpcnode.keystore.store import Home
from mpcnode.signaling.slots import Slot, SlotOver
from mpcnode.wire import invitation as invitations
from mpcnode.wire.code import parse_code
from mpcnode.wire.invitation import Invitation
from tests.helpers.identities import key_of
from tests.helpers.sign_command import answering, run_command
from tests.helpers.terminal import Terminal, clean_environment, mpcnode, terminal

DEADLINE = 60.0


def link_of(server: str = "ws://127.0.0.1:9000", *, lasts: int = 3_600_000) -> str:
    expires = time.time_ns() // 1_000_000 + lasts
    return invitations.encode(
        Invitation(server=server, room=b"r" * 16, key=key_of("alice"), secret=b"s" * 16, expires=expires)
    )


# --- what is wrong is refused before anything is asked, made or dialled ---


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["12"], 2, "this is not all of a code"),
        (["12-aardvrk-adviser"], 2, "is it 'aardvark'?"),
        (["mpcnode:join?v=1"], 2, "not all of the link"),
        ([link_of()[:-1]], 2, "not all of the link"),
        ([link_of().replace("v=1", "v=2")], 9, "an invitation of version 2; this is version 1"),
        ([link_of(lasts=-1)], 5, "the time of the invitation is over"),
        ([link_of(), "--server", "ws://other:9000"], 2, "--server names another"),
        ([link_of()], 2, "there is no terminal"),
        ([link_of(), "--accept", "auto"], 2, "the safety words have to be compared"),
        ([link_of(), "--room", "here"], 2, "--room"),
    ],
)
@pytest.mark.usefixtures("alone")
def test_what_cannot_be_joined_is_refused_before_anything_is_made(
    arguments: list[str], code: int, said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ended = run_command(capfd, "join", *arguments, "--home", str(tmp_path / "home"))
    assert ended.code == code
    assert said in ended.talk
    assert "hint: " in ended.talk
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--invite", "--with", "bob,carol"], "--with names the others"),
        (["--invite", "--room", "here"], "an invitation has a room of its own"),
        (["--invite", "--words", "1"], "--words"),
        (["--invite", "--wait", "0"], "an invitation is good for some time"),
        (["--no-qr"], "go with --invite"),
        (["--words", "3"], "go with --invite"),
    ],
)
@pytest.mark.usefixtures("alone")
def test_what_cannot_be_an_invitation_is_refused_before_anything_is_made(
    arguments: list[str], said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    home = ("--home", str(tmp_path / "home"), "--yes")
    ended = run_command(capfd, "create-wallet", "--threshold", "2", "--total", "3", *arguments, *home)
    assert ended.code == 2
    assert said in ended.talk
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    "command", [("join", link_of(), "--accept", "auto"), ("create-wallet", "-t", "2", "-n", "3", "--invite")]
)
def test_where_a_node_runs_it_is_said_that_an_invitation_has_a_room_of_its_own(
    command: tuple[str, ...], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with answering(tmp_path):
        ended = run_command(capfd, *command, "--yes", "--home", str(tmp_path))
    assert ended.code == 3
    assert "a room of its own" in ended.talk


# --- processes ---


class Person:
    """A home and how its owner begins every command."""

    def __init__(self, name: str, tmp_path: Path, passphrase: Path, server: str) -> None:
        self.home = tmp_path / name
        self.server = server
        self.options = (
            *("--home", str(self.home), "--peer-id", name, "--loopback", "--yes"),
            *("--kdf", "interactive", "--passphrase-file", str(passphrase)),
        )

    @contextmanager
    def inviting(self, *arguments: str) -> "Iterator[Inviting]":
        command = (
            *(sys.executable, "-m", "mpcnode", "create-wallet", "--json", "-t", "2", "-n", "2", "--invite"),
            *(*arguments, "--server", self.server, *self.options),
        )
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(),
        ) as process:
            try:
                yield Inviting(process)
            finally:
                process.kill()

    def joins(self, what: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return mpcnode("join", what, "--accept", "auto", *arguments, *self.options, deadline=DEADLINE)


class Inviting:
    """A command that invites, and what it said so far."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.link = str(self.next("inviting")["link"])

    def next(self, event: str) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said: dict[str, Any] = json.loads(line)
            if said["event"] == event:
                return said
        raise AssertionError(f"no {event}: {self.process.stderr.read() if self.process.stderr else ''}")

    def result(self) -> dict[str, Any]:
        return dict(self.next("result")["wallet"])


@pytest.fixture
def alice(tmp_path: Path, passphrase: Path, server: str) -> Person:
    return Person("alice", tmp_path, passphrase, server)


@pytest.fixture
def bob(tmp_path: Path, passphrase: Path, server: str) -> Person:
    return Person("bob", tmp_path, passphrase, server)


def test_a_link_is_all_that_a_joiner_needs_and_both_homes_remember_the_place(alice: Person, bob: Person) -> None:
    with alice.inviting("--no-codes") as inviting:
        joined = bob.joins(inviting.link)
        assert joined.returncode == 0, joined.stderr
        made = inviting.result()
        assert inviting.process.wait(DEADLINE) == 0
    assert "next:" in joined.stderr
    assert f"id            {made['wallet_id']}" in joined.stdout
    assert "made a new home for this node" in joined.stderr
    settings = [Home.open(one.home, create=False).load_settings() for one in (alice, bob)]
    assert settings[0].room == settings[1].room is not None
    assert settings[0].server == settings[1].server == alice.server


def test_a_code_makes_a_wallet_that_says_so(alice: Person, bob: Person) -> None:
    with alice.inviting("--words", "3") as inviting:
        code = str(inviting.next("pairing_code")["code"])
        assert len(parse_code(code).words) == 3
        joined = bob.joins(code.upper().replace("-", " "), "--server", bob.server, "--json")
        assert joined.returncode == 0, joined.stderr
        assert inviting.result()["verified"] == "code"
    assert json.loads(joined.stdout.splitlines()[-1])["wallet"]["verified"] == "code"
    contacts = [Home.open(one.home, create=False).load_contacts() for one in (alice, bob)]
    assert [[(one.peer_id, one.how) for one in known] for known in contacts] == [[("bob", "code")], [("alice", "code")]]


def test_an_inviter_that_is_interrupted_leaves_no_slot_and_no_wallet(alice: Person) -> None:
    with alice.inviting() as inviting:
        code = parse_code(str(inviting.next("pairing_code")["code"]))
        inviting.process.terminate()
        assert inviting.process.wait(DEADLINE) == 130

    async def claim() -> str:
        async with asyncio.timeout(10), Slot.open(alice.server) as slot:
            await slot.claim(code.slot)
            with pytest.raises(SlotOver) as over:
                await slot.claimed()
            return over.value.code

    assert asyncio.run(claim()) in {"unknown_slot", "slot_over"}
    assert not list((alice.home / "wallets").glob("*"))


def test_the_qr_code_goes_into_a_new_file_that_others_cannot_read(alice: Person, tmp_path: Path) -> None:
    picture = tmp_path / "link.png"
    with alice.inviting("--no-codes", "--qr", str(picture)):
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_mode & 0o077 == 0
    again = mpcnode("create-wallet", "-t", "2", "-n", "2", "--invite", "--qr", str(picture), *alice.options)
    assert again.returncode == 2
    assert "there is a file" in again.stderr


def test_at_a_terminal_the_inviter_sees_who_joined_and_refuses_them(alice: Person, bob: Person) -> None:
    options = [one for one in alice.options if one != "--yes"]
    command = ("create-wallet", "-t", "2", "-n", "3", "--invite", "--no-qr", "--server", alice.server, *options)
    with terminal(*command) as at:
        for _ in range(2):
            at.expect("there: mpcnode join ")
        assert at.process.stdout is not None
        link = at.process.stdout.readline().decode().strip()
        with subprocess.Popen(
            (sys.executable, "-m", "mpcnode", "join", link, "--accept", "auto", *bob.options),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(),
        ) as joining:
            at.expect("joined: bob, came by the link, and nobody verified it")
            _type(at, "refuse nobody\n", "has not joined")
            _type(at, "?\n", "to type here")
            _type(at, "refuse bob\n", "bob is refused")
            _, talk = joining.communicate(timeout=DEADLINE)
            assert joining.returncode == 6
            assert "the user of alice refused this node" in talk
        _type(at, "code\n", "there: mpcnode join ")
        at.process.send_signal(signal.SIGINT)
        at.expect("interrupted")
        assert at.end()[0] == 130


def _type(at: Terminal, text: str, until: str) -> None:
    at.type(text)
    at.expect(until)
