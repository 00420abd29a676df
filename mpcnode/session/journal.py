"""What this node writes down of its sessions, and what it must remember of them: one line of the audit log for each.

A session is not over before its line is on the disk; and none begins while a line of an earlier one is not. What
strangers can cause for nothing, refusals, is bounded: they must not fill a disk.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from mpcnode.errors import KeystoreError, MpcError, Refused
from mpcnode.keystore.audit import AuditLog
from mpcnode.keystore.audit_chain import Entry, Line, Outcome
from mpcnode.session.consent import Approval
from mpcnode.session.ending import see_end
from mpcnode.session.policy import HOUR
from mpcnode.session.proposal import SIGN
from mpcnode.status import Proposed, SignatureView, WalletView
from mpcnode.types import PeerId, WalletId

MAX_REFUSALS: Final = 120
"""Refusals written down in an hour; what is beyond is counted in a warning."""


@dataclass(frozen=True, slots=True, eq=False)
class Use:
    """Messages of one session that this node accepted to sign.

    Args:
        wallet_id: with which wallet.
        proposer: for whom.
        when: Unix seconds.
        count: how many.
    """

    wallet_id: str
    proposer: str
    when: float
    count: int


@dataclass(slots=True)
class Told:
    """What there is to tell about a session, filled in as it goes by whoever runs it.

    Args:
        approved_by: who said yes at this node.
        wallet: the wallet it made.
        words: the safety words that were shown.
        signature: the signatures it made.
        signers: who signed, or was chosen to.
        unneeded: this node said yes, and others were chosen.
    """

    approved_by: Approval | None = None
    wallet: WalletView | None = None
    words: tuple[str, ...] = ()
    signature: SignatureView | None = None
    signers: tuple[str, ...] = ()
    unneeded: bool = False


class Journal:
    """The audit log of a node that runs; a context manager.

    Args:
        home: the home's directory, its lock held.
        now: Unix time in seconds.
        warn: told what the user should know.

    Raises:
        KeystoreError: as ``AuditLog.open``.
    """

    def __init__(self, home: Path, *, now: Callable[[], float], warn: Callable[[str], None]) -> None:
        self.now = now
        self._warn = warn
        self._uses: deque[Use] = deque()
        self._unwritten: deque[Entry] = deque()
        self._refusals: deque[float] = deque(maxlen=MAX_REFUSALS)
        self._overflowed = False
        self._one_at_a_time = asyncio.Lock()
        self._audit = AuditLog.open(home, on_line=self._take)

    def __enter__(self) -> Self:
        if self._audit.torn is not None:
            self._warn(f"the last line of the audit log was half-written; it is kept in {self._audit.torn}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._audit.close()

    # What is remembered

    def recent(self, wallet_id: WalletId, *, me: PeerId) -> Iterator[float]:
        """When this node accepted to sign with a wallet for somebody else, one time for each message."""
        for use in self._uses:
            if use.wallet_id == wallet_id and use.proposer != me:
                yield from [use.when] * use.count

    def use(self, wallet_id: WalletId, proposer: PeerId, count: int) -> Use:
        """Count messages as accepted; from now on, so that two proposals at once cannot both have the last place."""
        use = Use(wallet_id, proposer, self.now(), count)
        self._add(use)
        return use

    def release(self, use: Use) -> None:
        """Take back ``use``: nothing was signed, nor can be."""
        if use in self._uses:
            self._uses.remove(use)

    def _add(self, use: Use) -> None:
        oldest = self.now() - HOUR
        self._uses = deque(known for known in self._uses if known.when > oldest)
        if use.when > oldest:
            self._uses.append(use)

    def _take(self, line: Line) -> None:
        """Remember what an earlier process of this home accepted; ``unneeded`` gave nothing away."""
        entry = line.entry
        if entry.kind == SIGN and entry.wallet_id and entry.approved_by and entry.outcome != "unneeded":
            self._add(Use(entry.wallet_id, entry.proposer, entry.time, len(entry.messages)))

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

    async def record(self, shown: Proposed, told: Told, error: MpcError | None) -> None:
        """Write how a session ended; it is on the disk when this returns, or the user was warned."""
        outcome = _outcome(told, error)
        if outcome == "refused" and self._too_many():
            return
        self._unwritten.append(_entry(shown, told, error, outcome, int(self.now())))
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

    def _too_many(self) -> bool:
        now = self.now()
        full = len(self._refusals) == MAX_REFUSALS and self._refusals[0] > now - HOUR
        if full and not self._overflowed:
            self._warn(f"more than {MAX_REFUSALS} proposals were refused within an hour; no more of them are written")
        self._overflowed = full
        if not full:
            self._refusals.append(now)
        return full


def _outcome(told: Told, error: MpcError | None) -> Outcome:
    if error is None:
        return "unneeded" if told.unneeded else "done"
    return "refused" if isinstance(error, Refused) else "failed"


def _entry(shown: Proposed, told: Told, error: MpcError | None, outcome: Outcome, now: int) -> Entry:
    return Entry(
        time=now,
        session_id=shown.session_id,
        kind=shown.kind,
        wallet_id=shown.sign.wallet_id if shown.sign else told.wallet.wallet_id if told.wallet else None,
        wallet_name=shown.wallet,
        proposer=shown.proposer,
        participants=tuple(peer.peer_id for peer in shown.participants),
        signers=told.signers,
        suites=shown.suites,
        reading=shown.sign.reading if shown.sign else None,
        messages=shown.sign.hashes if shown.sign else (),
        approved_by=told.approved_by,
        outcome=outcome,
        error=error.code if error else None,
        culprits=error.culprits if error else (),
    )
