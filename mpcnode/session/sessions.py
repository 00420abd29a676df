"""What a user can ask of a node together with others: each verb makes a proposal and sees it through."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace

from mpcnode.blame import Came, judge
from mpcnode.blame import Event as Seen
from mpcnode.commands import CreateWallet, Invite, Refresh, Sign
from mpcnode.consent.approval import Options, User
from mpcnode.errors import Refused, UsageError
from mpcnode.peers.introductions.inviting import Inviting
from mpcnode.peers.introductions.joining import Joining
from mpcnode.session.admission import Admission
from mpcnode.session.agenda import Agenda
from mpcnode.session.kinds.keygen import KEYGEN
from mpcnode.session.kinds.kind import Matter, roster_of
from mpcnode.session.kinds.refresh import REFRESH
from mpcnode.session.proposal import numbered, propose
from mpcnode.session.quorum import Quorum
from mpcnode.status import Event, SignatureView, WalletView
from mpcnode.types import IdentityKey, PeerId


class Sessions:
    """The sessions that this node proposes.

    Args:
        agenda: runs them.
        user: the person to ask.
        emit: takes progress.
    """

    def __init__(self, agenda: Agenda, *, user: User, emit: Callable[[Event], None]) -> None:
        self._agenda = agenda
        self._services = agenda.services
        self._quorum = Quorum(agenda)
        self._user = user
        self._emit = emit

    async def create_wallet(
        self,
        command: CreateWallet,
        *,
        invited: Mapping[PeerId, IdentityKey] | None = None,
        user: User | None = None,
        emit: Callable[[Event], None] | None = None,
    ) -> WalletView:
        """Make a wallet together with others.

        Args:
            command: which.
            invited: the others with the keys that joined by an invitation; nobody else is looked for.
            user, emit: in place of the node's own.

        Raises:
            UsageError: there is a wallet of that name, or a peer named does not exist.
            Refused: a policy of this node is against it.
            MpcError: why there is no wallet.
        """
        services = self._services
        if any(wallet.name == command.name for wallet in services.wallets.all()):
            raise UsageError(f"there is a wallet named {command.name} already", hint="choose another --name")
        if services.peer_id in command.with_peers:
            raise UsageError(f"--with names {services.peer_id}, which is this node itself")
        if invited is None:
            others = await services.room.gather(
                command,
                now=services.now(),
                conversations=services.conversations,
                choose=(user or self._user).choose_peers,
                view=services.trusts.seen,
                emit=emit or self._emit,
            )
            invited = await services.room.introduce(others, services.conversations, wait=services.timeouts.introduce)
        proposal = propose(
            services,
            kind=KEYGEN.name,
            roster=numbered({**invited, services.peer_id: services.identity.public_key}),
            threshold=command.threshold,
            suites=command.suites,
            wallet_name=command.name,
            answer_within=command.answer_within or self._answer_within,
        )
        strangers = services.trusts.not_verified(roster_of(proposal))
        if self._agenda.options.contacts_only and strangers:
            names = ", ".join(strangers)
            raise Refused(
                f"not a verified contact: {names} (--contacts-only)",
                hint="a first `mpcnode create-wallet` without --contacts-only verifies them, by safety words",
            )
        options = replace(self._agenda.options, yes=command.yes or self._agenda.options.yes)
        if command.confirm_within is not None:
            timeouts = replace(services.timeouts, confirm=command.confirm_within / 1000)
            services = replace(services, timeouts=timeouts)
        return await self._run(KEYGEN.matter(proposal, services), options=options, user=user, emit=emit)

    async def invite(
        self, command: Invite, inviting: Inviting, *, emit: Callable[[Event], None] | None = None
    ) -> WalletView:
        """Make a wallet together with those who join by an invitation, as soon as all of them are there.

        Args:
            command: which.
            inviting: the invitation, which ends with this.
            emit: in place of the node's own.

        Raises:
            ParticipantSilent: not all who are missing joined in time.
            MpcError: why there is no wallet.
        """
        async with inviting:
            for _ in range(command.wallet.total - 1 if command.codes else 0):
                inviting.make_code(command.words)
            invited = await inviting.all_joined()
            return await self.create_wallet(command.wallet, invited=invited, emit=emit)

    async def join(self, joining: Joining, admission: Admission) -> WalletView:
        """Take part in the session that this node is invited to, and in nothing else before it is over.

        Args:
            joining: the way in.
            admission: lets that session in, and is this node's from its start on.

        Raises:
            InvitationOver, ParticipantRefused: there is no place for this node.
            MpcError: why there is no wallet.
        """
        waiting, begun = asyncio.create_task(joining.wait()), asyncio.create_task(admission.begun())
        try:
            await asyncio.wait({waiting, begun}, return_when=asyncio.FIRST_COMPLETED)
            if not begun.done():
                await waiting
        finally:
            waiting.cancel()
            begun.cancel()
            await asyncio.gather(waiting, begun, return_exceptions=True)
        wallet = await admission.wallet()
        self._agenda.admission = None
        joining.keep()
        return wallet

    async def refresh(
        self, command: Refresh, *, user: User | None = None, emit: Callable[[Event], None] | None = None
    ) -> WalletView:
        """Give every participant of a wallet a new share of the same key.

        Args:
            command: which wallet.
            user, emit: in place of the node's own.

        Raises:
            KeystoreAbsent: there is no such wallet.
            WalletPending: not everybody has a share of it.
            ParticipantSilent: a participant is not here, and all are needed.
            MpcError: why the shares are as they were.
        """
        services = self._services
        wallet = services.wallets.named(command.wallet)
        statement = wallet.require_active().statement
        await self._all_here(member.peer_id for member in statement.roster)
        proposal = propose(
            services,
            kind=REFRESH.name,
            roster=statement.roster,
            threshold=statement.threshold,
            suites=[keys.suite for keys in wallet.suites],
            wallet_name=wallet.name,
            answer_within=command.answer_within or self._answer_within,
            terms=(wallet.wallet_id, statement.epoch_id),
        )
        return await self._run(REFRESH.matter(proposal, services), user=user, emit=emit)

    async def sign(self, command: Sign, *, emit: Callable[[Event], None] | None = None) -> SignatureView:
        """Sign together with others; asking for it is this node's approval.

        Args:
            command: what, with which wallet.
            emit: takes what happens in it.

        Raises:
            KeystoreAbsent: there is no such wallet.
            UsageError: the command does not fit it.
            MpcError: why there is no signature.
        """
        wallet = self._services.wallets.named(command.wallet)
        answer_within = command.answer_within or self._answer_within
        return await self._quorum.sign(wallet, command, emit=emit, answer_within=answer_within)

    @property
    def _answer_within(self) -> int:
        return round(self._services.timeouts.negotiate * 1000)

    async def _run(
        self,
        matter: Matter[WalletView],
        *,
        options: Options | None = None,
        user: User | None,
        emit: Callable[[Event], None] | None,
    ) -> WalletView:
        """Run a session that takes everybody."""
        attempt = self._agenda.attempt(matter, self._services.peer_id, options=options, user=user, emit=emit)
        if reason := matter.hindrance():
            raise UsageError(reason, hint="wait for that session to end, or choose another --name")
        self._agenda.claim(matter)

        def everybody(accepted: Collection[PeerId], *, more: bool) -> list[PeerId]:  # noqa: ARG001 (part of Choose)
            return list(accepted) if len(accepted) == matter.needed - 1 else []

        async with self._agenda.tracked(attempt):
            return await attempt.propose(everybody)

    async def _all_here(self, names: Iterable[PeerId]) -> None:
        """Wait a moment for the participants that are not here yet: a command that starts a node has just arrived."""
        wanted = set(names) - {self._services.peer_id}
        room = self._services.room
        if await room.all_here(lambda: not wanted - set(room.present), within=self._services.timeouts.introduce):
            return
        missing = sorted(wanted - set(room.present))
        said = f"a refresh takes every participant, and {', '.join(missing)} is not here"
        hint = "start `mpcnode register` on the missing nodes, in the same --room"
        raise self._services.explained(judge(Came.CLOCK, Seen.SILENCE, said, missing, hint=hint))
