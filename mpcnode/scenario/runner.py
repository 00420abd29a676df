"""Run a scenario: every step in turn, in a world of its own, and nothing left behind."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from mpcnode.errors import MpcError
from mpcnode.scenario.model import Scenario, Step
from mpcnode.scenario.report import NodeWallet, ScenarioReport, StepReport
from mpcnode.scenario.steps import carry_out
from mpcnode.scenario.world import World

EXPECTATION_NOT_MET: Final = 1


async def run_scenario(
    scenario: Scenario, *, keep: Path | None = None, on_step: Callable[[StepReport], None] = lambda _: None
) -> ScenarioReport:
    """Run ``scenario``; it ends at the first step that does not end as written.

    Args:
        scenario: what to run.
        keep: where homes and output are to stay; by default they go away with the run.
        on_step: told how each step ended.
    """
    begun = time.monotonic()
    steps: list[StepReport] = []
    problem: str | None = None
    wallets: tuple[NodeWallet, ...] = ()
    exit_code = 0
    with _directory(keep) as directory:
        world = World(scenario, directory)
        try:
            await world.open()
            exit_code = await _run_steps(world, steps, on_step)
            wallets = await _held(world)
        except MpcError as error:
            problem, exit_code = error.message, error.exit_code
        finally:
            await world.close()
        if exit_code == 0:
            problem, exit_code = _look_at_output(world)
    return ScenarioReport(
        file=scenario.file,
        title=scenario.title,
        ok=exit_code == 0,
        exit_code=exit_code,
        seconds=round(time.monotonic() - begun, 3),
        steps=tuple(steps),
        wallets=wallets,
        problem=problem,
    )


async def _run_steps(world: World, done: list[StepReport], on_step: Callable[[StepReport], None]) -> int:
    for step in world.scenario.steps:
        report, exit_code = await _run_step(world, step)
        done.append(report)
        on_step(report)
        if exit_code:
            return exit_code
    return 0


def _look_at_output(world: World) -> tuple[str | None, int]:
    problem = world.unprintable
    return problem, 0 if problem is None else EXPECTATION_NOT_MET


async def _run_step(world: World, step: Step) -> tuple[StepReport, int]:
    begun = time.monotonic()
    outcome = await carry_out(world, step)
    report = StepReport(
        number=step.number,
        verb=step.action.verb,
        node=step.node,
        seconds=round(time.monotonic() - begun, 3),
        problem=outcome.problem,
        ended=outcome.ended,
        signed=outcome.signed,
    )
    if report.ok:
        return report, 0
    if outcome.ended is not None and step.expect.error is None and outcome.ended.exit_code > 0:
        return report, outcome.ended.exit_code
    return report, EXPECTATION_NOT_MET


async def _held(world: World) -> tuple[NodeWallet, ...]:
    return tuple(
        [
            NodeWallet(node=name, wallet=wallet, words=world.words.get((name, wallet.wallet_id), ()))
            for name in world.nodes
            for wallet in await world.wallets(name)
        ]
    )


@contextmanager
def _directory(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="mpcnode-run-") as made:
            yield Path(made)
    else:
        keep.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield Path(tempfile.mkdtemp(prefix="run-", dir=keep))
