"""``mpcnode pair``: make a contact with a code."""

from typing import Annotated, Final

import typer

from mpcnode.cli.options import NodeOptions, with_node_options

EXAMPLES: Final = """\b
Examples:
  mpcnode pair                         # makes a code; tell it to the other side by voice or in person
  mpcnode pair 12-swirl-motor          # on the other side
  mpcnode pair --words 3 --server wss://mpc.example"""


def code_words(context: typer.Context, incomplete: str) -> list[str]:
    """Give what a code that begins so may go on with, for a shell to complete, typed with dashes or with spaces."""
    from mpcnode.wire.code import complete  # noqa: PLC0415 -- a shell asks for it, and nobody else

    before = [*(context.params.get("code") or ()), ""]
    typed = "-".join(before) + incomplete
    # A shell takes only what begins with what was typed, capitals included.
    return [incomplete + code[len(typed) :] for code in complete(typed)]


CodeArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CODE",
        help="The code of the other side, in any case, with dashes or spaces; without one, a code is made.",
        show_default=False,
        autocompletion=code_words,
    ),
]
WordsOption = Annotated[
    int, typer.Option("--words", metavar="N", min=2, max=8, help="How many words a code that is made has.")
]
AsOption = Annotated[
    str | None,
    typer.Option("--as", metavar="NAME", help="What to call the contact here.", show_default="what it calls itself"),
]


@with_node_options(
    without=(
        *("room", "contacts_only", "yes", "ice_server", "loopback", "address"),
        *("answer_seconds", "confirm_seconds", "link_seconds", "round_seconds", "warm_seconds"),
    )
)
def pair(*, code: CodeArgument = None, words: WordsOption = 2, alias: AsOption = None, options: NodeOptions) -> None:
    """Make a contact: two nodes that know nothing but a server meet with a code, and each is verified for the other.

    One side makes a code and tells it, by voice or in person; the other side types it. A code is used once. One wrong
    word ends it, and both sides are told.
    """
    from mpcnode.cli.actions.pair import pair_with  # noqa: PLC0415 -- what is heavy waits for its command

    pair_with(options, code=" ".join(code) if code else None, words=words, alias=alias)
