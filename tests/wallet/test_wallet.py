import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.errors import DecodeError, WalletPending
from mpcnode.protocols.certificate import READY_CONTEXT, Certificate
from mpcnode.types import Identifier, PeerId, SuiteId
from mpcnode.wallet.secret import WalletSecret
from mpcnode.wallet.wallet import State, Wallet
from tests.helpers.wallets import Made, make_wallet

ANA, BEN, CLEO = PeerId("ana"), PeerId("ben"), PeerId("cleo")


def some(certificate: Certificate, *names: PeerId) -> Certificate:
    return Certificate(certificate.transcript, {name: certificate.signatures[name] for name in names})


def test_a_wallet_becomes_active_with_everybodys_signature_and_not_before(made: Made) -> None:
    wallet = made.wallet
    for name in (CLEO, ANA):
        wallet = wallet.merge(some(made.certificate, name))
        assert wallet.state is State.PENDING
    assert wallet.missing == (BEN,)
    wallet = wallet.merge(some(made.certificate, BEN))
    assert wallet.state is State.ACTIVE
    assert wallet.missing == ()
    assert wallet.certificate == made.certificate


def test_a_full_certificate_activates_at_once_and_an_active_wallet_stays_active(made: Made) -> None:
    active = made.wallet.merge(made.certificate)
    assert active.state is State.ACTIVE
    assert active.merge(Certificate(made.certificate.transcript, {})) == active


@pytest.mark.parametrize("name", [ANA, BEN, CLEO])
def test_a_certificate_that_lacks_anybody_does_not_activate(made: Made, name: PeerId) -> None:
    others = [other for other in made.certificate.signatures if other != name]
    assert made.wallet.merge(some(made.certificate, *others)).missing == (name,)


def test_an_invalid_signature_is_left_out_and_does_not_replace_a_valid_one(made: Made) -> None:
    wallet = made.wallet.merge(some(made.certificate, BEN))
    forged = Certificate(made.certificate.transcript, dict(made.certificate.signatures) | {BEN: bytes(64)})
    assert wallet.merge(forged).state is State.ACTIVE
    assert made.wallet.merge(forged).missing == (BEN,)


def test_a_signature_made_for_another_purpose_does_not_count(made: Made) -> None:
    signature = made.identities[BEN].sign("register", made.certificate.transcript)
    other = Certificate(made.certificate.transcript, dict(made.certificate.signatures) | {BEN: signature})
    assert made.wallet.merge(other).state is State.PENDING


def test_a_strangers_signature_is_not_kept(made: Made) -> None:
    stranger = {PeerId("zoe"): made.identities[ANA].sign(READY_CONTEXT, made.certificate.transcript)}
    merged = made.wallet.merge(Certificate(made.certificate.transcript, dict(made.certificate.signatures) | stranger))
    assert set(merged.certificate.signatures) == {ANA, BEN, CLEO}


def test_a_certificate_of_another_transcript_is_refused(made: Made) -> None:
    other = Certificate(bytes(32), {name: i.sign(READY_CONTEXT, bytes(32)) for name, i in made.identities.items()})
    with pytest.raises(ValueError, match="different transcripts"):
        made.wallet.merge(other)


def test_no_wallet_is_active_by_saying_so(made: Made) -> None:
    for certificate in (
        made.wallet.certificate,
        some(made.certificate, ANA, BEN),
        Certificate(made.certificate.transcript, dict.fromkeys(made.certificate.signatures, bytes(64))),
    ):
        with pytest.raises(ValueError, match="everybody's valid signature"):
            replace(made.wallet, state=State.ACTIVE, certificate=certificate)
        header = replace(made.wallet, certificate=certificate).to_header() | {"state": "active"}
        with pytest.raises(DecodeError):
            Wallet.from_header(header)


def test_a_pending_wallet_names_whom_it_waits_for(made: Made) -> None:
    with pytest.raises(WalletPending, match="ben, cleo") as raised:
        made.wallet.merge(some(made.certificate, ANA)).require_active()
    assert raised.value.saved is not None
    made.wallet.merge(made.certificate).require_active()


def test_a_promise_is_remembered(made: Made) -> None:
    assert not made.wallet.promised
    assert not made.wallet.merge(some(made.certificate, BEN)).promised
    assert made.wallet.merge(some(made.certificate, ANA)).promised


@pytest.mark.parametrize(
    "changes",
    [
        {"wallet_id": "../x"},
        {"session_id": "AB" * 16},
        {"name": "-x"},
        {"peer_id": PeerId("zoe")},
        {"identifier": Identifier(2)},
        {"identifier": Identifier(0)},
        {"identifier": Identifier(4)},
        {"threshold": 1},
        {"threshold": 4},
        {"roster": ()},
        {"suites": ()},
    ],
    ids=str,
)
def test_a_wallet_that_cannot_be_is_refused(made: Made, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        replace(made.wallet, **changes)


def test_a_roster_has_each_name_and_each_key_once_and_is_sorted(made: Made) -> None:
    ana, ben, cleo = made.wallet.roster
    for roster in ((ana, cleo, ben), (ana, ben, ben), (ana, ben, replace(cleo, identity_key=ben.identity_key))):
        with pytest.raises(ValueError, match="roster"):
            replace(made.wallet, roster=roster)


def test_suites_are_sorted_each_once_and_have_a_share_for_each_participant(made: Made) -> None:
    one, two = made.wallet.suites
    short = replace(one, verifying_shares=one.verifying_shares[:-1])
    for suites in ((two, one), (one, one), (short, two)):
        with pytest.raises(ValueError, match=r"ciphersuite|verifying share"):
            replace(made.wallet, suites=suites)


def test_keys_are_elements_of_their_group(made: Made) -> None:
    one, two = made.wallet.suites
    with pytest.raises(ValueError, match="unknown ciphersuite"):
        replace(one, suite=SuiteId("FROST-ED448-SHAKE256-v1"))
    for bad in (bytes(32), b"\x01" + bytes(31), one.group_public_key[:-1], two.group_public_key):
        with pytest.raises(DecodeError):
            replace(one, group_public_key=bad)
        with pytest.raises(DecodeError):
            replace(one, verifying_shares=(*one.verifying_shares[:-1], bad))


@pytest.mark.parametrize("total", [2, 3, 4])
def test_a_wallet_survives_its_header(total: int) -> None:
    made = make_wallet(total)
    for wallet in (made.wallet, made.wallet.merge(made.certificate), replace(made.wallet, compared_words=False)):
        assert Wallet.from_header(json.loads(json.dumps(wallet.to_header()))) == wallet


def test_the_header_is_what_the_design_says(made: Made) -> None:
    assert list(made.wallet.to_header()) == [
        "wallet_id",
        "session_id",
        "name",
        "peer_id",
        "identifier",
        "threshold",
        "total",
        "participants",
        "suites",
        "state",
        "transcript",
        "signatures",
        "compared_words",
        "created",
        "epoch",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"total": 2},
        {"total": "3"},
        {"threshold": 2.0},
        {"threshold": True},
        {"state": "done"},
        {"note": ""},
        {"created": -1},
        {"compared_words": 1},
        {"transcript": "00" * 31},
        {"transcript": "AB" * 32},
        {"signatures": {"ana": "00"}},
        {"signatures": {"zoe": "00" * 64}},
        {"signatures": {"../x": "00" * 64}},
        {"participants": []},
        {"name": "\x1b[2J"},
    ],
    ids=str,
)
def test_a_header_that_is_not_a_wallets_is_refused(made: Made, changes: dict[str, Any]) -> None:
    with pytest.raises(DecodeError) as raised:
        Wallet.from_header(made.wallet.to_header() | changes)
    assert str(raised.value).isprintable()


def test_a_header_without_any_one_of_its_fields_is_refused(made: Made) -> None:
    header = made.wallet.to_header()
    for name in header:
        with pytest.raises(DecodeError):
            Wallet.from_header({key: value for key, value in header.items() if key != name})


@given(
    st.dictionaries(
        st.sampled_from(["wallet_id", "participants", "suites", "signatures", "transcript", "state", "epoch"]),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=5),
            lambda children: (
                st.lists(children, max_size=2) | st.dictionaries(st.text(max_size=3), children, max_size=2)
            ),
            max_leaves=5,
        ),
        min_size=1,
    )
)
@settings(max_examples=100)
def test_only_a_decode_error_escapes_from_arbitrary_headers(changes: dict[str, Any]) -> None:
    header = make_wallet().wallet.to_header()
    if header | changes == header:
        return
    try:
        wallet = Wallet.from_header(header | changes)
    except DecodeError:
        return
    assert wallet.to_header() == header | changes


def test_a_secret_fits_its_wallet_and_no_other(made: Made) -> None:
    made.wallet.check_secret(made.secret)
    (one, share), (two, _) = made.secret.shares.items()
    altered = bytearray(share)
    altered[0] ^= 1
    for shares in (
        {one: altered, two: bytearray(made.secret.shares[two])},
        {one: bytearray(b"\xff" * 32), two: bytearray(made.secret.shares[two])},
        {one: bytearray(32), two: bytearray(made.secret.shares[two])},
        {one: bytearray(share)},
    ):
        with pytest.raises(DecodeError):
            made.wallet.check_secret(WalletSecret(shares))
    with pytest.raises(DecodeError, match="verifying share"):
        replace(made.wallet, peer_id=BEN, identifier=Identifier(2)).check_secret(made.secret)


def test_keys_are_found_by_suite(made: Made) -> None:
    one, _ = made.wallet.suites
    assert made.wallet.keys(one.suite) == one
    with pytest.raises(KeyError):
        made.wallet.keys(SuiteId("FROST-secp256k1-SHA256-v1"))
