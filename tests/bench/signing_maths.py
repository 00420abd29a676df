"""The mathematics of one signature for one signer, beside the Zcash Foundation's code (frost_rs) doing the same."""

import base64
import gc
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mpcnode.crypto.adjustment import default_adjustments
from mpcnode.crypto.ciphersuite import CIPHERSUITES
from mpcnode.crypto.suites import DEFAULT_SUITES, verify
from mpcnode.protocols.frost import round1, round2
from mpcnode.protocols.frost.adjusting import adjust_key
from mpcnode.protocols.frost.aggregation import aggregate
from mpcnode.protocols.frost.binding import bind
from mpcnode.protocols.frost.packages import KeyPackage, PublicKeyPackage
from mpcnode.protocols.frost.sign import nonce_randomness
from mpcnode.protocols.frost.signing_packages import SignatureShare, SigningCommitments, SigningPackage
from mpcnode.types import Identifier, SuiteId
from tests.bench.report import Table, Target, median, ms, times
from tests.helpers.signing import wallet

try:
    from frost_rs import utility_ed25519 as binding
except ImportError:
    binding = None

ME = Identifier(1)
ED25519, TAPROOT = DEFAULT_SUITES
MESSAGE = b"what a transaction hashes to, 32"


@dataclass
class Signers:
    """A quorum of t signers, of whom everybody but the first has said what it says: only what one computes is timed.

    Args:
        suite_id: of the key.
        threshold, total: t and n.
    """

    suite_id: SuiteId
    threshold: int
    total: int
    sent: dict[Identifier, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.suite = CIPHERSUITES[self.suite_id]
        self.keys = wallet(self.suite_id, self.threshold, self.total)
        self.others = {i: self._adjusted(i) for i in (Identifier(i) for i in range(2, self.threshold + 1))}
        self.nonces = {i: round1.commit(self.suite, key.signing_share, os.urandom) for i, key in self.others.items()}
        self.sent = {i: bytes(pair.commitments.encode()) for i, pair in self.nonces.items()}

    def seconds(self) -> float:
        """Sign once; give what the first signer's part took."""
        gc.collect()
        began = time.process_time()
        key = self._adjusted(ME)
        pair = round1.commit(self.suite, key.signing_share, nonce_randomness(os.urandom, bytes(32), 0))
        theirs = {i: SigningCommitments.decode(self.suite, data) for i, data in self.sent.items()}
        everybody = {ME: pair.commitments, **theirs}
        bound = bind(SigningPackage(self.suite, everybody, MESSAGE), key.group_public_key, own=pair)
        mine = round2.sign(bound, pair, key)
        spent = time.process_time() - began
        answers = self._answers(everybody)
        began = time.process_time()
        shares = {ME: mine, **{i: SignatureShare.decode(self.suite, data) for i, data in answers.items()}}
        signature = self.suite.encode_signature(aggregate(bound, shares))
        assert verify(self.suite_id, key.group_public_key.encode(), MESSAGE, signature)
        return spent + time.process_time() - began

    def _adjusted(self, i: Identifier) -> KeyPackage:
        """What a signature is made with: for Taproot, the key after its tweak."""
        return adjust_key(self.keys[i].key, default_adjustments(self.suite_id))

    def _answers(self, everybody: dict[Identifier, SigningCommitments]) -> dict[Identifier, bytes]:
        answers = {}
        for i, key in self.others.items():
            package = SigningPackage(self.suite, everybody, MESSAGE)
            # Nonces are taken once: the others make new ones for the next run, and it does not count.
            share = round2.sign(bind(package, key.group_public_key), self.nonces[i], key)
            answers[i] = bytes(share.encode())
        self.__post_init__()
        return answers


class Oracle:
    """The Zcash Foundation's signing, for the first of t signers.

    Args:
        threshold, total: t and n.
    """

    def __init__(self, threshold: int, total: int) -> None:
        keys = wallet(ED25519, threshold, total)
        suite = CIPHERSUITES[ED25519]
        names = {i: _text(suite.encode_identifier(i)) for i in (Identifier(i) for i in range(1, threshold + 1))}
        self._me = names[ME]
        self._keys = {name: _text(keys[i].key.encode()) for i, name in names.items()}
        public = keys[ME].public
        # frost_rs is of a time before the threshold was written.
        self._public = _text(PublicKeyPackage(suite, public.verifying_shares, public.group_public_key, None).encode())

    def seconds(self) -> float:
        """Sign once; give what the first signer's part took."""
        prepared = {name: binding.preprocess(key) for name, key in self._keys.items() if name != self._me}
        began = time.process_time()
        nonces, commitments = binding.preprocess(self._keys[self._me])
        everybody = {**{name: sent for name, (_, sent) in prepared.items()}, self._me: commitments}
        mine = binding.sign(MESSAGE, everybody, nonces, self._keys[self._me])
        spent = time.process_time() - began
        shares: dict[str, Any] = {
            name: binding.sign(MESSAGE, everybody, nonces, self._keys[name]) for name, (nonces, _) in prepared.items()
        }
        began = time.process_time()
        signature = binding.aggregate(MESSAGE, everybody, {**shares, self._me: mine}, self._public)
        assert binding.verify(MESSAGE, self._public, signature)
        return spent + time.process_time() - began


def _text(data: bytes | bytearray) -> str:
    return base64.urlsafe_b64encode(data).decode()


def signer_seconds(suite: SuiteId, threshold: int, total: int, runs: int) -> float:
    """What the first signer of a quorum computes for one signature, the median."""
    return _middle(Signers(suite, threshold, total).seconds, runs)


def _middle(once: Callable[[], float], runs: int) -> float:
    once()
    return median(once() for _ in range(runs))


def _row(threshold: int, total: int, runs: int) -> tuple[Sequence[str], float]:
    ours = signer_seconds(ED25519, threshold, total, runs)
    taproot = signer_seconds(TAPROOT, threshold, total, runs)
    theirs = _middle(Oracle(threshold, total).seconds, runs) if binding else None
    ratio = ours / theirs if theirs else 0.0
    shown = [f"{threshold} of {total}", ms(ours), ms(theirs) if theirs else "not installed", times(ratio), ms(taproot)]
    return shown, ratio


def table(*, quick: bool, load: Sequence[float]) -> Table:
    """Measure the mathematics."""
    sizes = {(2, 3): 51, (17, 25): 5} if quick else {(2, 3): 301, (5, 9): 101, (17, 25): 51, (43, 64): 11}
    rows = [_row(*size, runs) for size, runs in sizes.items()]
    return Table(
        title="A signature, one signer's mathematics",
        conditions=(
            "Tweak the key, make nonces, decode the others' commitments, bind, sign, decode their shares, aggregate "
            "and verify, in one process; medians of "
            + ", ".join(f"{runs} ({t} of {n})" for (t, n), runs in sizes.items())
            + " runs. frost_rs is the Zcash Foundation's Rust code."
        ),
        columns=("", "Ed25519", "frost_rs", "ratio", "Taproot"),
        rows=[row for row, _ in rows],
        targets=(Target("Ed25519 beside frost_rs, the worst", max(ratio for _, ratio in rows), 2),),
        load=load,
    )
