"""What every reading is."""

from typing import Protocol


class Reading(Protocol):
    """One way to read what is to be signed; it alone determines which bytes are signed.

    A person approves the content. Two readings never give the same signed bytes for anything a person could mistake
    for the other, because each but ``hex`` hashes under a tag of its own.
    """

    @property
    def name(self) -> str:
        """Its word on the wire, in policies and on the command line."""
        ...

    def check(self, content: bytes) -> None:
        """Refuse content that cannot be shown this way.

        Raises:
            DecodeError: saying why.
        """

    def digest(self, content: bytes) -> bytes:
        """Give the 32 bytes by which people tell this content from another, the same on every screen and in the log."""
        ...

    def signed_bytes(self, content: bytes) -> bytes:
        """Give the message that is signed for ``content``, which was checked."""
        ...
