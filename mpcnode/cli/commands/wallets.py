"""``mpcnode wallets``: list, show and delete."""

from typing import Annotated, Final, Literal

import typer

from mpcnode.cli.options import (
    Family,
    HomeOption,
    JsonOption,
    PassphraseFdOption,
    PassphraseFileOption,
    VerboseOption,
    WalletArgument,
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
  mpcnode wallets delete draft     # a pending wallet that the others gave up
  mpcnode wallets list --json | jq -r 'select(.state == "active") | .name'"""

app = typer.Typer(cls=Family, epilog=EXAMPLES, invoke_without_command=True)

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
    """List, show and delete wallets; alone, list."""
    if context.invoked_subcommand is None:
        list_(home=home, json=json, verbose=verbose)


@app.command("list", epilog=EXAMPLES)
def list_(*, home: HomeOption = None, json: JsonOption = False, verbose: VerboseOption = False) -> None:
    """List the wallets of this home; needs no passphrase."""
    from mpcnode.cli.actions.wallets import list_wallets  # noqa: PLC0415 -- what is heavy waits for its command

    list_wallets(home, json=json, verbose=verbose)


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


@app.command("delete", short_help="Move a pending wallet to the trash.", epilog=EXAMPLES)
def delete(wallet: WalletArgument, *, home: HomeOption = None, verbose: VerboseOption = False) -> None:
    """Move this node's share of a pending wallet to the trash of the home; a person has to type the wallet's name.

    For a wallet that cannot become active because a participant gave up before everybody's share was stored. What is
    known of the others is shown first: where they have everybody's word, their wallet is active without this share.

    The share stays in HOME/trash until you erase it. A wallet that is active is not deleted.
    No node may run under this home meanwhile.
    """
    from mpcnode.cli.actions.wallets import delete_pending  # noqa: PLC0415 -- what is heavy waits for its command

    delete_pending(home_or_default(home), wallet, verbose=verbose)
