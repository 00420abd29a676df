"""What ``mpcnode create-wallet --invite`` does."""

import asyncio
import os
import secrets
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from mpcnode import status
from mpcnode.cli.actions.invited import Invited
from mpcnode.cli.actions.node import Emit, Place, as_node, check_no_node, check_options, settings_of
from mpcnode.cli.options import DEFAULT_SERVER, NodeOptions, expanded, home_or_default
from mpcnode.cli.terminal.describe import clock
from mpcnode.cli.terminal.output import draw, print_data, say, size_of
from mpcnode.cli.terminal.prompts import has_terminal, read_line
from mpcnode.cli.terminal.text import escape, quoted
from mpcnode.commands import Invite
from mpcnode.errors import ConfigurationError, UsageError
from mpcnode.types import PeerId, parse_peer_id

if TYPE_CHECKING:
    from mpcnode.keystore.keyring import Keyring
    from mpcnode.node import Node
    from mpcnode.peers.introductions.inviting import Inviting

_HERE: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_CODE_ROWS: Final = 3
_TYPE: Final = "to type here: refuse NAME takes a place back; code makes a new code; qr draws the link; then Enter"


def invite_to_wallet(options: NodeOptions, command: Invite, shown: Invited) -> status.WalletView:
    """Invite, wait for all who are missing, and make the wallet with them.

    Raises:
        UsageError: the options make no sense together.
        HomeInUse: a node runs under the home.
        MpcError: why there is no wallet.
    """
    if options.room is not None:
        raise UsageError("an invitation has a room of its own", hint="leave out --room and MPCNODE_ROOM")
    check_options(options)
    check_no_node(options)
    if shown.picture is not None and shown.picture.exists():
        raise UsageError(f"there is a file {str(shown.picture)!a} already", hint="correct --qr")
    server = options.server or settings_of(home_or_default(options.home)).server or DEFAULT_SERVER

    async def find(_keyring: "Keyring") -> Place:
        return Place(server, secrets.token_hex(16))

    async def invite(node: "Node", emit: Emit) -> status.WalletView:
        desk = _Desk(options, command, shown, emit)
        inviting = desk.inviting = node.invite(command, emit=desk.take)
        listening = asyncio.create_task(desk.listen()) if _types(options, shown) else None
        desk.listening = listening
        try:
            wallet = await node.make_with_invited(command, inviting, emit=desk.take)
        finally:
            if listening is not None:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
        await node.remember()
        return wallet

    return as_node(options, invite, accept="none", find=find, stop_with_stdin=shown.stop_with_stdin)


def _types(options: NodeOptions, shown: Invited) -> bool:
    """Whether somebody can type while people join."""
    return has_terminal() and not (options.json or shown.stop_with_stdin)


@dataclass(slots=True)
class _Desk:
    """Shows an invitation to the inviter's user, and does what they type while people join."""

    options: NodeOptions
    command: Invite
    shown: Invited
    emit: Emit
    inviting: "Inviting" = field(init=False)
    listening: "asyncio.Task[None] | None" = None
    _link: str = ""

    def take(self, event: status.Event) -> None:
        """Show an event; codes and the link are what the command was asked for."""
        if isinstance(event, status.Proposed) and self.listening is not None:
            self.listening.cancel()  # nobody is refused any more, and the terminal is for the session
        if self.options.json or not isinstance(event, status.PairingCode | status.Inviting):
            if isinstance(event, status.Inviting):
                self._link = event.link
                self._save()
            self.emit(event)
            return
        if isinstance(event, status.PairingCode):
            self._show_code(event)
        else:
            self._show_link(event)

    async def listen(self) -> None:
        """Do what the user types, until cancelled."""
        while True:
            word, _, rest = (await read_line()).strip().partition(" ")
            match word.lower():
                case "":
                    continue
                case "refuse":
                    self._refuse(rest.strip())
                case "code" if self.command.codes:
                    self.inviting.make_code(self.command.words)
                case "qr":
                    self._draw()
                case _:
                    say(_TYPE)

    def _refuse(self, name: str) -> None:
        peer: PeerId | None = None
        with suppress(ValueError):
            peer = parse_peer_id(name)
        if peer is None or not self.inviting.refuse(peer):
            say(f"{quoted(name, 80)} has not joined; refuse is followed by a name that is shown above")
        else:
            say(
                f"{escape(peer)} is refused, and its key has no place here any more; if it came by the link, others "
                "may have the link too: Ctrl-C ends the invitation, and a new one has another link"
            )

    def _show_code(self, event: status.PairingCode) -> None:
        print_data(event.code)
        if not self.options.quiet:
            there = f" --server {escape(self.options.server, 1100)}" if self.options.server is not None else ""
            say(
                f"a code for one of them, by voice or in person; it works once, until {clock(event.until)}",
                f"    there: mpcnode join {escape(event.code)}{there}",
            )

    def _show_link(self, event: status.Inviting) -> None:
        self._link = event.link
        self._save()
        print_data(event.link)
        if self.options.quiet:
            return
        say(
            f"the link is for all {event.missing} who are missing, until {clock(event.until)}: send it to them alone",
            "    there: mpcnode join 'LINK'",
            "anybody who has seen the link can join by it: look at who joins",
        )
        if urlsplit(self.inviting.invitation.server).hostname in _HERE:
            say("warning: the server is this machine for this machine alone; elsewhere the link leads nowhere")
        if _types(self.options, self.shown):
            say(_TYPE)
        if self.shown.qr:
            self._draw(asked=False)

    def _draw(self, *, asked: bool = True) -> None:
        """Draw the link, where it fits; unasked only where the codes that are shown next leave it on the screen."""
        from mpcnode.cli.terminal.qr import qr_rows  # noqa: PLC0415 -- only where it is drawn

        if not sys.stderr.isatty():
            return
        size = size_of(sys.stderr.fileno())
        rows = qr_rows(self._link, size, colour="NO_COLOR" not in os.environ)
        codes = _CODE_ROWS * (self.command.wallet.total - 1) if self.command.codes else 0
        if rows is None:
            say("the terminal is too small for the link's QR code: use the link, or --qr FILE.png")
        elif not asked and _types(self.options, self.shown) and len(rows) + codes >= size.rows:
            say("type qr to see the link as a QR code")
        else:
            draw(*rows)

    def _save(self) -> None:
        if self.shown.picture is None:
            return
        from mpcnode.cli.terminal.qr import qr_picture  # noqa: PLC0415 -- only where it is drawn

        path = expanded(self.shown.picture)
        try:
            with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
                file.write(qr_picture(self._link))
        except OSError as error:
            raise ConfigurationError(
                f"the QR code cannot be written to {str(path)!a}: {(error.strerror or 'no reason given').lower()}",
                hint="correct --qr",
            ) from None
