"""What ``mpcnode verify`` does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from mpcnode.cli.actions.contents import STDIN, contents, read_path
from mpcnode.cli.actions.encodings import read_ssh_key, read_text
from mpcnode.cli.options import SUITES
from mpcnode.cli.terminal.output import log_to_stderr, print_data, print_json
from mpcnode.cli.terminal.text import counted
from mpcnode.crypto import suites
from mpcnode.crypto.ed25519_rules import why_refused
from mpcnode.errors import DecodeError, SignatureInvalid, UsageError
from mpcnode.readings import registry as readings
from mpcnode.types import SuiteId
from mpcnode.wallet.public_keys import MAX_ENCODED, read_public_key

ED25519: Final = SuiteId(SUITES["ed25519"])
TAPROOT: Final = SuiteId(SUITES["taproot"])
SECP256K1: Final = SuiteId(SUITES["secp256k1"])

_KEY_SIZES: Final = {ED25519: {32}, TAPROOT: {32, 33}, SECP256K1: {33}}
_KEY_BYTES: Final = {32, 33}
_SIGNATURE_SIZES: Final = {suite: suites.SUITES[suite].scheme.signature_size for suite in _KEY_SIZES}


class Valid(msgspec.Struct, frozen=True):
    """The answer of ``--json`` for a valid signature; an invalid one is an error. ``signed`` is what it is over."""

    valid: bool
    suite: str
    public_key: str
    signed: str


def verify_signature(
    *,
    pubkey: str,
    signature: str,
    text: str | None,
    hex_text: str | None,
    file: Path | None,
    suite: str | None,
    json: bool,
    verbose: bool,
) -> None:
    """Print that a signature is valid, or fail.

    Raises:
        SignatureInvalid: it is not.
        UsageError: an option is malformed: not hexadecimal, not a public key, not exactly one message.
        ConfigurationError: a file cannot be read.
    """
    log_to_stderr(verbose=verbose)
    if [pubkey, signature, text, None if file is None else str(file)].count("-") > 1:
        raise UsageError("standard input is one thing only", hint="give - once")
    message = _signed_bytes({"--message": text, "--hex": hex_text, "--file": file})
    key, candidates = _key(pubkey)
    candidates = _narrowed(candidates, suite, key)
    given = _signature(signature)
    if len(given) not in {_SIGNATURE_SIZES[candidate] for candidate in candidates}:
        sizes = " or ".join(str(size) for size in sorted({_SIGNATURE_SIZES[candidate] for candidate in candidates}))
        raise SignatureInvalid(
            f"the signature is not valid: it has {counted(len(given), 'byte')}, not {sizes}", hint=_hint_of(given)
        )
    # Trying both kinds of a 32-byte key is safe: a signature of the kind that the key's owner does not use would need
    # the discrete logarithm of a point nobody chose.
    found = next((candidate for candidate in candidates if suites.verify(candidate, key, message, given)), None)
    if found is None:
        raise SignatureInvalid(
            "the signature is not valid for this message and this public key",
            hint=_why_no_ed25519(key, "; ") + f"checked as {' and as '.join(candidates)}",
        )
    if json:
        print_json(Valid(True, found, key.hex(), message.hex()))
    else:
        over = message.hex() or "no bytes"
        print_data("signature   valid", f"suite       {found}", f"public key  {key.hex()}", f"signed      {over}")


def _signed_bytes(given: Mapping[str, str | Path | None]) -> bytes:
    """Give the bytes that ``mpcnode sign`` signs when it is given the same options."""
    reading, (content,) = contents(given, to="verify")
    try:
        return readings.signed_bytes(reading, content)
    except DecodeError as error:
        raise UsageError(str(error), hint="give bytes that are not text with --hex") from None


def _key(text: str) -> tuple[bytes, tuple[SuiteId, ...]]:
    """Give the key and the suites it can be of, the likelier one first."""
    if not text.startswith("@") and text != "-":
        if text.startswith(("bc1", "tb1", "bcrt1")):
            raise UsageError("--pubkey is a Bitcoin address", hint="give the key that `mpcnode wallets show` prints")
        if (key := read_ssh_key(text) or read_text(text, _KEY_BYTES)) is not None:
            return _checked(key)
    return _key_file(text)


def _checked(key: bytes) -> tuple[bytes, tuple[SuiteId, ...]]:
    candidates = tuple(suite for suite, sizes in _KEY_SIZES.items() if len(key) in sizes)
    if not candidates:
        raise UsageError(
            f"--pubkey has {counted(len(key), 'byte')}", hint="a public key is 32 bytes, or 33 of secp256k1"
        )
    usable = tuple(suite for suite in candidates if _is_element(suite, key))
    if not usable:
        reason = _why_no_ed25519(key, "; ") + "as secp256k1, there is no such point"
        raise UsageError(f"--pubkey is not a public key: {reason}", hint="check it for typing errors")
    return key, usable


def _key_file(text: str) -> tuple[bytes, tuple[SuiteId, ...]]:
    path = Path(text.removeprefix("@"))
    if not text.startswith("@") and path != STDIN and "/" not in text and not path.exists():
        raise UsageError(
            f"{text[:100]!a} is neither a public key nor a file",
            hint="a key is hexadecimal, base 58, base 64, an OpenSSH key, or a PEM, DER or .pub file",
        )
    data = read_path(path, limit=MAX_ENCODED)
    if b"PRIVATE KEY" in data:
        raise UsageError(f"{str(path)!a} is a private key", hint="keep it to yourself; --pubkey takes the public one")
    try:
        words = data.decode("ascii").strip()
    except UnicodeDecodeError:
        words = ""
    if words and "-----BEGIN" not in words and (key := read_ssh_key(words) or read_text(words, _KEY_BYTES)) is not None:
        return _checked(key)
    if len(data) in _KEY_BYTES:
        return _checked(data)
    try:
        found = read_public_key(data)
    except DecodeError as error:
        raise UsageError(
            f"{str(path)!a} is not a public key: {error}", hint="give --pubkey hexadecimal, or a PEM or DER file"
        ) from None
    return found.data, (ED25519,) if found.curve == "ed25519" else (TAPROOT, SECP256K1)


def _is_element(suite: SuiteId, key: bytes) -> bool:
    group = suites.SUITES[suite].group
    try:
        group.decode_element(b"\x02" + key if suite == TAPROOT and len(key) == 32 else key)
    except DecodeError:
        return False
    return True


def _narrowed(candidates: tuple[SuiteId, ...], suite: str | None, key: bytes) -> tuple[SuiteId, ...]:
    if suite is None:
        return candidates
    wanted = SuiteId(SUITES.get(suite, suite))
    if wanted not in _KEY_SIZES:
        raise UsageError(f"{suite!a} is not a ciphersuite", hint=f"--suite is one of {', '.join(SUITES)}")
    if wanted not in candidates:
        why = f": {why_refused(key)}" if wanted == ED25519 and len(key) == 32 else ""
        raise UsageError(f"--pubkey is not a key of {wanted}{why}", hint=f"it can be one of {' or '.join(candidates)}")
    return (wanted,)


def _why_no_ed25519(key: bytes, end: str) -> str:
    """Say why a key that has the size of an Ed25519 key is not tried as one; empty where it is one, or another size."""
    reason = why_refused(key) if len(key) == 32 else None
    return "" if reason is None else f"as Ed25519, {reason}{end}"


def _signature(text: str) -> bytes:
    sizes = {*_SIGNATURE_SIZES.values(), 65}
    if not text.startswith("@") and text != "-":
        if (data := read_text(text, sizes)) is None:
            raise UsageError(
                "--signature is not hexadecimal, base 58 or base 64", hint="of a file, give its name behind an @"
            )
        return data
    data = read_path(Path(text.removeprefix("@")), limit=MAX_ENCODED)
    if data.startswith(b"-----BEGIN SSH SIGNATURE-----"):
        raise UsageError(
            f"{text[:100]!a} is an OpenSSH signature, which covers a name and a hash of its own",
            hint="check it with ssh-keygen -Y verify",
        )
    if len(data) in sizes:
        return data
    try:
        lines = data.decode("ascii").split()
    except UnicodeDecodeError:
        return data
    if len(lines) != 1:
        raise UsageError(
            f"{text[:100]!a} has {counted(len(lines), 'signature')} in it", hint="give a file with one signature"
        )
    return _signature(lines[0]) if not lines[0].startswith(("@", "-")) else data


def _hint_of(given: bytes) -> str | None:
    """Say what a signature of another length may be."""
    if len(given) == 65:
        return "the 65th byte of a Taproot witness is its sighash type: leave it out"
    if given[:1] == b"\x30" and 68 <= len(given) <= 72:
        return "this looks like an ECDSA signature; those of mpcnode are Ed25519 and Schnorr signatures"
    return None
