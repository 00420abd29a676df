"""What is written to a terminal, and that nobody waits for one that takes nothing."""

import asyncio
import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpcnode.cli.terminal.screen import MAX_WAITING, Painter, Writer
from tests.helpers.emulator import Emulator

DEADLINE = 30.0


def lost(count: int) -> bytes:
    return f"lost {count}\n".encode()


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    ours, theirs = os.pipe()
    try:
        yield ours, theirs
    finally:
        for fd in (ours, theirs):
            with suppress(OSError):
                os.close(fd)


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def read_all(fd: int) -> bytes:
    data = b""
    while chunk := os.read(fd, 65536):
        data += chunk
    return data


@contextmanager
def reading(fd: int) -> Iterator[list[bytes]]:
    """Read to the end meanwhile; what was read is there afterwards."""
    read: list[bytes] = []
    thread = threading.Thread(target=lambda: read.append(read_all(fd)))
    thread.start()
    yield read
    thread.join(DEADLINE)


# ---- what is drawn ----


@given(st.lists(st.tuples(st.booleans(), st.lists(st.text("abc", max_size=19), max_size=4)), max_size=12))
def test_lines_stay_above_and_the_newest_frame_stands_below_them(work: list[tuple[bool, list[str]]]) -> None:
    painter, emulator = Painter(), Emulator(20, 30)
    said: list[str] = []
    frame: list[str] = []
    for is_frame, rows in work:
        if is_frame:
            frame = rows
            emulator.feed(painter.paint(b"", rows, 20))
        else:
            said += rows
            emulator.feed(painter.paint("".join(f"{row}\n" for row in rows).encode(), None, 20))
    expected = [*said, *frame]
    while expected and not expected[-1]:
        expected.pop()
    assert emulator.all_rows() == expected


def test_a_frame_that_is_there_already_is_not_drawn_again() -> None:
    painter = Painter()
    assert painter.paint(b"", ["one"], 80)
    assert painter.paint(b"", ["one"], 80) == b""


def test_where_a_terminal_became_narrower_the_whole_frame_is_taken_away() -> None:
    painter = Painter()
    painter.paint(b"", ["x" * 15, "y" * 5], 20)
    assert painter.paint(b"", [], 10) == b"\r\x1b[3A\x1b[J"  # the terminal broke the first row in two


# ---- who waits ----


def test_a_pipe_that_nobody_reads_is_waited_for_by_nobody_and_what_is_lost_is_counted() -> None:
    with pipe() as (ours, theirs):
        writer = Writer(theirs, lost=lost)
        line = b"x" * 999 + b"\n"
        count = 3 * MAX_WAITING // len(line)
        began = time.monotonic()
        for _ in range(count):
            writer.lines(line)
        assert not writer.close(0.1)
        assert time.monotonic() - began < DEADLINE
        with reading(ours) as read:
            assert not writer.close(DEADLINE)  # not everything was written
            os.close(theirs)
        shown = read[0].splitlines()
        left_out = sum(int(row.split()[1]) for row in shown if row.startswith(b"lost"))
        assert left_out > 0
        assert sum(row.startswith(b"x") for row in shown) + left_out == count


def test_of_frames_that_are_not_taken_the_newest_is_drawn_and_the_others_are_counted() -> None:
    with pipe() as (ours, theirs):
        writer = Writer(theirs, lost=lost)
        writer.lines(b"x" * (200 * 1024) + b"\n")  # more than a pipe holds
        until(lambda: not writer._lines)  # the thread has it
        for number in range(100):
            writer.frame([f"frame {number}"])
        assert writer.dropped_frames == 99
        with reading(ours) as read:
            assert writer.close(DEADLINE)
            os.close(theirs)
        assert read[0].endswith(b"frame 99\n")
        assert b"frame 98" not in read[0]


async def test_what_was_said_can_be_waited_for_without_stopping_anything_else() -> None:
    with pipe() as (ours, theirs):
        writer = Writer(theirs, lost=lost)
        writer.lines(b"x" * (200 * 1024))
        waiting = asyncio.ensure_future(writer.written())
        await asyncio.sleep(0.05)  # the loop goes on
        assert not waiting.done()
        with reading(ours):
            async with asyncio.timeout(DEADLINE):
                await waiting
            assert writer.close(DEADLINE)
            os.close(theirs)


async def test_where_its_reader_has_left_that_is_told_once_and_nothing_waits() -> None:
    with pipe() as (ours, theirs):
        told: list[None] = []
        writer = Writer(theirs, lost=lost, broken=lambda: told.append(None))
        os.close(ours)
        writer.lines(b"hello\n")
        until(lambda: bool(told))
        writer.lines(b"more\n")
        async with asyncio.timeout(DEADLINE):
            await writer.written()
        assert writer.close(DEADLINE)  # nobody is there who could miss anything
        assert told == [None]


def test_a_full_disk_loses_lines_and_says_how_many_when_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    with pipe() as (ours, theirs):
        real, full = os.write, threading.Event()
        full.set()

        def write(fd: int, data: bytes) -> int:
            if fd == theirs and full.is_set():
                raise OSError(errno.ENOSPC, "full")
            return real(fd, data)

        monkeypatch.setattr("mpcnode.cli.terminal.screen.os.write", write)
        writer = Writer(theirs, lost=lost)
        writer.lines(b"one\ntwo\n")
        until(lambda: writer._dropped == 2)
        full.clear()
        until(lambda: not writer._has_work())
        writer.lines(b"three\n")
        assert not writer.close(DEADLINE)  # the exit code says that something was lost
        os.close(theirs)
        assert read_all(ours) == b"lost 2\nthree\n"


class Disk:
    """Takes so many bytes, and is full then until somebody makes room."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fd: int, room: int) -> None:
        self.room = room
        self.refused = 0
        real = os.write

        def write(to: int, data: bytes) -> int:
            if to != fd:
                return real(to, data)
            if not self.room:
                self.refused += 1
                raise OSError(errno.ENOSPC, "full")
            taken = real(to, bytes(data[: self.room]))
            self.room -= taken
            return taken

        monkeypatch.setattr("mpcnode.cli.terminal.screen.os.write", write)


@pytest.mark.parametrize(
    ("room", "shown"),
    [
        (0, b"lost 3\n"),
        (1, b"one\nlost 2\n"),
        (3, b"one\nlost 2\n"),
        (4, b"one\nlost 2\n"),
        (6, b"one\ntwo\nlost 1\n"),
        (13, b"one\ntwo\nthree\n"),
    ],
)
def test_a_line_that_a_full_disk_broke_off_is_finished_before_anything_else_is_written(
    monkeypatch: pytest.MonkeyPatch, room: int, shown: bytes
) -> None:
    with pipe() as (ours, theirs):
        disk = Disk(monkeypatch, theirs, room)
        writer = Writer(theirs, lost=lost)
        writer.lines(b"one\ntwo\nthree\n")
        until(lambda: disk.refused > 1)  # it was tried again, and there was no room yet
        disk.room = 1 << 20
        until(lambda: not writer._has_work())
        writer.lines(b"more\n")
        assert not writer.close(DEADLINE)
        os.close(theirs)
        assert read_all(ours) == shown + b"more\n"


def test_a_line_of_which_a_full_disk_takes_some_bytes_at_a_time_is_whole_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pipe() as (ours, theirs):
        disk = Disk(monkeypatch, theirs, 2)
        writer = Writer(theirs, lost=lost)
        writer.lines(b"0123456789\ndropped\n")
        for tries in (1, 2, 3):
            until(lambda tries=tries: disk.refused >= tries)  # type: ignore[misc]
            disk.room = 2
        until(lambda: disk.refused >= 4)
        disk.room = 1 << 20
        until(lambda: not writer._has_work())
        assert not writer.close(DEADLINE)
        os.close(theirs)
        assert read_all(ours) == b"0123456789\nlost 1\n"


def test_what_is_written_after_a_line_that_a_full_disk_broke_off_can_begin_a_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pipe() as (_, theirs):
        disk = Disk(monkeypatch, theirs, 2)
        writer = Writer(theirs, lost=lost)
        writer.lines(b"one\n")
        until(lambda: bool(disk.refused))
        assert not writer.close(DEADLINE)
        assert writer.left(0) == b"e\n"


def test_nothing_can_follow_while_a_line_is_still_being_written() -> None:
    with pipe() as (ours, theirs):
        writer = Writer(theirs, lost=lost)
        writer.lines(b"x" * (200 * 1024) + b"\n")  # more than a pipe holds
        assert not writer.close(0.1)
        assert writer.left(0) is None
        with reading(ours):
            assert writer.left(None) == b""
            os.close(theirs)
