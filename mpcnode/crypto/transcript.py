"""Hashes that cannot be confused with each other, and six words for people to compare (PROTOCOL, Conventions)."""

from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final

SAFETY_WORD_COUNT: Final = 6
MAX_INTEGER: Final = 2**53 - 1
"""The greatest integer that is hashed, signed or sent: every language's numbers hold it exactly."""

_BITS_PER_WORD: Final = 11


def tagged_hash(tag: str, *fields: bytes | bytearray) -> bytes:
    """Hash ``fields`` for one purpose: SHA-256 prefixed as in BIP-340, each field preceded by its length.

    Two calls give the same 32 bytes only for the same tag, the same number of fields and the same fields.

    Args:
        tag: what is hashed, a constant of ``mpcnode.crypto.tags``.
        fields: any number of byte strings.
    """
    hasher = _prefixed(tag).copy()
    for field in fields:
        hasher.update(len(field).to_bytes(8, "big"))
        hasher.update(field)
    digest: bytes = hasher.digest()
    return digest


@cache
def _prefixed(tag: str) -> Any:  # noqa: ANN401 (hashlib does not export the type of its hashers)
    prefix = sha256(tag.encode()).digest()
    return sha256(prefix + prefix)


def u64(number: int) -> bytes:
    """Give a number as a field: 8 bytes, the highest first.

    Args:
        number: 0 to ``MAX_INTEGER``.

    Raises:
        ValueError: it is out of range.
    """
    if not 0 <= number <= MAX_INTEGER:
        raise ValueError(f"a number in a hash is 0 to {MAX_INTEGER}")
    return number.to_bytes(8, "big")


def listed(fields: Sequence[bytes]) -> list[bytes]:
    """Give a list as fields: how many there are, then each; so that no two lists side by side can be confused."""
    return [u64(len(fields)), *fields]


def safety_words(digest: bytes) -> tuple[str, str, str, str, str, str]:
    """Give six words of the BIP-39 English list for people to compare: 66 bits of ``digest``.

    66 bits suffice only where nobody can search for a matching digest; here, because every participant committed to
    its part of the transcript before it saw another's.

    Args:
        digest: a hash of everything the words stand for, at least 9 bytes.
    """
    unused = len(digest) * 8 - SAFETY_WORD_COUNT * _BITS_PER_WORD
    if unused < 0:
        raise ValueError("six words take 66 bits")
    number = int.from_bytes(digest, "big") >> unused
    words = _word_list()
    a, b, c, d, e, f = (words[number >> shift * _BITS_PER_WORD & 2047] for shift in reversed(range(SAFETY_WORD_COUNT)))
    return a, b, c, d, e, f


@cache
def _word_list() -> tuple[str, ...]:
    return tuple(files("mpcnode.crypto").joinpath("english.txt").read_text("ascii").split())
