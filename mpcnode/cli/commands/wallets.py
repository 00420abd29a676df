"""``mpcnode wallets``: list and show."""

from typing import Annotated, Final, Literal

import typer

from mpcnode.cli.options import (
    HomeOption,
    JsonOption,
    PassphraseFdOption,
    PassphraseFileOption,
    VerboseOption,
    home_or_default,
)
from mpcnode.errors import UsageError

EXAMPLES: Final = """\b
Examples:
  mpcnode wallets
  mpcnode wallets list
  mpcnode wallets show treasury
  mpcnode wallets show treasury --network testnet --passphrase-file pass.txt
  mpcnode wallets show treasury --pem --suite ed25519 > treasury.pem
  mpcnode wallets list --json | jq -r 'select(.state == "active") | .name'"""

app = typer.Typer(epilog=EXAMPLES, invoke_without_command=True)

WalletArgument = Annotated[
    str, typer.Argument(metavar="WALLET", help="A wallet's name, or the beginning of its id.", show_default=False)
]
AddressesOption = Annotated[
    bool,
    typer.Option(
        "--addresses/--no-addresses", help="Open the wallet for its addresses, or show what needs no passphrase."
    ),
]
NetworkOption = Annotated[
    Literal["mainnet", "testnet", "signet", "regtest"],
    typer.Option("--network", help="Which Bitcoin the Taproot address is for."),
]
EthereumOption = Annotated[bool, typer.Option("--ethereum", help="Say why a wallet has no Ethereum address.")]
PemOption = Annotated[bool, typer.Option("--pem", help="Print the public keys as PEM, and nothing else.")]
DerOption = Annotated[bool, typer.Option("--der", help="Write one public key as DER to stdout, and nothing else.")]
SuiteOption = Annotated[
    str | None,
    typer.Option(
        "--suite", metavar="SUITE", help="Whose public key: ed25519, taproot or a full name.", show_default="all"
    ),
]


@app.callback()
def wallets(
    context: typer.Context, *, home: HomeOption = None, json: JsonOption = False, verbose: VerboseOption = False
) -> None:
    """List and show wallets; without a subcommand, list them."""
    if context.invoked_subcommand is None:
        list_(home=home, json=json, verbose=verbose)
        return
    # What stands before the subcommand would be read here and dropped: another home's wallets would be shown.
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is not None and source.name == "COMMANDLINE":
            name = max(parameter.opts, key=len)
            raise UsageError(
                f"{name} stands before {context.invoked_subcommand!r}",
                hint=f"write it after {context.invoked_subcommand!r}",
            )


@app.command("list", epilog=EXAMPLES)
def list_(*, home: HomeOption = None, json: JsonOption = False, verbose: VerboseOption = False) -> None:
    """List the wallets of this home; needs no passphrase."""
    from mpcnode.cli.actions.wallets import list_wallets  # noqa: PLC0415 -- what is heavy waits for its command

    list_wallets(home_or_default(home), json=json, verbose=verbose)


@app.command("show", short_help="Show one wallet, with its addresses.", epilog=EXAMPLES)
def show(
    wallet: WalletArgument,
    *,
    addresses: AddressesOption = True,
    network: NetworkOption = "mainnet",
    ethereum: EthereumOption = False,
    pem: PemOption = False,
    der: DerOption = False,
    suite: SuiteOption = None,
    home: HomeOption = None,
    passphrase_file: PassphraseFileOption = None,
    passphrase_fd: PassphraseFdOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Show one wallet: participants, certificate, group public keys, addresses on Solana and Bitcoin.

    A program that can write to this home can forge the public part of a wallet's file, so addresses are shown only
    after the wallet was opened with the passphrase. Without one, and without a terminal to ask on, the rest is shown.
    This works while a node runs under this home, too.

    A pending wallet has no addresses, and no wallet has one on Ethereum.
    """
    from mpcnode.cli.actions.wallets import Show, show_wallet  # noqa: PLC0415 -- what is heavy waits for its command

    if pem and der:
        raise UsageError("--pem and --der are two forms of one key", hint="leave one of them out")
    show_wallet(
        Show(
            home=home_or_default(home),
            wanted=wallet,
            addresses=addresses,
            network=network,
            ethereum=ethereum,
            form="pem" if pem else "der" if der else None,
            suite=suite,
            passphrase_file=passphrase_file,
            passphrase_fd=passphrase_fd,
            json=json,
            verbose=verbose,
        )
    )
