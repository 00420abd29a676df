"""The kinds of session: one file each, found by name in ``KINDS``. A new kind is a file and a line here."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from mpcnode.session.kinds import keygen, refresh, sign
from mpcnode.session.kinds.kind import Kind

KINDS: Final[Mapping[str, Kind[Any]]] = MappingProxyType(
    {kind.name: kind for kind in (keygen.KEYGEN, sign.SIGN, refresh.REFRESH)}
)
