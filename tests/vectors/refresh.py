"""Vectors of PROTOCOL, Refresh: the 2 of 3 of the key generation, complete."""

from dataclasses import dataclass
from functools import cache

from mpcnode.crypto.suites import DEFAULT_SUITES
from mpcnode.protocols.descriptor import Descriptor, context
from mpcnode.protocols.epoch import Certificate, Statement
from mpcnode.protocols.frost.held import decode_share
from mpcnode.protocols.frost.refresh import refresh
from mpcnode.types import EpochId, Identifier, SuiteId
from tests.vectors.agreement import Agreement, agree, propose
from tests.vectors.keygen import ephemerals, show_certificate, show_random, show_statement, wallet
from tests.vectors.made import Drawn, Json
from tests.vectors.run import Run, run

ABANDONED = EpochId(b"\x22" * 32)
"""An epoch that alice and carol hold without its full certificate; bob never signed for it."""


@dataclass
class Refreshed:
    """A refresh, and what came of it."""

    agreement: Agreement
    random: dict[Identifier, Drawn]
    run: Run
    statement: Statement
    certificate: Certificate
    shares: dict[Identifier, dict[SuiteId, bytes]]

    @property
    def epoch_id(self) -> EpochId:
        """Of the new epoch."""
        return self.statement.epoch_id


@cache
def refreshed() -> Refreshed:
    """Refresh the 2 of 3, always the same."""
    before = wallet(2, 3)
    everybody = before.people
    bob = everybody[1]
    rng = Drawn("refresh")
    terms = (before.statement.wallet_id, before.statement.epoch_id)
    proposal = propose(bob, everybody, rng, kind="refresh", threshold=2, terms=terms)
    agreed = agree(proposal, bob, everybody, rng, terms={"alice": (ABANDONED,), "carol": (ABANDONED,)})
    descriptor = Descriptor(
        agreed=agreed.agreed,
        session_id=proposal.session_id,
        kind="refresh",
        wallet_name="treasury",
        threshold=2,
        suites=DEFAULT_SUITES,
        roster=before.statement.roster,
    )
    random = {one.number: Drawn(f"refresh, {one.name}") for one in everybody}
    scripts = {
        one.number: refresh(
            descriptor=descriptor,
            previous=before.statement,
            abandoned=(ABANDONED,),
            me=one.number,
            shares={
                suite: decode_share(before.statement, suite, one.number, before.shares[one.number][suite])
                for suite in DEFAULT_SUITES
            },
            signer=one.identity,
            rng=random[one.number],
        )
        for one in everybody
    }
    done = run(scripts, everybody, proposal.session_id)
    result = done.results[bob.number]
    assert all(one == result for one in done.results.values())
    assert result.certificate.complete_for(result.statement, before.statement)
    shares = {i: records[0]["shares"] for i, records in done.checkpoints.items()}
    return Refreshed(agreed, random, done, result.statement, result.certificate, shares)


def make() -> Json:
    before, after = wallet(2, 3), refreshed()
    everybody, agreed, done = before.people, after.agreement, after.run
    return {
        "people": [one.show() for one in everybody],
        "previous": {
            "statement": show_statement(before.statement),
            "shares": [{"identifier": i, **shares} for i, shares in before.shares.items()],
        },
        "agreement": agreed.show(),
        "random": show_random(after.random, everybody, 1 + len(DEFAULT_SUITES)),
        "ephemerals": ephemerals(done, everybody),
        "messages": done.messages,
        "context": context(agreed.agreed, {i: drawn.bytes[0] for i, drawn in after.random.items()}),
        "statement": show_statement(after.statement),
        "certificate": show_certificate(after.certificate),
        "shares": [{"identifier": i, **shares} for i, shares in after.shares.items()],
    }
