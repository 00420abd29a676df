"""Vectors of PROTOCOL, Pairing."""

from contextlib import suppress
from typing import Any

from mpcnode.crypto import hkdf, tags
from mpcnode.crypto.pairing_keys import Role, handshake_hash
from mpcnode.crypto.pake import PasswordExchange
from mpcnode.crypto.transcript import tagged_hash
from mpcnode.errors import DecodeError
from mpcnode.peers.introductions import guests
from mpcnode.peers.introductions.pairing import Pairing
from mpcnode.wire import invitation
from mpcnode.wire.code import draw_words, parse_code
from mpcnode.wire.invitation import Invitation
from mpcnode.wire.relay import Join, JoinAnswer, encode_message
from tests.vectors.made import NOW, Drawn, Json, Person, people

SLOT = 12
PASSWORD = b"swirl-motor"
CODES = (
    "12-swirl-motor",
    "12 Swirl  MOTOR",
    "999999-aardvark-adroitness-absurd",
    "0-swirl-motor",
    "012-swirl-motor",
    "1000000-swirl-motor",
    "12-swirl",
    "12-swirl-m0tor",
    "12-a-b-c-d-e-f-g-h",
    "12-a-b-c-d-e-f-g-h-i",
    "swirl-motor",
)
_ANSWERS = (
    *(None, guests.WRONG, guests.EXPIRED, guests.OVER, guests.BEGUN),
    *(guests.REFUSED, guests.TWICE, guests.NAME_TAKEN, guests.USED_UP),
)


def make() -> Json:
    alice, bob = people(2)
    return {
        "words": [draw_words(2, bytes([byte, byte]).ljust) for byte in range(256)],
        "codes": [_code(text) for text in CODES],
        "handshake": _handshake(alice, bob),
        "handshake_that_invites": _handshake(alice, bob, invites=True),
        **_invitations(alice),
    }


def _code(text: str) -> Json:
    with suppress(ValueError):
        code = parse_code(text)
        return {"text": text, "accepted": True, "code": str(code), "slot": code.slot, "password": code.password}
    return {"text": text, "accepted": False}


def _handshake(alice: Person, bob: Person, *, invites: bool = False) -> Json:
    """One whole pairing: alice made the code, and bob typed it; she ``invites`` him to a wallet with it."""
    ends, scalars = {}, {}
    for role, person in ((Role.INVITER, alice), (Role.JOINER, bob)):
        end = ends[role] = Pairing(
            role,
            password=PASSWORD,
            identity=person.identity,
            moniker=person.name,
            check=lambda _card: None,
            rng=Drawn(f"pairing, {person.name}"),
            gives=invitation.encode(_links(alice)[1]) if invites and role is Role.INVITER else None,
        )
        scalars[role] = _scalar(end._exchange)
    inviter, joiner = ends[Role.INVITER], ends[Role.JOINER]
    messages = {role: end._exchange.message for role, end in ends.items()}
    handshake = handshake_hash(SLOT, messages[Role.INVITER], messages[Role.JOINER])
    exchanged = PasswordExchange(PASSWORD, Drawn(f"pairing, {alice.name}")).finish(messages[Role.JOINER])
    root = hkdf.extract(handshake, exchanged)
    said: dict[Role, list[str]] = {Role.INVITER: [], Role.JOINER: []}
    first, second = inviter.begin(SLOT), joiner.begin(SLOT)
    while first and second:
        said[Role.INVITER].append(first.decode())
        said[Role.JOINER].append(second.decode())
        first, second = inviter.receive(second) or b"", joiner.receive(first) or b""
    assert inviter.result is not None
    assert joiner.result is not None
    assert inviter.result.key == joiner.result.key
    return {
        "slot": SLOT,
        "password": PASSWORD,
        "ends": [
            {
                **person.show(),
                "role": role.value,
                "scalar": scalars[role],
                "message": messages[role],
                "seal_key": hkdf.expand(root, tagged_hash(tags.PAIR_SEAL, role.value.encode())),
                "says": said[role],
            }
            for role, person in ((Role.INVITER, alice), (Role.JOINER, bob))
        ],
        "key": exchanged,
        "handshake": handshake,
        "root": root,
        "shared": inviter.result.key,
    }


def _scalar(exchange: PasswordExchange) -> bytes:
    inner: Any = exchange._exchange
    return int(inner.xy_scalar).to_bytes(32, "little")


def _links(alice: Person) -> list[Invitation]:
    drawn = Drawn("invitations")
    return [
        Invitation(server=server, room=drawn(16), key=alice.key, secret=drawn(16), expires=expires)
        for server, expires in (
            ("ws://127.0.0.1:9000", NOW),
            ("wss://mpc.example", NOW + 3_600_000),
            ("wss://[2001:db8::1]:444", 2**53 - 1),
        )
    ]


def _invitations(alice: Person) -> Json:
    made = _links(alice)
    link = invitation.encode(made[1])
    digits = link.rpartition("=")[2]
    altered = (
        link + "&x=1",
        link[:-1],
        link.upper(),
        link.replace("v=1", "v=2"),
        link.replace("mpc.example", "MPC.example"),
        link.replace("mpc.example", "mpc.example:443"),
        link.replace("mpc.example", "mpc.example/"),
        link.replace(digits, digits.lower()),
        link.replace(digits, digits[:-1] + ("B" if digits[-1] != "B" else "C")),
    )
    return {
        "invitations": [
            {
                "server": one.server,
                "room": one.room,
                "public_key": one.key,
                "secret": one.secret,
                "expires": one.expires,
                "link": invitation.encode(one),
                "join": encode_message(Join(invitation=one.room, secret=one.secret)).decode(),
                "join_answers": [
                    encode_message(JoinAnswer(invitation=one.room, refused=why)).decode() for why in _ANSWERS
                ],
            }
            for one in made
        ],
        "links_refused": [{"link": text, "accepted": _reads(text)} for text in altered],
    }


def _reads(link: str) -> bool:
    with suppress(DecodeError):
        invitation.decode(link)
        return True
    return False
