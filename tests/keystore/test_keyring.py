import hashlib
import json
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from nacl import bindings as sodium

from mpcnode.errors import ConfigurationError, DecodeError, WrongPassphrase
from mpcnode.keystore import keyring as module
from mpcnode.keystore.format import Kdf, KdfPolicy
from mpcnode.keystore.keyring import Keyring, new_kdf

rng: Callable[[int], bytes] = random.Random(3).randbytes
QUICK = KdfPolicy(8 << 20, 1)
KDF = new_kdf(QUICK, rng)


def test_what_a_passphrase_sealed_it_opens(keyring: Keyring) -> None:
    file = keyring.seal("mpcnode-wallet", KDF, {"a": 1}, b"secret", rng)
    assert keyring.open(file) == b"secret"
    assert Keyring(bytearray(b"correct horse")).open(file) == b"secret"


def test_another_passphrase_is_wrong_and_the_file_is_not(keyring: Keyring) -> None:
    file = keyring.seal("mpcnode-wallet", KDF, {}, b"secret", rng)
    with pytest.raises(WrongPassphrase):
        Keyring(bytearray(b"correct house")).open(file)


def test_an_altered_file_is_told_from_a_wrong_passphrase(keyring: Keyring) -> None:
    file = keyring.seal("mpcnode-wallet", KDF, {"a": 1}, b"secret", rng)
    for altered in (
        replace(file, preamble=replace(file.preamble, header={"a": 2})),
        replace(file, preamble=replace(file.preamble, format="mpcnode-identity")),
        replace(file, nonce=bytes(24)),
        replace(file, sealed=file.sealed[:-1] + bytes([file.sealed[-1] ^ 1])),
        replace(file, sealed=bytes(16)),
    ):
        with pytest.raises(DecodeError):
            keyring.open(altered)


def test_weaker_parameters_in_a_file_open_nothing(keyring: Keyring) -> None:
    strong = Kdf(KdfPolicy(8 << 20, 2), KDF.salt)
    file = keyring.seal("mpcnode-wallet", strong, {}, b"secret", rng)
    with pytest.raises(WrongPassphrase):
        keyring.open(replace(file, preamble=replace(file.preamble, kdf=KDF)))


def test_two_files_of_the_same_secret_have_nothing_in_common(keyring: Keyring) -> None:
    one, two = (keyring.seal("mpcnode-wallet", KDF, {}, bytes(32), rng) for _ in range(2))
    assert one.nonce != two.nonce
    assert one.sealed != two.sealed


def test_a_key_is_derived_once_however_many_threads_ask(keyring: Keyring) -> None:
    with mock.patch.object(module, "_argon2id", wraps=module._argon2id) as argon2id:
        threads = [threading.Thread(target=keyring.derive, args=(KDF,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        keyring.open(keyring.seal("mpcnode-identity", KDF, {}, b"", rng))
    assert argon2id.call_count == 1


def test_the_key_is_argon2id_of_passphrase_and_salt() -> None:
    """The construction from its parts, so that a file can be opened by other hands."""
    file = Keyring(bytearray(b"pass")).seal("mpcnode-wallet", KDF, {}, b"secret", rng)
    root = sodium.crypto_pwhash_alg(32, b"pass", KDF.salt, 1, 8 << 20, sodium.crypto_pwhash_ALG_ARGON2ID13)
    key = hashlib.blake2b(b"mpcnode-wallet", key=root, digest_size=32, person=b"mpcnode-file-v1").digest()
    aad = file.preamble.associated_data()
    assert sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(file.sealed, aad, file.nonce, key) == b"secret"
    assert file.preamble.check == hashlib.blake2b(key=root, digest_size=16, person=b"mpcnode-check-v1").digest()


def test_a_closed_keyring_holds_nothing_and_opens_nothing() -> None:
    passphrase = bytearray(b"pass")
    keyring = Keyring(passphrase)
    file = keyring.seal("mpcnode-wallet", KDF, {}, b"secret", rng)
    (root,) = keyring._roots.values()
    keyring.close()
    assert passphrase == b""
    assert root == b""
    with pytest.raises(ValueError, match="closed"):
        keyring.open(file)


def test_a_keyring_shows_no_passphrase() -> None:
    assert "pass" not in repr(Keyring(bytearray(b"pass")))


def test_an_empty_passphrase_is_refused() -> None:
    with pytest.raises(ValueError, match="not empty"):
        Keyring(bytearray())


def test_too_little_memory_is_said_and_blamed_on_no_file(keyring: Keyring) -> None:
    with (
        mock.patch.object(module, "_lib", mock.Mock(crypto_pwhash=lambda *_: -1)),
        pytest.raises(ConfigurationError, match="8 MiB"),
    ):
        keyring.derive(KDF)


def test_the_key_that_a_file_is_encrypted_with_is_wiped_after_each_use(
    keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[bytearray] = []
    real = module._file_key

    def file_key(*arguments: Any) -> bytearray:
        keys.append(real(*arguments))
        return keys[-1]

    monkeypatch.setattr(module, "_file_key", file_key)
    file = keyring.seal("mpcnode-wallet", KDF, {}, b"secret", rng)
    assert keyring.open(file) == b"secret"
    with pytest.raises(DecodeError):
        keyring.open(replace(file, nonce=bytes(24)))
    assert keys == [bytearray(32)] * 3


def test_megabytes_are_sealed_and_opened(keyring: Keyring) -> None:
    secret = random.Random(4).randbytes(3 << 20)
    assert keyring.open(keyring.seal("mpcnode-wallet", KDF, {}, secret, rng)) == secret


TRACES = r"""
import os, re, sys
from mpcnode.keystore.format import Kdf, KdfPolicy, SealedFile
from mpcnode.keystore.keyring import Keyring

def drawn(size):
    # Read into a buffer of ours: os.urandom would leave the bytes in memory that Python frees without clearing.
    buffer = bytearray(size)
    with open("/dev/urandom", "rb", buffering=0) as source:
        source.readinto(buffer)
    return buffer

def wipe(buffer):
    # Byte by byte: zeros of the same length could come to lie where a copy was.
    for place in range(len(buffer)):
        buffer[place] = 0

def pattern(buffer):
    # Each byte as an escape: the searched bytes never stand side by side in the pattern itself.
    return re.compile(b"".join(b"\\x%02x" % byte for byte in buffer[-24:]), re.DOTALL)

def copies(wanted):
    found = 0
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", buffering=0) as memory:
        for line in maps:
            span, access, *_, = line.split()
            name = line.split()[-1]
            if not access.startswith("rw") or name in ("[vvar]", "[vsyscall]"):
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            memory.seek(start)
            try:
                found += len(wanted.findall(memory.read(end - start)))
            except OSError:
                pass
    return found

patterns = []
# Of several lengths: what is freed is soon written over where other things of its length are made.
for size in range(40, 500, 90):
    secret, passphrase = drawn(size), drawn(size + 20)
    patterns += [pattern(secret), pattern(passphrase)]
    assert copies(patterns[-2]) == 1, "the search finds what is there"
    with Keyring(passphrase) as keyring:
        kdf = Kdf(KdfPolicy(8 << 20, 1), bytes(16))
        keyring.derive(kdf)
        assert copies(patterns[-1]) == 1, "the keyring's own"
        for _ in range(5):
            sealed = keyring.seal("mpcnode-wallet", kdf, {"name": "treasury"}, secret, os.urandom).encode()
            opened = keyring.open(SealedFile.decode(sealed, "mpcnode-wallet"))
            assert opened == secret
            wipe(opened)
        wipe(secret)
print([copies(one) for one in patterns])
"""


@pytest.mark.process
@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="the memory of a process cannot be read here")
def test_no_copy_of_a_share_or_passphrase_stays_in_memory_after_it_was_wiped() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TRACES],
        capture_output=True,
        check=False,
        cwd=Path(__file__).parents[2],
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert set(json.loads(done.stdout)) == {0}
