"""How a step asks a node, and who answers what the node asks back."""

from typing import TYPE_CHECKING

from mpcnode import status
from mpcnode.control.client import ControlClient
from mpcnode.errors import Refused, UsageError
from mpcnode.types import PeerId

if TYPE_CHECKING:
    from mpcnode.scenario.runner import World


class NobodyToAsk:
    """A run has nobody to ask; its nodes are told with ``--yes`` and ``--accept`` not to."""

    async def approve(self, proposal: status.Proposed) -> bool:
        """Refuse."""
        raise Refused(f"a scenario cannot be asked about the wallet {proposal.wallet!a}")

    async def confirm_words(self, words: status.SafetyWords) -> bool:
        """Refuse."""
        raise Refused(f"a scenario cannot compare the safety words of session {words.session_id}")

    async def choose_peers(self, candidates: tuple[status.PeerView, ...], count: int) -> tuple[PeerId, ...]:
        """Refuse."""
        raise Refused(f"there are {len(candidates)} peers, not {count}: name them with `with`")


async def client_of(world: "World", node: str) -> ControlClient:
    """A way to give ``node`` a command.

    Raises:
        UsageError: it does not run.
    """
    client = await world.client(node)
    if client is None:
        raise UsageError(f"{node} does not run", hint="start it first")
    return client
