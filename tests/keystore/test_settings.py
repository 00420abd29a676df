import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.errors import DecodeError, KeystoreNewer
from mpcnode.keystore.settings import Settings
from mpcnode.types import PeerId

SOME = Settings(PeerId("cli1"), "public", "ws://127.0.0.1:9000")


@pytest.mark.parametrize("some", [Settings(), SOME, Settings(room="räume")])
def test_settings_survive_their_file(some: Settings) -> None:
    assert Settings.decode(some.encode()) == some


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"cli1"', b'"../cli1"'),
        (b'"cli1"', b"5"),
        (b'"public"', b'"\\u001b[2J"'),
        (b'"public"', b'"' + b"x" * 2000 + b'"'),
        (b'"room"', b'"zoom"'),
        (b'"version": 1', b'"version": 1, "note": 1'),
        (b'"version": 1', b'"version": 0'),
        (b"mpcnode-settings", b"mpcnode-contacts"),
        (b"{", b""),
    ],
)
def test_what_cannot_be_settings_is_refused(old: bytes, new: bytes) -> None:
    data = SOME.encode().replace(old, new)
    assert data != SOME.encode()
    with pytest.raises(DecodeError):
        Settings.decode(data)


def test_newer_settings_are_not_damage() -> None:
    with pytest.raises(KeystoreNewer):
        Settings.decode(b'{"format": "mpcnode-settings", "version": 2}')


@given(st.binary(max_size=100) | st.text().map(str.encode))
@settings(max_examples=50)
def test_only_documented_errors_escape_from_arbitrary_bytes(data: bytes) -> None:
    with pytest.raises((DecodeError, KeystoreNewer)):
        Settings.decode(data)
