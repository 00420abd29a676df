"""``mpcnode verify``: check a signature, without any wallet, home or server."""

from pathlib import Path
from typing import Annotated, Final

import typer

from mpcnode.cli.options import JsonOption, VerboseOption

EXAMPLES: Final = """\b
Examples:
  mpcnode verify --pubkey d5bd...b3b0 --signature 92a0...7101 --message "hello"
  mpcnode verify --pubkey treasury.pem --signature @transaction.sig --file transaction.bin --suite taproot

\b
Exit codes: 0 the signature is valid, 4 it is not, 2 an option is malformed."""

PubkeyOption = Annotated[
    str,
    typer.Option(
        "--pubkey",
        metavar="KEY|FILE",
        help="The public key: hexadecimal, base 58, base 64, OpenSSH, or a file of one, PEM, DER; - is standard input.",
    ),
]
SignatureOption = Annotated[
    str,
    typer.Option(
        "--signature",
        metavar="SIGNATURE|@FILE",
        help="The signature: hexadecimal, base 58, base 64, or after @ the file it stands in; - is standard input.",
    ),
]
MessageOption = Annotated[
    str | None, typer.Option("--message", "-m", metavar="TEXT", help="What was signed: this text, as UTF-8.")
]
HexOption = Annotated[str | None, typer.Option("--hex", metavar="HEX", help="What was signed: these bytes.")]
FileOption = Annotated[
    Path | None,
    typer.Option(
        "--file", metavar="FILE", help="What was signed: the SHA-256 of this file, as 'mpcnode sign --file' does."
    ),
]
SuiteOption = Annotated[
    str | None,
    typer.Option(
        "--suite",
        metavar="SUITE",
        help="ed25519 (RFC 8032), taproot (BIP-340), secp256k1 (RFC 9591), or the ciphersuite's full name.",
        show_default="what key and signature can be",
    ),
]


def verify(
    *,
    pubkey: PubkeyOption,
    signature: SignatureOption,
    message: MessageOption = None,
    hex_message: HexOption = None,
    file: FileOption = None,
    suite: SuiteOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Check a signature; needs no wallet, no passphrase and no server.

    The options say what was signed, as those of 'mpcnode sign' do: --message and --file sign a hash under a name of
    their own, --hex signs the bytes themselves. So a signature that another program made is checked with --hex, be it
    RFC 8032 Ed25519 or BIP-340. A key of 32 bytes may be of either kind: without --suite both are tried.
    """
    from mpcnode.cli.actions.verify import verify_signature  # noqa: PLC0415 -- what is heavy waits for its command

    verify_signature(
        pubkey=pubkey,
        signature=signature,
        text=message,
        hex_text=hex_message,
        file=file,
        suite=suite,
        json=json,
        verbose=verbose,
    )
