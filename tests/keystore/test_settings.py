import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.errors import DecodeError, KeystoreNewer
from mpcnode.keystore.settings import Settings
from mpcnode.types import PeerId

SOME = Settings(PeerId("cli1"), "public", "ws://127.0.0.1:9000", ("stun:stun.example:3478", "@/home/ana/turn.json"))


@pytest.mark.parametrize("some", [Settings(), SOME, Settings(room="r\u00e4ume"), Settings(server="ws://\\\"'#: &a *b")])
def test_settings_survive_their_file(some: Settings) -> None:
    assert Settings.decode(some.encode()) == some


def test_the_file_is_a_page_that_a_person_can_read_and_write() -> None:
    assert (
        SOME.encode().decode()
        == """\
version: 1
moniker: "cli1"
server: "ws://127.0.0.1:9000"
room: "public"
ice_servers:
  - "stun:stun.example:3478"
  - "@/home/ana/turn.json"
"""
    )
    by_hand = (
        b"# ours\nserver: ws://127.0.0.1:9000\nversion: 1\nmoniker: no\nroom: 010\nice_servers: [turn:a, turn:b]\n"
    )
    assert Settings.decode(by_hand) == Settings(PeerId("no"), "010", "ws://127.0.0.1:9000", ("turn:a", "turn:b"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"cli1"', b'"../cli1"'),
        (b'"cli1"', b"[cli1]"),
        (b'"cli1"', b'""'),
        (b'"public"', b'"\\u001b[2J"'),
        (b'"public"', b'"' + b"x" * 2000 + b'"'),
        (b"room", b"zoom"),
        (b"room", b"server"),
        (b"room: ", b"room: &anchor "),
        (b"version: 1", b"version: 1\nnote: 1"),
        (b"version: 1", b"version: 0"),
        (b"version: 1\n", b""),
        (b"version: 1", b"version: one"),
        (b"ice_servers:\n", b"ice_servers:\n" + b"  - turn:a\n" * 16),
        (b"  - ", b"  - - "),
        (b"ice_servers:\n  - ", b"ice_servers: {a: b}\nx:\n  - "),
        (b"version", b"{version"),
        (b"public", b"\xff"),
    ],
)
def test_what_cannot_be_settings_is_refused(old: bytes, new: bytes) -> None:
    data = SOME.encode().replace(old, new, 1)
    assert data != SOME.encode()
    with pytest.raises(DecodeError):
        Settings.decode(data)


def test_newer_settings_are_not_damage() -> None:
    with pytest.raises(KeystoreNewer):
        Settings.decode(b"version: 2\nunheard-of: {of: this}\n")


@given(st.binary(max_size=100) | st.text().map(str.encode))
@settings(max_examples=50)
def test_only_documented_errors_escape_from_arbitrary_bytes(data: bytes) -> None:
    with pytest.raises((DecodeError, KeystoreNewer)):
        Settings.decode(data)
