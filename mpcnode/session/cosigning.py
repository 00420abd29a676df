"""What another participant may have this node sign: the wallet's policy first, where there is one, then as usual."""

from collections.abc import Callable
from dataclasses import dataclass

from mpcnode.session.consent import Asked
from mpcnode.session.journal import Journal, Use
from mpcnode.session.policy import WalletPolicy, decide
from mpcnode.status import SignView
from mpcnode.types import PeerId
from mpcnode.wallet.wallet import Wallet


@dataclass(slots=True)
class AskedToSign:
    """The question whether to sign, answered by the wallet's policy where there is one.

    Args:
        asked: this node's options and its user.
        wallet: whose key.
        request: what is to be signed.
        policy_of: reads a wallet's policy, a few lines from the disk.
        journal: knows how much was accepted lately.
        me: this node's name.
        known: whether the proposer is a verified contact.
    """

    asked: Asked
    wallet: Wallet
    request: SignView
    policy_of: Callable[[Wallet], WalletPolicy | None]
    journal: Journal
    me: PeerId
    known: bool
    _use: Use | None = None

    async def approve(self) -> None:
        """Return to sign.

        Raises:
            Refused: the options, the policy or the user says no.
            KeystoreUnreadable: there is a policy that cannot be read; it might forbid this.
            NoTerminal: there is nobody to ask.
        """
        self.asked.require_open()
        policy = self.policy_of(self.wallet)
        verdict = self._decide(policy) if policy else None
        # Counted before anybody is asked, without a pause after the decision: a second proposal finds the place taken.
        self._use = self.journal.use(self.wallet.wallet_id, self._proposer, len(self.request.messages))
        try:
            match verdict:
                case None:
                    await self.asked.approve()
                case "ask":
                    await self.asked.ask()
                case "accept":
                    self.asked.approved_by = "policy"
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Do not count what was accepted: nothing was given away for it."""
        if self._use is not None:
            self.journal.release(self._use)

    def _decide(self, policy: WalletPolicy) -> str:
        return decide(
            policy,
            proposer=self._proposer,
            verified=self.known,
            reading=self.request.reading,
            message_count=len(self.request.messages),
            recent=self.journal.recent(self.wallet.wallet_id, me=self.me),
            now=self.journal.now(),
        )

    @property
    def _proposer(self) -> PeerId:
        return PeerId(self.asked.proposal.proposer)
