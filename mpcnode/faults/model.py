"""What can be wrong with one process: the faults, as the environment variable ``MPCNODE_FAULTS`` names them.

``mpcnode`` never reads the variable, and nothing in a node asks whether there are faults.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal, get_args

import msgspec

from mpcnode.errors import ConfigurationError
from mpcnode.status import Phase

VARIABLE: Final = "MPCNODE_FAULTS"

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

Step = Phase | Save | Stored | Signed
"""Where a process can die, or hear Ctrl-C: on entering a phase, inside a save, after one, with a signature in hand."""

Disk = Literal[
    "full",  # no wallet fits on it any more, and the last one only half
    "read-only",  # what is there can be read
]

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
        # A nonce_list is the same from everybody, so that another's is not a lie.
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

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,64}\Z")]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What every part of the faults is."""


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
    """What is wrong with one process.

    Args:
        dies_at: where it dies, the first time it comes there.
        interrupted_at: where it hears Ctrl-C, each time it comes there.
        disk: what its disk is like.
        cheat: the lie it tells.
    """

    dies_at: Step | None = None
    interrupted_at: Step | None = None
    disk: Disk | None = None
    cheat: Cheat | None = None

    def __post_init__(self) -> None:
        if [self.dies_at, self.interrupted_at, self.disk].count(None) < 2:
            raise ValueError("one death, interruption or disk at a time: each is a file system of its own")


def decode(text: str) -> Faults:
    """Read the variable.

    Raises:
        ConfigurationError: the text does not name faults. A test that went on without them would prove nothing.
    """
    try:
        return msgspec.json.decode(text, type=Faults)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ConfigurationError(
            f"{VARIABLE} does not name faults: {error}", hint="see mpcnode/faults/model.py"
        ) from None
