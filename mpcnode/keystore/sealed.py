"""Sealed files on a file system; the four ways in which one cannot be had are told apart."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mpcnode.errors import DecodeError, KeystoreNewer, KeystoreUnreadable, WrongPassphrase
from mpcnode.keystore.files import read_file, write_file
from mpcnode.keystore.filesystem import FileSystem
from mpcnode.keystore.format import FileFormat, SealedFile
from mpcnode.keystore.keyring import Keyring


def read_sealed(fs: FileSystem, path: Path, file_format: FileFormat) -> SealedFile:
    """Read a sealed file without opening it.

    Raises:
        KeystoreAbsent, KeystoreUnreadable, KeystoreNewer: which of the three it is.
    """
    with reading(path):
        return SealedFile.decode(read_file(fs, path), file_format)


def open_sealed(path: Path, file: SealedFile, keyring: Keyring) -> bytearray:
    """Decrypt what was read from ``path``.

    Returns:
        The secret, for the caller to wipe.

    Raises:
        KeystoreUnreadable: the passphrase is right and the file was altered.
        WrongPassphrase: it is not.
    """
    with reading(path):
        return keyring.open(file)


def write_sealed(
    fs: FileSystem, path: Path, file: SealedFile, keyring: Keyring, *, rng: Callable[[int], bytes]
) -> None:
    """Make a sealed file durable, and open what came back from the disk; the caller holds the home's lock.

    Raises:
        KeystoreUnwritable: it could not be; what was there before is there still.
        KeystoreUnreadable: what is there now must not be replaced by us.
    """

    def verify(data: bytes) -> None:
        with reading(path):
            secret = keyring.open(SealedFile.decode(data, file.preamble.format))
        secret[:] = bytes(len(secret))

    write_file(fs, path, file.encode(), verify=verify, rng=rng)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say of which file a codec's complaint is.

    Raises:
        KeystoreUnreadable: for a ``DecodeError``.
        KeystoreNewer, WrongPassphrase: for themselves.
    """
    try:
        yield
    except DecodeError as error:
        raise KeystoreUnreadable(f"cannot read {path}: {error}") from None
    except KeystoreNewer as error:
        raise KeystoreNewer(f"cannot read {path}: {error}", hint="use the newer mpcnode") from None
    except WrongPassphrase as error:
        raise WrongPassphrase(f"wrong passphrase for {path}", hint=error.hint) from None
