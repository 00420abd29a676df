"""The link map: which node says that it has which link, so that a broken one can be named."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

from mpcnode.types import PeerId


@dataclass(frozen=True, slots=True)
class Topology:
    """A view of the mesh at one moment.

    Args:
        nodes: every node, sorted.
        claims: ``(node, other)`` where ``node`` says its link to ``other`` is open and verified.
        ready: the nodes that said they have all their links.
    """

    nodes: tuple[PeerId, ...]
    claims: frozenset[tuple[PeerId, PeerId]]
    ready: frozenset[PeerId]

    def linked(self, one: PeerId, other: PeerId) -> bool:
        """Say whether both ends say that their link is up."""
        return (one, other) in self.claims and (other, one) in self.claims

    @property
    def complete(self) -> bool:
        """Whether every node said it has all its links."""
        return len(self.ready) == len(self.nodes)

    @property
    def broken(self) -> tuple[tuple[PeerId, PeerId], ...]:
        """The links that not both ends call up, each as a sorted pair."""
        return tuple(pair for pair in combinations(self.nodes, 2) if not self.linked(*pair))


class LinkMap:
    """Takes in what nodes say about their links; ``view`` is what is known so far."""

    def __init__(self, nodes: Iterable[PeerId]) -> None:
        self._nodes = tuple(sorted(nodes))
        self._claims: set[tuple[PeerId, PeerId]] = set()
        self._ready: set[PeerId] = set()

    def claim(self, node: PeerId, other: PeerId) -> bool:
        """``node`` says it has a link to ``other``.

        Returns:
            False where such a link cannot exist; no honest node says that.
        """
        if node == other or other not in self._nodes:
            return False
        self._claims.add((node, other))
        return True

    def withdraw(self, node: PeerId, other: PeerId) -> None:
        """``node`` no longer has a link to ``other``."""
        self._claims.discard((node, other))

    def mark_ready(self, node: PeerId) -> bool:
        """``node`` says that it has all its links, which is a claim to each.

        Returns:
            False where it said so before.
        """
        if node in self._ready:
            return False
        self._ready.add(node)
        self._claims.update((node, other) for other in self._nodes if other != node)
        return True

    def is_ready(self, node: PeerId) -> bool:
        """Say whether ``node`` said it has all its links."""
        return node in self._ready

    @property
    def all_ready(self) -> bool:
        """Whether every node said it has all its links."""
        return len(self._ready) == len(self._nodes)

    @property
    def view(self) -> Topology:
        """What is known now."""
        return Topology(self._nodes, frozenset(self._claims), frozenset(self._ready))
