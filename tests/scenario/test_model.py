"""Scenario files: what is wrong is named by file, step and field, with the accepted form."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpcnode.errors import ConfigurationError
from mpcnode.scenario import model
from mpcnode.scenario.model import Cheat, Faults, find_files, load, parse

GOOD = b"""\
# Two nodes
# make a wallet.
nodes: [a, b]
steps:
  - create-wallet: {by: a, threshold: 2, total: 2}
    expect: {state: active}
"""


def test_a_scenario_is_read() -> None:
    scenario = parse(GOOD, "x.yaml")
    assert scenario.title == "Two nodes make a wallet."
    assert list(scenario.nodes) == ["a", "b"]
    assert scenario.steps[0].action == model.CreateWallet(by="a", threshold=2, total=2)
    assert scenario.steps[0].expect == model.Expect(state="active")
    assert str(scenario.steps[0]) == "step 1 (create-wallet)"


def test_people_who_meet_bring_their_own_nodes() -> None:
    steps = (
        b"[{invite: {node: b, threshold: 2, total: 2}}, {join: {node: c, invited-by: b, as: d}}, {finish: {node: c}}]"
    )
    scenario = parse(b"nodes: [a]\nsteps: " + steps, "x")
    assert scenario.steps[1].action == model.Join(node="c", invited_by="b", by="link", peer_id="d")
    assert [step.node for step in scenario.steps] == ["b", "c", "c"]


def test_nodes_may_have_options() -> None:
    scenario = parse(b"nodes: {a: {accept: none, contacts-only: true}, b: }\nsteps: [{stop: {node: a}}]", "x")
    assert scenario.nodes["a"] == model.NodeOptions(accept="none", contacts_only=True)
    assert scenario.nodes["b"] == model.NodeOptions()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "x: not YAML"),
        ("[]", "x: not the fields"),
        ("nodes: [a]\nsteps: []\nseed: 3", "x: not the fields"),
        ("nodes: [a]\nsteps: []", "x: steps: not a list of steps"),
        ("nodes: [a, a]\nsteps: [{stop: {node: a}}]", "x: nodes: a name is there twice"),
        ("nodes: ['a/b']\nsteps: [{stop: {node: a}}]", "x: nodes: "),
        ("nodes: {a: {accept: ask}}\nsteps: [{stop: {node: a}}]", "x: nodes: a: accept"),
        ("nodes: [a]\nsteps: [{dance: {node: a}}]", "x: step 1: it has to have one verb, and has 'dance'"),
        ("nodes: [a]\nsteps: [stop]", "x: step 1: it has to have one verb, and has none"),
        ("nodes: [a]\nsteps: [{stop: {node: a}, kill: {node: a}}]", "x: step 1: it has to have one verb"),
        ("nodes: [a]\nsteps: [{stop: {node: b}}]", "x: step 1 (stop): there is no node 'b'"),
        ("nodes: [a]\nsteps: [{join: {node: c, invited-by: b}}]", "x: step 1 (join): there is no node 'b'"),
        ("nodes: [a]\nsteps: [{join: {node: c, invited-by: a, by: luck}}]", "x: step 1 (join): by: invalid enum value"),
        ("nodes: [a]\nsteps: [{pair: {node: c, with: c}}]", "x: step 1 (pair): `with` has to name another node"),
        ("nodes: [a]\nsteps: [{invite: {node: b, threshold: 3, total: 2}}]", "threshold and total must satisfy"),
        ("nodes: [a]\nsteps: [{finish: {node: b}}]", "x: step 1 (finish): there is no node 'b'"),
        ("nodes: [a]\nsteps: [{stop: {}}]", "x: step 1 (stop): object missing required field `node`"),
        ("nodes: [a]\nsteps: [{stop: {node: a, now: true}}]", "x: step 1 (stop): object contains unknown field `now`"),
        ("nodes: [a]\nsteps: [{kill: {node: a, at: dawn}}]", "x: step 1 (kill): at: invalid enum value 'dawn'"),
        ("nodes: [a]\nsteps: [{create-wallet: {by: a, threshold: x, total: 2}}]", "threshold: expected `int`"),
        ("nodes: [a]\nsteps: [{create-wallet: {by: a, threshold: 3, total: 2}}]", "threshold and total must satisfy"),
        ("nodes: [a]\nsteps: [{create-wallet: {by: a, threshold: 2, total: 3, with: [a]}}]", "`with` has to name"),
        ("nodes: [a]\nsteps: [{create-wallet: {by: a, threshold: 2, total: 2, name: ../x}}]", "a wallet name is"),
        ("nodes: [a]\nsteps: [{stop: {node: a}, expect: {state: active}}]", "expect: state has no meaning here"),
        ("nodes: [a]\nsteps: [{register: {node: a, as: b}}]", "a is there already"),
        ("nodes: [a]\nnodes: [b]\nsteps: [{stop: {node: a}}]", "a key is there twice"),
        ("nodes: [&x a]\nsteps: [{stop: {node: *x}}]", "aliases are not allowed"),
        ("nodes: !!python/object:os.system [a]\nsteps: []", "x: not YAML"),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_the_accepted_form(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(text.encode(), "x")
    assert message in caught.value.message
    assert caught.value.message.startswith("x: ")
    assert caught.value.hint


@given(st.binary(max_size=300) | st.text(alphabet="nodestp: []{}-\n&*!a,1'\"#", max_size=200).map(str.encode))
def test_whatever_the_bytes_only_a_configuration_error_escapes(data: bytes) -> None:
    with contextlib.suppress(ConfigurationError):
        parse(data, "x")


def test_a_deep_page_is_an_error_and_no_crash() -> None:
    with pytest.raises(ConfigurationError):
        parse(b"[" * 100_000, "x")


def test_a_file_that_is_too_long_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="longer"):
        parse(b"#" * 300_000, "x")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"absent\.yaml"):
        load(tmp_path / "absent.yaml")


def test_directories_are_searched_and_files_named_twice_run_once(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    one = tmp_path / "in" / "one.yaml"
    one.write_bytes(GOOD)
    assert find_files([tmp_path, one]) == [one]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match=r"no \.yaml file"):
        find_files([tmp_path / "empty"])


@pytest.mark.parametrize("line", ["disk: wet", "dies-at: lunch", "cheat: {message: share, how: flip, to: nobody}"])
def test_a_scenario_whose_faults_are_none_is_refused(line: str) -> None:
    with pytest.raises(ConfigurationError, match="nodes: a"):
        parse(f"nodes: {{a: {{{line}}}, b: }}\nsteps: [{{stop: {{node: a}}}}]".encode(), "x")


def test_a_scenario_may_have_faults() -> None:
    text = (
        b"nodes: {a: {dies-at: storing, cheat: {message: share, how: flip, to: b}}, b: }\nsteps: [{start: {node: a}}]"
    )
    options: Any = parse(text, "x").nodes
    assert options["a"].faults == Faults(dies_at="storing", cheat=Cheat(message="share", how="flip", to="b"))
    assert options["b"].faults is None
