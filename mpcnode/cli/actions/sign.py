"""What ``mpcnode sign`` does; no signature that was made is lost."""

import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from mpcnode import status
from mpcnode.cli.actions.contents import contents, from_hex
from mpcnode.cli.actions.node import Emit, by_a_node, check_is_here
from mpcnode.cli.options import SUITES, NodeOptions, expanded, milliseconds, peer_ids, suite_id
from mpcnode.cli.terminal.describe import signature_lines
from mpcnode.cli.terminal.output import log_to_stderr, print_data, print_line, say
from mpcnode.cli.terminal.text import escape
from mpcnode.commands import Sign
from mpcnode.control.lines import Result
from mpcnode.errors import KeystoreUnwritable, MpcError, UsageError


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

    def command(self, answer_within: int) -> Sign:
        """Read it.

        Raises:
            UsageError: it is not of its form.
            ConfigurationError: a file cannot be read.
        """
        given = {"--message": self.text, "--hex": self.hex, "--file": self.file, "--batch": self.batch}
        reading, read = contents(given, to="sign")
        return Sign(
            wallet=self.wallet,
            contents=read,
            reading=reading,
            suite=None if self.suite is None else suite_id(self.suite),
            with_peers=peer_ids(self.with_peers, "--with"),
            merkle_root=self._merkle_root(),
            answer_within=answer_within,
        )

    def _merkle_root(self) -> bytes | None:
        if self.merkle_root is None:
            return None
        # Checked before the others are asked: each of them would refuse.
        if self.suite is None or suite_id(self.suite) != SUITES["taproot"]:
            raise UsageError("only Taproot keys are tweaked with a script tree", hint="add --suite taproot")
        return from_hex(self.merkle_root, "--merkle-root")


def make_signatures(options: NodeOptions, asked: Asked, *, out: Path | None, raw: bool) -> None:
    """Sign, by the running node or by one of our own.

    What was signed is printed even if a later session of the batch fails.

    Raises:
        UsageError: the messages cannot be signed; nothing was asked or dialled.
        KeystoreUnwritable: ``out`` cannot be written; the signatures were printed.
        MpcError: why there is no signature, or not every one.
    """
    log_to_stderr(verbose=options.verbose)
    if raw and options.json:
        raise UsageError("--raw and --json exclude each other", hint="leave one of them out")
    command = asked.command(milliseconds(options.answer_seconds))
    signed: list[status.SignatureView] = []

    def keeping(emit: Emit) -> Emit:
        def tell(event: status.Event) -> None:
            # A long batch is several sessions: the signatures of one are kept even if a later one fails.
            if isinstance(event, status.SessionEnded) and event.signature is not None and event.error is None:
                signed.append(event.signature)
            emit(event)

        return tell

    try:
        signature = by_a_node(
            options,
            ask=lambda client, user, emit: client.sign(command, user=user, emit=keeping(emit)),
            own=lambda node, emit: node.sign(command, emit=keeping(emit)),
            check=lambda: check_is_here(options, command.wallet, others=command.with_peers, suite=asked.suite),
        )
    except MpcError as error:
        if signed:
            error.saved = _keep(_together(signed), len(command.contents), out, options, raw=raw)
        raise
    try:
        _print(signature, options, raw=raw)
    finally:  # also where standard output takes nothing
        if out is not None:
            write_out(out, signature)


def _together(signed: list[status.SignatureView]) -> status.SignatureView:
    """The sessions of one batch as one answer: ``signers`` names every signer of any part."""
    failures = [failure for one in signed for failure in one.failures]
    return msgspec.structs.replace(
        signed[-1],
        messages=tuple(message for one in signed for message in one.messages),
        signed=tuple(message for one in signed for message in one.signed),
        signatures=tuple(signature for one in signed for signature in one.signatures),
        signers=tuple(sorted({name for one in signed for name in one.signers})),
        attempts=max(one.attempts for one in signed),
        failures=tuple(failure for n, failure in enumerate(failures) if failure not in failures[:n]),
    )


def _print(signature: status.SignatureView, options: NodeOptions, *, raw: bool) -> None:
    if raw:
        print_data(*signature.signatures)
    elif options.json:
        print_line(Result(signature=signature))
    else:
        print_data(*signature_lines(signature))


def _keep(signature: status.SignatureView, wanted: int, out: Path | None, options: NodeOptions, *, raw: bool) -> str:
    """Hand over the signatures of a batch that ends early; give what to say about them."""
    _print(signature, options, raw=raw)
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
    """Write signatures to a file, one a line; where that fails, the file is as it was.

    Signatures are not secret, so the umask decides which users may read a new file.

    Raises:
        KeystoreUnwritable: it cannot be written.
    """
    data = "".join(f"{one}\n" for one in signature.signatures).encode("ascii")
    try:
        _replace(expanded(out), data)
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
