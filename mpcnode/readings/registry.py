"""Every reading there is, by its word. A new reading is a file beside this one, and a line here."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from mpcnode.errors import DecodeError
from mpcnode.readings.file import FILE
from mpcnode.readings.hex import HEX
from mpcnode.readings.reading import Reading
from mpcnode.readings.text import TEXT

_ALL: Final[tuple[Reading, ...]] = (TEXT, HEX, FILE)
READINGS: Final[Mapping[str, Reading]] = MappingProxyType({reading.name: reading for reading in _ALL})


def check(reading: str, content: bytes) -> None:
    """Check that a person can be shown ``content`` by this reading: nobody approves what cannot be shown.

    Raises:
        DecodeError: the reading is unknown, or the content is not of its form.
    """
    _named(reading).check(content)


def signed_bytes(reading: str, content: bytes) -> bytes:
    """Give the message that is signed when a person approves ``content`` by this reading.

    Raises:
        DecodeError: as ``check``.
    """
    found = _named(reading)
    found.check(content)
    return found.signed_bytes(content)


def digest(reading: str, content: bytes) -> bytes:
    """Give the SHA-256 by which people compare ``content``, which was checked: of a file, its own."""
    return _named(reading).digest(content)


def _named(reading: str) -> Reading:
    if reading not in READINGS:
        raise DecodeError(f"there is no reading {reading!a}; the readings are {', '.join(READINGS)}")
    return READINGS[reading]
