"""``mpcnode sign``: what it takes, what it refuses before anybody is asked, and where the signatures go."""

import asyncio
import hashlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from mpcnode import status
from mpcnode.cli.actions.contents import MAX_BATCH_FILE
from mpcnode.cli.options import SUITES
from mpcnode.commands import MAX_CONTENT_BYTES, Sign
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
from mpcnode.readings.file import FileContent
from mpcnode.types import PeerId
from tests.helpers.fake_node import Emit
from tests.helpers.sign_command import Answering, SignCommand, answering, signature_of, signed

pytestmark = pytest.mark.usefixtures("alone")

BEN = PeerId("ben")
EVIL = "\x1b[2J\u202e"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home."""
    made = tmp_path / "home"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture
def node(home: Path) -> Iterator[Answering]:
    """A running node that signs whatever it is asked."""
    with answering(home) as made:
        yield made


@pytest.fixture
def sign(home: Path, capfd: pytest.CaptureFixture[str]) -> SignCommand:
    return SignCommand(home, capfd)


def written(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


# --- exactly one kind of message ---


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_nothing_to_sign_is_said(more: tuple[str, ...], node: Answering, sign: SignCommand) -> None:
    ended = sign(*more)
    assert ended.code == 2
    assert "nothing given to sign" in ended.talk
    assert "hint: give one of --message, --hex, --file, --batch" in ended.talk
    assert not node.commands


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (one, other)
        for number, one in enumerate(("--message", "--hex", "--file", "--batch"))
        for other in ("--message", "--hex", "--file", "--batch")[number + 1 :]
    ],
)
def test_two_kinds_of_message_are_not_meant(first: str, second: str, node: Answering, sign: SignCommand) -> None:
    ended = sign(first, "00", second, "")  # an empty one is given too
    assert (ended.code, ended.out) == (2, "")
    assert f"error: {first} and {second} given to sign" in ended.talk
    assert not node.commands


@pytest.mark.parametrize("text", ["hello", "", " two  words ", "Grüße", EVIL])
def test_a_text_is_signed_as_its_utf8(text: str, node: Answering, sign: SignCommand) -> None:
    ended = sign("--message", text)
    assert (ended.code, ended.signatures) == (0, [signature_of(text.encode())])
    (command,) = node.commands
    assert (command.contents, command.reading, command.suite) == ((text.encode(),), "text", None)


@pytest.mark.parametrize(("given", "message"), [("00ff", b"\x00\xff"), ("00 FF", b"\x00\xff"), ("", b"")])
def test_hexadecimal_is_signed_as_its_bytes(given: str, message: bytes, node: Answering, sign: SignCommand) -> None:
    assert sign("--hex", given).signatures == [signature_of(message)]
    assert (node.commands[0].contents, node.commands[0].reading) == ((message,), "hex")


@pytest.mark.parametrize("given", ["0", "0x00", "zz", "00\n0", EVIL])
def test_what_is_not_hexadecimal_is_exit_2(given: str, node: Answering, sign: SignCommand) -> None:
    ended = sign("--hex", given)
    assert ended.code == 2
    assert "error: --hex is not hexadecimal" in ended.talk
    assert "hint: two digits a byte" in ended.talk
    assert not node.commands


def test_a_text_that_is_not_utf8_is_for_hex(node: Answering, sign: SignCommand) -> None:
    ended = sign("--message", "\udcff")  # how Python gives what a shell passed as the byte ff
    assert ended.code == 2
    assert "hint: sign bytes that are not text with --hex" in ended.talk
    assert not node.commands


def test_of_a_file_the_hash_is_signed_however_long_it_is(node: Answering, sign: SignCommand, tmp_path: Path) -> None:
    data = bytes(3_000_000)
    content = FileContent(hashlib.sha256(data).digest(), len(data), "big").encode()
    assert sign("--file", written(tmp_path / "big", data)).signatures == [signature_of(content)]
    assert (node.commands[0].contents, node.commands[0].reading) == ((content,), "file")


@pytest.mark.parametrize("option", ["--file", "--batch"])
@pytest.mark.parametrize("name", ["absent", f"absent {EVIL}", ".", "absent/x"])
def test_a_file_that_cannot_be_read_is_exit_3(
    option: str, name: str, node: Answering, sign: SignCommand, tmp_path: Path
) -> None:
    ended = sign(option, str(tmp_path / name))
    assert (ended.code, ended.out) == (3, "")
    assert "error: cannot read " in ended.talk
    assert not node.commands


# --- batches ---


@pytest.mark.parametrize(
    ("data", "messages"),
    [
        (b"one\n", [b"one"]),
        (b"one\ntwo", [b"one", b"two"]),
        (b"one\r\ntwo\r\n", [b"one", b"two"]),
        (b" one \n\ttwo\n", [b" one ", b"\ttwo"]),
        (b"a\rb\n", [b"a\rb"]),
        ("a\x0b\x0c\x1c\x85\u2028b\n".encode(), ["a\x0b\x0c\x1c\x85\u2028b".encode()]),
        (b"same\nsame\n", [b"same", b"same"]),
    ],
)
def test_each_line_of_a_batch_is_a_message(
    data: bytes, messages: list[bytes], node: Answering, sign: SignCommand, tmp_path: Path
) -> None:
    ended = sign("--batch", written(tmp_path / "batch", data))
    assert ended.signatures == list(map(signature_of, messages))
    assert (list(node.commands[0].contents), node.commands[0].reading) == (messages, "text")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "there is no line in"),
        (b"\n", "line 1 of"),
        (b"one\n\nthree\n", "line 2 of"),
        (b"one\n\r\n", "line 2 of"),
        (b"one\n\n", "line 2 of"),
        (b"one\n\xff\n", "is not UTF-8"),
        (b"one\n" + b"x" * (MAX_CONTENT_BYTES + 1), f"a message is at most {MAX_CONTENT_BYTES} bytes"),
        (b"x\n" * (MAX_BATCH_FILE // 2 + 1), f"is longer than {MAX_BATCH_FILE} bytes"),
    ],
)
def test_a_batch_that_cannot_be_meant_says_where(
    data: bytes, message: str, node: Answering, sign: SignCommand, tmp_path: Path
) -> None:
    ended = sign("--batch", written(tmp_path / "batch", data))
    assert ended.code == 2
    assert message in ended.talk
    assert "hint: " in ended.talk
    assert not node.commands


@pytest.mark.parametrize("option", ["--message", "--hex"])
def test_a_message_may_be_as_long_as_the_limit_and_no_longer(option: str, node: Answering, sign: SignCommand) -> None:
    one = {"--message": "x", "--hex": "00"}[option]
    assert sign(option, one * MAX_CONTENT_BYTES).code == 0
    ended = sign(option, one * (MAX_CONTENT_BYTES + 1))
    assert ended.code == 2
    assert f"error: a message is at most {MAX_CONTENT_BYTES} bytes" in ended.talk
    assert "--file" in ended.talk
    assert len(node.commands) == 1


# --- by which key, with whom ---


@pytest.mark.parametrize("name", [*SUITES, *SUITES.values()])
def test_a_suite_has_a_short_name_and_a_full_one(name: str, node: Answering, sign: SignCommand) -> None:
    assert sign("-m", "hello", "--suite", name).code == 0
    assert node.commands[0].suite == SUITES.get(name, name)


@pytest.mark.parametrize("name", ["ed2551", "Ed25519", "", EVIL])
def test_a_suite_that_there_is_not_lists_those_there_are(name: str, node: Answering, sign: SignCommand) -> None:
    ended = sign("-m", "hello", "--suite", name)
    assert ended.code == 2
    assert f"there is no ciphersuite {name!a}" in ended.talk
    assert f"--suite is one of {', '.join(SUITES)}" in ended.talk
    assert not node.commands


def test_signers_are_named_with_commas_or_one_by_one(node: Answering, sign: SignCommand) -> None:
    assert sign("-m", "hello", "--with", "ben,cleo", "--with", "dora").code == 0
    assert node.commands[0].with_peers == ("ben", "cleo", "dora")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("ben,ben",), "ben twice"),
        (("ben", "cleo,ben"), "ben twice"),
        (("a b",), "not a peer id"),
        ((EVIL,), "not a peer"),
    ],
)
def test_signers_that_cannot_be_meant_are_exit_2(
    given: tuple[str, ...], message: str, node: Answering, sign: SignCommand
) -> None:
    ended = sign("-m", "hello", *(word for name in given for word in ("--with", name)))
    assert ended.code == 2
    assert message in ended.talk
    assert "--with" in ended.talk
    assert not node.commands


@pytest.mark.parametrize("root", ["ab" * 32, ""])
def test_a_merkle_root_is_for_taproot(root: str, node: Answering, sign: SignCommand) -> None:
    assert sign("-m", "hello", "--suite", "taproot", "--merkle-root", root).code == 0
    assert node.commands[0].merkle_root == bytes.fromhex(root)
    for other in ((), ("--suite", "ed25519"), ("--suite", "secp256k1")):
        ended = sign("-m", "hello", "--merkle-root", root, *other)
        assert ended.code == 2
        assert "hint: add --suite taproot" in ended.talk
    assert len(node.commands) == 1


@pytest.mark.parametrize(("root", "message"), [("ab" * 31, "32 bytes"), ("x", "not hexadecimal")])
def test_a_merkle_root_of_another_form_is_exit_2(root: str, message: str, node: Answering, sign: SignCommand) -> None:
    ended = sign("-m", "hello", "--suite", "taproot", "--merkle-root", root)
    assert ended.code == 2
    assert message in ended.talk
    assert not node.commands


# --- how it ends ---

ENDS: list[tuple[MpcError, int]] = [
    (KeystoreAbsent("there is no wallet"), 3),
    (WalletPending("pending"), 10),
    (ParticipantRefused("ben refused", culprits=[BEN]), 6),
    (ParticipantSilent("ben did not answer", culprits=[BEN]), 6),
    (ParticipantCheated("ben cheated", culprits=[BEN]), 7),
    (Refused("a policy said no"), 8),
    (UsageError("--with names zoe"), 2),
]


@pytest.mark.parametrize(("error", "code"), ENDS, ids=[type(error).__name__ for error, _ in ENDS])
def test_a_signature_that_is_not_made_has_its_exit_code(
    error: MpcError, code: int, node: Answering, sign: SignCommand, tmp_path: Path
) -> None:
    async def fail(_command: Sign, _emit: Emit) -> status.SignatureView:
        raise error

    node.signs = fail
    ended = sign("-m", "hello", "--out", str(tmp_path / "out"))
    assert (ended.code, ended.out) == (code, "")
    assert ended.talk.startswith(f"error: {error.message}\nhint: ")
    (line,) = sign("-m", "hello", "--json").lines
    assert (line["event"], line["error"]["code"], line["error"]["exit_code"]) == ("error", error.code, code)
    assert line["error"].get("culprits", []) == list(error.culprits)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_is_130(number: int, node: Answering, sign: SignCommand) -> None:
    async def interrupt(command: Sign, _emit: Emit) -> status.SignatureView:
        os.kill(os.getpid(), number)
        await asyncio.Event().wait()
        return signed(command)

    node.signs = interrupt
    ended = sign("-m", "hello")
    assert (ended.code, ended.out) == (130, "")
    assert "interrupted" in ended.talk


def test_the_json_is_events_and_one_result(node: Answering, sign: SignCommand) -> None:
    async def with_events(command: Sign, emit: Emit) -> status.SignatureView:
        emit(status.Waiting((), 0))
        return signed(command, "ana", "ben")

    node.signs = with_events
    ended = sign("-m", "hello", "--json")
    assert ended.code == 0
    waiting, result = ended.lines
    assert (waiting["event"], result["event"]) == ("waiting", "result")
    signature = result["signature"]
    assert signature["signatures"] == [signature_of(b"hello")]
    assert signature["messages"] == [b"hello".hex()]
    assert signature["signers"] == ["ana", "ben"]
    assert signature["suite"] == SUITES["ed25519"]


@pytest.mark.parametrize("wallet", [EVIL, "", "../x", "a b"])
def test_what_cannot_be_a_wallet_is_exit_2_and_asks_nobody(node: Answering, sign: SignCommand, wallet: str) -> None:
    ended = sign("-m", "hello", wallet=wallet)
    assert ended.code == 2
    assert "is not a wallet" in ended.talk
    assert not node.commands


def test_what_others_wrote_is_shown_escaped(node: Answering, sign: SignCommand) -> None:
    """``sign`` looks for an escape character in everything that is printed; here is where one could come from."""

    async def evil(command: Sign, emit: Emit) -> status.SignatureView:
        emit(status.Warned(EVIL))
        emit(status.Answered("0" * 32, EVIL, accepted=False, reason=EVIL))
        failure = status.ErrorView("participant_cheated", EVIL, 7, "peer", culprits=(EVIL,))
        return msgspec.structs.replace(signed(command, EVIL, failures=(failure,)), name=EVIL)

    node.signs = evil
    ended = sign("-m", EVIL)
    assert ended.code == 0
    assert "\\x1b[2J\\u202e" in ended.out
    assert "\\x1b[2J\\u202e" in ended.talk


def test_raw_prints_the_signatures_alone(sign: SignCommand, node: Answering) -> None:
    ended = sign("-m", "hello", "--raw")
    assert (ended.code, ended.out) == (0, f"{signature_of(b'hello')}\n")
    assert sign("-m", "hello", "--raw", "--json").code == 2
    assert len(node.commands) == 1
