"""The password exchange: one password gives one key, and nothing that is not the other end's message gives any."""

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from nacl import bindings as sodium

from mpcnode.crypto.pake import IDENTITY, PasswordExchange
from mpcnode.errors import DecodeError
from tests.vectors.ed25519 import IDENTITY as POINT_AT_INFINITY
from tests.vectors.ed25519 import IDENTITY_NOT_CANONICAL, ORDER_8

JAVASCRIPT = Path(__file__).parents[1] / "javascript"


def end(password: bytes, seed: int) -> PasswordExchange:
    return PasswordExchange(password, random.Random(seed).randbytes)


def test_one_password_gives_one_key() -> None:
    one, other = end(b"swirl-motor", 1), end(b"swirl-motor", 2)
    key = one.finish(other.message)
    assert key == other.finish(one.message)
    assert len(key) == 32
    assert one.message != other.message


def test_two_passwords_give_two_keys_and_say_nothing_else() -> None:
    one, other = end(b"swirl-motor", 1), end(b"swirl-rotor", 2)
    assert one.finish(other.message) != other.finish(one.message)


def test_two_runs_of_one_password_give_two_keys() -> None:
    one, other, third = end(b"swirl-motor", 1), end(b"swirl-motor", 2), end(b"swirl-motor", 3)
    assert one.finish(other.message) != end(b"swirl-motor", 1).finish(third.message)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"S",
        b"S" + bytes(31),
        b"S" + bytes(33),
        b"A" + end(b"swirl-motor", 2).message[1:],
        b"B" + end(b"swirl-motor", 2).message[1:],
        b"S" + POINT_AT_INFINITY,
        b"S" + IDENTITY_NOT_CANONICAL,
        b"S" + ORDER_8,
        b"S" + bytes(32),
        b"S" + b"\x02" + bytes(31),
        b"S" + b"\xff" * 32,
        b"S" + sodium.crypto_core_ed25519_add(end(b"swirl-motor", 2).message[1:], ORDER_8),
    ],
)
def test_what_is_no_message_gives_no_key_and_no_second_try(message: bytes) -> None:
    one = end(b"swirl-motor", 1)
    with pytest.raises(DecodeError):
        one.finish(message)
    with pytest.raises(ValueError, match="tried once"):
        one.finish(end(b"swirl-motor", 2).message)


def test_our_own_message_gives_no_key() -> None:
    one = end(b"swirl-motor", 1)
    with pytest.raises(DecodeError, match="came back"):
        one.finish(one.message)


def test_a_password_is_tried_once() -> None:
    one, other = end(b"swirl-motor", 1), end(b"swirl-motor", 2)
    one.finish(other.message)
    with pytest.raises(ValueError, match="tried once"):
        one.finish(other.message)


@contextmanager
def rust() -> Iterator["subprocess.Popen[str]"]:
    """The Rust implementation, compiled for JavaScript: a line with identity and password, then one with a message."""
    node = shutil.which("node")
    installed = (JAVASCRIPT / "node_modules" / "spake2-wasm").is_dir()
    if os.environ.get("CI") != "true" and (node is None or not installed):
        pytest.skip("node or its packages are not here: install node, then run `make vectors-js`")
    assert node is not None, "CI runs the other implementation: node is not here"
    assert installed, "CI runs the other implementation: `make vectors-js` comes first"
    with subprocess.Popen(
        [node, "spake2.mjs"], cwd=JAVASCRIPT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("password", ["swirl-motor", "aardvark-adviser-absurd"])
@pytest.mark.parametrize(("identity", "same"), [(IDENTITY.decode(), True), ("lothar.com/wormhole", False)])
def test_another_implementation_agrees_where_password_and_purpose_are_the_same(
    password: str, identity: str, *, same: bool
) -> None:
    with rust() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{identity} {password}\n")
        process.stdin.flush()
        theirs = bytes.fromhex(process.stdout.readline())
        one = end(password.encode(), 1)
        key = one.finish(theirs)
        process.stdin.write(one.message.hex() + "\n")
        process.stdin.flush()
        assert (bytes.fromhex(process.stdout.readline()) == key) is same
