"""Standard output and error that take nothing, or what was left to itself before them."""

import os
from collections.abc import Iterator

import pytest

from mpcnode.cli.streams import Data, Talk


@pytest.fixture
def full() -> Iterator[tuple[int, int]]:
    """A pipe that nobody reads and that holds no byte more."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    try:
        while True:
            os.write(theirs, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(theirs, True)
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


def test_an_output_with_patience_is_given_up_and_says_so(full: tuple[int, int]) -> None:
    data = Data(full[1], Talk(full[1]))
    data.patience = 0.01
    assert data.write(b"error\n") == 6
    assert data.lost


def test_nothing_is_written_into_a_line_that_is_still_being_written() -> None:
    ours, theirs = os.pipe()
    data = Data(theirs, Talk(theirs))
    data.patience = 0.01
    asked: list[float | None] = []
    data.left = asked.append  # which gives None
    data.write(b"second\n")
    assert data.lost
    data.left = lambda _: b" half\n"
    data.write(b"third\n")
    data.write(b"fourth\n")
    os.close(theirs)
    assert os.read(ours, 100) == b" half\nthird\nfourth\n"
    assert asked == [0.01]
    os.close(ours)
