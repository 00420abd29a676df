"""``mpcnode wallets``: list and show."""

from typing import Annotated, Final

import typer

from mpcnode.cli.options import HomeOption, JsonOption, VerboseOption, home_or_default

EXAMPLES: Final = """\b
Examples:
  mpcnode wallets list
  mpcnode wallets show treasury
  mpcnode wallets list --json | jq -r 'select(.state == "active") | .name'"""

app = typer.Typer(help="List and show wallets; needs no passphrase.", epilog=EXAMPLES)

WalletArgument = Annotated[
    str, typer.Argument(metavar="WALLET", help="A wallet's name, or the beginning of its id.", show_default=False)
]


@app.command("list", epilog=EXAMPLES)
def list_(*, home: HomeOption = None, json: JsonOption = False, verbose: VerboseOption = False) -> None:
    """List the wallets of this home."""
    from mpcnode.cli.node_commands import list_wallets  # noqa: PLC0415 -- what is heavy waits for its command

    list_wallets(home_or_default(home), json=json, verbose=verbose)


@app.command("show", epilog=EXAMPLES)
def show(
    wallet: WalletArgument, *, home: HomeOption = None, json: JsonOption = False, verbose: VerboseOption = False
) -> None:
    """Show one wallet: participants, certificate, group public keys."""
    from mpcnode.cli.node_commands import show_wallet  # noqa: PLC0415 -- what is heavy waits for its command

    show_wallet(home_or_default(home), wallet, json=json, verbose=verbose)
