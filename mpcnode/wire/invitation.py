"""The link of an invitation, ``mpcnode:join?...`` (PROTOCOL section Invitations). Pure.

It is short, so that its QR code fits a terminal of 80 columns and 24 rows: what is in it besides the server stands in
one run of the capitals and digits that a QR code packs best. One invitation has one spelling.
"""

import base64
import re
from dataclasses import dataclass
from typing import Final

from mpcnode.crypto.transcript import MAX_INTEGER
from mpcnode.errors import DecodeError
from mpcnode.types import IdentityKey, parse_identity_key
from mpcnode.wire.signaling import origin_of

SCHEME: Final = "mpcnode:join"
VERSION: Final = 1
ROOM_SIZE: Final = 16
SECRET_SIZE: Final = 16
MAX_SERVER: Final = 200
"""Characters of a server's origin in an invitation."""

_EXPIRES_SIZE: Final = 7
_SIZE: Final = ROOM_SIZE + 32 + SECRET_SIZE + _EXPIRES_SIZE
_DIGITS: Final = -(-_SIZE * 8 // 5)
_LINK: Final = re.compile(
    rf"{SCHEME}\?v=([0-9]{{1,4}})(?:&s=(wss?://(?:[a-z0-9.-]+|%5B[0-9a-f:.]+%5D)(?::[1-9][0-9]{{0,4}})?)"
    rf"&i=([A-Z2-7]{{{_DIGITS}}}))?(.*)",
    re.ASCII | re.DOTALL,
)


class OtherVersion(DecodeError):
    """The link is of another version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """What a link says.

    Args:
        server: the origin of the signaling server.
        room: 128 random bits that name the room in which the invited meet.
        key: the identity key of the node that invites.
        secret: 128 random bits that show who holds the link; not in ``repr``.
        expires: Unix time in milliseconds.

    Raises:
        ValueError: a value has no place in a link.
    """

    server: str
    room: bytes
    key: IdentityKey
    secret: bytes
    expires: int

    def __post_init__(self) -> None:
        if len(self.server) > MAX_SERVER or origin_of(self.server) != self.server:
            raise ValueError(f"the server of an invitation is its origin, of at most {MAX_SERVER} characters")
        if len(self.room) != ROOM_SIZE or len(self.secret) != SECRET_SIZE or len(self.key) != 32:
            raise ValueError("room and secret of an invitation are 16 bytes, its key is 32")
        if not 0 <= self.expires <= MAX_INTEGER:
            raise ValueError("an invitation expires at a time in milliseconds")

    @property
    def room_name(self) -> str:
        """The room as servers know it."""
        return self.room.hex()

    def __repr__(self) -> str:
        return f"Invitation({self.server!r}, {self.room.hex()}, {self.key.hex()}, <redacted>, {self.expires})"


def encode(invitation: Invitation) -> str:
    """Give the link of an invitation."""
    packed = b"".join(
        (invitation.room, invitation.key, invitation.secret, invitation.expires.to_bytes(_EXPIRES_SIZE, "big"))
    )
    server = invitation.server.replace("[", "%5B").replace("]", "%5D")
    return f"{SCHEME}?v={VERSION}&s={server}&i={base64.b32encode(packed).decode('ascii').rstrip('=')}"


def decode(link: str) -> Invitation:
    """Read a link.

    Raises:
        DecodeError: it is not one, or not in its one spelling, or of another version; the text says which.
    """
    found = _LINK.fullmatch(link)
    if found is None:
        raise DecodeError(f"not the link of an invitation, which begins with {SCHEME}?")
    version, server, digits, rest = found.groups()
    if version != str(VERSION):
        raise OtherVersion(f"an invitation of version {version[:4]}; this is version {VERSION}")
    if server is None or rest:
        raise DecodeError("not all of the link of an invitation, or more than that")
    packed = base64.b32decode(digits + "=" * (-len(digits) % 8))
    room, key = packed[:ROOM_SIZE], packed[ROOM_SIZE : ROOM_SIZE + 32]
    secret, expires = packed[ROOM_SIZE + 32 : -_EXPIRES_SIZE], int.from_bytes(packed[-_EXPIRES_SIZE:], "big")
    try:
        invitation = Invitation(
            server=server.replace("%5B", "[").replace("%5D", "]"),
            room=room,
            key=parse_identity_key(key),
            secret=secret,
            expires=expires,
        )
    except ValueError as error:
        raise DecodeError(str(error)) from None
    # Spare bits of the last digit, a port that is the default one: one comparison settles them.
    if encode(invitation) != link:
        raise DecodeError("not in the one spelling of an invitation")
    return invitation
