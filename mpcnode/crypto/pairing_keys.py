"""What two ends of a pairing make of the key that their password gave them (PROTOCOL section Handshake). Pure."""

from enum import Enum
from typing import Final

from mpcnode.crypto import aead, hkdf, tags
from mpcnode.crypto.hashing import wipe
from mpcnode.crypto.transcript import tagged_hash, u64
from mpcnode.errors import DecodeError
from mpcnode.types import IdentityKey

VERSION: Final = 1
KEY_SIZE: Final = hkdf.HASH_SIZE
MAX_SEALS: Final = 16
"""Messages that one end may seal; a pairing has two."""


class Role(Enum):
    """Which end of a slot a node is. Each has a key of its own, so that nothing it sealed is taken for the other's."""

    INVITER = "inviter"
    """It allocated the slot and made the code."""
    JOINER = "joiner"
    """It claimed the slot."""

    @property
    def other(self) -> "Role":
        """The role of the other end."""
        return Role.JOINER if self is Role.INVITER else Role.INVITER


def handshake_hash(slot: int, inviter: bytes, joiner: bytes) -> bytes:
    """Give the hash of all that both ends saw before they had a key.

    Args:
        slot: the number of the slot.
        inviter: the password exchange's message of the end that made the code.
        joiner: that of the other.
    """
    return tagged_hash(tags.PAIR, u64(VERSION), u64(slot), inviter, joiner)


class PairingKeys:
    """The keys of one pairing; ``wipe`` them at its end.

    Args:
        exchanged: the key of the password exchange; it is wiped here.
        handshake: ``handshake_hash``.
        role: which end this is.
    """

    def __init__(self, exchanged: bytearray, handshake: bytes, role: Role) -> None:
        self.handshake = handshake
        self._root = hkdf.extract(handshake, exchanged)
        wipe(exchanged)
        self._ours = hkdf.expand(self._root, tagged_hash(tags.PAIR_SEAL, role.value.encode()))
        self._theirs = hkdf.expand(self._root, tagged_hash(tags.PAIR_SEAL, role.other.value.encode()))
        self._role = role
        self._sealed = self._opened = 0

    def seal(self, plaintext: bytes) -> bytes:
        """Seal our next message.

        Raises:
            ValueError: there were ``MAX_SEALS``; a mistake of the caller.
        """
        nonce, self._sealed = _nonce(self._sealed), self._sealed + 1
        return bytes(aead.encrypt(self._ours, nonce, b"", plaintext))

    def open(self, sealed: bytes) -> bytes:
        """Open the other end's next message.

        Raises:
            DecodeError: it did not have the same password, handshake and role to seal with, or it is not its next.
        """
        if self._opened >= MAX_SEALS:
            raise DecodeError("more messages than a pairing has")
        nonce, self._opened = _nonce(self._opened), self._opened + 1
        return bytes(aead.decrypt(self._theirs, nonce, b"", sealed))

    def shared_with(self, ours: IdentityKey, theirs: IdentityKey) -> bytearray:
        """Give the pre-shared key of the two contacts, ``KEY_SIZE`` bytes, for the caller to wipe.

        Args:
            ours: this node's identity key.
            theirs: the identity key of the other end's card.
        """
        inviter, joiner = (ours, theirs) if self._role is Role.INVITER else (theirs, ours)
        return hkdf.expand(self._root, tagged_hash(tags.PAIR_KEY, inviter, joiner))

    def wipe(self) -> None:
        """Clear every key."""
        wipe(self._root, self._ours, self._theirs)

    def __repr__(self) -> str:
        return "PairingKeys(<redacted>)"


def _nonce(number: int) -> bytes:
    if number >= MAX_SEALS:
        raise ValueError("more messages than a pairing has")
    return number.to_bytes(aead.NONCE_SIZE, "big")
