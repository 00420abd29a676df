"""``mpcnode join``: take part in a wallet that somebody else invites to."""

from typing import Annotated, Final, Literal

import typer

from mpcnode.cli.commands.pair import code_words
from mpcnode.cli.options import NodeOptions, StopWithStdinOption, with_node_options

EXAMPLES: Final = """\b
Examples:
  mpcnode join 12-aardvark-adviser --server wss://mpc.example     # a code that you were told
  mpcnode join 'mpcnode:join?v=1&s=wss://mpc.example&i=...'       # a link, which names its server"""

InvitationArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="CODE|LINK",
        help="The code, in any case, with dashes or spaces; or the link, in quotes.",
        show_default=False,
        autocompletion=code_words,
    ),
]
JoinAcceptOption = Annotated[
    Literal["ask", "auto"],
    typer.Option("--accept", help="Take part in the wallet that is proposed: ask, or without a question."),
]
StayOption = Annotated[
    bool, typer.Option("--stay", help="Stay when the wallet is made, as 'mpcnode register' does, until Ctrl-C.")
]


@with_node_options(without=("room", "contacts_only", "answer_seconds", "warm_seconds"))
def join(
    *,
    invitation: InvitationArgument,
    accept: JoinAcceptOption = "ask",
    stay: StayOption = False,
    stop_with_stdin: StopWithStdinOption = False,
    options: NodeOptions,
) -> None:
    """Take part in a wallet that somebody else makes with 'mpcnode create-wallet --invite'.

    A code verifies both sides. A link verifies its maker alone: it shows the wallet's proposal, and everybody compares
    six words. This node takes part in nothing but that. A home is made on the way where there is none.
    """
    from mpcnode.cli.actions.join import join_wallet  # noqa: PLC0415 -- what is heavy waits for its command

    join_wallet(options, invitation=" ".join(invitation), accept=accept, stay=stay, stop_with_stdin=stop_with_stdin)
