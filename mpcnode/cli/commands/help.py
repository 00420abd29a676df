"""``mpcnode help``: what no single option explains, and the help page of every command."""

from typing import Annotated, Final

import typer

EXAMPLES: Final = """\b
Examples:
  mpcnode help environment
  mpcnode help exit-codes
  mpcnode help trust
  mpcnode help wallets show
  mpcnode help man | man -l -"""


def _topics(context: typer.Context, incomplete: str) -> list[str]:
    from mpcnode.cli.actions.help import topics  # noqa: PLC0415 -- a shell asks for it, and nobody else

    return [name for name in topics(context.find_root().command) if name.startswith(incomplete)]


TopicArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[TOPIC|COMMAND...]",
        help="environment, exit-codes, trust, man, or a command.",
        show_default=False,
        autocompletion=_topics,
    ),
]


def help_(context: typer.Context, topic: TopicArgument = None) -> None:
    """Explain a topic or a command."""
    from mpcnode.cli.actions.help import explain  # noqa: PLC0415 -- what is heavy waits for its command

    explain(context.find_root(), tuple(topic or ()))
