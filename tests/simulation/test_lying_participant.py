"""With a participant that lies: no honest one is a culprit, or is left out more often than the liar."""

import pytest

from tests.simulation.seeds import Row, hold

FEW = range(24)
MANY = [range(first, first + 500) for first in range(1000, 2000, 500)]
KINDS = ["keygen-liar", "sign-liar", "sign-both"]
"""A participant alone, and one beside a server that lies too."""


def fair(made: list[Row]) -> None:
    honest, liars = sum(row.honest_excluded for row in made), sum(row.liars_excluded for row in made)
    assert honest <= liars, f"honest participants were left out {honest} times, liars {liars} times"


@pytest.mark.parametrize("kind", KINDS)
def test_a_liar_harms_itself_more_than_anybody_honest(kind: str) -> None:
    fair(hold(kind, FEW))


@pytest.mark.slow
@pytest.mark.parametrize("seeds", MANY, ids=str)
@pytest.mark.parametrize("kind", [*KINDS, "keygen-both"])
def test_a_liar_harms_itself_more_than_anybody_honest_in_any_of_many_runs(kind: str, seeds: range) -> None:
    fair(hold(kind, seeds))
