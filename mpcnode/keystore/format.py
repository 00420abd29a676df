"""The sealed file: what a wallet or an identity is on disk, version 1. Pure: bytes in, frozen values out.

A sealed file is JSON a person can read, whose secret part is encrypted::

    {
      "check": "...",       16 bytes made from the key alone: tells a wrong passphrase from an altered file
      "checksum": "...",    SHA-256 of everything else: tells damage from both, without a passphrase
      "format": "mpcnode-wallet",
      "header": {...},      the caller's, public, authenticated with the sealed part
      "kdf": {"memory_bytes": ..., "name": "argon2id", "passes": ..., "salt": "..."},
      "nonce": "...",
      "sealed": "...",      XChaCha20-Poly1305; everything but nonce, sealed and checksum is its associated data
      "version": 1
    }

Its bytes are canonical: keys sorted, two spaces of indentation, ASCII, one newline at the end. What does not encode
back to the very bytes that were read is refused, so other white space and other spellings of a number need no rule of
their own. PROTOCOL, Wallet file, says every byte.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, TypeAlias, cast

import msgspec

from mpcnode.errors import DecodeError, KeystoreNewer

VERSION: Final = 1
MAX_FILE_SIZE: Final = 40 << 20
"""Bytes of a file: 16 MiB of sealed part in hexadecimal, and 8 MiB of header.

A wallet of three participants and two suites takes about 4 KB, and as much again for each refresh; shares of protocols
that use oblivious transfer take tens of kilobytes for each other participant.
"""
MAX_DEPTH: Final = 16
MAX_INTEGER: Final = 2**53 - 1
"""The greatest integer in a file: every language's numbers hold it exactly."""

SALT_SIZE: Final = 16
CHECK_SIZE: Final = 16
NONCE_SIZE: Final = 24
TAG_SIZE: Final = 16

MIN_MEMORY: Final = 8 << 20
MAX_MEMORY: Final = 1 << 30
MAX_PASSES: Final = 10

FileFormat: TypeAlias = Literal["mpcnode-wallet", "mpcnode-identity", "mpcnode-pair"]
JsonObject: TypeAlias = dict[str, Any]
"""A JSON object of strings, integers from 0 to ``MAX_INTEGER``, booleans, lists and objects; never null or a float."""


@dataclass(frozen=True, slots=True)
class KdfPolicy:
    """How much work one guess of a passphrase costs.

    Args:
        memory_bytes: Argon2id memory (RFC 9106), ``MIN_MEMORY`` to ``MAX_MEMORY``, a multiple of 1024.
        passes: 1 to ``MAX_PASSES``.

    Raises:
        ValueError: out of these bounds.
    """

    memory_bytes: int
    passes: int

    DEFAULT: ClassVar["KdfPolicy"]
    """256 MiB, 3 passes: about a second."""
    INTERACTIVE: ClassVar["KdfPolicy"]
    """64 MiB, 2 passes: for throw-away homes such as a scenario's."""

    def __post_init__(self) -> None:
        if not MIN_MEMORY <= self.memory_bytes <= MAX_MEMORY or self.memory_bytes % 1024:
            raise ValueError(f"kdf memory must be {MIN_MEMORY} to {MAX_MEMORY} bytes and a multiple of 1024")
        if not 1 <= self.passes <= MAX_PASSES:
            raise ValueError(f"kdf passes must be 1 to {MAX_PASSES}")

    @property
    def label(self) -> str:
        """A word for tables: ``default``, ``interactive`` or ``custom``."""
        named = {KdfPolicy.DEFAULT: "default", KdfPolicy.INTERACTIVE: "interactive"}
        return named.get(self, "custom")


KdfPolicy.DEFAULT = KdfPolicy(256 << 20, 3)
KdfPolicy.INTERACTIVE = KdfPolicy(64 << 20, 2)


@dataclass(frozen=True, slots=True)
class Kdf:
    """A policy and a salt: together with a passphrase they determine a key.

    Args:
        policy: the work.
        salt: 16 bytes.
    """

    policy: KdfPolicy
    salt: bytes

    def __post_init__(self) -> None:
        if len(self.salt) != SALT_SIZE:
            raise ValueError(f"a salt is {SALT_SIZE} bytes")


@dataclass(frozen=True, slots=True)
class Preamble:
    """All of a sealed file but its encryption: the associated data is made from it."""

    format: FileFormat
    kdf: Kdf
    check: bytes
    header: JsonObject

    def associated_data(self) -> bytes:
        """Give the canonical bytes that the sealed part is bound to."""
        return canonical(self.to_json())

    def to_json(self) -> JsonObject:
        """Give the fields as they stand in the file."""
        policy = self.kdf.policy
        return {
            "check": self.check.hex(),
            "format": self.format,
            "header": self.header,
            "kdf": {
                "memory_bytes": policy.memory_bytes,
                "name": "argon2id",
                "passes": policy.passes,
                "salt": self.kdf.salt.hex(),
            },
            "version": VERSION,
        }


@dataclass(frozen=True, slots=True)
class SealedFile:
    """A sealed file as a value; its header is authentic only once the sealed part was opened."""

    preamble: Preamble
    nonce: bytes
    sealed: bytes

    def encode(self) -> bytes:
        """Give the file's bytes.

        Raises:
            ValueError: the header is not a ``JsonObject`` of bounded depth, or the file would exceed ``MAX_FILE_SIZE``;
                a mistake of the caller.
        """
        _check_json(self.preamble.header, MAX_DEPTH)
        data = _encoded(self)
        if len(data) > MAX_FILE_SIZE:
            raise ValueError(f"a sealed file is at most {MAX_FILE_SIZE} bytes")
        return data

    @classmethod
    def decode(cls, data: bytes, expected: FileFormat) -> "SealedFile":
        """Read a file. Nothing is derived, decrypted or allocated from what it says until all of it fits.

        Raises:
            DecodeError: damaged, not canonical, another format, or key-derivation parameters out of bounds.
            KeystoreNewer: a newer mpcnode wrote it; only ``format`` and ``version`` were looked at.
        """
        fields = parse_json(data)
        check_version(fields, expected, VERSION)
        checksum = fields.pop("checksum", None)
        if checksum != hashlib.sha256(canonical(fields)).hexdigest():
            raise DecodeError("the checksum does not fit: the file is damaged")
        decoded = _from_json(fields)
        if _encoded(decoded) != data:
            raise DecodeError("not the canonical form of a sealed file")
        return decoded


def _encoded(file: SealedFile) -> bytes:
    fields = file.preamble.to_json() | {"nonce": file.nonce.hex(), "sealed": file.sealed.hex()}
    return canonical(fields | {"checksum": hashlib.sha256(canonical(fields)).hexdigest()})


def canonical(fields: Mapping[str, Any]) -> bytes:
    """Give the one way to write these fields as JSON.

    Raises:
        ValueError: they cannot be written as JSON, as for a float that is not a number.
    """
    # Python's own indentation is slow because it is written in Python; this gives the same bytes twenty times as fast.
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return msgspec.json.format(text.encode("ascii"), indent=2) + b"\n"


def parse_json(data: bytes) -> JsonObject:
    """Read a JSON object of at most ``MAX_FILE_SIZE`` bytes and ``MAX_DEPTH`` levels.

    Raises:
        DecodeError: it is anything else; or a key stands twice in one object, a value is null, or a number is not an
            integer from 0 to ``MAX_INTEGER``.
    """
    if len(data) > MAX_FILE_SIZE:
        raise DecodeError(f"longer than {MAX_FILE_SIZE} bytes")
    try:
        fields = json.loads(
            data.decode("ascii"), object_pairs_hook=_each_once, parse_float=_no_float, parse_constant=_no_float
        )
        if not isinstance(fields, dict):
            raise DecodeError("not an object")
        _check_json(fields, MAX_DEPTH)
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"not the JSON that mpcnode writes: {error}") from None
    return fields


def check_version(fields: JsonObject, expected: str, version: int) -> None:
    """Look at ``format`` and ``version`` alone, before anything else is asked of a file.

    Raises:
        DecodeError: another format, or no version.
        KeystoreNewer: a version after ``version``.
    """
    if fields.get("format") != expected:
        raise DecodeError(f"its format is not {expected}")
    found = fields.get("version")
    if type(found) is not int or found < 1:
        raise DecodeError("it has no version")
    if found > version:
        raise KeystoreNewer(f"it is of version {found}, and this mpcnode reads up to version {version}")


def _no_float(text: str) -> float:
    raise DecodeError(f"a number that is not an integer: {text[:20]!a}")


def _each_once(pairs: list[tuple[str, Any]]) -> JsonObject:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise DecodeError("a key stands twice in one object")
    return fields


def _check_json(value: object, depth: int) -> None:
    if not depth:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        if not all(type(key) is str for key in value):
            raise ValueError("a key that is not a string")
        for key, member in value.items():
            _check_text(key)
            _check_json(member, depth - 1)
    elif isinstance(value, list):
        for member in value:
            _check_json(member, depth - 1)
    elif isinstance(value, str):
        _check_text(value)
    elif type(value) not in {int, bool}:
        raise ValueError(f"a value of type {type(value).__name__}")
    elif isinstance(value, int) and not 0 <= value <= MAX_INTEGER:
        raise ValueError(f"an integer that is not 0 to {MAX_INTEGER}")


def _check_text(text: str) -> None:
    if not text.isascii():
        text.encode()  # half of a surrogate pair is not text, and gives a ValueError


def _from_json(fields: JsonObject) -> SealedFile:
    kdf = fields.get("kdf")
    header = fields.get("header")
    if not isinstance(kdf, dict) or not isinstance(header, dict):
        raise DecodeError("kdf or header is missing")
    try:
        policy = KdfPolicy(_integer(kdf, "memory_bytes"), _integer(kdf, "passes"))
    except ValueError as error:
        raise DecodeError(f"refused before any memory was taken: {error}") from None
    preamble = Preamble(
        format=cast("FileFormat", fields["format"]),
        kdf=Kdf(policy, decode_hex(kdf, "salt", SALT_SIZE)),
        check=decode_hex(fields, "check", CHECK_SIZE),
        header=header,
    )
    sealed = decode_hex(fields, "sealed", None)
    if len(sealed) < TAG_SIZE:
        raise DecodeError("the sealed part is shorter than its tag")
    return SealedFile(preamble, decode_hex(fields, "nonce", NONCE_SIZE), sealed)


def _integer(fields: JsonObject, name: str) -> int:
    value = fields.get(name)
    if type(value) is not int:
        raise DecodeError(f"{name} is not an integer")
    return value


def decode_hex(fields: JsonObject, name: str, size: int | None) -> bytes:
    """Give the bytes that ``fields[name]`` spells in hexadecimal.

    Args:
        fields: where it stands.
        name: its name.
        size: how many bytes it must be; None for any number.

    Raises:
        DecodeError: it is missing, not hexadecimal, or of another size.
    """
    text = fields.get(name)
    if not isinstance(text, str):
        raise DecodeError(f"{name} is missing")
    try:
        value = bytes.fromhex(text)
    except ValueError:
        raise DecodeError(f"{name} is not hexadecimal") from None
    if size is not None and len(value) != size:
        raise DecodeError(f"{name} is not {size} bytes")
    return value
