"""The sign step in a file: what cannot be meant is refused, with the accepted form."""

from typing import Any, cast

import pytest

from mpcnode.errors import ConfigurationError
from mpcnode.scenario.model import parse


def page(sign: str, expect: str = "{}") -> bytes:
    return f"nodes: [a, b, c]\nsteps:\n  - sign: {{by: a, wallet: w, {sign}}}\n    expect: {expect}\n".encode()


@pytest.mark.parametrize(
    ("sign", "message"),
    [
        ("with: [b]", "there has to be one of message, hex, batch and count"),
        ("message: x, hex: ff", "there has to be one of message, hex, batch and count"),
        ("message: 7", "message: expected `str | null`, got `int`"),
        ("hex: 0", "hex: expected `str | null`, got `int`"),
        ("hex: 'abc'", "hex: two digits a byte"),
        (r'message: "\ud800"', "half of a surrogate pair"),
        ("batch: []", "batch: expected `array` of length >= 1"),
        ("batch: one", "batch: expected `array | null`"),
        ("count: 0", "count: expected `int` >= 1"),
        ("count: 10001", "count: expected `int` <= 10000"),
        ("count: true", "count: expected `int | null`"),
        ("message: x, suite: rsa", "suite: invalid enum value 'rsa'"),
        ("message: x, with: [a]", "`with` has to name others"),
        ("message: x, with: [b, b]", "`with` has to name others"),
        ("message: x, with: [d]", "there is no node 'd'"),
        ("message: x, out: /tmp/x", "object contains unknown field `out`"),
        ("message: x, wallet: ../w", "a key is there twice"),
    ],
)
def test_what_cannot_be_signed_is_refused_with_the_accepted_form(sign: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(page(sign), "x")
    assert message in caught.value.message
    assert caught.value.hint


def test_a_wallet_that_can_have_no_such_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="a wallet name is"):
        parse(b"nodes: [a]\nsteps: [{sign: {by: a, wallet: ../w, message: x}}]", "x")


@pytest.mark.parametrize(
    ("expect", "message"),
    [
        ("{state: active}", "state has no meaning here"),
        ("{others: {error: refused}}", "others has no meaning here"),
        ("{verified: false}", "verified can only be true"),
        ("{signers: 0}", "signers: expected `int` >= 1"),
        ("{signed_by: [a]}", "unknown field `signed_by`"),
        ("{signed-by: [d]}", "there is no node 'd'"),
        ("{failures: {d: refused}}", "there is no node 'd'"),
        ("{failures: [b]}", "failures: expected `object | null`"),
        ("{error: refused, verified: true}", "verified does not go with an error"),
        ("{error: refused, failures: {}}", "failures does not go with an error"),
        ("{ends: {d: {verified: true}}}", "there is no node 'd'"),
        ("{ends: {b: {error: refused, culprits: [d]}}}", "there is no node 'd'"),
        ("{ends: {b: {}}}", "one of the two has to be there"),
        ("{ends: {b: {verified: false}}}", "verified can only be true"),
        ("{ends: {b: {verified: true, error: refused}}}", "one of the two has to be there"),
        ("{ends: {b: {verified: true, exit: 8}}}", "culprits, suspects and exit go with an error"),
    ],
)
def test_what_cannot_be_expected_of_it_is_refused(expect: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(page("message: x", expect), "x")
    assert message in caught.value.message


@pytest.mark.parametrize("verb", ["stop", "peers"])
def test_what_is_signed_is_expected_of_no_other_step(verb: str) -> None:
    with pytest.raises(ConfigurationError, match="signed-by has no meaning here"):
        parse(f"nodes: [a]\nsteps: [{{{verb}: {{node: a}}, expect: {{signed-by: [a]}}}}]".encode(), "x")


@pytest.mark.parametrize(
    ("sign", "reading", "messages"),
    [
        ("message: ''", "text", (b"",)),
        (r'message: "\e[2J\u202e"', "text", (b"\x1b[2J\xe2\x80\xae",)),
        ("hex: ''", "hex", (b"",)),
        ("hex: 'ff00'", "hex", (b"\xff\x00",)),
        ("batch: [one, one]", "text", (b"one", b"one")),
        ("count: 2", "text", (b"message 1", b"message 2")),
    ],
)
def test_messages_are_what_the_file_says(sign: str, reading: str, messages: tuple[bytes, ...]) -> None:
    action: Any = parse(page(sign), "x").steps[0].action
    assert (action.reading, action.messages) == (reading, messages)


def test_a_node_can_be_paused_for_a_while_and_started_to_accept_nothing() -> None:
    text = b"nodes: [a]\nsteps: [{pause: {node: a, for: 2}}, {start: {node: a, accept: none}}]"
    pause, start = (cast("Any", step.action) for step in parse(text, "x").steps)
    assert (pause.seconds, start.accept) == (2, "none")
