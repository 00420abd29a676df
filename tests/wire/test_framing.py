import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.errors import DecodeError
from mpcnode.wire.framing import FRAME_SIZE, MAX_MESSAGE, REPORT_AFTER, WINDOW, Joiner, read_report, report, split


def message(length: int) -> bytes:
    return (b"{" + bytes(range(251)) * (length // 251 + 1))[:length]


def join(frames: list[bytes]) -> bytes:
    joiner = Joiner()
    for frame in frames[:-1]:
        assert joiner.feed(frame) is None
    whole = joiner.feed(frames[-1])
    assert whole is not None
    return whole


EDGES = [1, 2, FRAME_SIZE - 1, FRAME_SIZE, FRAME_SIZE + 1, 2 * FRAME_SIZE - 6, 2 * FRAME_SIZE - 5, MAX_MESSAGE]


@pytest.mark.parametrize("length", EDGES)
def test_a_message_of_any_length_comes_out_as_it_went_in(length: int) -> None:
    frames = split(message(length))
    assert all(0 < len(frame) <= FRAME_SIZE for frame in frames)
    assert join(frames) == message(length)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 4 * FRAME_SIZE), min_size=1, max_size=4))
def test_one_joiner_joins_message_after_message(lengths: list[int]) -> None:
    joiner = Joiner()
    whole = [done for length in lengths for frame in split(message(length)) if (done := joiner.feed(frame)) is not None]
    assert whole == [message(length) for length in lengths]


def test_a_short_message_goes_as_it_is() -> None:
    assert split(b'{"type":"ping","payload":{}}') == [b'{"type":"ping","payload":{}}']


@pytest.mark.parametrize("bad", [b"", b"[]", b"\x01{}", message(MAX_MESSAGE + 1)])
def test_what_is_no_message_is_the_callers_mistake(bad: bytes) -> None:
    with pytest.raises(ValueError, match="a message is a JSON object"):
        split(bad)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=40) | st.binary(max_size=40).map(lambda tail: b"\x01\x00\x00\x50\x00{" + tail)))
def test_only_decode_errors_escape_whatever_comes(frames: list[bytes]) -> None:
    joiner = Joiner()
    try:
        for frame in frames:
            joiner.feed(frame)
    except DecodeError:
        pass


def test_a_short_message_may_come_between_the_pieces_of_a_long_one() -> None:
    joiner = Joiner()
    long = message(2 * FRAME_SIZE + 100)
    heard = []
    for frame in split(long):
        heard.append(joiner.feed(frame))
        if joiner.under_way:
            heard.append(joiner.feed(b"{}"))
    assert heard == [None, b"{}", None, b"{}", long]
    assert not joiner.under_way


@pytest.mark.parametrize("pieces", [0, 3, 2**32 - 1])
def test_a_report_is_read_as_it_was_written(pieces: int) -> None:
    assert len(report(pieces)) == 5
    assert read_report(report(pieces)) == pieces


@pytest.mark.parametrize("frame", [b"", b"\x03", b"\x03\0\0\0", b"\x03\0\0\0\0\0", b"\x02\0\0\0\3", b"{abc}"])
def test_what_is_not_a_report_is_not_read_as_one(frame: bytes) -> None:
    assert read_report(frame) is None


def test_reports_come_before_the_window_is_full() -> None:
    """However many pieces of it are left to a report that has not come."""
    assert WINDOW - (REPORT_AFTER - 1) > REPORT_AFTER


FIRST, MIDDLE, LAST = split(message(2 * FRAME_SIZE + 100))


@pytest.mark.parametrize(
    "frames",
    [
        [b""],
        [b"{" + bytes(FRAME_SIZE)],
        [MIDDLE],
        [b"\x02"],
        [LAST],
        [FIRST, FIRST],
        [FIRST, MIDDLE, MIDDLE],
        [FIRST, MIDDLE, LAST[:-1]],
        [FIRST, MIDDLE, LAST + b"x"],
        [FIRST, MIDDLE[:-1]],
        [FIRST[:-1]],
        [FIRST, b"\x02"],
        [b"\x01" + FRAME_SIZE.to_bytes(4, "big") + FIRST[5:]],
        [b"\x01" + (MAX_MESSAGE + 1).to_bytes(4, "big") + FIRST[5:]],
        [FIRST[:5] + b"[" + FIRST[6:]],
        [b"\x03abc"],
        [b'"a string"'],
    ],
)
def test_a_frame_that_cannot_come_there_is_refused(frames: list[bytes]) -> None:
    joiner = Joiner()
    for frame in frames[:-1]:
        joiner.feed(frame)
    with pytest.raises(DecodeError):
        joiner.feed(frames[-1])
