"""How a step ended, at the node that acted and for everybody else, against what the scenario says."""

import asyncio
import signal
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from mpcnode import status
from mpcnode.control.lines import Line
from mpcnode.errors import Interrupted, MpcError
from mpcnode.scenario import model
from mpcnode.scenario.model import NODE_DIED, Expect, Step
from mpcnode.types import PeerId

if TYPE_CHECKING:
    from mpcnode.scenario.runner import World

END_DEADLINE: Final = 60.0
"""Seconds the other participants have to see the end of a session that ended for one of them."""
DEATH_DEADLINE: Final = 5.0
"""Seconds between a node's last word and its being seen to be dead."""


class NotAsWritten(Exception):
    """What a step expects did not come about."""


async def ending(world: "World", step: Step, error: MpcError) -> status.ErrorView:
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


def check_error(expect: Expect | model.EndExpect, ended: status.ErrorView) -> None:
    """Compare an error with the one that is expected, if one is.

    Raises:
        NotAsWritten: it is another.
    """
    if expect.error is None:
        raise NotAsWritten(f"it ended with {ended.code}: {ended.message}")
    errors = (expect.error,) if isinstance(expect.error, str) else expect.error
    if ended.code not in errors:
        raise NotAsWritten(f"it ended with {ended.code}, not {' or '.join(errors)}: {ended.message}")
    if expect.culprits is not None and sorted(ended.culprits) != sorted(expect.culprits):
        raise NotAsWritten(f"it blames {sorted(ended.culprits)}, not {sorted(expect.culprits)}")
    if expect.exit is not None and ended.exit_code != expect.exit:
        raise NotAsWritten(f"the exit code is {ended.exit_code}, not {expect.exit}")


async def check_others(world: "World", by: str, proposed: list[status.Proposed], expect: model.OthersExpect) -> None:
    """Compare how the last session ended for every other participant that still runs and does not cheat.

    Raises:
        NotAsWritten: it ended otherwise.
    """
    if not proposed:
        raise NotAsWritten("no session was proposed, so it did not end for anybody")
    cheats = {name for name, options in world.scenario.nodes.items() if options.cheat is not None}
    names = [name for name in participants(world, proposed[-1]) if name != by and name not in cheats]
    for name, ended in await _session_ends(world, names, proposed[-1].session_id):
        if ended.error is None:
            raise NotAsWritten(f"for {name} it ended well, and was to end with {' or '.join(expect.errors)}")
        if ended.error.code not in expect.errors:
            expected = " or ".join(expect.errors)
            raise NotAsWritten(f"for {name} it ended with {ended.error.code}, not {expected}: {ended.error.message}")
        if expect.culprits is not None and sorted(ended.error.culprits) != sorted(expect.culprits):
            raise NotAsWritten(f"{name} blames {sorted(ended.error.culprits)}, not {sorted(expect.culprits)}")


async def check_state(world: "World", wallet: status.WalletView, proposed: list[status.Proposed], state: str) -> None:
    """Check that every participant holds the same wallet, showed the same words, and finds the certificate valid.

    Raises:
        NotAsWritten: one does not.
    """
    names = participants(world, proposed[-1])
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


def participants(world: "World", proposal: status.Proposed) -> list[str]:
    """The nodes behind the proposal's peer ids; of two that claim one name, the one that got it."""
    by_peer_id = {peer_id: name for name, peer_id in reversed(world.peer_ids.items())}
    return [by_peer_id[PeerId(peer.peer_id)] for peer in proposal.participants]
