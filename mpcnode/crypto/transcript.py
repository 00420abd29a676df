"""Hashes that cannot be confused with each other, and six words for people to compare."""

from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Final

SAFETY_WORD_COUNT: Final = 6
_BITS_PER_WORD: Final = 11


def tagged_hash(tag: str, *parts: bytes) -> bytes:
    """Hash ``parts`` for one purpose: SHA-256 prefixed as in BIP-340, each part preceded by its length.

    Two calls give the same 32 bytes only for the same tag, the same number of parts and the same parts.

    Args:
        tag: what is hashed, a constant of the program such as ``"mpcnode/transcript/v1"``.
        parts: any number of byte strings.
    """
    prefix = sha256(tag.encode()).digest()
    hasher = sha256(prefix + prefix)
    for part in parts:
        hasher.update(len(part).to_bytes(8, "big"))
        hasher.update(part)
    return hasher.digest()


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
