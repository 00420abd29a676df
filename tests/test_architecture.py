"""The house stands as DESIGN section 2 draws it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
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
import mpcnode.cli.node_commands, mpcnode.control.client
loaded = {name for name in sys.modules}
print(sorted(loaded & {"mpcnode.node", "mpcnode.session", "aiortc", "websockets", "rich"}))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=True)
    assert run.stdout.strip() == b"[]"
