"""How often this node does something because others have it do so. Pure: the clock is an argument, and monotonic.

What a peer has this node do is charged to that peer where its key is proved or pinned, and to one budget that all
strangers share where anybody could have claimed the name. What finds its budget used up is put off where an honest peer
may need it, and else counted and said.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from mpcnode.status import Warned
from mpcnode.types import PeerId

LINES: Final = (8, 10.0)
"""Lines about one contact, or about everybody else: so many at once, and one more every so many seconds."""


@dataclass(slots=True)
class Budget:
    """``most`` at once, and one more every so many seconds."""

    most: int
    every: float
    _spent: float = 0.0
    _counted: float = 0.0

    def take(self, now: float) -> bool:
        """Spend one, unless all are spent; say whether it was there."""
        self._spent = max(0.0, self._spent - (now - self._counted) / self.every)
        self._counted = now
        if self._spent > self.most - 1:
            return False
        self._spent += 1
        return True


@dataclass(slots=True)
class _Said:
    budget: Budget = field(default_factory=lambda: Budget(*LINES))
    left_out: int = 0


class Complaints:
    """Lines about what is wrong with peers: each contact has some, and everybody else shares as many.

    Args:
        emit: shows them.
        is_contact: whether a name is pinned.
        clock: seconds, monotonic.
    """

    def __init__(
        self, emit: Callable[[Warned], None], *, is_contact: Callable[[PeerId], bool], clock: Callable[[], float]
    ) -> None:
        self._emit = emit
        self._is_contact = is_contact
        self._clock = clock
        self._said: dict[PeerId | None, _Said] = {}

    def say(self, about: PeerId, message: str) -> None:
        """Show a line about a peer, or count it until there is room for the count."""
        said = self._said.setdefault(about if self._is_contact(about) else None, _Said())
        if said.budget.take(self._clock()):
            self._emit(Warned(message))
        else:
            said.left_out += 1

    def say_left_out(self) -> None:
        """Say how many lines were left out, where there is room for it now."""
        for about, said in self._said.items():
            if said.left_out and said.budget.take(self._clock()):
                whom = about or "peers that are not contacts"
                self._emit(Warned(f"{said.left_out} more warnings about {whom} are not shown"))
                said.left_out = 0
