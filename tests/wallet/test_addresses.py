import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.crypto.suites import SUITES
from mpcnode.errors import DecodeError, WalletPending
from mpcnode.types import PeerId, SuiteId
from mpcnode.wallet.addresses import (
    ED25519,
    TAPROOT,
    WHY_NO_ETHEREUM,
    BitcoinNetwork,
    _base58,
    segwit_address,
    solana_address,
    taproot_address,
    wallet_addresses,
)
from tests.helpers.wallets import Made, make_wallet


# BIP-350, "Test vectors for v0-v16 native segregated witness addresses", those of version 1 and later; and BIP-341,
# wallet-test-vectors.json, scriptPubKey, the first: a tweaked output key and its address.
@pytest.mark.parametrize(
    ("hrp", "version", "program", "address"),
    [
        (
            "bc",
            1,
            "751e76e8199196d454941c45d1b3a323f1433bd6751e76e8199196d454941c45d1b3a323f1433bd6",
            "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y",
        ),
        ("bc", 16, "751e", "bc1sw50qgdz25j"),
        ("bc", 2, "751e76e8199196d454941c45d1b3a323", "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs"),
        (
            "tb",
            1,
            "000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433",
            "tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c",
        ),
        (
            "bc",
            1,
            "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        ),
        (
            "bc",
            1,
            "53a1f6e454df1aa2776a2814a721372d6258050de330b3c6d10ee8f4e0dda343",
            "bc1p2wsldez5mud2yam29q22wgfh9439spgduvct83k3pm50fcxa5dps59h4z5",
        ),
    ],
)
def test_addresses_are_those_of_the_published_vectors(hrp: str, version: int, program: str, address: str) -> None:
    if version == 1 and len(program) != 64:
        with pytest.raises(ValueError, match="witness program"):  # valid in BIP-350, never spendable since BIP-341
            segwit_address(hrp, version, bytes.fromhex(program))
    else:
        assert segwit_address(hrp, version, bytes.fromhex(program)) == address


@pytest.mark.parametrize(("version", "size"), [(0, 20), (0, 32), (17, 32), (-1, 32), (1, 33), (2, 1), (2, 41)])
def test_a_program_that_is_not_ours_to_write_is_refused(version: int, size: int) -> None:
    with pytest.raises(ValueError, match="witness program"):
        segwit_address("bc", version, bytes(size))


G = b"\x02" + bytes.fromhex("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")


@pytest.mark.parametrize(
    ("network", "start"),
    [("MAINNET", "bc1p"), ("TESTNET", "tb1p"), ("SIGNET", "tb1p"), ("REGTEST", "bcrt1p")],
)
def test_each_network_has_its_own_addresses(network: str, start: str) -> None:
    assert taproot_address(G, BitcoinNetwork[network]).startswith(start)


# BIP-341, wallet-test-vectors.json, scriptPubKey, the first: an internal key without a script tree.
BIP341_INTERNAL = bytes.fromhex("d6889cb081036e0faefa3a35157ad71086b123b2b144b649798b494c300a961d")
BIP341_ADDRESS = "bc1p2wsldez5mud2yam29q22wgfh9439spgduvct83k3pm50fcxa5dps59h4z5"


@pytest.mark.parametrize("parity", [b"\x02", b"\x03"])
def test_an_address_is_of_the_internal_key_tweaked_without_a_script_tree(parity: bytes) -> None:
    assert taproot_address(parity + BIP341_INTERNAL, BitcoinNetwork.MAINNET) == BIP341_ADDRESS


def test_the_internal_key_itself_is_not_what_is_paid_to() -> None:
    assert taproot_address(G, BitcoinNetwork.MAINNET) != segwit_address("bc", 1, G[1:])


def test_the_sign_of_an_internal_key_is_not_in_its_address() -> None:
    assert taproot_address(b"\x03" + G[1:], BitcoinNetwork.MAINNET) == taproot_address(G, BitcoinNetwork.MAINNET)


@pytest.mark.parametrize("key", [b"", G[1:], G + b"\x00", b"\x02" + b"\xff" * 32, b"\x02" + bytes(32), b"\x04" + G[1:]])
def test_what_is_no_taproot_key_has_no_address(key: bytes) -> None:
    with pytest.raises(DecodeError):
        taproot_address(key, BitcoinNetwork.MAINNET)


@pytest.mark.parametrize("key", [b"", bytes(31), b"\x01" + bytes(31), b"\xff" * 32, G])
def test_what_is_no_ed25519_key_has_no_address(key: bytes) -> None:
    with pytest.raises(DecodeError):
        solana_address(key)


# draft-msporny-base58-03, section 5, and Solana's system program, whose address is 32 zero bytes.
@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"Hello World!", "2NEpo7TZRRrLZSi2U"),
        (
            b"The quick brown fox jumps over the lazy dog.",
            "USm3fpXnKG5EUBx2ndxBDMPVciP5hGey2Jh4NDv6gmeo1LkMeiKrLJUUBk6Z",
        ),
        (bytes.fromhex("0000287fb4cd"), "11233QC4"),
        (bytes(32), "1" * 32),
    ],
)
def test_base58_is_that_of_the_published_vectors(data: bytes, text: str) -> None:
    assert _base58(data) == text


@given(st.binary(max_size=40))
@settings(max_examples=50)
def test_base58_loses_nothing(data: bytes) -> None:
    text = _base58(data)
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    number = 0
    for digit in text:
        number = number * 58 + alphabet.index(digit)
    zeros = len(text) - len(text.lstrip("1"))
    assert bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big") == data


def test_a_pending_wallet_shows_no_address(made: Made) -> None:
    with pytest.raises(WalletPending):
        wallet_addresses(made.wallet)


def test_an_active_wallet_has_an_address_on_each_chain_it_can_sign_for(made: Made) -> None:
    found = wallet_addresses(made.active, BitcoinNetwork.REGTEST)
    ed25519, taproot = (made.wallet.keys(suite).group_public_key for suite in (ED25519, TAPROOT))
    assert [(address.chain, address.text) for address in found] == [
        ("solana", solana_address(ed25519)),
        ("bitcoin", taproot_address(taproot, BitcoinNetwork.REGTEST)),
    ]


def test_a_refresh_leaves_every_address_as_it_is(made: Made) -> None:
    later = made.sharing.refreshed()
    wallet = made.active.with_pending(later.statement, later.signed(PeerId("ana")))
    assert wallet_addresses(wallet) == wallet_addresses(made.active)
    assert wallet_addresses(wallet.merge(later.signed())) == wallet_addresses(made.active)


def test_a_key_that_no_chain_verifies_has_no_address() -> None:
    made = make_wallet(suites=(SuiteId("FROST-secp256k1-SHA256-v1"),))
    assert wallet_addresses(made.active) == ()


def test_the_suites_addresses_are_made_for_exist() -> None:
    assert {ED25519, TAPROOT} <= set(SUITES)


def test_there_is_an_answer_to_why_there_is_no_ethereum_address() -> None:
    assert "ECDSA" in WHY_NO_ETHEREUM
