"""Codes that people tell each other, ``12-swirl-motor``: a slot and the words of a password (PROTOCOL section Codes).

Pure, and quick to load: a shell that completes a word asks this module.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

MAX_SLOT: Final = 999_999
"""The highest slot of a server; ``wire.slots`` has the same, and a test holds the two together."""
MIN_WORDS: Final = 2
MAX_WORDS: Final = 8
MAX_WORD: Final = 40
"""Letters of a word; the words we make have at most eleven."""

_SLOT: Final = re.compile(r"[1-9][0-9]{0,5}", re.ASCII)
_WORD: Final = re.compile(rf"[a-z]{{1,{MAX_WORD}}}", re.ASCII)
_BETWEEN: Final = re.compile(r"[\s-]+")
_FORM: Final = "a code is a number and two or more words, like 12-aardvark-adviser"
_CLOSE: Final = 2
"""How many letters a word of the list is at most away from what was typed in its place."""


@dataclass(frozen=True, slots=True, repr=False)
class Code:
    """A code. It shows neither itself nor its password by accident: ``str`` gives it to whoever means to show it.

    Args:
        slot: the number of the slot that both ends open.
        words: in small letters; the server never sees them.
    """

    slot: int
    words: tuple[str, ...]

    @property
    def password(self) -> bytes:
        """What both ends know and nobody else: the words with dashes between."""
        return "-".join(self.words).encode("ascii")

    def __str__(self) -> str:
        return "-".join((str(self.slot), *self.words))

    def __repr__(self) -> str:
        return f"Code({self.slot}, <redacted>)"


def draw_words(count: int, rng: Callable[[int], bytes]) -> tuple[str, ...]:
    """Draw the words of a new code: the words of PGP, one for each byte, of its two lists in turns.

    Args:
        count: ``MIN_WORDS`` to ``MAX_WORDS``.
        rng: gives that many uniformly random bytes.

    Raises:
        ValueError: another count.
    """
    if not MIN_WORDS <= count <= MAX_WORDS:
        raise ValueError(f"a code has {MIN_WORDS} to {MAX_WORDS} words")
    return tuple(_list(place)[byte] for place, byte in enumerate(rng(count)))


def parse_code(text: str) -> Code:
    """Take what a person typed as a code: in any case, with spaces or dashes.

    Any words are taken, because another program may have made the code. Only what is surely a slip is refused: words of
    our list in the wrong order, or one that is nearly a word of the list beside others that are of it.

    Raises:
        ValueError: it cannot be right; the text says why.
    """
    slot, *words = _BETWEEN.split(text.strip().lower())
    if not _SLOT.fullmatch(slot):
        raise ValueError(f"a code begins with the number of its slot, 1 to {MAX_SLOT:,}; {_FORM}")
    if not MIN_WORDS <= len(words) <= MAX_WORDS or not all(words):
        raise ValueError(f"this is not all of a code, or too much; {_FORM}")
    for number, word in enumerate(words, 1):
        if not _WORD.fullmatch(word):
            raise ValueError(f"word {number} of the code has other letters than a to z, or more than {MAX_WORD}")
    _check_slips(words)
    return Code(int(slot), tuple(words))


def complete(incomplete: str) -> list[str]:
    """Give what the beginning of a code may go on with: the whole text so far, for each word that fits its place.

    Args:
        incomplete: what stands there, up to the cursor.
    """
    before, dash, last = incomplete.lower().rpartition("-")
    slot, *words = before.split("-")
    if not dash or not _SLOT.fullmatch(slot) or not all(words) or len(words) >= MAX_WORDS:
        return []
    return [f"{before}-{word}" for word in _list(len(words)) if word.startswith(last)]


def _check_slips(words: Sequence[str]) -> None:
    right = [word in _list(place) for place, word in enumerate(words)]
    if not any(right) and all(word in _list(place + 1) for place, word in enumerate(words)):
        raise ValueError("the words of the code stand in another order than any code has, or one is missing")
    if any(right):
        for place, word in enumerate(words):
            if not right[place] and (meant := _closest(word, _list(place))):
                raise ValueError(f"word {place + 1} of the code is not quite a word of the list: is it {meant!r}?")


def _closest(word: str, words: Sequence[str]) -> str | None:
    distance, meant = min((_distance(word, one), one) for one in words)
    return meant if distance <= _CLOSE else None


def _distance(one: str, other: str) -> int:
    """How many letters have to be put in, left out or replaced (Levenshtein)."""
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        above, row[0] = row[0], i
        for j, wanted in enumerate(other, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (letter != wanted))
    return row[-1]


def _list(place: int) -> tuple[str, ...]:
    """The words for a place: those of two syllables for the first, of three for the second, and so on."""
    return _lists()[place % 2]


@cache
def _lists() -> tuple[tuple[str, ...], tuple[str, ...]]:
    rows = [row.split() for row in files("mpcnode.wire").joinpath("pgp_words.txt").read_text("ascii").splitlines()]
    return tuple(two for two, _ in rows), tuple(three for _, three in rows)
