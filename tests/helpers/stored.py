"""What stands in a home's wallet files, looked at with a healthy disk."""

from mpcnode.keystore.format import JsonObject
from mpcnode.keystore.store import Home
from mpcnode.types import PeerId, WalletId
from tests.helpers.filesystem import QuickFileSystem


def header_there(home: Home, wallet_id: WalletId, peer_id: PeerId) -> JsonObject | None:
    """The header of a wallet as it is now: what ``save_wallet`` must be told that it replaces."""
    found = Home.open(home.path, create=False, files=QuickFileSystem()).list_wallets()
    return next((one.header for one in found if (one.wallet_id, one.peer_id) == (wallet_id, peer_id)), None)
