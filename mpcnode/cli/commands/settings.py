"""``mpcnode settings``: what this home remembers for every command."""

from typing import Annotated, Final, Literal

import typer

from mpcnode.cli.options import HomeOption, JsonOption, VerboseOption

EXAMPLES: Final = """\b
Examples:
  mpcnode settings                                            # where the home is, and what it remembers
  mpcnode settings --server wss://mpc.example --room treasury
  mpcnode settings --forget room"""

ServerOption = Annotated[
    str | None, typer.Option("--server", metavar="URL", help="The signaling server from now on.", show_default=False)
]
RoomOption = Annotated[
    str | None, typer.Option("--room", metavar="ROOM", help="The room from now on.", show_default=False)
]
ForgetOption = Annotated[Literal["server", "room"] | None, typer.Option("--forget", help="Remember this no more.")]


def settings(
    *,
    server: ServerOption = None,
    room: RoomOption = None,
    forget: ForgetOption = None,
    home: HomeOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Show or change what this home remembers: its server, its room and its last name.

    An option on the command line or in the environment goes first. No node may run under this home while it is changed.
    """
    from mpcnode.cli.actions.settings import change_settings  # noqa: PLC0415 -- what is heavy waits for its command

    change_settings(
        home, server=server, room=room, forget=() if forget is None else (forget,), json=json, verbose=verbose
    )
