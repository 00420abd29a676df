"""Refresh as a kind of session: new shares of the same key for the same participants, all of whom are needed.

The terms of a proposal (PROTOCOL, Refresh): wallet id, and the id of the epoch whose shares are replaced. With its yes
each participant names the pending epoch that it holds, which grew out of the same one: the new epoch abandons it, and
takes its place in the wallet. That is safe only where somebody holds no share of it, and so never signed for it: else
any node could complete its certificate at any time, and would be left alone with it. What everybody holds is completed,
and not abandoned.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from mpcnode.errors import Refused
from mpcnode.protocols.epoch import EPOCH_ID_SIZE
from mpcnode.protocols.frost.pedpop import KeyShare
from mpcnode.protocols.frost.refresh import refresh
from mpcnode.session.kinds.epoch import EpochMatter
from mpcnode.session.kinds.kind import Agreed, Kind, Script, require
from mpcnode.session.kinds.sign import wallet_of
from mpcnode.session.services import Services
from mpcnode.session.stage import Stage
from mpcnode.types import EpochId, SuiteId, WalletId
from mpcnode.wallet.wallet import Wallet
from mpcnode.wire.relay import SessionProposal

OpenShares = Callable[[], Awaitable[Mapping[SuiteId, KeyShare]]]


def new_shares_of(wallet_id: WalletId) -> str:
    """Name what only one session at a time may make."""
    return f"new shares of wallet {wallet_id.hex()}"


class RefreshMatter(EpochMatter):
    """One refresh at one node."""

    def __init__(self, proposal: SessionProposal, services: Services, *, wallet: Wallet) -> None:
        super().__init__(proposal, services, needed=wallet.total, wallet=wallet)
        self._wallet = wallet

    def makes(self) -> str:
        """Name the shares: two sessions at once must not replace the same ones.

        While one does, this node takes no certificate for an epoch that the new one may abandon.
        """
        return new_shares_of(self._wallet.wallet_id)

    def said_with_yes(self) -> tuple[bytes, ...]:
        """Name the pending epoch beside the active one: this node holds no full certificate of it.

        From here on it takes none, see ``makes``; what became of the wallet before is looked at once more.

        Raises:
            Refused: another epoch is active by now.
        """
        known = self.services.wallets.find(self._wallet.wallet_id)
        if known is None or known.active is None or known.active.epoch_id != self._wallet.require_active().epoch_id:
            raise Refused(f"wallet {self._wallet.name} changed while this was proposed; propose again")
        self._wallet = known
        return () if known.pending is None else (known.pending.epoch_id,)

    @asynccontextmanager
    async def prepared(self, _stage: Stage) -> AsyncIterator[OpenShares]:
        """Open this node's shares while others answer; they are wiped at the end."""
        async with self.services.wallets.key_shares(self._wallet) as shares:
            yield shares

    async def script(self, agreed: Agreed, prepared: OpenShares, _stage: Stage) -> Script:
        """Make the script; the new epoch abandons every pending one that a participant named.

        Raises:
            Refused: everybody named the same one, or somebody what cannot be one.
        """
        previous = self._wallet.require_active().statement
        abandoned = sorted({EpochId(one) for terms in agreed.terms.values() for one in terms})
        if any(len(terms) > 1 or set(map(len, terms)) - {EPOCH_ID_SIZE} for terms in agreed.terms.values()):
            raise Refused("a participant names an epoch to be abandoned that cannot be one")
        if previous.epoch_id in abandoned:
            raise Refused("a participant would abandon the epoch that is active here")
        if abandoned and all(terms == (abandoned[0],) for terms in agreed.terms.values()):
            raise Refused(
                f"every participant of wallet {self._wallet.name} has a new share already, of epoch "
                f"{previous.number + 1}: it becomes active as soon as the nodes have told each other",
                hint="leave the nodes on for a moment; see `mpcnode wallets list`",
            )
        descriptor = self.descriptor(agreed)
        rounds = refresh(
            descriptor=descriptor,
            previous=previous,
            abandoned=tuple(abandoned),
            me=self._wallet.identifier,
            shares=await prepared(),
            signer=self.services.identity,
            rng=self.services.rng,
        )
        return self.run(rounds, descriptor)

    def saved(self) -> str | None:
        """Say what is on disk."""
        if self.stored is None:
            return f"the shares of wallet {self._wallet.name} are as they were"
        return f"the new share is stored, and wallet {self._wallet.name} goes on with the shares it had"


def _matter(proposal: SessionProposal, services: Services) -> RefreshMatter:
    """Check a proposal to refresh against this node's wallet.

    Raises:
        Refused: there is no such wallet here, or the proposal does not fit it.
    """
    require(len(proposal.terms) == 2, "a refresh names a wallet and an epoch")
    wallet_id, epoch_id = proposal.terms
    wallet = wallet_of(proposal, services, wallet_id=WalletId(wallet_id), epoch_id=EpochId(epoch_id))
    require(len(proposal.participants) == wallet.total, "a refresh takes every participant of the wallet")
    require(proposal.suites == tuple(keys.suite for keys in wallet.suites), "a refresh is of every key of the wallet")
    return RefreshMatter(proposal, services, wallet=wallet)


REFRESH: Final = Kind("refresh", _matter)
