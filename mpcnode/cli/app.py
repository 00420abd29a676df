"""The command ``mpcnode``: its commands, and the one way out of all of them."""

import errno
import os
import re
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Final, NoReturn

import typer

from mpcnode.cli import plain_values, streams
from mpcnode.cli.commands import (
    audit,
    contacts,
    create_wallet,
    join,
    pair,
    peers,
    refresh,
    register,
    run,
    serve,
    settings,
    sign,
    verify,
    wallets,
)
from mpcnode.cli.commands import help as help_
from mpcnode.cli.terminal.text import error_lines
from mpcnode.errors import ConfigurationError, Interrupted, MpcError, OutputUnwritable, UsageError

_EPILOG: Final = """\b
Three terminals and a server make a wallet:
  mpcnode serve
  mpcnode register --home ~/cli2 --peer-id cli2
  mpcnode register --home ~/cli3 --peer-id cli3
  mpcnode create-wallet --home ~/cli1 --peer-id cli1 --threshold 2 --total 3

\b
More: mpcnode help environment | exit-codes | trust, and mpcnode COMMAND --help."""

_WORDS: Final = (
    (re.compile(r"\b(?:Value|Assertion) error, "), ""),
    (re.compile(r"Input should be a valid integer.*"), "it has to be a whole number"),
    (re.compile(r"Input should be a valid number.*"), "it has to be a number"),
    (re.compile(r"Input should be less than or equal to (\S+)"), r"it has to be at most \1"),
    (re.compile(r"Input should be greater than or equal to (\S+)"), r"it has to be at least \1"),
)
"""What the libraries that read options say -> how this program says it."""
_HINTS: Final = {
    "usage": "see `mpcnode help`",
    "no_terminal": "run this on a terminal",
    "home_in_use": "wait for the other command, or use another --home",
    "output_unwritable": "free some space where the output goes",
    "signature_invalid": "check key, message and reading: see `mpcnode verify --help`",
    "contact_changed": "ask its owner; after a new set-up there: `mpcnode contacts remove NAME`",
    "identity_check_failed": "somebody may stand between you: try another server with --server",
    "wrong_code": "make a new code with `mpcnode pair`; this one is used up",
    "code_crowded": "make a new code with `mpcnode pair`, and tell it to one person alone",
    "code_over": "ask for a new code; check the number and --server",
    "invitation_over": "ask for a new invitation: `mpcnode create-wallet --invite` makes one",
    "pairing_stopped": "pair again with a new code",
    "words_differ": "make no wallet here: call the others, and use another server with --server",
    "disagreement": "start again; if it happens again, compare with the others what each screen says",
    "inconsistent_broadcast": "start again; if it happens again, compare with the others what each screen says",
    "clocks_apart": "set the clock of this machine or of the other",
    "unanswered": "answer sooner, or have the proposer give more --answer-seconds",
    "words_unanswered": "start again, with more --confirm-seconds",
    "configuration": "see `mpcnode help environment`; -v says where it was found",
    "absent": "see `mpcnode wallets list`",
    "unreadable": "restore the file from a copy of the home; `mpcnode wallets list` says which can be read",
    "unwritable": "free some space, or make the home writable for this user",
    "wrong_passphrase": "try again; nobody can replace a passphrase that is lost",
    "newer_version": "use the mpcnode that wrote it",
    "peer_incompatible": "use the same mpcnode everywhere",
    "server_unreachable": "check --server; `mpcnode serve` starts one",
    "server_refused": "ask who runs the server, or use another with --server",
    "name_taken": "choose another name with --peer-id",
    "link_failed": "look at firewalls; --ice-server names a STUN or TURN server",
    "participant_refused": "ask its owner, or name others with --with",
    "participant_silent": "start `mpcnode register` there, in the same --room",
    "participant_stopped": "ask its user, then start again",
    "participant_aborted": "see what the participants that it names say on their own screens, then start again",
    "participant_cheated": "leave it out with --with; its owner may not know: ask",
    "refused": "see `mpcnode register --help` about --accept, and policy.yaml beside the wallet",
    "wallet_pending": "start `mpcnode register`: the wallet becomes active when the others are there",
}
"""What to do about an error that does not say it itself, by its code."""
_VARIABLE: Final = re.compile(r"for (?P<options>'[^()]*') \(env var: '(?P<name>\w+)'\)")

plain_values.read_here()
app = typer.Typer(
    name="mpcnode",
    help="A command-line MPC wallet node: a key that never exists in one place.",
    epilog=_EPILOG,
    rich_markup_mode=None,  # a help page needs no colours, and rich would double the time it takes
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    *,
    version: Annotated[bool, typer.Option("--version", "-V", help="Print the version.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="With --version: the libraries too, and a self-test of them.")
    ] = False,
) -> None:
    if version:
        from mpcnode.cli.actions.version import show_version  # noqa: PLC0415 -- what is heavy waits for its command

        show_version(verbose=verbose)
        raise typer.Exit
    if verbose:
        raise UsageError("--verbose stands alone", hint="write it after a command, or beside --version")
    if context.invoked_subcommand is None:
        raise UsageError("there is no command", hint="see 'mpcnode --help'")


app.command("serve", short_help="Run a signaling server.", epilog=serve.EXAMPLES)(serve.serve)
app.command("register", short_help="Run this node: register, stay, answer.", epilog=register.EXAMPLES)(
    register.register
)
app.command("peers", short_help="Show the peers in the room.", epilog=peers.EXAMPLES)(peers.peers)
app.command("create-wallet", short_help="Make a wallet together with others.", epilog=create_wallet.EXAMPLES)(
    create_wallet.create_wallet
)
app.add_typer(wallets.app, name="wallets")
app.command("sign", short_help="Sign together with others.", epilog=sign.EXAMPLES)(sign.sign)
app.command("refresh", short_help="Give a wallet new shares of the same key.", epilog=refresh.EXAMPLES)(refresh.refresh)
app.command("verify", short_help="Check a signature; needs no wallet.", epilog=verify.EXAMPLES)(verify.verify)
app.command("join", short_help="Take part in a wallet that somebody invites to.", epilog=join.EXAMPLES)(join.join)
app.command("pair", short_help="Make a contact with a code.", epilog=pair.EXAMPLES)(pair.pair)
app.add_typer(contacts.app, name="contacts")
app.add_typer(audit.app, name="audit")
app.command("settings", short_help="Show or change what this home remembers.", epilog=settings.EXAMPLES)(
    settings.settings
)
app.command("help", short_help="Explain a command, or: environment, exit-codes, trust.", epilog=help_.EXAMPLES)(
    help_.help_
)
app.command("run", short_help="Run scripted scenarios of many nodes.", epilog=run.EXAMPLES)(run.run)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one command line and exit with the code that says how it ended.

    Args:
        argv: the arguments after the program's name; those of this process by default.
    """
    sys.exit(_run(list(sys.argv[1:] if argv is None else argv)))


def _run(arguments: list[str]) -> int:  # noqa: PLR0911 -- one way out a kind of end
    try:
        code = app(arguments or ["--help"], prog_name="mpcnode", standalone_mode=False)
        sys.stdout.flush()
    except MpcError as error:
        return _fail(error, arguments)
    except typer.TyperException as error:
        return _fail(_usage(error, arguments), arguments)
    except (KeyboardInterrupt, typer.Abort):
        return _fail(Interrupted("interrupted"), arguments)
    except (BrokenPipeError, SystemExit) as ended:
        return _nobody_reads(ended)
    except OSError as error:
        return _fail(_refused(error), arguments)
    except Exception:  # noqa: BLE001 -- the outermost boundary: anything that arrives here is a defect, and says so
        return _bug(arguments)
    if code == Interrupted.exit_code:  # typer catches Ctrl-C, and says nothing
        return _fail(Interrupted("interrupted"), arguments)
    return code if isinstance(code, int) else 0


_REFUSED: Final = {
    errno.EMFILE: "allow this process more open files: ulimit -n 1024",
    errno.ENFILE: "the whole machine has too many open files: close other programs",
    errno.ENAMETOOLONG: "use a shorter path; --home names another place",
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
}
"""What to do about what the system refuses."""


def _refused(error: OSError) -> ConfigurationError:
    """Say what the system refused: a full disk, no descriptors, a path that cannot be; no defect of this program."""
    where = f": {str(error.filename)[:200]!a}" if error.filename is not None else ""
    reason = (error.strerror or type(error).__name__).lower()
    hint = _REFUSED.get(error.errno or 0, "run it again with -v to see what")
    return ConfigurationError(f"the system refused something: {reason}{where}", hint=hint)


def _fail(error: MpcError, arguments: list[str]) -> int:
    error.hint = error.hint or _HINTS.get(error.code)
    if _asked(arguments, "MPCNODE_VERBOSE", "-v", "--verbose"):
        traceback.print_exception(error)
    if _asked(arguments, "MPCNODE_JSON", "--json"):
        from mpcnode.control.lines import Failed, encode_line  # noqa: PLC0415 -- only `--json` needs it
        from mpcnode.status import error_view  # noqa: PLC0415 -- same

        streams.fail_soon()
        with suppress(OSError, OutputUnwritable):  # that it cannot be written is said once
            sys.stdout.write(encode_line(Failed(error_view(error))).decode())
            sys.stdout.flush()
    from mpcnode.cli.terminal.output import say  # noqa: PLC0415 -- what is heavy waits for an error

    say(*error_lines(error, _typed(arguments)))
    return error.exit_code


def _typed(arguments: list[str]) -> set[str]:
    """Words that this user wrote: the parts of arguments and of paths, from which errors put their own together."""
    places = [value for name, value in os.environ.items() if name.startswith(("MPCNODE_", "HOME", "XDG_", "PWD"))]
    return {word for text in (*arguments, *places) for word in re.split(r"[/=@,]", text) if word}


def _usage(error: typer.TyperException, arguments: list[str]) -> UsageError:
    """Say what typer found, in the words and the form of our own errors."""
    message = " ".join(error.format_message().split()).rstrip(".")
    for theirs, ours in _WORDS:
        message = theirs.sub(ours, message)
    if found := _VARIABLE.search(message):
        options = [option.strip("' ") for option in found["options"].split("/")]
        given = any(one.split("=")[0] in options for one in arguments) or found["name"] not in os.environ
        message = _VARIABLE.sub(r"for \g<options>" if given else r"in \g<name>", message)
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "mpcnode"
    return UsageError(message[:1].lower() + message[1:], hint=f"see '{command} --help'")


def _bug(arguments: list[str]) -> int:
    # Only on request: a traceback shows local state to anybody near the screen, and tells a user nothing.
    if _asked(arguments, "MPCNODE_VERBOSE", "-v", "--verbose"):
        traceback.print_exc()
    kind = type(sys.exception()).__name__
    bug = MpcError(f"this is a bug in mpcnode ({kind})", hint="run it again with -v and report what it prints")
    return _fail(bug, [argument for argument in arguments if argument not in {"-v", "--verbose"}])


def _nobody_reads(ended: BrokenPipeError | SystemExit) -> int:
    # A shell that completes is answered by the code, too; else an exit is typer's word for a broken pipe.
    if isinstance(ended, SystemExit) and "_MPCNODE_COMPLETE" in os.environ:
        return int(ended.code or 0)
    # The reader of our output has left; a second complaint at interpreter exit would reach nobody either.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _asked(arguments: list[str], variable: str, *names: str) -> bool:
    """Whether an option is given; looked up by hand because it must also hold where the parsing failed."""
    if any(name in arguments for name in names):
        return True
    return os.environ.get(variable, "").lower() not in {"", "0", "false", "no", "off"}
