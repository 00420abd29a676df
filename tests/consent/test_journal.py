"""What a node writes down of its sessions, what it remembers, and what a full disk or a flood does to that."""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mpcnode.consent.journal import (
    MAX_FRUITLESS,
    MAX_FRUITLESS_EACH,
    MAX_REFUSALS,
    MAX_REFUSALS_EACH,
    MAX_UNWRITTEN,
    SHORT,
    Journal,
    Told,
)
from mpcnode.consent.limits import HOUR
from mpcnode.errors import (
    IdentityCheckFailed,
    KeystoreUnreadable,
    KeystoreUnwritable,
    MpcError,
    ParticipantCheated,
    ParticipantSilent,
    Refused,
)
from mpcnode.keystore.audit import AUDIT_LOG, AuditLog, read_log
from mpcnode.keystore.audit_chain import Entry
from mpcnode.status import PeerView, Proposed, SignView
from mpcnode.types import PeerId
from tests.helpers import statuses
from tests.helpers.audit import entry

NOW = 1_800_000_000_000
UP = 50_000_000
"""What the monotonic clock says, in milliseconds; it has nothing to do with the time of day."""
TREASURY = "ab" * 16
OTHER = "ef" * 16
UNSIGNED: dict[str, Any] = {"reading": None, "messages": ()}
ANA, BEN = PeerId("ana"), PeerId("ben")


class Notebook:
    """A journal with a clock and a record of what the user was told."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.time = NOW
        self.running = UP
        self.warnings: list[str] = []
        self.journal = Journal(
            home, now=lambda: self.time, clock=lambda: self.running / 1000, warn=self.warnings.append
        )

    def wait(self, milliseconds: int) -> None:
        self.time += milliseconds
        self.running += milliseconds

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


def shown(number: int = 1, *, proposer: str = "ben", messages: int = 1, wallet_id: str = TREASURY) -> Proposed:
    return Proposed(
        session_id=f"{number:032x}",
        kind="sign",
        proposer=proposer,
        wallet="treasury",
        threshold=2,
        total=2,
        participants=(PeerView("ana", "self"), PeerView("ben", "verified")),
        suites=("FROST-ED25519-SHA512-v1",),
        expires=NOW + 60_000,
        wallet_id=wallet_id,
        sign=SignView(
            wallet_id=wallet_id,
            epoch=0,
            reading="text",
            messages=("68656c6c6f",) * messages,
            hashes=("cd" * 32,) * messages,
            signed=("ef" * 32,) * messages,
        ),
    )


async def test_a_line_says_what_with_whom_and_how_it_ended_and_no_message(notebook: Notebook) -> None:
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
    assert (found[0].kind, found[0].wallet_id, found[0].wallet_name) == ("sign", TREASURY, "treasury")
    written = (notebook.home / AUDIT_LOG).read_bytes()
    assert b"68656c6c6f" not in written
    assert b"ef" * 32 not in written


async def test_what_was_accepted_is_remembered_for_an_hour_and_by_wallet(notebook: Notebook) -> None:
    notebook.journal.use(shown(messages=3))
    notebook.journal.use(shown(messages=5, wallet_id=OTHER))
    assert list(notebook.journal.recent(TREASURY, me=ANA)) == [UP] * 3
    notebook.wait(HOUR + 1)
    notebook.journal.use(shown())
    assert list(notebook.journal.recent(TREASURY, me=ANA)) == [UP + HOUR + 1]


async def test_what_is_released_counts_no_more_and_only_once(notebook: Notebook) -> None:
    first, second = (notebook.journal.use(shown()) for _ in range(2))
    notebook.journal.release(first)
    notebook.journal.release(first)
    assert len(list(notebook.journal.recent(TREASURY, me=ANA))) == 1
    notebook.journal.release(second)
    assert not list(notebook.journal.recent(TREASURY, me=ANA))


async def test_this_nodes_own_proposals_use_up_nothing(notebook: Notebook) -> None:
    notebook.journal.use(shown(proposer=ANA, messages=3))
    assert not list(notebook.journal.recent(TREASURY, me=ANA))


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({}, 1),
        ({"outcome": "failed", "error": "participant_silent"}, 1),
        ({"outcome": "refused", "error": "refused"}, 1),  # it was accepted first, and a share may have left
        ({"outcome": "refused", "error": "refused", "approved_by": None}, 0),
        ({"outcome": "unneeded"}, 0),
        ({"kind": "keygen", **UNSIGNED}, 0),
        ({"kind": "refresh", **UNSIGNED}, 0),
        ({"wallet_id": "ef" * 16}, 0),
        ({"time": NOW - HOUR - 1}, 0),
        ({"proposer": "ana"}, 0),
    ],
)
async def test_the_next_process_remembers_what_this_one_accepted(
    notebook: Notebook, changes: dict[str, Any], counts: int
) -> None:
    given: dict[str, Any] = {"time": NOW - 60_000, "proposer": "ben"}
    await asyncio.to_thread(notebook.journal._audit.append, entry(1, **(given | changes)))
    later = notebook.again()
    with later.journal:
        assert len(list(later.journal.recent(TREASURY, me=ANA))) == counts


@pytest.mark.parametrize("jump", [-1000 * HOUR, -HOUR // 2, HOUR // 2, 1000 * HOUR])
async def test_a_wall_clock_that_is_set_makes_no_room_and_takes_none(notebook: Notebook, jump: int) -> None:
    """An hour is an hour, whatever the time of day is said to be."""
    notebook.journal.use(shown())
    for number in range(MAX_REFUSALS_EACH):
        await notebook.journal.record(shown(number), Told(sender="ab"), Refused("no"))
    notebook.time += jump
    notebook.journal.use(shown(2))
    assert list(notebook.journal.recent(TREASURY, me=ANA)) == [UP, UP]
    await notebook.journal.record(shown(998), Told(sender="ab"), Refused("no"))
    assert len(notebook.entries()) == MAX_REFUSALS_EACH
    notebook.running += HOUR
    notebook.journal.use(shown(3))
    assert list(notebook.journal.recent(TREASURY, me=ANA)) == [UP + HOUR]
    await notebook.journal.record(shown(999), Told(sender="ab"), Refused("no"))
    assert len(notebook.entries()) == MAX_REFUSALS_EACH + 1


@pytest.mark.parametrize(("ago", "left"), [(HOUR - 60_000, 60_000), (-5 * HOUR, HOUR)])
async def test_what_an_earlier_process_accepted_counts_for_the_rest_of_its_hour(
    notebook: Notebook, ago: int, left: int
) -> None:
    """Between two processes there is wall time alone; a line of the future counts as one of this moment."""
    await asyncio.to_thread(notebook.journal._audit.append, entry(1, time=NOW - ago, proposer="ben"))
    later = notebook.again()
    with later.journal:
        later.time -= 10 * HOUR
        later.running += left - 1
        later.journal.use(shown(wallet_id=OTHER))
        assert len(list(later.journal.recent(TREASURY, me=ANA))) == 1
        later.running += 1
        later.journal.use(shown(wallet_id=OTHER))
        assert not list(later.journal.recent(TREASURY, me=ANA))


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


# --- what others can cause for nothing ---

WRONG_KEY = IdentityCheckFailed("another key", suspects=[BEN])
NOTHING: list[tuple[Told, MpcError | None]] = [
    (Told(), Refused("no")),
    (Told(), WRONG_KEY),
    (Told(), ParticipantSilent("gone", suspects=[BEN])),
    (Told(approved_by="policy"), ParticipantSilent("gone", suspects=[BEN])),
    (Told(approved_by="policy", unneeded=True), None),
    (Told(approved_by="user", unneeded=True), None),
]


@pytest.mark.parametrize(("told", "error"), NOTHING)
@pytest.mark.parametrize(("known", "each"), [(False, MAX_REFUSALS_EACH), (True, MAX_FRUITLESS_EACH)])
async def test_what_comes_to_nothing_is_written_so_often_for_one_sender_and_hides_no_signature(
    notebook: Notebook, told: Told, error: MpcError | None, *, known: bool, each: int
) -> None:
    told = replace(told, known=known, sender="ab" * 32)
    for number in range(each + 20):
        await notebook.journal.record(shown(number, proposer=f"ben{number}"), told, error)  # a name is free
    await notebook.journal.record(shown(9998), Told(approved_by="user", sender="ab" * 32), None)
    after = Told(approved_by="policy", accepted=True, sender="ab" * 32)
    await notebook.journal.record(shown(9999), after, ParticipantSilent("gone", suspects=[BEN]))
    found = notebook.entries()
    assert [one.session_id for one in found[each:]] == [shown(9998).session_id, shown(9999).session_id]
    assert len(found) == each + 2
    notebook.wait(HOUR + 1)
    await notebook.journal.record(shown(10000), told, error)
    assert len(notebook.entries()) == each + 3


@pytest.mark.parametrize(("known", "total"), [(False, MAX_REFUSALS), (True, MAX_FRUITLESS)])
async def test_many_senders_together_write_no_more_than_their_share(
    notebook: Notebook, *, known: bool, total: int
) -> None:
    for number in range(total + 20):
        await notebook.journal.record(shown(number), Told(sender=f"{number:064x}", known=known), Refused("no"))
    assert len(notebook.entries()) == total


async def test_what_strangers_cause_hides_no_refusal_of_one_that_might_have_been_served(notebook: Notebook) -> None:
    for number in range(MAX_REFUSALS + 1):
        await notebook.journal.record(shown(number), Told(sender=f"{number:064x}"), WRONG_KEY)
    await notebook.journal.record(shown(9999), Told(known=True, sender="ab" * 32), Refused("the user said no"))
    assert notebook.entries()[-1].session_id == shown(9999).session_id


@pytest.mark.parametrize("told", [Told(own=True), Told(accepted=True)])
async def test_what_this_node_proposed_or_gave_its_share_to_is_always_written(notebook: Notebook, told: Told) -> None:
    told = replace(told, approved_by="user", sender="ab" * 32)
    for number in range(MAX_FRUITLESS_EACH + 5):
        await notebook.journal.record(shown(number), told, ParticipantSilent("gone", suspects=[BEN]))
    assert len(notebook.entries()) == MAX_FRUITLESS_EACH + 5
    assert not notebook.warnings


async def test_how_many_were_not_written_is_told_after_an_hour_and_at_the_end(notebook: Notebook) -> None:
    for number in range(MAX_REFUSALS_EACH + 7):
        await notebook.journal.record(shown(number), Told(sender="ab"), Refused("no"))
    (warning,) = notebook.warnings
    assert "more proposals come to nothing" in warning
    assert "'ben'" in warning
    notebook.wait(HOUR)
    await notebook.journal.record(shown(9999), Told(approved_by="user"), None)
    assert notebook.warnings[1:] == ["7 proposals that came to nothing were not written to the audit log"]
    for number in range(MAX_REFUSALS_EACH + 2):
        await notebook.journal.record(shown(number), Told(sender="cd"), Refused("no"))
    notebook.journal.__exit__(None, None, None)
    assert notebook.warnings[3:] == ["2 proposals that came to nothing were not written to the audit log"]


async def test_what_nobody_approved_takes_a_short_line_and_what_was_approved_all_of_it(notebook: Notebook) -> None:
    names = tuple(f"{number:064}" for number in range(64))
    long = msgspec.structs.replace(
        shown(messages=250), participants=tuple(PeerView(name, "unknown") for name in names), suites=("x" * 64,) * 4
    )
    error = ParticipantCheated("lies", culprits=map(PeerId, names))
    await notebook.journal.record(long, Told(), error)
    assert (notebook.home / AUDIT_LOG).stat().st_size < 2500
    await notebook.journal.record(long, Told(approved_by="policy", signers=names), error)
    cut, whole = notebook.entries()
    assert (cut.participants, len(cut.messages), cut.culprits) == (names[:SHORT], SHORT, names[:SHORT])
    assert (whole.participants, len(whole.messages), whole.culprits) == (names, 250, names)


async def test_a_disk_that_takes_nothing_is_not_waited_for_with_ever_more_lines(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FullDisk(monkeypatch)
    for number in range(MAX_UNWRITTEN * 2):
        await notebook.journal.record(shown(number), Told(sender=f"{number:064x}"), Refused("no"))
        notebook.wait(HOUR)
    assert len(notebook.journal._unwritten) == MAX_UNWRITTEN
    await notebook.journal.record(shown(9999), Told(approved_by="user"), None)
    disk.full = False
    assert await notebook.journal.is_ready()
    assert notebook.entries()[-1].outcome == "done"


# --- what is accepted, and has no end ---


async def test_what_was_accepted_is_on_the_disk_before_its_end(notebook: Notebook) -> None:
    told = Told(approved_by="policy", signers=("ana", "ben"))
    await notebook.journal.accept(shown(), told)
    (accepted,) = notebook.entries()
    assert (accepted.outcome, accepted.approved_by, accepted.signers) == ("accepted", "policy", ("ana", "ben"))
    assert told.accepted
    await notebook.journal.record(shown(), told, None)
    assert [one.outcome for one in notebook.entries()] == ["accepted", "done"]


async def test_what_cannot_be_written_is_not_accepted(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    disk, told = FullDisk(monkeypatch), Told(approved_by="policy")
    with pytest.raises(KeystoreUnwritable):
        await notebook.journal.accept(shown(), told)
    disk.full = False
    await notebook.journal.record(shown(), told, KeystoreUnwritable("no space left"))
    assert [one.outcome for one in notebook.entries()] == ["accepted", "failed"]


ACCEPTED: dict[str, Any] = {"outcome": "accepted", "messages": ("cd" * 32,) * 3}
DONE: dict[str, Any] = {"messages": ("cd" * 32,) * 3}
REFUSED: dict[str, Any] = {**DONE, "outcome": "refused", "error": "refused", "approved_by": None}


@pytest.mark.parametrize(
    ("lines", "counts"),
    [
        ([ACCEPTED], 3),  # the node was killed
        ([ACCEPTED, DONE], 3),
        ([ACCEPTED, {**DONE, "outcome": "failed", "error": "participant_silent"}], 3),
        ([ACCEPTED, ACCEPTED, DONE], 6),
        ([ACCEPTED, DONE, DONE], 6),
        # the proposer chooses the id, and may take it again: nothing of that may make the share's use forgotten
        ([ACCEPTED, REFUSED], 3),
        ([ACCEPTED, {**DONE, "outcome": "unneeded"}], 3),
        ([ACCEPTED, {**DONE, "messages": ("cd" * 32,)}], 4),
        ([ACCEPTED, {**DONE, "kind": "keygen", **UNSIGNED}], 3),
        ([ACCEPTED, {**DONE, "kind": "refresh", **UNSIGNED}], 3),
        ([ACCEPTED, {**DONE, "wallet_id": "ef" * 16}], 3),
        ([ACCEPTED, {**DONE, "proposer": "ana"}], 3),
        ([ACCEPTED, {**DONE, "session_id": "ef" * 16}], 6),
        ([{**ACCEPTED, "time": NOW - HOUR - 1}], 0),
        ([{**ACCEPTED, "proposer": "ana"}], 0),
    ],
)
async def test_the_next_process_counts_what_was_accepted_once_with_an_end_or_without(
    notebook: Notebook, lines: list[dict[str, Any]], counts: int
) -> None:
    for changes in lines:
        given: dict[str, Any] = {"time": NOW - 60_000, "proposer": "ben"}
        await asyncio.to_thread(notebook.journal._audit.append, entry(1, **(given | changes)))
    later = notebook.again()
    with later.journal:
        assert len(list(later.journal.recent(TREASURY, me=ANA))) == counts


async def test_a_session_that_signs_nothing_has_the_wallet_it_made_or_none(notebook: Notebook) -> None:
    keygen = msgspec.structs.replace(shown(), kind="keygen", sign=None, wallet_id=None)
    await notebook.journal.record(keygen, Told(approved_by="user", wallet=statuses.wallet()), None)
    await notebook.journal.record(keygen, Told(approved_by="user"), ParticipantSilent("gone", suspects=[BEN]))
    made, failed = notebook.entries()
    assert (made.kind, made.wallet_id, made.reading, made.messages) == ("keygen", TREASURY, None, ())
    assert failed.wallet_id is None
    assert not list(notebook.journal.recent(TREASURY, me=ANA))


async def test_a_wallet_that_was_made_is_written_whatever_failed_after(notebook: Notebook) -> None:
    keygen = msgspec.structs.replace(shown(), kind="keygen", sign=None, wallet_id=None)
    told = Told(approved_by="user", wallet=statuses.wallet(), sender="ab" * 32)
    for _ in range(MAX_REFUSALS_EACH + 5):
        await notebook.journal.record(keygen, told, ParticipantSilent("gone", suspects=[BEN]))
    assert len(notebook.entries()) == MAX_REFUSALS_EACH + 5


async def test_sessions_that_end_at_once_each_have_a_line(notebook: Notebook) -> None:
    told = Told(approved_by="user")
    errors: list[MpcError | None] = [None] * 20
    await asyncio.gather(*(notebook.journal.record(shown(n), told, error) for n, error in enumerate(errors)))
    assert sorted(one.session_id for one in notebook.entries()) == [f"{n:032x}" for n in range(20)]


async def test_one_that_is_cancelled_while_a_line_is_written_waits_for_it(
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
