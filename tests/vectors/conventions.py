"""Vectors of PROTOCOL, Conventions."""

from contextlib import suppress

from mpcnode.crypto import tags
from mpcnode.crypto.signature import verify
from mpcnode.crypto.transcript import MAX_INTEGER, listed, safety_words, tagged_hash, u64
from mpcnode.errors import DecodeError
from mpcnode.peers.trust import fingerprint
from mpcnode.readings import registry as readings
from mpcnode.readings.file import FileContent
from mpcnode.wire import json
from tests.vectors.made import Json, people

TAGS = {name: value for name, value in vars(tags).items() if name.isupper()}

TEXTS = (
    '{"type":"x"}',
    '{"n":9007199254740991}',
    '{"n":9007199254740992}',
    '{"n":-1}',
    '{"n":-0}',
    '{"n":1.0}',
    '{"n":1e2}',
    '{"n":NaN}',
    '{"a":null}',
    '{"a":1,"a":1}',
    '{"a":{"b":1,"b":2}}',
    '{"a":[{"b":1,"\\u0062":2}]}',
    '{"a":true}',
    '{"a":"\\ud83d\\ude00"}',
    '{"a":1} ',
    '{"a":1}x',
    "[1,2]",
    '{"a":' + "[" * 63 + "]" * 63 + "}",
    '{"a":' + "[" * 64 + "]" * 64 + "}",
)


def make() -> Json:
    alice, *_ = people(1)
    hashed = [(), (b"",), (b"abc",), (b"a", b"bc"), (b"ab", b"c"), (b"abc", b""), (b"a" * 32, b"b" * 64, b"c")]
    signed = [(tags.REGISTER, (b"one",)), (tags.HELLO, (b"one", b"", b"three")), (tags.READY, (bytes(32),))]
    return {
        "tags": {
            name: {"tag": tag, "prefix": tagged_hash_prefix(tag), "of_abc": tagged_hash(tag, b"abc")}
            for name, tag in TAGS.items()
        },
        "tagged_hash": [
            {"tag": tags.CONTEXT, "fields": fields, "hash": tagged_hash(tags.CONTEXT, *fields)} for fields in hashed
        ],
        "u64": [{"number": n, "bytes": u64(n)} for n in (0, 1, 255, 256, 2**32, MAX_INTEGER)],
        "listed": [{"items": items, "fields": listed(items)} for items in ((), (b"",), (b"a", b"bc"))],
        "signatures": [
            {
                "seed": alice.seed,
                "public_key": alice.key,
                "tag": tag,
                "fields": fields,
                "message": tagged_hash(tag, *fields),
                "signature": _signature(tag, fields),
            }
            for tag, fields in signed
        ],
        "fingerprints": [{"public_key": one.key, "fingerprint": fingerprint(one.key)} for one in people(3)],
        "safety_words": [
            {"digest": digest, "words": safety_words(digest)}
            for digest in (bytes(32), b"\xff" * 32, tagged_hash(tags.SAFETY_WORDS, b"abc"))
        ],
        "sorted_names": sorted(
            ["a", "b", "B", "a-b", "a.b", "a_b", "a0", "10", "9", "Z", "-", "_", ".", "constructor"]
        ),
        "json": [{"text": text, "accepted": _accepts(text)} for text in TEXTS],
        "readings": [
            {"reading": reading, "content": content, "signed": readings.signed_bytes(reading, content)}
            for reading, content in (
                ("text", "grüße".encode()),
                ("text", b""),
                ("file", FileContent(b"\x07" * 32, 1234, "payment.bin").encode()),
                ("file", FileContent(b"\x07" * 32, 0, "").encode()),
                ("hex", b"\x01"),
            )
        ],
        "readings_refused": [
            {"reading": reading, "content": content, "accepted": _shows(reading, content)}
            for reading, content in (
                ("text", b"\xff"),
                ("file", b"short"),
                ("file", bytes(39)),
                ("file", bytes(40 + 256)),
                ("file", bytes(32) + b"\x00\x20" + bytes(6)),
                ("file", bytes(40) + b"\xff"),
                ("psbt", b""),
            )
        ],
    }


def tagged_hash_prefix(tag: str) -> bytes:
    from hashlib import sha256

    return sha256(tag.encode()).digest()


def _signature(tag: str, fields: tuple[bytes, ...]) -> bytes:
    alice, *_ = people(1)
    signature = alice.identity.sign(tag, *fields)
    assert verify(alice.key, signature, tag, *fields)
    return signature


def _accepts(text: str) -> bool:
    with suppress(DecodeError):
        json.check(text.encode())
        return True
    return False


def _shows(reading: str, content: bytes) -> bool:
    with suppress(DecodeError):
        readings.check(reading, content)
        return True
    return False
