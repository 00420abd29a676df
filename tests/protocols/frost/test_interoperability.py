"""One participant is the Zcash Foundation's code (frost_rs): it accepts what we send, and ends with the same key."""

import base64
import json
from hashlib import sha256
from hmac import digest as hmac

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nacl.bindings import crypto_sign_open

from mpcnode.crypto.ciphersuite import CIPHERSUITES, AnyCiphersuite
from mpcnode.crypto.group import Element, Scalar
from mpcnode.protocols.frost import pedpop
from mpcnode.protocols.frost.packages import KeyPackage, PublicKeyPackage, Round1Package
from mpcnode.types import Identifier, SuiteId
from tests.helpers.simulate import descriptor, seeded, simulate_keygen, simulate_refresh

frost_rs = pytest.importorskip("frost_rs", reason="the Zcash Foundation's code is not installed")

THEIRS = Identifier(3)
OURS = [Identifier(i) for i in (1, 2)]

BINDINGS = {
    "FROST-ED25519-SHA512-v1": frost_rs.utility_ed25519,
    "FROST-secp256k1-SHA256-v1": frost_rs.utility_secp256k1,
}

every_binding = pytest.mark.parametrize("suite", [CIPHERSUITES[SuiteId(suite)] for suite in BINDINGS], ids=str)


def text(data: bytes | bytearray) -> str:
    return base64.urlsafe_b64encode(data).decode()


def data_of(text: str) -> bytes:
    return base64.urlsafe_b64decode(text)


def name(suite: AnyCiphersuite, i: Identifier) -> str:
    return text(suite.encode_identifier(i))


class Envelope:
    """How frost_rs wraps a share: AES-256-GCM under HKDF-SHA-256 of the two dealers' Diffie-Hellman point."""

    def __init__(self, suite: AnyCiphersuite, secret: Scalar, other: Element) -> None:
        self._suite = suite
        point: Element = secret * other
        prk = hmac(b"FROST_RS", point.encode(), sha256)
        self._cipher = AESGCM(hmac(prk, b"\x01", sha256))

    def seal(self, share: Scalar) -> str:
        nonce = bytes(12)
        return text(nonce + self._cipher.encrypt(nonce, json.dumps(share.encode().hex()).encode(), None))

    def open(self, sealed: str) -> Scalar:
        data = data_of(sealed)
        share: Scalar = self._suite.group.decode_scalar(
            bytes.fromhex(json.loads(self._cipher.decrypt(data[:12], data[12:], None)))
        )
        return share


def run_with_frost_rs(suite: AnyCiphersuite) -> tuple[dict[Identifier, pedpop.KeyShare], bytes, bytes]:
    """A 2-of-3 of two of ours and one of theirs; gives our shares, and their key and public key package."""
    binding = BINDINGS[suite.id]
    secret_1, public_1 = binding.round1(name(suite, THEIRS), 2, 3)
    theirs = Round1Package.decode(suite, 2, data_of(public_1))
    assert text(theirs.encode()) == public_1
    assert pedpop.verify_proof_of_knowledge(THEIRS, theirs)
    dealt = {i: pedpop.commit(suite, i, 2, seeded("ours", i)) for i in OURS}
    packages = {**{i: package for i, (_, package) in dealt.items()}, THEIRS: theirs}
    sent_1 = {name(suite, i): text(packages[i].encode()) for i in OURS}
    secret_2, sealed = binding.round2(secret_1, sent_1)
    envelopes = {i: Envelope(suite, dealt[i][0].constant_term, theirs.commitment[0]) for i in OURS}
    done = {}
    for me in OURS:
        shares = {i: f.evaluate(me) for i, (f, _) in dealt.items()}
        shares[THEIRS] = envelopes[me].open(sealed[name(suite, me)])
        done[me] = pedpop.finish(suite, me, packages, shares)
    sent_2 = {name(suite, i): envelopes[i].seal(dealt[i][0].evaluate(THEIRS)) for i in OURS}
    key, public = binding.round3(secret_2, sent_1, sent_2)
    return done, data_of(key), data_of(public)


@every_binding
def test_frost_rs_ends_with_the_same_key_in_the_same_bytes(suite: AnyCiphersuite) -> None:
    done, key, public = run_with_frost_rs(suite)
    theirs = KeyPackage.decode(suite, key)
    assert bytes(theirs.encode()) == key
    assert theirs.identifier == THEIRS
    assert theirs.threshold == 2
    for share in done.values():
        assert theirs.group_public_key == share.key.group_public_key
        assert theirs.verifying_share == share.public.verifying_shares[THEIRS]
        assert PublicKeyPackage.decode(suite, public).verifying_shares == share.public.verifying_shares
        # frost_rs is of a time before the threshold was written.
        old = PublicKeyPackage(suite, share.public.verifying_shares, share.public.group_public_key, None)
        assert old.encode() == public


def sign(suite: AnyCiphersuite, keys: dict[Identifier, bytes], public: bytes, message: bytes) -> bytes:
    """Have frost_rs sign with key packages of either side."""
    binding = BINDINGS[suite.id]
    packages = {name(suite, i): text(key) for i, key in keys.items()}
    prepared = {i: binding.preprocess(key) for i, key in packages.items()}
    commitments = {i: commitment for i, (_, commitment) in prepared.items()}
    shares = {i: binding.sign(message, commitments, prepared[i][0], key) for i, key in packages.items()}
    signature = binding.aggregate(message, commitments, shares, text(public))
    assert binding.verify(message, text(public), signature)
    return data_of(signature)


@every_binding
@pytest.mark.parametrize("signers", [(1, 2), (1, 3), (2, 3)], ids=str)
def test_any_two_of_a_mixed_wallet_sign(suite: AnyCiphersuite, signers: tuple[int, int]) -> None:
    done, key, public = run_with_frost_rs(suite)
    keys = {**{i: bytes(share.key.encode()) for i, share in done.items()}, THEIRS: key}
    signature = sign(suite, {Identifier(i): keys[Identifier(i)] for i in signers}, public, b"hello")
    if suite.id == "FROST-ED25519-SHA512-v1":
        group_key = done[OURS[0]].key.group_public_key.encode()
        assert crypto_sign_open(signature + b"hello", group_key) == b"hello"


@every_binding
def test_frost_rs_signs_with_a_wallet_of_ours(suite: AnyCiphersuite) -> None:
    simulation = simulate_keygen(descriptor(3, 4, suites=(suite.id,)))
    simulation.run()
    shares = {i: stored.shares[suite.id] for i, stored in simulation.stored.items()}
    keys = {i: bytes(shares[i].key.encode()) for i in (Identifier(2), Identifier(3), Identifier(4))}
    sign(suite, keys, shares[THEIRS].public.encode(), b"hello")


@every_binding
def test_any_two_refreshed_shares_of_ours_sign_for_the_old_key_in_frost_rs(suite: AnyCiphersuite) -> None:
    # frost_rs has no refresh of its own; what it makes of the new shares says whether they are shares of the same key.
    simulation = simulate_keygen(descriptor(2, 3, suites=(suite.id,)))
    simulation.run()
    again = simulate_refresh(simulation.stored)
    again.run()
    old, new = (
        {i: one.shares[suite.id] for i, one in wallets.items()} for wallets in (simulation.stored, again.stored)
    )
    public = new[THEIRS].public
    before = PublicKeyPackage(suite, public.verifying_shares, old[THEIRS].public.group_public_key, None).encode()
    keys = {i: bytes(share.key.encode()) for i, share in new.items()}
    for pair in ((1, 2), (1, 3), (2, 3)):
        sign(suite, {Identifier(i): keys[Identifier(i)] for i in pair}, before, b"hello")
