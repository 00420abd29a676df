"""A signature in spite of some: ask everybody, sign with the first that accept, replace those that stall or cheat.

Each attempt is a session of its own with fresh nonces; nothing of a failed one is used again.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from mpcnode.blame import Came, judge, together
from mpcnode.blame import Event as Seen
from mpcnode.commands import Sign
from mpcnode.errors import (
    AuthenticationError,
    LinkFailed,
    ParticipantAborted,
    ParticipantCheated,
    ParticipantRefused,
    ParticipantSilent,
    PeerError,
    UsageError,
)
from mpcnode.session.agenda import Agenda
from mpcnode.session.kinds.sign import MAX_BATCH, MAX_CONTENTS_SIZE, SIGN, SignTerms
from mpcnode.session.proposal import propose
from mpcnode.status import ErrorView, Event, SignatureView, error_view
from mpcnode.types import IdentityKey, PeerId, SuiteId
from mpcnode.wallet.wallet import Wallet

TRIES: Final = 4
BACK_OFF: Final = 0.2
"""Seconds before the second try; each one after waits twice as long."""
LIST_SECONDS: Final = 1.0
"""For the server's list of those that are here, before anybody is missed."""
_HINT: Final = "start `mpcnode register` on another participant's node"


@dataclass(slots=True)
class _Trouble:
    """What went wrong so far, and with whom not to try again."""

    errors: list[PeerError] = field(default_factory=list)
    suspicion: Counter[PeerId] = field(default_factory=Counter)
    """In how many failures somebody may have been the one to blame."""

    @property
    def excluded(self) -> frozenset[PeerId]:
        """Those not to ask again in this command: the convicted, and those with whom this node itself got nowhere.

        What others report excludes nobody: it makes suspects, which are chosen last. A link is tried twice.
        """
        out: set[PeerId] = set()
        links: Counter[PeerId] = Counter()
        for error in self.errors:
            out.update(error.culprits)
            if isinstance(error, ParticipantSilent):
                out.update(error.suspects)
            elif isinstance(error, LinkFailed) and len(error.suspects) == 1:
                links.update(error.suspects)
            elif not isinstance(error, ParticipantAborted):
                out.update(error.suspects if len(error.suspects) == 1 else ())
        return frozenset(out.union(peer for peer, times in links.items() if times > 1))

    @property
    def failures(self) -> tuple[ErrorView, ...]:
        return tuple(map(error_view, self.errors))

    def note(self, error: PeerError, signers: Collection[PeerId] = ()) -> None:
        """Remember ``error``; where nobody is named, each of the ``signers`` may be the one."""
        if error not in self.errors:
            self.errors.append(error)
            self.suspicion.update(error.seen_of or signers)

    def no_quorum(self, why: str) -> PeerError:
        """Say that no quorum is left, as gravely as the gravest of what went wrong, with all that it named."""
        gravest = max(reversed(self.errors), key=_gravity)
        return self._all_of(gravest, "; ".join([why, *(error.message for error in self.errors)]), gravest.hint or _HINT)

    def refused(self, error: ParticipantRefused) -> PeerError:
        """Say that too few are willing, and what happened to the others."""
        earlier = [one.message for one in self.errors if one is not error]
        return self._all_of(error, "; ".join([error.message, *earlier]), error.hint)

    def _all_of(self, error: PeerError, message: str, hint: str | None) -> PeerError:
        return together([error, *self.errors], message, hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """What stays the same from attempt to attempt."""

    wallet: Wallet
    suite: SuiteId
    merkle_root: bytes
    chosen: tuple[PeerId, ...]
    """Those that may sign, where the user names them; nobody replaces them."""
    emit: Callable[[Event], None] | None
    answer_within: int

    @property
    def needed(self) -> int:
        """How many other signers it takes."""
        return self.wallet.threshold - 1


class Quorum:
    """Signs with those that can.

    Args:
        agenda: this node's sessions.
    """

    def __init__(self, agenda: Agenda) -> None:
        self._agenda = agenda
        self._services = agenda.services
        self._me = agenda.services.peer_id

    async def sign(
        self, wallet: Wallet, command: Sign, *, emit: Callable[[Event], None] | None, answer_within: int
    ) -> SignatureView:
        """Sign every message of ``command``.

        Args:
            wallet: whose key.
            command: what.
            emit: takes progress.
            answer_within: milliseconds everybody has to answer.

        Raises:
            WalletPending: not everybody has a share.
            UsageError: the wallet has no such key or participant.
            ProtocolAbort: no quorum is left; the culprits of every attempt are in the error.
        """
        epoch_id = wallet.require_active().epoch_id
        order = self._order(wallet, command, emit=emit, answer_within=answer_within)
        trouble = _Trouble()
        views = [
            await self._portion(
                order,
                SignTerms(
                    wallet_id=wallet.wallet_id,
                    epoch_id=epoch_id,
                    reading=command.reading,
                    merkle_root=order.merkle_root,
                    contents=contents,
                ),
                trouble,
            )
            for contents in portions(command.contents)
        ]
        return msgspec.structs.replace(
            views[-1],
            messages=tuple(message for view in views for message in view.messages),
            signed=tuple(signed for view in views for signed in view.signed),
            signatures=tuple(signature for view in views for signature in view.signatures),
            signers=tuple(sorted({name for view in views for name in view.signers})),
            attempts=max(view.attempts for view in views),
            failures=trouble.failures,
        )

    def _order(
        self, wallet: Wallet, command: Sign, *, emit: Callable[[Event], None] | None, answer_within: int
    ) -> _Order:
        suites = [keys.suite for keys in wallet.suites]
        suite = command.suite or suites[0]
        if suite not in suites:
            raise UsageError(
                f"wallet {wallet.name} has no key for that ciphersuite", hint=f"it has {', '.join(suites)}"
            )
        names = {member.peer_id for member in wallet.roster}
        strangers = [name for name in command.with_peers if name not in names or name == self._me]
        if strangers:
            raise UsageError(f"--with names {strangers[0]}, which is not another participant of {wallet.name}")
        if command.with_peers and len(set(command.with_peers)) < wallet.threshold - 1:
            raise UsageError(f"--with names too few: wallet {wallet.name} needs {wallet.threshold - 1} other signers")
        return _Order(
            wallet=wallet,
            suite=suite,
            merkle_root=command.tree,
            chosen=tuple(dict.fromkeys(command.with_peers)),
            emit=emit,
            answer_within=answer_within,
        )

    async def _portion(self, order: _Order, terms: SignTerms, trouble: _Trouble) -> SignatureView:
        for attempt in range(1, TRIES + 1):
            others = order.chosen or await self._reachable(order.wallet, trouble)
            try:
                view = await self._attempt(order, terms, others, trouble)
            except ParticipantRefused as error:
                raise trouble.refused(error) from error  # everybody was asked: asking again is no answer
            except PeerError as error:
                if order.chosen:
                    raise
                trouble.note(error)
                if attempt == TRIES:
                    raise trouble.no_quorum(f"no signature in {TRIES} attempts") from error
                await asyncio.sleep(BACK_OFF * 2 ** (attempt - 1))
            else:
                return msgspec.structs.replace(view, attempts=attempt)
        raise AssertionError("the last try returns or raises")

    async def _reachable(self, wallet: Wallet, trouble: _Trouble) -> tuple[PeerId, ...]:
        """Name everybody that can be asked: those here that did not fail before."""
        others = {m.peer_id: m.identity_key for m in wallet.roster if m.peer_id != self._me}
        needed = wallet.threshold - 1
        here: list[PeerId] = []
        left: tuple[PeerId, ...] = ()

        def enough() -> bool:
            nonlocal here, left
            present, pool = self._services.present(), self._services.pool
            here = [name for name, key in others.items() if name in present or pool.link_to(name, key)]
            left = tuple(name for name in here if name not in trouble.excluded)
            return len(left) >= needed

        if enough() or (not trouble.errors and await self._services.room.all_here(enough, within=LIST_SECONDS)):
            return left
        why = f"{len(left)} other signers are left of the {needed} that are needed"
        if trouble.errors:
            raise trouble.no_quorum(why)
        away = [name for name in others if name not in here]
        said = f"{why}; not here: {', '.join(away)}"
        raise self._services.explained(judge(Came.CLOCK, Seen.SILENCE, said, away, hint=_HINT))

    async def _attempt(
        self, order: _Order, terms: SignTerms, others: tuple[PeerId, ...], trouble: _Trouble
    ) -> SignatureView:
        asked = {self._me, *others}
        proposal = propose(
            self._services,
            kind=SIGN.name,
            roster=[member for member in order.wallet.roster if member.peer_id in asked],
            threshold=order.wallet.threshold,
            suites=(order.suite,),
            wallet_name=order.wallet.name,
            answer_within=order.answer_within,
            terms=terms.encode(),
        )
        matter = SIGN.matter(proposal, self._services)
        attempt = self._agenda.attempt(matter, self._me, emit=order.emit)

        def choose(accepted: Collection[PeerId], *, more: bool) -> list[PeerId]:
            return self._choose(accepted, trouble.suspicion, order, more=more)

        async with self._agenda.tracked(attempt):
            stage = attempt.stage
            await self._services.journal.accept(stage.shown, stage.told)
            try:
                return await attempt.propose(choose)
            except PeerError as error:
                trouble.note(error, [name for name in attempt.chosen if name != self._me])
                raise
            finally:
                stage.told.signers = attempt.chosen
                for odd in (*attempt.answers.failures.values(), *attempt.answers.gone.values()):
                    if isinstance(odd, PeerError):
                        trouble.note(odd)

    def _choose(
        self, accepted: Collection[PeerId], suspicion: Mapping[PeerId, int], order: _Order, *, more: bool
    ) -> list[PeerId]:
        """Choose the least suspicious, among them those with the shortest measured round-trip time.

        Returns:
            The signers; nobody yet, where too few accepted, or where it takes a suspect and ``more`` may accept.
        """
        keys = {member.peer_id: member.identity_key for member in order.wallet.roster}
        ranked = sorted(accepted, key=lambda peer: (suspicion.get(peer, 0), self._distance(peer, keys[peer])))
        best = ranked[: order.needed]
        doubtful = more and any(suspicion.get(peer) for peer in best)
        return best if len(best) == order.needed and not doubtful else []

    def _distance(self, peer: PeerId, key: IdentityKey) -> float:
        shared = self._services.pool.link_to(peer, key)
        return shared.round_trip().get(peer, 1e6) if shared else 1e9


def _gravity(error: PeerError) -> int:
    """Order errors: a lie, then a key that does not fit, then the rest; of equals the last one counts."""
    return 2 if isinstance(error, ParticipantCheated) else int(isinstance(error, AuthenticationError))


def portions(contents: Collection[bytes]) -> list[tuple[bytes, ...]]:
    """Cut contents into what one session signs; the sessions share a mesh."""
    cut: list[list[bytes]] = [[]]
    for content in contents:
        if len(cut[-1]) == MAX_BATCH or sum(map(len, cut[-1])) + len(content) > MAX_CONTENTS_SIZE:
            cut.append([])
        cut[-1].append(content)
    return [tuple(portion) for portion in cut]
