"""``mpcnode sign``: sign together with others."""

from pathlib import Path
from typing import Annotated, Final

import typer

from mpcnode.cli.options import NodeOptions, WithOption, wallet_names, with_node_options

EXAMPLES: Final = """\b
Examples:
  mpcnode sign --wallet treasury --message "hello"
  mpcnode sign --wallet treasury --file transaction.bin --suite taproot --out transaction.sig
  mpcnode sign --wallet treasury --batch lines.txt --with cli2
  git rev-parse HEAD | mpcnode sign --wallet treasury --message - --raw"""

WalletOption = Annotated[
    str, typer.Option("--wallet", "-w", metavar="NAME", help="The wallet, by name or id.", autocompletion=wallet_names)
]
MessageOption = Annotated[
    str | None,
    typer.Option("--message", "-m", metavar="TEXT", help="Sign this text, as UTF-8; - reads it from standard input."),
]
HexOption = Annotated[str | None, typer.Option("--hex", metavar="HEX", help="Sign these bytes as they are.")]
FileOption = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="Sign the SHA-256 of this file; - is standard input.")
]
BatchOption = Annotated[
    Path | None,
    typer.Option("--batch", metavar="FILE", help="Sign each line of this file, one text a line, without its line end."),
]
SuiteOption = Annotated[
    str | None,
    typer.Option(
        "--suite", metavar="SUITE", help="ed25519, taproot or the ciphersuite's full name.", show_default="ed25519"
    ),
]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="Write the signatures there too, one a line.")
]
RawOption = Annotated[
    bool, typer.Option("--raw", help="Print the signatures alone, one a line in hexadecimal, and nothing else.")
]
MerkleRootOption = Annotated[
    str | None,
    typer.Option("--merkle-root", metavar="HEX", help="For taproot: sign for the key tweaked with this script tree."),
]


@with_node_options(without=("contacts_only", "yes", "confirm_seconds", "warm_seconds", "kdf"))
def sign(
    *,
    wallet: WalletOption,
    message: MessageOption = None,
    hex_message: HexOption = None,
    file: FileOption = None,
    batch: BatchOption = None,
    suite: SuiteOption = None,
    with_peers: WithOption = None,
    merkle_root: MerkleRootOption = None,
    out: OutOption = None,
    raw: RawOption = False,
    options: NodeOptions,
) -> None:
    """Sign with a wallet, together with as many others as it needs.

    All participants that are there are asked, and the first that accept sign. Each sees the message from its own copy.
    """
    from mpcnode.cli.actions.sign import Asked, make_signatures  # noqa: PLC0415 -- what is heavy waits for its command

    make_signatures(
        options,
        Asked(
            wallet=wallet,
            text=message,
            hex=hex_message,
            file=file,
            batch=batch,
            suite=suite,
            with_peers=tuple(with_peers or ()),
            merkle_root=merkle_root,
        ),
        out=out,
        raw=raw,
    )
