"""``mpcnode sign``: long batches, files of signatures, and a home without a running node."""

import asyncio
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest
import typer.main

from mpcnode import status
from mpcnode.cli import app as cli
from mpcnode.commands import MAX_CONTENT_BYTES, MAX_CONTENTS, Sign
from mpcnode.errors import ParticipantCheated, ParticipantSilent
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.store import Home
from mpcnode.session.kinds.sign import MAX_BATCH
from mpcnode.types import PeerId, WalletId
from tests.helpers.fake_node import Emit
from tests.helpers.filesystem import QuickFileSystem
from tests.helpers.sign_command import Answering, SignCommand, answering, signature_of, signed
from tests.helpers.terminal import mpcnode, terminal
from tests.helpers.wallets import home_with_a_wallet, make_wallet

pytestmark = pytest.mark.usefixtures("alone")

BEN = PeerId("ben")
HELLO = f"{signature_of(b'hello')}\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the active wallet ``treasury``."""
    return home_with_a_wallet(tmp_path / "home").path


@pytest.fixture
def node(home: Path) -> Iterator[Answering]:
    with answering(home) as made:
        yield made


@pytest.fixture
def sign(home: Path, capfd: pytest.CaptureFixture[str]) -> SignCommand:
    return SignCommand(home, capfd)


def batch(path: Path, count: int, *, of: int = 4) -> tuple[str, list[str]]:
    """A file of so many lines; and the signature of each."""
    lines = [str(number).zfill(of) for number in range(count)]
    path.write_text("\n".join(lines))
    return str(path), [signature_of(line.encode()) for line in lines]


def over(part: status.SignatureView) -> status.SessionEnded:
    """The end of a session that signed a part of a batch."""
    return status.SessionEnded(session_id="0" * 32, kind="sign", proposer="cli1", seconds={}, signature=part)


def parts(command: Sign) -> list[status.SignatureView]:
    """The sessions that a node has for ``command``."""
    starts = range(0, len(command.contents), MAX_BATCH)
    return [signed(msgspec.structs.replace(command, contents=command.contents[at : at + MAX_BATCH])) for at in starts]


class Failing:
    """Signs so many sessions, and then does as ``last`` says."""

    def __init__(self, sessions: int, last: BaseException) -> None:
        self._sessions = sessions
        self._last = last

    async def __call__(self, command: Sign, emit: Emit) -> status.SignatureView:
        for part in parts(command)[: self._sessions]:
            emit(over(part))
        if isinstance(self._last, KeyboardInterrupt):
            await asyncio.sleep(0.1)  # what was said is on its way
            os.kill(os.getpid(), 2)
            await asyncio.Event().wait()
        raise self._last


# --- batches of several sessions ---


def test_a_long_batch_is_one_command_and_printed_as_one(node: Answering, sign: SignCommand, tmp_path: Path) -> None:
    file, signatures = batch(tmp_path / "batch", 2 * MAX_BATCH + 1)

    async def in_parts(command: Sign, emit: Emit) -> status.SignatureView:
        for part in parts(command):
            emit(over(part))
        return signed(command)

    node.signs = in_parts
    ended = sign("--batch", file, "--out", str(tmp_path / "out"))
    assert (ended.code, ended.signatures) == (0, signatures)
    assert ended.out.count("public key") == 1
    assert (tmp_path / "out").read_text().splitlines() == signatures
    assert [len(command.contents) for command in node.commands] == [2 * MAX_BATCH + 1]


def test_a_batch_for_more_than_one_command_is_refused_before_anybody_is_asked(
    node: Answering, sign: SignCommand, tmp_path: Path
) -> None:
    ended = sign("--batch", batch(tmp_path / "batch", MAX_CONTENTS + 1)[0])
    assert ended.code == 2
    assert f"one command signs at most {MAX_CONTENTS} messages" in ended.talk
    assert not node.commands


def test_everybody_who_signed_a_part_is_named_and_each_failure_once(
    node: Answering, sign: SignCommand, tmp_path: Path
) -> None:
    failure = status.ErrorView("participant_silent", "ben did not answer", 6, "peer", culprits=("ben",))

    async def in_turn(command: Sign, emit: Emit) -> status.SignatureView:
        for part, other in zip(parts(command), ("cleo", "dora"), strict=False):
            emit(over(msgspec.structs.replace(part, signers=("ana", other), failures=(failure,))))
        raise ParticipantSilent("everybody left", culprits=[BEN])

    node.signs = in_turn
    ended = sign("--batch", batch(tmp_path / "batch", 2 * MAX_BATCH + 1)[0], "--json")
    (signature,) = (line["signature"] for line in ended.lines if line["event"] == "result")
    assert signature["signers"] == ["ana", "cleo", "dora"]
    assert [one["culprits"] for one in signature["failures"]] == [["ben"]]
    assert len(signature["messages"]) == len(signature["signed"]) == len(signature["signatures"]) == 2 * MAX_BATCH


def test_a_session_that_failed_with_a_signature_in_hand_adds_none(node: Answering, sign: SignCommand) -> None:
    async def fail(command: Sign, emit: Emit) -> status.SignatureView:
        error = ParticipantSilent("ben did not answer", culprits=[BEN])
        emit(msgspec.structs.replace(over(signed(command)), error=status.error_view(error)))
        raise error

    node.signs = fail
    ended = sign("-m", "hello")
    assert (ended.code, ended.out) == (6, "")


@pytest.mark.parametrize(
    ("last", "code"),
    [
        (ParticipantSilent("ben did not answer", culprits=[BEN], hint="start it"), 6),
        (ParticipantCheated("ben cheated", culprits=[BEN], hint="start it"), 7),
        (KeyboardInterrupt(), 130),
    ],
    ids=["silent", "cheat", "ctrl-c"],
)
def test_what_was_signed_before_a_session_failed_is_not_lost(
    last: BaseException, code: int, node: Answering, sign: SignCommand, tmp_path: Path
) -> None:
    file, signatures = batch(tmp_path / "batch", 3 * MAX_BATCH)
    out = tmp_path / "out"
    node.signs = Failing(2, last)
    ended = sign("--batch", file, "--out", str(out))
    there = signatures[: 2 * MAX_BATCH]
    assert (ended.code, ended.signatures) == (code, there)
    assert f"saved: the first {2 * MAX_BATCH} of {3 * MAX_BATCH} messages are signed" in ended.talk
    assert f"above and in {out}" in ended.talk
    assert out.read_text().splitlines() == there

    node.signs = Failing(1, last)
    result, error = (line for line in sign("--batch", file, "--json").lines if line["event"] in {"result", "error"})
    assert result["signature"]["signatures"] == signatures[:MAX_BATCH]
    assert error["error"]["exit_code"] == code
    assert error["error"]["saved"].startswith(f"the first {MAX_BATCH} of {3 * MAX_BATCH} ")


def test_of_a_batch_that_failed_at_once_nothing_is_printed(node: Answering, sign: SignCommand, tmp_path: Path) -> None:
    node.signs = Failing(0, ParticipantSilent("ben did not answer", culprits=[BEN]))
    ended = sign("--batch", batch(tmp_path / "batch", 2 * MAX_BATCH)[0], "--out", str(tmp_path / "out"))
    assert (ended.code, ended.out) == (6, "")
    assert "saved" not in ended.talk
    assert not (tmp_path / "out").exists()


def test_that_a_part_cannot_be_written_hides_neither_it_nor_why_the_batch_failed(
    node: Answering, sign: SignCommand, tmp_path: Path
) -> None:
    file, signatures = batch(tmp_path / "batch", MAX_BATCH + 1)
    node.signs = Failing(1, ParticipantSilent("ben did not answer", culprits=[BEN]))
    ended = sign("--batch", file, "--out", str(tmp_path / "absent" / "out"))
    assert (ended.code, ended.signatures) == (6, signatures[:MAX_BATCH])
    assert "warning: cannot write" in ended.talk
    assert "stand above\n" in ended.talk


# --- a file of signatures ---


@pytest.fixture
def out(tmp_path: Path) -> Path:
    made = tmp_path / "signatures"
    made.mkdir()
    return made / "out"


def names(out: Path) -> list[str]:
    return [path.name for path in out.parent.iterdir()]


@pytest.mark.usefixtures("node")
def test_signatures_are_written_one_a_line_as_the_umask_says(sign: SignCommand, out: Path) -> None:
    before = os.umask(0o027)
    try:
        assert sign("-m", "hello", "--out", str(out)).code == 0
    finally:
        os.umask(before)
    assert out.read_text() == HELLO
    assert stat.S_IMODE(out.stat().st_mode) == 0o640
    assert names(out) == ["out"]


@pytest.mark.usefixtures("node")
def test_an_older_file_is_replaced_and_stays_as_closed_as_it_was(sign: SignCommand, out: Path) -> None:
    out.write_text("older and longer\n" * 100)
    out.chmod(0o600)
    assert sign("-m", "hello", "--out", str(out)).code == 0
    assert out.read_text() == HELLO
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


@pytest.mark.usefixtures("node")
def test_what_a_symbolic_link_names_is_replaced_and_not_the_link(sign: SignCommand, out: Path) -> None:
    target = out.with_name("target")
    target.write_text("older")
    out.symlink_to("target")
    assert sign("-m", "hello", "--out", str(out)).code == 0
    assert out.is_symlink()
    assert target.read_text() == HELLO


@pytest.mark.usefixtures("node")
def test_a_pipe_takes_signatures_and_stays_a_pipe(sign: SignCommand, out: Path) -> None:
    os.mkfifo(out)
    reader = os.open(out, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert sign("-m", "hello", "--out", str(out)).code == 0
        assert os.read(reader, 4096).decode() == HELLO
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(out.stat().st_mode)


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize("when", ["fsync", "replace"])
def test_a_disk_that_fails_leaves_the_older_file_whole_and_the_signature_in_the_output(
    when: str, sign: SignCommand, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    out.write_text("older")
    monkeypatch.setattr(os, when, full)
    ended = sign("-m", "hello", "--out", str(out))
    assert (ended.code, ended.signatures) == (3, [signature_of(b"hello")])
    assert f"error: cannot write {out}: No space left on device" in ended.talk
    assert "saved: the signatures stand above" in ended.talk
    assert out.read_text() == "older"
    assert names(out) == ["out"]


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize("name", ["absent/out", "out/out", ".", "\x1b[2J/out"])
def test_where_nothing_can_be_written_the_signature_is_printed_nevertheless(
    name: str, sign: SignCommand, out: Path
) -> None:
    out.write_text("a file, and no directory")
    ended = sign("-m", "hello", "--out", str(out.parent / name))
    assert (ended.code, ended.signatures) == (3, [signature_of(b"hello")])
    assert "error: cannot write" in ended.talk
    result, error = sign("-m", "hello", "--json", "--out", str(out.parent / name)).lines
    assert result["signature"]["signatures"] == [signature_of(b"hello")]
    assert error["error"]["code"] == "unwritable"
    assert names(out) == ["out"]


# --- a home without a running node ---


@pytest.mark.parametrize("wallet", ["treasure", "abcd"])
def test_a_wallet_that_is_not_there_is_said_before_anything_is_asked(wallet: str, sign: SignCommand) -> None:
    before = sorted(sign.home.rglob("*"))
    ended = sign("-m", "hello", wallet=wallet)  # there is no passphrase: to ask for one would be exit 2
    assert (ended.code, ended.out) == (3, "")
    assert f"there is no wallet {wallet!a} here" in ended.talk
    assert sorted(sign.home.rglob("*")) == before


def test_a_home_that_is_not_there_is_not_made(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    ended = SignCommand(tmp_path / "absent", capfd)("-m", "hello")
    assert ended.code == 3
    assert "there is no home at" in ended.talk
    assert not (tmp_path / "absent").exists()


def test_two_wallets_of_one_name_are_told_apart_by_their_ids(sign: SignCommand) -> None:
    made = make_wallet(wallet_id=WalletId(b"\xef" * 16))
    twin = made.wallet
    home = Home.open(sign.home, create=False, files=QuickFileSystem())
    with Keyring(bytearray(b"correct horse")) as keyring:
        home.save_wallet(twin.wallet_id, twin.peer_id, twin.to_header(), made.secret.encode(), keyring)
    ended = sign("-m", "hello")
    assert ended.code == 2
    assert twin.wallet_id.hex() in ended.talk


def test_without_a_terminal_the_option_for_the_passphrase_is_named(sign: SignCommand) -> None:
    ended = sign("-m", "hello")
    assert (ended.code, ended.out) == (2, "")
    assert "hint: add --passphrase-file FILE" in ended.talk


def test_a_message_that_cannot_be_signed_is_said_before_a_passphrase_is_asked_for(sign: SignCommand) -> None:
    ended = sign("-m", "x" * (MAX_CONTENT_BYTES + 1))
    assert ended.code == 2
    assert f"at most {MAX_CONTENT_BYTES} bytes" in ended.talk


@pytest.mark.process
def test_the_end_of_the_terminal_at_the_passphrase_is_130_and_nothing_is_said_to_anybody(home: Path) -> None:
    with terminal("sign", "--home", str(home), "--wallet", "treasury", "-m", "hello") as opened:
        opened.expect("passphrase for")
        opened.type("\x04")
        code, out = opened.end()
    assert (code, out) == (130, "")


@pytest.mark.process
def test_a_process_without_a_terminal_asks_nothing(home: Path) -> None:
    ended = mpcnode("sign", "--home", str(home), "--wallet", "treasury", "-m", "hello")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "--passphrase-file" in ended.stderr


def test_no_option_of_any_command_takes_a_secret() -> None:
    """What stands on a command line is everybody's to read while it runs."""
    root = typer.main.get_command(cli.app)
    commands = [root, *getattr(root, "commands", {}).values()]
    commands += [one for command in commands[1:] for one in getattr(command, "commands", {}).values()]
    options = {name for command in commands for parameter in command.params for name in parameter.opts}
    secret = {name for name in options if any(word in name for word in ("pass", "secret", "password", "share", "seed"))}
    assert secret == {"--passphrase-file", "--passphrase-fd"}
