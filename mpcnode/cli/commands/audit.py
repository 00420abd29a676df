"""``mpcnode audit``: what every session was about and how it ended."""

from typing import Annotated, Final

import typer

from mpcnode.cli.options import Family, HomeOption, JsonOption, VerboseOption, home_or_default

EXAMPLES: Final = """\b
Examples:
  mpcnode audit
  mpcnode audit verify
  mpcnode audit verify --head 5f2b...91cc     # nothing is missing after what you noted then
  mpcnode audit show --json | jq 'select(.outcome == "failed")'"""

app = typer.Typer(cls=Family, epilog=EXAMPLES, invoke_without_command=True)

HeadOption = Annotated[
    str | None,
    typer.Option(
        "--head", metavar="HASH", help="A head noted earlier: it has to be one of the lines.", show_default=""
    ),
]


@app.callback()
def audit(
    context: typer.Context, *, home: HomeOption = None, json: JsonOption = False, verbose: VerboseOption = False
) -> None:
    """Show and check the log of every session; alone, show."""
    if context.invoked_subcommand is None:
        show(home=home, json=json, verbose=verbose)


@app.command("verify", short_help="Check that nothing in it was changed.", epilog=EXAMPLES)
def verify(
    *, head: HeadOption = None, home: HomeOption = None, json: JsonOption = False, verbose: VerboseOption = False
) -> None:
    """Check that no line was altered, taken out, put in or moved.

    The chain alone cannot show that its last lines are missing, or that all of it was written anew: note the head it
    prints in a place that this home's users cannot change, and give it with --head the next time.

    Sessions that this node accepted to sign in and that have no end are counted: they run, or the node was killed.

    Exit codes: 0 the chain holds, 3 it does not; the error names the first line that does not.
    """
    from mpcnode.cli.actions.audit import verify_audit  # noqa: PLC0415 -- what is heavy waits for its command

    verify_audit(home_or_default(home), head=head, json=json, verbose=verbose)


@app.command("show", short_help="Show every session and how it ended.", epilog=EXAMPLES)
def show(*, home: HomeOption = None, json: JsonOption = False, verbose: VerboseOption = False) -> None:
    """Show every session: time, kind, content, proposer, signers, and how it ended.

    A session that was accepted and has no end is shown as accepted: it runs, or the node was killed after its share
    may have left.
    With --json every line is shown as it stands, an acceptance and its end apart.

    Lines are shown as far as the chain holds; where it breaks, the command fails with exit code 3.
    """
    from mpcnode.cli.actions.audit import show_audit  # noqa: PLC0415 -- what is heavy waits for its command

    show_audit(home, json=json, verbose=verbose)
