"""Whom this node meets with codes, and what it keeps of them: a contact, and the key that the two share."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from mpcnode.commands import Pair
from mpcnode.crypto.hashing import wipe
from mpcnode.errors import DecodeError, NameTaken, Refused, UsageError
from mpcnode.identity.card import Card
from mpcnode.identity.contacts import MAX_CONTACTS, Contact
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.store import Home
from mpcnode.peers.introductions.meeting import Introducer
from mpcnode.peers.introductions.pairing import Paired
from mpcnode.peers.trust import Trusts, contact_view
from mpcnode.status import ContactView, Event, PairingCode
from mpcnode.types import PeerId
from mpcnode.wire import invitation as invitations
from mpcnode.wire.code import Code, draw_words, parse_code
from mpcnode.wire.invitation import Invitation

HOW: Final = "code"


class Introductions:
    """The introductions of one home.

    Args:
        home: where contacts and keys are kept.
        keyring: opens it.
        introducer: how others are met.
        trusts: the contacts of the home.
        now: Unix time in milliseconds.
    """

    def __init__(
        self, home: Home, keyring: Keyring, introducer: Introducer, trusts: Trusts, now: Callable[[], int]
    ) -> None:
        self._home = home
        self._keyring = keyring
        self._introducer = introducer
        self._trusts = trusts
        self._now = now

    async def pair(self, command: Pair, *, emit: Callable[[Event], None]) -> ContactView:
        """Meet somebody with a code, and keep them as a verified contact.

        Args:
            command: with the other side's code, or none to make one.
            emit: is told the code that was made.

        Raises:
            MpcError: nobody was met, and nothing was kept; the code is used up.
        """
        check = partial(self._check, command.alias)
        if command.code is not None:
            paired = await self._introducer.join(parse_code(command.code), check=check)
        else:
            paired = await self._show_and_meet(command.words, check=check, emit=emit)
        return await self._kept(paired, command.alias)

    async def offer(
        self, words: int, link: str, *, is_taken: Callable[[PeerId], bool], emit: Callable[[Event], None]
    ) -> tuple[ContactView, Card]:
        """Make a code that gives who uses it the link of an invitation, and keep them as a verified contact.

        Args:
            words: how many words the code has.
            link: of the invitation.
            is_taken: whether another participant has a name already.
            emit: is told the code.

        Raises:
            MpcError: nobody was met, and nothing was kept; the code is used up.
        """

        def check(card: Card) -> None:
            if is_taken(card.moniker):
                raise NameTaken(
                    f"somebody who used a code calls itself {card.moniker}, which is taken", server_code="name_taken"
                )
            self._check(None, card)

        paired = await self._show_and_meet(words, check=check, emit=emit, gives=link)
        return await self._kept(paired, None), paired.card

    async def take(self, code: str) -> tuple[ContactView, Invitation]:
        """Use a code that gives an invitation, and keep its maker as a verified contact.

        Raises:
            DecodeError: what came with the code is not an invitation of its maker.
            UsageError: the code was made for a contact alone; its maker is one now.
            MpcError: nobody was met, and nothing was kept; the code is used up.
        """
        paired = await self._introducer.join(parse_code(code), check=partial(self._check, None))
        contact = await self._kept(paired, None)
        if paired.invitation is None:
            raise UsageError(
                f"{contact.peer_id} made this code for a contact, and not for a wallet",
                hint="ask for a code of `mpcnode create-wallet --invite`",
                saved=f"{contact.peer_id} is a verified contact now",
            )
        invitation = invitations.decode(paired.invitation)
        if invitation.key != paired.card.public_key:
            raise DecodeError("the invitation that came with the code is somebody else's")
        return contact, invitation

    async def _show_and_meet(
        self, words: int, *, check: Callable[[Card], None], emit: Callable[[Event], None], gives: str | None = None
    ) -> Paired:
        def show(code: Code, lasts: float) -> None:
            emit(PairingCode(str(code), self._now() + round(lasts * 1000), joins=gives is not None))

        drawn = draw_words(words, self._introducer.rng)
        return await self._introducer.invite(drawn, check=check, show=show, gives=gives)

    async def _kept(self, paired: Paired, alias: PeerId | None) -> ContactView:
        try:
            contact = await asyncio.to_thread(self._keep, paired, alias)
        finally:
            wipe(paired.key)
        return contact_view(contact)

    def _name(self, card: Card, alias: PeerId | None) -> PeerId:
        """Choose what to call somebody: as the user says, else as before, else as they call themselves."""
        known = (one.peer_id for one in self._trusts.contacts if one.public_key == card.public_key)
        return alias or next(known, card.moniker)

    def _check(self, alias: PeerId | None, card: Card) -> None:
        """Refuse, before anything is kept on either side, whom this home cannot keep."""
        name = self._name(card, alias)
        contacts = self._trusts.contacts
        if name == self._introducer.moniker:
            raise Refused(
                f"the other side calls itself {name}, as this node does",
                hint="pair again with --as NAME, which is what it will be called here",
            )
        if contacts.check(name, card.public_key) == "unknown" and len(contacts) >= MAX_CONTACTS:
            raise Refused(
                f"this home keeps no more than {MAX_CONTACTS} contacts",
                hint="remove one with `mpcnode contacts remove`",
            )

    def _keep(self, paired: Paired, alias: PeerId | None) -> Contact:
        card = paired.card
        self._home.save_pair_key(card.public_key, paired.key, self._keyring)
        return self._trusts.keep(
            self._name(card, alias), card.public_key, how=HOW, now=self._now(), moniker=card.moniker
        )
