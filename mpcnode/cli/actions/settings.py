"""What ``mpcnode settings`` does."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import msgspec

from mpcnode.cli.options import DEFAULT_ROOM, DEFAULT_SERVER, home_or_default, room_name, server_url
from mpcnode.cli.terminal.output import log_to_stderr, print_data, print_json
from mpcnode.cli.terminal.text import as_typed, escape
from mpcnode.errors import UsageError
from mpcnode.keystore.settings import Settings
from mpcnode.keystore.store import Home


class SettingsView(msgspec.Struct, frozen=True, omit_defaults=True):
    """The settings in the output of ``--json``; what is not remembered is left out."""

    home: str
    peer_id: str | None = None
    server: str | None = None
    room: str | None = None


def change_settings(
    home: Path | None, *, server: str | None, room: str | None, forget: Collection[str], json: bool, verbose: bool
) -> None:
    """Change what is given, then print what the home remembers.

    Raises:
        UsageError: a value is not of its form, or is given and forgotten at once.
        HomeInUse: a node runs under the home, and something is to be changed.
        KeystoreError: the settings cannot be read or written.
    """
    log_to_stderr(verbose=verbose)
    path = home_or_default(home)
    given = {"server": server and server_url(server), "room": room and room_name(room)}
    for name in forget:
        if given[name] is not None:
            raise UsageError(f"--{name} and --forget {name} exclude each other", hint="leave one of them out")
    if forget or any(value is not None for value in given.values()):
        opened = Home.open(path, create=True)
        with opened.lock():
            before = opened.load_settings()
            settings = replace(
                before,
                server=given["server"] or (None if "server" in forget else before.server),
                room=given["room"] or (None if "room" in forget else before.room),
            )
            opened.save_settings(settings)
    else:
        settings = Home.open(path, create=False).load_settings() if path.exists() else Settings()
    if json:
        print_json(SettingsView(str(path), settings.peer_id, settings.server, settings.room))
        return
    print_data(
        f"home     {as_typed(str(path))}",
        f"peer id  {escape(settings.peer_id or '(the host name)')}",
        f"server   {escape(settings.server or f'{DEFAULT_SERVER} (the default)', 1100)}",
        f"room     {escape(settings.room or f'{DEFAULT_ROOM} (the default)', 1100)}",
    )
