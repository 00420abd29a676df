"""``mpcnode settings``: what this home remembers for every command."""

from typing import Annotated, Final, Literal

import typer

from mpcnode.cli.options import HomeOption, JsonOption, VerboseOption

EXAMPLES: Final = """\b
Examples:
  mpcnode settings                                   # where the home is, and what it remembers
  mpcnode settings server wss://mpc.example
  mpcnode settings ice-servers stun:stun.example:3478 @turn.json
  mpcnode settings room --forget"""

Key = Literal["moniker", "server", "room", "ice-servers"]
KeyArgument = Annotated[
    Key | None,
    typer.Argument(metavar="[KEY]", help="moniker, server, room or ice-servers.", show_default="all of them"),
]
ValueArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[VALUE]...", help="From now on; several for ice-servers.", show_default="show what is remembered"
    ),
]
ForgetOption = Annotated[bool, typer.Option("--forget", help="Remember this key no more.")]


def settings(
    *,
    key: KeyArgument = None,
    value: ValueArgument = None,
    forget: ForgetOption = False,
    home: HomeOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Show or change what this home remembers: its name, its server, its room, and STUN and TURN servers.

    An option on the command line or in the environment goes first. What is given when a node first reaches its server
    is remembered where nothing was. No node may run under this home while it is changed.
    """
    from mpcnode.cli.actions.settings import change_setting, show_settings  # noqa: PLC0415 -- what is heavy waits

    if key is not None and (value or forget):
        change_setting(home, key, value or (), forget=forget, json=json, verbose=verbose)
    else:
        show_settings(home, key, forget=forget, json=json, verbose=verbose)
