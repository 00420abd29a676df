"""The link of an invitation: one spelling, and what is not it is refused."""

import base64
import random
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpcnode.errors import DecodeError
from mpcnode.types import IdentityKey
from mpcnode.wire.invitation import Invitation, decode, encode

INVITATION = Invitation(
    server="wss://mpc.example:9000",
    room=bytes(range(16)),
    key=IdentityKey(bytes(range(32))),
    secret=bytes(range(100, 116)),
    expires=1_800_000_000_000,
)
LINK = encode(INVITATION)
DIGITS = LINK.rpartition("=")[2]


@pytest.mark.parametrize(
    "link",
    [
        "",
        "mpcnode:join",
        "mpcnode:join?",
        "mpcnode:join?v=1",
        LINK[:-1],
        LINK + "A",
        LINK + "&x=1",
        LINK + "\n",
        " " + LINK,
        LINK.upper(),
        LINK.replace("mpcnode:", "MPCNODE:"),
        LINK.replace("mpcnode:", "mpcnode://"),
        LINK.replace("v=1", "v=01"),
        LINK.replace("v=1", "v=2"),
        LINK.replace("wss://", "https://"),
        LINK.replace("mpc.example", "MPC.example"),
        LINK.replace("mpc.example", "mpc%2Eexample"),
        LINK.replace("mpc.example", "user@mpc.example"),
        LINK.replace("mpc.example", "gr\u00fcn.example"),
        LINK.replace(":9000", ":443"),
        LINK.replace(":9000", ":09000"),
        LINK.replace(":9000", ":99999"),
        LINK.replace(":9000", ":9000/path"),
        LINK.replace("mpc.example", "a" * 201),
        LINK.replace("&s=", "&i=x&s="),
        LINK.replace(DIGITS, DIGITS.lower()),
        LINK.replace(DIGITS, "1" + DIGITS[1:]),
        LINK.replace(DIGITS, DIGITS[:-1] + ("B" if DIGITS[-1] != "B" else "C")),
        LINK.replace(DIGITS, base64.b32encode(bytes(64) + b"\xff" * 7).decode().rstrip("=")),
    ],
)
def test_what_is_not_the_one_spelling_of_a_link_is_refused(link: str) -> None:
    with pytest.raises(DecodeError):
        decode(link)


def test_another_version_is_called_that() -> None:
    with pytest.raises(DecodeError, match="an invitation of version 2; this is version 1"):
        decode("mpcnode:join?v=2&whatever=x")


def test_an_altered_character_gives_another_invitation_or_none() -> None:
    rng = random.Random(11)
    for _ in range(500):
        at = rng.randrange(len(LINK))
        altered = LINK[:at] + rng.choice("ABCabc129=&?:/%.") + LINK[at + 1 :]
        with suppress(DecodeError):
            assert (decode(altered) == INVITATION) == (altered == LINK)


@given(
    server=st.sampled_from(["ws://127.0.0.1:9000", "wss://mpc.example", "wss://[2001:db8::1]:444", "ws://a-b.c"]),
    room=st.binary(min_size=16, max_size=16),
    key=st.binary(min_size=32, max_size=32),
    secret=st.binary(min_size=16, max_size=16),
    expires=st.integers(0, 2**53 - 1),
)
def test_every_link_is_read_again(server: str, room: bytes, key: bytes, secret: bytes, expires: int) -> None:
    invitation = Invitation(server=server, room=room, key=IdentityKey(key), secret=secret, expires=expires)
    link = encode(invitation)
    assert decode(link) == invitation
    assert link.isascii()
    assert not set(link) & set("[] \"<>'")


@pytest.mark.parametrize(
    "wrong",
    [
        {"server": "wss://MPC.example"},
        {"server": "https://mpc.example"},
        {"server": "wss://mpc.example/x"},
        {"server": "wss://" + "a" * 60 + "." + "a" * 140},
        {"room": bytes(15)},
        {"key": bytes(33)},
        {"secret": b""},
        {"expires": -1},
        {"expires": 2**53},
    ],
)
def test_what_has_no_place_in_a_link_makes_no_invitation(wrong: dict[str, object]) -> None:
    values = {name: getattr(INVITATION, name) for name in ("server", "room", "key", "secret", "expires")}
    with pytest.raises(ValueError):
        Invitation(**(values | wrong))


def test_an_invitation_shows_its_secret_to_nobody_who_does_not_ask() -> None:
    assert INVITATION.secret.hex() not in repr(INVITATION)
    assert repr(INVITATION.secret) not in repr(INVITATION)
    assert INVITATION.room_name == bytes(range(16)).hex()
