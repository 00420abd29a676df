"""What ``mpcnode refresh`` does."""

from mpcnode.cli.actions.node import by_a_node, check_is_here
from mpcnode.cli.options import NodeOptions, milliseconds
from mpcnode.cli.terminal.describe import wallet_lines
from mpcnode.cli.terminal.output import log_to_stderr, print_data, print_line
from mpcnode.commands import Refresh
from mpcnode.control.lines import Result


def refresh_wallet(options: NodeOptions, *, wallet: str) -> None:
    """Give every participant of a wallet a new share, by the running node or by one of our own.

    Raises:
        UsageError: the options make no sense.
        KeystoreAbsent: there is no such wallet.
        MpcError: why the shares are as they were.
    """
    log_to_stderr(verbose=options.verbose)
    command = Refresh(wallet=wallet, answer_within=milliseconds(options.answer_seconds))
    refreshed = by_a_node(
        options,
        ask=lambda client, user, emit: client.refresh(command, user=user, emit=emit),
        own=lambda node, _emit: node.refresh(command),
        check=lambda: check_is_here(options, wallet),
    )
    if options.json:
        print_line(Result(wallet=refreshed))
    else:
        print_data(*wallet_lines(refreshed))
