"""``mpcnode wallets show``: nothing to pay to before the passphrase vouched for it."""

import hashlib
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mpcnode.cli import app as cli
from mpcnode.keystore.format import KdfPolicy, canonical
from mpcnode.keystore.keyring import Keyring
from mpcnode.keystore.store import Home
from mpcnode.types import PeerId, WalletId
from mpcnode.wallet.addresses import BitcoinNetwork, solana_address, taproot_address
from mpcnode.wallet.public_keys import public_key_der, public_key_pem
from mpcnode.wallet.wallet import Wallet
from tests.helpers.filesystem import QuickFileSystem
from tests.helpers.signing import ED25519, TAPROOT
from tests.helpers.terminal import terminal
from tests.helpers.wallets import make_wallet, secret_of

pytestmark = pytest.mark.usefixtures("alone")

PASSPHRASE = b"correct horse"


@pytest.fixture(autouse=True)
def _no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mpcnode.cli.actions.wallets.has_terminal", lambda: False)


@pytest.fixture
def active() -> Wallet:
    made = make_wallet()
    return made.wallet.merge(made.certificate)


@pytest.fixture
def home(tmp_path: Path, active: Wallet) -> Path:
    """A home with the active wallet ``treasury`` and the pending one ``draft``."""
    home = Home.open(tmp_path / "home", create=True, files=QuickFileSystem())
    made = make_wallet(wallet_id=WalletId(b"\xef" * 16))
    draft = replace(made.wallet, name="draft")
    with Keyring(bytearray(PASSPHRASE)) as keyring:
        home.create_identity(keyring, KdfPolicy(8 << 20, 1))
        for wallet, secret in ((active, make_wallet().secret), (draft, made.secret)):
            home.save_wallet(wallet.wallet_id, wallet.peer_id, wallet.to_header(), secret.encode(), keyring)
    return home.path


@pytest.fixture
def secret(tmp_path: Path) -> tuple[str, str]:
    path = tmp_path / "passphrase"
    path.write_bytes(PASSPHRASE + b"\n")
    path.chmod(0o600)
    return ("--passphrase-file", str(path))


def show(home: Path, *arguments: str) -> int:
    return cli._run(["wallets", "show", *arguments, "--home", str(home)])


def key_of(wallet: Wallet, suite: str) -> bytes:
    return {keys.suite: keys.group_public_key for keys in wallet.suites}[suite]  # type: ignore[index]


def forge(home: Path, old: str, new: str) -> None:
    """What somebody who can write to the home can do without the passphrase: a file whose checksum fits."""
    (path,) = (home / "wallets" / ("ab" * 16)).glob("*.json")
    write(path, json.loads(path.read_bytes().replace(old.encode(), new.encode())))


def forge_header(home: Path, wallet: Wallet) -> None:
    """The same, with the whole public part of another wallet: its own participants certified it."""
    (path,) = (home / "wallets" / ("ab" * 16)).glob("*.json")
    write(path, json.loads(path.read_bytes()) | {"header": wallet.to_header()})


def write(path: Path, fields: dict[str, Any]) -> None:
    fields.pop("checksum")
    fields["checksum"] = hashlib.sha256(canonical(fields)).hexdigest()
    path.write_bytes(canonical(fields))


# --- no address ---


def test_without_a_passphrase_the_rest_is_shown_and_how_to_get_addresses(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert show(home, "treasury") == 0
    captured = capfd.readouterr()
    assert "wallet        treasury" in captured.out
    assert "address" not in captured.out
    assert "only the passphrase vouches" in captured.err
    assert "--passphrase-file" in captured.err
    assert show(home, "treasury", "--json") == 0
    found = json.loads(capfd.readouterr().out)
    assert "addresses" not in found
    assert "opened" not in found


def test_no_addresses_means_none(home: Path, secret: tuple[str, str], capfd: pytest.CaptureFixture[str]) -> None:
    assert show(home, "treasury", "--no-addresses", *secret) == 0
    captured = capfd.readouterr()
    assert "address" not in captured.out
    assert "hint" not in captured.err


def test_a_wrong_passphrase_shows_nothing(home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "wrong").write_text("wrong")
    assert show(home, "treasury", "--passphrase-file", str(tmp_path / "wrong")) == 4
    assert capfd.readouterr().out == ""


def test_a_forged_header_gives_no_address(
    home: Path, secret: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    false = make_wallet(4).active
    mine = key_of(false, ED25519).hex()
    forge_header(home, false)
    assert show(home, "treasury") == 0  # the checksum fits: this is why no address is shown here
    assert mine in capfd.readouterr().out
    for form in ((), ("--pem",), ("--json",)):
        assert show(home, "treasury", *form, *secret) == 3
        captured = capfd.readouterr()
        assert mine not in captured.out
        assert solana_address(bytes.fromhex(mine)) not in captured.out


def test_one_false_key_does_not_fit_its_certificate(
    home: Path, active: Wallet, capfd: pytest.CaptureFixture[str]
) -> None:
    forge(home, key_of(active, ED25519).hex(), key_of(make_wallet(4).wallet, ED25519).hex())
    assert show(home, "treasury") == 3
    assert capfd.readouterr().out == ""


def test_a_pending_wallet_has_no_address_and_no_key(
    home: Path, secret: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert show(home, "draft", *secret) == 0
    captured = capfd.readouterr()
    assert "address" not in captured.out
    assert "public key" not in captured.out
    assert "pending wallet has no addresses" in captured.err
    assert show(home, "draft", "--pem", *secret) == 10
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("arguments", [(), ("--pem",), ("--json",)])
def test_there_is_no_ethereum_address_and_the_error_says_why(
    arguments: tuple[str, ...], home: Path, secret: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert show(home, "treasury", "--ethereum", *arguments, *secret) == 2
    captured = capfd.readouterr()
    assert "Ethereum verifies ECDSA signatures" in captured.err
    assert "0x" not in captured.out + captured.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--pem", "--der"), "two forms"),
        (("--pem", "--json"), "not JSON"),
        (("--suite", "ed25519"), "--suite says which"),
        (("--der",), "has several"),
        (("--pem", "--suite", "rsa"), "has no key of 'rsa'"),
        (("--pem", "--suite", "secp256k1"), "has no key of 'secp256k1'"),
        (("--network", "liquid"), "--network"),
        (("--passphrase-fd", "0"), "two passphrases"),
    ],
)
def test_options_that_cannot_be_meant_are_exit_2(
    arguments: tuple[str, ...], message: str, home: Path, secret: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert show(home, "treasury", *arguments, *secret) == 2
    captured = capfd.readouterr()
    assert message in captured.err
    assert captured.out == "" or "--json" in arguments


def test_a_key_without_a_passphrase_names_the_option(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert show(home, "treasury", "--pem") == 2
    assert "--passphrase-file" in capfd.readouterr().err


def test_der_does_not_go_to_a_terminal(
    home: Path, secret: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert show(home, "treasury", "--der", "--suite", "ed25519", *secret) == 2
    assert "> key.der" in capfd.readouterr().err


@pytest.mark.parametrize("name", ["treasure", "../x", "\x1b[2J", "ab"])
def test_a_wallet_that_is_not_there_is_exit_3(name: str, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert show(home, name) == 3
    assert "\x1b" not in capfd.readouterr().err


def test_two_wallets_of_one_name_are_told_apart_by_their_ids(
    home: Path, secret: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    made = make_wallet(wallet_id=WalletId(b"\xcd" * 16))
    twin = made.active
    with Keyring(bytearray(PASSPHRASE)) as keyring:
        Home.open(home, create=False, files=QuickFileSystem()).save_wallet(
            twin.wallet_id, twin.peer_id, twin.to_header(), made.secret.encode(), keyring
        )
    assert show(home, "treasury", *secret) == 2
    captured = capfd.readouterr()
    assert captured.out == ""
    assert twin.wallet_id.hex() in captured.err
    assert show(home, "cdcd", *secret) == 0


def damage(home: Path, wallet_id: str) -> Path:
    (path,) = (home / "wallets" / wallet_id).glob("*.json")
    os.truncate(path, path.stat().st_size // 2)
    return path


@pytest.mark.parametrize("wanted", ["treasury", "abab", "no such name"])
def test_a_wallet_that_is_not_found_may_be_the_one_that_cannot_be_read(
    wanted: str, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = damage(home, "ab" * 16)
    assert show(home, wanted, "--json") == 3
    captured = capfd.readouterr()
    assert json.loads(captured.out)["error"]["code"] == "unreadable"
    assert f"no wallet {wanted!r} among those that can be read" in captured.err
    assert str(path) in captured.err
    assert show(home, "draft") == 0  # one bad file is in nobody's way


def test_of_several_unreadable_wallets_the_one_whose_id_was_asked_for_is_named(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    damage(home, "ab" * 16)
    path = damage(home, "ef" * 16)
    assert show(home, "efef") == 3
    assert str(path) in capfd.readouterr().err


def test_a_wallet_of_a_newer_version_is_exit_9_and_not_absent(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    forge(home, '"version": 1', '"version": 99')
    assert show(home, "treasury") == 9
    assert "no wallet 'treasury' among those that can be read" in capfd.readouterr().err


# --- a refresh that is not complete ---


def test_a_pending_epoch_beside_the_active_one_is_shown_with_those_that_are_missing(
    home: Path, secret: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    line = "epoch 1 is pending: no word yet from ben, cleo"
    sharing = make_wallet().sharing
    later = sharing.refreshed()
    opened = Home.open(home, create=False, files=QuickFileSystem())
    before = make_wallet().active
    with Keyring(bytearray(PASSPHRASE)) as keyring:
        opened.save_wallet(
            before.wallet_id,
            before.peer_id,
            before.with_pending(later.statement, later.signed(PeerId("ana"))).to_header(),
            secret_of(sharing, later).encode(),
            keyring,
            replaces=before.to_header(),
        )
    assert show(home, "treasury", *secret) == 0
    shown = capfd.readouterr().out
    assert f"note          {line}\n" in shown
    assert "state         active\n" in shown
    assert f"epoch id      {sharing.epoch_id.hex()}\n" in shown
    assert "certificate   valid, signed by all 3\n" in shown
    assert "address" in shown  # the keys are the same whatever becomes of it
    assert show(home, "treasury", "--json") == 0
    found = json.loads(capfd.readouterr().out)
    assert (found["state"], found["epoch"], found["pending"], found["missing"]) == ("active", 0, 1, ["ben", "cleo"])
    assert cli._run(["wallets", "list", "--home", str(home)]) == 0
    treasury, under_treasury, draft, under_draft = capfd.readouterr().out.splitlines()
    assert (treasury.split()[0], draft.split()[0]) == ("treasury", "draft")
    assert under_treasury == f"    {line}"
    assert under_draft == "    epoch 0 is pending: no word yet from ana, ben, cleo"


def test_a_wallet_without_a_pending_epoch_says_nothing_of_one(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert show(home, "treasury") == 0
    assert "pending" not in capfd.readouterr().out
    assert show(home, "treasury", "--json") == 0
    assert not {"pending", "missing"} & json.loads(capfd.readouterr().out).keys()


# --- the list ---


def test_wallets_alone_lists(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli._run(["wallets", "list", "--home", str(home)]) == 0
    listed = capfd.readouterr().out
    assert "treasury" in listed
    assert cli._run(["wallets", "--home", str(home)]) == 0
    assert capfd.readouterr().out == listed
    assert cli._run(["wallets", "--home", str(home), "--json"]) == 0
    assert [json.loads(line)["name"] for line in capfd.readouterr().out.splitlines()] == ["treasury", "draft"]
    damage(home, "ab" * 16)
    assert cli._run(["wallets", "--home", str(home)]) == 3
    assert "draft" in capfd.readouterr().out


def test_wallets_alone_takes_the_variables(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MPCNODE_HOME", str(home))
    monkeypatch.setenv("MPCNODE_JSON", "1")
    assert cli._run(["wallets"]) == 0
    assert cli._run(["wallets", "list"]) == 0
    assert len(capfd.readouterr().out.splitlines()) == 4


def test_an_option_before_the_subcommand_holds_for_it(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MPCNODE_HOME", str(home.parent / "elsewhere"))
    assert cli._run(["wallets", "--home", str(home), "--json", "show", "treasury"]) == 0
    assert json.loads(capfd.readouterr().out)["name"] == "treasury"
    assert cli._run(["wallets", "--home", "elsewhere", "list", "--home", str(home)]) == 0
    assert "treasury" in capfd.readouterr().out
    assert cli._run(["wallets", "--home", str(home), "list"]) == 0
    assert "treasury" in capfd.readouterr().out


def test_the_help_of_wallets_shows_the_subcommands_with_examples(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli._run(["wallets", "--help"]) == 0
    page = capfd.readouterr().out
    for part in ("list", "show", "Examples:", "mpcnode wallets show treasury", "--home", "--json", "--verbose"):
        assert part in page


# --- addresses ---


@pytest.mark.parametrize("network", [None, "mainnet", "testnet", "signet", "regtest"])
def test_an_opened_wallet_shows_its_addresses(
    network: str | None, home: Path, active: Wallet, secret: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    options = () if network is None else ("--network", network)
    solana = solana_address(key_of(active, ED25519))
    bitcoin = taproot_address(key_of(active, TAPROOT), BitcoinNetwork[(network or "mainnet").upper()])
    assert show(home, "treasury", *options, *secret) == 0
    captured = capfd.readouterr()
    assert f"address       bitcoin\n    {bitcoin}\naddress       solana\n    {solana}\n" in captured.out
    assert captured.err == ""
    assert show(home, "abab", "--json", *options, *secret) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["addresses"] == {"solana": solana, "bitcoin": bitcoin}
    assert found["opened"] is True


def test_the_passphrase_may_come_from_the_variable(
    home: Path, secret: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MPCNODE_PASSPHRASE_FILE", secret[1])
    assert show(home, "treasury") == 0
    assert "address       bitcoin\n    bc1p" in capfd.readouterr().out


def test_public_keys_are_printed_as_pem(
    home: Path, active: Wallet, secret: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert show(home, "treasury", "--pem", *secret) == 0
    assert capfd.readouterr().out == "".join(public_key_pem(k.suite, k.group_public_key) for k in active.suites)
    assert show(home, "treasury", "--pem", "--suite", "ed25519", *secret) == 0
    assert capfd.readouterr().out == public_key_pem(ED25519, key_of(active, ED25519))


def test_a_public_key_is_written_as_der(
    home: Path, active: Wallet, secret: tuple[str, str], capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert show(home, "treasury", "--der", "--suite", TAPROOT, *secret) == 0
    assert capsysbinary.readouterr().out == public_key_der(TAPROOT, key_of(active, TAPROOT))


@pytest.mark.process
def test_on_a_terminal_the_passphrase_is_asked_for(home: Path) -> None:
    with terminal("wallets", "show", "treasury", "--home", str(home)) as shown:
        shown.expect("passphrase for ")
        shown.type("correct horse\n")
        code, out = shown.end()
    assert code == 0
    assert "address       bitcoin\n    bc1p" in out
    with terminal("wallets", "show", "draft", "--home", str(home)) as shown:
        code, out = shown.end()  # nothing to ask for
    assert code == 0
    assert "state         pending" in out
