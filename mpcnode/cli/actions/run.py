"""What ``mpcnode run`` does: scenarios, one after the other, and one table."""

from pathlib import Path
from typing import NoReturn

import typer

from mpcnode.cli.loop import run_orderly
from mpcnode.cli.terminal.output import log_to_stderr, print_data, print_json, say
from mpcnode.cli.terminal.text import columns, escape
from mpcnode.scenario.model import find_files, load
from mpcnode.scenario.report import (
    ScenarioReport,
    StepReport,
    shared_lines,
    step_row,
    summary_row,
    wallet_rows,
)
from mpcnode.scenario.runner import run_scenario


def run_scenarios(paths: tuple[Path, ...], *, keep: Path | None, json: bool, verbose: bool) -> None:
    """Run every scenario that ``paths`` name.

    Raises:
        ConfigurationError: a file is not a scenario; nothing was started.
        typer.Exit: one did not go as written, with the code of the first that did not.
    """
    log_to_stderr(verbose=verbose)
    scenarios = [load(path) for path in find_files(paths)]
    reports: list[ScenarioReport] = []

    async def run_all() -> None:
        for scenario in scenarios:
            if not json:
                say(f"{escape(scenario.file)}: {escape(scenario.title)}")
            report = await run_scenario(scenario, keep=keep, on_step=_quiet if json else _show_step)
            reports.append(report)
            if json:
                print_json(report)
            else:
                _show(report)

    run_orderly(run_all)
    if len(reports) > 1 and not json:
        print_data("", *columns(summary_row(report) for report in reports))
    failed = [report for report in reports if not report.ok]
    if failed:
        _fail(failed)


def _fail(failed: list[ScenarioReport]) -> NoReturn:
    for report in failed:
        say(f"error: {escape(report.file)}: {escape(report.failure or 'failed', 1000)}")
    say("hint: run it with --keep DIR and read what each node said there")
    raise typer.Exit(failed[0].exit_code)


def _show_step(step: StepReport) -> None:
    say(*(f"  {line}" for line in columns([step_row(step)])))


def _quiet(step: StepReport) -> None:
    del step


def _show(report: ScenarioReport) -> None:
    print_data(*columns(wallet_rows(report)), *shared_lines(report))
