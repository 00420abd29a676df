"""How a wallet holds a FROST key: 32 bytes that fit one participant of one epoch, and no other."""

import pytest

from mpcnode.crypto.ciphersuite import CIPHERSUITES
from mpcnode.errors import DecodeError
from mpcnode.protocols.frost.held import decode_share, encode_share, public_keys_of, suite_keys_of
from mpcnode.types import Identifier, SuiteId
from tests.helpers.signing import ED25519, PLAIN, TAPROOT, signing_descriptor, simulate_sign
from tests.helpers.simulate import created, refreshed

WALLETS = created(2, 3)
STATEMENT = WALLETS[Identifier(1)].statement

every_suite = pytest.mark.parametrize("suite", [ED25519, TAPROOT])


@every_suite
def test_a_share_comes_back_and_signs(suite: SuiteId) -> None:
    keys = {}
    for me, stored in WALLETS.items():
        held = encode_share(stored.shares[suite])
        assert len(held) == 32
        keys[me] = decode_share(STATEMENT, suite, me, held)
        assert keys[me].key.encode() == stored.shares[suite].key.encode()
        assert keys[me].public == stored.shares[suite].public
    simulate_sign(signing_descriptor(keys, [1, 3]), keys).run()


@every_suite
def test_a_share_of_another_participant_or_epoch_is_refused(suite: SuiteId) -> None:
    held = encode_share(WALLETS[Identifier(1)].shares[suite])
    with pytest.raises(DecodeError, match="does not fit the verifying share of this epoch"):
        decode_share(STATEMENT, suite, Identifier(2), held)
    later = refreshed(2, 3)[Identifier(1)].statement
    with pytest.raises(DecodeError, match="does not fit the verifying share of this epoch"):
        decode_share(later, suite, Identifier(1), held)


@every_suite
def test_bytes_that_are_not_a_share_are_refused(suite: SuiteId) -> None:
    held = encode_share(WALLETS[Identifier(1)].shares[suite])
    for wrong in (b"", held[:-1], held + b"\x00", b"\xff" * 32, bytes(32)):
        with pytest.raises(DecodeError):
            decode_share(STATEMENT, suite, Identifier(1), wrong)


def test_a_suite_or_a_participant_that_is_not_there_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="no key of this suite"):
        decode_share(STATEMENT, PLAIN, Identifier(1), bytes(32))
    with pytest.raises(ValueError, match="not among the participants"):
        decode_share(STATEMENT, ED25519, Identifier(4), bytes(32))


@every_suite
def test_a_statement_says_what_frost_calls_a_public_key_package(suite: SuiteId) -> None:
    public = public_keys_of(STATEMENT, suite)
    assert public == WALLETS[Identifier(2)].shares[suite].public
    assert public.suite is CIPHERSUITES[suite]
    assert suite_keys_of(public) == STATEMENT.keys(suite)
