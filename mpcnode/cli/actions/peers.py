"""What ``mpcnode peers`` does."""

from typing import TYPE_CHECKING

from mpcnode import status
from mpcnode.cli.actions.node import as_node
from mpcnode.cli.loop import run_orderly
from mpcnode.cli.options import NodeOptions, home_or_default
from mpcnode.cli.terminal.describe import peer_row
from mpcnode.cli.terminal.output import Output, log_to_stderr, print_data, print_json
from mpcnode.cli.terminal.prompts import TerminalUser
from mpcnode.cli.terminal.text import columns
from mpcnode.control.client import ControlClient

if TYPE_CHECKING:  # a command that finds a running node does not load what only a node needs
    from mpcnode.node import Node


def show_peers(options: NodeOptions) -> None:
    """Print who is in the room."""
    log_to_stderr(verbose=options.verbose)

    async def ask_running() -> tuple[status.PeerView, ...] | None:
        client = await ControlClient.connect(home_or_default(options.home))
        if client is None:
            return None
        async with client:
            return await client.peers()

    async def look(node: "Node", user: TerminalUser, output: Output) -> tuple[status.PeerView, ...]:
        del user, output
        return node.peers()

    peers = run_orderly(ask_running)
    if peers is None:
        peers = as_node(options, look, accept="none", quiet=True)
    if options.json:
        for peer in peers:
            print_json(peer)
    else:
        print_data(*columns(peer_row(peer) for peer in peers))
