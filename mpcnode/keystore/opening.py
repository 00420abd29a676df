"""Opening a home, or making it on the way: what every command that needs an identity begins with."""

import re
import socket
from dataclasses import replace

from mpcnode.crypto.selftest import check_libraries
from mpcnode.identity.identity import Identity
from mpcnode.keystore.format import KdfPolicy
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.settings import Settings
from mpcnode.keystore.store import Home
from mpcnode.types import PeerId, parse_peer_id


def name_of(given: PeerId | None, settings: Settings) -> PeerId:
    """Choose a node's name: the one that is given, else the home's last one, else this machine's, made fit for it."""
    if name := given or settings.peer_id:
        return name
    host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:64]
    return parse_peer_id(host or "node")


def open_identity(
    home: Home, keyring: Keyring, name: PeerId, settings: Settings, *, interactive_kdf: bool = False
) -> Identity:
    """Open the identity of a home, or make it, and remember its name where that fits its wallets.

    The caller holds the home's lock.

    It takes as long as a key derivation. What it returns is the caller's to wipe.

    Args:
        home: which.
        keyring: of its passphrase.
        name: ``name_of`` it.
        settings: as they are stored.
        interactive_kdf: protect a new home lightly.

    Raises:
        WrongPassphrase, KeystoreError: the home does not open.
    """
    check_libraries()
    if home.is_new():
        policy = KdfPolicy.INTERACTIVE if interactive_kdf else KdfPolicy.DEFAULT
        identity = home.create_identity(keyring, policy)
    else:
        identity = home.load_identity(keyring)
    holds = {stored.peer_id for stored in home.list_wallets()}
    # A name that the wallets of this home are not for is for this run alone: the next command has to find them.
    if settings.peer_id != name and (not holds or name in holds):
        # Before the node registers: a node that others can see has nothing half-written in its home.
        try:
            home.save_settings(replace(settings, peer_id=name))
        except BaseException:
            identity.wipe()
            raise
    return identity
