"""What ``mpcnode peers`` does."""

from typing import TYPE_CHECKING

from mpcnode import status
from mpcnode.cli.actions.node import Emit, by_a_node
from mpcnode.cli.options import NodeOptions
from mpcnode.cli.terminal.describe import peer_row
from mpcnode.cli.terminal.output import log_to_stderr, print_data, print_json
from mpcnode.cli.terminal.text import columns

if TYPE_CHECKING:  # a command that finds a running node does not load what only a node needs
    from mpcnode.node import Node


def show_peers(options: NodeOptions) -> None:
    """Print the peers in the room."""
    log_to_stderr(verbose=options.verbose)

    async def look(node: "Node", _emit: Emit) -> tuple[status.PeerView, ...]:
        await node.greet()
        return node.peers()

    peers = by_a_node(options, ask=lambda client, _user, _emit: client.peers(), own=look, quiet=True)
    if options.json:
        for peer in peers:
            print_json(peer)
    else:
        print_data(*columns(peer_row(peer) for peer in peers))
