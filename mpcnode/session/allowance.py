"""How often something may happen within an hour, so that nobody fills a disk by it. Pure."""

from mpcnode.session.policy import HOUR


class Allowance:
    """What is allowed to each sender, and to all of them together, in any sixty minutes.

    Args:
        each: how many of one sender.
        total: how many of all; new identity keys cost nothing.
    """

    def __init__(self, *, each: int, total: int) -> None:
        self._each = each
        self._total = total
        self._taken: list[tuple[float, str]] = []

    def take(self, sender: str, now: float) -> bool:
        """Take one for ``sender``; say whether there was one left.

        Args:
            sender: whose.
            now: Unix seconds; a clock that was set back by more than an hour begins anew.
        """
        self._taken = [(when, one) for when, one in self._taken if abs(now - when) < HOUR]
        if len(self._taken) >= self._total or sum(one == sender for _, one in self._taken) >= self._each:
            return False
        self._taken.append((now, sender))
        return True
