"""One session's questions, answered by the node's options and the wallet's policy where they can, else by the user."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from mpcnode.blame import words_differ
from mpcnode.consent.journal import Journal, Use
from mpcnode.consent.policy import WalletPolicy, decide
from mpcnode.errors import Refused
from mpcnode.status import Approval, PeerView, Proposed, SafetyWords
from mpcnode.types import PeerId

Accept = Literal["ask", "auto", "contacts", "none"]


class User(Protocol):
    """The person at a node: at a terminal, behind a client of the control socket, or absent."""

    async def approve(self, proposal: Proposed) -> bool:
        """Say whether to take part.

        Raises:
            NoTerminal: there is nobody to ask.
        """

    async def confirm_words(self, words: SafetyWords) -> bool:
        """Say whether everybody's screen shows the same words.

        Raises:
            NoTerminal: there is nobody to ask.
        """

    async def choose_peers(self, candidates: tuple[PeerView, ...], count: int) -> tuple[PeerId, ...]:
        """Choose ``count`` of the candidates.

        Raises:
            NoTerminal: there is nobody to ask.
            Refused: the user wants none of them.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What this node takes part in.

    Args:
        accept: ``ask`` the user, ``auto`` everything, ``contacts`` when everybody is a verified contact, ``none``.
        contacts_only: refuse a session with a participant that is not a verified contact, before anybody is asked.
        yes: nobody compares safety words; the wallet says so.
    """

    accept: Accept = "ask"
    contacts_only: bool = False
    yes: bool = False


@dataclass(slots=True, kw_only=True)
class Consent:
    """Whether this node takes part in one session, and what it says of the safety words.

    Args:
        options: the node's.
        user: the person to ask.
        proposal: as people are shown it.
        verified: whether everybody else is a verified contact.
        known: whether the proposer is a verified contact.
        policy_of: reads the policy of the session's wallet, if it has one; a few lines from the disk.
        journal: knows how much was accepted lately.
        on_yes: called when somebody said yes; what it raises is raised in place of the yes.
        approved_by: afterwards, how the yes came about.
        by_user: afterwards, whether the user answered, whatever the answer was.
    """

    options: Options
    user: User
    proposal: Proposed
    verified: bool
    known: bool
    policy_of: Callable[[], WalletPolicy | None]
    journal: Journal
    on_yes: Callable[[], None]
    approved_by: Approval | None = None
    by_user: bool = False
    _use: Use | None = None

    async def approve(self) -> None:
        """Return to take part.

        Raises:
            Refused: the options, the policy or the user says no.
            KeystoreUnreadable: there is a policy that cannot be read; it might forbid this.
            NoTerminal: there is nobody to ask.
        """
        if self.options.contacts_only and not self.verified:
            raise Refused("this node takes part in sessions with verified contacts only (--contacts-only)")
        if self.options.accept == "none":
            raise Refused("this node accepts no proposals (--accept none)")
        policy = self.policy_of()
        verdict = self._decide(policy) if policy else self._by_options()
        # Counted before anybody is asked, without a pause after the decision: a second proposal finds the place taken.
        if self.proposal.sign is not None:
            self._use = self.journal.use(self.proposal)
        try:
            await self._answer(verdict)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Do not count what was accepted: nothing was given away for it."""
        if self._use is not None:
            self.journal.release(self._use)

    async def confirm_words(self, words: SafetyWords) -> bool:
        """Say whether people compared the words now.

        Raises:
            WordsDiffer: they do not.
            NoTerminal: there is nobody to ask.
        """
        if self.options.yes:
            return False
        if not await self.user.confirm_words(words):
            raise words_differ()
        return True

    async def _answer(self, verdict: Literal["ask", "accept"]) -> None:
        if verdict == "ask":
            yes = await self.user.approve(self.proposal)
            self.by_user = True
            if not yes:
                raise Refused("its user said no")
        self.on_yes()
        self.approved_by = "user" if verdict == "ask" else "policy"

    def _by_options(self) -> Literal["ask", "accept"]:
        if self.options.accept == "contacts" and not self.verified:
            raise Refused("this node accepts proposals of verified contacts only (--accept contacts)")
        return "ask" if self.options.accept == "ask" else "accept"

    def _decide(self, policy: WalletPolicy) -> Literal["ask", "accept"]:
        proposal, sign = self.proposal, self.proposal.sign
        return decide(
            policy,
            kind=proposal.kind,
            proposer=PeerId(proposal.proposer),
            verified=self.known,
            reading=sign.reading if sign else None,
            merkle_root=sign.merkle_root if sign else None,
            message_count=len(sign.messages) if sign else 0,
            recent=self.journal.recent(sign.wallet_id, me=self._me) if sign else (),
            now=self.journal.running(),
        )

    @property
    def _me(self) -> str:
        return next(peer.peer_id for peer in self.proposal.participants if peer.trust == "self")
