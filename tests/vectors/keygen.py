"""Vectors of PROTOCOL, Key generation: a 2 of 3 from seeds to certificate, and a 3 of 5 by its hashes."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from mpcnode.crypto.suites import DEFAULT_SUITES
from mpcnode.protocols.descriptor import Descriptor, context
from mpcnode.protocols.epoch import Certificate, Statement
from mpcnode.protocols.frost.keygen import keygen
from mpcnode.types import Identifier, SuiteId
from tests.vectors.agreement import Agreement, agree, propose
from tests.vectors.made import Drawn, Json, Person, people
from tests.vectors.run import Run, run


@dataclass
class Wallet:
    """A wallet, and how it was made."""

    people: list[Person]
    agreement: Agreement
    random: dict[Identifier, Drawn]
    run: Run
    statement: Statement
    certificate: Certificate
    shares: dict[Identifier, dict[SuiteId, bytes]]


@cache
def wallet(threshold: int, total: int) -> Wallet:
    """Make a wallet with the default suites, always the same."""
    everybody = people(total)
    alice = everybody[0]
    rng = Drawn(f"key generation {threshold} of {total}")
    agreed = agree(propose(alice, everybody, rng, kind="keygen", threshold=threshold), alice, everybody, rng)
    descriptor = Descriptor(
        agreed=agreed.agreed,
        session_id=agreed.proposal.session_id,
        kind="keygen",
        wallet_name="treasury",
        threshold=threshold,
        suites=DEFAULT_SUITES,
        roster=tuple(one.member for one in everybody),
    )
    random = {one.number: Drawn(f"key generation {threshold} of {total}, {one.name}") for one in everybody}
    scripts = {
        one.number: keygen(descriptor=descriptor, me=one.number, signer=one.identity, rng=random[one.number])
        for one in everybody
    }
    done = run(scripts, everybody, agreed.proposal.session_id)
    result = done.results[alice.number]
    assert all(one == result for one in done.results.values())
    shares = {i: records[1]["shares"] for i, records in done.checkpoints.items()}
    return Wallet(everybody, agreed, random, done, result.statement, result.certificate, shares)


def make() -> Json:
    made, larger = wallet(2, 3), wallet(3, 5)
    return {"two_of_three": _complete(made), "three_of_five": _hashes(larger)}


def show_statement(statement: Statement) -> Json:
    """Give a statement and its hash."""
    return {
        "wallet_id": statement.wallet_id,
        "number": statement.number,
        **({} if statement.previous is None else {"previous": statement.previous}),
        "abandoned": statement.abandoned,
        "kind": statement.kind,
        "threshold": statement.threshold,
        "roster": [
            {"identifier": one.identifier, "peer_id": one.peer_id, "public_key": one.identity_key}
            for one in statement.roster
        ],
        "suites": [
            {
                "suite": keys.suite,
                "group_public_key": keys.group_public_key,
                "verifying_shares": keys.verifying_shares,
            }
            for keys in statement.suites
        ],
        "chain_code_hash": statement.chain_code_hash,
        "transcript": statement.transcript,
        "epoch_id": statement.epoch_id,
    }


def show_certificate(certificate: Certificate) -> list[Json]:
    """Give the signatures, as they stand in a message."""
    return [{"public_key": key, "signature": signature} for key, signature in certificate.signatures.items()]


def show_random(random: dict[Identifier, Drawn], everybody: list[Person], count: int) -> list[Json]:
    """Give what everybody drew, in its order; what comes after the first ``count`` went into ephemeral keys."""
    return [{"identifier": one.number, "drawn": random[one.number].bytes[:count]} for one in everybody]


def ephemerals(run_: Run, everybody: list[Person]) -> list[Json]:
    """Give the ephemeral key of every sealed share."""
    from mpcnode.wire import peer as wire

    by_number = {one.number: one for one in everybody}
    shown = []
    for message in run_.messages["share"]:
        payload: Any = wire.decode(message["text"].encode())[0]
        ephemeral = by_number[message["from"]].identity.ephemerals[payload.data]
        shown.append({"from": message["from"], "to": message["to"], "suite": payload.lane, "ephemeral": ephemeral})
    return shown


def _hashes(made: Wallet) -> Json:
    records = made.run.checkpoints[made.people[0].number]
    words, stored = records[0].words, records[1]
    fresh = {i: drawn.bytes[0] for i, drawn in made.random.items()}
    return {
        "people": [one.show() for one in made.people],
        "agreement": made.agreement.show(),
        "random": show_random(made.random, made.people, 2 + len(DEFAULT_SUITES) * (made.statement.threshold + 1)),
        "context": context(made.agreement.agreed, fresh),
        "echo": _echo(made.run),
        "words": words,
        "chain_code": stored["chain_code"],
        "document_key": stored["document_key"],
        "statement": show_statement(made.statement),
        "certificate": show_certificate(made.certificate),
    }


def _echo(run_: Run) -> str:
    import json

    echo: str = json.loads(run_.messages["commitment"][0]["text"])["payload"]["echo"]
    return echo


def _complete(made: Wallet) -> Json:
    return {
        **_hashes(made),
        "ephemerals": ephemerals(made.run, made.people),
        "messages": made.run.messages,
        "shares": [{"identifier": i, **shares} for i, shares in made.shares.items()],
        "evidence": made.run.evidence[made.people[0].number],
    }
