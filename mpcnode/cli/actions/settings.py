"""What ``mpcnode settings`` does."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from mpcnode.cli.actions.ice import ice_servers
from mpcnode.cli.options import (
    DEFAULT_ROOM,
    DEFAULT_SERVER,
    expanded,
    home_or_default,
    peer_id,
    room_name,
    server_url,
)
from mpcnode.cli.terminal.output import log_to_stderr, print_data, print_json, say
from mpcnode.cli.terminal.text import as_typed, escape
from mpcnode.errors import UsageError
from mpcnode.keystore.settings import MAX_ICE_SERVERS, MAX_TEXT, Settings
from mpcnode.keystore.store import Home

_FIELDS: Final = {"moniker": "peer_id", "server": "server", "room": "room", "ice-servers": "ice_servers"}
"""The keys, and the fields of ``Settings`` that they set."""
_DEFAULTS: Final = {
    "moniker": "(the host name)",
    "server": f"{DEFAULT_SERVER} (the default)",
    "room": f"{DEFAULT_ROOM} (the default)",
    "ice-servers": "none",
}


class SettingsView(msgspec.Struct, frozen=True, omit_defaults=True):
    """The settings in the output of ``--json``; what is not remembered is left out."""

    home: str
    moniker: str | None = None
    server: str | None = None
    room: str | None = None
    ice_servers: tuple[str, ...] = ()


def show_settings(home: Path | None, key: str | None, *, forget: bool, json: bool, verbose: bool) -> None:
    """Print what the home remembers: all of it, or one value alone, for scripts.

    Raises:
        UsageError: something is to be forgotten, and nothing says what.
        KeystoreError: the settings cannot be read.
    """
    log_to_stderr(verbose=verbose)
    if forget:
        raise UsageError("nothing says what to forget", hint=f"name one of {', '.join(_FIELDS)}")
    path = home_or_default(home)
    settings = Home.open(path, create=False).load_settings() if path.exists() else Settings()
    if json or key is None:
        _print(path, settings, json=json)
    elif values := _values(settings, key):
        print_data(*values)
    else:
        say(f"this home remembers no {key}; without an option it is {_DEFAULTS[key]}")


def change_setting(
    home: Path | None, key: str, given: Sequence[str], *, forget: bool, json: bool, verbose: bool
) -> None:
    """Change one value, then print what the home remembers.

    Raises:
        UsageError: the value is not of its form, does not fit the home's wallets, or is given and forgotten at once.
        HomeInUse: a node runs under the home.
        KeystoreError: the settings cannot be read or written.
    """
    log_to_stderr(verbose=verbose)
    if forget and given:
        raise UsageError(f"a {key} and --forget exclude each other", hint="leave one of them out")
    if key != "ice-servers" and len(given) > 1:
        raise UsageError(
            f"{key} has one value, and not {len(given)}", hint="put a value with spaces in quotation marks"
        )
    change = _change(key, given)
    path = home_or_default(home)
    opened = Home.open(path, create=True)
    with opened.lock():
        if key == "moniker" and given:
            _check_holds(opened, given[0])
        settings = change(opened.load_settings())
        opened.save_settings(settings)
    _print(path, settings, json=json)


def _change(key: str, given: Sequence[str]) -> Callable[[Settings], Settings]:
    """Give what changes one value, which is checked already; nothing given forgets it."""
    if key == "ice-servers":
        servers = remembered_ice(given)
        return lambda settings: replace(settings, ice_servers=servers)
    value = given[0] if given else None
    if value is not None and len(value) > MAX_TEXT:
        raise UsageError(f"a {key} has at most {MAX_TEXT} characters", hint="give a shorter one")
    if key == "moniker":
        name = None if value is None else peer_id(value, "the moniker")
        return lambda settings: replace(settings, peer_id=name)
    if key == "server":
        url = None if value is None else server_url(value)
        return lambda settings: replace(settings, server=url)
    room = None if value is None else room_name(value)
    return lambda settings: replace(settings, room=room)


def remembered_ice(given: Iterable[str]) -> tuple[str, ...]:
    """Give what is remembered of ``--ice-server``: URLs, and where files with credentials lie.

    Raises:
        UsageError: one is not such a URL, or they are too many.
        ConfigurationError: a file cannot be read or is not of its form.
    """
    servers = tuple(f"@{expanded(Path(one[1:])).absolute()}" if one.startswith("@") else one for one in given)
    ice_servers(servers)
    if len(servers) > MAX_ICE_SERVERS:
        raise UsageError(f"more than {MAX_ICE_SERVERS} ICE servers", hint="put several in one file: @FILE")
    return servers


def _check_holds(home: Home, name: str) -> None:
    """Refuse a name that the wallets of this home are not for: no command could use them.

    Raises:
        UsageError: there are wallets, and none is held under this name.
    """
    held = sorted({str(stored.peer_id) for stored in home.list_wallets() if stored.peer_id})
    if held and name not in held:
        raise UsageError(
            f"this home holds its wallets as {', '.join(held)}, and could not use them as {name}",
            hint="use another --home for another name",
        )


def _values(settings: Settings, key: str) -> tuple[str, ...]:
    value: str | tuple[str, ...] | None = getattr(settings, _FIELDS[key])
    return value if isinstance(value, tuple) else () if value is None else (value,)


def _print(path: Path, settings: Settings, *, json: bool) -> None:
    if json:
        print_json(SettingsView(str(path), settings.peer_id, settings.server, settings.room, settings.ice_servers))
        return
    rows = [("home", as_typed(str(path)))]
    for key, default in _DEFAULTS.items():
        values = _values(settings, key)
        rows += [(key, escape(value, MAX_TEXT + 100)) for value in values] or [(key, default)]
    print_data(*(f"{name:<11}  {value}" for name, value in rows))
