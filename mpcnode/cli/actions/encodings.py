"""Keys and signatures as people have them: hexadecimal, base 58, base 64, files, OpenSSH.

Public data only. A text that could be two things is refused and not guessed at.
"""

import base64
import binascii
import re
from collections.abc import Collection
from typing import Final

from mpcnode.errors import UsageError

_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_HEX: Final = re.compile(r"(?:0[xX])?((?:[0-9a-fA-F]{2}[:\s]?)*)")
_SSH_ED25519: Final = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20"


def read_hex(text: str) -> bytes | None:
    """Take hexadecimal, also behind ``0x`` and with colons or spaces between the bytes; None where it is not."""
    if (match := _HEX.fullmatch(text.strip())) is None:
        return None
    return bytes.fromhex(match[1].replace(":", ""))


def read_text(text: str, sizes: Collection[int]) -> bytes | None:
    """Take bytes written in hexadecimal, base 58 or base 64.

    Args:
        text: as it was given.
        sizes: how many bytes make sense; hexadecimal may have any number, for a better error.

    Returns:
        None where it is none of them.

    Raises:
        UsageError: it is base 58 of one thing and base 64 of another.
    """
    text = text.strip()
    if (data := read_hex(text)) is not None:
        return data
    found = {
        data
        for data in (_read_base58(text), _read_base64(text))
        # 33 bytes are a compressed point (SEC 1), and half of all addresses in base 58 have the length of its base 64.
        if data is not None and len(data) in sizes and (len(data) != 33 or data[0] in {2, 3})
    }
    if len(found) > 1:
        raise UsageError(
            f"{text[:100]!a} can be read as base 58 and as base 64", hint="give it in hexadecimal, or in a file"
        )
    return next(iter(found), None)


def read_ssh_key(text: str) -> bytes | None:
    """Take the line of an OpenSSH ``.pub`` file; None where it is not one.

    Raises:
        UsageError: it is one of another kind than Ed25519, or damaged.
    """
    words = text.split()
    if len(words) < 2 or not words[0].startswith(("ssh-", "ecdsa-", "sk-")):
        return None
    if words[0] != "ssh-ed25519":
        raise UsageError(f"the OpenSSH key is of kind {words[0][:40]!a}", hint="of OpenSSH keys, ssh-ed25519 are read")
    blob = _read_base64(words[1]) or b""
    if not blob.startswith(_SSH_ED25519) or len(blob) != len(_SSH_ED25519) + 32:
        raise UsageError("the OpenSSH key is damaged", hint="give the whole line of the .pub file")
    return blob[len(_SSH_ED25519) :]


def _read_base58(text: str) -> bytes | None:
    if not text or any(character not in _BASE58 for character in text) or len(text) > 100:
        return None
    number = 0
    for character in text:
        number = number * 58 + _BASE58.index(character)
    zeros = len(text) - len(text.lstrip(_BASE58[0]))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _read_base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        return None


# ---- why 32 bytes are not an Ed25519 public key ----
