"""What a node writes down of its sessions, what it remembers, and what a full disk or a flood does to that."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mpcnode.errors import KeystoreUnreadable, KeystoreUnwritable, MpcError, ParticipantCheated, Refused
from mpcnode.keystore.audit import AUDIT_LOG, AuditLog, read_log
from mpcnode.keystore.audit_chain import Entry
from mpcnode.session.journal import MAX_REFUSALS, Journal, Told
from mpcnode.session.policy import HOUR
from mpcnode.status import PeerView, Proposed, SignView
from mpcnode.types import PeerId, WalletId
from tests.helpers.audit import entry

NOW = 1_800_000_000
TREASURY = WalletId("ab" * 16)
ANA, BEN = PeerId("ana"), PeerId("ben")


class Notebook:
    """A journal with a clock and a record of what the user was told."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.time = float(NOW)
        self.warnings: list[str] = []
        self.journal = Journal(home, now=lambda: self.time, warn=self.warnings.append)

    def entries(self) -> list[Entry]:
        lines: list[Any] = []
        verdict = read_log(self.home, on_line=lines.append)
        assert verdict.problem is None
        return [line.entry for line in lines]

    def again(self) -> "Notebook":
        """As the node's next process finds it."""
        self.journal.__exit__(None, None, None)
        return Notebook(self.home)


@pytest.fixture
def notebook(tmp_path: Path) -> Iterator[Notebook]:
    made = Notebook(tmp_path)
    with made.journal:
        yield made


def shown(number: int = 1, *, proposer: str = "ben", messages: int = 1) -> Proposed:
    return Proposed(
        session_id=f"{number:032x}",
        kind="sign",
        proposer=proposer,
        wallet="treasury",
        threshold=2,
        total=2,
        participants=(PeerView("ana", "self"), PeerView("ben", "verified")),
        suites=("FROST-ED25519-SHA512-v1",),
        expires=NOW + 60,
        sign=SignView(TREASURY, 0, "text", ("68656c6c6f",) * messages, ("cd" * 32,) * messages),
    )


async def test_a_line_says_who_what_and_how_it_ended_and_no_message(notebook: Notebook) -> None:
    told = Told(approved_by="user", signers=("ana", "ben"))
    await notebook.journal.record(shown(), told, None)
    await notebook.journal.record(shown(2), told, ParticipantCheated("lies", culprits=[BEN]))
    await notebook.journal.record(shown(3), Told(), Refused("no"))
    await notebook.journal.record(shown(4), Told(approved_by="policy", unneeded=True), None)
    found = notebook.entries()
    assert [one.outcome for one in found] == ["done", "failed", "refused", "unneeded"]
    assert [one.error for one in found] == [None, "participant_cheated", "refused", None]
    assert [one.approved_by for one in found] == ["user", "user", None, "policy"]
    assert found[1].culprits == ("ben",)
    assert (found[0].proposer, found[0].participants, found[0].signers) == ("ben", ("ana", "ben"), ("ana", "ben"))
    assert (found[0].messages, found[0].reading) == (("cd" * 32,), "text")
    assert b"68656c6c6f" not in (notebook.home / AUDIT_LOG).read_bytes()


async def test_what_was_accepted_is_remembered_for_an_hour_and_by_wallet(notebook: Notebook) -> None:
    notebook.journal.use(TREASURY, BEN, 3)
    notebook.journal.use(WalletId("ef" * 16), BEN, 5)
    assert list(notebook.journal.recent(TREASURY, me=ANA)) == [NOW] * 3
    notebook.time += HOUR + 1
    notebook.journal.use(TREASURY, BEN, 1)
    assert list(notebook.journal.recent(TREASURY, me=ANA)) == [NOW + HOUR + 1]


async def test_what_is_released_counts_no_more_and_only_once(notebook: Notebook) -> None:
    first, second = (notebook.journal.use(TREASURY, BEN, 1) for _ in range(2))
    notebook.journal.release(first)
    notebook.journal.release(first)
    assert len(list(notebook.journal.recent(TREASURY, me=ANA))) == 1
    notebook.journal.release(second)
    assert not list(notebook.journal.recent(TREASURY, me=ANA))


async def test_this_nodes_own_proposals_use_up_nothing(notebook: Notebook) -> None:
    notebook.journal.use(TREASURY, ANA, 3)
    assert not list(notebook.journal.recent(TREASURY, me=ANA))


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({}, 1),
        ({"outcome": "failed", "error": "participant_silent"}, 1),
        ({"outcome": "refused", "error": "refused"}, 1),  # it was accepted first, and a share may have left
        ({"outcome": "refused", "error": "refused", "approved_by": None}, 0),
        ({"outcome": "unneeded"}, 0),
        ({"kind": "keygen"}, 0),
        ({"wallet_id": "ef" * 16}, 0),
        ({"time": NOW - HOUR - 1}, 0),
        ({"proposer": "ana"}, 0),
    ],
)
async def test_the_next_process_remembers_what_this_one_accepted(
    notebook: Notebook, changes: dict[str, Any], counts: int
) -> None:
    given: dict[str, Any] = {"time": NOW - 60, "proposer": "ben"}
    await asyncio.to_thread(notebook.journal._audit.append, entry(1, **(given | changes)))
    later = notebook.again()
    with later.journal:
        assert len(list(later.journal.recent(TREASURY, me=ANA))) == counts


async def test_a_half_written_line_is_told_of_and_kept(notebook: Notebook) -> None:
    await notebook.journal.record(shown(), Told(approved_by="user"), None)
    with (notebook.home / AUDIT_LOG).open("ab") as file:
        file.write(b'{"version":1,"number":2,')
    later = notebook.again()
    with later.journal:
        (warning,) = later.warnings
        assert str(notebook.home / "audit.log.torn-1") in warning
        assert len(later.entries()) == 1


async def test_a_log_that_was_changed_opens_no_node(notebook: Notebook) -> None:
    await notebook.journal.record(shown(), Told(approved_by="user"), None)
    path = notebook.home / AUDIT_LOG
    path.write_bytes(path.read_bytes().replace(b'"done"', b'"none"'))
    with pytest.raises(KeystoreUnreadable, match=r"audit\.log, line 1"):
        notebook.again()


class FullDisk:
    """Every line is refused while it is full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = True
        append = AuditLog.append

        def refuse(log: AuditLog, one: Entry) -> None:
            if self.full:
                raise KeystoreUnwritable("no space left")
            append(log, one)

        monkeypatch.setattr(AuditLog, "append", refuse)


async def test_no_session_begins_before_the_last_one_is_written(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FullDisk(monkeypatch)
    await notebook.journal.record(shown(1), Told(approved_by="user"), None)
    assert ["no space left" in warning for warning in notebook.warnings] == [True]
    with pytest.raises(KeystoreUnwritable):
        await notebook.journal.ready()
    assert not await notebook.journal.is_ready()
    disk.full = False
    assert await notebook.journal.is_ready()
    await notebook.journal.record(shown(2), Told(approved_by="user"), None)
    assert [one.session_id for one in notebook.entries()] == [f"{number:032x}" for number in (1, 2)]


async def test_a_flood_of_refusals_fills_no_disk_and_hides_no_signature(notebook: Notebook) -> None:
    for number in range(MAX_REFUSALS + 20):
        await notebook.journal.record(shown(number), Told(), Refused("no"))
    await notebook.journal.record(shown(9999), Told(approved_by="user"), None)
    assert [one.outcome for one in notebook.entries()] == ["refused"] * MAX_REFUSALS + ["done"]
    assert len(notebook.warnings) == 1
    notebook.time += HOUR + 1
    await notebook.journal.record(shown(10000), Told(), Refused("no"))
    assert len(notebook.entries()) == MAX_REFUSALS + 2


async def test_sessions_that_end_at_once_each_have_a_line(notebook: Notebook) -> None:
    told = Told(approved_by="user")
    errors: list[MpcError | None] = [None] * 20
    await asyncio.gather(*(notebook.journal.record(shown(n), told, error) for n, error in enumerate(errors)))
    assert sorted(one.session_id for one in notebook.entries()) == [f"{n:032x}" for n in range(20)]


async def test_who_is_cancelled_while_a_line_is_written_waits_for_it(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync, slow = os.fsync, asyncio.Event()
    loop = asyncio.get_running_loop()

    def wait(fd: int) -> None:
        loop.call_soon_threadsafe(slow.set)
        fsync(fd)

    monkeypatch.setattr(notebook.journal._audit._fs, "fsync", wait)
    recording = asyncio.create_task(notebook.journal.record(shown(), Told(approved_by="user"), None))
    await slow.wait()
    recording.cancel()
    with pytest.raises(asyncio.CancelledError):
        await recording
    assert len(notebook.entries()) == 1
    assert not notebook.journal._unwritten
