"""What ``mpcnode create-wallet`` does."""

import shlex
from typing import Final

from mpcnode.cli.actions.invited import Invited
from mpcnode.cli.actions.node import by_a_node, check_is_new, check_somebody_compares
from mpcnode.cli.options import NodeOptions, milliseconds, peer_ids
from mpcnode.cli.terminal.describe import wallet_lines
from mpcnode.cli.terminal.output import log_to_stderr, print_data, print_line, say
from mpcnode.commands import DEFAULT_WAIT_MS, CreateWallet, Invite
from mpcnode.control.lines import Result

WAIT_SECONDS: Final = {False: DEFAULT_WAIT_MS / 1000, True: 3600.0}
"""How long others are waited for, and how long an invitation is good, where nobody says."""


def make_wallet(
    options: NodeOptions,
    *,
    threshold: int,
    total: int,
    name: str,
    with_peers: tuple[str, ...],
    wait: float | None,
    invited: Invited | None = None,
) -> None:
    """Make a wallet, by the running node or by one of our own; with those who are ``invited``, by one of our own.

    Raises:
        UsageError: the options make no sense together.
        MpcError: why there is no wallet.
    """
    log_to_stderr(verbose=options.verbose)
    command = CreateWallet(
        threshold=threshold,
        total=total,
        name=name,
        with_peers=peer_ids(with_peers, "--with"),
        wait=milliseconds(wait if wait is not None else WAIT_SECONDS[invited is not None]),
        yes=options.yes,
        answer_within=milliseconds(options.answer_seconds),
        confirm_within=milliseconds(options.confirm_seconds),
    )
    check_somebody_compares(options)
    if invited is None:
        wallet = by_a_node(
            options,
            ask=lambda client, user, emit: client.create_wallet(command, user=user, emit=emit),
            own=lambda node, _emit: node.create_wallet(command),
            check=lambda: check_is_new(options, name, others=command.with_peers),
        )
    else:
        from mpcnode.cli.actions.invite import invite_to_wallet  # noqa: PLC0415 -- only where somebody is invited

        invite = Invite(wallet=command, codes=invited.codes, words=invited.words)
        check_is_new(options, name, others=())
        wallet = invite_to_wallet(options, invite, invited)
    if options.json:
        print_line(Result(wallet=wallet))
        return
    print_data(*wallet_lines(wallet))
    if not options.quiet:
        say(*next_steps(options, name))


def next_steps(options: NodeOptions, name: str) -> list[str]:
    """Say what can be done with a wallet that was just made."""
    home = "" if options.home is None else f" --home {shlex.quote(str(options.home))}"
    return [
        "",
        "next:",
        f"  mpcnode wallets show {name}{home}     shows its addresses",
        f"  mpcnode sign --wallet {name} --message hello{home}",
        f"  mpcnode register{home}     stays: where no node runs, this participant cannot sign for others",
        "copy the home to a safe place while no node runs under it; the copy needs the same passphrase",
    ]
