"""What is sealed in a wallet file: one signing share for each ciphersuite."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from mpcnode.errors import DecodeError
from mpcnode.types import SuiteId

VERSION: Final = 1
SHARE_SIZE: Final = 32


class WalletSecret:
    """A participant's signing shares.

    Args:
        shares: by suite, each the suite's 32-byte scalar encoding; the secret owns the buffers and wipes them.

    Raises:
        ValueError: none, more than 255, a suite's name that is not 1 to 255 ASCII characters, or a share not 32 bytes.
    """

    __slots__ = ("shares",)

    shares: Mapping[SuiteId, bytearray]
    """Sorted by suite."""

    def __init__(self, shares: Mapping[SuiteId, bytearray]) -> None:
        if not 1 <= len(shares) <= 255:
            raise ValueError("a wallet has 1 to 255 signing shares")
        if any(not suite.isascii() or not 1 <= len(suite) <= 255 for suite in shares):
            raise ValueError("a ciphersuite's name is 1 to 255 ASCII characters")
        if any(len(share) != SHARE_SIZE for share in shares.values()):
            raise ValueError(f"a signing share is {SHARE_SIZE} bytes")
        self.shares = MappingProxyType(dict(sorted(shares.items())))

    def encode(self) -> bytearray:
        """Give version, number of shares, and each as length of name, name, share; sorted by name.

        Returns:
            A buffer for the caller to wipe.
        """
        data = bytearray([VERSION, len(self.shares)])
        for suite, share in self.shares.items():
            data.append(len(suite))
            data += suite.encode("ascii")
            data += share
        return data

    @classmethod
    def decode(cls, data: bytearray) -> "WalletSecret":
        """Take the bytes of ``encode``; the caller wipes ``data``.

        Raises:
            DecodeError: truncated, too long, of another version, or names not sorted and different.
        """
        if len(data) < 2 or data[0] != VERSION:
            raise DecodeError("not a wallet's secret")
        shares: dict[SuiteId, bytearray] = {}
        offset = 2
        for _ in range(data[1]):
            name, offset = _take(data, offset + 1, data[offset] if offset < len(data) else 0)
            share, offset = _take(data, offset, SHARE_SIZE)
            if not name or not name.isascii():
                raise DecodeError("a ciphersuite's name is ASCII")
            shares[SuiteId(name.decode("ascii"))] = share
        if offset != len(data) or len(shares) != data[1] or list(shares) != sorted(shares) or not shares:
            raise DecodeError("a wallet's secret has each ciphersuite once, sorted, and nothing after")
        return cls(shares)

    def wipe(self) -> None:
        """Clear every share; the secret is of no use afterwards."""
        for share in self.shares.values():
            share[:] = bytes(len(share))

    def __repr__(self) -> str:
        return f"WalletSecret({', '.join(self.shares)}: <redacted>)"


def _take(data: bytearray, offset: int, size: int) -> tuple[bytearray, int]:
    if offset + size > len(data):
        raise DecodeError("a wallet's secret ends too early")
    return data[offset : offset + size], offset + size
