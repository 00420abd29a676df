"""Vectors of PROTOCOL, Agreement."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType, SimpleNamespace
from typing import Any

import msgspec
from nacl import bindings as sodium

from mpcnode.crypto import tags
from mpcnode.crypto.suites import DEFAULT_SUITES
from mpcnode.errors import DecodeError, Disagreement, IdentityCheckFailed, ParticipantCheated, Refused
from mpcnode.readings.file import FileContent
from mpcnode.session import answers
from mpcnode.session.kinds import KINDS
from mpcnode.session.proposal import check_proposal
from mpcnode.types import EpochId, IdentityKey, PeerId, SessionId, SuiteId, WalletId
from mpcnode.wire import agreement, json
from mpcnode.wire import relay as wire
from tests.vectors import ed25519
from tests.vectors.made import NOW, Drawn, Json, Person, people

ANSWER_WITHIN = 120_000
WALLET_ID = WalletId(bytes(range(16)))
EPOCH_ID = EpochId(bytes(range(32)))


@dataclass
class Agreement:
    """A proposal, everybody's acceptance, and the proposer's choice."""

    proposal: wire.SessionProposal
    responses: dict[PeerId, wire.SessionResponse]
    start: wire.SessionStart
    agreed: bytes

    def show(self) -> Json:
        return {
            "proposal": show_message(self.proposal),
            "proposal_hash": agreement.proposal_hash(self.proposal),
            "responses": {name: show_message(response) for name, response in self.responses.items()},
            "start": show_message(self.start),
            "agreed": self.agreed,
        }


def show_message(message: Any) -> str:
    """Give the text of a message as it stands in an envelope."""
    return json.encode(message).decode()


def propose(
    proposer: Person,
    asked: Collection[Person],
    rng: Drawn,
    *,
    kind: str,
    threshold: int,
    suites: Sequence[SuiteId] = DEFAULT_SUITES,
    terms: tuple[bytes, ...] = (),
) -> wire.SessionProposal:
    """Make a proposal."""
    salt = rng(16)
    return wire.SessionProposal(
        session_id=agreement.session_id_of(proposer.key, salt),
        salt=salt,
        kind=kind,
        wallet_name="treasury",
        threshold=threshold,
        suites=tuple(suites),
        participants=tuple(wire.Participant(one.number, one.name, one.key) for one in asked),
        expires=NOW + ANSWER_WITHIN,
        answer_within=ANSWER_WITHIN,
        terms=terms,
    )


def agree(
    proposal: wire.SessionProposal,
    proposer: Person,
    chosen: Sequence[Person],
    rng: Drawn,
    *,
    terms: Mapping[str, tuple[bytes, ...]] = MappingProxyType({}),
    mesh: SessionId | None = None,
) -> Agreement:
    """Have everybody of ``chosen`` accept, each with its ``terms``, and the proposer say so."""
    responses = {
        one.name: answers.accept(proposal, one.identity, nonce=rng(16), terms=terms.get(one.name, ()), meshes=())
        for one in chosen
    }
    start = answers.start(proposal, responses, proposer.identity, mesh=mesh or proposal.session_id)
    return Agreement(proposal, responses, start, agreement.agreed(start.proposal, start.chosen))


def make() -> Json:
    alice, bob, carol = everybody = people(3)
    rng = Drawn("agreement")
    plain, taproot = DEFAULT_SUITES
    about = (WALLET_ID, EPOCH_ID)
    keygen = agree(propose(alice, everybody, rng, kind="keygen", threshold=2), alice, everybody, rng)
    signed = [
        agree(
            propose(bob, asked, rng, kind="sign", threshold=2, suites=(suite,), terms=(*about, *terms)),
            bob,
            chosen,
            rng,
            mesh=mesh,
        )
        for suite, asked, chosen, mesh, terms in (
            (plain, everybody, (alice, bob), None, (b"text", b"", "pay 3 €".encode())),
            (plain, everybody, (bob, carol), keygen.proposal.session_id, (b"hex", b"", b"\x00", b"\x01")),
            (
                taproot,
                (bob, carol),
                (bob, carol),
                None,
                (b"file", bytes(32), FileContent(b"\x07" * 32, 1234, "payment.bin").encode()),
            ),
        )
    ]
    refresh = agree(
        propose(carol, everybody, rng, kind="refresh", threshold=2, terms=about),
        carol,
        everybody,
        rng,
        terms={"alice": (b"\x22" * 32,), "bob": (b"\x33" * 32,)},
    )
    refusal = answers.refuse(keygen.proposal, "not today")
    cancel = wire.SessionCancel(keygen.proposal.session_id, "not_needed", "others take part")
    return {
        "people": [one.show() for one in everybody],
        "agreements": [one.show() for one in (keygen, *signed, refresh)],
        "refusal": show_message(refusal),
        "cancels": [
            show_message(cancel),
            show_message(
                wire.SessionCancel(keygen.proposal.session_id, "participant_silent", "no answer", (PeerId("carol"),))
            ),
        ],
        "certificate": _certificates(everybody),
        "refused": _refused(keygen.proposal, keygen.responses[alice.name]),
        "checked": _checked(keygen.proposal, everybody),
        "starts": _starts(keygen, alice, bob, carol),
    }


def _certificates(everybody: Sequence[Person]) -> list[str]:
    request = wire.CertificateRequest(wallet=WALLET_ID, epoch=EPOCH_ID)
    signatures = sorted((one.key, one.identity.sign(tags.READY, EPOCH_ID)) for one in everybody)
    reply = wire.CertificateReply(
        wallet=WALLET_ID, epoch=EPOCH_ID, signatures=tuple(wire.EpochSignature(*one) for one in signatures)
    )
    return [show_message(request), show_message(reply)]


def _refused(proposal: wire.SessionProposal, response: wire.SessionResponse) -> list[Json]:
    """Give texts that are no message: one thing wrong in each."""
    good, answer = json.to_json(proposal), json.to_json(response)
    members = good["participants"]
    wrong = [
        ("a field more", good | {"note": "x"}),
        ("a field less", {name: value for name, value in good.items() if name != "salt"}),
        ("null", good | {"terms": None}),
        ("threshold 1", good | {"threshold": 1}),
        ("threshold 65", good | {"threshold": 65}),
        ("no suite", good | {"suites": []}),
        ("five suites", good | {"suites": ["a", "b", "c", "d", "e"]}),
        ("one participant", good | {"participants": members[:1]}),
        ("participants not sorted", good | {"participants": members[::-1]}),
        ("a participant twice", good | {"participants": [members[0], *members]}),
        ("identifier 0", good | {"participants": [members[0] | {"identifier": 0}, *members[1:]]}),
        ("identifier 65", good | {"participants": [*members[:2], members[2] | {"identifier": 65}]}),
        ("answer_within 0", good | {"answer_within": 0}),
        ("answer_within over a day", good | {"answer_within": 86_400_001}),
        ("expires a fraction", good | {"expires": 1.5}),
        ("expires 2^53", good | {"expires": 2**53}),
        ("a kind with a capital", good | {"kind": "Sign"}),
        ("a wallet name that starts with a dot", good | {"wallet_name": ".x"}),
        ("hexadecimal in capitals", good | {"salt": "AB" * 16}),
        ("a salt of 15 bytes", good | {"salt": "ab" * 15}),
        ("too many terms", good | {"terms": [""] * (wire.MAX_TERMS + 1)}),
        ("terms too long together", good | {"terms": ["00" * 5_000, "00" * 4_801]}),
        ("an acceptance without signature", {n: v for n, v in answer.items() if n != "signature"}),
        ("an acceptance with a reason", answer | {"reason": "x"}),
        ("a refusal with a nonce", answer | {"accepted": False}),
        ("acceptance terms too long together", answer | {"terms": ["00" * 129]}),
    ]
    cases = []
    for what, tree in wrong:
        text = msgspec.json.encode(tree)
        assert not _decodes(text), what
        cases.append({"why": what, "text": text.decode()})
    return cases


def _checked(good: wire.SessionProposal, everybody: Sequence[Person]) -> list[Json]:
    """Judge proposals as bob does, who knows nobody's key."""
    alice, bob, carol = everybody
    first, second, third = good.participants
    change = msgspec.structs.replace
    mixed = IdentityKey(sodium.crypto_core_ed25519_add(bytes(carol.key), ed25519.ORDER_8))
    stranger = change(first, public_key=people(4)[3].key)
    moved = tuple(change(one, identifier=one.identifier + 1) for one in good.participants)
    cases = [
        ("as it is", good),
        ("expired by 300 s", change(good, expires=NOW - 299_999)),
        ("expired by more", change(good, expires=NOW - 300_000)),
        ("valid for a day and 300 s", change(good, expires=NOW + 86_700_000 - 1)),
        ("valid for longer", change(good, expires=NOW + 86_700_000)),
        ("without the one who judges", change(good, participants=(first, third))),
        ("without the proposer", change(good, participants=(second, third))),
        ("a name twice", change(good, participants=(first, second, change(third, peer_id=first.peer_id)))),
        ("a key twice", change(good, participants=(first, second, change(third, public_key=bob.key)))),
        ("a key that is not usable", change(good, participants=(first, second, change(third, public_key=mixed)))),
        ("the proposer under another key", change(good, participants=(stranger, second, third))),
        ("a suite that is not known", change(good, suites=(SuiteId("FROST-P256-SHA256-v1"),))),
        ("a suite twice", change(good, suites=(good.suites[0], good.suites[0]))),
        ("of a kind that is not known", change(good, kind="reshare")),
        ("more signers needed than there are", change(good, threshold=4)),
        ("numbered from 2", change(good, participants=moved)),
        ("a key generation with terms", change(good, terms=(b"x",))),
    ]
    return [
        {"what": what, "proposal": show_message(proposal), "accepted": _is_checked(proposal, alice, bob)}
        for what, proposal in cases
    ]


def _is_checked(proposal: wire.SessionProposal, proposer: Person, me: Person) -> bool:
    known = {me.name: me.key}
    services: Any = SimpleNamespace(
        peer_id=me.name, now=lambda: NOW, trusts=SimpleNamespace(known_key=known.get), wallets=None
    )
    if proposal.kind not in KINDS:
        return False
    try:
        check_proposal(proposal, proposer=proposer.name, key=proposer.key, services=services)
        KINDS[proposal.kind].matter(proposal, services)
    except (Refused, IdentityCheckFailed):
        return False
    return True


def _decodes(text: bytes) -> bool:
    envelope = wire.Envelope(bytes(16), 0, 0, msgspec.Raw(text))
    try:
        json.check(text)
        wire.decode_message(envelope)
    except DecodeError as error:
        return "another topic" in str(error)
    return True


def _starts(made: Agreement, alice: Person, bob: Person, carol: Person) -> list[Json]:
    """Judge starts as bob does, who accepted."""
    good, mine = made.start, made.responses[bob.name]
    older = answers.accept(made.proposal, bob.identity, nonce=bytes(16), terms=(), meshes=())
    first, second, third = good.chosen

    def again(chosen: Sequence[wire.Acceptance], mesh: SessionId | None = None) -> wire.SessionStart:
        mesh = mesh or SessionId(good.mesh)
        signed = agreement.start_fields(good.proposal, mesh, chosen)
        return msgspec.structs.replace(
            good, chosen=tuple(chosen), mesh=mesh, signature=alice.identity.sign(tags.START, *signed)
        )

    theirs = (older.nonce, older.signature)
    assert theirs[0] is not None
    assert theirs[1] is not None
    cases = [
        ("as it is", good, 3),
        ("another mesh than was signed", msgspec.structs.replace(good, mesh=SessionId(bytes(16))), 3),
        ("another mesh", again(good.chosen, SessionId(bytes(16))), 3),
        ("one participant too few", again([first, second]), 3),
        ("two, where two suffice", again([first, second]), 2),
        ("without the one who judges", again([first, third]), 2),
        ("without the proposer", again([second, third]), 2),
        (
            "an acceptance signed by another",
            again([first, second, msgspec.structs.replace(third, signature=first.signature)]),
            3,
        ),
        (
            "an acceptance of an earlier life",
            again([first, wire.Acceptance(identifier=bob.number, nonce=theirs[0], signature=theirs[1]), third]),
            3,
        ),
        (
            "signed by another",
            msgspec.structs.replace(
                good,
                signature=carol.identity.sign(
                    tags.START, *agreement.start_fields(good.proposal, good.mesh, good.chosen)
                ),
            ),
            3,
        ),
    ]
    return [
        {"what": what, "needed": needed, "start": show_message(start), "verdict": _judge(made, start, mine, needed)}
        for what, start, needed in cases
    ]


def _judge(made: Agreement, start: wire.SessionStart, mine: wire.SessionResponse, needed: int) -> str:
    try:
        answers.check_start(start, made.proposal, proposer=PeerId("alice"), me=PeerId("bob"), mine=mine, needed=needed)
    except ParticipantCheated:
        return "the proposer is not honest"
    except Disagreement:
        return "an answer of an earlier life"
    return "accepted"
