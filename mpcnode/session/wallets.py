"""The wallets of one node: the model and the keystore put together, so that nobody else needs to know both.

What blocks (disk, key derivation) runs in a worker thread, one at a time.
"""

import asyncio
import copy
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Final, TypeVar

from mpcnode.crypto.ciphersuite import SUITES
from mpcnode.errors import DecodeError, KeystoreAbsent, KeystoreNewer, KeystoreUnreadable, MpcError, UsageError
from mpcnode.keystore.format import Kdf
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.store import Home
from mpcnode.keystore.wallets import StoredWallet
from mpcnode.protocols.certificate import Certificate
from mpcnode.protocols.frost.keygen import KeyShare, StorePending
from mpcnode.protocols.frost.packages import KeyPackage, PublicKeyPackage
from mpcnode.waits import see_end
from mpcnode.status import ErrorView, WalletView, error_view
from mpcnode.types import Identifier, PeerId, SessionId, SuiteId, WalletId
from mpcnode.wallet.secret import WalletSecret
from mpcnode.wallet.wallet import Participant, State, SuiteKeys, Wallet

T = TypeVar("T")
LET_GO: Final = 4
"""Turns of the loop after which what was just said has left this machine."""

OpenKey = Callable[[], Awaitable[tuple[KeyPackage, PublicKeyPackage]]]
"""Waits for a share of a key that is being opened."""


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
        self.before_use: Callable[[], Awaitable[None]] = _nothing

    def announced(self, before_use: Callable[[], Awaitable[None]]) -> "Wallets":
        """These wallets as one session is lent them: ``before_use`` ends before a signing key is given out.

        Args:
            before_use: what it raises is raised in place of giving the key.
        """
        lent = copy.copy(self)
        lent.before_use = before_use
        return lent

    async def store_pending(self, record: StorePending, *, words_compared: bool, now: float) -> WalletView:
        """Make a new share durable: when this returns it was read back from the disk and opened.

        This node's own ``ready`` signature is stored with it, so the promise is on disk before anybody hears it, and
        from here on nothing but a human deletes the share.

        Raises:
            KeystoreUnwritable, HomeInUse: it is not durable; ``ready`` must not be sent.
        """
        descriptor = record.descriptor
        wallet = Wallet(
            wallet_id=descriptor.wallet_id,
            session_id=descriptor.session_id,
            name=descriptor.wallet_name,
            peer_id=self._peer_id,
            identifier=record.identifier,
            threshold=descriptor.threshold,
            roster=tuple(Participant(member.peer_id, member.identity_key) for member in descriptor.roster),
            suites=tuple(_suite_keys(suite, record.shares[suite]) for suite in sorted(record.shares)),
            certificate=Certificate(record.transcript, {self._peer_id: record.ready}),
            state=State.PENDING,
            compared_words=words_compared,
            created=int(now),
        )
        secret = WalletSecret({suite: _signing_share(share) for suite, share in record.shares.items()})
        return await self._locked(lambda: self._save(wallet, secret))

    async def merge(self, session_id: SessionId, certificate: Certificate) -> WalletView:
        """Add signatures to the wallet of a session; with everybody's it becomes active.

        Returns:
            The wallet as it is now.

        Raises:
            KeystoreAbsent: no wallet of that session.
            KeystoreError, WrongPassphrase: its file cannot be read or written; what was there is there still.
            ValueError: the certificate is about another transcript.
        """
        return await self._locked(lambda: self._merge(session_id, certificate))

    @asynccontextmanager
    async def signing_key(self, wallet: Wallet, suite: SuiteId) -> AsyncIterator[OpenKey]:
        """Open this node's share of a wallet's key beside other work; at the end of the block it is wiped.

        What is given waits for the key and its public part; it raises
            KeystoreError, WrongPassphrase: the file cannot be opened.
            WalletPending: not everybody has a share.
        """
        opening = asyncio.ensure_future(self._opened(wallet, suite))

        async def key() -> tuple[KeyPackage, PublicKeyPackage]:
            await self.before_use()
            return await asyncio.shield(opening)

        try:
            yield key
        finally:
            try:
                await see_end(opening)
            finally:
                if not opening.cancelled() and opening.exception() is None:
                    opening.result()[0].wipe()

    async def _opened(self, wallet: Wallet, suite: SuiteId) -> tuple[KeyPackage, PublicKeyPackage]:
        known = self._read.get(wallet.wallet_id)
        if known is None or not self._keyring.has_derived(known[0].kdf):
            return await self._locked(lambda: self._open_key(wallet, suite))
        # No thread: it would take turns with the very loop it is to run beside, and this is less than a millisecond.
        for _ in range(LET_GO):
            await asyncio.sleep(0)
        return self._open_key(wallet, suite)

    def of_session(self, session_id: SessionId) -> Wallet | None:
        """Give the wallet a session made for this node, if it did."""
        return next((wallet for wallet in self.all() if wallet.session_id == session_id), None)

    def find(self, wallet_id: WalletId) -> Wallet | None:
        """Give this node's wallet of that id, if it has it."""
        return next((wallet for wallet in self.all() if wallet.wallet_id == wallet_id), None)

    def named(self, wanted: str) -> Wallet:
        """Give the wallet of that name, or whose id begins so.

        Raises:
            KeystoreAbsent, KeystoreUnreadable, KeystoreNewer: there is none, see ``find_wallet``.
            UsageError: there are several.
        """
        return find_wallet(self._look(), wanted)[1]

    def all(self) -> tuple[Wallet, ...]:
        """Give this node's readable wallets; headers only, which are authentic once opened."""
        return tuple(wallet for _, wallet in self._look() if isinstance(wallet, Wallet))

    def _look(self) -> list[tuple[StoredWallet, Wallet | MpcError]]:
        """Every file that is this node's, or may be: of a directory that cannot be read nobody knows."""
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

    def _save(self, wallet: Wallet, secret: WalletSecret) -> WalletView:
        encoded = secret.encode()
        try:
            wallet.check_secret(secret)
            self._home.save_wallet(wallet.wallet_id, wallet.peer_id, wallet.to_header(), encoded, self._keyring)
        finally:
            encoded[:] = bytes(len(encoded))
            secret.wipe()
        return view(wallet, self._home.kdf())

    def _open_key(self, known: Wallet, suite: SuiteId) -> tuple[KeyPackage, PublicKeyPackage]:
        wallet, secret = self._load(known)
        try:
            wallet.require_active()
            group, keys = SUITES[suite].group, wallet.keys(suite)
            public = _public_keys(keys, wallet.threshold)
            share = group.decode_scalar(secret.shares[suite])
        finally:
            secret.wipe()
        i = wallet.identifier
        return KeyPackage(
            public.suite, i, share, public.verifying_shares[i], public.group_public_key, wallet.threshold
        ), public

    def _load(self, known: Wallet) -> tuple[Wallet, WalletSecret]:
        header, encoded = self._home.load_wallet(known.wallet_id, known.peer_id, self._keyring)
        try:
            return Wallet.from_header(header), WalletSecret.decode(encoded)
        except DecodeError as error:
            raise KeystoreUnreadable(f"wallet {known.wallet_id}: {error}") from error
        finally:
            encoded[:] = bytes(len(encoded))

    def _merge(self, session_id: SessionId, certificate: Certificate) -> WalletView:
        known = self.of_session(session_id)
        if known is None:
            raise KeystoreAbsent("this node has no wallet of that session")
        wallet, secret = self._load(known)
        merged = wallet.merge(certificate)
        if merged == wallet:
            secret.wipe()
            return view(wallet, self._home.kdf())
        return self._save(merged, secret)


async def _nothing() -> None:
    pass


def read_header(stored: StoredWallet) -> Wallet | MpcError:
    """Take a listed wallet's header, or say why it cannot be read."""
    if stored.problem is not None:
        return stored.problem
    try:
        return Wallet.from_header(stored.header or {})
    except DecodeError as error:
        return KeystoreUnreadable(f"wallet {stored.wallet_id}: {error}")


def find_wallet(stored: Iterable[tuple[StoredWallet, Wallet | MpcError]], wanted: str) -> tuple[StoredWallet, Wallet]:
    """Give the wallet of that name, or whose id begins so.

    Args:
        stored: the wallets there are, each with its header or what is wrong with it.
        wanted: a name, or at least four digits of an id.

    Raises:
        KeystoreAbsent: there is none, and every wallet could be read.
        KeystoreUnreadable, KeystoreNewer: there is none among those that can be read; the first that cannot is named,
            for it may be the one that is wanted.
        UsageError: there are several.
    """
    found: list[tuple[StoredWallet, Wallet]] = []
    unreadable: list[tuple[WalletId, MpcError]] = []
    for one, wallet in stored:
        if isinstance(wallet, MpcError):
            unreadable.append((one.wallet_id, wallet))
        elif wallet.name == wanted or _begins(wallet.wallet_id, wanted):
            found.append((one, wallet))
    if len(found) > 1:
        ids = ", ".join(wallet.wallet_id for _, wallet in found)
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
    return len(wanted) >= 4 and wallet_id.startswith(wanted)


def list_wallets(home: Home) -> tuple[WalletView | ErrorView, ...]:
    """Every wallet under a home, without a passphrase: headers, which only an opened wallet vouches for."""
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


def view(wallet: Wallet, kdf: Kdf) -> WalletView:
    """Show a wallet; a pending one without anything money could be sent to."""
    active = wallet.state is State.ACTIVE
    names = [participant.peer_id for participant in wallet.roster]
    return WalletView(
        wallet_id=wallet.wallet_id,
        name=wallet.name,
        state=wallet.state.value,
        threshold=wallet.threshold,
        total=wallet.total,
        peer_id=wallet.peer_id,
        identifier=wallet.identifier,
        participants=tuple(names),
        suites=tuple(keys.suite for keys in wallet.suites),
        epoch=wallet.epoch,
        signatures=wallet.total - len(wallet.missing),
        certificate_valid=wallet.certificate.verify(wallet.identity_keys),
        words_compared=wallet.compared_words,
        kdf=kdf.policy.label,
        created=wallet.created,
        group_public_keys={k.suite: k.group_public_key.hex() for k in wallet.suites} if active else {},
        verifying_shares={
            k.suite: dict(zip(names, (share.hex() for share in k.verifying_shares), strict=True)) for k in wallet.suites
        }
        if active
        else {},
    )


@lru_cache(maxsize=64)
def _public_keys(keys: SuiteKeys, threshold: int) -> PublicKeyPackage:
    """Decode public keys; the same for every signature with a wallet, and most of what opening a key costs."""
    group = SUITES[keys.suite].group
    shares = {Identifier(i): group.decode_element(share) for i, share in enumerate(keys.verifying_shares, 1)}
    return PublicKeyPackage(SUITES[keys.suite], shares, group.decode_element(keys.group_public_key), threshold)


def _suite_keys(suite: SuiteId, share: KeyShare) -> SuiteKeys:
    public = share.public
    shares = tuple(element.encode() for element in public.verifying_shares.values())
    return SuiteKeys(suite, public.group_public_key.encode(), shares)


def _signing_share(share: KeyShare) -> bytearray:
    data = bytearray()
    share.key.signing_share.copy_into(data)
    return data
