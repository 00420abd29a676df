"""Logging, for ``-v`` alone."""

import logging


def log_to_stderr(*, verbose: bool) -> None:
    """Send mpcnode's log to stderr, and other libraries' warnings; without ``verbose`` nothing is logged."""
    if not verbose:
        logging.disable(logging.CRITICAL)
        return
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    logging.getLogger("mpcnode").setLevel(logging.DEBUG)
