"""Identities with names, always the same, and a time that is always the same."""

import random
from functools import cache
from typing import Final

from mpcnode.identity.identity import Identity
from mpcnode.types import IdentityKey

NOW: Final = 1_800_000_000_000
"""Unix milliseconds."""


@cache
def identity(name: str) -> Identity:
    """The identity of that name; never wiped, because every test shares it."""
    return Identity.from_seed(bytearray(random.Random(name).randbytes(32)))


def key_of(name: str) -> IdentityKey:
    return identity(name).public_key
