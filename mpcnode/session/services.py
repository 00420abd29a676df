"""What a node lends to its sessions, and how long they wait for what."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from mpcnode.consent.journal import Journal
from mpcnode.consent.limits import Claims
from mpcnode.errors import LinkFailed, MpcError, ParticipantSilent
from mpcnode.identity.identity import Identity
from mpcnode.mesh.pool import Pool
from mpcnode.peers.conversation import Conversations
from mpcnode.peers.room import Room, server_away
from mpcnode.peers.trust import Trusts
from mpcnode.types import PeerId
from mpcnode.wallet.store import Wallets


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTimeouts:
    """Deadlines of one session in seconds; a scenario shortens them, a slow human does not reach them.

    Args:
        introduce: for the hello of everybody that is to be proposed to.
        negotiate: for everybody's answer; the proposal expires then.
        round: for one round's messages from everybody, where the plan of the script does not ask for more.
        confirm: for a user to compare the safety words; the others wait that much longer.
        evidence: how long to go on listening after somebody stopped, to see for oneself who lied.
        leave: for everybody's last words and the acknowledgement of ours.
    """

    introduce: float = 15.0
    negotiate: float = 120.0
    round: float = 60.0
    confirm: float = 600.0
    evidence: float = 2.0
    leave: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What a node lends to its sessions.

    Args:
        peer_id: this node's name.
        identity: signs, seals and opens.
        conversations: to the others through the server.
        room: says which peers are here.
        pool: the open meshes.
        wallets: where shares become durable.
        trusts: how well each peer is known.
        journal: where each session is written down.
        claims: what only one session at a time may make.
        rng: gives that many random bytes.
        now: Unix milliseconds.
        timeouts: see there.
    """

    peer_id: PeerId
    identity: Identity
    conversations: Conversations
    room: Room
    pool: Pool
    wallets: Wallets
    trusts: Trusts
    journal: Journal
    claims: Claims
    rng: Callable[[int], bytes]
    now: Callable[[], int]
    timeouts: SessionTimeouts

    def explained(self, error: MpcError) -> MpcError:
        """Give the true reason of what failed before there was a mesh.

        Where the server is away, nobody is silent; and a peer under whose name another key came cannot answer.
        """
        if isinstance(error, ParticipantSilent | LinkFailed) and self.room.away:
            return server_away()
        if isinstance(error, ParticipantSilent):
            return next(filter(None, map(self.room.problem_of, sorted(error.suspects))), error)
        return error

    def present(self) -> Collection[PeerId]:
        """Give the names of the peers that are in the room."""
        return self.room.present
