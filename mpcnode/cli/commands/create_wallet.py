"""``mpcnode create-wallet``: make a wallet together with others."""

from typing import Annotated, Final

import typer

from mpcnode.cli.options import (
    DEFAULT_SERVER,
    AnswerSecondsOption,
    CaFileOption,
    ContactsOnlyOption,
    HomeOption,
    IceServerOption,
    JsonOption,
    KdfOption,
    LoopbackOption,
    NodeOptions,
    PassphraseFdOption,
    PassphraseFileOption,
    PeerIdOption,
    RoomOption,
    RoundSecondsOption,
    ServerOption,
    VerboseOption,
    YesOption,
)

EXAMPLES: Final = """\b
Examples:
  mpcnode create-wallet --threshold 2 --total 3
  mpcnode create-wallet --threshold 2 --total 3 --name treasury --with cli2,cli3"""

ThresholdOption = Annotated[int, typer.Option("--threshold", "-t", metavar="T", help="Signers that suffice.")]
TotalOption = Annotated[int, typer.Option("--total", "-n", metavar="N", help="Participants, this node included.")]
NameOption = Annotated[str, typer.Option("--name", metavar="NAME", help="What to call the wallet.")]
WithOption = Annotated[
    list[str] | None,
    typer.Option(
        "--with",
        metavar="PEERS",
        help="The other participants, with commas between.",
        show_default="the peers that are there",
    ),
]
WaitOption = Annotated[
    float, typer.Option("--wait", metavar="S", min=0, help="Seconds to wait for peers that are not there yet.")
]


def create_wallet(
    *,
    threshold: ThresholdOption,
    total: TotalOption,
    name: NameOption = "wallet",
    with_peers: WithOption = None,
    wait: WaitOption = 600,
    home: HomeOption = None,
    server: ServerOption = DEFAULT_SERVER,
    peer_id: PeerIdOption = None,
    room: RoomOption = "public",
    contacts_only: ContactsOnlyOption = False,
    yes: YesOption = False,
    ice_server: IceServerOption = None,
    loopback: LoopbackOption = False,
    ca_file: CaFileOption = None,
    answer_seconds: AnswerSecondsOption = 120,
    round_seconds: RoundSecondsOption = 60,
    kdf: KdfOption = "default",
    passphrase_file: PassphraseFileOption = None,
    passphrase_fd: PassphraseFdOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Make a wallet: a key of which every participant holds a share, and any T of them can sign.

    It waits until enough peers are there, shows how many are missing, and goes on by itself.
    """
    from mpcnode.cli.actions.create_wallet import make_wallet  # noqa: PLC0415 -- what is heavy waits for its command

    options = NodeOptions(
        home=home,
        server=server,
        peer_id=peer_id,
        room=room,
        contacts_only=contacts_only,
        yes=yes,
        ice_servers=tuple(ice_server or ()),
        loopback=loopback,
        ca_file=ca_file,
        answer_seconds=answer_seconds,
        round_seconds=round_seconds,
        kdf=kdf,
        passphrase_file=passphrase_file,
        passphrase_fd=passphrase_fd,
        json=json,
        verbose=verbose,
    )
    make_wallet(options, threshold=threshold, total=total, name=name, with_peers=tuple(with_peers or ()), wait=wait)
