"""Reading ``file``: the content is the SHA-256 of a file, with its size and name (PROTOCOL, Signing)."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self, final

from mpcnode.crypto import tags
from mpcnode.crypto.transcript import tagged_hash, u64
from mpcnode.errors import DecodeError

DIGEST_SIZE: Final = sha256().digest_size
MAX_NAME_SIZE: Final = 255
_HEAD_SIZE: Final = DIGEST_SIZE + 8
_MAX_SIZE: Final = 2**53 - 1


@dataclass(frozen=True, slots=True)
class FileContent:
    """A file as people are shown it. The SHA-256 alone is signed; size and name are the proposer's word.

    Args:
        digest: its SHA-256, as ``sha256sum`` prints it.
        size: in bytes, less than 2^53.
        name: what its owner calls it, without directories; at most 255 bytes of UTF-8, and never used as a path.
    """

    digest: bytes
    size: int
    name: str

    def encode(self) -> bytes:
        """Give the content: ``digest || u64(size) || name``."""
        return self.digest + u64(self.size) + self.name.encode()

    @classmethod
    def decode(cls, content: bytes) -> Self:
        """Take a content apart.

        Raises:
            DecodeError: it has another form.
        """
        digest, size, name = content[:DIGEST_SIZE], content[DIGEST_SIZE:_HEAD_SIZE], content[_HEAD_SIZE:]
        if len(size) != _HEAD_SIZE - DIGEST_SIZE:
            raise DecodeError(f"a file is a SHA-256, 8 bytes of size and a name, not {len(content)} bytes")
        if len(name) > MAX_NAME_SIZE:
            raise DecodeError(f"the name of a file is at most {MAX_NAME_SIZE} bytes, not {len(name)}")
        if int.from_bytes(size) > _MAX_SIZE:
            raise DecodeError("the size of a file is less than 2^53 bytes")
        try:
            return cls(digest, int.from_bytes(size), name.decode())
        except UnicodeDecodeError:
            raise DecodeError("the name of a file is UTF-8") from None


@final
class File:
    """A file, by its SHA-256, hashed once more: what chains sign is often 32 bytes too, and must differ."""

    name: Final = "file"

    def check(self, content: bytes) -> None:
        """Refuse what is not of the form of ``FileContent``.

        Raises:
            DecodeError: it is not.
        """
        FileContent.decode(content)

    def digest(self, content: bytes) -> bytes:
        """Give the file's own SHA-256."""
        return content[:DIGEST_SIZE]

    def signed_bytes(self, content: bytes) -> bytes:
        """Give the 32 bytes that stand for this file."""
        return tagged_hash(tags.FILE, content[:DIGEST_SIZE])


FILE: Final = File()
