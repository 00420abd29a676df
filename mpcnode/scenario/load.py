"""Scenario files -> ``Scenario``: strict, and clear about what is wrong."""

import re
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import msgspec
import yaml

from mpcnode.errors import ConfigurationError
from mpcnode.scenario.model import VERBS, Action, Expect, Name, NodeOptions, Register, Scenario, Step, Timeouts
from mpcnode.types import MAX_PARTICIPANTS

T = TypeVar("T")

MAX_FILE: Final = 256 * 1024
_TOP: Final = "a scenario is {nodes: [NODE...] or {NODE: OPTIONS}, timeouts?: {...}, steps: [STEP...]}"
_STEP: Final = f"a step is VERB: {{...}} and, if it has to, expect: {{...}}; the verbs are {', '.join(VERBS)}"
_AT: Final = re.compile(r" - at `\$?\.?(.*)`$")


def find_files(paths: Iterable[Path]) -> list[Path]:
    """The scenario files that ``paths`` name: files as they are, directories with all that is in them.

    Raises:
        ConfigurationError: one is not there, or there is no scenario in a directory.
    """
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.rglob("*.yaml")) if path.is_dir() else [path]
        if not inside:
            raise ConfigurationError(f"there is no .yaml file in {str(path)!a}")
        found += inside
    return list(dict.fromkeys(found))


def load(path: Path) -> Scenario:
    """Read a scenario file.

    Raises:
        ConfigurationError: it cannot be read, or is not a scenario; the message names file, step and field.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise ConfigurationError(f"cannot read {str(path)!a}: {error.strerror}", hint="check the path") from error
    return parse(data, str(path))


def parse(data: bytes, file: str) -> Scenario:
    """Take ``data`` as a scenario; ``file`` is what its errors call it.

    Raises:
        ConfigurationError: as ``load``.
    """
    if len(data) > MAX_FILE:
        _wrong(file, f"longer than {MAX_FILE} bytes", _TOP)
    try:
        text = data.decode()
        tree = yaml.load(text, _StrictLoader)  # noqa: S506 -- a safe loader, made stricter
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        _wrong(file, f"not YAML: {' '.join(str(error).split())[:300]}", _TOP)
    if not isinstance(tree, dict) or not {"nodes", "steps"} <= set(tree) <= {"nodes", "timeouts", "steps"}:
        _wrong(file, "not the fields of a scenario", _TOP)
    nodes = _nodes(file, tree["nodes"])
    if not isinstance(tree["steps"], list) or not tree["steps"]:
        _wrong(f"{file}: steps", "not a list of steps", _STEP)
    steps = tuple(_step(f"{file}: step {number}", number, step) for number, step in enumerate(tree["steps"], 1))
    _check_names(file, nodes, steps)
    timeouts: Timeouts = _convert(f"{file}: timeouts", tree.get("timeouts", {}), Timeouts, "{answer?: S, round?: S}")
    return Scenario(file, _title(text), nodes, timeouts, steps)


def _nodes(file: str, tree: object) -> dict[str, NodeOptions]:
    form = "nodes is a list of names, or NAME: {accept?, contacts-only?, room?, cheat?, dies-at?, disk?}"
    place = f"{file}: nodes"
    if isinstance(tree, list):
        if len(set(map(str, tree))) != len(tree):
            _wrong(place, "a name is there twice", form)
        tree = dict.fromkeys(map(str, tree), None)
    if not isinstance(tree, dict) or not 0 < len(tree) <= MAX_PARTICIPANTS:
        _wrong(place, f"not 1 to {MAX_PARTICIPANTS} nodes", form)
    return {
        _convert(place, name, Name, form): _convert(f"{place}: {name!s:.64}", options or {}, NodeOptions, form)
        for name, options in tree.items()
    }


def _step(place: str, number: int, tree: object) -> Step:
    verbs = [key for key in tree if key != "expect"] if isinstance(tree, dict) else []
    if not isinstance(tree, dict) or len(verbs) != 1 or verbs[0] not in VERBS:
        said = ", ".join(repr(verb) for verb in verbs) or "none"
        _wrong(place, f"it has to have one verb, and has {said[:200]}", _STEP)
    kind = VERBS[verbs[0]]
    place = f"{place} ({kind.verb})"
    action: Action = _convert(place, tree[kind.verb], kind, f"{kind.verb}: {kind.form}")
    form = f"after {kind.verb} it is {{{', '.join(sorted(kind.expects))}}}" if kind.expects else "nothing"
    expect: Expect = _convert(f"{place}: expect", tree.get("expect", {}), Expect, form)
    if not expect.said <= kind.expects:
        _wrong(f"{place}: expect", f"{', '.join(sorted(expect.said - kind.expects))} says nothing here", form)
    return Step(number, action, expect)


def _check_names(file: str, nodes: dict[str, NodeOptions], steps: tuple[Step, ...]) -> None:
    known = set(nodes)
    for name, options in nodes.items():
        if options.cheat is not None and options.cheat.to is not None and options.cheat.to not in known - {name}:
            _wrong(f"{file}: nodes: {name}: cheat", f"`to` is no other node: {options.cheat.to!a}", "to: NODE")
    for step in steps:
        if isinstance(step.action, Register):
            if step.node in known:
                _wrong(f"{file}: {step}", f"{step.node} is there already", "node: names a new node")
            known.add(step.node)
        used = {step.node, *getattr(step.action, "with_peers", ()), *step.expect.names}
        if not used <= known:
            _wrong(
                f"{file}: {step}", f"there is no node {min(used - known)!a}", f"the nodes: {', '.join(sorted(known))}"
            )


def _convert(place: str, tree: object, kind: type[T] | Any, form: str) -> T:  # noqa: ANN401 -- Annotated is no type
    try:
        result: T = msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        message = str(error)
        message = message[:1].lower() + message[1:]
        if at := _AT.search(message):
            message = f"{at[1]}: {message[: at.start()]}"
        _wrong(place, message, form)
    return result


def _wrong(place: str, what: str, form: str) -> NoReturn:
    raise ConfigurationError(f"{place}: {what}", hint=form)


def _title(text: str) -> str:
    """The comment the file starts with, on one line."""
    lines: list[str] = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    return " ".join(lines).strip()


class _StrictLoader(yaml.SafeLoader):
    """Safe, and without what lets a page say something else than it seems to: doubled keys and aliases."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 -- as PyYAML has it
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if len(set(map(repr, keys))) != len(keys):
            raise yaml.YAMLError(f"a key is there twice, near line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep)
