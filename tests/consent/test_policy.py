"""A wallet's policy: what it refuses first, then what it lets through."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcnode.consent.limits import HOUR
from mpcnode.consent.policy import (
    PolicyInvalid,
    WalletPolicy,
    decide,
    decode_policy,
    load_policy,
    policy_path,
)
from mpcnode.errors import KeystoreUnreadable, Refused
from mpcnode.keystore.format import MAX_FILE_SIZE
from mpcnode.keystore.plain_yaml import MAX_SIZE
from mpcnode.types import PeerId
from mpcnode.wallet.wallet import Wallet
from tests.helpers.filesystem import foreign
from tests.helpers.wallets import make_wallet

ANA, BEN, CLEO = PeerId("ana"), PeerId("ben"), PeerId("cleo")
PARTICIPANTS = (ANA, BEN, CLEO)
NOW = 1_800_000_000_000

FULL = b"""\
# who may have this node sign for the treasury
propose: [ben, cleo]
kinds: [sign]
readings:
  - text
  - hex
script-trees: [none, abababababababababababababababababababababababababababababababab]
rate-per-hour: 20
ask: unverified
"""


ROOT = "ab" * 32


def decided(policy: WalletPolicy, **changes: Any) -> str:
    proposal: dict[str, Any] = {
        "kind": "sign",
        "proposer": BEN,
        "verified": True,
        "reading": "text",
        "merkle_root": None,
        "message_count": 1,
        "recent": (),
        "now": NOW,
    }
    return decide(policy, **(proposal | changes))


# --- what is refused ---


@pytest.mark.parametrize("ask", ["always", "never", "unverified"])
@pytest.mark.parametrize(
    ("policy", "proposal", "word"),
    [
        (WalletPolicy(propose=frozenset({CLEO})), {}, "'ben'"),
        (WalletPolicy(propose=frozenset()), {}, "'ben'"),
        (WalletPolicy(readings=frozenset({"text"})), {"reading": "hex"}, "'hex'"),
        (WalletPolicy(readings=frozenset()), {}, "'text'"),
        (WalletPolicy(), {"merkle_root": ROOT}, "script tree"),
        (WalletPolicy(script_trees=frozenset({ROOT})), {"merkle_root": "cd" * 32}, "script tree"),
        (WalletPolicy(script_trees=frozenset({ROOT})), {}, "without a script tree"),
        (WalletPolicy(script_trees=frozenset()), {}, "without a script tree"),
        (WalletPolicy(), {"kind": "reshare"}, "'reshare'"),
        (WalletPolicy(kinds=frozenset({"sign"})), {"kind": "refresh", "reading": None}, "'refresh'"),
        (WalletPolicy(kinds=frozenset({"refresh"})), {}, "'sign'"),
        (WalletPolicy(propose=frozenset({CLEO})), {"kind": "refresh", "reading": None}, "'ben'"),
        (WalletPolicy(kinds=frozenset()), {}, "'sign'"),
        (WalletPolicy(rate_per_hour=3), {"message_count": 4}, "3 messages an hour"),
        (WalletPolicy(rate_per_hour=3), {"message_count": 2, "recent": [NOW - 1] * 2}, "3 messages an hour"),
    ],
)
def test_what_a_policy_does_not_allow_is_refused_in_whatever_way_it_would_be_asked(
    ask: Any, policy: WalletPolicy, proposal: dict[str, Any], word: str
) -> None:
    with pytest.raises(Refused, match=word):
        decided(replace(policy, ask=ask), **proposal)


def test_a_refusal_carries_no_raw_text_of_a_peer() -> None:
    with pytest.raises(Refused) as raised:
        decided(WalletPolicy(), kind="\x1b[2J")
    assert "\x1b" not in raised.value.message


def test_each_message_of_a_batch_counts() -> None:
    policy = WalletPolicy(rate_per_hour=10, ask="never")
    assert decided(policy, message_count=10) == "accept"
    with pytest.raises(Refused):
        decided(policy, message_count=11)
    assert decided(policy, message_count=4, recent=[NOW - 10] * 6) == "accept"
    with pytest.raises(Refused):
        decided(policy, message_count=5, recent=[NOW - 10] * 6)


def test_an_hour_later_there_is_room_again() -> None:
    policy = WalletPolicy(rate_per_hour=1, ask="never")
    with pytest.raises(Refused):
        decided(policy, recent=[NOW - HOUR + 1])
    assert decided(policy, recent=[NOW - HOUR]) == "accept"


def test_a_clock_that_was_set_back_makes_no_room() -> None:
    with pytest.raises(Refused):
        decided(WalletPolicy(rate_per_hour=1, ask="never"), recent=[NOW + 10 * HOUR])


@settings(max_examples=100)
@given(
    rate=st.integers(1, 30),
    recent=st.lists(st.integers(NOW - 2 * HOUR, NOW), max_size=40),
    count=st.integers(1, 30),
)
def test_no_window_of_an_hour_ever_holds_more_than_the_rate(rate: int, recent: list[int], count: int) -> None:
    within = [when for when in recent if when > NOW - HOUR]
    try:
        decided(WalletPolicy(rate_per_hour=rate, ask="never"), recent=recent, message_count=count)
    except Refused:
        assert len(within) + count > rate
    else:
        assert len(within) + count <= rate


# --- what is asked, what is accepted ---


@pytest.mark.parametrize(
    ("ask", "verified", "answer"),
    [
        ("always", True, "ask"),
        ("always", False, "ask"),
        ("never", True, "accept"),
        ("never", False, "accept"),
        ("unverified", True, "accept"),
        ("unverified", False, "ask"),
    ],
)
def test_when_a_human_is_asked(ask: Any, *, verified: bool, answer: str) -> None:
    assert decided(WalletPolicy(ask=ask), verified=verified) == answer


def test_a_policy_that_says_nothing_asks_always() -> None:
    assert decided(decode_policy(b"{}", PARTICIPANTS)) == "ask"


def test_only_a_script_tree_that_is_listed_may_tweak_the_key() -> None:
    listed = WalletPolicy(script_trees=frozenset({"none", ROOT}), ask="never")
    assert decided(listed, merkle_root=ROOT) == decided(listed) == "accept"
    # A refresh signs nothing, under no key.
    assert decided(WalletPolicy(script_trees=frozenset(), ask="never"), kind="refresh", reading=None) == "accept"


def test_what_signs_nothing_has_neither_reading_nor_messages() -> None:
    policy = WalletPolicy(readings=frozenset(), rate_per_hour=1, ask="never")
    refresh = {"kind": "refresh", "reading": None, "message_count": 0}
    assert decided(policy, **refresh, recent=[NOW] * 5) == "accept"
    assert decided(replace(policy, ask="always"), **refresh) == "ask"


def test_a_policy_that_says_nothing_of_kinds_is_about_signing_and_refreshing() -> None:
    policy = decode_policy(b"ask: never", PARTICIPANTS)
    assert policy.kinds == {"sign", "refresh"}
    assert decode_policy(b"ask: never\nkinds: [refresh, sign]", PARTICIPANTS) == policy


# --- the file ---


def test_a_whole_policy_is_read() -> None:
    assert decode_policy(FULL, PARTICIPANTS) == WalletPolicy(
        propose=frozenset({BEN, CLEO}),
        kinds=frozenset({"sign"}),
        readings=frozenset({"text", "hex"}),
        script_trees=frozenset({"none", ROOT}),
        rate_per_hour=20,
        ask="unverified",
    )


@pytest.mark.parametrize(
    ("data", "message", "form"),
    [
        (b"", "fields and their values", "propose: "),
        (b"# only a comment\n", "fields and their values", "propose: "),
        (b"[ask, never]", "fields and their values", "propose: "),
        (b"never", "fields and their values", "propose: "),
        (b"asks: never", "no field 'asks'", "propose, kinds, readings, script-trees, rate-per-hour, ask"),
        (b"rate_per_hour: 3", "no field 'rate_per_hour'", "rate-per-hour"),
        (b"ask: sometimes", "ask: .*'sometimes'", "ask: always, never or unverified"),
        (b"ask: Never", "ask: .*'Never'", "ask: always, never or unverified"),
        (b"ask: [never]", "ask: ", "ask: always, never or unverified"),
        (b"ask:", "ask: nothing stands there", "ask: always, never or unverified"),
        (b"propose: ben", "propose: ", "propose: "),
        (b"propose: [dora]", "propose: 'dora' is not a participant", "propose: "),
        (b"propose: ['../ben']", "propose: '../ben' is not a participant", "propose: "),
        (b"propose: [ben, ben]", "propose: .*twice", "propose: "),
        (b"propose: [[ben]]", "propose: ", "propose: "),
        (b"kinds: [keygen]", "kinds: .*'keygen'", "kinds: "),
        (b"readings: [text, binary]", "readings: .*'binary'", "readings: a list of text, hex, file"),
        (b"readings: [text, text]", "readings: .*twice", "readings: "),
        (b"script-trees: any", "script-trees: ", "script-trees: a list of none"),
        (b"script-trees: [abab]", "script-trees: 'abab'", "script-trees: a list of none"),
        (b"script-trees: [" + b"AB" * 32 + b"]", "script-trees: 'ABAB", "script-trees: a list of none"),
        (b"script-trees: [none, none]", "script-trees: .*twice", "script-trees: a list of none"),
        (b"rate-per-hour: 0", "rate-per-hour: '0'", "a number from 1"),
        (b"rate-per-hour: -1", "rate-per-hour: '-1'", "a number from 1"),
        (b"rate-per-hour: 1.5", "rate-per-hour: '1.5'", "a number from 1"),
        (b"rate-per-hour: 010", "rate-per-hour: '010'", "a number from 1"),
        (b"rate-per-hour: 12:30", "rate-per-hour: '12:30'", "a number from 1"),
        (b"rate-per-hour: 1000001", "rate-per-hour: '1000001'", "a number from 1"),
        (b"rate-per-hour: " + b"9" * 5000, "rate-per-hour: ", "a number from 1"),
        ("rate-per-hour: ٣".encode(), "rate-per-hour: ", "a number from 1"),
        (b"ask: always\nask: never", "twice", "propose: "),
        (b"ask: &x never", "anchors", "propose: "),
        (b"kinds: &x [sign]\nreadings: *x", "anchors", "propose: "),
        (b"ask: !!str never", "tags", "propose: "),
        (b"ask: !!python/object:os.system never", "tags", "propose: "),
        (b"<<: {ask: never}", "no field '<<'", "propose"),
        (b"? [ask]\n: never", "no text", "propose: "),
        (b"ask: never\n---\nask: always", "YAML", "propose: "),
        (b"ask: \xff", "YAML", "propose: "),
        (b"ask: 'never", "YAML", "propose: "),
        (b"[" * 20_000, "YAML", "propose: "),
        (b"#" * (MAX_SIZE + 1), "longer than", "propose: "),
    ],
)
def test_a_file_that_is_not_a_policy_is_refused_naming_field_and_form(data: bytes, message: str, form: str) -> None:
    with pytest.raises(PolicyInvalid, match=message) as raised:
        decode_policy(data, PARTICIPANTS)
    assert form in raised.value.form


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"readings: [txt]", "readings: 'txt' is not one of these"),
        (b"ask: often", "ask: 'often' is not one of these"),
        (b"readings: text", "readings: a list is needed, in brackets, and this is a word"),
        (b"propose: [[ben]]", "propose: a word is needed, and this is a list"),
        (b"rate-per-hour: [1]", "rate-per-hour: a word is needed, and this is a list"),
        (b"ask: {a: b}", "ask: a word is needed, and this is a table of fields"),
    ],
)
def test_a_complaint_about_a_policy_is_in_words_of_its_own(data: bytes, message: str) -> None:
    with pytest.raises(PolicyInvalid) as raised:
        decode_policy(data, PARTICIPANTS)
    assert str(raised.value) == message


def test_what_stands_in_a_file_is_shown_escaped() -> None:
    for data in (b'ask: "\\e[2J"', b'"\\e[2J": x', b'propose: ["\\e[2J"]', b'rate-per-hour: "\\e[2J"'):
        with pytest.raises(PolicyInvalid) as raised:
            decode_policy(data, PARTICIPANTS)
        assert "\x1b" not in str(raised.value)


def test_names_are_taken_as_they_stand_even_where_yaml_has_another_idea() -> None:
    names = [PeerId(name) for name in ("no", "010", "1e3", "null", "2024-01-01", "on")]
    policy = decode_policy(b"propose: [no, 010, 1e3, null, 2024-01-01, on]", names)
    assert policy.propose == frozenset(names)


@settings(max_examples=200)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_nothing_but_its_own_complaint_comes_out_of_any_bytes(data: bytes) -> None:
    with suppress(PolicyInvalid):
        decode_policy(data, PARTICIPANTS)


@settings(max_examples=100)
@given(
    st.dictionaries(
        st.sampled_from(["propose", "kinds", "readings", "rate-per-hour", "ask"]),
        st.sampled_from(["[ben]", "[sign]", "[text, file]", "[]", "7", "always", "never", "{}", "{a: b}", "''", "~"]),
    )
)
def test_fields_of_any_form_are_a_policy_or_a_complaint_that_names_a_field(fields: dict[str, str]) -> None:
    data = "".join(f"{name}: {value}\n" for name, value in fields.items()).encode()
    try:
        policy = decode_policy(data, PARTICIPANTS)
    except PolicyInvalid as error:
        named = [name for name in fields if str(error).startswith(f"{name}: ")]
    else:
        named = list(fields)
        assert (policy.rate_per_hour is None) == ("rate-per-hour" not in fields)
        assert (policy.propose is None) == ("propose" not in fields)
    assert named or not fields


# --- where it stands ---


@pytest.fixture
def wallet() -> Wallet:
    return make_wallet().wallet


@pytest.fixture
def home(tmp_path: Path, wallet: Wallet) -> Path:
    """A home with a directory for the wallet."""
    path = policy_path(tmp_path, wallet.wallet_id)
    for directory in (path.parent.parent, path.parent):
        directory.mkdir(mode=0o700)
    return tmp_path


def test_a_wallet_without_a_file_has_no_policy(home: Path, wallet: Wallet) -> None:
    assert load_policy(home, wallet) is None


def test_a_policy_beside_the_wallet_is_found_and_read_anew_each_time(home: Path, wallet: Wallet) -> None:
    path = policy_path(home, wallet.wallet_id)
    path.write_bytes(b"ask: never")
    assert load_policy(home, wallet) == WalletPolicy(ask="never")
    path.write_bytes(b"ask: always")
    assert load_policy(home, wallet) == WalletPolicy(ask="always")


def spoil_form(path: Path) -> None:
    path.write_bytes(b"ask: perhaps")


def spoil_link(path: Path) -> None:
    path.with_name("elsewhere").write_bytes(b"ask: never")
    path.symlink_to(path.with_name("elsewhere"))


def spoil_dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def spoil_mode(path: Path) -> None:
    path.write_bytes(b"ask: never")
    path.chmod(0o620)


def spoil_pipe(path: Path) -> None:
    os.mkfifo(path, 0o600)


def spoil_kind(path: Path) -> None:
    path.mkdir(0o700)


def spoil_size(path: Path) -> None:
    path.write_bytes(b"#" * (MAX_FILE_SIZE + 1))


def spoil_directory(path: Path) -> None:
    path.write_bytes(b"ask: never")
    path.parent.chmod(0o770)


def spoil_directory_of_wallets(path: Path) -> None:
    path.write_bytes(b"ask: never")
    path.parent.parent.chmod(0o707)


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_form,
        spoil_link,
        spoil_dangling,
        spoil_mode,
        spoil_pipe,
        spoil_kind,
        spoil_size,
        spoil_directory,
        spoil_directory_of_wallets,
    ],
)
def test_a_policy_that_cannot_be_trusted_is_never_taken_for_none(
    home: Path, wallet: Wallet, spoil: Callable[[Path], None]
) -> None:
    spoil(policy_path(home, wallet.wallet_id))
    with pytest.raises(KeystoreUnreadable):
        load_policy(home, wallet)


def test_another_users_policy_is_not_read(home: Path, wallet: Wallet) -> None:
    policy_path(home, wallet.wallet_id).write_bytes(b"ask: never")
    with pytest.raises(KeystoreUnreadable, match="another user"):
        load_policy(home, wallet, files=foreign(lambda path: path.name == "policy.yaml"))


def test_the_error_names_file_field_and_form(home: Path, wallet: Wallet) -> None:
    path = policy_path(home, wallet.wallet_id)
    path.write_bytes(b"rate-per-hour: many")
    with pytest.raises(KeystoreUnreadable) as raised:
        load_policy(home, wallet)
    assert raised.value.message == f"cannot read {path}: rate-per-hour: 'many' is not such a number"
    assert raised.value.hint == "rate-per-hour: a number from 1 to 1000000"
