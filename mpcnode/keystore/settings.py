"""What a home remembers between commands: nothing that is secret, and nothing that weakens security."""

from dataclasses import asdict, dataclass
from typing import Final

from mpcnode.errors import DecodeError
from mpcnode.keystore.format import JsonObject, canonical, check_version, parse_json
from mpcnode.types import PeerId, parse_peer_id

FORMAT: Final = "mpcnode-settings"
VERSION: Final = 1
MAX_TEXT: Final = 1024


@dataclass(frozen=True, slots=True)
class Settings:
    """The last values that were given on the command line; a value that was never given is absent.

    Args:
        peer_id: this home's last name.
        room: the last room.
        server: the last signaling server's URL.
    """

    peer_id: PeerId | None = None
    room: str | None = None
    server: str | None = None

    def encode(self) -> bytes:
        """Give the canonical bytes of the settings file."""
        known = {name: value for name, value in asdict(self).items() if value is not None}
        return canonical({"format": FORMAT, "version": VERSION} | known)

    @classmethod
    def decode(cls, data: bytes) -> "Settings":
        """Read a settings file.

        Raises:
            DecodeError: not a settings file, an unknown field, or a value that cannot be one.
            KeystoreNewer: a newer mpcnode wrote it.
        """
        fields = parse_json(data)
        check_version(fields, FORMAT, VERSION)
        if not set(fields) <= {"format", "version", "peer_id", "room", "server"}:
            raise DecodeError("a settings file has no such field")
        peer_id = _text(fields, "peer_id")
        try:
            name = None if peer_id is None else parse_peer_id(peer_id)
        except ValueError as error:
            raise DecodeError(str(error)) from None
        return cls(name, _text(fields, "room"), _text(fields, "server"))


def _text(fields: JsonObject, name: str) -> str | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not value.isprintable() or len(value) > MAX_TEXT:
        raise DecodeError(f"{name} is not text of up to {MAX_TEXT} printable characters")
    return value
