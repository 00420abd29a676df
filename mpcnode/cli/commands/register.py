"""``mpcnode register``: run this node."""

from typing import Annotated, Final

import typer

from mpcnode.cli.options import (
    DEFAULT_SERVER,
    Accept,
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
    StopWithStdinOption,
    VerboseOption,
    WarmSecondsOption,
    YesOption,
)

EXAMPLES: Final = """\b
Examples:
  mpcnode register --peer-id cli2
  mpcnode register --server wss://mpc.example --room treasury --accept contacts
  mpcnode register --json --accept auto --yes --passphrase-file pass.txt"""

AcceptOption = Annotated[
    Accept,
    typer.Option(
        "--accept",
        envvar="MPCNODE_ACCEPT",
        help="Take part in a proposal: ask each time, always, only among verified contacts, or never.",
    ),
]


def register(
    *,
    home: HomeOption = None,
    server: ServerOption = DEFAULT_SERVER,
    peer_id: PeerIdOption = None,
    room: RoomOption = "public",
    accept: AcceptOption = "ask",
    contacts_only: ContactsOnlyOption = False,
    yes: YesOption = False,
    ice_server: IceServerOption = None,
    loopback: LoopbackOption = False,
    ca_file: CaFileOption = None,
    answer_seconds: AnswerSecondsOption = 120,
    round_seconds: RoundSecondsOption = 60,
    warm_seconds: WarmSecondsOption = 300,
    kdf: KdfOption = "default",
    passphrase_file: PassphraseFileOption = None,
    passphrase_fd: PassphraseFdOption = None,
    json: JsonOption = False,
    stop_with_stdin: StopWithStdinOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Run this node: register, stay, show peers, answer proposals.

    While it runs, every other command under the same home is carried out by it.

    A policy can say what a wallet signs without a question, and for which peers. It stands beside the wallet, in
    wallets/<wallet id>/policy.yaml, and answers in place of --accept. See the README.
    """
    from mpcnode.cli.actions.register import run_node  # noqa: PLC0415 -- what is heavy waits for its command

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
        warm_seconds=warm_seconds,
        kdf=kdf,
        passphrase_file=passphrase_file,
        passphrase_fd=passphrase_fd,
        json=json,
        verbose=verbose,
    )
    run_node(options, accept=accept, stop_with_stdin=stop_with_stdin)
