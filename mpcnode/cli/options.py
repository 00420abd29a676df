"""The options that commands share: each has one name, one ``MPCNODE_`` variable, one default and one help text.

Nothing heavy is imported here: ``mpcnode --help`` reads this file and must answer at once.
"""

import functools
import inspect
import typing
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer
from typer import core

from mpcnode.errors import ConfigurationError, MpcError, UsageError
from mpcnode.types import PEER_ID_FORM, PeerId, SuiteId, parse_peer_id

DEFAULT_SERVER: Final = "ws://127.0.0.1:9000"
DEFAULT_ROOM: Final = "public"

SUITES: Final = {
    "ed25519": "FROST-ED25519-SHA512-v1",
    "taproot": "FROST-secp256k1-SHA256-TR-v1",
    "secp256k1": "FROST-secp256k1-SHA256-v1",
}
"""The short names of the ciphersuites."""


def wallet_names(context: typer.Context, incomplete: str) -> list[str]:
    """Give the wallets of the home whose names begin so, for a shell to complete."""
    from mpcnode.keystore.store import Home  # noqa: PLC0415 -- a shell asks for it, and nobody else
    from mpcnode.wallet.store import list_wallets  # noqa: PLC0415 -- same

    def names(home: Path) -> list[str]:
        return [name for one in list_wallets(Home.open(home, create=False)) if (name := getattr(one, "name", ""))]

    return _completed(context, incomplete, names)


def contact_names(context: typer.Context, incomplete: str) -> list[str]:
    """Give the contacts of the home whose names begin so, for a shell to complete."""
    from mpcnode.keystore.store import Home  # noqa: PLC0415 -- a shell asks for it, and nobody else

    def names(home: Path) -> list[str]:
        return [contact.peer_id for contact in Home.open(home, create=False).load_contacts()]

    # Several names stand with commas between: the last of them is completed.
    done, comma, last = incomplete.rpartition(",")
    return [f"{done}{comma}{name}" for name in _completed(context, last, names) if name not in done.split(",")]


def _completed(context: typer.Context, incomplete: str, names: Callable[[Path], list[str]]) -> list[str]:
    """Names of a home that begin so; none where it cannot be read: a shell has no place for an error."""
    try:
        found = names(home_or_default(context.params.get("home")))
    except MpcError:
        return []
    return sorted({name for name in found if name.startswith(incomplete)})


Accept = Literal["ask", "auto", "contacts", "none"]
Kdf = Literal["default", "interactive"]

WalletArgument = Annotated[
    str,
    typer.Argument(
        metavar="WALLET",
        help="A wallet's name, or the beginning of its id.",
        show_default=False,
        autocompletion=wallet_names,
    ),
]
ContactArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="A contact's name, the beginning of its fingerprint, or what it calls itself.",
        show_default=False,
        autocompletion=contact_names,
    ),
]
HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        envvar="MPCNODE_HOME",
        metavar="DIR",
        help="Where this node keeps its identity, contacts and wallets.",
        show_default="the platform's data directory",
    ),
]
ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server",
        envvar="MPCNODE_SERVER",
        metavar="URL",
        help="The signaling server, ws:// or wss://.",
        show_default=f"that of 'mpcnode settings', else {DEFAULT_SERVER}",
    ),
]
WithOption = Annotated[
    list[str] | None,
    typer.Option(
        "--with",
        metavar="PEERS",
        help="The other participants, with commas between.",
        show_default="those that are there",
        autocompletion=contact_names,
    ),
]
PeerIdOption = Annotated[
    str | None,
    typer.Option(
        "--peer-id",
        envvar="MPCNODE_PEER_ID",
        metavar="ID",
        help="This node's name at the server.",
        show_default="the home's last name, else the host name",
    ),
]
RoomOption = Annotated[
    str | None,
    typer.Option(
        "--room",
        envvar="MPCNODE_ROOM",
        metavar="ROOM",
        help="Peers see the peers of their room only.",
        show_default=f"that of 'mpcnode settings', else {DEFAULT_ROOM}",
    ),
]
PassphraseFileOption = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        envvar="MPCNODE_PASSPHRASE_FILE",
        metavar="FILE",
        help="Read the passphrase from this file.",
        show_default="ask on the terminal",
    ),
]
PassphraseFdOption = Annotated[
    int | None,
    typer.Option(
        "--passphrase-fd",
        envvar="MPCNODE_PASSPHRASE_FD",
        metavar="FD",
        min=0,
        help="Read the passphrase from this open file descriptor.",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", envvar="MPCNODE_JSON", help="Print JSON to stdout, one object a line.")
]
YesOption = Annotated[
    bool,
    typer.Option(
        "--yes",
        envvar="MPCNODE_YES",
        help="Do not ask to compare safety words; the wallet records that nobody did.",
    ),
]
QuietOption = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", envvar="MPCNODE_QUIET", help="Say nothing but results, warnings, errors and questions."
    ),
]
VerboseOption = Annotated[
    bool,
    typer.Option("--verbose", "-v", envvar="MPCNODE_VERBOSE", help="Log to stderr, and show where an error came from."),
]
ContactsOnlyOption = Annotated[
    bool,
    typer.Option(
        "--contacts-only",
        envvar="MPCNODE_CONTACTS_ONLY",
        help="Ignore everybody except verified contacts.",
    ),
]
IceServerOption = Annotated[
    list[str] | None,
    typer.Option(
        "--ice-server",
        envvar="MPCNODE_ICE_SERVERS",
        metavar="URL|@FILE",
        help="A STUN or TURN server to reach peers through, or a file of them with credentials, as a browser's "
        "iceServers; may be repeated.",
        show_default="those of 'mpcnode settings', else none",
    ),
]
KdfOption = Annotated[
    Kdf,
    typer.Option(
        "--kdf",
        envvar="MPCNODE_KDF",
        help="What one guess at a new home's passphrase costs: 256 MiB of memory, or little for throw-away homes.",
    ),
]
LoopbackOption = Annotated[
    bool,
    typer.Option(
        "--loopback",
        envvar="MPCNODE_LOOPBACK",
        help="Offer peers this machine's loopback address only: for trials on one machine.",
    ),
]
AddressOption = Annotated[
    list[str] | None,
    typer.Option(
        "--address",
        envvar="MPCNODE_ADDRESSES",
        metavar="IP",
        help="Offer peers this address of this machine, and none that is not named; may be repeated.",
        show_default="those that can matter",
    ),
]
CaFileOption = Annotated[
    Path | None,
    typer.Option(
        "--ca-file",
        envvar="MPCNODE_CA_FILE",
        metavar="FILE",
        help="Trust this certificate authority for a wss:// server.",
        show_default="the system's authorities",
    ),
]
AnswerSecondsOption = Annotated[
    float,
    typer.Option(
        "--answer-seconds",
        envvar="MPCNODE_ANSWER_SECONDS",
        metavar="S",
        min=1,
        max=86400,
        help="Time everybody has to answer a proposal of this node.",
    ),
]
ConfirmSecondsOption = Annotated[
    float,
    typer.Option(
        "--confirm-seconds",
        envvar="MPCNODE_CONFIRM_SECONDS",
        metavar="S",
        min=1,
        max=86400,
        help="Time to compare the safety words.",
    ),
]
LinkSecondsOption = Annotated[
    float,
    typer.Option(
        "--link-seconds",
        envvar="MPCNODE_LINK_SECONDS",
        metavar="S",
        min=3,
        max=180,
        help="Time a link to a peer has to open, for slow networks; give the same to every node.",
    ),
]
RoundSecondsOption = Annotated[
    float,
    typer.Option(
        "--round-seconds",
        envvar="MPCNODE_ROUND_SECONDS",
        metavar="S",
        min=1,
        max=3600,
        help="Time every participant has for one round of a session.",
    ),
]
WarmSecondsOption = Annotated[
    float,
    typer.Option(
        "--warm-seconds",
        envvar="MPCNODE_WARM_SECONDS",
        metavar="S",
        min=0,
        max=86400,
        help="How long a mesh stays open after a signature, so that the next one needs no set-up; 0: not at all.",
    ),
]
StopWithStdinOption = Annotated[
    bool,
    typer.Option("--stop-with-stdin", help="Stop when standard input ends, as it does when a supervisor dies."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOptions:
    """What a command is given that runs a node or asks the one that runs: every field is an option.

    ``server`` and ``room`` are None where nothing was said: then the home's settings hold, else the defaults.
    """

    home: HomeOption = None
    server: ServerOption = None
    peer_id: PeerIdOption = None
    room: RoomOption = None
    contacts_only: ContactsOnlyOption = False
    yes: YesOption = False
    ice_server: IceServerOption = None
    loopback: LoopbackOption = False
    address: AddressOption = None
    ca_file: CaFileOption = None
    answer_seconds: AnswerSecondsOption = 120
    confirm_seconds: ConfirmSecondsOption = 600
    link_seconds: LinkSecondsOption = 15
    round_seconds: RoundSecondsOption = 60
    warm_seconds: WarmSecondsOption = 300
    kdf: KdfOption = "default"
    passphrase_file: PassphraseFileOption = None
    passphrase_fd: PassphraseFdOption = None
    json: JsonOption = False
    quiet: QuietOption = False
    verbose: VerboseOption = False


def with_node_options(*, without: Iterable[str] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the fields of ``NodeOptions`` as options of its own; its parameter ``options`` takes them.

    Args:
        without: fields that say nothing to this command; they keep their defaults.
    """
    hints = typing.get_type_hints(NodeOptions, include_extras=True)
    fields = [
        one.replace(annotation=hints[name])
        for name, one in inspect.signature(NodeOptions).parameters.items()
        if name not in set(without)
    ]

    def give(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def called(*args: Any, **given: Any) -> None:  # noqa: ANN401 -- what typer read by the signature below
            options = {one.name: given.pop(one.name) for one in fields if one.name in given}
            command(*args, **given, options=NodeOptions(**options))

        own = inspect.signature(command, eval_str=True)
        parameters = [one for one in own.parameters.values() if one.name != "options"]
        vars(called)["__signature__"] = own.replace(parameters=[*parameters, *fields])
        called.__annotations__ = {one.name: one.annotation for one in (*parameters, *fields)} | {"return": None}
        return called

    return give


class Family(core.TyperGroup):
    """A command with commands under it: an option that stands before the inner one is the inner one's."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 -- typer's inner context
        """Read the options of the family; those that are given go on to the inner command, where its own come later."""
        super().parse_args(ctx, args)
        if ctx._protected_args:  # noqa: SLF001 -- typer has no other name for the inner command
            given: list[str] = []
            for parameter in self.params:
                name = parameter.name or ""
                source = ctx.get_parameter_source(name)
                if source is not None and source.name == "COMMANDLINE":
                    value = ctx.params[name]
                    option = max(parameter.opts, key=len)
                    given += [option] if value is True else [option, str(value)]
            ctx.args = [*given, *ctx.args]
        rest: list[str] = ctx.args
        return rest


def peer_ids(given: Iterable[str], option: str) -> tuple[PeerId, ...]:
    """Take the values of an option that may be repeated, with commas between names, as peer ids.

    Raises:
        UsageError: one of them is not a peer id.
    """
    return tuple(peer_id(name, option) for part in given for name in part.split(",") if name)


def peer_id(text: str, option: str) -> PeerId:
    """Take an option's value as a peer id.

    Raises:
        UsageError: it is not one; ``option`` is named.
    """
    try:
        return parse_peer_id(text)
    except ValueError as error:
        raise UsageError(f"{text[:200]!a} is not a peer id: {error}", hint=f"correct {option}") from error


def server_url(text: str) -> str:
    """Take an option's value as a signaling server's URL.

    Raises:
        UsageError: it is not one.
    """
    scheme, separator, rest = text.partition("://")
    host = rest.partition("/")[0]
    if separator and host and scheme.lower() in {"http", "https"}:
        meant = {"http": "ws", "https": "wss"}[scheme.lower()]
        raise UsageError(
            f"{text[:200]!a} is a web page's URL, not a signaling server's", hint=f"try --server {meant}://{rest}"
        )
    if scheme not in {"ws", "wss"} or not host:
        raise UsageError(f"{text[:200]!a} is not a signaling server's URL", hint=f"--server is like {DEFAULT_SERVER}")
    return text


def room_name(text: str) -> str:
    """Take an option's value as a room's name.

    Raises:
        UsageError: it is not one.
    """
    try:
        return parse_peer_id(text)
    except ValueError:
        raise UsageError(f"{text[:200]!a} is not a room's name", hint=f"--room is {PEER_ID_FORM}") from None


def suite_id(name: str) -> SuiteId:
    """Take an option's value as a ciphersuite: its short name or its whole one.

    Raises:
        UsageError: there is no such ciphersuite.
    """
    suite = SUITES.get(name, name)
    if suite not in SUITES.values():
        raise UsageError(f"there is no ciphersuite {name!a}", hint=f"--suite is one of {', '.join(SUITES)}")
    return SuiteId(suite)


def milliseconds(seconds: float) -> int:
    """Take an option's seconds as a command's whole milliseconds."""
    return round(seconds * 1000)


def home_or_default(home: Path | None) -> Path:
    """The home asked for, or the platform's data directory."""
    if home is not None:
        return expanded(home)
    from platformdirs import user_data_path  # noqa: PLC0415 -- `--help` must not wait for it

    with suppress(RuntimeError):
        place = user_data_path("mpcnode", appauthor=False)
        if place.parts[:1] != ("~",):  # that would be made where the command happens to run
            return place
    raise ConfigurationError("this account has no home directory", hint="name a place with --home or MPCNODE_HOME")


def expanded(path: Path) -> Path:
    """Take the ``~`` of a path for what it means.

    Raises:
        ConfigurationError: it means nothing here: there is no such account, or this one has no home directory.
    """
    try:
        return path.expanduser()
    except RuntimeError:
        who = str(path).split("/", 1)[0][:80]
        raise ConfigurationError(f"{who!a} is no home directory here", hint="write the whole path") from None
