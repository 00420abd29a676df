"""What a person is shown before saying yes: everything, and nothing that could be taken for something else."""

import hashlib
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from mpcnode.cli.terminal.describe import message_lines, wallet_lines, wallet_row
from mpcnode.status import SignView
from tests.helpers.statuses import wallet


def shown(*messages: bytes, reading: Any = "text", merkle_root: str | None = None) -> list[str]:
    hashes = tuple(hashlib.sha256(message).hexdigest() for message in messages)
    view = SignView(
        wallet_id="ab" * 16,
        epoch=0,
        reading=reading,
        messages=tuple(message.hex() for message in messages),
        hashes=hashes,
        signed=("ef" * 32,) * len(messages),
        merkle_root=merkle_root,
    )
    return message_lines(view)


def test_a_text_is_quoted_and_shown_with_its_hash() -> None:
    assert shown(b"hello ") == ['  text: "hello "', f"  sha-256: {hashlib.sha256(b'hello ').hexdigest()}"]


def test_terminal_escapes_are_spelled_out_and_differ_from_a_text_that_spells_them() -> None:
    real, spelled = shown(b"pay \x1b[2Kme"), shown(rb"pay \x1b[2Kme")
    assert real[0] == r'  text: "pay \x1b[2Kme"'
    assert spelled[0] == r'  text: "pay \\x1b[2Kme"'


@given(st.text(), st.text())
def test_two_texts_never_look_the_same(one: str, other: str) -> None:
    lines = [shown(text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").encode()) for text in (one, other)]
    texts = [text.encode("utf-8", "surrogatepass").decode("utf-8", "replace") for text in (one, other)]
    assert (lines[0][0] == lines[1][0]) == (texts[0] == texts[1])
    assert all(line.isprintable() for part in lines for line in part)


def test_every_message_of_a_batch_is_shown_whole() -> None:
    messages = [f"{number} {'x' * 8000}".encode() for number in range(250)]
    lines = shown(*messages)
    assert len(lines) == 500
    for number, message in enumerate(messages):
        assert message.decode() in lines[2 * number]


def test_bytes_a_files_hash_and_a_script_tree_are_shown_as_what_they_are() -> None:
    assert shown(b"", reading="hex")[0] == "  hex: no bytes at all"
    assert shown(b"\xff", reading="hex")[0] == "  hex: ff"
    assert "they may be a transaction" in shown(b"\xff", reading="hex")[1]
    assert not any("transaction" in line for line in shown(b"ff"))
    assert shown(b"\xaa" * 32, reading="file") == [f"  file: its SHA-256 is {'aa' * 32}"]
    assert shown(b"x", merkle_root="cd" * 32)[-1] == f"  for the key tweaked with the script tree {'cd' * 32}"
    assert shown(b"x", merkle_root="")[-1] == "  for the key tweaked with the script tree (none)"


def test_a_pending_epoch_is_one_plain_line_with_those_that_are_missing() -> None:
    later = msgspec.structs.replace(wallet(), pending=1, missing=("cli2", "cli3"))
    line = "epoch 1 is pending: no word yet from cli2, cli3"
    assert wallet_row(later)[-1] == line
    assert f"note          {line}" in wallet_lines(later)
    first = msgspec.structs.replace(wallet(state="pending"), pending=0, missing=("cli3",))
    assert wallet_row(first)[-1] == "epoch 0 is pending: no word yet from cli3"


def test_without_a_pending_epoch_nothing_is_said_of_one() -> None:
    assert wallet_row(wallet())[-1] == ""
    assert not [line for line in wallet_lines(wallet()) if "pending" in line]


def test_the_names_of_those_that_are_missing_are_shown_escaped() -> None:
    evil = msgspec.structs.replace(wallet(), pending=1, missing=("\x1b[2J\u202e",))
    assert all(line.isprintable() for line in (*wallet_lines(evil), *wallet_row(evil)))
