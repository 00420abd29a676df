"""What a run came to: as data for ``--json``, as lines for people."""

from collections.abc import Iterator
from typing import Final

import msgspec

from mpcnode import status
from mpcnode.types import Reading


class SignatureReport(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What one step signed; ``verified_by`` is the library with which the run itself verified every signature.

    The public key is the one that the wallet's participants hold.
    """

    wallet: str
    suite: str
    public_key: str
    reading: Reading
    messages: tuple[str, ...]
    signatures: tuple[str, ...]
    signers: tuple[str, ...]
    verified_by: str
    attempts: int = 1
    failures: tuple[status.ErrorView, ...] = ()

    @property
    def in_short(self) -> str:
        """How many signatures, the signers, and the nodes that failed before."""
        count = len(self.signatures)
        said = (
            f"{count} signature{'s' if count > 1 else ''} by {', '.join(self.signers)}, verified by {self.verified_by}"
        )
        failed = [f"{', '.join(one.named) or 'nobody known'} ({one.code})" for one in self.failures]
        return f"{said}; failed before: {', '.join(failed)}" if failed else said

    @property
    def shown(self) -> str:
        """The message as a person may read it, escaped for a terminal."""
        if len(self.messages) > 1:
            return f"{len(self.messages)} messages"
        message = self.messages[0]
        return ascii(bytes.fromhex(message).decode(errors="replace")) if self.reading == "text" else f"0x{message}"


_MAX_SHOWN: Final = 120


class StepReport(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How one step ended; ``problem`` says what was not as written, ``ended`` is the error it ended with."""

    number: int
    verb: str
    node: str
    seconds: float
    problem: str | None = None
    ended: status.ErrorView | None = None
    signed: SignatureReport | None = None

    @property
    def ok(self) -> bool:
        """Whether it ended as written."""
        return self.problem is None


class NodeWallet(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A wallet as one node holds it at the end."""

    node: str
    wallet: status.WalletView
    words: tuple[str, ...] = ()


class ScenarioReport(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One scenario's run."""

    file: str
    title: str
    ok: bool
    exit_code: int
    seconds: float
    steps: tuple[StepReport, ...]
    wallets: tuple[NodeWallet, ...] = ()
    problem: str | None = None
    """What went wrong outside of any step: a node that did not start, say."""

    @property
    def failure(self) -> str | None:
        """The node and the step that failed, in one line."""
        for step in self.steps:
            if step.problem is not None:
                return f"step {step.number} ({step.verb}) at node {step.node}: {step.problem}"
        return self.problem


def step_row(step: StepReport) -> tuple[str, ...]:
    """One step, for columns."""
    how = "ok" if step.ok else "FAILED"
    said = [f"ended with {step.ended.code}, as written"] if step.ended else []
    said += [step.signed.in_short] if step.signed else []
    return (f"step {step.number}", step.verb, step.node, how, f"{step.seconds:.1f} s", step.problem or "; ".join(said))


def wallet_rows(report: ScenarioReport) -> Iterator[tuple[str, ...]]:
    """The wallets that each node holds at the end, for columns."""
    for held in report.wallets:
        wallet = held.wallet
        certificate = "certificate valid" if wallet.certificate_valid else f"{wallet.signatures} signatures"
        signers = f"{wallet.threshold} of {wallet.total}"
        yield (held.node, wallet.name, wallet.state, signers, f"epoch {wallet.epoch}", certificate)


def shared_lines(report: ScenarioReport) -> Iterator[str]:
    """What all nodes of a wallet hold alike: words and keys; each said once, with the nodes that say it.

    Then what they signed.
    """
    said: dict[tuple[str, int], list[str]] = {}
    for held in report.wallets:
        name, total = held.wallet.name, held.wallet.total
        if held.words:
            said.setdefault((f"{name}: safety words  {' '.join(held.words)}", total), []).append(held.node)
        for suite, key in sorted(held.wallet.group_public_keys.items()):
            said.setdefault((f"{name}: public key    {key}  {suite}", total), []).append(held.node)
    for (line, total), nodes in said.items():
        yield f"{line}  (at {f'all {total}' if len(nodes) == total else 'only ' + ', '.join(nodes)})"
    for step in report.steps:
        if step.signed is not None:
            yield from _signature_lines(step.signed)


def _signature_lines(signed: SignatureReport) -> Iterator[str]:
    """What was signed; of a batch the first signature, the others are in the JSON report."""
    more = f" and {len(signed.signatures) - 1} more" if len(signed.signatures) > 1 else ""
    shown = signed.shown if len(signed.shown) <= _MAX_SHOWN else f"{signed.shown[:_MAX_SHOWN]}..."
    yield f"{signed.wallet}: signature     {signed.signatures[0]}{more}  {signed.suite}  of {shown}"


def summary_row(report: ScenarioReport) -> tuple[str, ...]:
    """One scenario, for columns."""
    return (report.file, "ok" if report.ok else "FAILED", f"{report.seconds:.1f} s", report.failure or "")
