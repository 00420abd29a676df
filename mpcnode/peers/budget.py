"""How often this node does something because others have it do so. Pure: the clock is an argument, and monotonic.

What a peer has this node do is charged to that peer where its key is proved or pinned, and to one budget that all
strangers share where anybody could have claimed the name. What finds its budget used up is put off where an honest peer
may need it, and else counted and said.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mpcnode.status import Event, Warned
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


class Payers:
    """A budget for each contact, and one that everybody else shares.

    Args:
        size: so many at once, and one more every so many seconds.
        is_contact: whether a name is pinned.
        clock: seconds, monotonic.
    """

    def __init__(
        self, size: tuple[int, float], *, is_contact: Callable[[PeerId], bool], clock: Callable[[], float]
    ) -> None:
        self._size = size
        self._is_contact = is_contact
        self._clock = clock
        self._budgets: dict[PeerId | None, Budget] = {}

    def of(self, name: PeerId) -> PeerId | None:
        """Give the contact that pays for what ``name`` causes; None for everybody else."""
        return name if self._is_contact(name) else None

    def take(self, payer: PeerId | None) -> bool:
        """Spend one of a payer's, unless all are spent; say whether it was there."""
        return self._budgets.setdefault(payer, Budget(*self._size)).take(self._clock())


class Complaints:
    """Lines about what peers do: each contact has some, and everybody else shares as many.

    Args:
        emit: shows them.
        is_contact: whether a name is pinned.
        clock: seconds, monotonic.
    """

    def __init__(
        self, emit: Callable[[Event], None], *, is_contact: Callable[[PeerId], bool], clock: Callable[[], float]
    ) -> None:
        self._emit = emit
        self._is_contact = is_contact
        self._clock = clock
        self._lines = self.payers(LINES)
        self._left_out: Counter[PeerId | None] = Counter()

    def payers(self, size: tuple[int, float]) -> Payers:
        """Make budgets of another size for the same payers."""
        return Payers(size, is_contact=self._is_contact, clock=self._clock)

    def say(self, about: PeerId, line: str | Event) -> None:
        """Show a line about a peer, or count it until there is room for the count."""
        payer = self._lines.of(about)
        if self._lines.take(payer):
            self._emit(Warned(line) if isinstance(line, str) else line)
        else:
            self._left_out[payer] += 1

    def say_left_out(self) -> None:
        """Say how many lines were left out, where there is room for it now."""
        for payer, count in tuple(self._left_out.items()):
            if self._lines.take(payer):
                whom = payer or "peers that are not contacts"
                self._emit(Warned(f"{count} more lines about {whom} are not shown"))
                del self._left_out[payer]
