"""``python -m mpcnode.faults``: ``mpcnode`` with the faults that the environment names, for tests and scenarios.

No other way leads to faults. ``mpcnode`` neither imports this folder nor reads the variable.
"""

import os
import signal
import sys
from typing import NoReturn

from mpcnode.cli import app, signals
from mpcnode.cli.terminal.text import error_lines
from mpcnode.errors import ConfigurationError
from mpcnode.faults import model


def main() -> NoReturn:
    """Install the faults, then run the command line as ``mpcnode`` does."""
    signals.catch()
    try:
        asked = model.decode(os.environ.get(model.VARIABLE, ""))
    except ConfigurationError as error:
        print(*error_lines(error), sep="\n", file=sys.stderr)  # noqa: T201 -- this is where errors are printed
        sys.exit(error.exit_code)
    if (step := asked.dies_at or asked.interrupted_at) is not None:
        from mpcnode.faults import deaths  # noqa: PLC0415 -- loads the node

        deaths.install(step, signal.SIGKILL if asked.dies_at is not None else signal.SIGINT)
    if asked.disk is not None:
        from mpcnode.faults import disks  # noqa: PLC0415 -- loads the keystore

        disks.install(asked.disk)
    if asked.cheat is not None:
        from mpcnode.faults import cheats  # noqa: PLC0415 -- same

        cheats.install(asked.cheat)
    app.main()


if __name__ == "__main__":
    main()
