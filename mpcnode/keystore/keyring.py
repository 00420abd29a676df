"""From a passphrase to keys: derived once, held for the life of a process, wiped at its end."""

import threading
from collections.abc import Callable
from hashlib import blake2b
from hmac import compare_digest
from typing import Final, Self

from nacl import bindings as sodium
from nacl.exceptions import CryptoError
from nacl.exceptions import RuntimeError as SodiumError

from mpcnode.errors import ConfigurationError, DecodeError, WrongPassphrase
from mpcnode.keystore.format import (
    CHECK_SIZE,
    NONCE_SIZE,
    SALT_SIZE,
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


class Keyring:
    """What a passphrase opens.

    Argon2id runs once per (salt, policy) and takes about a second by default: in an event loop call ``derive`` (or what
    loads a file) in a worker thread. A keyring may be used from several threads. Close it at the end, or use it as a
    context manager.

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
            file_format: what it holds.
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
        sealed = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
            bytes(secret), preamble.associated_data(), nonce, _file_key(root, file_format)
        )
        return SealedFile(preamble, nonce, sealed)

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
        key = _file_key(self._root(preamble.kdf), preamble.format)
        try:
            plaintext = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
                file.sealed, preamble.associated_data(), file.nonce, key
            )
        except CryptoError:
            raise DecodeError("it was altered after it was sealed") from None
        return bytearray(plaintext)

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
                self._roots[kdf] = _argon2id(bytes(self._passphrase), kdf)
            return self._roots[kdf]


def new_kdf(policy: KdfPolicy, rng: Callable[[int], bytes]) -> Kdf:
    """Make the key-derivation parameters of a new home: the policy and a fresh salt."""
    return Kdf(policy, rng(SALT_SIZE))


def _argon2id(passphrase: bytes, kdf: Kdf) -> bytearray:
    policy = kdf.policy
    try:
        root = sodium.crypto_pwhash_alg(
            32, passphrase, kdf.salt, policy.passes, policy.memory_bytes, sodium.crypto_pwhash_ALG_ARGON2ID13
        )
    except SodiumError:
        raise ConfigurationError(
            f"this machine does not give the {policy.memory_bytes >> 20} MiB of memory that the passphrase needs"
        ) from None
    return bytearray(root)


def _check_value(root: bytearray) -> bytes:
    # Says no more about the passphrase than the sealed part does: both confirm a guess, after one Argon2id.
    return blake2b(key=root, digest_size=CHECK_SIZE, person=CHECK_LABEL).digest()


def _file_key(root: bytearray, file_format: FileFormat) -> bytes:
    return blake2b(file_format.encode("ascii"), key=root, digest_size=32, person=FILE_LABEL).digest()
