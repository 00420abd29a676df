"""``mpcnode run``: scripted multi-node runs."""

from pathlib import Path
from typing import Annotated, Final

import typer

from mpcnode.cli.options import JsonOption, VerboseOption

EXAMPLES: Final = """\b
Examples:
  mpcnode run sessions/quickstart/two-of-three.yaml
  mpcnode run sessions --json > report.ndjson
  mpcnode run sessions/faults --keep runs     # homes and output stay for a look"""

PathsArgument = Annotated[
    list[Path], typer.Argument(metavar="FILE|DIR...", help="Scenario files, or directories of them.")
]
KeepOption = Annotated[
    Path | None,
    typer.Option("--keep", metavar="DIR", help="Keep each node's home and what it printed here, for a look."),
]


def run(
    paths: PathsArgument, *, keep: KeepOption = None, json: JsonOption = False, verbose: VerboseOption = False
) -> None:
    """Run scenarios: a server, one process a node, real WebRTC, one table at the end.

    The exit code is 0 where everything went as written, else that of the step that went wrong, or 1 where a step that
    should have failed ended well.
    """
    from mpcnode.cli.actions.run import run_scenarios  # noqa: PLC0415 -- what is heavy waits for its command

    run_scenarios(tuple(paths), keep=keep, json=json, verbose=verbose)
