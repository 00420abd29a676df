import pytest

from mpcnode.protocols.rounds import Exchange, Rounds, Step, Traffic, broadcast, checkpoint, parallel
from mpcnode.types import Identifier, SuiteId

X, Y = SuiteId("x"), SuiteId("y")
B = Identifier(2)


def accept(_sender: Identifier, data: bytes, _echo: bytes | None) -> bytes:
    return data


def lane(suite: SuiteId, rounds: tuple[str, ...], log: list[str]) -> Rounds[list[bytes]]:
    heard = []
    try:
        for kind in rounds:
            received = yield from broadcast(kind, suite, suite.encode(), accept)
            heard.append(received[B])
        return heard
    finally:
        log.append(suite)


def exchange(step: Step) -> Exchange:
    assert isinstance(step, Exchange)
    return step


def test_scripts_side_by_side_share_each_round() -> None:
    log: list[str] = []
    both = parallel({suite: lane(suite, ("one", "two"), log) for suite in (X, Y)})
    first = exchange(both.send(None))
    assert first == Exchange("one", {X: Traffic(b"x", accept), Y: Traffic(b"y", accept)})
    assert exchange(both.send({X: {B: b"1x"}, Y: {B: b"1y"}})).kind == "two"
    with pytest.raises(StopIteration) as end:
        both.send({X: {B: b"2x"}, Y: {B: b"2y"}})
    assert end.value.value == {X: [b"1x", b"2x"], Y: [b"1y", b"2y"]}
    assert sorted(log) == ["x", "y"]


def test_closing_them_closes_each() -> None:
    log: list[str] = []
    # Held here, so that they are closed and not merely forgotten.
    lanes = {suite: lane(suite, ("one",), log) for suite in (X, Y)}
    both = parallel(lanes)
    next(both)
    both.close()
    assert len(lanes) == 2
    assert sorted(log) == ["x", "y"]


def test_one_that_fails_closes_the_others() -> None:
    log: list[str] = []

    def failing() -> Rounds[list[bytes]]:
        yield from broadcast("one", Y, b"", accept)
        raise ZeroDivisionError

    both = parallel({X: lane(X, ("one", "two"), log), Y: failing()})
    next(both)
    with pytest.raises(ZeroDivisionError):
        both.send({X: {B: b""}, Y: {B: b""}})
    assert log == ["x"]


@pytest.mark.parametrize("rounds", [("other",), (), ("one", "two")])
def test_scripts_out_of_step_are_a_bug(rounds: tuple[str, ...]) -> None:
    both = parallel({X: lane(X, ("one",), []), Y: lane(Y, rounds, [])})
    answers = [None, {X: {B: b""}, Y: {B: b""}}]
    with pytest.raises(RuntimeError, match="same rounds"):
        list(map(both.send, answers))


def test_a_checkpoint_is_not_shared() -> None:
    both = parallel({X: checkpoint("ask once")})
    with pytest.raises(TypeError, match="only exchanges"):
        next(both)
