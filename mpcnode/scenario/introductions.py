"""People meet in a scenario: codes, invitations, and the wallet that comes of them."""

from collections.abc import Callable
from typing import Final

from mpcnode import status
from mpcnode.control.lines import Line, Result
from mpcnode.errors import UsageError
from mpcnode.scenario import model
from mpcnode.scenario.endings import END_DEADLINE, NotAsWritten
from mpcnode.scenario.model import Expect
from mpcnode.scenario.world import START_DEADLINE, World

_WRONG: Final = "swirl-motor"
"""Words that are in no code that a node makes."""


async def introduce(world: World, action: model.Introduction, expect: Expect) -> None:
    """Do a step about people who meet.

    Raises:
        NotAsWritten: it did not end as it has to.
        MpcError: what a command ended with.
    """
    match action:
        case model.Invite():
            await _invite(world, action)
        case model.Join():
            await _join(world, action)
        case model.Finish():
            await _finish(world, action, expect)
        case model.Pair():
            await _pair(world, action)


async def _invite(world: World, action: model.Invite) -> None:
    arguments = ("--threshold", str(action.threshold), "--total", str(action.total), "--name", action.name)
    process = await world.command(action.node, "create-wallet", "--invite", *arguments, "--wait", f"{action.wait:g}")
    await process.wait_for(_all_codes(action.total - 1), deadline=START_DEADLINE)


async def _join(world: World, action: model.Join) -> None:
    lines = world.nodes[action.invited_by].lines
    codes = [line.code for line in lines if isinstance(line, status.PairingCode)]
    used = [line.code for line in lines if isinstance(line, status.CodeUsed)]
    match action.by:
        case "link":
            said = next((line.link for line in lines if isinstance(line, status.Inviting)), None)
        case "code":
            said = next((code for code in codes if code not in used), None)
        case "used-code":
            said = used[0] if used else None
        case "wrong-code":
            open_code = next((code for code in codes if code not in used), None)
            said = open_code and f"{open_code.partition('-')[0]}-{_WRONG}"
    if said is None:
        raise UsageError(f"{action.invited_by} has shown no {action.by}", hint="have it invite first")
    process = await world.command(action.node, "join", said, "--accept", "auto", peer_id=action.peer_id)
    await process.wait_for(_joined, deadline=START_DEADLINE)


async def _finish(world: World, action: model.Finish, expect: Expect) -> None:
    wallet = await _wallet_of(world, action.node)
    if expect.state is None:
        return
    if wallet.state != expect.state or not wallet.certificate_valid:
        raise NotAsWritten(f"the wallet of {action.node} is {wallet.state}, not {expect.state}")
    # One that was told that its name is taken has that name as well.
    names = {str(world.peer_ids[name]): name for name, one in world.nodes.items() if not one.exit_code}
    words: set[tuple[str, ...]] = set()
    for peer_id in wallet.participants:
        name = names[peer_id]
        other = await _wallet_of(world, name)
        if (other.epoch_id, other.group_public_keys) != (wallet.epoch_id, wallet.group_public_keys):
            raise NotAsWritten(f"{name} holds another wallet than {action.node}")
        words.add(world.words.get((name, wallet.wallet_id), ()))
    if len(words) != 1 or not all(words):
        raise NotAsWritten(f"the safety words differ: {words}")


async def _wallet_of(world: World, name: str) -> status.WalletView:
    process = world.nodes[name]
    try:
        code = await process.wait(deadline=END_DEADLINE)
    except TimeoutError:
        raise NotAsWritten(f"{name} still runs") from None
    if code:
        raise process.failure
    result = next((line.wallet for line in process.lines if isinstance(line, Result)), None)
    if result is None:
        raise NotAsWritten(f"{name} ended without a wallet")
    return result


async def _pair(world: World, action: model.Pair) -> None:
    maker = await world.pair(action.node)
    code = await maker.wait_for(_code, deadline=START_DEADLINE)
    taker = await world.pair(action.other, f"{code.partition('-')[0]}-{_WRONG}" if action.wrong_word else code)
    for process in (taker, maker):
        if await process.wait(deadline=END_DEADLINE):
            raise process.failure


def _code(line: Line) -> str | None:
    return line.code if isinstance(line, status.PairingCode) else None


def _joined(line: Line) -> status.Joined | None:
    return line if isinstance(line, status.Joined) else None


def _all_codes(count: int) -> Callable[[Line], bool | None]:
    """Give what sees that so many codes were shown."""
    shown: set[str] = set()

    def seen(line: Line) -> bool | None:
        if isinstance(line, status.PairingCode):
            shown.add(line.code)
        return True if len(shown) == count else None

    return seen
