"""What must hold of every run, whatever anybody else did."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from mpcnode import status
from mpcnode.crypto import tags
from mpcnode.crypto.signature import verify
from mpcnode.errors import MpcError
from mpcnode.protocols.frost.sign import HEAD_SIZE
from mpcnode.types import PeerId, SessionId
from mpcnode.wallet.wallet import Epoch, EpochState, Wallet
from tests.simulation.world import World


@dataclass(frozen=True, slots=True)
class Failure:
    """A property that did not hold.

    Args:
        kind: which.
        what: what happened.
    """

    kind: str
    what: str


@dataclass(frozen=True, slots=True)
class Named:
    """A participant that somebody names as a culprit.

    Args:
        sayer: by whom.
        culprit: which name.
        how: in what, for a person.
        session_id: in which session; None where that is not said.
    """

    sayer: str
    culprit: str
    how: str
    session_id: str | None = None


def named(world: World, errors: Collection[tuple[PeerId, BaseException]]) -> Iterator[Named]:
    """Give each culprit that a node names anywhere.

    Args:
        world: after the run.
        errors: what commands ended with, by node.
    """
    for name, error in errors:
        if isinstance(error, MpcError):
            yield from (Named(name, culprit, f"error {error.code}: {error.message}") for culprit in error.culprits)
    for life in (*world.lives.values(), *world.ghosts):
        for ended in life.of(status.SessionEnded):
            views = [ended.error] if ended.error else []
            views += ended.signature.failures if ended.signature else ()
            for view in views:
                how = f"{ended.kind} {view.code}: {view.message}"
                yield from (Named(life.name, culprit, how, ended.session_id) for culprit in view.culprits)
    for owner, home in world.homes.items():
        for line in home.lines:
            how = f"audit {line.kind} {line.error}"
            yield from (Named(owner, culprit, how, line.session_id) for culprit in line.culprits)


def honest_culprits(
    world: World, errors: Collection[tuple[PeerId, BaseException]], liars: Collection[str] = ()
) -> Iterator[Failure]:
    """No honest node names an honest one; what a liar says of others counts for nothing."""
    seen = set()
    for one in named(world, errors):
        honest = one.sayer not in liars and one.culprit not in liars and one.culprit in world.names
        if honest and (one.sayer, one.how) not in seen:
            seen.add((one.sayer, one.how))
            yield Failure("culprit", f"{one.sayer} names {one.culprit}: {one.how}")


def one_key(world: World, liars: Collection[str] = ()) -> Iterator[Failure]:
    """Nodes that finish agree on one key, and every active wallet has the certificate of all."""
    keys: dict[str, dict[bytes, str]] = defaultdict(dict)
    for owner, wallet in _wallets(world, liars):
        for epoch in wallet.epochs:
            if epoch.state is EpochState.ACTIVE:
                keys[wallet.name].setdefault(epoch.epoch_id, owner)
                yield from _certificate(owner, epoch)
    for wallet_name, epochs in keys.items():
        if len(epochs) > 1:
            yield Failure("key", f"{wallet_name} is active with {len(epochs)} keys: {sorted(epochs.values())}")


def one_wallet(world: World, liars: Collection[str] = ()) -> Iterator[Failure]:
    """A session makes one wallet, the same for everybody in whose hands something is left of it."""
    sessions: dict[str, set[str]] = defaultdict(set)
    for life in (*world.lives.values(), *world.ghosts):
        for ended in life.of(status.SessionEnded) if life.name not in liars else ():
            if ended.wallet is not None:
                sessions[ended.session_id].add(ended.wallet.wallet_id)
    for session_id, ids in sessions.items():
        if len(ids) > 1:
            yield Failure("key", f"session {session_id} made {len(ids)} wallets")


def _wallets(world: World, liars: Collection[str]) -> Iterator[tuple[str, Wallet]]:
    for owner, home in world.homes.items():
        if owner not in liars:
            for stored in home.list_wallets():
                yield owner, Wallet.from_header(stored.header or {})


def _certificate(owner: str, epoch: Epoch) -> Iterator[Failure]:
    for member in epoch.statement.roster:
        signature = epoch.certificate.signatures.get(member.identity_key)
        if not signature or not verify(member.identity_key, signature, tags.READY, epoch.epoch_id):
            yield Failure("certificate", f"{owner} is active without the word of {member.peer_id}")


def nonces_once(world: World, liars: Collection[str] = ()) -> Iterator[Failure]:
    """No honest signer commits twice to the same nonces, or answers them twice."""
    committed: dict[tuple[PeerId, bytes], SessionId] = {}
    shares: dict[tuple[PeerId, SessionId], bytes] = {}
    for said in world.said:
        message, sender = said.message, said.sender
        if sender in liars:
            continue
        if message.round == "nonces":
            pairs = bytes(message.data[HEAD_SIZE:])
            if committed.setdefault((sender, pairs), message.session_id) != message.session_id:
                yield Failure("nonce", f"{sender} commits to the same nonces in two sessions")
        elif message.round == "signature_share" and shares.setdefault(
            (sender, message.session_id), bytes(message.data)
        ) != bytes(message.data):
            yield Failure("nonce", f"{sender} says two shares in one session")


def crashes(
    world: World, errors: Collection[tuple[PeerId, BaseException]], liars: Collection[str] = ()
) -> Iterator[Failure]:
    """Nothing ends with a defect of ours."""
    for life in (*world.lives.values(), *world.ghosts):
        if life.name in liars or not life.task.done() or life.task.cancelled():
            continue
        if error := life.task.exception():
            yield Failure("crash", f"node {life.name}: {error!r}")
        for ended in life.of(status.SessionEnded):
            if ended.error and ended.error.code == "internal":
                yield Failure("crash", f"a session of {life.name}: {ended.error.message}")
    for name, error in errors:
        if name not in liars and (not isinstance(error, MpcError) or error.code == "internal"):
            yield Failure("crash", f"a command of {name}: {error!r}")
