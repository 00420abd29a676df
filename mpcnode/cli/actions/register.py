"""What ``mpcnode register`` does: be a node until told to stop."""

from typing import TYPE_CHECKING

from mpcnode.cli.actions.node import Emit, as_node, check_options, check_somebody_compares, held_otherwise
from mpcnode.cli.options import Accept, NodeOptions
from mpcnode.cli.terminal.output import log_to_stderr, say
from mpcnode.cli.terminal.prompts import has_terminal
from mpcnode.errors import NoTerminal

if TYPE_CHECKING:  # a command that finds a running node does not load what only a node needs
    from mpcnode.node import Node


def run_node(options: NodeOptions, *, accept: Accept, stop_with_stdin: bool) -> None:
    """Register and stay.

    Raises:
        NoTerminal: questions will come, and there is nobody to ask.
        MpcError: the node cannot start, or cannot go on.
    """
    log_to_stderr(verbose=options.verbose)
    if accept == "ask" and not has_terminal():
        raise NoTerminal(
            "this node would ask about each proposal, and there is no terminal to ask on",
            hint="add --accept auto, --accept contacts or --accept none",
        )
    check_options(options)
    if accept != "none":
        check_somebody_compares(options)

    say(*held_otherwise(options))

    async def stay(node: "Node", _emit: Emit) -> None:
        await node.serve_forever()

    as_node(options, stay, accept=accept, stop_with_stdin=stop_with_stdin)
