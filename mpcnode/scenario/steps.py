"""What each step does, and whether it ended as written."""

import asyncio
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, assert_never

from mpcnode import status
from mpcnode.control.client import ControlClient
from mpcnode.control.lines import CreateWalletArguments, Line
from mpcnode.errors import Interrupted, MpcError, Refused, UsageError
from mpcnode.scenario import model
from mpcnode.scenario.faults import Faults
from mpcnode.scenario.model import NODE_DIED, Expect, Step
from mpcnode.types import PeerId

if TYPE_CHECKING:
    from mpcnode.scenario.runner import World

END_DEADLINE: Final = 60.0
"""Seconds the other participants have to see the end of a session that ended for one of them."""
ASK_AGAIN: Final = 0.2
DEATH_DEADLINE: Final = 5.0
"""Seconds between a node's last word and its being seen to be dead."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended: with which error, and what was not as written."""

    ended: status.ErrorView | None = None
    problem: str | None = None


class NotAsWritten(Exception):
    """What a step expects did not come about."""


class _NobodyToAsk:
    """A run has nobody to ask; its nodes are told with ``--yes`` and ``--accept`` not to."""

    async def approve(self, proposal: status.Proposed) -> bool:
        raise Refused(f"a scenario cannot be asked about the wallet {proposal.wallet!a}")

    async def confirm_words(self, words: status.SafetyWords) -> bool:
        raise Refused(f"a scenario cannot compare the safety words of session {words.session_id}")

    async def choose_peers(self, candidates: tuple[status.PeerView, ...], count: int) -> tuple[PeerId, ...]:
        raise Refused(f"there are {len(candidates)} peers, not {count}: name them with `with`")


async def carry_out(world: "World", step: Step) -> Outcome:
    """Do what ``step`` says, and compare how it ended with what it expects."""
    ended: status.ErrorView | None = None
    try:
        try:
            await _act(world, step)
        except MpcError as error:
            ended = await _ending(world, step, error)
            _check_error(step.expect, ended)
        else:
            if step.expect.error is not None:
                raise NotAsWritten(f"it ended well, and was to end with {step.expect.error}")
    except NotAsWritten as difference:
        return Outcome(ended, str(difference))
    return Outcome(ended)


async def _act(world: "World", step: Step) -> None:
    match action := step.action:
        case model.CreateWallet():
            await _create_wallet(world, action, step.expect)
        case model.Start():
            await _start(world, action)
        case model.Register():
            world.peer_ids[action.node] = PeerId(action.peer_id)
            await world.start(action.node)
        case model.Stop():
            code = await world.nodes[action.node].stop()
            if code != Interrupted.exit_code:
                raise NotAsWritten(f"it was told to stop and ended with {code}, not {Interrupted.exit_code}")
        case model.Kill() | model.Pause() | model.Resume():
            await _signal(world, action)
        case model.Wallets():
            await _wallets(world, action, step.expect)
        case model.Peers():
            await _peers(world, action.node, step.expect)
        case _:
            assert_never(action)


async def _start(world: "World", action: model.Start) -> None:
    process = world.nodes.get(action.node)
    if process is not None and process.running:
        if not process.will_die:
            raise UsageError(f"{action.node} runs already", hint="stop or kill it first")
        try:
            await process.wait(deadline=END_DEADLINE)
        except TimeoutError:
            raise NotAsWritten(f"{action.node} did not die where it should") from None
    faults = Faults(dies_at=action.dies_at) if action.dies_at is not None else None
    await world.start(action.node, passphrase=action.passphrase, faults=faults)


# ---- the node's own commands ----


async def _create_wallet(world: "World", action: model.CreateWallet, expect: Expect) -> None:
    proposed: list[status.Proposed] = []

    def remember(event: status.Event) -> None:
        if isinstance(event, status.Proposed):
            proposed.append(event)

    arguments = CreateWalletArguments(
        threshold=action.threshold,
        total=action.total,
        name=action.name,
        with_peers=tuple(world.peer_ids[name] for name in action.with_peers),
        wait=action.wait,
    )
    try:
        async with await _client(world, action.by) as client:
            wallet = await client.create_wallet(arguments, user=_NobodyToAsk(), emit=remember)
    except MpcError:
        if expect.others is not None:
            await _check_others(world, action.by, proposed, expect.others)
        raise
    if expect.state is not None:
        await _check_state(world, wallet, proposed, expect.state)


async def _wallets(world: "World", action: model.Wallets, expect: Expect) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + (action.within or 0)
    while True:
        try:
            await _look_at_wallets(world, action.node, expect)
        except NotAsWritten:
            if loop.time() >= end:
                raise
            await asyncio.sleep(ASK_AGAIN)
        else:
            return


async def _look_at_wallets(world: "World", node: str, expect: Expect) -> None:
    async with await _client(world, node) as client:
        wallets = await client.wallets()
    unreadable = [one.message for one in wallets if isinstance(one, status.ErrorView)]
    if unreadable:
        raise NotAsWritten(f"a wallet file cannot be read: {unreadable[0]}")
    for state, names in (("active", expect.active), ("pending", expect.pending)):
        found = sorted(one.name for one in wallets if isinstance(one, status.WalletView) and one.state == state)
        if names is not None and found != sorted(names):
            raise NotAsWritten(f"the {state} wallets are {found}, not {sorted(names)}")


async def _peers(world: "World", node: str, expect: Expect) -> None:
    async with await _client(world, node) as client:
        found = sorted(peer.peer_id for peer in await client.peers())
    if expect.peers is not None and found != sorted(expect.peers):
        raise NotAsWritten(f"it sees {found}, not {sorted(expect.peers)}")


async def _client(world: "World", node: str) -> ControlClient:
    client = await world.client(node)
    if client is None:
        raise UsageError(f"{node} does not run", hint="start it first")
    return client


# ---- what happens to a node from outside ----


async def _signal(world: "World", action: model.Kill | model.Pause | model.Resume) -> None:
    process = world.nodes.get(action.node)
    if process is None or not process.running:
        raise UsageError(f"{action.node} does not run", hint="start it first")
    match action:
        case model.Pause():
            process.signal(signal.SIGSTOP)
            process.paused = True
        case model.Resume():
            process.signal(signal.SIGCONT)
            process.paused = False
        case model.Kill(at=None):
            process.signal(signal.SIGKILL)
            await process.wait(deadline=DEATH_DEADLINE)
        case model.Kill():
            listen = process.on_line

            def strike(line: Line) -> None:
                listen(line)
                if isinstance(line, status.Progress) and line.phase == action.at:
                    process.signal(signal.SIGKILL)

            process.on_line = strike


# ---- how it ended ----


async def _ending(world: "World", step: Step, error: MpcError) -> status.ErrorView:
    """The error as data; that its node was killed says more than that the connection to it is gone."""
    process = world.nodes.get(step.node)
    if isinstance(error, Interrupted) and process is not None:
        try:
            code = await process.wait(deadline=DEATH_DEADLINE)
        except TimeoutError:
            code = None
        if code == -signal.SIGKILL:
            message = f"{step.node} was killed"
            return status.ErrorView(NODE_DIED, message, exit_code=code, fault="us", culprits=(step.node,))
    return status.error_view(error)


def _check_error(expect: Expect, ended: status.ErrorView) -> None:
    if expect.error is None:
        raise NotAsWritten(f"it ended with {ended.code}: {ended.message}")
    if ended.code != expect.error:
        raise NotAsWritten(f"it ended with {ended.code}, not {expect.error}: {ended.message}")
    if expect.culprits is not None and sorted(ended.culprits) != sorted(expect.culprits):
        raise NotAsWritten(f"it blames {sorted(ended.culprits)}, not {sorted(expect.culprits)}")
    if expect.exit is not None and ended.exit_code != expect.exit:
        raise NotAsWritten(f"the exit code is {ended.exit_code}, not {expect.exit}")


async def _check_others(world: "World", by: str, proposed: list[status.Proposed], expect: model.OthersExpect) -> None:
    if not proposed:
        raise NotAsWritten("no session was proposed, so it did not end for anybody")
    cheats = {name for name, options in world.scenario.nodes.items() if options.cheat is not None}
    names = [name for name in _participants(world, proposed[-1]) if name != by and name not in cheats]
    for name, ended in await _session_ends(world, names, proposed[-1].session_id):
        if ended.error is None:
            raise NotAsWritten(f"for {name} it ended well, and was to end with {' or '.join(expect.errors)}")
        if ended.error.code not in expect.errors:
            expected = " or ".join(expect.errors)
            raise NotAsWritten(f"for {name} it ended with {ended.error.code}, not {expected}: {ended.error.message}")
        if expect.culprits is not None and sorted(ended.error.culprits) != sorted(expect.culprits):
            raise NotAsWritten(f"{name} blames {sorted(ended.error.culprits)}, not {sorted(expect.culprits)}")


async def _check_state(world: "World", wallet: status.WalletView, proposed: list[status.Proposed], state: str) -> None:
    """Every participant holds the same wallet, showed the same words, and finds the certificate valid."""
    names = _participants(world, proposed[-1])
    ends = await _session_ends(world, names, proposed[-1].session_id)
    if len(ends) != wallet.total:
        raise NotAsWritten(f"only {sorted(name for name, _ in ends)} of the participants still run")
    if any(len(ended.words) == 0 for _, ended in ends) or len({ended.words for _, ended in ends}) != 1:
        raise NotAsWritten(f"the safety words differ: { {name: ' '.join(ended.words) for name, ended in ends} }")
    for name in names:
        held = [one for one in await world.wallets(name) if one.wallet_id == wallet.wallet_id]
        if len(held) != 1:
            raise NotAsWritten(f"{name} does not hold the wallet")
        if held[0].state != state:
            raise NotAsWritten(f"at {name} the wallet is {held[0].state}, not {state}")
        if not held[0].certificate_valid:
            raise NotAsWritten(f"{name} finds the certificate invalid")
        if held[0].group_public_keys != wallet.group_public_keys or not wallet.group_public_keys:
            raise NotAsWritten(f"{name} holds other group public keys than {wallet.peer_id}")
        if held[0].verifying_shares != wallet.verifying_shares:
            raise NotAsWritten(f"{name} holds other verifying shares than {wallet.peer_id}")


async def _session_ends(world: "World", names: Iterable[str], session_id: str) -> list[tuple[str, status.SessionEnded]]:
    """How the session ended for each of ``names`` that can say so."""

    def end(line: Line) -> status.SessionEnded | None:
        return line if isinstance(line, status.SessionEnded) and line.session_id == session_id else None

    async def wait(name: str) -> status.SessionEnded | None:
        try:
            return await world.nodes[name].wait_for(end, deadline=END_DEADLINE)
        except MpcError:
            if world.nodes[name].was_killed:
                return None
            raise

    able = [name for name in names if world.nodes[name].running and not world.nodes[name].paused]
    ends = await asyncio.gather(*map(wait, able))
    return [(name, ended) for name, ended in zip(able, ends, strict=True) if ended is not None]


def _participants(world: "World", proposal: status.Proposed) -> list[str]:
    """The nodes behind the proposal's peer ids; of two that claim one name, the one that got it."""
    by_peer_id = {peer_id: name for name, peer_id in reversed(world.peer_ids.items())}
    return [by_peer_id[PeerId(peer.peer_id)] for peer in proposal.participants]
