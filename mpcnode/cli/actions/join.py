"""What ``mpcnode join`` does."""

import time
from typing import TYPE_CHECKING, Literal

from mpcnode.blame import Came, Event, judge
from mpcnode.cli.actions.create_wallet import next_steps
from mpcnode.cli.actions.node import (
    Emit,
    Place,
    as_node,
    check_no_node,
    check_options,
    check_somebody_compares,
    settings_of,
)
from mpcnode.cli.options import DEFAULT_SERVER, NodeOptions, expanded, home_or_default, peer_id
from mpcnode.cli.terminal.describe import wallet_lines
from mpcnode.cli.terminal.output import log_to_stderr, print_data, print_line, say
from mpcnode.cli.terminal.prompts import has_terminal
from mpcnode.cli.terminal.text import escape
from mpcnode.commands import Join
from mpcnode.control.lines import Result
from mpcnode.errors import DecodeError, NoTerminal, UsageError
from mpcnode.status import How, WalletView

if TYPE_CHECKING:  # what is wrong with a code is said before a node is loaded
    from mpcnode.keystore.keyring import Keyring
    from mpcnode.node import Node
    from mpcnode.wire.invitation import Invitation


def join_wallet(
    options: NodeOptions, *, invitation: str, accept: Literal["ask", "auto"], stay: bool, stop_with_stdin: bool
) -> None:
    """Join, by a code or by a link, and see the wallet made.

    Raises:
        UsageError: the code or the link cannot be right, or the options make no sense together.
        InvitationOver: its time is over, or there is no place for this node.
        MpcError: why there is no wallet.
    """
    log_to_stderr(verbose=options.verbose)
    link = Join(invitation=invitation).link
    if link is not None:
        _check_link(options, link)
    check_options(options)
    if accept == "ask" and not has_terminal():
        raise NoTerminal("this node would ask about the wallet, and there is no terminal", hint="add --accept auto")
    check_somebody_compares(options)
    check_no_node(options)
    way = _Way(options, invitation, link)

    async def take_part(node: "Node", _emit: Emit) -> WalletView:
        assert way.link is not None
        wallet = await node.join(way.link, how=way.how)
        await node.remember()
        if stay:
            _show(options, wallet)
            if not options.quiet:
                say("this node stays, and takes part in what its wallets are asked; Ctrl-C stops it")
            await node.serve_forever()
        return wallet

    wallet = as_node(options, take_part, accept=accept, find=way.find, stop_with_stdin=stop_with_stdin)
    if not stay:
        _show(options, wallet)
        if not (options.json or options.quiet):
            say(*next_steps(options, wallet.name))


class _Way:
    """How this node comes to the inviter's room: the link says it, or whoever made the code."""

    def __init__(self, options: NodeOptions, code: str, link: "Invitation | None") -> None:
        self._options = options
        self._code = code
        self.link = link
        self.how: How = "invitation"

    async def find(self, keyring: "Keyring") -> Place:
        """Say in which room the node is to be, and for whom; with a code, that is asked first."""
        if self.link is not None:
            return Place(self.link.server, self.link.room_name, self.link.key)
        from mpcnode.peers.introductions.alone import introductions_of  # noqa: PLC0415 -- loads the node

        options, home = self._options, home_or_default(self._options.home)
        server = options.server or settings_of(home).server or DEFAULT_SERVER
        opened = introductions_of(
            home,
            keyring,
            server=server,
            ca_file=None if options.ca_file is None else expanded(options.ca_file),
            name=None if options.peer_id is None else peer_id(options.peer_id, "--peer-id"),
            interactive_kdf=options.kdf == "interactive",
        )
        async with opened as (introductions, _name):
            try:
                contact, self.link = await introductions.take(self._code)
            except DecodeError as error:
                hint = "ask for a new code; its maker is not honest"
                raise judge(Came.UNPROVED, Event.WRONG_KEY, str(error), hint=hint) from None
        self.how = "code"
        if not options.quiet:
            say(f"{escape(contact.peer_id)} is a contact, verified by the code; fingerprint {contact.fingerprint}")
        _check_time(self.link)
        # This node has just met the inviter there, under whatever name the inviter knows its server.
        return Place(server, self.link.room_name, self.link.key)


def _check_link(options: NodeOptions, link: "Invitation") -> None:
    if options.server is not None and options.server.rstrip("/") != link.server:
        raise UsageError(
            f"the link is for the server {link.server}, and --server names another",
            hint="leave out --server and MPCNODE_SERVER",
        )
    _check_time(link)


def _check_time(link: "Invitation") -> None:
    from mpcnode.peers.introductions.joining import check_time  # noqa: PLC0415 -- loads what a node needs

    check_time(link, time.time_ns() // 1_000_000)


def _show(options: NodeOptions, wallet: WalletView) -> None:
    if options.json:
        print_line(Result(wallet=wallet))
    else:
        print_data(*wallet_lines(wallet))
