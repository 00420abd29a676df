"""The node that carries a command out: the one that runs under the home, or one for as long as the command takes."""

import socket
import threading
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mpcnode import status
from mpcnode.cli.actions.passphrases import with_passphrase
from mpcnode.cli.options import (
    DEFAULT_ROOM,
    DEFAULT_SERVER,
    Accept,
    NodeOptions,
    expanded,
    home_or_default,
    milliseconds,
    peer_id,
    room_name,
    server_url,
    suite_id,
)
from mpcnode.cli.terminal.output import Output, open_output, say
from mpcnode.cli.terminal.prompts import TerminalUser, has_terminal
from mpcnode.cli.terminal.text import as_typed
from mpcnode.control import place
from mpcnode.control.lines import StartedWith
from mpcnode.errors import (
    ConfigurationError,
    HomeInUse,
    Interrupted,
    KeystoreAbsent,
    KeystoreUnwritable,
    MpcError,
    NoTerminal,
    UsageError,
)

if TYPE_CHECKING:  # a command that finds a running node does not load what only a node needs, nor the other way round
    from mpcnode.control.client import ControlClient
    from mpcnode.keystore.keyring import Keyring
    from mpcnode.keystore.settings import Settings
    from mpcnode.node import Node, NodeConfig
    from mpcnode.types import IdentityKey
    from mpcnode.wire.signaling import IceServer

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
        check: looks at what this home knows; called before a passphrase is asked for or anything is dialled. A running
            node looks for itself.
        quiet: show warnings alone.

    Raises:
        UsageError: the running node was started with other options than these.
        MpcError: why the command failed.
    """
    check_options(options)
    connection = place.connect(home_or_default(options.home))
    if connection is None:
        check()
        return as_node(options, own, accept="none", quiet=quiet)

    async def once(output: Output) -> T:
        return await asked_of_the_running_node(options, connection, output, ask, quiet=quiet)

    return with_the_running_node(options, once)


def with_the_running_node(options: NodeOptions, work: Callable[[Output], Awaitable[T]]) -> T:
    """Run what asks the node that runs under the home.

    Raises:
        MpcError: why it failed.
    """
    from mpcnode.cli.loop import run_orderly  # noqa: PLC0415 -- where no node runs, the home is unlocked meanwhile

    async def main() -> T:
        with open_output(json=options.json) as output:
            return await work(output)

    try:
        return run_orderly(main)
    except Interrupted as error:
        # Where the node went away, the error says what to do.
        error.hint = error.hint or "the command was stopped; the node under this home runs on"
        raise


async def asked_of_the_running_node(
    options: NodeOptions,
    connection: socket.socket,
    output: Output,
    ask: "Callable[[ControlClient, TerminalUser, Emit], Awaitable[T]]",
    *,
    quiet: bool = False,
) -> T:
    """Ask the running node once, over a connection that ``place.connect`` made."""
    from mpcnode.control.client import ControlClient  # noqa: PLC0415 -- where no node runs, it is not needed

    async with await ControlClient.over(connection) as client:
        client.expect(_started_with(options))
        return await ask(client, TerminalUser(output), emitter(output, quiet=quiet or options.quiet))


def as_node(
    options: NodeOptions,
    work: "Callable[[Node, Emit], Awaitable[T]]",
    *,
    accept: Accept,
    find: "Callable[[Keyring], Awaitable[Place]] | None" = None,
    stop_with_stdin: bool = False,
    quiet: bool = False,
) -> T:
    """Be a node for as long as ``work`` takes; other commands under the home reach it meanwhile.

    Args:
        options: the command's.
        work: what the node does.
        accept: what it takes part in.
        find: says where it is to be, for whom, where the options do not; may open the home before the node does.
        stop_with_stdin: stop when standard input ends.
        quiet: show warnings alone.

    Raises:
        WrongPassphrase: of a file, or typed wrong as often as it is asked for.
        MpcError: the node cannot start, or what ``work`` ended with.
    """
    check_options(options)
    if options.address:
        from mpcnode.cli.actions.addresses import check_are_here  # noqa: PLC0415 -- only where an address is named

        check_are_here(_addresses(options))
    home = home_or_default(options.home)
    talks = not (options.json or options.quiet or quiet)
    is_new = not (home / "identity.json").exists()
    begun = False

    def run(secret: bytearray) -> T:
        nonlocal begun
        with unlocking(home, secret) as keyring:
            from mpcnode.cli.loop import run_orderly  # noqa: PLC0415 -- loaded while the key is derived
            from mpcnode.control.server import ControlServer  # noqa: PLC0415 -- same
            from mpcnode.node import Node  # noqa: PLC0415 -- same

            async def be_a_node() -> T:
                nonlocal begun
                with open_output(json=options.json) as output:
                    config = _config(options, home, accept)
                    if find is not None:
                        there = await find(keyring)
                        config = replace(config, server=there.server, room=there.room, invited_by=there.invited_by)
                    emit = emitter(output, quiet=quiet or options.quiet)
                    node = Node(config, user=TerminalUser(output), emit=emit)
                    async with node, ControlServer(node, home, emit=emit) as control:
                        await node.start(keyring)
                        begun = True
                        if talks and is_new:
                            with output.paused():
                                say(*new_home(home, node.peer_id, chosen=options.peer_id is not None))
                        if find is None and (options.server or options.room or options.ice_server):
                            await _remember(node, options, emit)
                        control.node_started()
                        return await work(node, emit)

            return run_orderly(be_a_node, stop_with_stdin=stop_with_stdin)

    return with_passphrase(home, options.passphrase_file, options.passphrase_fd, run, again=lambda: not begun)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node is to be, and by whose invitation.

    Args:
        server: the signaling server's URL.
        room: the room's name.
        invited_by: the inviter's key; the node takes part in nothing else.
    """

    server: str
    room: str
    invited_by: "IdentityKey | None" = None


def check_no_node(options: NodeOptions) -> None:
    """Check that no node runs under the home: an invitation has a room of its own, and a node is in one room.

    Raises:
        HomeInUse: one does.
    """
    connection = place.connect(home_or_default(options.home))
    if connection is not None:
        connection.close()
        raise HomeInUse(
            "a node runs under this home, and an invitation is for a room of its own",
            hint="stop that node (Ctrl-C where it runs), then run this again",
        )


def new_home(home: Path, name: str, *, chosen: bool) -> list[str]:
    """Say what was made, and what it is worth."""
    return [
        f"made a new home for this node: {as_typed(str(home))}",
        f"its name is {name}" + ("" if chosen else ", after this machine; --peer-id gives it another"),
        "keep the home and its passphrase: without either of them nobody can restore this node's shares",
    ]


@contextmanager
def unlocking(home: Path, secret: bytearray) -> "Iterator[Keyring]":
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


def emitter(output: Output, *, quiet: bool) -> Emit:
    """Give what takes a command's events."""

    def warnings(event: status.Event) -> None:
        if isinstance(event, status.Warned):
            output.event(event)

    return warnings if quiet else output.event


def check_options(options: NodeOptions) -> None:
    """Check what can be known to be wrong before a passphrase is asked for, a home made or anything dialled.

    Raises:
        UsageError: a value is not of its form.
        ConfigurationError: a file cannot be read.
    """
    if options.peer_id is not None:
        peer_id(options.peer_id, "--peer-id")
    if options.server is not None:
        server_url(options.server)
    if options.room is not None:
        room_name(options.room)
    if options.ca_file is not None and not expanded(options.ca_file).is_file():
        raise ConfigurationError(f"there is no file {str(options.ca_file)!a}", hint="correct --ca-file")
    if options.ice_server:
        _ice_servers(options)
    if options.address:
        if options.loopback:
            raise UsageError("--address and --loopback exclude each other", hint="leave one of them out")
        _addresses(options)


def _addresses(options: NodeOptions) -> tuple[str, ...]:
    if not options.address:
        return ()
    from mpcnode.cli.actions.addresses import offered  # noqa: PLC0415 -- only where an address is named

    return offered(options.address)


def _ice_servers(options: NodeOptions) -> "tuple[IceServer, ...]":
    from mpcnode.cli.actions.ice import ice_servers  # noqa: PLC0415 -- loads the node

    return ice_servers(options.ice_server or ())


async def _remember(node: "Node", options: NodeOptions, emit: Emit) -> None:
    """Have the home remember what this command was given, now that it is known to be good."""
    servers: tuple[str, ...] = ()
    if options.ice_server:
        from mpcnode.cli.actions.settings import remembered_ice  # noqa: PLC0415 -- only where servers are named

        servers = remembered_ice(options.ice_server)
    try:
        await node.remember(servers)
    except KeystoreUnwritable as error:  # the node works all the same
        emit(status.Warned(f"the settings could not be written: {error.message}"))


def _started_with(options: NodeOptions) -> StartedWith:
    """Give the options that only the start of a node can honour, as far as they are given."""
    usual = NodeOptions()
    urls = tuple(url for server in _ice_servers(options) for url in server.urls) if options.ice_server else ()
    return StartedWith(
        server=options.server,
        peer_id=options.peer_id,
        room=options.room,
        contacts_only=options.contacts_only,
        ice_servers=urls,
        loopback=options.loopback,
        addresses=_addresses(options),
        ca_file=None if options.ca_file is None else str(expanded(options.ca_file)),
        link_time=None if options.link_seconds == usual.link_seconds else milliseconds(options.link_seconds),
        round_time=None if options.round_seconds == usual.round_seconds else milliseconds(options.round_seconds),
    )


def _config(options: NodeOptions, home: Path, accept: Accept) -> "NodeConfig":
    from mpcnode.cli.actions.ice import ice_servers  # noqa: PLC0415 -- loads the node
    from mpcnode.consent.approval import Options  # noqa: PLC0415 -- same
    from mpcnode.mesh.transport import MeshTimeouts  # noqa: PLC0415 -- same
    from mpcnode.node import NodeConfig  # noqa: PLC0415 -- same
    from mpcnode.session.services import SessionTimeouts  # noqa: PLC0415 -- same

    remembered = settings_of(home)
    return NodeConfig(
        home=home,
        server=options.server or remembered.server or DEFAULT_SERVER,
        peer_id=peer_id(options.peer_id, "--peer-id") if options.peer_id is not None else None,
        room=options.room or remembered.room or DEFAULT_ROOM,
        options=Options(accept=accept, contacts_only=options.contacts_only, yes=options.yes),
        interactive_kdf=options.kdf == "interactive",
        ice_servers=ice_servers(options.ice_server or remembered.ice_servers),
        loopback=options.loopback,
        addresses=_addresses(options),
        ca_file=expanded(options.ca_file) if options.ca_file is not None else None,
        warm=options.warm_seconds,
        timeouts=SessionTimeouts(
            introduce=min(SessionTimeouts().introduce, options.answer_seconds),
            negotiate=options.answer_seconds,
            round=options.round_seconds,
            confirm=options.confirm_seconds,
        ),
        mesh_timeouts=MeshTimeouts().lasting(options.link_seconds),
    )


def settings_of(home: Path) -> "Settings":
    """Read what a home remembers; nothing where there is none yet."""
    from mpcnode.keystore.settings import Settings  # noqa: PLC0415 -- loads the keystore
    from mpcnode.keystore.store import Home  # noqa: PLC0415 -- same

    try:
        return Home.open(home, create=False).load_settings()
    except KeystoreAbsent:
        return Settings()


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


def check_is_here(options: NodeOptions, wallet: str, *, others: Iterable[str] = (), suite: str | None = None) -> None:
    """Check that the home has a wallet, and that the command fits it.

    Args:
        options: the command's.
        wallet: its name, or the beginning of its id.
        others: participants that the command names.
        suite: a ciphersuite that it names.

    Raises:
        KeystoreAbsent: there is no home, or no such wallet in it.
        UsageError: several wallets are called that, or a name or the ciphersuite is not one of this wallet's.
    """
    from mpcnode.keystore.store import Home  # noqa: PLC0415 -- only a command about a wallet needs it
    from mpcnode.wallet.store import find_wallet, read_header  # noqa: PLC0415 -- same

    home = Home.open(home_or_default(options.home), create=False)
    _, found = find_wallet(((one, read_header(one)) for one in home.list_wallets()), wallet)
    name = options.peer_id or home.load_settings().peer_id
    if name is not None and name != found.peer_id:
        raise UsageError(
            f"this home holds wallet {found.name} as {found.peer_id}, and cannot use it as {name}",
            hint=f"add --peer-id {found.peer_id}",
        )
    names = [member.peer_id for member in found.roster]
    for other in others:
        if other == found.peer_id:
            raise UsageError(f"--with names {other}, which is this node itself", hint="name the others alone")
        if other not in names:
            raise UsageError(
                f"{other} is not a participant of wallet {found.name}", hint=f"its participants are {', '.join(names)}"
            )
    suites = [keys.suite for keys in found.suites]
    if suite is not None and suite_id(suite) not in suites:
        raise UsageError(f"wallet {found.name} has no key of {suite!a}", hint=f"--suite is one of {', '.join(suites)}")


def check_is_new(options: NodeOptions, wallet: str, *, others: Collection[str]) -> None:
    """Check that a wallet can be made under this name with these.

    Raises:
        UsageError: there is a wallet of that name, or this node itself is among the others.
    """
    path = home_or_default(options.home)
    name = options.peer_id
    if (path / "wallets").exists() or (
        others and (path / "settings.yaml").exists()
    ):  # else nothing that looks is loaded
        from mpcnode.keystore.store import Home  # noqa: PLC0415 -- see above
        from mpcnode.wallet.store import list_wallets  # noqa: PLC0415 -- same

        home = Home.open(path, create=False)
        name = name or home.load_settings().peer_id
        names = {view.name for view in list_wallets(home) if isinstance(view, status.WalletView)}
        if wallet in names:
            raise UsageError(f"there is a wallet named {wallet} already", hint="choose another --name")
    if name in others:
        raise UsageError(f"--with names {name}, which is this node itself", hint="name the others alone")


def held_otherwise(options: NodeOptions) -> list[str]:
    """Say which wallets this home holds under another name than the one it is about to take: it cannot use them."""
    path = home_or_default(options.home)
    if options.peer_id is None or not (path / "wallets").exists():
        return []

    from mpcnode.keystore.store import Home  # noqa: PLC0415 -- only a home with wallets is looked at
    from mpcnode.wallet.store import list_wallets  # noqa: PLC0415 -- same

    views = [one for one in list_wallets(Home.open(path, create=False)) if isinstance(one, status.WalletView)]
    if any(one.peer_id == options.peer_id for one in views):
        return []
    return [
        *(
            f"warning: this home holds wallet {one.name} as {one.peer_id}, and cannot use it as {options.peer_id}"
            for one in views
        ),
        *([f"the name {options.peer_id} is for this run alone"] if views else []),
    ]
