"""The audit log: what is altered is found, what is half-written is kept aside, what was appended is there."""

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mpcnode.errors import (
    HomeInUse,
    KeystoreAbsent,
    KeystoreError,
    KeystoreUnreadable,
    KeystoreUnwritable,
)
from mpcnode.keystore import audit_chain
from mpcnode.keystore.audit import AUDIT_LOG, AuditLog, read_log
from mpcnode.keystore.audit_chain import Line, Verdict
from tests.helpers.audit import HEAD, LINES, WHOLE, Dying, entry
from tests.helpers.filesystem import (
    PowerCut,
    QuickFileSystem,
    Step,
    WatchedFileSystem,
    failing,
    foreign,
    full_disk,
    read_only,
)


def opened(home: Path, files: QuickFileSystem | None = None) -> AuditLog:
    return AuditLog.open(home, files=files or QuickFileSystem())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def log(home: Path) -> Path:
    """A log of five lines."""
    path = home / AUDIT_LOG
    path.write_bytes(WHOLE)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    "changes",
    [
        {"time": -1},
        {"time": audit_chain.MAX_TIME + 1},
        {"session_id": "x"},
        {"kind": "Sign"},
        {"wallet_name": "../x"},
        {"proposer": "\x1b[2J"},
        {"proposer": "cli1\n"},
        {"participants": ("cli1",) * 65},
        {"messages": ("secret",)},
        {"messages": ("ab" * 32,) * 1001},
        {"outcome": "perhaps"},
        {"error": "no such\ncode"},
        {"approved_by": "nobody"},
    ],
)
def test_what_could_not_be_read_back_is_not_written(home: Path, changes: dict[str, Any]) -> None:
    with opened(home) as log:
        with pytest.raises(ValueError, match="not an entry"):
            log.append(entry(**changes))
        log.append(entry())
    assert read_log(home).lines == 1


def test_what_was_appended_is_read_back_and_goes_on_after_a_restart(home: Path) -> None:
    with opened(home) as log:
        for number in range(1, 4):
            log.append(entry(number))
    with opened(home) as log:
        assert log.torn is None
        for number in range(4, 6):
            log.append(entry(number))
        assert log.head == HEAD
    assert (home / AUDIT_LOG).read_bytes() == WHOLE
    assert read_log(home) == Verdict(5, len(WHOLE), HEAD)


def test_a_log_is_for_its_owner_alone_whatever_the_umask_is(home: Path) -> None:
    for mask in (0, 0o777):
        before = os.umask(mask)
        try:
            opened(home).close()
        finally:
            os.umask(before)
        assert (home / AUDIT_LOG).stat().st_mode & 0o777 == 0o600
        (home / AUDIT_LOG).unlink()


def test_an_opened_log_hands_over_what_is_there(log: Path) -> None:
    seen: list[Line] = []
    AuditLog.open(log.parent, on_line=seen.append, files=QuickFileSystem()).close()
    assert [line.entry for line in seen] == [entry(number) for number in range(1, 6)]


def test_a_home_without_a_log_has_none(home: Path) -> None:
    with pytest.raises(KeystoreAbsent):
        read_log(home)


def test_a_broken_log_is_neither_opened_nor_touched(log: Path) -> None:
    altered = WHOLE.replace(b"cli2", b"cli3", 1)
    log.write_bytes(altered)
    with pytest.raises(KeystoreUnreadable, match="line 1: "):
        opened(log.parent)
    assert log.read_bytes() == altered
    assert [path.name for path in log.parent.iterdir()] == [AUDIT_LOG]


def test_a_torn_line_is_moved_aside_and_the_chain_goes_on(log: Path) -> None:
    home = log.parent
    for number in (1, 2):
        half = LINES[4][: 100 * number]
        log.write_bytes(b"".join(LINES[:4]) + half)
        with opened(home) as found:
            assert found.torn == home / f"audit.log.torn-{number}"
            assert found.torn.read_bytes() == half
            assert found.torn.stat().st_mode & 0o777 == 0o600
            found.append(entry(5))
        assert log.read_bytes() == WHOLE
    with opened(home) as found:
        assert found.torn is None


def test_a_torn_line_is_cut_off_only_when_its_copy_is_durable(log: Path) -> None:
    log.write_bytes(WHOLE[:-7])
    files = WatchedFileSystem()
    opened(log.parent, files).close()
    steps = [(step.operation, step.path.name) for step in files.steps]
    cut = steps.index(("truncate", AUDIT_LOG))
    assert steps.index(("fsync", "audit.log.torn-1")) < cut
    assert ("fsync", log.parent.name) in steps[steps.index(("close", "audit.log.torn-1")) : cut]
    assert ("fsync", AUDIT_LOG) in steps[cut:]


def test_a_last_line_of_zeros_is_moved_aside_too(log: Path) -> None:
    log.write_bytes(b"".join(LINES[:4]) + bytes(10) + LINES[4][10:])
    with opened(log.parent) as found:
        assert found.torn is not None
        assert found.torn.read_bytes() == bytes(10) + LINES[4][10:]
        found.append(entry(5))
    assert log.read_bytes() == WHOLE


def test_two_writers_do_not_fork_the_chain_and_readers_are_not_in_the_way(home: Path) -> None:
    with opened(home) as log:
        log.append(entry())
        assert read_log(home).lines == 1
        with pytest.raises(HomeInUse):
            opened(home)
    opened(home).close()


def test_threads_append_one_after_the_other(home: Path) -> None:
    with opened(home) as log:

        def append() -> None:
            for number in range(20):
                log.append(entry(number))

        threads = [threading.Thread(target=append) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert read_log(home).lines == 80


def test_a_closed_log_takes_nothing(home: Path) -> None:
    log = opened(home)
    log.close()
    with pytest.raises(ValueError, match="closed"):
        log.append(entry())


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("spoil", [link, pipe, directory, lambda path: path.chmod(0o620)])
def test_a_log_that_may_not_be_ours_is_neither_read_nor_written(log: Path, spoil: Callable[[Path], None]) -> None:
    spoil(log)
    with pytest.raises(KeystoreUnreadable):
        read_log(log.parent)
    with pytest.raises(KeystoreError):
        opened(log.parent)


def test_another_users_log_is_not_ours(log: Path) -> None:
    with pytest.raises(KeystoreUnreadable, match="another user"):
        opened(log.parent, foreign(lambda path: path.name == AUDIT_LOG))


def replaced(path: Path) -> None:
    data = path.read_bytes()
    path.rename(path.with_name("moved"))
    path.write_bytes(data)
    path.chmod(0o600)


@pytest.mark.parametrize(
    "change",
    [
        replaced,
        lambda path: path.unlink(),
        lambda path: os.truncate(path, 100),
        lambda path: path.write_bytes(WHOLE + LINES[0]),
    ],
)
def test_a_log_changed_under_a_running_node_is_noticed(log: Path, change: Callable[[Path], object]) -> None:
    with opened(log.parent) as found:
        change(log)
        with pytest.raises(KeystoreError):
            found.append(entry(6))


# --- the disk ---


@pytest.mark.parametrize("room", [0, 1, 300])
def test_a_full_disk_leaves_the_log_as_it_was(log: Path, room: int) -> None:
    with opened(log.parent, full_disk(room)) as found:
        with pytest.raises(KeystoreUnwritable, match="no space"):
            found.append(entry(6))
        assert found.head == HEAD
    assert log.read_bytes() == WHOLE


def test_after_a_full_disk_has_room_again_the_chain_goes_on(home: Path) -> None:
    files = full_disk(0)
    with opened(home, files) as log:
        with pytest.raises(KeystoreUnwritable):
            log.append(entry(1))
        files.room = 1 << 20  # type: ignore[attr-defined]
        for number in range(1, 6):
            log.append(entry(number))
    assert (home / AUDIT_LOG).read_bytes() == WHOLE


def test_a_line_the_disk_did_not_confirm_is_taken_back(log: Path) -> None:
    files = WatchedFileSystem()
    with opened(log.parent, files) as found:
        failed: list[Step] = []

        def fail_once(step: Step) -> None:
            if step.operation == "fsync" and not failed:
                failed.append(step)
                raise OSError(errno.EIO, os.strerror(errno.EIO))

        files.before = fail_once
        with pytest.raises(KeystoreUnwritable):
            found.append(entry(6))
        assert log.read_bytes() == WHOLE
        found.append(entry(6))
    assert read_log(log.parent).lines == 6


def test_a_disk_that_fails_for_good_spoils_the_log_for_this_process(log: Path) -> None:
    files = WatchedFileSystem()
    with opened(log.parent, files) as found:
        files.before = lambda step: (
            (_ for _ in ()).throw(OSError(errno.EIO, "i/o")) if step.operation == "fsync" else None
        )
        with pytest.raises(KeystoreUnwritable):
            found.append(entry(6))
        files.before = lambda _: None
        with pytest.raises(KeystoreUnwritable, match="not known"):
            found.append(entry(6))


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_home_that_cannot_be_written_is_said_to_be_one(log: Path, code: int) -> None:
    with pytest.raises(KeystoreUnwritable):
        opened(log.parent, read_only(code))
    assert read_log(log.parent).lines == 5


def test_a_torn_line_that_cannot_be_kept_stays_where_it_is(log: Path) -> None:
    log.write_bytes(WHOLE[:-7])
    with pytest.raises(KeystoreUnwritable):
        opened(log.parent, full_disk(10))
    assert log.read_bytes() == WHOLE[:-7]


def test_whatever_call_fails_no_line_is_lost_and_nothing_else_comes_out(log: Path) -> None:
    """Opening a torn log and appending to it, with each file-system call failing in its turn."""
    home = log.parent
    number = 0
    while True:
        for path in home.glob("audit.log.torn-*"):
            path.unlink()
        log.write_bytes(b"".join(LINES[:4]) + LINES[4][:50])
        files = failing(errno.EIO, lambda step, number=number: step.number == number)  # type: ignore[misc]
        appended = False
        try:
            with opened(home, files) as found:
                found.append(entry(5))
                appended = True
        except KeystoreError:
            pass
        if files.steps[-1].number < number:
            break
        assert log.read_bytes().startswith(b"".join(LINES[:4]))
        after = read_log(home)
        assert after.lines >= 4 + appended
        assert after.problem is None or after.torn
        if not after.torn and after.lines == 4:
            assert any(path.read_bytes() == LINES[4][:50] for path in home.glob("audit.log.torn-*"))
        number += 1
    assert number > 15


def test_whenever_the_power_goes_what_was_appended_is_there_and_the_rest_is_kept(home: Path) -> None:
    """Each call in its turn is the last one; and before a write, half of it reached the disk."""
    number = 0
    while True:
        for path in home.iterdir():
            path.unlink()
        (home / AUDIT_LOG).write_bytes(b"".join(LINES[:2]) + LINES[2][:50])
        (home / AUDIT_LOG).chmod(0o600)
        files = Dying(number)
        appended = 2
        try:
            with opened(home, files) as found:
                for number_of_line in (3, 4):
                    found.append(entry(number_of_line))
                    appended = number_of_line
        except PowerCut:
            pass
        files.bury()
        if files.steps[-1].number < number:
            break
        with opened(home) as found:
            found.append(entry(9))
        after = read_log(home)
        assert after.problem is None
        assert after.lines in {appended + 1, appended + 2}  # one more where it was durable and nobody was told
        kept = [path.read_bytes() for path in home.glob("audit.log.torn-*")]
        assert kept.count(LINES[2][:50]) >= 1
        number += 1
    assert number > 20


@pytest.mark.process
def test_a_writer_killed_in_the_middle_of_it_loses_nothing_it_was_told_was_safe(home: Path) -> None:
    program = """
import sys
from pathlib import Path
from mpcnode.keystore.audit import AuditLog
from tests.helpers.audit import entry
with AuditLog.open(Path(sys.argv[1])) as log:
    for number in range(1, 1_000_000):
        log.append(entry(number))
        print(number, flush=True)
"""
    for _ in range(3):
        before = read_log(home).lines if (home / AUDIT_LOG).exists() else 0
        with subprocess.Popen([sys.executable, "-c", program, str(home)], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for _ in range(20):
                writer.stdout.readline()
            writer.kill()
            told = 20 + len(writer.stdout.readlines())
        opened(home).close()
        after = read_log(home)
        assert after.problem is None
        assert after.lines >= before + told
