"""What is sealed in a wallet file: shares of its epochs, chain code and document key (PROTOCOL, Wallet file).

A share is opaque here: the protocol that made it knows its form, and it may be megabytes long.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

from mpcnode.errors import DecodeError
from mpcnode.types import EpochId, SuiteId

VERSION: Final = 1
KEY_SIZE: Final = 32
"""Bytes of a chain code, and of a document key."""
EPOCH_ID_SIZE: Final = 32
MAX_SHARES: Final = 1024
MAX_SECRET: Final = 16 << 20
"""Bytes of a whole encoded secret."""

_START: Final = 1 + 2 * KEY_SIZE + 2
"""Bytes before the first share: version, chain code, document key, number of shares."""
_SIZES: Final = 1 + 1 + 4
"""Bytes of a share's three lengths."""


@dataclass(frozen=True, slots=True)
class Share:
    """One participant's secret of one suite in one epoch.

    Args:
        epoch_id: which epoch, 32 bytes.
        suite: which ciphersuite.
        protocol: the protocol that made the share and can read it.
        data: the share, at least one byte; the value owns the buffer and wipes it, also where it is refused.

    Raises:
        ValueError: a name or a size is out of bounds.
    """

    epoch_id: EpochId
    suite: SuiteId
    protocol: str
    data: bytearray = field(repr=False)

    def __post_init__(self) -> None:
        names = (self.suite, self.protocol)
        problem = None
        if len(self.epoch_id) != EPOCH_ID_SIZE:
            problem = f"an epoch id is {EPOCH_ID_SIZE} bytes"
        elif not all(name.isascii() and 1 <= len(name) <= 255 for name in names):
            problem = "the name of a suite or protocol is 1 to 255 ASCII characters"
        elif not self.data:
            problem = "a share has at least one byte"
        if problem is not None:
            self.wipe()
            raise ValueError(problem)

    @property
    def order(self) -> tuple[bytes, str]:
        """What shares are sorted by, and what no two of them have in common."""
        return self.epoch_id, self.suite

    def wipe(self) -> None:
        """Clear the share; it is of no use afterwards."""
        self.data[:] = bytes(len(self.data))


class WalletSecret:
    """All that a participant keeps secret of one wallet.

    Args:
        shares: at least one, at most one for each epoch and suite.
        chain_code: 32 bytes.
        document_key: 32 bytes.

    The secret owns every buffer from here on and wipes them, also where it is refused.

    Raises:
        ValueError: a name, a number or a size is out of bounds, or two shares are of one epoch and suite.
    """

    __slots__ = ("chain_code", "document_key", "shares")

    shares: tuple[Share, ...]
    """Sorted by epoch id and suite."""

    def __init__(self, shares: Iterable[Share], *, chain_code: bytearray, document_key: bytearray) -> None:
        self.shares = tuple(sorted(shares, key=lambda share: share.order))
        self.chain_code = chain_code
        self.document_key = document_key
        problem = _problem(self.shares)
        if len(chain_code) != KEY_SIZE or len(document_key) != KEY_SIZE:
            problem = f"a chain code and a document key are {KEY_SIZE} bytes each"
        if problem is not None:
            self.wipe()
            raise ValueError(problem)

    def share(self, epoch_id: EpochId, suite: SuiteId) -> Share:
        """Give the share of one suite in one epoch.

        Raises:
            KeyError: there is none.
        """
        return {(share.epoch_id, share.suite): share for share in self.shares}[epoch_id, suite]

    def add(self, shares: Iterable[Share]) -> None:
        """Take more shares.

        Raises:
            ValueError: as the constructor; the new shares were wiped, the others are as they were.
        """
        new = tuple(shares)
        together = tuple(sorted((*self.shares, *new), key=lambda share: share.order))
        problem = _problem(together)
        if problem is not None:
            for share in new:
                share.wipe()
            raise ValueError(problem)
        self.shares = together

    def keep(self, epoch_ids: Collection[EpochId]) -> None:
        """Wipe and forget the shares of every other epoch."""
        for share in self.shares:
            if share.epoch_id not in epoch_ids:
                share.wipe()
        self.shares = tuple(share for share in self.shares if share.epoch_id in epoch_ids)

    def encode(self) -> bytearray:
        """Give the bytes that are sealed (PROTOCOL, Wallet file).

        Returns:
            A buffer for the caller to wipe.
        """
        # Of its final size from the start: a buffer that grows leaves copies of itself behind.
        data = bytearray(_size(self.shares))
        end = 0

        def put(part: bytes | bytearray) -> None:
            nonlocal end
            data[end : end + len(part)] = part
            end += len(part)

        put(bytes([VERSION]))
        put(self.chain_code)
        put(self.document_key)
        put(len(self.shares).to_bytes(2, "big"))
        for share in self.shares:
            put(share.epoch_id)
            for name in (share.suite, share.protocol):
                put(bytes([len(name)]) + name.encode("ascii"))
            put(len(share.data).to_bytes(4, "big"))
            put(share.data)
        return data

    @classmethod
    def decode(cls, data: bytearray) -> "WalletSecret":
        """Take the bytes of ``encode``; the caller wipes ``data``, and nothing else of it is left where it is refused.

        Raises:
            DecodeError: truncated, too long, of another version, or shares not sorted and different.
        """
        if len(data) > MAX_SECRET:
            raise DecodeError(f"a wallet's secret is at most {MAX_SECRET} bytes")
        parts = _Parts(data)
        try:
            return _decode(parts)
        except ValueError as error:
            parts.wipe()
            raise DecodeError(str(error)) from None

    def wipe(self) -> None:
        """Clear everything; the secret is of no use afterwards."""
        for share in self.shares:
            share.wipe()
        for key in (self.chain_code, self.document_key):
            key[:] = bytes(len(key))

    def __repr__(self) -> str:
        return f"WalletSecret({len(self.shares)} shares: <redacted>)"


def _size(shares: tuple[Share, ...]) -> int:
    sizes = (len(share.suite) + len(share.protocol) + len(share.data) for share in shares)
    return _START + len(shares) * (EPOCH_ID_SIZE + _SIZES) + sum(sizes)


def _problem(shares: tuple[Share, ...]) -> str | None:
    """Say why these cannot be the shares of a wallet."""
    if not 1 <= len(shares) <= MAX_SHARES:
        return f"a wallet has 1 to {MAX_SHARES} shares"
    if len({share.order for share in shares}) != len(shares):
        return "a wallet has one share for each epoch and suite"
    if _size(shares) > MAX_SECRET:
        return f"a wallet's secret is at most {MAX_SECRET} bytes"
    return None


class _Parts:
    """Takes an encoded secret apart, and remembers every part so that all of them can be wiped."""

    def __init__(self, data: bytearray) -> None:
        self._data = data
        self._end = 0
        self._taken: list[bytearray] = []

    def take(self, size: int) -> bytearray:
        """Give the next ``size`` bytes."""
        if self._end + size > len(self._data):
            raise DecodeError("a wallet's secret ends too early")
        part = self._data[self._end : self._end + size]
        self._taken.append(part)
        self._end += size
        return part

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def name(self) -> str:
        name = self.take(self.number(1))
        if not name.isascii():
            raise DecodeError("the name of a suite or protocol is ASCII")
        return name.decode("ascii")

    def end(self) -> None:
        if self._end != len(self._data):
            raise DecodeError("a wallet's secret has nothing after its last share")

    def wipe(self) -> None:
        for part in self._taken:
            part[:] = bytes(len(part))


def _decode(parts: _Parts) -> WalletSecret:
    if parts.number(1) != VERSION:
        raise DecodeError(f"a wallet's secret begins with its version, {VERSION}")
    chain_code, document_key = parts.take(KEY_SIZE), parts.take(KEY_SIZE)
    shares = [_decode_share(parts) for _ in range(parts.number(2))]
    parts.end()
    order = [share.order for share in shares]
    if order != sorted(order):
        raise DecodeError("the shares of a wallet's secret are sorted by epoch and suite")
    return WalletSecret(shares, chain_code=chain_code, document_key=document_key)


def _decode_share(parts: _Parts) -> Share:
    epoch_id = EpochId(bytes(parts.take(EPOCH_ID_SIZE)))
    suite, protocol = SuiteId(parts.name()), parts.name()
    return Share(epoch_id, suite, protocol, parts.take(parts.number(4)))
