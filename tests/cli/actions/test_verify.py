"""``mpcnode verify``: published signatures, what is no signature, and what cannot be meant."""

import base64
import csv
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from nacl.bindings import crypto_sign, crypto_sign_seed_keypair

from mpcnode.cli import app as cli
from mpcnode.readings.file import FileContent
from mpcnode.readings.registry import signed_bytes
from mpcnode.wallet.public_keys import public_key_der, public_key_pem
from tests.helpers.signing import ED25519, PLAIN, TAPROOT
from tests.helpers.terminal import mpcnode
from tests.helpers.vectors import VECTORS, load_vectors

RFC8032_KEY = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
RFC8032_SIGNATURE = (
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe2465"
    "5141438e7a100b"
)
"""RFC 8032, section 7.1, test 1: of the empty message."""

BIP340 = VECTORS / "bip340/test-vectors.csv"
BIP340_ROWS = list(csv.DictReader(BIP340.read_text("utf-8").splitlines())) if BIP340.is_file() else []

BASE_X = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"

SEEDED, _SECRET = crypto_sign_seed_keypair(b"\x07" * 32)
KEY = SEEDED.hex()


def signed(content: bytes, reading: str = "text") -> str:
    """What ``mpcnode sign`` makes of a text, a file's hash or bytes."""
    return bytes(crypto_sign(signed_bytes(reading, content), _SECRET)[:64]).hex()


HELLO = ("--pubkey", KEY, "--signature", signed(b"hello"))


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MPCNODE_") and name != "MPCNODE_VECTORS"]:
        monkeypatch.delenv(name)


def verify(*arguments: str) -> int:
    return cli._run(["verify", *arguments])


# --- not valid ---


@pytest.mark.parametrize(
    "arguments",
    [
        (*HELLO, "--message", "hullo"),
        (*HELLO, "--message", "hello\n"),
        (*HELLO, "--message", ""),
        (*HELLO, "--hex", "68656c6c6f00"),
        (*HELLO, "--hex", "68656c6c6f"),
        ("--pubkey", KEY, "--signature", signed(b"hello", "hex"), "--message", "hello"),
        ("--pubkey", KEY, "--signature", "00" * 64, "--message", "hello"),
        ("--pubkey", KEY, "--signature", signed(b"hello")[:-2], "--message", "hello"),
        ("--pubkey", KEY, "--signature", signed(b"hello") + "00", "--message", "hello"),
        ("--pubkey", KEY, "--signature", "", "--message", "hello"),
        ("--pubkey", RFC8032_KEY, "--signature", signed(b"hello"), "--message", "hello"),
    ],
)
def test_a_signature_that_is_not_valid_is_exit_4(arguments: tuple[str, ...], capfd: pytest.CaptureFixture[str]) -> None:
    assert verify(*arguments) == 4
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: the signature is not valid")


def test_a_signature_of_another_length_is_said_to_be_one(capfd: pytest.CaptureFixture[str]) -> None:
    assert verify("--pubkey", KEY, "--signature", "00" * 65, "--message", "") == 4
    assert "it has 65 bytes, not 64" in capfd.readouterr().err
    assert verify("--pubkey", "02" + BASE_X, "--signature", "00" * 63, "--message", "") == 4
    assert "it has 63 bytes, not 64 or 65" in capfd.readouterr().err


def test_json_says_so_too(capfd: pytest.CaptureFixture[str]) -> None:
    assert verify(*HELLO, "--message", "hullo", "--json") == 4
    line = json.loads(capfd.readouterr().out)
    assert line["event"] == "error"
    assert line["error"]["code"] == "signature_invalid"


def test_the_signature_of_one_curve_is_none_of_the_other() -> None:
    rows = load_vectors("zf-frost-secp256k1-tr/vectors.json")
    key, signature = rows["inputs"]["verifying_key_key"], rows["final_output"]["sig"]
    assert verify("--pubkey", key, "--signature", signature, "--hex", rows["inputs"]["message"], "--suite", PLAIN) == 4


# --- what cannot be meant ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*HELLO,), "nothing given to verify"),
        ((*HELLO, "--message", "hello", "--hex", "00"), "--message and --hex given"),
        ((*HELLO, "--hex", "0"), "--hex is not hexadecimal"),
        ((*HELLO, "--message", "hello", "--suite", "rsa"), "'rsa' is not a ciphersuite"),
        ((*HELLO, "--message", "hello", "--suite", "secp256k1"), f"not a key of {PLAIN}"),
        (("--pubkey", "00", "--signature", "00", "--message", ""), "--pubkey has 1 byte\n"),
        (("--pubkey", "", "--signature", "00", "--message", ""), "--pubkey has 0 bytes\n"),
        (("--pubkey", "ff" * 32, "--signature", "00", "--message", ""), "not below the field's prime"),
        (("--pubkey", "05" + "00" * 32, "--signature", "00" * 64, "--message", ""), "no such point"),
        (
            ("--pubkey", "01" + "00" * 31, "--signature", "00" * 64, "--message", "", "--suite", "ed25519"),
            "--pubkey is not",
        ),
        (
            ("--pubkey", KEY, "--signature", "signature", "--message", ""),
            "--signature is not hexadecimal, base 58 or base 64",
        ),
        (("--signature", "00", "--message", ""), "missing option '--pubkey'"),
        (("--pubkey", KEY, "--message", ""), "missing option '--signature'"),
    ],
)
def test_a_question_that_cannot_be_meant_is_exit_2(
    arguments: tuple[str, ...], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert verify(*arguments) == 2
    captured = capfd.readouterr()
    assert message in captured.err
    assert "hint: " in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("option", ["--pubkey", "--signature", "--file"])
def test_a_file_that_is_not_there_is_exit_3(option: str, tmp_path: Path) -> None:
    arguments = {"--pubkey": KEY, "--signature": signed(b""), "--message": ""}
    if option == "--file":
        del arguments["--message"]
    arguments[option] = f"{'@' if option == '--signature' else ''}{tmp_path / 'absent'}"
    assert verify(*(word for pair in arguments.items() for word in pair)) == 3


def test_a_file_that_is_no_public_key_is_exit_2(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "key\x1b[2J").write_text("no key")
    assert verify("--pubkey", str(tmp_path / "key\x1b[2J"), "--signature", "00", "--message", "") == 2
    assert "\x1b" not in capfd.readouterr().err


def test_a_file_of_several_signatures_is_exit_2(tmp_path: Path) -> None:
    (tmp_path / "batch").write_text(f"{signed(b'a')}\n{signed(b'b')}\n")
    assert verify("--pubkey", KEY, "--signature", f"@{tmp_path / 'batch'}", "--message", "a") == 2


# --- valid ---


def test_rfc_8032_is_verified(capfd: pytest.CaptureFixture[str]) -> None:
    assert verify("--pubkey", RFC8032_KEY, "--signature", RFC8032_SIGNATURE, "--hex", "") == 0
    assert capfd.readouterr().out == (
        f"signature   valid\nsuite       {ED25519}\npublic key  {RFC8032_KEY}\nsigned      no bytes\n"
    )


@pytest.mark.parametrize("as_json", [False, True])
def test_the_bytes_that_the_signature_is_over_are_shown(capfd: pytest.CaptureFixture[str], *, as_json: bool) -> None:
    over = signed_bytes("text", b"hello").hex()
    assert verify(*HELLO, "--message", "hello", *(["--json"] if as_json else [])) == 0
    assert (f'"signed":"{over}"' if as_json else f"signed      {over}\n") in capfd.readouterr().out


@pytest.mark.skipif(not BIP340_ROWS, reason="the published vectors are not on this machine: set MPCNODE_VECTORS")
@pytest.mark.parametrize("row", BIP340_ROWS, ids=lambda row: f"{row['index']} {row['comment']}".strip())
@pytest.mark.parametrize("suite", [(), ("--suite", "taproot")])
def test_bip_340_agrees(row: dict[str, str], suite: tuple[str, ...]) -> None:
    arguments = ("--pubkey", row["public key"], "--signature", row["signature"], "--hex", row["message"], *suite)
    if row["verification result"] == "TRUE":
        assert verify(*arguments) == 0
    elif suite and row["comment"].startswith("public key"):
        assert verify(*arguments) == 2
    else:  # without --suite, what is no point of one curve may be one of the other
        assert verify(*arguments) in {2, 4}


@pytest.mark.parametrize(
    ("name", "suite"),
    [
        ("rfc9591/frost-ed25519-sha512.json", ED25519),
        ("rfc9591/frost-secp256k1-sha256.json", PLAIN),
        ("zf-frost-ed25519/vectors.json", ED25519),
        ("zf-frost-secp256k1/vectors.json", PLAIN),
        ("zf-frost-secp256k1-tr/vectors.json", TAPROOT),
    ],
)
def test_the_signatures_of_the_published_vectors_are_valid(
    name: str, suite: str, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = load_vectors(name)
    inputs = rows["inputs"]
    key = inputs.get("verifying_key_key") or inputs["group_public_key"]
    arguments = ("--pubkey", key, "--signature", rows["final_output"]["sig"], "--hex", inputs["message"])
    assert verify(*arguments, "--json") == 0
    answer = {"valid": True, "suite": suite, "public_key": key, "signed": inputs["message"]}
    assert json.loads(capfd.readouterr().out) == answer


def test_a_file_is_verified_by_its_hash(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 3_000_000)
    digest = hashlib.sha256(b"x" * 3_000_000).digest()
    content = FileContent(digest, 1, "any name at all").encode()
    of_hash = ("--pubkey", KEY, "--signature", signed(content, "file"), "--file", str(tmp_path / "file"))
    assert verify(*of_hash) == 0
    for signature in (signed(b"x" * 3_000_000), signed(b"x" * 3_000_000, "hex"), signed(digest, "hex")):
        assert verify("--pubkey", KEY, "--signature", signature, "--file", str(tmp_path / "file")) == 4


@pytest.mark.parametrize("at", ["", "@"])
@pytest.mark.parametrize("pem", [True, False])
def test_the_key_may_stand_in_a_file(at: str, pem: bool, tmp_path: Path) -> None:  # noqa: FBT001 -- pytest gives it
    path = tmp_path / "key"
    path.write_bytes(public_key_pem(ED25519, SEEDED).encode() if pem else public_key_der(ED25519, SEEDED))
    assert verify("--pubkey", f"{at}{path}", "--signature", signed(b"hello"), "--message", "hello") == 0


def test_a_key_of_secp256k1_in_a_file_is_for_both_of_its_suites(tmp_path: Path) -> None:
    for name in ("zf-frost-secp256k1-tr/vectors.json", "zf-frost-secp256k1/vectors.json"):
        rows = load_vectors(name)
        (tmp_path / "key.pem").write_text(public_key_pem(PLAIN, bytes.fromhex(rows["inputs"]["verifying_key_key"])))
        arguments = ("--signature", rows["final_output"]["sig"], "--hex", rows["inputs"]["message"])
        assert verify("--pubkey", str(tmp_path / "key.pem"), *arguments) == 0


@pytest.mark.parametrize("form", ["{}", "{}\n", "  {}\r\n"])
def test_the_signature_may_stand_in_a_file_as_sign_writes_it(form: str, tmp_path: Path) -> None:
    (tmp_path / "sig").write_text(form.format(signed(b"hello")))
    assert verify("--pubkey", KEY, "--signature", f"@{tmp_path / 'sig'}", "--message", "hello") == 0


def test_the_signature_may_stand_in_a_file_as_bytes(tmp_path: Path) -> None:
    (tmp_path / "sig").write_bytes(bytes.fromhex(signed(b"hello")))
    assert verify("--pubkey", KEY, "--signature", f"@{tmp_path / 'sig'}", "--message", "hello") == 0


@pytest.mark.process
def test_it_needs_no_home_and_makes_none(tmp_path: Path) -> None:
    run = mpcnode("verify", *HELLO, "--message", "hello")
    assert (run.returncode, run.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.process
def test_bytes_that_are_not_text_are_for_hex() -> None:
    raw = b"\xff\xfe"
    run = mpcnode("verify", "--pubkey", KEY, "--signature", signed(raw, "hex"), "--message", os.fsdecode(raw))
    assert run.returncode == 2
    assert "hint: give bytes that are not text with --hex" in run.stderr
    assert mpcnode("verify", "--pubkey", KEY, "--signature", signed(raw, "hex"), "--hex", raw.hex()).returncode == 0


# --- keys and signatures as people have them ---

B58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def base58(data: bytes) -> str:
    number, digits = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        digits = B58[digit] + digits
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + digits


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def colons(data: bytes) -> str:
    return data.hex(":")


def ssh(key: bytes) -> str:
    blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + key
    return f"ssh-ed25519 {base64_of(blob)} ana@laptop"


FORMS = {"0x": lambda data: "0x" + data.hex(), "upper": lambda data: data.hex().upper(), "colons": colons}
TEXTS = FORMS | {"base 58": base58, "base 64": base64_of}


@pytest.mark.parametrize("form", [*TEXTS, "ssh"])
def test_a_key_is_taken_as_people_have_it(form: str, tmp_path: Path) -> None:
    key = ssh(bytes.fromhex(KEY)) if form == "ssh" else TEXTS[form](bytes.fromhex(KEY))
    rest = ("--signature", signed(b"hello"), "--message", "hello")
    assert verify("--pubkey", key, *rest) == 0
    (tmp_path / "key.pub").write_text(key + "\n")
    assert verify("--pubkey", str(tmp_path / "key.pub"), *rest) == 0
    assert verify("--pubkey", f"@{tmp_path / 'key.pub'}", *rest) == 0


@pytest.mark.parametrize("form", TEXTS)
def test_a_signature_is_taken_as_people_have_it(form: str, tmp_path: Path) -> None:
    signature = TEXTS[form](bytes.fromhex(signed(b"hello")))
    assert verify("--pubkey", KEY, "--signature", signature, "--message", "hello") == 0
    (tmp_path / "sig").write_text(signature + "\n")
    assert verify("--pubkey", KEY, "--signature", f"@{tmp_path / 'sig'}", "--message", "hello") == 0


def test_raw_files_are_taken(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(bytes.fromhex(KEY))
    (tmp_path / "sig").write_bytes(bytes.fromhex(signed(b"hello")))
    raw = ("--pubkey", str(tmp_path / "key"), "--signature", f"@{tmp_path / 'sig'}")
    assert verify(*raw, "--message", "hello") == 0
    assert verify(*raw, "--message", "hullo") == 4


@pytest.mark.parametrize("option", ["--pubkey", "--signature", "--message", "--file"])
def test_each_of_them_may_come_from_standard_input(option: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"hello")
    given = {"--pubkey": KEY, "--signature": signed(b"hello"), "--message": "hello"}
    data = given.get(option, "hello")
    if option == "--file":
        del given["--message"]
        given["--signature"] = signed(FileContent(hashlib.sha256(b"hello").digest(), 5, "x").encode(), "file")
    command = [word for pair in (given | {option: "-"}).items() for word in pair]
    done = subprocess.run(
        [sys.executable, "-m", "mpcnode", "verify", *command], input=data.encode(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_standard_input_is_one_thing_only(capfd: pytest.CaptureFixture[str]) -> None:
    assert verify("--pubkey", "-", "--signature", "-", "--message", "hello") == 2
    assert "give - once" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "hint"),
    [
        (("--pubkey", KEY, "--signature", "00" * 65), 4, "sighash type"),
        (("--pubkey", KEY, "--signature", "30" + "00" * 69), 4, "ECDSA"),
        (("--pubkey", "bc1p" + "q" * 58, "--signature", "00" * 64), 2, "mpcnode wallets show"),
        (("--pubkey", "ssh-rsa AAAA x", "--signature", "00" * 64), 2, "ssh-ed25519"),
        (("--pubkey", "ssh-ed25519 AAAA x", "--signature", "00" * 64), 2, "whole line"),
        (("--pubkey", "zz", "--signature", "00" * 64), 2, "a key is hexadecimal"),
    ],
)
def test_what_cannot_be_taken_is_said_with_what_it_is(
    arguments: tuple[str, ...], code: int, hint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert verify(*arguments, "--message", "") == code
    assert hint in capfd.readouterr().err.partition("hint: ")[2]


def test_files_that_are_something_else_are_said_to_be(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sig").write_text("-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n")
    assert verify("--pubkey", KEY, "--signature", f"@{tmp_path / 'sig'}", "--message", "") == 2
    assert "ssh-keygen -Y verify" in capfd.readouterr().err
    (tmp_path / "key").write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    assert verify("--pubkey", str(tmp_path / "key"), "--signature", "00" * 64, "--message", "") == 2
    assert "is a private key" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("key", "rule"),
    [
        ("01" + "00" * 31, "small order"),
        ("00" * 32, "small order"),
        ("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", "small order"),
        ("cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d", "mixed order"),
        ("02" + "00" * 31, "no point of the curve"),
        ("ed" + "ff" * 30 + "7f", "not below the field's prime"),
        ("01" + "00" * 30 + "80", "other encoding"),
    ],
)
def test_a_key_that_is_refused_is_refused_by_a_rule_that_is_named(
    key: str, rule: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert verify("--pubkey", key, "--signature", "00" * 64, "--message", "", "--suite", "ed25519") == 2
    assert rule in capfd.readouterr().err


def test_a_good_key_has_no_rule_against_it() -> None:
    from mpcnode.crypto.ed25519_rules import why_refused

    assert why_refused(bytes.fromhex(KEY)) is None
    assert why_refused(bytes.fromhex(RFC8032_KEY)) is None
