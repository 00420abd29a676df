"""The one session that a node which came by an invitation takes part in, and nothing else while it waits for that."""

import asyncio

from mpcnode.errors import MpcError
from mpcnode.session.kinds.keygen import KEYGEN
from mpcnode.session.kinds.kind import require
from mpcnode.status import WalletView
from mpcnode.types import IdentityKey, SessionId
from mpcnode.wire.relay import SessionProposal


class Admission:
    """Lets one key generation of the inviter in.

    Args:
        inviter: the key of the invitation.
    """

    def __init__(self, inviter: IdentityKey) -> None:
        self.inviter = inviter
        self._end: asyncio.Future[WalletView] = asyncio.get_running_loop().create_future()
        self._begun = asyncio.Event()
        self._session: SessionId | None = None

    def check(self, proposer: IdentityKey, proposal: SessionProposal) -> None:
        """Take a proposal for the session that this node came for.

        Raises:
            Refused: it is something else.
        """
        require(proposer == self.inviter, "this node came by an invitation, and takes part in nothing but that")
        require(proposal.kind == KEYGEN.name, "this node came by an invitation, which is for making a wallet")
        require(not self._begun.is_set(), "this node came by an invitation, which is for one session")
        self._session = proposal.session_id
        self._begun.set()

    def ended(self, proposal: SessionProposal, wallet: WalletView | None, error: MpcError | None) -> None:
        """Note how a session ended; that of another one, which was refused, is none of this."""
        if proposal.session_id != self._session or self._end.done():
            return
        if error is not None:
            self._end.set_exception(error)
            self._end.exception()  # it is heard: where the command was stopped meanwhile, nobody waits for it
        elif wallet is not None:
            self._end.set_result(wallet)

    async def begun(self) -> None:
        """Wait until the session is proposed."""
        await self._begun.wait()

    async def wallet(self) -> WalletView:
        """Wait for its end.

        Raises:
            MpcError: why there is no wallet.
        """
        return await asyncio.shield(self._end)
