"""What ``mpcnode help`` does: topics, help pages, and the man page, all made of the commands as they are."""

import re
from collections.abc import Iterator
from typing import Any, Final

from mpcnode import __version__
from mpcnode.cli.terminal.output import print_data
from mpcnode.cli.terminal.text import columns
from mpcnode.errors import UsageError

EXIT_CODES: Final = (
    ("0", "done"),
    ("1", "a bug in mpcnode"),
    ("2", "usage: the command makes no sense as written, or needs a terminal"),
    ("3", "configuration or file: an option, the home, a wallet's file, output that cannot be written"),
    ("4", "authentication: passphrase, signature, another key under a known name, safety words that differ"),
    ("5", "network or server"),
    ("6", "a participant failed, refused or did not answer"),
    ("7", "a participant cheated"),
    ("8", "refused by the user or a policy of this node"),
    ("9", "incompatible version of a file, a peer or a server"),
    ("10", "the wallet is pending: not everybody is known to have stored a share"),
    ("130", "interrupted; an orderly SIGTERM of `serve` and `register` is 0"),
)
TRUST: Final = """\
The signaling server sees names, rooms, times and sizes. It can refuse its service. Between two nodes that meet for the
first time it can stand unseen, until people compare the words or use a code; later it cannot.
A name proves nothing; the key behind it does. Anybody may take a name that is free, and enter any room.
The safety words stand for all keys of a new wallet. Compare them by voice or in person before you say yes. Where they
differ, somebody may stand between you: make no wallet, call the others, use another server.
A contact is verified by a code, or once somebody here compared the words or the fingerprint with it: see `mpcnode
contacts` and `mpcnode contacts verify`. A name is a label of your own; `peers` calls nobody verified by a name alone.
Another key under a known name is an error. Ask its owner; after a new set-up there: `mpcnode contacts remove NAME`,
then pair anew: `mpcnode pair`.
Fewer than the threshold of participants learn nothing and sign nothing. A wallet is active once every participant has
signed that its share is stored.
This node signs what its own screen shows. `mpcnode audit` shows what it took part in.
The passphrase protects the files of the home. Without it, or without the home, nobody can restore this share; the
others can go on as long as the threshold of them is left.
SECURITY.md in the source says what is defended against and what is not."""
OTHER_VARIABLES: Final = (
    ("NO_COLOR", "no colours on a terminal"),
    ("TERM", "dumb: sentences in place of the live view"),
    ("XDG_DATA_HOME", "where the home is by default"),
    ("_MPCNODE_COMPLETE", "set by the shell's completion, see --install-completion"),
)


def topics(root: Any) -> list[str]:  # noqa: ANN401 -- typer's inner command
    """Give what can be explained."""
    return ["environment", "exit-codes", "trust", "man", *(name for name in root.commands if name != "help")]


def explain(root: Any, topic: tuple[str, ...]) -> None:  # noqa: ANN401 -- typer's inner context
    """Print what is to be said about a topic or a command.

    Raises:
        UsageError: there is nothing of that name.
    """
    match topic:
        case ():
            print_data(root.get_help())
        case ("environment",):
            print_data(*_environment(root.command))
        case ("exit-codes",):
            print_data(*columns(EXIT_CODES))
        case ("trust",):
            print_data(TRUST)
        case ("man",):
            print_data(man_page(root.command))
        case _:
            print_data(_context_of(root, topic).get_help())


def _context_of(context: Any, path: tuple[str, ...]) -> Any:  # noqa: ANN401 -- as above
    for name in path:
        commands = getattr(context.command, "commands", {})
        if name not in commands:
            known = topics(context.command) if context.parent is None else list(commands)
            raise UsageError(f"there is no help about {' '.join(path)[:80]!a}", hint=f"it is one of {', '.join(known)}")
        context = type(context)(commands[name], info_name=name, parent=context)
    return context


def commands_of(command: Any, path: str = "mpcnode") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 -- as above
    """Give every command that does something, with its whole name."""
    for name, inner in getattr(command, "commands", {}).items():
        if not inner.hidden:
            yield f"{path} {name}", inner
            yield from commands_of(inner, f"{path} {name}")


def options_of(command: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 -- as above
    """Give every option of a command as it is written, with its value's form."""
    for parameter in command.params:
        if parameter.param_type_name == "option" and not parameter.hidden and parameter.help:
            flag = getattr(parameter, "is_flag", False)
            value = "" if flag else f" {parameter.metavar or _choices(parameter)}"
            yield ", ".join([*sorted(parameter.opts, key=len), *parameter.secondary_opts]) + value, parameter


def _choices(parameter: Any) -> str:  # noqa: ANN401 -- as above
    choices = getattr(parameter.type_descriptor, "choices", None)
    return "|".join(map(str, choices)) if choices else "VALUE"


def _environment(root: Any) -> list[str]:  # noqa: ANN401 -- as above
    return [
        "Every variable stands for an option; the option goes first. A list has spaces between its parts.",
        "",
        *columns(_variables(root)),
    ]


def _variables(root: Any) -> list[tuple[str, str]]:  # noqa: ANN401 -- as above
    found: dict[str, tuple[str, list[str]]] = {}
    for path, command in commands_of(root):
        for _, parameter in options_of(command):
            if parameter.envvar:
                option = max(parameter.opts, key=len)
                found.setdefault(parameter.envvar, (option, []))[1].append(path.removeprefix("mpcnode "))
    rows = []
    for name, (option, paths) in sorted(found.items()):
        rows.append((name, f"{option} of {paths[0]}" if len(paths) == 1 else option))
    return [*rows, *OTHER_VARIABLES]


# ---- the man page ----


def man_page(root: Any) -> str:  # noqa: ANN401 -- as above
    """Give the man page in the language of man(7)."""
    lines = [
        f'.TH MPCNODE 1 "" "mpcnode {__version__}" "User Commands"',
        ".SH NAME",
        "mpcnode \\- a wallet whose key never exists in one place",
        ".SH SYNOPSIS",
        ".B mpcnode",
        ".I COMMAND",
        "[OPTIONS]",
        ".SH DESCRIPTION",
        *_prose(
            "Each participant runs a node; any threshold of the nodes sign together, and fewer cannot. "
            "Nodes find each other through a signaling server that nobody has to trust, and talk directly over WebRTC."
        ),
        ".SH COMMANDS",
    ]
    for path, command in commands_of(root):
        lines += [f".SS {_roff(_synopsis(path, command))}", *_prose(command.help or ""), *_options(command)]
        lines += _examples(command.epilog or "")
    lines += [".SH ENVIRONMENT", *_terms(_variables(root))]
    lines += [".SH EXIT STATUS", *_terms(EXIT_CODES)]
    lines += [".SH TRUST", *(one for line in TRUST.split(".\n") for one in (".PP", _roff(line.replace("\n", " "))))]
    return "\n".join(lines)


def _synopsis(path: str, command: Any) -> str:  # noqa: ANN401 -- as above
    arguments = [one.metavar for one in command.params if one.param_type_name == "argument"]
    return " ".join([path, *(argument for argument in arguments if argument)])


def _options(command: Any) -> Iterator[str]:  # noqa: ANN401 -- as above
    for written, parameter in options_of(command):
        yield ".TP"
        yield f".B {_roff(written)}"
        yield _roff(" ".join(parameter.help.split()))
        if parameter.envvar:
            yield f"({_roff(parameter.envvar)})"


def _terms(rows: Any) -> Iterator[str]:  # noqa: ANN401 -- pairs of texts
    for term, meaning in rows:
        yield from (".TP", f".B {_roff(term)}", _roff(meaning))


def _prose(text: str) -> Iterator[str]:
    for paragraph in text.replace("\b", "").strip().split("\n\n"):
        if paragraph.strip():
            yield from (".PP", _roff(" ".join(paragraph.split())))


def _examples(epilog: str) -> Iterator[str]:
    lines = [line for line in epilog.replace("\b\n", "").split("\n") if line.strip()]
    if lines:
        yield from (".PP", ".nf", *map(_roff, lines), ".fi")


def _roff(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", escaped)
