"""``python -m mpcnode`` is ``mpcnode``: Ctrl-C is answered from here on, before anything large is imported."""

import gc
import sys
from typing import NoReturn

from mpcnode.cli import signals, streams


def main() -> NoReturn:
    """Run the command line of this process."""
    streams.open_here()
    signals.catch()
    gc.disable()  # what is imported stays; ``cli.loop`` enables it again, before anything can pile up
    try:
        from mpcnode.cli.app import main as run  # noqa: PLC0415 -- see above
    except KeyboardInterrupt:
        sys.exit(130)
    try:
        run()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0
        sys.exit(streams.close_here(code))
    finally:
        # Everything that has an end has had it. Looking through all modules for circles, as Python does several times
        # while it ends, took a node longer than leaving its mesh and its server.
        gc.freeze()


if __name__ == "__main__":
    main()
