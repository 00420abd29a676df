"""What a person is shown before saying yes: everything, and nothing that could be taken for something else."""

import hashlib
from typing import Any, get_args

import msgspec
import pytest

from mpcnode.cli.terminal.describe import (
    KNOWN,
    known_as,
    message_rows,
    peer_row,
    signature_lines,
    wallet_lines,
    wallet_list,
)
from mpcnode.commands import Sign
from mpcnode.readings import registry
from mpcnode.readings.file import FileContent
from mpcnode.status import PeerView, SignView, Verified
from mpcnode.types import Reading
from tests.helpers.sign_command import signed
from tests.helpers.statuses import wallet


def shown(*messages: bytes, reading: Any = "text", merkle_root: str | None = None, width: int = 79) -> list[str]:
    hashes = tuple(registry.digest(reading, message).hex() for message in messages)
    view = SignView(
        wallet_id="ab" * 16,
        epoch=0,
        reading=reading,
        messages=tuple(message.hex() for message in messages),
        hashes=hashes,
        signed=tuple(registry.signed_bytes(reading, message).hex() for message in messages),
        merkle_root=merkle_root,
    )
    return message_rows(view, width)


def test_a_text_stands_behind_its_length_and_before_its_hash() -> None:
    assert shown(b"hello ") == [
        "  text, 6 characters",
        "  | hello\\{1 space}",
        f"  sha-256  {hashlib.sha256(b'hello ').hexdigest()}",
        f"  signed   {registry.signed_bytes('text', b'hello ').hex()}",
    ]
    assert shown("Zürich".encode())[0] == "  text, 6 characters, 7 bytes"


def test_terminal_escapes_are_spelled_out_and_differ_from_a_text_that_spells_them() -> None:
    real, spelled = shown(b"pay \x1b[2Kme"), shown(rb"pay \x1b[2Kme")
    assert real[1] == r"  | pay \x1b[2Kme"
    assert spelled[1] == r"  | pay \\x1b[2Kme"


def test_every_message_of_a_batch_is_shown_whole_under_its_number() -> None:
    messages = [f"{number} {'x' * 8000}".encode() for number in range(250)]
    text = "".join(shown(*messages)).replace("\\  | ", "").replace("  | ", "")
    for number, message in enumerate(messages):
        assert f"message {number + 1} of 250: text, {len(message)} characters" in text
        assert message.decode() in text


def test_bytes_a_files_hash_and_a_script_tree_are_shown_as_what_they_are() -> None:
    assert shown(b"", reading="hex")[0] == "  hex, 0 bytes"
    assert shown(b"\xff", reading="hex")[1] == "  | ff"
    assert "they may be a transaction" in shown(b"\xff", reading="hex")[2]
    assert not any("transaction" in line for line in shown(b"ff"))
    assert shown(b"x", merkle_root="cd" * 32)[-1] == f"    {'cd' * 32}"
    assert shown(b"x", merkle_root="")[-1] == "  for the key tweaked with no script tree"


def test_a_file_is_shown_by_its_size_its_name_and_the_hash_that_sha256sum_shows() -> None:
    content = FileContent(b"\xaa" * 32, 1234, "pay\u202ement.bin").encode()
    assert shown(content, reading="file") == [
        "  a file; its proposer says it has 1234 bytes and is called",
        "  | pay\\u202ement.bin",
        f"  sha-256  {'aa' * 32}",
        f"  signed   {registry.signed_bytes('file', content).hex()}",
    ]
    assert f"sha-256{'aa' * 32}signed" in "".join(row.strip() for row in shown(content, reading="file", width=60))


@pytest.mark.parametrize("width", [79, 59, 40])
@pytest.mark.parametrize("reading", ["text", "file", "hex"])
def test_the_bytes_that_are_signed_are_on_the_screen_whatever_the_reading(reading: str, width: int) -> None:
    """They are what another program checks the signature with, and what a hardware screen may show (audit C4)."""
    content = FileContent(b"\xaa" * 32, 9, "payment.bin").encode() if reading == "file" else b"pay 5 to ben"
    rows = shown(content, reading=reading, width=width)
    assert registry.signed_bytes(reading, content).hex() in "".join(row.removeprefix("  | ").strip() for row in rows)
    assert max(map(len, rows)) <= width


@pytest.mark.parametrize("reading", ["text", "hex"])
def test_the_bytes_that_were_signed_stand_beside_each_signature(reading: Reading) -> None:
    contents = (b"one", b"two")
    made = msgspec.structs.replace(
        signed(Sign("treasury", contents, reading=reading)),
        signatures=("11" * 64, "22" * 64),
    )
    lines = signature_lines(made)
    assert lines[-4:] == [
        f"signed      {registry.signed_bytes(reading, b'one').hex()}",
        f"signature   {'11' * 64}",
        f"signed      {registry.signed_bytes(reading, b'two').hex()}",
        f"signature   {'22' * 64}",
    ]
    nothing = msgspec.structs.replace(made, signed=("",), signatures=("11" * 64,))
    assert "signed      no bytes" in signature_lines(nothing)


def test_a_peer_is_called_verified_only_where_it_showed_the_key_that_is_pinned() -> None:
    pinned = "bbb1 ed44"
    assert peer_row(PeerView("cli2", "verified", pinned)) == ("cli2", "verified", pinned)
    assert peer_row(PeerView("cli2", "unknown", proved=False, pinned=pinned)) == (
        "cli2",
        "name only",
        "pinned bbb1 ed44, key not shown yet",
    )
    assert peer_row(PeerView("cli2", "unknown", proved=False)) == ("cli2", "name only", "")
    assert known_as(PeerView("cli2", "unknown", proved=False, pinned=pinned)) == "name only"
    assert known_as(PeerView("cli2", "verified", pinned)) == "contact"


def test_a_contact_under_a_name_of_its_own_choice_is_shown_as_who_it_is() -> None:
    mallory = PeerView("alice", "verified", "bbb1 ed44", contact="mallory")
    assert peer_row(mallory) == ("alice", "verified, is mallory", "bbb1 ed44")
    assert known_as(mallory) == "is mallory"
    assert len(known_as(PeerView("alice", "verified", "bbb1 ed44", contact="m" * 64))) == KNOWN


def test_no_line_of_a_wallet_is_wider_than_a_terminal_begins() -> None:
    full = msgspec.structs.replace(
        wallet(),
        group_public_keys={"FROST-ED25519-SHA512-v1": "cd" * 32, "FROST-secp256k1-SHA256-TR-v1": "02" + "cd" * 32},
        addresses={"bitcoin, taproot, regtest": "bcrt1p" + "q" * 58},
        opened=True,
    )
    lines = wallet_lines(full)
    assert max(map(len, lines)) <= 80
    assert f"    {'cd' * 32}" in lines


@pytest.mark.parametrize(
    ("kdf", "said"),
    [
        ("default", "a guess takes 256 MiB of memory"),
        ("interactive", "a guess takes 64 MiB of memory, little for a home that matters"),
        ("custom", "a guess has a cost of its own"),
    ],
)
def test_what_protects_a_wallet_is_said_in_words_and_not_as_an_options_value(kdf: str, said: str) -> None:
    lines = wallet_lines(msgspec.structs.replace(wallet(), kdf=kdf))
    assert f"passphrase    {said}" in lines
    assert max(map(len, lines)) <= 80


def test_words_that_nobody_had_to_compare_are_not_called_compared() -> None:
    said = {
        how: next(
            line
            for line in wallet_lines(msgspec.structs.replace(wallet(), verified=how))
            if line.startswith("safety words")
        )
        for how in get_args(Verified)
    }
    assert said["contacts"] == "safety words  not needed, verified contacts"
    assert said["words"] == "safety words  compared by this node's user"
    assert [how for how, line in said.items() if "  compared" in line] == ["words"]


def test_a_pending_epoch_is_one_plain_line_with_those_that_are_missing() -> None:
    later = msgspec.structs.replace(wallet(), pending=1, missing=("cli2", "cli3"))
    line = "epoch 1 is pending: no word yet from cli2, cli3"
    assert wallet_list([later])[1:] == [f"    {line}"]
    assert f"note          {line}" in wallet_lines(later)
    first = msgspec.structs.replace(wallet(state="pending"), pending=0, missing=("cli3",))
    assert wallet_list([first])[-1] == "    epoch 0 is pending: no word yet from cli3"


def test_without_a_pending_epoch_nothing_is_said_of_one() -> None:
    assert len(wallet_list([wallet()])) == 1
    assert not [line for line in wallet_lines(wallet()) if "pending" in line]


def test_the_names_of_those_that_are_missing_are_shown_escaped() -> None:
    evil = msgspec.structs.replace(wallet(), pending=1, missing=("\x1b[2J\u202e",))
    assert all(line.isprintable() for line in (*wallet_lines(evil), *wallet_list([evil])))
