"""Vectors of PROTOCOL, FROST encodings."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from mpcnode.crypto.adjustment import TaprootTweak, adjusted_key
from mpcnode.crypto.ciphersuite import CIPHERSUITES, AnyCiphersuite, Signature
from mpcnode.errors import DecodeError
from mpcnode.protocols.frost import pedpop
from mpcnode.protocols.frost.encoding import header, varint
from mpcnode.protocols.frost.packages import KeyPackage, PublicKeyPackage, RefreshPackage, Round1Package, Round2Package
from mpcnode.protocols.frost.signing_packages import SignatureShare, SigningCommitments
from mpcnode.types import Identifier, SuiteId
from tests.vectors.keygen import wallet
from tests.vectors.made import Drawn, Json

TAPROOT = SuiteId("FROST-secp256k1-SHA256-TR-v1")


def make() -> Json:
    return {
        "suites": [_suite(suite) for suite in CIPHERSUITES.values()],
        "varints": [{"number": n, "bytes": varint(n)} for n in (0, 2, 64, 127, 128, 300, 65_535)],
        "packages": [_packages(suite) for suite in CIPHERSUITES.values()],
        "taproot": _tweaks(),
    }


def _suite(suite: AnyCiphersuite) -> Json:
    message = b"abc"
    return {
        "suite": suite.id,
        "header": header(suite),
        "generator": suite.group.generator.encode(),
        "identifiers": [{"identifier": i, "bytes": suite.encode_identifier(Identifier(i))} for i in (1, 2, 64)],
        "hashes_of": message,
        "H1": suite.H1(message).encode(),
        "H2": suite.H2(message).encode(),
        "H3": suite.H3(message).encode(),
        "H4": suite.H4(message),
        "H5": suite.H5(message),
        "HDKG": suite.HDKG(message).encode(),
    }


def _packages(suite: AnyCiphersuite) -> Json:
    rng = Drawn(f"packages, {suite.id}")
    me, group = Identifier(2), suite.group
    polynomial, package = pedpop.commit(suite, me, 2, rng)
    share, hiding, binding = polynomial.evaluate(Identifier(1)), group.random_scalar(rng), group.random_scalar(rng)
    first = package.encode()
    refresh = RefreshPackage(suite, package.commitment[1:])
    commitments = SigningCommitments(suite, group.scalar_base_mult(hiding), group.scalar_base_mult(binding))
    verifying = group.scalar_base_mult(share)
    key = KeyPackage(suite, Identifier(1), share.copy(), verifying, package.commitment[0], 2)
    public = PublicKeyPackage(suite, {Identifier(1): verifying, me: package.commitment[1]}, package.commitment[0], 2)
    return {
        "suite": suite.id,
        "drawn": rng.bytes,
        "round1": {"identifier": me, "threshold": 2, "package": first},
        "refresh": {"threshold": 2, "package": refresh.encode()},
        "round2": {"to": 1, "package": bytes(Round2Package(suite, share).encode())},
        "signing_commitments": commitments.encode(),
        "signature_share": SignatureShare(suite, hiding).encode(),
        "key_package": bytes(key.encode()),
        "public_key_package": public.encode(),
        "malformed_round1": [
            {"why": why, "package": data} for why, data in _malformed(suite, first) if _refused(suite, data)
        ],
        "wrong_proof": _wrong_proof(suite, me, package),
    }


def _malformed(suite: AnyCiphersuite, first: bytes) -> list[tuple[str, bytes]]:
    size = suite.group.element_size
    other = next(one for one in CIPHERSUITES.values() if one is not suite)
    order = suite.group.order.to_bytes(32, "little" if size == 32 else "big")
    one, rest = first[6 : 6 + size], first[6 + size :]
    return [
        ("version 1", b"\x01" + first[1:]),
        ("another suite", header(other) + first[5:]),
        ("three elements", first[:5] + b"\x03" + one + first[6:]),
        ("one element", first[:5] + b"\x01" + rest),
        ("a number with padding", first[:5] + b"\x82\x00" + first[6:]),
        ("cut", first[:-1]),
        ("a byte more", first + b"\x00"),
        ("an element of zeros", first[:6] + bytes(size) + rest),
        ("a scalar that is the order", first[:-32] + order),
        ("a proof of another size", first[: -suite.signature_size - 1] + b"\x10" + first[-suite.signature_size :]),
    ]


def _refused(suite: AnyCiphersuite, data: bytes) -> bool:
    with suppress(DecodeError):
        Round1Package.decode(suite, 2, data)
        raise AssertionError(data.hex())
    return True


def _wrong_proof(suite: AnyCiphersuite, me: Identifier, package: Round1Package) -> bytes:
    proof: Signature[Any, Any] = package.proof_of_knowledge
    wrong = Round1Package(suite, package.commitment, Signature(proof.R, proof.z + suite.group.scalar(1)))
    assert pedpop.verify_proof_of_knowledge(me, package)
    assert not pedpop.verify_proof_of_knowledge(me, wrong)
    return wrong.encode()


def _tweaks() -> list[Json]:
    even, odd = (_key(lambda first, w=wanted: first == w) for wanted in (2, 3))  # type: ignore[misc]
    keys = [wallet(2, 3).statement.keys(TAPROOT).group_public_key, even, odd]
    return [
        {
            "group_public_key": key,
            "merkle_root": root,
            "verifying_key": adjusted_key(TAPROOT, key, (TaprootTweak(root),)),
        }
        for key in keys
        for root in (b"", b"\x05" * 32)
    ]


def _key(wanted: Callable[[int], bool]) -> bytes:
    group = CIPHERSUITES[TAPROOT].group
    keys = (group.scalar_base_mult(group.scalar(k)).encode() for k in range(2, 100))
    return bytes(next(key for key in keys if wanted(key[0])))
