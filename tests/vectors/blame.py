"""Vectors of PROTOCOL, Blame: what evidence proves."""

from dataclasses import dataclass

from mpcnode.blame import ENDINGS, TABLE
from mpcnode.errors import DecodeError
from mpcnode.protocols.frost.broadcast import Promise, encode_evidence, equivocators, promise
from mpcnode.types import Identifier
from tests.vectors.made import Drawn, Json, Person, people


@dataclass(frozen=True)
class _Heard:
    what: str
    mine: bytes
    theirs: bytes
    bound: bytes


def make() -> Json:
    everybody = people(3)
    rng = Drawn("blame")
    bound, other = rng(32), rng(32)
    said = {one.number: _promise(one, bound, rng, 2) for one in everybody}
    carol = everybody[2]
    twice = said | {carol.number: _promise(carol, bound, rng, 2)}
    elsewhere = {one.number: _promise(one, other, rng, 2) for one in everybody}
    forged = said | {carol.number: Promise(rng(32), (rng(32), rng(32)), said[carol.number].signature)}
    base = encode_evidence(bound, said)
    cases = [
        _Heard("carol signed two promises", base, encode_evidence(bound, twice), bound),
        _Heard("the same promises", base, base, bound),
        _Heard("a promise that carol did not sign", base, encode_evidence(bound, forged), bound),
        _Heard("promises of another session", base, encode_evidence(other, elsewhere), bound),
        _Heard("promises of another session under this one's name", base, encode_evidence(bound, elsewhere), bound),
    ]
    malformed = [base[:-1], base + b"\x00", base[:32], b""]
    for data in malformed:
        _raises(base, data, bound, everybody)
    return {
        "people": [one.show() for one in everybody],
        "digests": 2,
        "cases": [
            {
                "what": case.what,
                "bound": case.bound,
                "mine": case.mine,
                "theirs": case.theirs,
                "proved": sorted(_proved(case.mine, case.theirs, case.bound, everybody)),
            }
            for case in cases
        ],
        "malformed": malformed,
        "table": [
            {"came": came.name.lower(), "event": event.name.lower(), "verdict": verdict.name.lower()}
            for (came, event), verdict in TABLE.items()
        ],
        "own_endings": list(ENDINGS),
    }


def _promise(one: Person, bound: bytes, rng: Drawn, count: int) -> Promise:
    return promise(one.identity, bound, one.number, rng(32), [rng(32) for _ in range(count)])


def _proved(mine: bytes, theirs: bytes, bound: bytes, everybody: list[Person]) -> frozenset[Identifier]:
    keys = {one.number: one.key for one in everybody}
    return equivocators(mine, theirs, bound=bound, keys=keys, count=2)


def _raises(mine: bytes, theirs: bytes, bound: bytes, everybody: list[Person]) -> None:
    try:
        _proved(mine, theirs, bound, everybody)
    except DecodeError:
        return
    raise AssertionError(theirs.hex())
