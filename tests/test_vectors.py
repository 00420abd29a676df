"""The golden vectors are what the package computes, PROTOCOL.md says the same, and another implementation agrees."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mpcnode.crypto import tags
from tests.vectors.__main__ import SUBJECTS, made
from tests.vectors.made import FOLDER

ROOT = Path(__file__).parent.parent
JAVASCRIPT = ROOT / "tests" / "javascript"
PROTOCOL = (ROOT / "PROTOCOL.md").read_text("utf-8")


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_vectors_are_what_the_package_computes(subject: str) -> None:
    assert (FOLDER / f"{subject}.json").read_text("ascii") == made(subject), (
        "run `make vectors`, and look at the change"
    )


def test_every_file_of_vectors_has_its_generator_and_its_place_in_the_protocol() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(SUBJECTS)
    for subject in SUBJECTS:
        assert f"`{subject}.json`" in PROTOCOL


def test_the_protocol_lists_every_tag_of_the_package_once() -> None:
    listed = re.findall(r"^\| `(mpcnode/[a-z-]+/v1)` \|", PROTOCOL, re.MULTILINE)
    assert sorted(listed) == sorted(value for name, value in vars(tags).items() if name.isupper())


def test_the_protocol_names_no_tag_that_the_package_does_not_have() -> None:
    known = {value for name, value in vars(tags).items() if name.isupper()}
    assert set(re.findall(r"mpcnode/[a-z-]+/v1", PROTOCOL)) == known


def test_an_implementation_in_javascript_computes_the_same_vectors() -> None:
    node = shutil.which("node")
    installed = (JAVASCRIPT / "node_modules" / "@noble").is_dir()
    if os.environ.get("CI") != "true" and (node is None or not installed):
        pytest.skip("node or its packages are not here: install node, then run `make vectors-js`")
    assert node is not None, "CI runs the second implementation: node is not here"
    assert installed, "CI runs the second implementation: `make vectors-js` comes first"
    done = subprocess.run([node, "--test"], cwd=JAVASCRIPT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert re.search(r"(?m)^\W*pass [1-9]", done.stdout), done.stdout[-1000:]
