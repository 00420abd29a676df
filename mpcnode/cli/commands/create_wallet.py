"""``mpcnode create-wallet``: make a wallet together with others."""

from typing import Annotated, Final

import typer

from mpcnode.cli.options import NodeOptions, WithOption, with_node_options

EXAMPLES: Final = """\b
Examples:
  mpcnode create-wallet --threshold 2 --total 3
  mpcnode create-wallet --threshold 2 --total 3 --name treasury --with cli2,cli3"""

ThresholdOption = Annotated[
    int, typer.Option("--threshold", "-t", metavar="T", help="How many participants must sign.")
]
TotalOption = Annotated[int, typer.Option("--total", "-n", metavar="N", help="Participants, this node included.")]
NameOption = Annotated[str, typer.Option("--name", metavar="NAME", help="What to call the wallet.")]
WaitOption = Annotated[
    float, typer.Option("--wait", metavar="S", min=0, help="Seconds to wait for peers that are not there yet.")
]


@with_node_options(without=("warm_seconds",))
def create_wallet(
    *,
    threshold: ThresholdOption,
    total: TotalOption,
    name: NameOption = "wallet",
    with_peers: WithOption = None,
    wait: WaitOption = 600,
    options: NodeOptions,
) -> None:
    """Make a wallet: a key of which every participant holds a share, and any T of them can sign.

    It waits until enough peers are there, shows how many are missing, and goes on by itself.
    """
    from mpcnode.cli.actions.create_wallet import make_wallet  # noqa: PLC0415 -- what is heavy waits for its command

    make_wallet(options, threshold=threshold, total=total, name=name, with_peers=tuple(with_peers or ()), wait=wait)
