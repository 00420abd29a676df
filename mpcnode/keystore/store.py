"""A home: the directory where one node keeps its identity, its contacts and its wallets.

::

    HOME/                                  0700
      identity.json                        sealed; its public key readable
      contacts.json   settings.yaml        public, and nobody else's to write
      lock                                 locked while a node runs; never renamed, never removed
      pairs/<identity key>.json            sealed; the key shared with a contact since a code was used
      wallets/<wallet id>/<peer id>.json   sealed; its header readable
      trash/<wallet id>.<random>/          what a person removed, as it was; mpcnode never looks there again

Every name under a home is made from a checked type, so nothing a peer wrote becomes a path.
"""

import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from mpcnode.errors import (
    ConfigurationError,
    KeystoreAbsent,
    KeystoreUnreadable,
    KeystoreUnwritable,
)
from mpcnode.identity.contacts import Contacts
from mpcnode.identity.identity import Identity, check_identity_key, new_seed
from mpcnode.keystore.files import (
    check_directory,
    make_directory,
    raise_unwritable,
    read_file,
    sweep,
    sync_directory,
    write_file,
)
from mpcnode.keystore.filesystem import FileSystem
from mpcnode.keystore.format import JsonObject, Kdf, KdfPolicy, decode_hex
from mpcnode.keystore.keyring import Keyring, new_kdf
from mpcnode.keystore.lock import HomeLock
from mpcnode.keystore.sealed import open_sealed, read_sealed, reading, write_sealed
from mpcnode.keystore.settings import Settings
from mpcnode.keystore.wallets import (
    Seen,
    StoredWallet,
    holds_others,
    is_of,
    list_wallets,
    read_wallet,
    wallet_directories,
    wallet_path,
)
from mpcnode.types import IdentityKey, PeerId, WalletId, parse_identity_key


class Home:
    """A node's home.

    Every write takes the home's lock for as long as it writes; a node that runs holds it with ``lock()`` for all its
    life. Methods may be called from several threads and may block on disk and key derivation: in an event loop,
    call them in a worker thread.

    Args:
        path: an existing directory, checked; use ``Home.open``.
        files: the file system.
        rng: gives that many uniformly random bytes, of which no secret is made.
    """

    def __init__(self, path: Path, *, files: FileSystem, rng: Callable[[int], bytes]) -> None:
        self.path = path
        self._fs = files
        self._rng = rng
        self._seen: Seen = {}
        self._lock = HomeLock(files, path / "lock", on_taken=self._sweep)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        create: bool,
        files: FileSystem | None = None,
        rng: Callable[[int], bytes] = secrets.token_bytes,
    ) -> "Home":
        """Open the home at ``path``, and make it first where ``create`` says so.

        Raises:
            KeystoreAbsent: there is none.
            KeystoreUnreadable: it is a symbolic link, not a directory, somebody else's, or others could have written to
                it.
            KeystoreUnwritable: it could not be made.
        """
        fs = files or FileSystem()
        path = _real_parent(path)
        if create:
            _make_missing(fs, path)
        try:
            check_directory(fs, path)
        except KeystoreAbsent:
            raise KeystoreAbsent(f"there is no home at {path}", hint="check --home") from None
        return cls(path, files=fs, rng=rng)

    def lock(self) -> AbstractContextManager[None]:
        """Hold this home against every other process, and clean up after writers that died.

        Within one ``Home`` the lock may be taken again; the last to leave gives it back.

        Raises:
            HomeInUse: another process has it; its number is in the message.
            KeystoreUnwritable: the lock file cannot be opened or locked, or a leftover not removed.
            KeystoreUnreadable: the directory of wallets is not ours alone.
        """
        return self._lock.shared()

    # --- identity ---

    def identity_exists(self) -> bool:
        """Say whether anything is at the identity's place, be it readable or not.

        Raises:
            KeystoreUnreadable: that cannot be known.
        """
        try:
            self._fs.lstat(self._identity)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise KeystoreUnreadable(f"cannot look at {self._identity}: {error.strerror}") from error
        return True

    def is_new(self) -> bool:
        """Say whether this home has still to get its identity.

        Raises:
            KeystoreAbsent: the identity is gone and wallets are there. Their rosters name its key, so with another one
                nothing could be signed with them, and nobody must be offered it.
            KeystoreUnreadable: what is there cannot be known.
        """
        if self.identity_exists():
            return False
        stored = self.list_wallets()
        if stored:
            raise KeystoreAbsent(
                f"there is no {self._identity}, and there are wallets which no other identity can sign with",
                hint="restore identity.json from a backup, or use another --home",
            )
        return True

    def create_identity(self, keyring: Keyring, policy: KdfPolicy = KdfPolicy.DEFAULT) -> Identity:
        """Make this home's identity and store it under the keyring's passphrase.

        ``policy`` and a fresh salt hold from here on for every file of the home.

        Raises:
            ConfigurationError: there is an identity already, or a file in its place.
            KeystoreAbsent: there was an identity, see ``is_new``.
            HomeInUse, KeystoreUnwritable: as ``lock``, or the file could not be made durable and is not there.
        """
        seed = new_seed()
        try:
            identity = Identity.from_seed(seed)
            header: JsonObject = {"public_key": identity.public_key.hex()}
            file = keyring.seal("mpcnode-identity", new_kdf(policy, self._rng), header, seed, self._rng)
        finally:
            seed[:] = bytes(len(seed))
        with self._lock.exclusive():
            if not self.is_new():
                raise ConfigurationError(f"there is an identity at {self._identity} already")
            write_sealed(self._fs, self._identity, file, keyring, rng=self._rng)
        return identity

    def load_identity(self, keyring: Keyring) -> Identity:
        """Open this home's identity.

        Raises:
            KeystoreAbsent, KeystoreUnreadable, KeystoreNewer, WrongPassphrase: which of the four it is.
        """
        file = read_sealed(self._fs, self._identity, "mpcnode-identity")
        seed = open_sealed(self._identity, file, keyring)
        try:
            identity = Identity.from_seed(seed)
        except ValueError as error:
            raise KeystoreUnreadable(f"{self._identity}: {error}") from None
        finally:
            seed[:] = bytes(len(seed))
        if file.preamble.header != {"public_key": identity.public_key.hex()}:
            raise KeystoreUnreadable(f"{self._identity} names another public key than its own")
        return identity

    def identity_public_key(self) -> IdentityKey:
        """Read this home's identity key without a passphrase; not authenticated, for display alone.

        Raises:
            KeystoreAbsent, KeystoreUnreadable, KeystoreNewer: which of the three it is.
        """
        header = read_sealed(self._fs, self._identity, "mpcnode-identity").preamble.header
        with reading(self._identity):
            return check_identity_key(decode_hex(header, "public_key", 32))

    def kdf(self) -> Kdf:
        """Say how this home's files are protected; what ``Keyring.derive`` takes.

        Raises:
            KeystoreAbsent, KeystoreUnreadable, KeystoreNewer: of the identity, where it is written.
        """
        return read_sealed(self._fs, self._identity, "mpcnode-identity").preamble.kdf

    # --- contacts and settings ---

    def save_pair_key(self, contact: IdentityKey, shared: bytearray, keyring: Keyring) -> None:
        """Store the key that this node shares with a contact; it replaces the one of an earlier code.

        Args:
            contact: the contact's identity key.
            shared: what is encrypted; the caller wipes it.
            keyring: must open this home's identity.

        Raises:
            WrongPassphrase: the keyring is not this home's.
            KeystoreAbsent, KeystoreUnreadable, KeystoreNewer: of the identity.
            HomeInUse, KeystoreUnwritable: as ``lock``, or not durable; an old one stays.
        """
        own = read_sealed(self._fs, self._identity, "mpcnode-identity")
        keyring.verify(own)
        header: JsonObject = {"public_key": contact.hex()}
        file = keyring.seal("mpcnode-pair", own.preamble.kdf, header, shared, self._rng)
        with self._lock.exclusive():
            make_directory(self._fs, self._pairs)
            write_sealed(self._fs, self._pair(contact), file, keyring, rng=self._rng)

    def load_pair_key(self, contact: IdentityKey, keyring: Keyring) -> bytearray:
        """Open the key that this node shares with a contact; the caller wipes it.

        Raises:
            KeystoreAbsent, KeystoreUnreadable, KeystoreNewer, WrongPassphrase: which of the four it is.
        """
        path = self._pair(contact)
        file = read_sealed(self._fs, path, "mpcnode-pair")
        if file.preamble.header != {"public_key": contact.hex()}:
            raise KeystoreUnreadable(f"{path} is the file of another contact")
        return open_sealed(path, file, keyring)

    def remove_pair_key(self, contact: IdentityKey) -> None:
        """Forget the key that this node shares with a contact, if there is one.

        Raises:
            HomeInUse, KeystoreUnwritable: as ``lock``, or it is still there.
        """
        path = self._pair(contact)
        with self._lock.exclusive():
            try:
                self._fs.unlink(path)
                sync_directory(self._fs, self._pairs)
            except FileNotFoundError:
                return
            except OSError as error:
                raise_unwritable(path, error)

    def load_contacts(self) -> Contacts:
        """Read the contacts; none where none were stored.

        Raises:
            KeystoreUnreadable, KeystoreNewer: they are there and cannot be read. Never go on without them: every pinned
                key would be forgotten.
        """
        with reading(self._contacts):
            try:
                return Contacts.decode(read_file(self._fs, self._contacts))
            except KeystoreAbsent:
                return Contacts()

    def save_contacts(self, contacts: Contacts) -> None:
        """Store the contacts.

        Raises:
            HomeInUse, KeystoreUnwritable: as ``lock``, or not durable; the old ones stay.
        """
        self._write_plain(self._contacts, contacts.encode())

    def load_settings(self) -> Settings:
        """Read the settings; empty ones where none were stored.

        Raises:
            KeystoreUnreadable, KeystoreNewer: they are there and cannot be read.
        """
        with reading(self._settings):
            try:
                return Settings.decode(read_file(self._fs, self._settings))
            except KeystoreAbsent:
                return Settings()

    def save_settings(self, settings: Settings) -> None:
        """Store the settings.

        Raises:
            HomeInUse, KeystoreUnwritable: as ``lock``, or not durable; the old ones stay.
        """
        self._write_plain(self._settings, settings.encode())

    # --- wallets ---

    def list_wallets(self) -> tuple[StoredWallet, ...]:
        """List every wallet file, those that cannot be read included, sorted by wallet id and peer id.

        Raises:
            KeystoreUnreadable: the directory of wallets itself cannot be read.
        """
        found = tuple(list_wallets(self._fs, self._wallets, self._seen))
        there = {wallet_path(self._wallets, one.wallet_id, one.peer_id) for one in found if one.peer_id}
        for path in self._seen.keys() - there:
            self._seen.pop(path, None)
        return found

    def save_wallet(
        self,
        wallet_id: WalletId,
        peer_id: PeerId,
        header: JsonObject,
        secret: bytearray,
        keyring: Keyring,
        *,
        replaces: JsonObject | None = None,
    ) -> None:
        """Store a wallet durably: when this returns it was read back from the disk and opened.

        Args:
            wallet_id: names its directory; must be ``header["wallet_id"]``.
            peer_id: names its file; must be ``header["peer_id"]``.
            header: public; authenticated with the secret.
            secret: what is encrypted; the caller wipes it.
            keyring: must open this home's identity, so that one passphrase opens everything in a home.
            replaces: the header of the wallet that is there and is to be replaced; None for a wallet that is new here.

        Raises:
            WrongPassphrase: the keyring is not this home's.
            KeystoreAbsent, KeystoreUnreadable, KeystoreNewer: of the identity, or of the wallet that is there.
            KeystoreUnwritable: a wallet is there that is not to be replaced; or not durable. What was there before is
                there still.
            HomeInUse: as ``lock``.
            ValueError: the header is of another wallet, or cannot be stored; a mistake of the caller.
        """
        if not is_of(header, wallet_id, peer_id):
            raise ValueError("the header is of another wallet")
        path = wallet_path(self._wallets, wallet_id, peer_id)
        own = read_sealed(self._fs, self._identity, "mpcnode-identity")
        keyring.verify(own)
        file = keyring.seal("mpcnode-wallet", own.preamble.kdf, header, secret, self._rng)
        with self._lock.exclusive():
            make_directory(self._fs, self._wallets)
            make_directory(self._fs, path.parent)
            self._check_replaced(path, wallet_id, peer_id, replaces)
            write_sealed(self._fs, path, file, keyring, rng=self._rng)

    def load_wallet(self, wallet_id: WalletId, peer_id: PeerId, keyring: Keyring) -> tuple[JsonObject, bytearray]:
        """Open a wallet.

        Returns:
            Its header, authenticated, and its secret, for the caller to wipe.

        Raises:
            KeystoreAbsent, KeystoreUnreadable, KeystoreNewer, WrongPassphrase: which of the four it is.
        """
        path = wallet_path(self._wallets, wallet_id, peer_id)
        file = read_wallet(self._fs, path, wallet_id, peer_id)
        return file.preamble.header, open_sealed(path, file, keyring)

    def trash_wallet(self, wallet_id: WalletId, peer_id: PeerId, header: JsonObject) -> Path:
        """Move a wallet out of the way; once ``ready`` was sent for it, only a person may ask for this.

        Its whole directory is moved, policy included, at one stroke; only where another peer id keeps its share of the
        same wallet there, the one file. Moved back, it is as it was.

        Args:
            wallet_id: whose directory.
            peer_id: whose file.
            header: the wallet that the caller read and means.

        Returns:
            The directory in the trash.

        Raises:
            KeystoreAbsent, KeystoreUnreadable, KeystoreNewer: of the wallet that is there.
            KeystoreUnwritable: it is no longer the wallet that was read, or it could not be moved.
            HomeInUse: as ``lock``.
        """
        path = wallet_path(self._wallets, wallet_id, peer_id)
        place = self._trash / f"{wallet_id.hex()}.{self._rng(8).hex()}"
        with self._lock.exclusive():
            self._check_replaced(path, wallet_id, peer_id, header)
            make_directory(self._fs, self._trash)
            try:
                if holds_others(self._fs, path):
                    make_directory(self._fs, place)
                    self._fs.rename(path, place / path.name)
                    sync_directory(self._fs, place)
                    sync_directory(self._fs, path.parent)
                else:
                    self._fs.rename(path.parent, place)
                    sync_directory(self._fs, self._trash)
                    sync_directory(self._fs, self._wallets)
            except OSError as error:
                raise_unwritable(path, error)
        return place

    # --- inside ---

    def _check_replaced(self, path: Path, wallet_id: WalletId, peer_id: PeerId, replaces: JsonObject | None) -> None:
        """Refuse to write over a wallet unless it is the very one that the caller read."""
        try:
            found = read_wallet(self._fs, path, wallet_id, peer_id).preamble.header
        except KeystoreAbsent:
            if replaces is None:
                return
            raise
        if found != replaces:
            what = "a wallet of this id is there already" if replaces is None else "it was changed meanwhile"
            raise KeystoreUnwritable(
                f"cannot write {path}: {what}",
                hint="another program wrote to this home; see 'mpcnode wallets list'",
                saved="what was stored before is untouched",
            )

    @property
    def _identity(self) -> Path:
        return self.path / "identity.json"

    @property
    def _contacts(self) -> Path:
        return self.path / "contacts.json"

    @property
    def _pairs(self) -> Path:
        return self.path / "pairs"

    def _pair(self, contact: IdentityKey) -> Path:
        return self._pairs / f"{parse_identity_key(contact).hex()}.json"

    @property
    def _settings(self) -> Path:
        return self.path / "settings.yaml"

    @property
    def _trash(self) -> Path:
        return self.path / "trash"

    @property
    def _wallets(self) -> Path:
        return self.path / "wallets"

    def _write_plain(self, path: Path, data: bytes) -> None:
        with self._lock.exclusive():
            # The bytes are compared as they are read back, and their codec is a pure function: that is enough.
            write_file(self._fs, path, data, verify=lambda _: None, rng=self._rng)

    def _sweep(self) -> None:
        for directory in (self.path, self._pairs, *wallet_directories(self._fs, self._wallets)):
            sweep(self._fs, directory)


def _real_parent(path: Path) -> Path:
    """Follow symbolic links on the way to a home, also other users'; the home itself must not be one."""
    try:
        path = path.expanduser().absolute()
        return path.parent.resolve() / path.name
    except (OSError, RuntimeError) as error:
        raise KeystoreUnreadable(f"cannot find {path}: {error}") from None


def _make_missing(fs: FileSystem, path: Path) -> None:
    for directory in (*reversed(path.parents), path):
        try:
            fs.lstat(directory)
        except FileNotFoundError:
            make_directory(fs, directory)
        except OSError as error:
            raise_unwritable(directory, error)
