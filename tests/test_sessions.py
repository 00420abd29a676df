"""Every scenario file is a test: real processes, real WebRTC."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mpcnode.scenario.model import load

ROOT = Path(__file__).parent.parent
SESSIONS = sorted((ROOT / "sessions").rglob("*.yaml"))
QUICK = {"two-of-three.yaml", "bad-share.yaml", "each-pair.yaml"}

pytestmark = [pytest.mark.process, pytest.mark.webrtc]


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.stem, marks=() if path.name in QUICK else pytest.mark.slow) for path in SESSIONS],
)
def test_the_scenario_goes_as_written(path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "mpcnode", "run", "--json", str(path)], capture_output=True, timeout=300, check=False
    )
    assert run.returncode == 0, run.stderr.decode()
    report = json.loads(run.stdout)
    assert report["ok"]
    assert [step.get("problem") for step in report["steps"]] == [None] * len(load(path).steps)


@pytest.mark.parametrize("path", SESSIONS, ids=lambda path: path.stem)
def test_the_scenario_says_what_it_shows_and_is_in_the_table(path: Path) -> None:
    assert len(load(path).title) > 40
    table = (ROOT / "sessions" / "README.md").read_text()
    assert f"({path.relative_to(ROOT / 'sessions')})" in table
