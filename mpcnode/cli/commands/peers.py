"""``mpcnode peers``: the peers in the room."""

from typing import Final

from mpcnode.cli.options import NodeOptions, with_node_options

EXAMPLES: Final = """\b
Examples:
  mpcnode peers
  mpcnode peers --room treasury --json | jq -r .peer_id"""


@with_node_options(
    without=(
        *("contacts_only", "yes", "ice_server", "loopback", "address"),
        *("answer_seconds", "confirm_seconds", "link_seconds", "round_seconds", "warm_seconds", "quiet", "kdf"),
    )
)
def peers(*, options: NodeOptions) -> None:
    """Show the peers in the room: name, trust, fingerprint.

    The node that runs under this home is asked; where none runs, this command registers for as long as it takes. It
    makes no home: `mpcnode register` does.
    """
    from mpcnode.cli.actions.peers import show_peers  # noqa: PLC0415 -- what is heavy waits for its command

    show_peers(options)
