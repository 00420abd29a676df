"""YAML that says what it seems to say: for the files people write by hand.

YAML 1.1 takes ``no`` for false, ``010`` for eight and ``12:30`` for 750; and anchors, tags and doubled keys let a page
say something else than it seems to. Here every scalar is the text that stands there, and the rest is refused.
"""

from collections.abc import Hashable
from typing import Any, Final

import yaml

from mpcnode.errors import DecodeError

MAX_SIZE: Final = 64 * 1024


def read_plain_yaml(data: bytes) -> object:
    """Read one YAML document of mappings, sequences and text.

    Args:
        data: the file, UTF-8, at most ``MAX_SIZE`` bytes.

    Returns:
        ``dict``, ``list`` and ``str``; an empty document is an empty ``str``.

    Raises:
        DecodeError: longer, no YAML, or with an alias, an anchor, a tag, a merge or a doubled key.
    """
    if len(data) > MAX_SIZE:
        raise DecodeError(f"longer than {MAX_SIZE} bytes")
    try:
        tree: object = yaml.load(data.decode(), _PlainLoader)  # noqa: S506 -- makes text, lists and mappings alone
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DecodeError(f"not the YAML that is read here: {' '.join(str(error).split())[:300]!a}") from None
    return "" if tree is None else tree


class _PlainLoader(yaml.BaseLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise yaml.YAMLError("anchors and aliases are not allowed")
        if getattr(event, "tag", None) is not None:
            raise yaml.YAMLError("tags are not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 -- as PyYAML has it
        keys = [key.value for key, _ in node.value]
        if not all(isinstance(key, str) for key in keys):
            raise yaml.YAMLError(f"a key that is no text, near line {node.start_mark.line + 1}")
        if len(set(keys)) != len(keys):
            raise yaml.YAMLError(f"a key is there twice, near line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep)
