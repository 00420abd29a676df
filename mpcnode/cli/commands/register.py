"""``mpcnode register``: run this node."""

from typing import Annotated, Final

import typer

from mpcnode.cli.options import Accept, NodeOptions, StopWithStdinOption, with_node_options

EXAMPLES: Final = """\b
Examples:
  mpcnode register --peer-id cli2
  mpcnode register --server wss://mpc.example --room treasury --accept contacts
  mpcnode register --json --accept auto --yes --passphrase-file pass.txt"""

AcceptOption = Annotated[
    Accept,
    typer.Option(
        "--accept",
        envvar="MPCNODE_ACCEPT",
        help="Take part in a proposal: ask each time, always, only among verified contacts, or never.",
    ),
]


@with_node_options()
def register(
    *, accept: AcceptOption = "ask", stop_with_stdin: StopWithStdinOption = False, options: NodeOptions
) -> None:
    """Run this node: register, stay, show peers, answer proposals.

    While it runs, every other command under the same home is carried out by it.

    A policy can say what a wallet signs without a question, and for which peers. It stands beside the wallet, in
    wallets/<wallet id>/policy.yaml, and answers in place of --accept. See the README.
    """
    from mpcnode.cli.actions.register import run_node  # noqa: PLC0415 -- what is heavy waits for its command

    run_node(options, accept=accept, stop_with_stdin=stop_with_stdin)
