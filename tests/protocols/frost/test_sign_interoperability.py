"""One signer is the Zcash Foundation's code (frost_rs): it takes part in our rounds, and all get one signature."""

import base64
from typing import Any

import pytest

from mpcnode.crypto.ciphersuite import CIPHERSUITES, AnyCiphersuite
from mpcnode.crypto.suites import verify
from mpcnode.protocols.descriptor import context
from mpcnode.protocols.execution import ProtocolMessage
from mpcnode.protocols.frost.broadcast import Promise, digest_of, echo_of
from mpcnode.protocols.frost.packages import PublicKeyPackage
from mpcnode.protocols.frost.sign import HEAD_SIZE, NONCE_LIST, NONCES, SIGNATURE_SHARE
from mpcnode.protocols.frost.signing_packages import SignatureShare
from mpcnode.protocols.signing_descriptor import SigningDescriptor
from mpcnode.types import Identifier, SuiteId
from tests.helpers.lying_signer import fresh_of, pairs, signed_commitments
from tests.helpers.signing import ED25519, PLAIN, Wallet, execution, signing_descriptor, wallet

frost_rs = pytest.importorskip("frost_rs", reason="the Zcash Foundation's code is not installed")

BINDINGS = {ED25519: frost_rs.utility_ed25519, PLAIN: frost_rs.utility_secp256k1}


def text(data: bytes | bytearray) -> str:
    return base64.urlsafe_b64encode(data).decode()


def data_of(encoded: str) -> bytes:
    return base64.urlsafe_b64decode(encoded)


class FrostRsSigner:
    """frost_rs behind our three messages: its nonces, shares and signatures are its own."""

    def __init__(self, descriptor: SigningDescriptor, keys: Wallet, me: Identifier) -> None:
        self.suite: AnyCiphersuite = CIPHERSUITES[descriptor.suite]
        self.me = me
        self._descriptor = descriptor
        self._binding = BINDINGS[descriptor.suite]
        self._key = text(keys[me].key.encode())
        # frost_rs is of a time before the threshold was written.
        public = keys[me].public
        old = PublicKeyPackage(self.suite, public.verifying_shares, public.group_public_key, None)
        self._public = text(old.encode())
        prepared = [self._binding.preprocess(self._key) for _ in descriptor.messages]
        self._nonces = [nonces for nonces, _ in prepared]
        listed = b"".join(data_of(commitments) for _, commitments in prepared)
        self._heard: dict[Identifier, bytes] = {me: signed_commitments(descriptor, me, listed)}
        self._shares: dict[Identifier, bytes] = {}

    def message(self, kind: str) -> ProtocolMessage:
        data = {NONCES: self._commit, NONCE_LIST: self._agree, SIGNATURE_SHARE: self._answer}[kind]()
        return ProtocolMessage(kind, None, data)

    def receive(self, sender: Identifier, message: ProtocolMessage) -> None:
        if message.kind == NONCES:
            self._heard[sender] = message.data
        elif message.kind == SIGNATURE_SHARE:
            self._shares[sender] = message.data

    def _commit(self) -> bytes:
        return self._heard[self.me]

    def _agree(self) -> bytes:
        bound = self._descriptor.hash
        fresh = {i: fresh_of(data) for i, data in self._heard.items()}
        promises = {
            i: Promise(fresh[i], (digest_of(bound, self.suite.id, i, fresh[i], data[HEAD_SIZE:]),), data[64:HEAD_SIZE])
            for i, data in self._heard.items()
        }
        return echo_of(context(bound, fresh), promises)

    def _commitments(self, k: int) -> dict[str, str]:
        return {self._name(i): text(pairs(self._descriptor, data)[k]) for i, data in self._heard.items()}

    def _name(self, i: Identifier) -> str:
        return text(self.suite.encode_identifier(i))

    def _answer(self) -> bytes:
        shares = [
            data_of(self._binding.sign(message, self._commitments(k), self._nonces[k], self._key))
            for k, message in enumerate(self._descriptor.messages)
        ]
        self._shares[self.me] = b"".join(shares)
        return self._shares[self.me]

    def signatures(self) -> tuple[bytes, ...]:
        """What frost_rs makes of everybody's shares."""
        size = SignatureShare.SIZE
        signatures = []
        for k, message in enumerate(self._descriptor.messages):
            shares = {self._name(i): text(data[k * size : (k + 1) * size]) for i, data in self._shares.items()}
            signature = self._binding.aggregate(message, self._commitments(k), shares, self._public)
            assert self._binding.verify(message, self._public, signature)
            signatures.append(data_of(signature))
        return tuple(signatures)


@pytest.mark.parametrize("suite", BINDINGS)
@pytest.mark.parametrize("signers", [(1, 3), (2, 3), (1, 2, 3)], ids=str)
def test_a_quorum_with_frost_rs_signs(suite: SuiteId, signers: tuple[int, ...]) -> None:
    keys = wallet(suite, 2, 3)
    descriptor = signing_descriptor(keys, signers, [b"first", b"second", b""])
    theirs = FrostRsSigner(descriptor, keys, Identifier(3))
    ours: dict[Identifier, Any] = {i: execution(descriptor, keys, i) for i in descriptor.participants if i != theirs.me}
    for kind in (NONCES, NONCE_LIST, SIGNATURE_SHARE):
        said = {i: signer.messages_to_send() for i, signer in ours.items()}
        for i, messages in said.items():
            ((_, message),) = messages
            assert message.kind == kind
            theirs.receive(i, message)
        said[theirs.me] = [(None, theirs.message(kind))]
        for i, signer in ours.items():
            for sender, messages in said.items():
                if sender != i:
                    signer.receive(sender, messages[0][1])
    for signer in ours.values():
        assert signer.finished
        assert signer.result == theirs.signatures()
    for message, signature in zip(descriptor.messages, theirs.signatures(), strict=True):
        assert verify(suite, descriptor.verifying_key, message, signature)
