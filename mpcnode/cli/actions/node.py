"""The node that carries a command out: the one that runs under the home, or one for as long as the command takes."""

import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mpcnode import status
from mpcnode.cli.options import Accept, NodeOptions, home_or_default, peer_id
from mpcnode.cli.terminal.output import Output, open_output
from mpcnode.cli.terminal.prompts import TerminalUser, has_terminal, passphrase
from mpcnode.control import place
from mpcnode.errors import MpcError, NoTerminal

if TYPE_CHECKING:  # a command that finds a running node does not load what only a node needs, nor the other way round
    from mpcnode.control.client import ControlClient
    from mpcnode.keystore.keyring import Keyring
    from mpcnode.node import Node, NodeConfig

Emit = Callable[[status.Event], None]
T = TypeVar("T")


def by_a_node(
    options: NodeOptions,
    *,
    ask: "Callable[[ControlClient, TerminalUser, Emit], Awaitable[T]]",
    own: "Callable[[Node, Emit], Awaitable[T]]",
    check: Callable[[], None] = lambda: None,
    quiet: bool = False,
) -> T:
    """Have the node that runs under the home carry a command out; where none runs, be one for as long as it takes.

    Args:
        options: the command's.
        ask: how the running node is asked.
        own: what a node of our own does.
        check: called before there is a node of our own, a passphrase is asked for or anything is dialled.
        quiet: show warnings alone.

    Raises:
        MpcError: why the command failed.
    """
    connection = place.connect(home_or_default(options.home))
    if connection is None:
        check()
        return as_node(options, own, accept="none", quiet=quiet)

    from mpcnode.cli.loop import run_orderly  # noqa: PLC0415 -- where no node runs, the home is unlocked meanwhile
    from mpcnode.control.client import ControlClient  # noqa: PLC0415 -- same

    async def by_the_running_node() -> T:
        with open_output(json=options.json) as output:
            async with await ControlClient.over(connection) as client:
                return await ask(client, TerminalUser(output), _emit(output, quiet=quiet))

    return run_orderly(by_the_running_node)


def as_node(
    options: NodeOptions,
    work: "Callable[[Node, Emit], Awaitable[T]]",
    *,
    accept: Accept,
    stop_with_stdin: bool = False,
    quiet: bool = False,
) -> T:
    """Be a node for as long as ``work`` takes; other commands under the home reach it meanwhile.

    Raises:
        MpcError: the node cannot start, or what ``work`` ended with.
    """
    home = home_or_default(options.home)
    with _unlocking(home, passphrase(home, file=options.passphrase_file, fd=options.passphrase_fd)) as keyring:
        from mpcnode.cli.loop import run_orderly  # noqa: PLC0415 -- what is heavy is loaded while the key is derived
        from mpcnode.control.server import ControlServer  # noqa: PLC0415 -- same
        from mpcnode.node import Node  # noqa: PLC0415 -- same

        config = _config(options, home, accept)

        async def be_a_node() -> T:
            with open_output(json=options.json) as output:
                emit = _emit(output, quiet=quiet)
                node = Node(config, user=TerminalUser(output), emit=emit)
                async with node, ControlServer(node, home, emit=emit) as control:
                    await node.start(keyring)
                    control.node_started()
                    return await work(node, emit)

        return run_orderly(be_a_node, stop_with_stdin=stop_with_stdin)


@contextmanager
def _unlocking(home: Path, secret: bytearray) -> "Iterator[Keyring]":
    """Give a keyring that derives the home's key in a thread, because that is the longest part of a start."""
    from mpcnode.keystore.keyring import Keyring  # noqa: PLC0415 -- what is heavy waits for its use
    from mpcnode.keystore.store import Home  # noqa: PLC0415 -- same

    def derive() -> None:
        with suppress(MpcError, ValueError):  # the node says what is wrong; a closed keyring is not needed any more
            keyring.derive(Home.open(home, create=False).kdf())

    with Keyring(secret) as keyring:
        deriving = threading.Thread(target=derive, name="derive")
        deriving.start()
        try:
            yield keyring
        finally:
            deriving.join()


def _emit(output: Output, *, quiet: bool) -> Emit:
    def warnings(event: status.Event) -> None:
        if isinstance(event, status.Warned):
            output.event(event)

    return warnings if quiet else output.event


def _config(options: NodeOptions, home: Path, accept: Accept) -> "NodeConfig":
    from mpcnode.cli.actions.ice import ice_servers  # noqa: PLC0415 -- loads the node
    from mpcnode.consent.approval import Options  # noqa: PLC0415 -- same
    from mpcnode.node import NodeConfig  # noqa: PLC0415 -- same
    from mpcnode.session.services import SessionTimeouts  # noqa: PLC0415 -- same

    return NodeConfig(
        home=home,
        server=options.server,
        peer_id=peer_id(options.peer_id, "--peer-id") if options.peer_id is not None else None,
        room=options.room,
        options=Options(accept=accept, contacts_only=options.contacts_only, yes=options.yes),
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
    """Check that safety words can be compared: found out when they appear, all participants came for nothing.

    Raises:
        NoTerminal: there is no terminal to show them on.
    """
    if not (options.yes or options.contacts_only or has_terminal()):
        raise NoTerminal(
            "the safety words have to be compared, and there is no terminal to show them on",
            hint="add --yes, and the wallet records that nobody compared them",
        )


def check_is_here(options: NodeOptions, wallet: str) -> None:
    """Check that the home has a wallet, before a passphrase is asked for, a home made or anybody told of this node.

    Raises:
        KeystoreAbsent: there is no home, or no such wallet in it.
        UsageError: several wallets are called that.
    """
    from mpcnode.keystore.store import Home  # noqa: PLC0415 -- a running node looks for itself
    from mpcnode.wallet.store import find_wallet, read_header  # noqa: PLC0415 -- same

    home = Home.open(home_or_default(options.home), create=False)
    find_wallet(((one, read_header(one)) for one in home.list_wallets()), wallet)
