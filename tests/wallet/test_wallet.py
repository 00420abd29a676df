"""A wallet as a model: which chains of epochs there can be, and how one changes."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.crypto import tags
from mpcnode.errors import DecodeError, Refused, WalletPending
from mpcnode.protocols.epoch import MAX_ABANDONED, Certificate
from mpcnode.types import EpochId, IdentityKey, PeerId, SuiteId, WalletId
from mpcnode.wallet.secret import Share, WalletSecret
from mpcnode.wallet.wallet import Epoch, EpochState, Wallet
from tests.helpers.wallets import CHAIN_CODE, Made, Sharing, make_wallet, secret_of

ANA, BEN, CLEO, DORA = PeerId("ana"), PeerId("ben"), PeerId("cleo"), PeerId("dora")
PENDING, ACTIVE, RETIRED = EpochState.PENDING, EpochState.ACTIVE, EpochState.RETIRED


def states(wallet: Wallet) -> list[EpochState]:
    return [epoch.state for epoch in wallet.epochs]


def key(made: Made, name: PeerId) -> IdentityKey:
    return made.identities[name].public_key


# --- the first epoch ---


def test_a_wallet_becomes_active_with_everybodys_signature_and_not_before(made: Made) -> None:
    wallet = made.wallet
    for name in (CLEO, ANA):
        wallet = wallet.merge(made.sharing.signed(name))
        assert wallet.state == "pending"
        assert wallet.active is None
    assert wallet.current.missing == (BEN,)
    wallet = wallet.merge(made.sharing.signed(BEN))
    assert wallet.state == "active"
    assert states(wallet) == [ACTIVE]
    assert wallet.current.missing == ()
    assert wallet.current.certificate == made.certificate


def test_a_full_certificate_activates_at_once_and_an_active_wallet_stays_active(made: Made) -> None:
    active = made.wallet.merge(made.certificate)
    assert active.state == "active"
    assert active.merge(Certificate(made.certificate.epoch_id, {})) == active
    assert active.merge(made.certificate) == active


@pytest.mark.parametrize("name", [ANA, BEN, CLEO])
def test_a_certificate_that_lacks_anybody_does_not_activate(made: Made, name: PeerId) -> None:
    others = [other for other in made.identities if other != name]
    merged = made.wallet.merge(made.sharing.signed(*others))
    assert merged.state == "pending"
    assert merged.current.missing == (name,)


def test_an_invalid_signature_is_left_out_and_does_not_replace_a_valid_one(made: Made) -> None:
    wallet = made.wallet.merge(made.sharing.signed(BEN))
    signatures = dict(made.certificate.signatures) | {key(made, BEN): bytes(64)}
    forged = Certificate(made.certificate.epoch_id, signatures)
    assert wallet.merge(forged).state == "active"
    assert made.wallet.merge(forged).current.missing == (BEN,)


def test_a_signature_made_for_another_purpose_does_not_count(made: Made) -> None:
    signature = made.identities[BEN].sign(tags.REGISTER, made.certificate.epoch_id)
    signatures = dict(made.certificate.signatures) | {key(made, BEN): signature}
    assert made.wallet.merge(Certificate(made.certificate.epoch_id, signatures)).state == "pending"


def test_a_strangers_signature_is_not_kept(made: Made) -> None:
    stranger = make_wallet(4).identities[DORA]
    signatures = dict(made.certificate.signatures)
    signatures[stranger.public_key] = stranger.sign(tags.READY, made.certificate.epoch_id)
    merged = made.wallet.merge(Certificate(made.certificate.epoch_id, signatures))
    assert set(merged.current.certificate.signatures) == {key(made, name) for name in (ANA, BEN, CLEO)}


def test_a_certificate_of_an_epoch_that_is_not_the_wallets_is_refused(made: Made) -> None:
    other = EpochId(bytes(32))
    signatures = {i.public_key: i.sign(tags.READY, other) for i in made.identities.values()}
    with pytest.raises(KeyError):
        made.wallet.merge(Certificate(other, signatures))


def test_no_wallet_is_active_by_saying_so(made: Made) -> None:
    for certificate in (
        made.wallet.current.certificate,
        made.sharing.signed(ANA, BEN),
        Certificate(made.certificate.epoch_id, dict.fromkeys(made.certificate.signatures, bytes(64))),
    ):
        for state in (ACTIVE, RETIRED):
            with pytest.raises(ValueError, match=r"everybody's valid signature|without an active epoch"):
                replace(made.wallet, epochs=(Epoch(made.sharing.statement, certificate, state),))
        pending = replace(made.wallet, epochs=(Epoch(made.sharing.statement, certificate, PENDING),))
        header = pending.to_header()
        header["epochs"][0]["state"] = "active"
        with pytest.raises(DecodeError):
            Wallet.from_header(header)


def test_a_certificate_stands_beside_no_other_statement(made: Made) -> None:
    """Audit F1: what the certificate says, it says of this very group key, threshold, roster and number."""
    active = made.active
    header = active.to_header()
    forgeries: list[Callable[[dict[str, Any]], Any]] = [
        lambda epoch: epoch.update(threshold=3),
        lambda epoch: epoch.update(kind="refresh"),
        lambda epoch: epoch.update(transcript="11" * 32),
        lambda epoch: epoch.update(chain_code_hash="11" * 32),
        lambda epoch: epoch["roster"][1].update(peer_id="bea"),
        lambda epoch: epoch["roster"][2].update(identifier=4),
        lambda epoch: epoch["suites"].reverse(),
        lambda epoch: epoch["suites"][0].update(group_public_key=epoch["suites"][0]["verifying_shares"][0]),
        lambda epoch: epoch["suites"][0]["verifying_shares"].reverse(),
    ]
    for forge in forgeries:
        forged = json.loads(json.dumps(header))
        forge(forged["epochs"][0])
        assert forged != header
        with pytest.raises(DecodeError):
            Wallet.from_header(forged)
        del forged["epochs"][0]["epoch_id"]
        with pytest.raises(DecodeError):
            Wallet.from_header(forged)


def test_a_pending_wallet_names_whom_it_waits_for(made: Made) -> None:
    with pytest.raises(WalletPending, match="ben, cleo") as raised:
        made.wallet.merge(made.sharing.signed(ANA)).require_active()
    assert raised.value.saved is not None
    assert made.active.require_active() == made.active.active


# --- later epochs ---


@pytest.fixture
def later(made: Made) -> Sharing:
    return made.sharing.refreshed()


def test_a_pending_epoch_stands_beside_the_active_one_which_goes_on(made: Made, later: Sharing) -> None:
    wallet = made.active.with_pending(later.statement, later.signed(ANA))
    assert states(wallet) == [ACTIVE, PENDING]
    assert wallet.state == "active"
    assert wallet.current is wallet.active
    assert wallet.require_active().epoch_id == made.sharing.epoch_id
    assert wallet.secret_epochs == {made.sharing.epoch_id, later.epoch_id}


def test_a_pending_epoch_becomes_active_with_everybodys_signature_and_retires_the_one_before(
    made: Made, later: Sharing
) -> None:
    wallet = made.active.with_pending(later.statement, later.signed(ANA))
    for name in (BEN, ANA):
        wallet = wallet.merge(later.signed(name))
        assert states(wallet) == [ACTIVE, PENDING]
    wallet = wallet.merge(later.signed(CLEO))
    assert states(wallet) == [RETIRED, ACTIVE]
    assert wallet.current.number == 1
    assert wallet.secret_epochs == {later.epoch_id}
    after = later.refreshed()
    wallet = wallet.with_pending(after.statement, after.signed(ANA)).merge(after.signed())
    assert states(wallet) == [RETIRED, RETIRED, ACTIVE]
    assert Wallet.from_header(json.loads(json.dumps(wallet.to_header()))) == wallet


def test_a_later_attempt_takes_the_place_of_the_pending_one_only_by_abandoning_it(made: Made, later: Sharing) -> None:
    wallet = made.active.with_pending(later.statement, later.signed(ANA))
    deaf = made.sharing.refreshed(seed=2)
    with pytest.raises(Refused, match="does not abandon the one that is pending here"):
        wallet.with_pending(deaf.statement, deaf.signed(ANA))
    another = made.sharing.refreshed(later.epoch_id, seed=3)
    wallet = wallet.with_pending(another.statement, another.signed(ANA))
    assert states(wallet) == [ACTIVE, PENDING]
    assert wallet.active == made.active.active
    assert wallet.pending == Epoch(another.statement, another.signed(ANA), PENDING)
    assert wallet.secret_epochs == {made.sharing.epoch_id, another.epoch_id}
    # The one that was dropped need not be named again, and naming it alone is not enough.
    again = made.sharing.refreshed(later.epoch_id, seed=4)
    with pytest.raises(Refused, match="does not abandon"):
        wallet.with_pending(again.statement, again.signed(ANA))
    third = made.sharing.refreshed(another.epoch_id, seed=4)
    wallet = wallet.with_pending(third.statement, third.signed(ANA))
    assert wallet.secret_epochs == {made.sharing.epoch_id, third.epoch_id}


def test_attempts_that_are_abandoned_do_not_pile_up(made: Made, later: Sharing) -> None:
    wallet, attempt = made.active, later
    for seed in range(MAX_ABANDONED + 2):
        wallet = wallet.with_pending(attempt.statement, attempt.signed(ANA))
        assert states(wallet) == [ACTIVE, PENDING]
        attempt = made.sharing.refreshed(attempt.epoch_id, seed=seed + 3)
    assert states(wallet.with_pending(attempt.statement, attempt.signed(ANA)).merge(attempt.signed())) == [
        RETIRED,
        ACTIVE,
    ]


def test_the_certificate_of_an_abandoned_epoch_is_never_accepted(made: Made, later: Sharing) -> None:
    another = made.sharing.refreshed(later.epoch_id, seed=3)
    wallet = made.active.with_pending(later.statement, later.signed(ANA))
    wallet = wallet.with_pending(another.statement, another.signed(ANA))
    for one in (wallet, Wallet.from_header(wallet.to_header()), wallet.merge(another.signed())):
        for certificate in (later.signed(), later.signed(BEN)):
            with pytest.raises(KeyError):
                one.merge(certificate)
        with pytest.raises(Refused):
            one.with_pending(later.statement, later.signed())
    assert states(wallet.merge(another.signed())) == [RETIRED, ACTIVE]
    assert wallet.merge(another.signed()).secret_epochs == {another.epoch_id}


def test_a_pending_first_epoch_is_not_dropped_even_for_one_that_abandons_it(made: Made) -> None:
    bold = made.sharing.refreshed(made.sharing.epoch_id)
    with pytest.raises(Refused, match="no epoch is active here yet"):
        made.wallet.with_pending(bold.statement, bold.signed())


def test_an_epoch_that_does_not_follow_the_active_one_is_refused(made: Made, later: Sharing) -> None:
    after = later.refreshed()
    other = make_wallet(4).sharing.refreshed()
    chained = replace(later.statement, chain_code_hash=bytes(32))
    keyed = replace(later.statement, suites=later.statement.suites[:1])
    foreign = replace(later.statement, wallet_id=WalletId(bytes(16)))
    for statement in (after.statement, other.statement, made.sharing.statement, chained, keyed, foreign):
        with pytest.raises(Refused, match=r"wallet treasury cannot take these new shares: .") as refused:
            made.active.with_pending(statement, Certificate(statement.epoch_id, {}))
        assert refused.value.hint is not None
    with pytest.raises(Refused, match="no epoch is active here yet"):
        made.wallet.with_pending(later.statement, later.signed(ANA))
    wallet = made.active.with_pending(later.statement, later.signed(ANA))
    with pytest.raises(Refused, match="does not abandon"):
        wallet.with_pending(later.statement, later.signed(ANA))


def test_chains_that_cannot_be_are_refused(made: Made, later: Sharing) -> None:
    first = Epoch(made.sharing.statement, made.certificate, RETIRED)
    second = Epoch(later.statement, later.signed(), ACTIVE)
    another = made.sharing.refreshed(seed=5)
    after = later.refreshed()
    instead = later.refreshed(after.epoch_id, seed=6)
    replace(made.active, epochs=(first, second))
    for epochs in (
        (),
        (first,),
        (second,),
        (replace(second, state=PENDING),),
        (second, first),
        (first, first, second),
        (replace(first, state=ACTIVE), second),
        (first, replace(second, state=PENDING)),
        (first, replace(second, certificate=later.signed(ANA, BEN))),
        (first, Epoch(another.statement, another.signed(), RETIRED), second),
        (first, Epoch(after.statement, after.signed(), ACTIVE)),
        (first, second, Epoch(another.statement, another.signed(ANA), PENDING)),
        (
            first,
            second,
            Epoch(after.statement, after.signed(ANA), PENDING),
            Epoch(instead.statement, instead.signed(ANA), PENDING),
        ),
        (first, Epoch(after.statement, after.signed(ANA), PENDING), second),
        (first, second, second),
        (first, second, Epoch(after.statement, after.signed(ANA), PENDING), first),
        (replace(first, state=PENDING), replace(first, state=PENDING)),
    ):
        with pytest.raises(ValueError, match=r"."):
            replace(made.active, epochs=epochs)


def test_a_participant_keeps_its_identity_in_every_epoch_it_holds_a_share_of(made: Made, later: Sharing) -> None:
    roster = list(later.statement.roster)
    roster[0] = replace(roster[0], identity_key=make_wallet(4).identities[DORA].public_key)
    statement = replace(later.statement, roster=tuple(roster))
    with pytest.raises(Refused, match="identity key"):
        made.active.with_pending(statement, Certificate(statement.epoch_id, {}))
    with pytest.raises(ValueError, match="identity key"):
        replace(made.wallet, identity_key=key(made, BEN))
    with pytest.raises(ValueError, match=r"."):
        replace(made.wallet, peer_id=BEN)


# --- the rest of the model ---


def test_a_wallet_says_what_its_current_epoch_says(made: Made) -> None:
    wallet = made.wallet
    assert (wallet.identifier, wallet.threshold, wallet.total) == (1, 2, 3)
    assert wallet.roster == made.sharing.statement.roster
    assert wallet.identity_keys == {name: identity.public_key for name, identity in made.identities.items()}
    assert wallet.suites == made.sharing.statement.suites
    assert wallet.epoch(made.sharing.epoch_id) is wallet.current
    with pytest.raises(KeyError):
        wallet.epoch(EpochId(bytes(32)))


@pytest.mark.parametrize(
    "changes",
    [
        {"wallet_id": WalletId(bytes(16))},
        {"wallet_id": WalletId(b"\xab" * 15)},
        {"name": "-x"},
        {"peer_id": PeerId("zoe")},
        {"peer_id": PeerId("../x")},
        {"verified": "everybody"},
        {"created_ms": -1},
        {"created_ms": 2**53},
        {"epochs": ()},
    ],
    ids=str,
)
def test_a_wallet_that_cannot_be_is_refused(made: Made, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        replace(made.wallet, **changes)


def test_a_certificate_about_another_epoch_is_refused(made: Made, later: Sharing) -> None:
    with pytest.raises(ValueError, match="another epoch"):
        Epoch(made.sharing.statement, later.signed(), PENDING)


def test_keys_are_found_by_suite(made: Made) -> None:
    one, _ = made.wallet.suites
    assert made.wallet.keys(one.suite) == one
    with pytest.raises(KeyError):
        made.wallet.keys(SuiteId("FROST-secp256k1-SHA256-v1"))


# --- its file ---


@pytest.mark.parametrize("total", [2, 3, 4])
def test_a_wallet_survives_its_header(total: int) -> None:
    made = make_wallet(total)
    for wallet in (made.wallet, made.active, replace(made.wallet, verified="nobody")):
        assert Wallet.from_header(json.loads(json.dumps(wallet.to_header()))) == wallet


def test_the_header_is_what_the_protocol_says(made: Made, later: Sharing) -> None:
    header = made.active.with_pending(later.statement, later.signed(ANA)).to_header()
    assert list(header) == ["wallet_id", "name", "peer_id", "identity_key", "verified", "created", "epochs"]
    first, second = header["epochs"]
    fields = [
        "epoch_id", "state", "number", "abandoned", "kind", "threshold", "roster", "suites", "chain_code_hash",
        "transcript", "signatures",
    ]  # fmt: skip
    assert list(first) == fields
    assert sorted(second) == sorted([*fields, "previous"])
    assert list(first["roster"][0]) == ["identifier", "peer_id", "identity_key"]
    assert list(first["suites"][0]) == ["suite", "group_public_key", "verifying_shares"]
    assert list(first["signatures"][0]) == ["public_key", "signature"]
    assert second["epoch_id"] == later.epoch_id.hex()
    assert second["previous"] == first["epoch_id"]
    assert header["created"] == 1_700_000_000_000


@pytest.mark.parametrize(
    "changes",
    [
        {"wallet_id": "../x"},
        {"wallet_id": "AB" * 16},
        {"note": ""},
        {"created": -1},
        {"created": 1.5},
        {"created": 2**53},
        {"verified": True},
        {"verified": "everybody"},
        {"identity_key": "00" * 31},
        {"epochs": []},
        {"epochs": None},
        {"name": "\x1b[2J"},
    ],
    ids=str,
)
def test_a_header_that_is_not_a_wallets_is_refused(made: Made, changes: dict[str, Any]) -> None:
    with pytest.raises(DecodeError) as raised:
        Wallet.from_header(made.wallet.to_header() | changes)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    "changes",
    [
        {"epoch_id": "00" * 32},
        {"epoch_id": "AB" * 32},
        {"state": "done"},
        {"state": "superseded"},
        {"number": 1},
        {"number": True},
        {"number": 2**53},
        {"previous": "00" * 32},
        {"previous": None},
        {"abandoned": ["00" * 32]},
        {"abandoned": None},
        {"threshold": 2.0},
        {"threshold": 0},
        {"threshold": 4},
        {"roster": []},
        {"suites": []},
        {"transcript": "00" * 31},
        {"transcript": "AB" * 32},
        {"chain_code_hash": "00" * 33},
        {"signatures": [{"public_key": "00" * 32, "signature": "00"}]},
        {"signatures": [{"public_key": "00" * 32, "signature": "00" * 64}]},
        {"signatures": {"ana": "00" * 64}},
        {"note": ""},
    ],
    ids=str,
)
def test_an_epoch_that_cannot_be_is_refused(made: Made, changes: dict[str, Any]) -> None:
    header = made.wallet.to_header()
    header["epochs"][0] |= changes
    with pytest.raises(DecodeError) as raised:
        Wallet.from_header(header)
    assert str(raised.value).isprintable()


def test_signatures_in_another_order_or_twice_are_not_the_canonical_form(made: Made) -> None:
    for change in (lambda rows: rows[::-1], lambda rows: [*rows, rows[-1]]):
        header = made.active.to_header()
        header["epochs"][0]["signatures"] = change(header["epochs"][0]["signatures"])
        with pytest.raises(DecodeError, match="canonical"):
            Wallet.from_header(header)


def test_a_header_without_any_one_of_its_fields_is_refused(made: Made, later: Sharing) -> None:
    header = made.active.with_pending(later.statement, later.signed(ANA)).to_header()
    for name in header:
        with pytest.raises(DecodeError):
            Wallet.from_header({field: value for field, value in header.items() if field != name})
    for name in header["epochs"][1]:
        fewer = json.loads(json.dumps(header))
        del fewer["epochs"][1][name]
        with pytest.raises(DecodeError):
            Wallet.from_header(fewer)


values = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=2) | st.dictionaries(st.text(max_size=3), children, max_size=2),
    max_leaves=5,
)


@given(
    st.dictionaries(st.sampled_from(["wallet_id", "epochs", "verified", "created", "name"]), values),
    st.dictionaries(st.sampled_from(["roster", "suites", "signatures", "number", "state", "previous"]), values),
)
@settings(max_examples=100)
def test_only_a_decode_error_escapes_from_arbitrary_headers(changes: dict[str, Any], in_epoch: dict[str, Any]) -> None:
    header = make_wallet().wallet.to_header()
    header["epochs"][0] |= in_epoch
    header |= changes
    try:
        wallet = Wallet.from_header(header)
    except DecodeError:
        return
    assert wallet.to_header() == header


# --- its secret ---


def test_a_secret_fits_its_wallet_and_no_other(made: Made, later: Sharing) -> None:
    made.wallet.check_secret(made.secret)
    one, two = made.sharing.held_by(ANA)
    bens, _ = made.sharing.held_by(BEN)
    altered = bytearray(one.data)
    altered[0] ^= 1
    for share in (
        replace(one, data=altered),
        replace(one, data=bytearray(b"\xff" * 32)),
        replace(one, data=bytearray(32)),
        replace(one, data=bytearray(one.data) + b"\x00"),
        replace(one, protocol="dkls23"),
        replace(one, epoch_id=later.epoch_id),
        bens,
    ):
        with pytest.raises(DecodeError):
            made.wallet.check_secret(_secret(share, replace(two, data=bytearray(two.data))))
    for shares in ((one,), (one, two, *later.held_by(ANA))):
        with pytest.raises(DecodeError, match="other epochs or suites"):
            made.wallet.check_secret(_secret(*(replace(share, data=bytearray(share.data)) for share in shares)))


def test_a_secret_with_another_chain_code_is_refused(made: Made) -> None:
    with pytest.raises(DecodeError, match="chain code"):
        made.wallet.check_secret(_secret(*made.sharing.held_by(ANA), chain_code=bytes(32)))


def test_a_secret_holds_shares_of_all_epochs_but_the_retired_ones(made: Made, later: Sharing) -> None:
    wallet = made.active.with_pending(later.statement, later.signed(ANA))
    wallet.check_secret(secret_of(made.sharing, later))
    with pytest.raises(DecodeError):
        wallet.check_secret(secret_of(made.sharing))
    wallet = wallet.merge(later.signed())
    wallet.check_secret(secret_of(later))
    with pytest.raises(DecodeError):
        wallet.check_secret(secret_of(made.sharing, later))


def _secret(*shares: Share, chain_code: bytes = CHAIN_CODE) -> WalletSecret:
    return WalletSecret(shares, chain_code=bytearray(chain_code), document_key=bytearray(32))
