"""Reads plain values of options without pydantic, which takes longer to load than the rest of a command line.

typer gives every value to pydantic, a text as well. Here a value that is plainly of its kind is taken at once. All else
goes the stock way: other kinds, and every value that is wrong, so typer says what is wrong with it. What an option
accepts is the same either way; where typer has another form than the one known here, everything goes the stock way.
A test fails when a release of typer changes it.
"""

import inspect
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

from typer import core

_STOCK: Final = getattr(core, "build_runtime_param", None)
_INTEGER: Final = re.compile(r"-?[0-9]{1,15}", re.ASCII)
_DECIMAL: Final = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,6})?", re.ASCII)
_PATH_AS_USUAL: Final = {
    "exists": False,
    "file_okay": True,
    "dir_okay": True,
    "writable": False,
    "readable": True,
    "resolve_path": False,
    "allow_dash": False,
    "path_type": None,
}


class _NotPlain(Exception):
    """The value is for typer to look at."""


class _Values:
    """The values of one option; stands where typer has its own conversion.

    Args:
        descriptor: typer's, of the option.
        stock: makes typer's conversion of it.
    """

    def __init__(self, descriptor: Any, stock: Callable[[Any], Any]) -> None:  # noqa: ANN401 -- typer's inner types
        self._descriptor = descriptor
        self._stock = stock

    def coerce(self, value: object, param: Any, ctx: Any) -> object:  # noqa: ANN401 -- as above
        several = param.multiple or param.nargs == -1
        if value is None:
            return () if several else None
        info, kind = self._descriptor.parameter_info, self._descriptor.annotation
        try:
            if several and get_origin(kind) is list and isinstance(value, list | tuple):
                return [_read(one, get_args(kind)[0], info) for one in value]
            return _read(value, kind, info)
        except _NotPlain:
            return self._stock(self._descriptor).coerce(value, param=param, ctx=ctx)


def _read(value: object, kind: object, info: Any) -> object:  # noqa: ANN401 -- as above
    """Take a value that pydantic would take, as pydantic would."""
    if info.parser is not None:
        raise _NotPlain
    if kind is str and isinstance(value, str):
        return value
    if kind is int and not info.clamp:
        return _within(int(_text(value, int, _INTEGER)), info)
    if kind is float and not info.clamp:
        return _within(float(_text(value, float | int, _DECIMAL)), info)
    if kind is Path and isinstance(value, str | Path):
        return _path(value, info)
    if get_origin(kind) is Literal and isinstance(value, str) and value in get_args(kind):
        return value
    raise _NotPlain


def _text(value: object, kind: Any, form: re.Pattern[str]) -> Any:  # noqa: ANN401 -- a type or a union of types
    if isinstance(value, kind) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and form.fullmatch(value):
        return value
    raise _NotPlain


def _within(value: float, info: Any) -> float:  # noqa: ANN401 -- as above
    if (info.min is not None and value < info.min) or (info.max is not None and value > info.max):
        raise _NotPlain
    return value


def _path(value: str | Path, info: Any) -> Path:  # noqa: ANN401 -- as above
    if any(getattr(info, name) != usual for name, usual in _PATH_AS_USUAL.items()) or "\0" in str(value):
        raise _NotPlain
    path = Path(value)
    try:
        path.stat()
    except OSError:
        return path
    if not os.access(path, os.R_OK):
        raise _NotPlain
    return path


def read_here() -> bool:
    """Have typer's options read here from now on; say whether typer has the form that this needs."""
    stock = _STOCK
    if not callable(stock) or tuple(inspect.signature(stock).parameters) != ("descriptor",):
        return False
    vars(core)["build_runtime_param"] = lambda descriptor: _Values(descriptor, stock)
    return True
