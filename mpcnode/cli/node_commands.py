"""What the commands do that run a node or ask the one that runs: parse, call the node, render."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mpcnode import status
from mpcnode.cli.describe import peer_row, wallet_lines, wallet_row
from mpcnode.cli.ice import ice_servers
from mpcnode.cli.loop import run_orderly
from mpcnode.cli.options import Accept, NodeOptions, home_or_default, peer_id, wallet_name
from mpcnode.cli.output import Json, Output, open_output, print_data, print_json, say
from mpcnode.cli.prompts import TerminalUser, has_terminal, passphrase
from mpcnode.cli.talk import log_to_stderr
from mpcnode.cli.text import columns, escape
from mpcnode.control.client import ControlClient
from mpcnode.control.lines import CreateWalletArguments, Result, error_of
from mpcnode.errors import NoTerminal, UsageError
from mpcnode.keystore.store import Home
from mpcnode.types import check_threshold

if TYPE_CHECKING:  # a command that finds a running node does not load what only a node needs
    from mpcnode.node import Node, NodeConfig

T = TypeVar("T")


def run_node(options: NodeOptions, *, accept: Accept, stop_with_stdin: bool) -> None:
    """Register and stay.

    Raises:
        NoTerminal: questions will come, and there is nobody to ask.
        MpcError: the node cannot start, or cannot go on.
    """
    log_to_stderr(verbose=options.verbose)
    if accept == "ask" and not has_terminal():
        raise NoTerminal(
            "proposals would be asked about, and there is no terminal to ask on",
            hint="add --accept auto, --accept contacts or --accept none",
        )
    if accept != "none":
        _check_somebody_compares(options)

    async def stay(node: "Node", user: TerminalUser, output: Output) -> None:
        del user, output
        await node.serve_forever()

    as_node(options, stay, accept=accept, stop_with_stdin=stop_with_stdin)


def make_wallet(
    options: NodeOptions, *, threshold: int, total: int, name: str, others: tuple[str, ...], wait: float
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
        with_peers=tuple(peer_id(other, "--with") for other in others),
        wait=wait,
        yes=options.yes,
        answer_within=options.answer_seconds,
    )
    _check_somebody_compares(options)
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


def list_wallets(home: Path, *, json: bool, verbose: bool) -> None:
    """Print the wallets of a home; files that cannot be read are talked about, and fail the command.

    Raises:
        MpcError: the first file that cannot be read.
    """
    log_to_stderr(verbose=verbose)
    wallets, unreadable = _wallets(home)
    if json:
        for one in (*wallets, *unreadable):
            print_json(one)
    else:
        print_data(*columns(wallet_row(wallet) for wallet in wallets))
    if unreadable:
        for error in unreadable[1:]:
            say(f"warning: {escape(error.message)}")
        raise error_of(unreadable[0])


def _wallets(home: Path) -> tuple[list[status.WalletView], list[status.ErrorView]]:
    from mpcnode.session.wallets import list_wallets as stored_wallets  # noqa: PLC0415 -- loads the node

    stored = stored_wallets(Home.open(home, create=False))
    return (
        [one for one in stored if isinstance(one, status.WalletView)],
        [one for one in stored if isinstance(one, status.ErrorView)],
    )


def _check_somebody_compares(options: NodeOptions) -> None:
    # Found now and not when the words appear: by then every participant would have come for nothing.
    if not (options.yes or options.contacts_only or has_terminal()):
        raise NoTerminal(
            "safety words would have to be compared, and there is no terminal to show them on",
            hint="add --yes, and the wallet records that nobody compared them",
        )


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
