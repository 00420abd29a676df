"""Key generation as a kind of session: everybody is needed, people compare words, a wallet comes of it."""

import asyncio
from typing import Final

from mpcnode.blame import Came
from mpcnode.errors import MpcError, Refused, WordsUnanswered
from mpcnode.protocols.checkpoints import ConfirmWords, KeyResult
from mpcnode.protocols.frost.keygen import keygen
from mpcnode.session.kinds.epoch import EpochMatter
from mpcnode.session.kinds.kind import Agreed, Kind, Script, require, roster_of
from mpcnode.session.services import Services
from mpcnode.session.stage import Stage
from mpcnode.status import SafetyWords, WalletView, Warned
from mpcnode.types import PeerId, check_threshold
from mpcnode.wire.relay import SessionProposal


class KeygenMatter(EpochMatter):
    """One key generation at one node."""

    def makes(self) -> str:
        """Name the wallet: two sessions at once must not make two of one name."""
        return f"a wallet named {self.proposal.wallet_name}"

    def hindrance(self) -> str | None:
        """Say why no wallet can have this name."""
        name = self.proposal.wallet_name
        if any(wallet.name == name for wallet in self.services.wallets.all()):
            return f"this node has a wallet named {name} already"
        return super().hindrance()

    def signed_by(self, peer: PeerId) -> Came:
        """Say the same once the words were compared, which cover every key."""
        return Came.SIGNED if self.verified == "words" else super().signed_by(peer)

    async def script(self, agreed: Agreed, _prepared: None, _stage: Stage) -> Script:
        """Make the script of PedPop with a certificate around it."""
        descriptor = self.descriptor(agreed)
        rounds = keygen(
            descriptor=descriptor,
            me=descriptor.identifier(self.services.peer_id),
            signer=self.services.identity,
            rng=self.services.rng,
        )
        return self.run(rounds, descriptor)

    async def checkpoint(self, record: object, stage: Stage) -> object:
        """Ask, or store."""
        if not isinstance(record, ConfirmWords):
            return await super().checkpoint(record, stage)
        await self._confirm(record.words, stage)
        return None

    async def result(self, value: KeyResult, agreed: Agreed, stage: Stage) -> WalletView:
        """Give the wallet, and pin its participants."""
        wallet = await super().result(value, agreed, stage)
        try:
            self.services.trusts.pin(
                roster_of(self.proposal), verified=self.verified == "words", now=self.services.now()
            )
        except (MpcError, ValueError) as error:
            # The wallet is active and durable: that the address book is not does not undo it.
            stage.emit(Warned(f"wallet {wallet.name} is made, but its participants are not kept as contacts: {error}"))
        return wallet

    def saved(self) -> str | None:
        """Say what is on disk."""
        if self.stored is None:
            return None
        return f"this node's share is stored; wallet {self.stored.name} is {self.stored.state}"

    async def _confirm(self, words: tuple[str, ...], stage: Stage) -> None:
        stage.told.words = words
        timeouts, now = self.services.timeouts, self.services.now
        shown = SafetyWords(stage.shown.session_id, words, until=now() + round(timeouts.confirm * 1000))
        stage.emit(shown)
        # Verified contacts were compared before, by code or by words: asking again teaches people to say yes unread.
        if self.services.trusts.all_verified(roster_of(self.proposal)):
            self.verified = "code" if self.services.trusts.all_by_code(roster_of(self.proposal)) else "contacts"
            return
        stage.phases.enter("confirming", (self.services.peer_id,), within=timeouts.confirm)
        try:
            async with asyncio.timeout(timeouts.confirm):
                compared = await stage.consent.confirm_words(shown)
        except TimeoutError:
            raise WordsUnanswered("nobody compared the safety words in time") from None
        self.verified = "words" if compared else "nobody"


def _matter(proposal: SessionProposal, services: Services) -> KeygenMatter:
    """Check that the participants are numbered as a new wallet's are.

    Raises:
        Refused: they are not, or there are too few for the threshold.
    """
    try:
        check_threshold(proposal.threshold, len(proposal.participants))
    except ValueError as error:
        raise Refused(str(error)) from None
    names = [one.peer_id for one in proposal.participants]
    identifiers = [one.identifier for one in proposal.participants]
    require(names == sorted(names), "the participants of a new wallet are numbered in the order of their names")
    require(identifiers == list(range(1, len(names) + 1)), "the participants of a new wallet are numbered from 1")
    require(not proposal.terms, "a key generation has no further terms")
    return KeygenMatter(proposal, services, needed=len(names))


KEYGEN: Final = Kind("keygen", _matter)
