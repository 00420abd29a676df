"""A scenario file: what it may say, and how it is read. ``sessions/README.md`` says the same on one page.

A file is checked whole before anything is started; an error names file, step and field.

The names of the faults are those of ``python -m mpcnode.faults``, which a scenario starts as a process and never
imports; a test holds the two lists together.
"""

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final, Literal, NoReturn, TypeAlias, TypeVar, get_args

import msgspec
import yaml

from mpcnode import status
from mpcnode.commands import MAX_CONTENTS
from mpcnode.errors import ConfigurationError
from mpcnode.types import MAX_PARTICIPANTS, Reading, check_threshold, parse_wallet_name

T = TypeVar("T")

NODE_DIED: Final = "node_died"
"""The ``error`` of a command whose node was killed while it carried it out."""

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,64}\Z", description="a name: A-Z a-z 0-9 . _ -")]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]
Accept = Literal["auto", "contacts", "none"]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What every part of a scenario is."""


# ---- faults ----

FAULTS_VARIABLE: Final = "MPCNODE_FAULTS"
"""The environment variable that a faulty process reads."""

Save = Literal[
    "pending-create",  # the temporary file is there, empty
    "pending-write",  # half of it is written
    "pending-fsync",  # it is whole and durable, and still has its temporary name
    "pending-rename",  # it has its name, and the directory does not know for sure
    "pending-sync",  # the directory is durable too; nobody was told yet
    "active-create",
    "active-write",
    "active-fsync",
    "active-rename",
    "active-sync",
    "again-create",
    "again-write",
    "again-fsync",
    "again-rename",
    "again-sync",
]
"""Inside a save of a wallet's file: the first, ``pending``; the first over a file that was there, ``active``; the next
ones, ``again``. A refresh stores its new epoch with one and makes it active with another.
"""

Stored = Literal["wallet-pending", "wallet-active"]
"""The wallet was stored and read back, and the user interface was told; the others were not."""

Signed = Literal["signed"]
"""The signature is verified and written down; the user has not been told yet."""

Death = status.Phase | Save | Stored | Signed
"""Where a process can die: on entering a phase, inside a save, after one, with a signature in hand."""

Kind = Literal[
    "digest",
    "commitment",
    "share",
    "ready",
    "wallet_created",
    "nonces",
    "nonce_list",
    "signature_share",
]
How = Literal[
    "flip",  # one bit of it is another
    "twice",
    "early",  # a made-up one comes before everything else
    "never",
    "other-session",
    "five-megabytes",
    "another's",  # what another participant said is said again
    "more-points",
    "fewer-points",
    "identity-point",
    "wrong-proof",
    "two-faced",  # `to` is told another one than everybody else, each with a promise that fits
    "off-curve",  # whole and well sealed, and not on the dealer's polynomial
]

_ANY: Final = frozenset(get_args(Kind))
_COMMITMENT: Final = frozenset({"commitment"})
CHEATS: Final[Mapping[How, frozenset[str]]] = MappingProxyType(
    {
        "flip": _ANY,
        "twice": _ANY,
        "early": _ANY - {"digest", "nonces"},
        "never": _ANY,
        "other-session": _ANY,
        "five-megabytes": _ANY,
        # Everybody says the same in these, so to repeat another's is not a lie.
        "another's": _ANY - {"wallet_created", "nonce_list"},
        "more-points": _COMMITMENT,
        "fewer-points": _COMMITMENT,
        "identity-point": _COMMITMENT,
        "wrong-proof": _COMMITMENT,
        "two-faced": _COMMITMENT,
        "off-curve": frozenset({"share"}),
    }
)
"""Which lie can be told about which messages."""
_ABOUT_THE_DEALER: Final = frozenset({"more-points", "fewer-points", "identity-point", "wrong-proof"})
_NEEDS_VICTIM: Final = frozenset({"two-faced"})


class Cheat(_Part, frozen=True):
    """One lie; in everything else the node is honest.

    Args:
        message: what it is about.
        how: what is wrong with it.
        to: the node that is lied to; by default all.
    """

    message: Kind
    how: How
    to: Name | None = None

    def __post_init__(self) -> None:
        if self.message not in CHEATS[self.how]:
            raise ValueError(f"{self.how} is about {', '.join(sorted(CHEATS[self.how]))}")
        if self.how in _NEEDS_VICTIM and self.to is None:
            raise ValueError(f"{self.how} needs `to`: the node that is told something else")
        if self.how in _ABOUT_THE_DEALER and self.to is not None:
            raise ValueError(f"{self.how} is told to everybody alike; for one of them there is two-faced")


class Faults(_Part, frozen=True, rename="kebab"):
    """What is wrong with one process, as ``python -m mpcnode.faults`` is told in ``FAULTS_VARIABLE``."""

    dies_at: Death | None = None
    disk: Literal["full"] | None = None
    cheat: Cheat | None = None


# ---- nodes, expectations, steps ----


class NodeOptions(_Part, frozen=True, rename="kebab"):
    """How a node of the scenario is run; the names are those of the options of ``mpcnode register``.

    The last three are faults of its first process; started again, the node is honest and lives.
    """

    accept: Accept = "auto"
    contacts_only: bool = False
    room: Name = "public"
    cheat: Cheat | None = None
    dies_at: Death | None = None
    disk: Literal["full"] | None = None

    def __post_init__(self) -> None:
        if self.dies_at is not None and self.disk is not None:
            raise ValueError("one death or disk at a time: each is a file system of its own")

    @property
    def faults(self) -> Faults | None:
        """What is wrong with its first process."""
        asked = Faults(cheat=self.cheat, dies_at=self.dies_at, disk=self.disk)
        return None if asked == Faults() else asked


class Timeouts(_Part, frozen=True):
    """How long every node waits, in seconds; short, so that a scenario about silence does not take minutes.

    Args:
        answer: for everybody's answer to a proposal.
        round: for one round's messages from everybody.
    """

    answer: Seconds = 30
    round: Seconds = 30


class OthersExpect(_Part, frozen=True):
    """How the session has to end for every other participant that still runs.

    Args:
        error: the error's code, or several that will do: a death is noticed in more than one way.
        culprits: the nodes that are convicted, exactly.
        suspects: the nodes of which one may be at fault, exactly.
        named: nodes that are among the suspects; one that stops because of a death is a suspect beside the dead.
    """

    error: str | tuple[str, ...]
    culprits: tuple[Name, ...] | None = None
    suspects: tuple[Name, ...] | None = None
    named: tuple[Name, ...] = ()

    @property
    def errors(self) -> tuple[str, ...]:
        """The codes that will do."""
        return (self.error,) if isinstance(self.error, str) else self.error


class EndExpect(_Part, frozen=True):
    """How a signing session has to end for one node.

    Args:
        verified: true: with signatures, which are valid.
        error: the error's code, or several that will do.
        culprits: the nodes that are convicted, exactly.
        suspects: the nodes of which one may be at fault, exactly.
        exit: the exit code.
    """

    verified: bool | None = None
    error: str | tuple[str, ...] | None = None
    culprits: tuple[Name, ...] | None = None
    suspects: tuple[Name, ...] | None = None
    exit: int | None = None

    def __post_init__(self) -> None:
        _check_verified(self.verified)
        if (self.verified is None) == (self.error is None):
            raise ValueError("a session ends verified or with an error: one of the two has to be there")
        if self.error is None and (self.culprits, self.suspects, self.exit) != (None, None, None):
            raise ValueError("culprits, suspects and exit go with an error")


class Expect(_Part, frozen=True, rename="kebab"):
    """How a step has to end; what is left out is not checked, but without ``error`` it has to end well.

    Args:
        state: the wallet's state at every participant: the same epoch, keys and words everywhere and, where it is
            active, a certificate that every node finds valid.
        error: the error's code, such as ``participant_refused``.
        culprits: the nodes that are convicted, exactly.
        suspects: the nodes of which one may be at fault, exactly.
        exit: the exit code.
        others: how the session ends for the other participants; what a cheat says of it is worth nothing.
        active: the names of the active wallets, exactly.
        pending: the names of the pending wallets, exactly.
        epochs: of these wallets, the epoch in use.
        peers: the peers that are there, exactly.
        verified: true: every signer that still runs and does not cheat holds the signatures, too.
        signers: how many signed.
        signed_by: the signers, exactly.
        failures: the nodes that the result names for an earlier attempt's end, exactly, each with its code.
        ends: how the session ends for these nodes; of several attempts, one that ends so will do.
    """

    state: Literal["active"] | None = None
    error: str | None = None
    culprits: tuple[Name, ...] | None = None
    suspects: tuple[Name, ...] | None = None
    exit: int | None = None
    others: OthersExpect | None = None
    active: tuple[str, ...] | None = None
    pending: tuple[str, ...] | None = None
    epochs: dict[str, Annotated[int, msgspec.Meta(ge=0)]] | None = None
    peers: tuple[Name, ...] | None = None
    verified: bool | None = None
    signers: Annotated[int, msgspec.Meta(ge=1)] | None = None
    signed_by: tuple[Name, ...] | None = None
    failures: dict[Name, str | tuple[str, ...]] | None = None
    ends: dict[Name, EndExpect] | None = None

    def __post_init__(self) -> None:
        _check_verified(self.verified)
        if self.error is not None and self.said & _OF_SIGNATURES:
            raise ValueError(f"{', '.join(sorted(self.said & _OF_SIGNATURES))} does not go with an error")

    @property
    def names(self) -> frozenset[str]:
        """The nodes that are named."""
        ends = self.ends or {}
        named = [end for end in (self, self.others, *ends.values()) if end is not None]
        blamed = [name for end in named for name in (*(end.culprits or ()), *(end.suspects or ()))]
        blamed += self.others.named if self.others is not None else ()
        return frozenset((*ends, *(self.failures or ()), *(self.signed_by or ()), *blamed))

    @property
    def said(self) -> frozenset[str]:
        """The names of the fields that are there, as a file has them."""
        names = zip(self.__struct_fields__, self.__struct_encode_fields__, strict=True)
        return frozenset(said for name, said in names if getattr(self, name) is not None)


def _check_verified(verified: bool | None) -> None:  # noqa: FBT001 -- as the file has it
    if verified is False:
        raise ValueError("verified can only be true: a signature that is not valid is an error")


_ERROR: Final = frozenset({"error", "culprits", "suspects", "exit"})
_OF_SIGNATURES: Final = frozenset({"verified", "signers", "signed-by", "failures"})


class CreateWallet(_Part, frozen=True, rename={"with_peers": "with"}):
    """The node ``by`` makes a wallet, as ``mpcnode create-wallet`` does."""

    verb: ClassVar[str] = "create-wallet"
    form: ClassVar[str] = "{by: NODE, threshold: T, total: N, name?: NAME, with?: [NODE...], wait?: SECONDS}"
    expects: ClassVar[frozenset[str]] = _ERROR | {"state", "others"}

    by: Name
    threshold: int
    total: int
    name: str = "wallet"
    with_peers: tuple[Name, ...] = ()
    wait: Seconds = 60

    def __post_init__(self) -> None:
        check_threshold(self.threshold, self.total)
        parse_wallet_name(self.name)
        if self.with_peers and len({*self.with_peers, self.by}) != self.total:
            raise ValueError(f"`with` has to name the {self.total - 1} participants besides `by`, each once")


class Refresh(_Part, frozen=True):
    """The node ``by`` gives every participant a new share of the same key, as ``mpcnode refresh`` does."""

    verb: ClassVar[str] = "refresh"
    form: ClassVar[str] = "{by: NODE, wallet: NAME}"
    expects: ClassVar[frozenset[str]] = _ERROR | {"state", "others", "epochs"}

    by: Name
    wallet: str

    def __post_init__(self) -> None:
        parse_wallet_name(self.wallet)


class Sign(_Part, frozen=True, rename={"with_peers": "with"}):
    """The node ``by`` signs together with others, as ``mpcnode sign`` does."""

    verb: ClassVar[str] = "sign"
    form: ClassVar[str] = (
        "{by: NODE, wallet: NAME, one of message: TEXT, hex: HEX, batch: [TEXT...] and count: N, "
        "suite?: ed25519|taproot, with?: [NODE...]}"
    )
    expects: ClassVar[frozenset[str]] = _ERROR | _OF_SIGNATURES | {"ends"}

    by: Name
    wallet: str
    message: str | None = None
    hex: str | None = None
    batch: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=MAX_CONTENTS)] | None = None
    count: Annotated[int, msgspec.Meta(ge=1, le=MAX_CONTENTS)] | None = None
    suite: Literal["ed25519", "taproot"] = "ed25519"
    with_peers: tuple[Name, ...] = ()

    def __post_init__(self) -> None:
        parse_wallet_name(self.wallet)
        if [self.message, self.hex, self.batch, self.count].count(None) != 3:
            raise ValueError("there has to be one of message, hex, batch and count")
        try:
            self.messages  # noqa: B018 -- a bad message is found when it is made
        except UnicodeEncodeError:
            raise ValueError("a message is text, and half of a surrogate pair is not text") from None
        except ValueError:
            raise ValueError("hex: two digits a byte, such as 68656c6c6f") from None
        if len({*self.with_peers, self.by}) != len(self.with_peers) + 1:
            raise ValueError("`with` has to name others than `by`, each once")

    @property
    def messages(self) -> tuple[bytes, ...]:
        """What is to be signed."""
        if self.hex is not None:
            return (bytes.fromhex(self.hex),)
        if self.count is not None:
            return tuple(b"message %d" % number for number in range(1, self.count + 1))
        texts = self.batch if self.batch is not None else (self.message or "",)
        return tuple(text.encode() for text in texts)

    @property
    def reading(self) -> Reading:
        """How people are shown it."""
        return "text" if self.hex is None else "hex"


class Stop(_Part, frozen=True):
    """A node is told to stop, as by Ctrl-C, and does."""

    verb: ClassVar[str] = "stop"
    form: ClassVar[str] = "{node: NODE}"
    expects: ClassVar[frozenset[str]] = frozenset()

    node: Name


class Kill(_Part, frozen=True):
    """A node dies at once; with ``at``, as soon as a later step brings it to that phase."""

    verb: ClassVar[str] = "kill"
    form: ClassVar[str] = "{node: NODE, at?: PHASE}"
    expects: ClassVar[frozenset[str]] = frozenset()

    node: Name
    at: status.Phase | None = None


class Pause(_Part, frozen=True, rename={"seconds": "for"}):
    """A node stands still, as a laptop does when its lid is closed: it answers nothing and closes nothing.

    With ``for`` it goes on by itself after so many seconds, while later steps are carried out.
    """

    verb: ClassVar[str] = "pause"
    form: ClassVar[str] = "{node: NODE, for?: SECONDS}"
    expects: ClassVar[frozenset[str]] = frozenset()

    node: Name
    seconds: Seconds | None = None


class Resume(_Part, frozen=True):
    """A paused node goes on."""

    verb: ClassVar[str] = "resume"
    form: ClassVar[str] = "{node: NODE}"
    expects: ClassVar[frozenset[str]] = frozenset()

    node: Name


class Start(_Part, frozen=True, rename="kebab"):
    """A node that was stopped or killed is started again under its home."""

    verb: ClassVar[str] = "start"
    form: ClassVar[str] = "{node: NODE, passphrase?: right|wrong, accept?: auto|contacts|none, dies-at?: STEP}"
    expects: ClassVar[frozenset[str]] = _ERROR

    node: Name
    passphrase: Literal["right", "wrong"] = "right"  # noqa: S105 -- says which one, and does not hold it
    accept: Accept | None = None
    dies_at: Death | None = None


class Register(_Part, frozen=True, rename={"peer_id": "as"}):
    """A node that is not in ``nodes`` comes with a home of its own, under the name ``as``."""

    verb: ClassVar[str] = "register"
    form: ClassVar[str] = "{node: NAME, as: PEER_ID}"
    expects: ClassVar[frozenset[str]] = _ERROR

    node: Name
    peer_id: Name


class Invite(_Part, frozen=True):
    """A node that is not in ``nodes`` invites, as ``mpcnode create-wallet --invite`` does, and waits for the others."""

    verb: ClassVar[str] = "invite"
    form: ClassVar[str] = "{node: NAME, threshold: T, total: N, name?: NAME, wait?: SECONDS}"
    expects: ClassVar[frozenset[str]] = _ERROR

    node: Name
    threshold: int
    total: int
    name: str = "wallet"
    wait: Seconds = 120

    def __post_init__(self) -> None:
        check_threshold(self.threshold, self.total)
        parse_wallet_name(self.name)


class Join(_Part, frozen=True, rename={"peer_id": "as", "invited_by": "invited-by"}):
    """A node that is not in ``nodes`` joins, as ``mpcnode join`` does; ends when it has a place, or has none."""

    verb: ClassVar[str] = "join"
    form: ClassVar[str] = "{node: NAME, invited-by: NODE, by?: link|code|used-code|wrong-code, as?: PEER_ID}"
    expects: ClassVar[frozenset[str]] = _ERROR

    node: Name
    invited_by: Name
    by: Literal["link", "code", "used-code", "wrong-code"] = "link"
    peer_id: Name | None = None


class Finish(_Part, frozen=True):
    """A node that invites or joins ends by itself: the wallet is made, or something is in the way."""

    verb: ClassVar[str] = "finish"
    form: ClassVar[str] = "{node: NODE}"
    expects: ClassVar[frozenset[str]] = _ERROR | {"state"}

    node: Name


class Pair(_Part, frozen=True, rename={"other": "with", "wrong_word": "wrong-word"}):
    """Two nodes become contacts by a code, as ``mpcnode pair`` does, whether they run or not."""

    verb: ClassVar[str] = "pair"
    form: ClassVar[str] = "{node: NAME, with: NAME, wrong-word?: true}"
    expects: ClassVar[frozenset[str]] = _ERROR

    node: Name
    other: Name
    wrong_word: bool = False

    def __post_init__(self) -> None:
        if self.node == self.other:
            raise ValueError("`with` has to name another node")


class Wallets(_Part, frozen=True):
    """What wallets a running node has; asked again, for ``within`` seconds, until they are as expected."""

    verb: ClassVar[str] = "wallets"
    form: ClassVar[str] = "{node: NODE, within?: SECONDS}"
    expects: ClassVar[frozenset[str]] = _ERROR | {"active", "pending", "epochs"}

    node: Name
    within: Seconds | None = None


class Peers(_Part, frozen=True):
    """The peers that a running node sees."""

    verb: ClassVar[str] = "peers"
    form: ClassVar[str] = "{node: NODE}"
    expects: ClassVar[frozenset[str]] = _ERROR | {"peers"}

    node: Name


Introduction: TypeAlias = Invite | Join | Finish | Pair
Action: TypeAlias = (
    CreateWallet | Refresh | Sign | Stop | Kill | Pause | Resume | Start | Register | Introduction | Wallets | Peers
)

VERBS: Final[Mapping[str, type[Action]]] = {kind.verb: kind for kind in get_args(Action)}


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what is done, and how it has to end."""

    number: int
    action: Action
    expect: Expect

    def __str__(self) -> str:
        return f"step {self.number} ({self.action.verb})"

    @property
    def node(self) -> str:
        """The node that acts."""
        return self.action.by if isinstance(self.action, CreateWallet | Refresh | Sign) else self.action.node


@dataclass(frozen=True, slots=True)
class Scenario:
    """One file: its first comment, its nodes and its steps."""

    file: str
    title: str
    nodes: Mapping[str, NodeOptions]
    timeouts: Timeouts
    steps: tuple[Step, ...]


# ---- reading ----

MAX_FILE: Final = 256 * 1024
_TOP: Final = "a scenario is {nodes: [NODE...] or {NODE: OPTIONS}, timeouts?: {...}, steps: [STEP...]}"
_STEP: Final = f"a step is VERB: {{...}} and, if it has to, expect: {{...}}; the verbs are {', '.join(VERBS)}"
_AT: Final = re.compile(r" - at `\$?\.?(.*)`$")


def find_files(paths: Iterable[Path]) -> list[Path]:
    """The scenario files that ``paths`` name: files as they are, directories with all that is in them.

    Raises:
        ConfigurationError: one is not there, or there is no scenario in a directory.
    """
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.rglob("*.yaml")) if path.is_dir() else [path]
        if not inside:
            raise ConfigurationError(f"there is no .yaml file in {str(path)!a}")
        found += inside
    return list(dict.fromkeys(found))


def load(path: Path) -> Scenario:
    """Read a scenario file.

    Raises:
        ConfigurationError: it cannot be read, or is not a scenario; the message names file, step and field.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise ConfigurationError(f"cannot read {str(path)!a}: {error.strerror}", hint="check the path") from error
    return parse(data, str(path))


def parse(data: bytes, file: str) -> Scenario:
    """Take ``data`` as a scenario; ``file`` is what its errors call it.

    Raises:
        ConfigurationError: as ``load``.
    """
    if len(data) > MAX_FILE:
        _wrong(file, f"longer than {MAX_FILE} bytes", _TOP)
    try:
        text = data.decode()
        tree = yaml.load(text, _StrictLoader)  # noqa: S506 -- a safe loader, made stricter
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        _wrong(file, f"not YAML: {' '.join(str(error).split())[:300]}", _TOP)
    if not isinstance(tree, dict) or not {"nodes", "steps"} <= set(tree) <= {"nodes", "timeouts", "steps"}:
        _wrong(file, "not the fields of a scenario", _TOP)
    nodes = _nodes(file, tree["nodes"])
    if not isinstance(tree["steps"], list) or not tree["steps"]:
        _wrong(f"{file}: steps", "not a list of steps", _STEP)
    steps = tuple(_step(f"{file}: step {number}", number, step) for number, step in enumerate(tree["steps"], 1))
    _check_names(file, nodes, steps)
    timeouts: Timeouts = _convert(f"{file}: timeouts", tree.get("timeouts", {}), Timeouts, "{answer?: S, round?: S}")
    return Scenario(file, _title(text), nodes, timeouts, steps)


def _nodes(file: str, tree: object) -> dict[str, NodeOptions]:
    form = "nodes is a list of names, or NAME: {accept?, contacts-only?, room?, cheat?, dies-at?, disk?}"
    place = f"{file}: nodes"
    if isinstance(tree, list):
        if len(set(map(str, tree))) != len(tree):
            _wrong(place, "a name is there twice", form)
        tree = dict.fromkeys(map(str, tree), None)
    if not isinstance(tree, dict) or not 0 < len(tree) <= MAX_PARTICIPANTS:
        _wrong(place, f"not 1 to {MAX_PARTICIPANTS} nodes", form)
    return {
        _convert(place, name, Name, form): _convert(f"{place}: {name!s:.64}", options or {}, NodeOptions, form)
        for name, options in tree.items()
    }


def _step(place: str, number: int, tree: object) -> Step:
    verbs = [key for key in tree if key != "expect"] if isinstance(tree, dict) else []
    if not isinstance(tree, dict) or len(verbs) != 1 or verbs[0] not in VERBS:
        said = ", ".join(repr(verb) for verb in verbs) or "none"
        _wrong(place, f"it has to have one verb, and has {said[:200]}", _STEP)
    kind = VERBS[verbs[0]]
    place = f"{place} ({kind.verb})"
    action: Action = _convert(place, tree[kind.verb], kind, f"{kind.verb}: {kind.form}")
    form = f"after {kind.verb} it is {{{', '.join(sorted(kind.expects))}}}" if kind.expects else "nothing"
    expect: Expect = _convert(f"{place}: expect", tree.get("expect", {}), Expect, form)
    if not expect.said <= kind.expects:
        _wrong(f"{place}: expect", f"{', '.join(sorted(expect.said - kind.expects))} has no meaning here", form)
    return Step(number, action, expect)


def _check_names(file: str, nodes: dict[str, NodeOptions], steps: tuple[Step, ...]) -> None:
    known = set(nodes)
    for name, options in nodes.items():
        if options.cheat is not None and options.cheat.to is not None and options.cheat.to not in known - {name}:
            _wrong(f"{file}: nodes: {name}: cheat", f"`to` is not another node: {options.cheat.to!a}", "to: NODE")
    for step in steps:
        if isinstance(step.action, Register):
            if step.node in known:
                _wrong(f"{file}: {step}", f"{step.node} is there already", "node: names a new node")
            known.add(step.node)
        if isinstance(step.action, Invite | Join | Pair):
            known |= {step.node, getattr(step.action, "other", step.node)}
        used = {
            step.node,
            getattr(step.action, "invited_by", step.node),
            *getattr(step.action, "with_peers", ()),
            *step.expect.names,
        }
        if not used <= known:
            _wrong(
                f"{file}: {step}", f"there is no node {min(used - known)!a}", f"the nodes: {', '.join(sorted(known))}"
            )


def _convert(place: str, tree: object, kind: type[T] | Any, form: str) -> T:  # noqa: ANN401 -- Annotated is not a type
    try:
        result: T = msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        message = str(error)
        message = message[:1].lower() + message[1:]
        if at := _AT.search(message):
            message = f"{at[1]}: {message[: at.start()]}"
        _wrong(place, message, form)
    return result


def _wrong(place: str, what: str, form: str) -> NoReturn:
    raise ConfigurationError(f"{place}: {what}", hint=form)


def _title(text: str) -> str:
    """The comment the file starts with, on one line."""
    lines: list[str] = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    return " ".join(lines).strip()


class _StrictLoader(yaml.SafeLoader):
    """A safe loader that refuses doubled keys and aliases, with which a page says something else than it seems to."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 -- as PyYAML has it
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if len(set(map(repr, keys))) != len(keys):
            raise yaml.YAMLError(f"a key is there twice, near line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep)
