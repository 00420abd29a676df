"""``mpcnode refresh``: new shares of the same key."""

from typing import Annotated, Final

import typer

from mpcnode.cli.options import (
    DEFAULT_SERVER,
    AnswerSecondsOption,
    CaFileOption,
    HomeOption,
    IceServerOption,
    JsonOption,
    LoopbackOption,
    NodeOptions,
    PassphraseFdOption,
    PassphraseFileOption,
    PeerIdOption,
    RoomOption,
    RoundSecondsOption,
    ServerOption,
    VerboseOption,
)

EXAMPLES: Final = """\b
Examples:
  mpcnode refresh treasury
  mpcnode refresh treasury --answer-seconds 3600 --json"""

WalletArgument = Annotated[
    str, typer.Argument(metavar="WALLET", help="A wallet's name, or the beginning of its id.", show_default=False)
]


def refresh(
    wallet: WalletArgument,
    *,
    home: HomeOption = None,
    server: ServerOption = DEFAULT_SERVER,
    peer_id: PeerIdOption = None,
    room: RoomOption = "public",
    ice_server: IceServerOption = None,
    loopback: LoopbackOption = False,
    ca_file: CaFileOption = None,
    answer_seconds: AnswerSecondsOption = 120,
    round_seconds: RoundSecondsOption = 60,
    passphrase_file: PassphraseFileOption = None,
    passphrase_fd: PassphraseFdOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Give every participant of a wallet a new share of the same key; the old shares are erased and worth nothing.

    Keys and addresses stay as they are. Every participant has to be there. Refresh after a share may have been copied:
    a thief then needs as many of the new shares as signers are needed.
    """
    from mpcnode.cli.actions.refresh import refresh_wallet  # noqa: PLC0415 -- what is heavy waits for its command

    options = NodeOptions(
        home=home,
        server=server,
        peer_id=peer_id,
        room=room,
        yes=True,
        ice_servers=tuple(ice_server or ()),
        loopback=loopback,
        ca_file=ca_file,
        answer_seconds=answer_seconds,
        round_seconds=round_seconds,
        kdf="default",
        passphrase_file=passphrase_file,
        passphrase_fd=passphrase_fd,
        json=json,
        verbose=verbose,
    )
    refresh_wallet(options, wallet=wallet)
