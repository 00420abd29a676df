"""The house stands as DESIGN section 2 draws it."""

import ast
import graphlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mpcnode import errors

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "mpcnode"
HEAVY = ("aiortc", "starlette", "uvicorn", "websockets", "rich", "nacl", "asyncio", "msgspec", "yaml")


def test_imports_point_downward() -> None:
    lint = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert lint.returncode == 0, lint.stdout.decode()


def imports_of(package: Path) -> dict[str, set[str]]:
    """Every module of a package -> the modules of it that its source imports, wherever the import stands.

    Also what only a type checker or a function imports counts: it is a dependency all the same.
    """
    files = {module_name(path, package): path for path in package.rglob("*.py")}
    found: dict[str, set[str]] = {name: set() for name in files}
    for name, path in files.items():
        for node in ast.walk(ast.parse(path.read_text())):
            wanted: set[str] = set()
            if isinstance(node, ast.Import):
                wanted = {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
                # `from a import b` is the module a.b where there is one, else a name of the module a.
                inside = {f"{node.module}.{alias.name}" for alias in node.names}
                names_of_module = {one for one in inside if one not in files}
                wanted = (inside & set(files)) | ({node.module} if names_of_module else set())
            found[name] |= {one for one in wanted if one in files and one != name}
    return found


def module_name(path: Path, package: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def circle_in(imports: dict[str, set[str]]) -> list[str]:
    """Give one circle, as the names along it; nothing where there is none."""
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        circle: list[str] = error.args[1]
        return circle
    return []


def test_no_import_goes_round_in_a_circle() -> None:
    assert circle_in(imports_of(PACKAGE)) == []


@pytest.mark.parametrize(
    ("sources", "circle"),
    [
        ({"a": "from house.b import x", "b": "import house.c", "c": "x = 1"}, set()),
        ({"a": "from house.b import x", "b": "from house import a"}, {"house.a", "house.b"}),
        (
            {"a": "import house.b", "b": "def f():\n    from house.c import x", "c": "from house.a import x"},
            {"house.a", "house.b", "house.c"},
        ),
        (
            {
                "a": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from house.b import X",
                "b": "from house.a import y",
            },
            {"house.a", "house.b"},
        ),
    ],
    ids=["none", "two", "three, one of them in a function", "one of them for types alone"],
)
def test_a_circle_is_found_wherever_its_imports_stand(
    tmp_path: Path, sources: dict[str, str], circle: set[str]
) -> None:
    package = tmp_path / "house"
    package.mkdir()
    (package / "__init__.py").touch()
    for name, source in sources.items():
        (package / f"{name}.py").write_text(source)
    assert set(circle_in(imports_of(package))) == circle


JUDGES = {"blame.py", "errors.py", "control/lines.py", "control/client.py"}
"""Blame is made in the first with what the second has; the third makes again what another process made.

The last one finds the running node of this home to be of another version, which is no participant.
"""


def judgements_in(source: str) -> list[int]:
    """Give the lines of a module that make an error about participants, or name some in an error."""
    kinds = {
        name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.PeerError)
    }
    every = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        named = {word.arg for word in node.keywords} & {"culprits", "suspects"}
        if called in kinds or (called in every and named):
            found.append(node.lineno)
    return found


def blaming_in(package: Path) -> set[str]:
    """Give the places in a package where a module makes an error about participants that may not do so.

    A scenario judges its own processes, which are no participants.
    """
    return {
        f"{path.relative_to(package)}:{line}"
        for path in package.rglob("*.py")
        if str(path.relative_to(package)) not in JUDGES and path.relative_to(package).parts[0] != "scenario"
        for line in judgements_in(path.read_text())
    }


def test_nobody_but_one_module_blames_anybody() -> None:
    assert blaming_in(PACKAGE) == set()


def test_a_judgement_that_is_planted_anywhere_in_the_package_is_found(tmp_path: Path) -> None:
    package = tmp_path / "mpcnode"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    planted = set()
    for where in ("session/pump.py", "session/kinds/keygen.py", "mesh/mesh.py", "peers/room.py", "node.py"):
        module = package / where
        source = module.read_text() + '\n\nLIAR = ParticipantCheated("it lies", culprits=["ben"])\n'
        module.write_text(source)
        planted.add(f"{where}:{source.count(chr(10))}")
    assert blaming_in(package) >= planted


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ('raise ParticipantSilent("gone", suspects=[ben])', [1]),
        ('x = 1\nerror = errors.ContactChanged("another key")', [2]),
        ('def f():\n    return MpcError("x", culprits=[ben])', [2]),
        ('Abort(session_id, "x", culprits=[ben])\nErrorView(culprits=(), suspects=())\nMpcError("x")', []),
        ("isinstance(error, ParticipantSilent) and error.culprits", []),
    ],
)
def test_a_judgement_is_found_wherever_it_is_made(source: str, lines: list[int]) -> None:
    assert judgements_in(source) == lines


DOZEN = 12
SLENDER = ("session", "peers", "consent")
"""The parts whose classes have no more attributes than that: a class that needs twenty is several."""


def attributes_in(source: str) -> dict[str, set[str]]:
    """Give the attributes of each class of a module: those that its body declares, and those that it sets of itself."""
    found = {}
    for one in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)):
        declared = {
            node.target.id for node in one.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        }
        stored = {
            node.attr
            for node in ast.walk(one)
            if isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and getattr(node.value, "id", "") == "self"
        }
        found[one.name] = declared | stored
    return found


def test_no_class_of_sessions_peers_or_consent_has_more_than_a_dozen_attributes() -> None:
    many = {
        name: len(attributes)
        for part in SLENDER
        for path in (PACKAGE / part).rglob("*.py")
        for name, attributes in attributes_in(path.read_text()).items()
        if len(attributes) > DOZEN
    }
    assert many == {}


def test_an_attribute_is_found_wherever_it_is_set() -> None:
    body = ["a: int = 1", "def f(self):", "    self.b, self.c = 1, 2", "    self.d += 1", "    other.e = 2"]
    source = "class A:\n" + "".join(f"    {line}\n" for line in body)
    assert attributes_in(source) == {"A": {"a", "b", "c", "d"}}


def test_imports_of_this_package_are_absolute() -> None:
    """The finder of circles looks at absolute imports alone."""
    relative = [
        path
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["--help"], (*HEAVY, "pydantic")),
        (["--version"], (*HEAVY, "pydantic")),
        (["create-wallet", "--help"], HEAVY),  # typer reads default values with pydantic
        (["serve", "--help"], HEAVY),
    ],
)
def test_a_help_page_loads_nothing_heavy(arguments: list[str], heavy: tuple[str, ...]) -> None:
    program = f"""
import sys
from mpcnode.cli.app import main
try:
    main({arguments!r})
finally:
    loaded = {{name.split(".")[0] for name in sys.modules}}
    print("LOADED", sorted(loaded & set({heavy!r})), file=sys.stderr)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)
    assert run.returncode == 0
    assert b"LOADED []" in run.stderr


def test_a_command_that_finds_a_running_node_loads_nothing_of_what_only_a_node_needs() -> None:
    program = """
import sys
import mpcnode.cli.actions.node, mpcnode.control.client
loaded = {name for name in sys.modules}
print(sorted(loaded & {"mpcnode.node", "mpcnode.session", "aiortc", "websockets", "rich"}))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=True)
    assert run.stdout.strip() == b"[]"
