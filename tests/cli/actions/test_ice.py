"""``--ice-server``: what is none is refused, and a credential comes from a file and into no message."""

import json
from pathlib import Path

import pytest

from mpcnode.cli.actions.ice import MAX_FILE, ice_servers
from mpcnode.errors import ConfigurationError, UsageError
from mpcnode.wire.signaling import IceServer


@pytest.mark.parametrize(
    "given",
    [
        "",
        "example.org",
        "http://example.org",
        "turn:",
        "turn:ana:secret@example.org",
        "turn:example.org/x",
        "turn:example.org?transport=tls",
        "turn:example.org:3478000",
        "stun:a b",
        "stun:" + "a" * 300,
        "turn:example.org\n",
    ],
)
def test_what_is_no_ice_server_is_refused_naming_the_option(given: str) -> None:
    with pytest.raises(UsageError) as caught:
        ice_servers([given])
    assert "--ice-server" in str(caught.value.hint)


@pytest.mark.parametrize(
    "given",
    [
        "stun:stun.example",
        "turns:192.0.2.1:443?transport=tcp",
        "turn:[2001:db8::1]:3478",
        "turn:t.example?transport=udp",
    ],
)
def test_urls_of_both_kinds_are_taken(given: str) -> None:
    assert ice_servers([given]) == (IceServer(urls=(given,)),)


def test_credentials_come_from_a_file_in_the_browsers_form(tmp_path: Path) -> None:
    file = tmp_path / "ice.json"
    file.write_text(json.dumps([{"urls": ["turn:t.example"], "username": "ana", "credential": "secret"}]))
    (stun, turn) = ice_servers(["stun:stun.example", f"@{file}"])
    assert stun.urls == ("stun:stun.example",)
    assert (turn.urls, turn.username, turn.credential) == (("turn:t.example",), "ana", "secret")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "not json secret",
        "{}",
        '[{"urls": "turn:t.example", "credential": "secret"}]',
        '[{"urls": [], "credential": "secret"}]',
        '[{"urls": ["turn:t.example"], "password": "secret"}]',
        '[{"urls": ["turn:t.example"], "credential": ["secret"]}]',
        '[{"urls": ["https://t.example"], "credential": "secret"}]',
        "[" * 100_000,
        '["' + "secret" * MAX_FILE + '"]',
    ],
)
def test_a_file_that_is_no_such_list_is_refused_and_not_quoted(tmp_path: Path, content: str) -> None:
    file = tmp_path / "ice.json"
    file.write_text(content)
    with pytest.raises(ConfigurationError) as caught:
        ice_servers([f"@{file}"])
    assert str(file) in caught.value.message
    assert "secret" not in f"{caught.value.message} {caught.value.hint}"
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("name", ["absent", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot read"):
        ice_servers([f"@{tmp_path / name}"])
