"""What a run came to: as data for ``--json``, as lines for people."""

from collections.abc import Iterator

import msgspec

from mpcnode import status


class StepReport(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How one step ended; ``problem`` says what was not as written, and ``ended`` the error it ended with."""

    number: int
    verb: str
    node: str
    seconds: float
    problem: str | None = None
    ended: status.ErrorView | None = None

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
    ended = f"ended with {step.ended.code}, as written" if step.ok and step.ended else ""
    return (f"step {step.number}", step.verb, step.node, how, f"{step.seconds:.1f} s", step.problem or ended)


def wallet_rows(report: ScenarioReport) -> Iterator[tuple[str, ...]]:
    """Who holds what at the end, for columns."""
    for held in report.wallets:
        wallet = held.wallet
        certificate = "certificate valid" if wallet.certificate_valid else f"{wallet.signatures} signatures"
        yield (held.node, wallet.name, wallet.state, f"{wallet.threshold} of {wallet.total}", certificate)


def shared_lines(report: ScenarioReport) -> Iterator[str]:
    """What all nodes of a wallet hold alike: words and keys; each said once, with the nodes that say it."""
    said: dict[tuple[str, int], list[str]] = {}
    for held in report.wallets:
        name, total = held.wallet.name, held.wallet.total
        if held.words:
            said.setdefault((f"{name}: safety words  {' '.join(held.words)}", total), []).append(held.node)
        for suite, key in sorted(held.wallet.group_public_keys.items()):
            said.setdefault((f"{name}: public key    {key}  {suite}", total), []).append(held.node)
    for (line, total), nodes in said.items():
        yield f"{line}  (at {f'all {total}' if len(nodes) == total else 'only ' + ', '.join(nodes)})"


def summary_row(report: ScenarioReport) -> tuple[str, ...]:
    """One scenario, for columns."""
    return (report.file, "ok" if report.ok else "FAILED", f"{report.seconds:.1f} s", report.failure or "")
