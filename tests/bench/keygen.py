"""The mathematics of key generation for one node, beside the Zcash Foundation's code (frost_rs) doing the same."""

import base64
import gc
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from mpcnode.crypto.ciphersuite import CIPHERSUITES, AnyCiphersuite
from mpcnode.crypto.suites import DEFAULT_SUITES
from mpcnode.identity.identity import Identity
from mpcnode.protocols.checkpoints import KeyResult
from mpcnode.protocols.execution import Execution, ProtocolMessage
from mpcnode.protocols.frost import pedpop
from mpcnode.protocols.frost.keygen import keygen
from mpcnode.protocols.frost.packages import Round1Package
from mpcnode.types import Identifier
from tests.bench.report import Table, Target, median, ms, times, watched_load
from tests.helpers.simulate import descriptor, through_bytes

try:
    from frost_rs import utility_ed25519 as binding
except ImportError:
    binding = None

ME = Identifier(1)
ED25519, TAPROOT = (CIPHERSUITES[suite] for suite in DEFAULT_SUITES)
BOUND: dict[str, Any] = {"purpose": "share", "topic": bytes(32), "aad": bytes(32)}
"""What a share is sealed for."""


def clocked(work: Callable[[], object]) -> float:
    """Give the seconds ``work`` takes."""
    gc.collect()
    began = time.process_time()
    work()
    return time.process_time() - began


@dataclass
class Dealers:
    """What everybody else sent to participant 1, made once: only what one node computes is timed.

    Args:
        suite: of the key.
        threshold, total: t and n.
    """

    suite: AnyCiphersuite
    threshold: int
    total: int
    packages: dict[Identifier, bytes] = field(default_factory=dict)
    sealed: dict[Identifier, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.me = identity(ME)
        self.everybody = [Identifier(i) for i in range(1, self.total + 1)]
        self.others = {i: identity(i) for i in self.everybody if i != ME}
        for i, dealer in self.others.items():
            f_i, package = pedpop.commit(self.suite, i, self.threshold, os.urandom)
            self.packages[i] = bytes(package.encode())
            share = bytes(f_i.evaluate(ME).encode())
            self.sealed[i] = dealer.seal(self.me.public_key, share, rng=os.urandom, **BOUND)

    def mathematics(self) -> None:
        """Do what participant 1 does: commit, check everybody's proof, deal, check and add up the shares."""
        f, package = pedpop.commit(self.suite, ME, self.threshold, os.urandom)
        received = {i: Round1Package.decode(self.suite, self.threshold, data) for i, data in self.packages.items()}
        assert all(pedpop.verify_proof_of_knowledge(i, theirs) for i, theirs in received.items())
        dealt = pedpop.deal(f, self.everybody)
        sealed = {
            i: self.me.seal(other.public_key, bytes(dealt[i].encode()), rng=os.urandom, **BOUND)
            for i, other in self.others.items()
        }
        assert len(sealed) == self.total - 1
        opened = {i: self.me.open(other.public_key, self.sealed[i], **BOUND) for i, other in self.others.items()}
        shares = {i: self.suite.group.decode_scalar(data) for i, data in opened.items()}
        pedpop.finish(self.suite, ME, {**received, ME: package}, {**shares, ME: dealt[ME]})


def identity(i: int) -> Identity:
    return Identity.from_seed(bytearray(i.to_bytes(32, "big")))


def node_seconds(threshold: int, total: int) -> float:
    """Run a whole key generation of real executions, and time all that participant 1's does.

    That is the mathematics of both suites, every signature, seal, echo and codec, and the transcript: everything but
    the network and the disk.
    """
    agreed = descriptor(threshold, total)
    spent = dict.fromkeys(agreed.participants, 0.0)

    @contextmanager
    def clock(i: Identifier) -> Iterator[None]:
        began = time.process_time()
        yield
        spent[i] += time.process_time() - began

    executions: dict[Identifier, Execution[KeyResult]] = {}
    for i, name in agreed.participants.items():
        # The descriptor's keys are made of the names in this way.
        signer = Identity.from_seed(bytearray(sha256(name.encode()).digest()))
        with clock(i):
            script = keygen(descriptor=agreed, me=i, signer=signer, rng=os.urandom)
            executions[i] = Execution(script, me=i, participants=agreed.participants)
    gc.collect()
    while not all(execution.finished for execution in executions.values()):
        _one_round(executions, clock)
    return spent[ME]


def _one_round(
    executions: Mapping[Identifier, Execution[KeyResult]],
    clock: Callable[[Identifier], AbstractContextManager[None]],
) -> None:
    sent: list[tuple[Identifier, Identifier | None, ProtocolMessage]] = []
    for i, execution in executions.items():
        with clock(i):
            if execution.checkpoint is not None:
                execution.confirm()
            sent += [(i, to, message) for to, message in execution.messages_to_send()]
    for sender, to, message in sent:
        for recipient in [i for i in executions if i != sender] if to is None else [to]:
            arriving = through_bytes(message)
            with clock(recipient):
                executions[recipient].receive(sender, arriving)


class Oracle:
    """The Zcash Foundation's Ed25519 key generation, with its own sealing of shares, for one participant.

    Args:
        threshold, total: t and n.
    """

    def __init__(self, threshold: int, total: int) -> None:
        self._t, self._n = threshold, total
        self._names = [
            base64.urlsafe_b64encode(ED25519.encode_identifier(Identifier(i))).decode() for i in range(1, total + 1)
        ]
        made = {name: binding.round1(name, threshold, total) for name in self._names[1:]}
        self._packages = {name: public for name, (_, public) in made.items()}
        self._secrets = {name: secret for name, (secret, _) in made.items()}

    def seconds(self) -> float:
        """Run participant 1 against the others; give what its three rounds took."""
        me = self._names[0]
        began = time.process_time()
        secret, public = binding.round1(me, self._t, self._n)
        secret, _ = binding.round2(secret, self._packages)
        spent = time.process_time() - began
        sealed: dict[str, Any] = {}
        for name, mine in self._secrets.items():
            theirs = {other: package for other, package in {**self._packages, me: public}.items() if other != name}
            sealed[name] = binding.round2(mine, theirs)[1][me]
        began = time.process_time()
        binding.round3(secret, self._packages, sealed)
        return spent + time.process_time() - began


def _row(threshold: int, total: int, runs: int) -> tuple[Sequence[str], float, float]:
    ed25519, taproot = (Dealers(suite, threshold, total) for suite in (ED25519, TAPROOT))
    oracle = Oracle(threshold, total) if binding else None
    seconds: dict[str, list[float]] = {"ed25519": [], "taproot": [], "frost_rs": [], "node": []}
    for _ in range(runs):
        seconds["ed25519"].append(clocked(ed25519.mathematics))
        seconds["taproot"].append(clocked(taproot.mathematics))
        if oracle:
            seconds["frost_rs"].append(oracle.seconds())
    # The whole of it has everybody else's work around it: fewer runs, and the others are not timed.
    seconds["node"] = [node_seconds(threshold, total) for _ in range(1 if total > 20 else runs)]
    middle = {what: median(values) for what, values in seconds.items() if values}
    ratio = middle["ed25519"] / middle["frost_rs"] if oracle else 0.0
    shown = [f"{threshold} of {total}"]
    shown += [ms(middle["ed25519"]), ms(middle["frost_rs"]) if oracle else "not installed", times(ratio)]
    shown += [ms(middle["taproot"]), ms(middle["node"])]
    return shown, ratio, max(middle["ed25519"], middle["taproot"])


async def tables(*, quick: bool) -> list[Table]:
    sizes = {(2, 3): 21, (5, 9): 11} if quick else {(2, 3): 51, (5, 9): 21, (17, 25): 7, (43, 64): 5}
    with watched_load() as load:
        rows = {size: _row(*size, runs) for size, runs in sizes.items()}
    (t, n), (_, _, slowest) = list(rows.items())[-1]
    return [
        Table(
            title="Key generation, one node's mathematics",
            conditions=(
                "Commit, check everybody's proof of knowledge, deal, seal and open the shares, check them in one batch "
                "and add them up: what participant 1 of n computes, decoding included, in one process; medians of "
                + ", ".join(f"{runs} ({t} of {n})" for (t, n), runs in sizes.items())
                + " runs. frost_rs is the Zcash Foundation's Rust code; it seals and opens the shares too. The last "
                "column is all that a node's execution does for both suites: signatures, echoes and transcript as well."
            ),
            columns=("", "Ed25519", "frost_rs", "ratio", "Taproot", "node, both suites"),
            rows=[row for row, _, _ in rows.values()],
            targets=(
                Target("Ed25519 beside frost_rs, the worst", max(ratio for _, ratio, _ in rows.values()), 2),
                Target(f"seconds for a suite, {t} of {n}", slowest, 1),
            ),
            load=load,
        )
    ]
