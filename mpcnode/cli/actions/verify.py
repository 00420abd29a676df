"""What ``mpcnode verify`` does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from mpcnode.cli.actions.contents import contents, from_hex
from mpcnode.cli.options import SUITES
from mpcnode.cli.terminal.output import log_to_stderr, print_data, print_json
from mpcnode.crypto import suites
from mpcnode.errors import ConfigurationError, DecodeError, SignatureInvalid, UsageError
from mpcnode.readings import registry as readings
from mpcnode.types import SuiteId
from mpcnode.wallet.public_keys import MAX_ENCODED, read_public_key

ED25519: Final = SuiteId(SUITES["ed25519"])
TAPROOT: Final = SuiteId(SUITES["taproot"])
SECP256K1: Final = SuiteId(SUITES["secp256k1"])

_KEY_SIZES: Final = {ED25519: {32}, TAPROOT: {32, 33}, SECP256K1: {33}}
_SIGNATURE_SIZES: Final = {suite: suites.SUITES[suite].scheme.signature_size for suite in _KEY_SIZES}


class Valid(msgspec.Struct, frozen=True):
    """The answer of ``--json`` for a valid signature; an invalid one is an error."""

    valid: bool
    suite: str
    public_key: str


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
    message = _signed_bytes({"--message": text, "--hex": hex_text, "--file": file})
    key, candidates = _key(pubkey)
    candidates = _narrowed(candidates, suite)
    given = _signature(signature)
    if len(given) not in {_SIGNATURE_SIZES[candidate] for candidate in candidates}:
        sizes = " or ".join(str(size) for size in sorted({_SIGNATURE_SIZES[candidate] for candidate in candidates}))
        raise SignatureInvalid(f"the signature is not valid: it has {len(given)} bytes, not {sizes}")
    # Trying both kinds of a 32-byte key is safe: a signature of the kind that the key's owner does not use would need
    # the discrete logarithm of a point nobody chose.
    found = next((candidate for candidate in candidates if suites.verify(candidate, key, message, given)), None)
    if found is None:
        raise SignatureInvalid(
            "the signature is not valid for this message and this public key",
            hint=f"checked as {' and as '.join(candidates)}",
        )
    if json:
        print_json(Valid(True, found, key.hex()))
    else:
        print_data("signature   valid", f"suite       {found}", f"public key  {key.hex()}")


def _signed_bytes(given: Mapping[str, str | Path | None]) -> bytes:
    """Give the bytes that ``mpcnode sign`` signs when it is given the same options."""
    reading, (content,) = contents(given, to="verify")
    try:
        return readings.signed_bytes(reading, content)
    except DecodeError as error:
        raise UsageError(str(error), hint="give bytes that are not text with --hex") from None


def _key(text: str) -> tuple[bytes, tuple[SuiteId, ...]]:
    """Give the key and the suites it can be of, the likelier one first."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        return _key_file(text)
    candidates = tuple(suite for suite, sizes in _KEY_SIZES.items() if len(key) in sizes)
    if not candidates:
        raise UsageError(f"--pubkey has {len(key)} bytes", hint="a public key is 32 bytes, or 33 of secp256k1")
    usable = tuple(suite for suite in candidates if _is_element(suite, key))
    if not usable:
        raise UsageError("--pubkey is not a public key: there is no such point", hint="check it for typing errors")
    return key, usable


def _key_file(text: str) -> tuple[bytes, tuple[SuiteId, ...]]:
    path = Path(text.removeprefix("@"))
    try:
        found = read_public_key(_read(path))
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


def _narrowed(candidates: tuple[SuiteId, ...], suite: str | None) -> tuple[SuiteId, ...]:
    if suite is None:
        return candidates
    wanted = SuiteId(SUITES.get(suite, suite))
    if wanted not in _KEY_SIZES:
        raise UsageError(f"{suite!a} is not a ciphersuite", hint=f"--suite is one of {', '.join(SUITES)}")
    if wanted not in candidates:
        raise UsageError(f"--pubkey is not a key of {wanted}", hint=f"it can be one of {' or '.join(candidates)}")
    return (wanted,)


def _signature(text: str) -> bytes:
    if not text.startswith("@"):
        return from_hex(text, "--signature")
    data = _read(Path(text[1:]))
    try:
        lines = data.decode("ascii").split()
    except UnicodeDecodeError:
        return data
    if len(lines) != 1:
        raise UsageError(f"{text[1:]!a} has {len(lines)} signatures in it", hint="give a file with one")
    return from_hex(lines[0], "--signature")


def _read(path: Path) -> bytes:
    try:
        with path.expanduser().open("rb") as file:
            return file.read(MAX_ENCODED + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise ConfigurationError(f"cannot read {str(path)!a}: {reason}", hint="check the path") from error
