"""From a passphrase to keys: derived once, held for the life of a process, wiped at its end.

libsodium's functions are called on our own buffers: PyNaCl's wrappers take and give immutable ``bytes``, which cannot
be wiped, so that a share, a key or a passphrase would leave a copy at every use.
"""

import threading
from collections.abc import Callable
from hmac import compare_digest
from typing import Any, Final, Self

from nacl import _sodium

from mpcnode.errors import ConfigurationError, DecodeError, WrongPassphrase
from mpcnode.keystore.format import (
    CHECK_SIZE,
    NONCE_SIZE,
    SALT_SIZE,
    TAG_SIZE,
    FileFormat,
    JsonObject,
    Kdf,
    KdfPolicy,
    Preamble,
    SealedFile,
)

CHECK_LABEL: Final = b"mpcnode-check-v1"
"""BLAKE2b personalisation (RFC 7693, section 2.8) of a file's key-check value."""
FILE_LABEL: Final = b"mpcnode-file-v1"
"""The same for the key a file is encrypted with."""
KEY_SIZE: Final = 32

_PERSONAL_SIZE: Final = 16
_ffi: Final[Any] = _sodium.ffi
_lib: Final[Any] = _sodium.lib
# Picks the fast implementations for this machine; it may be called again.
_lib.sodium_init()


class Keyring:
    """A passphrase, and the keys derived from it.

    Argon2id runs once for each salt and policy and takes about half a second by default: in an event loop call
    ``derive``, and everything that loads a file, in a worker thread. A keyring may be used from several threads. Close
    it at the end, or use it as a context manager.

    Args:
        passphrase: not empty; the keyring owns it from here on and wipes it.
    """

    def __init__(self, passphrase: bytearray) -> None:
        if not passphrase:
            raise ValueError("a passphrase is not empty")
        self._passphrase = passphrase
        self._roots: dict[Kdf, bytearray] = {}
        self._deriving = threading.Lock()

    def derive(self, kdf: Kdf) -> None:
        """Do the slow part now, so that later uses of ``kdf`` are quick.

        Raises:
            ConfigurationError: this machine does not give the memory that ``kdf`` asks for.
            ValueError: the keyring was closed; a mistake of the caller.
        """
        self._root(kdf)

    def seal(
        self,
        file_format: FileFormat,
        kdf: Kdf,
        header: JsonObject,
        secret: bytes | bytearray,
        rng: Callable[[int], bytes],
    ) -> SealedFile:
        """Make a sealed file.

        Args:
            file_format: what kind of file it is.
            kdf: the home's.
            header: public; authenticated with the secret.
            secret: what is encrypted; the caller wipes it.
            rng: gives that many uniformly random bytes.

        Raises:
            ConfigurationError, ValueError: as ``derive``.
        """
        root = self._root(kdf)
        preamble = Preamble(file_format, kdf, _check_value(root), header)
        # 24 random bytes never repeat under one key in practice, so every version of a file may use the same key.
        nonce = rng(NONCE_SIZE)
        return SealedFile(preamble, nonce, _encrypt(_file_key(root, file_format), nonce, secret, preamble))

    def open(self, file: SealedFile) -> bytearray:
        """Decrypt a sealed file; from here on its header is authentic too.

        Returns:
            The secret, for the caller to wipe.

        Raises:
            WrongPassphrase: this passphrase is not the one the file was sealed with.
            DecodeError: the passphrase is right and the file was altered.
            ConfigurationError, ValueError: as ``derive``.
        """
        self.verify(file)
        preamble = file.preamble
        return _decrypt(_file_key(self._root(preamble.kdf), preamble.format), file)

    def verify(self, file: SealedFile) -> None:
        """Check that this passphrase is the one the file was sealed with, without opening it.

        Raises:
            WrongPassphrase: it is not.
            ConfigurationError, ValueError: as ``derive``.
        """
        if not compare_digest(_check_value(self._root(file.preamble.kdf)), file.preamble.check):
            raise WrongPassphrase("wrong passphrase", hint="the file itself is whole; try again")

    def has_derived(self, kdf: Kdf | None) -> bool:
        """Say whether the key of ``kdf`` is there already, so that opening takes no time."""
        return kdf in self._roots

    def close(self) -> None:
        """Wipe the passphrase and every key."""
        with self._deriving:
            for secret in (self._passphrase, *self._roots.values()):
                secret[:] = bytes(len(secret))
                secret.clear()
            self._roots.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return "Keyring(<redacted>)"

    def _root(self, kdf: Kdf) -> bytearray:
        # Under the lock, so that two threads that need the same key do not both take the memory for it.
        with self._deriving:
            if not self._passphrase:
                raise ValueError("this keyring was closed")
            if kdf not in self._roots:
                self._roots[kdf] = _argon2id(self._passphrase, kdf)
            return self._roots[kdf]


def new_kdf(policy: KdfPolicy, rng: Callable[[int], bytes]) -> Kdf:
    """Make the key-derivation parameters of a new home: the policy and a fresh salt."""
    return Kdf(policy, rng(SALT_SIZE))


def _argon2id(passphrase: bytearray, kdf: Kdf) -> bytearray:
    """Derive a root key (RFC 9106); the policy's bounds were checked when it was read."""
    policy = kdf.policy
    root = bytearray(KEY_SIZE)
    failed = _lib.crypto_pwhash(
        _ffi.from_buffer(root),
        KEY_SIZE,
        _ffi.from_buffer(passphrase),
        len(passphrase),
        kdf.salt,
        policy.passes,
        policy.memory_bytes,
        _lib.crypto_pwhash_alg_argon2id13(),
    )
    if failed:
        raise ConfigurationError(
            f"this machine does not give the {policy.memory_bytes >> 20} MiB of memory that the passphrase needs"
        )
    return root


def _check_value(root: bytearray) -> bytes:
    # Says no more about the passphrase than the sealed part does: both confirm a guess, after one Argon2id.
    return bytes(_blake2b(b"", root, CHECK_SIZE, CHECK_LABEL))


def _file_key(root: bytearray, file_format: FileFormat) -> bytearray:
    return _blake2b(file_format.encode("ascii"), root, KEY_SIZE, FILE_LABEL)


def _blake2b(message: bytes, key: bytearray, size: int, label: bytes) -> bytearray:
    """Give a keyed hash (RFC 7693) under a label of at most 16 bytes, without a salt."""
    digest = bytearray(size)
    failed = _lib.crypto_generichash_blake2b_salt_personal(
        _ffi.from_buffer(digest),
        size,
        message,
        len(message),
        _ffi.from_buffer(key),
        len(key),
        bytes(_PERSONAL_SIZE),
        label.ljust(_PERSONAL_SIZE, b"\x00"),
    )
    assert not failed  # it fails for sizes out of bounds alone
    return digest


def _encrypt(key: bytearray, nonce: bytes, secret: bytes | bytearray, preamble: Preamble) -> bytes:
    """Seal with XChaCha20-Poly1305, bound to the preamble; wipes ``key``."""
    aad = preamble.associated_data()
    sealed = bytearray(len(secret) + TAG_SIZE)
    failed = _lib.crypto_aead_xchacha20poly1305_ietf_encrypt(
        _ffi.from_buffer(sealed),
        _ffi.NULL,
        _ffi.from_buffer(secret),
        len(secret),
        aad,
        len(aad),
        _ffi.NULL,
        nonce,
        _ffi.from_buffer(key),
    )
    key[:] = bytes(KEY_SIZE)
    assert not failed  # it cannot fail
    return bytes(sealed)


def _decrypt(key: bytearray, file: SealedFile) -> bytearray:
    """Open what ``_encrypt`` sealed; wipes ``key``."""
    aad = file.preamble.associated_data()
    secret = bytearray(len(file.sealed) - TAG_SIZE)
    failed = _lib.crypto_aead_xchacha20poly1305_ietf_decrypt(
        _ffi.from_buffer(secret),
        _ffi.NULL,
        _ffi.NULL,
        file.sealed,
        len(file.sealed),
        aad,
        len(aad),
        file.nonce,
        _ffi.from_buffer(key),
    )
    key[:] = bytes(KEY_SIZE)
    if failed:
        raise DecodeError("it was altered after it was sealed")
    return secret
