"""What ``mpcnode create-wallet`` does."""

from typing import TYPE_CHECKING

from mpcnode import status
from mpcnode.cli.actions.node import as_node, check_somebody_compares
from mpcnode.cli.loop import run_orderly
from mpcnode.cli.options import NodeOptions, home_or_default, peer_ids, wallet_name
from mpcnode.cli.terminal.describe import wallet_lines
from mpcnode.cli.terminal.output import Json, Output, log_to_stderr, open_output, print_data
from mpcnode.cli.terminal.prompts import TerminalUser
from mpcnode.control.client import ControlClient
from mpcnode.control.lines import CreateWalletArguments, Result
from mpcnode.errors import UsageError
from mpcnode.types import check_threshold

if TYPE_CHECKING:  # a command that finds a running node does not load what only a node needs
    from mpcnode.node import Node


def make_wallet(
    options: NodeOptions, *, threshold: int, total: int, name: str, with_peers: tuple[str, ...], wait: float
) -> None:
    """Make a wallet, by the running node or by one of our own.

    Raises:
        UsageError: the wallet cannot be meant.
        MpcError: why there is no wallet.
    """
    log_to_stderr(verbose=options.verbose)
    try:
        check_threshold(threshold, total)
    except ValueError as error:
        raise UsageError(str(error), hint="correct --threshold or --total") from error
    arguments = CreateWalletArguments(
        threshold=threshold,
        total=total,
        name=wallet_name(name, "--name"),
        with_peers=peer_ids(with_peers, "--with"),
        wait=wait,
        yes=options.yes,
        answer_within=options.answer_seconds,
    )
    check_somebody_compares(options)
    wallet = run_orderly(lambda: _ask_running(options, arguments))
    if wallet is None:
        wallet = as_node(options, lambda node, user, output: _create(node, arguments, user, output), accept="none")
    if options.json:
        Json().line(Result(wallet=wallet))
    else:
        print_data(*wallet_lines(wallet))


async def _ask_running(options: NodeOptions, arguments: CreateWalletArguments) -> status.WalletView | None:
    client = await ControlClient.connect(home_or_default(options.home))
    if client is None:
        return None
    with open_output(json=options.json) as output:
        async with client:
            return await client.create_wallet(arguments, user=TerminalUser(output), emit=output.event)


async def _create(
    node: "Node", arguments: CreateWalletArguments, user: TerminalUser, output: Output
) -> status.WalletView:
    from mpcnode.control.requests import create_wallet_request  # noqa: PLC0415 -- only one of our own needs it

    del user, output
    return await node.create_wallet(create_wallet_request(arguments))
