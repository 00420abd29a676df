"""Reading ``text``: the content is text that a person reads (PROTOCOL, Signing)."""

from hashlib import sha256
from typing import Final, final

from mpcnode.crypto import tags
from mpcnode.crypto.transcript import tagged_hash
from mpcnode.errors import DecodeError


@final
class Text:
    """UTF-8; signed as a hash of its own, so that no text is also a transaction."""

    name: Final = "text"

    def check(self, content: bytes) -> None:
        """Refuse what is not UTF-8.

        Raises:
            DecodeError: it is not.
        """
        try:
            content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DecodeError(f"a text is UTF-8, and this is not at byte {error.start}") from None

    def digest(self, content: bytes) -> bytes:
        """Give the SHA-256 of the content."""
        return sha256(content).digest()

    def signed_bytes(self, content: bytes) -> bytes:
        """Give the 32 bytes that stand for this text."""
        return tagged_hash(tags.TEXT, content)


TEXT: Final = Text()
