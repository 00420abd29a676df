"""``mpcnode refresh``: new shares of the same key."""

from typing import Final

from mpcnode.cli.options import NodeOptions, WalletArgument, with_node_options

EXAMPLES: Final = """\b
Examples:
  mpcnode refresh treasury
  mpcnode refresh treasury --answer-seconds 3600 --json"""


@with_node_options(without=("contacts_only", "yes", "confirm_seconds", "warm_seconds", "kdf"))
def refresh(wallet: WalletArgument, *, options: NodeOptions) -> None:
    """Give every participant of a wallet a new share of the same key; the old shares are erased and worth nothing.

    Keys and addresses stay as they are. Every participant has to be there. Refresh after a share may have been copied:
    a thief then needs as many of the new shares as signers are needed.
    """
    from mpcnode.cli.actions.refresh import refresh_wallet  # noqa: PLC0415 -- what is heavy waits for its command

    refresh_wallet(options, wallet=wallet)
