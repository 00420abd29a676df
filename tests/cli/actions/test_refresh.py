"""``mpcnode refresh``: what it takes, what it refuses before anybody is asked, and how it ends."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from mpcnode import status
from mpcnode.commands import Refresh
from mpcnode.errors import (
    KeystoreAbsent,
    MpcError,
    ParticipantCheated,
    ParticipantRefused,
    ParticipantSilent,
    Refused,
    UsageError,
    WalletPending,
)
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.store import Home
from mpcnode.node import User
from mpcnode.types import PeerId, WalletId
from tests.helpers.fake_node import Emit, FakeNode
from tests.helpers.filesystem import QuickFileSystem
from tests.helpers.sign_command import Ended, run_command, serving
from tests.helpers.statuses import wallet as shown
from tests.helpers.wallets import home_with_a_wallet, make_wallet

pytestmark = pytest.mark.usefixtures("alone")

BEN = PeerId("ben")
EVIL = "\x1b[2J\u202e"
SAVED = "the shares of wallet treasury are as they were"

Refreshes = Callable[[Refresh, Emit], Awaitable[status.WalletView]]


async def _at_once(command: Refresh, emit: Emit) -> status.WalletView:
    del emit
    return msgspec.structs.replace(shown(command.wallet), epoch=1)


@dataclass
class Answering:
    """A node that runs, as far as ``mpcnode refresh`` can see."""

    refreshes: Refreshes = _at_once
    commands: list[Refresh] = field(default_factory=list)
    """What it was asked for."""


class _RefreshingNode(FakeNode):
    def __init__(self, home: Path, does: Answering) -> None:
        super().__init__(home)
        self._does = does

    async def refresh(
        self, command: Refresh, *, user: User | None = None, emit: Emit | None = None
    ) -> status.WalletView:
        del user
        assert emit is not None
        self._does.commands.append(command)
        return await self._does.refreshes(command, emit)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the active wallet ``treasury``."""
    return home_with_a_wallet(tmp_path / "home").path


@pytest.fixture
def node(home: Path) -> Iterator[Answering]:
    """A running node that refreshes whatever it is asked to."""
    made = Answering()
    with serving(_RefreshingNode(home, made), home):
        yield made


class RefreshCommand:
    """``mpcnode refresh`` under a home, in this process."""

    def __init__(self, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.home = home
        self._capfd = capfd

    def __call__(self, *arguments: str) -> Ended:
        return run_command(self._capfd, "refresh", "--home", str(self.home), *arguments)


@pytest.fixture
def refresh(home: Path, capfd: pytest.CaptureFixture[str]) -> RefreshCommand:
    return RefreshCommand(home, capfd)


# --- what it takes ---


@pytest.mark.parametrize("arguments", [(), ("treasury", "savings")], ids=["no wallet", "two wallets"])
def test_a_refresh_is_of_one_wallet(arguments: tuple[str, ...], node: Answering, refresh: RefreshCommand) -> None:
    ended = refresh(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert "error: " in ended.talk
    assert not node.commands


@pytest.mark.parametrize("wallet", [EVIL, "", "../x", "a b", "x" * 65])
def test_a_wallet_of_another_form_is_exit_2_and_asks_nobody(
    wallet: str, node: Answering, refresh: RefreshCommand
) -> None:
    ended = refresh(wallet)
    assert (ended.code, ended.out) == (2, "")
    assert "is not a wallet" in ended.talk
    assert not node.commands


@pytest.mark.parametrize("option", ["--answer-seconds", "--round-seconds"])
@pytest.mark.parametrize("seconds", ["0", "86401", "soon", "nan"])
def test_seconds_out_of_bounds_are_exit_2_and_ask_nobody(
    option: str, seconds: str, node: Answering, refresh: RefreshCommand
) -> None:
    ended = refresh("treasury", option, seconds)
    assert (ended.code, ended.out) == (2, "")
    assert option in ended.talk
    assert not node.commands


@pytest.mark.parametrize("option", ["--message", "--with", "--suite", "--yes", "--kdf"])
def test_what_a_refresh_does_not_take_is_exit_2(option: str, node: Answering, refresh: RefreshCommand) -> None:
    ended = refresh("treasury", option, "x")
    assert ended.code == 2
    assert option in ended.talk
    assert not node.commands


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (("treasury",), Refresh(wallet="treasury", answer_within=120_000)),
        (("abab",), Refresh(wallet="abab", answer_within=120_000)),
        (("treasury", "--answer-seconds", "1.5"), Refresh(wallet="treasury", answer_within=1500)),
    ],
)
def test_the_running_node_is_asked_for_it(
    arguments: tuple[str, ...], command: Refresh, node: Answering, refresh: RefreshCommand
) -> None:
    ended = refresh(*arguments)
    assert ended.code == 0, ended.talk
    assert node.commands == [command]


# --- how it ends ---


@pytest.mark.usefixtures("node")
def test_the_wallet_is_printed_with_its_new_epoch(refresh: RefreshCommand) -> None:
    ended = refresh("treasury")
    assert ended.code == 0
    assert f"epoch id      {'ef' * 32}\n" in ended.out
    assert "wallet        treasury\n" in ended.out


def test_the_json_is_events_and_one_result(node: Answering, refresh: RefreshCommand) -> None:
    async def with_events(command: Refresh, emit: Emit) -> status.WalletView:
        wallet = await _at_once(command, emit)
        emit(status.WalletChanged(wallet))
        return wallet

    node.refreshes = with_events
    ended = refresh("treasury", "--json")
    assert (ended.code, ended.talk) == (0, "")
    changed, result = ended.lines
    assert (changed["event"], result["event"]) == ("wallet", "result")
    assert changed["wallet"] == result["wallet"]
    assert (result["wallet"]["name"], result["wallet"]["epoch"], result["wallet"]["state"]) == ("treasury", 1, "active")


ENDS: list[tuple[MpcError, int]] = [
    (KeystoreAbsent("there is no wallet"), 3),
    (WalletPending("pending"), 10),
    (ParticipantRefused("ben refused", culprits=[BEN], saved=SAVED), 6),
    (ParticipantSilent("ben is not here", culprits=[BEN], hint="start it", saved=SAVED), 6),
    (ParticipantCheated("ben cheated", culprits=[BEN], saved=SAVED), 7),
    (Refused("a policy said no"), 8),
    (UsageError("that session is under way"), 2),
]


@pytest.mark.parametrize(("error", "code"), ENDS, ids=[type(error).__name__ for error, _ in ENDS])
def test_a_refresh_that_fails_has_its_exit_code_and_says_what_is_stored(
    error: MpcError, code: int, node: Answering, refresh: RefreshCommand
) -> None:
    async def fail(_command: Refresh, _emit: Emit) -> status.WalletView:
        raise error

    node.refreshes = fail
    ended = refresh("treasury")
    assert (ended.code, ended.out) == (code, "")
    said = [f"{what}: {text}" for what, text in (("hint", error.hint), ("saved", error.saved)) if text]
    assert ended.talk.splitlines()[0] == f"error: {error.message}"
    assert sorted(line for line in ended.talk.splitlines()[1:] if not line.startswith("hint: ")) == [
        line for line in said if not line.startswith("hint: ")
    ]
    assert (error.hint or "hint: ") in ended.talk
    (line,) = refresh("treasury", "--json").lines
    assert (line["event"], line["error"]["code"], line["error"]["exit_code"]) == ("error", error.code, code)
    assert line["error"].get("culprits", []) == list(error.culprits)
    assert line["error"].get("saved") == error.saved


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_is_130(number: int, node: Answering, refresh: RefreshCommand) -> None:
    called_off: list[bool] = []

    async def interrupt(command: Refresh, emit: Emit) -> status.WalletView:
        os.kill(os.getpid(), number)
        try:
            await asyncio.Event().wait()
        finally:
            called_off.append(True)
        return await _at_once(command, emit)

    node.refreshes = interrupt
    ended = refresh("treasury")
    assert (ended.code, ended.out) == (130, "")
    assert "interrupted" in ended.talk
    assert called_off


def test_what_others_wrote_is_shown_escaped(node: Answering, refresh: RefreshCommand) -> None:
    """``run_command`` looks for an escape character in everything that is printed; here is where one could be from."""

    async def evil(command: Refresh, emit: Emit) -> status.WalletView:
        emit(status.Warned(EVIL))
        emit(status.Answered("0" * 32, EVIL, accepted=False, reason=EVIL))
        wallet = await _at_once(command, emit)
        return msgspec.structs.replace(wallet, name=EVIL, participants=(EVIL,), kdf=EVIL)

    node.refreshes = evil
    ended = refresh("treasury")
    assert ended.code == 0
    assert "\\x1b[2J\\u202e" in ended.out


# --- a home without a running node ---


@pytest.mark.parametrize("wallet", ["treasure", "abcd"])
def test_a_wallet_that_is_not_there_is_said_before_anything_is_asked(wallet: str, refresh: RefreshCommand) -> None:
    before = sorted(refresh.home.rglob("*"))
    ended = refresh(wallet)  # there is no passphrase: to ask for one would be exit 2
    assert (ended.code, ended.out) == (3, "")
    assert f"there is no wallet {wallet!a} here" in ended.talk
    assert sorted(refresh.home.rglob("*")) == before


def test_a_home_that_is_not_there_is_not_made(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    ended = RefreshCommand(tmp_path / "absent", capfd)("treasury")
    assert ended.code == 3
    assert "there is no home at" in ended.talk
    assert not (tmp_path / "absent").exists()


def test_two_wallets_of_one_name_are_told_apart_by_their_ids(refresh: RefreshCommand) -> None:
    made = make_wallet(wallet_id=WalletId(b"\xef" * 16))
    twin = made.wallet
    home = Home.open(refresh.home, create=False, files=QuickFileSystem())
    with Keyring(bytearray(b"correct horse")) as keyring:
        home.save_wallet(twin.wallet_id, twin.peer_id, twin.to_header(), made.secret.encode(), keyring)
    ended = refresh("treasury")
    assert (ended.code, ended.out) == (2, "")
    assert twin.wallet_id.hex() in ended.talk


def test_without_a_terminal_the_option_for_the_passphrase_is_named(refresh: RefreshCommand) -> None:
    ended = refresh("treasury")
    assert (ended.code, ended.out) == (2, "")
    assert "hint: add --passphrase-file FILE" in ended.talk
