"""What a scenario file may say: see ``sessions/README.md`` for the same on one page.

A file is checked whole before anything is started; what is wrong is named by file, step and field.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, Literal, TypeAlias

import msgspec

from mpcnode import status
from mpcnode.scenario import faults
from mpcnode.types import Reading, check_threshold, parse_wallet_name
from mpcnode.wire.relay import MAX_BATCH

NODE_DIED: Final = "node_died"
"""The ``error`` of a command whose node was killed while it carried it out."""

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,64}\Z", description="a name: A-Z a-z 0-9 . _ -")]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]
Accept = Literal["auto", "contacts", "none"]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What every part of a scenario is."""


class NodeOptions(_Part, frozen=True, rename="kebab"):
    """How a node of the scenario is run; the names are those of the options of ``mpcnode register``.

    The last three are faults of its first process; started again, the node is honest and lives.
    """

    accept: Accept = "auto"
    contacts_only: bool = False
    room: Name = "public"
    cheat: faults.Cheat | None = None
    dies_at: faults.Step | None = None
    disk: Literal["full"] | None = None

    @property
    def faults(self) -> faults.Faults | None:
        """What is wrong with its first process."""
        asked = faults.Faults(cheat=self.cheat, dies_at=self.dies_at, disk=self.disk)
        return None if asked == faults.Faults() else asked

    def __post_init__(self) -> None:
        self.faults  # noqa: B018 -- what does not fit together is found when it is made


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
        error: the error's code, or several of which it has to be one: a death is noticed in more than one way.
        culprits: who is blamed, exactly.
    """

    error: str | tuple[str, ...]
    culprits: tuple[Name, ...] | None = None

    @property
    def errors(self) -> tuple[str, ...]:
        """The codes of which it has to be one."""
        return (self.error,) if isinstance(self.error, str) else self.error


class EndExpect(_Part, frozen=True):
    """How a signing session has to end for one node.

    Args:
        verified: true: with signatures, which are valid.
        error: the error's code, or several of which it has to be one.
        culprits: who is blamed, exactly.
        exit: the exit code.
    """

    verified: bool | None = None
    error: str | tuple[str, ...] | None = None
    culprits: tuple[Name, ...] | None = None
    exit: int | None = None

    def __post_init__(self) -> None:
        _check_verified(self.verified)
        if (self.verified is None) == (self.error is None):
            raise ValueError("a session ends verified or with an error: one of the two has to be there")
        if self.error is None and (self.culprits is not None or self.exit is not None):
            raise ValueError("culprits and exit go with an error")


class Expect(_Part, frozen=True, rename="kebab"):
    """How a step has to end; what is not said is not looked at, but without ``error`` it has to end well.

    Args:
        state: the wallet's state at every participant: the same keys and words everywhere and, where it is active, a
            certificate that every node finds valid.
        error: the error's code, such as ``participant_refused``.
        culprits: who is blamed, exactly.
        exit: the exit code.
        others: how the session ends for the other participants; what a cheat says of it is worth nothing.
        active: the names of the active wallets, exactly.
        pending: the names of the pending wallets, exactly.
        peers: who is there, exactly.
        verified: true: every signer that still runs and does not cheat holds the signatures, too.
        signers: how many signed.
        signed_by: who signed, exactly.
        failures: whom the result names as the reason of an earlier attempt's end, exactly, and with which code.
        ends: how the session ends for these nodes; of several attempts, one that ends so will do.
    """

    state: Literal["active"] | None = None
    error: str | None = None
    culprits: tuple[Name, ...] | None = None
    exit: int | None = None
    others: OthersExpect | None = None
    active: tuple[str, ...] | None = None
    pending: tuple[str, ...] | None = None
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
        blamed = [self.culprits, *(end.culprits for end in (self.others, *ends.values()) if end is not None)]
        return frozenset(
            (*ends, *(self.failures or ()), *(self.signed_by or ()), *(n for b in blamed for n in b or ()))
        )

    @property
    def said(self) -> frozenset[str]:
        """The names of the fields that are there, as a file has them."""
        names = zip(self.__struct_fields__, self.__struct_encode_fields__, strict=True)
        return frozenset(said for name, said in names if getattr(self, name) is not None)


def _check_verified(verified: bool | None) -> None:  # noqa: FBT001 -- as the file has it
    if verified is False:
        raise ValueError("verified can only be true: what is not verified is an error")


_ERROR: Final = frozenset({"error", "culprits", "exit"})
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
    batch: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=MAX_BATCH)] | None = None
    count: Annotated[int, msgspec.Meta(ge=1, le=MAX_BATCH)] | None = None
    suite: Literal["ed25519", "taproot"] = "ed25519"
    with_peers: tuple[Name, ...] = ()

    def __post_init__(self) -> None:
        parse_wallet_name(self.wallet)
        if [self.message, self.hex, self.batch, self.count].count(None) != 3:
            raise ValueError("there has to be one of message, hex, batch and count")
        try:
            self.messages  # noqa: B018 -- what is no message is found when it is made
        except UnicodeEncodeError:
            raise ValueError("a message is text, and half of a surrogate pair is none") from None
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
    passphrase: Literal["right", "wrong"] = "right"  # noqa: S105 -- says which, and is none
    accept: Accept | None = None
    dies_at: faults.Step | None = None


class Register(_Part, frozen=True, rename={"peer_id": "as"}):
    """A node that is not in ``nodes`` comes with a home of its own, under the name ``as``."""

    verb: ClassVar[str] = "register"
    form: ClassVar[str] = "{node: NAME, as: PEER_ID}"
    expects: ClassVar[frozenset[str]] = _ERROR

    node: Name
    peer_id: Name


class Wallets(_Part, frozen=True):
    """What wallets a running node has; asked again, for ``within`` seconds, until they are as expected."""

    verb: ClassVar[str] = "wallets"
    form: ClassVar[str] = "{node: NODE, within?: SECONDS}"
    expects: ClassVar[frozenset[str]] = _ERROR | {"active", "pending"}

    node: Name
    within: Seconds | None = None


class Peers(_Part, frozen=True):
    """Whom a running node sees."""

    verb: ClassVar[str] = "peers"
    form: ClassVar[str] = "{node: NODE}"
    expects: ClassVar[frozenset[str]] = _ERROR | {"peers"}

    node: Name


Action: TypeAlias = CreateWallet | Sign | Stop | Kill | Pause | Resume | Start | Register | Wallets | Peers

VERBS: Final[Mapping[str, type[Action]]] = {
    kind.verb: kind for kind in (CreateWallet, Sign, Stop, Kill, Pause, Resume, Start, Register, Wallets, Peers)
}


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
        return self.action.by if isinstance(self.action, CreateWallet | Sign) else self.action.node


@dataclass(frozen=True, slots=True)
class Scenario:
    """One file: its first comment, its nodes and its steps."""

    file: str
    title: str
    nodes: Mapping[str, NodeOptions]
    timeouts: Timeouts
    steps: tuple[Step, ...]
