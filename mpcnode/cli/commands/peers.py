"""``mpcnode peers``: the peers in the room."""

from typing import Final

from mpcnode.cli.options import (
    DEFAULT_SERVER,
    CaFileOption,
    HomeOption,
    JsonOption,
    KdfOption,
    NodeOptions,
    PassphraseFdOption,
    PassphraseFileOption,
    PeerIdOption,
    RoomOption,
    ServerOption,
    VerboseOption,
)

EXAMPLES: Final = """\b
Examples:
  mpcnode peers
  mpcnode peers --room treasury --json | jq -r .peer_id"""


def peers(
    *,
    home: HomeOption = None,
    server: ServerOption = DEFAULT_SERVER,
    peer_id: PeerIdOption = None,
    room: RoomOption = "public",
    ca_file: CaFileOption = None,
    kdf: KdfOption = "default",
    passphrase_file: PassphraseFileOption = None,
    passphrase_fd: PassphraseFdOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Show the peers in the room: name, trust, fingerprint.

    The node that runs under this home is asked; where none runs, this command registers for as long as it takes.
    """
    from mpcnode.cli.actions.peers import show_peers  # noqa: PLC0415 -- what is heavy waits for its command

    options = NodeOptions(
        home=home,
        server=server,
        peer_id=peer_id,
        room=room,
        ca_file=ca_file,
        kdf=kdf,
        passphrase_file=passphrase_file,
        passphrase_fd=passphrase_fd,
        json=json,
        verbose=verbose,
    )
    show_peers(options)
