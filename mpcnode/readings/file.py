"""Reading ``file``: the content is the SHA-256 of a file (PROTOCOL, Signing)."""

from hashlib import sha256
from typing import Final, final

from mpcnode.crypto import tags
from mpcnode.crypto.transcript import tagged_hash
from mpcnode.errors import DecodeError

DIGEST_SIZE: Final = sha256().digest_size


@final
class File:
    """The 32-byte SHA-256 of a file, hashed once more: what chains sign is often 32 bytes too, and must differ."""

    name: Final = "file"

    def check(self, content: bytes) -> None:
        """Refuse what is not as long as a SHA-256.

        Raises:
            DecodeError: it is not.
        """
        if len(content) != DIGEST_SIZE:
            raise DecodeError(f"the SHA-256 of a file is {DIGEST_SIZE} bytes, not {len(content)}")

    def signed_bytes(self, content: bytes) -> bytes:
        """Give the 32 bytes that stand for this file."""
        return tagged_hash(tags.FILE, content)


FILE: Final = File()
