"""What ``mpcnode peers`` does."""

from pathlib import Path
from typing import TYPE_CHECKING

from mpcnode import status
from mpcnode.cli.actions.node import Emit, by_a_node
from mpcnode.cli.options import NodeOptions, home_or_default
from mpcnode.cli.terminal.describe import peer_row
from mpcnode.cli.terminal.output import log_to_stderr, print_data, print_json
from mpcnode.cli.terminal.prompts import is_new
from mpcnode.cli.terminal.text import columns
from mpcnode.errors import KeystoreAbsent

if TYPE_CHECKING:  # a command that finds a running node does not load what only a node needs
    from mpcnode.node import Node


def _check_is_there(home: Path) -> None:
    """Check that there is a node's home: a command that only looks makes none.

    Raises:
        KeystoreAbsent: there is no home, or no identity in it.
    """
    if is_new(home):
        raise KeystoreAbsent(f"there is no node at {home} yet", hint="`mpcnode register` makes one; or correct --home")


def show_peers(options: NodeOptions) -> None:
    """Print the peers in the room.

    Raises:
        KeystoreAbsent: there is no node yet that could look; none is made.
    """
    log_to_stderr(verbose=options.verbose)

    async def look(node: "Node", _emit: Emit) -> tuple[status.PeerView, ...]:
        await node.greet()
        return node.peers()

    peers = by_a_node(
        options,
        ask=lambda client, _user, _emit: client.peers(),
        own=look,
        check=lambda: _check_is_there(home_or_default(options.home)),
        quiet=True,
    )
    if options.json:
        for peer in peers:
            print_json(peer)
    else:
        print_data(*columns(peer_row(peer) for peer in peers))
