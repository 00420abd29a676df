"""A key of a password: SPAKE2, symmetric, over edwards25519, as magic-wormhole and the Rust crate have it.

Each end sends one message and ends with 32 bytes, which are the same where both had the same password. A message says
nothing about the password, and whoever sends one with a guess learns whether that one guess was right.

The library is pure Python: about 10 ms for each step, not in constant time, on integers that nobody can wipe. That is
tolerable for a password that is used once, and nothing else of this program is computed so. A step is done in a thread.
"""

from collections.abc import Callable
from hmac import compare_digest
from typing import Any, Final

from mpcnode.crypto import tags
from mpcnode.crypto.hashing import lib
from mpcnode.errors import DecodeError

MESSAGE_SIZE: Final = 33
IDENTITY: Final = tags.PAIR.encode()
"""What both ends call themselves: a key that is made for anything else is another one."""

_SYMMETRIC: Final = b"S"
"""The first byte of a message: neither end is the first."""


class PasswordExchange:
    """One end of one exchange; good for one message and one answer.

    Args:
        password: what both ends know.
        rng: gives that many uniformly random bytes.
    """

    def __init__(self, password: bytes, rng: Callable[[int], bytes]) -> None:
        from spake2 import SPAKE2_Symmetric  # noqa: PLC0415 -- it takes longer to load than a command line

        self._exchange: Any = SPAKE2_Symmetric(password, idSymmetric=IDENTITY, entropy_f=rng)
        self.message: bytes = self._exchange.start()
        """What to send: ``MESSAGE_SIZE`` bytes."""

    def finish(self, message: bytes) -> bytearray:
        """Take the other end's message; gives the key, for the caller to wipe. There is no second try.

        Raises:
            DecodeError: it is not a message of this exchange, or it is our own.
            ValueError: a second one; a mistake of the caller.
        """
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            raise ValueError("a password is tried once")
        if len(message) != MESSAGE_SIZE or message[:1] != _SYMMETRIC:
            raise DecodeError("not a message of a password exchange")
        # With our own message as the answer, the one who sent it back would know as much of the key as we do.
        if compare_digest(message, self.message):
            raise DecodeError("our own message came back")
        # libsodium refuses more than the library: encodings that are not canonical.
        if not lib.crypto_core_ed25519_is_valid_point(message[1:]):
            raise DecodeError("a message of a password exchange is not a point of the group")
        return bytearray(exchange.finish(message))
