"""Arguments that came over the control socket, whoever wrote them: a request, or a usage error."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.control.lines import CreateWalletArguments, SignArguments
from mpcnode.control.requests import create_wallet_request, parse_with, sign_request
from mpcnode.errors import UsageError
from mpcnode.wire.relay import MAX_MESSAGE_BYTES

SIGN = SignArguments(wallet="treasury", messages=("68656c6c6f",))
CREATE = CreateWalletArguments(threshold=2, total=3)


def test_messages_and_a_merkle_root_are_read_from_hexadecimal() -> None:
    request = sign_request(msgspec.structs.replace(SIGN, merkle_root="ab" * 32, with_peers=("ben",), suite="x"))
    assert (request.messages, request.merkle_root) == ((b"hello",), b"\xab" * 32)
    assert (request.with_peers, request.suite) == (("ben",), "x")
    assert sign_request(SIGN).merkle_root is None
    assert sign_request(msgspec.structs.replace(SIGN, merkle_root="")).merkle_root == b""


@pytest.mark.parametrize(
    "changes",
    [
        {"messages": ("zz",)},
        {"messages": ()},
        {"messages": ("00" * (MAX_MESSAGE_BYTES + 1),), "reading": "hex"},
        {"messages": ("ff",), "reading": "text"},
        {"messages": ("ff",), "reading": "file"},
        {"merkle_root": "0"},
        {"merkle_root": "00"},
        {"with_peers": ("a b",)},
        {"with_peers": ("\x1b[2J",)},
        {"answer_within": 0},
        {"answer_within": float("nan")},
    ],
)
def test_signing_that_cannot_be_meant_is_a_usage_error(changes: dict[str, object]) -> None:
    with pytest.raises(UsageError) as caught:
        sign_request(msgspec.structs.replace(SIGN, **changes))
    assert "\x1b" not in caught.value.message


@pytest.mark.parametrize(
    "changes", [{"name": "../x"}, {"threshold": 4}, {"with_peers": ("ben",)}, {"with_peers": ("ben", "a/b")}]
)
def test_a_wallet_that_cannot_be_meant_is_a_usage_error(changes: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        create_wallet_request(msgspec.structs.replace(CREATE, **changes))


def test_a_wallet_has_the_usual_suites_unless_others_are_named() -> None:
    assert len(create_wallet_request(CREATE).suites) == 2
    assert create_wallet_request(msgspec.structs.replace(CREATE, suites=("x",))).suites == ("x",)


@settings(max_examples=50, deadline=None)
@given(st.text(), st.lists(st.text(), max_size=3), st.none() | st.text())
def test_of_any_text_nothing_but_a_usage_error_comes(wallet: str, texts: list[str], root: str | None) -> None:
    for arguments in (
        SignArguments(wallet=wallet, messages=tuple(texts), reading="hex", merkle_root=root),
        SignArguments(wallet=wallet, messages=("00",), with_peers=tuple(texts)),
    ):
        try:
            sign_request(arguments)
        except UsageError as error:
            assert error.message  # noqa: PT017 -- what is looked for is any other exception


def test_a_name_is_a_peer_id_or_names_the_option() -> None:
    assert parse_with("ben") == "ben"
    with pytest.raises(UsageError) as caught:
        parse_with("")
    assert caught.value.hint == "correct --with"
