"""``mpcnode sign``: sign together with others."""

import hashlib
from pathlib import Path
from typing import Annotated, Final

import typer

from mpcnode.cli.options import (
    DEFAULT_SERVER,
    AnswerSecondsOption,
    CaFileOption,
    HomeOption,
    IceServerOption,
    JsonOption,
    LoopbackOption,
    NodeOptions,
    PassphraseFdOption,
    PassphraseFileOption,
    PeerIdOption,
    RoomOption,
    RoundSecondsOption,
    ServerOption,
    VerboseOption,
)
from mpcnode.cli.options import peer_id as parse_peer_id_option
from mpcnode.errors import ConfigurationError, UsageError
from mpcnode.types import PeerId, Reading

EXAMPLES: Final = """\b
Examples:
  mpcnode sign --wallet treasury --message "hello"
  mpcnode sign --wallet treasury --file transaction.bin --suite taproot --out transaction.sig
  mpcnode sign --wallet treasury --batch lines.txt --with cli2"""

SUITES: Final = {
    "ed25519": "FROST-ED25519-SHA512-v1",
    "taproot": "FROST-secp256k1-SHA256-TR-v1",
    "secp256k1": "FROST-secp256k1-SHA256-v1",
}
MAX_BATCH_FILE: Final = 4 * 1024 * 1024

WalletOption = Annotated[str, typer.Option("--wallet", "-w", metavar="NAME", help="The wallet, by name or id.")]
MessageOption = Annotated[str | None, typer.Option("--message", "-m", metavar="TEXT", help="Sign this text, as UTF-8.")]
HexOption = Annotated[str | None, typer.Option("--hex", metavar="HEX", help="Sign these bytes.")]
FileOption = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="Sign the SHA-256 of this file, 32 bytes.")
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
WithOption = Annotated[
    list[str] | None,
    typer.Option(
        "--with", metavar="PEERS", help="The other signers, with commas between.", show_default="who is first"
    ),
]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="Write the signatures there too, one a line.")
]
MerkleRootOption = Annotated[
    str | None,
    typer.Option("--merkle-root", metavar="HEX", help="For taproot: sign for the key tweaked with this script tree."),
]


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
    home: HomeOption = None,
    server: ServerOption = DEFAULT_SERVER,
    peer_id: PeerIdOption = None,
    room: RoomOption = "public",
    ice_server: IceServerOption = None,
    loopback: LoopbackOption = False,
    ca_file: CaFileOption = None,
    answer_seconds: AnswerSecondsOption = 120,
    round_seconds: RoundSecondsOption = 60,
    passphrase_file: PassphraseFileOption = None,
    passphrase_fd: PassphraseFdOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Sign with a wallet, together with as many others as it needs.

    Everybody who is there is asked; the first that accept sign. Each of them sees the message from its own copy first.
    """
    from mpcnode.cli.signing import make_signatures  # noqa: PLC0415 -- what is heavy waits for its command
    from mpcnode.control.lines import SignArguments  # noqa: PLC0415 -- same

    reading, messages = _messages(message, hex_message, file, batch)
    options = NodeOptions(
        home=home,
        server=server,
        peer_id=peer_id,
        room=room,
        contacts_only=False,
        yes=True,
        ice_servers=tuple(ice_server or ()),
        loopback=loopback,
        ca_file=ca_file,
        answer_seconds=answer_seconds,
        round_seconds=round_seconds,
        kdf="default",
        passphrase_file=passphrase_file,
        passphrase_fd=passphrase_fd,
        json=json,
        verbose=verbose,
    )
    arguments = SignArguments(
        wallet=wallet,
        messages=tuple(one.hex() for one in messages),
        reading=reading,
        suite=None if suite is None else _suite(suite),
        with_peers=_signers(with_peers or []),
        merkle_root=None if merkle_root is None else _merkle_root(merkle_root, suite),
        answer_within=answer_seconds,
    )
    make_signatures(options, arguments, out=out)


def _messages(
    text: str | None, hex_text: str | None, file: Path | None, batch: Path | None
) -> tuple[Reading, tuple[bytes, ...]]:
    given = [name for name, value in zip(_SOURCES, (text, hex_text, file, batch), strict=True) if value is not None]
    if len(given) != 1:
        raise UsageError(
            f"{' and '.join(given) if given else 'nothing'} given to sign", hint=f"give one of {', '.join(_SOURCES)}"
        )
    if text is not None:
        return "text", (text.encode("utf-8", errors="surrogateescape"),)
    if hex_text is not None:
        return "hex", (_hex(hex_text, "--hex"),)
    if file is not None:
        return "file", (file_hash(file),)
    assert batch is not None
    return "text", _lines(batch)


def _lines(path: Path) -> tuple[bytes, ...]:
    """The messages of a batch: lines as of a text file, each of which somebody can be shown."""
    from mpcnode.wire.relay import MAX_MESSAGE_BYTES, check_reading  # noqa: PLC0415 -- `--help` must not wait for it

    data = _read(path, limit=MAX_BATCH_FILE)
    # At line feeds alone: a carriage return inside a line, or any other mark that ends lines somewhere, is signed.
    lines = tuple(line.removesuffix(b"\r") for line in data.removesuffix(b"\n").split(b"\n"))
    if not data:
        raise UsageError(f"there is no line in {path}", hint="one message a line")
    for number, line in enumerate(lines, 1):
        if not line:
            raise UsageError(f"line {number} of {path} is empty", hint="take it out; an empty text has --message ''")
        if len(line) > MAX_MESSAGE_BYTES:
            raise UsageError(
                f"line {number} of {path} has {len(line)} bytes; a message is at most {MAX_MESSAGE_BYTES} bytes",
                hint="sign the hash of a file with --file",
            )
        try:
            check_reading("text", [line])
        except ValueError:
            raise UsageError(
                f"line {number} of {path} is not UTF-8", hint="bytes that are no text are signed with --hex"
            ) from None
    return lines


def _suite(name: str) -> str:
    suite = SUITES.get(name, name)
    if suite not in SUITES.values():
        raise UsageError(f"there is no ciphersuite {name!a}", hint=f"--suite is one of {', '.join(SUITES)}")
    return suite


def _signers(given: list[str]) -> tuple[PeerId, ...]:
    names = [parse_peer_id_option(name, "--with") for part in given for name in part.split(",") if name]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UsageError(f"--with names {twice[0]} twice", hint="name each of the other signers once")
    return tuple(names)


def _merkle_root(root: str, suite: str | None) -> str:
    # Found here and not by the others: they would refuse it, each of them having been asked for nothing.
    if suite is None or _suite(suite) != SUITES["taproot"]:
        raise UsageError("only Taproot keys are tweaked with a script tree", hint="add --suite taproot")
    return _hex(root, "--merkle-root").hex()


def file_hash(path: Path) -> bytes:
    """Give the SHA-256 of a file.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error


def _read(path: Path, *, limit: int) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > limit:
        raise UsageError(f"{path} is longer than {limit} bytes", hint="sign it in parts")
    return data


def _hex(text: str, option: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise UsageError(f"{option} is not hexadecimal", hint="two digits a byte, such as 68656c6c6f") from error


_SOURCES: Final = ("--message", "--hex", "--file", "--batch")
