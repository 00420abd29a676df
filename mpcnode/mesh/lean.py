"""Makes ``import aiortc`` load what data channels need, and nothing else.

aiortc's package imports each part of itself, and with the parts for sound and pictures FFmpeg: 17 MiB and half of the
time that the import takes. aioice imports DNS messages and zones for the names of multicast DNS (4 MiB), which only a
candidate ending in ``.local`` needs. Importing this module, before aiortc and aioice, leaves both out:

- aiortc's package is put in place without its imports. A name of the package then comes from the part that defines it,
  and that part is loaded when the name is asked for; aiortc's own import statements say which part that is.
- The modules for DNS are put in place empty, and filled at the first use.

Every name stays available: a program that wants media gets it, and FFmpeg. Where aiortc's files do not have the form
that this module knows, aiortc is loaded the stock way, which is larger and nothing worse. ``MEDIA_LEFT_OUT`` and
``DNS_LEFT_OUT`` say which it was, and tests fail when a release changes it.
"""

import ast
import importlib
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Final

_PACKAGE: Final = "aiortc"
_RTP: Final = "aiortc.rtp"
_MEDIA: Final = "av"
_LINK: Final = ("RTCCertificate", "RTCDataChannel", "RTCIceGatherer", "RTCSctpTransport")
"""What a link is made of. Two of its parts import each other, so they are loaded here, in aiortc's own order."""


_DNS: Final = ("dns.message", "dns.name", "dns.rdata", "dns.rdataset", "dns.zone")
"""What aioice names in its functions for multicast DNS and not outside of them; each of these loads many others."""


class _Package(ModuleType):
    """A package that takes each of its names from the part which defines it, at the first use.

    Args:
        spec: the stock package's.
        parts: names, each with the part it is defined in and its name there.
    """

    def __init__(self, spec: ModuleSpec, parts: dict[str, tuple[str, str]]) -> None:
        super().__init__(spec.name)
        self._parts = parts

    def __getattr__(self, name: str) -> object:
        # Read by way of the dictionary: this method is also called for names of the import system, before __init__.
        part = self.__dict__.get("_parts", {}).get(name)
        if part is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(part[0], self.__name__), part[1])
        setattr(self, name, value)
        return value

    def load(self, names: Collection[str]) -> None:
        """Load the parts that define ``names``, in the order in which the package's own file has them."""
        for name in sorted(names, key=[*self._parts].index):
            getattr(self, name)


def leave_media_out() -> bool:
    """Put aiortc in place without its media; say whether it was possible.

    It is not where aiortc is loaded already, and not where its files have another form than the one known here.
    """
    if _PACKAGE in sys.modules or _MEDIA in sys.modules:
        return False
    try:
        package = _put_package_in_place()
        with _stand_in_for_media():
            importlib.import_module(_RTP)
        package.load(_LINK)
    except Exception:  # noqa: BLE001 -- whatever it is, the stock import either works or says what is wrong
        for name in [name for name in sys.modules if name == _PACKAGE or name.startswith(f"{_PACKAGE}.")]:
            del sys.modules[name]
        return False
    return _MEDIA not in sys.modules


class _Later(ModuleType):
    """A module that is filled when something in it is asked for."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__") or self.__spec__ is None or self.__spec__.loader is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        self.__class__ = ModuleType  # type: ignore[assignment] # from here on it is what it would have been
        self.__spec__.loader.exec_module(self)
        return getattr(self, name)


def leave_dns_out() -> bool:
    """Put the modules for DNS in place empty; say whether it was possible, that is, none was loaded already."""
    if any(name in sys.modules for name in _DNS):
        return False
    try:
        specs = [find_spec(name) for name in _DNS]
    except ImportError:  # there is no such package: aioice says what it needs
        return False
    for spec in specs:
        if spec is None or not isinstance(spec.loader, SourceFileLoader):
            return False
    for spec in specs:
        assert spec is not None
        module = _Later(spec.name)
        module.__dict__.update(module_from_spec(spec).__dict__)
        sys.modules[spec.name] = module
        setattr(sys.modules[spec.name.partition(".")[0]], spec.name.rpartition(".")[2], module)
    return True


def _put_package_in_place() -> _Package:
    """Run the package's own file without the imports of its parts, and remember where these would have come from."""
    spec = find_spec(_PACKAGE)
    if spec is None or not isinstance(spec.loader, SourceFileLoader):
        raise ImportError(f"{_PACKAGE} is not a file of source")
    tree = ast.parse(spec.loader.get_source(_PACKAGE) or "")
    imports = [each for each in tree.body if isinstance(each, ast.ImportFrom) and each.level and each.module]
    parts = {name.asname or name.name: (f".{each.module}", name.name) for each in imports for name in each.names}
    if not parts or "*" in parts or any(each.level != 1 for each in imports):
        raise ImportError(f"{_PACKAGE} does not import its parts by name")
    tree.body = [each for each in tree.body if each not in imports]
    package = _Package(spec, parts)
    package.__dict__.update(module_from_spec(spec).__dict__)
    sys.modules[_PACKAGE] = package
    exec(compile(tree, spec.origin or _PACKAGE, "exec"), package.__dict__)  # noqa: S102 -- aiortc's own file
    return package


@contextmanager
def _stand_in_for_media() -> Iterator[None]:
    """Let FFmpeg's package be an empty one.

    ``aiortc.rtp``, which DTLS needs, names one of its classes in an annotation and does nothing else with it.
    """
    stand_in = ModuleType(_MEDIA)
    stand_in.AudioFrame = type("AudioFrame", (), {})  # type: ignore[attr-defined] # what a module is for
    sys.modules[_MEDIA] = stand_in
    try:
        yield
    finally:
        with suppress(KeyError):
            del sys.modules[_MEDIA]


DNS_LEFT_OUT: Final = leave_dns_out()
MEDIA_LEFT_OUT: Final = leave_media_out()
