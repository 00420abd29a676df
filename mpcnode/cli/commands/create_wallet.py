"""``mpcnode create-wallet``: make a wallet together with others."""

from pathlib import Path
from typing import Annotated, Final

import typer

from mpcnode.cli.options import NodeOptions, StopWithStdinOption, WithOption, with_node_options
from mpcnode.errors import UsageError

EXAMPLES: Final = """\b
Examples:
  mpcnode create-wallet --threshold 2 --total 3
  mpcnode create-wallet --threshold 2 --total 3 --invite     # tells what the others type
  mpcnode create-wallet --threshold 2 --total 3 --name treasury --with cli2,cli3"""

ThresholdOption = Annotated[
    int, typer.Option("--threshold", "-t", metavar="T", help="How many participants must sign.")
]
TotalOption = Annotated[int, typer.Option("--total", "-n", metavar="N", help="Participants, this node included.")]
NameOption = Annotated[str, typer.Option("--name", metavar="NAME", help="What to call the wallet.")]
WaitOption = Annotated[
    float | None,
    typer.Option(
        "--wait",
        metavar="S",
        min=0,
        help="Seconds to wait for peers that are not there yet.",
        show_default="600; with --invite 3600",
    ),
]
InviteOption = Annotated[
    bool,
    typer.Option(
        "--invite",
        help="Invite the others: a code for each, and a link for all. They need nothing but 'mpcnode join'.",
    ),
]
InviteWordsOption = Annotated[
    int, typer.Option("--words", metavar="N", min=2, max=8, help="With --invite: how many words a code has.")
]
NoCodesOption = Annotated[bool, typer.Option("--no-codes", help="With --invite: the link alone.")]
NoQrOption = Annotated[bool, typer.Option("--no-qr", help="With --invite: do not draw the link as a QR code.")]
QrOption = Annotated[
    Path | None,
    typer.Option("--qr", metavar="FILE.png", help="With --invite: draw the link's QR code into a new file, too."),
]


@with_node_options(without=("warm_seconds",))
def create_wallet(
    *,
    threshold: ThresholdOption,
    total: TotalOption,
    name: NameOption = "wallet",
    with_peers: WithOption = None,
    wait: WaitOption = None,
    invite: InviteOption = False,
    words: InviteWordsOption = 2,
    no_codes: NoCodesOption = False,
    no_qr: NoQrOption = False,
    qr: QrOption = None,
    stop_with_stdin: StopWithStdinOption = False,
    options: NodeOptions,
) -> None:
    """Make a wallet: a key of which every participant holds a share, and any T of them can sign.

    It waits until enough peers are there, shows how many are missing, and goes on by itself. With --invite nobody needs
    a name or a room: it shows who joins and how each is known, and goes on when all are there.
    """
    from mpcnode.cli.actions.create_wallet import make_wallet  # noqa: PLC0415 -- what is heavy waits for its command
    from mpcnode.cli.actions.invited import Invited  # noqa: PLC0415 -- same

    if not invite and (words != 2 or no_codes or no_qr or qr is not None or stop_with_stdin):
        raise UsageError(
            "--words, --no-codes, --no-qr, --qr and --stop-with-stdin go with --invite", hint="add --invite"
        )
    make_wallet(
        options,
        threshold=threshold,
        total=total,
        name=name,
        with_peers=tuple(with_peers or ()),
        wait=wait,
        invited=Invited(codes=not no_codes, words=words, qr=not no_qr, picture=qr, stop_with_stdin=stop_with_stdin)
        if invite
        else None,
    )
