"""Where wallet files stand under a home, and what a list says about them: ``wallets/<wallet id>/<peer id>.json``."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mpcnode.errors import KeystoreAbsent, KeystoreError, KeystoreNewer, KeystoreUnreadable, MpcError
from mpcnode.keystore.files import check_directory
from mpcnode.keystore.filesystem import FileSystem
from mpcnode.keystore.format import JsonObject, Kdf, SealedFile
from mpcnode.keystore.sealed import read_sealed
from mpcnode.types import PeerId, WalletId, parse_peer_id, parse_wallet_id

WALLET_ID_SIZE: Final = 16

_WALLET_DIRECTORY: Final = re.compile(r"[0-9a-f]{32}")
_WALLET_FILE: Final = re.compile(r"([A-Za-z0-9._-]{1,64})\.json")


@dataclass(frozen=True, slots=True)
class StoredWallet:
    """One wallet file as a list shows it, without a passphrase.

    The header is whole (its checksum fits) but *not authenticated*: anybody who can write to the home can forge it.
    Take what money is sent to from ``Home.load_wallet``.

    Args:
        wallet_id: from the directory's name.
        peer_id: from the file's name; None where the directory itself cannot be read.
        kdf: how the file is protected; None where it cannot be read.
        header: not to be changed, because others hold the same value; None where it cannot be read.
        problem: why it cannot be read.
    """

    wallet_id: WalletId
    peer_id: PeerId | None
    kdf: Kdf | None
    header: JsonObject | None
    problem: MpcError | None = None


def wallet_path(wallets: Path, wallet_id: WalletId, peer_id: PeerId) -> Path:
    """Say where a wallet is stored.

    Raises:
        ValueError: an id or name is not of its form. Both are checked once more because a NewType is only a promise;
            the forms have no separator, and with the suffix no name is "..".
    """
    if len(wallet_id) != WALLET_ID_SIZE:
        raise ValueError(f"a wallet id is {WALLET_ID_SIZE} bytes")
    return wallets / wallet_id.hex() / f"{parse_peer_id(peer_id)}.json"


def wallet_directories(fs: FileSystem, wallets: Path) -> list[Path]:
    """List the directories of wallets; directories of other names are not mpcnode's and are left alone.

    Raises:
        KeystoreUnreadable: ``wallets`` is not a directory of ours alone, or the disk failed.
    """
    try:
        check_directory(fs, wallets)
        found = sorted(fs.listdir(wallets))
    except KeystoreAbsent:
        return []
    except OSError as error:
        raise KeystoreUnreadable(f"cannot read {wallets}: {error.strerror}") from error
    return [wallets / name for name in found if _WALLET_DIRECTORY.fullmatch(name)]


def read_wallet(fs: FileSystem, path: Path, wallet_id: WalletId, peer_id: PeerId) -> SealedFile:
    """Read a wallet's file without opening it.

    Raises:
        KeystoreAbsent, KeystoreUnreadable, KeystoreNewer: which of the three it is; a file that was moved here from
            another wallet is unreadable.
    """
    check_directory(fs, path.parent.parent)
    check_directory(fs, path.parent)
    file = read_sealed(fs, path, "mpcnode-wallet")
    header = file.preamble.header
    if not is_of(header, wallet_id, peer_id):
        raise KeystoreUnreadable(f"cannot read {path}: it is another wallet's file under this name")
    return file


def is_of(header: JsonObject, wallet_id: WalletId, peer_id: PeerId) -> bool:
    """Say whether a header is of this wallet and this participant."""
    return header.get("wallet_id") == wallet_id.hex() and header.get("peer_id") == peer_id


def holds_others(fs: FileSystem, path: Path) -> bool:
    """Say whether another participant's file stands beside this one.

    Raises:
        OSError: the directory cannot be read.
    """
    return any(name != path.name and _WALLET_FILE.fullmatch(name) for name in fs.listdir(path.parent))


Seen = dict[Path, tuple[tuple[int, ...], StoredWallet]]
"""What was found in each file, and what the file looked like then."""


def list_wallets(fs: FileSystem, wallets: Path, seen: Seen) -> Iterator[StoredWallet]:
    """Give every wallet file, those that cannot be read included, sorted by wallet id and peer id.

    Args:
        fs: the file system.
        wallets: the directory of them all.
        seen: filled, and asked before a file that has not changed is read again.

    Raises:
        KeystoreUnreadable: as ``wallet_directories``.
    """
    for directory in wallet_directories(fs, wallets):
        wallet_id = parse_wallet_id(directory.name)
        try:
            check_directory(fs, directory)
            files = sorted(fs.listdir(directory))
        except KeystoreError as problem:
            yield StoredWallet(wallet_id, None, None, None, problem)
        except OSError as error:
            failed = KeystoreUnreadable(f"cannot read {directory}: {error.strerror}")
            yield StoredWallet(wallet_id, None, None, None, failed)
        else:
            found = [parse_peer_id(match[1]) for name in files if (match := _WALLET_FILE.fullmatch(name))]
            yield from (_look_at(fs, wallets, wallet_id, peer_id, seen) for peer_id in found)


def _look_at(fs: FileSystem, wallets: Path, wallet_id: WalletId, peer_id: PeerId, seen: Seen) -> StoredWallet:
    path = wallet_path(wallets, wallet_id, peer_id)
    looks = _looks(fs, path)
    known = seen.get(path)
    if known is not None and known[0] == looks:
        return known[1]
    # One bad file must not hide the others: what is wrong with it is what the list shows.
    try:
        preamble = read_wallet(fs, path, wallet_id, peer_id).preamble
    except (KeystoreError, KeystoreNewer) as problem:
        return StoredWallet(wallet_id, peer_id, None, None, problem)
    stored = StoredWallet(wallet_id, peer_id, preamble.kdf, preamble.header)
    if looks and looks == _looks(fs, path):
        seen[path] = (looks, stored)
    return stored


def _looks(fs: FileSystem, path: Path) -> tuple[int, ...]:
    """What changes with a file; empty where there is none to look at.

    Every write here makes a new file. Only its owner can write into a file and set its times back; and what is signed
    with is opened and authenticated each time.
    """
    try:
        found = fs.lstat(path)
    except OSError:
        return ()
    return (
        found.st_dev,
        found.st_ino,
        found.st_mode,
        found.st_uid,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
    )
