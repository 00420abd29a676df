"""What ``mpcnode create-wallet`` does."""

from mpcnode.cli.actions.node import by_a_node, check_somebody_compares
from mpcnode.cli.options import NodeOptions, milliseconds, peer_ids
from mpcnode.cli.terminal.describe import wallet_lines
from mpcnode.cli.terminal.output import Json, log_to_stderr, print_data
from mpcnode.commands import CreateWallet
from mpcnode.control.lines import Result


def make_wallet(
    options: NodeOptions, *, threshold: int, total: int, name: str, with_peers: tuple[str, ...], wait: float
) -> None:
    """Make a wallet, by the running node or by one of our own.

    Raises:
        UsageError: the options make no sense together.
        MpcError: why there is no wallet.
    """
    log_to_stderr(verbose=options.verbose)
    command = CreateWallet(
        threshold=threshold,
        total=total,
        name=name,
        with_peers=peer_ids(with_peers, "--with"),
        wait=milliseconds(wait),
        yes=options.yes,
        answer_within=milliseconds(options.answer_seconds),
    )
    check_somebody_compares(options)
    wallet = by_a_node(
        options,
        ask=lambda client, user, emit: client.create_wallet(command, user=user, emit=emit),
        own=lambda node, _emit: node.create_wallet(command),
    )
    if options.json:
        Json().line(Result(wallet=wallet))
    else:
        print_data(*wallet_lines(wallet))
