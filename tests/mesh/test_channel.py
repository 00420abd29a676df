from dataclasses import replace

import msgspec
import pytest

from mpcnode.mesh.channel import Ends, announce, check_introduction, introduce
from mpcnode.mesh.transport import Fingerprints
from tests.helpers.meshes import OTHER, SESSION, key_of, names, signer

ANA, BEN, EVE = names(3)
SEEN_BY_ANA = Fingerprints(local=b"a" * 32, remote=b"b" * 32)
SEEN_BY_BEN = Fingerprints(local=b"b" * 32, remote=b"a" * 32)
ANAS = Ends(SESSION, ANA, key_of(ANA)[0], BEN, key_of(BEN)[0])
BENS = Ends(SESSION, BEN, key_of(BEN)[0], ANA, key_of(ANA)[0])


def test_each_end_accepts_the_other() -> None:
    assert check_introduction(BENS, SEEN_BY_BEN, introduce(ANAS, SEEN_BY_ANA, signer(ANA))) is None
    assert check_introduction(ANAS, SEEN_BY_ANA, introduce(BENS, SEEN_BY_BEN, signer(BEN))) is None


def test_a_go_between_who_shows_each_side_its_own_certificate_fits_nothing() -> None:
    seen_by_ana = Fingerprints(local=b"a" * 32, remote=b"e" * 32)
    assert check_introduction(BENS, SEEN_BY_BEN, introduce(ANAS, seen_by_ana, signer(ANA))) is not None


@pytest.mark.parametrize("seen", [Fingerprints(b"e" * 32, b"a" * 32), Fingerprints(b"b" * 32, b"e" * 32)])
def test_either_fingerprint_counts(seen: Fingerprints) -> None:
    assert check_introduction(BENS, seen, introduce(ANAS, SEEN_BY_ANA, signer(ANA))) is not None


@pytest.mark.parametrize(
    "ends",
    [
        replace(ANAS, mesh_id=OTHER),
        replace(ANAS, me=EVE),
        replace(ANAS, peer=EVE),
        replace(ANAS, my_key=key_of(EVE)[0]),
        replace(ANAS, peer_key=key_of(EVE)[0]),
    ],
)
def test_every_field_of_the_statement_counts(ends: Ends) -> None:
    honest = introduce(ANAS, SEEN_BY_ANA, signer(ANA))
    signed_otherwise = msgspec.structs.replace(honest, signature=introduce(ends, SEEN_BY_ANA, signer(ANA)).signature)
    assert check_introduction(BENS, SEEN_BY_BEN, signed_otherwise) == "the signature does not fit this channel"


def test_another_key_does_not_do() -> None:
    assert check_introduction(BENS, SEEN_BY_BEN, introduce(ANAS, SEEN_BY_ANA, signer(EVE))) is not None


def test_ones_own_introduction_reflected_does_not_do() -> None:
    reflected = introduce(BENS, SEEN_BY_BEN, signer(BEN))
    assert check_introduction(BENS, SEEN_BY_BEN, reflected) is not None
    same_fingerprints = Fingerprints(b"b" * 32, b"b" * 32)
    own = introduce(BENS, same_fingerprints, signer(BEN))
    dressed = msgspec.structs.replace(own, peer_id=BEN, public_key=key_of(ANA)[0])
    assert check_introduction(BENS, same_fingerprints, dressed) is not None


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("signature", None, "its first message is not signed"),
        ("mesh", OTHER, "its first message is of another mesh"),
        ("peer_id", EVE, "its first message is for another node"),
        ("public_key", key_of(EVE)[0], "it shows another identity key than the one agreed on"),
        ("signature", bytes(64), "the signature does not fit this channel"),
    ],
)
def test_an_altered_introduction_says_what_does_not_fit(field: str, value: object, reason: str) -> None:
    honest = introduce(ANAS, SEEN_BY_ANA, signer(ANA))
    assert check_introduction(BENS, SEEN_BY_BEN, msgspec.structs.replace(honest, **{field: value})) == reason


def test_an_announcement_is_no_introduction() -> None:
    assert check_introduction(BENS, SEEN_BY_BEN, announce(ANAS, BEN)) == "its first message is not signed"
