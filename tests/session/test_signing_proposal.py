"""A signing proposal against the wallet it names: whatever does not fit is refused before anybody is asked."""

from typing import Any

import msgspec
import pytest

from mpcnode.crypto.ciphersuite import DEFAULT_SUITES
from mpcnode.errors import Refused
from mpcnode.session.proposal import check_signing, propose_signing, roster_of
from mpcnode.types import PeerId
from mpcnode.wallet.wallet import State, Wallet
from mpcnode.wire.relay import MAX_REQUEST_BYTES, SessionProposal, SignRequest
from tests.helpers.relays import key_of
from tests.helpers.wallets import make_wallet

ED25519, TAPROOT = DEFAULT_SUITES
ASKED = (PeerId("ana"), PeerId("cleo"))
REQUEST = SignRequest("ab" * 16, 0, "text", ("68656c6c6f",))


@pytest.fixture(scope="module")
def wallet() -> Wallet:
    made = make_wallet()
    wallet = made.wallet.merge(made.certificate)
    assert wallet.state is State.ACTIVE
    return wallet


def proposal(wallet: Wallet, *, asked: tuple[PeerId, ...] = ASKED, **changes: Any) -> SessionProposal:
    made = propose_signing(
        salt=bytes.fromhex("5e" * 16),
        wallet=wallet,
        asked=asked,
        suite=ED25519,
        request=REQUEST,
        now=2**31,
        answer_within=60,
    )
    return msgspec.structs.replace(made, **changes)


def with_request(**changes: Any) -> dict[str, Any]:
    return {"sign": msgspec.structs.replace(REQUEST, **changes)}


@pytest.mark.parametrize("asked", [ASKED, ("ana", "ben", "cleo"), ("cleo", "ben")])
def test_any_quorum_of_the_wallet_may_be_asked(wallet: Wallet, asked: tuple[PeerId, ...]) -> None:
    made = proposal(wallet, asked=asked)
    assert list(made.participants) == sorted(asked)
    assert roster_of(made) == {name: wallet.identity_keys[name] for name in asked}
    assert check_signing(made, wallet) is wallet


def test_fewer_than_the_threshold_are_not_asked(wallet: Wallet) -> None:
    with pytest.raises(ValueError, match="threshold"):
        proposal(wallet, asked=(PeerId("ana"),))


def test_a_wallet_that_is_not_here_signs_nothing(wallet: Wallet) -> None:
    with pytest.raises(Refused, match="no wallet"):
        check_signing(proposal(wallet), None)


def test_a_pending_wallet_signs_nothing(wallet: Wallet) -> None:
    with pytest.raises(Refused, match="pending"):
        check_signing(proposal(wallet), make_wallet().wallet)


MISFITS: dict[str, dict[str, Any]] = {
    "of epoch 0, not 1": with_request(epoch=1),
    "threshold is 2": {"threshold": 3},
    "is called treasury": {"wallet_name": "other"},
    "no key of that ciphersuite": {"suites": ("FROST-secp256k1-SHA256-v1",)},
    "eve is none": {"participants": ("ana", "eve")},
    "cleo is none": {"public_keys": (make_wallet().identities[ASKED[0]].public_key.hex(), key_of("eve").hex())},
    "only Taproot": with_request(merkle_root=""),
    "not UTF-8": with_request(messages=("68656c6c6f", "ff")),
    "has 32 bytes, not 5": with_request(reading="file"),
    "bytes to sign": with_request(messages=("00" * (MAX_REQUEST_BYTES // 2),) * 3),
}


@pytest.mark.parametrize("reason", MISFITS)
def test_what_does_not_fit_the_wallet_is_refused_and_says_why(wallet: Wallet, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        check_signing(proposal(wallet, **MISFITS[reason]), wallet)


def test_taproot_takes_a_tweak_and_a_request_may_be_as_long_as_allowed(wallet: Wallet) -> None:
    half = "00" * (MAX_REQUEST_BYTES // 2)
    changes = with_request(merkle_root="00" * 32, messages=(half, half))
    check_signing(proposal(wallet, suites=(TAPROOT,), **changes), wallet)
