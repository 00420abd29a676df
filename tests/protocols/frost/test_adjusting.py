"""Keys after the tweak of BIP-341: shares that fit, for the output key another library computes."""

from hashlib import sha256

import pytest
from btclib_secp256k1 import ssa, xonly

from mpcnode.crypto.adjustment import TaprootTweak, adjusted_key, default_adjustments
from mpcnode.protocols.frost.adjusting import adjust_key, adjust_public
from mpcnode.types import Identifier, SuiteId
from tests.helpers.signing import ED25519, PLAIN, TAPROOT, Wallet, signing_descriptor, simulate_sign, wallet

ONE = Identifier(1)
ROOTS = (b"", sha256(b"a script tree").digest())

every_root = pytest.mark.parametrize("root", ROOTS, ids=["no script", "scripts"])
either_y = pytest.mark.parametrize("y", ["even", "odd"])


def wallet_of(y: str) -> Wallet:
    """A wallet whose group public key has that y."""
    wallets = (wallet(TAPROOT, 2, 3, seed) for seed in range(64))
    return next(keys for keys in wallets if keys[ONE].key.group_public_key.encode()[0] == {"even": 2, "odd": 3}[y])


def output_key(internal: bytes, root: bytes) -> bytes:
    """The x-only output key as BIP-341 says, by libsecp256k1's own tweaking."""
    tag = sha256(b"TapTweak").digest()
    key, _parity = xonly.tweak_add(internal, sha256(tag + tag + internal + root).digest())
    return key


@every_root
@either_y
def test_the_tweaked_key_is_the_output_key_of_bip_341(root: bytes, y: str) -> None:
    keys = wallet_of(y)
    internal = keys[ONE].key.group_public_key.encode()[1:]
    for share in keys.values():
        assert adjust_key(share.key, [TaprootTweak(root)]).group_public_key.encode()[1:] == output_key(internal, root)
        assert adjust_public(share.public, [TaprootTweak(root)]).group_public_key.encode()[1:] == output_key(
            internal, root
        )


@every_root
@either_y
def test_tweaked_shares_fit_their_tweaked_verifying_shares(root: bytes, y: str) -> None:
    keys = wallet_of(y)
    for i, share in keys.items():
        tweaked, public = adjust_key(share.key, [TaprootTweak(root)]), adjust_public(share.public, [TaprootTweak(root)])
        assert tweaked.suite.group.scalar_base_mult(tweaked.signing_share) == tweaked.verifying_share
        assert public.verifying_shares[i] == tweaked.verifying_share
        assert tweaked.threshold == public.threshold == share.key.threshold


@either_y
@every_root
def test_signatures_verify_under_the_key_the_descriptor_names_and_no_other(root: bytes, y: str) -> None:
    keys = wallet_of(y)
    internal = keys[ONE].key.group_public_key.encode()[1:]
    outputs: dict[bytes | None, bytes] = {r: output_key(internal, r) for r in ROOTS}
    outputs[None] = internal  # what is stored verifies nothing
    # Among sixteen signatures the group commitment has either y.
    messages = [bytes([k]) * 32 for k in range(16)]
    descriptor = signing_descriptor(keys, [1, 3], messages, adjustments=(TaprootTweak(root),))
    signatures = simulate_sign(descriptor, keys).run()[ONE]
    assert descriptor.verifying_key[1:] == outputs[root]
    for message, signature in zip(messages, signatures, strict=True):
        for tweak, key in outputs.items():
            assert ssa.verify(message, key, signature) == (tweak == root)


def test_a_tweaked_share_is_a_new_secret() -> None:
    share = wallet(TAPROOT, 2, 3)[ONE].key
    before = bytes(share.encode())
    adjust_key(share, [TaprootTweak(ROOTS[1])]).wipe()
    assert bytes(share.encode()) == before


@pytest.mark.parametrize("suite", [ED25519, PLAIN])
def test_no_other_suite_has_a_tweak(suite: SuiteId) -> None:
    share = wallet(suite, 2, 3)[ONE]
    with pytest.raises(ValueError, match="no Taproot tweak"):
        adjust_key(share.key, [TaprootTweak()])
    with pytest.raises(ValueError, match="no Taproot tweak"):
        adjust_public(share.public, [TaprootTweak()])
    assert adjust_key(share.key, []).encode() == share.key.encode()
    assert adjust_public(share.public, []) == share.public
    assert default_adjustments(suite) == ()


@pytest.mark.parametrize("count", [0, 2])
def test_the_bare_key_of_taproot_never_signs_and_neither_does_one_tweaked_twice(count: int) -> None:
    share = wallet(TAPROOT, 2, 3)[ONE]
    with pytest.raises(ValueError, match="exactly one Taproot tweak"):
        adjust_key(share.key, [TaprootTweak()] * count)
    with pytest.raises(ValueError, match="exactly one Taproot tweak"):
        adjust_public(share.public, [TaprootTweak()] * count)


@pytest.mark.parametrize("size", [1, 31, 33, 64])
def test_a_root_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        TaprootTweak(bytes(size))


@every_root
@either_y
def test_the_key_an_address_is_made_of_is_the_one_that_signs(root: bytes, y: str) -> None:
    share = wallet_of(y)[ONE]
    stored = share.key.group_public_key.encode()
    shown = adjusted_key(TAPROOT, stored, [TaprootTweak(root)])
    assert shown == adjust_key(share.key, [TaprootTweak(root)]).group_public_key.encode()
    assert shown[1:] == output_key(stored[1:], root)
    assert adjusted_key(TAPROOT, stored, default_adjustments(TAPROOT))[1:] == output_key(stored[1:], b"")


def test_a_key_that_is_not_a_point_has_no_address() -> None:
    for key in (b"", bytes(33), b"\x04" + bytes(32), b"\x02" + b"\xff" * 32):
        with pytest.raises(ValueError, match=r"element|point"):
            adjusted_key(TAPROOT, key, [TaprootTweak()])
    for key in (b"", bytes(32), b"\x01" + bytes(31)):
        with pytest.raises(ValueError, match="element"):
            adjusted_key(ED25519, key, [])
