"""The names of things, as types, so that two strings or two numbers with different meanings are not mixed up.

Each type has one parser, used at every boundary where the value comes from a user, a file or a peer.
"""

import re
from typing import Final, Literal, NewType

PeerId = NewType("PeerId", str)
"""A node's name at the signaling server; a name, not an identity."""

IdentityKey = NewType("IdentityKey", bytes)
"""The 32-byte Ed25519 public key that *is* a node's identity."""

SessionId = NewType("SessionId", bytes)
"""The 16 bytes that name a session, made of its proposer's key and a salt; hexadecimal only at a boundary."""

WalletId = NewType("WalletId", bytes)
"""The 16 bytes that name a wallet for life; in hexadecimal, the name of its directory."""

EpochId = NewType("EpochId", bytes)
"""The 32 bytes that name one sharing of a wallet's key: the hash of its statement (PROTOCOL, Key generation)."""

SuiteId = NewType("SuiteId", str)
"""What a wallet's key is for and how it is used, such as ``FROST-ED25519-SHA512-v1``."""

Identifier = NewType("Identifier", int)
"""A participant's number in a wallet, 1 to 64, for life; it is stored and sent, and never a position in a list."""

Reading = Literal["text", "hex", "file"]
"""What people are shown of what they sign; it determines which bytes are signed (PROTOCOL, Signing)."""

MIN_THRESHOLD: Final = 2
MAX_PARTICIPANTS: Final = 64

PEER_ID_FORM: Final = "1 to 64 of the characters A-Z a-z 0-9 . _ -"
WALLET_NAME_FORM: Final = "1 to 64 of the characters A-Z a-z 0-9 . _ -, not starting with . or -"

_PEER_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_WALLET_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_HEX_128: Final = re.compile(r"[0-9a-f]{32}")
_HEX_256: Final = re.compile(r"[0-9a-f]{64}")


def parse_peer_id(text: str) -> PeerId:
    """Take ``text`` as a peer id.

    Raises:
        ValueError: it is not of the form ``PEER_ID_FORM``.
    """
    if not _PEER_ID.fullmatch(text):
        raise ValueError(f"a peer id is {PEER_ID_FORM}")
    return PeerId(text)


def parse_wallet_name(text: str) -> str:
    """Take ``text`` as a wallet's name; a name is shown and searched for, and never becomes a path.

    Raises:
        ValueError: it is not of the form ``WALLET_NAME_FORM``.
    """
    if not _WALLET_NAME.fullmatch(text):
        raise ValueError(f"a wallet name is {WALLET_NAME_FORM}")
    return text


def parse_session_id(text: str) -> SessionId:
    """Take ``text`` as a session id.

    Raises:
        ValueError: it is not 32 lower-case hexadecimal digits.
    """
    if not _HEX_128.fullmatch(text):
        raise ValueError("a session id is 32 lower-case hexadecimal digits")
    return SessionId(bytes.fromhex(text))


def parse_wallet_id(text: str) -> WalletId:
    """Take ``text`` as a wallet id.

    Raises:
        ValueError: it is not 32 lower-case hexadecimal digits.
    """
    if not _HEX_128.fullmatch(text):
        raise ValueError("a wallet id is 32 lower-case hexadecimal digits")
    return WalletId(bytes.fromhex(text))


def parse_epoch_id(text: str) -> EpochId:
    """Take ``text`` as an epoch id.

    Raises:
        ValueError: it is not 64 lower-case hexadecimal digits.
    """
    if not _HEX_256.fullmatch(text):
        raise ValueError("an epoch id is 64 lower-case hexadecimal digits")
    return EpochId(bytes.fromhex(text))


def parse_identity_key(data: bytes) -> IdentityKey:
    """Take 32 bytes as an identity key; the code that uses the key finds out whether it is a usable point.

    Raises:
        ValueError: not 32 bytes.
    """
    if len(data) != 32:
        raise ValueError("an identity key is 32 bytes")
    return IdentityKey(bytes(data))


def check_threshold(threshold: int, total: int) -> None:
    """Check ``2 <= threshold <= total <= 64``.

    Raises:
        ValueError: saying which bound does not hold.
    """
    if not MIN_THRESHOLD <= threshold <= total <= MAX_PARTICIPANTS:
        raise ValueError(
            f"threshold and total must satisfy {MIN_THRESHOLD} <= threshold <= total <= {MAX_PARTICIPANTS}, "
            f"not threshold {threshold}, total {total}"
        )
