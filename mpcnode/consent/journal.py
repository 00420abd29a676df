"""What this node writes down of its sessions, and what it must remember of them.

One line of the audit log is for the end of each; where this node's share is about to sign, one before says so. A
session is not over before its line is on the disk; and none begins while a line of an earlier one is not. What others
can cause for nothing is bounded, so that they cannot fill a disk: sessions in which no share was used and no wallet
made.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from mpcnode.consent.limits import HOUR, Allowance
from mpcnode.errors import KeystoreError, MpcError, Refused
from mpcnode.keystore.audit import AuditLog, Unended
from mpcnode.keystore.audit_chain import Entry, Line, Outcome
from mpcnode.status import Approval, Proposed, SignatureView, WalletView
from mpcnode.types import PeerId, SuiteId
from mpcnode.waits import see_end

MAX_REFUSALS: Final = 120
"""Lines an hour for what strangers proposed, or what did not even hold, and came to nothing."""
MAX_REFUSALS_EACH: Final = 30
MAX_FRUITLESS: Final = 240
"""Lines an hour for what verified contacts or participants proposed, or this node's user answered, and came to nothing.

They are apart, so that no stranger can hide the refusal of something that might have been signed.
"""
MAX_FRUITLESS_EACH: Final = 60
MAX_UNWRITTEN: Final = 256
"""Lines that may wait for a disk that takes none, before what came to nothing is left out."""
SHORT: Final = 4
"""How much of each list of a proposal is written down where nobody at this node approved it."""


@dataclass(frozen=True, slots=True, eq=False)
class Use:
    """Messages of one session that this node accepted to sign.

    Args:
        wallet_id: with which wallet.
        proposer: the participant that asked.
        when: milliseconds, by the clock that nobody sets.
        count: how many.
    """

    wallet_id: str
    proposer: str
    when: int
    count: int


@dataclass(slots=True)
class Told:
    """What there is to tell about a session, filled in as it goes.

    Args:
        sender: the proposer's identity key in hexadecimal; without it the name counts.
        own: this node proposed it.
        known: the proposer is a verified contact or has a share of the wallet, or this node's user answered.
        approved_by: how the yes of this node came about.
        wallet: the wallet it made.
        words: the safety words that were shown.
        signature: the signatures it made.
        signers: the participants that signed, or were chosen to.
        unneeded: this node said yes, and others were chosen.
        accepted: there is a line that says so: this node's share may have been used.
    """

    sender: str | None = None
    own: bool = False
    known: bool = False
    approved_by: Approval | None = None
    wallet: WalletView | None = None
    words: tuple[str, ...] = ()
    signature: SignatureView | None = None
    signers: tuple[str, ...] = ()
    unneeded: bool = False
    accepted: bool = False


class Journal:
    """The audit log of a node that runs; a context manager.

    Args:
        home: the home's directory, its lock held.
        now: Unix milliseconds, for what is written down, and to tell how long ago an earlier process wrote: no other
            clock goes on between two processes.
        clock: seconds, monotonic, for what lasts an hour.
        warn: told what the user should know.

    Raises:
        KeystoreError: as ``AuditLog.open``.
    """

    def __init__(
        self, home: Path, *, now: Callable[[], int], clock: Callable[[], float], warn: Callable[[str], None]
    ) -> None:
        self._now = now
        self._clock = clock
        self._warn = warn
        self._uses: deque[Use] = deque()
        self._unwritten: deque[Entry] = deque()
        self._allowances = {
            False: Allowance(each=MAX_REFUSALS_EACH, total=MAX_REFUSALS),
            True: Allowance(each=MAX_FRUITLESS_EACH, total=MAX_FRUITLESS),
        }
        """By whether what came to nothing is of somebody known."""
        self._left_out = 0
        self._left_out_since = 0
        self._unended = Unended()
        self._before: dict[int, Use] = {}
        """What an earlier process accepted, by the number of its line, of which no end was read yet."""
        self._one_at_a_time = asyncio.Lock()
        self._audit = AuditLog.open(home, on_line=self._take)

    def __enter__(self) -> Self:
        if self._audit.torn is not None:
            self._warn(f"the last line of the audit log was half-written; it is kept in {self._audit.torn}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tell_left_out()
        self._audit.close()

    # What is remembered

    def running(self) -> int:
        """Give the milliseconds of the clock by which an hour is measured."""
        return round(self._clock() * 1000)

    def recent(self, wallet_id: str, *, me: str) -> Iterator[int]:
        """When this node accepted to sign with a wallet for somebody else, one time for each message."""
        for use in self._uses:
            if use.wallet_id == wallet_id and use.proposer != me:
                yield from [use.when] * use.count

    def use(self, shown: Proposed) -> Use:
        """Count messages as accepted; from now on, so that two proposals at once cannot both have the last place."""
        assert shown.sign is not None
        use = Use(shown.sign.wallet_id, shown.proposer, self.running(), len(shown.sign.messages))
        self._add(use)
        return use

    def release(self, use: Use) -> None:
        """Take back ``use``: nothing was signed, nor can be."""
        if use in self._uses:
            self._uses.remove(use)

    def _add(self, use: Use) -> None:
        oldest = self.running() - HOUR
        while self._uses and self._uses[0].when <= oldest:
            self._uses.popleft()
        if use.when > oldest:
            self._uses.append(use)

    def _take(self, line: Line) -> None:
        """Remember what an earlier process of this home accepted; ``unneeded`` gave nothing away.

        A session without an end counts: the process may have been killed after its share had left.
        """
        ends, entry = self._unended.take(line), line.entry
        if ends is not None and ends in self._before:
            self.release(self._before.pop(ends))
        if entry.reading is not None and entry.wallet_id and entry.approved_by and entry.outcome != "unneeded":
            # A time after now counts as this moment: a clock that was set back must not make room.
            when = self.running() - max(0, self._now() - entry.time)
            use = Use(entry.wallet_id, entry.proposer, when, len(entry.messages))
            self._add(use)
            if entry.outcome == "accepted":
                self._before[line.number] = use

    # What is written

    async def ready(self) -> None:
        """Make sure that everything there was to write is on the disk, before another session begins.

        Raises:
            KeystoreError: it is not; what is to be written is kept.
        """
        if self._unwritten:
            await self._write()

    async def is_ready(self) -> bool:
        """Say whether everything there was to write is on the disk."""
        try:
            await self.ready()
        except KeystoreError:
            return False  # the user was warned when it happened
        return True

    async def accept(self, shown: Proposed, told: Told) -> None:
        """Write that this node accepted a session; nothing made with its share may leave before this returns.

        Raises:
            KeystoreError: it is not on the disk; the share must not be used.
        """
        told.accepted = True  # its end is written, whatever becomes of this
        self._unwritten.append(_entry(shown, told, None, "accepted", self._now()))
        await self._write()

    async def record(self, shown: Proposed, told: Told, error: MpcError | None) -> None:
        """Write how a session ended; it is on the disk when this returns, or the user was warned.

        What others can cause for nothing, and more of it than an hour's lines, is counted and not written.
        """
        outcome = _outcome(told, error)
        if self._left_out and self.running() >= self._left_out_since + HOUR:
            self._tell_left_out()
        if outcome != "done" and not self._has_room(shown, told):
            return
        self._unwritten.append(_entry(shown, told, error, outcome, self._now()))
        try:
            await self._write()
        except KeystoreError as failure:
            self._warn(f"{failure.message}; this node begins no session before it is written")

    async def _write(self) -> None:
        # In a thread and waited for however often this task is cancelled: no line may be half of anything.
        writing = asyncio.ensure_future(self._write_all())
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await see_end(writing)
            raise

    async def _write_all(self) -> None:
        async with self._one_at_a_time:
            while self._unwritten:
                await asyncio.to_thread(self._audit.append, self._unwritten[0])
                self._unwritten.popleft()

    def _has_room(self, shown: Proposed, told: Told) -> bool:
        """Say whether the end of a session that made nothing is written."""
        if told.accepted or told.own or told.wallet is not None:
            return True
        sender, allowance = told.sender or shown.proposer, self._allowances[told.known]
        if len(self._unwritten) < MAX_UNWRITTEN and allowance.take(sender, self.running()):
            return True
        if not self._left_out:
            self._left_out_since = self.running()
            self._warn(
                "more proposals come to nothing than the audit log takes in an hour, the last one of "
                f"{shown.proposer!a}; those beyond are counted and not written"
            )
        self._left_out += 1
        return False

    def _tell_left_out(self) -> None:
        count, self._left_out = self._left_out, 0
        if count:
            self._warn(f"{count} proposals that came to nothing were not written to the audit log")


def _outcome(told: Told, error: MpcError | None) -> Outcome:
    if error is None:
        return "unneeded" if told.unneeded else "done"
    return "refused" if isinstance(error, Refused) else "failed"


def _entry(shown: Proposed, told: Told, error: MpcError | None, outcome: Outcome, now: int) -> Entry:
    few = slice(None if told.approved_by else SHORT)
    return Entry(
        time=now,
        session_id=shown.session_id,
        kind=shown.kind,
        wallet_id=shown.sign.wallet_id if shown.sign else told.wallet.wallet_id if told.wallet else None,
        wallet_name=shown.wallet,
        proposer=PeerId(shown.proposer),
        participants=tuple(PeerId(peer.peer_id) for peer in shown.participants[few]),
        signers=tuple(map(PeerId, told.signers)),
        suites=tuple(map(SuiteId, shown.suites[few])),
        reading=shown.sign.reading if shown.sign else None,
        messages=shown.sign.hashes[few] if shown.sign else (),
        approved_by=told.approved_by,
        outcome=outcome,
        error=error.code if error else None,
        culprits=error.culprits[few] if error else (),
        suspects=tuple(sorted(error.suspects))[few] if error else (),
    )
