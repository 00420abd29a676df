"""What ``mpcnode sign`` does: one session for each part of a long batch, and no signature that was made is lost."""

import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from mpcnode import status
from mpcnode.cli.actions.contents import contents, from_hex
from mpcnode.cli.actions.node import as_node
from mpcnode.cli.loop import run_orderly
from mpcnode.cli.options import SUITES, NodeOptions, home_or_default, peer_ids
from mpcnode.cli.terminal.describe import signature_lines
from mpcnode.cli.terminal.output import Json, Output, log_to_stderr, open_output, print_data, say
from mpcnode.cli.terminal.prompts import TerminalUser
from mpcnode.cli.terminal.text import escape
from mpcnode.control.client import ControlClient
from mpcnode.control.lines import Result, SignArguments
from mpcnode.control.requests import sign_request
from mpcnode.errors import Interrupted, KeystoreUnwritable, MpcError, UsageError
from mpcnode.keystore.store import Home
from mpcnode.session.wallets import find_wallet, read_header
from mpcnode.types import PeerId

if TYPE_CHECKING:  # a command that finds a running node does not load what only a node needs
    from mpcnode.node import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What ``sign`` was asked for, as its options say it."""

    wallet: str
    text: str | None
    hex: str | None
    file: Path | None
    batch: Path | None
    suite: str | None
    with_peers: tuple[str, ...]
    merkle_root: str | None

    def arguments(self, answer_within: float) -> SignArguments:
        """Read it.

        Raises:
            UsageError: it is not of its form.
            ConfigurationError: a file cannot be read.
        """
        given = {"--message": self.text, "--hex": self.hex, "--file": self.file, "--batch": self.batch}
        reading, messages = contents(given, to="sign")
        return SignArguments(
            wallet=self.wallet,
            messages=tuple(one.hex() for one in messages),
            reading=reading,
            suite=None if self.suite is None else _suite(self.suite),
            with_peers=_signers(self.with_peers),
            merkle_root=None if self.merkle_root is None else _merkle_root(self.merkle_root, self.suite),
            answer_within=answer_within,
        )


def make_signatures(options: NodeOptions, asked: Asked, *, out: Path | None) -> None:
    """Sign, by the running node or by one of our own.

    What was signed is printed also where a later session of the batch fails.

    Raises:
        UsageError: the messages cannot be signed; nothing was asked or dialled.
        KeystoreUnwritable: ``out`` cannot be written; the signatures were printed.
        MpcError: why there is no signature, or not every one.
    """
    log_to_stderr(verbose=options.verbose)
    arguments = asked.arguments(options.answer_seconds)
    portions = _portions(arguments)
    signed: list[status.SignatureView] = []
    try:
        if not run_orderly(lambda: _by_running_node(options, portions, signed)):
            _by_own_node(options, portions, signed)
    except MpcError as error:
        if signed:
            error.saved = _keep(_together(signed), len(arguments.messages), out, options)
        raise
    signature = _together(signed)
    _print(signature, options)
    if out is not None:
        write_out(out, signature)


def _suite(name: str) -> str:
    suite = SUITES.get(name, name)
    if suite not in SUITES.values():
        raise UsageError(f"there is no ciphersuite {name!a}", hint=f"--suite is one of {', '.join(SUITES)}")
    return suite


def _signers(given: tuple[str, ...]) -> tuple[PeerId, ...]:
    names = peer_ids(given, "--with")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UsageError(f"--with names {twice[0]} twice", hint="name each of the other signers once")
    return names


def _merkle_root(root: str, suite: str | None) -> str:
    # Found here and not by the others: they would refuse it, each of them having been asked for nothing.
    if suite is None or _suite(suite) != SUITES["taproot"]:
        raise UsageError("only Taproot keys are tweaked with a script tree", hint="add --suite taproot")
    return from_hex(root, "--merkle-root").hex()


def _portions(arguments: SignArguments) -> list[SignArguments]:
    """Cut a batch where a node would cut it.

    A command of its own for each: when one fails, what came before it has arrived here already.
    """
    cut = sign_request(arguments).portions("", 0)
    return [msgspec.structs.replace(arguments, messages=portion.messages) for portion in cut]


async def _by_running_node(
    options: NodeOptions, portions: list[SignArguments], signed: list[status.SignatureView]
) -> bool:
    """Have the running node sign; False where none runs."""
    with open_output(json=options.json) as output:
        for portion in portions:
            client = await ControlClient.connect(home_or_default(options.home))
            if client is None:
                if signed:
                    raise Interrupted("the node under this home stopped", hint="see what it said where it ran")
                return False
            async with client:
                signed.append(await client.sign(portion, user=TerminalUser(output), emit=output.event))
    return True


def _by_own_node(options: NodeOptions, portions: list[SignArguments], signed: list[status.SignatureView]) -> None:
    # A wallet that is not here is no reason to ask for a passphrase, to make a home, or to tell anybody of us.
    home = Home.open(home_or_default(options.home), create=False)
    find_wallet(((one, read_header(one)) for one in home.list_wallets()), portions[0].wallet)

    async def sign(node: "Node", user: TerminalUser, output: Output) -> None:
        del user, output
        for portion in portions:
            signed.append(await node.sign(sign_request(portion)))  # noqa: PERF401 -- each is kept as it comes

    as_node(options, sign, accept="none")


def _together(signed: list[status.SignatureView]) -> status.SignatureView:
    """The sessions of one batch as one answer: ``signers`` is everybody who signed any of it."""
    failures = [failure for one in signed for failure in one.failures]
    return msgspec.structs.replace(
        signed[-1],
        messages=tuple(message for one in signed for message in one.messages),
        signatures=tuple(signature for one in signed for signature in one.signatures),
        signers=tuple(sorted({name for one in signed for name in one.signers})),
        attempts=max(one.attempts for one in signed),
        failures=tuple(failure for n, failure in enumerate(failures) if failure not in failures[:n]),
    )


def _print(signature: status.SignatureView, options: NodeOptions) -> None:
    if options.json:
        Json().line(Result(signature=signature))
    else:
        print_data(*signature_lines(signature))


def _keep(signature: status.SignatureView, wanted: int, out: Path | None, options: NodeOptions) -> str:
    """Hand over the signatures of a batch that ends early; give what to say about them."""
    _print(signature, options)
    where = "above"
    if out is not None:
        try:
            write_out(out, signature)
        except KeystoreUnwritable as error:
            say(f"warning: {escape(error.message, 1000)}")
        else:
            where = f"above and in {out}"
    return f"the first {len(signature.signatures)} of {wanted} messages are signed; their signatures stand {where}"


def write_out(out: Path, signature: status.SignatureView) -> None:
    """Write signatures to a file, one a line: the whole of them, or what was there before.

    Signatures are no secret, so who may read a new file is the umask's to say.

    Raises:
        KeystoreUnwritable: it cannot be written.
    """
    data = "".join(f"{one}\n" for one in signature.signatures).encode("ascii")
    try:
        _replace(out.expanduser(), data)
    except OSError as error:
        raise KeystoreUnwritable(
            f"cannot write {out}: {error.strerror}",
            hint="copy them from the output, or write to another file",
            saved="the signatures stand above",
        ) from error


def _replace(path: Path, data: bytes) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and not stat.S_ISREG(mode):  # a pipe or a terminal takes what comes
        path.write_bytes(data)
        return
    target = Path(os.path.realpath(path))  # what a symbolic link names is replaced, and not the link
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(fd, "wb") as stream:
            if mode is not None:
                os.fchmod(fd, stat.S_IMODE(mode))
            stream.write(data)
            stream.flush()
            os.fsync(fd)
        temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
