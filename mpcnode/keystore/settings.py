"""What a home remembers between commands: nothing that is secret, and nothing that weakens security.

``settings.yaml`` is for people to read, and to write by hand where they like that better than ``mpcnode settings``.
"""

import json
from dataclasses import dataclass
from typing import Final

from mpcnode.errors import DecodeError, KeystoreNewer
from mpcnode.types import PeerId, parse_peer_id

VERSION: Final = 1
MAX_TEXT: Final = 1024
MAX_ICE_SERVERS: Final = 16
_TEXTS: Final = ("moniker", "room", "server")
_FIELDS: Final = frozenset({"version", "ice_servers", *_TEXTS})


@dataclass(frozen=True, slots=True)
class Settings:
    """What was set, or given when a command first succeeded; a value that never was is absent.

    Args:
        peer_id: what this home calls itself: its ``moniker``.
        room: the room.
        server: the signaling server's URL.
        ice_servers: STUN and TURN servers, each a URL or ``@`` and the absolute path of a file that has credentials.
    """

    peer_id: PeerId | None = None
    room: str | None = None
    server: str | None = None
    ice_servers: tuple[str, ...] = ()

    def encode(self) -> bytes:
        """Give the bytes of the settings file."""
        texts = {"moniker": self.peer_id, "server": self.server, "room": self.room}
        lines = [
            f"version: {VERSION}",
            *(f"{name}: {_quoted(text)}" for name, text in texts.items() if text is not None),
        ]
        if self.ice_servers:
            lines += ["ice_servers:", *(f"  - {_quoted(one)}" for one in self.ice_servers)]
        return "".join(f"{line}\n" for line in lines).encode()

    @classmethod
    def decode(cls, data: bytes) -> "Settings":
        """Read a settings file.

        Raises:
            DecodeError: not a settings file, an unknown field, or a value that cannot be one.
            KeystoreNewer: a newer mpcnode wrote it.
        """
        from mpcnode.keystore.plain_yaml import read_plain_yaml  # noqa: PLC0415 -- many homes have no settings

        fields = read_plain_yaml(data)
        if not isinstance(fields, dict):
            raise DecodeError("a settings file has a field on each line, such as `version: 1`")
        _check_version(fields.get("version"))
        unknown = sorted(fields.keys() - _FIELDS)
        if unknown:
            raise DecodeError(f"a settings file has no field {unknown[0][:80]!a}")
        moniker, room, server = (_text(name, fields.get(name)) for name in _TEXTS)
        try:
            name = None if moniker is None else parse_peer_id(moniker)
        except ValueError as error:
            raise DecodeError(f"moniker: {error}") from None
        ice = fields.get("ice_servers", [])
        if not isinstance(ice, list) or len(ice) > MAX_ICE_SERVERS:
            raise DecodeError(f"ice_servers is not a list of up to {MAX_ICE_SERVERS}")
        return cls(name, room, server, tuple(text for one in ice if (text := _text("ice_servers", one)) is not None))


def _check_version(found: object) -> None:
    if not (isinstance(found, str) and found.isascii() and found.isdigit() and len(found) < 10 and found[0] != "0"):
        raise DecodeError("it has no version")
    if int(found) > VERSION:
        raise KeystoreNewer(f"it is of version {found}, and this mpcnode reads up to version {VERSION}")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # as YAML has it too, where everything is printable


def _text(name: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value or not value.isprintable() or len(value) > MAX_TEXT:
        raise DecodeError(f"{name} is not text of up to {MAX_TEXT} printable characters")
    return value
