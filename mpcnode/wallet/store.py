"""The wallets of one node: the model and the keystore put together, so that no other code needs to know both.

What blocks (disk, key derivation) runs in a worker thread, one at a time.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar

from mpcnode.errors import DecodeError, KeystoreAbsent, KeystoreNewer, KeystoreUnreadable, MpcError, Refused, UsageError
from mpcnode.keystore.format import JsonObject, Kdf
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.store import Home
from mpcnode.keystore.wallets import StoredWallet
from mpcnode.protocols.checkpoints import StorePending
from mpcnode.protocols.epoch import Certificate, Statement
from mpcnode.protocols.frost import held
from mpcnode.protocols.frost.packages import KeyPackage, PublicKeyPackage
from mpcnode.protocols.frost.pedpop import KeyShare
from mpcnode.protocols.registry import PROTOCOLS
from mpcnode.status import ErrorView, Verified, WalletView, error_view
from mpcnode.types import PeerId, SuiteId, WalletId
from mpcnode.waits import see_end
from mpcnode.wallet.public_keys import verification_keys
from mpcnode.wallet.secret import Share, WalletSecret
from mpcnode.wallet.wallet import Epoch, EpochState, Wallet

T = TypeVar("T")
LET_GO: Final = 4
"""Turns of the loop after which what was just said has left this machine."""

OpenKey = Callable[[], Awaitable[tuple[KeyPackage, PublicKeyPackage]]]
"""Waits for a share of a key that is being opened."""
OpenShares = Callable[[], Awaitable[Mapping[SuiteId, KeyShare]]]
"""Waits for the shares of all keys of a wallet that are being opened."""


class Wallets:
    """Every wallet under a home, for one node that holds it.

    Args:
        home: locked by this process.
        keyring: opens the home's files.
        peer_id: this node's name.
    """

    def __init__(self, home: Home, keyring: Keyring, peer_id: PeerId) -> None:
        self._home = home
        self._keyring = keyring
        self._peer_id = peer_id
        self._one_at_a_time = asyncio.Lock()
        self._read: dict[WalletId, tuple[StoredWallet, Wallet | MpcError]] = {}

    # --- how they change ---

    async def store_pending(self, record: StorePending, *, name: str, verified: Verified, now: int) -> WalletView:
        """Make a new share durable: when this returns it was read back from the disk and opened.

        This node's own ``ready`` signature is stored with it, so the promise is on disk before anybody hears it. From
        here on the first epoch's share is deleted by nobody but a person. A later epoch stands beside the active one,
        which goes on signing until the new one's certificate is full. It takes the place of a pending one that it
        abandons, whose share is erased by the same write.

        Args:
            record: the epoch, its shares and this node's signature; the secrets in it stay the caller's.
            name: what a new wallet is called; one that is there keeps its name.
            verified: how the participants of a new wallet were verified; one that is there keeps what it says.
            now: when a new wallet was made, Unix milliseconds.

        Returns:
            The wallet as it is now.

        Raises:
            KeystoreError, WrongPassphrase, HomeInUse: it is not durable, and ``ready`` must not be sent; what was there
                is there still. Also where a wallet of a new one's id is there already.
            Refused: a later epoch does not follow this node's active one, or does not abandon its pending one.
        """
        if record.statement.previous is None:
            return await self._locked(lambda: self._store_first(record, name, verified, now))
        return await self._locked(lambda: self._store_later(record))

    async def merge(self, wallet_id: WalletId, certificate: Certificate) -> WalletView:
        """Add signatures to a pending epoch; the full certificate makes it active, and erases the shares before it.

        Returns:
            The wallet as it is now.

        Raises:
            KeystoreAbsent: no such wallet, or no such epoch of it.
            KeystoreError, WrongPassphrase, HomeInUse: its file cannot be read or written; what was there is there
                still.
        """
        return await self._locked(lambda: self._merge(wallet_id, certificate))

    async def delete(self, wallet_id: WalletId, *, even_active: bool = False) -> Path:
        """Move one of this node's wallets to the trash, see ``delete_wallet``; only a person may ask for this.

        Raises:
            KeystoreAbsent: there is no such wallet.
            Refused, KeystoreError, HomeInUse: as ``delete_wallet``.
        """
        return await self._locked(lambda: delete_wallet(self._home, self._known(wallet_id), even_active=even_active))

    # --- lending shares ---

    @asynccontextmanager
    async def signing_key(self, wallet: Wallet, suite: SuiteId) -> AsyncIterator[OpenKey]:
        """Open this node's share of one key beside other work; at the end of the block it is wiped.

        Args:
            wallet: as the session, its policy and its user saw it; the share is of its active epoch.
            suite: the key's; for Taproot the untweaked key.

        The function that is given waits for the share and the public keys; it raises
            KeystoreError, WrongPassphrase: the file cannot be opened, or holds another wallet than ``wallet``.
            WalletPending: not everybody has a share.
        """
        async with self._lent(wallet, (suite,)) as shares:

            async def key() -> tuple[KeyPackage, PublicKeyPackage]:
                share = (await shares())[suite]
                return share.key, share.public

            yield key

    @asynccontextmanager
    async def key_shares(self, wallet: Wallet) -> AsyncIterator[OpenShares]:
        """Open this node's shares of all keys, as ``signing_key`` opens one."""
        async with self._lent(wallet, tuple(keys.suite for keys in wallet.suites)) as shares:
            yield shares

    # --- what there is ---

    def find(self, wallet_id: WalletId) -> Wallet | None:
        """Give this node's wallet of that id, if it has it."""
        return next((wallet for wallet in self.all() if wallet.wallet_id == wallet_id), None)

    def named(self, wanted: str) -> Wallet:
        """Give the wallet of that name, or whose id begins so.

        Raises:
            KeystoreAbsent, KeystoreUnreadable, KeystoreNewer: it is not found, see ``find_wallet``.
            UsageError: there are several.
        """
        return find_wallet(self._look(), wanted)[1]

    def all(self) -> tuple[Wallet, ...]:
        """Give this node's readable wallets; headers only, which are authentic once opened."""
        return tuple(wallet for _, wallet in self._look() if isinstance(wallet, Wallet))

    # --- inside ---

    @asynccontextmanager
    async def _lent(self, wallet: Wallet, suites: tuple[SuiteId, ...]) -> AsyncIterator[OpenShares]:
        opening = asyncio.ensure_future(self._opened(wallet, suites))

        async def shares() -> Mapping[SuiteId, KeyShare]:
            return await asyncio.shield(opening)

        try:
            yield shares
        finally:
            try:
                await see_end(opening)
            finally:
                if not opening.cancelled() and opening.exception() is None:
                    for share in opening.result().values():
                        share.wipe()

    async def _opened(self, wallet: Wallet, suites: tuple[SuiteId, ...]) -> Mapping[SuiteId, KeyShare]:
        known = self._read.get(wallet.wallet_id)
        if known is None or not self._keyring.has_derived(known[0].kdf):
            return await self._locked(lambda: self._open_shares(wallet, suites))
        # Not in a thread: it would take turns with the very loop it is to run beside, for less than a millisecond.
        for _ in range(LET_GO):
            await asyncio.sleep(0)
        return self._open_shares(wallet, suites)

    def _look(self) -> list[tuple[StoredWallet, Wallet | MpcError]]:
        """Every file that is this node's, or may be: whose a directory is that cannot be read is not known."""
        own = [stored for stored in self._home.list_wallets() if stored.peer_id in {self._peer_id, None}]
        # The home gives the same value for a file that has not changed.
        self._read = {stored.wallet_id: self._read_once(stored) for stored in own}
        return list(self._read.values())

    def _read_once(self, stored: StoredWallet) -> tuple[StoredWallet, Wallet | MpcError]:
        known = self._read.get(stored.wallet_id)
        return known if known is not None and known[0] is stored else (stored, read_header(stored))

    async def _locked(self, work: Callable[[], T]) -> T:
        async with self._one_at_a_time:
            # Shielded: no Ctrl-C, nor a second one, must leave the thread writing behind a home whose lock is gone.
            task = asyncio.ensure_future(asyncio.to_thread(work))
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                await see_end(task)
                raise

    def _store_first(self, record: StorePending, name: str, verified: Verified, now: int) -> WalletView:
        statement = record.statement
        assert record.chain_code is not None
        assert record.document_key is not None
        own = statement.identity_keys[record.identifier]
        wallet = Wallet(
            wallet_id=statement.wallet_id,
            name=name,
            peer_id=self._peer_id,
            identity_key=own,
            epochs=(Epoch(statement, Certificate(statement.epoch_id, {own: record.ready}), EpochState.PENDING),),
            verified=verified,
            created_ms=now,
        )
        secret = WalletSecret(
            _shares(record), chain_code=bytearray(record.chain_code), document_key=bytearray(record.document_key)
        )
        try:
            return self._save(wallet, secret, replaces=None)
        finally:
            secret.wipe()

    def _store_later(self, record: StorePending) -> WalletView:
        statement = record.statement
        header, wallet, secret = self._load(self._known(statement.wallet_id))
        try:
            own = Certificate(statement.epoch_id, {statement.identity_keys[record.identifier]: record.ready})
            changed = wallet.with_pending(statement, own)
            # From here on the share of an abandoned epoch is nowhere: not in memory, not in the file.
            secret.keep(changed.secret_epochs)
            secret.add(_shares(record))
            return self._save(changed, secret, replaces=header)
        finally:
            secret.wipe()

    def _merge(self, wallet_id: WalletId, certificate: Certificate) -> WalletView:
        header, wallet, secret = self._load(self._known(wallet_id))
        try:
            if all(epoch.epoch_id != certificate.epoch_id for epoch in wallet.epochs):
                raise KeystoreAbsent(f"wallet {wallet.name} has no such epoch at this node")
            merged = wallet.merge(certificate)
            if merged == wallet:
                return view(wallet, self._home.kdf())
            # From here on the shares of the retired epoch are nowhere: not in memory, not in the file.
            secret.keep(merged.secret_epochs)
            return self._save(merged, secret, replaces=header)
        finally:
            secret.wipe()

    def _save(self, wallet: Wallet, secret: WalletSecret, *, replaces: JsonObject | None) -> WalletView:
        wallet.check_secret(secret)
        kdf = self._home.kdf()  # before the write: nothing may fail once it is durable
        encoded = secret.encode()
        try:
            self._home.save_wallet(
                wallet.wallet_id, wallet.peer_id, wallet.to_header(), encoded, self._keyring, replaces=replaces
            )
        finally:
            encoded[:] = bytes(len(encoded))
        return view(wallet, kdf)

    def _known(self, wallet_id: WalletId) -> Wallet:
        known = self.find(wallet_id)
        if known is None:
            raise KeystoreAbsent("this node has no such wallet")
        return known

    def _load(self, known: Wallet) -> tuple[JsonObject, Wallet, WalletSecret]:
        """Open a wallet; its header is authentic, and the secret is the caller's to wipe."""
        header, encoded = self._home.load_wallet(known.wallet_id, known.peer_id, self._keyring)
        try:
            return header, self._parsed(known.wallet_id, header), WalletSecret.decode(encoded)
        except DecodeError as error:
            raise KeystoreUnreadable(f"wallet {known.wallet_id.hex()}: {error}") from error
        finally:
            encoded[:] = bytes(len(encoded))

    def _parsed(self, wallet_id: WalletId, header: JsonObject) -> Wallet:
        # The header that was read before and is now known to be authentic need not be taken apart again.
        stored, wallet = self._read.get(wallet_id, (None, None))
        if stored is not None and stored.header == header and isinstance(wallet, Wallet):
            return wallet
        return Wallet.from_header(header)

    def _open_shares(self, known: Wallet, suites: tuple[SuiteId, ...]) -> Mapping[SuiteId, KeyShare]:
        _, wallet, secret = self._load(known)
        try:
            _check_same(known, wallet)
            epoch = wallet.require_active()
            opened: dict[SuiteId, KeyShare] = {}
            try:
                for suite in suites:
                    opened[suite] = _open_share(wallet, epoch.statement, suite, secret)
            except BaseException:
                for share in opened.values():
                    share.wipe()
                raise
            return opened
        finally:
            secret.wipe()


def _shares(record: StorePending) -> list[Share]:
    """Copy the shares of a record, for a secret that owns them."""
    return [
        Share(record.statement.epoch_id, suite, PROTOCOLS[suite], held.encode_share(share))
        for suite, share in record.secrets.items()
    ]


def _open_share(wallet: Wallet, statement: Statement, suite: SuiteId, secret: WalletSecret) -> KeyShare:
    try:
        share = secret.share(statement.epoch_id, suite)
        return held.decode_share(statement, suite, wallet.identifier, share.data)
    except (KeyError, DecodeError) as error:
        raise KeystoreUnreadable(f"wallet {wallet.name}: its secret has no usable share for {suite}") from error


def _check_same(known: Wallet, opened: Wallet) -> None:
    """Check that the wallet that was opened is the one that the session, its policy and its user saw.

    That one came from a header that nobody had authenticated. Signatures of other nodes for a pending epoch may have
    arrived meanwhile: no signature is made with it.

    Raises:
        KeystoreUnreadable: it is not.
    """
    if _in_use(known) == _in_use(opened):
        return
    if known.active and opened.active and known.active.number < opened.active.number:
        raise KeystoreUnreadable(
            f"wallet {opened.name} has new shares, of epoch {opened.active.number}, since this session began",
            hint="ask again",
        )
    raise KeystoreUnreadable(
        f"wallet {opened.name} is not what its file said before it was opened: another program changed the file",
        hint="ask again; if it happens again, look at who can write to the home",
    )


def _in_use(wallet: Wallet) -> tuple[object, ...]:
    """Give what the wallet is without its pending epoch, where it has an active one."""
    finished = tuple(epoch for epoch in wallet.epochs if epoch.state is not EpochState.PENDING)
    about = (wallet.wallet_id, wallet.name, wallet.peer_id, wallet.identity_key, wallet.verified, wallet.created_ms)
    return *about, finished or wallet.epochs


def read_header(stored: StoredWallet) -> Wallet | MpcError:
    """Take a listed wallet's header, or say why it cannot be read."""
    if stored.problem is not None:
        return stored.problem
    try:
        return Wallet.from_header(stored.header or {})
    except DecodeError as error:
        return KeystoreUnreadable(f"wallet {stored.wallet_id.hex()}: {error}")


def find_wallet(stored: Iterable[tuple[StoredWallet, Wallet | MpcError]], wanted: str) -> tuple[StoredWallet, Wallet]:
    """Give the wallet of that name, or whose id begins so.

    Args:
        stored: the wallets there are, each with its header or what is wrong with it.
        wanted: a name, or at least four digits of an id.

    Raises:
        KeystoreAbsent: no wallet is called that, and every wallet could be read.
        KeystoreUnreadable, KeystoreNewer: no wallet that can be read is called that; the first that cannot be read is
            named, because it may be the one that is wanted.
        UsageError: several wallets are called that.
    """
    found: list[tuple[StoredWallet, Wallet]] = []
    unreadable: list[tuple[WalletId, MpcError]] = []
    for one, wallet in stored:
        if isinstance(wallet, MpcError):
            unreadable.append((one.wallet_id, wallet))
        elif wallet.name == wanted or _begins(wallet.wallet_id, wanted):
            found.append((one, wallet))
    if len(found) > 1:
        ids = ", ".join(wallet.wallet_id.hex() for _, wallet in found)
        raise UsageError(f"{len(found)} wallets are called {wanted!a}", hint=f"give the beginning of an id: {ids}")
    if found:
        return found[0]
    if not unreadable:
        raise KeystoreAbsent(f"there is no wallet {wanted!a} here", hint="see 'mpcnode wallets list'")
    _, problem = min(unreadable, key=lambda one: not _begins(one[0], wanted))
    kind = KeystoreNewer if isinstance(problem, KeystoreNewer) else KeystoreUnreadable
    raise kind(
        f"there is no wallet {wanted!a} among those that can be read, and one cannot be: {problem.message}",
        hint=problem.hint or "restore that file from a backup",
    ) from problem


def _begins(wallet_id: WalletId, wanted: str) -> bool:
    return len(wanted) >= 4 and wallet_id.hex().startswith(wanted)


def list_wallets(home: Home) -> tuple[WalletView | ErrorView, ...]:
    """Every wallet under a home, without a passphrase: headers, which are authentic only once a wallet was opened."""
    shown: list[WalletView | ErrorView] = []
    for stored in home.list_wallets():
        wallet = read_header(stored)
        if isinstance(wallet, MpcError):
            shown.append(error_view(wallet))
        elif stored.kdf is not None:
            shown.append(view(wallet, stored.kdf))
    return tuple(shown)


def unreadable_wallets(home: Home) -> tuple[MpcError, ...]:
    """What is wrong with each wallet under a home that cannot be read."""
    headers = map(read_header, home.list_wallets())
    return tuple(problem for problem in headers if isinstance(problem, MpcError))


def delete_wallet(home: Home, wallet: Wallet, *, even_active: bool = False) -> Path:
    """Move a wallet to the home's trash, with its policy; needs no passphrase.

    The others may have everybody's word that this share is stored, so their wallet may be active without this node's:
    a person must have been told what is known of them.

    Args:
        home: where it is stored.
        wallet: as it was read and shown to the person.
        even_active: whether the person knows that a share of a key in use goes.

    Returns:
        Its directory in the trash. To have it back, move that to ``wallets/<wallet id>``.

    Raises:
        Refused: it is active, and that was not said.
        KeystoreAbsent, KeystoreUnreadable, KeystoreNewer: of the wallet that is there.
        KeystoreUnwritable: it is no longer what was shown, or could not be moved.
        HomeInUse: another process has the home.
    """
    if wallet.active is not None and not even_active:
        raise Refused(
            f"wallet {wallet.name} is active: with its share gone, {wallet.total - 1} of {wallet.total} are left",
            saved="this node's share is where it was",
        )
    return home.trash_wallet(wallet.wallet_id, wallet.peer_id, wallet.to_header())


def view(wallet: Wallet, kdf: Kdf) -> WalletView:
    """Show a wallet by its active epoch, and which one is pending; without one, nothing that money could be sent to.

    Keys are shown as others use them: of Taproot the tweaked key, which signatures verify under.
    """
    current = wallet.current
    names = [member.peer_id for member in wallet.roster]
    shown = {} if wallet.active is None else {keys.suite: verification_keys(keys) for keys in wallet.suites}
    return WalletView(
        wallet_id=wallet.wallet_id.hex(),
        name=wallet.name,
        state=wallet.state,
        threshold=wallet.threshold,
        total=wallet.total,
        peer_id=wallet.peer_id,
        identifier=wallet.identifier,
        participants=tuple(names),
        suites=tuple(keys.suite for keys in wallet.suites),
        epoch=current.number,
        epoch_id=current.epoch_id.hex(),
        signatures=wallet.total - len(current.missing),
        certificate_valid=wallet.active is not None,
        verified=wallet.verified,
        kdf=kdf.policy.label,
        created=wallet.created_ms,
        pending=None if wallet.pending is None else wallet.pending.number,
        missing=() if wallet.pending is None else wallet.pending.missing,
        group_public_keys={suite: keys.group_public_key.hex() for suite, keys in shown.items()},
        verifying_shares={
            suite: dict(zip(names, (share.hex() for share in keys.verifying_shares), strict=True))
            for suite, keys in shown.items()
        },
    )
