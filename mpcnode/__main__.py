"""``python -m mpcnode`` is ``mpcnode``: Ctrl-C is answered from here on, before anything large is imported."""

import sys
from typing import NoReturn

from mpcnode.cli import signals


def main() -> NoReturn:
    """Run the command line of this process."""
    signals.catch()
    try:
        from mpcnode.cli.app import main as run  # noqa: PLC0415 -- see above
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
