"""Be a node for as long as a command takes."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mpcnode import status
from mpcnode.cli.actions.ice import ice_servers
from mpcnode.cli.loop import run_orderly
from mpcnode.cli.options import Accept, NodeOptions, home_or_default, peer_id
from mpcnode.cli.terminal.output import Output, open_output
from mpcnode.cli.terminal.prompts import TerminalUser, has_terminal, passphrase
from mpcnode.errors import NoTerminal

if TYPE_CHECKING:  # a command that finds a running node does not load what only a node needs
    from mpcnode.node import Node, NodeConfig

T = TypeVar("T")


def as_node(
    options: NodeOptions,
    work: "Callable[[Node, TerminalUser, Output], Awaitable[T]]",
    *,
    accept: Accept,
    stop_with_stdin: bool = False,
    quiet: bool = False,
) -> T:
    """Be a node for as long as ``work`` takes; other commands under the home reach it meanwhile.

    Raises:
        MpcError: the node cannot start, or what ``work`` ended with.
    """
    from mpcnode.control.server import ControlServer  # noqa: PLC0415 -- loads the node
    from mpcnode.node import Node  # noqa: PLC0415 -- loads aiortc

    home = home_or_default(options.home)
    config = _config(options, home, accept)
    secret = passphrase(home, file=options.passphrase_file, fd=options.passphrase_fd)

    async def be_a_node() -> T:
        with open_output(json=options.json) as output:
            user = TerminalUser(output)
            emit = output.event if not quiet else _warnings_only(output)
            node = Node(config, user=user, emit=emit)
            async with node, ControlServer(node, home, emit=emit) as control:
                await node.start(secret)
                control.node_started()
                return await work(node, user, output)

    try:
        return run_orderly(be_a_node, stop_with_stdin=stop_with_stdin)
    finally:
        secret[:] = bytes(len(secret))


def _warnings_only(output: Output) -> Callable[[status.Event], None]:
    def emit(event: status.Event) -> None:
        if isinstance(event, status.Warned):
            output.event(event)

    return emit


def _config(options: NodeOptions, home: Path, accept: Accept) -> "NodeConfig":
    from mpcnode.node import NodeConfig  # noqa: PLC0415 -- loads the node
    from mpcnode.session.timeouts import SessionTimeouts  # noqa: PLC0415 -- same

    return NodeConfig(
        home=home,
        server=options.server,
        peer_id=peer_id(options.peer_id, "--peer-id") if options.peer_id is not None else None,
        room=options.room,
        accept=accept,
        yes=options.yes,
        contacts_only=options.contacts_only,
        interactive_kdf=options.kdf == "interactive",
        ice_servers=ice_servers(options.ice_servers),
        loopback=options.loopback,
        ca_file=options.ca_file.expanduser() if options.ca_file is not None else None,
        warm=options.warm_seconds,
        timeouts=SessionTimeouts(
            introduce=min(SessionTimeouts().introduce, options.answer_seconds),
            negotiate=options.answer_seconds,
            round=options.round_seconds,
        ),
    )


def check_somebody_compares(options: NodeOptions) -> None:
    """Check that safety words could be compared; when they appear, every participant would have come for nothing.

    Raises:
        NoTerminal: there is no terminal to show them on.
    """
    if not (options.yes or options.contacts_only or has_terminal()):
        raise NoTerminal(
            "safety words would have to be compared, and there is no terminal to show them on",
            hint="add --yes, and the wallet records that nobody compared them",
        )
