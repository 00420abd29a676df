"""Whom an error names, in one value, so that no test looks at only half of it."""

from collections.abc import Set as AbstractSet

from mpcnode.errors import MpcError
from mpcnode.status import ErrorView
from mpcnode.types import PeerId


def blamed(error: MpcError | ErrorView) -> tuple[tuple[PeerId | str, ...], AbstractSet[PeerId | str]]:
    """Give those that it convicts, and its suspects."""
    return tuple(error.culprits), frozenset(error.suspects)
