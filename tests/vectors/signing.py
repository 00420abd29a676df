"""Vectors of PROTOCOL, Signing: with the wallet of the key generation."""

from typing import Any

from mpcnode.crypto.adjustment import TaprootTweak
from mpcnode.crypto.suites import DEFAULT_SUITES
from mpcnode.protocols.descriptor import context
from mpcnode.protocols.frost.held import decode_share
from mpcnode.protocols.frost.sign import sign
from mpcnode.protocols.signing_descriptor import SigningDescriptor
from mpcnode.readings import registry as readings
from mpcnode.readings.file import FileContent
from tests.vectors.agreement import agree, propose
from tests.vectors.keygen import show_random, show_statement, wallet
from tests.vectors.made import Drawn, Json
from tests.vectors.run import run


def make() -> Json:
    made = wallet(2, 3)
    ed25519, taproot = DEFAULT_SUITES
    return {
        "people": [one.show() for one in made.people],
        "statement": show_statement(made.statement),
        "shares": [{"identifier": i, **shares} for i, shares in made.shares.items()],
        "sessions": [
            _session("Ed25519, a text", suite=ed25519, numbers=(1, 3), reading="text", contents=[b"pay carol"]),
            _session(
                "Ed25519, three byte strings",
                suite=ed25519,
                numbers=(1, 2),
                reading="hex",
                contents=[b"", b"\x01", b"\x02" * 40],
            ),
            _session(
                "Taproot, no script tree",
                suite=taproot,
                numbers=(2, 3),
                reading="hex",
                contents=[b"\x03" * 32],
                tweak=True,
            ),
            _session(
                "Taproot, a script tree",
                suite=taproot,
                numbers=(1, 2, 3),
                reading="file",
                contents=[FileContent(b"\x04" * 32, 5, "x").encode()],
                root=b"\x05" * 32,
                tweak=True,
            ),
        ],
    }


def _session(
    what: str,
    *,
    suite: Any,
    numbers: tuple[int, ...],
    reading: str,
    contents: list[bytes],
    root: bytes = b"",
    tweak: bool = False,
) -> Json:
    made = wallet(2, 3)
    signers = [one for one in made.people if one.number in numbers]
    proposer, rng = signers[0], Drawn(f"signing, {what}")
    terms = (made.statement.wallet_id, made.statement.epoch_id, reading.encode(), root, *contents)
    proposal = propose(proposer, made.people, rng, kind="sign", threshold=2, suites=(suite,), terms=terms)
    agreed = agree(proposal, proposer, signers, rng)
    descriptor = SigningDescriptor(
        agreed=agreed.agreed,
        session_id=proposal.session_id,
        wallet_id=made.statement.wallet_id,
        epoch_id=made.statement.epoch_id,
        suite=suite,
        group_public_key=made.statement.keys(suite).group_public_key,
        threshold=2,
        signers=tuple(one.member for one in signers),
        reading=reading,
        messages=tuple(readings.signed_bytes(reading, content) for content in contents),
        adjustments=(TaprootTweak(root),) if tweak else (),
    )
    random = {one.number: Drawn(f"signing, {what}, {one.name}") for one in signers}
    scripts = {}
    for one in signers:
        held = decode_share(made.statement, suite, one.number, made.shares[one.number][suite])
        scripts[one.number] = sign(
            descriptor=descriptor,
            me=one.number,
            key=held.key,
            public=held.public,
            signer=one.identity,
            rng=random[one.number],
            process=lambda: 1,
        )
    done = run(scripts, signers, proposal.session_id)
    signatures = done.results[proposer.number]
    assert all(one == signatures for one in done.results.values())
    return {
        "what": what,
        "agreement": agreed.show(),
        "descriptor": descriptor.hash,
        "signed": descriptor.messages,
        "verifying_key": descriptor.verifying_key,
        "random": show_random(random, signers, 1 + 2 * len(contents)),
        "context": context(descriptor.hash, {i: drawn.bytes[0] for i, drawn in random.items()}),
        "messages": done.messages,
        "signatures": signatures,
        "evidence": done.evidence[proposer.number],
    }
