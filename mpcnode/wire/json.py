"""The one JSON decoder for what nodes and servers send each other (PROTOCOL section Conventions).

Two programs that read one text must read one message. So a text is refused where JSON leaves a choice: a key that
stands twice in an object, ``null`` beside an absent field, a number with a fraction or an exponent, a number that
JavaScript would round, bytes that are not UTF-8. Byte strings travel as lower-case hexadecimal (``wire.fields``).
"""

import json
import re
from collections.abc import Callable
from typing import Any, Final, Generic, NoReturn, TypeVar

import msgspec

from mpcnode.crypto.transcript import MAX_INTEGER
from mpcnode.errors import DecodeError
from mpcnode.wire.fields import from_hex

MAX_DEPTH: Final = 64
"""How deep objects and lists may nest, so that no message exhausts the stack of the program that reads it."""

_DIGITS: Final = len(str(MAX_INTEGER))
_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NOT_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"{}[]")

_BYTES: Final = (bytes, bytearray, memoryview)

T = TypeVar("T")


class Decoder(Generic[T]):
    """Decodes texts of one type of message, strictly.

    Args:
        form: a msgspec struct, or a union of tagged ones.
        name: what such a text is called in an error: ``a hello``.
    """

    __slots__ = ("_decode", "_name")

    def __init__(self, form: type[T], name: str) -> None:
        self._decode: Callable[[bytes | msgspec.Raw], T] = msgspec.json.Decoder(form, dec_hook=from_hex).decode
        self._name = name

    def decode(self, data: bytes) -> T:
        """Decode a text.

        Raises:
            DecodeError: it is not JSON of the type, or another program could read something else in it.
        """
        message = self.decode_part(data)
        check(data)
        return message

    def decode_part(self, data: bytes | msgspec.Raw) -> T:
        """Decode a part of a text that ``check`` has accepted, or will have before anything is done with the part.

        Raises:
            DecodeError: it is not JSON of the type.
        """
        try:
            return self._decode(data)
        except (ValueError, RecursionError) as error:
            # msgspec names the field and quotes nothing but an unknown field or tag, which `ascii` makes harmless.
            raise DecodeError(f"not {self._name}: {ascii(str(error))[1:-1]}") from None


def check(data: bytes) -> None:
    """Check that every program reads the same in a JSON text.

    Raises:
        DecodeError: it is not JSON in UTF-8; a key stands twice in one object, at whatever depth; a value is ``null``;
            a number has a sign, a fraction or an exponent, or exceeds 2**53 - 1; or it is nested too deep.
    """
    try:
        _choices.decode(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"not JSON that everybody reads alike: {error}") from None
    if depth_exceeds(data, MAX_DEPTH):
        raise DecodeError("JSON that is nested too deep")


def depth_exceeds(data: bytes, most: int) -> bool:
    """Say whether well-formed JSON nests deeper than ``most``, without parsing it.

    Args:
        data: the text; parsing it could itself exhaust the stack.
        most: the depth that is still allowed; an object without objects and lists in it has depth 1.
    """
    # Brackets inside strings only cost the exact count.
    if data.count(b"{") + data.count(b"[") <= most:
        return False
    deepest = depth = 0
    for bracket in _STRING.sub(b"", data).translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in b"{[" else -1
        deepest = max(deepest, depth)
    return deepest > most


def check_keys(data: bytes) -> None:
    """Check that no key stands twice in the outermost object, whose values may be anything.

    For the envelope of a message that is passed on untouched: what is inside is the recipient's to judge.

    Raises:
        ValueError: a key stands there twice, or it is not JSON.
    """
    pairs = _pairs.decode(data.decode("utf-8"))
    _each_once(pairs)


def encode(message: msgspec.Struct) -> bytes:
    """Encode ``message``: byte strings as lower-case hexadecimal, absent fields left out, no spaces."""
    return msgspec.json.encode(to_json(message))


def to_json(message: msgspec.Struct) -> dict[str, Any]:
    """Give ``message`` as what JSON knows: dictionaries, lists, strings, numbers, booleans."""
    tree: dict[str, Any] = _hex(msgspec.to_builtins(message, builtin_types=_BYTES))
    return tree


def _hex(tree: Any) -> Any:  # noqa: ANN401 -- any JSON value
    if isinstance(tree, str | int):
        return tree
    if isinstance(tree, dict):
        return {key: _hex(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_hex(value) for value in tree]
    return tree.hex()


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    once = dict(pairs)
    if len(once) != len(pairs):
        raise ValueError("a key stands there twice")
    return once


def _each_once_and_said(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    once = _each_once(pairs)
    if None in once.values():
        raise ValueError("a value is null; a field that says nothing is left out")
    return once


def _integer(text: str) -> int:
    if text[0] == "-" or len(text) > _DIGITS or int(text) > MAX_INTEGER:
        raise ValueError("a number is not a whole one between 0 and 2**53 - 1")
    return int(text)


def _no_number(_text: str) -> NoReturn:
    raise ValueError("a number is not a whole one between 0 and 2**53 - 1")


_choices: Final = json.JSONDecoder(
    object_pairs_hook=_each_once_and_said, parse_int=_integer, parse_float=_no_number, parse_constant=_no_number
)
_pairs: Final = json.JSONDecoder(object_pairs_hook=list, parse_int=str, parse_float=str)
