from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.errors import DecodeError
from mpcnode.protocols.certificate import READY_CONTEXT, Certificate, decode_ready, encode_ready
from mpcnode.types import IdentityKey, PeerId
from tests.helpers.simulate import signer

TRANSCRIPT = bytes(range(32))
NAMES = [PeerId(name) for name in ("ana", "ben", "cleo")]
ROSTER = {name: signer(name).public_key for name in NAMES}
SIGNED = {name: signer(name).sign(READY_CONTEXT, TRANSCRIPT) for name in NAMES}
FULL = Certificate(TRANSCRIPT, SIGNED)


def only(*names: str) -> Certificate:
    return Certificate(TRANSCRIPT, {PeerId(name): SIGNED[PeerId(name)] for name in names})


def test_everybodys_signatures_are_a_certificate() -> None:
    assert FULL.verify(ROSTER)
    assert FULL.signers(ROSTER) == set(NAMES)


def test_one_signature_too_few_certifies_nothing() -> None:
    assert not only("ana", "ben").verify(ROSTER)
    assert only("ana", "ben").signers(ROSTER) == {"ana", "ben"}


def test_an_empty_roster_is_not_certified() -> None:
    assert not Certificate(TRANSCRIPT, {}).verify({})


def test_a_strangers_signature_makes_it_none() -> None:
    stranger = PeerId("zed")
    signed = {**SIGNED, stranger: signer("zed").sign(READY_CONTEXT, TRANSCRIPT)}
    assert not Certificate(TRANSCRIPT, signed).verify(ROSTER)
    assert Certificate(TRANSCRIPT, signed).signers(ROSTER) == set(NAMES)


def test_a_signature_under_another_name_purpose_or_transcript_does_not_count() -> None:
    wrong = [SIGNED[NAMES[1]], signer("ana").sign("register", TRANSCRIPT), signer("ana").sign(READY_CONTEXT, bytes(32))]
    for signature in wrong:
        assert not replace(FULL, signatures={**SIGNED, NAMES[0]: signature}).verify(ROSTER)


def test_another_key_in_the_roster_makes_it_none() -> None:
    assert not FULL.verify({**ROSTER, NAMES[2]: IdentityKey(bytes(32))})


def test_partial_sets_grow_together() -> None:
    assert only("ana").merge(only("cleo"), ROSTER) == only("cleo", "ana")
    assert only("ana", "ben").merge(only("ben", "cleo"), ROSTER) == FULL


def test_an_invalid_signature_is_never_merged_over_a_valid_one() -> None:
    forged = Certificate(TRANSCRIPT, {NAMES[0]: bytes(64), NAMES[1]: SIGNED[NAMES[1]]})
    assert only("ana").merge(forged, ROSTER) == only("ana", "ben")
    assert forged.merge(only("ana"), ROSTER) == only("ana", "ben")


def test_signatures_over_another_transcript_are_not_merged() -> None:
    with pytest.raises(ValueError, match="different transcripts"):
        FULL.merge(Certificate(bytes(32), {}), ROSTER)


@pytest.mark.parametrize("names", [(), ("ana",), ("cleo", "ana", "ben")])
def test_its_bytes_come_back(names: tuple[str, ...]) -> None:
    certificate = only(*names)
    assert Certificate.decode(certificate.encode()) == certificate


def test_its_bytes_are_fixed_for_good() -> None:
    assert only("ben").encode() == TRANSCRIPT + b"\x01\x03ben" + SIGNED[PeerId("ben")]


def test_it_is_refused_truncated_at_every_byte() -> None:
    data = FULL.encode()
    for size in range(len(data)):
        with pytest.raises(DecodeError):
            Certificate.decode(data[:size])


A = b"\x03ana" + bytes(64)
B = b"\x03ben" + bytes(64)


@pytest.mark.parametrize(
    "signatures",
    [b"\x02" + B + A, b"\x02" + A + A, b"\x01" + A + b"\x00", b"\x01\x03a/a" + bytes(64), b"\x01\x00" + bytes(64)],
    ids=["unsorted", "twice", "trailing", "not a name", "no name"],
)
def test_other_encodings_are_refused(signatures: bytes) -> None:
    with pytest.raises(DecodeError):
        Certificate.decode(TRANSCRIPT + signatures)


def test_more_than_64_signatures_are_refused() -> None:
    many = b"".join(b"\x02" + f"{i:02}".encode() + bytes(64) for i in range(65))
    with pytest.raises(DecodeError, match="not a certificate"):
        Certificate.decode(TRANSCRIPT + b"\x41" + many)


@settings(max_examples=100)
@given(st.binary(max_size=120))
def test_bytes_are_a_certificate_or_a_decode_error(data: bytes) -> None:
    try:
        certificate = Certificate.decode(data)
    except DecodeError:
        return
    assert certificate.encode() == data


def test_a_certificate_of_wrong_sizes_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Certificate(bytes(31), {})
    with pytest.raises(ValueError, match="64 bytes"):
        Certificate(TRANSCRIPT, {NAMES[0]: bytes(63)})


def test_a_ready_message_comes_back_and_has_one_length() -> None:
    assert decode_ready(encode_ready(TRANSCRIPT, bytes(64))) == (TRANSCRIPT, bytes(64))
    for size in (0, 95, 97):
        with pytest.raises(DecodeError, match="96 bytes"):
            decode_ready(bytes(size))
