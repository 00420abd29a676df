"""One table of tags: each is of one purpose, in one form, and spelled nowhere else."""

import re
from importlib.resources import files
from pathlib import Path

from mpcnode.crypto import tags

TAGS = {name: value for name, value in vars(tags).items() if name.isupper()}
PACKAGE = Path(str(files("mpcnode")))


def sources() -> dict[Path, str]:
    return {path: path.read_text("utf-8") for path in PACKAGE.rglob("*.py") if path.name != "tags.py"}


def test_every_tag_is_of_one_form_and_no_two_are_the_same() -> None:
    assert len(set(TAGS.values())) == len(TAGS)
    for name, value in TAGS.items():
        assert value == f"mpcnode/{name.lower().replace('_', '-')}/v1"


def test_no_other_module_spells_a_tag() -> None:
    spelled = re.compile(r"""["']mpcnode/[a-z-]+/v[0-9]+["']""")
    assert [str(path) for path, text in sources().items() if spelled.search(text)] == []


def test_every_tag_is_used() -> None:
    text = "\n".join(sources().values())
    assert [name for name in TAGS if not re.search(rf"\btags\.{name}\b", text)] == []
