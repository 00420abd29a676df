"""Who answers for a node: a policy where it can, a user where it cannot."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from mpcnode.errors import Refused
from mpcnode.status import PeerView, Proposed, SafetyWords
from mpcnode.types import PeerId

Accept = Literal["ask", "auto", "contacts", "none"]
Approval = Literal["user", "policy"]
"""Who says yes at a node: its user, or its options or a wallet's policy without asking."""


class User(Protocol):
    """Who answers for a node: a terminal, a client of the control socket, or nobody."""

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
            Refused: none of them.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What this node takes part in.

    Args:
        accept: ``ask`` the user, ``auto`` everything, ``contacts`` when everybody is a verified contact, ``none``.
        contacts_only: refuse whatever has a participant who is not a verified contact, before anybody is asked.
        yes: nobody compares safety words; the wallet says so.
    """

    accept: Accept = "ask"
    contacts_only: bool = False
    yes: bool = False


@dataclass(slots=True)
class Asked:
    """One session's questions, answered by the policy where it can and by the user where it cannot.

    ``approved_by`` says afterwards who said yes, ``by_user`` whether the user was the one to answer, whatever that was.

    Args:
        on_yes: called when somebody said yes; what it raises is raised in place of the yes.
    """

    policy: Policy
    user: User
    proposal: Proposed
    verified: bool
    approved_by: Approval | None = None
    by_user: bool = False
    on_yes: Callable[[], None] = lambda: None

    async def approve(self) -> None:
        """Return to take part.

        Raises:
            Refused: the policy or the user says no.
            NoTerminal: there is nobody to ask.
        """
        self.require_open()
        match self.policy.accept:
            case "contacts" if not self.verified:
                raise Refused("this node accepts proposals of verified contacts only (--accept contacts)")
            case "ask":
                await self.ask()
            case _:
                self.on_yes()
                self.approved_by = "policy"

    def require_open(self) -> None:
        """Refuse what this node's options refuse, whatever anything else says.

        Raises:
            Refused: they do.
        """
        if self.policy.contacts_only and not self.verified:
            raise Refused("this node takes part only with verified contacts (--contacts-only)")
        if self.policy.accept == "none":
            raise Refused("this node accepts no proposals (--accept none)")

    async def ask(self) -> None:
        """Have the user say yes.

        Raises:
            Refused: the user says no.
            NoTerminal: there is nobody to ask.
        """
        yes = await self.user.approve(self.proposal)
        self.by_user = True
        if not yes:
            raise Refused("the user of this node said no")
        self.on_yes()
        self.approved_by = "user"

    async def confirm_words(self, words: SafetyWords) -> bool:
        """Say whether people compared the words, now or before.

        Raises:
            Refused: they differ.
            NoTerminal: there is nobody to ask.
        """
        # Verified contacts were compared before, by code or by words: asking again teaches people to say yes unread.
        if self.verified:
            return True
        if self.policy.yes:
            return False
        if not await self.user.confirm_words(words):
            raise Refused("the safety words differ: somebody stands between the participants")
        return True
