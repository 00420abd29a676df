"""What ``mpcnode pair`` does."""

import socket
from collections.abc import Awaitable, Callable
from typing import Final

from mpcnode import status
from mpcnode.cli.actions.node import (
    Emit,
    asked_of_the_running_node,
    check_options,
    emitter,
    new_home,
    settings_of,
    unlocking,
    with_the_running_node,
)
from mpcnode.cli.actions.passphrases import with_passphrase
from mpcnode.cli.options import DEFAULT_SERVER, NodeOptions, expanded, home_or_default, peer_id
from mpcnode.cli.terminal.describe import code_lines
from mpcnode.cli.terminal.output import Output, log_to_stderr, open_output, print_data, print_line, say
from mpcnode.cli.terminal.prompts import TerminalUser, has_terminal
from mpcnode.cli.terminal.text import error_lines, escape
from mpcnode.commands import Pair
from mpcnode.control import place
from mpcnode.control.lines import Result
from mpcnode.errors import CodeCrowded, CodeOver, PairingStopped, UsageError, WrongCode

_USED_UP: Final = (WrongCode, CodeCrowded, CodeOver, PairingStopped)
"""Ends of a code after which its maker may want another."""


def pair_with(options: NodeOptions, *, code: str | None, words: int, alias: str | None) -> None:
    """Make a contact, by the running node or without one.

    Raises:
        UsageError: the code cannot be right, or the options make no sense together.
        MpcError: why there is no contact.
    """
    log_to_stderr(verbose=options.verbose)
    if code is not None and words != Pair().words:
        raise UsageError("--words is for a code that is made here", hint="leave out the code, or --words")
    command = Pair(code=code, words=words, alias=None if alias is None else peer_id(alias, "--as"))
    check_options(options)
    connection = place.connect(home_or_default(options.home))
    contact = _without_a_node(options, command) if connection is None else _by_the_node(options, command, connection)
    if options.json:
        print_line(Result(contact=contact))
        return
    print_data(f"{contact.peer_id} is a contact, verified by the code", f"fingerprint {contact.fingerprint}")
    if contact.moniker is not None and not options.quiet:
        say(f"it calls itself {escape(contact.moniker)}")


def _by_the_node(options: NodeOptions, command: Pair, connection: socket.socket) -> status.ContactView:
    connections = [connection]

    async def once(output: Output) -> status.ContactView:
        open_ = connections.pop() if connections else place.connect(home_or_default(options.home))
        if open_ is None:
            raise UsageError("the node under this home stopped", hint="run the command again")
        return await asked_of_the_running_node(
            options,
            open_,
            output,
            lambda client, user, emit: client.pair(command, user=user, emit=_with_code(options, emit)),
        )

    return with_the_running_node(options, lambda output: _until_met(command, output, lambda: once(output)))


def _without_a_node(options: NodeOptions, command: Pair) -> status.ContactView:
    """Open the home for as long as it takes; nobody registers anywhere."""
    home = home_or_default(options.home)
    is_new = not (home / "identity.json").exists()
    begun = False

    def run(secret: bytearray) -> status.ContactView:
        with unlocking(home, secret) as keyring:
            from mpcnode.cli.loop import run_orderly  # noqa: PLC0415 -- loaded while the key is derived
            from mpcnode.peers.introductions.alone import introductions_of  # noqa: PLC0415 -- same

            async def meet() -> status.ContactView:
                nonlocal begun
                with open_output(json=options.json) as output:
                    emit = _with_code(options, emitter(output, quiet=options.quiet))
                    opened = introductions_of(
                        home,
                        keyring,
                        server=options.server or settings_of(home).server or DEFAULT_SERVER,
                        ca_file=None if options.ca_file is None else expanded(options.ca_file),
                        name=None if options.peer_id is None else peer_id(options.peer_id, "--peer-id"),
                        interactive_kdf=options.kdf == "interactive",
                    )
                    async with opened as (introductions, name):
                        begun = True
                        if is_new and not (options.json or options.quiet):
                            say(*new_home(home, name, chosen=options.peer_id is not None))
                        return await _until_met(command, output, lambda: introductions.pair(command, emit=emit))

            return run_orderly(meet)

    return with_passphrase(home, options.passphrase_file, options.passphrase_fd, run, again=lambda: not begun)


async def _until_met(
    command: Pair, output: Output, pair: Callable[[], Awaitable[status.ContactView]]
) -> status.ContactView:
    """Pair; where a code that was made here is used up, offer a new one at once."""
    while True:
        try:
            return await pair()
        except _USED_UP as error:
            if command.code is not None or not has_terminal():
                raise
            if not await TerminalUser(output).another_code(error_lines(error)):
                raise


def _with_code(options: NodeOptions, emit: Emit) -> Emit:
    """Show a code where it is to be read: it is what the command was asked for."""

    def take(event: status.Event) -> None:
        if not isinstance(event, status.PairingCode) or options.json:
            emit(event)
            return
        print_data(event.code)
        if not options.quiet:
            say(*code_lines(event, server=options.server))

    return take
