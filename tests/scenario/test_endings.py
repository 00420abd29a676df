"""How a session ended for others, beside what a page says of it."""

import pytest

from mpcnode import status
from mpcnode.errors import ParticipantAborted, ParticipantCheated
from mpcnode.scenario import endings
from mpcnode.scenario.endings import NotAsWritten
from mpcnode.scenario.model import OthersExpect
from mpcnode.types import PeerId

A, B = PeerId("a"), PeerId("b")
STOPPED = status.error_view(ParticipantAborted("b stopped because of a", suspects=[A, B]))
CAUGHT = status.error_view(ParticipantCheated("a lied", culprits=[A]))


@pytest.mark.parametrize(
    ("ended", "expect"),
    [
        (STOPPED, OthersExpect(error="x")),
        (STOPPED, OthersExpect(error="x", named=("a",))),
        (STOPPED, OthersExpect(error="x", named=("a", "b"), culprits=())),
        (STOPPED, OthersExpect(error="x", suspects=("b", "a"))),
        (CAUGHT, OthersExpect(error="x", culprits=("a",), suspects=())),
    ],
)
def test_names_that_are_as_written_pass(ended: status.ErrorView, expect: OthersExpect) -> None:
    endings._check_named("c", expect, ended)


@pytest.mark.parametrize(
    ("ended", "expect", "problem"),
    [
        (STOPPED, OthersExpect(error="x", named=("a", "d")), "c suspects ['a', 'b'], and ['d'] are not among them"),
        (CAUGHT, OthersExpect(error="x", named=("a",)), "c suspects [], and ['a'] are not among them"),
        (STOPPED, OthersExpect(error="x", suspects=("a",)), "c suspects ['a', 'b'], not ['a']"),
        (STOPPED, OthersExpect(error="x", culprits=("a",)), "c convicts [], not ['a']"),
    ],
)
def test_names_that_are_missing_or_too_many_fail(ended: status.ErrorView, expect: OthersExpect, problem: str) -> None:
    with pytest.raises(NotAsWritten) as caught:
        endings._check_named("c", expect, ended)
    assert str(caught.value) == problem
