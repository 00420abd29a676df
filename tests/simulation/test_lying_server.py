"""Behind a server that lies: no honest node is a culprit, nothing hangs, and there is never a wrong or a second key."""

import pytest

from tests.simulation.seeds import hold

FEW = range(44)
MANY = [range(first, first + 500) for first in range(1000, 3000, 500)]


@pytest.mark.parametrize("kind", ["keygen", "sign"])
def test_a_lying_server_can_do_nothing_but_deny_service(kind: str) -> None:
    hold(kind, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", MANY, ids=str)
@pytest.mark.parametrize("kind", ["keygen", "sign"])
def test_a_lying_server_can_do_nothing_but_deny_service_in_any_of_many_runs(kind: str, seeds: range) -> None:
    hold(kind, seeds)
