"""What each step does, and whether it ended as written."""

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, assert_never

from mpcnode import status
from mpcnode.commands import CreateWallet, Refresh, Sign
from mpcnode.control.lines import Line
from mpcnode.errors import Interrupted, MpcError, UsageError
from mpcnode.scenario import model
from mpcnode.scenario.endings import (
    DEATH_DEADLINE,
    END_DEADLINE,
    SUITES,
    NotAsWritten,
    check_epochs,
    check_error,
    check_others,
    check_signed,
    check_state,
    ending,
)
from mpcnode.scenario.introductions import introduce
from mpcnode.scenario.model import Expect, Faults, Step
from mpcnode.scenario.report import SignatureReport
from mpcnode.scenario.world import NobodyToAsk, World
from mpcnode.types import PeerId

ASK_AGAIN: Final = 0.2


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended: with which error, what was not as written, and what was signed."""

    ended: status.ErrorView | None = None
    problem: str | None = None
    signed: SignatureReport | None = None


async def carry_out(world: World, step: Step) -> Outcome:
    """Do what ``step`` says, and compare how it ended with what it expects."""
    ended: status.ErrorView | None = None
    signed: list[SignatureReport] = []
    try:
        try:
            await _act(world, step, signed)
        except MpcError as error:
            ended = await ending(world, step, error)
            check_error(step.expect, ended)
        else:
            if step.expect.error is not None:
                raise NotAsWritten(f"it ended well, and was to end with {step.expect.error}")
    except NotAsWritten as difference:
        return Outcome(ended, str(difference))
    return Outcome(ended, signed=signed[0] if signed else None)


async def _act(world: World, step: Step, signed: list[SignatureReport]) -> None:
    match action := step.action:
        case model.CreateWallet():
            await _create_wallet(world, action, step.expect)
        case model.Refresh():
            await _refresh(world, action, step.expect)
        case model.Sign():
            await _sign(world, step, action, tell=signed.append)
        case model.Wallets():
            await _wallets(world, action, step.expect)
        case model.Peers():
            await _peers(world, action.node, step.expect)
        case model.Invite() | model.Join() | model.Finish() | model.Pair():
            await introduce(world, action, step.expect)
        case _:
            await _happen(world, action)


async def _start(world: World, action: model.Start) -> None:
    process = world.nodes.get(action.node)
    if process is not None and process.running:
        if not process.will_die:
            raise UsageError(f"{action.node} runs already", hint="stop or kill it first")
        try:
            await process.wait(deadline=END_DEADLINE)
        except TimeoutError:
            raise NotAsWritten(f"{action.node} did not die where it should") from None
    faults = Faults(dies_at=action.dies_at) if action.dies_at is not None else None
    await world.start(action.node, passphrase=action.passphrase, accept=action.accept, faults=faults)


# ---- the node's own commands ----


async def _create_wallet(world: World, action: model.CreateWallet, expect: Expect) -> None:
    proposed: list[status.Proposed] = []

    def remember(event: status.Event) -> None:
        if isinstance(event, status.Proposed):
            proposed.append(event)

    command = CreateWallet(
        threshold=action.threshold,
        total=action.total,
        name=action.name,
        with_peers=tuple(world.peer_ids[name] for name in action.with_peers),
        wait=round(action.wait * 1000),
    )
    try:
        async with await world.client(action.by) as client:
            wallet = await client.create_wallet(command, user=NobodyToAsk(), emit=remember)
    except MpcError:
        if expect.others is not None:
            await check_others(world, action.by, proposed, expect.others)
        raise
    if expect.state is not None:
        await check_state(world, wallet, proposed, expect.state, words=True)


async def _refresh(world: World, action: model.Refresh, expect: Expect) -> None:
    proposed: list[status.Proposed] = []

    def remember(event: status.Event) -> None:
        if isinstance(event, status.Proposed):
            proposed.append(event)

    before = {one.name: one for one in await world.wallets(action.by)}.get(action.wallet)
    try:
        async with await world.client(action.by) as client:
            wallet = await client.refresh(Refresh(wallet=action.wallet), user=NobodyToAsk(), emit=remember)
    except MpcError:
        if expect.others is not None:
            await check_others(world, action.by, proposed, expect.others)
        raise
    if before is None or before.group_public_keys != wallet.group_public_keys:
        raise NotAsWritten("the keys are not those from before")
    if before.epoch_id == wallet.epoch_id or before.verifying_shares == wallet.verifying_shares:
        raise NotAsWritten("the shares are those from before")
    check_epochs({wallet.name: wallet.epoch}, expect)
    if expect.state is not None:
        await check_state(world, wallet, proposed, expect.state, words=False)


async def _sign(world: World, step: Step, action: model.Sign, *, tell: Callable[[SignatureReport], None]) -> None:
    proposed: list[status.Proposed] = []

    def remember(event: status.Event) -> None:
        if isinstance(event, status.Proposed):
            proposed.append(event)

    command = Sign(
        wallet=action.wallet,
        contents=action.messages,
        reading=action.reading,
        suite=SUITES[action.suite],
        with_peers=tuple(world.peer_ids[name] for name in action.with_peers),
    )
    view: status.SignatureView | None = None
    try:
        async with await world.client(action.by) as client:
            view = await client.sign(command, user=NobodyToAsk(), emit=remember)
    except MpcError as error:
        if step.expect.error is not None:
            await ending(world, step, error)  # a node that was killed is dead now, and is not asked any more
            await check_signed(world, step, action, proposed, None, tell=tell)
        raise
    await check_signed(world, step, action, proposed, view, tell=tell)


async def _wallets(world: World, action: model.Wallets, expect: Expect) -> None:
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


async def _look_at_wallets(world: World, node: str, expect: Expect) -> None:
    async with await world.client(node) as client:
        wallets = await client.wallets()
    unreadable = [one.message for one in wallets if isinstance(one, status.ErrorView)]
    if unreadable:
        raise NotAsWritten(f"a wallet file cannot be read: {unreadable[0]}")
    for state, names in (("active", expect.active), ("pending", expect.pending)):
        found = sorted(one.name for one in wallets if isinstance(one, status.WalletView) and one.state == state)
        if names is not None and found != sorted(names):
            raise NotAsWritten(f"the {state} wallets are {found}, not {sorted(names)}")
    check_epochs({one.name: one.epoch for one in wallets if isinstance(one, status.WalletView)}, expect)


async def _peers(world: World, node: str, expect: Expect) -> None:
    async with await world.client(node) as client:
        found = sorted(peer.peer_id for peer in await client.peers())
    if expect.peers is not None and found != sorted(expect.peers):
        raise NotAsWritten(f"it sees {found}, not {sorted(expect.peers)}")


# ---- what happens to a node from outside ----


async def _happen(
    world: World, action: model.Start | model.Register | model.Stop | model.Kill | model.Pause | model.Resume
) -> None:
    match action:
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
        case _:
            assert_never(action)


async def _signal(world: World, action: model.Kill | model.Pause | model.Resume) -> None:
    process = world.nodes.get(action.node)
    if process is None or not process.running:
        raise UsageError(f"{action.node} does not run", hint="start it first")
    match action:
        case model.Pause():
            process.pause(action.seconds)
        case model.Resume():
            process.resume()
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
