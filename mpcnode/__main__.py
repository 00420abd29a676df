"""``python -m mpcnode`` is ``mpcnode``."""

from mpcnode.cli.app import main

if __name__ == "__main__":
    main()
