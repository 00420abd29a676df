"""Faults: what they are called, that only one entry point knows them, and that each does what it says."""

import contextlib
import itertools
import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpcnode import status
from mpcnode.errors import ConfigurationError
from mpcnode.faults import model
from mpcnode.faults.model import CHEATS, VARIABLE, Cheat, Faults, How, Kind, Save, Step, decode
from mpcnode.scenario import model as scenario
from tests.helpers.processes import encode_faults as encode
from tests.helpers.terminal import clean_environment

KNOWS = re.compile(rf"faults import|faults\.(model|cheats|deaths|disks|stand_in)|mpcnode\.faults|{VARIABLE}")
PACKAGE = Path(model.__file__).parents[1]


@pytest.mark.parametrize(
    "asked",
    [
        Faults(),
        Faults(dies_at="wallet-pending"),
        Faults(cheat=Cheat(message="share", how="off-curve", to="cli2"), dies_at="certifying"),
        Faults(disk="full"),
        Faults(cheat=Cheat(message="signature_share", how="early"), dies_at="signed"),
    ],
)
def test_faults_come_back_as_they_were_written(asked: Faults) -> None:
    assert decode(encode(asked)) == asked


def test_the_names_in_the_variable_are_those_of_a_scenario() -> None:
    assert json.loads(encode(Faults(dies_at="storing"))) == {"dies-at": "storing"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"dies-at": "lunch"}',
        '{"dies_at": "storing"}',
        '{"dies-at": "storing", "disk": "full"}',
        '{"cheat": {"message": "share"}}',
        '{"cheat": {"message": "share", "how": "more-points"}}',
        '{"cheat": {"message": "commitment", "how": "two-faced"}}',
        '{"cheat": {"message": "commitment", "how": "more-points", "to": "cli2"}}',
        '{"cheat": {"message": "share", "how": "flip", "to": "../x"}}',
        '{"cheat": {"message": "nonces", "how": "early"}}',
        '{"cheat": {"message": "nonce_list", "how": "another\'s"}}',
        '{"cheat": {"message": "signature_share", "how": "off-curve"}}',
        '{"cheat": {"message": "nonces", "how": "two-faced", "to": "cli2"}}',
        "[" * 100_000,
    ],
)
def test_what_names_no_faults_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=VARIABLE):
        decode(text)


@given(st.text(max_size=200))
def test_whatever_the_text_only_a_configuration_error_escapes(text: str) -> None:
    with contextlib.suppress(ConfigurationError):
        decode(text)


def test_every_lie_has_its_line_and_every_message_its_lies() -> None:
    assert set(CHEATS) == set(get_args(How))
    assert frozenset().union(*CHEATS.values()) == set(get_args(Kind))


def run(module: str, *arguments: str, asked: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=clean_environment() | {VARIABLE: asked},
    )


def test_the_ordinary_command_does_not_read_them_and_the_other_insists() -> None:
    assert run("mpcnode", "--version", asked="{").returncode == 0
    assert run("mpcnode.faults", "--version", asked='{"dies-at": "storing"}').returncode == 0
    refused = run("mpcnode.faults", "--version", asked="{")
    assert refused.returncode == 3
    assert refused.stderr.startswith(f"error: {VARIABLE} does not name faults")


def test_no_part_of_mpcnode_but_scenarios_knows_of_them() -> None:
    knows = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if KNOWS.search(path.read_text())}
    # A scenario knows the command and its variable; that it imports nothing of them is import-linter's to check.
    assert knows == {
        *(f"faults/{name}.py" for name in ("__main__", "cheats", "deaths", "disks", "model", "stand_in")),
        "scenario/model.py",
        "scenario/world.py",
    }


def test_an_ordinary_command_loads_nothing_that_makes_faults() -> None:
    program = """
import sys
import mpcnode.cli.app, mpcnode.cli.actions.node, mpcnode.node, mpcnode.control.server
print(sorted(name for name in sys.modules if name.startswith(("mpcnode.scenario", "mpcnode.faults"))))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=True)
    assert done.stdout.strip() == b"[]"


SAVES = """
import json, os, sys
from pathlib import Path
from mpcnode.faults import deaths
import signal
deaths.install(sys.argv[2], signal.Signals(int(sys.argv[3])))
from mpcnode.keystore import store
fs = store.FileSystem()
directory = Path(sys.argv[1]) / "wallets" / "w"
def save(target, data):
    temporary = directory / ".cli1.json.0123456789abcdef.tmp"
    fd = fs.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    while data:
        data = data[fs.write(fd, data):]
    fs.fsync(fd)
    fs.close(fd)
    fs.rename(temporary, target)
    fd = fs.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    fs.fsync(fd)
    fs.close(fd)
save(directory / "cli1.json", b"pending")
save(directory / "cli1.json", b"active!")
save(directory / "cli1.json", b"again!!")
"""


def saved(path: Path, step: str, number: signal.Signals) -> tuple[int, dict[str, bytes]]:
    directory = path / "wallets" / "w"
    directory.mkdir(parents=True)
    code = subprocess.run(
        [sys.executable, "-c", SAVES, str(path), step, str(number.value)],
        timeout=60,
        check=False,
        stderr=subprocess.DEVNULL,
    ).returncode
    return code, {name.name: name.read_bytes() for name in directory.iterdir()}


TEMPORARY = ".cli1.json.0123456789abcdef.tmp"
AFTER: dict[Step, dict[str, bytes]] = {
    "pending-create": {TEMPORARY: b""},
    "pending-write": {TEMPORARY: b"pen"},
    "pending-fsync": {TEMPORARY: b"pending"},
    "pending-rename": {"cli1.json": b"pending"},
    "pending-sync": {"cli1.json": b"pending"},
    "active-create": {"cli1.json": b"pending", TEMPORARY: b""},
    "active-write": {"cli1.json": b"pending", TEMPORARY: b"act"},
    "active-fsync": {"cli1.json": b"pending", TEMPORARY: b"active!"},
    "active-rename": {"cli1.json": b"active!"},
    "active-sync": {"cli1.json": b"active!"},
    "again-create": {"cli1.json": b"active!", TEMPORARY: b""},
    "again-write": {"cli1.json": b"active!", TEMPORARY: b"aga"},
    "again-fsync": {"cli1.json": b"active!", TEMPORARY: b"again!!"},
    "again-rename": {"cli1.json": b"again!!"},
    "again-sync": {"cli1.json": b"again!!"},
}


@pytest.mark.parametrize(
    "step",
    [s if s in {"pending-write", "active-rename"} else pytest.param(s, marks=pytest.mark.slow) for s in get_args(Save)],
)
def test_a_death_inside_a_save_leaves_what_that_step_leaves(tmp_path: Path, step: Step) -> None:
    assert saved(tmp_path, step, signal.SIGKILL) == (-signal.SIGKILL, AFTER[step])


def test_a_process_that_does_not_come_to_the_step_lives(tmp_path: Path) -> None:
    assert saved(tmp_path, "storing", signal.SIGKILL) == (0, {"cli1.json": b"again!!"})


def test_a_scenario_names_the_faults_as_the_faulty_process_does() -> None:
    ours: Any = (scenario.Save, scenario.Stored, scenario.Signed, scenario.Kind, scenario.How)
    assert ours == (model.Save, model.Stored, model.Signed, Kind, How)
    assert scenario.Death == Step
    assert scenario.CHEATS == CHEATS
    assert scenario.FAULTS_VARIABLE == VARIABLE


@pytest.mark.parametrize("how", get_args(How))
def test_a_scenario_refuses_the_lies_that_the_faulty_process_refuses(how: How) -> None:
    for kind, to in itertools.product(get_args(Kind), (None, "b")):
        lie = {"message": kind, "how": how} | ({"to": to} if to else {})
        assert accepts(Cheat, lie) == accepts(scenario.Cheat, lie)


def accepts(kind: Any, lie: dict[str, str]) -> bool:
    try:
        msgspec.convert(lie, kind)
    except msgspec.ValidationError:
        return False
    return True


def test_what_a_scenario_asks_for_is_what_the_faulty_process_reads() -> None:
    asked = scenario.Faults(dies_at="signed", cheat=scenario.Cheat(message="share", how="off-curve", to="b"))
    read = decode(msgspec.json.encode(asked).decode())
    assert read == Faults(dies_at="signed", cheat=Cheat(message="share", how="off-curve", to="b"))


def test_a_process_can_die_with_a_signature_in_hand_and_only_then() -> None:
    from mpcnode.faults.deaths import step_of

    view = status.SignatureView(
        wallet_id="", name="w", suite="", public_key="", messages=(), signed=(), signatures=(), signers=()
    )
    over = status.SessionEnded(session_id="", kind="sign", proposer="a", seconds={})
    assert step_of(over) is None
    assert step_of(msgspec.structs.replace(over, signature=view)) == "signed"
