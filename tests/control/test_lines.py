"""The lines of the control socket and of ``--json``: strict, and the same on both ends."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpcnode import errors, status
from mpcnode.control.lines import (
    Failed,
    Question,
    Result,
    Serving,
    decode_line,
    decode_request,
    encode_line,
    error_of,
)
from mpcnode.errors import DecodeError, MpcError
from mpcnode.status import error_view
from tests.helpers.statuses import SESSION, contact, peers, proposed

WORDS = status.SafetyWords(SESSION, ("one", "two", "three", "four", "five", "six"))


def _all_errors(kind: type[MpcError] = MpcError) -> list[type[MpcError]]:
    return [found for child in kind.__subclasses__() for found in (child, *_all_errors(child))]


@pytest.mark.parametrize(
    "kind", [kind for kind in _all_errors() if not kind.__subclasses__() and kind.__module__ == errors.__name__]
)
def test_every_error_survives_the_way_over_the_socket(kind: type[MpcError]) -> None:
    view = status.ErrorView(kind.code, "what", kind.exit_code, kind.fault, culprits=(), hint="how", saved="all")
    if issubclass(kind, errors.PeerError):
        view = status.ErrorView(kind.code, "what", kind.exit_code, kind.fault, ("a",), hint="how", saved="all")
    error = error_of(view)
    assert type(error) is kind
    assert error_view(error) == view


def test_an_error_of_a_later_version_is_still_an_error() -> None:
    assert error_of(status.ErrorView("solar_flare", "what", 42, "sun")).message == "what"


@pytest.mark.parametrize(
    "line",
    [
        Serving("127.0.0.1", 9000),
        Result(peers=peers("a")),
        Failed(status.ErrorView("usage", "x", 2, "us")),
        Question(1, WORDS),
        Question(2, proposed("a", "b")),
        status.Warned("x"),
        status.PairingCode("12-swirl-motor", 1),
        Result(contact=contact("bob")),
    ],
)
def test_every_line_comes_back_as_it_was(line: object) -> None:
    encoded = encode_line(line)  # type: ignore[arg-type]
    assert encoded.endswith(b"\n")
    assert encoded.count(b"\n") == 1
    assert decode_line(encoded) == line


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.text(), st.lists).map(lambda v: str(v).encode("utf-8", "replace"))
)
def test_whatever_the_bytes_only_a_decode_error_escapes(data: bytes) -> None:
    for decode in (decode_line, decode_request):
        with contextlib.suppress(DecodeError):
            decode(data)


def test_a_line_200000_deep_is_a_decode_error() -> None:
    for decode in (decode_line, decode_request):
        with pytest.raises(DecodeError):
            decode(b'{"event":' + b"[" * 200_000)
