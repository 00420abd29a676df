"""What vectors are made with: people with fixed seeds, randomness that is written down, and JSON that never varies."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any, Final

import msgspec

from mpcnode.crypto.transcript import tagged_hash
from mpcnode.identity import hpke
from mpcnode.identity.identity import EPHEMERAL_LABEL, Identity
from mpcnode.protocols.descriptor import Member
from mpcnode.types import Identifier, IdentityKey, PeerId
from mpcnode.wire import json as wire

FOLDER: Final = Path(__file__).parent
NOW: Final = 1_800_000_000_000
"""Unix milliseconds, whatever a clock says."""

Json = dict[str, Any]


class Drawn:
    """Randomness that is the same each time, and remembers what was drawn.

    Args:
        label: another one gives other bytes.
    """

    def __init__(self, label: str) -> None:
        self.bytes: list[bytes] = []
        self._label = label
        self._blocks = 0

    def __call__(self, size: int) -> bytes:
        drawn = b""
        while len(drawn) < size:
            drawn += sha256(f"mpcnode vectors, {self._label}, {self._blocks}".encode()).digest()
            self._blocks += 1
        self.bytes.append(drawn[:size])
        return drawn[:size]

    def take(self) -> list[bytes]:
        """Give what was drawn since the last time."""
        drawn, self.bytes = self.bytes, []
        return drawn


@dataclass
class Person:
    """A participant whose secret everybody may know.

    Args:
        name: its peer id.
        number: its identifier.
    """

    name: PeerId
    number: Identifier
    seed: bytes = field(init=False)
    identity: "ShownIdentity" = field(init=False)

    def __post_init__(self) -> None:
        self.seed = sha256(f"mpcnode vectors, {self.name}".encode()).digest()
        self.identity = ShownIdentity.of(self.seed)

    @property
    def key(self) -> IdentityKey:
        """Its identity key."""
        return self.identity.public_key

    @property
    def member(self) -> Member:
        """Its entry of a roster."""
        return Member(self.number, self.name, self.key)

    def show(self) -> Json:
        """Give all of it, the secret too."""
        return {
            "identifier": self.number,
            "peer_id": self.name,
            "seed": self.seed.hex(),
            "public_key": self.key.hex(),
        }


class ShownIdentity(Identity):
    """An identity that remembers the ephemeral secret keys of its seals, by the seal."""

    __slots__ = ("ephemerals",)

    ephemerals: dict[bytes, bytes]

    @classmethod
    def of(cls, seed: bytes) -> "ShownIdentity":
        """Make it of a seed."""
        made = cls.from_seed(bytearray(seed))
        assert isinstance(made, cls)
        made.ephemerals = {}
        return made

    def seal(self, recipient: IdentityKey, plaintext: bytes | bytearray, **given: Any) -> bytes:
        """Seal, and work out again which ephemeral key that took: it is a hash of what is public here."""
        drawn: list[bytes] = []
        rng = given.pop("rng")

        def noted(size: int) -> bytes:
            drawn.append(rng(size))
            return drawn[-1]

        sealed = super().seal(recipient, plaintext, rng=noted, **given)
        purpose, topic, aad = given["purpose"], given["topic"], given["aad"]
        info = tagged_hash("mpcnode/seal/v1", purpose.encode(), self.public_key, recipient, topic)
        message = drawn[0] + info + sha256(aad).digest() + sha256(plaintext).digest()
        ephemeral = blake2b(message, digest_size=32, key=bytes(self._secret), person=EPHEMERAL_LABEL).digest()
        assert hpke.public_key(bytearray(ephemeral)) == sealed[:32]
        self.ephemerals[sealed] = ephemeral
        return sealed


def people(count: int) -> list[Person]:
    """Give the first so many participants, by identifier, which is the order of their names."""
    names = ("alice", "bob", "carol", "dave", "erin")
    return [Person(PeerId(name), Identifier(i)) for i, name in enumerate(names[:count], 1)]


def shown(value: Any) -> Any:
    """Give a value as JSON has it: byte strings in hexadecimal, structs as they stand on the wire."""
    match value:
        case bytes() | bytearray():
            return value.hex()
        case msgspec.Struct():
            return wire.to_json(value)
        case Mapping():
            return {str(key): shown(one) for key, one in value.items()}
        case str():
            return value
        case Sequence():
            return [shown(one) for one in value]
        case _:
            return value


def text(subject: Json) -> str:
    """Give a file's text."""
    return json.dumps(shown(subject), indent=1, ensure_ascii=True) + "\n"
