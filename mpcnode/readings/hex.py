"""Reading ``hex``: the content is signed as it is (PROTOCOL, Signing)."""

from hashlib import sha256
from typing import Final, final


@final
class Hex:
    """Any bytes, and the only reading that signs them unchanged: they may be a transaction of some chain.

    A policy that lists other readings must never match it.
    """

    name: Final = "hex"

    def check(self, content: bytes) -> None:
        """Accept anything: every byte can be shown in hexadecimal."""

    def digest(self, content: bytes) -> bytes:
        """Give the SHA-256 of the content."""
        return sha256(content).digest()

    def signed_bytes(self, content: bytes) -> bytes:
        """Give the content."""
        return bytes(content)


HEX: Final = Hex()
