"""What a user can ask a node to make together with others."""

from dataclasses import dataclass

from mpcnode.crypto.ciphersuite import DEFAULT_SUITES
from mpcnode.errors import UsageError
from mpcnode.types import PeerId, Reading, SuiteId, check_threshold, parse_wallet_name
from mpcnode.wire.relay import (
    MAX_ANSWER_SECONDS,
    MAX_BATCH,
    MAX_MESSAGE_BYTES,
    MAX_REQUEST_BYTES,
    SignRequest,
    check_reading,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateWallet:
    """A wallet to be made.

    Args:
        threshold: how many signers will suffice.
        total: how many participants, this node included.
        name: what it will be called.
        with_peers: the other participants; empty: the other peers of the room.
        wait: seconds to wait for participants who are not there yet.
        suites: its ciphersuites.
        yes: nobody compares safety words at this node; the wallet says so.
        answer_within: seconds everybody has to answer; None: as the node is configured.

    Raises:
        UsageError: these cannot be meant together.
    """

    threshold: int
    total: int
    name: str = "wallet"
    with_peers: tuple[PeerId, ...] = ()
    wait: float = 600.0
    suites: tuple[SuiteId, ...] = DEFAULT_SUITES
    yes: bool = False
    answer_within: float | None = None

    def __post_init__(self) -> None:
        try:
            check_threshold(self.threshold, self.total)
            check_answer_seconds(self.answer_within)
            parse_wallet_name(self.name)
        except ValueError as error:
            raise UsageError(str(error)) from None
        if self.with_peers and len(set(self.with_peers)) != self.total - 1:
            others = len(set(self.with_peers))
            raise UsageError(
                f"--with names {others} peers; --total {self.total} needs {self.total - 1} beside this node"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """Messages to be signed.

    Args:
        wallet: its name, or the beginning of its id.
        messages: what is signed, each at most ``MAX_MESSAGE_BYTES``.
        reading: how people are shown them: as text, in hexadecimal, or as the hash of a file.
        suite: the ciphersuite; None: the wallet's first.
        with_peers: the other signers; empty: whoever accepts first.
        merkle_root: for Taproot, an additional BIP-341 tweak.
        answer_within: seconds everybody has to answer; None: as the node is configured.

    Raises:
        UsageError: these cannot be meant.
    """

    wallet: str
    messages: tuple[bytes, ...]
    reading: Reading = "text"
    suite: SuiteId | None = None
    with_peers: tuple[PeerId, ...] = ()
    merkle_root: bytes | None = None
    answer_within: float | None = None

    def __post_init__(self) -> None:
        try:
            check_answer_seconds(self.answer_within)
            check_reading(self.reading, self.messages)
        except ValueError as error:
            hint = "bytes that are no text are signed with --hex" if self.reading == "text" else None
            raise UsageError(str(error), hint=hint) from None
        if not self.messages:
            raise UsageError("there is nothing to sign")
        if any(len(message) > MAX_MESSAGE_BYTES for message in self.messages):
            raise UsageError(
                f"a message is at most {MAX_MESSAGE_BYTES} bytes", hint="sign the hash of a file with --file"
            )
        if self.merkle_root is not None and len(self.merkle_root) not in {0, 32}:
            raise UsageError("a Merkle root is 32 bytes, or none for a key without scripts")

    def portions(self, wallet_id: str, epoch: int) -> list[SignRequest]:
        """Cut the messages into what one session signs; the sessions share a mesh."""
        portions: list[list[bytes]] = [[]]
        for message in self.messages:
            if len(portions[-1]) == MAX_BATCH or sum(map(len, portions[-1])) + len(message) > MAX_REQUEST_BYTES:
                portions.append([])
            portions[-1].append(message)
        root = None if self.merkle_root is None else self.merkle_root.hex()
        return [
            SignRequest(wallet_id, epoch, self.reading, tuple(message.hex() for message in portion), root)
            for portion in portions
        ]


def check_answer_seconds(seconds: float | None) -> None:
    """Check how long answers are to be waited for.

    Raises:
        ValueError: it is nothing, or more than a day.
    """
    if seconds is not None and not 0 < seconds <= MAX_ANSWER_SECONDS:
        raise ValueError(f"answers are waited for at most {MAX_ANSWER_SECONDS} seconds, and not {seconds:g}")
