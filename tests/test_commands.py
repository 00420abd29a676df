"""Commands: one value from the command line to the session, which cannot be made of what makes no sense."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpcnode import commands
from mpcnode.commands import Command, CreateWallet, ListPeers, ListWallets, Pair, Refresh, Sign
from mpcnode.crypto import suites
from mpcnode.errors import UsageError
from mpcnode.types import PeerId
from mpcnode.wire import relay

CLI2, CLI3 = PeerId("cli2"), PeerId("cli3")


@pytest.mark.parametrize(
    "command",
    [
        CreateWallet(threshold=2, total=3),
        CreateWallet(threshold=2, total=3, name="treasury", with_peers=(CLI2, CLI3), wait=1, yes=True, answer_within=7),
        CreateWallet(threshold=2, total=2, confirm_within=600_000),
        Refresh(wallet="treasury", answer_within=1000),
        Sign(wallet="treasury", contents=(b"hello", b"")),
        Sign(
            wallet="treasury", contents=(b"\x00\xff",), reading="hex", suite=suites.DEFAULT_SUITES[1], merkle_root=b""
        ),
        Pair(),
        Pair(words=3, alias=CLI2),
        Pair(code="12-swirl-motor"),
        ListPeers(),
        ListWallets(),
    ],
)
def test_a_command_comes_out_of_json_as_it_went_in(command: Command) -> None:
    assert msgspec.json.decode(msgspec.json.encode(command), type=Command) == command


def test_a_command_is_tagged_by_its_verb() -> None:
    assert msgspec.json.decode(msgspec.json.encode(ListPeers())) == {"command": "peers"}
    assert msgspec.json.decode(msgspec.json.encode(CreateWallet(threshold=2, total=2)))["command"] == "create-wallet"


@pytest.mark.parametrize("text", ['{"command":"peers","room":"x"}', '{"command":"dance"}', "{}", '{"command":"sign"}'])
def test_an_unknown_verb_or_field_is_not_a_command(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Command)


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        ({"threshold": 3, "total": 2}, "threshold and total must satisfy", "--threshold"),
        ({"threshold": 1}, "threshold and total must satisfy", "--threshold"),
        ({"total": 65}, "threshold and total must satisfy", "--total"),
        ({"name": "../x"}, "not a wallet name", "--name"),
        ({"with_peers": ("a b", "c")}, "not a peer id", "--with"),
        ({"with_peers": ("cli2",)}, "--with names 1 peer;", "--total"),
        ({"with_peers": ("cli2", "cli2")}, "--with names cli2 twice", "once"),
        ({"wait": -1}, "peers are waited for", "--wait"),
        ({"wait": commands.MAX_MS + 1}, "peers are waited for", "--wait"),
        ({"answer_within": 0}, "answers are waited for", "--answer-seconds"),
        ({"answer_within": commands.MAX_MS + 1}, "answers are waited for", "--answer-seconds"),
        ({"suites": ("rsa",)}, "no ciphersuite 'rsa'", suites.DEFAULT_SUITES[0]),
        ({"suites": ()}, "one ciphersuite or several", "once"),
        ({"suites": (suites.DEFAULT_SUITES[0],) * 2}, "one ciphersuite or several", "once"),
    ],
)
def test_a_wallet_that_makes_no_sense_is_refused(arguments: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        CreateWallet(**({"threshold": 2, "total": 3} | arguments))
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"wallet": "../x"}, "not a wallet"),
        ({"contents": ()}, "nothing to sign"),
        ({"contents": (b"\xff",)}, "a text is UTF-8"),
        ({"contents": (b"x" * 31,), "reading": "file"}, "a file is a SHA-256"),
        ({"contents": (b"x" * (commands.MAX_CONTENT_BYTES + 1),), "reading": "hex"}, "a message is at most"),
        ({"contents": (b"",) * (commands.MAX_CONTENTS + 1)}, "one command signs at most"),
        ({"contents": (b"x" * 8192,) * 513}, "one command signs at most"),
        ({"merkle_root": b"x"}, "32 bytes, or none"),
        ({"with_peers": ("a b",)}, "not a peer id"),
        ({"with_peers": ("cli2", "cli2")}, "twice"),
        ({"answer_within": 0}, "answers are waited for"),
    ],
)
def test_a_signature_that_makes_no_sense_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        Sign(**({"wallet": "treasury", "contents": (b"hello",)} | arguments))
    assert caught.value.hint or "file" in arguments.values()


@pytest.mark.parametrize("arguments", [{"wallet": "a/b"}, {"answer_within": commands.MAX_MS + 1}])
def test_a_refresh_that_makes_no_sense_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Refresh(**({"wallet": "treasury"} | arguments))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"code": "12"}, "this is not all of a code"),
        ({"code": "swirl-motor"}, "a code begins with the number"),
        ({"words": 1}, "a code has 2 to 8 words"),
        ({"words": 9}, "a code has 2 to 8 words"),
        ({"alias": "b ob"}, "'b ob' is no name"),
    ],
)
def test_a_pairing_that_makes_no_sense_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        Pair(**arguments)
    assert refused.value.hint


def test_a_command_does_not_show_its_code() -> None:
    pair = Pair(code="12-swirl-motor")
    assert "swirl" not in repr(pair)
    assert "swirl" not in repr(pair.__rich_repr__())


def test_what_comes_over_a_socket_is_checked_like_what_is_made_here() -> None:
    with pytest.raises(UsageError, match="threshold and total"):
        msgspec.json.decode(b'{"command":"create-wallet","threshold":9,"total":3}', type=Command)


@given(st.text(), st.lists(st.text(), max_size=3), st.none() | st.binary(max_size=40))
def test_of_any_text_nothing_but_a_usage_error_comes(wallet: str, texts: list[str], root: bytes | None) -> None:
    contents, names = tuple(text.encode() for text in texts), tuple(map(PeerId, texts))
    for arguments in ({"contents": contents, "merkle_root": root}, {"contents": (b"",), "with_peers": names}):
        try:
            Sign(wallet=wallet, **arguments)
        except UsageError as error:
            assert error.message.isprintable()  # noqa: PT017 -- what is looked for is any other exception


def test_the_numbers_that_stand_here_and_elsewhere_are_the_same() -> None:
    assert commands.DEFAULT_SUITES == suites.DEFAULT_SUITES
    assert commands.MAX_MS == relay.MAX_ANSWER_MS


def test_a_key_without_scripts_and_a_key_with_no_tree_named_are_the_same() -> None:
    assert Sign(wallet="w", contents=(b"",)).tree == Sign(wallet="w", contents=(b"",), merkle_root=b"").tree == b""
    assert Sign(wallet="w", contents=(b"",), merkle_root=b"r" * 32).tree == b"r" * 32
