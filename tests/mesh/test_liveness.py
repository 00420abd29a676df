import pytest

from mpcnode.mesh.liveness import Due, Liveness
from mpcnode.mesh.transport import MeshTimeouts

TIMES = MeshTimeouts(ping=2.0, quiet=4.5, dead=9.0)


def known() -> Liveness:
    one = Liveness(TIMES)
    one.verified(100.0)
    return one


@pytest.mark.parametrize(
    ("after", "linked", "due"),
    [
        (1.9, True, Due.NOTHING),
        (2.0, True, Due.PING),
        (4.5, True, Due.PING),
        (4.6, True, Due.QUIET),
        (9.0, True, Due.QUIET),
        (9.1, True, Due.DEAD),
        (2.0, False, Due.NOTHING),
        (9.0, False, Due.NOTHING),
        (9.1, False, Due.DEAD),
    ],
)
def test_silence_asks_then_rebuilds_then_ends(*, after: float, linked: bool, due: Due) -> None:
    assert known().due(100.0 + after, linked=linked) is due


def test_a_peer_that_was_never_met_cannot_be_dead() -> None:
    assert Liveness(TIMES).due(1_000.0, linked=False) is Due.NOTHING


def test_every_sign_of_life_counts_and_a_ping_is_asked_for_once() -> None:
    one = known()
    one.heard(108.0)
    assert one.due(109.1, linked=True) is Due.PING
    one.asked(109.1)
    assert one.due(109.2, linked=True) is Due.NOTHING
    assert one.due(112.6, linked=True) is Due.QUIET


def test_what_could_not_be_said_is_excused() -> None:
    one = known()
    one.excuse(20.0)
    assert one.due(104.0, linked=True) is Due.PING


def test_silence_since_the_loss_of_a_channel_is_told_from_life_without_one() -> None:
    one = known()
    told = [one.silent_since_loss]
    one.lost(105.0)
    told.append(one.silent_since_loss)
    one.heard(105.5)
    assert [*told, one.silent_since_loss] == [False, True, False]
    never = Liveness(TIMES)
    never.lost(105.0)
    assert not never.silent_since_loss
