"""What kinds of session that make an epoch of a wallet have in common: its share is stored, then its certificate."""

from typing import Any

from mpcnode.protocols.checkpoints import KeyResult, StoreActive, StorePending
from mpcnode.protocols.descriptor import Descriptor
from mpcnode.protocols.frost.keygen import equivocators
from mpcnode.protocols.rounds import Rounds
from mpcnode.session.kinds.kind import Agreed, Matter, Script
from mpcnode.session.stage import Stage
from mpcnode.status import Verified, WalletChanged, WalletView
from mpcnode.types import WalletId


class EpochMatter(Matter[WalletView]):
    """One session that makes an epoch, at one node."""

    verified: Verified = "nobody"
    """How the participants of a new wallet were verified; one that is there keeps what it says."""
    stored: WalletView | None = None
    """The wallet, once this node's share is durable."""

    def descriptor(self, agreed: Agreed) -> Descriptor:
        """Describe the session to its script."""
        return Descriptor(
            agreed=agreed.digest,
            session_id=agreed.session_id,
            kind=self.proposal.kind,
            wallet_name=self.proposal.wallet_name,
            threshold=self.proposal.threshold,
            suites=self.proposal.suites,
            roster=agreed.roster,
        )

    def run(self, rounds: Rounds[Any], descriptor: Descriptor) -> Script:
        """Have the rounds run, and those convicted that sign two promises."""
        return Script(rounds=rounds, equivocators=lambda mine, theirs: equivocators(mine, theirs, descriptor))

    async def checkpoint(self, record: object, stage: Stage) -> object:
        """Store."""
        wallets = self.services.wallets
        match record:
            case StorePending():
                stage.phases.enter("storing")
                stored = await wallets.store_pending(
                    record, name=self.proposal.wallet_name, verified=self.verified, now=self.services.now()
                )
            case StoreActive(certificate=certificate):
                assert self.stored is not None
                stored = await wallets.merge(WalletId(bytes.fromhex(self.stored.wallet_id)), certificate)
            case _:
                return await super().checkpoint(record, stage)
        self.stored = stage.told.wallet = stored
        stage.emit(WalletChanged(stored))
        return None

    async def result(self, _value: KeyResult, _agreed: Agreed, _stage: Stage) -> WalletView:
        """Give the wallet as it is now."""
        assert self.stored is not None
        return self.stored
