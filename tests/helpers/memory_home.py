"""A home's wallets without a disk and without key derivation."""

from collections.abc import Callable
from typing import Any, cast

from mpcnode.errors import KeystoreAbsent, KeystoreUnwritable
from mpcnode.keystore.format import JsonObject, Kdf, KdfPolicy
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.store import Home
from mpcnode.keystore.wallets import StoredWallet
from mpcnode.types import PeerId, WalletId
from mpcnode.wallet.store import Wallets


class MemoryHome:
    """Keeps wallets in memory; ``before_save`` may refuse, wait or watch, and is told the states of the epochs."""

    def __init__(self, before_save: Callable[[list[str]], None] = lambda _states: None) -> None:
        self.files: dict[tuple[WalletId, PeerId], tuple[JsonObject, bytes]] = {}
        self.before_save = before_save

    @property
    def states(self) -> list[list[str]]:
        """The states of the epochs of every wallet."""
        return [_states(header) for header, _ in self.files.values()]

    def kdf(self) -> Kdf:
        return Kdf(KdfPolicy.INTERACTIVE, bytes(16))

    def list_wallets(self) -> tuple[StoredWallet, ...]:
        return tuple(
            StoredWallet(wallet_id, peer_id, self.kdf(), header)
            for (wallet_id, peer_id), (header, _) in sorted(self.files.items())
        )

    def save_wallet(
        self,
        wallet_id: WalletId,
        peer_id: PeerId,
        header: JsonObject,
        secret: bytearray,
        _keyring: object,
        *,
        replaces: JsonObject | None = None,
    ) -> None:
        self.before_save(_states(header))
        if self.files.get((wallet_id, peer_id), (None, b""))[0] != replaces:
            raise KeystoreUnwritable("another wallet is there")
        self.files[wallet_id, peer_id] = (header, bytes(secret))

    def load_wallet(self, wallet_id: WalletId, peer_id: PeerId, _keyring: object) -> tuple[JsonObject, bytearray]:
        if (wallet_id, peer_id) not in self.files:
            raise KeystoreAbsent("no such wallet")
        header, secret = self.files[wallet_id, peer_id]
        return header, bytearray(secret)


def wallets_in(home: MemoryHome, name: PeerId) -> Wallets:
    return Wallets(cast("Home", home), cast("Keyring", _Derived()), name)


class _Derived:
    """A keyring for a home without key derivation."""

    def has_derived(self, _kdf: Kdf) -> bool:
        return True


def _states(header: JsonObject) -> list[Any]:
    return [epoch["state"] for epoch in header["epochs"]]
